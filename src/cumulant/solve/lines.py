"""Densities exp(−F)/Z of one field of which F is a polynomial, row by row, by quadrature."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cumulant.theory.zoom import ENDLESS, rule, zoomed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["NODES", "GridDensity", "draw", "interpolated", "log_integral", "log_sum", "mixture", "on_nodes", "shares"]

# Nodes of a row: a sum over them is exact to all digits where the density vanishes at both ends.
NODES = 129
# Where F is that far above its minimum, nothing is left of exp(−F). Where to look for it, in standard units, and on how
# many nodes, more and more closely.
DEPTH, REACH, COARSE = 40.0, 30.0, (41, 21, 21)
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
        How unknown fields of each row were integrated out (n,): ``"diagrams"``, ``"quadrature"``, also where there were
        none, or ``"sampling"``. None where there is no choice.
    ends
        Where the column ends, beyond which the density is 0 (2,).
    """

    name: str
    nodes: Array
    weights: Array
    how: NDArray[np.str_] | None = None
    ends: Array = field(default_factory=ENDLESS.copy)

    @property
    def mean(self) -> Array:
        """(n,)."""
        return np.asarray((self.nodes * self._shares).sum(axis=1))

    @property
    def sd(self) -> Array:
        """Standard deviation (n,)."""
        return np.asarray(np.sqrt(((self.nodes - self.mean[:, None]) ** 2 * self._shares).sum(axis=1)))

    @cached_property
    def _shares(self) -> Array:
        """Probability at each node (n, G)."""
        return shares(self.weights, self.ends)

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
        """Log density at ``value``, in nats; beyond the grid it falls on as at its end, until the column ends."""
        v = np.broadcast_to(np.asarray(value, dtype=np.float64), _shape(value, len(self.nodes)))
        flat = v.reshape(len(v), -1)
        at = (flat - self.nodes[:, :1]) / self._step[:, None]
        left = np.clip(np.floor(at), 0, self.nodes.shape[1] - 2).astype(np.int64)
        log = np.log(np.maximum(self.weights, 1e-300))
        low, high = np.take_along_axis(log, left, 1), np.take_along_axis(log, left + 1, 1)
        area = np.log(self.weights @ rule(self.weights.shape[1], self.ends) * self._step)
        found = (low + (at - left) * (high - low) - area[:, None]).reshape(v.shape)
        return np.where((v < self.ends[0]) | (v > self.ends[1]), -np.inf, found)

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


def shares(weights: Array, ends: Array = ENDLESS) -> Array:
    """Probability at equidistant nodes from the density there (n, G), in any unit."""
    parts = weights * rule(weights.shape[1], ends)
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


@lru_cache
def _vandermonde(power: int, nodes: int) -> Array:
    return np.asarray(np.linspace(-1.0, 1.0, nodes) ** np.arange(power + 1)[:, None])


def on_nodes(coefficients: Array, low: Array, high: Array, nodes: int) -> Array:
    """Polynomials (n, k + 1, …), lowest power first, on equidistant nodes between ends (n,): (n, …, G)."""
    c = np.moveaxis(coefficients, 1, 0).copy()
    ones = (-1, *(1,) * (c.ndim - 2))
    middle, half, k = ((low + high) / 2).reshape(ones), ((high - low) / 2).reshape(ones), len(c) - 1
    # About the middle, in units of half the length, the nodes are the same for all.
    for lowest in range(k):
        for power in range(k - 1, lowest - 1, -1):
            c[power] += middle * c[power + 1]
    for power in range(1, k + 1):
        c[power:] *= half
    return np.tensordot(c, _vandermonde(k, nodes), axes=(0, 0))


def draw(coefficients: Array, rng: np.random.Generator, ends: Array = ENDLESS) -> Array:
    """A random value (n,) of the density of each polynomial (n, k + 1), by the inverse of its distribution function."""
    low, high = _support(coefficients, ends, SHALLOW)
    F = on_nodes(coefficients, low, high, FEW)
    density = np.exp(F.min(axis=1, keepdims=True) - F)
    below = np.zeros(F.shape)
    np.cumsum((density[:, 1:] + density[:, :-1]) / 2, axis=1, out=below[:, 1:])
    p = rng.random(len(F)) * below[:, -1]
    at = np.clip((below < p[:, None]).sum(axis=1) - 1, 0, FEW - 2)
    rows = np.arange(len(F))
    share = below[rows, at + 1] - below[rows, at]
    into = at + (p - below[rows, at]) / np.where(share > 0, share, 1.0)
    return np.asarray(low + (high - low) / (FEW - 1) * into)


def _support(coefficients: Array, ends: Array, depth: float = DEPTH) -> tuple[Array, Array]:
    """Ends (n,) of where exp(−F) is."""
    reach = np.full(len(coefficients), REACH)
    # Nodes must lie closer where the density breaks off.
    depth = min(depth, SHALLOW) if np.isfinite(ends).any() else depth
    return zoomed(lambda *at: on_nodes(coefficients, *at), reach, depth=depth, nodes=COARSE, ends=ends)


def log_integral(coefficients: Array, ends: Array = ENDLESS) -> Array:
    """ln ∫ exp(−F) du of polynomials (n, k + 1) between the ends (2,) of u: (n,)."""
    low, high = _support(coefficients, ends)
    return log_sum(on_nodes(coefficients, low, high, NODES), low, high, ends)


def log_sum(F: Array, low: Array, high: Array, ends: Array) -> Array:
    """ln ∫ exp(−F), of F at nodes (n, G) from low to high (n,), beyond which nothing is left or the field ends (2,)."""
    least = F.min(axis=1)
    total = np.exp(least[:, None] - F) @ rule(F.shape[1], ends)
    return np.asarray(np.log(total * (high - low) / (F.shape[1] - 1)) - least)


def interpolated(F: Array, low: Array, high: Array, ends: Array) -> tuple[Array, Array]:
    """Nodes and density exp(−F)/Z (n, NODES), of F at fewer nodes (n, G), as for `log_sum`."""
    from scipy.interpolate import CubicSpline

    share, fine = np.linspace(0.0, 1.0, F.shape[1]), np.linspace(0.0, 1.0, NODES)
    # Far up a wall F may be anything; a spline must not ring from there.
    between = CubicSpline(share, np.minimum(F - F.min(axis=1, keepdims=True), DEPTH), axis=1)(fine)
    weights = np.exp(-np.maximum(between, -1.0))
    step = (high - low) / (NODES - 1)
    return np.linspace(low, high, NODES, axis=1), weights / (weights @ rule(NODES, ends) * step)[:, None]


def mixture(coefficients: Array, ends: Array = ENDLESS) -> tuple[Array, Array]:
    """Nodes and density (n, G) of the average of D densities, given by polynomials (n, D, k + 1) between ends (2,)."""
    n, draws, k = coefficients.shape
    low, high = _support(coefficients.reshape(n * draws, k), ends)
    low, high = low.reshape(n, draws).min(axis=1), high.reshape(n, draws).max(axis=1)
    density = np.zeros((n, NODES))
    for d in range(draws):
        F = on_nodes(coefficients[:, d], low, high, NODES)
        part = np.exp(F.min(axis=1, keepdims=True) - F)
        density += part / (part @ rule(NODES, ends))[:, None]
    step = (high - low) / (NODES - 1)
    return np.linspace(low, high, NODES, axis=1), density / (draws * step)[:, None]
