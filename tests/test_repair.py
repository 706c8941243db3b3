from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import optimize
from statsmodels.stats.correlation_tools import corr_nearest

import cumulant as cm
from cumulant.solve.repair import nearest_correlation


def indefinite(p: int, seed: int, size: float = 0.9) -> np.ndarray:
    """A symmetric matrix with unit diagonal that is no correlation matrix."""
    rng = np.random.default_rng(seed)
    r = np.triu(rng.uniform(-size, size, (p, p)), 1)
    return r + r.T + np.eye(p)


def nearest_by_dual(r: np.ndarray) -> np.ndarray:
    """The nearest correlation matrix from its dual, ½|(R + diag θ)₊|² − Σθ least over θ (Qi & Sun 2006)."""

    def positive(theta: np.ndarray) -> np.ndarray:
        w, v = np.linalg.eigh(r + np.diag(theta))
        return (v * np.maximum(w, 0)) @ v.T

    def dual(theta: np.ndarray) -> tuple[float, np.ndarray]:
        x = positive(theta)
        return 0.5 * (x**2).sum() - theta.sum(), np.diag(x) - 1

    found = optimize.minimize(
        dual, np.zeros(len(r)), jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-10}
    )
    return positive(found.x)


@pytest.mark.parametrize(("p", "seed"), [(3, 25), (5, 1), (10, 2), (25, 3)])
def test_it_is_the_nearest(p, seed):
    r = indefinite(p, seed)
    assert np.linalg.eigvalsh(r)[0] < 0
    ours, moved = nearest_correlation(r, floor=1e-8)
    expected = nearest_by_dual(r)
    assert_allclose(ours, expected, atol=2e-6)
    assert_allclose(moved, np.abs(ours - r).max(), rtol=1e-12)
    # Nothing that is a correlation matrix is nearer.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = corr_nearest(r, threshold=1e-10, n_fact=20)
    assert np.linalg.norm(ours - r) <= np.linalg.norm(peer - r) * (1 + 1e-6)


@pytest.mark.parametrize(("p", "seed"), [(4, 4), (8, 5)])
def test_the_result_is_a_covariance_with_the_same_variances(p, seed):
    sd = 10.0 ** np.random.default_rng(seed).uniform(-6, 6, p)
    c = indefinite(p, seed) * np.outer(sd, sd)
    ours, _ = nearest_correlation(c)
    assert np.array_equal(ours, ours.T)
    assert_allclose(np.diag(ours), sd**2, rtol=1e-14)
    assert np.linalg.eigvalsh(ours / np.outer(sd, sd))[0] > 0
    # Units do not matter.
    plain, _ = nearest_correlation(indefinite(p, seed))
    assert_allclose(ours / np.outer(sd, sd), plain, atol=1e-10)


def test_a_covariance_is_left_alone():
    z = np.random.default_rng(6).normal(size=(50, 6))
    c = np.cov(z.T)
    ours, moved = nearest_correlation(c)
    assert moved == 0.0
    assert ours is c


def test_rank_deficient_and_constant_columns_are_left_alone():
    z = np.random.default_rng(7).normal(size=(50, 3))
    c = np.cov(np.column_stack([z, z[:, 0], np.ones(50), z @ [1, 2, 3]]).T)
    c[4] = c[:, 4] = 0.0
    assert nearest_correlation(c)[1] == 0.0


def test_a_constant_column_stays_constant_in_a_repair():
    c = np.zeros((5, 5))
    c[:4, :4] = indefinite(4, 8, size=1.0)
    ours, moved = nearest_correlation(c)
    assert moved > 0
    assert (ours[4] == 0).all()


def test_pairs_that_contradict_each_other_are_repaired_with_a_warning():
    # x, y agree where both are seen, y, z agree, but x and z disagree.
    n = 300
    rng = np.random.default_rng(9)
    x = np.repeat(rng.normal(size=(n, 1)), 3, axis=1) + 0.1 * rng.normal(size=(n, 3))
    x[200:, 2] *= -1
    for i in range(3):
        x[100 * i : 100 * (i + 1), (2, 0, 1)[i]] = np.nan
    frame = pd.DataFrame(x, columns=["x", "y", "z"])
    assert np.linalg.eigvalsh(frame.corr())[0] < -0.1
    with pytest.warns(cm.CumulantWarning, match="nearest"):
        model = cm.fit(frame, prior=None)
    assert np.linalg.eigvalsh(model.covariance)[0] > 0
    assert any("nearest" in note for note in model.notes)


def test_what_was_below_zero_is_lifted_as_far_above():
    r = indefinite(6, 7)
    smallest = np.linalg.eigvalsh(r)[0]
    ours, _ = nearest_correlation(r)
    assert np.linalg.eigvalsh(ours)[0] >= -smallest * (1 - 1e-6)
