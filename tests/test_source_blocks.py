"""Text parsed in blocks, on several threads, is what Arrow's stream makes of it; numbers are those of Python."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import cumulant as cm
from commandline import environment
from cumulant.errors import DataError
from cumulant.source import open_table
from cumulant.source.blocks import Block, parsed
from cumulant.source.dialect import Dialect
from cumulant.source.native import library

blocks = import_module("cumulant.source.blocks")
bytestream = import_module("cumulant.source.bytestream")
delimited = import_module("cumulant.source.delimited")
dialects = import_module("cumulant.source.dialect")


@pytest.fixture
def small(monkeypatch):
    """Heads and blocks of some hundred bytes, and three threads."""
    monkeypatch.setattr(bytestream, "HEAD_BYTES", 300)
    monkeypatch.setattr(delimited, "cores", lambda: 3)
    settle = dialects.settle_types
    monkeypatch.setattr(
        delimited,
        "settle_types",
        lambda source, head, dialect, options: settle(source, head, replace(dialect, block_bytes=400), options),
    )


def column(path) -> list[object]:
    return [value for batch in open_table(path).open() for value in batch.column(0).to_pylist()]


def one_cell(text: str) -> pa.RecordBatch | None:
    dialect = Dialect(",", names=("x",), types=(pa.float64(),))
    block = Block(memoryview(text.encode() + b"\n"), 1)
    return blocks._numbers(block, dialect, ["x"])


@pytest.mark.skipif(library() is None, reason="no compiled decoders here")
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["r", ".17g", ".3f", "e", ".18e"]))
@example(5e-324, "r")
@example(9007199254740993.0, "r")
@example(-0.0, "r")
def test_a_number_is_what_python_reads_or_left_to_arrow(x, form):
    text = repr(x) if form == "r" else format(x, form)
    found = one_cell(text)
    if found is not None:
        assert np.float64(found.column(0)[0].as_py()).tobytes() == np.float64(float(text)).tobytes()


@pytest.mark.skipif(library() is None, reason="no compiled decoders here")
@given(st.integers(0, 10**19 - 1), st.integers(-27, 27))
@example(9007199254740993, 0)
@example(9007199254740993 * 1024, 0)
@example(2**64 - 1, -27)
@example(2**64 - 1, 27)
def test_digits_times_a_power_of_ten_are_rounded_once(digits, exponent):
    found = one_cell(f"{digits}e{exponent}")
    assert found is None or found.column(0)[0].as_py() == float(f"{digits}e{exponent}")
    if digits < 10**19 and abs(exponent) < 28:
        assert found is not None


@pytest.mark.skipif(library() is None, reason="no compiled decoders here")
@pytest.mark.parametrize(
    "text", ["x", "1x", "1,2", "0x10", "+1", " 1", "1 ", "1.2.3", "--1", "1e", "e5", ".", "-", "inf"]
)
def test_what_is_no_plain_number_is_left_to_arrow(text):
    assert one_cell(text) is None


@pytest.mark.skipif(library() is None, reason="no compiled decoders here")
def test_plain_spellings_need_no_arrow():
    found = {
        text: one_cell(text) for text in ("1", "-1.5", ".5", "5.", "1e5", "1E-5", "1e+05", "007", "NA", "nan", "NULL")
    }
    read = {text: None if batch is None else batch.column(0)[0].as_py() for text, batch in found.items()}
    assert all(batch is not None for batch in found.values())
    assert read == {
        "1": 1, "-1.5": -1.5, ".5": 0.5, "5.": 5, "1e5": 1e5, "1E-5": 1e-5, "1e+05": 1e5, "007": 7, "NA": None,
        "nan": None, "NULL": None,
    }  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["a,b,c", '"a","b","c"', '"a ""1""",b,c'])
def test_blocks_make_the_whole(tmp_path, small, end, header):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 3))
    cells = [[repr(float(v)) if v > -1.5 else "NA" for v in row] for row in x]
    cells[3][1], cells[200][2], cells[499][0] = "+1", "1e-300", "2"
    lines = [header, *(",".join(row) for row in cells)]
    lines.insert(100, "")
    path = tmp_path / "table.csv"
    path.write_text(end.join(lines) + end * 2, newline="")
    expected = [[None if cell == "NA" else float(cell) for cell in row] for row in cells]
    batches = list(open_table(path).open())
    assert len(batches) > 20
    assert [list(row.values()) for batch in batches for row in batch.to_pylist()] == expected
    path.write_text(end.join(lines), newline="")
    assert sum(batch.num_rows for batch in open_table(path).open()) == 500


@pytest.mark.parametrize("row", [0, 60, 499])
def test_a_quote_may_hold_the_end_of_a_line_wherever_it_comes(tmp_path, small, row):
    cells = [f"{i}.5,word" for i in range(500)]
    cells[row] = f'{row}.5,"two\nlines, and a ""quote"""'
    path = tmp_path / "table.csv"
    path.write_text("x,w\n" + "\n".join(cells) + "\n")
    rows = [cell for batch in open_table(path).open() for cell in batch.to_pylist()]
    assert [cell["x"] for cell in rows] == [i + 0.5 for i in range(500)]
    assert rows[row]["w"] == 'two\nlines, and a "quote"'


def test_threads_change_nothing(tmp_path, small, monkeypatch):
    path = tmp_path / "table.csv"
    np.savetxt(path, np.random.default_rng(0).standard_normal((300, 2)), delimiter=",", header="a,b", comments="")
    found = [cm.measure(path).sums]
    monkeypatch.setattr(delimited, "cores", lambda: 1)
    found.append(cm.measure(path).sums)
    assert np.array_equal(*found)


@pytest.mark.parametrize(("cell", "what"), [("1,oops", "column 'b' holds 'oops'"), ("1,2,3", "3 cells where")])
def test_a_bad_line_far_down_is_named(tmp_path, monkeypatch, cell, what):
    monkeypatch.setattr(bytestream, "HEAD_BYTES", 1000)
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 999_998 + cell + "\n" + "1,2\n" * 10)
    with pytest.raises(DataError, match=rf"table\.csv, line 1000000: .*{what}"):
        cm.measure(path)


def test_a_line_longer_than_a_block_is_read_all_the_same(tmp_path, small):
    path = tmp_path / "table.csv"
    path.write_text("x,w\n" + "1,a\n" * 100 + "2," + "b" * 390 + "\n" + "3,c\n" * 100)
    assert column(path) == [1.0] * 100 + [2.0] + [3.0] * 100


def test_arrow_reads_alike_without_the_compiled_code(tmp_path, small, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "".join(f"{i},{i / 7!r}\n" for i in range(300)))
    compiled = list(open_table(path).open())
    monkeypatch.setattr(blocks, "library", lambda: None)
    assert list(open_table(path).open()) == compiled


def test_rows_come_as_batches_of_the_schema(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("b,a,word\n1,2,x\n3,4,y\n")
    dialect = Dialect(",", names=("b", "a", "word"))
    block = Block(memoryview(b"1,2,x\n3,4,y\n"), 2)
    assert parsed(block, dialect, {"a": pa.float64(), "b": pa.float64()}).to_pydict() == {"a": [2, 4], "b": [1, 3]}
    assert parsed(block, dialect, {"word": pa.string()}).to_pydict() == {"word": ["x", "y"]}
    assert parsed(Block(memoryview(b"\n"), 1), dialect, {"word": pa.string()}).num_rows == 0


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_interrupt_ends_a_pass_on_threads(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    table = pa.table(dict(zip("abc", np.random.default_rng(0).standard_normal((3, 300_000)), strict=True)))
    (pa_csv.write_csv if ending == "csv" else pq.write_table)(table, path)
    loop = (
        "import sys\nimport cumulant as cm\nwhile True:\n    cm.measure(sys.argv[1])\n    print('a pass', flush=True)\n"
    )
    words = [sys.executable, "-c", loop, path]
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a pass\n"
        # One that falls into a finaliser is lost, as anywhere in Python; the user presses again.
        for _ in range(50):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
                break
        errors = process.stderr.read() if process.stderr else ""
    assert process.returncode == -signal.SIGINT
    assert errors.splitlines()[-1].startswith("KeyboardInterrupt")
