"""The law of a category that is a field of the other columns: p(x) Gaussian, p(class | x) mixed of linked fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.field.class_blocks import ClassBlocks
from cumulant.solve.field.classes import ClassField
from cumulant.solve.field.left_out import LeftOutClasses
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.mixed import level_drawn, level_of
from cumulant.solve.target_law import BesideGaussian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.law import Density

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["ClassLaw"]

# Rows whose unknown inputs are averaged over that are filled at once.
BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class ClassLaw(BesideGaussian):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    base, visible, fixed
        As for every `BesideGaussian`.
    indicators
        The k fields of the target: 1 in a level that is not the reference.
    inputs
        The fields that the target is a function of.
    field
        p(class | x), the reference level first.
    left_out
        What the other rows say of each row that it was conditioned on; None in files that do not tell.
    """

    base: GaussianLaw
    indicators: Index
    visible: Index
    fixed: Array
    inputs: Index
    field: ClassField | ClassBlocks
    left_out: LeftOutClasses | None = None

    @property
    def targets(self) -> Index:
        """The indicators."""
        return self.indicators

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of F to second order; of higher order there are infinitely many."""
        return self.gaussian.couplings(about)

    # ------------------------------------------------------------------ prediction

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,); of an indicator, the probability of its level."""
        which = np.flatnonzero(self.indicators == self.visible[at[0]])
        return self._given(x)[:, 1 + which[0]] if len(which) else self.gaussian.expect(x, at)

    def density(self, x: Array, at: Index, name: str) -> Density:
        """Distribution of the first of the fields ``at``, by the Gaussian law."""
        return self.gaussian.density(x, at, name)

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category (n, 1 + k), its reference level first."""
        asked = np.array_equal(self.visible[indicators], self.indicators)
        return self._given(x) if asked else self.gaussian.probabilities(x, indicators)

    def _given(self, x: Array) -> Array:
        out = np.empty((len(x), 1 + len(self.indicators)))
        for here, points, filled in self.filled(self.full(x), self.inputs, BLOCK):
            p = self.field.probabilities(filled[:, self.inputs])
            out[here] = p.reshape(len(here), points, -1).mean(axis=1)
        return out

    # ------------------------------------------------------------------ the joint distribution

    @property
    def _places(self) -> Index:
        """Where the indicators are among the visible fields."""
        return np.array([int(np.flatnonzero(self.visible == field)[0]) for field in self.indicators])

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """ln p(x) of the Gaussian law and ln p(class | x) (n,)."""
        places, inputs = self._places, x.copy()
        inputs[:, places] = np.nan
        out = self.gaussian.log_prob(inputs, categories)
        known = np.flatnonzero(~np.isnan(x[:, places]).any(axis=1))
        level = level_of(x[np.ix_(known, places)])
        p = self._given(inputs[known])[np.arange(len(known)), level]
        out[known] += np.log(np.maximum(p, np.finfo(float).tiny))
        return out

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p): x of the Gaussian law, then the class."""
        places = self._places
        x = self.gaussian.sample(n, categories, rng)
        x[:, places] = level_drawn(self._given(x), rng)[:, None] == 1 + np.arange(len(places))
        return x

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        out, places = self.gaussian.fill(x), self._places
        absent = np.flatnonzero(np.isnan(x[:, places]).any(axis=1))
        if len(absent):
            out[np.ix_(absent, places)] = self._given(x[absent])[:, 1:]
        return out

    # ------------------------------------------------------------------ files

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays, base = self.base.to_state()
        arrays |= {"visible": self.visible, "fixed": self.fixed, "inputs": self.inputs, "indicators": self.indicators}
        if self.left_out is not None:
            arrays |= {f"left_out.{name}": getattr(self.left_out, name) for name in ("level", "probability")}
        more, meta = self.field.to_state()
        return arrays | more, {"base": base, **meta}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> ClassLaw:
        """The law that `to_state` described."""
        kind = ClassBlocks if "blocks" in meta else ClassField
        base = GaussianLaw.from_state(arrays, meta["base"])
        field = kind.from_state(arrays, meta)
        told = [arrays[name] for name in ("left_out.level", "left_out.probability") if name in arrays]
        left_out = LeftOutClasses(*told) if told else None
        return cls(
            base, arrays["indicators"], arrays["visible"], arrays["fixed"], arrays["inputs"], field, left_out,
        )  # fmt: skip
