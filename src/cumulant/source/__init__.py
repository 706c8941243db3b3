"""Anything tabular → bounded batches of Arrow with a schema."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cumulant.source.arrays import fetched, is_foreign
from cumulant.source.columns import as_names
from cumulant.source.dialect import NULLS, TextOptions
from cumulant.source.frame import open_frame
from cumulant.source.progress import track
from cumulant.source.sql import is_sql, open_sql
from cumulant.source.table import Table

__all__ = ["NULLS", "Table", "open_table", "track"]


def open_table(
    data: Any,
    *,
    columns: Sequence[str] | str | None = None,
    delimiter: str | None = None,
    types: Mapping[str, str | pa.DataType] | None = None,
    nulls: Sequence[str] = (),
    encoding: str | None = None,
) -> Table:
    """Open a table for reading in passes of bounded memory. Nothing but a small pilot is read yet.

    Parameters
    ----------
    data : object
        One of:

        - a path to delimited text (CSV, TSV; plain, gzip, zstd or bzip2), told by its content, not its name;
        - a path to a Parquet file, a folder of them (``year=2024/`` folders become columns) or a pattern
          (``"data/*.parquet"``); a path to an Arrow IPC or Feather file;
        - SQL, run by DuckDB: ``"SELECT * FROM 'x.csv' WHERE y > 0"``, ``"duckdb:///houses.db?table=houses"``,
          ``"duckdb:///houses.db?query=SELECT …"``, ``"duckdb:///?query=ATTACH 'a.sqlite' AS a; FROM a.t"``;
        - ``"-"`` (standard input) or an open binary file: delimited text, read once;
        - an Arrow table, batch or reader, or any object with an Arrow stream (polars, DuckDB relation);
        - a pandas frame, a polars frame or query, a NumPy array (2-D, or structured), an array of PyTorch, CuPy or JAX;
        - a dict of columns (single values are repeated), or a list of dicts;
        - a `Table`, which is passed through.
    columns : sequence of str, optional
        Read only these, in this order. For a plain NumPy array: the names of its columns (else x0, x1, …).
    delimiter : str, optional
        Of text; otherwise found among ``, ; tab |``.
    types : mapping of str to str or pyarrow.DataType, optional
        Of text: columns whose type is not to be guessed; ``"number"``, ``"integer"``, ``"string"``,
        ``"boolean"``, ``"date"`` or ``"timestamp"``.
    nulls : sequence of str, optional
        Of text: further spellings of a missing cell, beside those in `NULLS`.
    encoding : str, optional
        Of text; otherwise UTF-8 (or UTF-16 by its mark), with Windows-1252 as a guess, under a warning.

    Returns
    -------
    Table
        Its batches hold numbers, booleans, strings, dictionaries, dates, times or durations. Decimals become
        float64, as do columns without a single value.

    Raises
    ------
    SourceError
        If there is nothing to read: missing, empty, truncated, of a format or type that is not known.
    DataError
        If the columns are ambiguous, nested or binary, or rows are of unequal length. On a pass: if a cell
        of text does not fit its column; the message has the line.
    ColumnError
        If `columns` or `types` names a column that is not there.
    OptionError
        If an option has a value that makes no sense, or is about text where there is none.
    MissingDependencyError
        If DuckDB is needed and not installed.

    Notes
    -----
    Types of text columns are settled by the first megabytes, and hold for the whole file. Integers are read
    as float64, so that a column may begin 1, 2, 3 and go on 3.5; integers beyond 2⁵³ lose digits, unless
    ``types`` says ``"integer"``. A column empty in the pilot is looked up further on in the file. Rows are never
    skipped or mended silently.

    Examples
    --------
    >>> from cumulant.source import open_table
    >>> table = open_table({"rooms": [3, 4, 5], "city": ["Lund", "Graz", "Lund"]})
    >>> table.schema.names, table.rows
    (['rooms', 'city'], 3)
    >>> [batch.num_rows for batch in table.open()]
    [3]
    """
    names = as_names(columns)
    options = TextOptions(delimiter, types, nulls, encoding)
    if isinstance(data, str) and data == "-":
        from cumulant.source.files import open_handle

        return open_handle(sys.stdin, "standard input", names, options)
    if isinstance(data, str) and is_sql(data) and not os.path.exists(data):  # noqa: PTH110 - Path refuses long text
        options.refuse("a query")
        return open_sql(data, names)
    if isinstance(data, (str, os.PathLike)):
        from cumulant.source.files import open_path

        return open_path(data, names, options)
    if hasattr(data, "read") and not isinstance(data, pa.RecordBatchReader):
        from cumulant.source.files import open_handle

        return open_handle(data, str(getattr(data, "name", "stream")), names, options)
    options.refuse(f"a {type(data).__name__}")
    if isinstance(data, Table):
        return data if names is None else data.select(names)
    if is_foreign(data):
        data = fetched(data)
    return open_frame(data, names)
