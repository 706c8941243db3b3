"""Integrals over two and three fields, one within another, against SciPy's adaptive quadrature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

import cumulant as cm
from cumulant.errors import CumulantWarning
from cumulant.solve import nested
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.theory import PolynomialAction
from cumulant.theory.zoom import ENDLESS, zoomed

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
NAMES = ("y", "a", "b", "x")
Y = np.array([0])


def law(depth: float = 1.0, extra: tuple[str, ...] = ()) -> PolynomialLaw:
    """y follows a and b, each in two wells that lie the farther apart the deeper they are; x tells a little of a."""
    f = {(n, n): -4.0 * depth for n in ("a", "b")} | {(n,) * 4: depth for n in ("a", "b")}
    f |= {("y", "y"): 2.0, ("y",) * 4: 0.05, ("y", "a"): -1.0, ("y", "b"): 0.7, ("a", "b"): 0.3, ("a", "b", "y"): 0.5}
    f |= {("x", "x"): 0.5, ("x",) * 4: 0.02, ("x", "a"): -0.2}
    f |= {pair: value for n in extra for pair, value in {(n, n): 0.5, (n,) * 4: 0.1, (n, "x"): 0.1}.items()}
    whole = np.diag([0.6, 1.5, 1.5, 1.0] + [1.0] * len(extra))
    p = 4 + len(extra)
    action = PolynomialAction.of(f)
    place = [(*NAMES, *extra).index(name) for name in action.columns]
    fields = Fields(np.zeros(p), whole[np.ix_(place, place)], None, 1e6, 1e6)
    return PolynomialLaw(action, GaussianLaw(fields), np.array([action.columns.index(n) for n in (*NAMES, *extra)]))


def weight(theory: PolynomialLaw, **values: float) -> float:
    return float(np.exp(-theory.action.value(np.array([values[name] for name in theory.action.columns]))))


@pytest.mark.parametrize("depth", [1.0, 2.0])
def test_two_unknown_fields_in_wells_are_integrated(depth):
    theory, x = law(depth), 0.8
    given = np.array([[np.nan, np.nan, np.nan, x]])
    density = theory.density(given, Y, "y")
    assert density.how.tolist() == ["quadrature"]
    at = np.array([-1.0, 0.2, 1.5])
    exact = np.array(
        [
            dblquad(lambda b, a, y=y: weight(theory, y=y, a=a, b=b, x=x), -3, 3, -3, 3, epsabs=0, epsrel=1e-4)[0]
            for y in at
        ]
    )
    found = np.exp([density.log_prob(np.array([y]))[0] for y in at])
    np.testing.assert_allclose(found / found[1], exact / exact[1], rtol=3e-3)
    log = [theory.log_prob(np.array([[y, np.nan, np.nan, x]]), [])[0] for y in at]
    np.testing.assert_allclose(log - log[1], np.log(exact / exact[1]), atol=1e-3)
    np.testing.assert_allclose(log - theory.log_prob(given, []), np.log(found), atol=3e-3)


def test_one_unknown_field():
    theory = law(2.0)
    given = np.array([[np.nan, np.nan, 0.5, -0.3]])
    density = theory.density(given, Y, "y")
    assert density.how.tolist() == ["quadrature"]

    def moment(power: int) -> float:
        return dblquad(lambda a, y: y**power * weight(theory, y=y, a=a, b=0.5, x=-0.3), -5, 5, -3.5, 3.5)[0]

    mean = moment(1) / moment(0)
    assert density.mean[0] == pytest.approx(mean, abs=1e-4)
    assert density.sd[0] == pytest.approx(np.sqrt(moment(2) / moment(0) - mean**2), rel=1e-3)


def test_ln_z_of_three_fields_and_of_a_narrow_valley():
    theory = law()
    three = theory.action.fix([NAMES.index("x")], np.zeros(1))
    grid = np.linspace(-4, 4, 121)
    mesh = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1)
    exact = np.log(np.exp(-three.value(mesh)).sum() * (grid[1] - grid[0]) ** 3)
    assert nested.log_integral(nested.powers(three, np.zeros((1, 3)), range(3)), np.tile(ENDLESS, (3, 1)))[
        0
    ] == pytest.approx(exact, abs=1e-9)
    # exp(−½v²/s² − w²/2 − …) with v = a − b: across the diagonal five hundred times as narrow as along it.
    s = 2e-3
    valley = PolynomialAction.of({("a", "a"): 0.5 / s**2, ("b", "b"): 0.5 / s**2 + 0.5, ("a", "b"): -1 / s**2})
    found = nested.log_integral(nested.powers(valley, np.zeros((1, 2)), range(2)), np.tile(ENDLESS, (2, 1)))[0]
    assert found == pytest.approx(np.log(2 * np.pi * s), abs=1e-6)


def test_more_unknown_fields_are_summed_as_diagrams_or_drawn_with_a_stated_error():
    f = {(n, n): 0.5 for n in "yabcd"} | {("d",) * 4: 0.01, ("c",) * 4: 0.01}
    weak = PolynomialAction.of(f | {("y", "a"): -0.3, ("a", "a", "b", "b"): 0.02})
    theory = PolynomialLaw(weak, GaussianLaw(Fields(np.zeros(5), np.eye(5), None, 1e6, 1e6)), np.arange(5))
    at = [weak.columns.index(n) for n in "yabcd"]
    row = np.full((1, 5), np.nan)
    row[0, at[0]] = 0.7
    pair = dblquad(lambda a, b: np.exp(-0.5 * (a * a + b * b) + 0.3 * 0.7 * a - 0.02 * (a * b) ** 2), -8, 8, -8, 8)[0]
    single = quad(lambda c: np.exp(-0.5 * c * c - 0.01 * c**4), -8, 8)[0]
    exact = np.log(pair * single**2) - 0.5 * 0.49
    free = np.setdiff1d(np.arange(5), at[0])
    assert theory._log_integrals(row, free)[0] == pytest.approx(exact, abs=0.01)
    drawn = replace(theory, integrate="sampling")._log_integrals(row, free)[0]
    assert drawn == pytest.approx(exact, abs=0.1)
    wells = law(3.0, extra=("c", "d"))
    gaps = np.full((1, 6), np.nan)
    gaps[0, 3] = 0.8
    with pytest.warns(CumulantWarning, match=r"5 unknown fields.*standard error of up to 0\.\d+ nats"):
        wells.log_prob(gaps, [])


def test_a_zoom_finds_where_f_is_low():
    centre, width = np.array([-3.0, 11.0, 0.0]), np.array([0.01, 2.0, 0.5])

    def free_energy(low, high, nodes):
        return 0.5 * ((np.linspace(low, high, nodes, axis=1) - centre[:, None]) / width[:, None]) ** 2

    low, high = zoomed(free_energy, np.full(3, 30.0), depth=20.0, nodes=(41, 21, 21, 21))
    reach = np.sqrt(40.0) * width
    assert (low <= centre - reach).all()
    assert (high >= centre + reach).all()
    assert (high - low < 2.5 * reach).all()


def test_a_model_of_a_table_with_gaps_in_wells():
    rng = np.random.default_rng(0)
    a = rng.choice([-2.0, 2.0], 20_000) + 0.4 * rng.normal(size=20_000)
    y = 0.5 * a + 0.4 * rng.normal(size=20_000)
    x = 0.3 * y + rng.normal(size=20_000)
    model = cm.fit({"x": x, "a": a, "y": y}, cm.Polynomial(4))
    density = model.predict("y", given={"x": [0.0, 2.0]}, output="density")
    assert set(density.how) == {"quadrature"}
    near = np.abs(x[:, None] - [0.0, 2.0]) < 0.2
    for i in range(2):
        assert density.mean[i] == pytest.approx(y[near[:, i]].mean(), abs=0.1)
        assert density.sd[i] == pytest.approx(y[near[:, i]].std(), rel=0.1)
        # Two peaks and between them a dip.
        assert density.pdf(np.zeros(2))[i] < 0.6 * density.pdf(np.ones(2))[i]
