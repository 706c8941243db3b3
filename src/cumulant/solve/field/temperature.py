"""How strong fluctuations are near a row: from what rows around it were off by, when they were left out.

A field's own variance v says how far a row is from others, not how noisy they are. With t² the squared residual of a
row that was left out over its variance, and τ the mean of t² over the nearest rows, the variance of a new value is
v^a τ^b, a local temperature. Number of rows and powers are those that make left-out rows most likely; a = 1 and b = 0,
a field as it stands, is among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.field.conditioning import heavy_tailed
from cumulant.theory.propagators import squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["NEIGHBOURS", "Temperature", "nearest_means"]

NEIGHBOURS = (10, 30, 100)
BY_VARIANCE = (0.5, 1.0, 1.5, 2.0, 2.5)
BY_HEAT = (0.0, 0.25, 0.5, 0.75, 1.0)
# Rows that powers are chosen on, and what is left of a temperature that would be zero.
CHOSEN_ON, LEAST = 4000, 1e-6
# Distances held at once.
AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Temperature:
    """v^a τ^b.

    Parameters
    ----------
    neighbours
        Rows that τ is a mean over.
    by_variance, by_heat
        a and b.
    """

    neighbours: int
    by_variance: float
    by_heat: float

    @staticmethod
    def of(residual: Array, variance: Array, means: Array) -> Temperature:
        """Of rows that were left out (n,), with τ over each of ``NEIGHBOURS`` (n, 3)."""
        step = max(1, len(residual) // CHOSEN_ON)
        e, v, tau = residual[::step], variance[::step], means[::step]

        def score(k: int, a: float, b: float) -> float:
            size = np.sqrt(_combined(v, tau[:, k], a, b))
            return float(heavy_tailed(e / size).log_density(e / size).sum() - np.log(size).sum())

        def best(options: list[tuple[int, float, float]]) -> tuple[int, float, float]:
            return max(options, key=lambda option: score(*option))

        k, _, b = best([(k, 1.0, b) for k in range(len(NEIGHBOURS)) for b in BY_HEAT])
        k, a, b = best([(k, a, b) for a in BY_VARIANCE])
        k, a, b = best([(k, a, b) for b in BY_HEAT])
        return Temperature(NEIGHBOURS[k], a, b)

    def __call__(self, variance: Array, tau: Array) -> Array:
        """Variance of new values (n,), up to a factor that the shape of fluctuations holds."""
        return _combined(variance, tau, self.by_variance, self.by_heat)


def _combined(variance: Array, tau: Array, a: float, b: float) -> Array:
    return np.asarray(variance**a * np.maximum(tau, LEAST) ** b)


def nearest_means(z: Array, rows: Array, values: Array, counts: tuple[int, ...], own: Index | None = None) -> Array:
    """Means of ``values`` (n,) over the nearest of ``rows`` (n, r) to each of z (m, r), a column a number.

    Where z are ``own`` (m,) of the rows, none is near itself.
    """
    most = min(max(counts), len(rows) - (own is not None))
    out = np.empty((len(z), len(counts)))
    if most < 1:
        out[:] = values.mean() if len(values) else 1.0
        return out
    step = max(1, AT_ONCE // len(rows))
    for first in range(0, len(z), step):
        square = squared_distances(z[first : first + step], rows)
        if own is not None:
            square[np.arange(len(square)), own[first : first + step]] = np.inf
        at = np.argpartition(square, most - 1, axis=1)[:, :most]
        at = np.take_along_axis(at, np.argsort(np.take_along_axis(square, at, axis=1), axis=1), axis=1)
        total = np.cumsum(values[at], axis=1)
        for j, count in enumerate(counts):
            some = min(count, most)
            out[first : first + step, j] = total[:, some - 1] / some
    return out
