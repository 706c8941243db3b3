"""What a field says of its inputs: shares and effects beside closed forms, averages beside scikit-learn, the page."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from browser import chromium, visit
from cumulant.errors import OptionError
from cumulant.explain.describe import describe
from cumulant.explain.field import field_of
from cumulant.explain.field_summary import FieldSummary
from cumulant.solve.field.averages import Averages, conditioned_rows
from cumulant.theory.propagators import RBF

SIMPLE = {"metric": "unit", "scale": "identity", "noise": "constant", "criterion": "evidence"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def table(n: int = 220) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, size=(n, 3))
    kind = rng.choice(["oak", "ash", "elm"], n)
    y = x[:, 0] + 3 * x[:, 0] * x[:, 1] + 0.8 * (kind == "oak") + 0.01 * rng.normal(size=n)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": kind, "y": y})


@pytest.fixture(scope="module")
def model() -> cm.Model:
    return cm.fit(table(), cm.Field(RBF(), metric="diagonal", scale="identity"), target="y", progress=False)


def test_shares_are_those_of_the_analysis_of_variance(model):
    found = field_of(model)
    total = {row["column"]: row["total"] for row in found["shares"]}
    # Var(a) = 1/3, Var(3ab) = 1, Var(0.8 [kind is oak]) = 0.64 · 2/9.
    variance = 1 / 3 + 1 + 0.64 * 2 / 9
    expected = {"a": (1 / 3 + 1) / variance, "b": 1 / variance, "c": 0.0, "kind": 0.64 * 2 / 9 / variance}
    assert total == pytest.approx(expected, abs=0.12)
    best = found["surfaces"][0]
    assert (best["x"]["column"], best["y"]["column"]) == ("a", "b")
    assert best["share"] == pytest.approx(1 / variance, abs=0.15)
    assert len(found["surfaces"]) < 4


def test_main_effects_are_the_functions_they_were_made_of(model):
    effects = {effect["column"]: effect for effect in field_of(model)["effects"]}
    oak = dict(zip(effects["kind"]["levels"], effects["kind"]["effect"][0], strict=True))
    assert oak["oak"] - oak["ash"] == pytest.approx(0.8, abs=0.05)
    for name in ("b", "c"):
        low, high = (np.array(effects[name][end]) for end in ("low", "high"))
        assert (low < high).all()
    values, low, high = (np.array(effects["c"][name]) for name in ("values", "low", "high"))
    assert np.abs(values).max() <= 1
    assert np.mean((low <= 0) & (high >= 0)) > 0.7


def test_averages_and_their_errors_are_those_of_scikit_learn():
    gp = pytest.importorskip("sklearn.gaussian_process")
    frame = table(40).drop(columns=["kind", "c"])
    model = cm.fit(frame, cm.Field(RBF(), **SIMPLE), target="y", progress=False)
    law = model.law
    (member,) = law.members
    scaled = member.hyper.mapped(member.rows)
    s, k = member.amplitude, gp.kernels
    kernel = k.ConstantKernel(s, "fixed") * k.RBF(1.0, "fixed") + k.ConstantKernel(10.0 * s, "fixed")
    theirs = gp.GaussianProcessRegressor(kernel, alpha=s * (member.hyper.noise + 1e-9), optimizer=None)
    theirs.fit(scaled, member.scale.forward(frame["y"].to_numpy()))
    groups = np.random.default_rng(1).uniform(-1, 1, size=(3, 5, 2))
    weights = np.array([[1.0, -1.0, 0.0], [0.2, 0.3, 0.5]])
    z = member.hyper.mapped((groups.reshape(-1, 2) - law.centre) / law.width)
    mean, covariance = theirs.predict(z, return_cov=True)
    through = np.repeat(weights, 5, axis=1) / 5
    unit = member.scale.width * member.scale.unit
    value, sd = Averages(law).contrasts(groups, weights)
    shift = member.scale.shift * member.scale.unit * weights.sum(axis=1)
    np.testing.assert_allclose(value, unit * (through @ mean) + shift, rtol=1e-6)
    np.testing.assert_allclose(sd, unit * np.sqrt(np.diag(through @ covariance @ through.T)), rtol=1e-4)


def test_summary_speaks_of_the_field(model, tmp_path):
    found = model.summary()
    assert isinstance(found, FieldSummary)
    assert list(found.table.index) == ["a", "b", "c", "kind=elm", "kind=oak"]
    assert found.table.loc["a", "coefficient"] == pytest.approx(1.0, abs=0.3)
    assert found.table.loc["kind=oak", "coefficient"] == pytest.approx(0.8, abs=0.05)
    assert found.r_squared > 0.99
    assert set(found.coverage) == {0.5, 0.8, 0.95}
    assert "each row left out" in str(found)
    assert "<table>" in found._repr_html_()
    json.dumps(found.to_dict(), allow_nan=False)
    model.save(tmp_path / "m")
    again = cm.load(tmp_path / "m").summary()
    np.testing.assert_array_equal(again.values, found.values)
    assert again.rmse == found.rmse
    # Another column has a regression.
    assert not isinstance(model.summary("b"), FieldSummary)


def test_summary_refuses_what_belongs_to_a_regression(model):
    with pytest.raises(OptionError, match="errors"):
        model.summary(errors="jackknife")
    with pytest.raises(OptionError, match="level"):
        model.summary(level=1.5)
    with pytest.raises(OptionError, match="conditioned"):
        model.condition({"a": 0.1}).summary()
    assert field_of(model.condition({"a": 0.1})) is None
    assert field_of(cm.fit(table(), target="y")) is None


def test_rows_left_out_are_those_of_brute_force():
    frame = table(30).drop(columns=["kind", "c"])
    theory = cm.Field(RBF(), **SIMPLE)
    model = cm.fit(frame, theory, target="y", progress=False)
    law = model.law
    (member,) = law.members
    foretold = law.left_out.density(law.members)
    z, y = member.hyper.mapped(member.rows), member.scale.forward(frame["y"].to_numpy())
    k = member.hyper.propagator(z, z) + (member.hyper.noise + 1e-9) * np.eye(len(z))
    for i in (0, 7, 29):
        rest = np.arange(len(z)) != i
        mean = member.hyper.propagator(z[i : i + 1], z[rest])[0] @ np.linalg.solve(k[np.ix_(rest, rest)], y[rest])
        assert foretold.mean[i] == pytest.approx(float(member.scale.inverse(np.array(mean))), rel=1e-4, abs=1e-5)


def test_many_rows_say_the_same(monkeypatch):
    monkeypatch.setattr(importlib.import_module("cumulant.solve.field.solve"), "DENSE_ROWS", 150)
    frame = table().drop(columns="kind")
    model = cm.fit(frame, cm.Field(RBF(), scale="identity"), target="y", progress=False)
    assert conditioned_rows(model.law).shape == (220, 3)
    near = conditioned_rows(model.law)
    far = np.abs(near[:, None] - frame[["a", "b", "c"]].to_numpy()[None]).sum(axis=2).min(axis=1)
    assert np.median(far) < 1e-6
    found = field_of(model)
    assert {found["shares"][0]["column"], found["shares"][1]["column"]} == {"a", "b"}
    assert model.summary().rows == 220


@pytest.mark.parametrize("kind", ["number", "class"])
def test_the_page_draws_it(browser, tmp_path, kind, model):
    if kind == "class":
        frame = table(150).drop(columns="kind")
        frame["y"] = np.where(frame["y"] > 0.3, "high", np.where(frame["y"] < -0.3, "low", "middle"))
        model = cm.fit(frame, cm.Field(), target="y", progress=False)
        found = describe(model)["field"]
        assert found["outputs"] == ["high", "low", "middle"]
        np.testing.assert_allclose(np.sum(found["effects"][0]["effect"], axis=0), 1.0)
    path = tmp_path / "report.html"
    model.report(path)
    visit(browser, path)
    drawn = "return document.querySelectorAll('#field figure svg').length"
    assert browser.execute_script(drawn) >= 4
    text = browser.execute_script("return document.getElementById('field').innerText")
    assert "Lost without it" in text
    assert "act together" in text
    if kind == "number":
        held = browser.execute_script("return document.getElementById('held-out').innerText")
        assert "95 % interval" in held
        assert "closed form" in held
