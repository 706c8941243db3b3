"""Bad input, tried and answered: one line that says what, where and what to do, and no file left behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import Cli, houses, run

NUMBERS = "a,b\n" + "".join(f"{i},{2 * i}\n" for i in range(100))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def text(content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "t.csv").write_text(content)
        return folder / "t.csv"

    return write


def wide(folder: Path) -> Path:
    names = ",".join(f"c{i}" for i in range(100_000))
    cells = ",".join(["1"] * 100_000)
    return text(f"{names}\n{cells}\n{cells}\n")(folder)


def truncated_parquet(folder: Path) -> Path:
    houses().to_parquet(folder / "t.parquet")
    whole = (folder / "t.parquet").read_bytes()
    (folder / "t.parquet").write_bytes(whole[: len(whole) // 2])
    return folder / "t.parquet"


def truncated_gzip(folder: Path) -> Path:
    import gzip

    whole = gzip.compress(houses(5000).to_csv(index=False).encode())
    (folder / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    return folder / "t.csv.gz"


def cut_in_a_row(folder: Path) -> Path:
    return text(NUMBERS[: NUMBERS.rindex(",")])(folder)


def missing(folder: Path) -> Path:
    (folder / "houses.csv").write_text(NUMBERS)
    return folder / "house.csv"


BAD_TABLES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...], tuple[str, ...]]] = {
    "missing file": (missing, (), ("house.csv", "Did you mean 'houses.csv'?")),
    "empty file": (text(""), (), ("t.csv is empty",)),
    "header only": (text("a,b\n"), (), ("no rows",)),
    "ragged": (text("a,b\n1,2\n3\n4,5\n"), (), ("line 3", "1 cells where the header has 2")),
    "wrong delimiter": (text(NUMBERS), ("--delimiter", ";"), ("';'", "','")),
    "unknown target": (text(NUMBERS), ("--target", "c"), ("no column 'c'", "a, b")),
    "unknown column": (text(NUMBERS), ("--columns", "a,bb"), ("'bb'", "Did you mean 'b'?")),
    "text in a numeric column": (
        text("a,b\n" + "1,2\n" * 1_100_000 + "oops,3\n" + "1,2\n" * 500_000),
        (),
        ("line 1100002", "'a'", "'oops'", "--null 'oops'", "--type 'a=string'"),
    ),
    "infinity": (text("a,b\n1,2\ninf,3\n4,5\n"), (), ("'a'", "inf", "row 1")),
    "missing cells refused": (text("a,b\n1,2\n,3\n4,5\n"), ("--missing", "error"), ("'a'", "row 1", "--missing")),
    "negative weight": (text("a,b\n1,2\n-2,3\n4,5\n"), ("--weights", "a"), ("weight", "row 1", "-2")),
    "duplicate column names": (text("a,a\n1,2\n2,3\n"), (), ("'a'", "column 1 and 2")),
    "100,000 columns": (wide, (), ("100,000 fields", "GiB", "--columns")),
    "truncated Parquet": (truncated_parquet, (), ("t.parquet", "truncated")),
    "truncated gzip": (truncated_gzip, (), ("t.csv.gz", "truncated")),
    "cut in the middle of a row": (cut_in_a_row, (), ("line 101", "1 cells where the header has 2")),
    "not a table": (text("\x00\x01\x02" * 50), (), ("binary",)),
    "a sqlite address without a file": (lambda f: f / "none.db?table=t", (), ("none.db",)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_in_one_line(cli: Cli, tmp_path: Path, name: str) -> None:
    make, words, said = BAD_TABLES[name]
    table, out = make(tmp_path), tmp_path / "m.cumulant"
    out.write_bytes(b"what stood there before")
    names = sorted(path.name for path in tmp_path.iterdir())
    answer = cli("fit", table, "-o", out, *words)
    line = answer.refusal(2 if name == "wrong delimiter" and answer.status == 2 else 1)
    for part in said:
        assert part in line
    assert answer.out == ""
    assert out.read_bytes() == b"what stood there before"
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_one_row_is_a_model_that_says_how_little_it_knows(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", text("a,b\n1,2\n")(tmp_path), "-o", tmp_path / "m").ok()
    assert "note: constant, so without influence: a, b" in answer.err
    assert cli("predict", tmp_path / "m", "--target", "a", "--given", "b=7").ok().out == "a\n1\n"


def test_cells_that_are_not_numbers_are_missing(cli: Cli, tmp_path: Path) -> None:
    table = text("a,b\n1,2\nNaN,3\n4,NA\n7,9\n,1\n")(tmp_path)
    cli("fit", table, "-o", tmp_path / "m").ok()
    model = cm.load(tmp_path / "m")
    assert model.mean[model.fields.index("a")] == pytest.approx(4.0)  # type: ignore[union-attr]
    assert model.mean[model.fields.index("b")] == pytest.approx(3.75)  # type: ignore[union-attr]


def test_a_column_mostly_of_numbers_is_noted(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", text(NUMBERS + "x,3\n")(tmp_path), "-o", tmp_path / "m").ok()
    note = next(line for line in answer.err.splitlines() if "'x'" in line)
    assert note.startswith("note: ")
    assert "--null 'x'" in note
    assert "open_table" not in answer.err


def test_a_prediction_for_a_bad_cell(cli: Cli, tmp_path: Path) -> None:
    cli("fit", text(NUMBERS)(tmp_path), "-o", tmp_path / "m").ok()
    pd.DataFrame({"a": [1.0, np.inf]}).to_parquet(tmp_path / "new.parquet")
    line = cli("predict", tmp_path / "m", tmp_path / "new.parquet", "--target", "b").refusal()
    assert "'a' is inf in row 1" in line


# ------------------------------------------------------------------ bad model files


def damaged(kind: str, good: bytes) -> bytes:
    middle = len(good) // 2
    return {
        "empty": b"",
        "truncated": good[:middle],
        "header only": good[:100],
        "one bit": good[:-9] + bytes([good[-9] ^ 1]) + good[-8:],
        "foreign": b"PK\x03\x04 this is a zip archive",
        "text": NUMBERS.encode(),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "truncated", "header only", "one bit", "foreign", "text"])
def test_a_damaged_model_is_refused(cli: Cli, tmp_path: Path, kind: str) -> None:
    cli("fit", text(NUMBERS)(tmp_path), "-o", tmp_path / "good").ok()
    bad = tmp_path / "bad.cumulant"
    bad.write_bytes(damaged(kind, (tmp_path / "good").read_bytes()))
    for words in (("inspect", bad), ("predict", bad, "--given", "a=1"), ("merge", bad, bad, "-o", bad)):
        assert "bad.cumulant" in cli(*words).refusal()


def test_a_model_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    assert "no file" in cli("inspect", tmp_path / "none").refusal()
    assert "no file" in cli("sample", tmp_path / "none").refusal()


# ------------------------------------------------------------------ a disk that fills up


def limit_files() -> None:
    """Let no file of this process grow beyond 4 kB, as on a disk with so much left."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


COMMANDS = {
    "fit": ("fit", "table.csv", "-o", "old"),
    "merge": ("merge", "model", "model", "-o", "old"),
    "sample": ("sample", "model", "-n", "5000", "-o", "old.csv"),
    "predict": ("predict", "model", "table.csv", "--output", "samples", "--target", "price", "-o", "old.parquet"),
    "report": ("report", "model", "-o", "old.html"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_leaves_the_old_file_as_it_was(cli: Cli, tmp_path: Path, name: str) -> None:
    houses(400).to_csv(tmp_path / "table.csv", index=False)
    cli("fit", tmp_path / "table.csv", "-o", tmp_path / "model").ok()
    old = tmp_path / COMMANDS[name][-1]
    old.write_bytes(b"what stood there before")
    before = sorted(path.name for path in tmp_path.iterdir())
    answer = run(*COMMANDS[name], cwd=tmp_path, preexec_fn=limit_files)
    line = answer.refusal()
    assert old.name in line
    assert "as it was" in line
    assert old.read_bytes() == b"what stood there before"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 kB; only the superuser can have one mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, b"size=32k") != 0:
        pytest.skip(f"no file system can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield place
    finally:
        libc.umount2(str(place).encode(), 2)


def test_a_really_full_disk(cli: Cli, tmp_path: Path, small_disk: Path) -> None:
    houses(400).to_csv(tmp_path / "table.csv", index=False)
    model = small_disk / "model"
    cli("fit", tmp_path / "table.csv", "-o", model, "--columns", "price,rooms").ok()
    before = model.read_bytes()
    (small_disk / "rest").write_bytes(b"x" * (32 * 1024 - 4096 * -(-len(before) // 4096) - 4096))
    answer = cli("fit", tmp_path / "table.csv", "-o", model)
    assert "No space left on device" in answer.refusal()
    assert model.read_bytes() == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["model", "rest"]
    assert cli("inspect", model).ok()
