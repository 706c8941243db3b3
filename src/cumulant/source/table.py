"""A table as the rest of the package sees it: a schema, and batches of rows that can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cumulant.errors import SourceError
from cumulant.source.columns import Columns

if TYPE_CHECKING:
    from cumulant.source.database import Database

__all__ = ["Table", "build", "head_rows", "once", "rows_per_batch"]

BATCH_BYTES = 32 << 20
BATCH_ROWS = 1 << 16
# First rows that show what a table holds: so many, of wide tables fewer, so that they take no memory to speak of.
HEAD_ROWS, LEAST_HEAD_ROWS, HEAD_CELLS = 4096, 512, 1 << 20


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of named, typed columns, read in bounded batches.

    Attributes
    ----------
    name : str
        What messages and the progress bar call it: ``"houses.parquet"``, ``"DataFrame"``.
    schema : pyarrow.Schema
        Of every batch. Types are numbers, booleans, strings, dictionaries, dates, times and durations;
        nothing nested, no decimals, no null type.
    open : callable
        ``open()`` starts a new pass and returns an iterator of `pyarrow.RecordBatch`. Both a null and a
        floating-point NaN mean that the cell is missing.
    rows : int or None
        Number of rows, where it is known without reading them.
    size : int or None
        Bytes on disk or in memory, where known.
    repeatable : bool
        False for a stream that can be read once; a second ``open()`` then raises `SourceError`.
    row_numbers : ndarray of int64, shape (rows,), or None
        Labels of the rows: the index of a pandas frame, where that index holds integers.
    position : callable or None
        Fraction, 0 to 1, of the bytes that the pass under way has read, where `rows` is unknown.
    resume : callable or None
        ``resume(rows)`` starts a pass at the batch that row number `rows` is in, and gives the number of its first row
        and the batches from there on, as ``open()`` would cut them. None where the rows before have to be read.
    arrays : tuple of ndarray of float, each of shape (rows,), or None
        The columns, where all are float64 or float32 arrays in memory, of any stride; NaN means missing.
    database : Database or None
        Who can sum the rows where they lie.
    """

    name: str
    schema: pa.Schema
    open: Callable[[], Iterator[pa.RecordBatch]]
    rows: int | None = None
    size: int | None = None
    repeatable: bool = True
    row_numbers: np.ndarray | None = None
    position: Callable[[], float] | None = None
    resume: Callable[[int], tuple[int, Iterator[pa.RecordBatch]]] | None = None
    arrays: tuple[np.ndarray, ...] | None = None
    database: Database | None = None

    def select(self, columns: list[str]) -> Table:
        """The same rows, only these columns, in this order.

        Raises
        ------
        ColumnError
            If a column is not in the table.
        """
        kept = Columns.of(self.schema, self.name, columns)
        start, skip = self.open, self.resume

        def resumed(rows: int) -> tuple[int, Iterator[pa.RecordBatch]]:
            first, batches = skip(rows)  # type: ignore[misc]
            return first, map(kept.apply, batches)

        return replace(
            self,
            schema=kept.schema,
            open=lambda: map(kept.apply, start()),
            resume=None if skip is None else resumed,
            arrays=None,
        )


def build(
    name: str,
    schema: pa.Schema,
    start: Callable[[list[str]], Iterator[pa.RecordBatch]],
    columns: list[str] | None,
    *,
    rows: int | None = None,
    size: int | None = None,
    repeatable: bool = True,
    row_numbers: np.ndarray | None = None,
    position: Callable[[], float] | None = None,
    skip: Callable[[list[str], int], tuple[int, Iterator[pa.RecordBatch]]] | None = None,
) -> Table:
    """Table from a reader: columns chosen and checked, types made plain, batches cut to a bounded size.

    ``start(names)`` reads the named columns of `schema`; it may return more of them, in any order.
    ``skip(names, rows)`` does so from the batch that row number `rows` is in, and gives the number of its first row.
    """
    kept = Columns.of(schema, name, columns)
    names = kept.schema.names

    def passes() -> Iterator[pa.RecordBatch]:
        return _bounded(start(names), kept)

    def resumed(at: int) -> tuple[int, Iterator[pa.RecordBatch]]:
        first, batches = skip(names, at)  # type: ignore[misc]
        return first, _bounded(batches, kept)

    opened = passes if repeatable else once(passes, name)
    resume = None if skip is None else resumed
    return Table(name, kept.schema, opened, rows, size, repeatable, row_numbers, position, resume)


def once(start: Callable[[], Iterator[pa.RecordBatch]], name: str) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Let `start` be called a single time; the next call says why there is no second pass."""
    started = False

    def opened() -> Iterator[pa.RecordBatch]:
        nonlocal started
        if started:
            raise SourceError(
                f"{name} is a stream and has already been read; it cannot be read a second time. "
                "Save it to a file (Parquet or CSV) and open that"
            )
        started = True
        return start()

    return opened


def rows_per_batch(schema: pa.Schema, size: int = BATCH_BYTES) -> int:
    """Rows that keep a batch near so many bytes, so that wide tables do not make huge batches."""
    width = sum(_cell_bytes(field.type) for field in schema)
    return max(1, min(BATCH_ROWS, size // max(width, 1)))


def head_rows(columns: int) -> int:
    """First rows to look at before a pass over a table of so many columns."""
    return max(LEAST_HEAD_ROWS, min(HEAD_ROWS, HEAD_CELLS // max(columns, 1)))


def _cell_bytes(kind: pa.DataType) -> int:
    try:
        return max(1, kind.bit_width // 8)
    except ValueError:  # strings have no fixed width; 32 bytes is a generous name or code
        return 32


def _bounded(batches: Iterator[pa.RecordBatch], kept: Columns) -> Iterator[pa.RecordBatch]:
    limit = rows_per_batch(kept.schema)
    for batch in batches:
        for begin in range(0, batch.num_rows, limit):
            yield kept.apply(batch.slice(begin, limit))
