"""The SQL of a pass: cells, folds and fields as expressions, and the sums of their products.

z = (1, presence, x − shift) is the row of `cumulant.measure.moments`, and all that a statement says of a column is in
`cell`, NULL where it is missing, and `fields`. Names of columns are quoted, levels and reference points written as
literals; nothing else of the table enters the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.lift import Boolean, Categorical, Numeric, Schema
from cumulant.lift.columns import CYCLES, Cyclic, Lift, Temporal
from cumulant.source.database import identifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Statement", "Totals", "cell", "fold_steps", "obstacle"]

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FLOATS = ("FLOAT", "DOUBLE")
_NUMBERS = (*_INTEGERS, *_FLOATS, "HUGEINT", "UHUGEINT", "DECIMAL")
# Ticks of a day, and the function that counts ticks since 1970.
_TICKS = {
    "TIMESTAMP": ("epoch_us", 86_400e6),
    "TIMESTAMP WITH TIME ZONE": ("epoch_us", 86_400e6),
    "TIMESTAMP_MS": ("epoch_ms", 86_400e3),
    "TIMESTAMP_NS": ("epoch_ns", 86_400e9),
}
_WORD = (1 << 64) - 1


def obstacle(lift: Lift, kind: str) -> str | None:
    """Why SQL cannot say what a lift does with a column of a DuckDB type; None if it can."""
    if isinstance(lift, Categorical):
        levels = "".join(lift.levels)
        fits = _plain(kind) in (*_INTEGERS, "VARCHAR", "BOOLEAN", "ENUM") and "\0" not in levels
    elif isinstance(lift, Boolean):
        fits = kind == "BOOLEAN"
    elif isinstance(lift, Numeric):
        fits = _plain(kind) in _NUMBERS
    else:
        fits = kind == "DATE" or kind in _TICKS
    return None if fits else f"column '{lift.name}' of type {kind} is not read as {lift.kind} by SQL as it is here"


def integral(kind: str) -> bool:
    """Whether a DuckDB type holds whole numbers of at most 64 bits."""
    return kind in _INTEGERS


def cell(lift: Lift, kind: str) -> str:
    """A cell as a number (text for a category), NULL where it is missing; a NaN stays one."""
    name = identifier(lift.name)
    if isinstance(lift, Categorical):
        return f"CAST({name} AS VARCHAR)"
    if not isinstance(lift, (Temporal, Cyclic)):
        return f"CAST({name} AS DOUBLE)"
    if kind == "DATE":
        return f"CAST({name} - DATE '1970-01-01' AS DOUBLE)"
    count, ticks = _TICKS[kind]
    return f"CAST({count}({name}) AS DOUBLE) / {_number(ticks)}"


def fields(lift: Lift, c: str) -> list[str]:
    """The fields of a cell ``c`` that is not missing."""
    if isinstance(lift, Categorical):
        known = [_text(level) for level in lift.levels]
        tests = [f"{c} = {level}" for level in known]
        if lift.remainder:
            tests.append(f"{c} NOT IN ({', '.join(known)})" if known else f"{c} IS NOT NULL")
        return [f"CASE WHEN {test} THEN 1::DOUBLE ELSE 0::DOUBLE END" for test in tests]
    if not isinstance(lift, Cyclic):
        return [c]
    out = [c]
    for cycle in lift.cycles:
        turns = f"({c} / {_number(CYCLES[cycle])})"
        angle = f"({_number(2 * np.pi)} * ({turns} - floor{turns}))"
        out += [f"sin{angle}", f"cos{angle}"]
    return out


def fold_steps(folds: int) -> list[str]:
    """Projections that turn a row number ``r`` into its fold, as `kernels.fold_of` does.

    128-bit integers hold the products of 64-bit ones; their lower halves are what splitmix64 goes on with.
    """

    def low(value: str) -> str:
        return f"CAST({value} & {_WORD}::HUGEINT AS UBIGINT)"

    def times(name: str, factor: int) -> str:
        return f"CAST((CAST({name} AS UHUGEINT) * {factor}::UHUGEINT) & {_WORD}::UHUGEINT AS UBIGINT)"

    scaled = f"((xor(h4, h4 >> 31) >> 32) * {folds}::UBIGINT) >> 32"
    return [
        f"*, {low(f'CAST(r AS HUGEINT) + {0x9E3779B97F4A7C15}::HUGEINT')} AS h0",
        "*, xor(h0, h0 >> 30) AS h1",
        f"*, {times('h1', 0xBF58476D1CE4E5B9)} AS h2",
        "*, xor(h2, h2 >> 27) AS h3",
        f"*, {times('h3', 0x94D049BB133111EB)} AS h4",
        # The smallest type, by whose range DuckDB can lay out the folds' sums as an array.
        f"*, CAST({scaled} AS {'UTINYINT' if folds <= 256 else 'USMALLINT'}) AS fold",
    ]


@dataclass(frozen=True, eq=False)
class Totals:
    """What the database answers: sums as `Moments` holds them, in one limb.

    ``present`` counts the cells (K, columns) of the columns that are taken to be without gaps; the rest is 0.
    """

    sums: Array
    squares: Array
    rows: NDArray[np.int64]
    squared_weights: Array
    log_weights: Array
    present: NDArray[np.int64]


@dataclass(frozen=True)
class Statement:
    """One SELECT that sums a table.

    Parameters
    ----------
    schema, shift
        The fields, and their reference point.
    kinds
        DuckDB type of each column.
    gaps
        Indices of the columns with missing cells, ascending.
    folds
        Number of folds K.
    number
        SQL for the number of a row.
    weights
        The column of weights, or None.
    drop
        Leave out rows with a missing cell, instead of a presence field for each column that has some.
    """

    schema: Schema
    shift: tuple[float, ...]
    kinds: tuple[str, ...]
    gaps: tuple[int, ...]
    folds: int
    number: str
    weights: str | None
    drop: bool

    @property
    def presence(self) -> tuple[int, ...]:
        """Columns with a presence field."""
        return () if self.drop else self.gaps

    def steps(self) -> list[str]:
        """The projections, the last of them after the filter `where`."""
        cells = [f"{self._cell(j)} AS c{j}" for j in range(len(self.schema.lifts))]
        if self.weights is not None:
            cells.append(f"CAST({identifier(self.weights)} AS DOUBLE) AS w")
        if self.folds > 1:
            cells.append(f"{self.number} AS r")
        steps = [", ".join(cells)]
        if self.folds > 1:
            steps += fold_steps(self.folds)
        z = self._z()
        kept = [f"{expression} AS z{a}" for a, expression in enumerate(z, 1)]
        kept += [f"c{j}" for j in self._complete()]
        kept += [] if self.weights is None else ["w", *(f"w * ({e}) AS v{a}" for a, e in enumerate(z, 1))]
        kept += ["fold"] if self.folds > 1 else []
        return [*steps, ", ".join(kept)]

    def where(self) -> str:
        """The rows that count."""
        tests = [] if self.weights is None else ["w > 0"]
        tests += [f"c{j} IS NOT NULL" for j in self.gaps if self.drop]
        return " AND ".join(tests)

    def by(self) -> str:
        """What rows are grouped by."""
        return "fold" if self.folds > 1 else ""

    def sums(self) -> list[str]:
        """What is summed, and the fold it is summed for."""
        return ["fold" if self.folds > 1 else "0", "count(*)", *self._terms.values()]

    def totals(self, answer: Sequence[tuple[Any, ...]]) -> Totals:
        """The answer of the database as arrays."""
        k, p, q = len(self.presence), len(self.schema.fields), self._order
        rows = np.zeros(self.folds, dtype=np.int64)
        sums = np.zeros((self.folds, q, q))
        squares = np.zeros((self.folds, k, p))
        beside = {"w2": np.zeros(self.folds), "ln": np.zeros(self.folds)}
        present = np.zeros((self.folds, len(self.schema.lifts)), dtype=np.int64)
        for fold, count, *values in answer:
            rows[fold] = count
            found = {key: 0.0 if value is None else value for key, value in zip(self._terms, values, strict=True)}
            if self.weights is None:
                found[0, 0] = count
            for name, target in beside.items():
                target[fold] = found.get(name, count if name == "w2" else 0.0)
            for j in self._complete():
                present[fold, j] = found["present", j]
            for a in range(q):
                for b in range(a, q):
                    sums[fold, a, b] = sums[fold, b, a] = found.get(self._same(a, b), 0.0)
            for i in range(k):
                for a in range(p):
                    squares[fold, i, a] = found.get(self._same(1 + i, 1 + k + a, square=True), 0.0)
        return Totals(sums, squares, rows, beside["w2"], beside["ln"], present)

    @property
    def _order(self) -> int:
        return 1 + len(self.presence) + len(self.schema.fields)

    def _cell(self, j: int) -> str:
        value = cell(self.schema.lifts[j], self.kinds[j])
        return f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END" if self._nan(j) and j in self.gaps else value

    def _nan(self, j: int) -> bool:
        return self.kinds[j] in _FLOATS

    def _complete(self) -> list[int]:
        return [j for j in range(len(self.schema.lifts)) if j not in self.gaps]

    def _z(self) -> list[str]:
        out = [f"CASE WHEN c{j} IS NULL THEN 0::DOUBLE ELSE 1::DOUBLE END" for j in self.presence]
        shift = iter(self.shift)
        for j, lift in enumerate(self.schema.lifts):
            for expression in fields(lift, f"c{j}"):
                s = next(shift)
                moved = expression if s == 0.0 else f"{expression} - {_number(s)}"
                out.append(f"CASE WHEN c{j} IS NULL THEN 0::DOUBLE ELSE {moved} END" if j in self.presence else moved)
        return out

    @cached_property
    def _terms(self) -> dict[Any, str]:
        """The sums that differ, by the place that `_same` gives them."""
        q = self._order
        v = "z" if self.weights is None else "v"
        terms: dict[Any, str] = {("present", j): f"count(c{j})" for j in self._complete()}
        if self.weights is not None:
            terms |= {(0, 0): "sum(w)", "w2": "sum(w * w)", "ln": "sum(ln(w))"}
        terms |= {(0, a): f"sum({v}{a})" for a in range(1, q)}
        for a in range(1, q):
            for b in range(a, q):
                terms.setdefault(self._same(a, b), f"sum({v}{a} * z{b})")
        k = len(self.presence)
        for a in range(1, 1 + k):
            for b in range(1 + k, q):
                terms.setdefault(self._same(a, b, square=True), f"sum({v}{a} * z{b} * z{b})")
        terms.pop(None, None)
        return terms

    def _same(self, a: int, b: int, *, square: bool = False) -> Any:
        """The place of Σ w z_a z_b (or Σ w z_a z_b²), a ≤ b, or of a sum that equals it; None for one that is 0."""
        k = len(self.presence)
        if 0 < a <= k < b and self.presence[a - 1] == self.schema.column_of_field[b - 1 - k]:
            return self._same(b, b) if square else (0, b)  # a field is 0 where its own column is missing
        if square and not self._zero_one[b]:
            return ("square", a, b)
        if a == b and self._zero_one[a]:
            return (0, a)
        if k < a < b and self._levels[a] >= 0 and self._levels[a] == self._levels[b]:
            return None
        return (a, b)

    @cached_property
    def _zero_one(self) -> list[bool]:
        """Which z are 0 or 1."""
        lifts = [self.schema.lifts[j] for j in self.schema.column_of_field]
        plain = [isinstance(x, (Boolean, Categorical)) and s == 0.0 for x, s in zip(lifts, self.shift, strict=True)]
        return [True] * (1 + len(self.presence)) + plain

    @cached_property
    def _levels(self) -> list[int]:
        """The category that each z is a level of, or -1."""
        own = [
            int(j) if isinstance(self.schema.lifts[j], Categorical) and s == 0.0 else -1
            for j, s in zip(self.schema.column_of_field, self.shift, strict=True)
        ]
        return [-1] * (1 + len(self.presence)) + own


def _plain(kind: str) -> str:
    return re.sub(r"\(.*", "", kind)


def _number(value: float) -> str:
    return f"'{float(value)!r}'::DOUBLE"


def _text(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"
