"""Held-out scores and errors under a symmetry, against models fitted to the rows that were left."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import IncompatibleError, OptionError
from cumulant.explain.validate import calibration
from cumulant.measure.kernels import fold_of
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.predictive import Fields
from cumulant.solve.regression import regress
from cumulant.solve.structured import SymmetricLaw

FOLDS = 4
DECLARED = {
    "strict": sym.cyclic,
    "with the mean": lambda n: sym.with_mean(sym.cyclic(n)),
    "up to scale": lambda n: sym.up_to_scale(sym.cyclic(n)),
    "no known basis": lambda n: sym.Group.of(n, [[(0, 1), (2, 3)]]),
}


def table(n: int, p: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, p))
    x = noise + 0.7 * np.roll(noise, 1, axis=1) + 0.2 * rng.normal(size=(n, 1))
    return pd.DataFrame(x + np.linspace(0, 1, p), columns=[f"x{j}" for j in range(p)])


def refitted(frame: pd.DataFrame, symmetry, mass: float | None) -> list[tuple[cm.Model, np.ndarray, np.ndarray]]:
    """The model of all rows but those of a fold, and the two sets of rows."""
    fold = fold_of(np.arange(len(frame)), FOLDS)
    parts = []
    for k in range(FOLDS):
        train, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        parts.append((cm.fit(frame.iloc[train], symmetry=symmetry, prior=mass), train, held))
    return parts


def errors_of(model: cm.Model, frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy() - model.predict(name, given=frame.drop(columns=name))


@pytest.mark.parametrize("mass", [None, 0.2])
@pytest.mark.parametrize("declare", DECLARED.values(), ids=DECLARED.keys())
def test_fold_moments_score_as_refitting_on_rows_does(declare, mass):
    frame, symmetry = table(60, 5), declare(5)
    scores = cm.fit(frame, symmetry=symmetry, prior=mass, folds=FOLDS).cross_validate("x1")
    squares = np.empty(60)
    for k, (model, _, held) in enumerate(refitted(frame, symmetry, mass)):
        error = errors_of(model, frame.iloc[held], "x1")
        y = frame["x1"].to_numpy()[held]
        squares[held] = error**2
        np.testing.assert_allclose(scores.loc[k, "rmse"], np.sqrt((error**2).mean()))
        np.testing.assert_allclose(scores.loc[k, "r2"], 1 - (error**2).mean() / y.var())
        s2 = model.summary("x1").residual_sd ** 2
        likelihood = -0.5 * np.log(2 * np.pi * s2) - 0.5 * (error**2).mean() / s2
        np.testing.assert_allclose(scores.loc[k, "log_likelihood"], likelihood)
    np.testing.assert_allclose(scores.loc["all", "rmse"], np.sqrt(squares.mean()))
    assert scores.loc["all", "rows"] == 60


@pytest.mark.parametrize("group", [sym.cyclic(5), sym.symmetric(5), sym.with_mean(sym.cyclic(5))], ids=str)
def test_moments_measured_under_a_group_score_all_columns_that_are_alike(group):
    frame = table(60, 5)
    model = cm.solve(cm.measure(frame, symmetry=group, folds=FOLDS), prior=None)
    scores = model.cross_validate("x1")
    for k, (part, _, held) in enumerate(refitted(frame, group, None)):
        square = np.mean([(errors_of(part, frame.iloc[held], name) ** 2).mean() for name in frame])
        np.testing.assert_allclose(scores.loc[k, "rmse"], np.sqrt(square))


@pytest.mark.parametrize("declare", DECLARED.values(), ids=DECLARED.keys())
def test_the_jackknife_leaves_out_rows_of_a_fold(declare):
    frame, symmetry = table(60, 5), declare(5)
    model = cm.fit(frame, symmetry=symmetry, prior=None, folds=FOLDS)
    found = model.summary("x1", errors="jackknife").table
    n = 60.0
    h, pseudo, estimate = [], [], np.zeros(5)
    whole = model.summary("x1").table["coefficient"].to_numpy()
    for part, train, held in refitted(frame, symmetry, None):
        without = part.summary("x1").table["coefficient"].to_numpy()
        h.append(n / len(held))
        pseudo.append(h[-1] * whole - (h[-1] - 1) * without)
        estimate += whole - len(train) / n * without
    # Busing, Meijer & van der Leeden (1999), equations 5 and 6.
    variance = np.mean([(p - estimate) ** 2 / (g - 1) for p, g in zip(pseudo, h, strict=True)], axis=0)
    np.testing.assert_allclose(found["se"], np.sqrt(variance))
    np.testing.assert_allclose(found["coefficient"], whole)


def test_a_soft_symmetry_is_cross_validated_at_its_strength():
    frame = table(80, 4) * [1.0, 1.0, 1.0, 1.3]
    model = cm.fit(frame, symmetry=sym.soft(sym.cyclic(4)), prior=None, folds=FOLDS)
    s = model.symmetries.strength
    assert 0 < s < 1
    scores = model.cross_validate("x0")
    fold = fold_of(np.arange(80), FOLDS)
    for k in range(FOLDS):
        x = frame.to_numpy()[fold != k]
        c = np.cov(x, rowvar=False)
        c = (1 - s) * c + s * sym.reynolds(sym.cyclic(4), c)
        beta = np.linalg.solve(c[1:, 1:], c[1:, 0])
        deviations = frame.to_numpy()[fold == k] - x.mean(axis=0)
        error = deviations[:, 0] - deviations[:, 1:] @ beta
        np.testing.assert_allclose(scores.loc[k, "rmse"], np.sqrt((error**2).mean()))


def test_intervals_of_rows_that_were_fitted_are_judged_by_the_other_folds():
    frame = table(200, 5)
    model = cm.fit(frame, symmetry=sym.cyclic(5), prior=None, folds=FOLDS)
    judged = calibration(model, "x2", frame, fitted=True)
    np.testing.assert_allclose(judged.rmse, model.cross_validate("x2").loc["all", "rmse"])
    assert abs(judged.coverage.loc[0.8, "observed"] - 0.8) < 0.1


@pytest.mark.parametrize(
    "group",
    [sym.cyclic(6), sym.cyclic([[0, 1], [2, 3], [4, 5]]), sym.symmetric(5), sym.orthogonal([[0, 1, 2], [3, 4, 5]])],
    ids=str,
)
def test_a_regression_from_blocks_is_the_dense_one(group):
    p = group.degree
    r = cm.measure(table(40, p), symmetry=group)
    b = r.total
    law = SymmetricLaw(r.declared, b.mean, tuple(b.blocks), tuple(b.degrees), b.count)
    rows = p + law.freedom
    dense = GaussianLaw(Fields(b.mean, r.covariance, None, b.count, rows - 1, equivalent=rows))
    for y in (0, p - 1):
        one, other = law.regressed(y), regress(dense.fields, y, np.delete(np.arange(p), y))
        for name in ("constant", "coefficients", "unit_variance", "residual", "total", "parameters", "count"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, err_msg=name)


def test_two_thousand_columns_are_summarised_and_scored():
    p = 2_100
    model = cm.fit(table(50, p), symmetry=sym.cyclic(p), folds=FOLDS)
    assert isinstance(model.law, SymmetricLaw)
    summary = model.summary("x7")
    # The precision of a moving average 1, 0.7 falls as (−0.7)^k.
    beta = summary.table["coefficient"]
    np.testing.assert_allclose(beta[["x6", "x8", "x5"]], [0.7, 0.7, -0.49], atol=0.02)
    assert "condition number                   –" in str(summary)
    scores = model.cross_validate("x7")
    assert abs(scores.loc["all", "rmse"] - summary.residual_sd) < 0.05
    se = model.summary("x7", errors="jackknife").table["se"]
    assert 0.2 < se["x6"] / summary.table["se"]["x6"] < 5


def test_what_cannot_be_asked_is_refused(tmp_path):
    frame = table(30, 4)
    model = cm.fit(frame, symmetry=sym.cyclic(4), prior=None)
    with pytest.raises(OptionError, match="without symmetry="):
        model.summary("x0", intercept=False)
    model.save(tmp_path / "bare.cumulant", moments=False)
    with pytest.raises(IncompatibleError, match="saved without its moments"):
        cm.load(tmp_path / "bare.cumulant").cross_validate("x0")
    with pytest.raises(OptionError, match="two folds"):
        cm.fit(frame, symmetry=sym.cyclic(4), folds=1).cross_validate("x0")
