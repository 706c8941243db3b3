"""The pass: options, weights, missing cells, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import TABLES

import cumulant as cm
from cumulant.errors import ColumnError, CumulantError, CumulantWarning, DataError, OptionError, ResourceError
from cumulant.measure.kernels import fold_of
from cumulant.measure.measure import refuse_if_too_large


def test_missing_cells_dropped_or_refused():
    table = TABLES["mixed_with_gaps"](np.random.default_rng(0), 200)
    dropped = cm.measure(table, missing="drop")
    complete = table.dropna()
    assert dropped.count == len(complete)
    np.testing.assert_allclose(dropped.mean[:2], complete[["price", "rooms"]].astype(float).mean())
    with pytest.raises(DataError, match=r"column '\w+' is missing in row \d+; fill the cell"):
        cm.measure(table, missing="error")


def test_a_refused_cell_is_named_by_its_own_row():
    table = pd.DataFrame({"a": np.zeros(9000), "b": np.ones(9000)})
    table.loc[8765, "b"] = np.nan
    with pytest.raises(DataError, match="column 'b' is missing in row 8765"):
        cm.measure(table, missing="error")
    table.loc[8765, "b"] = np.inf
    with pytest.raises(DataError, match="column 'b' holds inf in row 8765"):
        cm.measure(table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 3}, "order=3"),
        ({"folds": 0}, "folds=0"),
        ({"missing": "ignore"}, "missing='ignore': choose among 'integrate', 'drop', 'error'"),
        ({"weight_kind": "survey"}, "weight_kind='survey'"),
        ({"precision": "half"}, "precision='half'"),
        ({"weights": [1.0]}, r"weights= has shape \(1,\), the table has 3 rows"),
        ({"rows": [1, 2]}, r"rows= has shape \(2,\)"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(OptionError, match=message):
        cm.measure({"x": [1.0, 2.0, 3.0]}, **options)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_must_be_finite_and_not_negative(bad):
    with pytest.raises(DataError, match="the weight in row 1 is"):
        cm.measure({"x": [1.0, 2.0], "w": [1.0, bad]}, weights="w")


def test_unknown_weight_column():
    with pytest.raises(ColumnError, match="no column 'w'; there are x, y"):
        cm.measure({"x": [1.0], "y": [2.0]}, weights="w")


def test_weight_and_row_columns_are_no_fields():
    table = {"x": [1.0, 2.0, 4.0], "w": [1, 2, 1], "id": [7, 8, 9]}
    m = cm.measure(table, weights="w", rows="id", columns=["x"])
    assert m.columns == ("x",)
    assert m.mean[0] == 9 / 4


def test_errors_are_also_built_in_ones():
    with pytest.raises(ValueError, match="folds"):
        cm.measure({"x": [1.0]}, folds=-1)
    with pytest.raises(KeyError):
        cm.measure({"x": [1.0]}, weights="w")
    with pytest.raises(CumulantError):
        cm.measure({"x": [1.0]}, weights="w")


def test_a_hundred_thousand_columns_are_refused_with_the_figure():
    with pytest.raises(ResourceError, match=r"100,000 fields in 10 folds need [\d,.]+ GiB"):
        refuse_if_too_large(100_000, 10)


def test_folds_are_even_and_reproducible():
    fold = fold_of(np.arange(100_000), 10)
    counts = np.bincount(fold, minlength=10)
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(10_000)
    # splitmix64 of 0 with the golden-ratio increment is 0xE220A8397B1DCDAF, a published test value.
    assert fold_of(np.array([0]), 1000)[0] == 0xE220A839 * 1000 >> 32


def test_nearly_collinear_columns_are_measured_in_compensated_arithmetic():
    x = np.linspace(1, 2, 200)
    powers = {f"x{k}": x**k for k in range(1, 7)}
    with pytest.warns(CumulantWarning, match="compensated"):
        m = cm.measure(powers)
    assert m.exact
    assert not cm.measure(powers, precision="double").exact


def test_exact_combinations_need_no_compensation():
    assert not cm.measure(TABLES["awkward"](np.random.default_rng(1), 300)).exact


def test_rounded_sums_far_from_zero_need_no_compensation():
    rng = np.random.default_rng(4)
    x = 1e8 + rng.normal(size=(500, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "sum": x.sum(axis=1)})
    assert not cm.measure(table).exact
    coefficients = cm.fit(table.assign(y=x[:, 0] - 1e8), prior=None).summary("y").table["coefficient"]
    assert coefficients["a"] == pytest.approx(1.0, abs=1e-6)
    assert coefficients["sum"] == 0.0


def test_same_answer_from_every_source(tmp_path):
    import polars as pl
    import pyarrow as pa

    table = TABLES["mixed"](np.random.default_rng(2), 300)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    sources = [
        table,
        pl.from_pandas(table),
        pa.Table.from_pandas(table, preserve_index=False),
        tmp_path / "t.csv",
        tmp_path / "t.parquet",
        f"SELECT * FROM '{tmp_path / 't.parquet'}'",
    ]
    first, *others = [cm.measure(source) for source in sources]
    for other in others:
        assert other.columns == first.columns
        np.testing.assert_allclose(other.mean, first.mean, rtol=1e-13)
        np.testing.assert_allclose(other.covariance, first.covariance, rtol=1e-11, atol=1e-12)


def test_the_table_is_left_as_it_was():
    x = np.random.default_rng(3).normal(size=(50, 3))
    before = x.copy()
    cm.measure(x)
    np.testing.assert_array_equal(x, before)
