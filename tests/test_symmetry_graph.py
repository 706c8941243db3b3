"""Automorphisms of coloured graphs against enumeration and known orders, and candidates from clustered correlations."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import cumulant.symmetry as sym
from cumulant.symmetry.automorphisms import automorphisms
from cumulant.symmetry.candidates import Observed
from cumulant.symmetry.from_graph import clustered, graphs

PETERSEN = [(i, (i + 1) % 5) for i in range(5)] + [(i, i + 5) for i in range(5)]
PETERSEN += [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
CUBE = [(a, a ^ (1 << k)) for a in range(8) for k in range(3) if a < a ^ (1 << k)]
TREE = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)]


def adjacency(p: int, edges: list[tuple[int, int]]) -> np.ndarray:
    out = np.zeros((p, p), dtype=np.int64)
    for i, j in edges:
        out[i, j] = out[j, i] = 1
    return out


def ring(n: int) -> np.ndarray:
    return adjacency(n, [(i, (i + 1) % n) for i in range(n)])


GRAPHS = {
    "ring": (ring(9), 18),
    "Petersen": (adjacency(10, PETERSEN), 120),
    "cube": (adjacency(8, CUBE), 48),
    "tree": (adjacency(7, TREE), 8),
    "two rings of four": (np.kron(np.eye(2, dtype=np.int64), ring(4)), 128),
    "no edges": (adjacency(6, []), 720),
}


def as_group(images: list[np.ndarray], p: int) -> sym.Group:
    return sym.Group.of(p, [image.tolist() for image in images])


@pytest.mark.parametrize(("graph", "expected"), GRAPHS.values(), ids=GRAPHS)
def test_orders_of_known_graphs_in_any_order_of_vertices(graph: np.ndarray, expected: int) -> None:
    p = len(graph)
    for seed in range(3):
        at = np.random.default_rng(seed).permutation(p)
        assert sym.order(as_group(automorphisms(graph[np.ix_(at, at)]), p)) == expected


@pytest.mark.parametrize("seed", range(6))
def test_all_automorphisms_of_random_colours_by_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, size=(6, 6))
    colours = np.triu(a) + np.triu(a, 1).T
    every = [g for g in permutations(range(6)) if (colours[np.ix_(g, g)] == colours).all()]
    found = as_group(automorphisms(colours), 6)
    assert sym.order(found) == len(every)
    assert all(sym.contains(found, np.array(g)) for g in every)


def test_a_search_cut_short_returns_automorphisms_all_the_same() -> None:
    graph = adjacency(10, PETERSEN)
    for budget in (0, 6, 9):
        assert all((graph[np.ix_(g, g)] == graph).all() for g in automorphisms(graph, budget))


@pytest.mark.parametrize("name", ["ring", "Petersen", "cube", "tree"])
def test_symmetries_of_a_graph_are_found_in_the_correlations_of_rows(name: str) -> None:
    graph, expected = GRAPHS[name]
    p = len(graph)
    planted = np.linalg.inv(np.eye(p) - 0.8 / np.linalg.eigvalsh(graph)[-1] * graph)
    at = np.random.default_rng(3).permutation(p)
    rows = np.random.default_rng(0).multivariate_normal(np.zeros(p), planted[np.ix_(at, at)], 20_000)
    found = list(graphs(Observed(tuple(f"c{i}" for i in range(p)), np.cov(rows.T), 19_999.0)))
    assert expected in [sym.order(c.group) for c in found]
    assert all(c.alternatives > 0 for c in found)


def test_two_blocks_that_may_be_exchanged() -> None:
    planted = np.kron(np.eye(2), np.full((4, 4), 0.5) + 0.5 * np.eye(4)) + 0.15
    rows = np.random.default_rng(1).multivariate_normal(np.zeros(8), planted, 2000)
    found = list(graphs(Observed(tuple("abcdefgh"), np.cov(rows.T), 1999.0)))
    assert sym.order(sym.wreath([[0, 1, 2, 3], [4, 5, 6, 7]])) in [sym.order(c.group) for c in found]


def test_random_covariances_have_no_automorphisms_and_few_columns_no_graph() -> None:
    a = np.random.default_rng(0).normal(size=(8, 16))
    assert not list(graphs(Observed(tuple("abcdefgh"), a @ a.T / 16, 1e6)))
    assert not list(graphs(Observed(tuple("abc"), np.eye(3), 100.0)))


def test_values_of_unit_error_fall_into_their_classes() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 300)
    label = clustered(12.0 * true + rng.normal(size=300), 2.0)
    np.testing.assert_array_equal(label, true)
    assert (clustered(np.zeros(5), 1.0) == 0).all()
    assert clustered(np.zeros(0), 1.0).shape == (0,)
