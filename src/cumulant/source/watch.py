"""A file that someone writes to while it is read: its rows are of two versions, and that must not pass unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from cumulant.errors import SourceError

__all__ = ["unchanged"]


def unchanged(paths: Sequence[Path], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; at their end the files have to be what they were at the beginning.

    Raises
    ------
    SourceError
        If a file was written to, replaced or removed since the pass began.
    """
    before = [_state(path) for path in paths]
    yield from batches
    for path, state in zip(paths, before, strict=True):
        if _state(path) != state:
            raise SourceError(
                f"{path.name} changed while it was read, so that its rows are not those of one table. "
                "Read it again when nothing writes to it, or read a copy"
            )


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
