"""How a text table is written: its delimiter, its decimal mark, its spellings of "missing", its column types."""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from cumulant.errors import ColumnError, CumulantWarning, OptionError, SourceError
from cumulant.source.bytestream import ByteSource
from cumulant.source.columns import closest, unique

__all__ = ["NULLS", "Dialect", "TextOptions", "settle_delimiter", "settle_types"]

NULLS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None")
DELIMITERS = (",", ";", "\t", "|")
SNIFF_ROWS = 100
MOSTLY = 0.9

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_TYPES: dict[str, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


@dataclass(frozen=True)
class TextOptions:
    """What the caller said about a text table; see `cumulant.source.open_table`."""

    delimiter: str | None = None
    types: Mapping[str, str | pa.DataType] | None = None
    nulls: Sequence[str] = ()
    encoding: str | None = None

    def refuse(self, what: str) -> None:
        """Options about text are a mistake where there is no text to read."""
        given = [name for name, value in vars(self).items() if value]
        if given:
            listed = " and ".join(given)
            raise OptionError(f"{listed}: for text files (CSV, TSV) only, and {what} is not one. Leave {listed} out")


@dataclass(frozen=True)
class Dialect:
    """All that is needed to read every row of a text table alike.

    Attributes
    ----------
    delimiter, decimal, encoding : str
    nulls : tuple of str
        Cells with one of these spellings are missing.
    names : tuple of str
        Column names, trimmed; ``column_3`` for a third column without a name.
    types : tuple of pyarrow.DataType
        One for each column.
    blank : int
        Empty lines above the header.
    block_bytes : int
        Bytes parsed at a time; no row may be longer.
    """

    delimiter: str
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = NULLS
    decimal: str = "."
    names: tuple[str, ...] = ()
    types: tuple[pa.DataType, ...] = ()
    blank: int = 0
    block_bytes: int = 4 << 20

    def reader(self, stream: Any, *, threads: bool = True, headed: bool = True, **convert: Any) -> Any:
        """Arrow's streaming reader over decompressed bytes, which begin with the header or after it."""
        import pyarrow.csv as pv

        return pv.open_csv(
            stream,
            read_options=pv.ReadOptions(
                column_names=list(self.names),
                skip_rows=self.blank if headed else 0,
                skip_rows_after_names=int(headed),
                use_threads=threads,
                block_size=self.block_bytes,
                encoding="utf8" if self.encoding == "utf-8" else self.encoding,
            ),
            parse_options=pv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=self._convert(**convert),
        )

    def lines(self, block: bytes | memoryview, **convert: Any) -> pa.Table:
        """Rows of a run of whole lines that has no header."""
        import pyarrow.csv as pv

        return pv.read_csv(
            pa.BufferReader(block),
            read_options=pv.ReadOptions(column_names=list(self.names), block_size=len(block) + 1, use_threads=False),
            parse_options=pv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=self._convert(**convert),
        )

    def _convert(self, **convert: Any) -> Any:
        import pyarrow.csv as pv

        return pv.ConvertOptions(
            null_values=list(self.nulls), strings_can_be_null=True, decimal_point=self.decimal, **convert
        )


def settle_delimiter(head: str, name: str, wanted: str | None) -> str:
    """The delimiter: as given, or the one of ``, ; tab |`` that cuts the first rows most evenly.

    Raises
    ------
    OptionError
        If `wanted` is not a single plain character.
    SourceError
        If `wanted` does not occur and another delimiter plainly does.
    """
    if wanted is None:
        fallback = "\t" if ".tsv" in name.lower() else ","
        return max((fallback, *DELIMITERS), key=lambda mark: _evenness(head, mark))
    mark = wanted.replace("\\t", "\t")
    if len(mark) != 1 or not mark.isascii() or mark in '"\r\n' or mark.isalnum():
        raise OptionError(f"delimiter={wanted!r} cannot separate columns. Give one character, such as ',' or ';'")
    if mark not in head:
        better = max(DELIMITERS, key=lambda other: _evenness(head, other))
        if _evenness(head, better) >= (1.0, 2):
            raise SourceError(
                f"{name} does not contain the delimiter {mark!r}; its columns look separated by {better!r}. "
                f"Say delimiter={better!r}, or leave delimiter out"
            )
    return mark


def _evenness(head: str, mark: str) -> tuple[float, int]:
    """Share of the first rows with as many cells as the header, and that number; (0, 1) for one column."""
    widths: list[int] = []
    try:
        rows = islice(csv.reader(io.StringIO(head, newline=""), delimiter=mark), SNIFF_ROWS)
        widths.extend(len(row) for row in rows if row)
    except csv.Error:  # a cell beyond the csv module's limit: judge by the rows before it
        pass
    if not widths or widths[0] < 2:
        return 0.0, 1
    if len(widths) > 2 and len(widths) < SNIFF_ROWS:
        widths.pop()  # may be cut short by the end of the head
    return widths.count(widths[0]) / len(widths), widths[0]


def settle_types(source: ByteSource, head: str, dialect: Dialect, options: TextOptions) -> tuple[Dialect, int]:
    """Column names and types, from the head and, for columns empty there, from further into the file.

    Integers become float64: a later 1.5 in a column that began 1, 2, 3 is no error. Times of day, dates,
    timestamps (microseconds, where those hold them) and booleans stay what they are. A column of text that
    is nearly all numbers stays text, with a warning. A column without any value seen is float64.

    Returns
    -------
    dialect : Dialect
    rows : int
        How many rows the head holds.

    Raises
    ------
    DataError
        If two columns share a name, or the head holds rows of unequal length.
    ColumnError, OptionError
        If the ``types`` option names an unknown column or type.
    """
    dialect = _with_header(head, source.name, dialect)
    pilot = _pilot(head, source.whole, dialect)
    if dialect.delimiter != "," and _has_text(pilot) and pa.float64() not in pilot.schema.types:
        comma = replace(dialect, decimal=",")
        again = _pilot(head, source.whole, comma)
        if pa.float64() in again.schema.types:
            dialect, pilot = comma, again
    names = dialect.names
    told = _told(options.types or {}, names, source.name)
    found = [_settled(pilot.column(at)) for at in range(len(names))]
    _look_further(source, dialect, found)
    types = [told.get(name, kind or pa.float64()) for name, kind in zip(names, found, strict=True)]
    for name, column, kind in zip(names, pilot.columns, types, strict=True):
        if kind == pa.string() and name not in told and pa.types.is_string(column.type):
            _warn_of_nearly_numeric(column, name, dialect, source.name)
    return replace(dialect, types=tuple(types)), pilot.num_rows


def _with_header(head: str, name: str, dialect: Dialect) -> Dialect:
    """Column names from the first line that is not empty, and blocks long enough for the longest row."""
    blank = len(head) - len(head.lstrip("\r\n"))
    blank_lines = len(head[:blank].splitlines())
    header = next(csv.reader(io.StringIO(head[blank:], newline=""), delimiter=dialect.delimiter))
    names = tuple(cell.strip() or f"column_{at}" for at, cell in enumerate(header, start=1))
    unique(names, name)
    _warn_of_numeric_header(names, name)
    longest = max(map(len, re.split(r"[\r\n]+", head)))
    block_bytes = max(dialect.block_bytes, 16 * longest)
    return replace(dialect, names=names, blank=blank_lines, block_bytes=block_bytes)


def _pilot(head: str, whole: bool, dialect: Dialect) -> pa.RecordBatch:
    """The first rows with Arrow's own types. Only Arrow knows where a quoted row ends, so it cuts the head."""
    block = head.encode()
    if whole and b"\n" not in block and b"\r" not in block:
        block += b"\n"  # a header alone, without an end of line, is otherwise taken for nothing
    size = len(block) + 1 if whole else len(block) * 3 // 4
    with replace(dialect, encoding="utf-8", block_bytes=size).reader(pa.BufferReader(block), threads=False) as reader:
        try:
            return reader.read_next_batch()
        except StopIteration:
            return pa.RecordBatch.from_pylist([], schema=reader.schema)


def _settled(column: pa.Array) -> pa.DataType | None:
    """The type that a column is read as on every pass; None while nothing but missing cells has been seen."""
    kind = column.type
    if pa.types.is_null(kind):
        return None
    if pa.types.is_integer(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        micro = pa.timestamp("us", kind.tz)
        try:
            column.cast(micro)
        except pa.ArrowInvalid:  # nanoseconds are in use, and would be lost
            return kind
        return micro
    return pa.string() if pa.types.is_binary(kind) else kind


def _look_further(source: ByteSource, dialect: Dialect, found: list[pa.DataType | None]) -> None:
    """Fill in the types of columns that were empty in the head, from lines further on."""
    unseen = [at for at, kind in enumerate(found) if kind is None]
    if not unseen or dialect.encoding.startswith("utf-16"):
        return
    wanted = [dialect.names[at] for at in unseen]
    for block in source.samples():
        text = block.decode(dialect.encoding, errors="replace").encode()
        try:
            sample = dialect.lines(text, include_columns=wanted)
        except pa.ArrowInvalid:  # the slice began or ended inside a quoted cell
            continue
        for at, column in zip(unseen, sample.columns, strict=True):
            kind = _settled(column.combine_chunks())
            if kind is not None:
                found[at] = kind if found[at] in (None, kind) else pa.string()


def _told(types: Mapping[str, str | pa.DataType], names: Sequence[str], where: str) -> dict[str, pa.DataType]:
    told = {}
    for name, kind in types.items():
        if name not in names:
            raise ColumnError(f"{where} has no column {name!r}.{closest(name, names, 'Its columns are')}")
        if isinstance(kind, str):
            if kind not in _TYPES:
                raise OptionError(f"types[{name!r}] is {kind!r}. It can be {', '.join(map(repr, _TYPES))}")
            kind = _TYPES[kind]
        told[name] = kind
    return told


def _has_text(pilot: pa.RecordBatch) -> bool:
    return any(pa.types.is_string(kind) for kind in pilot.schema.types)


def _warn_of_numeric_header(names: Iterable[str], where: str) -> None:
    def finite(name: str) -> bool:
        try:
            return math.isfinite(float(name))
        except ValueError:
            return False

    if all(map(finite, names)):
        warnings.warn(
            f"The first line of {where} is all numbers, and was taken for the names of the columns. "
            "If it is data, put a line with names above it",
            CumulantWarning,
            stacklevel=2,
        )


def _warn_of_nearly_numeric(column: pa.Array, name: str, dialect: Dialect, where: str) -> None:
    """A stray word turns a column of numbers into text; say so, since the model will be another one."""
    import pyarrow.compute as pc

    pattern = _NUMBER.replace(r"\.", re.escape(dialect.decimal))
    present = column.drop_null()
    numeric = pc.match_substring_regex(present, pattern)
    share = pc.mean(numeric).as_py() or 0.0
    if not MOSTLY <= share < 1.0:
        return
    stray = present.filter(pc.invert(numeric))[0].as_py()
    warnings.warn(
        f"Column {name!r} of {where} is read as text because of {stray!r}, though {share:.1%} of its first cells "
        f"are numbers. Clean it, or count that as missing with nulls=[{stray!r}]; "
        f"if text is meant, say types={{{name!r}: 'string'}}",
        CumulantWarning,
        stacklevel=2,
    )
