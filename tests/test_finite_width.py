"""Networks of finite width: beside ensembles of random networks, exact values of linear ones, and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erf, ndtr

from cumulant.errors import OptionError, ResourceError
from cumulant.theory.finite_width import FiniteWidth, four_point, lattice, propagator_shift
from cumulant.theory.networks import NNGP

X = np.array([[1.0, 0.5], [-0.4, 1.2], [0.9, 0.6]])
PHI = {"relu": lambda u: np.maximum(u, 0), "linear": lambda u: u, "erf": erf, "gelu": lambda u: u * ndtr(u)}


def ensemble(net: NNGP, width: int, x: np.ndarray, networks: int, seed: int = 0) -> np.ndarray:
    """Ĝ (networks, n, n), what the output has as its covariance given all hidden units, of networks drawn by NumPy."""
    rng, out = np.random.default_rng(seed), []
    weight, bias = np.sqrt(net.weight), np.sqrt(net.bias)
    for _ in range(networks // 1000):
        u = weight * np.einsum("ip,mpk->mik", x, rng.normal(size=(1000, x.shape[1], width)))
        u += bias * rng.normal(size=(1000, 1, width))
        for _ in range(net.depth - 1):
            h = PHI[net.activation](u)
            u = weight / width**0.5 * h @ rng.normal(size=(1000, width, width)) + bias * rng.normal(
                size=(1000, 1, width)
            )
        h = PHI[net.activation](u)
        out.append(net.bias + net.weight / width * h @ h.transpose(0, 2, 1))
    return np.concatenate(out)


@pytest.mark.parametrize(
    ("net", "width"),
    [
        (NNGP("relu", 2, 1.8, 0.2), 40), (NNGP("relu", 3, 2.0, 0.0), 60), (NNGP("erf", 2, 1.5, 0.1), 20),
        (NNGP("erf", 3, 1.5, 0.1), 40), (NNGP("relu", 1, 2.0, 0.3), 20),
    ],
)  # fmt: skip
def test_four_point_function_and_propagator_of_random_networks(net, width):
    drawn = ensemble(net, width, X, 16000)
    centred = (drawn - drawn.mean(axis=0)).reshape(16, 1000, 9)
    v = np.einsum("bmi,bmj->bij", centred, centred).reshape(16, 3, 3, 3, 3) / 1000
    four = v + v.transpose(0, 1, 3, 2, 4) + v.transpose(0, 1, 4, 3, 2)
    found, error = four_point(net, width, X)
    sampled, noise = four.mean(axis=0), four.std(axis=0, ddof=1) / 4
    # What is left out is of second order: a part (depth/width) times a few of the first.
    beyond = 6 * (net.depth - 1) / width * np.abs(sampled)
    assert (np.abs(found - sampled) < 4.5 * np.hypot(noise, error) + beyond).all()
    assert (error < 0.02 * np.abs(found).max()).all()
    shift, wrong = propagator_shift(net, width, X)
    off = drawn.mean(axis=0) - net(X, X)
    assert (np.abs(shift - off) < 4.5 * np.hypot(wrong, drawn.std(axis=0) / 16000**0.5) + 0.1 * np.abs(shift)).all()


def test_it_falls_as_one_over_the_width():
    net = NNGP("erf", 3, 1.5, 0.1)
    assert_allclose(four_point(net, 25, X)[0], 4 * four_point(net, 100, X)[0], rtol=1e-9)
    assert_allclose(propagator_shift(net, 25, X)[0], 4 * propagator_shift(net, 100, X)[0], rtol=1e-9)
    layers = [tuple(30 if at == layer else 10**9 for at in range(3)) for layer in range(3)]
    assert_allclose(sum(four_point(net, widths, X)[0] for widths in layers), four_point(net, 30, X)[0], rtol=1e-6)


def test_linear_networks_of_one_layer_are_exact():
    # Ĝ is a Wishart matrix: V_(αβ)(γδ) = weight² (C_αγ C_βδ + C_αδ C_βγ)/width.
    net, width = NNGP("linear", 1, 1.3, 0.2), 20
    c = 0.2 + 1.3 * X @ X.T
    v = 1.3**2 * (np.einsum("ik,jl->ijkl", c, c) + np.einsum("il,jk->ijkl", c, c)) / width
    found, error = four_point(net, width, X)
    exact = v + v.transpose(0, 2, 1, 3) + v.transpose(0, 3, 2, 1)
    assert (np.abs(found - exact) < 5 * error + 1e-12).all()
    assert (error < 0.01 * np.abs(exact).max()).all()
    assert np.array_equal(propagator_shift(net, width, X)[0], np.zeros((3, 3)))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_kurtosis_of_a_relu_network(depth):
    # Of weight 2 without biases each layer multiplies |h|² by a mean of 1 and a variance of 5/width, at any input
    # (Hanin & Rolnick, "How to start training", NeurIPS 2018): the excess kurtosis is 15 · depth/width.
    net = NNGP("relu", depth, 2.0, 0.0)
    found, error = four_point(net, 100, X[:1])
    assert found.item() / net.diagonal(X[:1]).item() ** 2 == pytest.approx(0.15 * depth, rel=0.02)
    assert error.item() < 0.02 * found.item()


def test_new_rows_and_rows_that_are_alike():
    net, new = NNGP("relu", 3, 1.9, 0.1), np.array([[0.3, -0.2], [1.0, 0.5]])
    finite = FiniteWidth(net, (30, 30, 30), X, new)
    own = np.zeros((5, 5))
    for shift in range(8):
        for some in finite.deviations(shift):
            own += some.own.T @ some.own / 8
            # A new row that is one of the others deviates as it does.
            assert_allclose(some.cross[:, 4], some.cross[:, 0], rtol=1e-4, atol=1e-6)
    whole = four_point(net, 30, np.concatenate([X, new]))[0]
    assert_allclose(3 * np.diag(own), np.einsum("iiii->i", whole), rtol=0.05)
    twice = four_point(net, 30, X[[0, 0]])[0]
    assert np.isfinite(twice).all()
    assert_allclose(twice, twice[0, 0, 0, 0], rtol=1e-6)


def test_lattices_are_normal():
    points = lattice(4096, 5, (0,))
    assert_allclose(points.mean(axis=0), 0, atol=0.01)
    assert_allclose(points.T @ points / 4096, np.eye(5), atol=0.03)
    assert np.isfinite(lattice(64, 400, (1, 2))).all()


def test_options_that_are_refused():
    with pytest.raises(OptionError, match="one a hidden layer"):
        four_point(NNGP(depth=2), (10, 10, 10), X)
    with pytest.raises(OptionError, match="at least 1"):
        four_point(NNGP(), 0, X)
    with pytest.raises(ResourceError, match="30 inputs"):
        four_point(NNGP(), 10, np.zeros((31, 2)))
