"""``cumulant forget``: the model as if some of its rows had never been measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "forget"]

EXAMPLES = (
    "cumulant forget houses.cumulant withdrawn.csv -o houses.cumulant",
    "cumulant forget houses.cumulant withdrawn.csv -o houses.cumulant --rows row_number",
    "cumulant forget houses.cumulant tail.csv -o houses.cumulant --rows 5000",
)


def forget(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A model (or moments) with those rows in it.", show_default=False),
    ],
    table: Annotated[str, typer.Argument(metavar="ROWS", help="A table of the rows to forget.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where to save the result; may be MODEL.", show_default=False),
    ],
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|START",
            help="Their original row numbers, counted from 0: the column that holds them, or the number of the first. "
            "With these the folds stay exact too.",
            show_default=False,
        ),
    ] = None,
    missing: o.MissingCells = o.Missing.integrate,
    weights: o.Weights = None,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
) -> None:
    """Take rows out of a model, as if never measured.

    Exact, and only the rows to forget are read. Give them as they were measured: with the same --missing and
    --weights.
    """
    from cumulant.cli import terminal, views
    from cumulant.cli.files import check_writable, load_one, size_of
    from cumulant.errors import IncompatibleError
    from cumulant.measure import Moments, measure

    check_writable(out)
    thing = load_one(model)
    opened = o.read_table(table, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    m = thing if isinstance(thing, Moments) else thing.moments
    settings: dict[str, Any] = {"rows": o.row_numbers(rows), "missing": missing.value, "weights": weights}
    if m is None:
        raise IncompatibleError(f"{model} was saved without its moments and cannot forget; fit it again and keep them")
    settings |= {"weight_kind": m.weighting} if m.weighting != "none" else {}
    gone = measure(opened, like=m, **settings)
    result = thing - gone if isinstance(thing, Moments) else thing.forget(gone)
    result.save(out)
    for note in getattr(result, "notes", ()):
        terminal.note(note)
    terminal.show(views.listing([*views.outline(result, notes=False), ("saved", f"{out}, {size_of(out)}")]))
