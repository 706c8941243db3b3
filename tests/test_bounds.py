"""Columns that end somewhere: densities, integrals and diagrams that stop there, against integrals on fine grids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import dblquad, quad

import cumulant as cm
from commandline import run
from cumulant.errors import CumulantWarning, DataError, OptionError
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.one_point import Vertex, in_a_row
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.theory.polynomial_action import PolynomialAction

INF = np.inf


def law_of(couplings, bounds) -> PolynomialLaw:
    action = PolynomialAction.of(couplings)
    p = len(action.columns)
    action = PolynomialAction(action.columns, action.mean, action.sd, action.terms, action.theta, np.array(bounds))
    Z = action.Z() if p < 4 else None
    mean, covariance = (np.ones(p), np.eye(p)) if Z is None else (Z.cumulant(1), Z.cumulant(2))
    return PolynomialLaw(action, GaussianLaw(Fields(mean, covariance, None, 1e6, 1e6)), np.arange(p))


def quartic(x: float) -> float:
    return -0.5 * x**2 + 0.3 * x**3 + 0.1 * x**4


@pytest.mark.parametrize(
    ("couplings", "F", "ends"),
    [
        ({("x",) * 2: -0.5, ("x",) * 3: 0.3, ("x",) * 4: 0.1}, quartic, (-1.0, 1.5)),
        ({("x",): 2.0}, lambda x: 2 * x, (0.0, INF)),
        ({("x",): 2.0, ("x", "x"): -0.7}, lambda x: 2 * x - 0.7 * x * x, (-1.0, 3.0)),
    ],
    ids=["truncated quartic", "exponential", "falling to its end"],
)
def test_one_field_with_ends(couplings, F, ends):
    law = law_of(couplings, [ends])
    Z = quad(lambda x: np.exp(-F(x)), *ends)[0]
    mean = quad(lambda x: x * np.exp(-F(x)) / Z, *ends)[0]
    variance = quad(lambda x: (x - mean) ** 2 * np.exp(-F(x)) / Z, *ends)[0]
    assert law.log_partition == pytest.approx(np.log(Z), abs=3e-5)
    exact = law.action.Z()
    assert exact.W - np.log(Z) == pytest.approx(0.0, abs=1e-5)
    assert exact.cumulant(2)[0, 0] == pytest.approx(variance, rel=1e-4)
    density = law.density(np.full((1, 1), np.nan), np.array([0]), "x")
    assert density.mean[0] == pytest.approx(mean, abs=1e-5)
    assert density.sd[0] ** 2 == pytest.approx(variance, rel=1e-4)
    below = quad(lambda x: np.exp(-F(x)) / Z, ends[0], 0.4)[0]
    assert density.cdf(np.array([0.4]))[0] == pytest.approx(below, abs=2e-3)
    assert density.pdf(np.array([0.4]))[0] == pytest.approx(np.exp(-F(0.4)) / Z, rel=5e-3)
    assert density.log_prob(np.array([ends[0] - 0.1]))[0] == -INF
    assert law.log_prob(np.array([[0.4], [ends[0] - 0.1]]), [])[1] == -INF
    draws = law.sample(2000, [], np.random.default_rng(0))[:, 0]
    assert draws.min() >= ends[0]
    assert draws.max() <= ends[1]
    assert draws.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 2000))


PAIR = {("x",): 0.5, ("x", "x"): 0.4, ("x", "y"): -0.5, ("y", "y"): 0.3, ("y",): 0.4, ("y",) * 4: 0.05}


def test_an_unknown_field_is_integrated_to_its_end():
    law = law_of(PAIR, [(0.0, INF), (-1.0, 2.0)])

    def weight(y: float, x: float) -> float:
        return float(np.exp(-law.action.free_energy(np.array([x, y]))))

    Z = dblquad(weight, 0, 30, -1, 2, epsabs=1e-9)[0]
    mean = dblquad(lambda y, x: y * weight(y, x) / Z, 0, 30, -1, 2, epsabs=1e-9)[0]
    assert law.log_partition == pytest.approx(np.log(Z), abs=1e-4)
    density = law.density(np.full((1, 2), np.nan), np.array([1]), "y")
    assert density.how.tolist() == ["quadrature"]
    assert density.mean[0] == pytest.approx(mean, abs=1e-4)
    along = quad(lambda x: weight(0.7, x), 0, 30)[0]
    assert law.log_prob(np.array([[np.nan, 0.7]]), [])[0] == pytest.approx(np.log(along / Z), abs=1e-3)


def test_the_ends_push_the_mean():
    law = law_of(PAIR, [(0.0, INF), (-1.0, 2.0)])
    x = 0.8
    Z = quad(lambda y: np.exp(-law.action.free_energy(np.array([x, y]))), -1, 2)[0]
    mean = quad(lambda y: y * np.exp(-law.action.free_energy(np.array([x, y]))) / Z, -1, 2)[0]
    constant, sizes = in_a_row(law, 1, np.array([x, np.nan]))
    assert constant + sum(sizes.values()) == pytest.approx(mean, abs=1e-5)
    assert Vertex((), (), wall=True) in sizes


def test_f_may_fall_where_a_field_ends():
    falling = PolynomialAction.of({("x",): -1.0, ("x", "x"): -2.0, ("y", "y"): 1.0})
    parts = falling.columns, falling.mean, falling.sd, falling.terms, falling.theta
    assert falling.unbounded is not None
    assert PolynomialAction(*parts, np.array([(0.0, 1.0), (-INF, INF)])).unbounded is None
    direction = PolynomialAction(*parts, np.array([(0.0, INF), (-INF, INF)])).unbounded
    assert direction[0] > 0.9
    cubic = PolynomialAction.of({("x",) * 3: 1.0})
    half = PolynomialAction(cubic.columns, cubic.mean, cubic.sd, cubic.terms, cubic.theta, np.array([(0.0, INF)]))
    assert half.unbounded is None


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A half-line, exp(−x − xy/2) on x > 0, and a share y on (0, 1) that falls with it."""
    rng = np.random.default_rng(2)
    y = rng.random(60_000)
    y = y[rng.random(len(y)) < 1 / (1 + y / 2)]
    return pd.DataFrame({"x": rng.exponential(1 / (1 + y / 2)), "y": y})


BOUNDS = {"x": (0, None), "y": (0, 1)}


@pytest.fixture(scope="module")
def model(table) -> cm.Model:
    return cm.fit(table, cm.Polynomial(2, bounds=BOUNDS), progress=False)


def test_a_fitted_half_line_and_interval(model, table, tmp_path):
    f = model.couplings(about="origin")
    assert f["x",] == pytest.approx(1.0, abs=0.06)
    assert f["x", "y"] == pytest.approx(0.5, abs=0.12)
    # The law of x given y is exponential with the rate 1 + y/2.
    given = {"y": [0.0, 0.5, 1.0]}
    assert model.predict("x", given=given) == pytest.approx([1.0, 1 / 1.25, 1 / 1.5], abs=0.04)
    answer = model.predict("x", given={"y": [0.5]}, output="interval", level=0.9)
    low, high = answer.to_numpy()[0, 1:]
    assert 0 < low == pytest.approx(-np.log(0.95) / 1.25, abs=0.02)
    assert high == pytest.approx(-np.log(0.05) / 1.25, abs=0.15)
    assert model.log_prob(table).mean() > cm.fit(table, progress=False).log_prob(table).mean() + 0.3
    drawn = model.sample(500, seed=0)
    assert drawn["x"].min() >= 0
    assert drawn["y"].between(0, 1).all()
    model.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant")
    assert again.theory.ends["x"] == (0.0, INF)
    np.testing.assert_array_equal(again.predict("x", given=given), model.predict("x", given=given))
    assert again.log_prob({"x": [-1.0], "y": [0.5]})[0] == -INF
    found = model.diagrams("x", given={"y": 0.5})
    assert "ends of x" in found.labels
    assert found.prediction == pytest.approx(model.predict("x", given={"y": 0.5})[0], abs=1e-4)
    assert (model.coupling_table()["se"] > 0).all()


def test_conditioned_and_marginal(model):
    fixed = model.condition({"y": 0.5})
    assert fixed.predict("x", given={})[0] == pytest.approx(model.predict("x", given={"y": 0.5})[0], abs=1e-9)
    assert fixed.law.action.bounds.tolist() == [[0.0, INF]]
    assert model.marginal(["x"]).log_prob({"x": [-0.5]})[0] == -INF


def test_mistakes_are_named(table):
    for bounds, words in (
        ({"x": (1, 0)}, "lower end must be below"),
        ({"x": 3}, "give a lower and an upper end"),
        ({"x": ("a", 1)}, "give a lower and an upper end"),
    ):
        with pytest.raises(OptionError, match=words):
            cm.Polynomial(4, bounds=bounds)
    with pytest.raises(OptionError, match="leave bounds= or loops= out"):
        cm.Polynomial(4, 1, bounds=BOUNDS)
    with pytest.raises(DataError, match="not between its bounds"):
        cm.fit(table, cm.Polynomial(2, bounds={"x": (5, None)}), progress=False)
    with pytest.raises(KeyError, match="depth"):
        cm.fit(table, cm.Polynomial(2, bounds={"depth": (0, None)}), progress=False)
    with pytest.warns(CumulantWarning, match="bounds= are not kept; F is Gaussian here"):
        cm.fit(table[:20], cm.Polynomial(4, bounds=BOUNDS), progress=False)


def test_the_command(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table[:3000].to_csv("t.csv", index=False)
    options = ("--theory", "polynomial", "--order", "2", "--bounds", "x=0:", "--bounds", "y=0:1", "--target", "x")
    assert run("fit", "t.csv", "-o", "m.cumulant", *options).status == 0
    assert cm.load("m.cumulant").theory.ends["y"] == (0.0, 1.0)
    assert run("predict", "m.cumulant", "--given", "y=0.5").status == 0
    assert run("fit", "t.csv", "-o", "m.cumulant", "--theory", "polynomial", "--bounds", "x=0").status == 2
    assert run("fit", "t.csv", "-o", "m.cumulant", "--bounds", "x=0:").status == 2
