"""Parquet, Arrow IPC, folders, patterns, and what is declined."""

from __future__ import annotations

import os
import sqlite3

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from cumulant.errors import ColumnError, DataError, OptionError, SourceError
from cumulant.source import open_table


@pytest.fixture
def houses():
    return pa.table(
        {
            "price": [1.5, 2.5, None, 4.5],
            "rooms": [1, 2, 3, 4],
            "city": ["Lund", "Graz", None, "Lund"],
            "sold": pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        }
    )


def rows(table):
    return pa.Table.from_batches(table.open(), table.schema).to_pylist()


def test_parquet_file(tmp_path, houses):
    path = tmp_path / "houses.parquet"
    pq.write_table(houses, path)
    table = open_table(path)
    assert (table.name, table.rows, table.size) == ("houses.parquet", 4, path.stat().st_size)
    assert rows(table) == rows(table) == houses.to_pylist()
    assert rows(open_table(str(path), columns=["city", "price"])) == houses.select(["city", "price"]).to_pylist()
    with pytest.raises(ColumnError, match="Did you mean 'rooms'"):
        open_table(path, columns=["room"])


def test_parquet_is_told_by_content(tmp_path, houses):
    path = tmp_path / "houses.dat"
    pq.write_table(houses, path)
    assert open_table(path).rows == 4


def test_csv_may_begin_with_the_letters_of_parquet(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("PAR1,PAR2\n1,2\n")
    assert rows(open_table(path)) == [{"PAR1": 1.0, "PAR2": 2.0}]


def test_parquet_without_rows(tmp_path, houses):
    path = tmp_path / "none.parquet"
    pq.write_table(houses.slice(0, 0), path)
    assert (open_table(path).rows, rows(open_table(path))) == (0, [])


def test_batches_of_a_large_row_group_are_bounded(tmp_path):
    values = np.arange(300_000.0)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": values}), path, row_group_size=300_000)
    table = open_table(path)
    batches = list(table.open())
    assert max(batch.num_rows for batch in batches) <= 1 << 16
    np.testing.assert_array_equal(np.concatenate([batch.column(0).to_numpy() for batch in batches]), values)


def test_wide_rows_make_shorter_batches(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({f"x{at}": np.zeros(15_000) for at in range(400)}), path)
    batches = list(open_table(path).open())
    assert max(batch.nbytes for batch in batches) <= 36 << 20
    assert sum(batch.num_rows for batch in batches) == 15_000


def test_folder_pattern_and_partitions(tmp_path, houses):
    parts = pa.table({"x": [1.0, 2.0, 3.0], "year": [2020, 2021, 2021], "kind": ["a", "b", None]})
    pq.write_to_dataset(parts, tmp_path / "hive", partition_cols=["year", "kind"])
    (tmp_path / "hive" / "_SUCCESS").touch()
    expected = {(1.0, 2020, "a"), (2.0, 2021, "b"), (3.0, 2021, None)}
    for what in (tmp_path / "hive", tmp_path / "hive" / "year=*" / "*" / "*.parquet", f"{tmp_path}/hive/**/*.parquet"):
        table = open_table(what)
        assert table.rows == 3
        assert {(row["x"], row["year"], row["kind"]) for row in rows(table)} == expected
    only = open_table(tmp_path / "hive", columns=["year"])
    assert sorted(row["year"] for row in rows(only)) == [2020, 2021, 2021]


def test_files_of_a_folder_may_differ_where_types_widen(tmp_path):
    pq.write_table(pa.table({"x": [1, 2], "only_here": ["a", "b"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": [2.5]}), tmp_path / "2.parquet")
    assert rows(open_table(tmp_path)) == [
        {"x": 1.0, "only_here": "a"},
        {"x": 2.0, "only_here": "b"},
        {"x": 2.5, "only_here": None},
    ]
    pq.write_table(pa.table({"x": ["text"]}), tmp_path / "3.parquet")
    with pytest.raises(DataError, match=r"3.parquet does not fit 1.parquet.*x"):
        open_table(tmp_path)


def test_folder_without_parquet(tmp_path):
    with pytest.raises(SourceError, match=r"has no Parquet files. It is empty"):
        open_table(tmp_path)
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"has no Parquet files. It holds a.csv"):
        open_table(tmp_path)


def test_pattern_without_match_or_with_csv(tmp_path):
    with pytest.raises(SourceError, match="No file matches"):
        open_table(tmp_path / "*.parquet")
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"matches a.csv, which is not .parquet.*read_csv"):
        open_table(tmp_path / "*")


@pytest.mark.parametrize("keep", [4, 200, -8])
def test_truncated_parquet(tmp_path, houses, keep):
    path = tmp_path / "cut.parquet"
    pq.write_table(houses, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SourceError, match=r"cut.parquet begins as Parquet but cannot be read.*truncated"):
        open_table(path)


def test_damaged_parquet_page(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).normal(size=10_000)}), path, write_page_checksum=True)
    body = bytearray(path.read_bytes())
    body[100:5000] = bytes(4900)
    path.write_bytes(body)
    with pytest.raises(SourceError, match=r"t.parquet begins as Parquet but cannot be read"):
        rows(open_table(path))


def test_not_parquet_and_empty_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="not a Parquet file: it begins with b'a,b"):
        open_table(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"t.parquet is empty"):
        open_table(path)


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_feather_and_ipc(tmp_path, houses, compression):
    path = tmp_path / "t.feather"
    feather.write_feather(houses, path, compression=compression)
    table = open_table(path)
    assert rows(table) == rows(table) == houses.to_pylist()
    assert table.position() == 1.0
    assert rows(open_table(path, columns=["rooms"])) == houses.select(["rooms"]).to_pylist()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="not a whole Arrow file"):
        open_table(path)


def test_ipc_stream_in_a_file(tmp_path, houses):
    path = tmp_path / "t.arrows"
    with pa.ipc.new_stream(path, houses.schema) as out:
        out.write_table(houses, max_chunksize=2)
    table = open_table(path)
    assert rows(table) == rows(table) == houses.to_pylist()
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(SourceError, match="not a whole Arrow file"):
        rows(open_table(path))


def test_nested_and_binary_columns_are_refused_unless_left_out(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {"x": [1.0], "l": [[1, 2]], "s": [{"a": 1}], "b": [b"\x00"]}
    pq.write_table(pa.table(columns), path)
    for name, remedy in (("l", "Flatten"), ("s", "Flatten"), ("b", "Convert")):
        with pytest.raises(DataError, match=rf"Column '{name}' of t.parquet is of type.*{remedy}.*columns="):
            open_table(path, columns=["x", name])
    with pytest.raises(DataError, match="Column 'l'"):
        open_table(path)
    assert rows(open_table(path, columns=["x"])) == [{"x": 1.0}]


def test_duplicate_names_in_arrow_file(tmp_path):
    path = tmp_path / "t.arrow"
    batch = pa.record_batch([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pa.ipc.new_file(path, batch.schema) as out:
        out.write_batch(batch)
    with pytest.raises(DataError, match="more than one column named 'a'"):
        open_table(path)


def test_names_with_dots_are_not_paths(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.0], "a.b": [2.0]}), path)
    assert rows(open_table(path, columns=["a"])) == [{"a": 1.0}]
    assert rows(open_table(path, columns=["a.b"])) == [{"a.b": 2.0}]


def test_missing_file_offers_the_near_ones(tmp_path):
    (tmp_path / "houses.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"There is no file .*house.csv. Did you mean 'houses.csv'\?"):
        open_table(tmp_path / "house.csv")
    with pytest.raises(SourceError, match="nor a folder"):
        open_table(tmp_path / "nowhere" / "t.csv")
    with pytest.raises(OSError, match="There is no file"):
        open_table(str(tmp_path / "x.csv"))


def test_addresses_are_declined():
    for address in ("https://example.org/t.csv", "s3://bucket/t.parquet"):
        with pytest.raises(SourceError, match="is an address, not a file here"):
            open_table(address)


def test_declined_formats_say_what_to_do(tmp_path):
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE t (a)")
    base.close()
    with pytest.raises(SourceError, match=r"t.db is a SQLite database.*ATTACH"):
        open_table(path)
    path.unlink()
    duckdb.connect(str(path)).execute("CREATE TABLE t AS SELECT 1 AS a").close()
    with pytest.raises(SourceError, match=r"t.db is a DuckDB database.*\?table="):
        open_table(path)
    for magic, word in (
        (b"PK\x03\x04", "Excel"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\x93NUMPY", "NumPy"),
        (b"\xfd7zXZ\0", "xz"),
    ):
        path.write_bytes(magic + bytes(64))
        with pytest.raises(SourceError, match=word):
            open_table(path)


def test_text_options_have_no_place_elsewhere(tmp_path, houses):
    path = tmp_path / "houses.parquet"
    pq.write_table(houses, path)
    with pytest.raises(OptionError, match=r"delimiter: for text files .* houses.parquet is not one"):
        open_table(path, delimiter=",")
    with pytest.raises(OptionError, match="types and nulls"):
        open_table(path, types={"price": "string"}, nulls=["?"])
    for what in (tmp_path, tmp_path / "*.parquet", {"a": [1]}, "SELECT 1 AS a"):
        with pytest.raises(OptionError, match="encoding: for text files"):
            open_table(what, encoding="utf-8")


def test_compressed_parquet_is_not_text(tmp_path, houses):
    import gzip

    path = tmp_path / "houses.parquet"
    pq.write_table(houses, path)
    packed = tmp_path / "houses.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(SourceError, match="compressed Parquet"):
        open_table(packed)
    with path.open("rb") as handle, pytest.raises(SourceError, match="is not text; a stream is read as CSV"):
        open_table(handle)


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "t.csv").write_text("a\n1\n")
    assert rows(open_table("~/t.csv")) == [{"a": 1.0}]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("change", ["append", "rewrite", "replace", "remove"])
def test_a_file_that_changes_under_way_is_told(tmp_path, ending, change):
    path = tmp_path / f"table.{ending}"
    table = pa.table({"x": [1.0, 2.0, 3.0]})
    (pa_csv.write_csv if ending == "csv" else pq.write_table)(table, path)
    content = path.read_bytes()
    opened = open_table(path)
    batches = opened.open()
    next(batches)
    if change == "append":
        path.write_bytes(content + b"4.0\n")
    elif change == "rewrite":
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
    elif change == "replace":
        (tmp_path / "other").write_bytes(content)
        (tmp_path / "other").replace(path)
    else:
        path.unlink()
    with pytest.raises(SourceError, match=rf"table\.{ending} changed while it was read.*or read a copy"):
        list(batches)
    if change == "rewrite":
        assert sum(batch.num_rows for batch in opened.open()) == 3
