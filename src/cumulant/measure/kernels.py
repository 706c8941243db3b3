"""The sums themselves: pure functions on arrays, the only code that runs once per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure import compensated

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fold_of", "grams"]


def fold_of(rows: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Fold of each row number: the splitmix64 finaliser, modulo ``folds``.

    Depends on the row number alone, so neither chunking, threads nor machines change it.

    References
    ----------
    Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 17.
    """
    x = np.asarray(rows, dtype=np.int64).view(np.uint64).copy()
    with np.errstate(over="ignore"):
        x += np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x % np.uint64(folds)).astype(np.int64)


def grams(
    z: NDArray[np.float64],
    fold: NDArray[np.int64],
    folds: int,
    weights: NDArray[np.float64] | None = None,
    *,
    exact: bool = False,
) -> NDArray[np.float64]:
    """Σ w z zᵀ over the rows of each fold.

    Parameters
    ----------
    z
        Rows (n, q), finite.
    fold
        Fold of each row (n,).
    folds
        Number of folds K.
    weights
        Weight of each row (n,), or None for ones.
    exact
        Accumulate without rounding error (double-double result).

    Returns
    -------
    ndarray
        (1, K, q, q), or (2, K, q, q) when exact: high and low parts. n·q·(q+1) flops, 8·n·q bytes read twice
        (gather by fold, product).
    """
    q = z.shape[1]
    out = np.zeros((2 if exact else 1, folds, q, q))
    order = np.argsort(fold, kind="stable") if folds > 1 else np.arange(len(z))
    edges = np.searchsorted(fold[order], np.arange(folds + 1))
    for k in range(folds):
        rows = order[edges[k] : edges[k + 1]]
        if not len(rows):
            continue
        part = z[rows] if folds > 1 else z
        w = None if weights is None else weights[rows]
        if exact:
            out[0, k], out[1, k] = compensated.gram(part, w)
        else:
            # The square root keeps both factors the same array, which BLAS multiplies at half the cost (syrk).
            scaled = part if w is None else part * np.sqrt(w)[:, None]
            out[0, k] = scaled.T @ scaled
    return out
