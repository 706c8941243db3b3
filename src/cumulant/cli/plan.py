"""What a fit would cost, told from the first rows of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from cumulant.lift import Schema
    from cumulant.source import Table

__all__ = ["Plan", "plan", "refuse_if_too_large", "show_plan"]

LINE_SAMPLE = 4 << 20


@dataclass(frozen=True)
class Plan:
    """A fit, before it is made.

    Parameters
    ----------
    table
        Its name.
    rows
        Rows of the table, or None where they cannot be told without reading it.
    rows_are
        ``"known"``, ``"estimated"`` (size over mean length of a line) or ``"unknown"``.
    columns, fields
        Columns read, and independent fields p that they become.
    missing
        Columns with missing cells k; each adds a presence field to the sums.
    sums
        Order q = 1 + k + p (reference levels included) of the matrix Σ z zᵀ.
    folds
        Sets of sums.
    arithmetic
        ``"double"`` or ``"compensated"``.
    flops
        n·q·(q + 1) for the pass (some ten times that in compensated arithmetic), p³/3 to solve; None if n is unknown.
    bytes_read
        Size of the table, where known.
    bytes_memory
        Of the sums of all folds (triangles), and of a covariance and its factor.
    solver, prior
        What would be chosen, and why.
    """

    table: str
    rows: int | None
    rows_are: str
    columns: int
    fields: int
    missing: int
    sums: int
    folds: int
    arithmetic: str
    flops: float | None
    bytes_read: int | None
    bytes_memory: int
    solver: str
    prior: str


def plan(
    table: Table,
    name: str,
    *,
    prior: str | float | None,
    target: str | None,
    weights: str | None,
    lifts: Mapping[str, Any] | None,
    levels: int,
    folds: int | None,
    precision: str,
    **_: Any,
) -> Plan:
    """Read the first rows of a table, and say what fitting it would take.

    Raises
    ------
    ColumnError, DataError, OptionError
        As the fit itself would, as far as the first rows and the names of columns tell.
    """
    from cumulant.lift import Schema
    from cumulant.lift.schema import unknown_column
    from cumulant.measure.capacity import affordable_folds

    if weights is not None and weights not in table.schema.names:
        raise unknown_column(weights, table.schema.names)
    kept = [column for column in table.schema.names if column != weights]
    rows, rows_are = _rows(table, name)
    pilot = [batch.select(kept) for batch in _pilot(table)]
    schema = Schema.fit(table.select(kept).schema, pilot, lifts=lifts, limit=levels)
    if target is not None:
        schema.position(target)
    gaps = sum(any(_has_gap(batch.column(i)) for batch in pilot) for i in range(len(kept)))
    p, q = len(schema.independent), 1 + gaps + len(schema.fields)
    folds = affordable_folds(q - 1) if folds is None else folds
    by_level = sum(len(lift.all_levels) for lift in schema.wide_lifts())
    exact = precision == "compensated" or (precision == "auto" and _ill_conditioned(schema, pilot))
    return Plan(
        table=table.name,
        rows=rows,
        rows_are=rows_are,
        columns=len(kept),
        fields=p,
        missing=gaps,
        sums=q,
        folds=folds,
        arithmetic="compensated" if exact else "double",
        flops=None if rows is None else float(rows) * q * (q + 1) + p**3 / 3,
        bytes_read=table.size,
        bytes_memory=8 * (folds * q * (q + 1) // 2 + 2 * q * q) * (2 if exact else 1) + 8 * folds * q * by_level,
        solver="exact: mean and propagator are read off the moments, nothing is minimised",
        prior=_prior(prior, rows, p, gaps),
    )


def show_plan(made: Plan, *, json: bool = False) -> None:
    """Print a plan, as lines or as JSON."""
    from cumulant.cli import terminal, views
    from cumulant.explain.cost import quantity

    if json:
        terminal.say(terminal.as_json(asdict(made)))
        return
    about = {"known": "", "estimated": "about ", "unknown": ""}[made.rows_are]
    rows = "unknown until it is read" if made.rows is None else f"{about}{made.rows:,}"
    gaps = f", {made.missing} columns with missing cells" if made.missing else ""
    size = "" if made.bytes_read is None else f", {quantity(made.bytes_read, 'B')} to read"
    passes = f"n·q·(q + 1), q = {made.sums:,}"
    flops = passes if made.flops is None else f"{quantity(made.flops)} ({passes})"
    terminal.show(
        views.listing(
            [
                ("table", f"{made.table}{size}"),
                ("rows", rows),
                ("fields", f"{made.fields:,} from {made.columns:,} columns{gaps}"),
                ("flops", flops + (", times about ten: compensated" if made.arithmetic == "compensated" else "")),
                ("memory", f"{quantity(made.bytes_memory, 'B')} for the moments of all folds"),
                ("solver", made.solver),
                ("prior", made.prior),
            ]
        )
    )


def refuse_if_too_large(made: Plan) -> None:
    """Refuse what the fit itself would refuse for lack of memory."""
    from cumulant.measure.capacity import refuse_if_too_large

    refuse_if_too_large(made.sums - 1 - made.missing, made.folds)


def _pilot(table: Table) -> list[pa.RecordBatch]:
    from cumulant.source.table import head_rows

    held: list[pa.RecordBatch] = []
    most, rows = head_rows(len(table.schema)), 0
    for batch in table.open():
        held.append(batch.slice(0, most - rows))
        rows += len(held[-1])
        if rows >= most:
            break
    return held


def _has_gap(cells: pa.Array) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    return bool(cells.null_count or (pa.types.is_floating(cells.type) and pc.any(pc.is_nan(cells)).as_py()))


def _ill_conditioned(schema: Schema, pilot: list[pa.RecordBatch]) -> bool:
    from cumulant.measure.conditioning import needs_compensation

    # The question is not asked of very wide tables, so their rows need not be lifted either.
    if not pilot or len(schema.independent) > 400:
        return False
    x = np.concatenate([schema.forward(batch) for batch in pilot])
    x[~np.isfinite(x)] = np.nan
    return needs_compensation(x[:, schema.independent])


def _rows(table: Table, name: str) -> tuple[int | None, str]:
    if table.rows is not None:
        return table.rows, "known"
    path = Path(name)
    try:
        with path.open("rb") as file:
            head = file.read(LINE_SAMPLE)
    except OSError:  # a query, a stream or a folder
        return None, "unknown"
    from cumulant.source.bytestream import compression

    lines = head.count(b"\n")
    if compression(head[:8]) or not lines or table.size is None:
        return None, "unknown"
    return max(round(table.size / len(head) * lines) - 1, 0), "estimated"


def _prior(prior: str | float | None, rows: int | None, fields: int, gaps: int) -> str:
    from cumulant.solve.prior import ROWS_PER_FIELD

    if prior != "auto":
        words = {"None": "none", "evidence": "by the evidence ln Z", "folds": "by held-out folds"}
        return words.get(str(prior), f"mass {prior}") + ", as asked"
    enough = ROWS_PER_FIELD * fields
    unless = "; by the evidence where gaps leave the correlations contradicting each other" if gaps else ""
    if rows is None:
        return f"none from {enough:,} rows on, else by the evidence ln Z{unless}"
    if rows >= enough:
        return f"none: {rows:,} rows are plenty for {fields:,} fields{unless}"
    return f"by the evidence ln Z: {rows:,} rows are few for {fields:,} fields{unless}"
