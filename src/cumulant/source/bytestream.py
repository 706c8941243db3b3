"""Text as bytes: decompressed, decoded far enough to be understood, and read again as often as it can be."""

from __future__ import annotations

import codecs
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from cumulant.errors import CumulantWarning, OptionError, SourceError

__all__ = ["ByteSource", "chained", "compression", "of_handle", "of_path", "settle_encoding"]

HEAD_BYTES = 4 << 20
SLICE_BYTES = 256 << 10
SLICES = 8
READ_ON_BYTES = 64 << 20

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class ByteSource:
    """Decompressed bytes of a text table.

    Attributes
    ----------
    name : str
        For messages.
    head : bytes
        The first few megabytes.
    whole : bool
        Whether `head` is all there is.
    open : callable
        A new stream of the decompressed bytes from the start.
    samples : callable
        Runs of whole lines from beyond `head`, for what the head cannot tell.
    size : int or None
        Bytes as stored (compressed).
    repeatable : bool
        Whether `open` can be called again.
    position : callable or None
        Fraction of the stored bytes that the last opened stream has read.
    path : Path or None
        The file that `open` reads.
    """

    name: str
    head: bytes
    whole: bool
    open: Callable[[], Any]
    samples: Callable[[], Iterator[bytes]]
    size: int | None = None
    repeatable: bool = True
    position: Callable[[], float] | None = None
    path: Path | None = None


@dataclass
class _Meter:
    """How far the stream opened last has come, in stored bytes."""

    size: int
    stream: Any = field(default=None)

    def fraction(self) -> float:
        if self.stream is None:
            return 0.0
        try:
            return min(1.0, float(self.stream.tell()) / max(self.size, 1))
        except ValueError:  # a closed stream has been read to its end
            return 1.0


def compression(magic: bytes) -> str | None:
    """Codec named by the first bytes of a file, or None; extensions are not trusted."""
    if magic.startswith(b"BZh") and magic[4:7] == b"1AY":
        return "bz2"
    return next((codec for start, codec in _MAGIC.items() if magic.startswith(start)), None)


def of_path(path: Path) -> ByteSource:
    """Bytes of a regular file, which can be read again and sampled."""
    name, size = path.name, path.stat().st_size
    with path.open("rb") as file:
        codec = compression(file.read(8))
    meter = _Meter(size)

    def start() -> Any:
        meter.stream = pa.OSFile(str(path))
        return pa.CompressedInputStream(meter.stream, codec) if codec else meter.stream

    with start() as stream:
        head = _read(stream, HEAD_BYTES, name)
        whole = not _read(stream, 1, name)

    def samples() -> Iterator[bytes]:
        if whole:
            return iter(())
        return _read_on(start, name) if codec else _slices(path, size)

    return ByteSource(name, head, whole, start, samples, size, True, meter.fraction, path)


def of_handle(handle: Any, name: str, *, owned: bool = False) -> ByteSource:
    """Bytes of an open file, pipe or standard input: its head is kept, since it passes only once.

    A handle that is `owned` is closed after the pass; a caller's own is left open.
    """
    if isinstance(handle, io.StringIO):
        handle = io.BytesIO(handle.getvalue().encode())
    handle = getattr(handle, "buffer", handle)
    first = handle.read(8)
    if isinstance(first, str):
        raise SourceError(f"{name} is open as text. Open it as bytes: open(path, 'rb')")
    stream: Any = pa.PythonFile(_Chain(first, handle, owned=owned), mode="r")
    codec = compression(first)
    if codec:
        stream = pa.CompressedInputStream(stream, codec)
    head = _read(stream, HEAD_BYTES, name)
    rest = _read(stream, 1, name)

    def start() -> Any:
        return chained(head + rest, stream)

    return ByteSource(name, head, not rest, start, lambda: iter(()), repeatable=False)


def chained(taken: bytes, rest: Any) -> Any:
    """A stream of some bytes, then of those that another stream still has; closing it closes that."""
    return pa.PythonFile(_Chain(taken, rest, owned=True), mode="r")


class _Chain(io.RawIOBase):
    """Bytes already taken from a stream, then the stream, which is closed along with this if `owned`."""

    def __init__(self, taken: bytes, rest: Any, *, owned: bool) -> None:
        self._taken = io.BytesIO(taken)
        self._rest = rest
        self._owned = owned

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._taken.read(size) or self._rest.read(size) or b""

    def close(self) -> None:
        if self._owned:
            self._rest.close()
        super().close()


def _read(stream: Any, size: int, name: str) -> bytes:
    """Up to `size` bytes; fewer only at the end of the stream, which a single read of a pipe does not promise."""
    parts: list[bytes] = []
    try:
        while size > 0 and (part := stream.read(size)):
            parts.append(part)
            size -= len(part)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error}. It may be truncated; fetch or write it again") from error
    return b"".join(parts)


def _slices(path: Path, size: int) -> Iterator[bytes]:
    """Lines from places spread evenly over an uncompressed file, its end among them."""
    with path.open("rb") as file:
        for k in range(1, SLICES + 1):
            file.seek(max(HEAD_BYTES, size * k // SLICES - SLICE_BYTES))
            yield _whole_lines(file.read(SLICE_BYTES))


def _read_on(start: Callable[[], Any], name: str) -> Iterator[bytes]:
    """Lines that follow the head of a compressed file, in which there is no jumping ahead."""
    with start() as stream:
        _read(stream, HEAD_BYTES, name)
        for _ in range(READ_ON_BYTES // HEAD_BYTES):
            block = _read(stream, HEAD_BYTES, name)
            if not block:
                return
            yield _whole_lines(block)


def _whole_lines(block: bytes) -> bytes:
    return block[block.find(b"\n") + 1 : block.rfind(b"\n") + 1]


def settle_encoding(source: ByteSource, wanted: str | None) -> tuple[str, str]:
    """The encoding of a text table, and the text of its head.

    UTF-8 unless a byte-order mark says UTF-16. Bytes that are not UTF-8 are read as Windows-1252 (which
    holds Latin-1's letters), with a warning, since a guess it remains.

    Returns
    -------
    encoding : str
    head : str

    Raises
    ------
    OptionError
        If `wanted` is no encoding that Python knows.
    SourceError
        If the bytes are not text, or not text in the encoding `wanted`.
    """
    if wanted is not None:
        return wanted, _decoded(source, wanted)
    if source.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", _decoded(source, "utf-16")
    if b"\0" in source.head:
        raise SourceError(
            f"{source.name} holds binary data, not a text table. Give a CSV, Parquet or Arrow file; "
            "if it is text in UTF-16 without a byte-order mark, say encoding='utf-16-le'"
        )
    if _is_utf8(source.head, source.whole):
        return "utf-8", _decoded(source, "utf-8")
    guess = "cp1252"
    try:
        head = _decoded(source, guess)
    except SourceError:  # five bytes have no meaning in Windows-1252; Latin-1 has one for every byte
        guess = "latin-1"
        head = _decoded(source, guess)
    warnings.warn(
        f"{source.name} is not UTF-8; it is read as {guess}. If letters with accents come out wrong, "
        "say which encoding it has: open_table(…, encoding='…')",
        CumulantWarning,
        stacklevel=2,
    )
    return guess, head


def _is_utf8(block: bytes, final: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(source: ByteSource, encoding: str) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(source.head, source.whole)
    except LookupError as error:
        raise OptionError(f"encoding={encoding!r} is not an encoding that Python knows, such as 'utf-8'") from error
    except UnicodeDecodeError as error:
        line = source.head.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{source.name} is not text in {encoding}: line {line} holds the byte 0x{source.head[error.start]:02x}. "
            "Say which encoding it has: open_table(…, encoding='cp1252')"
        ) from error
    return text.removeprefix("\ufeff")
