"""The sums of higher order themselves: with `kernels`, the only code that runs once per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure.kernels import fold_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.monomials import Monomials

    Array = NDArray[np.float64]

__all__ = ["PowerSums"]

# Bytes of the products of a block of rows, which should stay in the cache.
CACHE = 1 << 20


class PowerSums:
    """Σ w of products of y = x − shift, fold by fold; one thread's share of the pass.

    A product of n factors is one of its first ⌈n/2⌉ times one of the rest: with all such halves of a block of rows in
    two matrices, the sums are among the entries of one matrix product.

    Parameters
    ----------
    monomials
        Which products.
    shift
        Reference point of the fields (p,).
    folds
        Number of folds K.
    """

    def __init__(self, monomials: Monomials, shift: Array, folds: int) -> None:
        self.shift = shift
        self.folds = folds
        half = (monomials.order + 1) // 2
        self._left, self._row = np.unique(monomials.tuples[:, :half], axis=0, return_inverse=True)
        self._right, self._column = np.unique(monomials.tuples[:, half:], axis=0, return_inverse=True)
        self._same = np.array_equal(self._left, self._right)
        self._sums = np.zeros((folds, len(monomials)))
        self._rows = np.zeros(folds, dtype=np.int64)

    def add(self, columns: Sequence[Array], numbers: NDArray[np.int64], weights: Array | None = None) -> None:
        """Add rows, all of them finite: p columns (n,), their row numbers (n,) and weights (n,)."""
        # What overflows is refused, by name, at the end.
        with np.errstate(over="ignore", invalid="ignore"):
            self._add(columns, numbers, weights)

    def _add(self, columns: Sequence[Array], numbers: NDArray[np.int64], weights: Array | None) -> None:
        fold = fold_of(numbers, self.folds)
        self._rows += np.bincount(fold, minlength=self.folds)
        order = np.argsort(fold, kind="stable")
        edges = np.searchsorted(fold[order], np.arange(self.folds + 1))
        step = max(64, CACHE // (8 * (len(self._left) + len(self._right))))
        for k in range(self.folds):
            total = np.zeros((len(self._left), len(self._right)))
            for first in range(edges[k], edges[k + 1], step):
                rows = order[first : min(first + step, edges[k + 1])]
                total += self._gram(columns, rows, None if weights is None else np.sqrt(weights[rows]))
            if edges[k + 1] > edges[k]:
                self._sums[k] += total[self._row, self._column]

    def take(self) -> tuple[Array, NDArray[np.int64]]:
        """The sums (K, M) and rows (K,), which start anew."""
        sums, rows = self._sums, self._rows
        self._sums, self._rows = np.zeros_like(sums), np.zeros_like(rows)
        return sums, rows

    def state(self) -> tuple[Array, NDArray[np.int64]]:
        """All that was added, as views: written to, they restore it."""
        return self._sums.reshape(-1), self._rows

    def _gram(self, columns: Sequence[Array], rows: NDArray[np.int64], root: Array | None) -> Array:
        z = np.empty((1 + len(columns), len(rows)))
        z[0] = 1.0
        for i, column in enumerate(columns):
            np.subtract(column[rows], self.shift[i], out=z[1 + i])
        left = _products(z, self._left)
        right = left if self._same else _products(z, self._right)
        if root is not None:
            left *= root
            if not self._same:
                right *= root
        # The same matrix twice is known to BLAS as symmetric, at half the cost.
        return np.asarray(left @ right.T)


def _products(z: Array, tuples: NDArray[np.int64]) -> Array:
    """Π of the rows of z (q, n) that each tuple names: (tuples, n)."""
    out = z[tuples[:, 0]] if tuples.shape[1] else np.ones((len(tuples), z.shape[1]))
    for factor in tuples.T[1:]:
        out *= z[factor]
    return out
