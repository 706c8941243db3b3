"""The law of a target that fluctuates about a polynomial mean, with a strength and a shape of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.law import BySecondOrder
from cumulant.solve.shapes import Shape, from_state
from cumulant.solve.taylor_law import TaylorLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.gaussian import GaussianLaw
    from cumulant.solve.law import Density
    from cumulant.solve.predictive import Fields

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Fluctuating", "FluctuationLaw", "log_strength"]

# A strength that was never seen is not extrapolated to: at most e^±3 about the typical ln η².
LARGEST_LOG = 3.0


def log_strength(strength: TaylorLaw, features: Array) -> Array:
    """ln η² less its mean, for rows of features (n, p)."""
    at = np.array([features.shape[1]])
    rows = np.column_stack([features, np.full(len(features), np.nan)])
    return np.clip(strength.expect(rows, at) - strength.terms.mean[-1], -LARGEST_LOG, LARGEST_LOG)


@dataclass(frozen=True, eq=False)
class Fluctuating:
    """The predictive distribution of one column, row by row: mean + size · z.

    Parameters
    ----------
    name
        The column.
    mean
        (n,), the background, in the units of the column.
    size
        (n,): the strength of the fluctuation and the uncertainty of the background together.
    shape
        The distribution of z.
    """

    name: str
    mean: Array
    size: Array
    shape: Shape

    @property
    def scale(self) -> Array:
        """Width of each row (n,): of a Student t its scale, of a quartic theory its standard deviation."""
        return self.size * self.shape.width

    @property
    def sd(self) -> Array:
        """Standard deviation (n,); infinite where the tails are too heavy to have one."""
        return self.size * self.shape.sd

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper bounds with equal probability outside."""
        return self.ppf(0.5 - level / 2), self.ppf(0.5 + level / 2)

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row."""
        return np.asarray(self.mean + self.size * self.shape.quantile(probability))

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""
        return self.shape.cdf((value - self.mean) / self.size)

    def pdf(self, value: float | Array) -> Array:
        """Density at ``value``."""
        return np.exp(self.log_prob(value))

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value``, in nats."""
        return np.asarray(self.shape.log_density((value - self.mean) / self.size) - np.log(self.size))

    def sample(self, draws: int, seed: int | None = None) -> Array:
        """Random values (n, draws)."""
        u = np.random.default_rng(seed).random((len(self.mean), draws))
        return np.asarray(self.mean[:, None] + self.size[:, None] * self.shape.quantile(u))


@dataclass(frozen=True, eq=False)
class FluctuationLaw(BySecondOrder):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    background
        The law of the mean, which answers all questions but those about the target's spread.
    shape
        The distribution of the fluctuation over its size.
    width
        Its size where the strength is typical, in the units of the target.
    strength
        The regression of ln η² on the other fields and, in the target's place, ȳ; None where it is constant.
    belief
        How much of that is believed, 0 to 1.
    """

    background: TaylorLaw
    shape: Shape
    width: float
    strength: TaylorLaw | None
    belief: float

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.background.count

    @property
    def gaussian(self) -> GaussianLaw:
        """The Gaussian law of what is visible: linear in every direction."""
        return self.background.gaussian

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of the background, with Gaussian fluctuations."""
        return self.background.couplings(about)

    def regression(self, names: Sequence[str]) -> tuple[list[str], Fields, dict[str, float]]:
        """The terms of the background, as of a `TaylorLaw`."""
        return self.background.regression(names)

    def condition(self, observed: Index, values: Array, rest: Index) -> FluctuationLaw | GaussianLaw:
        """The law of ``rest``; of a Gaussian where the target is not among them."""
        background = self.background.condition(observed, values, rest)
        return replace(self, background=background) if isinstance(background, TaylorLaw) else background

    def marginal(self, at: Index) -> FluctuationLaw | GaussianLaw:
        """The law of some fields, the others integrated out."""
        return self.condition(np.zeros(0, dtype=np.int64), np.zeros(0), at)

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self.background.expect(x, at)

    def density(self, x: Array, at: Index, name: str) -> Density:
        """The fluctuation about the background; of another field, a Student t."""
        if self.background.asks_others(at):
            return self.background.density(x, at, name)
        full = self.background.full(x)
        mean, inflation = self.background.mean_and_inflation(full)
        size = self.width * np.sqrt(inflation)
        if self.strength is not None:
            size = size * np.exp(0.5 * self.belief * log_strength(self.strength, self.background.features(full, mean)))
        return Fluctuating(name, mean, size, self.shape)

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category, by the Gaussian law."""
        return self.background.probabilities(x, indicators)

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """ln p(x) of the Gaussian law and ln p(y | x) of the fluctuating one (n,)."""
        return self.background.joint_log_prob(x, categories, self.density)

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p)."""
        return self.background.joint_sample(n, categories, rng, self.density)

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        return self.background.fill(x)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays, background = self.background.to_state()
        meta = {"background": background, "shape": self.shape.state(), "width": self.width, "belief": self.belief}
        if self.strength is None:
            return arrays, {**meta, "strength": None}
        more, strength = self.strength.to_state()
        arrays |= {f"strength.{name}": value for name, value in more.items()}
        return arrays, {**meta, "strength": strength}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> FluctuationLaw:
        """The law that `to_state` described."""
        mine = {name.removeprefix("strength."): a for name, a in arrays.items() if name.startswith("strength.")}
        strength = None if meta["strength"] is None else TaylorLaw.from_state(mine, meta["strength"])
        return cls(
            TaylorLaw.from_state(arrays, meta["background"]),
            from_state([float(number) for number in meta["shape"]]),
            float(meta["width"]),
            strength,
            float(meta["belief"]),
        )
