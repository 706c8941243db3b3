"""The predictive distribution of a mixture of fields, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.field.scale import Scale
    from cumulant.solve.shapes import Shape

    Array = NDArray[np.float64]

__all__ = ["Component", "Mixed", "stacked"]

# Quantiles that the mean of a bent distribution is taken over: that of a logarithm with heavy tails would not exist.
QUANTILES = 64
BISECTIONS = 60
STACKING_STEPS = 300


@dataclass(frozen=True, eq=False)
class Component:
    """One field's word: T(y) = mean + size · t.

    Parameters
    ----------
    weight
        In the mixture.
    mean, size
        (n,), on the latent scale.
    shape
        The distribution of t.
    scale
        T.
    """

    weight: float
    mean: Array
    size: Array
    shape: Shape
    scale: Scale

    def expect(self) -> Array:
        """⟨y⟩ (n,)."""
        if self.scale.kind == "identity":
            return self.scale.inverse(self.mean)
        t = self.shape.quantile((np.arange(QUANTILES) + 0.5) / QUANTILES)
        total = np.zeros(len(self.mean))
        for each in np.asarray(t):
            total += self.scale.inverse(self.mean + self.size * each)
        return total / QUANTILES

    def variance(self) -> Array:
        """Of y (n,); over as many quantiles as the mean where the scale is bent."""
        if self.scale.kind == "identity":
            width = self.scale.inverse(self.mean + self.size) - self.scale.inverse(self.mean)
            return np.asarray((width * self.shape.sd) ** 2)
        t, mean = self.shape.quantile((np.arange(QUANTILES) + 0.5) / QUANTILES), self.expect()
        total = np.zeros(len(self.mean))
        for each in np.asarray(t):
            total += (self.scale.inverse(self.mean + self.size * each) - mean) ** 2
        return total / QUANTILES

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value`` (n,)."""
        value = np.broadcast_to(np.asarray(value, dtype=np.float64), self.mean.shape)
        z, slope = self.scale.forward(value), self.scale.log_slope(value)
        t = (np.where(np.isfinite(z), z, 0.0) - self.mean) / self.size
        return np.asarray(np.where(np.isfinite(z), self.shape.log_density(t) - np.log(self.size) + slope, -np.inf))

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""
        z = self.scale.forward(np.broadcast_to(np.asarray(value, dtype=np.float64), self.mean.shape))
        t = (np.where(np.isfinite(z), z, 0.0) - self.mean) / self.size
        return np.where(np.isfinite(z), self.shape.cdf(t), 0.0)

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row."""
        return self.scale.inverse(self.mean + self.size * self.shape.quantile(probability))


@dataclass(frozen=True, eq=False)
class Mixed:
    """The predictive distribution of one column, row by row: a mixture.

    Parameters
    ----------
    name
        The column.
    components
        What is mixed.
    """

    name: str
    components: tuple[Component, ...]

    @cached_property
    def mean(self) -> Array:
        """(n,), in the units of the column."""
        return np.asarray(sum(c.weight * c.expect() for c in self.components))

    @property
    def sd(self) -> Array:
        """Standard deviation (n,)."""
        second = sum(c.weight * (c.variance() + c.expect() ** 2) for c in self.components)
        return np.asarray(np.sqrt(np.maximum(second - self.mean**2, 0.0)))

    @property
    def scale(self) -> Array:
        """Half of the distance between the quantiles that a Gaussian has one standard deviation out (n,)."""
        return (self.ppf(0.8413447460685429) - self.ppf(0.15865525393145707)) / 2

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper bounds with equal probability outside."""
        return self.ppf(0.5 - level / 2), self.ppf(0.5 + level / 2)

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row: between those of the components."""
        each = [c.ppf(probability) for c in self.components]
        if len(each) == 1:
            return each[0]
        low, high = np.minimum.reduce(each), np.maximum.reduce(each)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self.cdf(middle) < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""
        return np.asarray(sum(c.weight * c.cdf(value) for c in self.components))

    def pdf(self, value: float | Array) -> Array:
        """Density at ``value``."""
        return np.exp(self.log_prob(value))

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value``, in nats."""
        logs = [np.log(c.weight) + c.log_prob(value) for c in self.components]
        return np.asarray(np.logaddexp.reduce(logs, axis=0))

    def sample(self, draws: int, seed: int | None = None) -> Array:
        """Random values (n, draws)."""
        rng = np.random.default_rng(seed)
        shape = (len(self.components[0].mean), draws)
        chosen = rng.choice(len(self.components), size=shape, p=[c.weight for c in self.components])
        u, out = rng.random(shape), np.empty(shape)
        for k, c in enumerate(self.components):
            values = c.scale.inverse(c.mean[:, None] + c.size[:, None] * c.shape.quantile(u))
            out = np.where(chosen == k, values, out)
        return out


def stacked(logs: Array, prior: float = 0.0) -> Array:
    """Weights (k,) of the mixture that makes left-out rows most likely, from their log densities under each (n, k).

    The likelihood is concave in the weights, and each step of expectation–maximisation raises it (Yao et al. 2018). A
    Dirichlet ``prior`` of so many rows of each field keeps few rows from choosing one.
    """
    logs = np.where(np.isfinite(logs), logs, -1e6)
    p = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = np.full(logs.shape[1], 1 / logs.shape[1])
    for _ in range(STACKING_STEPS):
        share = p * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = (share.sum(axis=0) + prior) / (len(share) + prior * len(weights))
    return np.asarray(weights)
