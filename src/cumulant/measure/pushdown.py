"""Moments by SQL: a database sums the rows where they lie, when that is cheaper than streaming them here.

The first rows have been read already; they tell the lifts, the reference point, and which columns have gaps. A
statement is written for what they show, and its answer tells whether the other rows agree: counts of cells show gaps
in further columns, and sums that are not finite show NaN and infinities. Then the statement is written anew, or the
rows are streamed, which names the cell that cannot be measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from cumulant import storage
from cumulant.errors import OptionError, SourceError
from cumulant.lift import Categorical, Schema
from cumulant.measure.moments import Moments
from cumulant.measure.statement import Statement, Totals, cell, integral, obstacle
from cumulant.source.database import Rows, identifier

if TYPE_CHECKING:
    import pyarrow as pa

    from cumulant.measure.beside import Beside
    from cumulant.source import Table

__all__ = ["RATES", "Pass", "Rates", "choose", "counts", "push"]

RATES = "pushdown_rates.json"
# Sums in one statement, beyond which its planning alone takes seconds.
MOST_SUMS = 5000
# What a query is taken to give when DuckDB does not say.
UNKNOWN_ROWS = 1_000_000


@dataclass(frozen=True)
class Pass:
    """A pass over a table in a database, as `cumulant.measure` was asked for it.

    Parameters
    ----------
    table, beside
        The table, and the columns of weights and row numbers.
    start
        Moments of no rows: the lifts and the reference point.
    pilot
        The first rows.
    missing, levels
        Options of `cumulant.measure`.
    """

    table: Table
    beside: Beside
    start: Moments
    pilot: Sequence[pa.RecordBatch]
    missing: str
    levels: int

    @property
    def gaps(self) -> tuple[int, ...]:
        """Columns that lack a cell in the first rows."""
        schema = self.start.schema
        seen: set[int] = set()
        for batch in self.pilot:
            x = schema.forward(batch)
            for j, lift in enumerate(schema.lifts):
                if not lift.fields or np.isnan(x[:, schema.starts[j]]).any():
                    seen.add(j)
        return tuple(sorted(seen))

    def obstacle(self) -> str | None:
        """Why the rows cannot be summed by SQL; None if they can."""
        database, schema = self.table.database, self.start.schema
        if database is None:
            return f"the rows of {self.table.name} do not come from a database"
        if self.start.exact:
            return "SQL has no compensated sums"
        if self.start.higher is not None:
            return f"moments of order {self.start.order} are measured from rows"
        if schema.wide:
            return f"the category '{schema.columns[schema.wide[0]]}' of many levels is summed level by level here"
        for name, value in (("weights", self.beside.weights), ("rows", self.beside.rows)):
            if isinstance(value, np.ndarray):
                return f"{name}= lie beside the table, not in a column of it"
        kinds = database.kinds
        if isinstance(self.beside.rows, str) and not integral(kinds[self.beside.rows]):
            return f"the row numbers in column '{self.beside.rows}' are {kinds[self.beside.rows]}, not whole numbers"
        for lift in schema.lifts:
            found = obstacle(lift, kinds[lift.name])
            if found is not None:
                return found
        sums = len(self.statement("0", self.gaps, schema, kinds).sums())
        return f"{sums:,} sums are too many for one statement" if sums > MOST_SUMS else None

    def statement(self, number: str, gaps: tuple[int, ...], schema: Schema, kinds: Mapping[str, str]) -> Statement:
        """The statement for what is known of the columns."""
        weights = self.beside.weights if isinstance(self.beside.weights, str) else None
        shift = tuple(float(s) for s in self.start.shift_in(schema))
        of_columns = tuple(kinds[name] for name in schema.columns)
        drop = self.missing == "drop"
        return Statement(schema, shift, of_columns, gaps, self.start.folds, number, weights, drop)


@dataclass(frozen=True)
class Rates:
    """Nanoseconds a row and seconds a pass, both ways, as ``python -m benchmarks pushdown`` measured them.

    Parameters
    ----------
    streaming
        Nanoseconds a row; for each column; for each q² of the sums, q = 1 + fields and presence fields; for each column
        where some have gaps; for each category.
    pushed
        Nanoseconds a row; for each sum; for the fold; for the number, where the database has to count; for each
        category.
    statement
        Seconds for each sum, to plan the statement.
    begin
        Seconds before the first row: streaming, and in the database.
    measured
        Where and when.
    """

    streaming: tuple[float, ...]
    pushed: tuple[float, ...]
    statement: float
    begin: tuple[float, float]
    measured: str

    @staticmethod
    @cache
    def known() -> Rates:
        """Those that come with the package."""
        saved = json.loads(files("cumulant.measure").joinpath(RATES).read_text("utf-8"))
        saved = {name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()}
        return Rates(**saved)

    def seconds(self, rows: float, statement: Statement, *, counted: bool) -> tuple[float, float]:
        """Seconds to stream the rows, and to have them summed where they lie."""
        here, there = counts(statement, counted=counted)
        sums = len(statement.sums())
        return (
            self.begin[0] + rows * 1e-9 * float(np.dot(self.streaming, here)),
            self.begin[1] + rows * 1e-9 * float(np.dot(self.pushed, there)) + self.statement * sums,
        )


def counts(statement: Statement, *, counted: bool) -> tuple[list[float], list[float]]:
    """What `Rates` multiply, for each way: the work on a row."""
    columns, q = len(statement.kinds), 1 + len(statement.presence) + len(statement.schema.fields)
    categories = sum(isinstance(lift, Categorical) for lift in statement.schema.lifts)
    several = statement.folds > 1
    return (
        [1, columns, q**2, columns * bool(statement.gaps), categories],
        [1, len(statement.sums()), several, several and counted, categories],
    )


def choose(task: Pass, asked: bool | str) -> str | None:
    """Why to have the database sum, in words for the user; None to stream.

    Raises
    ------
    OptionError
        ``asked`` is True and it cannot.
    """
    why_not = task.obstacle()
    database = task.table.database
    if why_not is not None or database is None:
        if asked is True:
            raise OptionError(f"pushdown=True: {why_not}; leave pushdown= out to have the rows streamed")
        return None
    if asked is True:
        return "as asked"
    if not database.scanned:
        return None
    statement = task.statement("0", task.gaps, task.start.schema, database.kinds)
    counted = not (database.stored or isinstance(task.beside.rows, str))
    n = float(UNKNOWN_ROWS if database.estimate is None else database.estimate)
    here, there = Rates.known().seconds(n, statement, counted=counted)
    if there >= here:
        return None
    sums = len(statement.sums())
    return f"{sums:,} sums for each of {n:,.0f} rows or so: about {there:.2g} s where they lie, {here:.2g} s streamed"


def push(task: Pass, why: str) -> Moments | None:
    """The moments as the database sums them; None where the rows must be streamed, be it only to name a bad cell."""
    database = task.table.database
    if database is None:
        return None
    try:
        with database.rows() as relation:
            return _pushed(task, Rows(relation), database.kinds, why)
    except SourceError:  # streaming meets the same trouble, or does without what the database refused
        return None


def _pushed(task: Pass, database: Rows, kinds: Mapping[str, str], why: str) -> Moments | None:
    schema = _with_levels(task, database, kinds)
    if schema is None or (task.beside.columns and not _weights_are_sound(task, database)):
        return None
    number = _number(task, database)
    gaps = task.gaps
    if task.missing == "error" and gaps:
        return None
    # Each turn finds gaps in at least one more column.
    for _ in range(1 + len(schema.lifts)):
        statement = task.statement(number, gaps, schema, kinds)
        answer = database.aggregate(statement.steps(), statement.where(), statement.sums(), statement.by())
        if any(fold is None for fold, *_ in answer):
            return None
        totals = statement.totals(answer)
        found = _further_gaps(database, statement, totals)
        if found is None or (found and task.missing == "error"):
            return None
        if not found:
            return _moments(task, statement, totals, f"summed in the database ({why})")
        gaps = tuple(sorted({*gaps, *found}))
    return None


def _with_levels(task: Pass, database: Rows, kinds: Mapping[str, str]) -> Schema | None:
    """The lifts with the levels of all rows; None where which ones are kept depends on the order of rows."""
    lifts = list(task.start.schema.lifts)
    for j, lift in enumerate(lifts):
        if isinstance(lift, Categorical) and not lift.remainder:
            seen = database.distinct(cell(lift, kinds[lift.name]), task.levels + len(lift.levels) + 1)
            levels = {*lift.levels, *seen}
            if len(levels) > max(task.levels, len(lift.levels)) or any("\0" in level for level in seen):
                return None
            lifts[j] = lift.with_levels(levels, remainder=False)
    schema = Schema(tuple(lifts))
    return None if schema.wide else schema


def _weights_are_sound(task: Pass, database: Rows) -> bool:
    if not isinstance(task.beside.weights, str):
        return True
    w = f"CAST({identifier(task.beside.weights)} AS DOUBLE)"
    bad = f"count(*) FILTER (NOT coalesce({w} >= 0 AND isfinite({w}), FALSE))"
    return not database.aggregate(["*"], "", [bad], "")[0][0]


def _number(task: Pass, database: Rows) -> str:
    rows = task.beside.rows
    if isinstance(rows, str):
        return identifier(rows)
    if task.start.folds == 1 or not isinstance(rows, int):
        return "0"
    return f"{database.numbered()} + {rows}::BIGINT"


def _further_gaps(database: Rows, statement: Statement, totals: Totals) -> list[int] | None:
    """Columns taken to be complete that have gaps; None where a cell cannot be measured."""
    complete = [j for j in range(len(statement.kinds)) if j not in statement.gaps]
    found = {j for j in complete if (totals.present[:, j] != totals.rows).any()}
    diagonal = np.einsum("kii->i", totals.sums)[1 + len(statement.presence) :]
    strange = {int(j) for j in statement.schema.column_of_field[~np.isfinite(diagonal)]}
    if not strange and np.isfinite(totals.sums).all() and np.isfinite(totals.squares).all():
        return sorted(found)
    cells = {j: cell(statement.schema.lifts[j], statement.kinds[j]) for j in strange}
    tests = [f"coalesce(bool_or({what}({c})), FALSE)" for c in cells.values() for what in ("isinf", "isnan")]
    answer = database.aggregate(["*"], "", tests, "")[0] if tests else ()
    infinite, nan = answer[::2], answer[1::2]
    if any(infinite) or not all(nan) or not strange or strange & set(statement.gaps):
        return None  # an infinity, or squares that overflow
    return sorted(found | strange)


def _moments(task: Pass, statement: Statement, totals: Totals, note: str) -> Moments:
    m = task.start
    made = replace(
        m.embed(statement.schema, np.array(statement.shift), statement.presence),
        packed=storage.packed(totals.sums)[None],
        squares=totals.squares,
        rows=totals.rows,
        squared_weights=totals.squared_weights,
        log_weights=totals.log_weights,
        notes=(*m.notes, note),
    )
    # The first rows may have shown gaps in rows that do not count.
    counts = np.diagonal(totals.sums, axis1=1, axis2=2)[:, : 1 + len(statement.presence)]
    kept = tuple(c for i, c in enumerate(statement.presence, 1) if (counts[:, i] != counts[:, 0]).any())
    return made.embed(made.schema, made.shift, kept)
