"""Models whose couplings come from a page of the notebook."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant as cm
from cumulant import symmetry as sym
from cumulant.errors import DataError, OptionError
from cumulant.solve.looked_up import solve_looked_up


def double_well(n: int) -> np.ndarray:
    """Samples of exp(x² − x⁴/12) about 3, by the inverse of its distribution function."""
    x = np.linspace(-8, 8, 100_001)
    c = np.cumsum(np.exp(x**2 - x**4 / 12))
    return np.interp(np.random.default_rng(0).random(n), c / c[-1], x) + 3.0


def test_the_law_of_a_looked_up_class_has_the_moments_it_was_looked_up_from():
    x = double_well(5_000)
    m = cm.measure({"x": x}, order=4)
    solved = solve_looked_up(m, cm.Polynomial(4), sym.z2(["x"]))
    assert "page phi4 of the notebook" in solved.notes[0]
    y = np.linspace(-8, 8, 4001) + x.mean()
    p = np.exp(solved.law.log_prob(y[:, None], [])) * (y[1] - y[0])
    assert p.sum() == pytest.approx(1, abs=1e-6)
    for power in (2, 4):
        assert p @ (y - x.mean()) ** power == pytest.approx(np.mean((x - x.mean()) ** power), rel=1e-6)
    two_peaks = np.exp(solved.law.log_prob(np.array([[3.0], [3.0 + np.sqrt(6)]]), []))
    assert two_peaks[1] > 3 * two_peaks[0]


def test_a_vector_is_looked_up_by_its_length():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4_000, 2))
    # A ring of radius 2, blurred a little.
    x = 2 * x / np.linalg.norm(x, axis=1, keepdims=True) + 0.4 * rng.normal(size=x.shape)
    m = cm.measure({"u": x[:, 0], "v": x[:, 1]}, order=4)
    solved = solve_looked_up(m, cm.Polynomial(4), sym.orthogonal([["u", "v"]]))
    grid = np.linspace(-6, 6, 241)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    f = solved.law.action.free_energy(points)
    p = np.exp(f.min() - f)
    p /= p.sum()
    square = (points**2).sum(axis=1)
    assert p @ square == pytest.approx(np.mean((x**2).sum(axis=1)), rel=1e-6)
    assert p @ square**2 == pytest.approx(np.mean((x**2).sum(axis=1) ** 2), rel=1e-6)


def test_later_rows_are_looked_up_too():
    x, group = double_well(4_000), sym.z2(["x"])
    half = cm.fit({"x": x[:2_000]}, cm.Polynomial(4), symmetry=group)
    whole = cm.fit({"x": x}, cm.Polynomial(4), symmetry=group)
    assert half.update({"x": x[2_000:]}).couplings() == pytest.approx(whole.couplings(), rel=1e-9)
    assert whole.symmetries.parameters == (4, 2)
    assert whole.universality().page.name == "phi4"


def test_what_the_notebook_does_not_hold_is_refused():
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(OptionError, match="no page"):
        solve_looked_up(cm.measure(x, order=4), cm.Polynomial(4), sym.symmetric(2))
    heavy = cm.measure({"x": np.random.default_rng(0).standard_t(3, size=500)}, order=4)
    with pytest.raises(DataError, match="student-t"):
        solve_looked_up(heavy, cm.Polynomial(4), sym.z2(["x"]))


def test_a_fit_under_a_group_is_looked_up_and_says_so():
    x = double_well(3_000)
    model = cm.fit({"x": x}, cm.Polynomial(4), symmetry=sym.z2(["x"]))
    answer = cm.notebook.lookup(cm.Polynomial(4), sym.z2(["x"]), model.moments)
    assert any("page phi4 of the notebook" in note for note in model.notes)
    assert model.couplings()["x", "x"] == pytest.approx(answer.couplings["a"] / 2, rel=1e-9)
    assert model.couplings()[("x",) * 4] == pytest.approx(answer.couplings["b"] / 24, rel=1e-9)
    assert model.universality(sym.z2(["x"])).physics["phases"] == "two wells in x"
    with pytest.raises(OptionError, match="take none"):
        cm.fit({"x": x}, cm.Polynomial(4), symmetry=sym.z2(["x"]), prior="evidence")
    with pytest.raises(OptionError, match="one group"):
        cm.fit({"x": x}, cm.Polynomial(4), symmetry=[sym.z2(["x"])])
