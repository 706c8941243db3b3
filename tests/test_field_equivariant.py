"""Targets that turn as their inputs do: the propagator by brute force, exact covariance, and accuracy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import OptionError
from cumulant.theory.networks import NNGP
from cumulant.theory.propagators import RBF, Matern

QUARTER = sym.Group.of(list("absuv"), [{"a": "b", "b": "-a", "u": "v", "v": "-u"}])
MIRRORED = QUARTER * sym.Group.of(list("absuv"), [{"b": "-b", "v": "-v"}])


def swirl(n: int, seed: int = 0, noise: float = 0.05) -> pd.DataFrame:
    """A vector field (u, v) that turns with (a, b), beside a scalar s."""
    rng = np.random.default_rng(seed)
    x, s = rng.normal(size=(n, 2)), rng.normal(size=n)
    pull, turn = 2 * np.exp(-(x**2).sum(axis=1) / 2), np.cos(s)
    u, v = pull * x[:, 0] - turn * x[:, 1], pull * x[:, 1] + turn * x[:, 0]
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "s": s, "u": u, "v": v})
    table[["u", "v"]] += noise * rng.normal(size=(n, 2))
    return table


def error(model: cm.Model, new: pd.DataFrame) -> float:
    found = model.predict(["u", "v"], given=new[["a", "b", "s"]])
    return float(np.sqrt(((found - new[["u", "v"]]) ** 2).to_numpy().mean()))


@pytest.fixture(scope="module")
def model() -> cm.Model:
    return cm.fit(swirl(100), cm.Field(), target=["u", "v"], symmetry=QUARTER, progress=False)


def test_predictions_turn_with_their_inputs(model):
    new = swirl(50, seed=1)
    inputs, found = new[["a", "b", "s"]], model.predict(["u", "v"], given=new[["a", "b", "s"]], output="interval")
    turned = pd.DataFrame({"b": inputs["a"], "a": -inputs["b"], "s": inputs["s"]})
    after = model.predict(["u", "v"], given=turned, output="interval")
    assert_allclose(after["v"]["mean"], found["u"]["mean"], atol=1e-10)
    assert_allclose(after["u"]["mean"], -found["v"]["mean"], atol=1e-10)
    assert_allclose(after["v"]["high"], found["u"]["high"], atol=1e-10)
    assert_allclose(after["u"]["high"], -found["v"]["low"], atol=1e-10)


def test_rows_count_for_all_their_images(model):
    new = swirl(400, seed=2, noise=0.0)
    free = cm.fit(swirl(100), cm.Field(), target=["u", "v"], progress=False)
    assert error(model, new) < 0.6 * error(free, new)
    assert any("turn with their inputs" in note for note in model.notes)


def test_the_propagator_is_the_sum_over_the_group():
    table = swirl(12)
    theory = cm.Field(RBF(), criterion="evidence", metric="unit")
    found = cm.fit(table, theory, target=["v", "u"], symmetry=MIRRORED, progress=False)
    law = found.law.laws[0]
    member = law.members[0]
    x, k = law.standardised(table[["a", "b", "s"]].to_numpy())[:, :3], RBF()
    metric, marks = member.hyper.metric, member.hyper.metric[3] ** 2 * 5
    images, signs = sym.elements(MIRRORED.on(list("absvu")))
    row = np.zeros((12, 12, 2, 2))
    for image, sign in zip(images, signs, strict=True):
        moved = np.empty_like(x)
        moved[:, image[:3]] = x * sign[:3]
        rho = np.zeros((2, 2))
        rho[image[3:] - 3, [0, 1]] = sign[3:]
        row += k(x * metric[:3], moved * metric[:3])[:, :, None, None] * rho / len(images)
    whole = marks * row.transpose(0, 2, 1, 3).reshape(24, 24)
    assert_allclose(member.hyper.propagator(member._z, member._z), whole, atol=1e-10)


def test_permutations_and_odd_functions():
    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc"))
    force = np.sin(x) - 0.3 * np.sin(x).sum(axis=1).to_numpy()[:, None] + 2.0
    table = x.join(force.set_axis(list("uvw"), axis=1) + 0.02 * rng.normal(size=(80, 3)))
    swaps = sym.Group.of(list("abcuvw"), [[("a", "b", "c"), ("u", "v", "w")], [("a", "b"), ("u", "v")]])
    model = cm.fit(table, cm.Field(Matern(2.5)), target=list("uvw"), symmetry=swaps, progress=False)
    found = model.predict(list("uvw"), given=x)
    moved = model.predict(list("uvw"), given=x.set_axis(list("bca"), axis=1))
    assert_allclose(moved[list("vwu")], found, atol=1e-10)
    assert_allclose(found, table[list("uvw")], atol=0.3)
    flip = sym.Group.of(["a", "u"], [{"a": "-a", "u": "-u"}])
    odd = cm.fit(table[["a"]].assign(u=np.sinh(x["a"])), cm.Field(), target="u", symmetry=flip, progress=False)
    ahead, back = (odd.predict("u", given={"a": sign * np.arange(3.0)}) for sign in (1, -1))
    assert_allclose(ahead, -back, atol=1e-10)
    assert ahead[0] == pytest.approx(0, abs=1e-10)


def test_the_rest_of_a_model(model, tmp_path):
    new = swirl(10, seed=4)
    model.save(tmp_path / "m.cumulant")
    kept = cm.load(tmp_path / "m.cumulant")
    assert_allclose(kept.predict(["u", "v"], given=new), model.predict(["u", "v"], given=new), rtol=0, atol=1e-12)
    assert model.summary("u").table.index.tolist() == ["a", "b", "s"]
    assert model.sample(4, seed=0).shape == (4, 5)
    assert np.isfinite(model.log_prob(new)).all()
    assert np.isfinite(model.predict("u", given=new[["a", "s"]])).all()
    smaller = model.marginal(["a", "b", "s", "u"])
    assert_allclose(smaller.predict("u", given=new), model.predict("u", given=new), rtol=1e-9)
    flat = cm.fit(swirl(30).assign(u=0.0, v=0.0), cm.Field(), target=["u", "v"], symmetry=QUARTER, progress=False)
    assert_allclose(flat.predict("u", given=new[["a", "b", "s"]]), 0, atol=1e-10)


def test_what_is_refused():
    table = swirl(20)
    with pytest.raises(OptionError, match="'v', which is no target"):
        cm.fit(table, cm.Field(), target="u", symmetry=QUARTER, progress=False)
    with pytest.raises(OptionError, match="scale='log'"):
        cm.fit(table, cm.Field(scale="log"), target=["u", "v"], symmetry=QUARTER, progress=False)
    with pytest.raises(OptionError, match="width=50"):
        cm.fit(table, cm.Field(NNGP(), width=50), target=["u", "v"], symmetry=QUARTER, progress=False)
    turns = sym.Group.of(list("absuv"), [], rotations=[[["a", "b"], ["u", "v"]]])
    with pytest.raises(OptionError, match="by any angle"):
        cm.fit(table, cm.Field(), target=["u", "v"], symmetry=turns, progress=False)
    names = [f"{kind}{i}" for kind in "xf" for i in range(5)]
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 10)), columns=names)
    cycles = [[tuple(names[:5]), tuple(names[5:])], [tuple(names[:2]), tuple(names[5:7])]]
    with pytest.raises(OptionError, match="120 elements"):
        cm.fit(wide, cm.Field(), target=names[5:], symmetry=sym.Group.of(names, cycles), progress=False)
    with pytest.raises(OptionError, match=r"\.on"):
        cm.fit(table, cm.Field(RBF().on(0)), target=["u", "v"], symmetry=QUARTER, progress=False)
