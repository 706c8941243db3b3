"""``cumulant inspect``: what a model or moments file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "inspect"]

EXAMPLES = (
    "cumulant inspect houses.cumulant",
    "cumulant inspect houses.cumulant --target price --errors jackknife",
    "cumulant inspect houses.cumulant --json | jq .columns",
)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model or moments file.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Show this column regressed on all others; default the one named when fitting.",
            show_default=False,
        ),
    ] = None,
    errors: Annotated[
        o.Errors, typer.Option(help="Standard errors: classical, or over the folds, whatever the variance does.")
    ] = o.Errors.classical,
    level: Annotated[float, typer.Option(metavar="0..1", help="Coverage of the intervals.")] = 0.95,
    json: o.Json = False,
) -> None:
    """Show what a model holds, and the regression of a column."""
    from cumulant.cli import terminal, views
    from cumulant.cli.files import load_one, size_of
    from cumulant.model import Model

    thing = load_one(file)
    summary = None
    if isinstance(thing, Model) and (target or views.has_number(thing, thing.target)):
        summary = thing.summary(target, level=level, errors=errors.value)
    elif target is not None and not isinstance(thing, Model):
        raise typer.BadParameter(f"--target: {file} holds moments; only a model has a regression")
    if json:
        found: dict[str, Any] = {"file": str(file), "bytes": file.stat().st_size, **views.describe(thing)}
        terminal.say(terminal.as_json({**found, "summary": None if summary is None else summary.to_dict()}))
        return
    parts: list[Any] = [views.listing([("file", f"{file}, {size_of(file)}"), *views.outline(thing)]), ""]
    parts.append(views.column_table(thing))
    if summary is not None:
        parts += ["", *views.summary_parts(summary)]
    terminal.show(*parts)
