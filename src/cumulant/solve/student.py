"""Student's t and Fisher's F, from their special functions.

`scipy.stats` has them too, but takes longer to import than most fits take to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["cdf", "fisher_tail", "log_density", "quantile", "two_sided"]


def cdf(t: ArrayLike, degrees: ArrayLike) -> Array:
    """Probability of at most t."""
    from scipy.special import stdtr

    return np.asarray(stdtr(degrees, t))


def quantile(probability: ArrayLike, degrees: ArrayLike) -> Array:
    """The t that is exceeded with probability 1 − ``probability``."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(degrees, probability))


def two_sided(t: ArrayLike, degrees: ArrayLike) -> Array:
    """Probability of a |t| at least as large."""
    return 2 * cdf(-np.abs(t), degrees)


def log_density(t: ArrayLike, degrees: ArrayLike) -> Array:
    """Logarithm of the density at t."""
    from scipy.special import gammaln

    df, x = np.asarray(degrees, dtype=np.float64), np.asarray(t, dtype=np.float64)
    norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(np.pi * df)
    return np.asarray(norm - 0.5 * (df + 1) * np.log1p(x * x / df))


def fisher_tail(f: float, numerator: float, denominator: float) -> float:
    """Probability of an F at least as large."""
    from scipy.special import fdtrc

    return float(fdtrc(numerator, denominator, f))
