"""Densities exp(−F)/Z of one field of which F is a polynomial, row by row, by quadrature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["NODES", "GridDensity", "draw", "log_integral", "mixture", "value"]

# Nodes of a row; the trapezoidal rule is exact to all digits on a smooth function that vanishes at both ends.
NODES = 129
# Where F is that far above its minimum, nothing is left of exp(−F). Where to look for it, in standard units, how often
# more closely, and on how many nodes.
DEPTH, REACH, ZOOMS, COARSE = 40.0, 30.0, 4, 41
# A random value needs less.
SHALLOW, FEW = 20.0, 65


@dataclass(frozen=True, eq=False)
class GridDensity:
    """The predictive distribution of one column, row by row, on a grid of its own each.

    Parameters
    ----------
    name
        The column.
    nodes
        Equidistant values (n, G), in the units of the column.
    weights
        Density there (n, G).
    how
        How unknown fields of each row were integrated out (n,): ``"quadrature"`` where there were none, ``"diagrams"``,
        or ``"sampling"``. None where there is no choice.
    """

    name: str
    nodes: Array
    weights: Array
    how: NDArray[np.str_] | None = None

    @property
    def mean(self) -> Array:
        """(n,)."""
        return np.asarray((self.nodes * self.weights).sum(axis=1) / self.weights.sum(axis=1))

    @property
    def sd(self) -> Array:
        """Standard deviation (n,)."""
        square = ((self.nodes - self.mean[:, None]) ** 2 * self.weights).sum(axis=1) / self.weights.sum(axis=1)
        return np.asarray(np.sqrt(square))

    @cached_property
    def _step(self) -> Array:
        return np.asarray(self.nodes[:, 1] - self.nodes[:, 0])

    @cached_property
    def _cumulated(self) -> Array:
        """Probability below each node (n, G)."""
        parts = (self.weights[:, 1:] + self.weights[:, :-1]) / 2
        total = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(parts, axis=1)], axis=1)
        return np.asarray(total / total[:, -1:])

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper bounds with equal probability outside."""
        return self.ppf(0.5 - level / 2), self.ppf(0.5 + level / 2)

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row: (n,), or (n, d) for probabilities (n, d)."""
        p = np.broadcast_to(np.asarray(probability, dtype=np.float64), _shape(probability, len(self.nodes)))
        return _by_row(self._cumulated, self.nodes, p)

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""
        v = np.broadcast_to(np.asarray(value, dtype=np.float64), _shape(value, len(self.nodes)))
        return _by_row(self.nodes, self._cumulated, v)

    def pdf(self, value: float | Array) -> Array:
        """Density at ``value``."""
        return np.exp(self.log_prob(value))

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value``, in nats; beyond the grid it falls on as at the grid's end."""
        v = np.broadcast_to(np.asarray(value, dtype=np.float64), _shape(value, len(self.nodes)))
        flat = v.reshape(len(v), -1)
        at = (flat - self.nodes[:, :1]) / self._step[:, None]
        left = np.clip(np.floor(at), 0, self.nodes.shape[1] - 2).astype(np.int64)
        log = np.log(np.maximum(self.weights, 1e-300))
        low, high = np.take_along_axis(log, left, 1), np.take_along_axis(log, left + 1, 1)
        area = np.log(self.weights.sum(axis=1) * self._step)
        return np.asarray((low + (at - left) * (high - low) - area[:, None]).reshape(v.shape))

    def sample(self, draws: int, seed: int | None = None) -> Array:
        """Random values (n, draws)."""
        return self.ppf(np.random.default_rng(seed).random((len(self.nodes), draws)))


def _shape(value: float | Array, n: int) -> tuple[int, ...]:
    return (n,) if np.ndim(value) < 2 else np.shape(value)


def _by_row(x: Array, y: Array, at: Array) -> Array:
    """Linear interpolation of ascending x to y (n, G), at values (n,) or (n, d)."""
    out = np.empty(at.shape)
    for row, (xs, ys, where) in enumerate(zip(x, y, at, strict=True)):
        out[row] = np.interp(where, xs, ys)
    return out


def value(coefficients: Array, u: Array) -> Array:
    """Polynomials (n, k + 1), lowest power first, at u (n, G)."""
    out = np.zeros(u.shape)
    for c in coefficients.T[::-1]:
        out = out * u + c[:, None]
    return out


def draw(coefficients: Array, rng: np.random.Generator) -> Array:
    """A random value (n,) of the density of each polynomial (n, k + 1), by the inverse of its distribution function."""
    low, high = _support(coefficients, SHALLOW)
    u = np.linspace(low, high, FEW, axis=1)
    F = value(coefficients, u)
    density = np.exp(F.min(axis=1, keepdims=True) - F)
    below = np.zeros(u.shape)
    np.cumsum((density[:, 1:] + density[:, :-1]) / 2, axis=1, out=below[:, 1:])
    p = rng.random(len(u)) * below[:, -1]
    at = np.clip((below < p[:, None]).sum(axis=1) - 1, 0, FEW - 2)
    rows = np.arange(len(u))
    step = below[rows, at + 1] - below[rows, at]
    return np.asarray(u[rows, at] + (u[:, 1] - u[:, 0]) * (p - below[rows, at]) / np.where(step > 0, step, 1.0))


def _support(coefficients: Array, depth: float = DEPTH) -> tuple[Array, Array]:
    """Ends (n,) of where exp(−F) is."""
    n = len(coefficients)
    low, high = np.full(n, -REACH), np.full(n, REACH)
    for _ in range(ZOOMS):
        u = np.linspace(low, high, COARSE, axis=1)
        F = value(coefficients, u)
        there = F.min(axis=1, keepdims=True) + depth > F
        first, last = np.argmax(there, axis=1), COARSE - 1 - np.argmax(there[:, ::-1], axis=1)
        step = u[:, 1] - u[:, 0]
        low, high = low + (first - 1) * step, low + (last + 1) * step
    return low, high


def log_integral(coefficients: Array) -> Array:
    """ln ∫ exp(−F) du of polynomials (n, k + 1): (n,)."""
    low, high = _support(coefficients)
    u = np.linspace(low, high, NODES, axis=1)
    F = value(coefficients, u)
    least = F.min(axis=1)
    return np.asarray(np.log(np.exp(least[:, None] - F).sum(axis=1) * (u[:, 1] - u[:, 0])) - least)


def mixture(coefficients: Array) -> tuple[Array, Array]:
    """Nodes and density (n, G) of the average of D densities, given by polynomials (n, D, k + 1)."""
    n, draws, k = coefficients.shape
    low, high = _support(coefficients.reshape(n * draws, k))
    u = np.linspace(low.reshape(n, draws).min(axis=1), high.reshape(n, draws).max(axis=1), NODES, axis=1)
    density = np.zeros(u.shape)
    for d in range(draws):
        F = value(coefficients[:, d], u)
        part = np.exp(F.min(axis=1, keepdims=True) - F)
        density += part / part.sum(axis=1, keepdims=True)
    return u, density / (density.sum(axis=1, keepdims=True) * (u[:, 1] - u[:, 0])[:, None])
