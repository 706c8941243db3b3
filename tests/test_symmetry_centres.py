"""Centres of the prior: one factor against scikit-learn, under a group, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.symmetry.centres import centres, leading
from helpers import GROUPS


def one_factor(p: int, seed: int, n: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    load, own = rng.uniform(0.4, 1.5, p), rng.uniform(0.3, 1.5, p)
    return rng.normal(size=(n, 1)) * load + rng.normal(size=(n, p)) * np.sqrt(own)


def test_one_factor_is_the_maximum_likelihood_fit() -> None:
    x = one_factor(6, 0)
    _, factor = centres(sym.trivial(6), np.cov(x.T, bias=True))
    expected = FactorAnalysis(1, tol=1e-8, max_iter=5000).fit(x).get_covariance()
    np.testing.assert_allclose(factor.covariance, expected, atol=0.01)
    assert factor.parameters == 12


def test_centres_under_a_group_are_invariant_and_count_orbits() -> None:
    group = sym.Group.of(6, [[(0, 1), (2, 3)]])
    for centre, count in zip(centres(group, np.cov(one_factor(6, 1).T)), (4, 8), strict=True):
        np.testing.assert_allclose(sym.reynolds(group, centre.covariance), centre.covariance, atol=1e-6)
        assert centre.parameters == count
    assert [c.parameters for c in centres(group, np.cov(one_factor(6, 1).T), scales=True)] == [6, 10]


@pytest.mark.parametrize("make", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("seed", range(3))
def test_the_leading_vector_from_blocks_is_that_of_the_matrix(make, seed) -> None:
    group = make()
    x = np.random.default_rng(seed).normal(size=(group.degree,) * 2)
    ones, unit = np.ones((group.degree,) * 2), np.eye(group.degree)
    even = sym.reynolds(group, x + x.T + 10 * seed * ones) + 50 * unit
    w, v = np.linalg.eigh(even)
    found = leading(sym.isotypic(group), even)
    if len(w) > 1 and w[-1] - w[-2] < 1e-6 * w[-1]:
        assert found is None
    else:
        assert found is not None
        assert found[0] == pytest.approx(w[-1])
        np.testing.assert_allclose(abs(found[1] @ v[:, -1]), 1.0)


def test_a_group_that_allows_no_factor_has_none() -> None:
    # Flips of all columns one by one leave no loading; equal eigenvalues no first factor.
    assert len(list(centres(sym.z2(4, [[0], [1], [2], [3]]), np.eye(4) + 0.5))) == 1
    assert len(list(centres(sym.orthogonal(3), np.eye(3)))) == 1


def test_nearly_equal_loadings_are_not_taken_for_a_symmetry() -> None:
    """Ten tables of one factor; each has pairs of columns alike up to scale within what 1000 rows can tell."""
    alarms = 0
    for seed in range(10):
        x = one_factor(5, 50 + seed, 1000)
        alarms += bool(cm.symmetries(cm.measure(dict(zip("abcde", x.T, strict=True)), progress=False)).accepted)
    assert alarms <= 1
