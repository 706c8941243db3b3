"""From Arrow's complaint about a text table to a sentence that names the column, the line and the remedy."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from cumulant.errors import CumulantError, DataError, SourceError
from cumulant.source.bytestream import ByteSource
from cumulant.source.dialect import Dialect

__all__ = ["explain", "unclosed_quote"]

_CELL = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to ([^:]+): (.*)", re.DOTALL)
_VALUE = re.compile(r"invalid value '(.*)'\Z", re.DOTALL)
_RAGGED = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_KINDS = {"double": "a number", "int64": "an integer", "bool": "true or false", "date32[day]": "a date (2024-01-31)"}


def explain(error: Exception, source: ByteSource, dialect: Dialect) -> CumulantError:
    """The error to raise in place of Arrow's.

    The line is looked up by reading the file once more, which only failure pays for. A stream that
    cannot be read again gives the number of the record instead.
    """
    text = str(error)
    if cell := _CELL.search(text):
        return _bad_cell(source, dialect, int(cell[1]), cell[2], cell[3], cell[4])
    if ragged := _RAGGED.search(text):
        return _ragged(source, dialect, ragged[1], int(ragged[2]), int(ragged[3]))
    if "straddl" in text or "out of sync" in text:
        return _endless_row(source, dialect)
    if isinstance(error, UnicodeDecodeError) or "codec can't decode" in text:
        return SourceError(
            f"{source.name} is not all text in {dialect.encoding}: {text}. Say which encoding it has: "
            "open_table(…, encoding='…')"
        )
    if isinstance(error, OSError):
        return SourceError(
            f"{source.name} cannot be read to its end: {text}. It may be truncated; fetch or write it again"
        )
    return SourceError(f"{source.name} cannot be read as CSV: {text}")


def unclosed_quote(source: ByteSource, dialect: Dialect) -> DataError | None:
    """The error for a quoted cell that swallowed the rest of the file, if there is one."""
    if not source.repeatable:
        return None
    begin = 1
    try:
        for _, end, _ in _records(source, dialect):
            begin = end + 1
    except csv.Error as error:
        if not any(sign in str(error) for sign in ("unexpected end", "field limit")):
            return None
        return DataError(
            f"{source.name}: the record that begins on line {begin} opens a quote that is never closed, so that "
            "it runs to the end of the file. Close the quote, or write it twice if it is part of the text"
        )
    return None


def _bad_cell(
    source: ByteSource, dialect: Dialect, column: int, record: str | None, kind: str, detail: str
) -> CumulantError:
    name = dialect.names[column]
    if "invalid UTF8" in detail:
        return SourceError(
            f"{source.name} is not UTF-8 throughout: column {name!r} holds other bytes. "
            "Say which encoding it has: open_table(…, encoding='cp1252')"
        )
    shown = _VALUE.search(detail)
    value = shown[1] if shown else None
    place = _where(source, dialect, record, lambda row: len(row) > column and row[column] == value)
    if value is None:
        return DataError(f"{source.name}{place}: column {name!r}: {detail}")
    return DataError(
        f"{source.name}{place}: column {name!r} holds {value!r}, which is not {_KINDS.get(kind, f'a {kind}')} "
        f"as in the rows before it. Clean it, count it as missing with open_table(…, nulls=[{value!r}]), "
        f"or read the column as categories with open_table(…, types={{{name!r}: 'string'}})"
    )


def _ragged(source: ByteSource, dialect: Dialect, record: str | None, expected: int, got: int) -> DataError:
    place = _where(source, dialect, record, lambda row: len(row) not in (0, expected))
    return DataError(
        f"{source.name}{place}: {got} cells where the header has {expected}. "
        f"Mend that line; a cell that contains the delimiter {dialect.delimiter!r} has to be quoted"
    )


def _endless_row(source: ByteSource, dialect: Dialect) -> DataError:
    return unclosed_quote(source, dialect) or DataError(
        f"{source.name} has a row longer than {dialect.block_bytes >> 20} MB, or a quote that is never closed. "
        "Close the quote, or write it twice if it is part of the text"
    )


def _where(source: ByteSource, dialect: Dialect, record: str | None, wanted: Callable[[list[str]], bool]) -> str:
    """``, line 17`` of the first record that is `wanted`; the record's number where lines cannot be counted."""
    if source.repeatable:
        try:
            for begin, _, row in _records(source, dialect):
                if wanted(row):
                    return f", line {begin}"
        except (csv.Error, OSError, UnicodeDecodeError):  # the line is a courtesy; the error itself stands
            return ""
    return f", record {record} (the header is record 1)" if record else ""


def _records(source: ByteSource, dialect: Dialect) -> Iterator[tuple[int, int, list[str]]]:
    """Records as Python's csv module cuts them, with the first and last of their lines."""
    stream: Any = source.open()
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    # Beyond what Arrow takes for one row, but not boundless: an open quote would gather the whole file in memory.
    previous = csv.field_size_limit(4 * dialect.block_bytes)
    try:
        with io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), encoding, errors="replace", newline="") as text:
            reader = csv.reader(text, delimiter=dialect.delimiter, strict=True)
            end = 0
            for row in reader:
                begin, end = end + 1, reader.line_num
                yield begin, end, row
    finally:
        csv.field_size_limit(previous)
