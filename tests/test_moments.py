"""Moments are a monoid that is also subtractable, and their numbers are numpy's and pandas'."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cumulant as cm
from cumulant.errors import CumulantWarning, IncompatibleError
from helpers import TABLES

SIZES = st.lists(st.integers(0, 40), min_size=2, max_size=5)
TABLE = st.sampled_from(sorted(TABLES))


def assert_same(a: cm.Moments, b: cm.Moments, tolerance: float = 1e-12) -> None:
    """Equal rows and folds, and means and covariances equal to ``tolerance`` of the standard deviations."""
    assert a.columns == b.columns
    assert a.rows.tolist() == b.rows.tolist()
    sd = np.sqrt(np.diag(b.covariance))
    scale = np.where(sd > 0, sd, 1.0)
    magnitude = np.abs(np.nan_to_num(b.mean)) * 1e-15
    np.testing.assert_array_less(np.abs(np.nan_to_num(a.mean - b.mean)), 10 * magnitude + tolerance * scale)
    np.testing.assert_array_equal(np.isnan(a.mean), np.isnan(b.mean))
    relative = np.nan_to_num(a.covariance - b.covariance) / np.outer(scale, scale)
    assert np.abs(relative).max(initial=0.0) <= tolerance
    np.testing.assert_array_equal(np.isnan(a.covariance), np.isnan(b.covariance))
    np.testing.assert_allclose(a.total.pairs, b.total.pairs, rtol=1e-12)
    for i in b.schema.wide:
        frames = [m.by_level(b.schema.columns[i]) for m in (a, b)]
        pd.testing.assert_frame_equal(*frames, rtol=1e-9, atol=1e-9)
    for one, other in zip(a.levels.crossings, b.levels.crossings, strict=True):
        np.testing.assert_array_equal(one.cells, other.cells)
        np.testing.assert_allclose(one.weights, other.weights)


def cut(table: pd.DataFrame, sizes: list[int]) -> list[pd.DataFrame]:
    edges = np.concatenate([[0], np.cumsum(sizes)])
    return [table.iloc[i:j] for i, j in pairwise(edges)]


@pytest.mark.parametrize("kind", TABLES)
@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_merging_parts_is_measuring_the_whole(kind, sizes, seed):
    table = TABLES[kind](np.random.default_rng(seed), sum(sizes) + 5)
    whole = cm.measure(table)
    parts = [cm.measure(part, like=whole) for part in cut(table, [*sizes, 5])]
    forward = parts[0]
    for part in parts[1:]:
        forward = forward + part
    backward = parts[-1]
    for part in parts[-2::-1]:
        backward = part + backward
    assert_same(forward, whole)
    assert_same(backward, whole)


@pytest.mark.parametrize("kind", TABLES)
@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_parts_measured_apart_merge_too(kind, sizes, seed):
    """Each part has its own levels, reference point and gaps; rows without any gap are the hard case."""
    table = TABLES[kind](np.random.default_rng(seed), sum(sizes) + 10)
    parts = [cm.measure(part) for part in cut(table, [*sizes, 10])]
    merged = sum(parts[1:], start=parts[0])
    assert_same(merged, cm.measure(table), tolerance=1e-9)


@pytest.mark.parametrize("kind", TABLES)
@settings(max_examples=10, deadline=None)
@given(keep=st.integers(1, 60), go=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_forgetting_undoes_measuring(kind, keep, go, seed):
    table = TABLES[kind](np.random.default_rng(seed), keep + go)
    stays, goes = cut(table, [keep, go])
    whole = cm.measure(table)
    left = whole - cm.measure(goes, like=whole)
    expected = cm.measure(stays, like=whole)
    assert left.rows.tolist() == expected.rows.tolist()
    scale = np.abs(whole.sums).max()
    embedded = expected.embed(left.schema, left.shift, left.presence)
    assert np.abs(left.sums - embedded.sums).max() <= 1e-12 * scale


@pytest.mark.parametrize("kind", TABLES)
def test_no_rows_are_the_identity(kind):
    table = TABLES[kind](np.random.default_rng(1), 50)
    m = cm.measure(table)
    nothing = cm.Moments.empty(m.schema)
    assert_same(nothing + m, m)
    assert_same(m + nothing, m)
    assert_same(m + cm.measure(table.iloc[:0]), m)
    assert_same(m - cm.measure(table.iloc[:0]), m)


@pytest.mark.parametrize("kind", TABLES)
def test_chunking_changes_nothing(kind):
    import pyarrow as pa

    table = pa.Table.from_pandas(TABLES[kind](np.random.default_rng(20), 5000), preserve_index=False)
    whole = cm.measure(table)
    for size in (7, 1000, 4999):
        batches = table.to_batches(max_chunksize=size)
        assert_same(cm.measure(pa.RecordBatchReader.from_batches(table.schema, batches)), whole)


@pytest.mark.parametrize("kind", ["numbers", "with_gaps", "far_from_zero"])
def test_equal_to_pandas(kind):
    table = TABLES[kind](np.random.default_rng(3), 400)
    m = cm.measure(table)
    np.testing.assert_allclose(m.mean, table.mean(), rtol=1e-14)
    sd = table.std().to_numpy()
    expected = (table - table.mean()).cov().to_numpy() if kind == "far_from_zero" else table.cov().to_numpy()
    assert np.abs((m.covariance - expected) / np.outer(sd, sd)).max() < 1e-12
    assert m.frame("pairs").loc["a", "b"] == table[["a", "b"]].notna().all(axis=1).sum()


def test_twelve_digits_at_mean_1e8():
    from fractions import Fraction

    rng = np.random.default_rng(4)
    n = 1_000_000
    steps = rng.integers(-(2**20), 2**20, size=(n, 2))
    table = 1e8 + steps / 2**19  # exactly representable, so whole numbers give the exact covariance
    total = [int(s) for s in steps.sum(axis=0)]
    products = steps.T.astype(object) @ steps.astype(object)
    m = cm.measure(table)
    for i in range(2):
        for j in range(2):
            exact = (Fraction(int(products[i, j])) - Fraction(total[i] * total[j], n)) / (n - 1) / 2**38
            assert abs(m.covariance[i, j] - float(exact)) <= 1e-12 * np.sqrt(m.covariance[i, i] * m.covariance[j, j])


@pytest.mark.parametrize("kind", ["numbers", "with_gaps", "mixed"])
def test_frequency_weights_repeat_rows(kind):
    rng = np.random.default_rng(5)
    table = TABLES[kind](rng, 200)
    weights = rng.integers(0, 4, size=200)
    m = cm.measure(table, weights=weights)
    repeated = cm.measure(table.loc[table.index.repeat(weights)])
    np.testing.assert_allclose(m.mean, repeated.mean, rtol=1e-13)
    np.testing.assert_allclose(m.covariance, repeated.covariance, rtol=1e-10, atol=1e-12)
    assert m.count == repeated.count


def test_importance_weights_are_numpys_aweights():
    rng = np.random.default_rng(6)
    table, weights = TABLES["numbers"](rng, 200), rng.random(200)
    m = cm.measure(table.assign(w=weights), weights="w", weight_kind="importance")
    np.testing.assert_allclose(m.covariance, np.cov(table.T, aweights=weights), rtol=1e-12)
    scaled = cm.measure(table, weights=1000 * weights, weight_kind="importance")
    np.testing.assert_allclose(scaled.covariance, m.covariance, rtol=1e-12)
    assert m.count == scaled.count == pytest.approx(200)


@pytest.mark.parametrize("exact", ["double", "compensated"])
def test_both_precisions_agree(exact):
    table = TABLES["with_gaps"](np.random.default_rng(7), 300)
    m = cm.measure(table, precision=exact)
    assert m.exact == (exact == "compensated")
    assert_same(m, cm.measure(table))


def test_compensated_sums_merge_and_forget_to_thirty_digits():
    table = TABLES["far_from_zero"](np.random.default_rng(8), 1000)
    whole = cm.measure(table, precision="compensated")
    parts = [cm.measure(part, like=whole) for part in cut(table, [300, 700])]
    both = parts[0] + parts[1]
    left = both - parts[0]
    difference = (left.sums[0] - parts[1].sums[0]) + (left.sums[1] - parts[1].sums[1])
    assert np.abs(difference).max() <= 1e-29 * np.abs(whole.sums).max()


def test_folds_partition_the_rows():
    table = TABLES["mixed"](np.random.default_rng(9), 300)
    m = cm.measure(table, folds=7)
    assert m.folds == 7
    assert m.rows.sum() == 300
    for k in range(7):
        assert m.fold(k).count + m.without(k).count == 300
    assert_same(m.merged_folds(), cm.measure(table, folds=1))


def test_folds_depend_on_row_numbers_alone():
    table = TABLES["numbers"](np.random.default_rng(10), 100)
    shuffled = table.sample(frac=1, random_state=0)
    assert_same(cm.measure(shuffled), cm.measure(table))
    renumbered = cm.measure(shuffled.reset_index(drop=True), rows=shuffled.index.to_numpy())
    assert_same(renumbered, cm.measure(table))


def test_forgetting_rows_under_other_numbers_keeps_the_total():
    table = TABLES["numbers"](np.random.default_rng(11), 60)
    whole = cm.measure(table)
    with pytest.warns(CumulantWarning, match="rows="):
        left = whole - cm.measure(table.iloc[20:].reset_index(drop=True), rows=10_000)
    assert left.folds == 1
    np.testing.assert_allclose(left.covariance, table.iloc[:20].cov(), rtol=1e-10)


def test_forgetting_more_rows_than_there_are_is_refused():
    table = TABLES["numbers"](np.random.default_rng(12), 60)
    with pytest.raises(IncompatibleError, match="only rows that were measured"):
        cm.measure(table.iloc[:10]) - cm.measure(table)


def test_tables_that_do_not_fit_are_refused():
    a = cm.measure(TABLES["numbers"](np.random.default_rng(13), 20))
    with pytest.raises(IncompatibleError, match="only one of them has"):
        a + cm.measure(TABLES["mixed"](np.random.default_rng(13), 20))
    with pytest.raises(IncompatibleError, match="folds"):
        a + cm.measure(TABLES["numbers"](np.random.default_rng(13), 20), folds=3)
    text = TABLES["numbers"](np.random.default_rng(13), 20).astype({"a": str})
    with pytest.raises(IncompatibleError, match="column 'a' is numeric in one table and categorical in the other"):
        a + cm.measure(text)


def test_updating_by_chunks_is_measuring_at_once():
    table = TABLES["mixed_with_gaps"](np.random.default_rng(14), 90)
    m = cm.measure(table.iloc[:30])
    for start in (30, 60):
        m = m.update(table.iloc[start : start + 30])
    assert_same(m, cm.measure(table), tolerance=1e-9)


@pytest.mark.parametrize("kind", TABLES)
def test_saved_and_loaded(kind, tmp_path):
    m = cm.measure(TABLES[kind](np.random.default_rng(15), 40))
    path = tmp_path / "m.moments"
    m.save(path)
    again = cm.load(path)
    assert isinstance(again, cm.Moments)
    assert again.schema == m.schema
    np.testing.assert_array_equal(again.sums, m.sums)
    assert_same(again, m, tolerance=0.0)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("kind", TABLES)
def test_no_row_and_one_row(kind, rows):
    table = TABLES[kind](np.random.default_rng(16), 30).iloc[:rows]
    m = cm.measure(table)
    assert m.rows.sum() == rows
    if rows:
        np.testing.assert_array_equal(np.nan_to_num(m.covariance), 0.0)
