"""Groups in one pass against pandas and against measuring each group; the models of groups."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cumulant as cm
from commandline import Cli
from cumulant.errors import ColumnError, DataError, OptionError, ResourceError
from helpers import TABLES

kernels = import_module("cumulant.measure.kernels")
KINDS = ("numbers", "far_from_zero", "mixed", "awkward")


@pytest.fixture(params=["compiled", "NumPy"])
def arithmetic(request, monkeypatch):
    if request.param == "NumPy":
        monkeypatch.setattr(kernels, "library", lambda: None)
    return request.param


def table_of(kind: str, n: int = 3000, groups: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    # A few groups with many rows, many with few.
    return TABLES[kind](rng, n).assign(store=[f"s{int(k)}" for k in groups * rng.random(n) ** 3])


@pytest.mark.parametrize("kind", KINDS)
def test_each_group_is_what_its_rows_alone_give(kind, arithmetic):
    table = table_of(kind)
    groups = cm.measure(table, group_by="store")
    assert list(groups) == list(dict.fromkeys(table["store"]))
    for level, rows in table.groupby("store"):
        alone = cm.measure(rows.drop(columns="store"), folds=1, like=cm.measure(rows.drop(columns="store"), folds=1))
        m = groups[level]
        assert m.rows.tolist() == [len(rows)]
        alone = alone.embed(m.schema, m.shift, ())
        scale = np.sqrt(np.outer(np.diagonal(m.sums[0, 0]), np.diagonal(m.sums[0, 0])))
        np.testing.assert_allclose(m.sums[0, 0], alone.sums[0, 0], rtol=0, atol=1e-7 * scale.max() + 1e-12)
        np.testing.assert_allclose(m.total.mean, alone.total.mean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("folds", [1, 4])
def test_means_and_covariances_are_those_of_pandas(folds, arithmetic):
    table = table_of("numbers")
    groups = cm.measure(table, group_by="store", folds=folds)
    numbers = table.drop(columns="store").columns
    by = table.groupby("store")
    assert dict(zip(groups, groups.rows, strict=True)) == by.size().to_dict()
    for level in groups:
        m = groups[level]
        assert m.folds == folds
        np.testing.assert_allclose(m.mean, by[list(numbers)].mean().loc[level], rtol=1e-12)
        if m.count > 1:
            expected = by.get_group(level)[list(numbers)].cov()
            np.testing.assert_allclose(m.covariance, expected, rtol=1e-9, atol=1e-12)


def test_folds_and_row_numbers_are_those_of_measure():
    table = table_of("numbers")
    table.index = np.random.default_rng(1).permutation(len(table)) + 5
    groups = cm.measure(table, group_by="store", folds=3)
    numbered = cm.measure(table.reset_index(names="row"), group_by="store", folds=3, rows="row")
    listed = cm.measure(table.reset_index(drop=True), group_by="store", folds=3, rows=np.asarray(table.index))
    for level, rows in table.groupby("store"):
        expected = cm.measure(rows.drop(columns="store"), folds=3).rows
        for found in (groups, numbered, listed):
            np.testing.assert_array_equal(found[level].rows, expected)


def test_all_groups_together_are_the_table():
    table = table_of("mixed")
    groups, m = cm.measure(table, group_by="store"), cm.measure(table.drop(columns="store"), folds=1)
    np.testing.assert_allclose(groups.total.mean, m.mean, rtol=1e-12)
    np.testing.assert_allclose(groups.total.covariance, m.covariance, rtol=1e-10, atol=1e-12)


def test_chunks_and_sources_do_not_matter(tmp_path):
    table = table_of("mixed")
    # Levels, of the groups and of a field, that only later chunks show.
    table.loc[2000:, "city"] = np.where(np.arange(1000) % 3, table["city"][2000:], "Bern")
    table.loc[2500:, "store"] = "late"
    whole = cm.measure(table, group_by="store")
    table.to_parquet(tmp_path / "t.parquet")
    reader = pa.Table.from_pandas(table, preserve_index=False).to_reader(max_chunksize=700)
    for found in (cm.measure(tmp_path / "t.parquet", group_by="store"), cm.measure(reader, group_by="store")):
        assert list(found) == list(whole)
        assert found.schema == whole.schema
        for level in found:
            a, b = found[level], whole[level]
            np.testing.assert_allclose(a.mean, b.mean, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(a.total.covariance, b.total.covariance, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "values",
    [[3, 1, 3], [1.5, -0.0, 1.5], [True, False, True], pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"])],
)
def test_groups_are_named_by_values_of_any_kind_and_saved(tmp_path, values):
    groups = cm.measure({"x": [1.0, 2.0, 4.0], "g": values}, group_by="g")
    groups.save(tmp_path / "g.cumulant")
    again = cm.load(tmp_path / "g.cumulant")
    for found in (groups, again):
        assert len(found) == 2
        assert found[values[0]].mean.tolist() == [2.5]
        assert found[values[1]].mean.tolist() == [2.0]
    assert again.levels == groups.levels
    np.testing.assert_array_equal(again.sums, groups.sums)


def test_missing_cells_are_refused_or_their_rows_dropped(arithmetic):
    table = table_of("with_gaps", 500, 5).assign(town=lambda t: np.where(t["store"] == "s1", None, "Graz"))
    first = int(np.argmax(table.isna().any(axis=1)))
    with pytest.raises(DataError, match=rf"is missing in row {first}; groups are measured from whole rows"):
        cm.measure(table, group_by="store")
    table.loc[7, "store"] = None
    with pytest.raises(DataError, match="column 'store' is missing in row 7"):
        cm.measure(table, group_by="store")
    whole = table.dropna()
    groups = cm.measure(table, group_by="store", missing="drop")
    assert dict(zip(groups, groups.rows, strict=True)) == {**dict.fromkeys(groups, 0), **whole.groupby("store").size()}
    for level, rows in whole.groupby("store"):
        np.testing.assert_allclose(groups[level].mean, rows[["a", "b", "c"]].mean(), rtol=1e-12)
    for row in (9, 5009):
        long = pd.concat([table] * 12, ignore_index=True)
        long.loc[row, ["a", "b"]] = np.inf, np.nan
        with pytest.raises(DataError, match=f"column 'a' holds (inf|an infinity) in row {row}"):
            cm.measure(long, group_by="store", missing="drop")


def test_a_column_without_a_cell_leaves_no_whole_row():
    table = pd.DataFrame({"x": [1.0, 2.0], "g": ["a", "b"], "town": pd.Series([None, None], dtype="string")})
    with pytest.raises(DataError, match="column 'town' is missing in row 0"):
        cm.measure(table, group_by="g", lifts={"town": "categorical"})
    groups = cm.measure(table, group_by="g", lifts={"town": "categorical"}, missing="drop")
    assert groups.rows.tolist() == [0, 0]


def test_no_rows_no_groups():
    groups = cm.measure({"x": np.zeros(0), "g": np.zeros(0)}, group_by="g")
    assert len(groups) == 0
    assert groups.rows.tolist() == []


def test_what_groups_do_not_have_is_refused(monkeypatch):
    table = table_of("numbers", 100, 3)
    for options in (
        {"weights": "a"},
        {"precision": "compensated"},
        {"like": cm.measure(table)},
        {"checkpoint": "state"},
    ):
        with pytest.raises(OptionError, match=f"{next(iter(options))}= cannot be combined with group_by="):
            cm.measure(table, group_by="store", **options)
    with pytest.raises(ColumnError, match="no column 'stores'; did you mean 'store'"):
        cm.measure(table, group_by="stores")
    with pytest.raises(ColumnError, match="no group 'Mars' in column 'store'; there are 3 groups"):
        cm.measure(table, group_by="store")["Mars"]
    with pytest.raises(OptionError, match="rows= has 2 values"):
        cm.measure(table, group_by="store", rows=[1, 2])
    assert "Mars" not in cm.measure(table, group_by="store")
    measuring = import_module("cumulant.measure.measure")
    monkeypatch.setattr(measuring, "refuse_if_too_large", lambda *_: None)
    import os

    monkeypatch.setattr(os, "sysconf", lambda _: 8)
    with pytest.raises(ResourceError, match="3 groups of 'store' need"):
        cm.measure(table, group_by="store")


def test_models_are_those_of_each_group(tmp_path, capsys):
    cli = Cli(capsys)
    table = table_of("numbers")
    models = cm.fit(table, target="a", group_by="store")
    models.save(tmp_path / "models.cumulant")
    again = cm.load(tmp_path / "models.cumulant")
    assert len(again) == len(models) == table["store"].nunique()
    big = table["store"].value_counts().index[:3]
    for level in big:
        alone = cm.fit(table[table["store"] == level].drop(columns="store"), target="a", folds=1)
        given = table.head(5).drop(columns=["a", "store"])
        for found in (models, again):
            np.testing.assert_allclose(found[level].predict("a", given), alone.predict("a", given), rtol=1e-8)
            assert found[level].target == "a"
    assert "groups, this command takes one" in cli("inspect", tmp_path / "models.cumulant").refusal()
    with pytest.raises(ColumnError):
        cm.fit(table, target="z", group_by="store")
    with pytest.raises(OptionError):
        cm.fit(table, "quartic", group_by="store")


def test_ten_thousand_groups(arithmetic):
    rng = np.random.default_rng(0)
    n, g = 60_000, 10_000
    x, store = rng.normal(size=(n, 2)), rng.integers(0, g, n)
    groups = cm.measure({"a": x[:, 0], "b": x[:, 1], "store": store}, group_by="store")
    for level in store[:3]:
        np.testing.assert_allclose(groups[level].mean, x[store == level].mean(axis=0), rtol=1e-12)
    assert groups.rows.sum() == n
