"""Products of matrices in pairs of doubles, at BLAS speed.

Each column is cut into slices of 22 signed bits, so that the product of two slices, summed over up to 2000
rows, is an integer below 2⁵³: BLAS returns it exactly, whatever its order of summation, and only a few such
integer matrices are added as pairs (Ozaki, Ogita, Oishi & Rump [1]_).

References
----------
.. [1] K. Ozaki, T. Ogita, S. Oishi, S. M. Rump, "Error-free transformations of matrix multiplication by using
   fast routines of matrix multiplication and its applications", Numer. Algorithms 59 (2012).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cumulant.errors import DataError
from cumulant.measure.pairs import Array, Pair, add, renormalise, sqrt, transpose, two_prod, two_sum, widen

__all__ = ["gram", "matmul"]

Mask = NDArray[np.bool_]

# A slice has at most 2^21 units, so 2000 products of two of them stay below 2^53, with 2 % to spare for the
# carry that the low word of a pair can add to the third slice.
SLICE_BITS = 22
BLOCK_ROWS = 2000
# (x + ANCHOR·u) − ANCHOR·u rounds x to a multiple of u, for the sum lies where doubles are u apart.
ANCHOR = 1.5 * 2.0**52
FIRST_UNIT = 2.0 ** (1 - SLICE_BITS)
# Columns are cut a few at a time, so that the passes over them stay in the second-level cache.
TILE_NUMBERS = 2**14


def gram(z: ArrayLike | Pair, weights: ArrayLike | None = None) -> Pair:
    r"""Second moments ZᵀWZ about the origin, as an exactly symmetric pair of matrices.

    Parameters
    ----------
    z : array, shape (n, q), or pair of such arrays
        Finite numbers of any size, denormals included; n = 0 is allowed.  A pair holds columns that were
        shifted without error: ``gram(two_sum(x, -shift))``.
    weights : array, shape (n,), optional
        Finite, non-negative weights of the rows.

    Returns
    -------
    (high, low) : pair of arrays, shape (q, q)
        The error of entry (i, j) is below 1e-30 ‖z_i‖ ‖z_j‖ (about 1e-32 in practice), norms taken with the
        weights.  Entries below 1e-290 lose digits of the low word to underflow.

    Raises
    ------
    DataError
        A column or the weights are not finite, a weight is negative, or the square of a column overflows.

    Notes
    -----
    A column y is s₁ + s₂ + r₂ = s₁ + s₂ + s₃ + r₃ with slices s of 22 bits below its largest entry, and

        YᵀY = S₁ᵀS₁ + M + Mᵀ,   M = S₁ᵀS₂ + S₁ᵀS₃ + S₂ᵀS₂/2 + [S₁ᵀR₃ + (S₂ + R₂/2)ᵀR₂].

    All but the bracket is exact; the bracket is 2⁻⁶⁶ times smaller and may be rounded.  Where the plain
    product takes n q² flops this takes about 8 n q² (10 n q² for pairs and for weights) and some 20 n q for
    the cuts.  Indicators and integers of up to 21 bits end within their first slice and take n q².

    Weights enter as √w computed as a pair.  Its relative error, 2⁻¹⁰², is common to a row, hence a change of
    that weight which preserves linear relations between columns; both factors remain slices of one matrix,
    which halves the products of Zᵀ(WZ); and the error is bounded by the weighted norms, which it would not be
    if W scaled one side.  Weights that are powers of four are exact.

    Examples
    --------
    >>> import numpy as np
    >>> high, low = gram(np.array([[1e8, 1.0], [1.0, 1e-8]]))
    >>> float(high[0, 0]), float(low[0, 0])
    (1e+16, 1.0)
    """
    high, low = _words(z)
    if weights is not None and not np.all(weights):
        # Rows of weight zero have no say in the scale, so they must not be scaled either: they could overflow.
        used = np.flatnonzero(weights)
        high, low, weights = high[used], None if low is None else low[used], np.asarray(weights)[used]
    root, exponent = _root(weights, len(high))
    exponents = _column_exponents(high, root)
    scale = np.ldexp(1.0, -exponents)[:, None]
    count = high.shape[1]
    space = np.empty((5, count, min(len(high), BLOCK_ROWS)))
    even, cross = widen(np.zeros((count, count))), widen(np.zeros((count, count)))
    for start in range(0, len(high), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        row_root = None if root is None else (root[0][rows], root[1][rows])
        slices, long = _cut(space, high[rows].T, None if low is None else low[rows].T, scale, row_root)
        even, cross = _add_block(even, cross, slices, long)
    return _unscale(add(even, add(cross, transpose(cross))), exponents + exponent)


def matmul(a: Pair, b: Pair) -> Pair:
    """Product of two matrices of pairs, shapes (m, k) and (k, n); 20 m k n flops.

    The error of entry (i, j) is below about 1e-31 ‖a_i‖ ‖b_j‖, norms of row i of a and of column j of b.
    """
    (m, length), n = a[0].shape, b[0].shape[1]
    a_exponents = _exponents(np.abs(a[0]).max(axis=1, initial=0.0))
    b_exponents = _exponents(np.abs(b[0]).max(axis=0, initial=0.0))
    a_scale, b_scale = np.ldexp(1.0, -a_exponents)[:, None], np.ldexp(1.0, -b_exponents)[:, None]
    width = min(length, BLOCK_ROWS)
    a_space, b_space = np.empty((5, m, width)), np.empty((5, n, width))
    total = widen(np.zeros((m, n)))
    for start in range(0, length, BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        (a1, a2, a3, a_rest, a_last), _ = _cut(a_space, a[0][:, part], a[1][:, part], a_scale)
        (b1, b2, b3, b_rest, b_last), _ = _cut(b_space, b[0][part].T, b[1][part].T, b_scale)
        exact = [a1 @ b1.T, a1 @ b2.T, a2 @ b1.T, a2 @ b2.T, a1 @ b3.T, a3 @ b1.T]
        tail = a1 @ b_last.T + a_last @ b1.T + a2 @ b_rest.T + a_rest @ (b2 + b_rest).T
        total = _accumulate(total, exact, tail)
    exponents = a_exponents[:, None] + b_exponents
    return np.ldexp(total[0], exponents), np.ldexp(total[1], exponents)


def _words(z: ArrayLike | Pair) -> tuple[Array, Array | None]:
    """The two words of the columns, the second only where it says something."""
    if not isinstance(z, tuple):
        return np.asarray(z, dtype=np.float64), None
    return z[0], z[1] if z[1].any() else None


def _root(weights: ArrayLike | None, rows: int) -> tuple[Pair | None, int]:
    """√w / 2^exponent as a pair below 1, and that exponent."""
    if weights is None:
        return None, 0
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (rows,):
        raise DataError(f"weights have shape {w.shape} for {rows} rows. Give one weight per row.")
    wrong = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if len(wrong):
        raise DataError(
            f"the weight of row {wrong[0]} is {w[wrong[0]]}; weights must be finite and not negative. "
            "Give the row weight 0 or drop it."
        )
    exponent = (int(np.frexp(w.max(initial=0.0))[1]) + 1) // 2
    return sqrt(widen(np.ldexp(w, -2 * exponent))), exponent


def _exponents(top: Array) -> NDArray[np.int64]:
    """The least e with top < 2^e, but at least -1022, so that its inverse 2^-e is a double.

    Nothing is lost by that: columns of denormals are integers of few bits.
    """
    return np.maximum(np.frexp(top)[1], -1022).astype(np.int64)


def _column_exponents(high: Array, root: Pair | None) -> NDArray[np.int64]:
    """The least e with |√w z| < 2^e for each column."""
    top = np.zeros(high.shape[1])
    for start in range(0, len(high), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        size = np.abs(high[rows])
        if root is not None:
            size *= root[0][rows, None]
        # Halving keeps every pass long and contiguous, whatever the number of columns.
        while len(size) > 1:
            half = (len(size) + 1) // 2
            size = np.maximum(size[:half], size[-half:])
        np.maximum(top, size[0], out=top)
    if not np.all(np.isfinite(top)):
        raise DataError(
            f"column {int(np.argmin(np.isfinite(top)))} holds NaN or infinity, whose moments are undefined. "
            "Treat the cell as missing or drop the row."
        )
    return _exponents(top)


def _cut(
    space: Array, high: Array, low: Array | None, scale: Array, root: Pair | None = None
) -> tuple[tuple[Array, Array, Array, Array, Array], Mask]:
    """Slices s₁, s₂, s₃ and remainders r₂, r₃ of scaled columns of size below 1, held in the rows of `high`.

    `space` (5, columns, rows) receives them.  Columns that end within s₁ have no row in the others; the mask
    says which columns go on.
    """
    columns, rows = high.shape
    first, second, third, rest, last = space[:, :, :rows]
    long = np.ones(columns, dtype=bool)
    done = 0
    step = max(1, TILE_NUMBERS // max(rows, 1))
    for start in range(0, columns, step):
        tile = slice(start, start + step)
        x = np.multiply(high[tile], scale[tile], order="C")
        x_low = None if low is None else np.multiply(low[tile], scale[tile], order="C")
        if root is not None:
            x, x_low = _weighted(x, x_low, root)
        _round_off(x, FIRST_UNIT, first[tile], x)
        if x_low is None:
            long[tile] = x.any(axis=1)
            if not long[tile].all():
                x = x[long[tile]]
        into = slice(done, done + len(x))
        done += len(x)
        _round_off(x, FIRST_UNIT * 2.0**-SLICE_BITS, second[into], rest[into])
        if x_low is not None:
            rest[into], x_low = two_sum(rest[into], x_low)
        _round_off(rest[into], FIRST_UNIT * 2.0 ** (-2 * SLICE_BITS), third[into], last[into])
        if x_low is not None:
            last[into] += x_low
    return (first, second[:done], third[:done], rest[:done], last[:done]), long


def _round_off(x: Array, unit: float, part: Array, remainder: Array) -> None:
    """x = part + remainder exactly, with part a multiple of unit and |remainder| ≤ unit/2."""
    anchor = ANCHOR * unit
    np.add(x, anchor, out=part)
    np.subtract(part, anchor, out=part)
    np.subtract(x, part, out=remainder)


def _weighted(x: Array, x_low: Array | None, root: Pair) -> Pair:
    high, low = two_prod(x, root[0])
    low += x * root[1]
    if x_low is not None:
        low += x_low * root[0]
    return high, low


def _add_block(
    even: Pair, cross: Pair, slices: tuple[Array, Array, Array, Array, Array], long: Mask
) -> tuple[Pair, Pair]:
    """Add the moments of one block, even + cross + crossᵀ, to running sums."""
    first, second, third, rest, last = slices
    even = _accumulate(even, [first @ first.T])
    if not len(second):
        return even, cross
    part = slice(None) if long.all() else np.flatnonzero(long)
    once, twice = first @ second.T, first @ third.T
    square, tail = np.zeros((2, *once.shape))
    square[part] = 0.5 * (second @ second.T)
    # Doubles above 2^-13 of their column's largest end before the last remainder, so few rows have one.
    rows = np.flatnonzero(last.any(axis=0))
    if 2 * len(rows) < last.shape[1]:
        first, last = first[:, rows], last[:, rows]
    tail += first @ last.T
    middle = np.multiply(rest, 0.5, out=third)
    middle += second
    tail[part] += middle @ rest.T
    high, low = _accumulate((cross[0][:, part], cross[1][:, part]), [once, twice, square], tail)
    cross[0][:, part], cross[1][:, part] = high, low
    return even, cross


def _accumulate(total: Pair, terms: list[Array], tail: Array | float = 0.0) -> Pair:
    """Add exact terms, and a tail small enough to be added in double precision, to a running pair."""
    high, low = total
    for term in terms:
        high, error = two_sum(high, term)
        tail = tail + error
    return renormalise(high, low + tail)


def _unscale(moments: Pair, exponents: NDArray[np.int64]) -> Pair:
    scale = exponents[:, None] + exponents
    with np.errstate(over="ignore", under="ignore"):
        high, low = np.ldexp(moments[0], scale), np.ldexp(moments[1], scale)
    if not np.all(np.isfinite(high)):
        column = int(np.argmin(np.isfinite(np.diagonal(high))))
        raise DataError(
            f"the sum of squares of column {column} exceeds the largest float64. "
            "Divide the column by a power of ten first."
        )
    return high, low
