"""Groups: orders, orbits, averages and canonical keys, each against the group written out element by element."""

from __future__ import annotations

from itertools import permutations, product
from math import comb, inf

import numpy as np
import pytest

import cumulant.symmetry as sym
from cumulant import CumulantError
from cumulant.errors import ColumnError, OptionError, ResourceError
from helpers import GROUPS

KINDS = pytest.mark.parametrize("make", GROUPS.values(), ids=GROUPS.keys())


def closure(group: sym.Group) -> list[np.ndarray]:
    """Every element as a matrix, by multiplying until nothing new appears."""
    found = {np.eye(group.degree).tobytes(): np.eye(group.degree)}
    fresh = list(found.values())
    while fresh:
        products = [g @ m for g in group.matrices for m in fresh]
        fresh = [m for m in {(x + 0.0).tobytes(): x + 0.0 for x in products}.values() if m.tobytes() not in found]
        found |= {m.tobytes(): m for m in fresh}
    return list(found.values())


def random_moment(p: int, order: int, seed: int = 0) -> np.ndarray:
    t = np.random.default_rng(seed).normal(size=(p,) * order)
    return sum(np.transpose(t, axes) for axes in permutations(range(order)))


def transformed(m: np.ndarray, tensor: np.ndarray) -> np.ndarray:
    for axis in range(tensor.ndim):
        tensor = np.moveaxis(np.tensordot(m, tensor, axes=(1, axis)), 0, axis)
    return tensor


@KINDS
def test_order_and_elements_are_those_of_the_closure(make):
    group = make()
    expected = {m.tobytes() for m in closure(group)}
    images, signs = sym.elements(group)
    listed = sym.Group(group.degree, images, signs).matrices + 0.0
    assert sym.order(group) == len(expected)
    assert {m.tobytes() for m in listed} == expected
    assert len(images) == len(expected)
    # Without the closed form, the chain must find it.
    assert sym.order(sym.Group(group.degree, group.images, group.signs)) == len(expected)


@KINDS
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_reynolds_is_the_average_over_all_elements(make, order):
    group = make()
    moment = random_moment(group.degree, order)
    members = closure(group)
    expected = sum(transformed(m, moment) for m in members) / len(members)
    found = sym.reynolds(group, moment)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(sym.reynolds(group, found), found, atol=1e-12)
    for m in group.matrices:
        np.testing.assert_allclose(transformed(m, found), found, atol=1e-12)


@KINDS
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_burnside_counts_the_orbits(make, order):
    group = make()
    found = sym.orbits(group, order)
    assert found.count == sym.burnside(group, order) == sym.parameters(group, order)
    assert found.labels.shape == (comb(group.degree + order - 1, order),)
    assert found.representatives.shape == (found.count, order)


@KINDS
def test_keys_are_blind_to_labels_and_signs(make):
    group = make()
    rng = np.random.default_rng(1)
    pi, flip = rng.permutation(group.degree), rng.choice([-1, 1], group.degree)
    images, signs = np.empty_like(group.images), np.empty_like(group.signs)
    images[:, pi] = pi[group.images]
    signs[:, pi] = group.signs * flip * flip[group.images]
    assert sym.key(sym.Group(group.degree, images, signs)) == sym.key(group)
    unflipped = sym.Group(group.degree, images, np.ones_like(signs))
    if not group.signed:
        found = sym.equivalent(group, unflipped)
        assert found is not None
        moved = group.images.copy()
        moved[:, found] = found[group.images]
        assert all(sym.contains(unflipped, g) for g in moved)


def test_keys_tell_the_catalogue_apart():
    groups = [make() for make in GROUPS.values()]
    groups += [sym.symmetric(6), sym.dihedral(6), sym.symmetric(4), sym.dihedral(4), sym.cyclic(4), sym.cyclic(5)]
    groups += [sym.cyclic(8), sym.grid_translations(2, 4), sym.z2(5), sym.grid_translations(3, 3), sym.cyclic(9)]
    groups += [sym.orthogonal(3), sym.orthogonal(3, proper=True), sym.hyperoctahedral(3), sym.wreath([[0, 1], [2, 3]])]
    keys = [sym.key(g) for g in groups]
    # Equal actions under two names each, and no other: 2 by 3 is a ring of six by the Chinese remainder theorem.
    same = {(a, b) for a in range(len(keys)) for b in range(a) if keys[a] == keys[b]}
    named = {(groups[a].name, groups[b].name) for a, b in same}
    assert named == {
        ("translations of 2×3", "C6"),
        ("S2 ≀ S2", "D4"),
        ("D3 on blocks of 2", "S3 on blocks of 2"),
    }


def test_equivalence_is_refused_to_groups_with_the_same_order():
    assert sym.equivalent(sym.cyclic(9), sym.grid_translations(3, 3)) is None
    assert sym.equivalent(sym.dihedral(6), sym.Group.of(6, [[(0, 1, 2)], [(3, 4)], [(4, 5)]])) is None


def test_orders_against_sympy():
    combinatorics = pytest.importorskip("sympy.combinatorics")
    rng = np.random.default_rng(3)
    for degree, count in product((5, 9, 14), (1, 2, 3)):
        generators = [rng.permutation(degree) for _ in range(count)]
        group = sym.Group.of(degree, generators)
        peer = combinatorics.PermutationGroup([combinatorics.Permutation(g.tolist()) for g in generators])
        assert sym.order(group) == peer.order()
        outside = rng.permutation(degree)
        assert sym.contains(group, outside) == peer.contains(combinatorics.Permutation(outside.tolist()))
    mathieu = sym.Group.of(11, [[tuple(range(11))], [(2, 6, 10, 7), (3, 9, 4, 5)]])
    assert sym.order(mathieu) == 7920


def test_orders_of_large_groups_are_in_closed_form_or_found():
    big = sym.symmetric(40)
    assert sym.order(sym.Group(40, big.images, big.signs)) == sym.order(big)
    assert sym.order(sym.square(20, translations=True)) == 3200
    for side in (1, 2, 3, 4):
        group = sym.square(side, translations=True)
        assert sym.order(sym.Group(group.degree, group.images, group.signs)) == sym.order(group)


def test_subgroups():
    assert sym.is_subgroup(sym.cyclic(6), sym.dihedral(6))
    assert not sym.is_subgroup(sym.dihedral(6), sym.cyclic(6))
    assert sym.is_subgroup(sym.dihedral(6), sym.symmetric(6))
    assert sym.is_subgroup(sym.trivial(6), sym.cyclic(6))
    assert not sym.is_subgroup(sym.z2(3), sym.symmetric(3))
    assert sym.is_subgroup(sym.z2(3), sym.orthogonal(3))
    assert not sym.is_subgroup(sym.orthogonal(3), sym.hyperoctahedral(3))
    with pytest.raises(OptionError, match="cannot be compared"):
        sym.is_subgroup(sym.cyclic(3), sym.cyclic(4))


def test_orbits_of_a_thousand_columns():
    ring = sym.cyclic(1000)
    found = sym.orbits(ring, 2)
    assert found.count == 501
    assert found.sizes.tolist() == [1000] * 500 + [500]
    picture = found.matrix()
    np.testing.assert_array_equal(picture[0, 1:500], picture[10, 11:510])
    assert sym.orbits(sym.symmetric(1000), 2).count == 2
    with pytest.raises(ResourceError, match="too many"):
        sym.orbits(ring, 4)


def test_rotations_leave_products_of_deltas_and_epsilons():
    # Dimensions of the invariants of O(3) and SO(3) on two vectors: dot products, and fourth moments of them.
    two = sym.orthogonal([[0, 1, 2], [3, 4, 5]])
    assert [sym.parameters(two, k) for k in (1, 2, 3, 4)] == [0, 3, 0, 6]
    plane = sym.orthogonal([[0, 1], [2, 3]], proper=True)
    # A plane vector is a complex number z: |z|², |w|² and both parts of z w*.
    assert [sym.parameters(plane, k) for k in (1, 2, 3)] == [0, 4, 0]
    assert sym.order(two) == inf


def random_rotation(rng: np.random.Generator, n: int, *, proper: bool) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    q *= np.sign(np.diag(r))
    if proper and np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


@pytest.mark.parametrize(("n", "m", "proper"), [(2, 2, False), (2, 2, True), (3, 1, True), (3, 2, False), (4, 1, True)])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_reynolds_over_rotations_is_an_invariant_projection(n, m, proper, order):
    p = n * m + 1
    vectors = [list(range(n * a, n * a + n)) for a in range(m)]
    group = sym.Group.of(p, rotations=[sym.Rotations(tuple(map(tuple, vectors)), proper)])
    moment = random_moment(p, order)
    found = sym.reynolds(group, moment)
    np.testing.assert_allclose(sym.reynolds(group, found), found, atol=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(3):
        q = np.eye(p)
        q[: n * m, : n * m] = np.kron(np.eye(m), random_rotation(rng, n, proper=proper))
        np.testing.assert_allclose(transformed(q, found), found, atol=1e-11)
        # Averaging first over a rotated copy changes nothing: the projection is the one onto all invariants.
        np.testing.assert_allclose(sym.reynolds(group, transformed(q, moment)), found, atol=1e-11)


def test_permuting_vectors_and_turning_them_commute():
    group = sym.Group.of(6, [[(0, 3), (1, 4), (2, 5)]], rotations=[[[0, 1, 2], [3, 4, 5]]])
    found = sym.reynolds(group, random_moment(6, 2))
    expected = np.kron([[found[0, 0], found[0, 3]], [found[0, 3], found[0, 0]]], np.eye(3))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert sym.parameters(group, 2) == 2


def test_groups_bind_to_columns_by_name():
    ring = sym.cyclic(["h1", "h2", "h3"]).on(["h3", "x", "h1", "h2"])
    assert ring.images.tolist() == [[2, 1, 3, 0]]
    assert (sym.symmetric(["a", "b"]) * sym.z2(["c"])).columns == ("a", "b", "c")
    assert sym.order(sym.symmetric(["a", "b", "d"]) * sym.z2(["c"])) == 12
    with pytest.raises(ColumnError, match="'b'"):
        sym.symmetric(["a", "b"]).on(["a", "c"])
    with pytest.raises(OptionError, match="name its columns"):
        sym.symmetric(2).on(["a", "b", "c"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sym.Group.of(3, [[0, 0, 1]]), "no permutation"),
        (lambda: sym.Group.of(3, [[(0, 7)]]), "numbered from 0"),
        (lambda: sym.Group.of(["a"], [{"a": "b"}]), "'b'"),
        (lambda: sym.Group.of(2, [([0, 1], [1, 1, 1])]), "generators|permutation|numbered"),
        (lambda: sym.Group.of(4, [[(0, 2)]], rotations=[[[0, 1], [2, 3]]]), "whole"),
        (lambda: sym.Group.of(4, rotations=[[[0, 1], [1, 2]]]), "disjoint"),
        (lambda: sym.symmetric([["a", "b"], ["c"]]), "same number"),
        (lambda: sym.grid_translations(2, 3, 5), "cells"),
        (lambda: sym.elements(sym.orthogonal(2)), "rotations"),
        (lambda: sym.reynolds(sym.cyclic(3), np.eye(2)), "shape"),
        (lambda: sym.orbits(sym.cyclic(3), 0), "1 or more"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(CumulantError, match=message):
        make()
