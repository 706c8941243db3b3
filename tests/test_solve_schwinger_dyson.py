"""Couplings back from theories whose integrals are done by quadrature."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant as cm
from cumulant.errors import DataError, OptionError, ResourceError
from cumulant.solve.schwinger_dyson import solve_schwinger_dyson

Couplings = dict[tuple[str, ...], float]


def grid(couplings: Couplings, reach: float = 6.0, points: int = 301) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Nodes of a fine grid, and exp(−F) there, normalised: its sums are integrals to many digits."""
    names = sorted({name for term in couplings for name in term})
    axes = np.meshgrid(*[np.linspace(-reach, reach, points)] * len(names), indexing="ij")
    phi = {name: axis.ravel() for name, axis in zip(names, axes, strict=True)}
    F = sum(c * np.prod([phi[name] for name in term], axis=0) for term, c in couplings.items())
    w = np.exp(-(F - F.min()))
    keep = w > 1e-16 * w.max()
    return {name: x[keep] for name, x in phi.items()}, w[keep] / w[keep].sum()


def sampled(couplings: Couplings, n: int, seed: int, **options: float) -> dict[str, np.ndarray]:
    """Independent rows: a node each, moved within its cell."""
    phi, w = grid(couplings, **options)
    rng = np.random.default_rng(seed)
    at = rng.choice(len(w), size=n, p=w)
    step = min(np.diff(np.unique(next(iter(phi.values()))))[:5])
    return {name: x[at] + step * (rng.random(n) - 0.5) for name, x in phi.items()}


COUPLED: Couplings = {
    ("x", "x"): 0.5,
    ("x", "y"): -0.5,
    ("y", "y"): 0.6,
    ("x", "x", "y"): 0.1,
    ("x", "x", "x", "x"): 0.08,
    ("x", "x", "y", "y"): 0.1,
    ("y", "y", "y", "y"): 0.05,
}
WELL: Couplings = {("x", "x"): -1.0, ("x", "x", "x", "x"): 0.25}
THREE: Couplings = {
    ("x", "x"): 0.5,
    ("y", "y"): 0.7,
    ("z", "z"): 0.4,
    ("x", "y"): -0.3,
    ("y", "z"): 0.2,
    ("x", "x", "x", "x"): 0.1,
    ("y", "y", "y", "y"): 0.06,
    ("z", "z", "z", "z"): 0.08,
    ("x", "x", "z", "z"): 0.05,
}


@pytest.mark.parametrize(
    ("couplings", "points"), [(COUPLED, 301), (WELL, 2001), (THREE, 61)], ids=["coupled", "well", "three"]
)
def test_exact_moments_give_the_couplings_back(couplings, points):
    phi, w = grid(couplings, points=points)
    m = cm.measure(phi, order=6, weights=w * 1e9)
    found = solve_schwinger_dyson(m, ridge=0.0, rate=None).couplings("origin")
    for term, value in found.items():
        assert value == pytest.approx(couplings.get(term, 0.0), abs=1e-4), term
    assert set(couplings) <= set(found)


@pytest.mark.parametrize("strength", [0.02, 0.3, 1.0, 5.0])
def test_from_weak_to_strong_within_the_errors_that_are_reported(strength):
    """All couplings of third and fourth order times a factor; 1e5 rows."""
    couplings = {term: c * (strength if len(term) > 2 else 1.0) for term, c in COUPLED.items()}
    m = cm.measure(sampled(couplings, 100_000, seed=int(100 * strength)), order=6, folds=20)
    solution = solve_schwinger_dyson(m, ridge=0.0, rate=None)
    # The truth about the mean, by expanding each monomial there.
    a = dict(zip(m.columns, solution.action.mean, strict=True))
    truth: Couplings = {}
    for term, c in couplings.items():
        for bits in range(2 ** len(term)):
            kept = tuple(n for i, n in enumerate(term) if bits >> i & 1)
            rest = [n for i, n in enumerate(term) if not bits >> i & 1]
            truth[kept] = truth.get(kept, 0.0) + c * float(np.prod([a[n] for n in rest]))
    errors = solution.standard_errors()
    for term, value in solution.couplings("mean").items():
        assert abs(value - truth.get(term, 0.0)) < 3.5 * errors[term], term


def test_second_order_is_the_precision_matrix():
    rng = np.random.default_rng(0)
    x = rng.gamma(2.0, size=(500, 3)) @ rng.normal(size=(3, 3)) + 7.0
    for order in (2, 6):
        m = cm.measure(dict(zip("abc", x.T, strict=True)), order=order)
        action = solve_schwinger_dyson(m, order=2).action
        K = np.linalg.inv(np.cov(x.T, ddof=0))
        found = action.couplings("mean")
        for i in range(3):
            assert found[i, i] == pytest.approx(K[i, i] / 2, rel=1e-9)
            for j in range(i):
                assert found[j, i] == pytest.approx(K[i, j], rel=1e-9)


def test_the_targets_equations_alone_do_not_mind_what_the_others_are():
    """y | x has a quartic F; x is uniform, which no polynomial is."""
    rng = np.random.default_rng(1)
    n = 30_000
    x = rng.uniform(-1, 2, n)
    nodes = np.linspace(-4, 4, 301)
    F = 0.5 * nodes**2 + 0.1 * nodes**4 - np.outer(x, nodes) + 0.2 * np.outer(x, nodes**2)
    p = np.exp(-(F - F.min(axis=1, keepdims=True)))
    cumulated = np.cumsum(p, axis=1)
    at = (cumulated < rng.random((n, 1)) * cumulated[:, -1:]).sum(axis=1)
    y = nodes[at] + (nodes[1] - nodes[0]) * (rng.random(n) - 0.5)
    m = cm.measure({"x": x, "y": y}, order=6, folds=20)
    solution = solve_schwinger_dyson(m, target="y", ridge=0.0, rate=None)
    assert all("y" in term for term in solution.couplings())
    x0, y0 = solution.action.mean
    phi = np.column_stack([np.repeat([-0.5, 1.0], 41), np.tile(np.linspace(-1.2, 1.2, 41), 2)])
    got = solution.action.gradient(phi)[:, 1]
    expected = phi[:, 1] + 0.4 * phi[:, 1] ** 3 - phi[:, 0] + 0.4 * phi[:, 0] * phi[:, 1]
    assert np.abs(got - expected).max() < 0.2
    assert np.isfinite([x0, y0]).all()


def test_what_is_not_there_is_dropped():
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(40):
        m = cm.measure({"x": rng.normal(size=2000), "y": rng.normal(size=2000)}, order=6, folds=20)
        wrong += int(solve_schwinger_dyson(m).action.theta[5:].any())
    # A twentieth of such tables may show an interaction that is none; 8 of 40 is beyond 3.5 standard errors.
    assert wrong <= 8
    m = cm.measure(sampled(THREE, 60_000, 3, points=61), order=6, folds=20)
    found = solve_schwinger_dyson(m).couplings("mean")
    for term in THREE:
        assert term in found
    # Of 25 interactions 4 are there; the false-discovery rate lets few of the others stay.
    assert sum(len(term) > 2 for term in found) <= 7


def test_gradient_and_conditioning_of_the_action():
    m = cm.measure(sampled(COUPLED, 5000, 4), order=6)
    action = solve_schwinger_dyson(m, rate=None).action
    rng = np.random.default_rng(5)
    phi = rng.normal(size=(6, 2))
    for i in range(2):
        step = np.zeros(2)
        step[i] = 1e-6
        slope = (action.free_energy(phi + step) - action.free_energy(phi - step)) / 2e-6
        np.testing.assert_allclose(action.gradient(phi)[:, i], slope, rtol=1e-6, atol=1e-8)
    about = action.couplings("origin")
    F = sum(c * np.prod([phi[:, i] for i in term], axis=0) for term, c in about.items())
    np.testing.assert_allclose(np.diff(F), np.diff(action.free_energy(phi)), rtol=1e-9)
    u = action.standard(phi)
    fixed = action.fix([0], u[2, :1])
    line = fixed.value(u[:, 1:]) - fixed.value(u[:1, 1:])
    both = np.column_stack([np.full(6, u[2, 0]), u[:, 1]])
    np.testing.assert_allclose(line, action.value(both) - action.value(both[:1]), atol=1e-12)
    polynomial = action.along(1, u)
    value = (polynomial * u[:, 1:] ** np.arange(5)).sum(axis=1)
    np.testing.assert_allclose(value, action.value(u), rtol=1e-12)


def test_a_bounded_action_and_one_that_is_not():
    m = cm.measure(sampled(COUPLED, 20_000, 6), order=6, folds=20)
    assert solve_schwinger_dyson(m).action.unbounded is None
    heavy = cm.measure({"x": np.random.default_rng(7).standard_t(8, size=20_000)}, order=6)
    direction = solve_schwinger_dyson(heavy, ridge=0.0, rate=None).action.unbounded
    assert direction is not None
    assert abs(direction[0]) == 1.0


def test_what_cannot_be_solved_is_refused():
    rng = np.random.default_rng(8)
    x = rng.normal(size=200)
    with pytest.raises(OptionError, match="measure with order=6"):
        solve_schwinger_dyson(cm.measure({"x": x}))
    with pytest.raises(DataError, match="'one' does not vary"):
        solve_schwinger_dyson(cm.measure({"x": x, "one": np.ones(200)}, order=6))
    with pytest.raises(DataError, match="takes few values"):
        solve_schwinger_dyson(cm.measure({"x": x, "s": np.sign(rng.normal(size=200))}, order=6))
    with pytest.raises(DataError, match="of 'x' and 'again' one is a function of the others"):
        solve_schwinger_dyson(cm.measure({"x": x, "again": x}, order=6))
    with pytest.raises(ResourceError, match="couplings of 20 fields"):
        solve_schwinger_dyson(cm.measure(rng.normal(size=(30, 20)), order=6))


def test_half_lines_and_intervals_give_their_couplings_back():
    """A correlated pair on x > 0, 0 < y < 2, by quadrature; without bounds the answer is another."""
    couplings = {("x",): -0.4, ("x", "x"): 0.5, ("x", "y"): -0.3, ("y",): 0.5, ("y", "y"): -0.2}
    nx, wx = np.polynomial.legendre.leggauss(200)
    x, y = 5.5 * (nx + 1), nx + 1
    X, Y = (a.ravel() for a in np.meshgrid(x, y, indexing="ij"))
    F = sum(c * np.prod([{"x": X, "y": Y}[n] for n in term], axis=0) for term, c in couplings.items())
    w = np.outer(wx, wx).ravel() * np.exp(-(F - F.min()))
    keep = w > 1e-17 * w.max()
    m = cm.measure({"x": X[keep], "y": Y[keep]}, order=4, weights=w[keep] * 1e9)
    bounds = {"x": (0.0, np.inf), "y": (0.0, 2.0)}
    found = solve_schwinger_dyson(m, 2, bounds=bounds, ridge=0.0, rate=None).couplings("origin")
    for term, value in couplings.items():
        assert found[term] == pytest.approx(value, abs=1e-6), term
    blind = solve_schwinger_dyson(m, 2, ridge=0.0, rate=None).couplings("origin")
    assert abs(blind["x", "x"] - 0.5) > 0.1


def test_a_half_normal_and_a_quartic_on_the_half_line_within_their_errors():
    rng = np.random.default_rng(9)
    x = np.abs(rng.normal(size=50_000)) / 2
    found = solve_schwinger_dyson(cm.measure({"x": x}, order=3, folds=50), 2, bounds={"x": (0, np.inf)})
    error = found.standard_errors()["x", "x"]
    assert abs(found.couplings()["x", "x"] - 2.0) < 4 * error < 0.2
    nodes = np.linspace(0, 6, 60_001)[1:]
    p = np.exp(-(0.3 * nodes + 0.2 * nodes**4))
    y = np.interp(rng.random(50_000), np.cumsum(p) / p.sum(), nodes)
    m = cm.measure({"y": y}, order=7, folds=50)
    found = solve_schwinger_dyson(m, 4, bounds={"y": (0, np.inf)}, ridge=0.0, rate=None)
    error = found.standard_errors()["y", "y", "y", "y"]
    assert abs(found.couplings()["y", "y", "y", "y"] - 0.2) < 4 * error < 0.4


def test_bounds_that_cannot_be():
    m = cm.measure({"x": np.random.default_rng(10).normal(size=100)}, order=4)
    with pytest.raises(OptionError, match="measure with order=7"):
        solve_schwinger_dyson(m, bounds={"x": (-9, np.inf)})
    with pytest.raises(DataError, match="not between its bounds"):
        solve_schwinger_dyson(m, 2, bounds={"x": (3, np.inf)})
    with pytest.raises(OptionError, match="lower and upper end"):
        solve_schwinger_dyson(m, 2, bounds={"x": (1, -1)})
