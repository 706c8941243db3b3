"""``cumulant update``: the model of its rows and of more that have come, without the old table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "update"]

EXAMPLES = (
    "cumulant update sales.cumulant today.csv -o sales.cumulant",
    "cumulant update sales.cumulant today.csv -o sales.cumulant --rows sale_number",
    "zcat today.csv.gz | cumulant update sales.cumulant - -o sales.cumulant",
)


def update(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model (or moments) of the rows so far.", show_default=False)
    ],
    table: Annotated[str, typer.Argument(metavar="ROWS", help="A table of the rows to add.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where to save the result; may be MODEL.", show_default=False),
    ],
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN|START",
            help="Their row numbers: the column that holds them, or the number of the first. Default: on from the "
            "rows that MODEL has. They decide the folds.",
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
    """Add rows to a model, as if they had been in its table.

    Exact, and only the new rows are read. Columns, lifts, folds, theory, target and prior are the model's own; new
    levels of a category are welcome, and columns that the model does not have are left out.
    """
    from cumulant.cli import terminal, views
    from cumulant.cli.files import check_writable, load_one, size_of
    from cumulant.errors import IncompatibleError
    from cumulant.measure import Moments

    check_writable(out)
    thing = load_one(model)
    m = thing if isinstance(thing, Moments) else thing.moments
    if m is None:
        raise IncompatibleError(f"{model} was saved without its moments and cannot be updated; fit it again with them")
    opened = o.read_table(table, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    first = o.row_numbers(rows)
    settings: dict[str, Any] = {"missing": missing.value, "weights": weights}
    settings |= {} if first is None else {"rows": first}
    settings |= {"weight_kind": m.weighting} if m.weighting != "none" else {}
    before = int(m.rows.sum())
    result = thing.update(opened, **settings)
    result.save(out)
    for note in getattr(result, "notes", ()):
        terminal.note(note)
    # A model that could be updated keeps its moments.
    total: Any = result if isinstance(result, Moments) else result.moments
    added = views.counted(int(total.rows.sum()) - before, "row")
    numbered = f"by {first}" if isinstance(first, str) else f"from {before if first is None else first}"
    lines = [("added", f"{added}, numbered {numbered}"), *views.outline(result, notes=False)]
    terminal.show(views.listing([*lines, ("saved", f"{out}, {size_of(out)}")]))
