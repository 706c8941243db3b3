"""Estimators: scikit-learn's own checks, and its estimators (or brute force) as oracles."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.api as sm
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import cumulant as cm
from cumulant.errors import CumulantWarning, DataError, OptionError
from cumulant.sklearn import FreeEnergyClassifier, FreeEnergyDensity, FreeEnergyImputer, FreeEnergyRegressor
from helpers import TABLES

ESTIMATORS = [FreeEnergyRegressor, FreeEnergyClassifier, FreeEnergyImputer, FreeEnergyDensity]


@parametrize_with_checks(
    [
        *(kind() for kind in ESTIMATORS),
        *(kind(prior=0.1, missing="error", folds=1) for kind in ESTIMATORS),
        *(kind(prior=None, missing="drop", weight_kind="importance") for kind in ESTIMATORS),
    ]
)
@pytest.mark.filterwarnings("default")
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)


def table(n: int = 400, p: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # Scales within 10⁵: LinearRegression takes a direction of less than 10⁻⁶ of the largest for rounding error.
    mixing = np.eye(p) + 0.5 * rng.normal(size=(p, p)) / np.sqrt(p)
    X = rng.normal(size=(n, p)) @ mixing * 10.0 ** rng.uniform(-2, 3, size=p) + 5.0
    y = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=p) + rng.normal(size=n) + 100.0
    return X, y


def gaps(X: np.ndarray, share: float = 0.2, seed: int = 1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


# ---------------------------------------------------------------- regression


@pytest.mark.parametrize("targets", [0, 1, 3])
@pytest.mark.parametrize("kind", ["none", "frequency", "importance"])
def test_without_a_prior_it_is_least_squares(targets, kind):
    X, y = table()
    if targets:
        y = np.column_stack([y + 10.0 * i * X[:, 0] for i in range(targets)])
    w = None if kind == "none" else np.random.default_rng(2).integers(0, 4, len(X)) / (1 if kind == "frequency" else 7)
    ours = FreeEnergyRegressor(prior=None, weight_kind=kind if w is not None else "frequency").fit(X, y, w)
    peer = LinearRegression().fit(X, y, w)
    assert ours.coef_.shape == peer.coef_.shape
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-8)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-8)
    assert ours.score(X, y) == pytest.approx(peer.score(X, y), rel=1e-10)


@pytest.mark.parametrize("mass", [1e-3, 0.1, 10.0])
def test_a_mass_is_ridge_on_standardised_columns_with_penalty_n_times_the_mass(mass):
    X, y = table()
    w = np.random.default_rng(2).integers(0, 4, len(X))
    for weights, total in ((None, len(X)), (w, w.sum())):
        ours = FreeEnergyRegressor(prior=mass).fit(X, y, weights)
        scaler = StandardScaler().fit(X, sample_weight=weights)
        peer = Ridge(alpha=total * mass, solver="cholesky").fit(scaler.transform(X), y, weights)
        np.testing.assert_allclose(ours.coef_, peer.coef_ / scaler.scale_, rtol=1e-8)
        np.testing.assert_allclose(ours.predict(X), peer.predict(scaler.transform(X)), rtol=1e-8)


def test_the_standard_error_is_that_of_a_new_observation():
    X, y = table(60)
    new = X[:10] * 1.5
    mean, std = FreeEnergyRegressor(prior=None).fit(X, y).predict(new, return_std=True)
    peer = sm.OLS(y, sm.add_constant(X)).fit().get_prediction(sm.add_constant(new))
    np.testing.assert_allclose(mean, peer.predicted_mean, rtol=1e-9)
    np.testing.assert_allclose(std, peer.se_obs, rtol=1e-8)
    both = FreeEnergyRegressor(prior=None).fit(X, np.column_stack([y, -2 * y])).predict(new, return_std=True)
    np.testing.assert_allclose(both[1], np.column_stack([std, 2 * std]), rtol=1e-8)


@pytest.mark.parametrize("order", [3, "auto"])
def test_a_mean_that_bends(order):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(400, 2))
    y = X[:, 0] * X[:, 1] + 0.1 * rng.normal(size=400)
    assert FreeEnergyRegressor().fit(X, y).score(X, y) < 0.1
    bent = FreeEnergyRegressor(order=order).fit(X, y)
    assert bent.score(X, y) > 0.95
    pieces = FreeEnergyRegressor(order=order).partial_fit(X[:150], y[:150]).partial_fit(X[150:], y[150:])
    assert np.allclose(pieces.predict(X), bent.predict(X), atol=1e-6)
    assert bent.coef_.shape == (2,)
    both = FreeEnergyRegressor(order=order).fit(X, np.column_stack([y, y + X[:, 0] ** 2]))
    assert np.allclose(both.predict(X)[:, 0], bent.predict(X), atol=1e-6)
    assert both.score(X, np.column_stack([y, y + X[:, 0] ** 2])) > 0.95


def test_a_spread_of_its_own():
    rng = np.random.default_rng(2)
    X = rng.uniform(-2, 2, size=(1500, 1))
    y = X[:, 0] + np.exp(0.7 * X[:, 0]) * rng.normal(size=1500)
    _, std = FreeEnergyRegressor(order=2, density="fluctuating").fit(X, y).predict([[-1.5], [1.5]], return_std=True)
    assert std[1] / std[0] == pytest.approx(np.exp(0.7 * 3), rel=0.35)
    with pytest.raises(OptionError, match="use fit"):
        FreeEnergyRegressor(density="fluctuating").partial_fit(X, y)
    with pytest.raises(OptionError, match="density='wide'"):
        FreeEnergyRegressor(density="wide").fit(X, y)
    with pytest.raises(OptionError, match="one target"):
        FreeEnergyRegressor(density="fluctuating").fit(X, np.column_stack([y, y]))


def test_a_feature_missing_in_a_row_is_left_out_of_the_regression_for_that_row():
    X, y = table()
    ours = FreeEnergyRegressor(prior=None).fit(X, y)
    new = gaps(X[:50], 0.4)
    for row, predicted in zip(new, ours.predict(new), strict=True):
        seen = ~np.isnan(row)
        expected = LinearRegression().fit(X[:, seen], y).predict(row[None, seen])[0] if seen.any() else y.mean()
        assert predicted == pytest.approx(expected, rel=1e-8)


def test_features_missing_in_training():
    X, y = table(3000)
    with_gaps = gaps(X, 0.1)
    complete = ~np.isnan(with_gaps).any(axis=1)
    peer = LinearRegression().fit(X[complete], y[complete])
    dropped = FreeEnergyRegressor(prior=None, missing="drop").fit(with_gaps, y)
    np.testing.assert_allclose(dropped.coef_, peer.coef_, rtol=1e-8, atol=1e-12)
    # Every row tells something, and nothing is biased: well within the errors of the complete rows.
    integrated = FreeEnergyRegressor(prior=None).fit(with_gaps, y)
    errors = sm.OLS(y[complete], sm.add_constant(X[complete])).fit().bse[1:]
    np.testing.assert_allclose(integrated.coef_ / errors, LinearRegression().fit(X, y).coef_ / errors, atol=3)
    assert integrated.moments_.count == len(X)
    with pytest.raises(ValueError, match="NaN"):
        FreeEnergyRegressor(missing="error").fit(with_gaps, y)
    with pytest.raises(ValueError, match="NaN"):
        FreeEnergyRegressor(missing="error").fit(X, y).predict(with_gaps)


@pytest.mark.parametrize("table_of", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
def test_frames_with_text_are_read_as_they_are(table_of):
    frame = TABLES["mixed"](np.random.default_rng(0), 400)
    y, X = frame.pop("price"), frame.drop(columns="built")
    ours = FreeEnergyRegressor(prior=None).fit(table_of(X), y)
    dummies = pd.get_dummies(X, columns=["city"], drop_first=True).astype(float)[
        ["rooms", "city_Oslo", "city_Pisa", "city_Rome", "lift"]
    ]
    peer = LinearRegression().fit(dummies, y)
    np.testing.assert_allclose(ours.predict(table_of(X)), peer.predict(dummies), rtol=1e-8)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-8)
    assert ours.coef_names_ == ["rooms", "city=Oslo", "city=Pisa", "city=Rome", "lift"]
    assert list(ours.feature_names_in_) == ["rooms", "city", "lift"]
    assert ours.target_names_ == ["price"]
    unseen = X.head(3).assign(city="Graz")
    without = LinearRegression().fit(dummies[["rooms", "lift"]], y)
    expected = without.predict(unseen[["rooms", "lift"]].astype(float))
    with pytest.warns(CumulantWarning, match="'Graz'"):
        predicted = ours.predict(table_of(unseen))
    np.testing.assert_allclose(predicted, expected, rtol=1e-8)


def test_a_feature_may_bear_the_name_of_the_target():
    X, y = table(p=2)
    frame = pd.DataFrame(X, columns=["y", "price"])
    ours = FreeEnergyRegressor(prior=None).fit(frame, pd.DataFrame({"price": y, "y": -y}))
    assert ours.target_names_ == ["price_", "y_"]
    np.testing.assert_allclose(ours.predict(frame), LinearRegression().fit(X, np.c_[y, -y]).predict(X), rtol=1e-8)
    assert FreeEnergyRegressor().fit(frame, y).target_names_ == ["y_"]


def test_frames_without_names_go_by_position():
    X, y = table()
    frame = pd.DataFrame(X, index=np.arange(len(X))[::-1])
    frame["text"] = np.where(X[:, 0] > 5, "high", "low")
    frame.columns = range(6)
    ours = FreeEnergyRegressor(prior=None).fit(frame, y)
    peer = LinearRegression().fit(np.c_[X, X[:, 0] > 5], y)
    np.testing.assert_allclose(ours.predict(frame), peer.predict(np.c_[X, X[:, 0] > 5]), rtol=1e-8)
    assert not hasattr(ours, "feature_names_in_")


def test_more_columns_than_rows_duplicates_and_constants():
    X, y = table(20, 40)
    X[:, 3], X[:, 4] = X[:, 2], 7.0
    ours = FreeEnergyRegressor().fit(X, y)
    assert np.isfinite(ours.coef_).all()
    assert np.isfinite(ours.predict(X, return_std=True)).all()
    X, y = table(500)
    doubled = np.column_stack([X, X[:, 0], np.ones(len(X))])
    ours = FreeEnergyRegressor(prior=None).fit(doubled, y)
    np.testing.assert_allclose(ours.predict(doubled), LinearRegression().fit(X, y).predict(X), rtol=1e-8)


def test_the_model_inside_predicts_any_column():
    X, y = table()
    ours = FreeEnergyRegressor(prior=None).fit(X, y)
    peer = LinearRegression().fit(np.column_stack([X[:, 1:], y]), X[:, 0])
    back = ours.model_.predict("x0", given={**{f"x{i}": X[:, i] for i in range(1, 5)}, "y": y})
    np.testing.assert_allclose(back, peer.predict(np.column_stack([X[:, 1:], y])), rtol=1e-8)
    summary = ours.model_.summary()
    np.testing.assert_allclose(summary.table.loc[ours.coef_names_, "coefficient"], ours.coef_, rtol=1e-8)


# ---------------------------------------------------------------- classification


def discriminant(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Fisher's rule by the normal density of each class, all with the unbiased covariance within classes."""
    classes = np.unique(y)
    within = sum(np.cov(X[y == c].T) * (sum(y == c) - 1) for c in classes) / (len(X) - len(classes))
    density = [
        multivariate_normal(X[y == c].mean(axis=0), within).logpdf(new) + np.log(np.mean(y == c)) for c in classes
    ]
    return softmax(np.stack(density, axis=1), axis=1)


def test_it_is_linear_discriminant_analysis():
    X, y = load_iris(return_X_y=True)
    X, y = X[20:], load_iris().target_names[y[20:]]
    ours, peer = FreeEnergyClassifier(prior=None).fit(X, y), LinearDiscriminantAnalysis().fit(X, y)
    np.testing.assert_array_equal(ours.classes_, peer.classes_)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), discriminant(X, y, X), atol=1e-8)
    new = np.where([True, False, True, False], X, np.nan)
    np.testing.assert_allclose(ours.predict_proba(new), discriminant(X[:, [0, 2]], y, X[:, [0, 2]]), atol=1e-8)


@pytest.mark.parametrize(
    "labels",
    [
        [9, 10, 200],
        ["10", "9", "ten"],
        [-1.0, 1.0, 10.0],
        [False, True],
        np.array(["b", "a", "ç"], dtype=object),
        pd.Series(["late", "early", "on time"], dtype="category", name="arrival"),
    ],
    ids=lambda labels: str(list(labels)),
)
def test_labels_of_any_kind_come_back_as_they_were(labels):
    X, codes = load_iris(return_X_y=True)
    keep = codes < len(labels)
    X, y = X[keep], np.asarray(labels)[codes[keep]]
    ours, peer = FreeEnergyClassifier(prior=None).fit(X, y), LinearDiscriminantAnalysis().fit(X, y)
    assert ours.classes_.dtype == peer.classes_.dtype
    np.testing.assert_array_equal(ours.classes_, peer.classes_)
    np.testing.assert_allclose(ours.predict_proba(X), discriminant(X, y, X), atol=1e-8)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


def test_a_class_that_has_not_come_yet_has_no_probability():
    X, y = load_iris(return_X_y=True)
    ours = FreeEnergyClassifier(prior=None)
    first = y < 2
    ours.partial_fit(X[first], y[first], classes=[0, 1, 2])
    p = ours.predict_proba(X)
    np.testing.assert_allclose(p[:, 2], 0.0, atol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    ours.partial_fit(X[~first], y[~first])
    np.testing.assert_allclose(
        ours.predict_proba(X), FreeEnergyClassifier(prior=None).fit(X, y).predict_proba(X), atol=1e-10
    )


# ---------------------------------------------------------------- imputation and density


def test_the_imputer_fills_in_the_conditional_mean():
    X, _ = table()
    new = gaps(X, 0.4)
    filled = FreeEnergyImputer(prior=None).fit(X).transform(new)
    mean, covariance = X.mean(axis=0), np.cov(X.T)
    for row, out in zip(new, filled, strict=True):
        o, m = ~np.isnan(row), np.isnan(row)
        expected = row.copy()
        expected[m] = mean[m] + covariance[np.ix_(m, o)] @ np.linalg.solve(covariance[np.ix_(o, o)], row[o] - mean[o])
        np.testing.assert_allclose(out, expected, rtol=1e-7)
    assert np.isnan(new).any(), "the input is left as it was"


def test_the_imputer_beats_the_column_means_and_keeps_every_column():
    X, _ = table(2000)
    new = gaps(X, 0.2)
    m, scale = np.isnan(new), X.std(axis=0)
    filled, best = FreeEnergyImputer().fit_transform(new), FreeEnergyImputer().fit(X).transform(new)
    guesses = (filled, best, np.where(m, np.nanmean(new, axis=0), new))
    error, error_of_best, error_of_means = (np.sqrt((((guess - X) / scale)[m] ** 2).mean()) for guess in guesses)
    assert error < 1.02 * error_of_best < error_of_means
    np.testing.assert_array_equal(filled[~m], X[~m])
    new[:, 2] = np.nan
    assert not np.isnan(FreeEnergyImputer().fit_transform(new)).any()


def test_the_imputer_fills_frames_with_text():
    frame = TABLES["mixed_with_gaps"](np.random.default_rng(0), 300).drop(columns="built")
    imputer = FreeEnergyImputer().fit(frame)
    filled = imputer.transform(frame)
    assert isinstance(filled, pd.DataFrame)
    assert not filled.isna().any(axis=None)
    assert set(filled["city"]) == set(frame["city"].dropna())
    pd.testing.assert_frame_equal(filled.where(frame.notna()), frame, check_dtype=False)
    pd.testing.assert_frame_equal(filled, imputer.model_.impute(frame))
    assert isinstance(FreeEnergyImputer().fit_transform(pl.from_pandas(frame[["price", "city"]])), pl.DataFrame)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output_and_feature_names(container):
    X, _ = table()
    frame = pd.DataFrame(gaps(X), columns=list("abcde"))
    frame = frame if container == "pandas" else pl.from_pandas(frame)
    imputer = FreeEnergyImputer()
    plain = imputer.fit_transform(frame)
    assert isinstance(plain, np.ndarray)
    named = clone(imputer).set_output(transform=container).fit_transform(frame)
    assert type(named) is type(frame)
    assert list(named.columns) == list(imputer.get_feature_names_out()) == list("abcde")
    np.testing.assert_array_equal(named.to_numpy(), plain)
    assert list(FreeEnergyImputer().fit(X).get_feature_names_out()) == ["x0", "x1", "x2", "x3", "x4"]


def test_the_density_is_the_normal_distribution_of_the_sample_moments():
    X, _ = table()
    density = FreeEnergyDensity(prior=None).fit(X)
    mean, covariance = X.mean(axis=0), np.cov(X.T)
    expected = multivariate_normal(mean, covariance).logpdf(X)
    np.testing.assert_allclose(density.score_samples(X), expected, rtol=1e-8, atol=1e-7)
    assert density.score(X) == pytest.approx(expected.mean(), rel=1e-8)
    w = np.arange(len(X))
    assert density.score(X, sample_weight=w) == pytest.approx(np.average(expected, weights=w), rel=1e-8)
    new = X.copy()
    new[:, [0, 3]] = np.nan
    keep = [1, 2, 4]
    marginal = multivariate_normal(mean[keep], covariance[np.ix_(keep, keep)]).logpdf(X[:, keep])
    np.testing.assert_allclose(density.score_samples(new), marginal, rtol=1e-8, atol=1e-7)


def test_samples_have_the_moments_of_the_density():
    X, _ = table()
    density = FreeEnergyDensity(prior=None).fit(X)
    drawn = density.sample(20_000, random_state=3)
    np.testing.assert_array_equal(drawn, density.sample(20_000, random_state=np.random.RandomState(3)))
    sd = X.std(axis=0)
    np.testing.assert_allclose((drawn.mean(axis=0) - X.mean(axis=0)) / sd, 0, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(X.T), atol=0.03)
    frame = TABLES["mixed"](np.random.default_rng(0), 300)
    rows = FreeEnergyDensity().fit(frame).sample(5, random_state=0)
    assert list(rows.columns) == list(frame.columns)
    assert set(rows["city"]) <= set(frame["city"])


# ---------------------------------------------------------------- pieces, weights, copies


def answers(estimator, X):
    methods = ("predict_proba", "predict", "transform", "score_samples")
    return np.column_stack([getattr(estimator, m)(X) for m in methods if hasattr(estimator, m)])


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("prior", [None, "evidence", "folds"])
@pytest.mark.parametrize("missing", ["integrate", "drop"])
def test_fitting_in_pieces_is_fitting_at_once(kind, prior, missing):
    X, y = table()
    X, w = gaps(X, 0.05), np.random.default_rng(4).integers(1, 4, len(X))
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    y = labels if kind is FreeEnergyClassifier else y
    whole = kind(prior=prior, missing=missing).fit(X, y, sample_weight=w)
    for edges in ([1, 2, 3], [250], range(7, 400, 60)):
        pieces = kind(prior=prior, missing=missing)
        for i, part in enumerate(np.split(np.arange(len(X)), edges)):
            classes = {"classes": [0, 1, 2]} if kind is FreeEnergyClassifier and i == 0 else {}
            pieces.partial_fit(X[part], y[part], sample_weight=w[part], **classes)
        assert pieces.n_samples_seen_ == len(X)
        np.testing.assert_allclose(pieces.moments_.covariance, whole.moments_.covariance, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(answers(pieces, X), answers(whole, X), rtol=1e-7, atol=1e-9)
    pieces.fit(X[:100], y[:100])
    assert pieces.n_samples_seen_ == 100


def test_a_piece_of_no_weight_changes_nothing():
    X, y = table()
    ours = FreeEnergyRegressor().fit(X, y)
    before = ours.predict(X)
    ours.partial_fit(X[:9] + 1e3, y[:9], np.zeros(9))
    np.testing.assert_allclose(ours.predict(X), before, rtol=1e-12)


def test_levels_may_first_appear_in_a_later_piece():
    frame = TABLES["mixed"](np.random.default_rng(0), 300).sort_values("city")
    y = frame.pop("price")
    whole, pieces = FreeEnergyRegressor().fit(frame, y), FreeEnergyRegressor()
    for start in range(0, 300, 50):
        pieces.partial_fit(frame[start : start + 50], y[start : start + 50])
    assert sorted(pieces.coef_names_) == sorted(whole.coef_names_)
    np.testing.assert_allclose(pieces.predict(frame), whole.predict(frame), rtol=1e-8)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("prior", ["auto", "evidence"])
def test_a_weight_repeats_or_removes_a_row_with_gaps(kind, prior):
    X, y = table(60)
    X, w = gaps(X, 0.1), np.random.default_rng(4).integers(0, 4, len(X))
    y = y > np.median(y) if kind is FreeEnergyClassifier else y
    weighted = kind(prior=prior).fit(X, y, sample_weight=w)
    repeated = kind(prior=prior).fit(X.repeat(w, axis=0), y.repeat(w))
    assert weighted.moments_.count == repeated.moments_.count == w.sum()
    np.testing.assert_allclose(answers(weighted, X), answers(repeated, X), rtol=1e-7, atol=1e-9)


def test_only_ratios_of_importance_weights_matter():
    X, y = table(60)
    w = np.random.default_rng(4).random(len(X)) + 0.1
    one, other = (FreeEnergyRegressor(weight_kind="importance").fit(X, y, c * w) for c in (1.0, 1e-6))
    for a, b in zip(one.predict(X, return_std=True), other.predict(X, return_std=True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    np.testing.assert_allclose(
        FreeEnergyRegressor(weight_kind="importance").fit(X, y).predict(X), FreeEnergyRegressor().fit(X, y).predict(X)
    )


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_copies_answer_the_same(kind, tmp_path):
    X, y = table()
    y = y > np.median(y) if kind is FreeEnergyClassifier else y
    fitted = kind().fit(X, y)
    joblib.dump(fitted, tmp_path / "estimator.joblib")
    for other in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib.load(tmp_path / "estimator.joblib"),
        clone(fitted).fit(X, y),
    ):
        np.testing.assert_array_equal(answers(other, X), answers(fitted, X))
    other = pickle.loads(pickle.dumps(fitted)).partial_fit(X, y)
    assert other.model_.count == 2 * len(X)
    fitted.model_.save(tmp_path / "kept.cumulant")
    assert cm.load(tmp_path / "kept.cumulant").count == len(X)


# ---------------------------------------------------------------- among other estimators


def test_a_grid_over_priors():
    X, y = table(40, 30)
    search = GridSearchCV(FreeEnergyRegressor(), {"prior": [None, "auto", "evidence", "folds", 0.01, 0.3]}, cv=4)
    search.fit(X, y)
    scores = dict(
        zip((str(s["prior"]) for s in search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True)
    )
    assert np.isfinite(list(scores.values())).all()
    assert scores["evidence"] == scores["auto"] > scores["None"]
    assert search.best_estimator_.predict(X).shape == y.shape


def test_pipelines_columns_and_votes():
    X, y = table(300)
    with_gaps = gaps(X, 0.1)
    pipeline = make_pipeline(StandardScaler(), FreeEnergyImputer(), FreeEnergyRegressor())
    assert cross_val_score(pipeline, with_gaps, y, cv=3).min() > 0.5
    frame = TABLES["mixed"](np.random.default_rng(0), 300)
    price = frame.pop("price")
    columns = ColumnTransformer(
        [("numbers", FreeEnergyImputer(), ["rooms", "lift"]), ("text", "passthrough", ["city"])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    chain = make_pipeline(columns, FreeEnergyRegressor(prior=None)).fit(frame, price)
    alone = FreeEnergyRegressor(prior=None).fit(frame[["rooms", "lift", "city"]], price)
    np.testing.assert_allclose(chain.predict(frame), alone.predict(frame[["rooms", "lift", "city"]]), rtol=1e-9)
    vote = VotingRegressor([("ours", FreeEnergyRegressor(prior=None)), ("peer", LinearRegression())]).fit(X, y)
    np.testing.assert_allclose(vote.predict(X), LinearRegression().fit(X, y).predict(X), rtol=1e-9)
    many = MultiOutputRegressor(FreeEnergyRegressor(prior=None)).fit(X, np.c_[y, -y])
    np.testing.assert_allclose(many.predict(X)[:, 1], -many.predict(X)[:, 0], rtol=1e-9)
    chosen = SelectFromModel(FreeEnergyRegressor(prior=None), max_features=2, threshold=-np.inf).fit(X, y)
    largest = np.argsort(-abs(LinearRegression().fit(X, y).coef_))[:2]
    np.testing.assert_array_equal(np.flatnonzero(chosen.get_support()), np.sort(largest))


def test_folds_are_scored_in_parallel():
    X, y = table()
    with joblib.parallel_backend("threading"):
        parallel = cross_val_score(FreeEnergyRegressor(), X, y, cv=4, n_jobs=2)
    np.testing.assert_array_equal(parallel, cross_val_score(FreeEnergyRegressor(), X, y, cv=4))


def test_metadata_is_routed():
    X, y = table()
    w = np.random.default_rng(5).integers(0, 3, len(X))
    with config_context(enable_metadata_routing=True):
        regressor = FreeEnergyRegressor(prior=None).set_fit_request(sample_weight=True)
        regressor = regressor.set_predict_request(return_std=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), regressor)
        mean, std = pipeline.fit(X, y, sample_weight=w).predict(X, return_std=True)
    np.testing.assert_allclose(mean, LinearRegression().fit(X, y, w).predict(X), rtol=1e-8)
    assert (std > 0).all()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (lambda X, y: FreeEnergyRegressor().fit(X, y, np.zeros(len(y))), DataError, "sample_weight is zero"),
        (lambda X, y: FreeEnergyRegressor().fit(X, y, -np.ones(len(y))), DataError, "not negative"),
        (lambda X, y: FreeEnergyRegressor().fit(X, y, np.ones((len(y), 2))), OptionError, "one weight a sample"),
        (lambda X, y: FreeEnergyRegressor().fit(X, None), OptionError, "requires y"),
        (lambda X, y: FreeEnergyRegressor().fit(X, np.where(y > 100, np.nan, y)), ValueError, "y contains NaN"),
        (lambda X, y: FreeEnergyRegressor().fit(X, y).partial_fit(X, np.c_[y, y]), OptionError, "y has 2 targets"),
        (lambda X, y: FreeEnergyRegressor().fit(pd.DataFrame(X)[:0], y[:0]), DataError, "0 sample"),
        (lambda X, y: FreeEnergyRegressor().fit(pd.DataFrame(index=range(9)), y[:9]), DataError, "0 feature"),
        (lambda X, y: FreeEnergyRegressor().fit(pl.DataFrame({"a": [1.0, np.inf]}), y[:2]), DataError, "'a' holds inf"),
        (lambda X, y: FreeEnergyRegressor().fit(X.astype(str).astype(object) + "m", y), ValueError, "convert string"),
        (lambda X, y: FreeEnergyRegressor(prior=-1.0).fit(X, y), OptionError, "prior=-1.0"),
        (lambda X, y: FreeEnergyRegressor(missing="skip").fit(X, y), OptionError, "missing='skip'"),
        (lambda X, y: FreeEnergyRegressor(weight_kind="odds").fit(X, y), OptionError, "weight_kind='odds'"),
        (lambda X, y: FreeEnergyClassifier().fit(X, y), ValueError, "Unknown label type"),
        (lambda X, y: FreeEnergyClassifier().fit(X[:3], ["a", None, "b"]), DataError, "no label in row 1"),
        (lambda X, y: FreeEnergyClassifier().partial_fit(X, y > 100), OptionError, "classes= must be passed"),
        (lambda X, y: _labelled(X).partial_fit(X, y > 100, classes=[0, 2]), OptionError, "not what the first call"),
        (lambda X, y: _labelled(X).partial_fit(X, np.full(len(y), 7)), DataError, "label .*7.* among the classes"),
    ],
)
def test_refusals_say_what_is_wrong(attempt, error, message):
    with pytest.raises(error, match=message):
        attempt(*table(50))


def _labelled(X):
    return FreeEnergyClassifier().partial_fit(X, X[:, 0] > 5, classes=[0, 1])


def test_a_piece_that_is_refused_leaves_the_estimator_as_it_was():
    X, y = table()
    ours = FreeEnergyRegressor().fit(X, y)
    before = ours.predict(X)
    with pytest.raises(DataError, match="not negative"):
        ours.partial_fit(X, y, -np.ones(len(y)))
    assert ours.n_samples_seen_ == len(X)
    np.testing.assert_array_equal(ours.predict(X), before)


def test_without_scikit_learn_the_extra_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import cumulant, cumulant.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MissingDependencyError" in done.stderr
    assert "pip install 'cumulant[sklearn]'" in done.stderr
