"""Results as files: CSV, TSV, Parquet or JSON by the ending of the name, whole or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cumulant.cli.terminal import as_json, say
from cumulant.errors import IncompatibleError, SourceError

if TYPE_CHECKING:
    import pandas as pd

    from cumulant.measure import Moments
    from cumulant.model import Model

__all__ = ["check_writable", "deliver", "ending_of", "load_model", "load_one", "make_folder", "size_of"]

ENDINGS = (".csv", ".tsv", ".parquet", ".json")


def load_model(path: Path) -> Model:
    """The model in a file; moments alone are refused."""
    from cumulant.measure import Moments

    model = load_one(path)
    if isinstance(model, Moments):
        raise IncompatibleError(
            f"{path} holds moments, not a model; solve them first: cumulant.solve(cumulant.load({str(path)!r}))"
        )
    return model


def load_one(path: Path) -> Model | Moments:
    """The model or the moments in a file; those of many groups are refused."""
    from cumulant.measure import Moments
    from cumulant.model import Model, load
    from cumulant.symmetry import Reduced

    found = load(path)
    if isinstance(found, Reduced):
        raise IncompatibleError(
            f"{path} holds moments under a group, this command takes a model or plain moments; solve them in Python: "
            f"cumulant.solve(cumulant.load({str(path)!r}))"
        )
    if not isinstance(found, (Model, Moments)):
        raise IncompatibleError(
            f"{path} holds {len(found):,} groups, this command takes one; save one in Python: "
            f"cumulant.load({str(path)!r})[…].save(…)"
        )
    return found


def check_writable(path: Path | None) -> None:
    """Refuse a place that cannot be written before any work is done, not after.

    Raises
    ------
    SourceError
        The folder is not there or not writable, or the name is a folder's.
    """
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        raise SourceError(f"cannot write {path}: there is no folder {folder}; make it first")
    if path.is_dir():
        raise SourceError(f"cannot write {path}: it is a folder; give the name of a file")
    if not os.access(folder, os.W_OK):
        raise SourceError(f"cannot write {path}: the folder {folder} is not yours to write; choose another")


def make_folder(path: Path) -> None:
    """Make a folder where there is none.

    Raises
    ------
    SourceError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"cannot make the folder {path}: {error.strerror}; choose another") from error


def ending_of(path: Path | None) -> str | None:
    """The format that a result file's name asks for, checked before any work is done."""
    check_writable(path)
    if path is None:
        return None
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise typer.BadParameter(f"-o {path}: the name must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    return ending


def deliver(frame: pd.DataFrame, path: Path | None, *, json: bool = False) -> None:
    """Write a frame to a file, or to standard output as CSV or JSON."""
    if path is None:
        say(as_json(frame) if json else _text(frame, ","))
        return
    from cumulant.storage import write_atomically

    write_atomically(path, _content(frame, str(ending_of(path))))


def _content(frame: pd.DataFrame, ending: str) -> bytes:
    if ending == ".json":
        return (as_json(frame) + "\n").encode()
    if ending == ".parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, engine="pyarrow", index=False)
        return buffer.getvalue()
    return _text(frame, "\t" if ending == ".tsv" else ",").encode()


def _text(frame: pd.DataFrame, separator: str) -> str:
    """CSV in which a column of whole numbers reads 3 and not 3.0, as it did in the table it came from."""
    import numpy as np

    plain = frame.copy(deep=False)
    for name in plain.columns[plain.dtypes == np.float64]:
        values = plain[name].to_numpy()
        if np.all(np.isnan(values) | ((np.abs(values) < 2**53) & (values == np.round(values)))):
            plain[name] = plain[name].astype("Int64")
    return str(plain.to_csv(index=False, sep=separator, lineterminator="\n"))


def size_of(path: Path) -> str:
    """The size of a file in words."""
    size: Any = path.stat().st_size
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size} B"
        size /= 1000
    return f"{size:.3g} GB"
