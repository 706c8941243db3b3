"""How targets fluctuate together about their means: a Gaussian copula of what rows, each left out, leave of each.

p(y₁, y₂, … | x) = Π p(y_a | x) · c(z), with z_a = Φ⁻¹(F_a(y_a | x)) and c the ratio of the normal density of
correlation R to that of independent z. The law of each target by itself stays what it is (Sklar, 1959).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Copula", "scores"]

# Beyond this part of a distribution on either side a value is as far out as it gets: rounding.
FURTHEST = 1e-12


@dataclass(frozen=True, eq=False)
class Copula:
    """Correlations of targets at fixed inputs.

    Parameters
    ----------
    targets
        Fields that they are of (k,).
    correlation
        R (k, k).
    """

    targets: Index
    correlation: Array

    @staticmethod
    def of(targets: Index, z: Array) -> Copula | None:
        """That of normal scores of rows left out (n, k); None where independence is as likely, by BIC.

        R is drawn towards independence as by k rows more, so that it is never singular.
        """
        n, k = z.shape
        if n <= k:
            return None
        centred = z - z.mean(axis=0)
        size = np.maximum(np.sqrt((centred**2).mean(axis=0)), 1e-300)
        raw = (centred / size).T @ (centred / size) / n
        correlation = (n * raw + k * np.eye(k)) / (n + k)
        gain = -0.5 * n * float(np.linalg.slogdet(correlation)[1])
        return Copula(targets, correlation) if gain > 0.25 * k * (k - 1) * np.log(n) else None

    def among(self, targets: Sequence[int]) -> Array:
        """R of some of the targets, in their order."""
        place = [self.targets.tolist().index(target) for target in targets]
        return self.correlation[np.ix_(place, place)]

    def log_density(self, targets: Sequence[int], z: Array) -> Array:
        """ln c (n,) at normal scores (n, k) of some of the targets; those that are not known (NaN) are left out."""
        out = np.zeros(len(z))
        known = ~np.isnan(z)
        for pattern in np.unique(known, axis=0):
            at, rows = np.flatnonzero(pattern), np.flatnonzero((known == pattern).all(axis=1))
            if len(at) > 1:
                r, some = self.among([targets[i] for i in at.tolist()]), z[np.ix_(rows, at)]
                pulled = np.einsum("ni,ij,nj->n", some, np.linalg.inv(r) - np.eye(len(at)), some)
                out[rows] = -0.5 * (pulled + np.linalg.slogdet(r)[1])
        return out

    def draw(self, targets: Sequence[int], n: int, rng: np.random.Generator) -> Array:
        """Probabilities (n, k), uniform each, of n rows of some of the targets."""
        from scipy.special import ndtr

        root = np.linalg.cholesky(self.among(targets))
        return np.asarray(ndtr(rng.standard_normal((n, len(targets))) @ root.T))

    def to_state(self) -> dict[str, NDArray[Any]]:
        """Arrays that determine it."""
        return {"copula.targets": self.targets, "copula.correlation": self.correlation}

    @staticmethod
    def from_state(arrays: dict[str, NDArray[Any]]) -> Copula | None:
        """What `to_state` wrote, if it did."""
        if "copula.targets" not in arrays:
            return None
        return Copula(arrays["copula.targets"], arrays["copula.correlation"])


def scores(probability: Array) -> Array:
    """Normal scores of probabilities."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(probability, FURTHEST, 1 - FURTHEST)))
