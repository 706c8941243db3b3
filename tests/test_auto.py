"""The ladder of theories: what is climbed for, what is not, and what the user is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import cumulant as cm
from cumulant.errors import OptionError
from cumulant.measure.kernels import fold_of
from cumulant.sklearn import FreeEnergyClassifier, FreeEnergyRegressor
from cumulant.solve import climb


def table(kind: str, n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    noise = rng.standard_t(3, n) if kind == "heavy" else rng.normal(size=n)
    mean = {"line": x[:, 0], "heavy": x[:, 0], "bowl": x[:, 0] ** 2, "wave": 3 * np.sin(3 * x[:, 0])}[kind]
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": mean + 0.3 * noise})


def taken(model: cm.Model) -> str:
    return next(one.name for one in model.candidates if one.why == "taken")


@pytest.mark.parametrize(
    ("kind", "name"), [("line", "order 2"), ("bowl", "Taylor order 3"), ("heavy", "fluctuation"), ("wave", "field")]
)
def test_the_theory_that_made_the_rows_is_taken(kind: str, name: str) -> None:
    model = cm.fit(table(kind), target="y", budget=60)
    assert taken(model) == name
    assert any(note.startswith(f"auto took {name}") for note in model.notes)
    fresh = table(kind, seed=1)
    plain = cm.fit(table(kind), target="y")
    gain = model.predict("y", fresh, output="density").log_prob(fresh["y"]) - plain.predict(
        "y", fresh, output="density"
    ).log_prob(fresh["y"])
    assert gain.mean() > (-0.02 if kind == "line" else 0.02)
    said = next(one.log_likelihood for one in model.candidates if one.why == "taken")
    assert model.predict("y", fresh, output="density").log_prob(fresh["y"]).mean() == pytest.approx(said, abs=0.3)


def test_without_a_budget_it_is_order_two() -> None:
    model = cm.fit(table("bowl"), target="y")
    assert isinstance(model.theory, cm.Gaussian)
    assert model.candidates == ()
    assert len(model.predict("y", table("bowl"), output="sd")) == 400


def test_what_does_not_fit_into_the_budget_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(climb, "FLOPS_PER_SECOND", 1.0)
    model = cm.fit(table("bowl"), target="y", budget=5)
    assert taken(model) == "order 2"
    assert "would take" in model.notes[-1]


def test_the_chosen_theory_is_saved_and_solved_for_again(tmp_path) -> None:
    rows = table("bowl", 600)
    model = cm.fit(rows.iloc[:500], target="y", budget=5, folds=5)
    assert isinstance(model.theory, (cm.Taylor, cm.Fluctuation))
    model.save(tmp_path / "m")
    again = cm.load(tmp_path / "m")
    assert again.candidates[0] == model.candidates[0]
    assert taken(again) == taken(model)
    np.testing.assert_allclose(again.predict("y", rows), model.predict("y", rows), rtol=1e-12, atol=1e-12)
    if isinstance(model.theory, cm.Taylor):
        merged = model.update(rows.iloc[500:])
        assert merged.theory == model.theory


def test_moments_alone_climb_as_far_as_they_go() -> None:
    m = cm.measure(table("bowl"), order=4)
    model = cm.solve(m, target="y", budget=10)
    assert taken(model) == "Taylor order 3"
    reasons = {one.name: one.why for one in model.candidates}
    assert "reach to 4" in reasons["Taylor order 4"]
    assert "rows" in reasons["field"]
    two = cm.solve(m.second_order(), target="y", budget=10)
    assert taken(two) == "order 2"
    foot = {c.name: c.log_likelihood for c in two.candidates}["order 2"]
    assert foot == pytest.approx(model.candidates[0].log_likelihood, abs=0.02)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (pd.DataFrame({"x": np.arange(6.0), "k": list("ababab")}), {"target": "k"}),
        (pd.DataFrame({"x": [1.0], "y": [2.0]}), {"target": "y"}),
        (pd.DataFrame({"x": np.zeros(30), "y": np.ones(30)}), {"target": "y"}),
        (pd.DataFrame({"x": [np.nan] * 15 + [1.0] * 15, "y": np.arange(30.0)}), {"target": "y"}),
    ],
)
@pytest.mark.filterwarnings("ignore::cumulant.CumulantWarning")
def test_ugly_tables_stay_at_the_foot(rows: pd.DataFrame, options: dict) -> None:
    assert isinstance(cm.fit(rows, budget=2, **options), cm.Model)


def test_a_budget_without_a_choice_is_refused() -> None:
    for options in ({"theory": cm.Taylor(3), "target": "y"}, {}, {"target": "y", "symmetry": "detect"}):
        with pytest.raises(OptionError, match="budget"):
            cm.fit(table("line"), budget=1, **options)
    with pytest.raises(OptionError, match="budget=0"):
        cm.fit(table("line"), target="y", budget=0)
    with pytest.raises(OptionError, match="group_by"):
        cm.fit(table("line"), target="y", budget=1, group_by="a")


def test_sklearn_names_the_theories() -> None:
    rows = table("bowl")
    X, y = rows[["a", "b"]], rows["y"]
    auto = clone(FreeEnergyRegressor(theory="auto", budget=1)).fit(X, y)
    assert auto.score(X, y) > 0.9
    assert {one.name for one in auto.candidates_} >= {"order 2", "Taylor order 3", "field"}
    for options in ({"theory": "field"}, {"theory": cm.Taylor(3)}, {"order": 3}):
        mean, sd = FreeEnergyRegressor(**options).fit(X, y).predict(X, return_std=True)
        assert np.corrcoef(mean, y)[0, 1] > 0.9, options
        assert 0.2 < np.median(sd) < 0.6, options
    rng = np.random.default_rng(3)
    peaks = rng.choice([-1.5, 1.5], size=(4000, 1)) + 0.5 * rng.normal(size=(4000, 1))
    bent = peaks[:, 0] ** 2 + rng.normal(size=4000)
    mean, sd = FreeEnergyRegressor(theory="polynomial").fit(peaks, bent).predict(peaks, return_std=True)
    assert np.corrcoef(mean, peaks[:, 0] ** 2)[0, 1] > 0.95
    assert 0.8 < np.median(sd) < 1.2
    assert FreeEnergyRegressor().fit(X, y).score(X, y) < 0.2
    for wrong in ({"theory": "deep"}, {"loops": 1}, {"budget": 1, "order": 3}):
        with pytest.raises(OptionError):
            FreeEnergyRegressor(**wrong).fit(X, y)
    with pytest.raises(OptionError, match="looks at the samples twice"):
        FreeEnergyRegressor(theory="field").partial_fit(X, y)


@pytest.mark.parametrize("theory", [cm.Gaussian(), cm.Taylor(3), cm.Fluctuation(), cm.Polynomial(4), cm.Field()])
def test_the_standard_deviation_is_that_of_the_density(theory: object) -> None:
    rows = table("bowl", 300)
    model = cm.fit(rows, theory, target="y")
    some = rows.iloc[:5]
    sd = model.predict("y", some, output="sd")
    density = model.predict("y", some, output="density")
    for i in range(5):
        at = np.linspace(density.mean[i] - 40 * sd[i], density.mean[i] + 40 * sd[i], 40_001)
        one = model.predict("y", rows.iloc[[i]], output="density")
        p = np.exp(np.array([one.log_prob(v)[0] for v in at[::40]]))
        v = at[::40]
        mean = (p * v).sum() / p.sum()
        assert np.sqrt((p * (v - mean) ** 2).sum() / p.sum()) == pytest.approx(sd[i], rel=0.05)


@pytest.mark.parametrize("theory", [cm.Taylor(3), cm.Fluctuation(cm.Taylor(3))])
def test_the_report_judges_the_theory_that_was_fitted(theory: object) -> None:
    """Held-out likelihood, coverage and where values fell are those of the bent mean, not of a line through it."""
    from cumulant.explain.describe import describe

    rows = table("bowl", 600)
    model = cm.fit(rows, theory, target="y")
    found = next(entry for entry in describe(model, data=rows)["held_out"] if entry["target"] == "y")["rows"]
    assert found["held_out"]
    assert found["rmse"] == pytest.approx(0.3, abs=0.04)
    assert found["log_likelihood"] == pytest.approx(-0.5 * np.log(2 * np.pi * 0.09) - 0.5, abs=0.1)
    for level, held in found["coverage"]:
        assert held == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 600))
    assert sum(found["pit"]) == 600
    assert max(found["pit"]) < 70


def test_classes_climb_to_a_field_where_they_bend() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    rings = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "ring": np.where(np.hypot(*x.T) < 1.1, "in", "out")})
    plane = rings.assign(ring=np.where(x[:, 0] + 0.8 * rng.logistic(size=300) > 0, "in", "out"))
    bent = cm.fit(rings, target="ring", budget=60, progress=False)
    assert [one.why for one in bent.candidates] == ["", "taken"]
    assert bent.candidates[1].log_likelihood > bent.candidates[0].log_likelihood + 0.2
    assert any("auto took field" in note for note in bent.notes)
    assert (bent.predict("ring", given=rings[["a", "b"]]) == rings["ring"]).mean() > 0.9
    straight = cm.fit(plane, target="ring", budget=60, progress=False)
    # What order 2 says of rows in folds, by scikit-learn's discriminant analysis in the same folds.
    discriminant = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    fold, logs = fold_of(np.arange(300), 10), []
    for k in range(10):
        peer = discriminant(solver="lsqr").fit(plane.loc[fold != k, ["a", "b"]], plane.loc[fold != k, "ring"])
        p = peer.predict_proba(plane.loc[fold == k, ["a", "b"]])
        logs += list(np.log(p[np.arange(len(p)), (plane.loc[fold == k, "ring"] == "out").astype(int)]))
    assert straight.candidates[0].log_likelihood == pytest.approx(np.mean(logs), abs=0.01)
    hurried = cm.fit(rings, target="ring", budget=0.05, progress=False)
    assert "s that are left" in hurried.candidates[1].why


def test_the_classifier_climbs() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 2))
    y = np.hypot(*x.T) < 1.1
    found = FreeEnergyClassifier(budget=60).fit(x, y)
    assert found.score(x, y) > 0.9
    assert [one.name for one in found.candidates_] == ["order 2", "field"]
    with pytest.raises(OptionError, match="budget"):
        FreeEnergyClassifier(theory="field", budget=5).fit(x, y)
