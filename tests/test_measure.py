"""The pass: options, weights, missing cells, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, CumulantError, CumulantWarning, DataError, OptionError, ResourceError
from cumulant.measure.capacity import refuse_if_too_large
from cumulant.measure.kernels import fold_of
from helpers import TABLES


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
        ({"order": 11}, "order=11: moments of order 2 to 10"),
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


@pytest.mark.parametrize("kind", ["frequency", "importance"])
def test_rows_of_weight_zero_leave_no_trace(kind):
    table = pd.DataFrame({"x": [1.0, 2.0, 4.0, np.inf], "c": ["a", "b", "a", None], "w": [1.0, 2.0, 1.0, 0.0]})
    m = cm.measure(table, weights="w", weight_kind=kind)
    without = cm.measure(table.iloc[:3], weights="w", weight_kind=kind)
    np.testing.assert_array_equal(m.sums, without.sums)
    assert m.presence == ()
    assert m.count == without.count


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


@pytest.mark.parametrize("layout", ["rows", "columns", "strided", "single", "frame", "arrow"])
@pytest.mark.parametrize("p", [1, 7, 8, 9, 24, 31])
def test_every_layout_and_width_gives_the_same_sums(layout, p):
    import pyarrow as pa

    rng = np.random.default_rng(5)
    x = rng.integers(-50, 50, size=(1003, p)).astype(np.float64)
    data = {
        "rows": lambda: x,
        "columns": lambda: np.asfortranarray(x),
        "strided": lambda: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
        "single": lambda: x.astype(np.float32),
        "frame": lambda: pd.DataFrame(x),
        "arrow": lambda: pa.table({f"x{i}": x[:, i] for i in range(p)}),
    }[layout]()
    m = cm.measure(data, precision="double")
    fold = fold_of(np.arange(1003), 10)
    for k in range(10):
        z = np.column_stack([np.ones((fold == k).sum()), x[fold == k] - m.shift])
        np.testing.assert_allclose(m.sums[0, k], z.T @ z, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(m.rows, np.bincount(fold, minlength=10))


@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_sums_equal_their_numpy_twin(weighted, monkeypatch):
    from cumulant.measure import kernels, native

    if native.library() is None:
        pytest.skip("the package was installed without a C compiler, so there is only the NumPy twin")
    rng = np.random.default_rng(6)
    x, weights = rng.normal(size=(700, 13)), rng.random(700) if weighted else None
    x[650, 4] = np.nan
    compiled = kernels.RowSums(np.ones(13), 4)
    done = compiled.add(list(x.T), 5, weights)
    monkeypatch.setattr(kernels, "library", lambda: None)
    twin = kernels.RowSums(np.ones(13), 4)
    assert twin.add(list(x[:done].T), 5, None if weights is None else weights[:done]) == done
    assert 650 - 128 < done <= 650
    np.testing.assert_allclose(compiled.take(), twin.take(), rtol=1e-12, atol=1e-12)
    assert not compiled.take().any()


def test_threads_change_nothing_but_the_last_digits():
    x = np.random.default_rng(7).normal(size=(60_000, 9))
    x[50_000, 3] = np.nan
    one = cm.measure(x, folds=3)
    again = cm.measure(x, folds=3)
    np.testing.assert_array_equal(one.sums, again.sums)
    whole = np.column_stack([np.ones(60_000), x[:, [0, 8]] - one.shift[[0, 8]]])
    np.testing.assert_allclose(one.sums[0].sum(axis=0)[np.ix_([0, 2, 10], [0, 2, 10])], whole.T @ whole, rtol=1e-11)


def test_squares_that_overflow_are_named():
    table = {"small": [1.0, 2.0, 3.0], "huge": [1e160, -1e160, 3e160]}
    with pytest.raises(DataError, match=r"column 'huge' holds numbers so large that their squares overflow"):
        cm.measure(table, precision="double")


def test_tiny_numbers_keep_their_digits():
    x = np.random.default_rng(8).normal(size=(300, 3)) * 1e-150
    np.testing.assert_allclose(cm.measure(x).correlation, np.corrcoef((x * 1e150).T), rtol=1e-9, atol=1e-12)


def test_the_table_is_left_as_it_was():
    x = np.random.default_rng(3).normal(size=(50, 3))
    before = x.copy()
    cm.measure(x)
    np.testing.assert_array_equal(x, before)


def test_folds_that_memory_has_no_room_for_are_not_chosen_and_not_taken(monkeypatch):
    from cumulant.measure import capacity

    x = np.random.default_rng(9).normal(size=(40, 20))
    assert cm.measure(x).folds == 10
    # A triangle of 21 fields and a constant takes 8 · 21 · 22/2 bytes.
    monkeypatch.setattr(capacity, "_memory", lambda: 16 * 4 * 21 * 22 * 4)
    with pytest.warns(CumulantWarning, match=r"20 fields are measured in 4 folds of [\d.e-]+ GB, not 10"):
        assert cm.measure(x).folds == 4
    with pytest.raises(ResourceError, match=r"20 fields in 60 folds need [\d.]+ GiB"):
        cm.measure(x, folds=60)
