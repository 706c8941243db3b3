"""A class is recognised by its action alone."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant as cm
from cumulant import symmetry as sym
from cumulant.notebook.families import FAMILIES
from cumulant.notebook.recognise import recognise
from cumulant.symmetry import Group, orbits

CASES = {
    "trivial": (sym.trivial(5), "gaussian"),
    "z2": (sym.z2(4), "gaussian-even"),
    "symmetric": (sym.symmetric(6), "gaussian-exchangeable"),
    "alternating": (Group.of(5, [[(0, 1, 2)], [(0, 1, 3)], [(0, 1, 4)]]), "gaussian-exchangeable"),
    "two": (sym.symmetric(2), "gaussian-exchangeable"),
    "twins": (sym.symmetric([[0, 1, 2], [3, 4, 5]]), "gaussian-blocks"),
    "blocks": (sym.symmetric([[0, 1], [2, 3], [4, 5], [6, 7]]), "gaussian-blocks"),
    "cyclic": (sym.cyclic(7), "gaussian-ring"),
    "dihedral": (sym.dihedral(8), "gaussian-ring"),
    "grid": (sym.grid_translations(3, 4), "gaussian-grid"),
    "torus": (sym.grid_translations(4, 4), "gaussian-grid"),
    "square": (sym.square(4, translations=True), "gaussian-grid"),
    "vectors": (sym.orthogonal([[0, 1, 2], [3, 4, 5]]), "gaussian-vectors"),
    "exchangeable and even": (sym.symmetric(4) * sym.z2(4), "gaussian-exchangeable"),
}


def relabelled(group: Group, rng: np.random.Generator) -> Group:
    """The same action with its columns called otherwise."""
    new = rng.permutation(group.degree)
    images, signs = np.empty_like(group.images), np.empty_like(group.signs)
    images[:, new], signs[:, new] = new[group.images], group.signs
    families = [[[int(new[c]) for c in block] for block in f.blocks] for f in group.rotations]
    return Group.of(group.degree, list(zip(images, signs, strict=True)), rotations=families)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_labels_do_not_matter(name, seed):
    group, page = CASES[name]
    other = relabelled(group, np.random.default_rng(seed))
    match = recognise(cm.Gaussian(), other)
    assert match is not None
    assert match.page.name == page
    family = FAMILIES[match.page.solves.family]
    if page in ("gaussian", "gaussian-even", "gaussian-vectors"):
        return
    # What the page's couplings write out has the orbits of pairs of the group itself, in the order that was found.
    raw = np.random.default_rng(1).normal(size=(group.degree, 3 * group.degree))
    C = sym.reynolds(other, raw @ raw.T)
    moments = family.reduce(np.zeros(len(C)), C[np.ix_(match.order, match.order)], match.shape)
    K = family.expand(match.page.couplings_at(moments), match.shape)
    out = np.empty_like(K)
    out[np.ix_(match.order, match.order)] = K
    assert out @ C == pytest.approx(np.eye(len(C)), abs=1e-9)


def test_a_symmetry_beyond_the_pages_has_none():
    for group in (sym.wreath([[0, 1, 2], [3, 4, 5]]), Group.of(4, [[(0, 1)]]), sym.square(3)):
        assert recognise(cm.Gaussian(), group) is None
    turns = sym.orthogonal([["x", "y"], ["u", "v"]], proper=True)
    assert orbits(turns, 2).count > 3
    assert recognise(cm.Gaussian(), turns) is None


def test_thousands_of_columns_without_symmetry_are_recognised_at_once():
    assert recognise(cm.Gaussian(), sym.trivial(5000)).page.name == "gaussian"
    assert recognise(cm.Gaussian(), sym.symmetric(5000)) is None


def test_an_even_class_takes_second_moments_about_zero():
    x = np.random.default_rng(0).normal(size=(50, 4)) + 2.0
    m = cm.measure(x)
    answer = cm.notebook.lookup(cm.Gaussian(), sym.symmetric(4) * sym.z2(4), m)
    second = m.covariance + np.outer(m.mean, m.mean)
    assert answer.precision == pytest.approx(np.linalg.inv(sym.reynolds(sym.symmetric(4), second)), rel=1e-9)
    assert answer.couplings["h"] == 0
