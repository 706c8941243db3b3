"""The law of a target whose mean bends: p(x) Gaussian, p(y | x) about a polynomial ȳ(x)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.lift import Lifted
from cumulant.solve.linear import conditional
from cumulant.solve.predictive import Fields, Predictive, patterns, predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.law import Density

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Conditional = Callable[[Array, Index, str], Density]

__all__ = ["TaylorLaw"]

# Points that stand for inputs which are not known: mean and spread over them are good to a few per cent.
DRAWS = 128
# Numbers in the monomials of the rows that are worked on at once.
BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class TaylorLaw:
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    base
        The Gaussian law of all fields, which answers every question but those about the target.
    target
        The field whose mean is a polynomial of the others.
    lifted
        Its monomials.
    terms
        Second moments of the monomials and, last, the target.
    visible
        The fields of ``base`` that are left (p,); others are fixed or integrated out.
    fixed
        Value of each field of ``base`` that is fixed, NaN elsewhere.
    """

    base: GaussianLaw
    target: int
    lifted: Lifted
    terms: Fields
    visible: Index
    fixed: Array

    @staticmethod
    def of(base: Fields, target: int, lifted: Lifted, terms: Fields) -> TaylorLaw:
        """The law of all fields of ``base``."""
        p = len(base.mean)
        return TaylorLaw(GaussianLaw(base), target, lifted, terms, np.arange(p), np.full(p, np.nan))

    # ------------------------------------------------------------------ the Gaussian part

    @property
    def gaussian(self) -> GaussianLaw:
        """The Gaussian law of what is visible: linear in every direction."""
        observed = np.flatnonzero(~np.isnan(self.fixed))
        return self.base.condition(observed, self.fixed[observed], self.visible)

    @property
    def mean(self) -> Array:
        """Mean of each field (p,)."""
        return self.gaussian.mean

    @property
    def covariance(self) -> Array:
        """Covariance of the fields (p, p), as measured."""
        return self.gaussian.covariance

    @property
    def precision(self) -> Array:
        """Inverse of the covariance (p, p)."""
        return self.gaussian.precision

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.base.count

    # ------------------------------------------------------------------ F

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Coefficients of F = ½ (y − ȳ(x))²/σ² + ½ (x − μ)ᵀ K (x − μ), multiplied out.

        Raises
        ------
        OptionError
            Fields were fixed or integrated out, which leaves no polynomial.
        """
        p = len(self.base.mean)
        if len(self.visible) < p:
            raise OptionError("F is a polynomial of all fields only; ask the model that was fitted for its couplings")
        x = np.delete(np.arange(p), self.target)
        origin = self.base.mean if about == "mean" else np.zeros(p)
        bend = self._polynomial(origin)
        bend[self.target,] = bend.get((self.target,), 0.0) + 1.0
        half = 0.5 / self.residual_variance
        out: dict[tuple[int, ...], float] = {}
        for (a, va), (b, vb) in _pairs(bend):
            key = tuple(sorted(a + b))
            if key:
                out[key] = out.get(key, 0.0) + half * va * vb
        for key, value in self.base.marginal(x).couplings(about).items():
            named = tuple(int(x[i]) for i in key)
            out[named] = out.get(named, 0.0) + value
        return {key: out[key] for key in sorted(out, key=lambda k: (len(k), k))}

    def _polynomial(self, origin: Array) -> dict[tuple[int, ...], float]:
        """Coefficients of y − ȳ in the deviations from ``origin``, but for y's own."""
        m = len(self.lifted)
        beta = conditional(self.terms.covariance, np.arange(m), np.array([m])).coefficients[:, 0]
        offset = (origin - self.lifted.reference) / self.lifted.scale
        constant = origin[self.target] - self.terms.mean[-1] + beta @ self.terms.mean[:-1]
        out: dict[tuple[int, ...], float] = {(): float(constant)}
        for factors, coefficient in zip(self.lifted.factors, beta, strict=True):
            for key, value in _expanded(factors[factors >= 0], offset, self.lifted.scale):
                out[key] = out.get(key, 0.0) - float(coefficient * value)
        return out

    @property
    def residual_variance(self) -> float:
        """Variance of a new value about ȳ at the mean of the terms, in the units of the target squared."""
        _, scale, _ = predict(self.terms, np.append(self.terms.mean[:-1], np.nan)[None, :], self._last)
        return float(scale[0, 0]) ** 2

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
        unit = np.append(np.append(self.lifted.scale, 1.0)[self.lifted.factors].prod(axis=1), 1.0)
        g, square = self.terms, np.outer(unit, unit)
        measured = None if g.measured is None else g.measured * square
        fields = replace(g, mean=g.mean * unit, covariance=g.covariance * square, measured=measured)
        used = np.unique(self.lifted.factors[self.lifted.factors >= 0])
        reference = {names[i]: float(self.lifted.reference[i]) for i in used}
        return [_named(f, names) for f in self.lifted.factors] + [names[self.target]], fields, reference

    # ------------------------------------------------------------------ fewer fields

    def condition(self, observed: Index, values: Array, rest: Index) -> TaylorLaw | GaussianLaw:
        """The law of ``rest``; of a Gaussian where the target is not among them."""
        place = self.visible[rest]
        if self.target not in place:
            return self.gaussian.condition(observed, values, rest)
        fixed = self.fixed.copy()
        fixed[self.visible[observed]] = values
        return replace(self, visible=place, fixed=fixed)

    def marginal(self, at: Index) -> TaylorLaw | GaussianLaw:
        """The law of some fields, the others integrated out."""
        return self.condition(np.zeros(0, dtype=np.int64), np.zeros(0), at)

    # ------------------------------------------------------------------ prediction

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        if self.asks_others(at):
            return self.gaussian.expect(x, at)
        return self._predict(self.full(x), scales=False)[0]

    def density(self, x: Array, at: Index, name: str) -> Predictive:
        """A Student t about the polynomial; inputs that are not known are averaged over."""
        if self.asks_others(at):
            return self.gaussian.density(x, at, name)
        return Predictive(name, *self._predict(self.full(x), scales=True))

    def asks_others(self, at: Index) -> bool:
        """Whether a question is not about the target."""
        return int(self.visible[at[0]]) != self.target

    def full(self, x: Array) -> Array:
        """Rows of all fields of ``base``, the target unknown."""
        out = np.tile(self.fixed, (len(x), 1))
        out[:, self.visible] = x
        out[:, self.target] = np.nan
        return out

    def mean_and_inflation(self, x: Array) -> tuple[Array, Array]:
        """ȳ and the variance of a new value over that of the residuals, for rows of all fields (n, p)."""
        mean, scale, _ = self._predict(self._without_target(x), scales=True)
        return mean, np.asarray(scale**2 / self.residual_variance)

    def features(self, x: Array) -> Array:
        """Rows of all fields (n, p), unknown ones at their Gaussian mean, with ȳ in the place of the target."""
        bare = self._without_target(x)
        out = self.base.fill(bare)
        out[:, self.target] = self._predict(bare, scales=False)[0]
        return out

    def _without_target(self, x: Array) -> Array:
        out = x.copy()
        out[:, self.target] = np.nan
        return out

    def contributions(self, x: Array) -> Array:
        """What each term adds to ȳ, in the units of the target, for rows of all fields (n, p): (n, M).

        They add up to ȳ less the mean of the target. Inputs that are not known are averaged over.
        """
        last = self._last
        beta = conditional(self.terms.covariance, np.arange(len(self.lifted)), last).coefficients[:, 0]
        out = np.empty((len(x), len(self.lifted)))
        for here, points, filled in self._filled(self._without_target(x)):
            terms = self.lifted.forward(filled).reshape(len(here), points, -1).mean(axis=1)
            out[here] = (terms - self.terms.mean[:-1]) * beta
        return out

    def spread(self) -> Array:
        """Standard deviation over rows of what each term adds to ȳ, in the units of the target (M,)."""
        g = self.terms
        beta = conditional(g.covariance, np.arange(len(self.lifted)), self._last).coefficients[:, 0]
        measured = g.covariance if g.measured is None else g.measured
        return np.asarray(np.abs(beta) * np.sqrt(np.diag(measured)[:-1]))

    def _predict(self, x: Array, *, scales: bool) -> tuple[Array, Array, Array]:
        n = len(x)
        mean, scale, degrees = np.empty(n), np.full(n, np.nan), np.full(n, np.nan)
        for here, points, filled in self._filled(x):
            m, s, df = (a.reshape(len(here), points) for a in self._on_terms(filled, scales=scales))
            mean[here] = m.mean(axis=1)
            if scales:
                scale[here] = np.sqrt((s**2).mean(axis=1) + m.var(axis=1))
                degrees[here] = df[:, 0]
        return mean, scale, degrees

    def _filled(self, x: Array) -> Iterator[tuple[Index, int, Array]]:
        """Which rows, how many points stand for each, and these points with no input unknown."""
        needed = np.unique(self.lifted.factors[self.lifted.factors >= 0])
        for rows, observed in patterns(x):
            block, at = x[rows], np.arange(len(x))[rows]
            hidden = np.setdiff1d(needed, observed)
            points = DRAWS if len(hidden) else 1
            step = max(1, BLOCK // (points * max(len(self.lifted), 1)))
            for start in range(0, len(block), step):
                some = block[start : start + step]
                filled = self._drawn(some, observed, hidden) if len(hidden) else some
                yield at[start : start + step], points, filled

    def _on_terms(self, x: Array, *, scales: bool) -> tuple[Array, Array, Array]:
        terms = np.column_stack([self.lifted.forward(x), np.full(len(x), np.nan)])
        mean, scale, degrees = predict(self.terms, terms, self._last, scales=scales)
        return mean[:, 0], scale[:, 0], degrees

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

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category, by the Gaussian law."""
        return self.gaussian.probabilities(x, indicators)

    # ------------------------------------------------------------------ the joint distribution

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """ln p(x) of the Gaussian law and ln p(y | x) of the bent one (n,)."""
        return self.joint_log_prob(x, categories, self.density)

    def joint_log_prob(self, x: Array, categories: list[Index], density: Conditional) -> Array:
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

    def joint_sample(self, n: int, categories: list[Index], rng: np.random.Generator, density: Conditional) -> Array:
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
        return arrays, {"target": self.target, "base": about_base, "terms": about_terms}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> TaylorLaw:
        """The law that `to_state` described."""
        terms = {name.removeprefix("terms."): a for name, a in arrays.items() if name.startswith("terms.")}
        return cls(
            GaussianLaw.from_state(arrays, meta["base"]),
            int(meta["target"]),
            Lifted(arrays["factors"], arrays["reference"], arrays["scale"]),
            GaussianLaw.from_state(terms, meta["terms"]).fields,
            arrays["visible"],
            arrays["fixed"],
        )


def _named(factors: Index, names: Sequence[str]) -> str:
    powers = Counter(names[f] for f in factors if f >= 0)
    return "·".join(name + ("" if n == 1 else "⁰¹²³⁴⁵⁶⁷⁸⁹"[n]) for name, n in powers.items())


def _points(dimensions: int) -> Array:
    """Evenly spread standard normal points (DRAWS, dimensions), the same every time, mean zero."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    half = qmc.Sobol(dimensions, seed=0).random(DRAWS // 2)
    normal = ndtri(np.clip(half, 1e-9, 1 - 1e-9))
    return np.concatenate([normal, -normal])


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
