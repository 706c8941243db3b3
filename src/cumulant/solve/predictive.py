"""Predict some fields from others, row by row, whatever is missing in each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve import lowrank, student
from cumulant.solve.linear import Conditional, Factor, conditional
from cumulant.solve.lowrank import LowRankFactor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.exact import Solution

    Array = NDArray[np.float64]

__all__ = ["Fields", "Predictive", "effective_parameters", "errors", "fill", "leverage", "patterns", "predict"]


@dataclass(frozen=True, eq=False)
class Fields:
    """A Gaussian over fields, with what is needed to tell how well it is known.

    Parameters
    ----------
    mean, covariance, low
        (p,), (p, p), and the low limb of the covariance or None.
    count
        Rows it was estimated from.
    degrees
        Denominator of the covariance.
    mass
        Prior mass α.
    measured
        Covariance without the prior (p, p), of what is left to predict once fields are conditioned on: the errors that
        the model makes, where ``covariance`` is what it assumes. None when there is no prior and both are the same.
    fixed
        Number of parameters spent on fields already conditioned on.
    leverage
        Squared distance of their values from the mean, over ``degrees``.
    equivalent
        Rows that would tell the covariance as well if nothing were known of its form; 0: the same as ``count``. A
        symmetry makes it more.
    """

    mean: Array
    covariance: Array
    low: Array | None
    count: float
    degrees: float
    mass: float = 0.0
    measured: Array | None = None
    fixed: float = 0.0
    leverage: float = 0.0
    equivalent: float = 0.0

    @property
    def known(self) -> float:
        """Rows that degrees of freedom are counted from."""
        return self.equivalent or self.count

    @staticmethod
    def of(s: Solution) -> Fields:
        """What the exact solver found."""
        return Fields(s.mean, s.covariance, s.low, s.count, s.degrees, s.prior.mass, s.measured)

    @cached_property
    def root(self) -> Array | None:
        """L (p, r) with L Lᵀ the measured covariance, where fewer rows than fields make it worth its while."""
        if self.measured is None or not self.mass > 0 or not lowrank.pays(self.count, len(self.mean)):
            return None
        # A prior shrinks all but the variances; where those differ, fields were conditioned on.
        shrunk = np.array_equal(np.diag(self.measured), np.diag(self.covariance))
        return lowrank.root_of(self.measured) if shrunk else None

    def given(self, observed: NDArray[np.int64], targets: NDArray[np.int64]) -> Conditional:
        """Integrate out every field but ``observed`` and ``targets``, and fix the observed ones."""
        if self.root is None or len(observed) <= self.root.shape[1]:
            return conditional(self.covariance, observed, targets, self.low)
        return Conditional(*lowrank.conditional_parts(self.root, self.mass, observed, targets))


@dataclass(frozen=True, eq=False)
class Predictive:
    """The predictive distribution of one column, row by row: a Student t.

    Parameters
    ----------
    name
        The column.
    mean
        (n,), in the units of the column.
    scale
        (n,): residual standard deviation and the uncertainty of the coefficients together.
    degrees_of_freedom
        (n,): rows less parameters.
    """

    name: str
    mean: Array
    scale: Array
    degrees_of_freedom: Array

    @property
    def sd(self) -> Array:
        """Standard deviation (n,); infinite with two degrees of freedom or fewer."""
        df = np.broadcast_to(self.degrees_of_freedom, np.shape(self.scale))
        return np.asarray(self.scale * np.sqrt(np.divide(df, df - 2, out=np.full(df.shape, np.inf), where=df > 2)))

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper bounds that hold a new value with probability ``level``."""
        half = self.scale * student.quantile(0.5 + level / 2, self.degrees_of_freedom)
        return self.mean - half, self.mean + half

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row."""
        return np.asarray(self.mean + self.scale * student.quantile(probability, self.degrees_of_freedom))

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""
        return student.cdf((value - self.mean) / self.scale, self.degrees_of_freedom)

    def pdf(self, value: float | Array) -> Array:
        """Density at ``value``."""
        return np.asarray(np.exp(self.log_prob(value)))

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value``, in nats."""
        return student.log_density((value - self.mean) / self.scale, self.degrees_of_freedom) - np.log(self.scale)

    def sample(self, draws: int, seed: int | None = None) -> Array:
        """Random values (n, draws)."""
        t = np.random.default_rng(seed).standard_t(self.degrees_of_freedom[:, None], (len(self.mean), draws))
        return np.asarray(self.mean[:, None] + self.scale[:, None] * t)


def patterns(
    x: Array, hidden: NDArray[np.int64] | None = None
) -> Iterator[tuple[slice | NDArray[np.int64], NDArray[np.int64]]]:
    """Groups of rows with the same fields present: (rows, fields present).

    Parameters
    ----------
    x
        Rows (n, p), NaN where a field is not present.
    hidden
        Fields to be taken as not present, whatever x says.
    """
    present = ~np.isnan(x)
    if hidden is not None:
        present[:, hidden] = False
    if not len(present):
        return
    if (present == present[0]).all():
        # The usual case, without sorting and without copying.
        yield slice(None), np.flatnonzero(present[0])
        return
    packed = np.ascontiguousarray(np.packbits(present, axis=1))
    _, first, group = np.unique(
        packed.view([("", packed.dtype, packed.shape[1])]).ravel(), return_index=True, return_inverse=True
    )
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(len(first) + 1))
    for i, row in enumerate(first):
        yield order[edges[i] : edges[i + 1]], np.flatnonzero(present[row])


def predict(
    fields: Fields, x: Array, targets: NDArray[np.int64], *, scales: bool = True, beside: Array | None = None
) -> tuple[Array, Array, Array]:
    """Mean, scale and degrees of freedom of each target given the fields present in each row.

    Parameters
    ----------
    fields
        The model.
    x
        Rows (n, p), NaN where unknown; values of the targets are ignored.
    targets
        Indices of the target fields.
    scales
        Whether scales are wanted: they cost n·p² where the means cost n·p.
    beside
        Leverage of each row by what was fixed before (n,), or None.

    Returns
    -------
    mean, scale, degrees_of_freedom
        (n, targets), (n, targets), (n,). With all other fields given and no prior these are the prediction and the
        observation interval of ordinary least squares. Scales are NaN when they were not wanted.
    """
    n = len(x)
    mean, scale, dof = np.empty((n, len(targets))), np.full((n, len(targets)), np.nan), np.full(n, np.nan)
    for rows, observed in patterns(x, targets):
        given = fields.given(observed, targets)
        deviation = x[rows][:, observed] - fields.mean[observed]
        mean[rows] = fields.mean[targets] + deviation @ given.coefficients
        if scales:
            spread, df = residual_variance(fields, given, observed, targets)
            inflation = 1 + 1 / fields.count + fields.leverage + leverage(fields, given.observed, deviation)
            if beside is not None:
                inflation += beside[rows]
            scale[rows] = np.sqrt(spread[None, :] * inflation[:, None])
            dof[rows] = df
    return mean, scale, dof


def fill(fields: Fields, x: Array) -> Array:
    """Rows (n, p) with each unknown field replaced by its mean given the known ones: one factor a pattern of gaps."""
    out = x.copy()
    everything = np.arange(x.shape[1])
    for rows, observed in patterns(x):
        missing = np.setdiff1d(everything, observed)
        if len(missing):
            given = fields.given(observed, missing)
            deviation = x[rows][:, observed] - fields.mean[observed]
            # A slice and an array of rows need different subscripts; an array serves both.
            at = np.arange(len(x))[rows]
            out[np.ix_(at, missing)] = fields.mean[missing] + deviation @ given.coefficients
    return out


def residual_variance(
    fields: Fields, given: Conditional, observed: NDArray[np.int64], targets: NDArray[np.int64]
) -> tuple[Array, float]:
    """Unbiased residual variance of each target, and its degrees of freedom n − q."""
    q = 1 + fields.fixed + effective_parameters(fields, given.observed, observed)
    # At least one degree: with more parameters than rows a Student t of one degree is the widest honest answer.
    df = max(fields.known - q, 1.0)
    return np.diag(errors(fields, given, observed, targets)) * max(fields.degrees, 1.0) / df, df


def errors(fields: Fields, given: Conditional, observed: NDArray[np.int64], targets: NDArray[np.int64]) -> Array:
    """Covariance of the errors y − x B that the measured rows show, whatever prior B was found with."""
    if fields.measured is None:
        return given.covariance
    c, b = fields.measured, given.coefficients
    if isinstance(given.observed, LowRankFactor) and fields.root is not None:
        e = fields.root[targets] - b.T @ fields.root[observed]
        return np.asarray(e @ e.T)
    cross = b.T @ c[np.ix_(observed, targets)]
    out = c[np.ix_(targets, targets)] - cross - cross.T + b.T @ c[np.ix_(observed, observed)] @ b
    np.fill_diagonal(out, np.maximum(np.diag(out), 0.0))
    return np.asarray(out)


def effective_parameters(fields: Fields, factor: Factor | LowRankFactor, observed: NDArray[np.int64]) -> float:
    """tr R (R + α)⁻¹: the number of coefficients that the data, not the prior, determine."""
    if fields.measured is None:
        return float(factor.rank)
    if isinstance(factor, LowRankFactor):
        return factor.effective_rank
    c = fields.measured[np.ix_(observed, observed)]
    return float(np.sum(c * factor.inverse()) / (1 + fields.mass))


def leverage(fields: Fields, factor: Factor | LowRankFactor, deviation: Array) -> Array:
    """Squared distance of rows from the mean over n − 1, in the metric of the coefficients' covariance (n,)."""
    return np.asarray((factor.whiten(deviation) ** 2).sum(axis=1) / ((1 + fields.mass) * max(fields.degrees, 1.0)))
