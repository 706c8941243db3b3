"""``cumulant compare``: what the one pass costs, and what descent costs on the same rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = (
    "cumulant compare houses.csv --target price",
    "cumulant compare houses.csv --target price --plot surface.svg",
    "cumulant compare houses.csv --target price --networks",
    "cumulant compare houses.csv --target price --json > ledger.json",
)
PICTURES = (".svg", ".png", ".pdf")


def compare(
    table: o.TableName,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.", show_default=False)],
    tolerance: Annotated[
        float, typer.Option(help="Descent stops when its loss is this near the optimum, as a fraction of it.")
    ] = 0.01,
    max_passes: Annotated[float, typer.Option(min=1, help="Cap on descent's passes over the rows.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of descent's random start and shuffling.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the loss surface with descent's path: .svg, .png or .pdf.", show_default=False
        ),
    ] = None,
    networks: Annotated[
        bool,
        typer.Option("--networks", help="Set cm.Field() beside a network and an ensemble trained by Adam instead."),
    ] = False,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
    json: o.Json = False,
) -> None:
    """Set one pass beside gradient descent, on the same rows.

    One linear model, trained in one pass, by gradient descent, mini-batch SGD, Adam and L-BFGS: what each costs, how
    near it comes, and what it leaves you with. With --networks, a field on function space, a network and an ensemble of
    five, on nine tenths of the rows, judged on the rest.
    """
    from cumulant.cli import terminal
    from cumulant.cli.files import check_writable
    from cumulant.explain.ledger import compare as compare_methods
    from cumulant.storage import write_atomically
    from cumulant.theory import Field

    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"--plot {plot}: the name must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
    check_writable(plot)
    opened = o.read_table(table, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    if networks and plot is not None:
        raise typer.BadParameter("--plot draws the loss of a line; leave it out, or --networks")
    theory = Field() if networks else None
    ledger = compare_methods(opened, target, tolerance=tolerance, max_passes=max_passes, seed=seed, theory=theory)
    if plot is not None:
        picture = io.BytesIO()
        ledger.plot(picture, file_format=plot.suffix[1:].lower())
        write_atomically(plot, picture.getvalue())
    terminal.say(terminal.as_json(ledger.to_dict()) if json else str(ledger))
