"""Sampling error of anything computed from moments, by leaving out one fold at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.estimate import Estimate
    from cumulant.measure.moments import Moments

    Array = NDArray[np.float64]

__all__ = ["Jackknife", "jackknife"]


@dataclass(frozen=True, eq=False)
class Jackknife:
    """A functional of the moments, of all rows and without each fold.

    Folds differ in size, so pseudo-values h θ − (h − 1) θ₍ⱼ₎, h = n/nⱼ, have the variance
    Σ (pseudo − θ_J)²/(h − 1) / g.

    Parameters
    ----------
    value
        θ, of all rows.
    without
        θ₍ⱼ₎ without fold j (g, …).
    shares
        nⱼ/n (g,).

    References
    ----------
    Busing, Meijer & van der Leeden, "Delete-m jackknife for unequal m", Statistics and Computing 9 (1999) 3,
    equations 5 and 6.
    """

    value: Array
    without: Array
    shares: Array

    @property
    def _deviations(self) -> Array:
        """(pseudo − θ_J)/√((h − 1) g), whose squares sum to the variance (g, …)."""
        g = len(self.shares)
        share = self.shares.reshape(-1, *[1] * np.ndim(self.value))
        mean = g * self.value - ((1 - share) * self.without).sum(axis=0)
        pseudo = (self.value - (1 - share) * self.without) / share
        return np.asarray((pseudo - mean) / np.sqrt((1 / share - 1) * g))

    @property
    def standard_error(self) -> Array:
        """Of each entry of θ."""
        return np.asarray(np.sqrt((self._deviations**2).sum(axis=0)))

    @property
    def covariance(self) -> Array:
        """Of a vector θ (k,): (k, k), of rank g − 1 at most."""
        d = self._deviations
        return np.asarray(d.T @ d)


def jackknife(m: Moments, functional: Callable[[Estimate], Array]) -> Jackknife:
    """A functional of all folds, and of all but each.

    Raises
    ------
    OptionError
        Fewer than three folds have rows.
    """
    weight = m.weight if m.higher is None else m.higher.sums[:, 0]
    used = np.flatnonzero(weight > 0)
    if len(used) < 3:
        raise OptionError(
            f"errors by the jackknife need at least three folds with rows, there are {len(used)}; measure with "
            "folds=10 or more"
        )
    without = np.array([functional(m.without(int(k))) for k in used])
    return Jackknife(functional(m.total), without, weight[used] / weight.sum())
