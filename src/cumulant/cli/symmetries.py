"""``cumulant symmetries``: which symmetries the columns of a table have, with the evidence."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cumulant.cli import options as o

if TYPE_CHECKING:
    from cumulant.measure import Moments
    from cumulant.symmetry.detect import Symmetries

__all__ = ["EXAMPLES", "symmetries"]

EXAMPLES = (
    "cumulant symmetries twins.csv",
    "cumulant symmetries load.parquet --columns h00,h06,h12,h18 --scale correlation",
    "cumulant symmetries twins.csv --draw pictures",
    "cumulant symmetries twins.csv --json | jq '.findings[] | select(.verdict == \"holds\")'",
)


class Scale(StrEnum):
    """What must be symmetric."""

    auto = "auto"
    covariance = "covariance"
    correlation = "correlation"


def symmetries(
    table: o.TableName,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Look at these columns only; default all.", show_default=False),
    ] = None,
    scale: Annotated[
        Scale,
        typer.Option(
            help="Symmetries of the covariance, of the correlation (up to the scale of each column), or of either."
        ),
    ] = Scale.auto,
    level: Annotated[float, typer.Option(metavar="0..1", help="How sure is sure: smaller accepts less.")] = 0.05,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw each that is accepted: the covariance, what is made equal, the averages; .svg.",
            show_default=False,
        ),
    ] = None,
    missing: o.MissingCells = o.Missing.integrate,
    weights: o.Weights = None,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
    json: o.Json = False,
) -> None:
    """Find symmetries between the columns of a table.

    Candidates come from the names of the columns (left_x and right_x, h00 to h23, grids, vectors) and from the
    moments. Each is shown with its evidence and a verdict.
    """
    from cumulant.cli import terminal
    from cumulant.cli.files import make_folder
    from cumulant.measure import measure
    from cumulant.symmetry.detect import symmetries as find

    chosen = o.names(columns, "--columns")
    read = None if chosen is None else [*chosen, *([weights] if weights is not None else [])]
    opened = o.read_table(table, read, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    if draw is not None:
        make_folder(draw)
    moments = measure(opened, missing=missing.value, weights=weights)
    found = find(moments, scale=scale.value, level=level)
    drawn = [] if draw is None else _drawn(found, moments, draw)
    if json:
        terminal.say(terminal.as_json({"table": table, **found.to_dict()}))
    else:
        terminal.show(*_parts(found))
    for path in drawn:
        terminal.note(f"drawn: {path}")


def _drawn(found: Symmetries, m: Moments, folder: Path) -> list[Path]:
    from cumulant.explain.symmetry_picture import draw_symmetry
    from cumulant.storage import write_atomically

    out = []
    for number, finding in enumerate(found.accepted, 1):
        out.append(folder / f"symmetry-{number}.svg")
        write_atomically(out[-1], draw_symmetry(finding, m).encode())
    return out


def _parts(found: Symmetries) -> list[Any]:
    from rich.text import Text

    from cumulant.cli.views import plain_table

    if not found.findings:
        return [Text(str(found))]
    rows = []
    for f in found:
        e = f.evidence
        up = " up to scale" if f.scale == "correlation" else ""
        cells = (e.log_bayes_factor, e.heldout, e.p_folds if e.p_folds == e.p_folds else e.p_value, e.asymmetry)
        name = (f"{f.group}{up}", f"{e.free} → {e.parameters}")
        rows.append((f.verdict, *name, *(f"{c:.3g}" if c == c else "–" for c in cells), f.why))
    head = ("verdict", "symmetry", "parameters", "ln Bayes factor", "held out", "p", "asymmetry", "why")
    return [Text(found.summary), "", plain_table(head, rows), *(Text(f"note: {n}") for n in found.notes)]
