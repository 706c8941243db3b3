"""``cumulant report``: a model as one web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "report"]

EXAMPLES = (
    "cumulant report houses.cumulant -o report.html",
    "cumulant report houses.cumulant -o report.html --data houses.csv --title 'Houses of Delft'",
    "cumulant report houses.cumulant --data houses.csv --compare",
)


def report(
    model: o.ModelFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The page, .html.", show_default=False)
    ] = Path("report.html"),
    data: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Rows to draw residuals and calibration of.", show_default=False),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Train on --data what it stands beside: descent, or of a field networks."),
    ] = False,
    title: Annotated[str | None, typer.Option(help="Heading of the page.", show_default=False)] = None,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
) -> None:
    """Write a model as a web page that predicts.

    One file that needs no network: what was measured, how columns go together, regressions, and a live predictor.
    """
    from cumulant.cli import terminal, views
    from cumulant.cli.files import check_writable, load_model, size_of
    from cumulant.explain.report import write_report

    if compare and data is None:
        raise typer.BadParameter("--compare trains on rows: name them with --data")
    check_writable(out)
    loaded = load_model(model)
    rows = None
    if data is not None:
        rows = o.read_table(data, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    write_report(loaded, out, title=title, data=rows, compare=compare)
    terminal.show(views.listing([("saved", f"{out}, {size_of(out)}; open it in a browser")]))
