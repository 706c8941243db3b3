"""The law of a target whose mean bends: p(x) Gaussian, p(y | x) about a polynomial ȳ(x)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.lift import Lifted
from cumulant.solve.linear import Conditional
from cumulant.solve.predictive import Fields, Predictive, leverage, residual_variance
from cumulant.solve.target_law import TargetLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["TaylorLaw", "together"]

# Numbers in the monomials of the rows that are worked on at once.
BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class TaylorLaw(TargetLaw):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    base, target, visible, fixed
        As for every `TargetLaw`.
    lifted
        Monomials of the other fields, which the mean of the target is a sum of.
    terms
        Second moments of the monomials and, last, the target.
    """

    lifted: Lifted
    terms: Fields

    @staticmethod
    def of(base: Fields, target: int, lifted: Lifted, terms: Fields) -> TaylorLaw:
        """The law of all fields of ``base``."""
        p = len(base.mean)
        return TaylorLaw(GaussianLaw(base), target, np.arange(p), np.full(p, np.nan), lifted, terms)

    # ------------------------------------------------------------------ F

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Coefficients of F = ½ (y − ȳ(x))²/σ² + ½ (x − μ)ᵀ K (x − μ), multiplied out.

        Raises
        ------
        OptionError
            Fields were fixed or integrated out, which leaves no polynomial.
        """
        p = len(self.base.mean)
        x = np.delete(np.arange(p), self.target)
        return together(self.bend(about), self.base.marginal(x).couplings(about), x)

    def bend(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of ½ (y − ȳ(x))²/σ² alone.

        Raises
        ------
        OptionError
            Fields were fixed or integrated out, which leaves no polynomial.
        """
        p = len(self.base.mean)
        if len(self.visible) < p:
            raise OptionError("F is a polynomial of all fields only; ask the model that was fitted for its couplings")
        bend = self._polynomial(self.base.mean if about == "mean" else np.zeros(p))
        bend[self.target,] = bend.get((self.target,), 0.0) + 1.0
        half = 0.5 / self.residual_variance
        out: dict[tuple[int, ...], float] = {}
        for (a, va), (b, vb) in _pairs(bend):
            key = tuple(sorted(a + b))
            if key:
                out[key] = out.get(key, 0.0) + half * va * vb
        return out

    def _polynomial(self, origin: Array) -> dict[tuple[int, ...], float]:
        """Coefficients of y − ȳ in the deviations from ``origin``, but for y's own."""
        beta = self._given.coefficients[:, 0]
        offset = (origin - self.lifted.reference) / self.lifted.scale
        constant = origin[self.target] - self.terms.mean[-1] + beta @ self.terms.mean[:-1]
        out: dict[tuple[int, ...], float] = {(): float(constant)}
        for factors, coefficient in zip(self.lifted.factors, self.lifted.spread(beta), strict=True):
            for key, value in _expanded(factors[factors >= 0], offset, self.lifted.scale):
                out[key] = out.get(key, 0.0) - float(coefficient * value)
        return out

    @property
    def residual_variance(self) -> float:
        """Variance of a new value about ȳ at the mean of the terms, in the units of the target squared."""
        return self._noise[0] * (1 + 1 / self.terms.count + self.terms.leverage)

    @cached_property
    def _given(self) -> Conditional:
        """The target given all terms."""
        return self.terms.given(np.arange(len(self.lifted)), self._last)

    @cached_property
    def _noise(self) -> tuple[float, float]:
        """Variance of the residuals, and its degrees of freedom."""
        variance, df = residual_variance(self.terms, self._given, np.arange(len(self.lifted)), self._last)
        return float(variance[0]), df

    @property
    def _last(self) -> Index:
        return np.array([len(self.lifted)])

    def regression(self, names: Sequence[str]) -> tuple[list[str], Fields, dict[str, float]]:
        """The terms by name, and last the target; their second moments; and the reference point of each factor.

        A factor is a field less its reference point, in the units of the field.

        Raises
        ------
        OptionError
            Fields were fixed or integrated out.
        """
        if len(self.visible) < len(self.base.mean):
            raise OptionError("the terms of a mean are those of the model that was fitted; summarise that one")
        terms = self.lifted.terms
        # What a symmetry adds up has the same units.
        unit = np.append(np.append(self.lifted.scale, 1.0)[terms].prod(axis=1), 1.0)
        g, square = self.terms, np.outer(unit, unit)
        measured = None if g.measured is None else g.measured * square
        fields = replace(g, mean=g.mean * unit, covariance=g.covariance * square, measured=measured)
        used = np.unique(self.lifted.factors[self.lifted.factors >= 0])
        reference = {names[i]: float(self.lifted.reference[i]) for i in used}
        words = [_named(f, names, n) for f, n in zip(terms, self.lifted.sizes.tolist(), strict=True)]
        return [*words, names[self.target]], fields, reference

    # ------------------------------------------------------------------ prediction

    def mean_of(self, x: Array) -> Array:
        """ȳ (n,) for rows of all fields (n, p)."""
        return self._predict(x, scales=False)[0]

    def density_of(self, x: Array, name: str) -> Predictive:
        """A Student t about the polynomial."""
        return Predictive(name, *self._predict(x, scales=True))

    def mean_and_inflation(self, x: Array) -> tuple[Array, Array]:
        """ȳ and the variance of a new value over that of the residuals, for rows of all fields (n, p)."""
        mean, scale, _ = self._predict(self.without_target(x), scales=True)
        return mean, np.asarray(scale**2 / self.residual_variance)

    def features(self, x: Array, mean: Array) -> Array:
        """Rows of all fields (n, p), unknown ones at their Gaussian mean, with ȳ (n,) in the place of the target."""
        out = self.base.fill(self.without_target(x))
        out[:, self.target] = mean
        return out

    def contributions(self, x: Array) -> Array:
        """What each term adds to ȳ, in the units of the target, for rows of all fields (n, p): (n, M).

        They add up to ȳ less the mean of the target. Inputs that are not known are averaged over.
        """
        beta = self._given.coefficients[:, 0]
        out = np.empty((len(x), len(self.lifted)))
        for here, points, filled in self._filled(self.without_target(x)):
            terms = self.lifted.forward(filled).reshape(len(here), points, -1).mean(axis=1)
            out[here] = (terms - self.terms.mean[:-1]) * beta
        return out

    def spread(self) -> Array:
        """Standard deviation over rows of what each term adds to ȳ, in the units of the target (M,)."""
        g = self.terms
        beta = self._given.coefficients[:, 0]
        measured = g.covariance if g.measured is None else g.measured
        return np.asarray(np.abs(beta) * np.sqrt(np.diag(measured)[:-1]))

    def _predict(self, x: Array, *, scales: bool) -> tuple[Array, Array, Array]:
        n = len(x)
        mean, scale = np.empty(n), np.full(n, np.nan)
        for here, points, filled in self._filled(x):
            deviation = self.lifted.forward(filled) - self.terms.mean[:-1]
            m = (self.terms.mean[-1] + deviation @ self._given.coefficients[:, 0]).reshape(len(here), points)
            mean[here] = m.mean(axis=1)
            if scales:
                inflation = 1 + 1 / self.terms.count + self.terms.leverage
                each = inflation + leverage(self.terms, self._given.observed, deviation).reshape(len(here), points)
                scale[here] = np.sqrt(self._noise[0] * each.mean(axis=1) + m.var(axis=1))
        return mean, scale, np.full(n, self._noise[1] if scales else np.nan)

    def _filled(self, x: Array) -> Iterator[tuple[Index, int, Array]]:
        needed = np.unique(self.lifted.factors[self.lifted.factors >= 0])
        return self.filled(x, needed, BLOCK // max(len(self.lifted.factors), 1))

    # ------------------------------------------------------------------ files

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        base, about_base = self.base.to_state()
        terms, about_terms = GaussianLaw(self.terms).to_state()
        arrays = {
            **base,
            **{f"terms.{name}": value for name, value in terms.items()},
            "factors": self.lifted.factors,
            "reference": self.lifted.reference,
            "scale": self.lifted.scale,
            "visible": self.visible,
            "fixed": self.fixed,
        }
        if self.lifted.sums is not None:
            arrays |= {f"sums.{name}": getattr(self.lifted.sums, name) for name in ("data", "indices", "indptr")}
        return arrays, {"target": self.target, "base": about_base, "terms": about_terms}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> TaylorLaw:
        """The law that `to_state` described."""
        terms = {name.removeprefix("terms."): a for name, a in arrays.items() if name.startswith("terms.")}
        return cls(
            GaussianLaw.from_state(arrays, meta["base"]),
            int(meta["target"]),
            arrays["visible"],
            arrays["fixed"],
            Lifted(arrays["factors"], arrays["reference"], arrays["scale"], _sums_from(arrays)),
            GaussianLaw.from_state(terms, meta["terms"]).fields,
        )


def together(
    couplings: dict[tuple[int, ...], float], others: dict[tuple[int, ...], float], at: Index
) -> dict[tuple[int, ...], float]:
    """The couplings of a sum of two F, in order; those of the second are of the fields ``at``."""
    out = dict(couplings)
    for key, value in others.items():
        named = tuple(int(at[i]) for i in key)
        out[named] = out.get(named, 0.0) + value
    return {key: out[key] for key in sorted(out, key=lambda k: (len(k), k))}


def _sums_from(arrays: dict[str, NDArray[Any]]) -> Any:
    """The sums that a symmetry leaves of the monomials, where there are any."""
    if "sums.indptr" not in arrays:
        return None
    from scipy import sparse

    parts = tuple(arrays[f"sums.{name}"] for name in ("data", "indices", "indptr"))
    return sparse.csr_array(parts, shape=(len(parts[2]) - 1, len(arrays["factors"])))


def _named(factors: Index, names: Sequence[str], size: int) -> str:
    powers = Counter(names[f] for f in factors if f >= 0)
    word = "·".join(name + ("" if n == 1 else "⁰¹²³⁴⁵⁶⁷⁸⁹"[n]) for name, n in powers.items())
    return word if size == 1 else f"Σ{size} {word}"


def _expanded(factors: Index, offset: Array, scale: Array) -> Iterator[tuple[tuple[int, ...], float]]:
    """Π (η_i/scale_i + offset_i) multiplied out."""
    for chosen in range(1 << len(factors)):
        key = tuple(int(f) for i, f in enumerate(factors) if chosen >> i & 1)
        value = 1.0
        for i, f in enumerate(factors):
            value *= 1 / scale[f] if chosen >> i & 1 else offset[f]
        if value:
            yield key, value


def _pairs(
    polynomial: dict[tuple[int, ...], float],
) -> Iterator[tuple[tuple[tuple[int, ...], float], tuple[tuple[int, ...], float]]]:
    items = list(polynomial.items())
    return ((a, b) for a in items for b in items)
