"""Where pages are: those of the package, and those that a user has added, in a folder of their own."""

from __future__ import annotations

import json
import os
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from cumulant.errors import CumulantWarning, DataError, FileFormatError, OptionError
from cumulant.notebook.page import FORMAT, Page, Record, digest_of, read_page
from cumulant.notebook.verify import verify

__all__ = ["FOLDER_VARIABLE", "add", "built_in", "page", "pages", "record", "search", "user_folder", "write_record"]

FOLDER_VARIABLE = "CUMULANT_NOTEBOOK"
BUILT_IN = Path(__file__).parent / "pages"


def user_folder() -> Path:
    """The folder of the user's own pages: ``CUMULANT_NOTEBOOK``, or where the system keeps data of programs."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "cumulant" / "notebook"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "cumulant" / "notebook"
    return Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / "cumulant" / "notebook"


def pages() -> tuple[Page, ...]:
    """All pages, those of the package first, each verified before it was written.

    A page of the user's folder that is damaged, or was changed after it was verified, is left out with a warning.

    Examples
    --------
    >>> import cumulant as cm
    >>> "phi4" in [page.name for page in cm.notebook.pages()]
    True
    """
    own = user_folder()
    names = sorted(own.glob("*.toml")) if own.is_dir() else []
    found = []
    for path in names:
        try:
            found.append(_trusted(path, path.stat().st_mtime_ns))
        except FileFormatError as error:
            warnings.warn(f"left out of the notebook: {error}", CumulantWarning, stacklevel=2)
    return built_in() + tuple(found)


def page(name: str) -> Page:
    """The page of that name.

    Raises
    ------
    OptionError
        There is none.
    FileFormatError
        It is in the user's folder, and was changed after it was verified.
    """
    if name in _built_in_by_name():
        return _built_in_by_name()[name]
    own = user_folder() / f"{name}.toml"
    if own.is_file():
        return _trusted(own, own.stat().st_mtime_ns)
    import difflib

    known = [one.name for one in pages()]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else "cumulant notebook list shows all"
    raise OptionError(f"the notebook has no page '{name}'; {hint}")


def search(text: str) -> tuple[Page, ...]:
    """Pages that say all of some words anywhere: in their title, names, physics, machine learning or derivation.

    Examples
    --------
    >>> import cumulant as cm
    >>> [page.name for page in cm.notebook.search("double well")]
    ['phi4']
    """
    words = text.casefold().split()
    return tuple(one for one in pages() if all(word in _words_of(one) for word in words))


def add(path: str | Path, *, replace: bool = False) -> Page:
    """Verify a page and keep it in the user's folder, where `lookup` finds it ever after.

    Parameters
    ----------
    path
        A TOML file; ``docs/extending.md`` says what is in it.
    replace
        Whether a page of the same name may be replaced.

    Raises
    ------
    FileFormatError
        It is no page.
    DataError
        An oracle contradicts its formulas: nothing is written.
    OptionError
        The name is taken.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file; give the TOML file of a page")
    candidate = read_page(path)
    target = user_folder() / f"{candidate.name}.toml"
    if any(candidate.name == one.name for one in built_in()):
        raise OptionError(f"the package has a page '{candidate.name}'; give yours another name")
    if target.exists() and not replace:
        raise OptionError(f"there is a page '{candidate.name}' in {target.parent}; replace it with replace=True")
    records = verify(candidate)
    _require(candidate.name, records)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    generated = path.with_suffix(".json")
    tables = json.loads(generated.read_text(encoding="utf-8")).get("tables", {}) if generated.exists() else {}
    write_record(target, record(candidate.name, text, tables, records))
    _write_text(target, text)
    return read_page(target)


def record(name: str, text: str, tables: dict[str, Any], records: tuple[Record, ...]) -> dict[str, Any]:
    """What is written beside a page when it has been verified."""
    verified = [
        {"oracle": r.oracle, "points": r.points, "error": float(f"{r.error:.2g}"), "tolerance": r.tolerance}
        for r in records
    ]
    return {
        "format": FORMAT,
        "page": name,
        "digest": digest_of(text, tables),
        "verified": verified,
        "tables": tables,
    }


def _require(name: str, records: tuple[Record, ...]) -> None:
    for one in records:
        if not one.passed:
            raise DataError(
                f"page '{name}' is wrong: {one.oracle} at {one.points} points finds an error of {one.error:.2g}, more "
                f"than {one.tolerance:g}; check its formulas against F, and that its points lie in its domain"
            )


def write_record(path: Path, data: dict[str, Any]) -> None:
    """Write what was generated for the page at ``path`` beside it."""
    _write_text(path.with_suffix(".json"), json.dumps(data, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@cache
def built_in() -> tuple[Page, ...]:
    """The pages of the package."""
    return tuple(_trusted(path, 0) for path in sorted(BUILT_IN.glob("*.toml"), key=lambda path: path.stem))


@cache
def _built_in_by_name() -> dict[str, Page]:
    return {one.name: one for one in built_in()}


@cache
def _trusted(path: Path, changed: int) -> Page:  # noqa: ARG001 - a changed file is read again
    found = read_page(path)
    if not found.verified:
        raise FileFormatError(
            f"{path} was changed after it was verified, or never was; verify it again: cumulant notebook add --replace "
            f"{path}"
        )
    return found


@cache
def _words_of(one: Page) -> str:
    parts = [one.name, one.title, one.summary, one.latex, one.solves.theory, one.solves.symmetry]
    return " ".join([*parts, *_strings(one.text)]).casefold()


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for v in value.values() for s in _strings(v)]
    if isinstance(value, (list, tuple)):
        return [s for v in value for s in _strings(v)]
    return [str(value)]
