"""Several targets of a field: each as it would be by itself, and the laws of a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cumulant as cm
from cumulant.errors import OptionError
from cumulant.theory.propagators import RBF

QUICK = cm.Field(RBF(), scale="identity", noise="constant", criterion="evidence")


def waves(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    u, v = np.sin(x[:, 0]) * x[:, 1], np.cos(x[:, 1])
    return pd.DataFrame({"a": x[:, 0], "u": u, "b": x[:, 1], "v": v}) + 0.05 * rng.normal(size=(n, 4))


@pytest.fixture(scope="module")
def model() -> cm.Model:
    return cm.fit(waves(50), QUICK, target=["u", "v"], progress=False)


def test_each_is_what_it_is_without_the_other(model):
    new = waves(20, seed=1)[["b", "a"]]
    found = model.predict(["u", "v"], given=new, output="interval")
    assert model.predict(["u", "v"], given=new).columns.tolist() == ["u", "v"]
    for name, other in (("u", "v"), ("v", "u")):
        alone = cm.fit(waves(50).drop(columns=other), QUICK, target=name, progress=False)
        assert_allclose(found[name], alone.predict(name, given=new, output="interval"), rtol=1e-6)
    # None is an input of another.
    assert_allclose(model.predict("u", given=new.assign(v=9.0)), model.predict("u", given=new), rtol=1e-12)
    assert any(note.startswith("v: ") for note in model.notes)


def test_each_is_explained_by_itself(model):
    for name, inputs in (("u", {"a", "b"}), ("v", {"b"})):
        table = model.summary(name).table
        assert inputs <= set(table.index)
        assert {"u", "v"}.isdisjoint(table.index)
    assert model.cross_validate("u").loc["all", "r2"] > 0.9


def test_density_is_a_product_and_rows_can_be_drawn(model):
    new = waves(10, seed=2)
    inputs = new[["a", "b"]]
    total = model.marginal(["a", "b"]).log_prob(inputs)
    for name in ("u", "v"):
        total = total + model.predict(name, given=inputs, output="density").log_prob(new[name].to_numpy())
    assert_allclose(model.log_prob(new), total, rtol=1e-10)
    drawn = model.sample(2000, seed=0)
    left = drawn["v"] - model.predict("v", given=drawn[["a", "b"]])
    assert float(left.std()) < 0.3 * float(drawn["v"].std())
    gaps = new.assign(u=np.nan)
    assert_allclose(model.impute(gaps)["u"], model.predict("u", given=inputs), rtol=1e-10)


def test_fewer_columns_and_files(model, tmp_path):
    new = waves(10, seed=3)[["a", "b"]]
    expected = model.predict(["u", "v"], given=new)
    model.save(tmp_path / "model.cumulant")
    assert_allclose(cm.load(tmp_path / "model.cumulant").predict(["u", "v"], given=new), expected, rtol=0, atol=1e-12)
    assert_allclose(model.marginal(["a", "b", "v"]).predict("v", given=new), expected["v"], rtol=1e-12)
    at = model.condition({"a": float(new["a"][0])})
    assert_allclose(at.predict(["u", "v"], given=new[["b"]][:1]), expected[:1], rtol=1e-12)
    assert model.marginal(["a", "b"]).law.gaussian is not None


def test_with_scikit_learn():
    pytest.importorskip("sklearn")
    from cumulant.sklearn import FreeEnergyRegressor

    table = waves(50)
    regressor = FreeEnergyRegressor(theory=QUICK).fit(table[["a", "b"]].to_numpy(), table[["u", "v"]].to_numpy())
    assert regressor.predict(table[["a", "b"]].to_numpy()).shape == (50, 2)
    assert regressor.score(table[["a", "b"]].to_numpy(), table[["u", "v"]].to_numpy()) > 0.95


def test_a_constant_target_and_a_category():
    found = cm.fit(waves(30).assign(v=1.0), QUICK, target=["u", "v"], progress=False)
    assert_allclose(found.predict("v", given={"a": [0.0], "b": [0.0]}), 1.0)
    with pytest.raises(OptionError, match="'kind' is not"):
        cm.fit(waves(30).assign(kind=["s", "t"] * 15), QUICK, target=["u", "kind"], progress=False)


def test_targets_that_fluctuate_together_have_a_joint_density(tmp_path):
    rng = np.random.default_rng(5)

    def rows(n: int) -> pd.DataFrame:
        x, e, f = rng.normal(size=(3, n))
        return pd.DataFrame({"x": x, "u": np.sin(x) + 0.3 * e, "v": x**2 / 2 + 0.3 * (0.9 * e - np.sqrt(0.19) * f)})

    joint = cm.fit(rows(150), QUICK, target=["v", "u"], progress=False)
    assert joint.law.copula.correlation[0, 1] == pytest.approx(0.9, abs=0.06)
    assert "v and u +0.9" in joint.notes[-1] or "v and u +0.8" in joint.notes[-1]
    new = rows(300)
    alone = joint.marginal(["x"]).log_prob(new[["x"]])
    each = {name: joint.predict(name, given=new[["x"]], output="density") for name in ("u", "v")}
    product = alone + sum(each[name].log_prob(new[name].to_numpy()) for name in each)
    # Of two Gaussians of correlation 0.9 knowing both is worth −½ ln 0.19 nats.
    assert float((joint.log_prob(new) - product).mean()) == pytest.approx(-0.5 * np.log(0.19), abs=0.15)
    # One target by itself is what it was, and the joint density integrates to it.
    assert_allclose(joint.log_prob(new.assign(v=np.nan)), alone + each["u"].log_prob(new["u"].to_numpy()), rtol=1e-10)
    grid = np.linspace(-4, 12, 4001)
    row = pd.DataFrame({"x": 0.5, "u": 0.2, "v": grid})
    whole = np.exp(joint.log_prob(row)).sum() * (grid[1] - grid[0])
    assert whole == pytest.approx(float(np.exp(joint.log_prob(row[:1].assign(v=np.nan))[0])), rel=1e-3)
    drawn = joint.sample(4000, seed=0)
    left = drawn[["u", "v"]] - joint.predict(["u", "v"], given=drawn[["x"]])
    assert left.corr().iloc[0, 1] == pytest.approx(0.9, abs=0.08)
    joint.save(tmp_path / "m.cumulant")
    assert_allclose(cm.load(tmp_path / "m.cumulant").log_prob(new), joint.log_prob(new), rtol=1e-12)


def test_targets_that_do_not_are_independent(model):
    assert model.law.copula is None
