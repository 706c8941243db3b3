"""``cumulant diagrams``: what a prediction is the sum of, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "diagrams"]

EXAMPLES = (
    "cumulant diagrams houses.cumulant --target price",
    "cumulant diagrams houses.cumulant --target price --given rooms=4,town=Delft -o price.svg",
    "cumulant diagrams houses.cumulant --target price -o price.png --dark",
    "cumulant diagrams houses.cumulant --target price --json",
)


def diagrams(
    model: o.ModelFile,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column; default the one named when fitting.", show_default=False),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A=1,B=x,…",
            help="What is known of one row: then each diagram has the size it adds to the prediction.",
            show_default=False,
        ),
    ] = None,
    shown: Annotated[int, typer.Option(min=1, help="How many diagrams to draw, the largest first.")] = 12,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output-file", metavar="FILE.svg", help="Draw them, as .svg or .png.", show_default=False),
    ] = None,
    dark: Annotated[
        bool, typer.Option("--dark", help="Of a .png: light lines on dark ground; .svg follows the page it is on.")
    ] = False,
    json: o.Json = False,
) -> None:
    """Show a prediction as a sum of Feynman diagrams.

    A line is the propagator from a column to the target; a vertex is where several columns meet it. Without --given,
    sizes are standard deviations over rows.
    """
    from cumulant.cli import terminal
    from cumulant.cli.files import load_model
    from cumulant.cli.predict import known_cells

    if out is not None and out.suffix.lower() not in (".svg", ".png"):
        raise typer.BadParameter(f"-o {out}: diagrams are drawn as .svg or .png")
    loaded = load_model(model)
    name = target if target is not None else loaded.target
    if name is None:
        raise typer.BadParameter(f"say which column with --target; {model} has {', '.join(loaded.columns)}")
    known = None
    if given is not None:
        known = {column: cells[0] for column, cells in known_cells(loaded, o.assignments(given, "--given")).items()}
    found = loaded.diagrams(name, known, shown=shown)
    if out is not None:
        found.save(out, theme="dark" if dark else "light")
    if json:
        parts = zip(found.terms, found.inside, found.sizes, strict=True)
        terms = [{"fields": list(names), "inside": list(inner), "size": size} for names, inner, size in parts]
        answer = {"target": name, "constant": found.constant, "diagrams": terms}
        terminal.say(terminal.as_json({**answer, "prediction": found.prediction} if found.of_a_row else answer))
        return
    terminal.say(str(found))
