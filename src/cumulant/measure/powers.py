"""The sums of higher order themselves: with `kernels`, the only code that runs once per row."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cumulant.measure.kernels import fold_of, layout
from cumulant.measure.monomials import complete
from cumulant.measure.native import library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.monomials import Monomials

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["PowerSums", "power_sums"]

# Bytes of the products of a block of rows, which should stay in the cache.
CACHE = 1 << 20
# Compiled code packs columns in panels of eight, and rows wait in buffers of so many.
WIDTH = 8
CAPACITY = 256


class PowerSums(Protocol):
    """Σ w of products of y = x − shift, fold by fold; one thread's share of the pass."""

    def add(self, columns: Sequence[Array], numbers: int | Index, weights: Array | None = None) -> None:
        """Add the rows without NaN and infinity.

        Parameters
        ----------
        columns
            The p columns (n,), float64 or float32, of any stride.
        numbers
            Number of the first row, or of each row (n,).
        weights
            Weight of each row (n,).
        """

    def take(self) -> tuple[Array, Index]:
        """The sums (K, M) and rows (K,), which start anew."""

    def state(self) -> tuple[Array, Index]:
        """All that was added, as views: written to, they restore it."""


def power_sums(monomials: Monomials, shift: Array, folds: int) -> PowerSums:
    """The way that costs least for these products, at this reference point (p,)."""
    native = library()
    if native is not None and monomials.complete and monomials.fields:
        return _Compiled(native, monomials, shift, folds)
    return _Halves(monomials, shift, folds)


class _Halves:
    """Any set of products, in NumPy.

    A product of n factors is one of its first ⌈n/2⌉ times one of the rest: with all such halves of a block of rows in
    two matrices, the sums are among the entries of one matrix product.
    """

    def __init__(self, monomials: Monomials, shift: Array, folds: int) -> None:
        self._shift = shift
        self._folds = folds
        half = (monomials.order + 1) // 2
        self._left, self._row = np.unique(monomials.tuples[:, :half], axis=0, return_inverse=True)
        self._right, self._column = np.unique(monomials.tuples[:, half:], axis=0, return_inverse=True)
        self._same = np.array_equal(self._left, self._right)
        self._sums = np.zeros((folds, len(monomials)))
        self._rows = np.zeros(folds, dtype=np.int64)

    def add(self, columns: Sequence[Array], numbers: int | Index, weights: Array | None = None) -> None:
        n = len(columns[0])
        whole = np.flatnonzero(np.logical_and.reduce([np.isfinite(c) for c in columns]))
        rows = np.arange(numbers, numbers + n) if isinstance(numbers, int) else numbers
        fold = fold_of(rows[whole], self._folds)
        self._rows += np.bincount(fold, minlength=self._folds)
        order = np.argsort(fold, kind="stable")
        edges = np.searchsorted(fold[order], np.arange(self._folds + 1))
        step = max(64, CACHE // (8 * (len(self._left) + len(self._right))))
        for k in range(self._folds):
            if edges[k + 1] == edges[k]:
                continue
            total = np.zeros((len(self._left), len(self._right)))
            # What overflows is refused, by name, at the end.
            with np.errstate(over="ignore", invalid="ignore"):
                for first in range(edges[k], edges[k + 1], step):
                    some = whole[order[first : min(first + step, edges[k + 1])]]
                    total += self._gram(columns, some, None if weights is None else np.sqrt(weights[some]))
            self._sums[k] += total[self._row, self._column]

    def take(self) -> tuple[Array, Index]:
        sums, rows = self._sums, self._rows
        self._sums, self._rows = np.zeros_like(sums), np.zeros_like(rows)
        return sums, rows

    def state(self) -> tuple[Array, Index]:
        return self._sums.reshape(-1), self._rows

    def _gram(self, columns: Sequence[Array], rows: Index, root: Array | None) -> Array:
        z = np.empty((1 + len(columns), len(rows)))
        z[0] = 1.0
        for i, column in enumerate(columns):
            np.subtract(column[rows], self._shift[i], out=z[1 + i])
        left = _products(z, self._left)
        right = left if self._same else _products(z, self._right)
        if root is not None:
            left *= root
            if not self._same:
                right *= root
        # The same matrix twice is known to BLAS as symmetric, at half the cost.
        return np.asarray(left @ right.T)


def _products(z: Array, tuples: Index) -> Array:
    """Π of the rows of z (q, n) that each tuple names: (tuples, n)."""
    out = z[tuples[:, 0]]
    for factor in tuples.T[1:]:
        out *= z[factor]
    return out


class _Compiled:
    """All products to an order, in compiled code.

    A product i ≤ j ≤ … ≤ k ≤ l is a pair (k, l), one of eight i side by side, and n − 3 factors j … between them, which
    scale the row. The pairs with k ≥ j are the first of all when k descends. The constant comes last there, so that
    rows stay aligned with panels of eight.
    """

    def __init__(self, native: Any, monomials: Monomials, shift: Array, folds: int) -> None:
        self._native = native
        self._shift = np.ascontiguousarray(shift, dtype=np.float64)
        self._folds = folds
        p, q, depth = monomials.fields, monomials.fields + 1, monomials.order - 3
        between = complete(q, depth)
        # Without factors between, i ≤ k: eight i reach the pairs of their first.
        highest = between[:, 0] if depth else np.full(1, p)
        panels = highest // WIDTH + 1
        middle = np.repeat(np.arange(len(between)), panels)
        panel = np.arange(len(middle)) - np.repeat(np.cumsum(panels) - panels, panels)
        lowest = between[middle, -1] if depth else WIDTH * panel
        pairs = -(-((q - lowest) * (q - lowest + 1) // 2) // WIDTH)
        tasks = np.column_stack([between[middle], panel, pairs]).astype(np.int32)
        offset = WIDTH**2 * (np.cumsum(pairs) - pairs)
        self._size = int(WIDTH**2 * pairs.sum())
        # Where each product lies: its task, its panel of pairs, its place there.
        ours = np.sort(np.where(monomials.tuples == 0, p, monomials.tuples - 1), axis=1)
        base = q ** np.arange(depth - 1, -1, -1, dtype=np.int64)
        place = np.searchsorted(between @ base, ours[:, 1:-2] @ base) if depth else np.zeros(len(ours), dtype=np.int64)
        task = (np.cumsum(panels) - panels)[place] + ours[:, 0] // WIDTH
        k, l = ours[:, -2], ours[:, -1]
        pair = (q - k) * (q - k - 1) // 2 + l - k
        self._place = offset[task] + WIDTH**2 * (pair // WIDTH) + WIDTH * (ours[:, 0] % WIDTH) + pair % WIDTH
        self._workspace = native.cumulant_powers_open(
            p, folds, CAPACITY, len(tasks), depth, np.ascontiguousarray(tasks).ctypes.data, self._size
        )
        if not self._workspace:
            raise MemoryError(f"no memory for the sums of {len(monomials):,} products in {folds} folds")

    def add(self, columns: Sequence[Array], numbers: int | Index, weights: Array | None = None) -> None:
        n, address, stride, single = layout(columns)
        each = None if isinstance(numbers, int) else np.ascontiguousarray(numbers, dtype=np.int64)
        w = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        self._native.cumulant_powers_add(
            self._workspace,
            n,
            address.ctypes.data,
            stride.ctypes.data,
            single.ctypes.data,
            self._shift.ctypes.data,
            numbers if isinstance(numbers, int) else 0,
            None if each is None else each.ctypes.data,
            None if w is None else w.ctypes.data,
        )

    def take(self) -> tuple[Array, Index]:
        sums, rows = np.empty((self._folds, self._size)), np.empty(self._folds, dtype=np.int64)
        self._native.cumulant_powers_take(self._workspace, sums.ctypes.data, rows.ctypes.data)
        return sums[:, self._place], rows

    def state(self) -> tuple[Array, Index]:
        numbers, filled = ctypes.c_void_p(), ctypes.c_void_p()
        size = self._native.cumulant_powers_state(self._workspace, ctypes.byref(numbers), ctypes.byref(filled))
        return (
            np.ctypeslib.as_array(ctypes.cast(numbers, ctypes.POINTER(ctypes.c_double)), (size,)),
            np.ctypeslib.as_array(ctypes.cast(filled, ctypes.POINTER(ctypes.c_int64)), (2 * self._folds,)),
        )

    def __del__(self) -> None:
        if getattr(self, "_workspace", None):
            self._native.cumulant_powers_close(self._workspace)
            self._workspace = 0
