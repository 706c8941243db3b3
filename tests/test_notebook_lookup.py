"""Every class looked up from measured tables, beside other people's estimates of the same couplings."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import cumulant as cm
from cumulant import symmetry as sym
from cumulant.diagrams import series
from cumulant.errors import DataError, OptionError
from cumulant.notebook import library, lookup
from cumulant.notebook.families import FAMILIES
from cumulant.notebook.spin_families import SPIN_FAMILIES, SpinMoments

ROWS = 40_000


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path / "notebook"))


def table(columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(columns, columns=[f"c{i}" for i in range(columns.shape[1])])


def draw(free_energy, low, high, n, seed=0) -> np.ndarray:
    """Samples of exp(−F) on a fine grid, by the inverse of its distribution function."""
    x = np.linspace(low, high, 200_001)
    p = np.exp(-free_energy(x))
    c = np.cumsum(p) / p.sum()
    return np.interp(np.random.default_rng(seed).random(n), c, x)


def states(h, J, n, seed=0) -> np.ndarray:
    """Samples of spins, from the list of all states."""
    s = np.array(list(itertools.product([-1.0, 1.0], repeat=len(h))))
    p = np.exp(s @ h + 0.5 * np.einsum("ki,ij,kj->k", s, J, s))
    return s[np.random.default_rng(seed).choice(len(s), size=n, p=p / p.sum())]


def near(found, error, true, sigmas=4.5) -> None:
    """Within the standard errors that were claimed, and errors that mean something."""
    found, error, true = (np.asarray(v, dtype=float) for v in (found, error, true))
    assert (error > 0).all()
    assert (error < 0.5 * np.maximum(1.0, np.abs(true))).all()
    assert (np.abs(found - true) < sigmas * error).all(), (found, error, true)


# ---------------------------------------------------------------------------------- Gaussian classes


GROUPS = {
    "gaussian": sym.trivial,
    "gaussian-exchangeable": sym.symmetric,
    "gaussian-blocks": lambda p: sym.symmetric([[0, 1], [2, 3], [4, 5], [6, 7]]),
    "gaussian-ring": sym.cyclic,
    "gaussian-grid": lambda p: sym.grid_translations(2, 4),
    "gaussian-vectors": lambda p: sym.orthogonal([[0, 1, 2, 3], [4, 5, 6, 7]]),
    "gaussian-even": sym.z2,
}


@pytest.mark.parametrize("name", GROUPS)
def test_gaussian_classes_are_the_inverse_of_the_averaged_covariance_in_any_order_of_columns(name):
    group = GROUPS[name](8).on([f"c{i}" for i in range(8)])
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 8)) @ rng.normal(size=(8, 8)) + 1.0
    frame = table(x)[[f"c{i}" for i in (4, 1, 7, 5, 0, 3, 6, 2)]]
    m = cm.measure(frame)
    answer = lookup(cm.Gaussian(), group, m)
    assert answer.page.name == name
    mean, C = m.mean, m.covariance
    if name in ("gaussian-even", "gaussian-vectors"):
        C = C + np.outer(mean, mean)
    average = sym.reynolds(group.on(m.columns), C)
    assert answer.precision == pytest.approx(np.linalg.inv(average), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", [n for n in GROUPS if n != "gaussian-vectors"])
def test_errors_of_gaussian_classes_are_the_spread_of_repetitions(name):
    group = GROUPS[name](8)
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(8, 12))
    C = sym.reynolds(group, raw @ raw.T / 12 + np.eye(8))
    mean = np.zeros(8) if name == "gaussian-even" else np.full(8, 0.7)
    answer = lookup(cm.Gaussian(), group, cm.measure(rng.multivariate_normal(mean, C, size=400)))
    family, at, found = FAMILIES[answer.page.solves.family], answer.order, []
    for _ in range(1000):
        x = rng.multivariate_normal(mean, C, size=400, method="cholesky")
        moments = family.reduce(x.mean(axis=0)[at], np.cov(x.T)[np.ix_(at, at)], answer.shape)
        found.append(np.concatenate([np.ravel(v) for v in answer.page.couplings_at(moments).values()]))
    spread = np.std(found, axis=0)
    claimed = np.concatenate([np.ravel(answer.errors[k]) for k in answer.couplings])
    assert claimed == pytest.approx(spread, rel=0.2)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_time_is_yule_walker_of_statsmodels():
    regression = pytest.importorskip("statsmodels.regression.linear_model")
    rng = np.random.default_rng(0)
    x = np.zeros(5000)
    for t in range(2, len(x)):
        x[t] = 0.6 * x[t - 1] - 0.3 * x[t - 2] + rng.normal()
    a, sigma = regression.yule_walker(x, order=3, method="mle")
    centred = x - x.mean()
    c = np.array([centred[: len(x) - k] @ centred[k:] for k in range(4)]) / len(x)
    answer = lookup("gaussian-time", moments={"c": c}, count=len(x))
    assert answer.couplings["a"] == pytest.approx(a, rel=1e-10)
    assert math.sqrt(answer.couplings["s2"]) == pytest.approx(sigma, rel=1e-10)
    near(answer.couplings["a"], answer.errors["a"], [0.6, -0.3, 0.0])


def test_time_from_a_window_of_lagged_columns():
    rng = np.random.default_rng(0)
    C = 0.8 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    answer = lookup("gaussian-time", None, cm.measure(rng.multivariate_normal(np.zeros(4), C, size=ROWS)))
    near(answer.couplings["a"], answer.errors["a"], [0.8, 0, 0])
    assert answer.precision[1, 3] == pytest.approx(0, abs=0.05)


# ---------------------------------------------------------------------------------- interacting fields


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.5), (-2.0, 3.0), (0.0, 1.0)])
def test_one_even_field_from_samples(a, b):
    x = draw(lambda x: a * x**2 / 2 + b * x**4 / 24, -8, 8, ROWS) + 5.0
    m = cm.measure({"x": x}, order=4)
    answer = lookup(cm.Polynomial(4), sym.z2(["x"]), m)
    assert answer.page.name == "phi4"
    for name, true in (("a", a), ("b", b)):
        near(answer.couplings[name], answer.errors[name], true)


def test_one_skewed_field_from_samples():
    h, a, g, b = 0.0, -0.5, 0.6, 3.0
    x = draw(lambda x: h * x + a * x**2 / 2 + g * x**3 / 6 + b * x**4 / 24, -8, 8, ROWS)
    answer = lookup(cm.Polynomial(4), None, cm.measure({"x": x}, order=6))
    assert answer.page.name == "phi4-skew"
    mean = x.mean()
    # The same F about the sample's mean.
    expected = {"b": b, "g": g + b * mean, "a": a + g * mean + b * mean**2 / 2}
    for name, true in expected.items():
        near(answer.couplings[name], answer.errors[name], true)


@pytest.mark.parametrize(("n", "a", "b"), [(2, 1.0, 1.0), (3, -4.0, 3.0)])
def test_a_vector_from_samples(n, a, b):
    r = draw(lambda r: a * r**2 / 2 + b * r**4 / 24 - (n - 1) * np.log(r + 1e-300), 0, 9, ROWS)
    direction = np.random.default_rng(2).normal(size=(ROWS, n))
    x = r[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    answer = lookup(cm.Polynomial(4), sym.orthogonal(n), cm.measure(x, order=4))
    assert answer.page.name == "phi4-vector"
    for name, true in (("a", a), ("b", b)):
        near(answer.couplings[name], answer.errors[name], true)


def test_at_weak_coupling_the_page_is_the_sum_of_diagrams():
    """The moments of a few diagrams, exact rationals, give back a = 1 and b up to the order that was left out."""
    order = 3
    pairs, quadruples = (series(legs, [4], order) for legs in (2, 4))
    for b in (0.01, 0.02):
        m2 = float(sum(c * Fraction(str(b)) ** power for (power,), c in pairs.items()))
        kappa4 = float(sum(c * Fraction(str(b)) ** power for (power,), c in quadruples.items()))
        answer = lookup("phi4", moments={"m2": m2, "m4": kappa4 + 3 * m2**2})
        left_out = 100 * b ** (order + 1)
        assert answer.couplings["a"] == pytest.approx(1, abs=left_out)
        assert answer.couplings["b"] == pytest.approx(b, abs=left_out)


def test_the_schwinger_dyson_equations_hold():
    """⟨φᵏ F′⟩ = k ⟨φᵏ⁻¹⟩ with moments by another quadrature, for the two pages of one interacting field."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x, w = 7 * nodes, 7 * weights
    p = w * np.exp(-(-1.0 * x**2 / 2 + 0.4 * x**3 / 6 + 2.0 * x**4 / 24))
    p /= p.sum()
    moment = [float(p @ x**k) for k in range(7)]
    answer = lookup("phi4-skew", moments={f"m{k}": moment[k] for k in range(1, 7)})
    force = answer.couplings["h"] + answer.couplings["a"] * x + answer.couplings["g"] * x**2 / 2
    force = force + answer.couplings["b"] * x**3 / 6
    for k in range(4):
        assert p @ (x**k * force) == pytest.approx(k * moment[k - 1] if k else 0.0, abs=1e-9)


# ---------------------------------------------------------------------------------- spins


def some_spins(graph, n=5):
    rng = np.random.default_rng(8)
    J = np.zeros((n, n))
    edges = {
        "none": [],
        "chain": [(i, i + 1) for i in range(n - 1)],
        "star": [(0, i) for i in range(1, n)],
        "tree": [(0, 2), (2, 1), (2, 4), (4, 3)],
        "ring": [(i, (i + 1) % n) for i in range(n)],
    }[graph]
    for i, j in edges:
        J[i, j] = J[j, i] = rng.choice([-1, 1]) * rng.uniform(0.4, 0.8)
    return rng.normal(scale=0.3, size=n), J


def check_spins(answer, h, J, expand):
    found_h, found_J = expand(answer.moments, answer.couplings)
    error_h, error_J = expand(answer.moments, answer.errors)
    near(found_h, error_h, h)
    edges = np.nonzero(np.triu(J))
    if len(edges[0]):
        near(found_J[edges], error_J[edges], J[edges])
    assert (found_J[J == 0] == 0).all()


@pytest.mark.parametrize("graph", ["none", "chain", "star", "tree", "ring"])
def test_spins_from_samples(graph):
    h, J = some_spins(graph)
    m = cm.measure(table(states(h, J, ROWS)), order=3 if graph == "ring" else 2)
    answer = lookup(cm.Spins(graph), None, m)
    check_spins(answer, h, J, SPIN_FAMILIES[answer.page.solves.family].expand)


@pytest.mark.parametrize("graph", ["none", "chain", "tree"])
def test_errors_of_spins_are_the_spread_of_repetitions(graph):
    h, J = some_spins(graph)
    found = []
    answer = lookup(cm.Spins(graph), None, cm.measure(table(states(h, J, 2000))))
    family = SPIN_FAMILIES[answer.page.solves.family]
    for seed in range(600):
        s = states(h, J, 2000, seed)
        moments = family.reduce(SpinMoments(s.mean(axis=0), s.T @ s / len(s), None))
        found.append(np.concatenate([np.ravel(v) for v in answer.page.couplings_at(moments).values()]))
    claimed = np.concatenate([np.ravel(answer.errors[k]) for k in answer.couplings])
    assert claimed == pytest.approx(np.std(found, axis=0), rel=0.12)


def test_a_ring_without_fields_needs_pairs_alone():
    _, J = some_spins("ring")
    m = cm.measure(table(states(np.zeros(5), J, ROWS)))
    with pytest.raises(OptionError, match="order=3"):
        lookup(cm.Spins("ring"), None, m)
    answer = lookup(cm.Spins("ring"), sym.z2(5), m)
    assert (answer.couplings["h"] == 0).all()
    near(answer.couplings["J"], answer.errors["J"], [J[i, (i + 1) % 5] for i in range(5)])


@pytest.mark.parametrize(("h", "J"), [(0.1, 0.5), (0.0, 1.3), (-0.4, -0.8)])
def test_exchangeable_spins_from_samples(h, J):
    n = 8
    s = states(np.full(n, h), J / n * (1 - np.eye(n)), ROWS)
    answer = lookup(cm.Spins(), sym.symmetric(n), cm.measure(table(s)))
    assert answer.page.name == "curie-weiss"
    near(answer.couplings["h"], answer.errors["h"], h)
    near(answer.couplings["J"], answer.errors["J"], J)


@pytest.mark.parametrize("n", [2, 30, 1000])
@pytest.mark.parametrize(("h", "J"), [(0.02, 0.9), (0.3, 1.5), (-1.0, 0.2), (0.0, 2.0)])
def test_exchangeable_spins_at_any_size_are_those_of_the_binomial_sum(n, h, J):
    k = np.arange(n + 1)
    S = 2.0 * k - n
    log_p = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1) + h * S + J * (S**2 - n) / 2 / n
    )
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    m, q = p @ S / n, (p @ S**2 - n) / (n * (n - 1))
    answer = lookup("curie-weiss", moments={"m": m, "q": q, "n": n})
    assert answer.couplings["h"] == pytest.approx(h, abs=1e-6)
    assert answer.couplings["J"] == pytest.approx(J, abs=1e-6)


def test_two_categories_from_a_table():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.full(6, 4.0)).reshape(2, 3)
    cells = rng.choice(6, size=ROWS, p=P.ravel())
    frame = pd.DataFrame({"x": np.array(["a", "b"])[cells // 3], "y": np.array(["u", "v", "w"])[cells % 3]})
    answer = lookup("potts-pair", None, cm.measure(frame))
    seen = np.bincount(cells, minlength=6).reshape(2, 3) / ROWS
    assert answer.moments["P"] == pytest.approx(seen, abs=1e-12)
    logs = np.log(P)
    J = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
    near(answer.couplings["J"], answer.errors["J"], J)


def test_columns_that_are_no_spins_are_named():
    frame = pd.DataFrame({"a": [1.0, -1.0, 1.0], "b": [0.0, 1.0, 2.0]})
    with pytest.raises(DataError, match="'b' is not a spin"):
        lookup(cm.Spins(), None, cm.measure(frame))


# ---------------------------------------------------------------------------------- distributions


def test_an_angle_is_scipy_s_fit():
    theta = stats.vonmises.rvs(3.0, loc=0.7, size=ROWS, random_state=0)
    kappa, loc, _ = stats.vonmises.fit(theta, fscale=1)
    answer = lookup("von-mises", moments={"c": np.cos(theta).mean(), "s": np.sin(theta).mean()}, count=ROWS)
    x, y = answer.couplings["x"], answer.couplings["y"]
    assert math.hypot(x, y) == pytest.approx(kappa, rel=1e-8)
    assert math.atan2(y, x) == pytest.approx(loc, abs=1e-8)
    near(x, answer.errors["x"], 3 * math.cos(0.7))


def test_an_angle_measured_as_a_cyclic_column():
    hours = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.random.default_rng(0).normal(12, 2, size=2000), unit="h")
    m = cm.measure({"time": hours}, lifts={"time": "cyclic:day"})
    angle = 2 * np.pi * (hours - hours.normalize()) / pd.Timedelta(days=1)
    answer = lookup("von-mises", None, m)
    kappa, _, _ = stats.vonmises.fit(np.asarray(angle), fscale=1)
    assert math.hypot(answer.couplings["x"], answer.couplings["y"]) == pytest.approx(kappa, rel=1e-6)


@pytest.mark.parametrize("p", [3, 8])
def test_a_direction_is_scipy_s_fit(p):
    mu = np.eye(p)[0]
    x = stats.vonmises_fisher(mu, 5.0).rvs(5000, random_state=0)
    _, kappa = stats.vonmises_fisher.fit(x)
    answer = lookup("von-mises-fisher", None, cm.measure(x))
    assert answer.couplings["k"] == pytest.approx(kappa, rel=1e-6)
    near(answer.couplings["k"], answer.errors["k"], 5.0)


def test_a_positive_quantity_is_scipy_s_fit():
    x = stats.gamma.rvs(2.5, scale=3.0, size=5000, random_state=0)
    shape, _, scale = stats.gamma.fit(x, floc=0)
    answer = lookup("gamma", moments={"m1": x.mean(), "l1": np.log(x).mean()}, count=len(x))
    assert answer.couplings["k"] == pytest.approx(shape, rel=1e-6)
    assert answer.couplings["r"] == pytest.approx(1 / scale, rel=1e-6)
    # The asymptotic variance of the maximum-likelihood shape, k/(N (k ψ′(k) − 1)).
    k = answer.couplings["k"]
    expected = math.sqrt(k / (len(x) * (k * special.polygamma(1, k) - 1)))
    assert answer.errors["k"] == pytest.approx(expected, rel=1e-5)


def test_heavy_tails_from_samples():
    x = stats.t.rvs(15, size=200_000, random_state=1) * 2.0
    answer = lookup("student-t", None, cm.measure({"x": x}, order=4))
    near(answer.couplings["nu"], answer.errors["nu"], 15.0, sigmas=3)
    near(answer.couplings["s2"], answer.errors["s2"], 4.0, sigmas=4)
    # Eighth moments do not exist, and so no error does.
    assert lookup("student-t", moments={"m2": 1.0, "m4": 12.0}, count=100).errors == {}


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("poisson", np.array([0, 1, 2, 5]), {"h": math.log(2)}),
        ("exponential", np.array([1.0, 3.0]), {"r": 0.5}),
        ("bernoulli", np.array([True, True, True, False]), {"h": math.log(3)}),
    ],
)
def test_one_coupling_from_one_mean(name, column, expected):
    answer = lookup(name, None, cm.measure({"x": column}))
    assert answer.couplings == pytest.approx(expected, rel=1e-12)
    assert answer.errors.keys() == expected.keys()


def test_what_moments_do_not_hold_is_said():
    with pytest.raises(OptionError, match=r"mean logarithm.*give numbers"):
        lookup("gamma", None, cm.measure({"x": [1.0, 2.0]}))
    with pytest.raises(OptionError, match="order=4"):
        lookup(cm.Polynomial(4), sym.z2(["x"]), cm.measure({"x": [1.0, 2.0]}))
    with pytest.raises(OptionError, match="no page for"):
        lookup(cm.Polynomial(4), None, cm.measure({"x": [1.0, 2.0], "y": [1.0, 3.0]}, order=4))
    with pytest.raises(OptionError, match="belong together"):
        lookup("gaussian-blocks", None, cm.measure({"x": [1.0, 2.0], "y": [1.0, 3.0]}))
    with pytest.raises(DataError, match="rows"):
        lookup(cm.Gaussian(), None, cm.measure({"x": [1.0]}))
    with pytest.raises(DataError, match="linear combination"):
        lookup(cm.Gaussian(), None, cm.measure({"x": [1.0, 2.0], "y": [1.0, 2.0]}))


def test_moments_measured_under_a_group_are_looked_up_under_it():
    x = np.random.default_rng(0).normal(size=(60, 5)) + 1.0
    columns = [f"c{i}" for i in range(5)]
    ring = sym.cyclic(columns)
    few = cm.measure(table(x), symmetry=ring)
    plain = lookup(cm.Gaussian(), ring, cm.measure(table(x)))
    answer = lookup(cm.Gaussian(), None, few)
    assert answer.page.name == "gaussian-ring"
    assert answer.precision == pytest.approx(plain.precision, rel=1e-9)
    assert answer.errors["k"] == pytest.approx(plain.errors["k"], rel=1e-9)
    with pytest.raises(OptionError, match="without symmetry="):
        lookup(cm.Spins("none"), sym.trivial(5), few)


def test_a_model_under_a_group_names_the_page_and_has_its_couplings():
    x = np.random.default_rng(0).normal(size=(500, 4)) @ np.diag([1.0, 1.1, 0.9, 1.0]) + 2.0
    columns = [f"c{i}" for i in range(4)]
    group = sym.symmetric(columns)
    m = cm.measure(table(x))
    model = cm.solve(m, symmetry=group, prior=None)
    assert any("page gaussian-exchangeable of the notebook" in note for note in model.notes)
    assert model.universality().page.name == "gaussian-exchangeable"
    assert lookup(cm.Gaussian(), group, m).precision == pytest.approx(model.precision, rel=1e-6)


def test_what_cannot_be_looked_up_is_refused_with_a_remedy():
    one = pd.DataFrame({"a": [True, False, True, True]})
    assert lookup(cm.Spins("tree"), None, cm.measure(one)).couplings["J"].shape == (0,)
    pair = pd.DataFrame({"a": [True, False, True, False], "b": [True, True, False, False]})
    with pytest.raises(DataError, match="three spins"):
        lookup(cm.Spins("ring"), sym.z2(2), cm.measure(pair))
    with pytest.raises(DataError, match="constant"):
        lookup(cm.Spins("none"), None, cm.measure(pd.DataFrame({"a": [1.0, 1.0], "b": [1.0, -1.0]})))
    with pytest.raises(DataError, match="never been seen"):
        lookup(cm.Spins("chain"), None, cm.measure(pd.DataFrame({"a": [1.0, -1.0], "b": [1.0, -1.0]})))
    with pytest.raises(DataError, match="0 rows"):
        lookup(cm.Gaussian(), None, cm.measure({"a": np.zeros(0), "b": np.zeros(0)}))
    with pytest.raises(DataError, match="constant"):
        lookup(cm.Polynomial(4), sym.z2(["x"]), cm.measure({"x": np.full(9, 3.0)}, order=4))
    with pytest.raises(DataError, match="does not vary"):
        lookup(cm.Gaussian(), sym.symmetric(2), cm.measure({"a": [1.0, 2.0, 3.0], "b": [3.0, 2.0, 1.0]}))


def test_a_mean_of_a_hundred_million_does_not_matter():
    x = draw(lambda x: x**4 / 24, -6, 6, 20_000)
    near_zero = lookup(cm.Polynomial(4), sym.z2(["x"]), cm.measure({"x": x}, order=4))
    far = lookup(cm.Polynomial(4), sym.z2(["x"]), cm.measure({"x": x + 1e8}, order=4))
    assert far.couplings == pytest.approx(near_zero.couplings, abs=1e-6)


def test_rows_with_gaps_are_left_out_of_higher_moments():
    x = draw(lambda x: x**4 / 24, -6, 6, 2_000)
    frame = pd.DataFrame({"x": np.where(np.arange(2000) % 10 == 0, np.nan, x)})
    with pytest.warns(cm.CumulantWarning, match="200 of 2,000"):
        some = lookup(cm.Polynomial(4), sym.z2(["x"]), cm.measure(frame, order=4))
    whole = lookup(cm.Polynomial(4), sym.z2(["x"]), cm.measure(frame.dropna(), order=4))
    assert some.couplings == pytest.approx(whole.couplings, rel=1e-9)
