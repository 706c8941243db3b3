"""Student's t and Fisher's F, from their special functions.

`scipy.stats` has them too, but takes longer to import than most fits take to run, and so does `scipy.special`. What
every regression table needs, the tails and one quantile, is therefore here.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["cdf", "fisher_tail", "log_density", "quantile", "two_sided"]

MOST_TERMS = 100_000
# Stirling's series is exact to rounding from here on.
STIRLING = 16.0


def cdf(t: ArrayLike, degrees: ArrayLike) -> Array:
    """Probability of at most t."""
    from scipy.special import stdtr

    return np.asarray(stdtr(degrees, t))


def quantile(probability: ArrayLike, degrees: ArrayLike) -> Array:
    """The t that is exceeded with probability 1 − ``probability``."""
    if np.ndim(probability) or np.ndim(degrees) or not 0.75 <= float(probability) < 1 or float(degrees) < 3:  # type: ignore[arg-type]
        from scipy.special import stdtrit

        return np.asarray(stdtrit(degrees, probability))
    return np.asarray(_upper_quantile(float(probability), float(degrees)))  # type: ignore[arg-type]


def _upper_quantile(probability: float, degrees: float) -> float:
    """Newton's method for the logarithm of the tail, from near the normal quantile; the logarithm is concave."""
    wanted, t = 2 * (1 - probability), _near_normal(NormalDist().inv_cdf(probability), degrees)
    for _ in range(50):
        tail = float(two_sided(t, degrees))
        density = 2 * math.exp(float(_log_density_at(t, degrees)))
        step = tail / density * math.log(tail / wanted)
        t += step
        # The error after a step is about its square; steps of rounding size would go on for ever.
        if abs(step) <= 1e-9 * t:
            break
    return t


def _near_normal(x: float, degrees: float) -> float:
    """The quantile that is x of a normal, to the fourth order in 1/degrees (Abramowitz & Stegun 26.7.5); x for few."""
    if degrees < 20 * max(x * x, 1.0):
        return x
    s = x * x
    terms = (
        (s + 1) / 4,
        ((5 * s + 16) * s + 3) / 96,
        (((3 * s + 19) * s + 17) * s - 15) / 384,
        ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160,
    )
    return x * (1 + sum(term / degrees**k for k, term in enumerate(terms, 1)))


def _log_density_at(t: float, degrees: float) -> float:
    """As `log_density`, of one number."""
    half = degrees / 2
    ratio = _stirling(half + 0.5) - _stirling(half) + half * math.log1p(0.5 / half) - 0.5
    return ratio - 0.5 * math.log(2 * math.pi) - (half + 0.5) * math.log1p(t * t / degrees)


def two_sided(t: ArrayLike, degrees: ArrayLike) -> Array:
    """Probability of a |t| at least as large, by t² ~ F(1, degrees)."""
    return np.asarray(fisher_tail(np.square(np.asarray(t, dtype=np.float64)), 1.0, degrees))


def log_density(t: ArrayLike, degrees: ArrayLike) -> Array:
    """Logarithm of the density at t."""
    from scipy.special import gammaln

    df, x = np.asarray(degrees, dtype=np.float64), np.asarray(t, dtype=np.float64)
    norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(np.pi * df)
    return np.asarray(norm - 0.5 * (df + 1) * np.log1p(x * x / df))


def fisher_tail(f: ArrayLike, numerator: ArrayLike, denominator: ArrayLike) -> Array:
    """Probability of an F at least as large: the incomplete beta function I(x; a, b) at x = d₂/(d₂ + d₁f).

    By the continued fraction of DLMF 8.17.22, on the side of the mean where it converges fast. Its prefactor takes
    the powers x^a·(1 − x)^b relative to their values at the mean (Loader, Fast and accurate computation of binomial
    probabilities, 2000), and its odd part is written in 1 − x, so that millions of degrees cost no digit.
    """
    f, d1, d2 = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (f, numerator, denominator)))
    a, b = d2 / 2, d1 / 2
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = d2 + d1 * f
        x, y = d2 / scale, d1 * f / scale
        about = a * _log_ratio(d1 * (1 - f) / scale, x * (1 + d1 / d2))
        about += b * _log_ratio(d2 * (f - 1) / scale, y * (1 + d2 / d1))
        stirling = np.vectorize(_stirling, otypes=[float])
        about += stirling(a + b) - stirling(a) - stirling(b)
        front = np.exp(about) * np.sqrt(a * b / (2 * np.pi * (a + b)))
        above = x < (a + 1) / (a + b + 2)
        first, second = np.where(above, a, b), np.where(above, b, a)
        part = front / (first * _fraction(np.where(above, x, y), np.where(above, y, x), first, second))
        tail = np.where(above, part, 1 - part)
    return np.where(np.isnan(f), np.nan, np.where(f <= 0, 1.0, np.where(np.isinf(f), 0.0, tail)))


def _log_ratio(above_one: Array, ratio: Array) -> Array:
    """The logarithm of a ratio, from its distance to 1 where that is small."""
    return np.where(np.abs(above_one) < 0.5, np.log1p(above_one), np.log(ratio))


def _fraction(x: Array, y: Array, a: Array, b: Array) -> Array:
    """The odd part of 1 + c₁/(1 + c₂/(1 + …)), which is 1 + c₁ − c₁c₂/(1 + c₂ + c₃ − c₃c₄/(…)), by Lentz's method."""
    value, before = _one_and_odd(x, y, a, b, 0)
    upper, lower = value, np.zeros_like(x)
    for m in range(1, MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        one_and_odd, odd = _one_and_odd(x, y, a, b, m)
        lower = 1 / (one_and_odd + even - before * even * lower)
        upper = one_and_odd + even - before * even / upper
        value, before = value * upper * lower, odd
        if not (np.abs(upper * lower - 1) > 4e-16).any():
            break
    return value


def _one_and_odd(x: Array, y: Array, a: Array, b: Array, m: int) -> tuple[Array, Array]:
    """1 + c of number 2m + 1, without cancellation for x near 1, and c, which is −(a + m)(a + b + m)x over size."""
    size = (a + 2 * m) * (a + 2 * m + 1)
    product = (a + m) * (a + b + m)
    odd = -product * x / size
    near_one = (a * (2 * m + 1 - b) + m * (3 * m + 2 - b) + product * y) / size
    return np.where(x < 0.5, 1 + odd, near_one), odd


def _stirling(z: float) -> float:
    """What Stirling's formula lacks: ln Γ(z) − (z − ½) ln z + z − ½ ln 2π."""
    if z < STIRLING:
        return math.lgamma(z) - (z - 0.5) * math.log(z) + z - 0.5 * math.log(2 * math.pi) if z > 0 else math.nan
    w = 1 / (z * z)
    return (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - w * 691 / 360360))))) / z
