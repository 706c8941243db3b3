"""Delimited text cut into runs of whole lines, which are parsed side by side.

A quoted cell may hold the end of a line, so that only who has read all before a place knows whether a row ends there.
Hence blocks are cut as long as no quote has been seen; from the first one on, Arrow reads the rest as one stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cumulant.source.columns import array_of
from cumulant.source.dialect import Dialect
from cumulant.source.native import library

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Block", "Cutter", "parsed"]

SPELLING = 254
TAIL = 64 << 10


@dataclass(frozen=True)
class Block:
    """Some whole lines: their bytes, and how many ends of lines are among them."""

    text: memoryview
    lines: int


@dataclass
class Cutter:
    """Cuts a stream that begins with the header, as far as lines are rows.

    Attributes
    ----------
    rest : bytes or None
        What was read and belongs to no block: the stream goes on after it.
    headed : bool
        Whether `rest` begins with the header.
    """

    stream: Any
    dialect: Dialect
    rest: bytes | None = None
    headed: bool = field(default=True)

    def blocks(self) -> Iterator[Block]:
        """Runs of whole lines after the header, until a quote or a line that is too long."""
        carry, size = b"", self.dialect.block_bytes
        while True:
            buffer = np.empty(len(carry) + size, np.uint8)
            buffer[: len(carry)] = np.frombuffer(carry, np.uint8)
            got = _fill(self.stream, buffer.data[len(carry) :])
            text = buffer.data[: len(carry) + got]
            final = got < size
            begin = _after_header(bytes(text[:size]), self.dialect.blank + 1) if self.headed else 0
            cut = len(text) if final else _last_end(text)
            lines, quoted = _lines(text[begin:])
            if quoted or not cut or (self.headed and not begin):
                self.rest = bytes(text)
                return
            self.headed = False
            if begin < cut:
                yield Block(text[begin:cut], lines)
            if final:
                return
            carry = bytes(text[cut:])


def _after_header(text: bytes, lines: int) -> int:
    """Where the line after so many begins; 0 where a header spans lines, or they end in an unusual way."""
    begin = 0
    for _ in range(lines):
        begin = text.find(b"\n", begin) + 1 or len(text)
    header = text[:begin]
    return 0 if b"\r" in header.replace(b"\r\n", b"") or header.count(b'"') % 2 else begin


def _last_end(text: memoryview) -> int:
    """Where the last whole line ends; 0 if there is none."""
    for length in (TAIL, len(text)):
        begin = max(0, len(text) - length)
        end = bytes(text[begin:]).rfind(b"\n") + 1
        if end:
            return begin + end
    return 0


def _fill(stream: Any, buffer: memoryview) -> int:
    """Read until the buffer is full or the stream at its end."""
    held = 0
    while held < len(buffer):
        got = stream.readinto(buffer[held:])
        if not got:
            break
        held += got
    return held


def _lines(text: memoryview) -> tuple[int, bool]:
    """Ends of lines in a text, and whether there is a quote."""
    native: Any = library()
    if native is None:
        whole = bytes(text)
        return whole.count(b"\n"), b'"' in whole
    quoted = np.zeros(1, np.int64)
    address = np.frombuffer(text, np.uint8).ctypes.data if len(text) else 0
    return native.cumulant_lines(address, len(text), quoted.ctypes.data), bool(quoted[0])


def parsed(block: Block, dialect: Dialect, types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    """The rows of a block: plain numbers at once, all else by Arrow.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a cell or a row is not what it should be.
    """
    numbers = _numbers(block, dialect, list(types)) if set(types.values()) == {pa.float64()} else None
    if numbers is not None:
        return numbers
    table = dialect.lines(block.text, include_columns=list(types), column_types=dict(types))
    return table.combine_chunks().to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], table.schema)


def _numbers(block: Block, dialect: Dialect, names: list[str]) -> pa.RecordBatch | None:
    native: Any = library()
    if native is None or any(len(null) > SPELLING for null in dialect.nulls):
        return None
    room = block.lines + 1
    out: NDArray[np.float64] = np.empty((len(names), room))
    wanted = {name: i for i, name in enumerate(names)}
    place = np.array([wanted.get(name, -1) for name in dialect.names], np.int64)
    spelled = [null.encode() for null in dialect.nulls]
    nulls = b"".join(bytes([len(null)]) + null for null in spelled if len(null) <= SPELLING) + b"\xff"
    gaps = np.zeros(1, np.int64)
    text = np.frombuffer(block.text, np.uint8)
    rows = native.cumulant_numbers(
        text.ctypes.data,
        len(text),
        dialect.delimiter.encode(),
        dialect.decimal.encode(),
        len(place),
        place.ctypes.data,
        nulls,
        out.ctypes.data,
        room,
        gaps.ctypes.data,
    )
    if rows < 0:
        return None
    columns = [column[:rows] for column in out]
    present = [~np.isnan(column) if gaps[0] else None for column in columns]
    return pa.RecordBatch.from_arrays(list(map(array_of, columns, present)), names)
