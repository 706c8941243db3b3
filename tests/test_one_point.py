"""The mean of an interacting field as a sum of diagrams, against integrals on a grid and by hand."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant as cm
from commandline import run
from cumulant.data import nyc_flights
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.one_point import Vertex, in_a_row, over_rows
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.theory.polynomial_action import PolynomialAction

NODES = np.linspace(-7, 7, 71)
TWO = {("x", "x"): 0.5, ("y", "y"): 0.5, ("x", "y"): -0.4, ("x", "x", "y"): -0.3, ("x",) * 4: 0.05, ("y",) * 4: 0.2}
WELLS = {("x", "x"): 0.5, ("y", "y"): -0.8, ("x", "y"): -0.5, ("x", "y", "y"): 0.2, ("y",) * 4: 0.2, ("x",) * 4: 0.05}
THREE = TWO | {("z", "z"): 0.7, ("y", "z"): 0.3, ("x", "y", "z"): 0.3, ("z",) * 4: 0.1, ("y", "y", "z", "z"): 0.1}


def on_a_grid(couplings: dict[tuple[str, ...], float]) -> tuple[PolynomialLaw, np.ndarray]:
    action = PolynomialAction.of(couplings)
    p = len(action.columns)
    phi = np.stack(np.meshgrid(*[NODES] * p, indexing="ij"), axis=-1)
    F = action.free_energy(phi)
    w = np.exp(F.min() - F)
    w /= w.sum()
    rows = phi.reshape(-1, p)
    mean = w.ravel() @ rows
    cov = (rows - mean).T @ ((rows - mean) * w.reshape(-1, 1))
    return PolynomialLaw(action, GaussianLaw(Fields(mean, cov, None, 1e6, 1e6)), np.arange(p)), w


@pytest.mark.parametrize("couplings", [TWO, WELLS], ids=["bent", "two wells"])
@pytest.mark.parametrize("x", [-2.2, 0.0, 1.4])
def test_the_diagrams_of_a_row_add_up_to_the_integral(couplings, x):
    law, w = on_a_grid(couplings)
    p = w[round((x + 7) * 5)]
    constant, sizes = in_a_row(law, 1, np.array([x, np.nan]))
    assert constant + sum(sizes.values()) == pytest.approx((p @ NODES) / p.sum(), abs=1e-6)
    assert {len(vertex.inside) for vertex in sizes} == {0, 2, 3}


def test_unknown_fields_are_averaged_over():
    law, w = on_a_grid(THREE)
    p = w[round((1.4 + 7) * 5)].sum(axis=1)
    constant, sizes = in_a_row(law, 1, np.array([1.4, np.nan, np.nan]))
    # A thousand draws of z leave an error of about a hundredth.
    assert constant + sum(sizes.values()) == pytest.approx((p @ NODES) / p.sum(), abs=0.03)
    fixed = law.condition(np.array([0]), np.array([1.4]), np.array([1, 2]))
    again, same = in_a_row(fixed, 0, np.array([np.nan, 0.4]))
    q = w[round((1.4 + 7) * 5), :, round((0.4 + 7) * 5)]
    assert again + sum(same.values()) == pytest.approx((q @ NODES) / q.sum(), abs=1e-6)


def test_of_a_mean_that_is_a_polynomial_each_diagram_is_a_term_of_it():
    """F = ½(y − bx − c(x² − 1))² + x²/2: y bends, with noise of one size, and nothing closes in a loop."""
    b, c = 0.4, 0.15
    F = {("y", "y"): 0.5, ("x", "y"): -b, ("x", "x", "y"): -c, ("y",): c, ("x",): -b * c, ("x",) * 3: b * c}
    F |= {("x", "x"): 0.5 + b * b / 2 - c * c, ("x",) * 4: c * c / 2}
    law, _ = on_a_grid(F)
    at = {name: i for i, name in enumerate(law.action.columns)}
    x, y = at["x"], at["y"]
    row = np.full(2, np.nan)
    row[x] = 1.5
    constant, sizes = in_a_row(law, y, row)
    assert constant == pytest.approx(0.0, abs=1e-6)
    assert sizes.pop(Vertex((x,))) == pytest.approx(b * 1.5, abs=1e-6)
    assert sizes.pop(Vertex((x, x))) == pytest.approx(c * (1.5**2 - 1), abs=1e-6)
    assert sum(map(abs, sizes.values())) == pytest.approx(0.0, abs=1e-6)
    constant, sizes = over_rows(law, y)
    # x is normal, so that the standard deviations of x and of x² − 1 are 1 and √2.
    assert sizes == pytest.approx({Vertex((x,)): b, Vertex((x, x)): c * np.sqrt(2)}, abs=1e-6)


def test_a_weak_coupling_pulls_by_its_tree_and_its_loop():
    """F = ½(y − x)² + λy⁴/4! + x²/2: to first order ⟨y⟩ = x − λ(x³ + 3x)/6."""
    coupling, x = 1e-3, 2.5
    F = {("x", "x"): 1.0, ("y", "y"): 0.5, ("x", "y"): -1.0, ("y",) * 4: coupling / 24}
    law, _ = on_a_grid(F)
    constant, sizes = in_a_row(law, 1, np.array([x, np.nan]))
    assert constant + sum(sizes.values()) - x == pytest.approx(-coupling * (x**3 + 3 * x) / 6, rel=0.01)
    assert sizes[Vertex((0, 0, 0))] == pytest.approx(-coupling * (x**3 - 3 * x) / 6, rel=0.01)


@pytest.fixture(scope="module")
def weather() -> cm.Model:
    m = cm.measure(nyc_flights(), columns=["temp", "wind_speed", "dewp"], missing="drop", order=6)
    return cm.solve(m, cm.Polynomial(4), target="temp")


def test_a_fitted_model_explains_its_predictions(weather):
    given = {"wind_speed": 30.0, "dewp": 60.0}
    found = weather.diagrams(given=given)
    assert found.prediction == pytest.approx(weather.predict("temp", given=given)[0], abs=1e-6)
    assert set(found.table["loops"]) == {0, 1, 2}
    assert "⟨temp·temp⟩" in found.labels
    assert any("δtemp" in names for names in found.terms)
    drawing = found.svg()
    assert "⟨temp·temp⟩" in drawing
    assert "wind_speed" in drawing
    over = weather.diagrams()
    assert over.labels[0] == "dewp"
    assert not any(over.inside)


def test_a_conditioned_and_a_marginal_model(weather):
    storm = weather.condition({"wind_speed": 30.0})
    both = weather.diagrams("temp", given={"wind_speed": 30.0, "dewp": 60.0})
    found = storm.diagrams("temp", given={"dewp": 60.0})
    assert found.prediction == pytest.approx(both.prediction, abs=1e-6)
    hidden = weather.marginal(["temp", "wind_speed"]).diagrams("temp", given={"wind_speed": 30.0})
    assert hidden.prediction == pytest.approx(weather.diagrams("temp", given={"wind_speed": 30.0}).prediction)


def test_the_command(weather, tmp_path):
    weather.save(tmp_path / "m.cumulant")
    shown = run("diagrams", str(tmp_path / "m.cumulant"), "--given", "wind_speed=30,dewp=60")
    assert "δtemp·⟨temp·temp⟩" in shown.out
    shown = run("diagrams", str(tmp_path / "m.cumulant"), "--given", "wind_speed=30,dewp=60", "--json")
    assert '"inside"' in shown.out
