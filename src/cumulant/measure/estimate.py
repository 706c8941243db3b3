"""From sums to means and covariances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant import storage
from cumulant.errors import OptionError
from cumulant.measure import compensated, limbs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.higher import HigherEstimate
    from cumulant.measure.moments import Moments

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mean and covariance of the independent fields of some rows.

    Parameters
    ----------
    count
        Rows (or the rows that frequency weights stand for).
    degrees
        Denominator of the covariance: count - 1, or its equal for importance weights.
    pairs
        Weight present for each pair of fields (p, p), in rows.
    mean
        (p,), in the units of the fields. NaN where a field was never present.
    covariance
        (p, p), symmetric: correlations, each from the rows where both cells are present, times standard deviations.
    low
        Low part of the covariance in compensated arithmetic, (p, p), or None.
    pairwise
        Covariance of each pair over the rows where both are present (p, p), as ``pandas.DataFrame.cov``.
    complete
        Whether no cell was missing.
    higher
        Moments of third and higher order, or None.
    """

    count: float
    degrees: float
    pairs: NDArray[np.float64]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    low: NDArray[np.float64] | None
    pairwise: NDArray[np.float64]
    complete: bool
    higher: HigherEstimate | None = None

    def cumulant(self, order: int, *, unbiased: bool = False) -> NDArray[np.float64]:
        """Joint cumulant (p,) * order, as `Moments.cumulant`."""
        if order == 1:
            return self.mean
        if order == 2:
            return self.pairwise if unbiased else self.pairwise * self.degrees / (self.degrees + 1)
        if self.higher is None:
            raise OptionError(f"order {order} was not measured, only up to 2; measure with order={order}")
        return self.higher.cumulant(order, unbiased=unbiased)

    @cached_property
    def correlation(self) -> NDArray[np.float64]:
        """Pearson correlation (p, p)."""
        sd = np.sqrt(np.diag(self.covariance))
        inverse = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
        r = self.covariance * inverse[:, None] * inverse[None, :]
        np.fill_diagonal(r, 1.0)
        return r


def estimate(
    m: Moments, packed: NDArray[np.float64], squares: NDArray[np.float64], squared_weights: float, rows: int
) -> Estimate:
    """Mean and covariance from the upper triangle of Σ w z zᵀ (1 or 2, q(q + 1)/2) and Σ w m x² (k, p).

    Where cells are missing, each pair of fields uses the rows where both are present. A covariance of those rows
    beside variances of others would not cancel between columns that are nearly copies; a correlation, with the
    variances of the same rows, does.

    In exact arithmetic without missing cells the centring is compensated too: it cancels the leading digits.
    """
    k = len(m.presence)
    keep = m.schema.independent
    shift = m.shift[keep]
    weight = float(packed[0, 0])
    # Importance weights are scaled to mean one, so that their unit cannot matter.
    unit = rows / weight if m.weighting == "importance" and weight > 0 else 1.0
    count = float(rows) if m.weighting == "importance" else weight
    lost = squared_weights / weight if m.weighting == "importance" and weight > 0 else 1.0
    if k == 0:
        mean = _divide(packed[0, 1 + keep], weight) + shift
        denominator = weight - lost
        covariance, low = _covariance(packed, keep, denominator)
        # Every pair has the same, which takes no memory.
        pairs = np.broadcast_to(np.float64(weight * unit), (len(keep), len(keep)))
        return Estimate(count, denominator * unit, pairs, mean, covariance, low, covariance, complete=True)
    x = 1 + k + keep
    sums = storage.unpacked(packed, 1 + k + len(m.schema.fields))
    source = {c: 1 + i for i, c in enumerate(m.presence)}
    mask = np.array([source.get(int(c), 0) for c in m.schema.column_of_field[keep]], dtype=np.int64)
    total = sums.sum(axis=0)
    pairs = total[np.ix_(mask, mask)]
    first = total[np.ix_(x, mask)]  # Σ w (x_i − s_i) over the rows where j is present too
    second = total[np.ix_(x, x)]
    mean = _divide(np.diag(first), np.diag(pairs))
    scatter = second - first * _divide(first.T, pairs)
    pairwise = _diagonal_not_negative(np.where(pairs > lost, _divide(scatter, pairs - lost), 0.0))
    square = np.vstack([np.diag(second), squares[:, keep]])[mask].T  # Σ w (x_i − s_i)² over the same rows
    own = np.maximum(square - first * _divide(first, pairs), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(own * own.T > 0, scatter / np.sqrt(own * own.T), 0.0)
    sd = np.sqrt(np.diag(pairwise))
    covariance = np.nan_to_num(np.clip(r, -1.0, 1.0) * np.outer(sd, sd))
    np.fill_diagonal(covariance, sd**2)
    return Estimate(
        count, (weight - lost) * unit, pairs * unit, mean + shift, covariance, None, pairwise, complete=False
    )


def _covariance(
    packed: NDArray[np.float64], keep: NDArray[np.int64], denominator: float
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Scatter of the kept fields over ``denominator``, for rows without gaps, and its low limb if there is one."""
    if len(packed) == 1:
        covariance = _centred(packed[0], denominator)
        if len(keep) < len(covariance):
            covariance = covariance[np.ix_(keep, keep)]
        return _diagonal_not_negative(covariance), None
    q = storage.side(packed)
    sums = storage.unpacked(packed, q)
    high, low = limbs.centred(sums[:, 1 + keep[:, None], 1 + keep], sums[:, 1 + keep, 0], sums[:, 0, 0])
    covariance, low = _quotient(high, low, denominator)
    return _diagonal_not_negative(covariance), low


def _centred(triangle: NDArray[np.float64], denominator: float) -> NDArray[np.float64]:
    """(Σ w x xᵀ − Σ w x Σ w xᵀ / Σ w) / denominator from the triangle that holds all three, row by row."""
    q = storage.side(triangle)
    first, start = triangle[1:q], q
    if not denominator > 0:
        return np.full((q - 1, q - 1), np.nan)
    out = np.empty((q - 1, q - 1))
    for i in range(q - 1):
        end = start + q - 1 - i
        np.multiply(first[i:], -first[i] / triangle[0], out=out[i, i:])
        out[i, i:] += triangle[start:end]
        out[i, i:] /= denominator
        start = end
    return storage.mirrored(out)


def _divide(a: NDArray[np.float64], b: NDArray[np.float64] | float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(np.asarray(b) > 0, np.divide(a, b), np.nan))


def _quotient(
    high: NDArray[np.float64], low: NDArray[np.float64] | None, denominator: float
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    if low is None or not denominator > 0:
        return _divide(high, denominator), None
    # Both limbs from one division: the high limb alone may round the other way.
    return compensated.div((high, low), (np.full_like(high, denominator), np.zeros_like(high)))


def _diagonal_not_negative(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    diagonal = np.einsum("ii->i", covariance)
    diagonal[diagonal < 0] = 0.0
    return covariance
