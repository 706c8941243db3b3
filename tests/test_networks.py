"""Propagators of wide networks beside quadrature, random networks of finite width, published forms and differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import erf, ndtr

from cumulant.errors import OptionError
from cumulant.theory.networks import ACTIVATIONS, NNGP, NTK
from cumulant.theory.propagators import from_plain, to_plain

X, Y = np.random.default_rng(0).normal(size=(6, 3)), np.random.default_rng(1).normal(size=(4, 3))
PHI = {"relu": lambda u: np.maximum(u, 0), "linear": lambda u: u, "erf": erf, "gelu": lambda u: u * ndtr(u)}
SLOPE = {
    "relu": lambda u: (u > 0) * 1.0,
    "linear": lambda u: 1.0 + 0 * u,
    "erf": lambda u: 2 / np.pi**0.5 * np.exp(-(u**2)),
    "gelu": lambda u: ndtr(u) + u * np.exp(-(u**2) / 2) / (2 * np.pi) ** 0.5,
}
COVARIANCES = [(1.0, 0.3, 0.5), (0.7, -0.6, 2.0), (3.0, 2.9, 3.0), (0.2, 0.0, 0.1)]
NETS = [
    kind(activation, depth, weight, bias)
    for kind in (NNGP, NTK)
    for activation, depth, weight, bias in [
        ("relu", 1, 2.0, 0.0), ("relu", 3, 1.7, 0.2), ("erf", 2, 1.5, 0.1), ("gelu", 1, 2.0, 0.3),
        ("gelu", 3, 1.9, 0.0),
    ]
]  # fmt: skip


@pytest.mark.parametrize("name", ["erf", "gelu", "linear"])
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_layers_are_gaussian_integrals(name, covariance):
    a, c, b = covariance
    node, weight = np.polynomial.hermite_e.hermegauss(200)
    weight = weight / weight.sum()
    u = np.sqrt(a) * node[:, None]
    v = c / np.sqrt(a) * node[:, None] + np.sqrt(b - c**2 / a) * node
    phi = ACTIVATIONS[name]
    assert phi.value(a, c, b) == pytest.approx(weight @ (PHI[name](u) * PHI[name](v)) @ weight, abs=1e-9)
    assert phi.by_cross(a, c, b) == pytest.approx(weight @ (SLOPE[name](u) * SLOPE[name](v)) @ weight, abs=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_relu_is_the_arc_cosine_propagator(covariance):
    # Cho & Saul (2009): k_n(x, y) = (1/π) |x|ⁿ|y|ⁿ J_n(θ), with J_0 = π − θ and J_1 = sin θ + (π − θ) cos θ.
    a, c, b = covariance
    theta = np.arccos(c / np.sqrt(a * b))
    phi = ACTIVATIONS["relu"]
    first = np.sqrt(a * b) / np.pi * (np.sin(theta) + (np.pi - theta) * np.cos(theta))
    assert phi.value(a, c, b) == pytest.approx(first / 2, rel=1e-12)
    assert phi.by_cross(a, c, b) == pytest.approx((np.pi - theta) / (2 * np.pi), rel=1e-12)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_derivatives_of_a_layer_are_those_of_differences(name, covariance):
    phi, (a, c, b), h = ACTIVATIONS[name], covariance, 1e-5

    def difference(f, at):
        step = h * np.eye(3)[at]
        return (f(*(np.array(covariance) + step)) - f(*(np.array(covariance) - step))) / (2 * h)

    assert phi.by_cross(a, c, b) == pytest.approx(difference(phi.value, 1), rel=1e-6)
    assert phi.by_own(a, c, b) == pytest.approx(difference(phi.value, 0), rel=1e-6, abs=1e-10)
    assert phi.by_cross_twice(a, c, b) == pytest.approx(difference(phi.by_cross, 1), rel=1e-6, abs=1e-10)
    assert phi.by_cross_and_own(a, c, b) == pytest.approx(difference(phi.by_cross, 0), rel=1e-6, abs=1e-10)
    assert phi.by_own_twice(a, c, b) == pytest.approx(difference(phi.by_own, 0), rel=1e-6, abs=1e-10)


@pytest.mark.parametrize("name", ["erf", "gelu", "relu"])
def test_random_wide_networks(name):
    # f and its gradient by all parameters, backward through three layers of weights, at one width.
    rng, width, weight, bias = np.random.default_rng(2), 1500, 1.8, 0.2
    x = np.array([[1.0, 0.5], [-0.4, 1.2], [0.9, 0.6]])
    out, tangent = np.zeros((3, 3)), np.zeros((3, 3))
    draws = 6
    for _ in range(draws):
        w0, w1, w2 = rng.normal(size=(2, width)), rng.normal(size=(width, width)), rng.normal(size=width)
        b0, b1 = rng.normal(size=width), rng.normal(size=width)
        root, deep = np.sqrt(weight), np.sqrt(weight / width)
        u0 = root * x @ w0 + np.sqrt(bias) * b0
        h0 = PHI[name](u0)
        u1 = deep * h0 @ w1 + np.sqrt(bias) * b1
        h1 = PHI[name](u1)
        # The output of each hidden unit of the last layer is independent: their mean is the average over networks.
        out += (bias + weight / width * h1 @ h1.T) / draws
        back1 = deep * w2 * SLOPE[name](u1)
        back0 = deep * back1 @ w1.T * SLOPE[name](u0)
        each = weight / width * h1 @ h1.T + bias
        each += (weight / width * h0 @ h0.T + bias) * (back1 @ back1.T)
        each += (weight * x @ x.T + bias) * (back0 @ back0.T)
        tangent += each / draws
    np.testing.assert_allclose(NNGP(name, 2, weight, bias)(x, x), out, rtol=0.06)
    np.testing.assert_allclose(NTK(name, 2, weight, bias)(x, x), tangent, rtol=0.06)


def test_a_relu_network_keeps_the_length_of_its_input():
    np.testing.assert_allclose(NNGP("relu", 7, 2.0, 0.0).diagonal(X), 2 * (X**2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("net", NETS)
def test_diagonal_is_that_of_the_matrix_and_no_eigenvalue_is_negative(net):
    points = np.random.default_rng(3).normal(size=(40, 3))
    matrix = net(points, points)
    # An angle of 0 is known to the root of the rounding of its cosine.
    np.testing.assert_allclose(net.diagonal(points), np.diag(matrix), rtol=1e-7)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-6 * np.trace(matrix)
    np.testing.assert_allclose(net(points, points[:5]), matrix[:, :5], rtol=1e-6)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("each", [False, True])
def test_gradient_is_that_of_differences(net, each):
    weights = np.random.default_rng(2).normal(size=(6, 4) if each else 4)
    step, found = 1e-5, np.empty_like(X)
    for c in range(3):
        shift = step * np.eye(3)[c]
        found[:, c] = ((net(X + shift, Y) - net(X - shift, Y)) * weights).sum(axis=1) / (2 * step)
    np.testing.assert_allclose(net.gradient(X, Y, weights), found, rtol=1e-6, atol=1e-7)


def test_an_input_of_zero():
    zero = np.zeros((1, 3))
    for net in NETS:
        assert np.isfinite(net(zero, X)).all()
        assert np.isfinite(net.gradient(zero, X, np.ones(6))).all()
        assert np.isfinite(net.gradient(X, X, np.ones(6))).all()


def test_plain_data_and_back():
    for net in NETS:
        assert from_plain(json.loads(json.dumps(to_plain(0.5 * net)))) == 0.5 * net


@pytest.mark.parametrize(
    "wrong", [{"activation": "tanh"}, {"depth": 0}, {"weight": 0.0}, {"bias": -1.0}, {"weight": float("nan")}]
)
def test_options_out_of_range_are_refused(wrong):
    for kind in (NNGP, NTK):
        with pytest.raises(OptionError):
            kind(**wrong)
