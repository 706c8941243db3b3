"""Delimited text: written by Python's csv module or by hand, read back through the source."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import math
import os
import threading

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulant.errors import ColumnError, CumulantWarning, DataError, OptionError, SourceError
from cumulant.source import NULLS, bytestream, open_table


def written(folder, text, name="t.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(table):
    return pa.Table.from_batches(table.open(), table.schema).to_pylist()


def kinds(table):
    return {field.name: str(field.type) for field in table.schema}


@pytest.fixture
def small_head(monkeypatch):
    """A pilot of a few hundred bytes, so that a small file has a part beyond it."""
    monkeypatch.setattr(bytestream, "HEAD_BYTES", 1 << 10)
    monkeypatch.setattr(bytestream, "SLICE_BYTES", 1 << 9)


def test_types_are_inferred_and_integers_become_float(tmp_path):
    path = written(
        tmp_path,
        "n,f,b,s,d,t,e\n"
        "1,1.5,true,ab,2024-01-31,2024-01-31 10:00:00,\n"
        "2,2.5,false,cd,2024-02-01,9999-12-31 00:00:00,\n",
    )
    table = open_table(path)
    assert kinds(table) == {
        "n": "double",
        "f": "double",
        "b": "bool",
        "s": "string",
        "d": "date32[day]",
        "t": "timestamp[us]",
        "e": "double",
    }
    assert table.name == "t.csv"
    assert table.rows == 2
    assert table.size == path.stat().st_size
    assert table.repeatable
    assert rows(table)[1]["s"] == "cd"
    assert rows(table)[1]["t"].year == 9999
    assert rows(table)[1]["e"] is None


@pytest.mark.parametrize("spelling", ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A"])
def test_spellings_of_a_missing_cell(tmp_path, spelling):
    table = open_table(written(tmp_path, f"x,s\n1,a\n{spelling},{spelling}\n3,b\n"))
    assert rows(table) == [{"x": 1.0, "s": "a"}, {"x": None, "s": None}, {"x": 3.0, "s": "b"}]


def test_further_spellings_of_missing(tmp_path):
    path = written(tmp_path, "x\n1\n?\n-\n2\n")
    assert kinds(open_table(path)) == {"x": "string"}
    assert [row["x"] for row in rows(open_table(path, nulls=["?", "-"]))] == [1.0, None, None, 2.0]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiter_is_found(tmp_path, mark):
    text = f'a{mark}b{mark}c\n1{mark}"x, y; z|w"{mark}2.5\n3{mark}"q"{mark}4.5\n'
    table = open_table(written(tmp_path, text, "t.txt"))
    assert kinds(table) == {"a": "double", "b": "string", "c": "double"}
    assert rows(table)[0] == {"a": 1.0, "b": "x, y; z|w", "c": 2.5}


def test_delimiter_may_be_given(tmp_path):
    path = written(tmp_path, "a:b\n1:2\n")
    assert rows(open_table(path, delimiter=":")) == [{"a": 1.0, "b": 2.0}]
    assert rows(open_table(written(tmp_path, "a\tb\n1\t2\n"), delimiter="\\t")) == [{"a": 1.0, "b": 2.0}]


def test_wrong_delimiter_is_told(tmp_path):
    path = written(tmp_path, "a,b\n1,2\n3,4\n")
    with pytest.raises(SourceError, match=r"does not contain the delimiter ';'.*separated by ','"):
        open_table(path, delimiter=";")


@pytest.mark.parametrize("mark", ["", ",,", '"', "\n", "é", "a"])
def test_impossible_delimiter(tmp_path, mark):
    path = written(tmp_path, "a,b\n1,2\n")
    with pytest.raises(OptionError, match="cannot separate columns"):
        open_table(path, delimiter=mark)


def test_one_column_needs_no_delimiter(tmp_path):
    assert rows(open_table(written(tmp_path, "a\n1\n2\n"))) == [{"a": 1.0}, {"a": 2.0}]


def test_decimal_comma_where_the_delimiter_allows_it(tmp_path):
    table = open_table(written(tmp_path, "a;b;s\n1,5;2;x\n-0,25;3;y\n"))
    assert rows(table) == [{"a": 1.5, "b": 2.0, "s": "x"}, {"a": -0.25, "b": 3.0, "s": "y"}]


def test_decimal_point_stays_where_any_column_has_one(tmp_path):
    table = open_table(written(tmp_path, "a;b\n1.5;1,2\n2.5;2,3\n"))
    assert kinds(table) == {"a": "double", "b": "string"}


def test_columns_are_chosen_in_the_order_asked_for(tmp_path):
    path = written(tmp_path, "a,b,c\n1,2,x\n3,4,y\n")
    assert rows(open_table(path, columns=["c", "a"])) == [{"c": "x", "a": 1.0}, {"c": "y", "a": 3.0}]
    assert open_table(path, columns=["c", "a"]).schema.names == ["c", "a"]
    assert open_table(path, columns="b").schema.names == ["b"]


def test_unknown_column_offers_the_near_ones(tmp_path):
    path = written(tmp_path, "price,rooms\n1,2\n")
    with pytest.raises(ColumnError, match=r"t.csv has no column 'Prize'. Did you mean 'price'\?"):
        open_table(path, columns=["Prize"])
    with pytest.raises(ColumnError, match="Its columns are 'price', 'rooms'"):
        open_table(path, columns=["zzz"])


def test_column_chosen_twice_or_none(tmp_path):
    path = written(tmp_path, "a,b\n1,2\n")
    with pytest.raises(OptionError, match="'a' more than once"):
        open_table(path, columns=["a", "a"])
    with pytest.raises(OptionError, match="columns is empty"):
        open_table(path, columns=[])


def test_types_may_be_told(tmp_path):
    path = written(tmp_path, "zip,k,n\n00501,1,9007199254740993\n10001,0,2\n")
    table = open_table(path, types={"zip": "string", "k": "boolean", "n": "integer"})
    assert rows(table)[0] == {"zip": "00501", "k": True, "n": 9007199254740993}
    assert kinds(open_table(path, types={"k": pa.float32()}))["k"] == "float"
    with pytest.raises(ColumnError, match="Did you mean 'zip'"):
        open_table(path, types={"zipp": "string"})
    with pytest.raises(OptionError, match=r"types\['zip'\] is 'txt'. It can be 'number'"):
        open_table(path, types={"zip": "txt"})


def test_header_cells_are_trimmed_and_named(tmp_path):
    table = open_table(written(tmp_path, '" a", b ,,"c\nd"\n1,2,3,4\n'))
    assert table.schema.names == ["a", "b", "column_3", "c\nd"]
    assert list(rows(table)[0].values()) == [1.0, 2.0, 3.0, 4.0]


def test_several_unnamed_columns(tmp_path):
    assert open_table(written(tmp_path, "a,,\n1,2,x\n")).schema.names == ["a", "column_2", "column_3"]


def test_duplicate_names_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"more than one column named 'a' \('a' is column 1 and 3\)"):
        open_table(written(tmp_path, "a,b,a\n1,2,3\n"))


def test_header_of_numbers_is_suspect(tmp_path):
    with pytest.warns(CumulantWarning, match="first line of t.csv is all numbers"):
        table = open_table(written(tmp_path, "1,2.5\n3,4\n"))
    assert table.schema.names == ["1", "2.5"]


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\r\n\r\n", "\ufeffa,b\n", "\n\na,b\n"])
def test_header_only_is_a_table_without_rows(tmp_path, text):
    table = open_table(written(tmp_path, text))
    assert table.schema == pa.schema([("a", pa.float64()), ("b", pa.float64())])
    assert table.rows == 0
    assert sum(batch.num_rows for batch in table.open()) == 0


@pytest.mark.parametrize("text", ["", "\n", "  \n\r\n", "\ufeff"])
def test_empty_file(tmp_path, text):
    with pytest.raises(SourceError, match=r"t.csv is empty"):
        open_table(written(tmp_path, text))


def test_blank_lines_before_and_between(tmp_path):
    assert rows(open_table(written(tmp_path, "\n\r\n\na,b\n\n1,2\n\n\n3,4"))) == [
        {"a": 1.0, "b": 2.0},
        {"a": 3.0, "b": 4.0},
    ]


def test_line_ends_of_every_system(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        assert rows(open_table(written(tmp_path, end.join(["a,b", "1,x", "2,y", ""])))) == [
            {"a": 1.0, "b": "x"},
            {"a": 2.0, "b": "y"},
        ]


def test_byte_order_marks_and_utf16(tmp_path):
    for encoding in ("utf-8-sig", "utf-16"):
        path = written(tmp_path, "année,b\n1,é\n".encode(encoding))
        assert rows(open_table(path)) == [{"année": 1.0, "b": "é"}]


def test_latin1_is_read_under_a_warning(tmp_path):
    path = written(tmp_path, "a,stadt\n1,Zürich\n2,Köln\n".encode("latin-1"))
    with pytest.warns(CumulantWarning, match="not UTF-8; it is read as cp1252"):
        table = open_table(path)
    assert [row["stadt"] for row in rows(table)] == ["Zürich", "Köln"]
    assert [row["stadt"] for row in rows(open_table(path, encoding="latin-1"))] == ["Zürich", "Köln"]
    with pytest.raises(SourceError, match="not text in utf-8: line 2 holds the byte 0xfc"):
        open_table(path, encoding="utf-8")
    with pytest.raises(OptionError, match="not an encoding"):
        open_table(path, encoding="klingon")


def test_latin1_where_windows_1252_has_gaps(tmp_path):
    with pytest.warns(CumulantWarning, match="read as latin-1"):
        assert rows(open_table(written(tmp_path, b"a,b\n1,\x81\xe9\n")))[0]["b"] == "\x81é"


def test_bytes_that_are_not_utf8_after_the_pilot(tmp_path, small_head):
    path = written(tmp_path, b"a,s\n" + b"1,x\n" * 2000 + b"1,\xfc\n")
    with pytest.raises(SourceError, match=r"column 's' holds other bytes.*encoding='cp1252'"):
        rows(open_table(path))


def test_binary_is_not_text(tmp_path):
    with pytest.raises(SourceError, match="binary data"):
        open_table(written(tmp_path, bytes(range(256)) * 4))


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zstandard.compress), (".dat", gzip.compress)],
)
def test_compression_is_told_by_content(tmp_path, suffix, pack):
    path = written(tmp_path, pack(b"a,b\n1,x\n2,y\n"), "t.csv" + suffix)
    table = open_table(path)
    assert rows(table) == rows(table) == [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]


def test_gzip_of_several_members(tmp_path):
    path = written(tmp_path, gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"), "t.csv.gz")
    assert [row["a"] for row in rows(open_table(path))] == [1.0, 3.0]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress])
def test_truncated_archive(tmp_path, pack, small_head):
    body = "a,b\n" + "".join(f"{math.sin(i)},{math.cos(i)}\n" for i in range(5000))
    packed = pack(body.encode())
    path = written(tmp_path, packed[: len(packed) * 2 // 3], "t.csv.gz")
    with pytest.raises(SourceError, match=r"t.csv.gz cannot be read.*truncated"):
        rows(open_table(path))


def test_truncated_archive_within_the_pilot(tmp_path):
    path = written(tmp_path, gzip.compress(b"a,b\n" + os.urandom(2000).hex().encode())[:-20], "t.csv.gz")
    with pytest.raises(SourceError, match="truncated"):
        open_table(path)


def test_ragged_row_names_its_line(tmp_path):
    path = written(tmp_path, 'a,b,c\n1,"x\ny",3\n\n4,5\n')
    with pytest.raises(DataError, match=r"t.csv, line 5: 2 cells where the header has 3"):
        open_table(path)


def test_ragged_row_after_the_pilot(tmp_path, small_head):
    path = written(tmp_path, "a,b\n" + "1,2\n" * 3000 + "1,2,3\n" + "1,2\n" * 10)
    with pytest.raises(DataError, match=r"line 3002: 3 cells where the header has 2"):
        rows(open_table(path))


def test_text_in_a_numeric_column_after_the_pilot(tmp_path, small_head):
    path = written(tmp_path, "price,s\n" + '1,"two\nlines"\n' * 500 + "oops,b\n" + "1,b\n" * 500)
    with pytest.raises(
        DataError, match=r"t.csv, line 1002: column 'price' holds 'oops', which is not a number"
    ) as caught:
        rows(open_table(path))
    assert "nulls=['oops']" in str(caught.value)
    assert "types={'price': 'string'}" in str(caught.value)
    assert rows(open_table(path, nulls=["oops"]))[500]["price"] is None
    assert rows(open_table(path, types={"price": "string"}))[500]["price"] == "oops"


def test_text_in_a_column_not_chosen_is_no_matter(tmp_path, small_head):
    path = written(tmp_path, "a,b\n" + "1,2\n" * 2000 + "1,oops\n")
    assert len(rows(open_table(path, columns=["a"]))) == 2001


def test_stray_text_in_the_pilot_is_told(tmp_path):
    path = written(tmp_path, "price\n" + "1.5\n" * 99 + "unknown\n")
    with pytest.warns(CumulantWarning, match=r"'price' of t.csv is read as text because of 'unknown', though 99.0%"):
        assert kinds(open_table(path)) == {"price": "string"}
    assert kinds(open_table(path, types={"price": "string"})) == {"price": "string"}
    assert kinds(open_table(path, nulls=["unknown"])) == {"price": "double"}


def test_decimals_after_an_integer_pilot(tmp_path, small_head):
    path = written(tmp_path, "n\n" + "1\n" * 2000 + "2.5\n1e3\n-inf\n")
    assert [row["n"] for row in rows(open_table(path))][-3:] == [2.5, 1000.0, -math.inf]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("late", "kind"), [("2.5", "double"), ("word", "string"), ("2024-01-31", "date32[day]")])
def test_column_empty_in_the_pilot(tmp_path, small_head, packed, late, kind):
    text = "a,late\n" + "1,\n" * 3000 + f"1,{late}\n" * 3000
    body = gzip.compress(text.encode()) if packed else text.encode()
    table = open_table(written(tmp_path, body))
    assert kinds(table)["late"] == kind
    found = [row["late"] for row in rows(table)]
    assert found[:3000] == [None] * 3000
    assert str(found[-1]) == late


def test_column_empty_in_the_pilot_that_holds_both_numbers_and_words(tmp_path, small_head):
    text = "a,late\n" + "1,\n" * 3000 + "1,7\n" * 3000 + "1,word\n" * 3000
    assert kinds(open_table(written(tmp_path, text)))["late"] == "string"


def test_column_without_any_value_is_float(tmp_path, small_head):
    table = open_table(written(tmp_path, "a,never\n" + "1,\n" * 3000))
    assert kinds(table)["never"] == "double"
    assert all(row["never"] is None for row in rows(table))


@pytest.mark.parametrize("after", [500, 2_000_000, 5_000_000])
def test_quote_never_closed(tmp_path, small_head, after):
    text = "a,s\n" + "1,x\n" * 2000 + '1,"open\n' + "1,x\n" * after
    with pytest.raises(DataError, match="begins on line 2002 opens a quote that is never closed"):
        rows(open_table(written(tmp_path, text)))


def test_long_last_cell_in_quotes_is_fine(tmp_path):
    assert rows(open_table(written(tmp_path, 'a,s\n1,"two\nlines"')))[0]["s"] == "two\nlines"


def test_quote_inside_plain_text_is_text(tmp_path):
    assert rows(open_table(written(tmp_path, 'a,s\n1,6" pipe\n2,"5"" pipe"\n'))) == [
        {"a": 1.0, "s": '6" pipe'},
        {"a": 2.0, "s": '5" pipe'},
    ]


def test_a_row_of_many_megabytes(tmp_path):
    path = written(tmp_path, "a,s\n1," + "x" * 6_000_000 + "\n2,y\n")
    assert [len(row["s"]) for row in rows(open_table(path))] == [6_000_000, 1]


def test_many_columns(tmp_path):
    names = [f"c{i}" for i in range(20_000)]
    table = open_table(written(tmp_path, ",".join(names) + "\n" + (",".join("1" * len(names)) + "\n") * 3))
    assert len(table.schema) == 20_000
    assert sum(batch.num_rows for batch in table.open()) == 3


def test_batches_are_bounded_and_passes_repeat(tmp_path):
    values = np.random.default_rng(0).normal(size=300_000)
    path = written(tmp_path, "x\n" + "\n".join(map(repr, values.tolist())) + "\n")
    table = open_table(path)
    assert table.rows is None
    for _ in range(2):
        batches = list(table.open())
        assert len(batches) > 1
        assert max(batch.nbytes for batch in batches) < 8 << 20
        assert all(batch.schema == table.schema for batch in batches)
        np.testing.assert_array_equal(np.concatenate([batch.column(0).to_numpy() for batch in batches]), values)


def test_position_grows_to_one(tmp_path):
    values = np.random.default_rng(0).normal(size=400_000)
    path = written(tmp_path, gzip.compress(("x\n" + "\n".join(map(repr, values.tolist())) + "\n").encode(), 1))
    table = open_table(path)
    assert table.position() == 0.0 or table.position() <= 1.0
    seen = [table.position() for _ in table.open()]
    assert seen == sorted(seen)
    assert 0.0 < seen[0] <= seen[-1] <= 1.0
    assert table.position() == 1.0


def test_stream_is_read_once():
    table = open_table(io.BytesIO(b"a,b\n1,x\n2,y\n"))
    assert not table.repeatable
    assert rows(table) == [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]
    with pytest.raises(SourceError, match="has already been read"):
        table.open()


def test_stream_longer_than_the_pilot(small_head):
    packed = gzip.compress(b"a,b\n" + b"1,x\n" * 5000)
    assert len(rows(open_table(io.BytesIO(packed)))) == 5000
    assert len(rows(open_table(io.StringIO("a,b\n" + "1,x\n" * 5000)))) == 5000


def test_stream_names_the_record_of_a_bad_cell(small_head):
    table = open_table(io.BytesIO(b"a,b\n" + b"1,x\n" * 5000 + b"oops,x\n"))
    with pytest.raises(DataError, match=r"record 5002 \(the header is record 1\): column 'a' holds 'oops'"):
        rows(table)


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a;b\n1;2\n")))
    table = open_table("-")
    assert table.name == "standard input"
    assert rows(table) == [{"a": 1.0, "b": 2.0}]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_named_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a,b\n" + b"1,2\n" * 100_000,))
    writer.start()
    table = open_table(path)
    assert not table.repeatable
    assert len(rows(table)) == 100_000
    writer.join()


def test_open_text_handle_is_refused(tmp_path):
    class Text(io.TextIOBase):
        def read(self, size=-1):
            return "a,b\n"[:size]

    with pytest.raises(SourceError, match="open as text"):
        open_table(Text())


def test_file_that_shrinks_between_passes(tmp_path):
    path = written(tmp_path, "a,b\n1,2\n")
    table = open_table(path)
    path.unlink()
    with pytest.raises(SourceError, match=r"t.csv"):
        list(table.open())


cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=0, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(
    table=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12)
    ),
    mark=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_survives_the_csv_module(tmp_path_factory, table, mark, end):
    path = tmp_path_factory.getbasetemp() / f"any_{os.getpid()}.csv"
    names = [f"c{at}" for at in range(len(table[0]))]
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL)
        out.writerows([names, *table])
    opened = open_table(path, delimiter=mark if len(names) > 1 else None, types=dict.fromkeys(names, "string"))
    want = [{name: None if cell in NULLS else cell for name, cell in zip(names, row, strict=True)} for row in table]
    assert rows(opened) == want


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=40))
def test_any_float_survives(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / f"floats_{os.getpid()}.csv"
    path.write_text("k,x\n" + "".join(f"k,{'' if value is None else repr(value)}\n" for value in values))
    assert [row["x"] for row in rows(open_table(path))] == values
