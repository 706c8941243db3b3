"""Predict some fields from others, row by row, whatever is missing in each row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.linear import Conditional, Factor, conditional

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Fields", "Predictive", "patterns", "predict"]


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
    fixed
        Number of fields already conditioned on.
    leverage
        Their squared Mahalanobis distance from the mean over ``degrees``.
    """

    mean: Array
    covariance: Array
    low: Array | None
    count: float
    degrees: float
    mass: float = 0.0
    fixed: float = 0.0
    leverage: float = 0.0


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

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper bounds that hold a new value with probability ``level``."""
        half = self.scale * _t().ppf(0.5 + level / 2, self.degrees_of_freedom)
        return self.mean - half, self.mean + half

    def ppf(self, probability: float | Array) -> Array:
        """Quantile of each row."""
        return np.asarray(self.mean + self.scale * _t().ppf(probability, self.degrees_of_freedom))

    def cdf(self, value: float | Array) -> Array:
        """Probability of at most ``value``."""
        return np.asarray(_t().cdf(value, self.degrees_of_freedom, self.mean, self.scale))

    def pdf(self, value: float | Array) -> Array:
        """Density at ``value``."""
        return np.asarray(np.exp(self.log_prob(value)))

    def log_prob(self, value: float | Array) -> Array:
        """Log density at ``value``, in nats."""
        return np.asarray(_t().logpdf(value, self.degrees_of_freedom, self.mean, self.scale))

    def sample(self, draws: int, seed: int | None = None) -> Array:
        """Random values (n, draws)."""
        t = np.random.default_rng(seed).standard_t(self.degrees_of_freedom[:, None], (len(self.mean), draws))
        return np.asarray(self.mean[:, None] + self.scale[:, None] * t)


def _t() -> Any:
    # scipy.stats takes longer to import than most fits take to run.
    from scipy.stats import t

    return t


def patterns(present: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Groups of rows (n, p) with the same fields present: (rows, fields present)."""
    if present.all():
        # The usual case, without sorting.
        if len(present):
            yield np.arange(len(present)), np.arange(present.shape[1])
        return
    packed = np.ascontiguousarray(np.packbits(present, axis=1))
    key = packed.view([("", packed.dtype, packed.shape[1])]).ravel() if packed.shape[1] else np.zeros(len(present))
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(len(first) + 1))
    for i, row in enumerate(first):
        yield order[edges[i] : edges[i + 1]], np.flatnonzero(present[row])


def predict(fields: Fields, x: Array, targets: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Mean, scale and degrees of freedom of each target given the fields present in each row.

    Parameters
    ----------
    fields
        The model.
    x
        Rows (n, p), NaN where unknown; values of the targets are ignored.
    targets
        Indices of the target fields.

    Returns
    -------
    mean, scale, degrees_of_freedom
        (n, targets), (n, targets), (n,). With all other fields given and no prior these are the prediction and the
        observation interval of ordinary least squares.
    """
    n = len(x)
    mean, scale, dof = np.empty((n, len(targets))), np.empty((n, len(targets))), np.empty(n)
    present = ~np.isnan(x)
    present[:, targets] = False
    for rows, observed in patterns(present):
        given = conditional(fields.covariance, observed, targets, fields.low)
        deviation = x[np.ix_(rows, observed)] - fields.mean[observed]
        mean[rows] = fields.mean[targets] + deviation @ given.coefficients
        spread, df = residual_variance(fields, given)
        distance = (given.observed.whiten(deviation) ** 2).sum(axis=1) / max(fields.degrees, 1.0)
        inflation = 1 + 1 / fields.count + fields.leverage + distance
        scale[rows] = np.sqrt(spread[None, :] * inflation[:, None])
        dof[rows] = df
    return mean, scale, dof


def residual_variance(fields: Fields, given: Conditional) -> tuple[Array, float]:
    """Unbiased residual variance of each target, and its degrees of freedom n − q."""
    q = 1 + fields.fixed + effective_parameters(given.observed, fields.mass)
    # At least one degree: with more parameters than rows a Student t of one degree is the widest honest answer.
    df = max(fields.count - q, 1.0)
    return np.diag(given.covariance) * max(fields.degrees, 1.0) / df, df


def effective_parameters(observed: Factor, mass: float) -> float:
    """tr R (R + α)⁻¹: the number of coefficients that the data, not the prior, determine."""
    if mass == 0:
        return float(observed.rank)
    shrunk_inverse = np.diag(observed.inverse())[observed.kept] / observed.scale[observed.kept] ** 2
    return float(observed.rank - mass / (1 + mass) * shrunk_inverse.sum())
