"""Categories among Gaussian fields: one propagator shared by all levels.

The indicators of a category explain the other fields exactly by their class means, and what is left is the pooled
covariance within classes. So the joint second moments already hold linear discriminant analysis, in closed form:
p(level | x) ∝ π_level exp(−½ (x − μ_level)ᵀ W⁻¹ (x − μ_level)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.linear import conditional, factor
from cumulant.solve.predictive import Fields, patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["class_probabilities", "class_probabilities_about", "level_drawn", "level_of", "marginal_probabilities"]


def marginal_probabilities(mean: Array) -> Array:
    """Frequencies of all levels (1 + k,) from the means of the k indicators that are not the reference."""
    p = np.clip(np.concatenate([[1 - mean.sum()], mean]), 0.0, None)
    return np.asarray(p / p.sum() if p.sum() > 0 else np.full(len(p), 1 / len(p)))


def level_of(indicators: Array) -> NDArray[np.int64]:
    """Level of each row (n,), 0 the reference, from its indicators (n, k)."""
    return np.where(indicators.any(axis=1), 1 + np.argmax(indicators, axis=1), 0)


def level_drawn(p: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random level for each row of probabilities (n, 1 + k)."""
    above = rng.random((len(p), 1)) > np.cumsum(p, axis=1)
    return np.asarray(np.minimum(above.sum(axis=1), p.shape[1] - 1))


def class_probabilities(fields: Fields, x: Array, indicators: NDArray[np.int64]) -> Array:
    """Probability of each level given the other fields present in each row.

    Parameters
    ----------
    fields
        The model.
    x
        Rows (n, p), NaN where unknown.
    indicators
        The k indicator fields of the category, its reference level left out.

    Returns
    -------
    ndarray
        (n, 1 + k), rows sum to one; the reference level first.

    References
    ----------
    Fisher, Ann. Eugenics 7 (1936) 179; Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 4.3.
    """
    prior = marginal_probabilities(fields.mean[indicators])
    corners = np.vstack([np.zeros(len(indicators)), np.eye(len(indicators))]) - fields.mean[indicators]
    out = np.empty((len(x), len(prior)))
    with np.errstate(divide="ignore"):
        log_prior = np.log(prior)
    for rows, observed in patterns(x, indicators):
        within = conditional(fields.covariance, indicators, observed)
        centres = fields.mean[observed] + corners @ within.coefficients
        # Unbiased within classes: one degree of freedom is spent on each class mean.
        unbiased = fields.degrees / max(fields.known - fields.fixed - len(prior), 1.0)
        pooled = conditional(within.covariance * unbiased, np.arange(len(observed)), np.zeros(0, dtype=np.int64))
        white = pooled.observed.whiten(x[rows][:, observed] - fields.mean[observed])
        centres_white = pooled.observed.whiten(centres - fields.mean[observed])
        # |a − b|² = |a|² − 2ab + |b|², and |a|² is the same for all levels.
        log_p = log_prior + white @ centres_white.T - 0.5 * (centres_white**2).sum(axis=1)
        log_p -= log_p.max(axis=1, keepdims=True)
        p = np.exp(log_p)
        out[rows] = p / p.sum(axis=1, keepdims=True)
    return out


def class_probabilities_about(
    fields: Fields, within: Fields, deviations: Array, centre: Array, indicators: NDArray[np.int64]
) -> Array:
    """The same where other fields have been fixed before, so that each row has its own mean.

    Discriminant analysis from the regression of the indicators on all that is known: with ŷ their linear prediction, S
    what it leaves of their covariance C, and c_k the indicators of level k less their mean π, the log-odds are
    (ŷ − π) S⁻¹ c_k − ½ c_k (S⁻¹ − C⁻¹) c_k.

    Parameters
    ----------
    fields, within
        Before and after other fields were fixed.
    deviations
        Rows less their mean (n, p), NaN where unknown.
    centre
        Mean of each row (n, p).
    indicators
        As in `class_probabilities`.
    """
    prior = marginal_probabilities(fields.mean[indicators])
    corners = np.vstack([np.zeros(len(indicators)), np.eye(len(indicators))]) - fields.mean[indicators]
    before = factor(fields.covariance[np.ix_(indicators, indicators)]).inverse()
    unbiased = fields.degrees / max(fields.count - fields.fixed - len(prior), 1.0)
    out = np.empty((len(deviations), len(prior)))
    with np.errstate(divide="ignore"):
        log_prior = np.log(prior)
    for rows, observed in patterns(deviations, indicators):
        given = conditional(within.covariance, observed, indicators)
        after = factor(given.covariance).inverse()
        predicted = centre[rows][:, indicators] + deviations[rows][:, observed] @ given.coefficients
        linear = (predicted - fields.mean[indicators]) @ after @ corners.T
        quadratic = np.einsum("ki,ij,kj->k", corners, after - before, corners)
        log_p = log_prior + (linear - 0.5 * quadratic) / unbiased
        log_p -= log_p.max(axis=1, keepdims=True)
        p = np.exp(log_p)
        out[rows] = p / p.sum(axis=1, keepdims=True)
    return out
