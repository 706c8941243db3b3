"""Tables in memory: each kind of object gives the rows it holds."""

from __future__ import annotations

import datetime as dt
import decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cumulant.errors import ColumnError, DataError, OptionError, SourceError
from cumulant.source import Table, open_table

ROWS = [{"x": 1.5, "n": 1, "s": "a"}, {"x": None, "n": 2, "s": None}, {"x": 3.5, "n": 3, "s": "c"}]


def rows(table):
    return pa.Table.from_batches(table.open(), table.schema).to_pylist()


def kinds(table):
    return {field.name: str(field.type) for field in table.schema}


ENROLLED = {
    "arrow table": lambda: pa.Table.from_pylist(ROWS),
    "arrow batch": lambda: pa.RecordBatch.from_pylist(ROWS),
    "arrow reader": lambda: pa.Table.from_pylist(ROWS).to_reader(max_chunksize=2),
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas nullable": lambda: pd.DataFrame(ROWS).convert_dtypes(),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazy": lambda: pl.DataFrame(ROWS).lazy(),
    "duckdb": lambda: duckdb.sql("FROM (VALUES (1.5::DOUBLE, 1, 'a'), (NULL, 2, NULL), (3.5, 3, 'c')) t(x, n, s)"),
    "dict of lists": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "list of dicts": lambda: ROWS,
    "structured array": lambda: np.array(
        [(1.5, 1, "a"), (np.nan, 2, None), (3.5, 3, "c")], dtype=[("x", "f8"), ("n", "i4"), ("s", "O")]
    ),
    "capsules only": lambda: Capsules(pa.Table.from_pylist(ROWS)),
    "array capsule only": lambda: Capsule(pa.RecordBatch.from_pylist(ROWS)),
    "an open table": lambda: open_table(ROWS),
}


class Capsules:
    """A stranger's table that speaks nothing but the Arrow stream interface."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Capsule:
    def __init__(self, batch):
        self._batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self._batch.__arrow_c_array__(requested_schema)


@pytest.mark.parametrize("kind", ENROLLED)
def test_every_kind_gives_the_same_rows(kind):
    table = open_table(ENROLLED[kind]())
    found = rows(table)
    for row in found:
        if row["x"] != row["x"]:  # NaN is the other spelling of missing
            row["x"] = None
    assert found == ROWS
    assert kinds(table)["s"] == "string"
    assert table.rows in (None, 3)
    assert all(batch.schema == table.schema for batch in open_table(ENROLLED[kind]()).open())


@pytest.mark.parametrize("kind", ENROLLED)
def test_every_kind_can_be_read_again_or_says_why_not(kind):
    table = open_table(ENROLLED[kind]())
    first = sum(batch.num_rows for batch in table.open())
    if table.repeatable:
        assert sum(batch.num_rows for batch in table.open()) == first == 3
    else:
        with pytest.raises(SourceError, match="cannot be read a second time"):
            table.open()


@pytest.mark.parametrize("kind", ENROLLED)
def test_every_kind_chooses_columns(kind):
    table = open_table(ENROLLED[kind](), columns=["s", "n"])
    assert table.schema.names == ["s", "n"]
    assert [row["n"] for row in rows(table)] == [1, 2, 3]
    with pytest.raises(ColumnError, match="no column 'q'"):
        open_table(ENROLLED[kind](), columns=["q"])


def test_frames_without_rows():
    for empty in (
        pd.DataFrame({"a": pd.Series([], dtype=float)}),
        pl.DataFrame({"a": []}, schema={"a": pl.Float64}),
        np.empty((0, 1)),
        {"a": []},
    ):
        table = open_table(empty)
        assert (len(table.schema), sum(batch.num_rows for batch in table.open())) == (1, 0)


def test_frames_without_columns():
    for empty in (pd.DataFrame(), pl.DataFrame(), np.empty((3, 0)), {}, [], pa.table({})):
        with pytest.raises(SourceError, match="no columns"):
            open_table(empty)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)))
def test_any_float_array(values):
    for data in (values, np.asfortranarray(values), values.astype(">f8")):
        found = np.column_stack([pa.chunked_array([b.column(j) for b in open_table(data).open()]).to_numpy()
                                 for j in range(values.shape[1])])  # fmt: skip
        np.testing.assert_array_equal(found, values)


def test_arrays_get_names():
    assert open_table(np.eye(2)).schema.names == ["x0", "x1"]
    assert open_table(np.eye(2), columns=["a", "b"]).schema.names == ["a", "b"]
    with pytest.raises(OptionError, match="columns gives 1 names for an array of 2"):
        open_table(np.eye(2), columns=["a"])


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", "i1", "u8", "?", "U3", "O", "M8[s]"])
def test_arrays_of_every_dtype(kind):
    values = np.array([[0, 1], [1, 0]]).astype(kind)
    table = open_table(values)
    assert sum(batch.num_rows for batch in table.open()) == 2
    expected = {"f2": "float", "g": "double", "?": "bool", "U3": "string", "i1": "int8", "O": "int64"}
    if kind in expected:
        assert kinds(table)["x0"] == expected[kind]


def test_a_large_array_comes_in_bounded_batches():
    values = np.arange(400_000.0).reshape(200_000, 2)
    batches = list(open_table(values).open())
    assert max(batch.num_rows for batch in batches) <= 1 << 16
    np.testing.assert_array_equal(np.concatenate([batch.column("x1").to_numpy() for batch in batches]), values[:, 1])


def test_masked_cells_are_missing():
    values = np.ma.masked_greater(np.array([[1.0, 9.0], [9.0, 2.0]]), 5)
    assert rows(open_table(values)) == [{"x0": 1.0, "x1": None}, {"x0": None, "x1": 2.0}]
    assert rows(open_table({"a": values[:, 0]})) == [{"a": 1.0}, {"a": None}]


def test_matrix():
    assert rows(open_table(np.asmatrix([[1.0, 2.0]]))) == [{"x0": 1.0, "x1": 2.0}]


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2, 2)), np.array(1.0)])
def test_arrays_of_other_dimensions(values):
    with pytest.raises(DataError, match=r"reshape\(-1, 1\)"):
        open_table(values)


def test_complex_arrays():
    with pytest.raises(DataError, match="complex"):
        open_table(np.zeros((2, 2), complex))
    with pytest.raises(DataError, match="Column 'a'"):
        open_table({"a": np.zeros(2, complex)})


def test_structured_arrays_of_two_dimensions_or_with_nested_fields():
    with pytest.raises(DataError, match=r"array.ravel\(\)"):
        open_table(np.zeros((2, 2), dtype=[("a", "f8")]))
    with pytest.raises(DataError, match="Column 'a'"):
        open_table(np.zeros(2, dtype=[("a", "f8", 3)]))


def test_single_values_are_repeated():
    assert rows(open_table({"a": 1, "b": "x", "c": np.float64(2.5), "d": np.array(3)})) == [
        {"a": 1, "b": "x", "c": 2.5, "d": 3}
    ]
    assert rows(open_table({"a": [1, 2], "b": "x"})) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]


def test_values_of_many_makes_in_a_dict():
    table = open_table(
        {
            "pandas": pd.Series([1.0, None]),
            "polars": pl.Series(["a", None]),
            "numpy": np.array([True, False]),
            "mixed": [np.int64(1), 2.5],
            "tuple": (1, None),
            "range": range(2),
            "arrow": pa.chunked_array([[1], [2]]),
            "dates": [dt.date(2024, 1, 31), None],
            "none": None,
        }
    )
    assert rows(table)[1] == {
        "pandas": None, "polars": None, "numpy": False, "mixed": 2.5, "tuple": None, "range": 1, "arrow": 2,
        "dates": None, "none": None,
    }  # fmt: skip
    assert kinds(table)["none"] == "double"


def test_columns_of_unequal_length():
    with pytest.raises(DataError, match="'a' has 2, 'b' has 3"):
        open_table({"a": [1, 2], "b": [1, 2, 3]})


@pytest.mark.parametrize("values", [[1, "a"], ["a", 1], [object()], np.zeros((2, 2)), [1, [2]]])
def test_columns_of_mixed_values(values):
    with pytest.raises(DataError, match="Column 'bad'"):
        open_table({"bad": values})


def test_rows_may_lack_keys():
    assert rows(open_table([{"a": 1}, {"b": "x"}])) == [{"a": 1, "b": None}, {"a": None, "b": "x"}]
    assert rows(open_table([{"a": 1}, {"a": 2.5}])) == [{"a": 1.0}, {"a": 2.5}]


def test_pandas_index_gives_row_numbers():
    values = {"a": [1.0, 2.0]}
    np.testing.assert_array_equal(open_table(pd.DataFrame(values)).row_numbers, [0, 1])
    numbers = open_table(pd.DataFrame(values, index=[7, 5]), columns=["a"]).row_numbers
    np.testing.assert_array_equal(numbers, [7, 5])
    assert numbers.dtype == np.int64
    for index in (["u", "v"], [0.5, 1.5], pd.to_datetime(["2024-01-01", "2024-01-02"]), [("u", 1), ("v", 2)]):
        assert open_table(pd.DataFrame(values, index=index)).row_numbers is None
    assert open_table(pl.DataFrame(values)).row_numbers is None


def test_pandas_labels_become_text():
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "mean"), ("b", "")]))
    assert open_table(frame).schema.names == ["a_mean", "b"]
    assert open_table(pd.DataFrame([[1, 2]]), columns=[1]).schema.names == ["1"]
    assert open_table(pd.Series([1.0], name="y")).schema.names == ["y"]


def test_pandas_duplicate_and_mixed_columns():
    with pytest.raises(DataError, match="more than one column named 'a'"):
        open_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match=r"column bad with type object.*pd.to_numeric"):
        open_table(pd.DataFrame({"ok": [1, 2], "bad": [1, "a"]}))
    assert rows(open_table(pd.DataFrame({"ok": [1], "bad": [[1]]}), columns=["ok"])) == [{"ok": 1}]
    with pytest.raises(DataError, match="Sparse"):
        open_table(pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}))


def test_pandas_kinds():
    frame = pd.DataFrame(
        {
            "c": pd.Categorical(["u", "v", None]),
            "i": pd.Categorical([3, 1, 3], ordered=True),
            "t": pd.to_datetime(["2024-01-01", None, "2024-01-03"]).tz_localize("UTC"),
            "d": pd.to_timedelta([1, 2, 3], unit="s"),
            "p": pd.period_range("2024", periods=3, freq="Y"),
        }
    )
    table = open_table(frame)
    assert kinds(table)["c"].startswith("dictionary<values=string, indices=int32")
    assert kinds(table)["i"].startswith("dictionary<values=int64, indices=int32, ordered=1")
    assert [row["c"] for row in rows(table)] == ["u", "v", None]
    assert [row["i"] for row in rows(table)] == [3, 1, 3]
    assert kinds(table)["p"] == "int64"
    with pytest.raises(DataError, match="Column 'v'"):
        open_table(pd.DataFrame({"v": pd.interval_range(0, 3)}))


def test_polars_kinds():
    frame = pl.DataFrame(
        {
            "c": pl.Series(["u", None, "v"], dtype=pl.Categorical),
            "e": pl.Series(["u", None, "v"], dtype=pl.Enum(["u", "v"])),
            "d": pl.Series([decimal.Decimal("1.25"), None, decimal.Decimal("2.50")]),
            "n": [None, None, None],
        }
    )
    for data in (frame, frame.lazy()):
        table = open_table(data)
        assert kinds(table)["d"] == kinds(table)["n"] == "double"
        assert rows(table) == [
            {"c": "u", "e": "u", "d": 1.25, "n": None},
            {"c": None, "e": None, "d": None, "n": None},
            {"c": "v", "e": "v", "d": 2.5, "n": None},
        ]
    with pytest.raises(DataError, match=r"Column 'l'.*Flatten"):
        open_table(pl.DataFrame({"l": [[1]]}))


def test_lazy_query_runs_anew_on_each_pass_in_pieces():
    query = pl.LazyFrame({"x": np.arange(200_000.0)}).filter(pl.col("x") >= 10)
    table = open_table(query)
    for _ in range(2):
        batches = list(table.open())
        assert max(batch.num_rows for batch in batches) <= 1 << 16
        assert sum(batch.num_rows for batch in batches) == 199_990


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array(["a", None], pa.large_string()), "string", ["a", None]),
        (pa.array(["a", None], pa.string_view()), "string", ["a", None]),
        (pa.array([np.float16(1.5), None], pa.float16()), "float", [1.5, None]),
        (pa.array([decimal.Decimal("1.5"), None]), "double", [1.5, None]),
        (pa.nulls(2), "double", [None, None]),
        (pa.RunEndEncodedArray.from_arrays([2], [7]), "int64", [7, 7]),
        (
            pa.DictionaryArray.from_arrays(pa.array([1, None], pa.uint8()), pa.array(["a", "b"], pa.large_string())),
            "dictionary<values=string, indices=int32, ordered=0>",
            ["b", None],
        ),
    ],
)
def test_types_are_made_plain(array, kind, values):
    table = open_table(pa.table({"a": array}))
    assert kinds(table) == {"a": kind}
    assert [row["a"] for row in rows(table)] == values


def test_batches_of_an_arrow_table_are_slices_not_copies():
    source = pa.table({"x": np.arange(200_000.0)})
    first = next(open_table(source).open())
    assert first.column(0).buffers()[1].address == source.column(0).chunk(0).buffers()[1].address


def test_reader_that_fails_midway():
    def batches():
        yield pa.record_batch({"a": [1]})
        raise OSError("the line went dead")

    table = open_table(pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches()))
    with pytest.raises(SourceError, match="RecordBatchReader cannot be read: the line went dead"):
        list(table.open())


def test_duckdb_relation_leaves_its_connection_free():
    with duckdb.connect() as connection:
        relation = connection.sql("SELECT 2.5::DECIMAL(4,1) AS d, range AS i FROM range(5)")
        table = open_table(relation, columns=["d"])
        assert connection.sql("SELECT 1").fetchall() == [(1,)]
        assert rows(table) == rows(table) == [{"d": 2.5}] * 5


def test_a_table_passes_through():
    table = open_table({"a": [1], "b": [2]})
    assert open_table(table) is table
    assert isinstance(open_table(table, columns=["b"]), Table)


@pytest.mark.parametrize("thing", [3, None, [1, 2], {1, 2}, object(), len, iter([])])
def test_other_objects_are_declined(thing):
    with pytest.raises(SourceError, match=f"An object of type {type(thing).__name__} cannot be read as a table. Give"):
        open_table(thing)


@given(st.lists(st.fixed_dictionaries({"a": st.none() | st.floats(), "b": st.none() | st.text()}), min_size=1))
def test_any_rows_of_numbers_and_text(data):
    found = rows(open_table(data))
    assert [row["b"] for row in found] == [row["b"] for row in data]
    for was, came in zip(data, found, strict=True):
        missing = was["a"] is None or was["a"] != was["a"]
        assert came["a"] is None if missing else came["a"] == was["a"]
