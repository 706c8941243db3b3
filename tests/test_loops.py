"""Perturbation theory against quadrature: what L loops leave undone falls with the (L + 2)nd power of the coupling."""

from __future__ import annotations

import numpy as np
import pytest

from cumulant.errors import DataError, OptionError
from cumulant.solve.loops import couplings_from_cumulants, cumulants_from_couplings, vertices


def cumulants(f, p, reach=8.0, points=121):
    """κ_1 … κ_4 of p(φ) ∝ exp(−f) on a grid: the trapezoid rule, exact to rounding for what falls off fast."""
    axes = [np.linspace(-reach, reach, points)] * p
    phi = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")])
    w = np.exp(-f(*phi))
    w /= w.sum()
    mean = phi @ w
    d = phi - mean[:, None]
    second = np.einsum("in,jn,n->ij", d, d, w)
    third = np.einsum("in,jn,kn,n->ijk", d, d, d, w, optimize=True)
    fourth = np.einsum("in,jn,kn,ln,n->ijkl", d, d, d, d, w, optimize=True)
    pairs = np.einsum("ij,kl->ijkl", second, second)
    fourth = fourth - pairs - pairs.transpose(0, 2, 1, 3) - pairs.transpose(0, 3, 2, 1)
    return mean, {2: second, 3: third, 4: fourth}


def one_field(x, cubic=0.0):
    return lambda phi: phi**2 / 2 + cubic * phi**3 / 6 + x * phi**4 / 24


def two_fields(x):
    def f(a, b):
        return a**2 / 2 + 0.7 * b**2 - 0.3 * a * b + x * (a**4 / 24 + b**4 / 16 + 0.2 * a**2 * b**2)

    return f, {
        2: np.array([[1.0, -0.3], [-0.3, 1.4]]),
        4: _symmetric({(0, 0, 0, 0): x, (1, 1, 1, 1): 1.5 * x, (0, 0, 1, 1): 0.8 * x}),
    }


def _symmetric(entries):
    from itertools import permutations

    out = np.zeros((2,) * 4)
    for at, value in entries.items():
        for way in set(permutations(at)):
            out[way] = value
    return out


@pytest.mark.parametrize("loops", [0, 1, 2])
def test_the_error_of_the_quartic_coupling_falls_as_its_power(loops):
    strengths = np.array([0.02, 0.04])
    errors = []
    for x in strengths:
        _, kappa = cumulants(one_field(x), 1, points=2001)
        errors.append(abs(couplings_from_cumulants(kappa, loops).couplings[4].item() - x))
    slope = np.diff(np.log(errors)) / np.diff(np.log(strengths))
    assert slope.item() == pytest.approx(loops + 2, abs=0.35)


@pytest.mark.parametrize(("loops", "power"), [(0, 2), (1, 3), (2, 4)])
def test_two_coupled_fields(loops, power):
    errors = []
    for x in (0.01, 0.02):
        f, truth = two_fields(x)
        _, kappa = cumulants(f, 2)
        found = couplings_from_cumulants(kappa, loops).couplings
        errors.append(np.abs(found[4] - truth[4]).max())
        assert np.abs(found[1]).max() < 1e-9
        assert np.abs(found[2] - truth[2]).max() < 3 * x ** (loops + 1)
    assert np.log2(errors[1] / errors[0]) == pytest.approx(power, abs=0.5)


def test_a_cubic_coupling_moves_the_mean_and_comes_back_about_it():
    """F = ½φ² + gφ³/6 + xφ⁴/24 with x of the order g², expanded about the mean that quadrature gives."""
    errors = []
    for g in (0.1, 0.2):
        x = g**2
        mean, kappa = cumulants(one_field(x, g), 1, points=2001)
        m = mean.item()
        truth = {
            1: m + g * m**2 / 2 + x * m**3 / 6, 2: 1 + g * m + x * m**2 / 2, 3: g + x * m, 4: x
        }  # fmt: skip
        found = couplings_from_cumulants(kappa, 2).couplings
        errors.append([abs(found[n].item() - truth[n]) for n in truth])
        bare = {2: np.ones((1, 1)), 3: np.full((1, 1, 1), g), 4: np.full((1,) * 4, x)}
        assert abs(m - cumulants_from_couplings(bare, 1, 2).item()) < 20 * g**5
    # Two loops leave terms with three more loops than the tree: g^(n + 4) for n legs.
    for n, (small, large) in enumerate(zip(*errors, strict=True), 1):
        assert np.log2(large / small) == pytest.approx(n + 4, abs=1.0)


@pytest.mark.parametrize("order", [2, 4])
def test_cumulants_of_a_given_free_energy(order):
    errors = []
    for x in (0.01, 0.02):
        f, truth = two_fields(x)
        couplings = {2: truth[2], 3: np.zeros((2, 2, 2)), 4: truth[4]}
        _, kappa = cumulants(f, 2)
        found = cumulants_from_couplings(couplings, order, 2)
        errors.append(np.abs(found - kappa[order]).max())
    # Diagrams of n legs and L loops have L + n/2 − 1 quartic vertices; the first left out has one loop more.
    assert np.log2(errors[1] / errors[0]) == pytest.approx(3 + order / 2 - 1, abs=0.5)


def test_tree_level_inverts_itself():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, 3))
    third = rng.normal(size=(3, 3, 3)) * 0.1
    third = sum(third.transpose(w) for w in [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0)])
    kappa = {2: root @ root.T + np.eye(3), 3: third, 4: np.zeros((3,) * 4)}
    gamma = vertices(kappa)
    assert np.allclose(cumulants_from_couplings(gamma, 3, 0), kappa[3])
    assert np.allclose(cumulants_from_couplings(gamma, 4, 0), 0)


def test_it_says_when_not_to_be_used():
    _, weak = cumulants(one_field(0.1), 1, points=2001)
    _, strong = cumulants(one_field(30.0), 1, points=2001)
    assert couplings_from_cumulants(weak, 2).trustworthy
    assert not couplings_from_cumulants(strong, 2).trustworthy
    unbounded = {2: np.eye(1), 3: np.zeros((1,) * 3), 4: np.full((1,) * 4, 0.2)}  # heavy tails: F₄ < 0
    assert not couplings_from_cumulants(unbounded, 1).trustworthy


def test_a_gaussian_has_no_interactions():
    kappa = {2: np.array([[2.0, 0.5], [0.5, 1.0]]), 3: np.zeros((2,) * 3), 4: np.zeros((2,) * 4)}
    found = couplings_from_cumulants(kappa, 2)
    assert np.allclose(found.couplings[2], np.linalg.inv(kappa[2]))
    assert found.terms == (0, 0, 0)
    assert found.trustworthy


def test_mistakes_are_named():
    kappa = {2: np.ones((2, 2)), 3: np.zeros((2,) * 3), 4: np.zeros((2,) * 4)}
    with pytest.raises(DataError, match="singular"):
        couplings_from_cumulants(kappa)
    with pytest.raises(OptionError, match="loops=3"):
        couplings_from_cumulants(kappa, 3)
