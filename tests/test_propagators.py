"""Propagators beside scikit-learn's kernels, their gradients beside differences, and as plain data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cumulant.errors import OptionError
from cumulant.theory.propagators import (
    RBF,
    Constant,
    Exponential,
    Laplace,
    Linear,
    Matern,
    Periodic,
    Potts,
    RationalQuadratic,
    from_plain,
    to_plain,
)

kernels = pytest.importorskip("sklearn.gaussian_process.kernels")

X, Y = np.random.default_rng(0).normal(size=(7, 3)), np.random.default_rng(1).normal(size=(5, 3))
SMOOTH = [
    RBF(1.3), Matern(0.5, 0.7), Matern(1.5, 2.0), Matern(2.5, 1.1), RationalQuadratic(0.8, 1.7), Exponential(1.5),
    Linear(), Constant(2.0), Laplace(1.2), Laplace(1.2, 1.5), Periodic(2.1, 1.4),
    RBF() + 0.5 * Linear(), Matern(2.5) * Periodic(3.0) + RBF(0.6).on(0, 2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RBF(1.3), kernels.RBF(1.3)),
        (Matern(0.5, 0.7), kernels.Matern(0.7, nu=0.5)),
        (Matern(1.5, 0.7), kernels.Matern(0.7, nu=1.5)),
        (Matern(2.5, 0.7), kernels.Matern(0.7, nu=2.5)),
        (RationalQuadratic(0.8, 1.7), kernels.RationalQuadratic(0.8, 1.7)),
        (Linear(), kernels.DotProduct(0.0)),
        (RBF() + 0.5 * Linear(), kernels.RBF() + 0.5 * kernels.DotProduct(0.0)),
    ],
)
def test_the_same_as_scikit_learn(ours, theirs):
    np.testing.assert_allclose(ours(X, Y), theirs(X, Y), rtol=1e-12, atol=1e-14)


def test_closed_forms():
    apart = X[:, None, :] - Y[None, :, :]
    np.testing.assert_allclose(Laplace(2.0)(X, Y), np.exp(-np.abs(apart).sum(axis=2) / 2), rtol=1e-12)
    np.testing.assert_allclose(Laplace(2.0, 2.0)(X, Y), RBF(2.0 / 2**0.5)(X, Y), rtol=1e-12)
    periodic = np.exp(-2 * (np.sin(np.pi * apart / 3.0) ** 2).sum(axis=2))
    np.testing.assert_allclose(Periodic(3.0)(X, Y), periodic, rtol=1e-12)
    series = sum((X @ Y.T) ** k / np.prod(np.arange(1.0, k + 1)) for k in range(60))
    np.testing.assert_allclose(Exponential()(X, Y), series, rtol=1e-12)
    levels = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert Potts(0.25)(levels, levels[:2]).tolist() == [[1, 0.25], [0.25, 1], [1, 0.25]]


@pytest.mark.parametrize("propagator", SMOOTH)
def test_diagonal_is_that_of_the_matrix(propagator):
    np.testing.assert_allclose(propagator.diagonal(X), np.diag(propagator(X, X)), rtol=1e-12)


@pytest.mark.parametrize("propagator", SMOOTH)
@pytest.mark.parametrize("each", [False, True])
def test_gradient_is_that_of_differences(propagator, each):
    weights = np.random.default_rng(2).normal(size=(7, 5) if each else 5)
    step, found = 1e-5, np.empty_like(X)
    for c in range(3):
        shift = np.zeros(3)
        shift[c] = step
        found[:, c] = ((propagator(X + shift, Y) - propagator(X - shift, Y)) * weights).sum(axis=1) / (2 * step)
    np.testing.assert_allclose(propagator.gradient(X, Y, weights), found, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("propagator", [*SMOOTH, Potts(0.2).on(1)])
def test_plain_data_and_back(propagator):
    assert from_plain(json.loads(json.dumps(to_plain(propagator)))) == propagator


def test_at_no_distance_the_gradient_is_finite():
    assert np.isfinite(Matern(0.5).gradient(X, X, np.ones(7))).all()


@pytest.mark.parametrize(
    "wrong", [lambda: RBF(0.0), lambda: Matern(2.0), lambda: Laplace(1.0, 3.0), lambda: Potts(1.0)]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(OptionError):
        wrong()
