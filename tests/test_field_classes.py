"""Classes as fields: beside brute force and scikit-learn, whole models, and bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.model_selection import cross_val_predict
from sklearn.svm import SVC

import cumulant as cm
from cumulant.errors import OptionError
from cumulant.explain.describe import describe
from cumulant.sklearn import FreeEnergyClassifier
from cumulant.solve.field import classes, solve
from cumulant.solve.field.class_blocks import ClassBlocks, condition_blocks
from cumulant.solve.field.classes import condition_classes
from cumulant.solve.field.left_out import LeftOutClasses
from cumulant.theory.propagators import RBF, Constant, Laplace, Linear, Matern


def rings(n: int, seed: int = 0) -> pd.DataFrame:
    """Three classes by the distance from the origin: no line parts them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    far = np.hypot(*x.T)
    return pd.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "ring": np.array(["in", "mid", "out"])[np.digitize(far, [0.8, 1.5])]}
    )


def arrays(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    table = rings(n, seed)
    return table[["a", "b"]].to_numpy(copy=True), table["ring"].astype("category").cat.codes.to_numpy()


def test_fields_are_those_of_scikit_learn():
    x, y = arrays(60)
    found = condition_classes(x, y, 3, [RBF(0.7)])
    (member,) = found.members
    new = (arrays(20, 1)[0] - found.centre) / found.width
    ours = member.fields(new, found.rows)
    contrast = np.where(np.arange(3) == y[:, None], 1.0, -1.0)
    level = kernels.ConstantKernel(classes.LEVEL)
    theirs = GaussianProcessRegressor(kernels.RBF(0.7) + level, alpha=member.noise, optimizer=None)
    theirs.fit(found.rows, contrast - contrast.mean(axis=0))
    np.testing.assert_allclose(ours, theirs.predict(new) + contrast.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("factors", [False, True])
def test_rows_left_out_are_those_of_brute_force(factors):
    x, y = arrays(40)
    contrast = np.where(np.arange(3) == y[:, None], 1.0, -1.0)
    k = Matern(0.5, 1.3)
    member = classes.Member(k, 0.1, 1.0, contrast, contrast[0], 1.0, contrast[0], 1.0)
    left = classes._by_factors(member, x, contrast, (0.1, 1.0)) if factors else classes._by_spectrum(k, x, contrast)
    k = k + Constant(classes.LEVEL)
    for i in (0, 17, 39):
        rest = np.arange(40) != i
        dual = np.linalg.solve(k(x[rest], x[rest]) + left.noise * np.eye(39), contrast[rest])
        np.testing.assert_allclose(left.fields[i], (k(x[i : i + 1], x[rest]) @ dual)[0], atol=1e-9)


@pytest.mark.parametrize(("rows", "columns"), [(20, 3), (20, 100), (60, 1000)])
def test_inputs_that_say_nothing_make_no_class_certain(rows, columns):
    # Where the mean of all rows is taken as known, the others tell the class of each: it is what they lack.
    rng, logs, told = np.random.default_rng(0), [], []
    for _ in range(4):
        x, y = rng.normal(size=(rows + 100, columns)), np.arange(rows + 100) % 2
        found = condition_classes(x[:rows], y[:rows], 2, classes.candidates(columns, product=columns <= 60))
        logs.append(classes.log_of(found.probabilities(x[rows:]), y[rows:]).mean())
        told.append(found.left_out)
    assert np.mean(logs) > -0.9
    assert np.mean(told) < -0.6


def test_both_ways_agree_and_many_rows_are_screened_first(monkeypatch):
    x, y = arrays(300)
    whole = condition_classes(x, y, 3, [RBF(0.7), Laplace(1.0)])
    monkeypatch.setattr(classes, "SCREENED", 150)
    screened = condition_classes(x, y, 3, [RBF(0.7), Laplace(1.0)])
    new, truth = arrays(500, 2)
    for found in (whole, screened):
        p = found.probabilities(new)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
        assert (p.argmax(axis=1) == truth).mean() > 0.93
    assert screened.left_out == pytest.approx(whole.left_out, abs=0.05)


def test_link_is_calibrated():
    x, y = arrays(400)
    flipped = np.where(np.random.default_rng(3).random(400) < 0.2, (y + 1) % 3, y)
    p = condition_classes(x, flipped, 3, classes.candidates(2, product=True)).probabilities(arrays(2000, 5)[0])
    assert p.max(axis=1).mean() == pytest.approx(0.8, abs=0.06)


def test_beats_the_plane_and_a_tuned_peer_where_classes_bend():
    table, new = rings(300), rings(500, 1)
    model = cm.fit(table, cm.Field(), target="ring")
    assert any("left-out rows" in note for note in model.notes)
    hit = (model.predict("ring", given=new[["a", "b"]]) == new["ring"]).mean()
    flat = (cm.fit(table, target="ring").predict("ring", given=new[["a", "b"]]) == new["ring"]).mean()
    peer = SVC().fit(table[["a", "b"]], table["ring"]).score(new[["a", "b"]], new["ring"])
    assert hit > max(flat + 0.2, peer - 0.02)


def test_model_answers_everything_and_is_kept(tmp_path):
    table = rings(120).assign(hot=lambda t: t["a"] > 0)
    model = cm.fit(table, cm.Field(), target="ring")
    gaps = table.drop(columns="ring").mask(np.random.default_rng(0).random((120, 3)) < 0.3)
    p = model.predict("ring", given=gaps, output="density")
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(
        model.predict("hot", given=table[["a"]]), cm.fit(table).predict("hot", given=table[["a"]])
    )
    fixed = model.condition({"a": 0.3})
    same = model.predict("ring", given=table[["b", "hot"]].assign(a=0.3), output="density")
    np.testing.assert_allclose(fixed.predict("ring", given=table[["b", "hot"]], output="density"), same, atol=1e-12)
    assert np.isfinite(model.log_prob(table)).all()
    drawn = model.sample(2000, seed=0)
    assert set(drawn["ring"]) == {"in", "mid", "out"}
    holes = table.assign(ring=table["ring"].where(table.index > 10))
    assert (model.impute(holes)["ring"] == table["ring"]).mean() > 0.95
    model.save(tmp_path / "rings.cumulant")
    again = cm.load(tmp_path / "rings.cumulant")
    np.testing.assert_allclose(again.predict("ring", given=gaps, output="density"), p, atol=1e-12)


def test_density_of_the_class_is_its_log_probability():
    table = rings(100)
    model = cm.fit(table, cm.Field(), target="ring")
    p = model.predict("ring", given=table[["a", "b"]], output="density").to_numpy()
    own = table["ring"].map({"in": 0, "mid": 1, "out": 2}).to_numpy()
    both = model.log_prob(table) - model.log_prob(table[["a", "b"]])
    np.testing.assert_allclose(both, np.log(p[np.arange(100), own]), atol=1e-9)


def test_true_and_false_is_two_classes():
    table = rings(200).assign(inside=lambda t: t["ring"] == "in").drop(columns="ring")
    model = cm.fit(table, cm.Field(Matern(1.5, 1.0)), target="inside")
    assert ((model.predict("inside", given=table[["a", "b"]]) > 0.5) == table["inside"]).mean() > 0.95


def test_estimator():
    x, y = load_iris(return_X_y=True)
    labels = np.array(["setosa", "versicolor", "virginica"])[y]
    assert (cross_val_predict(FreeEnergyClassifier(theory="field"), x, labels) == labels).mean() > 0.94
    with pytest.raises(OptionError, match="use fit"):
        FreeEnergyClassifier(theory="field").partial_fit(x, labels, classes=labels)
    with pytest.raises(OptionError, match="choose 'auto', 'field'"):
        FreeEnergyClassifier(theory="lattice").fit(x, labels)


@pytest.mark.parametrize("candidate", [Linear(), RBF(0.5)])
def test_a_class_of_one_row_and_rows_that_repeat(candidate):
    x, y = arrays(50)
    y = np.where(np.arange(50) == 7, 3, y)
    x[10:20] = x[0]
    p = condition_classes(x, y, 4, [candidate]).probabilities(x)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


def test_bad_tables_get_an_answer_or_a_reason():
    table = rings(60)
    one = cm.fit(table.assign(ring="in"), cm.Field(), target="ring")
    assert (one.predict("ring", given=table[["a", "b"]]) == "in").all()
    flat = cm.fit(table.assign(a=1.0, b=2.0), cm.Field(), target="ring")
    assert any("the law is Gaussian" in note for note in flat.notes)
    outlier = table.assign(a=table["a"].where(table.index > 0, 1e6))
    assert len(cm.fit(outlier, cm.Field(), target="ring").predict("ring", given=table[["a", "b"]])) == 60
    with pytest.raises(OptionError, match="fit it by itself"):
        cm.fit(table, cm.Field(), target=["ring", "a"])


# ---------------------------------------------------------------------------------- more rows than at once


def test_blocks_foretell_new_rows_as_well_as_they_say():
    x, y = arrays(900)
    chosen = classes.candidates(2, product=True)
    found, told = condition_blocks(x, y, 3, chosen, 250)
    assert isinstance(found, ClassBlocks)
    assert len(found.blocks) == 4
    assert len(found.given) == len(y)
    new, truth = arrays(2000, 4)
    p = found.probabilities(new)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    few = condition_classes(x[::4], y[::4], 3, chosen).probabilities(new)
    own = np.log(p[np.arange(2000), truth]).mean()
    assert own > np.log(few[np.arange(2000), truth]).mean() + 0.01
    assert own == pytest.approx(found.left_out, abs=0.03)
    assert np.log(told[np.arange(900), y]).mean() == pytest.approx(found.left_out)
    assert condition_blocks(x, y, 3, [RBF(0.7)], 900)[0].probabilities(new).argmax(axis=1).shape == (2000,)


def test_a_row_is_answered_by_its_block_and_by_all():
    x, y = arrays(200)
    found, _ = condition_blocks(x, y, 3, [RBF(0.7)], 120)
    z = (x - found.whole.centre) / found.whole.width
    left = z @ found.partition.directions[0] <= found.partition.cuts[0]
    by_block = [condition_classes(x[some], y[some], 3, [RBF(0.7)]).probabilities(x) for some in (left, ~left)]
    own = np.where(left[:, None], *by_block)
    whole = found.whole.probabilities(x)
    np.testing.assert_allclose(found.probabilities(x), found.weight * own + (1 - found.weight) * whole, atol=1e-12)


def test_classes_that_are_in_one_block_alone_and_a_model_that_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(solve, "DENSE_ROWS", 60)
    table = rings(150).sort_values("a", ignore_index=True)
    table["ring"] = np.where(table["a"] > 1.2, "far", "near")
    model = cm.fit(table, cm.Field(), target="ring")
    assert any("blocks of near rows" in note for note in model.notes)
    given = table.drop(columns="ring")
    p = model.predict("ring", given=given, output="density")
    assert ((p["far"] > 0.5) == (table["ring"] == "far")).mean() > 0.97
    model.save(tmp_path / "blocks.cumulant")
    again = cm.load(tmp_path / "blocks.cumulant").predict("ring", given=given, output="density")
    np.testing.assert_allclose(again, p, atol=1e-12)
    model.report(tmp_path / "page.html")
    assert "blocks of near rows" in (tmp_path / "page.html").read_text("utf-8")


# ---------------------------------------------------------------------------------- judged by the rows themselves


def test_rows_left_out_judge_without_being_given_again(tmp_path):
    table = rings(300)
    model = cm.fit(table, cm.Field(), target="ring")
    model.save(tmp_path / "rings.cumulant")
    found = describe(cm.load(tmp_path / "rings.cumulant"))["held_out"]
    rows = next(entry["rows"] for entry in found if entry["target"] == "ring")
    assert rows["each"]
    assert rows["held_out"]
    assert rows["rows"] == 300
    new = rings(4000, 1)
    p = model.predict("ring", given=new.drop(columns="ring"), output="density")
    log_loss = -np.log(p.to_numpy()[np.arange(len(new)), p.columns.get_indexer(new["ring"])]).mean()
    assert rows["log_loss"] == pytest.approx(log_loss, abs=0.06)
    assert rows["accuracy"] == pytest.approx((p.idxmax(axis=1) == new["ring"]).mean(), abs=0.04)
    # Where it says so with a probability, it is so as often.
    sizes = np.array([entry["cases"] for entry in rows["reliability"]])
    off = np.array([entry["observed"] - entry["predicted"] for entry in rows["reliability"]])
    assert (np.abs(off) * sizes).sum() / sizes.sum() < 0.04


def test_of_many_rows_some_judge():
    level = np.arange(70_000) % 2
    told = LeftOutClasses.of(level, np.tile([0.25, 0.75], (70_000, 1)))
    assert told.probability.shape == (35_000, 2)
    assert told.level.tolist() == level[::2].tolist()
