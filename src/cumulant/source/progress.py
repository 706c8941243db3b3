"""A progress bar for passes that last, silent for those that do not and wherever no one is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

import pyarrow as pa

from cumulant.source.table import Table

__all__ = ["track"]

PATIENCE = 1.0


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
    if enabled is False or sys.stderr is None or not sys.stderr.isatty():
        return iter(batches)
    return _watched(table, batches, describe, 0.0 if enabled else PATIENCE)


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
