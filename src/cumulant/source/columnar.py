"""Parquet and Arrow IPC files: one file, or the files of a folder or a pattern as one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cumulant.errors import DataError, SourceError
from cumulant.source.pages import plain_columns, read_columns
from cumulant.source.table import Table, build, rows_per_batch
from cumulant.source.threads import abreast, cores
from cumulant.source.watch import unchanged

__all__ = ["open_ipc", "open_parquet"]

# Read through a small buffer for each column; otherwise a whole row group is held, which can be gigabytes.
COLUMN_BUFFER = 64 << 10
# Larger batches gain nothing; fewer rows would not be worth a batch.
BATCH_BYTES = 16 << 20
BATCH_ROWS = 4096
# Of ten thousand columns, each of which has to be started anew for every batch, though such batches are of 80 MB.
LEAST_ROWS = 1024
# Shares of a file's columns that each thread may take in turn.
SHARES = 8
# Fewer cells are decoded before a second thread has started.
PARALLEL_CELLS = 500_000


@dataclass(frozen=True)
class _Part:
    """One file of a Parquet table, with the columns that its folder's name stands for (``year=2024``)."""

    path: Path
    about: Any
    schema: pa.Schema
    folders: Mapping[str, Any]

    @property
    def rows(self) -> int:
        return int(self.about.num_rows)


def open_parquet(paths: Sequence[Path], name: str, columns: list[str] | None, base: Path | None = None) -> Table:
    """Table over Parquet files, in the order given; `base` is the folder above hive partitions, if any.

    Files may differ: a column that some lack is missing in their rows, and numbers widen (int to float).

    Raises
    ------
    SourceError
        If a file is truncated or not Parquet.
    DataError
        If a column has irreconcilable types in two files, or a type that has no single value a row.
    """
    folders, partitions = _partitions(paths, base)
    parts = [_part(path, folders.get(str(path), {})) for path in paths]
    schema = parts[0].schema
    for part in parts[1:]:
        schema = _joined(schema, part, parts[0])
    for field in partitions:
        if field.name not in schema.names:
            schema = schema.append(field)

    def start(names: list[str]) -> Iterator[pa.RecordBatch]:
        return skip(names, 0)[1]

    def skip(names: list[str], rows: int) -> tuple[int, Iterator[pa.RecordBatch]]:
        wanted = pa.schema([schema.field(name) for name in names])
        size = _rows_per_batch(wanted)
        at, left = 0, rows
        while at < len(parts) - 1 and left >= parts[at].rows:
            left -= parts[at].rows
            at += 1
        first = min(left, parts[at].rows) // size * size
        rest = parts[at:]
        return rows - left + first, unchanged([part.path for part in rest], _read_parts(rest, wanted, size, first))

    return build(
        name,
        schema,
        start,
        columns,
        rows=sum(part.rows for part in parts),
        size=sum(part.path.stat().st_size for part in parts),
        skip=skip,
    )


def _rows_per_batch(schema: pa.Schema) -> int:
    return max(LEAST_ROWS, min(rows_per_batch(schema), max(BATCH_ROWS, rows_per_batch(schema, BATCH_BYTES))))


def _partitions(paths: Sequence[Path], base: Path | None) -> tuple[dict[str, Mapping[str, Any]], list[pa.Field]]:
    """Values that hive-style folder names (``year=2024``) give each file, and the fields they make."""
    if base is None or not any("=" in str(path.parent.relative_to(base)) for path in paths):
        return {}, []
    import pyarrow.dataset as ds

    places = [path.as_posix() for path in paths]
    found = ds.dataset(places, format="parquet", partitioning="hive", partition_base_dir=base.as_posix())
    folders = {part.path: ds.get_partition_keys(part.partition_expression) for part in found.get_fragments()}
    keys = {key for values in folders.values() for key in values}
    return folders, [field for field in found.schema if field.name in keys]


def _part(path: Path, folders: Mapping[str, Any]) -> _Part:
    import pyarrow.parquet as pq

    try:
        about = pq.read_metadata(path)
        return _Part(path, about, about.schema.to_arrow_schema().remove_metadata(), folders)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        return SourceError(f"{path.name} is an empty file, not Parquet. Write it again")
    if magic != b"PAR1":
        return SourceError(f"{path.name} is not a Parquet file: it begins with {magic!r} instead of b'PAR1'")
    return SourceError(
        f"{path.name} begins as Parquet but cannot be read ({_first_line(error)}). "
        "It is truncated or damaged; fetch or write it again"
    )


def _joined(schema: pa.Schema, part: _Part, first: _Part) -> pa.Schema:
    try:
        return pa.unify_schemas([schema, part.schema], promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"{part.path.name} does not fit {first.path.name}: {_first_line(error)}. "
            "Write the files with the same type for each column, or open them one at a time"
        ) from error


def _read_parts(parts: Sequence[_Part], wanted: pa.Schema, size: int, first: int) -> Iterator[pa.RecordBatch]:
    """Batches of `size` rows, fewer at the end of each file, from row `first` of the first file on."""
    for part in parts:
        try:
            yield from _read_part(part, wanted, size, first)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(part.path, error) from error
        first = 0


def _read_part(part: _Part, wanted: pa.Schema, size: int, first: int) -> Iterator[pa.RecordBatch]:
    present = [name for name in wanted.names if name in part.schema.names]
    plain = plain_columns(part.about, part.schema, present)
    other = [name for name in present if name not in plain]
    threads = cores() if part.rows * len(present) >= PARALLEL_CELLS else 1
    # Small enough shares that no thread is left with more than another, and few enough to be handed out in no time.
    some = SHARES * threads
    shares: list[tuple[Callable[..., Iterator[list[pa.Array]]], list[str]]] = [
        *((read_columns, plain[i::some]) for i in range(min(some, len(plain)))),
        *((_read_by_arrow, other[i::threads]) for i in range(min(threads, len(other)))),
    ]
    order = [name for _, names in shares for name in names]
    runs = [read(part.path, part.about, names, size, first) for read, names in shares]
    steps: Iterator[Sequence[list[pa.Array]]] = abreast(runs, threads) if threads > 1 else zip(*runs, strict=True)
    for begin in range(first, part.rows, size):
        step = next(steps, None) if runs else []
        if step is None:
            raise OSError("its row groups hold fewer rows than the footer says")
        columns = dict(zip(order, (array for run in step for array in run), strict=True))
        rows = min(size, part.rows - begin)
        arrays = [_column(columns.get(field.name), field, part, rows) for field in wanted]
        yield pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _read_by_arrow(path: Path, about: Any, names: Sequence[str], size: int, first: int) -> Iterator[list[pa.Array]]:
    """The named columns in runs of `size` rows, from row `first` on, as Arrow decodes them."""
    import pyarrow.parquet as pq

    skip, group = first, 0
    while skip and skip >= about.row_group(group).num_rows:
        skip -= about.row_group(group).num_rows
        group += 1
    with pq.ParquetFile(path, buffer_size=COLUMN_BUFFER, pre_buffer=False, page_checksum_verification=True) as file:
        batches = file.iter_batches(size, row_groups=range(group, about.num_row_groups), columns=list(names))
        for run in _runs_of(size, batches, skip):
            yield run.select(names).columns


def _runs_of(size: int, batches: Iterable[pa.RecordBatch], skip: int) -> Iterator[pa.RecordBatch]:
    """The rows after the first `skip` in runs of `size`: a dictionary ends a batch of Arrow's at each row group."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        begin = min(skip, batch.num_rows)
        skip -= begin
        while begin < batch.num_rows:
            held.append(batch.slice(begin, size - sum(piece.num_rows for piece in held)))
            begin += held[-1].num_rows
            if sum(piece.num_rows for piece in held) == size:
                yield _one(held)
                held = []
    if held:
        yield _one(held)


def _one(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(pieces) == 1:
        return pieces[0]
    table = pa.Table.from_batches(pieces).unify_dictionaries()
    return table.combine_chunks().to_batches()[0]


def _column(array: pa.Array | None, field: pa.Field, part: _Part, rows: int) -> pa.Array:
    if array is None:
        return pa.repeat(pa.scalar(part.folders.get(field.name), field.type), rows)
    return array if array.type == field.type else array.cast(field.type, safe=False)


def open_ipc(path: Path, columns: list[str] | None) -> Table:
    """Table over an Arrow IPC (Feather 2) file, mapped into memory, or an IPC stream in a file.

    Raises
    ------
    SourceError
        If the file is truncated or damaged.
    """
    with path.open("rb") as file:
        random_access = file.read(6) == b"ARROW1"
    try:
        with pa.memory_map(str(path)) as mapped:
            schema = (pa.ipc.open_file if random_access else pa.ipc.open_stream)(mapped).schema
    except (pa.ArrowException, OSError) as error:
        raise _broken_ipc(path, error) from error
    read = [0.0]

    def start(_: list[str]) -> Iterator[pa.RecordBatch]:
        read[0] = 0.0
        try:
            with pa.memory_map(str(path)) as mapped:
                if not random_access:
                    for batch in pa.ipc.open_stream(mapped):
                        yield batch
                        read[0] = mapped.tell() / max(mapped.size(), 1)
                    return
                reader = pa.ipc.open_file(mapped)
                for at in range(reader.num_record_batches):
                    yield reader.get_batch(at)
                    read[0] = (at + 1) / reader.num_record_batches
        except (pa.ArrowException, OSError) as error:
            raise _broken_ipc(path, error) from error

    return build(path.name, schema, start, columns, size=path.stat().st_size, position=lambda: read[0])


def _broken_ipc(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"{path.name} is not a whole Arrow file ({_first_line(error)}). "
        "It is truncated or damaged; fetch or write it again"
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
