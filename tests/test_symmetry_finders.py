"""Finders of candidates by geometry: vectors and grids, from names and from moments without names."""

from __future__ import annotations

import numpy as np
import pandas as pd

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.symmetry.candidates import Observed
from cumulant.symmetry.from_geometry import grids, vectors
from cumulant.symmetry.from_moments import rings
from cumulant.symmetry.from_names import from_names


def observed(covariance: np.ndarray, n: int, seed: int = 0, names: list[str] | None = None) -> Observed:
    p = len(covariance)
    rows = np.random.default_rng(seed).multivariate_normal(np.zeros(p), covariance, n)
    return Observed(tuple(names or [f"c{i}" for i in range(p)]), np.cov(rows.T), n - 1)


def same(a: sym.Group, b: sym.Group) -> bool:
    probe = np.random.default_rng(0).normal(size=(a.degree, a.degree))
    return np.allclose(sym.reynolds(a, probe + probe.T), sym.reynolds(b, probe + probe.T))


def wishart(p: int, seed: int = 0) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(p, 2 * p))
    return a @ a.T / p + 0.5


def test_vectors_are_found_in_shuffled_columns_without_names() -> None:
    at = np.random.default_rng(1).permutation(12)
    rows = [[int(np.flatnonzero(at == 3 * v + k)[0]) for k in range(3)] for v in range(4)]
    planted = np.kron(wishart(4), np.eye(3))[np.ix_(at, at)]
    seen = observed(planted, 3000)
    (found,) = vectors(seen)
    assert same(found.group, sym.orthogonal([[f"c{i}" for i in row] for row in rows]).on(seen.columns))
    # Unequal strength along one axis is no vector.
    stretched = np.kron(wishart(4), np.diag([1.0, 1.0, 3.0]))
    assert all(len(g.group.rotations[0].blocks[0]) == 2 for g in vectors(observed(stretched, 3000)))


def test_rotations_found_in_the_moments_hold() -> None:
    rows = np.random.default_rng(0).multivariate_normal(np.zeros(6), np.kron(wishart(2), np.eye(3)), 800)
    table = pd.DataFrame(rows, columns=list("qwerty"))
    assert any(str(f.group).startswith("O(3)") for f in cm.symmetries(cm.measure(table, progress=False)).accepted)


def test_vectors_are_read_from_names_beside_other_columns_of_the_same_points() -> None:
    names = [f"{c}{i}" for i in range(3) for c in "xyzq"]
    found = [c.group for c in from_names(Observed(tuple(names), np.eye(12), 10.0)) if c.group.rotations]
    assert len(found) == 1
    assert len(found[0].rotations[0].blocks) == 3


def test_a_grid_is_seen_in_correlations_by_offset() -> None:
    cells = np.indices((5, 5)).reshape(2, -1).T
    d = np.abs(cells[:, None] - cells[None])
    torus = np.minimum(d, 5 - d).sum(axis=2)
    seen = observed(np.exp(-0.8 * torus), 2000)
    assert any(same(c.group, sym.grid_translations(5, 5, list(seen.columns))) for c in grids(seen))
    # In another order, and without any order, nothing is proposed.
    at = np.random.default_rng(0).permutation(25)
    assert not list(grids(observed(np.exp(-0.8 * torus)[np.ix_(at, at)], 2000)))
    assert not list(grids(observed(wishart(25), 2000)))
    assert not list(grids(observed(np.eye(10), 2000)))


def test_isotropic_columns_up_to_any_number_and_few_rows_make_no_noise() -> None:
    assert not list(vectors(observed(np.eye(3), 100)))
    assert not list(vectors(Observed(("a", "b", "c", "d"), np.eye(4), 1.0)))
    # Five uncorrelated columns of one variance are a vector of five components.
    (found,) = vectors(observed(np.eye(5), 500))
    assert found.group.rotations[0].dimension == 5


def test_a_wide_ring_is_found_by_its_neighbours():
    p = 130
    far = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    order = np.random.default_rng(0).permutation(p)
    covariance = np.exp(-np.minimum(far, p - far) / 3)[np.ix_(order, order)]
    (found,) = [c for c in rings(observed(covariance, 2000)) if "neighbours" in c.why]
    ring = sym.cyclic([f"c{i}" for i in np.argsort(order)]).on([f"c{i}" for i in range(p)])
    assert same(found.group, ring)


def test_columns_without_neighbours_are_no_ring():
    assert not [c for c in rings(observed(np.eye(130), 2000)) if "neighbours" in c.why]
