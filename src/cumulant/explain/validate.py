"""How well a model predicts rows it has not seen, from the folds of its moments alone.

Moments add, so the moments of all folds but one are those of a training set, and the fold left out is the test set:
no row is looked at again. What moments cannot tell (the shape of the errors, hence coverage) `calibration` reads off
rows where they are at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.explain.imposed import law_under, mean_square, regression_of
from cumulant.explain.levelled import law_of, levelled, square_error
from cumulant.lift import Boolean, Categorical
from cumulant.measure import Moments, kernels
from cumulant.measure import compensated as dd
from cumulant.model.rows import rows_of
from cumulant.solve.categories import Categories
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.levelled import LevelledLaw
from cumulant.solve.predictive import Fields, Predictive
from cumulant.solve.regression import Regression, centred_fields, origin_fields, regress
from cumulant.solve.structured import SymmetricLaw
from cumulant.source import Table, open_table
from cumulant.symmetry import Reduced

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]

__all__ = [
    "Calibration",
    "Jackknife",
    "SecondOrder",
    "calibration",
    "cross_validate",
    "jackknife",
    "judges_by_fold",
    "leave_out",
    "target_and_rest",
]

M = TypeVar("M", Moments, Reduced, "Moments | Reduced")
SecondOrder = GaussianLaw | LevelledLaw | SymmetricLaw


def target_and_rest(model: Model, target: str) -> tuple[int, NDArray[np.int64]]:
    """The field to be explained and the fields of all other columns.

    Raises
    ------
    ColumnError
        There is no such column.
    OptionError
        It is a category, which has no mean to be explained.
    """
    lift = model.schema.lifts[model.schema.position(target)]
    if isinstance(lift, Categorical):
        raise OptionError(
            f"column '{target}' is a category and has no regression; predict('{target}', output='density') gives the "
            "probability of each level, and a true/false column for one level is regressed as its probability"
        )
    own = model.schema.independent_of(target)
    return int(own[0]), np.setdiff1d(np.arange(len(model.fields)), own)


def leave_out(m: M, k: int) -> M:
    """The moments of all folds but ``k``."""
    return m.some_folds(np.arange(m.folds) != k)


def cross_validate(model: Model, target: str) -> pd.DataFrame:
    """Scores on each fold of a regression fitted to the other folds, computed from fold moments.

    Parameters
    ----------
    model
        A model with its moments, in at least two folds with rows. Its prior mass is used in every fold.
    target
        The column to be predicted from all others.

    Returns
    -------
    DataFrame
        One row per fold with rows, and ``"all"`` for the held-out predictions of all folds together. Columns:
        ``rows`` (held out, or their weight in units of the mean); ``r2`` (about the mean of the held-out rows);
        ``rmse``; ``log_likelihood``: mean over the held-out rows of ln N(y; ŷ, s²), s² the unbiased residual
        variance of the training rows.

    Notes
    -----
    With θ = (1, −β) the squared error of the held-out rows is n θᵀCθ + n (θ·(μ − μ_train))², C and μ those of the fold:
    exactly what refitting on the rows gives. Where cells are missing C is pairwise and the scores are estimates.
    With importance weights, errors are weighted by them. Moments that were measured under a group tell the error
    averaged over all columns that the group takes the target to, so that is what is given.

    Raises
    ------
    OptionError
        There are fewer than two folds with rows, or the target is a category.
    IncompatibleError
        The model was saved or made without its moments.

    Examples
    --------
    >>> import cumulant as cm
    >>> import numpy as np
    >>> x = np.arange(40.0)
    >>> model = cm.fit({"x": x, "y": 2 * x + np.cos(9 * x)}, prior=None, folds=4)
    >>> scores = model.cross_validate("y")
    >>> bool(scores.loc["all", "r2"] > 0.99)
    True
    """
    import pandas as pd

    m = model._kept("cross-validate")
    y, x = target_and_rest(model, target)
    used = _usable_folds(m)
    if len(used) < 2:
        raise OptionError(
            f"cross-validation needs at least two folds with rows, there {_are(len(used))}; measure more rows, "
            "or with folds=10"
        )
    scores = np.array([_fold_score(model, m, k, y, x) for k in used])
    weight = m.weight[used]
    rows = weight * (_count(m) / m.weight.sum())
    share = weight / weight.sum()
    pooled = [share @ scores[:, 0], _variance(m, m.weight > 0, y), share @ scores[:, 2]]
    error, variance, likelihood = np.vstack([scores, pooled]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(variance > 0, 1 - error / variance, np.nan)
    return pd.DataFrame(
        {"rows": [*rows, rows.sum()], "r2": r2, "rmse": np.sqrt(error), "log_likelihood": likelihood},
        index=pd.Index([*used, "all"], name="fold", dtype=object),
    )


def _fold_score(model: Model, m: Moments | Reduced, k: int, y: int, x: NDArray[np.int64]) -> tuple[float, float, float]:
    """Mean square of a fold about the prediction of the others and about its mean, and mean log-likelihood."""
    fold = np.arange(m.folds) == k
    if model.symmetries is not None:
        law = law_under(model.symmetries, model.prior, leave_out(m, k))
        r = regression_of(law, y, x)
        return _scored(r, _square_error(r, law.mean, m, fold, y, x), _variance(m, fold, y))
    assert isinstance(m, Moments)  # noqa: S101  # without a symmetry
    part = leave_out(m, k)
    if isinstance(model.law, LevelledLaw) and model.law.wide:
        held = m.some_folds(fold)
        levels = law_of(part, model.law, model.law.fields.mass)
        r = levelled(model, levels, y, x).regression
        fields = centred_fields(held)
        error = square_error(levels, r.coefficients, y, x, fields, Categories.of(held, fields.count))
    else:
        train = centred_fields(part, model.gaussian.mass)
        r = regress(train, y, x)
        error = _square_error(r, train.mean, m, fold, y, x)
    return _scored(r, error, _variance(m, fold, y))


def _scored(r: Regression, error: float, variance: float) -> tuple[float, float, float]:
    """Error and variance of held-out rows, and the log-likelihood of such an error."""
    # With no degree of freedom left one is assumed, as for prediction.
    s2 = r.residual / max(r.count - r.parameters, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = float(-0.5 * (np.log(2 * np.pi * s2) + np.divide(error, s2)))
    return error, variance, likelihood


def _square_error(
    r: Regression, centre: Array, m: Moments | Reduced, used: NDArray[np.bool_], y: int, x: NDArray[np.int64]
) -> float:
    """Mean square of the rows of some folds about the prediction."""
    at = np.concatenate([[y], x])
    theta = (np.concatenate([[1.0], -r.coefficients]), np.concatenate([[0.0], -r.low]))
    if isinstance(m, Reduced):
        return mean_square(m, used, theta[0][np.argsort(at)], centre)
    held = centred_fields(m.some_folds(used))
    square = held.covariance[np.ix_(at, at)]
    if held.low is None:
        spread = float(theta[0] @ square @ theta[0])
    else:
        spread = _quadratic((square, held.low[np.ix_(at, at)]), theta)
    return max(spread, 0.0) * held.degrees / held.count + float((held.mean - centre)[at] @ theta[0]) ** 2


def _variance(m: Moments | Reduced, used: NDArray[np.bool_], y: int) -> float:
    """Mean square of a field over the rows of some folds about its mean there."""
    if isinstance(m, Reduced):
        return mean_square(m, used, np.eye(1, len(m.columns), y)[0])
    held = centred_fields(m.some_folds(used))
    return float(held.covariance[y, y]) * held.degrees / held.count


def _count(m: Moments | Reduced) -> float:
    return float(m.count.sum()) if isinstance(m, Reduced) else m.count


def _quadratic(a: dd.Pair, v: dd.Pair) -> float:
    """vᵀAv in pairs: for an ill-conditioned design nearly all of it cancels."""
    row = (v[0][None, :], v[1][None, :])
    return float(dd.matmul(dd.matmul(row, a), dd.transpose(row))[0][0, 0])


def _usable_folds(m: Moments | Reduced) -> list[int]:
    weight = m.weight
    return [k for k in range(m.folds) if weight[k] > 0 and weight[k] < weight.sum()]


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {count or 'none'}"


# ---------------------------------------------------------------------------------------------------------------
# Standard errors from the folds
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Jackknife:
    """Standard errors of some statistics from leaving out one fold at a time.

    Parameters
    ----------
    standard_errors
        One per statistic; NaN where a statistic does not exist without one of the folds.
    folds
        Number of folds left out in turn, g.
    """

    standard_errors: Array
    folds: int


def jackknife(model: Model, target: str, *, intercept: bool = True) -> Jackknife:
    """Delete-a-fold jackknife of the coefficients (constant first) of ``target`` regressed on all other columns.

    Each fold's rows are left out together, which needs no assumption on the variance of the errors. Folds differ in
    size, so pseudo-values h θ − (h − 1) θ₍ⱼ₎, h = n/nⱼ, have the variance Σ (pseudo − θ_J)²/(h − 1) / g.

    Raises
    ------
    OptionError
        There are fewer than three folds with rows.

    References
    ----------
    Busing, Meijer & van der Leeden, "Delete-m jackknife for unequal m", Statistics and Computing 9 (1999) 3,
    equations 5 and 6.
    """
    m = model._kept("estimate errors by the jackknife")
    y, x = target_and_rest(model, target)
    used = _usable_folds(m)
    if len(used) < 3:
        raise OptionError(
            f"errors='jackknife' needs at least three folds with rows, there {_are(len(used))}; measure with folds=10 "
            "or more, or use errors='classical'"
        )

    def coefficients(part: Moments | Reduced) -> Array:
        if model.symmetries is not None:
            r = regression_of(law_under(model.symmetries, model.prior, part), y, x)
            return np.concatenate([[r.constant], np.where(r.kept, r.coefficients, np.nan)])
        assert isinstance(part, Moments)  # noqa: S101  # without a symmetry
        if isinstance(model.law, LevelledLaw) and model.law.wide:
            return levelled(model, law_of(part, model.law, model.law.fields.mass), y, x).all_coefficients
        fields = centred_fields if intercept else _through_origin
        r = regress(fields(part, model.gaussian.mass), y, x, intercept=intercept)
        return np.concatenate([[r.constant], np.where(r.kept, r.coefficients, np.nan)])

    share = m.weight[used] / m.weight[used].sum()
    value, without = coefficients(m), np.array([coefficients(leave_out(m, k)) for k in used])
    h = 1 / share[:, None]
    estimate = len(used) * value - ((1 - share[:, None]) * without).sum(axis=0)
    pseudo = h * value - (h - 1) * without
    variance = ((pseudo - estimate) ** 2 / (h - 1)).mean(axis=0)
    return Jackknife(np.sqrt(variance), len(used))


def _through_origin(m: Moments, mass: float) -> Fields:
    del mass  # A regression through the origin is refused where there is one.
    return origin_fields(m)


# ---------------------------------------------------------------------------------------------------------------
# Coverage, from rows
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether predictive distributions hold the values as often as they say.

    Parameters
    ----------
    target
        The column.
    rows
        Rows judged.
    coverage
        Indexed by level: ``expected`` and ``observed`` share of values inside the central interval.
    histogram
        Rows per bin of the probability integral transform P(Y ≤ y), which is uniform for a calibrated model; (bins,).
    log_likelihood
        Mean log predictive density of a row, in nats.
    rmse
        Root mean square error, in units of the target.
    """

    target: str
    rows: int
    coverage: pd.DataFrame
    histogram: NDArray[np.int64]
    log_likelihood: float
    rmse: float


def calibration(
    model: Model,
    target: str,
    data: Any,
    *,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.99),
    bins: int = 20,
    fitted: bool = False,
) -> Calibration:
    """Judge the predictive distributions of ``target`` on rows.

    Parameters
    ----------
    model
        The model.
    target
        A column with a number; rows where it is missing are passed over.
    data
        A table.
    levels
        Coverages to check.
    bins
        Bins of the histogram.
    fitted
        The rows are those the model was fitted to, in the same order: each is then judged by the model of the folds
        it is not in.

    Returns
    -------
    Calibration

    Raises
    ------
    OptionError
        The target is a category or true/false, or a level is not between 0 and 1.
    DataError
        No row has a value for the target.
    """
    import pandas as pd

    if isinstance(model.schema.lifts[model.schema.position(target)], Boolean):
        raise OptionError(f"column '{target}' is true/false and has no interval; choose a column with a number")
    y, _ = target_and_rest(model, target)
    if not all(0 < level < 1 for level in levels):
        raise OptionError(f"levels={tuple(levels)!r}: probabilities between 0 and 1")
    table = open_table(data)
    x = rows_of(model.schema, table)
    judged = np.flatnonzero(~np.isnan(x[:, y]))
    if not len(judged):
        raise DataError(f"no row has a value for '{target}'; calibration needs rows where it is known")
    at, value = np.array([y]), x[judged, y]
    mean, scale, df = np.empty((3, len(judged)))
    for law, rows in judges_by_fold(model, _row_numbers(table, len(x))[judged], fitted=fitted):
        found = law.density(x[judged[rows]], at, target)
        mean[rows], scale[rows], df[rows] = found.mean, found.scale, found.degrees_of_freedom
    predictive = Predictive(target, mean, scale, df)
    pit = predictive.cdf(value)
    inside = [float((np.abs(pit - 0.5) <= level / 2).mean()) for level in levels]
    return Calibration(
        target=target,
        rows=len(judged),
        coverage=pd.DataFrame({"expected": list(levels), "observed": inside}, index=pd.Index(levels, name="level")),
        histogram=np.histogram(pit, bins=bins, range=(0.0, 1.0))[0],
        log_likelihood=float(predictive.log_prob(value).mean()),
        rmse=float(np.sqrt(((value - mean) ** 2).mean())),
    )


def judges_by_fold(
    model: Model, numbers: NDArray[np.int64], *, fitted: bool
) -> Iterator[tuple[SecondOrder, NDArray[np.int64]]]:
    """Laws to predict with, and the places of the rows that they may judge."""
    if not fitted:
        yield _second_order(model), np.arange(len(numbers))
        return
    m = model._kept("judge the rows it was fitted to")
    if len(_usable_folds(m)) < 2:
        raise OptionError("fitted=True needs at least two folds with rows; measure with folds=10, or judge other rows")
    fold = kernels.fold_of(numbers, m.folds)
    for k in np.unique(fold):
        yield _without(model, leave_out(m, int(k))), np.flatnonzero(fold == k)


def _without(model: Model, part: Moments | Reduced) -> SecondOrder:
    """The law of second order of some of the rows."""
    if model.symmetries is not None:
        return law_under(model.symmetries, model.prior, part)
    assert isinstance(part, Moments)  # noqa: S101  # without a symmetry
    if isinstance(model.law, LevelledLaw):
        return law_of(part, model.law, model.law.fields.mass)
    return GaussianLaw(centred_fields(part, model.gaussian.mass))


def _second_order(model: Model) -> SecondOrder:
    return model.law if isinstance(model.law, (LevelledLaw, SymmetricLaw)) else GaussianLaw(model.gaussian)


def _row_numbers(table: Table, count: int) -> NDArray[np.int64]:
    return np.arange(count) if table.row_numbers is None else np.asarray(table.row_numbers, dtype=np.int64)
