"""The sums of higher order themselves: with `kernels`, the only code that runs once per row."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
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
# Compiled code packs columns in panels of eight.
WIDTH = 8
# Panels that it multiplies at a time, and products of two or three factors that it makes of each row at most.
BROAD = 3
FEATURES = 8192


class PowerSums(Protocol):
    """Σ w of products of y = x − shift, fold by fold; one thread's share of the pass."""

    def add(self, columns: Sequence[Array], numbers: int | Index, weights: Array | None = None) -> int:
        """Add the rows without NaN and infinity, and say how many they are.

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

    def add(self, columns: Sequence[Array], numbers: int | Index, weights: Array | None = None) -> int:
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
        return len(whole)

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


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which products compiled code multiplies, as it is told them; the constant is the last column there.

    A product i ≤ … ≤ k ≤ l is a feature of its first factors, a pair (k, l), and what is between them.

    Parameters
    ----------
    tasks
        First panel of eight features, number of panels, first pair and end (T, 4).
    between
        Factors of each task (T, depth).
    features
        Their factors, the last first (F, f).
    pairs
        (P, 2).
    size
        Numbers in the sums of a fold.
    place
        Where among them each product is (M,).
    """

    tasks: Index
    between: Index
    features: Index
    pairs: Index
    size: int
    place: Index

    @staticmethod
    @lru_cache(1)
    def of(p: int, order: int) -> _Plan:
        """For all products of p fields to an order, which `Monomials` has in the same places."""
        q, tuples = p + 1, complete(p + 1, order)
        products = np.sort(np.where(tuples == 0, p, tuples - 1), axis=1)
        if order == 3:
            return _Plan._cubic(q, products)
        number = max(n for n in (1, 2, 3) if n == 1 or (n <= order - 2 and comb(q + n - 1, n) <= FEATURES))
        depth = order - 2 - number
        # By their last factor, so that those which end before a column are the first of all.
        features = np.unique(complete(q, number)[:, ::-1], axis=0)
        pairs = complete(q, 2)
        pairs = pairs[np.argsort(-pairs[:, 0], kind="stable")]
        between = complete(q, depth)
        if depth:
            reached = np.searchsorted(features[:, 0], between[:, 0], side="right")
            panel, panels, lowest = np.zeros_like(reached), -(-reached // WIDTH), between[:, -1]
        else:
            panel = np.arange(0, -(-len(features) // WIDTH), BROAD)
            panels = np.minimum(BROAD, -(-len(features) // WIDTH) - panel)
            lowest = features[WIDTH * panel, 0]
            between = np.zeros((len(panel), 0), dtype=np.int64)
        # Pairs with k ≥ j are the first of all.
        end = (q - lowest) * (q - lowest + 1) // 2
        tasks = np.column_stack([panel, panels, np.zeros_like(end), end])
        feature = _found(features, products[:, :number][:, ::-1], q)
        task = _found(between, products[:, number:-2], q) if depth else feature // (WIDTH * BROAD)
        k, l = products[:, -2], products[:, -1]
        return _Plan._placed(tasks, between, features, pairs, task, feature, (q - k) * (q - k - 1) // 2 + l - k)

    @staticmethod
    def _cubic(q: int, products: Index) -> _Plan:
        """i before the panel of k, times pairs (k, l); and pairs (i, k) in one panel times l from this panel on."""
        wide = -(-q // WIDTH)
        tasks, pairs = [], np.zeros((0, 2), dtype=np.int64)
        every = complete(q, 2)
        within = every[:, 0] // WIDTH
        for b in range(wide):
            for some, panel, panels in (
                (every[within == b], 0, b),
                (every[(within == b) & (every[:, 1] // WIDTH == b)], b, wide - b),
            ):
                tasks.append([panel, panels, len(pairs), len(pairs) + len(some) * (panels > 0)])
                # Tasks begin at whole groups of pairs.
                fill = np.zeros((-len(some) % WIDTH, 2), dtype=np.int64)
                pairs = np.concatenate([pairs, some, fill]) if panels else pairs
        i, k, l = products.T
        apart = i // WIDTH < k // WIDTH
        task = 2 * (k // WIDTH) + ~apart
        first, second = np.where(apart, k, i), np.where(apart, l, k)
        lane = np.where(apart, i, l)
        start = np.array(tasks)[task, 2]
        row = first - WIDTH * (k // WIDTH)
        # Each of the rows before is shorter by one than the one before it.
        length = np.where(apart, q, np.minimum(q, WIDTH * (k // WIDTH + 1))) - WIDTH * (k // WIDTH)
        pair = start + row * length - row * (row - 1) // 2 + second - first
        between = np.zeros((len(tasks), 0), dtype=np.int64)
        return _Plan._placed(np.array(tasks), between, np.arange(q)[:, None], pairs, task, lane, pair)

    @staticmethod
    def _placed(
        tasks: Index, between: Index, features: Index, pairs: Index, task: Index, feature: Index, pair: Index
    ) -> _Plan:
        each = -(-(tasks[:, 3] - tasks[:, 2]) // WIDTH) * WIDTH * tasks[:, 1] * WIDTH
        panel, panels, first, _ = tasks[task].T
        place = (np.cumsum(each) - each)[task] + (pair - first) * panels * WIDTH + feature - WIDTH * panel
        return _Plan(tasks, between, features, pairs, int(each.sum()), place)


def _found(tuples: Index, wanted: Index, q: int) -> Index:
    """Position of each tuple among others, which are in lexicographic order."""
    base = q ** np.arange(tuples.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.searchsorted(tuples @ base, wanted @ base)


class _Compiled:
    """All products to an order, in compiled code."""

    def __init__(self, native: Any, monomials: Monomials, shift: Array, folds: int) -> None:
        self._native = native
        self._shift = np.ascontiguousarray(shift, dtype=np.float64)
        self._folds = folds
        plan = _Plan.of(monomials.fields, monomials.order)
        self._size, self._place = plan.size, plan.place
        tasks, between, features, pairs = (
            np.ascontiguousarray(a, dtype=np.int32) for a in (plan.tasks, plan.between, plan.features, plan.pairs)
        )
        self._workspace = native.cumulant_powers_open(
            monomials.fields,
            folds,
            len(tasks),
            tasks.ctypes.data,
            between.shape[1],
            between.ctypes.data,
            len(features),
            features.shape[1],
            features.ctypes.data,
            len(pairs),
            pairs.ctypes.data,
            plan.size,
        )
        if not self._workspace:
            raise MemoryError(f"no memory for the sums of {len(monomials):,} products in {folds} folds")

    def add(self, columns: Sequence[Array], numbers: int | Index, weights: Array | None = None) -> int:
        n, address, stride, single = layout(columns)
        each = None if isinstance(numbers, int) else np.ascontiguousarray(numbers, dtype=np.int64)
        w = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        added: int = self._native.cumulant_powers_add(
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
        return added

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
