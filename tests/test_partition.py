"""Partition functions with a source, against exact rationals, integrals on a plain grid, and differences of W."""

from __future__ import annotations

from itertools import pairwise, product
from math import factorial

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.data import nyc_flights
from cumulant.errors import ColumnError, CumulantWarning, DataError, OptionError, ResourceError
from cumulant.theory import GaussianAction, PolynomialAction, SpinAction, cumulant_by_differences

# ln Z and ⟨φφ⟩ of F = ½φ² + λφ⁴/4! by powers of λ; Bessis, Itzykson & Zuber (1980).
PHI4_LN_Z = (-1 / 8, 1 / 12, -11 / 96)
PHI4_VARIANCE = (-1 / 2, 2 / 3, -11 / 8)
# ln Z of F = ½φ² + gφ³/3! by powers of g²: half the number of pairings, their logarithm taken.
PHI3_LN_Z = (5 / 24, 5 / 16, 1105 / 1152)


def phi4(coupling: float, shift: float = 0.0) -> PolynomialAction:
    return PolynomialAction.of({("x",) * 2: 0.5, ("x",) * 4: coupling / 24, ("x",): shift})


def plain(F, j, reach=9.0, nodes=1801):
    """ln Z, mean, variance and κ₃ of one field by a sum over a grid."""
    x = np.linspace(-reach, reach, nodes)
    w = np.exp(-F(x) + j * x)
    total = w.sum()
    mean = (w * x).sum() / total
    return np.log(total * (x[1] - x[0])), mean, *((w * (x - mean) ** n).sum() / total for n in (2, 3))


def test_each_order_of_loops_is_the_exact_rational():
    coupling = 0.25
    Z = phi4(coupling).Z(method="series", loops=4)
    assert Z.terms[0] == 0.0
    assert Z.terms[1] == pytest.approx(0.5 * np.log(2 * np.pi), abs=1e-15)
    np.testing.assert_allclose(Z.terms[2:], [c * coupling ** (n + 1) for n, c in enumerate(PHI4_LN_Z)], rtol=1e-13)
    parts = [part.item() for part in phi4(coupling).Z(method="series", loops=3).derivatives(2)]
    np.testing.assert_allclose(
        parts, [1.0, *(c * coupling ** (n + 1) for n, c in enumerate(PHI4_VARIANCE))], rtol=1e-13
    )


def test_a_cubic_has_a_series_and_no_integral():
    g = 0.3
    cubic = PolynomialAction.of({("x",) * 2: 0.5, ("x",) * 3: g / 6})
    with pytest.warns(CumulantWarning, match="falls for ever along 'x'"):
        Z = cubic.Z(method="series", loops=4)
    np.testing.assert_allclose(Z.terms[2:], [c * g ** (2 * n + 2) for n, c in enumerate(PHI3_LN_Z)], rtol=1e-12)
    with pytest.raises(DataError, match="Z is infinite"):
        cubic.Z()


@pytest.mark.parametrize("coupling", [0.1, 3.0, 100.0])
@pytest.mark.parametrize("source", [0.0, 1.5])
def test_one_field_at_any_strength(coupling, source):
    def F(x):
        return x**2 / 2 + coupling * x**4 / 24 + 0.2 * x

    Z = phi4(coupling, 0.2).Z({"x": source})
    W, mean, variance, third = plain(F, source)
    assert (Z.method, Z.exact, Z.last_term()) == ("quadrature", True, 0.0)
    assert pytest.approx(W, abs=1e-12) == Z.W
    assert float(Z) == pytest.approx(np.exp(W))
    np.testing.assert_allclose([Z.cumulant(n).item() for n in (1, 2, 3)], [mean, variance, third], atol=1e-10)


def test_two_wells_that_lie_far_apart():
    def F(x):
        return 0.5 * (x**2 - 9) ** 2 - 0.5 * 81

    Z = PolynomialAction.of({("x",) * 2: -9.0, ("x",) * 4: 0.5}).Z({"x": 0.1})
    W, mean, variance, third = plain(F, 0.1)
    np.testing.assert_allclose(
        [Z.W, *(Z.cumulant(n).item() for n in (1, 2, 3))], [W, mean, variance, third], rtol=1e-10
    )
    with pytest.warns(CumulantWarning, match="second minimum"):
        PolynomialAction.of({("x",) * 2: -9.0, ("x",) * 4: 0.5}).Z({"x": 0.1}, method="series")


def coupled(p: int, strength: float) -> PolynomialAction:
    """A chain of p fields, nearly collinear pairs, each with quartic and cubic vertices."""
    names = tuple("abcdefgh"[:p])
    f = {(n, n): 1.0 for n in names} | {(n,) * 4: strength / 24 for n in names}
    f |= dict.fromkeys(pairwise(names), -0.9)
    f |= {(a, a, b): 0.2 * strength for a, b in pairwise(names)}
    f |= {(a, a, b, b): 0.2 * strength for a, b in pairwise(names)}
    return PolynomialAction.of(f | {(names[0],): 0.3})


@pytest.mark.parametrize("p", [2, 3])
def test_several_fields_against_a_plain_grid(p):
    action = coupled(p, 0.8)
    x = np.linspace(-7, 7, 141 if p == 2 else 71)
    mesh = np.stack(np.meshgrid(*[x] * p, indexing="ij"), axis=-1)
    w = np.exp(-action.free_energy(mesh) + 0.4 * mesh[..., -1])
    total = w.sum()
    Z = action.Z({"abc"[p - 1]: 0.4})
    assert pytest.approx(np.log(total * (x[1] - x[0]) ** p), abs=1e-8) == Z.W
    flat, w = mesh.reshape(-1, p), w.ravel() / total
    mean = w @ flat
    d = flat - mean
    np.testing.assert_allclose(Z.cumulant(1), mean, atol=1e-7)
    np.testing.assert_allclose(Z.cumulant(2), np.einsum("r,ri,rj->ij", w, d, d), atol=1e-7)
    np.testing.assert_allclose(Z.cumulant(3), np.einsum("r,ri,rj,rk->ijk", w, d, d, d), atol=1e-7)


@pytest.mark.parametrize(("action", "highest"), [(coupled(2, 0.8), 2), (coupled(4, 0.02), 1)])
def test_cumulants_are_derivatives_of_w(action, highest):
    def W(j):
        return action.Z(dict(zip(action.columns, j, strict=True)), loops=3).W

    Z = action.Z(loops=3)
    sd = np.sqrt(np.diag(Z.cumulant(2)))
    for order in range(1, highest + 1):
        np.testing.assert_allclose(cumulant_by_differences(W, sd, order), Z.cumulant(order), atol=3e-5)


def test_the_series_converges_on_the_integral_as_the_coupling_falls():
    """Twice the coupling: what three loops leave out is of its third power."""
    gaps = []
    for strength in (0.02, 0.04):
        action = coupled(3, strength)
        series, exact = action.Z(method="series", loops=3), action.Z()
        gaps.append(abs(series.W - exact.W))
        assert gaps[-1] < series.last_term()
        assert np.abs(series.cumulant(2) - exact.cumulant(2)).max() < series.last_term(2)
    assert 5 < gaps[1] / gaps[0] < 13


def test_without_vertices_it_is_the_gaussian():
    names = ("a", "b", "c", "d")
    C = np.eye(4) + 0.3
    K, mean = np.linalg.inv(C), np.array([1.0, 0.0, -2.0, 5.0])
    exact = GaussianAction(names, mean, C)
    f = {(a, b): 0.5 * K[i, j] for (i, a), (j, b) in product(enumerate(names), repeat=2) if i == j}
    f |= {(names[i], names[j]): K[i, j] for i in range(4) for j in range(i)}
    f |= {(a,): -float(k) for a, k in zip(names, K @ mean, strict=True)}
    source = {"b": 0.7, "d": -0.2}
    ours, theirs = PolynomialAction.of(f).Z(source, loops=0), exact.Z(source)
    assert ours.exact
    assert "completing the square" in repr(ours)
    # F of the polynomial is 0 at the origin, not at the mean.
    assert ours.W - 0.5 * mean @ K @ mean == pytest.approx(theirs.W)
    for order in (1, 2, 3):
        np.testing.assert_allclose(ours.cumulant(order), theirs.cumulant(order), atol=1e-10)


def test_a_strong_coupling_is_refused_or_warned_of():
    strong = coupled(4, 4.0)
    with pytest.raises(DataError, match="do not become small"):
        strong.Z()
    with pytest.warns(CumulantWarning, match="do not become small"):
        Z = strong.Z(method="series")
    assert "not to be used" in repr(Z)


def test_spins_by_counting():
    rng = np.random.default_rng(0)
    h, J = rng.normal(size=5), rng.normal(size=(5, 5))
    J = np.triu(J, 1) + np.triu(J, 1).T
    J[:, 3] = J[3] = 0.0  # One stands alone.
    names = tuple("abcde")
    weight, first, second, third = 0.0, np.zeros(5), np.zeros((5, 5)), np.zeros((5,) * 3)
    for state in product((-1, 1), repeat=5):
        s = np.array(state, dtype=float)
        w = np.exp(h @ s + 0.4 * s[1] + sum(J[i, j] * s[i] * s[j] for i in range(5) for j in range(i)))
        weight += w
        first += w * s
        second += w * np.multiply.outer(s, s)
        third += w * np.multiply.outer(s, np.multiply.outer(s, s))
    m, s2, s3 = first / weight, second / weight, third / weight
    Z = SpinAction(names, h, J).Z({"b": 0.4})
    assert float(Z) == pytest.approx(weight)
    np.testing.assert_allclose(Z.cumulant(1), m)
    np.testing.assert_allclose(Z.cumulant(2), s2 - np.outer(m, m), atol=1e-12)
    kappa = s3 - sum(np.einsum("ij,k->ijk", s2, m).transpose(way) for way in ((0, 1, 2), (0, 2, 1), (2, 1, 0)))
    np.testing.assert_allclose(Z.cumulant(3), kappa + 2 * np.einsum("i,j,k->ijk", m, m, m), atol=1e-12)
    with pytest.raises(ResourceError, match="21 spins hang together"):
        SpinAction(tuple(map(str, range(21))), np.zeros(21), np.ones((21, 21))).Z()
    apart = SpinAction(tuple(map(str, range(300))), np.full(300, 0.2), np.zeros((300, 300))).Z()
    assert pytest.approx(300 * np.log(2 * np.cosh(0.2))) == apart.W
    with pytest.raises(OptionError, match="symmetric"):
        SpinAction(("a", "b"), np.zeros(2), np.triu(np.ones((2, 2))))
    with pytest.raises(OptionError, match="shapes"):
        SpinAction(("a", "b"), np.zeros(3), np.ones((2, 2)))


def test_what_is_asked_wrongly_says_so():
    with pytest.raises(ColumnError, match="'y'"):
        phi4(0.1).Z({"y": 1.0})
    with pytest.raises(OptionError, match="method="):
        phi4(0.1).Z(method="guess")
    with pytest.raises(OptionError, match="loops=9"):
        phi4(0.1).Z(loops=9)
    with pytest.raises(OptionError, match="begin at order 1"):
        phi4(0.1).Z().cumulant(0)
    with pytest.raises(OptionError, match="grid takes up to 3"):
        coupled(4, 0.02).Z(method="quadrature")
    with pytest.raises(OptionError, match="name a field"):
        PolynomialAction.of({})


def test_a_model_has_one():
    table = pd.read_csv(nyc_flights(), usecols=["temp", "wind_speed"]).dropna()
    gaussian = cm.fit(table)
    np.testing.assert_allclose(gaussian.Z({"temp": 0.1}).cumulant(2), gaussian.covariance)
    model = cm.fit(table, cm.Polynomial(4))
    Z = model.Z()
    assert Z.method == "quadrature"
    # The theory's own mean and spread: not those it was estimated from, but near them.
    np.testing.assert_allclose(Z.cumulant(1), table.mean(), atol=1.5)
    np.testing.assert_allclose(np.sqrt(np.diag(Z.cumulant(2))), table.std(), rtol=0.1)
    assert model.marginal(["temp"]).Z().method == "completing the square"


def test_derivatives_of_f_against_differences():
    action = coupled(3, 0.7)
    u = np.array([0.3, -0.8, 0.5])
    d = action.derivatives(u)
    h = 1e-5
    for n in (1, 2, 3):
        for i in range(3):
            e = h * np.eye(3)[i]
            slope = (action.derivatives(u + e)[n] - action.derivatives(u - e)[n]) / (2 * h)
            np.testing.assert_allclose(d[n + 1][i], slope, atol=1e-8)
    np.testing.assert_allclose(d[1], action.slope(u), atol=1e-12)
    taylor = sum(
        np.einsum(t, list(range(n)), *[a for i in range(n) for a in (np.full(3, 0.1), [i])], []) / factorial(n)
        for n, t in d.items()
    )
    assert action.value(u + 0.1) - action.value(u) == pytest.approx(float(taylor))
