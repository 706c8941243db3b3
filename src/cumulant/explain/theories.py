"""Cross-validation of the theory that was fitted: by folds of moments, rows left out in closed form, or refits.

A mean that bends is solved from moments, so its folds are held out as those of second order are. A field has what the
other rows say of each in closed form. What only rows can tell (the density of a fluctuation, a polynomial F) is judged
on rows, by the theory solved anew without each fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import IncompatibleError, OptionError
from cumulant.explain import validate
from cumulant.explain.judges import Judges
from cumulant.explain.validate import target_and_rest
from cumulant.measure import Moments
from cumulant.measure.kernels import fold_of
from cumulant.model.laws import name_of
from cumulant.solve.expansion import held_out_folds
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.left_out import LeftOut, displaced
from cumulant.solve.fluctuation_law import FluctuationLaw
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.taylor_law import TaylorLaw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]

__all__ = ["cross_validate"]


def cross_validate(model: Model, target: str, by: Judges | None = None) -> pd.DataFrame:
    """Scores of the theory that was fitted on each fold that it has not seen; see `cumulant.Model.cross_validate`.

    Parameters
    ----------
    model
        The model.
    target
        The column to be predicted from all others. What is not about the target that the model was fitted to is
        answered, and scored, to second order; so is all of a polynomial F without ``by``.
    by
        The theory solved anew without each fold, and the rows that each judges.

    Returns
    -------
    DataFrame
        As of `cumulant.explain.validate.cross_validate`.

    Raises
    ------
    OptionError, IncompatibleError
        There is nothing to hold out, and why.
    """
    apart, model = model._targets, model._about(target)
    law = model.law
    polynomial = isinstance(law, PolynomialLaw)
    if not polynomial and (target != model.target or not isinstance(law, (TaylorLaw, FluctuationLaw, FieldLaw))):
        if name_of(law) == "field of a category" and target == model.target:
            raise OptionError(
                f"'{target}' is a category or true/false, whose fields have probabilities and no mean; "
                "FreeEnergyClassifier(theory='field') with sklearn.model_selection.cross_val_score scores them"
            )
        return validate.cross_validate(model, target)
    y, _ = target_and_rest(model, target)
    if isinstance(law, FieldLaw):
        return _of_field(model, law)
    if by is not None and by.fold is not None:
        return _by_rows(by, by.fold, y)
    if polynomial:
        raise IncompatibleError(
            "a polynomial F is judged on rows, solved anew without each fold: give those that it was fitted to, "
            "model.cross_validate(target, data=table)"
        )
    mean = law.background if isinstance(law, FluctuationLaw) else law
    assert isinstance(mean, TaylorLaw)  # noqa: S101  # the others were answered above
    return _of_moments(model, mean, model.schema.independent_of(apart), shape=law is mean)


def _of_field(model: Model, law: FieldLaw) -> pd.DataFrame:
    left: LeftOut | None = law.left_out
    if left is None or len(law.visible) < len(law.fixed):
        raise IncompatibleError(
            "what a field says of each row from the others is kept with the model that was fitted: this one comes from "
            "an older file, or had columns conditioned on; fit again, or ask the model that was fitted"
        )
    found = left.density(law.members)
    folds = 1 if model.moments is None else max(model.moments.folds, 1)
    fold = fold_of(np.arange(len(left.y)), folds)
    return _frame(fold, left.y, found.mean, found.log_prob(displaced(left.y)))


def _by_rows(by: Judges, fold: NDArray[np.int64], y: int) -> pd.DataFrame:
    value = by.x[:, y]
    mean, logs = np.full(len(value), np.nan), np.full(len(value), np.nan)
    for law, part in by.parts:
        part = part[~np.isnan(value[part])]
        found = law.density(by.x[part], np.array([y]), "")
        mean[part], logs[part] = found.mean, found.log_prob(value[part])
    known = ~np.isnan(value)
    return _frame(fold[known], value[known], mean[known], logs[known])


def _of_moments(model: Model, law: TaylorLaw, apart: NDArray[np.int64], *, shape: bool) -> pd.DataFrame:
    """``shape``: whether the likelihood is of a Gaussian of one strength, which moments tell; ``apart``: no inputs."""
    m = model._kept("cross-validate")
    if not isinstance(m, Moments) or len(law.visible) < len(law.base.mean):
        raise IncompatibleError(
            "a mean that bends is cross-validated by the moments of its terms, which moments under a symmetry and "
            "models of fewer columns do not have; ask the model that was fitted, without symmetry="
        )
    symmetry = None if model.symmetries is None else model.symmetries.declared
    turned = symmetry is not None and bool(symmetry.group.moved[law.target])
    folds = held_out_folds(m, law, symmetry if turned else None, apart)
    if len(folds) < 2:
        raise OptionError("cross-validation needs at least two folds with rows; measure more rows, or with folds=10")
    rows = np.array([fold.rows for fold in folds])
    scores = np.array([[fold.error, fold.variance, fold.log_likelihood] for fold in folds])
    whole = float(np.diag(law.terms.covariance if law.terms.measured is None else law.terms.measured)[-1])
    pooled = [rows @ scores[:, 0] / rows.sum(), whole * (1 - 1 / law.terms.count), rows @ scores[:, 2] / rows.sum()]
    error, variance, likelihood = np.vstack([scores, pooled]).T
    if not shape:
        likelihood = np.full(len(likelihood), np.nan)
    return _told([fold.fold for fold in folds], np.append(rows, rows.sum()), error, variance, likelihood)


def _frame(fold: NDArray[np.int64], y: Array, mean: Array, logs: Array) -> pd.DataFrame:
    used = np.unique(fold)
    parts = [*(np.flatnonzero(fold == k) for k in used), np.arange(len(y))]
    error = np.array([((y[part] - mean[part]) ** 2).mean() for part in parts])
    variance = np.array([y[part].var() for part in parts])
    likelihood = np.array([logs[part].mean() for part in parts])
    return _told([int(k) for k in used], np.array([float(len(part)) for part in parts]), error, variance, likelihood)


def _told(fold: list[int], rows: Array, error: Array, variance: Array, likelihood: Array) -> pd.DataFrame:
    import pandas as pd

    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(variance > 0, 1 - error / variance, np.nan)
    return pd.DataFrame(
        {"rows": rows, "r2": r2, "rmse": np.sqrt(np.maximum(error, 0.0)), "log_likelihood": likelihood},
        index=pd.Index([*fold, "all"], name="fold", dtype=object),
    )
