"""A target that a group acting on its inputs leaves alone, against least squares on invariants written out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import DataError, IncompatibleError, OptionError

NAMES = ["a", "b", "c", "d"]


def frame(n: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) * [1.0, 1.2, 0.8, 1.0] + [1.0, 1.5, 0.5, 1.0]
    y = x.sum(axis=1) ** 2 - 0.5 * (x**2).sum(axis=1) + rng.normal(size=n)
    return pd.DataFrame(x, columns=NAMES).assign(y=y, z=rng.normal(size=n))


def least_squares(columns: list, y: pd.Series) -> np.ndarray:
    design = np.column_stack([np.ones(len(y)), *columns])
    return design @ np.linalg.lstsq(design, y, rcond=None)[0]


@pytest.mark.parametrize("n", [8, 120])
def test_exchangeable_inputs_to_second_order_are_three_numbers(n):
    table = frame(n).drop(columns="z")
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry=sym.symmetric(NAMES), prior=None)
    x = table[NAMES].to_numpy()
    expected = least_squares([x.sum(axis=1), (x**2).sum(axis=1), x.sum(axis=1) ** 2], table["y"])
    assert_allclose(model.predict("y", given=table[NAMES]), expected, rtol=1e-8)
    summary = model.summary()
    assert summary.table.index.tolist() == ["const", "Σ4 a", "Σ4 a²", "Σ6 a·b"]
    assert summary.df_resid == n - 4
    assert_allclose(summary.residual_sd, np.sqrt(((table["y"] - expected) ** 2).sum() / (n - 4)), rtol=1e-8)
    assert "3 invariant terms of 14 monomials" in " ".join(model.notes)
    # Mean and covariance of five columns and 14 coefficients; two means are free with the target's own variance.
    assert model.symmetries.parameters == (20 + 14, 5 + 4 + 3)


def test_inputs_that_the_group_leaves_alone_keep_their_terms():
    table = frame()
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry=sym.symmetric(NAMES), prior=None)
    x, z = table[NAMES].to_numpy(), table["z"].to_numpy()
    s, q = x.sum(axis=1), (x**2).sum(axis=1)
    expected = least_squares([s, q, s**2, z, z**2, z * s], table["y"])
    assert_allclose(model.predict("y", given=table.drop(columns="y")), expected, rtol=1e-8)


def test_flips_of_a_sign_leave_even_powers_about_zero():
    table = frame()
    model = cm.fit(table[["a", "b", "y"]], cm.Taylor(4), target="y", symmetry=sym.z2(["a"]), prior=None)
    a, b = table["a"], table["b"]
    expected = least_squares([b, b**2, b**3, a**2, a**2 * b], table["y"])
    assert_allclose(model.predict("y", given=table[["a", "b"]]), expected, rtol=1e-8)


def test_a_rotated_vector_counts_by_its_length():
    table = frame()
    model = cm.fit(table[[*NAMES[:3], "y"]], cm.Taylor(3), target="y", symmetry=sym.orthogonal([NAMES[:3]]), prior=None)
    length = (table[NAMES[:3]].to_numpy() ** 2).sum(axis=1)
    assert_allclose(model.predict("y", given=table[NAMES[:3]]), least_squares([length], table["y"]), rtol=1e-8)


def test_up_to_scale_the_group_acts_on_standardised_inputs():
    table = frame() * [1.0, 1e3, 1e-3, 7.0, 1.0, 1.0] + [0.0, 1e4, 0.0, 0.0, 0.0, 0.0]
    group = sym.up_to_scale(sym.symmetric(NAMES))
    model = cm.fit(table.drop(columns="z"), cm.Taylor(3), target="y", symmetry=group, prior=None)
    x = ((table[NAMES] - table[NAMES].mean()) / table[NAMES].std()).to_numpy()
    expected = least_squares([x.sum(axis=1), (x**2).sum(axis=1), x.sum(axis=1) ** 2], table["y"])
    assert_allclose(model.predict("y", given=table[NAMES]), expected, rtol=1e-7)


def test_what_the_group_makes_of_a_row_is_predicted_alike():
    table = frame()
    # With equal means, so that inputs which are not known are alike too.
    model = cm.fit(table, cm.Taylor(4), target="y", symmetry=sym.with_mean(sym.cyclic(NAMES)))
    turned = table.rename(columns=dict(zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)))[table.columns]
    for given in (table.drop(columns="y"), table[["a", "c", "z"]]):
        other = turned[["b", "d", "z"]] if given.shape[1] == 3 else turned.drop(columns="y")
        rtol = 1e-8 if given.shape[1] == 5 else 0.3  # they are averaged over some points
        assert_allclose(model.predict("y", given=given), model.predict("y", given=other), rtol=rtol, atol=rtol)
    f = model.couplings("origin")
    assert_allclose(f["a", "a", "b", "y"], f["a", "d", "d", "y"])
    assert len(model.diagrams().terms) == len(model.summary().terms) - 1


def test_a_constant_input_is_still_one_of_its_orbit():
    table = frame().assign(d=1.0).drop(columns="z")
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry=sym.symmetric(NAMES), prior=None)
    x = table[NAMES].to_numpy()
    expected = least_squares([x.sum(axis=1), (x**2).sum(axis=1), x.sum(axis=1) ** 2], table["y"])
    assert_allclose(model.predict("y", given=table[NAMES]), expected, rtol=1e-8)


def test_the_order_is_found_and_the_model_lives_on(tmp_path):
    table = frame(400).drop(columns="z")
    group = sym.symmetric(NAMES)
    model = cm.fit(table, cm.Taylor(), target="y", symmetry=group)
    assert any("degree 2 of the mean has the highest" in note for note in model.notes)
    model.save(tmp_path / "model.cumulant")
    again = cm.load(tmp_path / "model.cumulant")
    expected = model.predict("y", given=table[NAMES], output="interval")
    pd.testing.assert_frame_equal(again.predict("y", given=table[NAMES], output="interval"), expected)
    m = cm.measure(table[:200], order=4)
    halves = cm.solve(m, cm.Taylor(3), target="y", symmetry=group, prior=None)
    whole = halves.update(table[200:], order=4)
    direct = cm.fit(table, cm.Taylor(3), target="y", symmetry=group, prior=None)
    assert_allclose(whole.predict("y", given=table[NAMES]), direct.predict("y", given=table[NAMES]), rtol=1e-8)
    assert model.symmetries.declared.group.name == "S4"


def test_outputs_that_turn_with_their_inputs_are_a_gaussian_of_pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = 2 * x + np.roll(x, 1, axis=1) + rng.normal(size=(200, 5))
    names = [f"x{j}" for j in range(5)], [f"y{j}" for j in range(5)]
    table = pd.DataFrame(np.hstack([x, y]), columns=[*names[0], *names[1]])
    model = cm.fit(table, symmetry=sym.cyclic([list(pair) for pair in zip(*names, strict=True)]), prior=None)
    predicted = model.predict(names[1], given=table[names[0]])
    turned = pd.DataFrame(np.roll(x - x.mean(axis=0), 2, axis=1) + x.mean(axis=0), columns=names[0])
    after = model.predict(names[1], given=turned).to_numpy() - y.mean(axis=0)
    assert_allclose(after, np.roll(predicted.to_numpy() - y.mean(axis=0), 2, axis=1), atol=1e-10)


def test_several_groups_act_at_once():
    table = frame()
    group = sym.symmetric(["a", "b"]) * sym.z2(["c"]) * sym.symmetric(["d", "z"])
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry=group, prior=None)
    a, b, c, d, z = (table[name] for name in [*NAMES, "z"])
    s, t = a + b, d + z
    expected = least_squares([s, t, a**2 + b**2, a * b, c**2, d**2 + z**2, d * z, s * t], table["y"])
    assert_allclose(model.predict("y", given=table.drop(columns="y")), expected, rtol=1e-8)


def test_groups_to_choose_from_are_judged_by_rows_held_out():
    table = frame(400)
    right, wrong = sym.symmetric(NAMES), sym.symmetric([*NAMES, "z"])
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry=[wrong, right], prior=None)
    told = model.symmetries.table
    assert told["symmetry"].tolist() == ["S4", "trivial", "S5"]
    assert model.symmetries.state == "chosen"
    # Mean and covariance of the six columns, and the terms to second order in five inputs.
    free, four, five = 6 + 21 + 20, 6 + 7 + 6, 6 + 4 + 3
    assert told["parameters"].tolist() == [four, free, five]
    alone = cm.fit(table, cm.Taylor(3), target="y", symmetry=right, prior=None)
    assert_allclose(model.predict("y", given=table), alone.predict("y", given=table), rtol=1e-12)
    assert any("S4 was chosen among 3 groups" in note for note in model.notes)


def test_what_is_detected_is_kept_where_it_leaves_the_target_alone():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 1)) + rng.normal(size=(2000, 4))
    table = pd.DataFrame(x, columns=NAMES).assign(y=0.1 * x.sum(axis=1) ** 2 + x.sum(axis=1) + rng.normal(size=2000))
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry="detect")
    assert (model.symmetries.state, str(model.symmetries.group)) == ("detected", "S4")
    unlike = pd.DataFrame(x * [1, 5, 25, 125] @ rng.normal(size=(4, 4)), columns=NAMES).assign(y=x[:, 0])
    plain = cm.fit(unlike, cm.Taylor(3), target="y", symmetry="detect")
    assert plain.symmetries is None
    assert "no symmetry was detected, so none was imposed" in plain.notes


def test_errors_and_scores_are_of_fits_under_the_group():
    from cumulant.measure.kernels import fold_of

    table, group = frame().drop(columns="z"), sym.symmetric(NAMES)
    model = cm.fit(table, cm.Taylor(3), target="y", symmetry=group, prior=None)
    fold, found = fold_of(np.arange(len(table)), 10), []
    for k in range(10):
        part = cm.fit(table[fold != k], cm.Taylor(3), target="y", symmetry=group, prior=None)
        error = part.predict("y", given=table[NAMES][fold == k]) - table["y"][fold == k]
        found.append(np.sqrt((error**2).mean()))
    for scores in (model.cross_validate(), model.cross_validate(data=table)):
        assert_allclose(scores["rmse"][:-1], found, rtol=1e-6)
    errors = model.coupling_table()["se"]
    assert_allclose(errors["a·b·y"], errors["c·d·y"], rtol=1e-6)
    with pytest.raises(IncompatibleError, match="jackknife"):
        model.summary(errors="jackknife")


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda t: {"symmetry": sym.symmetric(["a", "y"])}, OptionError, "takes the target 'y' to 'a'"),
        (lambda t: {"symmetry": sym.soft(sym.symmetric(NAMES))}, OptionError, "none softly"),
        (lambda t: {"symmetry": []}, OptionError, "give a group"),
        (lambda t: {"symmetry": "find"}, OptionError, "choose 'detect'"),
        (lambda t: {"symmetry": sym.symmetric(NAMES), "target": None}, OptionError, "name one"),
        (lambda t: {"symmetry": sym.symmetric(NAMES), "order": 2}, DataError, "measure with order=4"),
        (lambda t: {"symmetry": sym.symmetric(["a", "word=v"])}, OptionError, "'word' is not of numbers"),
    ],
)
def test_mistakes_are_named(call, error, said):
    table = frame(30).assign(word=["u", "v"] * 15)
    with pytest.raises(error, match=said):
        cm.fit(table, cm.Taylor(3), **({"target": "y"} | call(table)))


def test_rotations_beyond_third_degree_are_refused():
    with pytest.raises(OptionError, match="make dot products columns"):
        cm.fit(frame(), cm.Taylor(5), target="y", symmetry=sym.orthogonal([NAMES[:3]]))
