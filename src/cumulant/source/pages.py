"""Parquet columns of plain numbers, decoded page by page into place: one copy from the file's bytes to the batch.

Arrow's reader gathers a column in buffers of its own first, and takes twice the time. It stays the reader of all other
columns, and of these where there is no compiled code; both give the same batches.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cumulant.source.columns import array_of
from cumulant.source.native import library

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DamagedPageError", "plain_columns", "read_columns"]

# Bytes of a column read at once; a page longer than that is read whole.
BUFFER = 256 << 10
LONGEST_HEADER = 1 << 20
# Bytes after a page that decompression may write to.
SLACK = 64

_TYPES = {"DOUBLE": pa.float64(), "FLOAT": pa.float32(), "INT64": pa.int64(), "INT32": pa.int32()}
_DTYPES: dict[str, np.dtype[Any]] = {
    "DOUBLE": np.dtype("f8"),
    "FLOAT": np.dtype("f4"),
    "INT64": np.dtype("i8"),
    "INT32": np.dtype("i4"),
}
_CODECS = {"UNCOMPRESSED": None, "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd", "BROTLI": "brotli"}
_ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_PLAIN, _BIT_PACKED = 0, 4


class DamagedPageError(OSError):
    """The bytes of a column are not what the file's footer says they are."""


@dataclass(frozen=True)
class _Chunk:
    """One column of one row group: where its pages lie, and how they are packed."""

    start: int
    size: int
    rows: int
    codec: str | None


def plain_columns(metadata: Any, schema: pa.Schema, wanted: Sequence[str]) -> list[str]:
    """Which columns of a Parquet file can be read here: numbers of four or eight bytes, not nested."""
    if library() is None:
        return []
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    names, among = [], set(wanted)
    for j in range(metadata.num_columns):
        column = metadata.schema.column(j)
        kind = _TYPES.get(column.physical_type)
        flat = column.max_repetition_level == 0 and column.max_definition_level <= 1 and column.name == column.path
        if column.name not in among or kind is None or not flat or schema.field(column.name).type != kind:
            continue
        chunks = [group.column(j) for group in groups]
        if all(c.compression in _CODECS and _ENCODINGS.issuperset(c.encodings) and not c.file_path for c in chunks):
            names.append(column.name)
    return names


def read_columns(
    path: Path, metadata: Any, names: Sequence[str], size: int, first: int = 0
) -> Iterator[list[pa.Array]]:
    """The named `plain_columns` in runs of `size` rows, from row `first` on.

    Raises
    ------
    DamagedPageError
        If the pages end too early or hold what they cannot.
    """
    places = {metadata.schema.column(j).path: j for j in range(metadata.num_columns)}
    # Unbuffered: each column reads at its own place.
    with path.open("rb", buffering=0) as file:
        columns = [_Column(file.fileno(), metadata, places[name]) for name in names]
        for column in columns:
            column.skip(first)
        for begin in range(first, metadata.num_rows, size):
            rows = min(size, metadata.num_rows - begin)
            yield [column.take(rows) for column in columns]


class _Column:
    """A column under way: the page at hand, and the bytes after it."""

    def __init__(self, file: int, metadata: Any, place: int) -> None:
        about = metadata.schema.column(place)
        self._native: Any = library()
        self._file, self._name = file, about.name
        self._dtype: np.dtype[Any] = _DTYPES[about.physical_type]
        self._nullable = about.max_definition_level == 1
        self._chunks = iter([_chunk(metadata.row_group(i), place) for i in range(metadata.num_row_groups)])
        self._codec: str | None = None
        self._scratch = np.empty(0, np.uint8)
        # Place of the next page, end of the chunk, and its rows in pages not opened yet.
        self._at, self._end, self._rows = 0, 0, 0
        self._buffer = memoryview(bytearray(BUFFER))
        self._begin, self._held = 0, 0
        self._dictionary = np.empty(0, self._dtype)
        self._values: NDArray[Any] = np.empty(0, self._dtype)
        self._valid: NDArray[np.bool_] | None = None
        self._used = 0
        self._head = np.zeros(11, dtype=np.int64)

    def take(self, rows: int) -> pa.Array:
        """The next rows."""
        out = np.empty(rows, self._dtype)
        valid: NDArray[np.bool_] | None = None
        done = 0
        while done < rows:
            if self._used == len(self._values):
                self._next_page()
            n = min(rows - done, len(self._values) - self._used)
            page = slice(self._used, self._used + n)
            out[done : done + n] = self._values[page]
            if self._valid is not None:
                if valid is None:
                    valid = np.ones(rows, dtype=bool)
                valid[done : done + n] = self._valid[page]
            self._used += n
            done += n
        return array_of(out, valid)

    def skip(self, rows: int) -> None:
        """Pass over rows; whole pages are not decoded."""
        while rows:
            if self._used == len(self._values):
                rows -= self._next_page(skip=rows)
                continue
            n = min(rows, len(self._values) - self._used)
            self._used += n
            rows -= n

    def _next_page(self, skip: int = 0) -> int:
        """Decode the next page; gives the rows passed over instead, if it holds no more than `skip`."""
        while self._rows == 0:
            passed = self._next_chunk(skip)
            if passed:
                return passed
        (kind, unpacked, packed, crc, has_crc, count, encoding, levels, level_bytes, bare, repeated) = self._header()
        if kind not in (_DATA, _DATA_2, _DICTIONARY):
            self._at += packed
            return 0
        if kind != _DICTIONARY and count <= skip:
            self._at += packed
            self._rows -= count
            return int(count)
        body = self._bytes(packed)
        self._at += packed
        if has_crc and zlib.crc32(body) != crc & 0xFFFFFFFF:
            raise self._damaged("a page fails its checksum")
        if kind == _DICTIONARY:
            self._dictionary = self._numbers(self._unpacked(body, unpacked), count).copy()
            return 0
        if kind == _DATA_2:
            if repeated or level_bytes > packed:
                raise self._damaged("a page holds levels that cannot be")
            head, rest = body[:level_bytes], body[level_bytes:]
            data = memoryview(bytes(rest)) if bare else self._unpacked(rest, unpacked - level_bytes)
            valid = self._levels(head, count) if self._nullable else None
        else:
            data, valid = self._unpacked(body, unpacked), None
            if self._nullable:
                length = -(-count // 8) if levels == _BIT_PACKED else 4 + int.from_bytes(data[:4], "little")
                head, data = data[:length], data[length:]
                valid = _bits(head, count) if levels == _BIT_PACKED else self._levels(head[4:], count)
        self._place(data, valid, count, encoding)
        self._rows -= count
        if self._rows < 0:
            raise self._damaged("its pages hold more rows than the footer says")
        return 0

    def _next_chunk(self, skip: int) -> int:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise self._damaged("its pages end before its rows do")
        if 0 < chunk.rows <= skip:
            return chunk.rows
        self._codec = chunk.codec
        self._at, self._end, self._rows = chunk.start, chunk.start + chunk.size, chunk.rows
        self._begin, self._held = 0, 0
        self._dictionary = np.empty(0, self._dtype)
        return 0

    def _header(self) -> list[int]:
        want = 256
        while True:
            head = self._bytes(min(want, self._end - self._at))
            length = self._native.cumulant_page_header(_address(head), len(head), self._head.ctypes.data)
            if length:
                break
            if want > LONGEST_HEADER or len(head) < want:
                raise self._damaged("a page has no header")
            want *= 8
        self._at += length
        found: list[int] = self._head.tolist()
        # Counts, sizes: what follows takes them at their word.
        if min(found[1], found[2], found[5], found[8]) < 0 or self._at + found[2] > self._end:
            raise self._damaged("a page is longer than its column")
        return found

    def _bytes(self, count: int) -> memoryview:
        """Bytes of the file at the place reached, valid until the next call."""
        offset = self._at - self._begin
        if not 0 <= offset <= self._held - count:
            if count > len(self._buffer):
                self._buffer = memoryview(bytearray(count))
            want = min(len(self._buffer), self._end - self._at)
            held = 0
            while held < want:
                got = os.preadv(self._file, [self._buffer[held:want]], self._at + held)
                if not got:
                    break
                held += got
            self._begin, self._held, offset = self._at, held, 0
            if held < count:
                raise self._damaged("the file ends in the middle of it")
        return self._buffer[offset : offset + count]

    def _unpacked(self, body: memoryview, size: int) -> memoryview:
        if not size:
            return memoryview(b"")
        if self._codec not in (None, "snappy"):
            return memoryview(pa.Codec(self._codec).decompress(body, size))
        # A page is used up before the next one is opened, so they take turns in one place.
        if len(self._scratch) < size + SLACK:
            self._scratch = np.empty(size + SLACK, np.uint8)
        if self._codec is None:
            self._scratch[:size] = np.frombuffer(body, np.uint8)[:size]
        elif not self._native.cumulant_snappy(_address(body), len(body), self._scratch.ctypes.data, size):
            raise self._damaged("a page cannot be decompressed")
        return self._scratch.data[:size]

    def _levels(self, head: memoryview, count: int) -> NDArray[np.bool_] | None:
        """Which rows have a value; None where all do."""
        if _one_run_of_ones(head, count):
            return None
        levels = self._codes(head, 1, count)
        return None if levels.all() else levels.astype(bool)

    def _codes(self, data: memoryview, width: int, count: int) -> NDArray[np.uint32]:
        out = np.empty(count, dtype=np.uint32)
        if self._native.cumulant_unpack(_address(data), len(data), width, count, out.ctypes.data) != count:
            raise self._damaged("a page ends before its values do")
        return out

    def _numbers(self, data: memoryview, count: int) -> NDArray[Any]:
        if len(data) < count * self._dtype.itemsize:
            raise self._damaged("a page ends before its values do")
        return np.frombuffer(data, self._dtype, count)

    def _place(self, data: memoryview, valid: NDArray[np.bool_] | None, count: int, encoding: int) -> None:
        present = count if valid is None else int(valid.sum())
        if encoding == _PLAIN:
            values = self._numbers(data, present)
        else:
            values = np.empty(present, self._dtype)
            if present:
                if not data:
                    raise self._damaged("a page ends before its values do")
                codes = self._codes(data[1:], data[0], present)
                entries, size = len(self._dictionary), self._dtype.itemsize
                addresses = self._dictionary.ctypes.data, entries, size, values.ctypes.data
                if self._native.cumulant_lookup(codes.ctypes.data, present, *addresses) != present:
                    raise self._damaged("a page names values that its dictionary lacks")
        if valid is not None:
            spread = np.zeros(count, self._dtype)
            spread[valid] = values
            values = spread
        self._values, self._valid, self._used = values, valid, 0

    def _damaged(self, what: str) -> DamagedPageError:
        return DamagedPageError(f"column {self._name!r}: {what}")


def _one_run_of_ones(head: memoryview, count: int) -> bool:
    """Whether levels say, in the shortest way there is, that no row is missing."""
    if not 2 <= len(head) <= 6 or head[-1] != 1 or head[0] & 1 or head[-2] & 128:
        return False
    if not all(byte & 128 for byte in head[:-2]):
        return False
    return sum((byte & 127) << 7 * i for i, byte in enumerate(head[:-1])) >> 1 >= count


def _address(data: memoryview) -> int:
    return int(np.frombuffer(data, np.uint8).ctypes.data) if len(data) else 0


def _bits(data: memoryview, count: int) -> NDArray[np.bool_]:
    """Levels in the packing of old writers, which begins with the highest bit."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="big").astype(bool)


def _chunk(group: Any, place: int) -> _Chunk:
    column = group.column(place)
    # Some writers leave 0 where there is no dictionary.
    starts = [column.data_page_offset, *([column.dictionary_page_offset] if column.dictionary_page_offset else [])]
    return _Chunk(min(starts), column.total_compressed_size, group.num_rows, _CODECS[column.compression])
