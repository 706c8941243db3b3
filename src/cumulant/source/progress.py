"""Progress of passes and of solvers that last, silent for those that do not and wherever no one is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

import pyarrow as pa

from cumulant.source.table import Table

__all__ = ["following", "tell", "track"]

PATIENCE = 1.0
_line: ContextVar[_Line | None] = ContextVar("line", default=None)


def track(
    table: Table, batches: Iterable[pa.RecordBatch], *, describe: str = "measuring", enabled: bool | None = None
) -> Iterator[pa.RecordBatch]:
    """The same batches, with a bar on standard error that shows rows, rows a second and the time left.

    The bar appears once the work has lasted a second, and only if standard error is a terminal.

    Parameters
    ----------
    table : Table
        Tells the name, and the total if it is known.
    batches : iterable of pyarrow.RecordBatch
        A pass over `table`, ``table.open()``.
    describe : str
        The verb in front of the table's name.
    enabled : bool or None
        False never shows the bar; True shows it without waiting a second.

    Returns
    -------
    iterator of pyarrow.RecordBatch

    Examples
    --------
    >>> from cumulant.source import open_table
    >>> table = open_table({"x": [1.0, 2.0, 3.0]})
    >>> sum(batch.num_rows for batch in track(table, table.open()))
    3
    """
    if not _is_watched(enabled):
        return iter(batches)
    return _watched(table, batches, describe, 0.0 if enabled else PATIENCE)


@contextmanager
def following(describe: str, *, enabled: bool | None = None) -> Iterator[None]:
    """Show on standard error what is told by `tell` in this block, and the time, once it has lasted a second.

    Within another such block nothing is added: that one shows what is told.

    Parameters
    ----------
    describe : str
        What is done, as "solving for price".
    enabled : bool or None
        As of `track`.
    """
    if not _is_watched(enabled):
        yield
        return
    line = _Line(describe, 0.0 if enabled else PATIENCE)
    token = _line.set(line)
    try:
        yield
    finally:
        _line.reset(token)
        line.close()


def tell(stage: str | None = None, *, score: str | None = None) -> None:
    """Say what a solver is at, and how well it does, to whoever follows."""
    line = _line.get()
    if line is not None:
        line.show({name: text for name, text in (("stage", stage), ("score", score)) if text is not None})


def _is_watched(enabled: bool | None) -> bool:
    # A terminal has room for one that moves.
    return enabled is not False and _line.get() is None and sys.stderr is not None and sys.stderr.isatty()


def _watched(
    table: Table, batches: Iterable[pa.RecordBatch], describe: str, patience: float
) -> Iterator[pa.RecordBatch]:
    begin, rows, bar = monotonic(), 0, None
    try:
        for batch in batches:
            yield batch
            rows += batch.num_rows
            if bar is None and monotonic() - begin >= patience:
                bar = _Bar(table, describe, begin)
            if bar is not None:
                bar.show(rows)
    finally:
        if bar is not None:
            bar.close()


class _Bar:
    """A rich progress bar; rich is imported only here, once there is something to show."""

    def __init__(self, table: Table, describe: str, begin: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._table, self._begin = table, begin
        self._total: float | None = table.rows if table.rows is not None else (1.0 if table.position else None)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TextColumn("{task.fields[rate]:,.0f} rows/s"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            transient=True,
        )
        self._task: Any = self._progress.add_task(f"{describe} {table.name}", total=self._total, rows=0, rate=0.0)
        self._progress.start()

    def show(self, rows: int) -> None:
        done = self._table.position() if self._table.rows is None and self._table.position else rows
        rate = rows / max(monotonic() - self._begin, 1e-9)
        self._progress.update(self._task, completed=done, rows=rows, rate=rate)

    def close(self) -> None:
        self._progress.stop()


class _Line:
    """What is done, what was told of it last, and for how long; rich is imported once there is something to show."""

    def __init__(self, describe: str, patience: float) -> None:
        self._describe, self._patience, self._begin = describe, patience, monotonic()
        self._told = {"stage": "", "score": ""}
        self._progress: Any = None

    def show(self, told: dict[str, str]) -> None:
        self._told |= told
        if self._progress is None:
            if monotonic() - self._begin < self._patience:
                return
            self._start()
        self._progress.update(0, **self._told)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[stage]}", markup=False),
            TextColumn("{task.fields[score]}", markup=False),
            console=Console(file=sys.stderr),
            transient=True,
        )
        self._progress.add_task(self._describe, total=None, **self._told)
        # What passed before there was anything to show counts.
        self._progress.tasks[0].start_time = self._begin
        self._progress.start()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
