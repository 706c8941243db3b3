"""A measurement that was killed goes on where it was, to the last bit; another one is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import cumulant as cm
from commandline import Cli, environment
from cumulant.errors import CumulantWarning, FileFormatError, IncompatibleError, SourceError
from helpers import TABLES

checkpoint = import_module("cumulant.measure.checkpoint")
accumulate = import_module("cumulant.measure.accumulate")
measuring = import_module("cumulant.measure.measure")

ROWS = 20_000
FIELDS = ("shift", "sums", "squares", "rows", "squared_weights", "log_weights")
# Small blocks, threads for a small table, a state after each block, and time to be killed between two.
SLOW = """
import sys, time
from importlib import import_module
import cumulant as cm
accumulate = import_module("cumulant.measure.accumulate")
checkpoint = import_module("cumulant.measure.checkpoint")
checkpoint.INTERVAL, checkpoint.PATIENCE = float(sys.argv[3]), 0
measuring = import_module("cumulant.measure.measure")
measuring.BLOCK_BYTES, measuring.PARALLEL_CELLS = 1 << 14, 1000
add = accumulate.Accumulator.add
def slowly(share, block):
    time.sleep(0.02)
    add(share, block)
accumulate.Accumulator.add = slowly
"""
MEASURE = SLOW + "cm.measure(sys.argv[1], checkpoint=sys.argv[2]).save(sys.argv[4])\n"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(measuring, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(measuring, "PARALLEL_CELLS", 1000)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "PATIENCE", 0)


def table_with(kind: str, rows: int = ROWS) -> pd.DataFrame:
    table = TABLES[kind](np.random.default_rng(0), rows)
    if kind == "mixed":
        # Levels that show late change the schema under way.
        table.loc[rows // 3 :, "city"] = np.where(np.arange(rows - rows // 3) % 5, table["city"][rows // 3 :], "Bern")
    return table


def identical(a: cm.Moments, b: cm.Moments) -> bool:
    same = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)
    same = same and all(map(np.array_equal, a.levels.to_state().values(), b.levels.to_state().values()))
    return same and a.schema == b.schema and a.presence == b.presence and a.weighting == b.weighting


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def stop_after(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """Fail in the given block."""
    add, seen = accumulate.Accumulator.add, []

    def counted(share, block):
        seen.append(block)
        if len(seen) > blocks:
            raise StoppedError
        add(share, block)

    monkeypatch.setattr(accumulate.Accumulator, "add", counted)


def stopped(monkeypatch: pytest.MonkeyPatch, blocks: int, table: object, state: Path, **options: object) -> Path:
    """The state of a measurement that was ended after some blocks."""
    with monkeypatch.context() as patch:
        stop_after(patch, blocks)
        with pytest.raises(StoppedError):
            cm.measure(table, checkpoint=state, **options)
    return state


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", TABLES)
def test_a_pass_that_goes_on_gives_the_same_to_the_last_bit(tmp_path, monkeypatch, kind, threads):
    monkeypatch.setattr(measuring, "cores", lambda: threads)
    table, state = table_with(kind), tmp_path / "state.cumulant"
    whole = cm.measure(table)
    for blocks in (4, 5):
        assert stopped(monkeypatch, blocks, table, state).exists()
    assert identical(cm.measure(table, checkpoint=state), whole)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"weights": "w"},
        {"weights": "w", "weight_kind": "importance", "missing": "drop"},
        {"precision": "compensated", "folds": 3},
        {"columns": ["c", "a"], "rows": 1000},
    ],
    ids=str,
)
def test_with_weights_gaps_and_exact_sums_too(tmp_path, monkeypatch, options, native):
    if not native:
        monkeypatch.setattr(import_module("cumulant.measure.kernels"), "library", lambda: None)
    table = table_with("with_gaps", 6000)
    # Rows without weight are left out of their blocks, but they are rows of the table.
    table["w"] = np.random.default_rng(1).integers(0, 3, len(table)).astype(float)
    path, state = tmp_path / "table.parquet", tmp_path / "state.cumulant"
    table.to_parquet(path)
    whole = cm.measure(path, **options)
    stopped(monkeypatch, 5, path, state, **options)
    assert identical(cm.measure(path, checkpoint=state, **options), whole)


def test_of_parquet_only_what_is_left_is_read(tmp_path, monkeypatch):
    path, state = tmp_path / "table.parquet", tmp_path / "state.cumulant"
    columnar = import_module("cumulant.source.columnar")
    monkeypatch.setattr(columnar, "BATCH_BYTES", 1)
    monkeypatch.setattr(columnar, "BATCH_ROWS", 1000)
    table_with("mixed_with_gaps").to_parquet(path, row_group_size=5000)
    whole = cm.measure(path)
    stopped(monkeypatch, 32, path, state)
    done = cm.storage.read(state)[2]["rows"]
    assert 10_000 < done < ROWS
    # What lies in the second row group has been summed; whoever reads it again will stumble.
    columns = [pq.read_metadata(path).row_group(1).column(j) for j in range(table_with("mixed_with_gaps").shape[1])]
    with path.open("r+b") as file:
        for column in columns:
            file.seek(column.data_page_offset)
            file.write(b"\xff" * 8)
    with pytest.raises(SourceError, match=r"table\.parquet"):
        cm.measure(path)
    assert identical(cm.measure(path, checkpoint=state), whole)


def test_threads_are_those_that_began(tmp_path, monkeypatch):
    table, state = table_with("numbers"), tmp_path / "state.cumulant"
    monkeypatch.setattr(measuring, "cores", lambda: 3)
    whole = cm.measure(table)
    stopped(monkeypatch, 10, table, state)
    monkeypatch.setattr(measuring, "cores", lambda: 2)
    assert not identical(cm.measure(table), whole)
    assert identical(cm.measure(table, checkpoint=state), whole)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_killed_process_is_continued_by_another(tmp_path, ending):
    path, state, out = (tmp_path / name for name in (f"table.{ending}", "state.cumulant", "moments.cumulant"))
    table = table_with("mixed_with_gaps")
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    words = [sys.executable, "-c", MEASURE, path, state, "0", out]
    kept = []
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen(words, env=environment())
        end = time.monotonic() + 60
        while not (state.exists() and state.stat().st_mtime_ns != before):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        kept.append(cm.storage.read(state)[2]["rows"])
    assert 0 < kept[0] < kept[1] < ROWS
    assert not out.exists()
    subprocess.run(words, env=environment(), check=True)
    assert identical(cm.load(out), cm.measure(path))
    assert not state.exists()


def test_a_full_disk_leaves_the_measurement_and_the_last_state(tmp_path):
    path, state, out = (tmp_path / name for name in ("table.parquet", "state.cumulant", "moments.cumulant"))
    table = table_with("numbers")
    table.to_parquet(path)
    script = SLOW + (
        "import resource, signal, warnings, pathlib\n"
        "from cumulant import storage\n"
        "write, states = storage.write_atomically, []\n"
        "def limited(path, content):\n"
        "    if len(states) == 3:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "    write(path, content)\n"
        "    states.append(pathlib.Path(path).read_bytes())\n"
        "storage.write_atomically = limited\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    m = cm.measure(sys.argv[1], checkpoint=sys.argv[2])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "storage.write_atomically = write\n"
        "m.save(sys.argv[4])\n"
        "assert len(states) == 3\n"
        "print(len(seen), seen[0].category.__name__, seen[0].message)\n"
    )
    words = [sys.executable, "-c", script, path, state, "0", out]
    done = subprocess.run(words, check=False, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    count, category, message = done.stdout.split(maxsplit=2)
    assert int(count) >= 10
    assert category == CumulantWarning.__name__
    assert "the measurement goes on, but its state is not kept" in message
    assert "any earlier file of that name is as it was" in message
    assert identical(cm.load(out), cm.measure(path))


def test_a_state_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    table = table_with("numbers")
    state = stopped(monkeypatch, 4, table, tmp_path / "state.cumulant")
    before = state.read_bytes()

    def full(*_: object) -> None:
        raise SourceError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.storage, "save", full)
        with pytest.warns(CumulantWarning, match="goes on"):
            stopped(monkeypatch, 4, table, state)
    assert state.read_bytes() == before
    assert identical(cm.measure(table, checkpoint=state), cm.measure(table))


@pytest.mark.parametrize("seconds", ["0", "1000"])
def test_an_interrupt_keeps_the_state_and_says_how_to_go_on(tmp_path, seconds):
    path, state, out = (tmp_path / name for name in ("table.csv", "state.cumulant", "moments.cumulant"))
    table_with("numbers").to_csv(path, index=False)
    script = MEASURE.replace("time.sleep(0.02)", "print('begun', flush=True); time.sleep(0.1)")
    words = [sys.executable, "-c", script, path, state, seconds, out]
    process = subprocess.Popen(words, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("begun")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert f"is kept in {state}; measure the same table with the same options and checkpoint to go on" in err
    assert 0 < cm.storage.read(state)[2]["rows"] < ROWS
    assert identical(cm.measure(path, checkpoint=state), cm.measure(path))


def test_the_interrupt_handler_is_put_back_and_left_alone_in_threads(tmp_path):
    before, table = signal.getsignal(signal.SIGINT), table_with("numbers", 3000)
    cm.measure(table, checkpoint=tmp_path / "a")
    assert signal.getsignal(signal.SIGINT) is before
    found: list[cm.Moments] = []
    worker = threading.Thread(target=lambda: found.append(cm.measure(table, checkpoint=tmp_path / "b")))
    worker.start()
    worker.join()
    assert identical(found[0], cm.measure(table))


@pytest.mark.parametrize(
    ("change", "options", "differs"),
    [
        (lambda t: t, {"folds": 5}, "folds= 10, now 5"),
        (lambda t: t, {"missing": "drop"}, "missing= 'integrate', now 'drop'"),
        (lambda t: t, {"lifts": {"a": "categorical"}}, "lifts= None, now {'a': 'categorical'}"),
        (lambda t: t, {"weights": np.ones(ROWS)}, "weights="),
        (lambda t: t, {"rows": 7}, "rows="),
        (lambda t: t.rename(columns={"a": "A"}), {}, "its columns"),
        (lambda t: t[:-1], {}, "its bytes"),
        (lambda t: t + 1e-9, {}, "its first rows"),
    ],
)
def test_the_state_of_another_measurement_is_refused(tmp_path, monkeypatch, change, options, differs):
    table = table_with("numbers")
    state = stopped(monkeypatch, 4, table, tmp_path / "state.cumulant")
    before = state.read_bytes()
    with pytest.raises(IncompatibleError, match="is the state of another measurement") as refusal:
        cm.measure(change(table), checkpoint=state, **options)
    assert differs in str(refusal.value)
    assert state.read_bytes() == before


def test_another_file_is_refused_by_name_and_size(tmp_path, monkeypatch):
    table = table_with("numbers")
    table.to_csv(tmp_path / "a.csv", index=False)
    table[:-5].to_csv(tmp_path / "b.csv", index=False)
    state = stopped(monkeypatch, 4, tmp_path / "a.csv", tmp_path / "state.cumulant")
    with pytest.raises(IncompatibleError, match=r"the table's name a\.csv, now b\.csv; its bytes \d+, now \d+"):
        cm.measure(tmp_path / "b.csv", checkpoint=state)


def test_a_table_that_has_shrunk_is_refused(tmp_path, monkeypatch):
    """A stream has neither size nor number of rows that could tell."""
    import pyarrow as pa

    def stream(rows: int) -> pa.RecordBatchReader:
        return pa.Table.from_pandas(table_with("numbers")[:rows]).to_reader(max_chunksize=1000)

    state = stopped(monkeypatch, 4, stream(ROWS), tmp_path / "state.cumulant")
    with pytest.raises(IncompatibleError, match=r"4,096 rows were|rows were measured before .* the table ends after"):
        cm.measure(stream(1000), checkpoint=state)


def test_files_that_are_no_checkpoints_are_refused_and_kept(tmp_path, monkeypatch):
    table, path = table_with("numbers", 100), tmp_path / "table.csv"
    table.to_csv(path, index=False)
    with pytest.raises(FileFormatError, match="cannot be the state of a measurement"):
        cm.measure(path, checkpoint=path)
    cm.measure(table).save(tmp_path / "moments.cumulant")
    with pytest.raises(FileFormatError, match="holds moments, not a checkpoint"):
        cm.measure(path, checkpoint=tmp_path / "moments.cumulant")
    assert cm.load(tmp_path / "moments.cumulant").count == 100
    pd.testing.assert_frame_equal(pd.read_csv(path), table)
    with pytest.raises(SourceError, match="there is no folder"):
        cm.measure(path, checkpoint=tmp_path / "nowhere" / "state")
    with pytest.raises(SourceError, match="it is a folder"):
        cm.measure(path, checkpoint=tmp_path)


def test_a_checkpoint_is_not_loaded_as_a_result(tmp_path, monkeypatch):
    state = stopped(monkeypatch, 4, table_with("numbers"), tmp_path / "state.cumulant")
    with pytest.raises(FileFormatError, match="the state of a measurement under way"):
        cm.load(state)


def test_what_a_kill_leaves_of_a_state_half_written_is_removed(tmp_path, monkeypatch):
    table = table_with("numbers")
    state = stopped(monkeypatch, 4, table, tmp_path / "state.cumulant")
    (tmp_path / f".{state.name}.abcd1234").write_bytes(b"half")
    (tmp_path / ".other").write_bytes(b"")
    cm.measure(table, checkpoint=state)
    assert [file.name for file in tmp_path.iterdir()] == [".other"]


def test_fit_takes_a_checkpoint(tmp_path, monkeypatch):
    table = table_with("numbers")
    state = stopped(monkeypatch, 4, table, tmp_path / "state.cumulant")
    model = cm.fit(table, target="a", checkpoint=state)
    np.testing.assert_array_equal(model.covariance, cm.fit(table, target="a").covariance)


@pytest.fixture
def heard():
    """Interrupts are heard, also where the tests run in the background of a shell, which has them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_the_command_is_interrupted_and_goes_on(tmp_path, monkeypatch, capsys):
    table, state, out = tmp_path / "table.csv", tmp_path / "state", tmp_path / "model.cumulant"
    table_with("mixed").to_csv(table, index=False)
    cli, words = Cli(capsys), ("fit", table, "-o", out, "--checkpoint", state, "--json")
    add = accumulate.Accumulator.add

    def interrupted(share, block):
        add(share, block)
        if block.first > ROWS // 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(accumulate.Accumulator, "add", interrupted)
        answer = cli(*words)
    assert answer.status == 130
    assert answer.err.splitlines()[-1].startswith("interrupted: the state after ")
    assert f"is kept in {state}; measure the same table" in answer.err
    assert not out.exists()
    assert f"going on from the state in {state}" in cli(*words).ok().err
    assert identical(cm.load(out).moments, cm.measure(table))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.cumulant", "table.csv"]
    answer = cli("fit", table, "-o", out, "--checkpoint", tmp_path / "nowhere" / "state")
    assert "there is no folder" in answer.refusal()
