"""Sums by level, for categories of many levels: an indicator is never written out.

The indicators e of a category are 0 but for one. Their block of Σ w z zᵀ with the other fields is therefore a sum by
level, Σ w e zᵀ (levels × q), among themselves it is a diagonal (the first column of that), and between two categories
it is a sparse table of counts. A row is added to as many sums as it has fields, whatever the number of levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.lift import Categorical
from cumulant.measure.kernels import fold_of
from cumulant.measure.scatter import add_by_level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cumulant.lift import Schema
    from cumulant.measure.moments import Moments

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Crossing", "LevelSums", "embedded"]

# Cells of a table of counts that are counted in place; larger ones are sorted.
DENSE = 1 << 22


@dataclass(frozen=True, eq=False)
class Crossing:
    """How often levels of two categories occur together, per fold: the cells that are not empty.

    Parameters
    ----------
    shape
        Folds, levels of the first and of the second category.
    cells
        Place of each cell in an array of that shape, ascending (m,).
    weights
        Σ w of its rows (m,).
    """

    shape: tuple[int, int, int]
    cells: Index
    weights: Array

    @staticmethod
    def of(shape: tuple[int, int, int], cells: Index, weights: Array | None) -> Crossing:
        """The table of cells that may repeat, in any order; each counts once where weights are None."""
        size = int(np.prod(shape, dtype=object))
        if size <= DENSE:
            total = np.bincount(cells, weights, size)
            found = np.flatnonzero(total)
            return Crossing(shape, found, total[found].astype(np.float64))
        if weights is None:
            found, count = np.unique(cells, return_counts=True)
            return Crossing(shape, found, count.astype(np.float64))
        found, place = np.unique(cells, return_inverse=True)
        return Crossing(shape, found, np.bincount(place, weights, len(found)).astype(np.float64))

    def combined(self, other: Crossing, sign: int = 1) -> Crossing:
        """The counts of both; cells that cancel are gone."""
        at = np.searchsorted(self.cells, other.cells)
        known = np.append(self.cells, -1)[at] == other.cells
        weights = self.weights.copy()
        weights[at[known]] += sign * other.weights[known]
        cells = np.insert(self.cells, at[~known], other.cells[~known])
        weights = np.insert(weights, at[~known], sign * other.weights[~known])
        keep = weights != 0
        return Crossing(self.shape, cells[keep], weights[keep])

    def indices(self) -> tuple[Index, Index, Index]:
        """Fold, first and second level of each cell."""
        fold, first, second = np.unravel_index(self.cells, self.shape)
        return fold, first, second

    def moved(self, shape: tuple[int, int, int], fold: Index, first: Index, second: Index) -> Crossing:
        """The same counts where fold, first and second level have new numbers; -1: not there."""
        f, a, b = self.indices()
        return _counted(shape, (fold[f], first[a], second[b]), self.weights)


@dataclass(frozen=True, eq=False)
class LevelSums:
    """Sums of the wide categories of a table, in the order of `Schema.wide`.

    Parameters
    ----------
    sums
        For each category Σ w e zᵀ per fold (K, L, q), z as in `Moments`.
    crossings
        For each pair of categories, first with second, first with third, …, how often their levels meet.
    """

    sums: tuple[Array, ...] = ()
    crossings: tuple[Crossing, ...] = ()

    @staticmethod
    def empty(schema: Schema, folds: int, q: int) -> LevelSums:
        """The sums of no rows."""
        sizes = [len(lift.all_levels) for lift in schema.wide_lifts()]
        none = np.zeros(0, dtype=np.int64)
        crossings = tuple(Crossing((folds, a, b), none, np.zeros(0)) for a, b in combinations(sizes, 2))
        return LevelSums(tuple(np.zeros((folds, size, q)) for size in sizes), crossings)

    def copied(self) -> LevelSums:
        """The same sums in arrays of their own."""
        return LevelSums(tuple(s.copy() for s in self.sums), self.crossings)

    def crossing(self, a: int, b: int) -> Crossing:
        """The table of categories a < b."""
        pairs = list(combinations(range(len(self.sums)), 2))
        return self.crossings[pairs.index((a, b))]

    def combined(self, other: LevelSums, sign: int = 1) -> LevelSums:
        """The sums of both."""
        return LevelSums(
            tuple(a + sign * b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(a.combined(b, sign) for a, b in zip(self.crossings, other.crossings, strict=True)),
        )

    def some_folds(self, used: NDArray[np.bool_]) -> LevelSums:
        """The sums of some folds, kept apart as they are."""
        return self._in_folds(np.where(used, np.cumsum(used) - 1, -1), tuple(s[used] for s in self.sums))

    def merged_folds(self) -> LevelSums:
        """The sums of all folds as one."""
        folds = len(self.sums[0]) if self.sums else 1
        return self._in_folds(np.zeros(folds, dtype=np.int64), tuple(s.sum(axis=0, keepdims=True) for s in self.sums))

    def _in_folds(self, fold: Index, sums: tuple[Array, ...]) -> LevelSums:
        moved = []
        for crossing in self.crossings:
            _, a, b = crossing.shape
            shape = (int(fold.max(initial=-1)) + 1, a, b)
            moved.append(crossing.moved(shape, fold, np.arange(a), np.arange(b)))
        return LevelSums(sums, tuple(moved))

    def possible(self) -> bool:
        """Whether no level has fewer than no rows in any fold, but for rounding."""
        return all((s[:, :, 0] >= -1e-9 * np.abs(s[:, :, 0]).max(initial=0.0)).all() for s in self.sums)

    def add(
        self,
        columns: Sequence[Array],
        shift: Array,
        codes: Index,
        numbers: int | Index,
        weights: Array | None,
    ) -> LevelSums:
        """Add rows, in place but for the crossings; ``columns`` and ``shift`` are those of z without its constant."""
        for sums, code in zip(self.sums, codes.T, strict=True):
            add_by_level(columns, shift, np.ascontiguousarray(code), numbers, weights, sums)
        if not self.crossings:
            return self
        n = len(codes)
        rows = np.arange(numbers, numbers + n, dtype=np.int64) if isinstance(numbers, int) else numbers
        fold = fold_of(rows, len(self.sums[0]))
        met = (
            _counted(crossing.shape, (fold, codes[:, a], codes[:, b]), weights)
            for crossing, (a, b) in zip(self.crossings, combinations(range(len(self.sums)), 2), strict=True)
        )
        return LevelSums(self.sums, tuple(a.combined(b) for a, b in zip(self.crossings, met, strict=True)))

    def to_state(self) -> dict[str, NDArray[Any]]:
        """Arrays that determine these sums."""
        out: dict[str, NDArray[Any]] = {f"levels.{c}": sums for c, sums in enumerate(self.sums)}
        for c, crossing in enumerate(self.crossings):
            out |= {f"crossing.{c}.cells": crossing.cells, f"crossing.{c}.weights": crossing.weights}
        return out

    @staticmethod
    def from_state(arrays: Mapping[str, NDArray[Any]], schema: Schema) -> LevelSums:
        """The sums that `to_state` described."""
        sums = tuple(arrays[f"levels.{c}"] for c in range(len(schema.wide)))
        crossings = tuple(
            Crossing((len(a), a.shape[1], b.shape[1]), arrays[f"crossing.{c}.cells"], arrays[f"crossing.{c}.weights"])
            for c, (a, b) in enumerate(combinations(sums, 2))
        )
        return LevelSums(sums, crossings)


def embedded(m: Moments, schema: Schema, t: Array) -> LevelSums:
    """The sums by level of ``m`` seen with another schema, ``t`` being the map of z (q', q).

    A category that has become wide leaves the fields of z; what it had there are its sums by level.
    """
    if not schema.wide:
        return LevelSums()
    if m.schema.wide and not m.levels.sums:
        # Rows whose sums by level are kept elsewhere.
        return LevelSums.empty(schema, m.folds, len(t))
    high = m.sums.sum(axis=0) if m.schema.wide != schema.wide else np.zeros((m.folds, 0, 0))
    old = [_Old.of(m, column, high) for column in schema.wide]
    lifts = schema.wide_lifts()
    places = [o.lift.places_in(lift) for o, lift in zip(old, lifts, strict=True)]
    same = t.shape == (len(t), len(t)) and np.array_equal(t, np.eye(len(t)))
    sums = []
    for o, place, lift in zip(old, places, lifts, strict=True):
        values = o.sums if same else o.sums @ t.T
        if o.lift.all_levels == lift.all_levels:
            sums.append(values)
            continue
        out = np.zeros((m.folds, len(lift.all_levels), len(t)))
        kept = np.flatnonzero(place >= 0)
        single, again = np.unique(place[kept], return_index=True)
        out[:, single] = values[:, kept[again]]
        for i in np.setdiff1d(np.arange(len(kept)), again):
            # Levels that have become one.
            out[:, place[kept[i]]] += values[:, kept[i]]
        sums.append(out)
    every = np.arange(m.folds)
    crossings = []
    for a, b in combinations(range(len(old)), 2):
        shape = (m.folds, len(lifts[a].all_levels), len(lifts[b].all_levels))
        crossings.append(_met(m, old[a], old[b], high).moved(shape, every, places[a], places[b]))
    return LevelSums(tuple(sums), tuple(crossings))


@dataclass(frozen=True, eq=False)
class _Old:
    """A category as moments hold it: wide (its number among those), by fields (where they are in z), or not at all."""

    lift: Categorical
    wide: int | None
    fields: slice
    sums: Array

    @staticmethod
    def of(m: Moments, column: int, high: Array) -> _Old:
        lift = m.schema.lifts[column]
        if column in m.schema.wide and isinstance(lift, Categorical):
            c = m.schema.wide.index(column)
            return _Old(lift, c, slice(0, 0), m.levels.sums[c])
        first = 1 + len(m.presence) + int(m.schema.starts[column])
        if not isinstance(lift, Categorical):
            # No cell was there to say that the column is a category.
            return _Old(Categorical(lift.name, ()), None, slice(0, 0), high[:, :0])
        fields = slice(first, first + len(lift.fields))
        return _Old(lift, None, fields, high[:, fields])


def _met(m: Moments, a: _Old, b: _Old, high: Array) -> Crossing:
    """How often the levels of two categories meet."""
    if a.wide is not None and b.wide is not None:
        return m.levels.crossing(a.wide, b.wide)
    if a.wide is not None:
        table = a.sums[:, :, b.fields]
    elif b.wide is not None:
        table = b.sums[:, :, a.fields].transpose(0, 2, 1)
    else:
        table = high[:, a.fields, b.fields]
    cells = np.flatnonzero(table)
    return Crossing((table.shape[0], table.shape[1], table.shape[2]), cells, table.reshape(-1)[cells])


def _counted(shape: tuple[int, int, int], place: tuple[Index, Index, Index], weights: Array | None) -> Crossing:
    """The table of rows whose fold and levels are given; those with a -1 are not in it."""
    present = np.logical_and.reduce([p >= 0 for p in place])
    if not present.all():
        place = (place[0][present], place[1][present], place[2][present])
        weights = None if weights is None else weights[present]
    cells = (place[0] * shape[1] + place[1]) * shape[2] + place[2]
    return Crossing.of(shape, cells, weights)
