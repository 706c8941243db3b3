"""Tables already in memory: Arrow, pandas, polars, NumPy, dicts and lists."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from cumulant.errors import DataError, OptionError, SourceError
from cumulant.source.columns import choose, unique
from cumulant.source.sql import open_relation
from cumulant.source.table import Table, build, head_rows, rows_per_batch

__all__ = ["open_frame"]

ACCEPTED = (
    "a path, SQL, a pandas or polars frame, an Arrow table or stream, a DuckDB relation, a 2-D NumPy array, "
    "a dict of columns, a list of dicts, or an open binary file"
)


def open_frame(data: Any, columns: list[str] | None) -> Table:
    """Table over an object in memory.

    Raises
    ------
    SourceError
        If the object is of no kind that is known here.
    DataError
        If a column mixes kinds of values, is nested, or is of another length than the rest.
    ColumnError, OptionError
        If `columns` does not fit.
    """
    # An object of one of these kinds proves its package imported; asking for it would import it for all.
    pandas, polars, duckdb = (sys.modules.get(package) for package in ("pandas", "polars", "duckdb"))
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return _arrow(_as_table(data), type(data).__name__, columns)
    if pandas is not None and isinstance(data, (pandas.DataFrame, pandas.Series)):
        return _pandas(data, columns)
    if polars is not None and isinstance(data, polars.LazyFrame):
        return _lazy(data, columns)
    if duckdb is not None and isinstance(data, duckdb.DuckDBPyRelation):
        return open_relation(data, columns)
    if isinstance(data, np.ndarray):
        return _structured(data, columns) if data.dtype.names else _array(data, columns)
    if isinstance(data, Mapping):
        return _arrow(_from_columns(data), "dict", columns)
    if isinstance(data, (list, tuple)) and all(isinstance(row, Mapping) for row in data):
        return _arrow(_from_rows(data), "list of dicts", columns)
    if hasattr(data, "__arrow_c_stream__"):
        return _stream(data, columns)
    if hasattr(data, "__arrow_c_array__"):
        return _arrow(_as_table(pa.record_batch(data)), type(data).__name__, columns)
    raise SourceError(f"An object of type {type(data).__name__} cannot be read as a table. Give {ACCEPTED}")


def _as_table(data: pa.Table | pa.RecordBatch) -> pa.Table:
    return data if isinstance(data, pa.Table) else pa.Table.from_batches([data])


def _arrow(table: pa.Table, name: str, columns: list[str] | None, row_numbers: np.ndarray | None = None) -> Table:
    def start(names: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(table.select(names).to_batches())

    return build(
        name,
        table.schema,
        start,
        columns,
        rows=table.num_rows,
        size=table.get_total_buffer_size(),
        row_numbers=row_numbers,
    )


def _pandas(data: Any, columns: list[str] | None) -> Table:
    frame = data.to_frame(data.name if data.name is not None else "x0") if data.ndim == 1 else data
    names = [_label(label) for label in frame.columns]
    unique(names, "DataFrame")
    frame = frame.set_axis(names, axis=1)
    if columns is not None:
        frame = frame[choose(names, columns, "DataFrame")]
    numbers = None
    if frame.index.nlevels == 1 and frame.index.dtype.kind in "iu" and isinstance(frame.index.dtype, np.dtype):
        numbers = frame.index.to_numpy(dtype=np.int64)
    if len(frame.columns) and all(dtype in (np.float64, np.float32) for dtype in frame.dtypes):
        return _floats("DataFrame", list(frame.columns), [frame[name].to_numpy() for name in frame], numbers)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"DataFrame: {'; '.join(str(part) for part in error.args)}. Make the column one type: "
            "df[name].astype(str) for text, pd.to_numeric(df[name], errors='coerce') for numbers"
        ) from error
    return _arrow(table, "DataFrame", None, numbers)


def _floats(name: str, names: list[str], arrays: Sequence[np.ndarray], row_numbers: np.ndarray | None = None) -> Table:
    """Table over float columns of any stride, which sums use where they lie; Arrow batches are copies on demand."""
    schema = pa.schema([(column, pa.from_numpy_dtype(a.dtype)) for column, a in zip(names, arrays, strict=True)])
    size, rows = rows_per_batch(schema), len(arrays[0])

    def start(_: list[str]) -> Iterator[pa.RecordBatch]:
        # The first batch is small: who only looks at the table's head should not pay for more.
        edges = [0, *range(min(head_rows(len(arrays)), size), rows, size), rows] if rows else []
        for begin, end in itertools.pairwise(edges):
            cells = [pa.array(np.ascontiguousarray(a[begin:end])) for a in arrays]
            yield pa.RecordBatch.from_arrays(cells, schema=schema)

    table = build(name, schema, start, None, rows=rows, size=sum(a.nbytes for a in arrays), row_numbers=row_numbers)
    return replace(table, arrays=tuple(arrays))


def _label(label: Any) -> str:
    """A column label as text; the levels of a compound label are joined by an underscore."""
    return "_".join(str(part) for part in label if part != "") if isinstance(label, tuple) else str(label)


def _lazy(data: Any, columns: list[str] | None) -> Table:
    """A polars query runs anew on each pass and hands over its rows in pieces."""
    schema = data.head(0).collect().to_arrow().schema

    def start(names: list[str]) -> Iterator[pa.RecordBatch]:
        query = data.select(names)
        if not hasattr(query, "collect_batches"):  # an older polars gives its result only as a whole
            yield from query.collect().to_arrow().to_batches()
            return
        size = rows_per_batch(pa.schema([schema.field(name) for name in names]))
        for piece in query.collect_batches(chunk_size=size, maintain_order=True):
            yield from piece.to_arrow().to_batches()

    return build("LazyFrame", schema, start, columns)


def _stream(data: Any, columns: list[str] | None) -> Table:
    """Anything with an Arrow stream. Table-like objects start a new one for each pass, readers cannot."""
    name, repeatable = type(data).__name__, not isinstance(data, pa.RecordBatchReader)
    first = pa.RecordBatchReader.from_stream(data) if repeatable else data
    schema = first.schema
    waiting = [first]

    def start(_: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from waiting.pop() if waiting else pa.RecordBatchReader.from_stream(data)
        except (pa.ArrowException, OSError, ValueError, RuntimeError) as error:
            raise SourceError(f"The {name} cannot be read: {' '.join(str(error).split())}") from error

    rows = data.height if isinstance(getattr(data, "height", None), int) else None
    return build(name, schema, start, columns, rows=rows, repeatable=repeatable)


def _array(data: np.ndarray, columns: list[str] | None) -> Table:
    if data.ndim != 2:
        raise DataError(
            f"A NumPy array of {data.ndim} dimensions is not a table. Give rows × columns; "
            "one column is array.reshape(-1, 1)"
        )
    if data.dtype.kind == "c":
        raise DataError("An array of complex numbers cannot be measured. Give its real and imaginary parts as columns")
    if not isinstance(data, np.ma.MaskedArray):
        data = np.asarray(data)  # a np.matrix would stay two-dimensional, column by column
    names = columns or [f"x{at}" for at in range(data.shape[1])]
    if len(names) != data.shape[1]:
        raise OptionError(f"columns gives {len(names)} names for an array of {data.shape[1]} columns. Give one each")
    if data.dtype in (np.float64, np.float32) and data.shape[1] and not isinstance(data, np.ma.MaskedArray):
        return _floats("array", names, list(data.T))
    if data.dtype.kind not in "fiub":
        return _arrow(_from_columns({name: data[:, at] for at, name in enumerate(names)}), "array", None)
    extended = data.dtype.kind == "f" and data.dtype.itemsize > 8
    kind = pa.float64() if extended else pa.from_numpy_dtype(data.dtype)
    schema = pa.schema([(name, kind) for name in names])
    size = rows_per_batch(schema)

    def start(_: list[str]) -> Iterator[pa.RecordBatch]:
        for begin in range(0, len(data), size):
            # One transposition a batch makes every column contiguous, which Arrow then takes without a copy.
            block = np.asanyarray(data[begin : begin + size].T, dtype=kind.to_pandas_dtype(), order="C")
            yield pa.RecordBatch.from_arrays([_masked(row) for row in block], schema=schema)

    return build("array", schema, start, None, rows=len(data), size=data.nbytes)


def _masked(values: np.ndarray) -> pa.Array:
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, mask=np.ma.getmaskarray(values))
    return pa.array(values)


def _structured(data: np.ndarray, columns: list[str] | None) -> Table:
    if data.ndim != 1:
        raise DataError(f"A structured array of {data.ndim} dimensions is not a table. Flatten it: array.ravel()")
    return _arrow(_from_columns({name: data[name] for name in data.dtype.names or ()}), "structured array", columns)


def _from_columns(data: Mapping[Any, Any]) -> pa.Table:
    """Columns side by side; single values are repeated to the length of the others."""
    names = [_label(name) for name in data]
    unique(names, "dict")
    single = {name: _is_single(values) for name, values in zip(names, data.values(), strict=True)}
    arrays = {
        name: _column([values] if single[name] else values, name)
        for name, values in zip(names, data.values(), strict=True)
    }
    lengths = {name: len(array) for name, array in arrays.items() if not single[name]}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} has {length}" for name, length in list(lengths.items())[:6])
        raise DataError(f"Columns differ in length: {listed}. Give every column as many values, or a single one")
    rows = next(iter(lengths.values()), 1)
    spread = {name: pa.repeat(array[0], rows) if single[name] else array for name, array in arrays.items()}
    return pa.table(spread)


def _from_rows(rows: Sequence[Mapping[Any, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise SourceError("An empty list has no columns. Give at least one dict with a value")
    return pa.table({_label(name): _column([row.get(name) for row in rows], _label(name)) for name in names})


def _is_single(values: Any) -> bool:
    if isinstance(values, (str, bytes)):
        return True
    if isinstance(values, np.ndarray):
        return values.ndim == 0
    return not isinstance(values, Iterable)


def _column(values: Any, name: str) -> pa.Array | pa.ChunkedArray:
    try:
        if isinstance(values, np.ndarray):
            values = np.ascontiguousarray(values) if not np.ma.isMaskedArray(values) else values
            if values.dtype.kind in "fiub" and values.dtype.isnative and values.dtype.itemsize <= 8:
                return _masked(values)
        if hasattr(values, "to_arrow"):
            values = values.to_arrow()
        return pa.array(_unwrapped(values), from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"Column {name!r} cannot be read: {error}. Give one value a row, all numbers or all text or all dates"
        ) from error


def _unwrapped(values: Any) -> Any:
    """NumPy scalars (also 0-d arrays) in a list as Python's own, which Arrow mixes freely."""
    if isinstance(values, (list, tuple)):
        return [
            value.item() if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0 else value
            for value in values
        ]
    return values
