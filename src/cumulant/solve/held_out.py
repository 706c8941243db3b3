"""The score of second order on rows that were left out, from moments alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.regression import centred_fields, regress

if TYPE_CHECKING:
    from cumulant.measure import Moments

__all__ = ["log_likelihood", "usable_folds"]


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


def usable_folds(m: Moments) -> list[int]:
    """Folds with rows, where others have rows too."""
    weight = m.weight
    return [k for k in range(m.folds) if weight[k] > 0 and weight[k] < weight.sum()]
