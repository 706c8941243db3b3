from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

import cumulant as cm
from cumulant.errors import IncompatibleError, OptionError
from oracles import ridge, rows

TIGHT = 1e-10


def peer(frame: pd.DataFrame, target: str = "y", **weights):
    x = sm.add_constant(frame.drop(columns=target), has_constant="add")
    return (sm.WLS(frame[target], x, **weights) if weights else sm.OLS(frame[target], x)).fit()


def assert_same(ours, theirs, rtol: float = TIGHT) -> None:
    table = ours.table
    assert list(table.columns) == ["coefficient", "se", "t", "p", "low", "high"]
    assert list(table.index) == list(theirs.params.index)
    assert_allclose(table["coefficient"], theirs.params, rtol=rtol, atol=rtol)
    assert_allclose(table["se"], theirs.bse, rtol=rtol)
    assert_allclose(table["t"], theirs.tvalues, rtol=rtol, atol=rtol)
    assert_allclose(table["p"], theirs.pvalues, rtol=100 * rtol, atol=1e-300)
    assert_allclose(table[["low", "high"]], theirs.conf_int(), rtol=rtol, atol=rtol)
    assert ours.n == theirs.nobs
    assert ours.df_resid == theirs.df_resid
    assert ours.df_model == theirs.df_model
    assert_allclose(ours.r_squared, theirs.rsquared, rtol=rtol)
    assert_allclose(ours.adj_r_squared, theirs.rsquared_adj, rtol=rtol)
    assert_allclose(ours.f_statistic, theirs.fvalue, rtol=rtol)
    assert_allclose(ours.f_pvalue, theirs.f_pvalue, rtol=100 * rtol, atol=1e-300)
    assert_allclose(ours.condition_number, theirs.condition_number, rtol=rtol)
    assert_allclose(ours.log_likelihood, theirs.llf, rtol=rtol)
    assert_allclose(ours.aic, theirs.aic, rtol=rtol)
    assert_allclose(ours.bic, theirs.bic, rtol=rtol)
    assert_allclose(ours.residual_sd**2, theirs.scale, rtol=rtol)


# ------------------------------------------------------------------------------------------------ against a peer


@pytest.mark.parametrize("precision", ["double", "compensated"])
@pytest.mark.parametrize(("n", "p"), [(200, 4), (30, 1), (500, 12), (8, 5)])
def test_every_figure_is_that_of_ols(n, p, precision):
    frame = rows(n, p, seed=n + p)
    assert_same(cm.fit(frame, prior=None, precision=precision).summary("y"), peer(frame))


def test_any_column_can_be_the_target():
    frame = rows()
    model = cm.fit(frame, prior=None)
    for target in frame.columns:
        assert_same(model.summary(target), peer(frame, target))


def test_target_named_when_fitting_is_the_default():
    frame = rows()
    assert cm.fit(frame, target="x1", prior=None).summary().target == "x1"
    with pytest.raises(OptionError, match="name a target"):
        cm.fit(frame, prior=None).summary()


def test_frequency_weights_are_repeated_rows():
    frame = rows(80)
    weights = np.random.default_rng(1).integers(0, 5, len(frame))
    expanded = frame.loc[np.repeat(frame.index, weights)]
    assert_same(cm.fit(frame, prior=None, weights=weights).summary("y"), peer(expanded))


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_importance_weights_are_weighted_least_squares(unit):
    frame = rows(150)
    w = np.random.default_rng(2).uniform(0.1, 4.0, len(frame))
    w /= w.mean()
    ours = cm.fit(frame, prior=None, weights=unit * w, weight_kind="importance").summary("y")
    assert_same(ours, peer(frame, weights=w))


@pytest.mark.parametrize("precision", ["double", "compensated"])
def test_regression_through_the_origin(precision):
    frame = rows(60, 3)
    model = cm.fit(frame, prior=None, precision=precision)
    ours = model.summary("y", intercept=False)
    theirs = sm.OLS(frame["y"], frame[["x0", "x1", "x2"]]).fit()
    assert_same(ours, theirs)


def test_through_the_origin_with_weights():
    frame = rows(60, 2)
    weights = np.random.default_rng(3).integers(1, 4, len(frame))
    expanded = frame.loc[np.repeat(frame.index, weights)]
    ours = cm.fit(frame, prior=None, weights=weights).summary("y", intercept=False)
    assert_same(ours, sm.OLS(expanded["y"], expanded[["x0", "x1"]]).fit())


def test_categories_are_treatment_contrasts():
    rng = np.random.default_rng(4)
    frame = rows(150, 2)
    frame["kind"] = rng.choice(["b", "a", "c"], len(frame))
    frame["y"] += frame["kind"].map({"a": 0.0, "b": 2.0, "c": -1.0})
    ours = cm.fit(frame, prior=None).summary("y")
    theirs = smf.ols("y ~ x0 + x1 + C(kind)", frame).fit()
    renamed = {"Intercept": "const", "C(kind)[T.b]": "kind=b", "C(kind)[T.c]": "kind=c"}
    expected = theirs.params.rename(renamed)[ours.table.index]
    assert list(ours.table.index) == ["const", "x0", "x1", "kind=b", "kind=c"]
    assert_allclose(ours.table["coefficient"], expected, rtol=TIGHT)
    assert_allclose(ours.table["se"], theirs.bse.rename(renamed)[ours.table.index], rtol=TIGHT)
    assert_allclose([ours.r_squared, ours.aic], [theirs.rsquared, theirs.aic], rtol=TIGHT)


def test_true_false_target_is_a_linear_probability_model():
    frame = rows(120, 2)
    frame["y"] = frame["y"] > frame["y"].median()
    ours = cm.fit(frame, prior=None).summary("y")
    assert_same(ours, peer(frame.astype(float)))
    assert any("linear probability" in note for note in ours.notes)


def test_dates_explain_and_are_explained():
    frame = rows(50, 1)
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(50) * 36, unit="h")
    days = frame.assign(day=18262 + np.arange(50) * 1.5)
    model = cm.fit(frame, prior=None)
    assert_same(model.summary("y"), peer(days), rtol=1e-8)
    assert_same(model.summary("day"), peer(days, "day"), rtol=1e-8)


def test_cyclic_parts_of_the_target_do_not_explain_it():
    frame = rows(50, 1)
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(50) * 36, unit="h")
    ours = cm.fit(frame, prior=None, lifts={"day": "cyclic:year"}).summary("day")
    assert list(ours.table.index) == ["const", "x0", "y"]


# ------------------------------------------------------------------------------------------------ smaller models


def test_marginal_model_is_the_shorter_regression():
    frame = rows()
    model = cm.fit(frame, prior=None).marginal(["x0", "x2", "y"])
    assert_same(model.summary("y"), peer(frame[["x0", "x2", "y"]]))


def test_conditioned_model_keeps_the_coefficients_of_the_long_regression():
    frame = rows()
    value = 0.7
    ours = cm.fit(frame, prior=None).condition({"x1": value}).summary("y")
    # The constant is the prediction at x1 = value and all else 0.
    theirs = peer(frame.assign(x1=frame["x1"] - value))
    terms = ["const", "x0", "x2", "x3"]
    assert_allclose(ours.table["coefficient"], theirs.params[terms], rtol=TIGHT)
    assert_allclose(ours.table["se"], theirs.bse[terms], rtol=TIGHT)
    assert ours.df_resid == theirs.df_resid
    assert_allclose(ours.log_likelihood, theirs.llf, rtol=TIGHT)
    assert any("conditioned" in note for note in ours.notes)


# ------------------------------------------------------------------------------------------------ prior


@pytest.mark.parametrize("mass", [1e-3, 0.1, 2.0])
def test_prior_gives_posterior_mean_and_standard_deviation(mass):
    frame = rows(60, 5)
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    expected = ridge(x, y, mass)
    ours = cm.fit(frame, prior=mass).summary("y")
    s2 = expected.residual / (len(y) - expected.parameters)
    mean = x.mean(axis=0)
    constant_variance = s2 * (1 / len(y) + mean @ expected.covariance @ mean)
    se = np.sqrt(np.concatenate([[constant_variance], s2 * np.diag(expected.covariance)]))
    assert_allclose(ours.table["coefficient"], [expected.constant, *expected.beta], rtol=1e-9)
    assert_allclose(ours.table["se"], se, rtol=1e-9)
    assert_allclose(ours.df_resid, len(y) - expected.parameters, rtol=1e-9)
    assert_allclose(ours.df_model, expected.parameters - 1, rtol=1e-9)
    assert_allclose(ours.residual_sd, np.sqrt(s2), rtol=1e-9)
    assert_allclose(ours.r_squared, 1 - expected.residual / ((y - y.mean()) ** 2).sum(), rtol=1e-9)
    assert np.isnan(ours.f_statistic)
    assert any(note.startswith("prior mass") for note in ours.notes)


def test_a_vanishing_prior_is_least_squares():
    frame = rows()
    ours, theirs = cm.fit(frame, prior=1e-13).summary("y"), peer(frame)
    assert_allclose(ours.table["coefficient"], theirs.params, rtol=1e-9)
    assert_allclose(ours.table["se"], theirs.bse, rtol=1e-9)


def test_with_a_prior_more_columns_than_rows_have_errors():
    frame = rows(20, 40, noise=10.0)
    model = cm.fit(frame, prior="evidence", target="y")
    ours = model.summary()
    assert model.prior.mass > 1e-3
    assert np.isfinite(ours.table.to_numpy()).all()
    assert 0 < ours.df_model < 19
    assert 0 < ours.df_resid < 19


# ------------------------------------------------------------------------------------------------ terms left out


def test_collinear_terms_are_dropped_and_named():
    frame = rows(100, 3)
    frame.insert(3, "twice", 2 * frame["x0"])
    frame.insert(4, "sum", frame["x1"] + frame["x2"] - 3)
    frame.insert(0, "one", 1.0)
    ours = cm.fit(frame, prior=None).summary("y")
    theirs = peer(frame.drop(columns=["one", "twice", "sum"]))
    kept = list(theirs.params.index)
    assert_allclose(ours.table.loc[kept, "coefficient"], theirs.params, rtol=TIGHT)
    assert_allclose(ours.table.loc[kept, "se"], theirs.bse, rtol=TIGHT)
    gone = ours.table.loc[["one", "twice", "sum"]]
    assert (gone["coefficient"] == 0).all()
    assert gone.drop(columns="coefficient").isna().all(axis=None)
    assert "dropped, because it does not vary: one" in ours.notes
    assert "dropped, because it is a linear combination of the terms before it: twice, sum" in ours.notes
    assert ours.df_model == 3
    assert_allclose(ours.f_statistic, theirs.fvalue, rtol=TIGHT)


def test_more_columns_than_rows_without_a_prior():
    ours = cm.fit(rows(6, 9), prior=None).summary("y")
    assert ours.df_resid == 0
    assert (ours.table["coefficient"] != 0).sum() == 6
    assert ours.table["se"].isna().all()
    assert any('prior="evidence"' in note for note in ours.notes)


def test_one_row():
    ours = cm.fit({"x": [2.0], "y": [3.0]}, prior=None).summary("y")
    assert list(ours.table["coefficient"]) == [3.0, 0.0]
    assert ours.table["se"].isna().all()
    assert ours.n == 1


def test_no_rows_is_refused():
    with pytest.raises(cm.CumulantError, match="no rows"):
        cm.fit({"x": np.zeros(0), "y": np.zeros(0)}, prior=None)


def test_constant_target():
    ours = cm.fit(rows().assign(y=5.0), prior=None).summary("y")
    assert_allclose(ours.table["coefficient"], [5.0, 0, 0, 0, 0], atol=1e-12)
    assert np.isnan(ours.r_squared)
    assert np.isnan(ours.f_statistic)
    assert str(ours)


def test_only_a_target():
    y = np.random.default_rng(0).normal(size=30)
    ours = cm.fit({"y": y}, prior=None).summary("y")
    assert list(ours.table.index) == ["const"]
    assert_allclose(ours.table.loc["const", ["coefficient", "se"]].astype(float), [y.mean(), y.std(ddof=1) / 30**0.5])
    assert str(ours)


def test_far_mean():
    frame = rows(1000, 3)
    near = cm.fit(frame, prior=None).summary("y")
    far = cm.fit(frame.assign(x0=frame["x0"] + 1e8, x1=frame["x1"] - 1e8), prior=None).summary("y")
    # x + 1e8 itself is rounded to 1.5e-8.
    assert_allclose(far.table.loc["x0":, "coefficient"], near.table.loc["x0":, "coefficient"], rtol=1e-7)
    assert_allclose(far.table.loc["x0":, "se"], near.table.loc["x0":, "se"], rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_do_not_matter(scale):
    frame = rows(100, 3)
    near = cm.fit(frame, prior=None).summary("y")
    ours = cm.fit(frame.assign(x0=scale * frame["x0"], y=scale**0.5 * frame["y"]), prior=None).summary("y")
    unit = scale**0.5 / np.array([1, scale, 1, 1])
    assert_allclose(ours.table["coefficient"], near.table["coefficient"] * unit, rtol=1e-11)
    assert_allclose(ours.table["se"], near.table["se"] * unit, rtol=1e-11)
    assert_allclose(ours.table["t"], near.table["t"], rtol=1e-11)


# ------------------------------------------------------------------------------------------------ missing cells


def test_missing_cells_rest_on_the_least_measured_pair():
    frame = rows(400, 3)
    rng = np.random.default_rng(5)
    for name in ("x0", "y"):
        frame.loc[rng.random(len(frame)) < 0.2, name] = np.nan
    ours = cm.fit(frame, prior=None).summary("y")
    assert ours.n == frame[["x0", "y"]].notna().all(axis=1).sum()
    covariance = frame.corr().to_numpy() * np.outer(frame.std(), frame.std())
    expected = np.linalg.solve(covariance[:3, :3], covariance[:3, 3])
    assert_allclose(ours.table["coefficient"].iloc[1:], expected, rtol=1e-9)
    noise = covariance[3, 3] - covariance[3, :3] @ expected
    variance = noise * (ours.n - 1) / (ours.n - 4) * np.diag(np.linalg.inv(covariance[:3, :3])) / (ours.n - 1)
    assert_allclose(ours.table["se"].iloc[1:], np.sqrt(variance), rtol=1e-9)
    assert any("cells are missing" in note for note in ours.notes)


def test_missing_rows_dropped_are_complete_cases():
    frame = rows(200, 3)
    frame.loc[np.random.default_rng(6).random(200) < 0.3, "x1"] = np.nan
    assert_same(cm.fit(frame, prior=None, missing="drop").summary("y"), peer(frame.dropna()))


def test_through_the_origin_with_missing_cells():
    frame = rows(300, 2)
    frame.loc[np.random.default_rng(7).random(300) < 0.2, "x1"] = np.nan
    ours = cm.fit(frame, prior=None).summary("y", intercept=False)
    values = frame.to_numpy()
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    second = (filled.T @ filled) / (present.T.astype(float) @ present)
    assert_allclose(ours.table["coefficient"], np.linalg.solve(second[:2, :2], second[:2, 2]), rtol=1e-9)
    assert ours.n == present[:, 1].sum()


# ------------------------------------------------------------------------------------------------ jackknife


def test_jackknife_errors_survive_heteroscedastic_rows():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(20_000, 2))
    y = 1 + x[:, 0] - 2 * x[:, 1] + rng.normal(size=len(x)) * x[:, 0] ** 2
    frame = pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "y": y})
    model = cm.fit(frame, prior=None, folds=400)
    ours, classical = model.summary("y", errors="jackknife"), model.summary("y")
    theirs = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC3").bse
    # g folds determine a standard deviation to 1/√(2g) = 3.5 %.
    assert_allclose(ours.table["se"], theirs, rtol=0.12)
    assert classical.table.loc["x0", "se"] < 0.6 * theirs[1]
    assert_allclose(ours.table["coefficient"], classical.table["coefficient"])
    assert any("400 folds" in note for note in ours.notes)


def test_jackknife_of_single_rows_is_hc3_but_for_its_centre():
    rng = np.random.default_rng(9)
    n = 60
    x = rng.normal(size=n)
    y = 2 * x + rng.normal(size=n) * (1 + x**2)
    ours = cm.fit({"x": x, "y": y}, prior=None, folds=1000).summary("y", errors="jackknife")
    # 1000 folds leave a few of the 60 rows together; compare with a jackknife over the same groups of rows.
    from cumulant.measure.kernels import fold_of

    fold = fold_of(np.arange(n), 1000)
    theta = np.polyfit(x, y, 1)[::-1]
    groups = [fold == k for k in np.unique(fold)]
    h = np.array([[n / g.sum()] for g in groups])
    without = np.array([np.polyfit(x[~g], y[~g], 1)[::-1] for g in groups])
    pseudo = h * theta - (h - 1) * without
    centre = len(groups) * theta - ((1 - 1 / h) * without).sum(axis=0)
    expected = np.sqrt((((pseudo - centre) ** 2) / (h - 1)).mean(axis=0))
    assert_allclose(ours.table["se"], expected, rtol=1e-9)
    hc3 = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC3").bse
    assert_allclose(ours.table["se"], hc3, rtol=0.15)


def test_jackknife_through_the_origin():
    frame = rows(3000, 2)
    ours = cm.fit(frame, prior=None, folds=200).summary("y", errors="jackknife", intercept=False)
    theirs = sm.OLS(frame["y"], frame[["x0", "x1"]]).fit(cov_type="HC3").bse
    assert_allclose(ours.table["se"], theirs, rtol=0.15)


def test_jackknife_of_a_level_seen_in_one_fold_only():
    frame = rows(200, 1)
    frame["kind"] = "a"
    frame.loc[17, "kind"] = "b"
    ours = cm.fit(frame, prior=None).summary("y", errors="jackknife")
    assert np.isnan(ours.table.loc["kind=b", "se"])
    assert ours.table["se"].drop("kind=b").notna().all()
    assert any("kind=b" in note for note in ours.notes)


@pytest.mark.parametrize("folds", [1, 2])
def test_jackknife_needs_three_folds(folds):
    model = cm.fit(rows(), prior=None, folds=folds)
    with pytest.raises(OptionError, match=r"three folds.*folds=10"):
        model.summary("y", errors="jackknife")


# ------------------------------------------------------------------------------------------------ what is refused


def test_category_as_target_names_the_remedy():
    frame = rows(30, 2).assign(kind=["a", "b", "c"] * 10)
    with pytest.raises(OptionError, match=r"'kind' is a category.*density.*true/false"):
        cm.fit(frame, prior=None).summary("kind")


@pytest.mark.parametrize(
    ("option", "text"),
    [({"level": 1.0}, "level"), ({"level": 0}, "level"), ({"errors": "HC3"}, "classical")],
)
def test_wrong_options(option, text):
    with pytest.raises(OptionError, match=text):
        cm.fit(rows(30, 2), prior=None).summary("y", **option)


def test_unknown_target_offers_close_names():
    with pytest.raises(cm.CumulantError, match="did you mean 'x1'"):
        cm.fit(rows(), prior=None).summary("x_1")


def test_through_the_origin_refuses_a_prior():
    with pytest.raises(OptionError, match="prior=None"):
        cm.fit(rows(), prior=0.1).summary("y", intercept=False)


def test_what_needs_moments_says_so():
    model = cm.fit(rows(), prior=None).marginal(["x0", "y"])
    with pytest.raises(IncompatibleError, match="moments"):
        model.summary("y", intercept=False)
    with pytest.raises(IncompatibleError, match="moments"):
        model.summary("y", errors="jackknife")


def test_prior_after_conditioning_is_refused():
    with pytest.raises(OptionError, match="before"):
        cm.fit(rows(), prior=0.1).condition({"x0": 0.0}).summary("y")


# ------------------------------------------------------------------------------------------------ how it shows


def test_text_has_the_figures_and_the_notes():
    frame = rows(100, 2).assign(one=1.0)
    summary = cm.fit(frame, prior=None).summary("y", level=0.9)
    shown = str(summary)
    for text in ("const", "x0", "5 %", "95 %", "R²", "AIC", "condition number", "does not vary: one", "–"):
        assert text in shown
    assert f"{summary.table.loc['x0', 'coefficient']:.6g}" in shown
    assert max(map(len, shown.splitlines()[:14])) < 100


def test_html_is_escaped():
    frame = rows(50, 1).rename(columns={"x0": "<b>&"})
    shown = cm.fit(frame, prior=None).summary("y")._repr_html_()
    assert "<b>&<" not in shown
    assert "&lt;b&gt;&amp;" in shown


def test_plain_data_is_json_without_nan():
    frame = rows(50, 2).assign(one=1.0)
    summary = cm.fit(frame, prior=None).summary("y")
    state = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert state["target"] == "y"
    assert state["n"] == 50
    assert state["r_squared"] == summary.r_squared
    by_term = {term["term"]: term for term in state["terms"]}
    assert by_term["one"]["se"] is None
    assert by_term["x0"]["coefficient"] == summary.table.loc["x0", "coefficient"]
