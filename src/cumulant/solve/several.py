"""The law of several targets, each known better than by its covariances: p(x) Gaussian, p(y₁, y₂, … | x) a product.

Targets are no inputs of each other, so that any of them can be predicted from x alone. Given x they are independent,
or have a copula beside the laws of each.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import numpy as np

from cumulant.solve.copula import Copula, scores
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import BySecondOrder
from cumulant.solve.target_law import TargetLaw
from cumulant.solve.taylor_law import TaylorLaw, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cumulant.solve.law import Density

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["SeveralLaw", "TaylorsLaw", "states_of"]

Own = TypeVar("Own", bound=TargetLaw)


class SeveralLaw(BySecondOrder, Generic[Own]):
    """The part of a `cumulant.solve.law.Law` that is the same for every product of laws of one target.

    Parameters
    ----------
    laws
        That of each target, of the same visible fields.
    copula
        How targets fluctuate together at fixed inputs; None where they are independent.
    """

    laws: Sequence[Own]
    copula: Copula | None = None

    @property
    def gaussian(self) -> GaussianLaw:
        """The Gaussian law of what is visible."""
        return self.laws[0].gaussian

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.laws[0].count

    @property
    def places(self) -> Index:
        """Where the targets are among the visible fields."""
        visible = self.laws[0].visible
        return np.array([int(np.flatnonzero(visible == law.target)[0]) for law in self.laws])

    def of(self, at: int) -> Own | GaussianLaw:
        """What answers for a field: the law of that target, or the Gaussian one."""
        owner = np.flatnonzero(self.places == at)
        return self.laws[owner[0]] if len(owner) else self.gaussian

    # ------------------------------------------------------------------ fewer fields

    def condition(self, observed: Index, values: Array, rest: Index) -> Self | Own | GaussianLaw:
        """The law of ``rest``: of the targets that are left among them, or Gaussian where none is."""
        smaller = (law.condition(observed, values, rest) for law in self.laws)
        left = tuple(law for law in smaller if not isinstance(law, GaussianLaw))
        if not left:
            return self.gaussian.condition(observed, values, rest)
        return left[0] if len(left) == 1 else replace(cast("Any", self), laws=left)

    def marginal(self, at: Index) -> Self | Own | GaussianLaw:
        """The law of some fields, the others integrated out."""
        return self.condition(np.zeros(0, dtype=np.int64), np.zeros(0), at)

    # ------------------------------------------------------------------ prediction

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self.of(int(at[0])).expect(x, at)

    def density(self, x: Array, at: Index, name: str) -> Density:
        """Distribution of the first of the fields ``at``; inputs that are not known are averaged over."""
        return self.of(int(at[0])).density(x, at, name)

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category, by the Gaussian law."""
        return self.gaussian.probabilities(x, indicators)

    # ------------------------------------------------------------------ the joint distribution

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """ln p(x) of the Gaussian law, the sum of ln p(y | x) over the targets, and ln c of their copula (n,)."""
        inputs = x.copy()
        inputs[:, self.places] = np.nan
        out = self.gaussian.log_prob(inputs, categories)
        z = np.full((len(x), len(self.laws)), np.nan)
        for i, (place, law) in enumerate(zip(self.places, self.laws, strict=True)):
            known = np.flatnonzero(~np.isnan(x[:, place]))
            if len(known):
                density = law.density(inputs[known], np.array([place]), "")
                out[known] += density.log_prob(x[known, place])
                if self.copula is not None:
                    z[known, i] = scores(density.cdf(x[known, place]))
        return out if self.copula is None else out + self.copula.log_density(self._targets, z)

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p): x of the Gaussian law, then each target."""
        x = self.gaussian.sample(n, categories, rng)
        at = None if self.copula is None else self.copula.draw(self._targets, n, rng)
        for i, (place, law) in enumerate(zip(self.places, self.laws, strict=True)):
            density = law.density(x, np.array([place]), "")
            drawn = density.sample(1, int(rng.integers(2**63)))[:, 0] if at is None else density.ppf(at[:, i])
            x[:, place] = drawn
        return x

    @property
    def _targets(self) -> list[int]:
        return [law.target for law in self.laws]

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        out = self.gaussian.fill(x)
        for place, law in zip(self.places, self.laws, strict=True):
            absent = np.isnan(x[:, place])
            if absent.any():
                out[absent, place] = law.expect(x[absent], np.array([place]))
        return out

    # ------------------------------------------------------------------ files

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        states = [cast("Any", law).to_state() for law in self.laws]
        arrays = {f"law{i}.{name}": a for i, (own, _) in enumerate(states) for name, a in own.items()}
        arrays |= {} if self.copula is None else self.copula.to_state()
        return arrays, {"laws": [meta for _, meta in states]}

    @classmethod
    @abstractmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Self:
        """The law that `to_state` described."""


def states_of(
    arrays: dict[str, NDArray[Any]], meta: dict[str, Any]
) -> list[tuple[dict[str, NDArray[Any]], dict[str, Any]]]:
    """What `SeveralLaw.to_state` wrote of each law."""
    parts = [f"law{i}." for i in range(len(meta["laws"]))]
    own = [{name.removeprefix(p): a for name, a in arrays.items() if name.startswith(p)} for p in parts]
    return list(zip(own, meta["laws"], strict=True))


@dataclass(frozen=True, eq=False)
class TaylorsLaw(SeveralLaw[TaylorLaw]):
    """Targets whose means bend; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    laws
        That of each target, of the same visible fields.
    """

    laws: tuple[TaylorLaw, ...]

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Coefficients of F = Σ ½ (y − ȳ(x))²/σ² + ½ (x − μ)ᵀ K (x − μ), multiplied out.

        Raises
        ------
        OptionError
            Fields were fixed or integrated out, which leaves no polynomial.
        """
        base, every = self.laws[0].base, np.arange(len(self.laws[0].base.mean))
        x = np.setdiff1d(every, [law.target for law in self.laws])
        out = together({}, base.marginal(x).couplings(about), x)
        for law in self.laws:
            out = together(out, law.bend(about), every)
        return out

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> TaylorsLaw:
        """The law that `to_state` described."""
        return cls(tuple(TaylorLaw.from_state(*state) for state in states_of(arrays, meta)))
