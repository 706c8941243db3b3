"""The law of second order: F = ½ (φ − μ)ᵀ K (φ − μ), everything in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.solve import joint
from cumulant.solve.linear import factor
from cumulant.solve.mixed import class_probabilities
from cumulant.solve.predictive import Fields, Predictive, effective_parameters, errors, fill, leverage, predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["GaussianLaw"]

COUNTS = ("count", "degrees", "mass", "fixed", "leverage", "equivalent")


@dataclass(frozen=True, eq=False)
class GaussianLaw:
    """A Gaussian of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    fields
        Mean, propagator, and how well they are known.
    """

    fields: Fields

    @property
    def mean(self) -> Array:
        """μ (p,)."""
        return self.fields.mean

    @property
    def covariance(self) -> Array:
        """The propagator G = K⁻¹ (p, p), prior included."""
        return self.fields.covariance

    @cached_property
    def precision(self) -> Array:
        """K (p, p); rows and columns of fields that add nothing to those before them are 0."""
        return factor(self.fields.covariance, self.fields.low).inverse()

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.fields.count

    @property
    def gaussian(self) -> GaussianLaw:
        """Itself."""
        return self

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """½K_ii and K_ij, and about the origin the first-order terms −Kμ."""
        k = self.precision
        out: dict[tuple[int, ...], float] = {}
        if about == "origin":
            out.update({(i,): float(f) for i, f in enumerate(-(k @ self.mean))})
        for i in range(len(k)):
            out[i, i] = float(k[i, i] / 2)
            out.update({(i, j): float(k[i, j]) for j in range(i + 1, len(k))})
        return out

    def condition(self, observed: Index, values: Array, rest: Index) -> GaussianLaw:
        """Mean μ_T + C_TO C_OO⁻¹ (x_O − μ_O), covariance C_TT − C_TO C_OO⁻¹ C_OT."""
        g = self.fields
        given = g.given(observed, rest)
        deviation = values - g.mean[observed]
        return GaussianLaw(
            replace(
                g,
                mean=g.mean[rest] + deviation @ given.coefficients,
                covariance=given.covariance,
                low=None,
                measured=None if g.measured is None else errors(g, given, observed, rest),
                fixed=g.fixed + effective_parameters(g, given.observed, observed),
                leverage=g.leverage + float(leverage(g, given.observed, deviation[None, :])[0]),
            )
        )

    def marginal(self, at: Index) -> GaussianLaw:
        """The others drop out of C."""
        g, square = self.fields, np.ix_(at, at)
        low = None if g.low is None else g.low[square]
        measured = None if g.measured is None else g.measured[square]
        return GaussianLaw(replace(g, mean=g.mean[at], covariance=g.covariance[square], low=low, measured=measured))

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return predict(self.fields, x, at, scales=False)[0][:, 0]

    def density(self, x: Array, at: Index, name: str) -> Predictive:
        """A Student t: residuals, and the uncertainty of the coefficients."""
        mean, scale, degrees = predict(self.fields, x, at)
        return Predictive(name, mean[:, 0], scale[:, 0], degrees)

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Linear discriminant analysis, which the joint moments already hold (n, 1 + k)."""
        return class_probabilities(self.fields, x, indicators)

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """Log density of rows in nats (n,)."""
        return joint.log_prob(self.fields, x, categories)

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p)."""
        return joint.sample(self.fields, n, categories, rng)

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        return fill(self.fields, x)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, symmetric ones packed, and counts."""
        g = self.fields
        square = {"covariance": g.covariance, "low": g.low, "measured": g.measured}
        packed = {name: storage.packed(value) for name, value in square.items() if value is not None}
        return {"mean": g.mean, **packed}, {name: float(getattr(g, name)) for name in COUNTS}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> GaussianLaw:
        """The law that `to_state` described."""
        p = len(arrays["mean"])
        square = {
            name: storage.unpacked(arrays[name], p) if name in arrays else None
            for name in ("covariance", "low", "measured")
        }
        covariance = square["covariance"]
        if covariance is None:
            raise KeyError("covariance")
        counts = {name: float(meta[name]) for name in COUNTS if name in meta}
        return cls(Fields(arrays["mean"], covariance, square["low"], measured=square["measured"], **counts))
