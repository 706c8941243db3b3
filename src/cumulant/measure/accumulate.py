"""Moments under construction: blocks of rows go in, one thread's share of the pass at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError
from cumulant.measure import kernels, limbs
from cumulant.measure.levels import LevelSums
from cumulant.measure.moments import Moments
from cumulant.measure.powers import PowerSums, power_sums
from cumulant.storage import diagonal, packed

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cumulant.lift import Schema
    from cumulant.measure.checkpoint import Checkpoint

    Array = NDArray[np.float64]

__all__ = ["Accumulator", "Block", "Columns", "accumulate", "refuse_overflow"]


@dataclass(frozen=True, eq=False)
class Columns:
    """Rows as plain float columns (n,) of any stride, used where they lie; made like a record batch."""

    arrays: list[Array]

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return len(self.arrays[0]) if self.arrays else 0

    def slice(self, start: int) -> Columns:
        """The rows from ``start`` on."""
        return Columns([a[start:] for a in self.arrays])

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """Some rows."""
        return Columns([a[rows] for a in self.arrays])


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive rows of a table, and what comes beside their fields.

    Parameters
    ----------
    schema
        The lifts to read them with.
    rows
        An Arrow record batch, or the fields themselves as `Columns`.
    first, end
        Place in the table of the first row and of the row after the last, whichever of them are left out.
    numbers
        Row number of the first row, or of each (n,).
    weights
        Weight of each row (n,), or None.
    """

    schema: Schema
    rows: pa.RecordBatch | Columns
    first: int
    numbers: int | NDArray[np.int64]
    weights: Array | None
    end: int

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def after(self, done: int) -> Block:
        """The rows from ``done`` on."""
        return replace(
            self,
            rows=self.rows.slice(done),
            first=self.first + done,
            numbers=self.numbers + done if isinstance(self.numbers, int) else self.numbers[done:],
            weights=None if self.weights is None else self.weights[done:],
        )

    def weighty(self) -> Block:
        """Without the rows of weight zero, which must leave no trace: no gaps, no count."""
        if self.weights is None or self.weights.all():
            return self
        return self.take(np.flatnonzero(self.weights))

    def take(self, some: NDArray[np.int64]) -> Block:
        """Some of the rows."""
        return replace(
            self,
            rows=self.rows.take(some),
            numbers=_numbers(self)[some],
            weights=None if self.weights is None else self.weights[some],
        )

    def columns(self) -> list[Array]:
        """The fields as they lie in memory, without a copy where that can be."""
        return self.rows.arrays if isinstance(self.rows, Columns) else self.schema.arrays(self.rows)

    def codes(self) -> NDArray[np.int64]:
        """Level of each row in each wide category (n, categories), -1 where its cell is missing."""
        if isinstance(self.rows, Columns):
            return np.zeros((len(self), 0), dtype=np.int64)
        return self.schema.codes(self.rows)

    def values(self) -> Array:
        """The fields as an array of its own (n, p), NaN where a cell is missing."""
        if isinstance(self.rows, Columns):
            return np.column_stack(self.rows.arrays).astype(np.float64, copy=False)
        return self.schema.forward(self.rows)


class Accumulator:
    """Sums of some blocks of a table. Rows without gaps take the short way, straight into `kernels.RowSums`."""

    def __init__(self, start: Moments, missing: str, threads: int = 1) -> None:
        self._m = replace(start, levels=start.levels.copied())
        self._missing = missing
        self._threads = threads
        self._begin()
        self._weight = np.zeros(start.folds)

    def _begin(self) -> None:
        m = self._m
        self._powers = _new_powers(m)
        self._pairs = _pairs(m)
        usual = self._pairs is None and not m.exact and not _voids(m.schema) and len(m.shift)
        self._plain = kernels.RowSums(m.shift, m.folds, self._threads) if usual else None

    def add(self, block: Block) -> None:
        """Add the rows of a block."""
        if block.schema != self._m.schema:
            self._settle()
            self._m = self._m.embed(block.schema, self._m.shift_in(block.schema), self._m.presence)
            self._begin()
        codes = block.codes()
        if self._powers is not None and len(block):
            added = _add_powers(self._powers, block, codes)
            if self._pairs is not None:
                block = self._count_whole(block, added)
                codes = codes[: len(block)]
        if self._plain is not None and len(block) and (codes >= 0).all():
            columns = block.columns()
            done = self._plain.add(columns, block.numbers, block.weights)
            if codes.size:
                self._add_by_level([c[:done] for c in columns], codes[:done], block)
            self._count(block, done)
            block, codes = block.after(done), codes[done:]
        if len(block):
            self._add_with_gaps(block, codes)

    def moments(self) -> Moments:
        """The moments of all rows added."""
        self._settle()
        refuse_overflow(self._m)
        return self._m

    def state(self) -> tuple[Moments, list[NDArray[Any]]]:
        """All that was added: moments, and beside them arrays as they lie in memory."""
        sums = [s.state() for s in (self._plain, self._powers) if s is not None]
        return self._m, [self._weight, *(array for pair in sums for array in pair)]

    def resume(self, m: Moments, arrays: Sequence[NDArray[Any]]) -> None:
        """Go on, to the last bit, from the state of an accumulator that began alike."""
        self._m = m
        self._begin()
        for here, saved in zip(self.state()[1], arrays, strict=True):
            here[...] = saved

    def _add_by_level(self, columns: list[Array], codes: NDArray[np.int64], block: Block) -> None:
        """Add the first rows of a block, which have no gap, to the sums of their levels."""
        done, k = len(codes), len(self._m.presence)
        columns = [*[np.broadcast_to(1.0, done)] * k, *columns]
        shift = np.concatenate([np.zeros(k), self._m.shift])
        numbers = block.numbers if isinstance(block.numbers, int) else block.numbers[:done]
        weights = None if block.weights is None else block.weights[:done]
        levels = self._m.levels.add(columns, shift, codes, numbers, weights)
        self._m = replace(self._m, levels=levels)

    def _count_whole(self, block: Block, added: int) -> Block:
        """Count the rows without a gap, whose products are among those of higher order, and return the others."""
        if added == len(block):
            self._count(block, added)
            return block.after(added)
        whole = np.logical_and.reduce([np.isfinite(c) for c in block.columns()])
        self._count(block.take(np.flatnonzero(whole)), added)
        return block.take(np.flatnonzero(~whole))

    def _count(self, block: Block, done: int) -> None:
        # Without weights the sums hold the counts already.
        if block.weights is not None and done:
            fold = kernels.fold_of(_numbers(block)[:done], self._m.folds)
            self._m = _counted(self._m, fold, block.weights[:done])
            self._weight += np.bincount(fold, weights=block.weights[:done], minlength=self._m.folds)

    def _settle(self) -> None:
        """Move the sums under way into the moments."""
        sums = None if self._plain is None else self._plain.take()
        if self._powers is not None and self._m.higher is not None:
            higher, rows = self._powers.take()
            self._m = replace(self._m, higher=self._m.higher.with_sums(higher, rows))
            sums = sums if self._pairs is None else higher[:, self._pairs]
        if sums is None:
            return
        m = self._m
        bare = replace(Moments.empty(m.schema, m.shift, folds=m.folds, weighting=m.weighting), levels=LevelSums())
        if m.weighting == "none":
            rows = np.rint(sums[:, 0]).astype(np.int64)
            bare = replace(bare, rows=rows, squared_weights=rows.astype(np.float64))
        else:
            # Rows are scaled by √w, whose square is w only to rounding; a count should be exact.
            sums[:, 0], self._weight = self._weight, np.zeros(m.folds)
        self._m = m.with_sums_of(replace(bare, packed=sums[None]))

    def _add_with_gaps(self, block: Block, codes: NDArray[np.int64]) -> None:
        x, numbers, weights = block.values(), _numbers(block), block.weights
        _refuse_infinite(x, block)
        absent = _absent_cells(x, codes, block.schema)
        if self._missing == "error" and absent.any():
            _refuse_missing(absent, block)
        if self._missing == "drop":
            keep = ~absent.any(axis=1)
            x, codes, numbers, absent = x[keep], codes[keep], numbers[keep], absent[keep]
            weights = None if weights is None else weights[keep]
        self._m = _added(self._m, x, codes, absent, numbers, weights)


def accumulate(
    blocks: Iterable[Block], start: Moments, missing: str, threads: int, checkpoint: Checkpoint | None = None
) -> Moments:
    """Sum blocks on some threads, each with its own accumulator; wide tables with one that all threads share.

    Blocks are dealt in turn and the shares added in order, so the result depends on the chunking and the number of
    threads alone, to the last bit.
    """
    alone = threads == 1 or (len(start.shift) >= kernels.WIDE and start.higher is None)
    shares = [Accumulator(start, missing, threads if alone else 1) for _ in range(1 if alone else threads)]
    dealt = 0 if checkpoint is None else checkpoint.resume(shares)
    if alone:
        for i, block in enumerate(blocks, dealt):
            shares[0].add(block)
            if checkpoint is not None and checkpoint.due():
                checkpoint.keep(shares, i + 1, block)
        return shares[0].moments()
    pools = [ThreadPoolExecutor(1, "cumulant") for _ in shares]
    waiting: list[Future[None]] = []
    try:
        for i, block in enumerate(blocks, dealt):
            # A few blocks ahead keep every thread busy; more would only hold memory.
            if len(waiting) >= 2 * threads:
                waiting.pop(0).result()
            waiting.append(pools[i % threads].submit(shares[i % threads].add, block))
            if checkpoint is not None and checkpoint.due():
                while waiting:
                    waiting.pop(0).result()
                checkpoint.keep(shares, i + 1, block)
        for future in waiting:
            future.result()
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
    total = shares[0].moments()
    for share in shares[1:]:
        total = total + share.moments()
    return total


def _new_powers(m: Moments) -> PowerSums | None:
    return None if m.higher is None else power_sums(m.higher.monomials, m.shift[m.schema.independent], m.folds)


def _pairs(m: Moments) -> NDArray[np.int64] | None:
    """Where the products of second order are among those of a higher one, by rows of their triangle.

    None where they are to be summed for themselves: with categories, or in compensated arithmetic.
    """
    p = len(m.shift)
    if not p or m.higher is None or m.exact or m.schema.wide or len(m.schema.independent) < p:
        return None
    if not m.higher.monomials.complete:
        return None
    i, j = np.triu_indices(p + 1)
    tuples = np.zeros((len(i), m.higher.monomials.order), dtype=np.int64)
    tuples[:, -2], tuples[:, -1] = i, j
    return m.higher.monomials.find(tuples)


def _add_powers(powers: PowerSums, block: Block, codes: NDArray[np.int64]) -> int:
    """Add the rows of a block that have no gap in any column to the sums of higher order, and say how many they are."""
    schema, columns, numbers, weights = block.schema, block.columns(), block.numbers, block.weights
    if _voids(schema):
        return 0
    fields = [columns[i] for i in schema.independent]
    # Gaps that no independent field shows: of categories by level, and of those with one level so far.
    hidden = set(schema.starts[:-1][np.diff(schema.starts) == 1]) - set(schema.independent)
    whole = (codes >= 0).all(axis=1)
    for i in hidden:
        whole &= np.isfinite(columns[i])
    if not whole.all():
        fields, numbers = [c[whole] for c in fields], _numbers(block)[whole]
        weights = None if weights is None else weights[whole]
    return powers.add(fields, numbers, weights)


def _voids(schema: Schema) -> bool:
    """Whether a category has shown no level yet: it has no field to hold its gaps, and nothing but gaps."""
    return bool(set(np.flatnonzero(np.diff(schema.starts) == 0)) - set(schema.wide))


def _numbers(block: Block) -> NDArray[np.int64]:
    if isinstance(block.numbers, int):
        return np.arange(block.numbers, block.numbers + len(block), dtype=np.int64)
    return block.numbers


def _added(
    m: Moments,
    x: Array,
    codes: NDArray[np.int64],
    absent: NDArray[np.bool_],
    numbers: NDArray[np.int64],
    weights: Array | None,
) -> Moments:
    presence = tuple(sorted({*m.presence, *(int(c) for c in np.flatnonzero(absent.any(axis=0)))}))
    m = m.embed(m.schema, m.shift, presence)
    k = len(presence)
    z = np.empty((len(x), 1 + k + x.shape[1]))
    z[:, 0] = 1.0
    np.subtract(x, m.shift, out=z[:, 1 + k :])
    if k:
        z[:, 1 : 1 + k] = ~absent[:, list(presence)]
        z[:, 1 + k :][np.isnan(x)] = 0.0
    fold = kernels.fold_of(numbers, m.folds)
    if m.exact or z.shape[1] == 1:
        sums = packed(kernels.grams(z, fold, m.folds, weights, exact=m.exact))
    else:
        plain = kernels.RowSums(np.zeros(z.shape[1] - 1), m.folds)
        plain.add(list(z[:, 1:].T), numbers, weights)
        sums = plain.take()[None]
        sums[0, :, 0] = np.bincount(fold, weights=weights, minlength=m.folds)
    levels = m.levels.add(list(z[:, 1:].T), np.zeros(z.shape[1] - 1), codes, numbers, weights)
    squares = m.squares + _squares(z, k, fold, m.folds, weights)
    m = replace(m, packed=limbs.combine(m.packed, sums), squares=squares, levels=levels)
    return _counted(m, fold, weights)


def _squares(z: Array, k: int, fold: NDArray[np.int64], folds: int, weights: Array | None) -> Array:
    """Σ w m x² (folds, k, p) of rows z = (1, m, x)."""
    out = np.zeros((folds, k, z.shape[1] - 1 - k))
    if k:
        left = z[:, 1 : 1 + k] if weights is None else z[:, 1 : 1 + k] * weights[:, None]
        for f in range(folds):
            rows = np.flatnonzero(fold == f)
            out[f] = left[rows].T @ z[rows, 1 + k :] ** 2
    return out


def _counted(m: Moments, fold: NDArray[np.int64], weights: Array | None) -> Moments:
    def sums(values: Array | None) -> Array:
        return np.bincount(fold, weights=values, minlength=m.folds).astype(np.float64)

    return replace(
        m,
        rows=m.rows + np.bincount(fold, minlength=m.folds),
        squared_weights=m.squared_weights + sums(None if weights is None else weights**2),
        log_weights=m.log_weights if weights is None else m.log_weights + sums(np.log(weights)),
    )


def _absent_cells(x: Array, codes: NDArray[np.int64], schema: Schema) -> NDArray[np.bool_]:
    """Which cells (n, columns) are missing, from fields (n, p) and levels (n, wide categories)."""
    # A category that has shown no level yet has no field, and no cell either.
    has_fields = np.diff(schema.starts) > 0
    out = np.ones((len(x), len(schema.columns)), dtype=bool)
    out[:, has_fields] = np.isnan(x[:, schema.starts[:-1][has_fields]])
    out[:, list(schema.wide)] = codes < 0
    return out


def _refuse_infinite(x: Array, block: Block) -> None:
    infinite = np.isinf(x)
    if infinite.any():
        row, field = (int(i[0]) for i in np.nonzero(infinite))
        raise DataError(
            f"column '{block.schema.columns[block.schema.column_of_field[field]]}' holds {x[row, field]} in row "
            f"{block.first + row}; replace it by a number, or by a missing cell to have it integrated out"
        )


def refuse_overflow(m: Moments) -> None:
    """Raise a DataError that names a column whose squares overflow."""
    squares = diagonal(m.packed[0]).sum(axis=0)[1 + len(m.presence) :]
    if not np.isfinite(squares).all():
        field = int(np.flatnonzero(~np.isfinite(squares))[0])
        raise DataError(
            f"column '{m.schema.columns[m.schema.column_of_field[field]]}' holds numbers so large that their squares "
            "overflow (beyond some 1e154); divide the column by a power of ten"
        )
    if m.higher is not None and not np.isfinite(m.higher.sums).all():
        at = m.higher.monomials.tuples[np.argmin(np.isfinite(m.higher.sums).all(axis=0))]
        raise DataError(
            f"column '{m.columns[at[-1] - 1]}' holds numbers so large that their powers to order {m.order} overflow; "
            "divide the column by a power of ten"
        )


def _refuse_missing(absent: NDArray[np.bool_], block: Block) -> None:
    row, column = (int(i[0]) for i in np.nonzero(absent))
    raise DataError(
        f"column '{block.schema.columns[column]}' is missing in row {block.first + row}; "
        'fill the cell, or measure with missing="integrate" or "drop"'
    )
