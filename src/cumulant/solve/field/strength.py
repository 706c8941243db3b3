"""The strength of the fluctuation about a field, where it varies: ln of squared left-out residuals as a field of x.

Half of what that field says is believed at most: it is judged by the same rows that its metric was adapted to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.field.conditioning import heavy_tailed
from cumulant.solve.field.evidence import Hyper, adapted, started
from cumulant.theory.averaged import averaged_alike
from cumulant.theory.propagators import Linear, Matern, Propagator, from_plain, to_plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["FEWEST_ROWS", "Strength", "strength_of"]

BELIEFS = (0.5, 0.25)
# A left-out row must be likelier by so many nats on average.
WORTH = 0.005
FEWEST_ROWS = 40
STEPS, START_NOISE = 20, 1.0
# Residuals below this part of the typical one are rounding; and no row is e^±3 as noisy as is typical.
FLOOR, FURTHEST = 0.1, 3.0


@dataclass(frozen=True, eq=False)
class Strength:
    """ln η² over its mean, a field of the inputs and the mean field.

    Parameters
    ----------
    hyper
        Its propagator, metric and noise.
    rows
        Standardised inputs (n, p).
    level
        The mean field of those rows, each left out (n,).
    dual
        (K + N)⁻¹ of standardised ln η² (n,).
    spread
        Standard deviation of ln η².
    belief
        How much of it is believed.
    """

    hyper: Hyper
    rows: Array
    level: Array
    dual: Array
    spread: float
    belief: float

    @cached_property
    def _z(self) -> Array:
        return self.hyper.mapped(self.features(self.rows, self.level))

    def features(self, x: Array, mean: Array) -> Array:
        """Inputs (n, p) and, standardised too, the mean field (n,)."""
        return np.column_stack([x, (mean - self.level.mean()) / (self.level.std() or 1.0)])

    def factor(self, x: Array, mean: Array) -> Array:
        """Variance over the typical one (n,)."""
        z = self.hyper.mapped(self.features(x, mean))
        return self.of(self.hyper.propagator(z, self._z) @ self.dual * self.spread)

    def of(self, logs: Array) -> Array:
        """Variance over the typical one, of ln η² over its mean."""
        return np.asarray(np.exp(self.belief * np.clip(logs, -FURTHEST, FURTHEST)))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data, but for the rows."""
        h = self.hyper
        arrays = {"metric": h.metric, "amplitudes": h.amplitudes, "level": self.level, "dual": self.dual}
        parts = [to_plain(part) for part in h.parts]
        return arrays, {"parts": parts, "noise": h.noise, "spread": self.spread, "belief": self.belief}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any], rows: Array) -> Strength:
        """The strength that `to_state` described."""
        parts = tuple(from_plain(part) for part in meta["parts"])
        hyper = Hyper(parts, arrays["amplitudes"], arrays["metric"], float(meta["noise"]))
        return cls(hyper, rows, arrays["level"], arrays["dual"], float(meta["spread"]), float(meta["belief"]))


def strength_of(
    x: Array, level: Array, u: Array, some: NDArray[np.int64], hyper: Hyper | None, like: Propagator
) -> tuple[Strength, Array] | None:
    """The strength of studentised residuals, and its factor for each row from the others; None where it is constant.

    Parameters
    ----------
    x, level, u
        Inputs (n, p), left-out means (n,) and residuals of about unit size (n,).
    some
        Rows that the hyper-parameters are adapted on, where ``hyper`` is None.
    hyper
        Those of another field about the same target, which serve as well.
    like
        A propagator that is averaged over a group, if one acts.
    """
    typical = float(np.median(np.abs(u)))
    logs = np.log(u**2 + (FLOOR * typical) ** 2)
    spread = float(logs.std())
    if not spread > 0:
        return None
    g, ones = (logs - logs.mean()) / spread, np.ones(len(u))
    parts = tuple(averaged_alike(part, like, 1) for part in (Matern(2.5), Linear()))
    found = Strength(hyper or started(parts, x.shape[1] + 1), x, level, g, spread, 0.0)
    if hyper is None:
        features, start = found.features(x, level)[some], replace(found.hyper, noise=START_NOISE)
        adapted_to, _ = adapted(features, g[some], ones[some], 0 * g[some], start, STEPS, each=True)
        found = replace(found, hyper=adapted_to)
    known = found.hyper.conditioned(found.hyper.mapped(found.features(x, level)), g, ones)
    if known is None:
        return None
    found, unseen = replace(found, dual=known.dual), (g - known.left_out[0]) * spread
    best, score = None, _score(u, ones) + WORTH
    for belief in BELIEFS:
        tried = replace(found, belief=belief)
        factor = tried.of(unseen)
        if _score(u, factor) > score:
            best, score = (tried, factor), _score(u, factor)
    return best


def _score(u: Array, factor: Array) -> float:
    z = u / np.sqrt(factor)
    return float((heavy_tailed(z).log_density(z) - 0.5 * np.log(factor)).mean())
