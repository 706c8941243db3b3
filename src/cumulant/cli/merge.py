"""``cumulant merge``: the model of the rows of several tables, from the models of each."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["EXAMPLES", "merge"]

EXAMPLES = (
    "cumulant merge january.cumulant february.cumulant -o winter.cumulant",
    "cumulant merge shops/*.cumulant -o all.cumulant",
)


def merge(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="A B…", help="Models (or moments), with the same columns.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where to save the result.", show_default=False)
    ],
) -> None:
    """Join models into the model of all their rows.

    Exact, and no table is read again: moments are sums over rows.
    """
    from cumulant.cli import terminal, views
    from cumulant.cli.files import check_writable, load_one, size_of
    from cumulant.errors import IncompatibleError
    from cumulant.measure import Moments

    if len(files) < 2:
        raise typer.BadParameter("merging takes at least two files")
    check_writable(out)
    things: list[Any] = [load_one(path) for path in files]
    kinds = [isinstance(thing, Moments) for thing in things]
    if any(kinds) and not all(kinds):
        raise IncompatibleError(
            f"{files[kinds.index(True)]} holds moments and {files[kinds.index(False)]} a model; give files of one kind"
        )
    result = reduce(Moments.__add__ if all(kinds) else lambda a, b: a.merge(b), things)
    result.save(out)
    for note in getattr(result, "notes", ()):
        terminal.note(note)
    terminal.show(views.listing([*views.outline(result, notes=False), ("saved", f"{out}, {size_of(out)}")]))
