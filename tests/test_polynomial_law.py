"""Predictions of an interacting theory, against integrals on a grid."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import CumulantWarning, OptionError
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.theory.polynomial_action import PolynomialAction

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
NODES = np.linspace(-6, 6, 241)


def free_energy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two wells in x, to which y is tied by x²y: no correlation, and no independence."""
    return -1.2 * x**2 + 0.3 * x**4 + 0.8 * y**2 - 0.9 * x**2 * y + 0.3 * x**2 * y**2 + 0.05 * y**4 + 0.1 * x * y


def law() -> PolynomialLaw:
    X, Y = np.meshgrid(NODES, NODES, indexing="ij")
    w = np.exp(-free_energy(X, Y))
    w /= w.sum()
    mean = np.array([(w * X).sum(), (w * Y).sum()])
    d = np.stack([X - mean[0], Y - mean[1]])
    cov = np.einsum("ixy,jxy,xy->ij", d, d, w)
    tuples = [(0, 0, 1, 1), (1, 1, 1, 1), (0, 0, 2, 2), (0, 1, 1, 2), (1, 1, 2, 2), (2, 2, 2, 2), (0, 0, 1, 2)]
    theta = np.array([-1.2, 0.3, 0.8, -0.9, 0.3, 0.05, 0.1])
    action = PolynomialAction(("x", "y"), np.zeros(2), np.ones(2), np.array(tuples), theta)
    whole = GaussianLaw(Fields(mean, cov, None, 1e6, 1e6))
    return PolynomialLaw(action, whole, np.arange(2))


def test_one_field_given_the_other_is_a_one_dimensional_integral():
    x = np.array([-1.5, 0.0, 0.7, 2.0])
    p = np.exp(-free_energy(x[:, None], NODES[None, :]))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.column_stack([x, np.full(4, np.nan)])
    density = law().density(rows, np.array([1]), "y")
    np.testing.assert_allclose(density.mean, p @ NODES, atol=1e-6)
    np.testing.assert_allclose(law().expect(rows, np.array([1])), p @ NODES, atol=1e-6)
    step = NODES[1] - NODES[0]
    for at in (100, 130, 150):
        np.testing.assert_allclose(density.pdf(NODES[at]), p[:, at] / step, rtol=2e-2, atol=1e-4)
    below = np.cumsum(p, axis=1) - p / 2
    np.testing.assert_allclose(density.cdf(NODES[120]), below[:, 120], atol=2e-3)
    np.testing.assert_allclose(density.cdf(density.ppf(0.3)), 0.3, atol=1e-9)
    low, high = density.interval(0.9)
    np.testing.assert_allclose(density.cdf(high) - density.cdf(low), 0.9, atol=1e-9)
    draws = density.sample(4000, seed=1)
    np.testing.assert_allclose(draws.mean(axis=1), p @ NODES, atol=0.05)


def test_two_peaks_where_nothing_is_known_of_the_other():
    X, Y = np.meshgrid(NODES, NODES, indexing="ij")
    w = np.exp(-free_energy(X, Y)).sum(axis=1)
    w /= w.sum() * (NODES[1] - NODES[0])
    rows = np.full((1, 2), np.nan)
    density = law().density(rows, np.array([0]), "x")
    assert density.pdf(np.array([0.0])) < 0.7 * density.pdf(np.array([1.5]))
    # One chain of forty draws: the marginal is known to a tenth or so.
    np.testing.assert_allclose(density.pdf(np.array([1.5])), np.interp(1.5, NODES, w), rtol=0.25)


def test_log_density_is_normalised_and_integrates_unknown_fields_out():
    X, Y = np.meshgrid(NODES, NODES, indexing="ij")
    step = NODES[1] - NODES[0]
    rows = np.column_stack([X.ravel(), Y.ravel()])
    p = np.exp(law().log_prob(rows, []))
    assert p.sum() * step**2 == pytest.approx(1.0, abs=1e-6)
    some = np.column_stack([NODES[::20], np.full(len(NODES[::20]), np.nan)])
    np.testing.assert_allclose(
        np.exp(law().log_prob(some, [])), p.reshape(241, 241).sum(axis=1)[::20] * step, atol=1e-6
    )
    assert law().log_prob(np.full((1, 2), np.nan), [])[0] == pytest.approx(0.0, abs=0.05)


def test_ln_z_of_three_fields_is_the_sum_of_independent_ones():
    terms = np.array([(0, 0, i, i) for i in (1, 2, 3)] + [(i,) * 4 for i in (1, 2, 3)])
    theta = np.array([0.5, 0.5, -0.5, 0.1, 0.3, 0.2])
    variance = []
    total = 0.0
    for i in range(3):
        w = np.exp(-(theta[i] * NODES**2 + theta[3 + i] * NODES**4))
        total += np.log(w.sum() * (NODES[1] - NODES[0]))
        variance.append((w * NODES**2).sum() / w.sum())
    action = PolynomialAction(("a", "b", "c"), np.zeros(3), np.ones(3), terms, theta)
    whole = GaussianLaw(Fields(np.zeros(3), np.diag(variance), None, 1e6, 1e6))
    assert PolynomialLaw(action, whole, np.arange(3)).log_partition == pytest.approx(total, abs=5e-3)


def test_samples_have_the_moments_of_the_law():
    x = law().sample(2000, [], np.random.default_rng(0))
    np.testing.assert_allclose(x.mean(axis=0), law().mean, atol=0.12)
    np.testing.assert_allclose(np.cov(x.T), law().covariance, atol=0.2)


def test_conditioning_fixes_numbers_in_f():
    fixed = law().condition(np.array([0]), np.array([1.3]), np.array([1]))
    rows = np.array([[1.3, np.nan]])
    assert fixed.expect(np.full((1, 1), np.nan), np.array([0]))[0] == pytest.approx(
        law().expect(rows, np.array([1]))[0], abs=1e-9
    )
    marginal = law().marginal(np.array([1]))
    assert marginal.covariance.shape == (1, 1)
    y = np.array([[0.4]])
    both = np.array([[np.nan, 0.4]])
    assert marginal.log_prob(y, [])[0] == pytest.approx(law().log_prob(both, [])[0], abs=1e-9)
    np.testing.assert_allclose(law().fill(rows)[0, 1], law().expect(rows, np.array([1]))[0])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    X, Y = np.meshgrid(NODES, NODES, indexing="ij")
    w = np.exp(-free_energy(X, Y)).ravel()
    at = rng.choice(len(w), 30_000, p=w / w.sum())
    jitter = (NODES[1] - NODES[0]) * (rng.random((2, 30_000)) - 0.5)
    return pd.DataFrame({"x": 10 + 3 * (X.ravel()[at] + jitter[0]), "y": -1 + 0.5 * (Y.ravel()[at] + jitter[1])})


def test_a_model_from_a_table(table, tmp_path):
    model = cm.fit(table, cm.Polynomial(4))
    assert any("Schwinger–Dyson" in note for note in model.notes)
    given = pd.DataFrame({"x": [10 - 4.5, 10.0, 10 + 2.1]})
    u = (given["x"].to_numpy() - 10) / 3
    p = np.exp(-free_energy(u[:, None], NODES[None, :]))
    expected = -1 + 0.5 * (p @ NODES) / p.sum(axis=1)
    np.testing.assert_allclose(model.predict("y", given=given), expected, atol=0.06)
    linear = cm.fit(table).predict("y", given=given)
    assert np.abs(np.asarray(linear) - expected).max() > 0.2
    assert model.couplings()["x", "x", "x", "x"] == pytest.approx(0.3 / 3**4, rel=0.15)
    assert model.log_prob(table).mean() > cm.fit(table).log_prob(table).mean() + 0.1
    model.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant")
    np.testing.assert_array_equal(again.predict("y", given=given), model.predict("y", given=given))
    assert again.couplings() == model.couplings()
    assert len(model.sample(5, seed=0)) == 5
    assert list(model.condition({"x": 12.0}).sample(3, seed=0).columns) == ["y"]


def test_the_second_order_polynomial_is_the_gaussian(table):
    few = table[:500]
    given = few[["x"]][:5]
    np.testing.assert_allclose(
        cm.fit(few, cm.Polynomial(2)).predict("y", given=given), cm.fit(few).predict("y", given=given)
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"t": np.random.default_rng(0).standard_t(2.2, size=6000)}, "tails"),
        ({"e": np.random.default_rng(0).standard_t(7, size=6000)}, "falls for ever along 'e'|tails"),
        ({"s": np.random.default_rng(0).integers(0, 2, 6000).astype(float)}, "'s' takes few values.*categorical"),
        ({"g": np.random.default_rng(0).integers(0, 3, 6000).astype(float)}, "'g' takes few values"),
        ({"x²": np.random.default_rng(1).normal(size=6000) ** 2}, "'x²' one is a function of the others"),
        ({"b": np.random.default_rng(0).random(6000) < 0.5}, "has levels, not values"),
        ({"one": np.ones(6000)}, "'one' does not vary"),
    ],
)
def test_where_f_would_mislead_it_is_gaussian_and_says_why(columns, message):
    x = np.random.default_rng(1).normal(size=6000)
    table = pd.DataFrame({"x": x, **columns})
    with pytest.warns(CumulantWarning, match=message) as caught:
        model = cm.fit(table, cm.Polynomial(4))
    assert any("F is Gaussian here" in str(w.message) for w in caught)
    assert max(len(term) for term in model.couplings()) == 2


def test_too_few_rows_for_the_order(table):
    with pytest.warns(CumulantWarning, match="60 rows without a gap are too few for the 14 couplings"):
        cm.fit(table[:60], cm.Polynomial(4))
    with pytest.raises(OptionError, match="takes 'auto', 'folds'"):
        cm.fit(table[:600], cm.Polynomial(4), prior="evidence")


def test_a_fall_along_a_curve_is_found():
    """½y² + x²y + x⁴/4 grows along each ray, and falls along y = −x²."""
    terms = np.array([(0, 0, 2, 2), (0, 1, 1, 2), (1, 1, 1, 1)])
    action = PolynomialAction(("x", "y"), np.zeros(2), np.ones(2), terms, np.array([0.5, 1.0, 0.25]))
    assert action.unbounded is not None
    steeper = PolynomialAction(("x", "y"), np.zeros(2), np.ones(2), terms, np.array([0.5, 1.0, 0.75]))
    assert steeper.unbounded is None


def weakly_coupled(n: int, coupling: float = 0.25, seed: int = 0) -> pd.DataFrame:
    """Rows of F = ½a² + b² − ½ab + coupling (a⁴/24 + b⁴/12 + a²b²/4): drawn on a grid."""
    X, Y = np.meshgrid(NODES, NODES, indexing="ij")
    w = np.exp(-(X**2 / 2 + Y**2 - X * Y / 2 + coupling * (X**4 / 24 + Y**4 / 12 + X**2 * Y**2 / 4)))
    rng = np.random.default_rng(seed)
    at = rng.choice(w.size, n, p=(w / w.sum()).ravel())
    step = NODES[1] - NODES[0]
    return pd.DataFrame({"a": X.ravel()[at], "b": Y.ravel()[at]}) + rng.uniform(-step / 2, step / 2, (n, 2))


def test_couplings_by_diagrams_are_those_of_the_equations_where_they_are_weak() -> None:
    table = weakly_coupled(200_000)
    exact = cm.fit(table, cm.Polynomial(4), prior=None).couplings("mean")
    errors = []
    for loops in (0, 1, 2):
        model = cm.fit(table, cm.Polynomial(4, loops=loops))
        assert f"to {loops} loop" in model.notes[-1]
        found = model.couplings("mean")
        errors.append(abs(found["a", "a"] - exact["a", "a"]))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.02
    assert found["a", "a", "b", "b"] == pytest.approx(0.25 / 4, abs=0.02)
    given = pd.DataFrame({"a": [-2.0, 0.0, 1.0]})
    np.testing.assert_allclose(
        model.predict("b", given), cm.fit(table, cm.Polynomial(4)).predict("b", given), atol=0.02
    )


@pytest.mark.parametrize("loops", [0, 1, 2])
def test_a_series_that_must_not_be_used_is_not(loops: int) -> None:
    with pytest.warns(CumulantWarning, match="hold at any strength|F falls for ever"):
        model = cm.fit(weakly_coupled(20_000, coupling=12.0), cm.Polynomial(4, loops=loops))
    assert isinstance(model.law, GaussianLaw)


def test_options_of_the_loop_solver_are_named() -> None:
    with pytest.raises(OptionError, match="loops=3"):
        cm.Polynomial(4, loops=3)
    with pytest.raises(OptionError, match="no prior"):
        cm.fit(weakly_coupled(500), cm.Polynomial(4, loops=1), prior="folds")


def test_f_from_its_derivatives_is_that_f() -> None:
    rng = np.random.default_rng(2)
    tensors = {}
    for n in (1, 2, 3, 4):
        t = rng.normal(size=(3,) * n)

        ways = list(permutations(range(n)))
        tensors[n] = sum(t.transpose(way) for way in ways) / len(ways)
    mean, sd = np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, 1.0])
    action = PolynomialAction.of_tensors(("a", "b", "c"), mean, sd, tensors)
    eta = rng.normal(size=(5, 3))
    by_hand = (
        eta @ tensors[1]
        + np.einsum("ni,nj,ij->n", eta, eta, tensors[2]) / 2
        + np.einsum("ni,nj,nk,ijk->n", eta, eta, eta, tensors[3]) / 6
        + np.einsum("ni,nj,nk,nl,ijkl->n", eta, eta, eta, eta, tensors[4]) / 24
    )
    np.testing.assert_allclose(action.free_energy(mean + eta), by_hand, rtol=1e-12)
