"""One file for anything that is kept: arrays as safetensors, the rest as JSON in its header.

Nothing in a file is ever executed. A file is written beside its target and renamed over it when complete, so that
a full disk or a kill leaves the old file as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import FileFormatError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = [
    "FORMAT", "VERSION", "decode", "diagonal", "encode", "mirrored", "packed", "read", "save", "side", "unpacked",
    "write_atomically",
]  # fmt: skip

FORMAT = "cumulant"
VERSION = 1
TILE = 64


def save(path: str | Path, kind: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``meta`` as a file of ``kind`` (``"moments"``, ``"model"``).

    Raises
    ------
    SourceError
        The file cannot be written; what stood there before is untouched.
    """
    write_atomically(path, encode(kind, arrays, meta))


def encode(kind: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> bytes:
    """The bytes of a file of ``kind``."""
    from safetensors.numpy import save as to_bytes

    plain = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "kind": kind,
        "digest": _digest(kind, plain, meta),
        "meta": json.dumps(meta, allow_nan=True, sort_keys=True),
    }
    return to_bytes(plain, metadata=header)


def decode(content: bytes) -> tuple[str, dict[str, NDArray[Any]], dict[str, Any]]:
    """Kind, arrays and plain data of what `encode` made, as one process of this version sends it to another.

    Raises
    ------
    FileFormatError
        The bytes were cut short or altered on the way.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        meta = json.loads(header["meta"])
        intact = _digest(header["kind"], arrays, meta) == header["digest"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise FileFormatError(
            f"what another process sent is no message of cumulant ({error}); send it again"
        ) from error
    if not intact:
        raise FileFormatError("what another process sent does not match its digest; send it again")
    return header["kind"], arrays, meta


def write_atomically(path: str | Path, content: bytes) -> None:
    """Replace the file at ``path`` by ``content``, entirely or not at all."""
    target = Path(path)
    temporary: str | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private; a result should be as readable as any file the user makes.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise SourceError(
            f"cannot write {target}: {error.strerror or error}; any earlier file of that name is as it was"
        ) from error


def read(path: str | Path) -> tuple[str, dict[str, NDArray[Any]], dict[str, Any]]:
    """Kind, arrays and plain data of a saved file.

    Raises
    ------
    SourceError
        The file is not there or cannot be read.
    FileFormatError
        It is not a cumulant file, is truncated or corrupted, or was written by a newer version.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise SourceError(f"no file {path}; check the path, or make it with fit(...).save or cumulant fit")
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = dict(file.metadata() or {})
            if header.get("format") != FORMAT:
                raise FileFormatError(f"{path} is a safetensors file, but not one that cumulant wrote")
            if not header["version"].isdigit() or int(header["version"]) > VERSION:
                found = header["version"]
                raise FileFormatError(
                    f"{path} has format version {found}, this cumulant reads up to {VERSION}; upgrade it"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator on safe_open)
            meta = json.loads(header["meta"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"{path} is not a cumulant file, or is truncated ({error}); fit the model again or restore a copy"
        ) from error
    if _digest(header.get("kind", ""), arrays, meta) != header.get("digest"):
        raise FileFormatError(f"{path} is corrupted: its contents do not match their digest; restore a copy")
    return header["kind"], arrays, meta


def packed(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upper triangles by rows of symmetric matrices (…, q, q), (…, q(q + 1)/2)."""
    q, start = symmetric.shape[-1], 0
    out = np.empty((*symmetric.shape[:-2], q * (q + 1) // 2))
    for i in range(q):
        out[..., start : start + q - i] = symmetric[..., i, i:]
        start += q - i
    return out


def unpacked(triangle: NDArray[np.float64], q: int) -> NDArray[np.float64]:
    """The symmetric matrices whose upper triangles were `packed`."""
    out, start = np.empty((*triangle.shape[:-1], q, q)), 0
    for i in range(q):
        out[..., i, i:] = triangle[..., start : start + q - i]
        start += q - i
    return mirrored(out)


def mirrored(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same matrices (…, q, q) with their upper triangles copied to the lower ones, in place."""
    q = upper.shape[-1]
    # By tiles: a whole row copied to a column would miss the cache at every entry.
    for a in range(0, q, TILE):
        b = min(a + TILE, q)
        i, j = np.tril_indices(b - a, -1)
        upper[..., a + i, a + j] = upper[..., a + j, a + i]
        for c in range(b, q, TILE):
            upper[..., c : c + TILE, a:b] = upper[..., a:b, c : c + TILE].swapaxes(-1, -2)
    return upper


def side(triangle: NDArray[np.float64]) -> int:
    """The q of upper triangles (…, q(q + 1)/2)."""
    return (isqrt(8 * triangle.shape[-1] + 1) - 1) // 2


def diagonal(triangle: NDArray[np.float64]) -> NDArray[np.float64]:
    """The diagonals (…, q) of matrices whose upper triangles were `packed`."""
    q = side(triangle)
    i = np.arange(q)
    return triangle[..., i * q - i * (i - 1) // 2]


def _digest(kind: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> str:
    plain = json.dumps([kind, meta], allow_nan=True, sort_keys=True)
    digest = hashlib.blake2b(plain.encode(), digest_size=16)
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
