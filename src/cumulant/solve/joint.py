"""The joint distribution of a row: density and random rows, with categories and missing cells.

Categories come first, each given the ones before it (their indicators' linear conditional mean, which is exact for
one category given another), then the numbers given all categories, as one Gaussian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.linear import conditional, factor
from cumulant.solve.mixed import level_drawn, level_of, marginal_probabilities
from cumulant.solve.predictive import Fields, patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["log_prob", "sample"]


def log_prob(fields: Fields, x: Array, categories: list[Index], centre: Array | None = None) -> Array:
    """Log density of rows (n, p) in nats (n,); NaN cells are integrated out.

    Fields that others determine (rank-deficient tables) carry no density and are left out. ``centre`` is the mean of
    each row (n, p) where they differ.
    """
    out = np.zeros(len(x))
    centre = np.broadcast_to(fields.mean, x.shape) if centre is None else centre
    before = np.zeros(0, dtype=np.int64)
    for indicators in categories:
        out += _log_prob_of_category(fields, x, indicators, before, centre)
        before = np.concatenate([before, indicators])
    numeric = np.setdiff1d(np.arange(x.shape[1]), before)
    for rows, observed in patterns(x):
        known, values = np.intersect1d(observed, before), np.intersect1d(observed, numeric)
        given = conditional(fields.covariance, known, values)
        mean = centre[rows][:, values] + (x[rows][:, known] - centre[rows][:, known]) @ given.coefficients
        f = factor(given.covariance)
        white = f.whiten(x[rows][:, values] - mean)
        out[rows] -= 0.5 * ((white**2).sum(axis=1) + f.rank * np.log(2 * np.pi) + f.log_determinant)
    return out


def _log_prob_of_category(fields: Fields, x: Array, indicators: Index, before: Index, centre: Array) -> Array:
    out = np.zeros(len(x))
    if not len(indicators):
        return out
    rows = np.flatnonzero(~np.isnan(x[:, indicators[0]]))
    p = _given_categories(fields, x[rows], indicators, before, centre[rows])
    out[rows] = np.log(p[np.arange(len(rows)), level_of(x[np.ix_(rows, indicators)])])
    return out


def _given_categories(fields: Fields, x: Array, indicators: Index, before: Index, centre: Array) -> Array:
    """Probability of each level given earlier categories (n, 1 + k), never quite zero (Laplace's rule)."""
    numbers = np.setdiff1d(np.arange(x.shape[1]), before)
    out = np.empty((len(x), 1 + len(indicators)))
    for rows, observed in patterns(x, numbers):
        given = conditional(fields.covariance, observed, indicators)
        deviation = x[rows][:, observed] - centre[rows][:, observed]
        mean = centre[rows][:, indicators] + deviation @ given.coefficients
        out[rows] = np.column_stack([1 - mean.sum(axis=1), mean])
    out = np.maximum(out, 1 / (fields.count + out.shape[1]))
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def sample(
    fields: Fields, n: int, categories: list[Index], rng: np.random.Generator, centre: Array | None = None
) -> Array:
    """``n`` random rows of fields (n, p), about the ``centre`` of each (n, p) where they differ."""
    x = np.full((n, len(fields.mean)), np.nan)
    alike = centre is None
    centre = np.broadcast_to(fields.mean, x.shape) if centre is None else centre
    before = np.zeros(0, dtype=np.int64)
    for indicators in categories:
        if len(before) or not alike:
            p = _given_categories(fields, x, indicators, before, centre)
        else:
            p = np.tile(marginal_probabilities(fields.mean[indicators]), (n, 1))
        x[:, indicators] = level_drawn(p, rng)[:, None] == 1 + np.arange(len(indicators))
        before = np.concatenate([before, indicators])
    numeric = np.setdiff1d(np.arange(x.shape[1]), before)
    given = conditional(fields.covariance, before, numeric)
    # The symmetric square root exists for singular covariances too, and loses no field.
    w, v = np.linalg.eigh(given.covariance)
    noise = rng.standard_normal((n, len(numeric))) @ (v * np.sqrt(np.maximum(w, 0.0))).T
    x[:, numeric] = centre[:, numeric] + (x[:, before] - centre[:, before]) @ given.coefficients + noise
    return x
