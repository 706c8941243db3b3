"""What every solution is, whatever theory it came from: a law p(φ) = exp(−F)/Z of the independent fields.

A model asks its law and knows nothing of how it was found; a solver makes a law and knows nothing of columns and
cells. Another theory is another class with these methods, and one line in `cumulant.model.laws`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cumulant.solve.gaussian import GaussianLaw
    from cumulant.solve.prior import Prior

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["BySecondOrder", "Candidate", "Density", "Law", "Solved"]


class Density(Protocol):
    """The predictive distribution of one column, row by row."""

    @property
    def mean(self) -> Array:
        """(n,), in the units of the column."""

    @property
    def sd(self) -> Array:
        """Standard deviation (n,), infinite where there is none."""

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper bounds that hold a new value with probability ``level``."""

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row."""

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""

    def pdf(self, value: float | Array) -> Array:
        """Density at ``value``."""

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value``, in nats."""

    def sample(self, draws: int, seed: int | None = None) -> Array:
        """Random values (n, draws)."""


class Law(Protocol):
    """A probability of p fields, solved for.

    In all methods rows are arrays (n, p) with NaN where a field is unknown, and fields are named by their position.
    """

    @property
    def mean(self) -> Array:
        """Mean of each field (p,)."""

    @property
    def covariance(self) -> Array:
        """Covariance of the fields (p, p): the full propagator."""

    @property
    def precision(self) -> Array:
        """Second derivative of the effective action at the mean, K = G⁻¹ (p, p)."""

    @property
    def count(self) -> float:
        """Rows it was estimated from."""

    @property
    def gaussian(self) -> GaussianLaw:
        """The law of second order with the same mean and covariance: itself, if it is Gaussian."""

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Coefficient of each monomial in F, ``about`` the ``"mean"`` or the ``"origin"``, by position."""

    def condition(self, observed: Index, values: Array, rest: Index) -> Law:
        """The law of the fields ``rest`` when ``observed`` have these values; all others are integrated out."""

    def marginal(self, at: Index) -> Law:
        """The law of some fields, the others integrated out."""

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` given the other fields known in each row (n,)."""

    def density(self, x: Array, at: Index, name: str) -> Density:
        """Distribution of the first of the fields ``at`` given the other fields known in each row."""

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level of a category (n, 1 + k), its reference level first."""

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """Log density of rows in nats (n,); unknown fields are integrated out."""

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p)."""

    def fill(self, x: Array) -> Array:
        """Rows with each unknown field replaced by its mean given the known ones (n, p)."""

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Self:
        """The law that `to_state` described."""


@dataclass(frozen=True)
class Candidate:
    """A theory that was tried, or why it was not.

    Parameters
    ----------
    name
        What it is.
    log_likelihood
        Mean log-likelihood of the target in rows that were left out, nats a row; NaN if it was not tried.
    cpu_seconds
        What trying it took.
    why
        Why it was taken, or left.
    """

    name: str
    log_likelihood: float
    cpu_seconds: float
    why: str = ""


class BySecondOrder(ABC):
    """What every law has of its Gaussian part, for those whose mean and propagator are that part's."""

    @property
    @abstractmethod
    def gaussian(self) -> GaussianLaw:
        """The law of second order with the same mean and covariance."""

    @property
    def mean(self) -> Array:
        """Mean of each field (p,)."""
        return self.gaussian.mean

    @property
    def covariance(self) -> Array:
        """Covariance of the fields (p, p)."""
        return self.gaussian.covariance

    @property
    def precision(self) -> Array:
        """Second derivative of the effective action at the mean, K = C⁻¹ (p, p)."""
        return self.gaussian.precision


@dataclass(frozen=True, eq=False)
class Solved:
    """What a solver gives.

    Parameters
    ----------
    law
        The probability of the independent fields.
    prior
        The mass and how it was chosen.
    notes, warnings
        What was done that the user should know, and what the user should mind.
    held_out
        Mean log-likelihood of the target in a row that was left out, where the solver found it.
    theory
        The theory that was chosen, where the one asked for leaves a choice.
    candidates
        What was tried on the way.
    """

    law: Law
    prior: Prior
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    held_out: float | None = None
    theory: Any = None
    candidates: tuple[Candidate, ...] = ()
