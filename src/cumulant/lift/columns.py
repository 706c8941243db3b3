"""One lift per column: from the cells of a table to numbers, and back.

A lift turns one column into one or more *fields* (columns of float64). A missing cell becomes NaN in every field
of its column. Lifts are plain declarations: they hold no data beyond what is needed to repeat the map.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cumulant.errors import CumulantWarning, DataError, FileFormatError, OptionError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = [
    "NARROW",
    "OTHER",
    "Boolean",
    "Categorical",
    "Cyclic",
    "Lift",
    "Numeric",
    "Temporal",
    "as_text",
    "from_dict",
]

OTHER = "(other)"
# Most levels of a category that has a field for each; with more it is wide.
NARROW = 100
DAY = 86_400.0
CYCLES = {"day": 1.0, "week": 7.0, "year": 365.2425}


@dataclass(frozen=True)
class Numeric:
    """A number, taken as it is.

    Parameters
    ----------
    name
        The column.
    """

    name: str
    kind: ClassVar[str] = "numeric"

    @property
    def fields(self) -> tuple[str, ...]:
        """One field, named as the column."""
        return (self.name,)

    def forward(self, cells: pa.Array, out: NDArray[np.float64]) -> None:
        """Write the field of ``cells`` (length n) into ``out`` (n, 1); NaN where missing."""
        out[:, 0] = _numbers(cells, self.name)

    def inverse(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Cells (n,) from fields (n, 1)."""
        return values[:, 0]


@dataclass(frozen=True)
class Boolean:
    """True and false as 1 and 0."""

    name: str
    kind: ClassVar[str] = "boolean"

    @property
    def fields(self) -> tuple[str, ...]:
        """One field, named as the column."""
        return (self.name,)

    def forward(self, cells: pa.Array, out: NDArray[np.float64]) -> None:
        """Write 0/1 (NaN where missing) into ``out`` (n, 1)."""
        import pyarrow as pa

        if pa.types.is_boolean(cells.type):
            cells = cells.cast(pa.uint8())
        values = _numbers(cells, self.name)
        if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
            bad = values[~np.isin(values, (0.0, 1.0)) & ~np.isnan(values)][0]
            raise DataError(
                f"column '{self.name}' was measured as true/false but holds {bad:g}; "
                "pass true/false (or 1/0), or measure it again as a number"
            )
        out[:, 0] = values

    def inverse(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """The probability of true, (n,): the mean of a 0/1 field."""
        return values[:, 0]


@dataclass(frozen=True)
class Categorical:
    """A category as one 0/1 field per level; the first level is the reference of contrasts.

    A *wide* category has the same indicators, but they are never written out: its cells stay numbers of levels, and
    its sums are kept by level (`cumulant.measure.levels`). It has no field among the others.

    Parameters
    ----------
    name
        The column.
    levels
        The levels as text, sorted. With ``remainder`` the last field, named ``(other)``, gathers all other text.
    remainder
        Whether rare levels are gathered in ``(other)``.
    arrow
        Arrow type of the cells, to give them back as they came.
    wide
        Whether the category is kept by level; so is any with more than ``NARROW`` levels.
    """

    name: str
    levels: tuple[str, ...]
    remainder: bool = False
    arrow: str = "string"
    wide: bool = False
    kind: ClassVar[str] = "categorical"

    @property
    def all_levels(self) -> tuple[str, ...]:
        """The levels, and ``(other)`` where there is a remainder."""
        return (*self.levels, OTHER) if self.remainder else self.levels

    @property
    def fields(self) -> tuple[str, ...]:
        """One field per level, ``column=level``; none where the category is wide."""
        return () if self.wide else self.indicators

    @property
    def indicators(self) -> tuple[str, ...]:
        """Names of the indicators, ``column=level``."""
        return tuple(f"{self.name}={level}" for level in self.all_levels)

    def with_levels(self, levels: Iterable[str], *, remainder: bool) -> Categorical:
        """The category with these levels, wide where there are many."""
        ordered = tuple(sorted(levels))
        wide = self.wide or len(ordered) > NARROW
        return replace(self, levels=ordered, remainder=remainder, wide=wide)

    def places_in(self, other: Categorical) -> NDArray[np.int64]:
        """For each level its place among those of ``other``; that of the remainder, or -1, where it is none."""
        index = {level: i for i, level in enumerate(other.all_levels)}
        rest = len(other.levels) if other.remainder else -1
        return np.array([index.get(level, rest) for level in self.all_levels], dtype=np.int64)

    @cached_property
    def _texts(self) -> pa.Array:
        import pyarrow as pa

        return pa.array(self.levels, type=pa.string())

    def codes(self, cells: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Index of each cell among ``levels`` (-1: none of them) and whether the cell is missing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        levels = self._texts
        if pa.types.is_dictionary(cells.type):
            # Text is compared once for each entry of the dictionary, not for each row.
            text = as_text(cells.dictionary)
            index = pc.take(pc.fill_null(pc.index_in(text, value_set=levels, skip_nulls=True), -1), cells.indices)
            absent = pc.fill_null(pc.take(pc.is_null(text), cells.indices), True)
        else:
            text = as_text(cells)
            index, absent = pc.index_in(text, value_set=levels, skip_nulls=True), pc.is_null(text)
        missing = np.asarray(absent.to_numpy(zero_copy_only=False))
        return np.asarray(pc.fill_null(index, -1).to_numpy(zero_copy_only=False), dtype=np.int64), missing

    def places(self, cells: pa.Array) -> NDArray[np.int64]:
        """Place of each cell among `all_levels`, -1 where it is missing.

        A level never seen counts as missing without a remainder, with a warning.
        """
        index, missing = self.codes(cells)
        unknown = (index < 0) & ~missing
        if self.remainder:
            return np.where(unknown, len(self.levels), index)
        if unknown.any():
            first = as_text(cells.slice(int(np.argmax(unknown)), 1))[0]
            warnings.warn(
                f"column '{self.name}' holds levels that were not measured (first: '{first}'): taken as missing",
                CumulantWarning,
                stacklevel=3,
            )
        return index

    def unseen(self, cells: pa.Array) -> list[str]:
        """The distinct texts in ``cells`` that are none of the levels, in order of appearance."""
        import pyarrow.compute as pc

        distinct = as_text(pc.unique(cells)).drop_null()
        known = pc.is_in(distinct, value_set=self._texts)
        new: list[str] = distinct.filter(pc.invert(known)).to_pylist()
        return new

    def forward(self, cells: pa.Array, out: NDArray[np.float64]) -> None:
        """Write indicators into ``out`` (n, levels), NaN where missing; nothing where the category is wide."""
        if self.wide:
            return
        index = self.places(cells)
        out[:] = 0.0
        rows = np.flatnonzero(index >= 0)
        out[rows, index[rows]] = 1.0
        out[index < 0] = np.nan

    def inverse(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """The level of largest value, (n,), from fields (n, levels)."""
        return self.cells(np.argmax(values, axis=1)) if len(values) else self.cells(np.zeros(0, dtype=np.int64))

    def cells(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Levels by index, in the type that the column came in."""
        import pyarrow as pa

        # A column without a single cell has no level to give back.
        levels = np.array(self.all_levels or (None,), dtype=object)
        if not self.remainder and self.arrow != "string":
            levels = pa.array(self.levels).cast(pa.type_for_alias(self.arrow)).to_numpy(zero_copy_only=False)
        return np.asarray(levels[index])


@dataclass(frozen=True)
class Temporal:
    """A date, time or duration as a number of days (since 1970-01-01 UTC where it has a date)."""

    name: str
    arrow: str = "timestamp[us]"
    kind: ClassVar[str] = "temporal"

    @property
    def fields(self) -> tuple[str, ...]:
        """One field, named as the column."""
        return (self.name,)

    def forward(self, cells: pa.Array, out: NDArray[np.float64]) -> None:
        """Write days into ``out`` (n, 1)."""
        out[:, 0] = _days(cells, self.name)

    def inverse(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """datetime64[us], timedelta64[us] or whole datetime64[D], (n,), from days."""
        is_span = self.arrow.startswith(("time32", "time64", "duration"))
        target = "timedelta64[us]" if is_span else "datetime64[us]"
        micros = np.where(np.isnan(values[:, 0]), 0.0, values[:, 0]) * DAY * 1e6
        cells = np.round(micros).astype(np.int64).astype(target)
        if self.arrow.startswith("date"):
            cells = (cells + np.timedelta64(12, "h")).astype("datetime64[D]")
        cells[np.isnan(values[:, 0])] = np.array("NaT", dtype=cells.dtype)
        return cells


@dataclass(frozen=True)
class Cyclic:
    """A date or time as a number of days and its place in each cycle: sine and cosine of 2π·days/period.

    Parameters
    ----------
    name
        The column.
    cycles
        Any of ``"day"``, ``"week"``, ``"year"``.
    arrow
        Arrow type of the cells.
    """

    name: str
    cycles: tuple[str, ...]
    arrow: str = "timestamp[us]"
    kind: ClassVar[str] = "cyclic"

    def __post_init__(self) -> None:
        for cycle in self.cycles:
            if cycle not in CYCLES:
                raise OptionError(f"column '{self.name}': no cycle '{cycle}'; choose among {', '.join(CYCLES)}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The day number, then sine and cosine of each cycle."""
        waves = (f"{self.name}:{wave}({cycle})" for cycle in self.cycles for wave in ("sin", "cos"))
        return (self.name, *waves)

    def forward(self, cells: pa.Array, out: NDArray[np.float64]) -> None:
        """Write days and, for each cycle, sine and cosine into ``out`` (n, 1 + 2·cycles)."""
        out[:, 0] = days = _days(cells, self.name)
        for i, cycle in enumerate(self.cycles):
            # The remainder first: a phase in the unit interval keeps full precision far from 1970.
            angle = 2 * np.pi * np.mod(days / CYCLES[cycle], 1.0)
            out[:, 1 + 2 * i] = np.sin(angle)
            out[:, 2 + 2 * i] = np.cos(angle)

    def inverse(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """datetime64[us], (n,), from the day number."""
        return Temporal(self.name, self.arrow).inverse(values[:, :1])


Lift = Numeric | Boolean | Categorical | Temporal | Cyclic
_KINDS: dict[str, Callable[..., Lift]] = {c.kind: c for c in (Numeric, Boolean, Categorical, Temporal, Cyclic)}


def from_dict(state: dict[str, Any]) -> Lift:
    """The lift that ``to_dict`` described; anything else is a FileFormatError."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in state.items() if k != "kind"}
    try:
        return _KINDS[state["kind"]](**fields)
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"the file describes a column in a way this version does not know: {state}") from error


def as_text(cells: pa.Array) -> pa.Array:
    """Cells as text, the same for the same value whatever the Arrow type."""
    import pyarrow as pa

    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type):
        return cells
    if pa.types.is_floating(cells.type):
        # 3.0 read where 3 was measured is the same level.
        whole = _attempt(lambda: cells.cast(pa.int64()))
        cells = cells if whole is None else whole
    return cells.cast(pa.string())


def _attempt(cast: Callable[[], pa.Array]) -> pa.Array | None:
    import pyarrow as pa

    try:
        return cast()
    except pa.ArrowInvalid:
        return None


def _numbers(cells: pa.Array, name: str) -> NDArray[np.float64]:
    import pyarrow as pa

    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_null(cells.type):
        return np.full(len(cells), np.nan)
    if not pa.types.is_float64(cells.type):
        if pa.types.is_temporal(cells.type):
            raise DataError(f"column '{name}' was measured as a number but holds {cells.type}; pass numbers")
        try:
            cells = cells.cast(pa.float64(), safe=False)
        except pa.ArrowInvalid as error:
            bad = _first_bad(cells)
            raise DataError(
                f"column '{name}' holds the text {bad!r} where a number is expected; "
                f"correct the cell or read the column as a category (lifts={{'{name}': 'categorical'}})"
            ) from error
    if cells.null_count:
        return np.asarray(cells.to_numpy(zero_copy_only=False), dtype=np.float64)
    # Arrow's to_numpy would import pandas, which takes longer than most fits.
    return np.asarray(np.from_dlpack(cells), dtype=np.float64)


def _first_bad(cells: pa.Array) -> str:
    for cell in cells.drop_null().to_pylist():
        try:
            float(cell)
        except (TypeError, ValueError):
            return str(cell)
    return "?"


def _days(cells: pa.Array, name: str) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = cells.type
    if pa.types.is_null(kind):
        return np.full(len(cells), np.nan)
    if pa.types.is_string(kind):
        parsed = _attempt(lambda: cells.cast(pa.timestamp("us")))
        if parsed is None:
            raise DataError(f"column '{name}' holds text that is no date or time; write it as 2013-01-31 05:00:00")
        cells, kind = parsed, pa.timestamp("us")
    if pa.types.is_date32(kind):
        ticks, per_day = cells.cast(pa.int32()), 1.0
    elif pa.types.is_time32(kind):
        ticks, per_day = cells.cast(pa.int32()), DAY * _PER_SECOND[kind.unit]
    elif pa.types.is_temporal(kind):
        unit = "ms" if pa.types.is_date64(kind) else kind.unit
        ticks, per_day = cells.cast(pa.int64()), DAY * _PER_SECOND[unit]
    else:
        raise DataError(f"column '{name}' was measured as a date or time but holds {kind}; pass dates or times")
    return np.asarray(pc.cast(ticks, pa.float64(), safe=False).to_numpy(zero_copy_only=False)) / per_day


_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
