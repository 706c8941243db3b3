"""Fields that a group acting on the inputs leaves alone: beside brute force over the group, and whole models."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import OptionError
from cumulant.symmetry.quotient import Quotient
from cumulant.theory.averaged import Averaged, averaged_alike, averaged_over
from cumulant.theory.networks import NNGP
from cumulant.theory.propagators import RBF, Laplace, Linear, Matern, from_plain, to_plain

NAMES = ["a", "b", "c"]
QUICK = cm.Field(Matern(2.5) + Linear(), scale="identity", noise="constant", criterion="evidence")
RNG = np.random.default_rng(0)


def waves(n: int, p: int = 3, seed: int = 0) -> pd.DataFrame:
    """A target that no permutation and no rotation of its inputs changes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    y = np.sin((x**2).sum(axis=1) / 2) + 0.05 * rng.normal(size=n)
    return pd.DataFrame(x, columns=list("abcdefghij"[:p])).assign(y=y)


def over(group: sym.Group, k) -> Averaged:
    return averaged_over(k, *Quotient(group).elements)


# ------------------------------------------------------------------------------------------------ the propagator


@pytest.mark.parametrize("k", [RBF(1.3), Matern(0.5), Laplace(2.0), Linear(), NNGP("erf", depth=2), RBF() * Linear()])
def test_average_is_that_of_all_pairs_of_images(k):
    group = sym.cyclic(3) * sym.z2(3)
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3))
    images, signs = sym.elements(group)
    total, count = np.zeros((5, 4)), 0
    for image, sign in zip(images, signs, strict=True):
        for other, flip in zip(images, signs, strict=True):
            total += k(x[:, image] * sign, y[:, other] * flip)
            count += 1
    found = over(group, k)
    assert_allclose(found(x, y), total / count, rtol=1e-12, atol=1e-14)
    assert_allclose(found.diagonal(x), np.diag(found(x, x)), rtol=1e-12, atol=1e-14)
    assert_allclose(found(x, y), found(x[:, [1, 2, 0]], -y), rtol=1e-12, atol=1e-14)
    assert from_plain(to_plain(found)) == found


@pytest.mark.parametrize("k", [RBF(1.3), Matern(2.5), Laplace(2.0), NNGP(depth=2)])
def test_average_is_positive_and_its_gradient_that_of_differences(k):
    found = over(sym.symmetric(3), k)
    x, y, weights = RNG.normal(size=(30, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(30, 4))
    matrix = found(x, x)
    assert_allclose(matrix, matrix.T, rtol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    slope = np.empty_like(x)
    for c in range(3):
        step = 1e-6 * (np.arange(3) == c)
        slope[:, c] = ((found(x + step, y) - found(x - step, y)) * weights).sum(axis=1) / 2e-6
    assert_allclose(found.gradient(x, y, weights), slope, atol=1e-7)


def test_what_the_group_does_not_leave_alone_is_refused():
    with pytest.raises(OptionError, match=r"\.on"):
        over(sym.symmetric(3), RBF().on(0))
    images, signs = sym.elements(sym.symmetric(3))
    beside = averaged_alike(RBF(), averaged_over(RBF(), images, signs), 1)
    x = RNG.normal(size=(2, 4))
    assert_allclose(beside(x, x[:, [2, 0, 1, 3]]), beside(x, x), rtol=1e-12)
    assert np.abs(beside(x, x[:, [3, 0, 1, 2]]) - beside(x, x)).max() > 1e-3


# ------------------------------------------------------------------------------------------------ rows up to a group


@pytest.mark.parametrize(
    "group",
    [sym.cyclic(6), sym.symmetric(6), sym.hyperoctahedral(6), sym.dihedral(6), sym.z2(6), sym.trivial(6),
     sym.Group.of(6, [[(0, 1, 2)], [(0, 1)], {4: 5, 5: 4}])],
)  # fmt: skip
def test_an_orbit_has_one_row_and_other_orbits_another(group):
    quotient, x = Quotient(group), RNG.normal(size=(7, 6))
    folded = quotient.folded(x)
    for image, sign in zip(group.images, group.signs, strict=True):
        moved = np.empty_like(x)
        moved[:, image] = x * sign
        assert np.array_equal(quotient.folded(moved), folded)
    assert len(np.unique(folded, axis=0)) == 7
    # It is one of its images: by the sizes of its columns, whatever the group.
    assert_allclose(np.sort(np.abs(folded), axis=1), np.sort(np.abs(x), axis=1))


def test_permutations_are_sorted_where_they_are_many_and_summed_where_few():
    many = Quotient(sym.symmetric(list("abcde")) * sym.symmetric(["f", "g"]))
    assert len(many.elements[0]) == 2
    x = RNG.normal(size=(4, 7))
    assert np.array_equal(many.folded(x)[:, :5], np.sort(x[:, :5], axis=1))
    assert len(Quotient(sym.symmetric(4)).elements[0]) == 24


def test_rotations_are_divided_out_by_dot_products():
    rotation = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    swap = [("a", "d"), ("b", "e"), ("c", "f")]
    group = sym.Group.of(list("abcdefg"), [swap], rotations=[[list("abc"), list("def")]])
    quotient, x = Quotient(group), RNG.normal(size=(5, 7))
    turned = np.hstack([x[:, :3] @ rotation, x[:, 3:6] @ rotation, x[:, 6:]])
    u, v, rest = x[:, :3], x[:, 3:6], x[:, 6]
    dots = [rest, (u * u).sum(axis=1), (u * v).sum(axis=1), (v * v).sum(axis=1)]
    assert_allclose(quotient.coordinates(x), np.column_stack(dots))
    assert_allclose(quotient.coordinates(turned), quotient.coordinates(x))
    exchanged = quotient.coordinates(x[:, [3, 4, 5, 0, 1, 2, 6]])
    assert_allclose(quotient.folded(exchanged), quotient.folded(quotient.coordinates(x)))
    assert len(quotient.elements[0]) == 2


def test_too_many_images_and_volumes_are_refused():
    with pytest.raises(OptionError, match="invariants"):
        Quotient(sym.cyclic(50))
    with pytest.raises(OptionError, match="volumes"):
        Quotient(sym.orthogonal([["a", "b"], ["c", "d"]], proper=True))


# ------------------------------------------------------------------------------------------------ models


@pytest.mark.parametrize("group", [sym.symmetric(NAMES), sym.cyclic(NAMES), sym.up_to_scale(sym.symmetric(NAMES))])
def test_every_image_of_a_row_is_predicted_alike(group, tmp_path):
    table = waves(60)
    model = cm.fit(table, cm.Field(), target="y", symmetry=group, progress=False)
    new = waves(20, seed=1)[NAMES]
    whole = model.predict("y", given=new, output="interval")
    if not isinstance(group, sym.Declared):
        for order in permutations(range(3)):
            even = sum(order[i] > order[j] for i in range(3) for j in range(i + 1, 3)) % 2 == 0
            moved = pd.DataFrame(new.to_numpy()[:, order], columns=NAMES)
            if even or group.name == "S3":
                assert_allclose(model.predict("y", given=moved, output="interval"), whole, rtol=0, atol=1e-10)
    model.save(tmp_path / "model.cumulant")
    again = cm.load(tmp_path / "model.cumulant").predict("y", given=new, output="interval")
    assert_allclose(again, whole, rtol=0, atol=1e-12)


def test_rotated_vectors_are_predicted_alike():
    table, names = waves(60, 6), [list("abc"), list("def")]
    model = cm.fit(table, QUICK, target="y", symmetry=sym.orthogonal(names), progress=False)
    new, rotation = waves(9, 6, seed=1).to_numpy()[:, :6], np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    turned = np.hstack([new[:, :3] @ rotation, new[:, 3:] @ rotation])
    first, second = (model.predict("y", given=pd.DataFrame(x, columns=list("abcdef"))) for x in (new, turned))
    assert_allclose(first, second, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("group", "p"),
    [(sym.symmetric(NAMES), 3), (sym.z2(["a"]) * sym.z2(["b"]) * sym.z2(["c"]), 3), (sym.symmetric(list("abcdef")), 6),
     (sym.orthogonal([list("abc")]), 3)],
)  # fmt: skip
def test_a_symmetry_that_holds_makes_predictions_better(group, p):
    train, new = waves(80, p), waves(300, p, seed=1)
    inputs = new.drop(columns="y")
    errors = []
    for symmetry in (None, group):
        model = cm.fit(train, QUICK, target="y", symmetry=symmetry, progress=False)
        errors.append(float(np.mean((model.predict("y", given=inputs) - new["y"]) ** 2)))
    assert errors[1] < 0.8 * errors[0]


def test_gradient_of_the_evidence_with_scales_in_common():
    from cumulant.solve.field.evidence import _Search, started

    x = RNG.normal(size=(30, 4))
    elements = Quotient(sym.Group.of(4, [[(0, 1, 2)], [(0, 1)]])).elements
    parts = tuple(averaged_over(k, *elements) for k in (Matern(2.5), Linear()))
    search = _Search(x, np.sin(x).sum(axis=1), np.ones(30), np.zeros(30), started(parts, 4), True, "evidence")
    at = search.flat(started(parts, 4)) + np.array([0.1, -0.2, 0.0, 0.1])
    assert search.hyper(at).metric[:3].std() == 0
    _, gradient = search(at)
    for i in range(len(at)):
        step = 1e-5 * (np.arange(len(at)) == i)
        assert gradient[i] == pytest.approx((search(at + step)[0] - search(at - step)[0]) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("symmetry", "said"),
    [(sym.symmetric(["a", "y"]), "is no target"), ([sym.symmetric(NAMES)], "takes one group"),
     (sym.soft(sym.symmetric(NAMES)), "none softly"), (sym.symmetric(["a", "word=v"]), "not of numbers")],
)  # fmt: skip
def test_mistakes_are_named(symmetry, said):
    with pytest.raises(OptionError, match=said):
        cm.fit(waves(30).assign(word=["u", "v"] * 15), cm.Field(), target="y", symmetry=symmetry, progress=False)


def test_a_category_under_a_symmetry_is_refused_with_a_remedy():
    table = waves(30).drop(columns="y").assign(kind=["u", "v", "w"] * 10)
    with pytest.raises(OptionError, match="invariants"):
        cm.fit(table, cm.Field(), target="kind", symmetry=sym.symmetric(NAMES), progress=False)
