"""A law whose one target is known better than by its covariances: p(φ) = p(x) p(y | x), with p(x) Gaussian.

What is not about the target is answered by the Gaussian law of all fields; inputs that are not known are averaged
over its conditional distribution.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import BySecondOrder
from cumulant.solve.linear import conditional
from cumulant.solve.predictive import patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.law import Density

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Given = Callable[[Array, Index, str], Density]

__all__ = ["DRAWS", "BesideGaussian", "TargetLaw"]

# Points that stand for inputs which are not known: mean and spread over them are good to a few per cent.
DRAWS = 128


class BesideGaussian(BySecondOrder):
    """What is the same for every p(x) p(y | x), y one field or the indicators of a category.

    Parameters
    ----------
    base
        The Gaussian law of all fields, which answers every question but those about the target.
    visible
        The fields of ``base`` that are left (p,); others are fixed or integrated out.
    fixed
        Value of each field of ``base`` that is fixed, NaN elsewhere.
    """

    base: GaussianLaw
    visible: Index
    fixed: Array

    @property
    @abstractmethod
    def targets(self) -> Index:
        """The fields that are y."""

    # ------------------------------------------------------------------ the Gaussian part

    @property
    def gaussian(self) -> GaussianLaw:
        """The Gaussian law of what is visible: linear in every direction."""
        observed = np.flatnonzero(~np.isnan(self.fixed))
        return self.base.condition(observed, self.fixed[observed], self.visible)

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.base.count

    # ------------------------------------------------------------------ fewer fields

    def condition(self, observed: Index, values: Array, rest: Index) -> Self | GaussianLaw:
        """The law of ``rest``; of a Gaussian where the target is not among them."""
        place = self.visible[rest]
        if not np.isin(self.targets, place).all():
            return self.gaussian.condition(observed, values, rest)
        fixed = self.fixed.copy()
        fixed[self.visible[observed]] = values
        return replace(cast("Any", self), visible=place, fixed=fixed)

    def marginal(self, at: Index) -> Self | GaussianLaw:
        """The law of some fields, the others integrated out."""
        return self.condition(np.zeros(0, dtype=np.int64), np.zeros(0), at)

    # ------------------------------------------------------------------ points

    def full(self, x: Array) -> Array:
        """Rows of all fields of ``base``, the target unknown."""
        out = np.tile(self.fixed, (len(x), 1))
        out[:, self.visible] = x
        out[:, self.targets] = np.nan
        return out

    def without_target(self, x: Array) -> Array:
        """Rows of all fields, the target unknown."""
        out = x.copy()
        out[:, self.targets] = np.nan
        return out

    def filled(self, x: Array, needed: Index, most: int) -> Iterator[tuple[Index, int, Array]]:
        """Which rows, how many points stand for each, and these points with no needed input unknown.

        Parameters
        ----------
        x
            Rows of all fields (n, p).
        needed
            The fields that are needed.
        most
            Points at once.
        """
        for rows, observed in patterns(x):
            block, at = x[rows], np.arange(len(x))[rows]
            hidden = np.setdiff1d(needed, observed)
            points = DRAWS if len(hidden) else 1
            step = max(1, most // points)
            for start in range(0, len(block), step):
                some = block[start : start + step]
                yield at[start : start + step], points, self._drawn(some, observed, hidden) if len(hidden) else some

    def _drawn(self, x: Array, observed: Index, hidden: Index) -> Array:
        """Each row ``DRAWS`` times, its unknown inputs at points of the Gaussian law given the known ones."""
        g = self.base.fields
        given = conditional(g.covariance, observed, hidden)
        mean = g.mean[hidden] + (x[:, observed] - g.mean[observed]) @ given.coefficients
        w, v = np.linalg.eigh(given.covariance)
        noise = _points(len(hidden)) @ (v * np.sqrt(np.maximum(w, 0.0))).T
        out = np.repeat(x, DRAWS, axis=0)
        out[:, hidden] = (mean[:, None, :] + noise[None, :, :]).reshape(-1, len(hidden))
        return out


@dataclass(frozen=True, eq=False)
class TargetLaw(BesideGaussian):
    """The part of a `cumulant.solve.law.Law` that is the same for every p(y | x) of one number y.

    Parameters
    ----------
    base, visible, fixed
        As for every `BesideGaussian`.
    target
        The field y.
    """

    base: GaussianLaw
    target: int
    visible: Index
    fixed: Array

    @property
    def targets(self) -> Index:
        """The field y."""
        return np.array([self.target])

    @abstractmethod
    def mean_of(self, x: Array) -> Array:
        """⟨y | x⟩ (n,) for rows of all fields of ``base`` (n, p), NaN where one is unknown."""

    @abstractmethod
    def density_of(self, x: Array, name: str) -> Density:
        """p(y | x) for rows of all fields of ``base`` (n, p), NaN where one is unknown."""

    # ------------------------------------------------------------------ prediction

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self.gaussian.expect(x, at) if self.asks_others(at) else self.mean_of(self.full(x))

    def density(self, x: Array, at: Index, name: str) -> Density:
        """Distribution of the first of the fields ``at``; inputs that are not known are averaged over."""
        return self.gaussian.density(x, at, name) if self.asks_others(at) else self.density_of(self.full(x), name)

    def asks_others(self, at: Index) -> bool:
        """Whether a question is not about the target."""
        return int(self.visible[at[0]]) != self.target

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category, by the Gaussian law."""
        return self.gaussian.probabilities(x, indicators)

    # ------------------------------------------------------------------ the joint distribution

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """ln p(x) of the Gaussian law and ln p(y | x) (n,)."""
        return self.joint_log_prob(x, categories, self.density)

    def joint_log_prob(self, x: Array, categories: list[Index], density: Given) -> Array:
        """ln p(x) + ln p(y | x) for a density of the target."""
        place = self._place
        y, inputs = x[:, place].copy(), x.copy()
        inputs[:, place] = np.nan
        out = self.gaussian.log_prob(inputs, categories)
        known = np.flatnonzero(~np.isnan(y))
        if len(known):
            out[known] += density(inputs[known], np.array([place]), "").log_prob(y[known])
        return out

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p)."""
        return self.joint_sample(n, categories, rng, self.density)

    def joint_sample(self, n: int, categories: list[Index], rng: np.random.Generator, density: Given) -> Array:
        """Rows of x from the Gaussian law, and y from a density of the target."""
        place = self._place
        x = self.gaussian.sample(n, categories, rng)
        x[:, place] = density(x, np.array([place]), "").sample(1, int(rng.integers(2**63)))[:, 0]
        return x

    @property
    def _place(self) -> int:
        """Where the target is among the visible fields."""
        return int(np.flatnonzero(self.visible == self.target)[0])

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        out = self.gaussian.fill(x)
        place = self._place
        absent = np.isnan(x[:, place])
        if absent.any():
            out[absent, place] = self.expect(x[absent], np.array([place]))
        return out


def _points(dimensions: int) -> Array:
    """Evenly spread standard normal points (DRAWS, dimensions), the same every time.

    A Latin hypercube (McKay, Beckman & Conover, Technometrics 21 (1979) 239) and its mirror image, so that odd moments
    vanish; turned and stretched to unit covariance, so that means of polynomials are exact to third order.
    """
    from scipy.special import ndtri

    half = DRAWS // 2
    strata = np.random.default_rng(0).permuted(np.tile(np.arange(half), (dimensions, 1)), axis=1).T
    normal = ndtri((strata + 0.5) / half)
    if dimensions < half:
        normal = np.linalg.solve(np.linalg.cholesky(normal.T @ normal / half), normal.T).T
    return np.concatenate([normal, -normal])
