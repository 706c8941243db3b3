"""Parquet pages decoded here are what Arrow's reader makes of them, and damage is named."""

from __future__ import annotations

import itertools
from contextlib import suppress
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cumulant.errors import SourceError
from cumulant.source import open_table
from cumulant.source.native import library
from cumulant.source.pages import plain_columns, read_columns

columnar = import_module("cumulant.source.columnar")
pages = import_module("cumulant.source.pages")

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled decoders here")
ROWS = 5_000
CODECS = ("NONE", "SNAPPY", "GZIP", "ZSTD", "BROTLI")


def table(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Numbers of every width, few and many values, with and without gaps, and columns that are not plain."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    gaps = rng.random(rows) < 0.3
    return pa.table(
        {
            "dense": x,
            "rounded": np.rint(x * 2**16) / 2**16,
            "few": rng.integers(0, 5, rows).astype(float),
            "gappy": pa.array(x, mask=gaps),
            "few_gappy": pa.array(rng.integers(0, 300, rows), mask=gaps),
            "single": x.astype(np.float32),
            "int": np.arange(rows) // 7,
            "short": pa.array(rng.integers(-9, 9, rows).astype(np.int32), mask=np.arange(rows) % 1000 < 500),
            "empty": pa.nulls(rows, pa.float64()),
            "nan": np.where(gaps, np.nan, x),
            "word": pa.array(rng.choice(["a", "b", "c"], rows)).dictionary_encode(),
            "yes": gaps,
        }
    )


def rows_of(path, **changes: object) -> pa.Table:
    opened = open_table(path)
    return pa.Table.from_batches(opened.open(), opened.schema)


def same(a: pa.Table, b: pa.Table) -> bool:
    """Equal cell by cell; a NaN is itself."""
    return repr(a.to_pydict()) == repr(b.to_pydict())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_hold_what_arrow_reads(tmp_path, monkeypatch, codec, version):
    monkeypatch.setattr(columnar, "PARALLEL_CELLS", 0)
    monkeypatch.setattr(columnar, "BATCH_BYTES", 1)
    monkeypatch.setattr(columnar, "BATCH_ROWS", 700)
    monkeypatch.setattr(columnar, "LEAST_ROWS", 700)
    monkeypatch.setattr(pages, "BUFFER", 1000)
    path = tmp_path / "table.parquet"
    for dictionary, checksum, group in ((True, True, 1800), (False, False, ROWS)):
        pq.write_table(
            table(), path, compression=codec, data_page_version=version, row_group_size=group, data_page_size=2048,
            use_dictionary=dictionary, write_page_checksum=checksum, dictionary_pagesize_limit=4096,
        )  # fmt: skip
        schema = pq.read_schema(path)
        assert len(plain_columns(pq.read_metadata(path), schema, schema.names)) == 10
        assert same(rows_of(path), pq.read_table(path))
        assert [batch.num_rows for batch in open_table(path).open()] == [700] * 7 + [100]


def test_a_pass_may_begin_at_any_row(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(table(), path, row_group_size=1200, data_page_size=1024)
    about = pq.read_metadata(path)
    names = plain_columns(about, pq.read_schema(path), about.schema.names)
    whole = pq.read_table(path, columns=names)
    for first, size in itertools.product((0, 1, 1199, 1200, 3700, ROWS - 1, ROWS), (1, 997, 10_000)):
        found = [pa.table(run, names) for run in itertools.islice(read_columns(path, about, names, size, first), 3)]
        expected = whole.slice(first, 3 * size)
        assert sum(run.num_rows for run in found) == expected.num_rows
        if found:
            assert same(pa.concat_tables(found), expected)


@pytest.mark.parametrize("rows", [0, 1])
def test_files_without_rows_and_without_row_groups(tmp_path, rows):
    path = tmp_path / "table.parquet"
    if rows:
        pq.write_table(table(rows), path)
    else:
        pq.ParquetWriter(path, table(0).schema).close()
    assert same(rows_of(path), table(rows))


def test_files_of_a_folder_without_rows_are_passed_over(tmp_path):
    for i, rows in enumerate((0, 40, 0, 7, 0)):
        pq.write_table(table(rows, seed=i), tmp_path / f"{i}.parquet")
    expected = pa.concat_tables([table(40, seed=1), table(7, seed=3)]).unify_dictionaries()
    assert same(rows_of(tmp_path), expected)


@pytest.mark.parametrize("rows", [0, 1, 39, 40, 46, 47, 1000])
def test_a_pass_over_a_folder_goes_on_at_a_batch(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(columnar, "BATCH_BYTES", 1)
    monkeypatch.setattr(columnar, "BATCH_ROWS", 16)
    for i, count in enumerate((40, 0, 7)):
        pq.write_table(table(count, seed=i), tmp_path / f"{i}.parquet", row_group_size=9)
    opened = open_table(tmp_path, columns=["yes", "gappy", "word"])
    assert opened.resume is not None
    first, batches = opened.resume(rows)
    assert first <= min(rows, 47)
    rest = pa.Table.from_batches(batches, opened.schema)
    whole = pa.Table.from_batches(opened.open(), opened.schema)
    assert same(rest, whole.slice(first))
    assert rest.num_rows == 47 - first


@pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "ZSTD"])
def test_damage_is_an_error_never_a_crash(tmp_path, codec):
    path = tmp_path / "table.parquet"
    numbers = table(2000).select(["dense", "few", "gappy", "short"])
    pq.write_table(numbers, path, compression=codec, data_page_size=1024, write_statistics=False)
    clean = path.read_bytes()
    footer = len(clean) - 8 - int.from_bytes(clean[-8:-4], "little")
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        broken = bytearray(clean)
        for at in rng.integers(4, footer, 3):
            broken[at] = rng.integers(256)
        path.write_bytes(broken)
        with suppress(SourceError):
            rows_of(path)
            continue
        refused += 1
    assert refused > 20


def test_a_file_cut_short_under_way_is_named(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(table(200_000).select(["dense", "gappy"]), path, compression="NONE", use_dictionary=False)
    batches = open_table(path).open()
    next(batches)
    with path.open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(SourceError, match=r"table\.parquet .*cannot be read.*fetch or write it again"):
        list(batches)
