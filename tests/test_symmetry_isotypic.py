"""Isotypic bases: blocks against dense linear algebra on the averaged matrix, and types against what is known."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant.symmetry as sym
from cumulant.errors import ResourceError
from cumulant.symmetry.product import product
from cumulant.symmetry.spectral import Copies, Exchangeable, Fourier, _separate, spectral
from helpers import GROUPS

MORE = {
    "pair of columns": lambda: sym.cyclic(2),
    "ring of 7": lambda: sym.cyclic(7),
    "ring of 6, both ways": lambda: sym.dihedral(6),
    "grid 3x4": lambda: sym.grid_translations(3, 4),
    "torus 4x4": lambda: sym.square(4, translations=True),
    "O(3) on two vectors": lambda: sym.orthogonal([[0, 1, 2], [3, 4, 5]]),
    "SO(2) on two vectors": lambda: sym.orthogonal([[0, 1], [2, 3]], proper=True),
    "two exchanges, a ring and a column left alone": lambda: sym.Group.of(
        10, [[(0, 1)], [(2, 3), (4, 5)], [(6, 7, 8)]]
    ),
    "a flip beside an exchange": lambda: sym.Group.of(5, [[(0, 1)], ([0, 1, 2, 3, 4], [1, 1, -1, -1, 1])]),
    "equal vectors": lambda: sym.Group.of(6, [[(0, 3), (1, 4), (2, 5)]], rotations=[[[0, 1, 2], [3, 4, 5]]]),
}
KINDS = pytest.mark.parametrize("make", [*GROUPS.values(), *MORE.values()], ids=[*GROUPS, *MORE])


def bases(group: sym.Group) -> list[sym.Decomposition]:
    known = spectral(group)
    side_by_side = product(group, _separate)
    return [sym.found_numerically(group), *(b for b in (known, side_by_side) if b is not None)]


@KINDS
def test_blocks_are_the_averaged_matrix(make):
    group = make()
    p = group.degree
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * p, p))
    matrix = x.T @ x
    averaged = sym.reynolds(group, matrix)
    rows = rng.normal(size=(3, p))
    for basis in bases(group):
        blocks = basis.reduce(matrix)
        np.testing.assert_allclose(sym.applied(basis, blocks, np.eye(p)), averaged, atol=1e-9)
        np.testing.assert_allclose(sym.applied(basis, blocks, rows), rows @ averaged, atol=1e-9)
        inverse = [np.linalg.inv(b) for b in blocks]
        np.testing.assert_allclose(sym.applied(basis, inverse, np.eye(p)), np.linalg.inv(averaged), atol=1e-9)
        np.testing.assert_allclose(sym.log_determinant(basis, blocks), np.linalg.slogdet(averaged)[1])
        np.testing.assert_allclose(basis.backward(basis.forward(rows)), rows, atol=1e-9)
        # The sums over rows are the same blocks, times how often each counts.
        for part, total, block in zip(basis.parts, sym.gathered(basis, x), blocks, strict=True):
            np.testing.assert_allclose(total / part.rank[:, None, None], block, atol=1e-9)


@KINDS
def test_dimensions_and_parameters_add_up(make):
    group = make()
    for basis in bases(group):
        assert sum(int(part.dimension.sum()) * part.multiplicity for part in basis.parts) == group.degree
        assert sum(part.parameters for part in basis.parts) == sym.parameters(group, 2)
        assert sum(float(part.rank.sum()) * part.size for part in basis.parts) == group.degree


def shapes(basis: sym.Decomposition) -> list[tuple[str, int, int]]:
    found = ((k, d, p.multiplicity) for p in basis.parts for k, d in zip(p.kinds, p.dimension, strict=True))
    return sorted((str(k), int(d), m) for k, d, m in found)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (sym.symmetric(6), [("R", 1, 1), ("R", 5, 1)]),
        (sym.cyclic(5), [("C", 2, 1), ("C", 2, 1), ("R", 1, 1)]),
        (sym.dihedral(5), [("R", 1, 1), ("R", 2, 1), ("R", 2, 1)]),
        (GROUPS["quaternions twice"](), [("H", 4, 2)]),
        (GROUPS["C4 on blocks"](), [("C", 2, 2), ("R", 1, 2), ("R", 1, 2)]),
        # Two faces of the square's corners and edges: A1 thrice, B1 and B2 once, E twice.
        (sym.square(3), [("R", 1, 1), ("R", 1, 1), ("R", 1, 3), ("R", 2, 2)]),
        (sym.wreath([[0, 1], [2, 3], [4, 5]]), [("R", 1, 1), ("R", 2, 1), ("R", 3, 1)]),
        (sym.orthogonal([[0, 1], [2, 3]], proper=True), [("C", 2, 2)]),
    ],
    ids=lambda x: x.name if isinstance(x, sym.Group) else "",
)
def test_types_dimensions_and_multiplicities(group, expected):
    for basis in bases(group):
        assert shapes(basis) == expected


def relabelled(group: sym.Group, seed: int) -> sym.Group:
    pi = np.random.default_rng(seed).permutation(group.degree)
    images = np.empty_like(group.images)
    images[:, pi] = pi[group.images]
    return sym.Group(group.degree, images, np.ones_like(images))


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        (sym.cyclic(12), Fourier),
        (sym.cyclic([[0, 1], [2, 3], [4, 5]]), Fourier),
        (sym.dihedral(9), Fourier),
        (sym.grid_translations(4, 6), Fourier),
        (sym.square(5, translations=True), Fourier),
        (sym.symmetric(7), Exchangeable),
        (sym.symmetric([[0, 1], [2, 3], [4, 5], [6, 7]]), Exchangeable),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_known_bases_are_recognised_from_generators_in_any_order(group, kind):
    for seed in range(3):
        other = relabelled(group, seed)
        basis = spectral(other)
        assert isinstance(basis, kind)
        x = np.random.default_rng(seed).normal(size=(30, group.degree))
        matrix = x.T @ x
        np.testing.assert_allclose(
            sym.applied(basis, basis.reduce(matrix), np.eye(group.degree)), sym.reynolds(other, matrix), atol=1e-9
        )


def test_what_only_looks_like_translations_is_not_taken_for_them():
    # The second generator shifts one ring by one and the other by two: no translation of both.
    twisted = sym.Group.of(10, [[tuple(range(5)), tuple(range(5, 10))], [(0, 1, 2, 3, 4), (5, 7, 9, 6, 8)]])
    assert spectral(twisted) is None
    assert sum(part.parameters for part in sym.isotypic(twisted).parts) == sym.parameters(twisted, 2)
    assert isinstance(sym.isotypic(sym.orthogonal(4)), Copies)


def test_a_thousand_columns_under_a_group_without_a_name():
    # Pairs of columns exchanged at once, five hundred of them.
    group = sym.Group.of(600, [[(2 * i, 2 * i + 1) for i in range(300)]])
    basis = sym.isotypic(group)
    assert shapes(basis) == [("R", 1, 300), ("R", 1, 300)]
    x = np.random.default_rng(0).normal(size=(50, 600))
    matrix = x.T @ x + np.eye(600)
    expected = np.linalg.slogdet(sym.reynolds(group, matrix))[1]
    np.testing.assert_allclose(sym.log_determinant(basis, basis.reduce(matrix)), expected)


def test_ten_thousand_columns_on_a_ring_need_no_matrix():
    basis = sym.isotypic(sym.cyclic(10_000))
    x = np.random.default_rng(0).normal(size=(4, 10_000))
    np.testing.assert_allclose(basis.backward(basis.forward(x)), x, atol=1e-12)
    with pytest.raises(ResourceError, match="dense basis"):
        sym.found_numerically(sym.cyclic(10_000))
