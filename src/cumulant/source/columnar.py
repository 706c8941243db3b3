"""Parquet and Arrow IPC files: one file, or the files of a folder or a pattern as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cumulant.errors import DataError, SourceError
from cumulant.source.table import Table, build, rows_per_batch

__all__ = ["open_ipc", "open_parquet"]

# Read through a small buffer for each column; otherwise a whole row group is held, which can be gigabytes.
COLUMN_BUFFER = 64 << 10


@dataclass(frozen=True)
class _Part:
    """One file of a Parquet table, with the columns that its folder's name stands for (``year=2024``)."""

    path: Path
    schema: pa.Schema
    rows: int
    folders: Mapping[str, Any]


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
        wanted = pa.schema([schema.field(name) for name in names])
        for part in parts:
            yield from _read_part(part, wanted)

    return build(
        name,
        schema,
        start,
        columns,
        rows=sum(part.rows for part in parts),
        size=sum(part.path.stat().st_size for part in parts),
    )


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
        return _Part(path, about.schema.to_arrow_schema().remove_metadata(), about.num_rows, folders)
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


def _read_part(part: _Part, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    present = [name for name in wanted.names if name in part.schema.names]
    size = rows_per_batch(wanted)
    try:
        with pq.ParquetFile(
            part.path, buffer_size=COLUMN_BUFFER, pre_buffer=False, page_checksum_verification=True
        ) as file:
            batches = file.iter_batches(size, columns=present) if present else _rows_alone(part.rows, size)
            for batch in batches:
                yield pa.RecordBatch.from_arrays([_column(batch, field, part) for field in wanted], schema=wanted)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(part.path, error) from error


def _rows_alone(rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """Batches that carry a number of rows, for a file whose wanted columns all come from its folder's name."""
    for begin in range(0, rows, size):
        yield pa.RecordBatch.from_arrays([pa.nulls(min(size, rows - begin))], names=["rows"])


def _column(batch: pa.RecordBatch, field: pa.Field, part: _Part) -> pa.Array:
    if field.name in part.schema.names:
        column = batch.column(field.name)
        return column if column.type == field.type else column.cast(field.type, safe=False)
    return pa.repeat(pa.scalar(part.folders.get(field.name), field.type), batch.num_rows)


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
