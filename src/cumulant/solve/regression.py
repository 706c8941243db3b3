"""One field regressed on others: least squares, or its posterior mean under a mass, from second moments alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant import storage
from cumulant.measure import compensated as dd
from cumulant.measure import limbs
from cumulant.solve.linear import Factor
from cumulant.solve.lowrank import LowRankFactor
from cumulant.solve.predictive import Fields, effective_parameters, errors
from cumulant.solve.prior import effective_count, shrink
from cumulant.solve.repair import nearest_correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments

    Array = NDArray[np.float64]

__all__ = ["Regression", "centred_fields", "origin_fields", "regress"]


@dataclass(frozen=True, eq=False)
class Regression:
    """Coefficients of y = constant + x·β, and what their errors are made of.

    Parameters
    ----------
    constant
        Value at x = 0; 0 for a regression through the origin.
    coefficients, low
        β (p,), 0 where a field was dropped, and its low limb (zeros in plain arithmetic).
    kept
        Which fields are no combination of those before them (p,).
    unit_variance
        Diagonal of (X'X + penalty)⁻¹ (1 + p,), the constant first: variances of the coefficients per unit of noise.
    residual
        Sum of squared residuals.
    total
        Sum of squares of y about its mean (about 0 through the origin).
    parameters
        Effective number of them, the constant and fields already conditioned on included.
    count
        Rows, or under a symmetry those that would tell as much without it.
    observed
        Factor of the second moments of x; None where these are held as blocks under a symmetry.
    """

    constant: float
    coefficients: Array
    low: Array
    kept: NDArray[np.bool_]
    unit_variance: Array
    residual: float
    total: float
    parameters: float
    count: float
    observed: Factor | LowRankFactor | None

    @property
    def degrees_of_freedom(self) -> float:
        """Rows less parameters, not below 0."""
        return max(self.count - self.parameters, 0.0)

    @property
    def variance(self) -> float:
        """Unbiased residual variance; NaN where no degree of freedom is left."""
        df = self.degrees_of_freedom
        return self.residual / df if df > 0 else np.nan

    @property
    def standard_errors(self) -> Array:
        """Standard deviation of the constant and of each coefficient (1 + p,); NaN where dropped."""
        return np.sqrt(self.unit_variance * self.variance)


def centred_fields(m: Moments, mass: float = 0.0) -> Fields:
    """Mean and covariance of all rows of ``m``, made positive definite and shrunk as the exact solver does."""
    e = m.total
    mean, covariance = np.nan_to_num(e.mean), np.nan_to_num(e.covariance)
    if e.complete:
        low, count, degrees = e.low if mass == 0 else None, e.count, e.degrees
    else:
        covariance, _ = nearest_correlation(covariance)
        count = effective_count(m)
        low, degrees = None, max(count - 1, 0.0)
    return Fields(mean, shrink(covariance, mass), low, count, degrees, mass, covariance if mass > 0 else None)


def origin_fields(m: Moments) -> Fields:
    """Second moments of all rows of ``m`` about the origin, in the precision of its sums; the mean is 0."""
    about = m.embed(m.schema, np.zeros_like(m.shift), m.presence)
    k = len(m.presence)
    sums = storage.unpacked(limbs.total(about.packed), 1 + k + len(m.schema.fields))
    x = 1 + k + m.schema.independent
    e = m.total
    high = sums[0][np.ix_(x, x)]
    weight = float(sums[0, 0, 0])
    if k:
        mask = np.array([m.presence.index(c) + 1 if c in m.presence else 0 for c in _columns(m)], dtype=np.int64)
        pairs = sums.sum(axis=0)[np.ix_(mask, mask)]
        second = np.divide(high, pairs, out=np.zeros_like(high), where=pairs > 0)
        count = effective_count(m)
        return Fields(np.zeros(len(x)), nearest_correlation(second)[0], None, count, count)
    if not m.exact:
        return Fields(np.zeros(len(x)), high / weight, None, e.count, e.count)
    low = sums[1][np.ix_(x, x)]
    second, rest = dd.div((high, low), (np.full_like(high, weight), np.full_like(high, sums[1, 0, 0])))
    return Fields(np.zeros(len(x)), second, rest, e.count, e.count)


def _columns(m: Moments) -> list[int]:
    return [int(c) for c in m.schema.column_of_field[m.schema.independent]]


def regress(fields: Fields, y: int, x: NDArray[np.int64], *, intercept: bool = True) -> Regression:
    """Regress field ``y`` on the fields ``x``.

    Parameters
    ----------
    fields
        Mean, second moments about it and counts: of `centred_fields`, or of `origin_fields` without ``intercept``.
    y, x
        Indices.

    Returns
    -------
    Regression
        With a mass α the ridge solution for penalty α on standardised fields. Its noise variance is that of the
        residuals over n − γ, γ the effective number of parameters, which is where the evidence is stationary.

    References
    ----------
    MacKay, "Bayesian interpolation", Neural Computation 4 (1992) 415, equations 27-32.
    """
    targets = np.array([y])
    given = fields.given(x, targets)
    f = given.observed
    beta, beta_low, constant, distance = _solution(fields, y, x, given.coefficients[:, 0], f)
    mass, degrees = fields.mass, np.float64(max(fields.degrees, 0.0))
    y_variance = float(fields.covariance[y, y])
    residual = float(errors(fields, given, x, targets)[0, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(f.kept, f.inverse_diagonal(), np.nan) / (degrees * (1 + mass))
        spread = distance / (degrees * (1 + mass)) if f.rank else 0.0
        at_zero = 1 / fields.count + fields.leverage + spread if intercept else np.nan
    return Regression(
        constant=constant if intercept else 0.0,
        coefficients=beta,
        low=beta_low,
        kept=f.kept,
        unit_variance=np.concatenate([[at_zero], unit]),
        residual=residual * degrees,
        total=y_variance * degrees,
        parameters=float(intercept) + fields.fixed + effective_parameters(fields, f, x),
        count=fields.known,
        observed=f,
    )


def _solution(
    fields: Fields, y: int, x: NDArray[np.int64], plain: Array, f: Factor | LowRankFactor
) -> tuple[Array, Array, float, float]:
    """β, its low limb, the value at x = 0, and the squared Mahalanobis distance of x = 0 from the mean."""
    mean = fields.mean[x]
    if fields.low is None or isinstance(f, LowRankFactor) or f.pair is None:
        distance = (f.whiten(mean[None, :]) ** 2).sum()
        return plain, np.zeros_like(plain), float(fields.mean[y] - plain @ mean), float(distance)
    s = f.scale[:, None]
    right = np.column_stack([fields.covariance[x, y], mean]) * s
    right_low = np.column_stack([fields.low[x, y], np.zeros_like(mean)]) * s
    high, low = f.solve_pair((right, right_low))
    high, low = high * s, low * s
    at_mean, at_mean_low = dd.matmul(dd.widen(mean[None, :]), (high, low))
    constant, _ = dd.sub(dd.widen(fields.mean[y]), (at_mean[0, 0], at_mean_low[0, 0]))
    return high[:, 0], low[:, 0], float(constant), float(at_mean[0, 1])
