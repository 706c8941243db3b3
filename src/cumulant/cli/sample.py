"""``cumulant sample``: random rows of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "sample"]

EXAMPLES = (
    "cumulant sample houses.cumulant -n 1000 -o synthetic.parquet",
    "cumulant sample houses.cumulant -n 5 --seed 0 --given town=Delft",
)


def sample(
    model: o.ModelFile,
    n: Annotated[int, typer.Option("-n", "--rows", min=0, help="How many rows.")] = 10,
    given: Annotated[
        list[str] | None,
        typer.Option(metavar="A=1,B=x,…", help="Hold some columns at these values.", show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, to get the same rows again.", show_default=False)] = None,
    out: o.ResultFile = None,
    json: o.Json = False,
) -> None:
    """Draw random rows, like those that a model was fitted to."""
    from cumulant.cli.files import deliver, ending_of, load_model
    from cumulant.cli.predict import known_cells

    ending_of(out)
    whole = load_model(model)
    known = {name: cells[0] for name, cells in known_cells(whole, o.assignments(given or (), "--given")).items()}
    rows = (whole.condition(known) if known else whole).sample(n, seed=seed)
    for name, value in known.items():
        rows[name] = value
    deliver(rows[list(whole.columns)], out, json=json)
