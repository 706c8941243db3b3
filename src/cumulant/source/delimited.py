"""CSV, TSV and their kin, streamed: what a pilot of the file settles, every pass holds to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from cumulant.errors import SourceError
from cumulant.source.blocks import Cutter, parsed
from cumulant.source.bytestream import ByteSource, chained, settle_encoding
from cumulant.source.dialect import NULLS, Dialect, TextOptions, settle_delimiter, settle_types
from cumulant.source.locate import explain, unclosed_quote
from cumulant.source.table import Table, build
from cumulant.source.threads import cores, in_order
from cumulant.source.watch import unchanged

__all__ = ["open_delimited"]


def open_delimited(source: ByteSource, columns: list[str] | None, options: TextOptions) -> Table:
    """Table over delimited text with a header line.

    Raises
    ------
    SourceError
        If the text is empty, binary, truncated or in another encoding than said.
    DataError
        If rows are of unequal length or column names repeat; on a pass, if a cell does not fit its column.
    ColumnError, OptionError
        If `columns` or `options` name what is not there.
    """
    encoding, head = settle_encoding(source, options.encoding)
    if not head.strip():
        raise SourceError(f"{source.name} is empty. A table needs at least a line with the names of its columns")
    delimiter = settle_delimiter(head, source.name, options.delimiter)
    dialect = Dialect(delimiter, encoding, (*NULLS, *options.nulls))
    try:
        dialect, rows = settle_types(source, head, dialect, options)
    except pa.ArrowInvalid as error:
        raise explain(error, source, dialect) from error
    schema = pa.schema(zip(dialect.names, dialect.types, strict=True))
    known = rows if source.whole else None

    def start(names: list[str]) -> Iterator[pa.RecordBatch]:
        if known == 0:
            return iter(())
        batches = _read(source, dialect, schema, names)
        return batches if source.path is None else unchanged([source.path], batches)

    return build(
        source.name,
        schema,
        start,
        columns,
        rows=known,
        size=source.size,
        repeatable=source.repeatable,
        position=source.position if known is None else None,
    )


def _read(source: ByteSource, dialect: Dialect, schema: pa.Schema, names: list[str]) -> Iterator[pa.RecordBatch]:
    types = {name: schema.field(name).type for name in names}
    batch = None
    try:
        with source.open() as stream:
            # Arrow numbers the records only when it works serially, and a stream gives no second chance to find one.
            if not source.repeatable or dialect.encoding != "utf-8":
                rest, headed = stream, True
            else:
                cutter = Cutter(stream, dialect)
                threads = 1 if source.whole else cores()
                yield from in_order(partial(parsed, dialect=dialect, types=types), cutter.blocks(), threads)
                if cutter.rest is None:
                    return
                rest, headed = chained(cutter.rest, stream), cutter.headed
            options = {"include_columns": names, "column_types": types}
            with dialect.reader(rest, threads=source.repeatable, headed=headed, **options) as reader:
                for batch in reader:
                    yield batch
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise explain(error, source, dialect) from error
    if batch is not None and _ends_in_many_lines(batch):
        mistake = unclosed_quote(source, dialect)
        if mistake is not None:
            raise mistake


def _ends_in_many_lines(batch: pa.RecordBatch) -> bool:
    """Whether the last row has text over several lines: what a quote left open does to the rest of a file."""
    last = batch.slice(batch.num_rows - 1, 1)
    texts = [column[0].as_py() for column in last.columns if pa.types.is_string(column.type)]
    return any(text and "\n" in text for text in texts)
