"""Models with wide categories are those of a dense one-hot, by other means: least squares, ridge, discriminants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import cumulant as cm
from cumulant.errors import CumulantWarning, OptionError, ResourceError
from cumulant.model.rows import rows_of
from cumulant.solve.categories import Categories
from cumulant.solve.levelled import LevelledLaw
from cumulant.solve.pooling import level_evidence
from cumulant.solve.regression import centred_fields, regress

WIDE = {"plane": "wide", "city": "wide"}
NUMBERS = ["x", "z"]


def table(n: int = 500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n) + 5.0,
            "z": rng.normal(size=n),
            "plane": rng.integers(0, 25, size=n).astype(str),
            "city": rng.choice(list("abcdef"), size=n, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05]),
            "kind": rng.choice(["red", "green", "blue"], size=n),
            "late": rng.random(n) < 0.4,
        }
    )
    effect = 0.1 * frame["plane"].astype(float) + (frame["city"] == "c") + (frame["kind"] == "red")
    frame["x"] += frame["late"] + 0.5 * (frame["plane"] == "3")
    frame["y"] = 2 * frame["x"] - frame["z"] + effect + rng.normal(size=n)
    return frame


class OneHot:
    """Least squares on indicators that are written out, a penalty for each level."""

    def __init__(self, frame: pd.DataFrame, masses: dict[str, float]) -> None:
        blocks = [pd.get_dummies(frame[name]).to_numpy(dtype=float) for name in masses]
        self.design = np.hstack([np.ones((len(frame), 1)), *blocks, frame[NUMBERS].to_numpy()])
        sizes = [np.full(b.shape[1], mass) for b, mass in zip(blocks, masses.values(), strict=True)]
        penalty = np.concatenate([[0.0], *sizes, np.zeros(len(NUMBERS))])
        inverse = np.linalg.pinv(self.design.T @ self.design + np.diag(penalty), rcond=1e-12)
        self.hat = self.design @ inverse @ self.design.T
        self.beta = inverse @ self.design.T @ frame["y"].to_numpy()
        self.fitted = self.design @ self.beta
        self.residual = ((frame["y"] - self.fitted) ** 2).sum()


@pytest.mark.parametrize("plane", [0.0, 3.0])
@pytest.mark.parametrize("city", [0.0, 7.0])
@pytest.mark.parametrize("names", [["plane"], ["city"], ["plane", "city"]], ids="-".join)
def test_elimination_is_the_dense_solve(plane, city, names):
    frame = table()[[*NUMBERS, "plane", "city", "y"]]
    model = cm.fit(frame, prior=None, lifts=WIDE)
    masses = {"plane": plane, "city": city}
    categories = replace(model.law.categories, masses=(plane, city))
    law = LevelledLaw.of(model.law.fields, categories)
    given = law.given(tuple(["plane", "city"].index(name) for name in names))
    dense = OneHot(frame, {name: masses[name] for name in names})
    r = regress(given.fields, 2, np.array([0, 1]))
    np.testing.assert_allclose(r.coefficients, dense.beta[-2:], rtol=1e-9)
    assert r.residual == pytest.approx(dense.residual, rel=1e-9)
    assert r.parameters == pytest.approx(np.trace(dense.hat), abs=1e-9)
    x = rows_of(model.schema, frame)
    x[:, [3 + i for i, name in enumerate(["plane", "city"]) if name not in names]] = np.nan
    np.testing.assert_allclose(law.expect(x, np.array([2])), dense.fitted, atol=1e-9)
    noise = dense.residual / (len(frame) - np.trace(dense.hat))
    expected = np.sqrt(noise * (1 + np.diag(dense.hat)))
    np.testing.assert_allclose(law.density(x, np.array([2]), "y").scale, expected, rtol=1e-9)


@pytest.mark.parametrize("hidden", [0.0, 0.3])
def test_every_answer_is_that_of_fields_written_out(hidden):
    frame = table()
    dense, wide = cm.fit(frame, prior=None), cm.fit(frame, prior=None, lifts=WIDE)
    assert isinstance(wide.law, LevelledLaw)
    rows = frame.sample(40, random_state=1).reset_index(drop=True)
    rows = rows.mask(np.random.default_rng(2).random(rows.shape) < hidden)
    for target in ("y", "x"):
        given = rows.drop(columns=target)
        expected, found = (m.predict(target, given, output="interval", level=0.8) for m in (dense, wide))
        np.testing.assert_allclose(found, expected, atol=1e-9)
        np.testing.assert_allclose(wide.predict(target, given), dense.predict(target, given), atol=1e-9)
    for target in ("kind", "late"):
        given = rows.drop(columns=target)
        expected, found = (m.predict(target, given, output="density") for m in (dense, wide))
        np.testing.assert_allclose(found, expected, atol=1e-9)
    one, other = (cm.fit(frame.drop(columns="city"), prior=None, lifts=lifts) for lifts in (None, {"plane": "wide"}))
    given = rows.drop(columns=["city", "plane"])
    expected, found = (m.predict("plane", given, output="density") for m in (one, other))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (one.predict("plane", given) == other.predict("plane", given)).all()
    np.testing.assert_allclose(other.log_prob(rows), one.log_prob(rows), atol=1e-9)
    pd.testing.assert_frame_equal(one.impute(rows), other.impute(rows))


def test_summary_is_ordinary_least_squares_with_dummies():
    frame = table()
    model = cm.fit(frame, prior=None, lifts=WIDE)
    ols = smf.ols("y ~ x + z + C(plane) + C(city) + C(kind) + late", frame).fit()
    summary = model.summary("y")
    names = {"Intercept": "const", "late[T.True]": "late"}
    terms = [names.get(t, t.replace("C(", "").replace(")[T.", "=").rstrip("]")) for t in ols.params.index]
    assert sorted(terms) == sorted(summary.table.index)
    ours = summary.table.loc[terms]
    np.testing.assert_allclose(ours["coefficient"], ols.params, rtol=1e-9)
    np.testing.assert_allclose(ours["se"], ols.bse, rtol=1e-9)
    np.testing.assert_allclose(ours["p"], ols.pvalues, rtol=1e-7, atol=1e-300)
    figures = ("rsquared", "rsquared_adj", "fvalue", "llf", "aic", "bic", "df_resid", "df_model")
    found = [getattr(summary, n) for n in ("r_squared", "adj_r_squared", "f_statistic", "log_likelihood")]
    found += [summary.aic, summary.bic, summary.df_resid, summary.df_model]
    np.testing.assert_allclose(found, [getattr(ols, name) for name in figures], rtol=1e-9)
    assert "coefficients of 'plane' are differences from its level '0'" in str(summary)


def test_scores_and_jackknife_are_those_of_refitting():
    frame = table()
    dense, wide = cm.fit(frame, prior=None), cm.fit(frame, prior=None, lifts=WIDE)
    pd.testing.assert_frame_equal(wide.cross_validate("y"), dense.cross_validate("y"), rtol=1e-9)
    one, other = (m.summary("y", errors="jackknife").table for m in (dense, wide))
    pd.testing.assert_frame_equal(other.loc[one.index], one, rtol=1e-8)


def test_scores_under_a_prior_are_those_of_rows():
    """Refit without a fold, predict its rows one by one."""
    from cumulant.explain.validate import leave_out
    from cumulant.measure.kernels import fold_of

    frame = table()[[*NUMBERS, "plane", "city", "y"]]
    model = cm.fit(frame, target="y", lifts=WIDE, prior=0.1)
    scores = model.cross_validate("y")
    fold = fold_of(frame.index.to_numpy(), 10)
    for k in range(10):
        again = cm.solve(leave_out(model.moments, k), prior=None, target="y")
        fields = centred_fields(leave_out(model.moments, k), model.prior.mass)
        law = LevelledLaw.of(fields, replace(again.law.categories, masses=model.law.categories.masses))
        held = frame[fold == k]
        error = held["y"] - law.expect(rows_of(model.schema, held), np.array([2]))
        assert scores.loc[k, "rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)


def restricted_likelihood(frame: pd.DataFrame, mass: float) -> float:
    """Of y given x and random effects of planes, on rows: dense, with the noise at its best."""
    e = pd.get_dummies(frame["plane"]).to_numpy(dtype=float)
    v = np.eye(len(frame)) + e @ e.T / mass
    x = np.column_stack([np.ones(len(frame)), frame[NUMBERS]])
    inverse = np.linalg.inv(v)
    xx = x.T @ inverse @ x
    residual = frame["y"] - x @ np.linalg.solve(xx, x.T @ inverse @ frame["y"])
    degrees = len(frame) - x.shape[1]
    square = residual @ inverse @ residual
    return -0.5 * (np.linalg.slogdet(v)[1] + np.linalg.slogdet(xx)[1] + degrees * np.log(square))


def test_the_evidence_is_the_restricted_likelihood_of_a_random_effect():
    frame = table(200)[[*NUMBERS, "plane", "y"]]
    m = cm.measure(frame, lifts={"plane": "wide"})
    fields = centred_fields(m)
    masses = np.array([0.3, 1.0, 4.0, 20.0, 1000.0])
    curve = level_evidence(Categories.of(m, fields.count), 0, fields, np.array([2]), masses)
    expected = [restricted_likelihood(frame, mass) for mass in masses]
    np.testing.assert_allclose(np.diff(curve), np.diff(expected), rtol=1e-8)
    model = cm.fit(frame, target="y", lifts={"plane": "wide"})
    mixed = smf.mixedlm("y ~ x + z", frame, groups=frame["plane"]).fit(reml=True)
    # The grid has ten masses a decade.
    assert np.log10(model.law.categories.masses[0] * mixed.cov_re.iloc[0, 0] / mixed.scale) == pytest.approx(
        0, abs=0.06
    )
    assert "drawn together as by" in model.notes[-1]


def test_levels_of_few_rows_lean_on_the_others():
    rng = np.random.default_rng(4)
    plane = np.repeat(np.arange(60), np.arange(1, 61)).astype(str)
    effect = rng.normal(size=60)
    frame = pd.DataFrame({"plane": plane, "y": effect[plane.astype(int)] + 3 * rng.normal(size=len(plane))})
    model = cm.fit(frame, lifts={"plane": "wide"}, target="y")
    mass = model.law.categories.masses[0]
    means = frame.groupby("plane")["y"].agg(["mean", "count"])
    weight = means["count"] / (means["count"] + mass)
    common = (weight * means["mean"]).sum() / weight.sum()
    blup = common + weight * (means["mean"] - common)
    np.testing.assert_allclose(model.predict("y", {"plane": list(means.index)}), blup, rtol=1e-9)
    truth = effect[means.index.astype(int)]
    assert ((blup - truth) ** 2).mean() < ((means["mean"] - truth) ** 2).mean()


def test_a_wide_target_is_a_linear_discriminant():
    frame = table()[[*NUMBERS, "plane"]]
    model = cm.fit(frame, prior=None, lifts={"plane": "wide"})
    levels = sorted(frame["plane"].unique())
    means = np.array([frame.loc[frame["plane"] == level, NUMBERS].mean() for level in levels])
    centred = frame[NUMBERS].to_numpy() - means[[levels.index(p) for p in frame["plane"]]]
    within = centred.T @ centred / (len(frame) - len(levels))
    share = np.array([(frame["plane"] == level).mean() for level in levels])
    rows = frame[NUMBERS].iloc[:20]
    deviation = rows.to_numpy()[:, None, :] - means[None]
    log_p = np.log(share) - 0.5 * np.einsum("nli,ij,nlj->nl", deviation, np.linalg.inv(within), deviation)
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    found = model.predict("plane", rows, output="density")
    assert list(found.columns) == levels
    np.testing.assert_allclose(found, p, atol=1e-9)
    assert (model.predict("plane", rows) == np.array(levels)[p.argmax(axis=1)]).all()
    draws = model.predict("plane", rows.iloc[:1], output="samples", draws=4000, seed=0)
    np.testing.assert_allclose([(draws == level).mean() for level in levels], p[0], atol=0.03)


def test_one_category_tells_of_another():
    """Levels that never meet are unlikely, not impossible."""
    frame = pd.DataFrame({"city": ["a"] * 50 + ["b"] * 50, "plane": ["1"] * 40 + ["2"] * 10 + ["3"] * 50})
    model = cm.fit(frame, lifts=WIDE)
    p = model.predict("plane", {"city": ["a", "b"]}, output="density")
    assert p.loc[0].idxmax() == "1"
    assert p.loc[1].idxmax() == "3"
    assert (p.to_numpy() > 0).all()
    assert p.loc[0, "3"] < 0.02
    assert p.loc[0, "1"] == pytest.approx(0.8, abs=0.03)


def test_conditioned_and_marginal_models_answer_as_the_whole():
    frame = table()
    model = cm.fit(frame, prior=None, lifts=WIDE)
    known = {"plane": ["3"], "city": ["b"], "x": [5.5], "kind": ["red"], "late": [True]}
    expected = model.predict("y", known, output="interval")
    for first in (["plane"], ["x"], ["plane", "x"], ["city", "late"], list(known)):
        conditioned = model.condition({name: known[name][0] for name in first})
        assert set(conditioned.columns) == set(model.columns) - set(first)
        rest = {name: value for name, value in known.items() if name not in first}
        np.testing.assert_allclose(conditioned.predict("y", rest or None, output="interval"), expected, rtol=1e-9)
    part = model.marginal(["y", "plane", "x"])
    given = {"plane": ["3"], "x": [5.5]}
    np.testing.assert_allclose(part.predict("y", given), model.predict("y", given), rtol=1e-12)
    assert list(part.summary("y").table.index[:2]) == ["const", "x"]
    with pytest.raises(OptionError, match="give 'plane' a level too"):
        model.condition({"x": 5.0, "city": "b"}).summary("y")
    assert "z" in model.condition({"x": 5.0, "city": "b", "plane": "3"}).summary("y").table.index
    dense = cm.fit(frame, prior=None)
    np.testing.assert_allclose(
        model.condition({"plane": "3", "city": "a"}).covariance,
        dense.condition({"plane": "3", "city": "a"}).covariance,
        atol=1e-9,
    )


def test_density_of_what_is_left_is_a_quotient():
    frame = table()
    model = cm.fit(frame, prior=None, lifts=WIDE)
    row = frame.iloc[[7]]
    conditioned = model.condition(row[["x", "plane"]].iloc[0].to_dict())
    rest = row.drop(columns=["x", "plane"])
    expected = model.log_prob(row) - model.log_prob(row[["x", "plane"]])
    np.testing.assert_allclose(conditioned.log_prob(rest), expected, rtol=1e-9)


def test_samples_have_the_moments_of_the_model():
    frame = table(2000)
    model = cm.fit(frame, prior=None, lifts=WIDE)
    drawn = model.sample(20_000, seed=1)
    again = cm.measure(drawn, lifts=WIDE)
    sd = np.sqrt(np.diag(model.covariance))
    np.testing.assert_array_less(np.abs(again.mean - model.mean) / sd, 0.05)
    for name in ("plane", "city"):
        share = frame[name].value_counts(normalize=True)
        np.testing.assert_allclose(drawn[name].value_counts(normalize=True)[share.index], share, atol=0.02)
    late = drawn.groupby("city")["y"].mean() - frame.groupby("city")["y"].mean()
    assert np.abs(late).max() < 0.4
    held = model.condition({"x": 8.0, "plane": "3"}).sample(5000, seed=2)
    assert held["y"].mean() == pytest.approx(model.predict("y", {"x": [8.0], "plane": ["3"]})[0], abs=0.1)


def test_levels_without_rows_and_levels_never_seen_are_integrated_out():
    frame = table()
    frame.loc[0, "plane"] = "only here"
    model = cm.fit(frame, prior=None, lifts=WIDE)
    less = model.forget(frame.iloc[:1])
    given = {"x": [5.0], "city": ["a"]}
    unknown = less.predict("y", given)
    np.testing.assert_allclose(less.predict("y", {**given, "plane": ["only here"]}), unknown, rtol=1e-12)
    with pytest.warns(CumulantWarning, match="not measured"):
        np.testing.assert_allclose(less.predict("y", {**given, "plane": ["never"]}), unknown, rtol=1e-12)
    term = less.summary("y").table.loc["plane=only here"]
    assert term["coefficient"] == 0
    assert np.isnan(term["se"])
    expected = cm.fit(frame.iloc[1:], prior=None, lifts=WIDE)
    rows = frame.iloc[1:30]
    np.testing.assert_allclose(less.predict("y", rows), expected.predict("y", rows), rtol=1e-9)


@pytest.mark.parametrize("prior", [None, "auto", "evidence", "folds", 0.1])
@pytest.mark.parametrize(
    "cells",
    [["a"] * 12, [None] * 12, list("abcdefghijkl"), ["a"] * 11 + ["b"], [None, "a", "b"] * 4],
    ids=["one level", "all missing", "all distinct", "one row of its own", "gaps"],
)
def test_few_rows_and_awkward_categories(cells, prior):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object), "x": rng.normal(size=12), "y": rng.normal(size=12)})
    model = cm.fit(frame, lifts={"c": "wide"}, target="y", prior=prior)
    assert np.isfinite(model.predict("y", frame)).all()
    assert np.isfinite(model.predict("y", frame, output="interval")).all(axis=None)
    assert np.isfinite(model.predict("x", {"c": [cells[-1]]})).all()
    assert np.isfinite(model.summary().table["coefficient"]).all()
    assert len(model.predict("c", {"y": [0.0]})) == 1


@pytest.mark.parametrize("gap", [0.02, 0.2])
def test_gaps_in_the_table_give_nearly_what_fields_written_out_give(gap):
    frame = table(3000)
    holes = frame.mask(np.random.default_rng(6).random(frame.shape) < gap)
    wide = cm.fit(holes, prior=None, lifts=WIDE)
    rows = frame.iloc[:200]
    truth = cm.fit(frame, prior=None).predict("y", rows)
    assert np.sqrt(((wide.predict("y", rows) - truth) ** 2).mean()) < 0.4
    assert (wide.predict("y", rows, output="interval")["high"] > truth).mean() > 0.9


def test_saved_models_answer_alike(tmp_path):
    frame = table()
    model = cm.fit(frame, target="y", lifts=WIDE)
    for moments in (True, False):
        model.save(tmp_path / "m", moments=moments)
        again = cm.load(tmp_path / "m")
        np.testing.assert_allclose(again.predict("y", frame), model.predict("y", frame), rtol=1e-12)
        pd.testing.assert_frame_equal(again.summary().table, model.summary().table, rtol=1e-9)


def test_merged_models_are_those_of_all_rows():
    frame = table()
    parts = [cm.fit(part, prior=None, lifts=WIDE) for part in (frame.iloc[:200], frame.iloc[200:])]
    whole = cm.fit(frame, prior=None, lifts=WIDE)
    np.testing.assert_allclose(parts[0].merge(parts[1]).predict("y", frame), whole.predict("y", frame), rtol=1e-9)


def test_what_has_no_answer_is_refused(monkeypatch):
    frame = table(100)
    model = cm.fit(frame, prior=None, lifts=WIDE)
    with pytest.raises(OptionError, match="'plane' is a category of many levels"):
        model.mutual_information("y", "plane")
    with pytest.raises(OptionError, match="'plane' is a category of many levels"):
        model.entropy()
    with pytest.raises(OptionError, match="keep the intercept"):
        model.summary("y", intercept=False)
    with pytest.raises(OptionError, match="is a category"):
        model.summary("plane")
    monkeypatch.setattr("os.sysconf", lambda _: 50)
    with pytest.raises(ResourceError, match=r"6 levels of 'city' beside those of 'plane' need .* GiB"):
        cm.solve(model.moments, prior=None)
    with pytest.raises(ResourceError, match="ask for fewer rows at a time"):
        model.predict("plane", frame, output="density")


@pytest.mark.parametrize("weight_kind", ["frequency", "importance"])
def test_weights(weight_kind):
    frame = table(300)[[*NUMBERS, "plane", "y"]]
    weights = np.random.default_rng(7).integers(1, 4, size=300)
    one, other = (
        cm.fit(frame, prior=None, weights=weights, weight_kind=weight_kind, lifts=lifts).summary("y").table
        for lifts in (None, {"plane": "wide"})
    )
    pd.testing.assert_frame_equal(other.loc[one.index], one, rtol=1e-8)


def test_reports_and_calibration(tmp_path):
    from cumulant.explain.describe import describe
    from cumulant.explain.validate import calibration

    frame = table(400)
    model = cm.fit(frame, target="y", lifts=WIDE, prior=None)
    found = describe(model, data=frame)
    levels = next(column["levels"] for column in found["columns"] if column["name"] == "city")
    expected = frame["city"].value_counts(normalize=True).sort_index()
    assert [name for name, _ in levels] == list(expected.index)
    np.testing.assert_allclose([share for _, share in levels], expected)
    assert not {"plane", "city"} & set(found["couplings"]["columns"])
    assert any("'plane' has 25 levels" in note for note in found["notes"])
    regression = next(r for r in found["regressions"] if r["target"] == "y")
    assert sum(term["term"].startswith(("plane=", "city=")) for term in regression["terms"]) == 29
    rows = next(h["rows"] for h in found["held_out"] if h["target"] == "y")
    assert rows["held_out"]
    dense = calibration(cm.fit(frame, target="y", prior=None), "y", frame, fitted=True)
    assert calibration(model, "y", frame, fitted=True).rmse == pytest.approx(dense.rmse, rel=1e-9)
    assert rows["rmse"] == pytest.approx(dense.rmse, rel=1e-9)
    model.report(tmp_path / "r.html", data=frame)
    assert "integrated out" in (tmp_path / "r.html").read_text("utf-8")


def test_another_theory_has_no_place_for_many_levels():
    with pytest.raises(OptionError, match="'plane' is a category of many levels, which only"):
        cm.fit(table(100), cm.Taylor(2), target="y", lifts={"plane": "wide"})


def test_printed_tables_are_cut_and_say_so():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"c": np.arange(600).astype(str), "x": rng.normal(size=600)}).loc[np.repeat(np.arange(600), 3)]
    summary = cm.fit(frame.assign(y=rng.normal(size=1800)), prior=None).summary("y")
    assert len(summary.table) == 601
    assert "… and 401 more terms, in .table" in str(summary)
    assert "401 more terms" in summary._repr_html_()
