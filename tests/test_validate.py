from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import cumulant as cm
from cumulant.errors import DataError, IncompatibleError, OptionError
from cumulant.explain.validate import calibration, cross_validate, jackknife
from cumulant.measure.kernels import fold_of
from oracles import cross_validation, rows


def assert_refit(scores: pd.DataFrame, expected: dict, rtol: float = 1e-9) -> None:
    assert list(scores.index) == list(expected)
    for fold, row in expected.items():
        assert_allclose(scores.loc[fold, list(row)].astype(float), list(row.values()), rtol=rtol, err_msg=str(fold))


# ------------------------------------------------------------------------------------------------ cross-validation


@pytest.mark.parametrize("precision", ["double", "compensated"])
@pytest.mark.parametrize("folds", [2, 10])
def test_fold_moments_score_as_refitting_on_rows_does(folds, precision):
    frame = rows()
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    model = cm.fit(frame, prior=None, folds=folds, precision=precision)
    assert_refit(model.cross_validate("y"), cross_validation(x, y, fold_of(np.arange(len(y)), folds)))


@pytest.mark.parametrize("mass", [1e-3, 0.3])
def test_the_prior_is_used_in_every_fold(mass):
    frame = rows(60, 6)
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    scores = cm.fit(frame, prior=mass).cross_validate("y")
    assert_refit(scores, cross_validation(x, y, fold_of(np.arange(60), 10), mass))


def test_more_columns_than_rows_with_a_prior():
    frame = rows(30, 50, noise=3.0)
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    scores = cm.fit(frame, prior=0.5, folds=5).cross_validate("y")
    assert_refit(scores, cross_validation(x, y, fold_of(np.arange(30), 5), 0.5))


def test_collinear_and_constant_columns_predict_as_the_least_norm_solution_does():
    frame = rows(100, 3)
    frame.insert(0, "sum", frame["x0"] + 2 * frame["x1"])
    frame.insert(0, "one", 7.0)
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    model = cm.fit(frame, prior=None)
    assert_refit(model.cross_validate("y"), cross_validation(x, y, fold_of(np.arange(100), 10)), rtol=1e-8)


def test_far_mean_and_small_scale():
    frame = rows(300, 3)
    frame["x0"] += 1e8
    frame["x1"] *= 1e-12
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    x[:, 0] -= 1e8  # exact, and kinder to the oracle
    model = cm.fit(frame, prior=None)
    assert_refit(model.cross_validate("y"), cross_validation(x, y, fold_of(np.arange(300), 10)), rtol=1e-7)


def test_empty_folds_have_no_row():
    frame = rows(7, 1)
    fold = fold_of(np.arange(7), 10)
    scores = cm.fit(frame, prior=None).cross_validate("y")
    assert list(scores.index) == [*np.unique(fold), "all"]
    assert_allclose(scores.loc["all", "rows"], 7)
    expected = cross_validation(frame[["x0"]].to_numpy(), frame["y"].to_numpy(), fold)
    assert_allclose(scores["rmse"].astype(float), [row["rmse"] for row in expected.values()], rtol=1e-9)


def test_frequency_weights_are_repeated_rows():
    frame = rows(80, 2)
    weights = np.random.default_rng(1).integers(0, 4, 80)
    repeated = np.repeat(np.arange(80), weights)
    x, y = frame.drop(columns="y").to_numpy()[repeated], frame["y"].to_numpy()[repeated]
    scores = cm.fit(frame, prior=None, weights=weights).cross_validate("y")
    assert_refit(scores, cross_validation(x, y, fold_of(repeated, 10)))


def test_importance_weights_weigh_the_errors():
    frame = rows(120, 2)
    w = np.random.default_rng(2).uniform(0.2, 3.0, 120)
    scores = cm.fit(frame, prior=None, weights=w, weight_kind="importance").cross_validate("y")
    x, y, fold = (
        np.column_stack([np.ones(120), frame[["x0", "x1"]]]),
        frame["y"].to_numpy(),
        fold_of(np.arange(120), 10),
    )
    error = np.empty(120)
    for k in range(10):
        train, root = fold != k, np.sqrt(w[fold != k])
        beta = np.linalg.lstsq(x[train] * root[:, None], y[train] * root, rcond=None)[0]
        error[~train] = y[~train] - x[~train] @ beta
        held = w[~train]
        assert_allclose(scores.loc[k, "rmse"], np.sqrt(held @ error[~train] ** 2 / held.sum()), rtol=1e-9)
    assert_allclose(scores.loc["all", "rmse"], np.sqrt(w @ error**2 / w.sum()), rtol=1e-9)
    centre = w @ y / w.sum()
    assert_allclose(scores.loc["all", "r2"], 1 - (w @ error**2) / (w @ (y - centre) ** 2), rtol=1e-9)


def test_categories_and_true_false():
    rng = np.random.default_rng(3)
    frame = rows(200, 2)
    frame["kind"] = rng.choice(["a", "b", "c"], 200)
    frame["flag"] = rng.random(200) < 0.4
    design = frame.assign(b=frame["kind"] == "b", c=frame["kind"] == "c")[["x0", "x1", "b", "c", "flag"]]
    fold = fold_of(np.arange(200), 10)
    model = cm.fit(frame, prior=None)
    expected = cross_validation(design.to_numpy(dtype=float), frame["y"].to_numpy(), fold)
    assert_refit(model.cross_validate("y"), expected)
    with pytest.raises(OptionError, match="category"):
        model.cross_validate("kind")
    probability = cross_validation(
        design.assign(flag=frame["y"]).to_numpy(dtype=float), frame["flag"].to_numpy(dtype=float), fold
    )
    assert_refit(model.cross_validate("flag"), probability)


def test_ill_conditioned_design_is_scored_in_compensated_arithmetic():
    x = np.linspace(1, 2, 60)
    y = np.sin(3 * x) + 1e-3 * np.random.default_rng(4).normal(size=60)
    table = {**{f"x{k}": x**k for k in range(1, 9)}, "y": y}
    with pytest.warns(cm.CumulantWarning, match="nearly collinear"):
        model = cm.fit(table, prior=None, folds=5)
    # The same functions in a basis that double precision handles.
    legendre = np.polynomial.legendre.legvander(2 * x - 3, 8)[:, 1:]
    expected = cross_validation(legendre, y, fold_of(np.arange(60), 5))
    assert_refit(model.cross_validate("y"), expected, rtol=1e-5)


def test_missing_cells_are_scored_from_pairs():
    frame = rows(2000, 3)
    complete = cm.fit(frame, prior=None).cross_validate("y").loc["all"]
    frame = frame.mask(np.random.default_rng(5).random(frame.shape) < 0.05)
    scores = cm.fit(frame, prior=None).cross_validate("y").loc["all"]
    assert_allclose(scores["rmse"], complete["rmse"], rtol=0.1)
    assert_allclose(scores["log_likelihood"], complete["log_likelihood"], atol=0.1)


def test_a_perfect_fit():
    x = np.arange(50.0)
    scores = cm.fit({"x": x, "y": 3 * x + 1}, prior=None).cross_validate("y")
    assert_allclose(scores["r2"].astype(float), 1.0, atol=1e-12)
    assert (scores["rmse"] < 1e-5).all()


def test_constant_target_has_no_r2():
    scores = cm.fit(rows().assign(y=2.0), prior=None).cross_validate("y")
    assert scores["r2"].isna().all()
    assert_allclose(scores["rmse"].astype(float), 0.0, atol=1e-12)


def test_noise_has_no_predictive_r2():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.normal(size=(60, 12)), columns=[f"c{i}" for i in range(12)])
    model = cm.fit(frame, prior=None)
    assert model.cross_validate("c0").loc["all", "r2"] < 0 < model.summary("c0").r_squared


@pytest.mark.parametrize(("n", "folds"), [(50, 1), (1, 10)])
def test_too_few_folds(n, folds):
    model = cm.fit(rows(n, 1), prior=None, folds=folds)
    with pytest.raises(OptionError, match="two folds"):
        model.cross_validate("y")


def test_without_moments():
    with pytest.raises(IncompatibleError, match="moments"):
        cross_validate(cm.fit(rows(), prior=None).marginal(["x0", "y"]), "y")


# ------------------------------------------------------------------------------------------------ jackknife


def jackknife_by_rows(estimate, n: int, groups: list[np.ndarray]) -> np.ndarray:
    whole = estimate(np.arange(n))
    without = np.array([estimate(np.setdiff1d(np.arange(n), group)) for group in groups])
    h = np.array([[n / len(group)] for group in groups])
    pseudo = h * whole - (h - 1) * without
    centre = len(groups) * whole - ((1 - 1 / h) * without).sum(axis=0)
    return np.sqrt(((pseudo - centre) ** 2 / (h - 1)).mean(axis=0))


@pytest.mark.parametrize("precision", ["double", "compensated"])
def test_jackknife_is_that_of_refitting_on_rows(precision):
    frame = rows(300, 3)
    x, y = np.column_stack([np.ones(300), frame.drop(columns="y")]), frame["y"].to_numpy()
    fold = fold_of(np.arange(300), 12)
    groups = [np.flatnonzero(fold == k) for k in range(12)]
    expected = jackknife_by_rows(lambda at: np.linalg.lstsq(x[at], y[at], rcond=None)[0], 300, groups)
    found = jackknife(cm.fit(frame, prior=None, folds=12, precision=precision), "y")
    assert found.folds == 12
    assert_allclose(found.standard_errors, expected, rtol=1e-9)


def test_jackknife_of_a_mean_is_the_textbook_error():
    y = np.random.default_rng(7).normal(size=3000)
    found = jackknife(cm.fit({"y": y}, prior=None, folds=1000), "y")
    assert_allclose(found.standard_errors[0], y.std(ddof=1) / 3000**0.5, rtol=0.07)


def test_jackknife_with_a_prior_and_missing_cells_exists():
    frame = rows(400, 3).mask(np.random.default_rng(8).random((400, 4)) < 0.1)
    found = jackknife(cm.fit(frame, prior=0.05), "y")
    assert (found.standard_errors > 0).all()


# ------------------------------------------------------------------------------------------------ calibration


def test_gaussian_rows_are_calibrated():
    frame = rows(6000, 3)
    judged = calibration(cm.fit(frame[:3000], prior=None), "y", frame[3000:])
    assert judged.rows == 3000
    assert_allclose(judged.coverage["observed"], judged.coverage["expected"], atol=0.03)
    # Uniform to the 0.1 % level.
    assert stats.chisquare(judged.histogram).pvalue > 1e-3
    assert_allclose(judged.rmse, 0.5, rtol=0.05)
    assert_allclose(judged.log_likelihood, stats.norm(scale=0.5).entropy() * -1, atol=0.05)


def test_heavy_tails_are_seen():
    rng = np.random.default_rng(9)
    x = rng.normal(size=4000)
    frame = pd.DataFrame({"x": x, "y": x + rng.standard_t(2, size=4000)})
    judged = calibration(cm.fit(frame, prior=None), "y", frame)
    assert judged.coverage.loc[0.5, "observed"] > 0.6
    assert stats.chisquare(judged.histogram).pvalue < 1e-6


def test_fitted_rows_are_judged_by_the_other_folds():
    frame = rows(60, 25)
    model = cm.fit(frame, prior=None)
    inside = calibration(model, "y", frame)
    held = calibration(model, "y", frame, fitted=True)
    expected = cross_validation(frame.drop(columns="y").to_numpy(), frame["y"].to_numpy(), fold_of(np.arange(60), 10))
    assert_allclose(held.rmse, expected["all"]["rmse"], rtol=1e-9)
    assert inside.rmse < 0.8 * held.rmse


def test_fitted_rows_keep_the_numbers_of_a_pandas_index():
    frame = rows(60, 5).sample(frac=1.0, random_state=0)
    held = calibration(cm.fit(frame, prior=None), "y", frame, fitted=True)
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    assert_allclose(held.rmse, cross_validation(x, y, fold_of(frame.index.to_numpy(), 10))["all"]["rmse"], rtol=1e-9)


def test_rows_without_the_target_are_passed_over():
    frame = rows(200, 2)
    model = cm.fit(frame, prior=None)
    frame.loc[::2, "y"] = np.nan
    frame.loc[1, "x0"] = np.nan
    assert calibration(model, "y", frame).rows == 100
    with pytest.raises(DataError, match="'y'"):
        calibration(model, "y", frame[["x0", "x1"]])


def test_what_calibration_refuses():
    frame = rows(60, 2).assign(flag=[True, False, False] * 20, kind=["a", "b", "c"] * 20)
    model = cm.fit(frame, prior=None)
    with pytest.raises(OptionError, match="true/false"):
        calibration(model, "flag", frame)
    with pytest.raises(OptionError, match="category"):
        calibration(model, "kind", frame)
    with pytest.raises(OptionError, match="between 0 and 1"):
        calibration(model, "y", frame, levels=[0.5, 1.0])
    with pytest.raises(OptionError, match="two folds"):
        calibration(cm.fit(frame, prior=None, folds=1), "y", frame, fitted=True)
