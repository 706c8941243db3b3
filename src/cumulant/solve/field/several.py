"""The law of several targets, each a field of the other columns: p(x) Gaussian, p(y₁, y₂, … | x) a product.

Targets are no inputs of each other, so that any of them can be predicted from x alone, and given x they are taken to
be independent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.field.law import FieldLaw
from cumulant.solve.law import BySecondOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.gaussian import GaussianLaw
    from cumulant.solve.law import Density

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["FieldsLaw"]


@dataclass(frozen=True, eq=False)
class FieldsLaw(BySecondOrder):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    laws
        That of each target, of the same visible fields.
    """

    laws: tuple[FieldLaw, ...]

    @property
    def gaussian(self) -> GaussianLaw:
        """The Gaussian law of what is visible."""
        return self.laws[0].gaussian

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.laws[0].count

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of F to second order; of higher order there are infinitely many."""
        return self.gaussian.couplings(about)

    @property
    def _places(self) -> Index:
        """Where the targets are among the visible fields."""
        visible = self.laws[0].visible
        return np.array([int(np.flatnonzero(visible == law.target)[0]) for law in self.laws])

    def _of(self, at: Index) -> FieldLaw | GaussianLaw:
        """What answers for the first of the fields ``at``."""
        owner = np.flatnonzero(self._places == at[0])
        return self.laws[owner[0]] if len(owner) else self.gaussian

    # ------------------------------------------------------------------ fewer fields

    def condition(self, observed: Index, values: Array, rest: Index) -> FieldsLaw | FieldLaw | GaussianLaw:
        """The law of ``rest``: of the targets that are left among them, or Gaussian where none is."""
        smaller = (law.condition(observed, values, rest) for law in self.laws)
        left = tuple(law for law in smaller if isinstance(law, FieldLaw))
        if not left:
            return self.gaussian.condition(observed, values, rest)
        return left[0] if len(left) == 1 else replace(self, laws=left)

    def marginal(self, at: Index) -> FieldsLaw | FieldLaw | GaussianLaw:
        """The law of some fields, the others integrated out."""
        return self.condition(np.zeros(0, dtype=np.int64), np.zeros(0), at)

    # ------------------------------------------------------------------ prediction

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self._of(at).expect(x, at)

    def density(self, x: Array, at: Index, name: str) -> Density:
        """Distribution of the first of the fields ``at``; inputs that are not known are averaged over."""
        return self._of(at).density(x, at, name)

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category, by the Gaussian law."""
        return self.gaussian.probabilities(x, indicators)

    # ------------------------------------------------------------------ the joint distribution

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """ln p(x) of the Gaussian law and the sum of ln p(y | x) over the targets (n,)."""
        inputs = x.copy()
        inputs[:, self._places] = np.nan
        out = self.gaussian.log_prob(inputs, categories)
        for place, law in zip(self._places, self.laws, strict=True):
            known = np.flatnonzero(~np.isnan(x[:, place]))
            if len(known):
                out[known] += law.density(inputs[known], np.array([place]), "").log_prob(x[known, place])
        return out

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p): x of the Gaussian law, then each target."""
        x = self.gaussian.sample(n, categories, rng)
        for place, law in zip(self._places, self.laws, strict=True):
            x[:, place] = law.density(x, np.array([place]), "").sample(1, int(rng.integers(2**63)))[:, 0]
        return x

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        out = self.gaussian.fill(x)
        for place, law in zip(self._places, self.laws, strict=True):
            absent = np.isnan(x[:, place])
            if absent.any():
                out[absent, place] = law.expect(x[absent], np.array([place]))
        return out

    # ------------------------------------------------------------------ files

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        states = [law.to_state() for law in self.laws]
        arrays = {f"law{i}.{name}": a for i, (own, _) in enumerate(states) for name, a in own.items()}
        return arrays, {"laws": [meta for _, meta in states]}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> FieldsLaw:
        """The law that `to_state` described."""
        laws = []
        for i, about in enumerate(meta["laws"]):
            own = {n.removeprefix(f"law{i}."): a for n, a in arrays.items() if n.startswith(f"law{i}.")}
            laws.append(FieldLaw.from_state(own, about))
        return cls(tuple(laws))
