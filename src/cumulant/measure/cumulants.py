"""From moments to cumulants, and to their unbiased estimates."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError, OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["central", "cumulant", "k_statistic", "partitions"]


def central(moments: Array) -> Array:
    """Moments about the mean (p + 1,) * n from those about any point, in homogeneous coordinates.

    y − μ = T z is linear, so each axis takes entry 0 times the mean from the others.
    """
    out = moments.copy()
    n = out.ndim
    mean = moments[(0,) * (n - 1)][1:]
    for axis in range(n):
        along = np.moveaxis(out, axis, 0)
        along[1:] -= mean.reshape(-1, *[1] * (n - 1)) * along[:1]
    return out


def partitions(n: int) -> Iterator[list[list[int]]]:
    """All partitions of 0 … n - 1 into blocks."""
    if n == 0:
        yield []
        return
    for rest in partitions(n - 1):
        for i in range(len(rest)):
            yield [*rest[:i], [*rest[i], n - 1], *rest[i + 1 :]]
        yield [*rest, [n - 1]]


def cumulant(about_mean: Array) -> Array:
    """κ (p,) * n, n ≥ 2, from moments about the mean in homogeneous coordinates (p + 1,) * n.

    κ = Σ over partitions π of (−1)^(|π|−1) (|π| − 1)! Π of the moments of its blocks (McCullagh, Tensor Methods in
    Statistics, 1987, equation 2.9); blocks of one vanish about the mean.
    """
    n = about_mean.ndim
    fields = slice(1, None)
    out = np.zeros(tuple(s - 1 for s in about_mean.shape))
    for blocks in partitions(n):
        if n > 1 and any(len(block) == 1 for block in blocks):
            continue
        factors: list[Any] = []
        for block in blocks:
            factors += [about_mean[(0,) * (n - len(block)) + (fields,) * len(block)], block]
        sign = (-1) ** (len(blocks) - 1) * factorial(len(blocks) - 1)
        out += sign * np.einsum(*factors, list(range(n)))
    return out


def k_statistic(about_mean: Array, count: float) -> Array:
    """The unbiased estimate of κ (p,) * n for n = 2, 3, 4, of ``count`` independent rows.

    References
    ----------
    McCullagh, Tensor Methods in Statistics (Chapman and Hall, 1987), section 4.2.

    Raises
    ------
    OptionError
        n is above 4.
    DataError
        There are no more than n − 1 rows.
    """
    n = about_mean.ndim
    if n > 4:
        raise OptionError(f"unbiased=True has formulas for order 2 to 4, not {n}; leave it out")
    if count < n:
        raise DataError(f"an unbiased cumulant of order {n} needs {n} rows, there are {count:g}; measure more")
    m = about_mean[(slice(1, None),) * n]
    falling = float(np.prod([count - i for i in range(1, n)]))
    if n < 4:
        return np.asarray(m * count ** (n - 1) / falling)
    c = about_mean[0, 0, 1:, 1:]
    pairs = np.einsum("ij,kl->ijkl", c, c)
    pairs = pairs + pairs.transpose(0, 2, 1, 3) + pairs.transpose(0, 3, 2, 1)
    return np.asarray(count**2 * ((count + 1) * m - (count - 1) * pairs) / falling)
