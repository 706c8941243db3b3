"""Sums by level are the blocks of a dense one-hot, whatever was merged, forgotten, missing or grown on the way."""

from __future__ import annotations

from importlib import import_module
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cumulant as cm
from cumulant.lift import NARROW
from cumulant.measure.kernels import fold_of


def table(n: int, seed: int = 0, gaps: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n) + 3.0,
            "plane": rng.integers(0, 12, size=n).astype(str),
            "kind": rng.choice(["red", "blue"], size=n),
            "city": rng.choice(list("abcdefg"), size=n),
            "y": rng.normal(size=n) - 100.0,
        }
    )
    return frame.mask(rng.random(frame.shape) < gaps) if gaps else frame


WIDE = {"plane": "wide", "city": "wide"}


def one_hot(m: cm.Moments, frame: pd.DataFrame, weights: np.ndarray | None = None) -> None:
    """Compare with Σ w e zᵀ and Σ w e e'ᵀ of indicators that are written out."""
    lifts = {lift.name: lift for lift in m.schema.wide_lifts()}
    dense = {name: [frame[name].to_numpy() == level for level in lift.levels] for name, lift in lifts.items()}
    dense = {name: np.array(rows, dtype=float).reshape(len(rows), len(frame)) for name, rows in dense.items()}
    w = np.ones(len(frame)) if weights is None else weights
    z = [np.ones(len(frame)), *(frame[m.schema.columns[c]].notna().to_numpy(dtype=float) for c in m.presence)]
    for field, column in zip(m.schema.fields, m.schema.column_of_field, strict=True):
        name = m.schema.columns[column]
        cells = frame[name]
        value = cells.to_numpy(dtype=float) if field == name else (cells == field.split("=")[1]).to_numpy(dtype=float)
        z.append(np.where(cells.notna(), value - m.shift[m.schema.fields.index(field)], 0.0))
    fold = fold_of(frame.index.to_numpy(), m.folds)
    for k in range(m.folds):
        here = np.flatnonzero(fold == k)
        rows = np.array(z)[:, here] * w[here]
        for sums, e in zip(m.levels.sums, dense.values(), strict=True):
            np.testing.assert_allclose(sums[k], e[:, here] @ rows.T, atol=1e-9)
        for crossing, (a, b) in zip(m.levels.crossings, combinations(dense.values(), 2), strict=True):
            counts = np.zeros(crossing.shape)
            counts[crossing.indices()] = crossing.weights
            np.testing.assert_allclose(counts[k], (a[:, here] * w[here]) @ b[:, here].T, atol=1e-9)


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_sums_by_level_are_those_of_indicators(gaps):
    frame = table(500, gaps=gaps)
    one_hot(cm.measure(frame, lifts=WIDE), frame)
    weights = np.random.default_rng(1).random(len(frame)) + 0.5
    one_hot(cm.measure(frame, lifts=WIDE, weights=weights, weight_kind="importance"), frame, weights)
    one_hot(cm.measure(frame, lifts=WIDE, precision="compensated"), frame)


@pytest.mark.parametrize("weighted", [False, True])
def test_gaps_that_come_and_go(monkeypatch, weighted):
    """Blocks without a gap after one that has some, and levels that only late blocks have."""
    monkeypatch.setattr(import_module("cumulant.measure.measure"), "BLOCK_BYTES", 1 << 12)
    frame = table(12_000)
    frame.loc[4000:5000] = frame.loc[4000:5000].mask(np.random.default_rng(1).random((1001, 5)) < 0.1)
    frame.loc[9000:, "plane"] += "*"
    weights = np.random.default_rng(2).random(len(frame)) + 0.5 if weighted else None
    one_hot(cm.measure(frame, lifts=WIDE, weights=weights), frame, weights)


def test_dropped_rows_leave_no_trace():
    frame = table(300, gaps=0.1)
    m = cm.measure(frame, lifts=WIDE, missing="drop")
    one_hot(m, frame.dropna())


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_parts_measured_apart_merge_and_part_again(gaps):
    frame = table(400, gaps=gaps)
    # The second part knows the category by its fields, the first and the third by level; levels differ.
    parts = [frame.iloc[:150], frame.iloc[150:180], frame.iloc[180:]]
    measured = [cm.measure(part, lifts=WIDE if i != 1 else None) for i, part in enumerate(parts)]
    a, b, c = measured
    for total in ((a + b) + c, a + (b + c), (c + b) + a):
        one_hot(total, frame)
    one_hot((a + b + c) - b, pd.concat([parts[0], parts[2]]))
    one_hot((a + b + c) - b - a, parts[2])
    nothing = cm.measure(frame.iloc[:0])
    one_hot(nothing + a, parts[0])
    one_hot(a - nothing, parts[0])


def test_a_level_whose_last_row_is_forgotten_stays_without_rows():
    frame = table(60)
    frame.loc[0, "plane"] = "only here"
    m = cm.measure(frame, lifts=WIDE)
    left = m - cm.measure(frame.iloc[:1], like=m)
    place = left.schema.wide_lifts()[0].levels.index("only here")
    assert left.levels.sums[0][:, place, 0].tolist() == [0.0] * left.folds
    assert np.abs(left.levels.sums[0][:, place]).max() < 1e-12
    one_hot(left, frame.iloc[1:])


def test_levels_of_later_chunks_and_many_of_them_make_a_category_wide():
    n = 6000
    rng = np.random.default_rng(2)
    level = np.concatenate([rng.integers(0, 40, 4500), rng.integers(0, 400, n - 4500)]).astype(str)
    frame = pd.DataFrame({"x": rng.normal(size=n), "c": level})
    m = cm.measure(pa.Table.from_pandas(frame), levels=1000)
    assert [lift.name for lift in m.schema.wide_lifts()] == ["c"]
    assert len(m.schema.wide_lifts()[0].levels) == len(set(level)) > NARROW
    assert m.columns == ("x",)
    one_hot(m, frame)
    coded = pa.table({"x": frame["x"], "c": pa.array(level).dictionary_encode()})
    one_hot(cm.measure(coded, levels=1000), frame)
    with pytest.warns(cm.CumulantWarning, match="more than 200 levels"):
        capped = cm.measure(frame, levels=200)
    assert capped.schema.wide_lifts()[0].remainder
    np.testing.assert_allclose(capped.levels.sums[0][:, :, 0].sum(), n)
    both = capped + m
    assert both.schema.wide_lifts()[0].all_levels == capped.schema.wide_lifts()[0].all_levels
    np.testing.assert_allclose(both.levels.sums[0][:, -1], (capped.levels.sums[0][:, -1] + _rest(m, capped)), atol=1e-9)


def _rest(m: cm.Moments, capped: cm.Moments) -> np.ndarray:
    lost = [level not in capped.schema.wide_lifts()[0].levels for level in m.schema.wide_lifts()[0].levels]
    moved = m.embed(m.schema, capped.shift, m.presence)
    return moved.levels.sums[0][:, lost].sum(axis=1)


@pytest.mark.parametrize("cells", [[None] * 5, ["a"] * 5, list("abcde")], ids=["all missing", "one", "all distinct"])
def test_few_levels_and_many(cells):
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object), "x": np.arange(5.0)})
    m = cm.measure(frame, lifts={"c": "wide"})
    one_hot(m, frame)
    assert m.levels.sums[0].shape[1] == len(set(cells) - {None})
    alone = cm.measure(frame[["c"]], lifts={"c": "wide"})
    assert alone.columns == ()
    assert alone.rows.sum() == 5


def test_folds_part_and_merge():
    frame = table(300)
    m = cm.measure(frame, lifts=WIDE, folds=4)
    fold = fold_of(frame.index.to_numpy(), 4)
    used = np.array([True, False, True, True])
    some = m.some_folds(used).merged_folds()
    np.testing.assert_allclose(some.levels.sums[0][0], m.levels.sums[0][used].sum(axis=0))
    assert some.levels.crossings[0].weights.sum() == (used[fold]).sum()
    counts = pd.crosstab(frame.loc[used[fold], "plane"], frame.loc[used[fold], "city"]).to_numpy()
    found = np.zeros(some.levels.crossings[0].shape)
    found[some.levels.crossings[0].indices()] = some.levels.crossings[0].weights
    np.testing.assert_array_equal(found[0], counts)


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_means_by_level_are_those_of_pandas(gaps):
    frame = table(400, gaps=gaps)
    m = cm.measure(frame, lifts=WIDE)
    found = m.by_level("plane")
    grouped = frame.groupby("plane")
    np.testing.assert_array_equal(found["count"], grouped.size())
    np.testing.assert_allclose(found[["x", "y"]], grouped[["x", "y"]].mean(), rtol=1e-12)
    with pytest.raises(cm.CumulantError, match="'kind' is not kept by level"):
        m.by_level("kind")


def test_saved_and_loaded(tmp_path):
    frame = table(200, gaps=0.1)
    m = cm.measure(frame, lifts=WIDE)
    m.save(tmp_path / "m")
    again = cm.load(tmp_path / "m")
    assert again.schema == m.schema
    one_hot(again, frame)


def test_numpy_adds_the_same(monkeypatch):
    frame = table(300)
    compiled = cm.measure(frame, lifts=WIDE)
    monkeypatch.setattr(import_module("cumulant.measure.scatter"), "library", lambda: None)
    plain = cm.measure(frame, lifts=WIDE)
    for a, b in zip(plain.levels.sums, compiled.levels.sums, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_large_tables_of_counts_are_sorted(monkeypatch):
    frame = table(400, gaps=0.1)
    monkeypatch.setattr(import_module("cumulant.measure.levels"), "DENSE", 0)
    one_hot(cm.measure(frame, lifts=WIDE), frame)
    weights = np.random.default_rng(3).random(len(frame)) + 0.5
    one_hot(cm.measure(frame, lifts=WIDE, weights=weights), frame, weights)


def test_groups_have_no_wide_category():
    frame = table(50)
    with pytest.raises(cm.CumulantError, match="column 'plane' cannot be 'wide' with group_by="):
        cm.measure(frame, group_by="city", lifts={"plane": "wide"})
