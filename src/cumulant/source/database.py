"""Rows in a database that can sum them where they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

__all__ = ["ROWID", "Database", "Rows", "identifier"]

# The name under which a stored table shows DuckDB's own number of each row.
ROWID = "row number, by DuckDB"
_NUMBERED = "row_number() OVER () - 1"
# Steps that must have all rows before they give the first: such a query would be run once for its first rows, and
# again for the sums.
_BLOCKING = re.compile(r"order.by|top.n|group.by|aggregate|join|window|distinct|cte", re.IGNORECASE)
_ESTIMATE = re.compile(r"~\s*([\d,]+)\s+rows", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Database:
    """The rows of a table as DuckDB sees them.

    Parameters
    ----------
    rows
        ``with rows() as relation`` gives them as a relation; DuckDB's errors come out as `SourceError`.
    kinds
        What DuckDB calls the type of each column.
    steps
        How it would read the rows, in its own words.
    stored
        Whether they are all rows of one table, which may have numbers already.
    """

    rows: Callable[[], AbstractContextManager[Any]]
    kinds: Mapping[str, str]
    steps: str
    stored: bool

    @staticmethod
    def of(relation: Any, rows: Callable[[], AbstractContextManager[Any]], *, stored: bool) -> Database:
        """The rows that a relation shows now and ``rows`` opens later."""
        kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
        return Database(rows, kinds, str(relation.explain()), stored)

    @property
    def scanned(self) -> bool:
        """Whether rows are only read, not made from all others first."""
        return not _BLOCKING.search(self.steps)

    @property
    def estimate(self) -> int | None:
        """About how many rows there are."""
        found = _ESTIMATE.search(self.steps)
        return int(found[1].replace(",", "")) if found else None


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows while they are open."""

    relation: Any

    def numbered(self) -> str:
        """SQL for the number of a row, from 0 in the order of reading."""
        if ROWID in self.relation.columns:
            ((count, last),) = self.relation.aggregate(f"count(*), max({identifier(ROWID)})").fetchall()
            if count == 0 or count == last + 1:  # none was deleted
                return identifier(ROWID)
        return _NUMBERED

    def distinct(self, expression: str, most: int) -> list[Any]:
        """The values of an expression, without NULL, and at most so many."""
        values = self.relation.project(f"{expression} AS v").filter("v IS NOT NULL").distinct().limit(most)
        return [value for (value,) in values.fetchall()]

    def aggregate(self, steps: Sequence[str], where: str, sums: Sequence[str], by: str) -> list[tuple[Any, ...]]:
        """Rows after projections ``steps`` and, before the last of them, the filter ``where``; summed by ``by``."""
        relation = self.relation
        for step in steps[:-1]:
            relation = relation.project(step)
        if where:
            relation = relation.filter(where)
        found: list[tuple[Any, ...]] = relation.project(steps[-1]).aggregate(", ".join(sums), by).fetchall()
        return found


def identifier(name: str) -> str:
    """A name as SQL quotes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
