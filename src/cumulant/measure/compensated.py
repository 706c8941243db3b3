"""Compensated linear algebra: factors and solutions in pairs of doubles, which keep about 31 digits.

Where a covariance matrix has lost half its digits in double precision (a correlation pivot 1 − R² below about
1e-8) the same sums held as pairs still have them, and unlike a QR factor they can be subtracted again.  The
arithmetic of :mod:`cumulant.measure.pairs` and the products of :mod:`cumulant.measure.products` are at hand
here too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cumulant.measure.pairs import Array, Pair, add, div, mul, sqrt, sub, transpose, two_prod, two_sum, widen
from cumulant.measure.products import gram, matmul

__all__ = [
    "Pair",
    "add",
    "cholesky",
    "div",
    "gram",
    "inverse",
    "matmul",
    "mul",
    "solve",
    "sqrt",
    "sub",
    "transpose",
    "two_prod",
    "two_sum",
    "widen",
]

Mask = NDArray[np.bool_]

# Factors of up to this size are computed column by column, larger ones in halves joined by matrix products.
LEAF = 32


def cholesky(a: Pair, tolerance: float | Array) -> tuple[Pair, Mask]:
    r"""Cholesky factor A = L Lᵀ of a symmetric positive semi-definite pair, dropping dependent columns.

    Columns are taken left to right.  What remains of a diagonal entry after the columns before it, divided by
    the entry itself, is the 1 − R² of that column given those.  Where it is below `tolerance`, or not
    positive, the column is dropped: its row and column of L are zero.

    Parameters
    ----------
    a : pair of arrays, shape (p, p)
        Exactly symmetric, as :func:`gram` returns it; entries between 1e-145 and 1e145.
    tolerance : float, or array of shape (p,)
        Relative pivot below which a column counts as a combination of those before it.  Exact combinations
        leave some 1e-31 in pairs; if their cells were rounded, about (2⁻⁵³ rms/sd)², rms about zero.

    Returns
    -------
    lower : pair of arrays, shape (p, p)
    kept : bool array, shape (p,)

    Notes
    -----
    By halves down to 32 columns, so that nearly all the work, 10 p³/3 flops, is in matrix products.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.array([[4.0, 2.0, 4.0], [2.0, 2.0, 2.0], [4.0, 2.0, 4.0]])
    >>> (high, low), kept = cholesky(widen(a), 1e-26)
    >>> kept
    array([ True,  True, False])
    >>> high[:2, :2]
    array([[2., 0.],
           [1., 1.]])
    """
    return _factor(a, np.maximum(tolerance * np.diagonal(a[0]), 0.0))


def solve(lower: Pair, kept: Mask, b: Pair) -> Pair:
    """Solution of L Lᵀ x = b among the kept columns, zeros for the dropped; b is a pair of shape (p, m)."""
    inner = _part(lower, kept, kept)
    forward = _substitute(inner, (b[0][kept], b[1][kept]))
    # The transposed system, rows and columns reversed, is lower triangular again.
    reversed_upper = transpose(_part(inner, slice(None, None, -1), slice(None, None, -1)))
    solution = _substitute(reversed_upper, (forward[0][::-1], forward[1][::-1]))
    high, low = np.zeros((2, *b[0].shape))
    high[kept], low[kept] = solution[0][::-1], solution[1][::-1]
    return high, low


def inverse(lower: Pair, kept: Mask) -> Pair:
    """Inverse of L Lᵀ among the kept columns, exactly symmetric, zeros for the dropped."""
    inner = gram(_substitute(_part(lower, kept, kept), widen(np.eye(int(kept.sum())))))
    high, low = np.zeros((2, len(kept), len(kept)))
    high[np.ix_(kept, kept)], low[np.ix_(kept, kept)] = inner
    return high, low


def _part(a: Pair, rows: slice | Mask, columns: slice | Mask) -> Pair:
    return a[0][rows][:, columns], a[1][rows][:, columns]


def _factor(a: Pair, floor: Array) -> tuple[Pair, Mask]:
    """Factor by halves; a column whose remaining diagonal entry is below its floor is dropped."""
    if len(floor) <= LEAF:
        return _factor_columns(a, floor)
    half = len(floor) // 2
    head, tail = slice(0, half), slice(half, None)
    corner, kept_head = _factor(_part(a, head, head), floor[head])
    above = _part(_part(a, head, tail), kept_head, slice(None))
    side = _substitute(_part(corner, kept_head, kept_head), above)
    rest, kept_tail = _factor(sub(_part(a, tail, tail), gram(side)), floor[tail])
    factors = []
    for word in range(2):
        lower = np.zeros_like(a[word])
        lower[head, head], lower[tail, tail] = corner[word], rest[word]
        lower[half:, np.flatnonzero(kept_head)] = side[word].T
        # A dropped column has an empty row of L also to the left of its own half.
        lower[half:][~kept_tail] = 0.0
        factors.append(lower)
    return (factors[0], factors[1]), np.concatenate([kept_head, kept_tail])


def _factor_columns(a: Pair, floor: Array) -> tuple[Pair, Mask]:
    rest_high, rest_low = a[0].copy(), a[1].copy()
    high, low = np.zeros((2, *rest_high.shape))
    kept = np.zeros(len(floor), dtype=bool)
    for j in range(len(floor)):
        kept[j] = rest_high[j, j] > 0 and rest_high[j, j] >= floor[j]
        if not kept[j]:
            continue
        column = div((rest_high[j:, j], rest_low[j:, j]), sqrt((rest_high[j, j], rest_low[j, j])))
        high[j:, j], low[j:, j] = column
        outer = mul((column[0][:, None], column[1][:, None]), column)
        rest_high[j:, j:], rest_low[j:, j:] = sub((rest_high[j:, j:], rest_low[j:, j:]), outer)
    high[~kept], low[~kept] = 0.0, 0.0
    return (high, low), kept


def _substitute(lower: Pair, b: Pair) -> Pair:
    """Solution of L x = b for a lower triangular L without zero pivots, by halves."""
    size = len(b[0])
    if size <= LEAF:
        return _substitute_rows(lower, b)
    head, tail = slice(0, size // 2), slice(size // 2, None)
    top = _substitute(_part(lower, head, head), (b[0][head], b[1][head]))
    rest = sub((b[0][tail], b[1][tail]), matmul(_part(lower, tail, head), top))
    bottom = _substitute(_part(lower, tail, tail), rest)
    return np.concatenate([top[0], bottom[0]]), np.concatenate([top[1], bottom[1]])


def _substitute_rows(lower: Pair, b: Pair) -> Pair:
    high, low = b[0].copy(), b[1].copy()
    for j in range(len(high)):
        row = div((high[j], low[j]), (lower[0][j, j], lower[1][j, j]))
        high[j], low[j] = row
        below = slice(j + 1, None)
        product = mul((lower[0][below, j, None], lower[1][below, j, None]), row)
        high[below], low[below] = sub((high[below], low[below]), product)
    return high, low
