"""A path or a pattern: what lies there, told by its first bytes rather than by its name."""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path
from typing import Any

from cumulant.errors import SourceError
from cumulant.source.bytestream import of_handle, of_path
from cumulant.source.columns import closest
from cumulant.source.delimited import open_delimited
from cumulant.source.dialect import TextOptions
from cumulant.source.table import Table

__all__ = ["open_handle", "open_path"]

PARQUET_ENDINGS = (".parquet", ".parq", ".pq")

# Formats that are recognised and declined, with what to do instead.
_DECLINED = {
    b"SQLite format 3": "a SQLite database. Read a table of it with "
    "\"duckdb:///?query=ATTACH '{path}' AS db (TYPE sqlite); SELECT * FROM db.name_of_table\"",
    b"PK\x03\x04": "a zip archive, such as an Excel workbook. Export the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. Export the sheet as CSV",
    b"\x89HDF": "an HDF5 file. Load it with pandas.read_hdf and pass the frame",
    b"Obj\x01": "an Avro file. Convert it to Parquet",
    b"\x93NUMPY": "a NumPy file. Load it with numpy.load and pass the array",
    b"\xfd7zXZ": "compressed with xz. Unpack it, or use gzip or zstd",
    b"%PDF": "a PDF document. Give the table as CSV",
}


def open_path(text: str | os.PathLike[str], columns: list[str] | None, options: TextOptions) -> Table:
    """Table over a file, a folder of Parquet files, or a pattern of them.

    Raises
    ------
    SourceError
        If nothing readable is there.
    """
    if "://" in str(text):
        raise SourceError(
            f"{text} is an address, not a file here. Download it, or have DuckDB fetch it: \"FROM '{text}'\""
        )
    path = Path(text).expanduser()
    if path.is_dir():
        options.refuse(f"the folder {path}")
        return _folder(path, columns)
    if not path.exists():
        if glob.has_magic(str(path)):
            options.refuse(f"the pattern {path}")
            return _pattern(path, columns)
        raise _missing(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe, as the shell's <(…) makes them
            return open_handle(path.open("rb"), path.name, columns, options, owned=True)
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}. Check its permissions") from error
    return _file(path, magic, columns, options)


def open_handle(
    handle: Any, name: str, columns: list[str] | None, options: TextOptions, *, owned: bool = False
) -> Table:
    """Table over delimited text from an open binary file, a pipe or standard input; read once."""
    source = of_handle(handle, name, owned=owned)
    if _format(source.head, "") != "text":
        raise SourceError(f"{name} is not text; a stream is read as CSV. Save it to a file and give its path")
    return open_delimited(source, columns, options)


def _file(path: Path, magic: bytes, columns: list[str] | None, options: TextOptions) -> Table:
    if not magic:
        raise SourceError(f"{path.name} is empty. A table needs at least the names of its columns")
    if magic[8:12] == b"DUCK":
        raise SourceError(f"{path.name} is a DuckDB database. Name a table of it: 'duckdb:///{path}?table=…'")
    for start, what in _DECLINED.items():
        if magic.startswith(start):
            raise SourceError(f"{path.name} is {what.format(path=path)}")
    kind = _format(magic, path.suffix.lower())
    if kind == "text":
        source = of_path(path)
        if _format(source.head, "") != "text":
            raise SourceError(f"{path.name} is a compressed Parquet or Arrow file. Unpack it; its inside is compressed")
        return open_delimited(source, columns, options)
    options.refuse(path.name)
    from cumulant.source.columnar import open_ipc, open_parquet

    return open_parquet([path], path.name, columns) if kind == "parquet" else open_ipc(path, columns)


def _format(magic: bytes, ending: str) -> str:
    """``"parquet"``, ``"ipc"`` or ``"text"``. A file *named* Parquet or Arrow has to be that.

    A column of a CSV may well be called PAR1, hence the byte after it.
    """
    if magic.startswith(b"PAR1\x15") or ending in PARQUET_ENDINGS:
        return "parquet"
    if magic.startswith((b"ARROW1\0\0", b"\xff\xff\xff\xff")) or ending in (".arrow", ".feather", ".ipc"):
        return "ipc"
    return "text"


def _folder(path: Path, columns: list[str] | None) -> Table:
    from cumulant.source.columnar import open_parquet

    files = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
    parquet = [file for file in files if file.suffix.lower() in PARQUET_ENDINGS]
    if not parquet:
        found = f"It holds {', '.join(file.name for file in files[:5])}" if files else "It is empty"
        raise SourceError(f"The folder {path} has no Parquet files. {found}. Name one file, or a folder of .parquet")
    return open_parquet(parquet, f"{path.name or path}/", columns, base=path)


def _hidden(path: Path) -> bool:
    """Spark and its kin leave ``_SUCCESS``, ``_metadata`` and ``.crc`` files beside the data."""
    return any(part.startswith(("_", ".")) and "=" not in part for part in path.parts)


def _pattern(path: Path, columns: list[str] | None) -> Table:
    from cumulant.source.columnar import open_parquet

    # Path.glob takes no absolute pattern.
    found = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise SourceError(f"No file matches {path}. Check the pattern; ** goes into folders")
    other = [file.name for file in files if file.suffix.lower() not in PARQUET_ENDINGS]
    if other:
        raise SourceError(
            f"The pattern {path} matches {other[0]}, which is not .parquet; only Parquet files are read as one table. "
            f"For CSV files use SQL: \"FROM read_csv('{path}')\""
        )
    return open_parquet(files, path.name, columns, base=_fixed_part(path))


def _fixed_part(path: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    parts = path.parts
    first = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def _missing(path: Path) -> SourceError:
    folder = path.parent
    if not folder.is_dir():
        return SourceError(f"There is no file {path}, nor a folder {folder}. Check the path")
    names = sorted(file.name for file in folder.iterdir())
    return SourceError(f"There is no file {path}.{closest(path.name, names, 'The folder holds')}")
