"""The progress bar: silent unless someone watches and the work lasts, and never in the way of the batches."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import cumulant
from cumulant.source import open_table, progress, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return stream


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def consume(table, clock=None, seconds=0.0, **options):
    count = 0
    for batch in track(table, table.open(), **options):
        count += batch.num_rows
        if clock is not None:
            clock[0] += seconds
    return count


@pytest.fixture
def table():
    return open_table({"x": [0.0] * 200_000})


def test_the_batches_themselves_where_no_one_watches(table):
    batches = table.open()
    assert track(table, batches) is batches


def test_quick_work_shows_nothing(table, terminal, clock):
    assert consume(table, clock, 0.1) == 200_000
    assert terminal.getvalue() == ""


def test_work_that_lasts_shows_rows_and_rate(table, terminal, clock):
    assert consume(table, clock, 0.9, describe="weighing") == 200_000
    shown = terminal.getvalue()
    assert "weighing dict" in shown
    assert "200,000 rows" in shown
    assert "rows/s" in shown


def test_never_if_told_so_and_at_once_if_told_so(table, terminal, clock):
    consume(table, clock, 5.0, enabled=False)
    assert terminal.getvalue() == ""
    consume(table, enabled=True)
    assert "measuring dict" in terminal.getvalue()


def test_never_where_standard_error_is_no_terminal(table, monkeypatch, clock):
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
        assert consume(table, clock, 5.0, enabled=True) == 200_000
        assert stream is None or stream.getvalue() == ""


@pytest.mark.parametrize("position", [None, lambda: 0.5])
def test_tables_of_unknown_length(terminal, clock, position):
    table = replace(open_table({"x": [0.0] * 200_000}), name="a[b].csv", rows=None, position=position)
    consume(table, clock, 2.0)
    assert "measuring a[b].csv" in terminal.getvalue()


def test_the_bar_goes_when_the_pass_is_abandoned(table, terminal, clock):
    batches = track(table, table.open())
    next(batches)
    clock[0] = 5.0
    next(batches)
    batches.close()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_rich_is_not_imported_until_shown():
    script = (
        "import sys; from cumulant.source import open_table, track; t = open_table({'x': [1.0]});"
        "list(track(t, t.open())); sys.exit(any(m.split('.')[0] == 'rich' for m in sys.modules))"
    )
    home = str(Path(cumulant.__file__).parents[1])
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env={"PYTHONPATH": home})
    assert run.returncode == 0, run.stderr.decode()


# ---------------------------------------------------------------------------------- solvers


def test_a_solver_that_lasts_shows_what_it_is_at(terminal, clock):
    with progress.following("solving for y"):
        progress.tell("straight line", score="ln Z -3")
        assert terminal.getvalue() == ""
        clock[0] += 1.5
        progress.tell(score="ln Z -2")
    shown = terminal.getvalue()
    assert "solving for y" in shown
    assert "straight line" in shown
    assert "ln Z -2" in shown


def test_a_solver_that_no_one_follows_says_nothing(terminal, clock):
    progress.tell("a stage")
    with progress.following("solving", enabled=False):
        clock[0] += 5.0
        progress.tell("a stage")
    with progress.following("solving"):
        progress.tell("a stage")
    assert terminal.getvalue() == ""


def test_the_field_that_is_adapted_is_named(terminal):
    x = np.linspace(-2, 2, 40)
    cumulant.fit({"x": x, "y": np.sin(2 * x)}, cumulant.Field(), target="y", progress=True)
    assert "solving for y" in terminal.getvalue()
    assert "Matern + Linear" in terminal.getvalue()
    assert "ln Z" in terminal.getvalue()


def test_within_a_solver_that_is_followed_nothing_else_moves(terminal, clock, table):
    with progress.following("solving"):
        clock[0] += 2.0
        progress.tell("a stage")
        with progress.following("another"):
            progress.tell("an inner stage")
        assert consume(table, clock, 2.0) == 200_000
    shown = terminal.getvalue()
    assert "solving" in shown
    assert "an inner stage" in shown
    assert "another" not in shown
    assert "measuring" not in shown


def test_a_search_for_symmetries_names_the_candidate(terminal, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    rng = np.random.default_rng(0)
    moments = cumulant.measure({name: rng.normal(size=50) for name in ("left_a", "right_a", "left_b", "right_b")})
    cumulant.symmetries(moments)
    assert "symmetries of 4 columns" in terminal.getvalue()
    assert "candidates" in terminal.getvalue()
