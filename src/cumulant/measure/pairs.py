"""Double-double arithmetic: numbers of 106 bits held as the unevaluated sum of two float64.

A *pair* ``(high, low)`` of float64 arrays stands for high + low with |low| ≤ ulp(high)/2.  Every operation is
elementwise and broadcasts.  Finite numbers between about 1e-145 and 1e145 (or zero) are assumed, so that
neither products nor their low words leave the range of float64.

References
----------
.. [1] T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18
   (1971).
.. [2] D. E. Knuth, The Art of Computer Programming, vol. 2, section 4.2.2 (TwoSum).
.. [3] M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds for basic building blocks of
   double-word arithmetic", ACM Trans. Math. Softw. 44 (2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Array",
    "Pair",
    "add",
    "div",
    "mul",
    "renormalise",
    "sqrt",
    "sub",
    "transpose",
    "two_prod",
    "two_sum",
    "widen",
]

Array = NDArray[np.float64]
Pair = tuple[Array, Array]

# Multiplying by 2^27 + 1 and subtracting leaves the upper 26 bits of a significand.
SPLITTER = 2.0**27 + 1


def widen(x: ArrayLike) -> Pair:
    """The pair equal to a float64 array: (x, 0)."""
    high = np.asarray(x, dtype=np.float64)
    return high, np.zeros_like(high)


def transpose(a: Pair) -> Pair:
    """The transposed pair of matrices."""
    return a[0].T, a[1].T


def two_sum(a: ArrayLike, b: ArrayLike) -> Pair:
    """Sum of two float64 arrays without error: a + b = high + low exactly (Knuth [2]_).

    Examples
    --------
    >>> two_sum(1.0, 1e-20)
    (np.float64(1.0), np.float64(1e-20))
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def two_prod(a: ArrayLike, b: ArrayLike) -> Pair:
    """Product of two float64 arrays without error: a·b = high + low exactly (Dekker [1]_).

    Examples
    --------
    >>> two_prod(2.0**30 + 1, 2.0**30 + 1) == (2.0**60 + 2.0**31, 1.0)
    True
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    product = a * b
    (a_head, a_tail), (b_head, b_tail) = _halves(a), _halves(b)
    error = ((a_head * b_head - product) + a_head * b_tail + a_tail * b_head) + a_tail * b_tail
    return product, error


def add(a: Pair, b: Pair) -> Pair:
    """Sum of two pairs, relative error below 2⁻¹⁰⁴ even under cancellation (AccurateDWPlusDW of [3]_)."""
    high, low = two_sum(a[0], b[0])
    tail, rest = two_sum(a[1], b[1])
    high, low = renormalise(high, low + tail)
    return renormalise(high, low + rest)


def sub(a: Pair, b: Pair) -> Pair:
    """Difference of two pairs, relative error below 2⁻¹⁰⁴ even under cancellation."""
    return add(a, (-b[0], -b[1]))


def mul(a: Pair, b: Pair) -> Pair:
    """Product of two pairs, relative error below 2⁻¹⁰³."""
    high, low = two_prod(a[0], b[0])
    return renormalise(high, low + (a[0] * b[1] + a[1] * b[0]))


def div(a: Pair, b: Pair) -> Pair:
    """Quotient of two pairs by long division, relative error below 2⁻¹⁰²."""
    first = a[0] / b[0]
    rest = sub(a, mul(b, widen(first)))
    second = rest[0] / b[0]
    rest = sub(rest, mul(b, widen(second)))
    return add(two_sum(first, second), widen(rest[0] / b[0]))


def sqrt(a: Pair) -> Pair:
    """Square root of a non-negative pair, by one Newton step; relative error below 2⁻¹⁰²."""
    root = np.sqrt(a[0])
    rest = sub(a, two_prod(root, root))[0]
    correction = np.divide(rest, 2 * root, out=np.zeros_like(rest), where=root > 0)
    return renormalise(root, correction)


def renormalise(high: Array, low: Array) -> Pair:
    """The pair equal to high + low where |high| ≥ |low| or high is zero (Dekker's FastTwoSum [1]_)."""
    total = high + low
    return total, low - (total - high)


def _halves(a: Array) -> Pair:
    scaled = SPLITTER * a
    head = scaled - (scaled - a)
    return head, a - head
