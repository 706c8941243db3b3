"""The score of second order on rows that were left out, from moments alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure.kernels import fold_of
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.mixed import level_of
from cumulant.solve.regression import centred_fields, regress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["class_log_likelihood", "log_likelihood", "usable_folds"]


def log_likelihood(m: Moments, mass: float, y: int) -> float:
    """Mean log-likelihood of field ``y`` in a held-out row, given all others; NaN with fewer than two folds."""
    x = np.delete(np.arange(len(m.columns)), y)
    used = usable_folds(m)
    if len(used) < 2:
        return float("nan")
    total = 0.0
    for k in used:
        here = np.arange(m.folds) == k
        train, held = centred_fields(m.some_folds(~here), mass), centred_fields(m.some_folds(here))
        r = regress(train, y, x)
        theta = np.insert(-r.coefficients, y, 1.0)
        error = (
            theta @ held.covariance @ theta * held.degrees / held.count + float(theta @ (held.mean - train.mean)) ** 2
        )
        variance = max(r.residual / max(r.count - r.parameters, 1.0), 1e-12 * float(train.covariance[y, y]))
        total += float(m.weight[k]) * -0.5 * float(np.log(2 * np.pi * variance) + error / variance)
    return total / float(m.weight[used].sum())


def class_log_likelihood(m: Moments, mass: float, indicators: Index, rows: Array) -> float:
    """Mean log probability, to second order, of the level of a category in rows (n, p).

    Each row is judged by the moments of the folds it is not in; where the rows are a part of those measured, which only
    is so of very many, by all moments.
    """
    known = ~np.isnan(rows[:, indicators]).any(axis=1)
    whole = len(rows) == int(m.rows.sum())
    fold = fold_of(np.arange(len(rows)), m.folds) if whole else np.zeros(len(rows), dtype=np.int64)
    total = 0.0
    for k in np.unique(fold[known]):
        here = known & (fold == k)
        train = m.some_folds(np.arange(m.folds) != k) if whole else m
        bare = rows[here].copy()
        bare[:, indicators] = np.nan
        p = GaussianLaw(centred_fields(train, mass)).probabilities(bare, indicators)
        own = p[np.arange(len(p)), level_of(rows[np.ix_(here, indicators)])]
        total += float(np.log(np.maximum(own, np.finfo(float).tiny)).sum())
    return total / max(int(known.sum()), 1)


def usable_folds(m: Moments) -> list[int]:
    """Folds with rows, where others have rows too."""
    weight = m.weight
    return [k for k in range(m.folds) if weight[k] > 0 and weight[k] < weight.sum()]
