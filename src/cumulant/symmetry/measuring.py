"""The one pass under a group: rows are turned to the isotypic basis, and only what the group leaves is summed.

On a ring or a grid that is a fast Fourier transform of each row and its power spectrum: O(n p log p) for n rows of p
columns, where second moments of all pairs are O(n p²). Exchangeable columns need two sums, rotated vectors one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Schema
from cumulant.measure.accumulate import Columns
from cumulant.measure.beside import Beside
from cumulant.measure.capacity import FOLDS
from cumulant.measure.kernels import fold_of
from cumulant.measure.measure import measure
from cumulant.source import open_table
from cumulant.source.progress import track
from cumulant.symmetry.reduced import Reduced, reduce
from cumulant.symmetry.spectral import spectral

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cumulant.lift.schema import LiftSpec
    from cumulant.source import Table
    from cumulant.symmetry.declared import Declared
    from cumulant.symmetry.isotypic import Array

__all__ = ["measure_reduced"]

PILOT_ROWS = 4096
BLOCK_BYTES = 16 << 20


def measure_reduced(
    data: Any,
    symmetry: Declared,
    *,
    unfit: Mapping[str, bool],
    folds: int | None,
    missing: str,
    columns: Sequence[str] | None,
    lifts: Mapping[str, LiftSpec] | None,
    levels: int,
    rows: int | str | Sequence[int] | NDArray[np.int64] | None,
    like: Any,
    delimiter: str | None,
    progress: bool | None,
) -> Reduced:
    """Measure a table under a group; see `cumulant.measure`.

    Parameters
    ----------
    unfit
        Options that cannot be combined with a group, and whether they were given.

    Raises
    ------
    DataError
        A cell is missing or infinite; whole rows can be transformed.
    """
    for name, given in unfit.items():
        if given:
            raise OptionError(
                f"{name}= cannot be combined with symmetry=; measure without it and pass symmetry= to solve"
            )
    if like is not None and not isinstance(like, Reduced):
        raise OptionError("like= must be moments measured under the same symmetry")
    table = open_table(data, columns=columns, delimiter=delimiter)
    side = Beside.of(table, None, rows)
    names = [name for name in table.schema.names if name not in side.columns]
    plain = lifts is None and not side.columns and (like is None or list(like.schema.columns) == names)
    blocks = _blocks(table, len(names), plain=plain)
    head = [b for b in (next(blocks, None),) if b is not None]
    if like is not None:
        start = Reduced.empty(like.schema, like.declared, like.shift, like.folds)
        return _accumulated(table, start, chain(head, blocks), side, missing, progress)
    fields = table.schema.empty_table().select(names).schema
    pilot = [_batch(b, names).slice(0, PILOT_ROWS) for b in head]
    schema = Schema.fit(fields, pilot, lifts=lifts, limit=levels)
    bound = symmetry.on(tuple(schema.fields[i] for i in schema.independent))
    if spectral(bound.group) is None or symmetry.free_scale or symmetry.soft:
        # A basis that is a dense matrix saves nothing, and scales are known at the end: all pairs are measured.
        again = table if table.arrays is not None and plain else replace(table, open=lambda: chain(head, blocks))
        m = measure(again, folds=folds, missing=missing, lifts=lifts, levels=levels, rows=rows, progress=progress)
        return reduce(m, symmetry)
    x = _rows(head[0], schema)[:PILOT_ROWS] if head else np.zeros((0, len(schema.independent)))
    shift = np.where(np.isfinite(x), x, 0.0).sum(axis=0) / max(len(x), 1)
    start = Reduced.empty(schema, bound, shift, FOLDS if folds is None else folds)
    return _accumulated(table, start, chain(head, blocks), side, missing, progress)


def _accumulated(
    table: Table, start: Reduced, blocks: Iterator[Any], side: Beside, missing: str, progress: bool | None
) -> Reduced:
    out, at = start, 0
    for block in track(table, blocks, enabled=progress):
        x = _rows(block, out.schema)
        numbers = side.rows_of(block, at)
        numbers = np.arange(numbers, numbers + len(x)) if isinstance(numbers, int) else numbers
        finite = np.asarray(np.isfinite(x).all(axis=1))
        if not finite.all():
            _refuse(x, finite, at, out.columns, missing)
            x, numbers = x[finite], numbers[finite]
        out = out.add(x, fold_of(numbers, out.folds))
        at += block.num_rows
    return out


def _refuse(x: Array, finite: NDArray[np.bool_], at: int, columns: tuple[str, ...], missing: str) -> None:
    row = int(np.flatnonzero(~finite)[0])
    field = int(np.flatnonzero(~np.isfinite(x[row]))[0])
    infinite = np.isinf(x)
    if infinite.any():
        row, field = (int(i[0]) for i in np.nonzero(infinite))
        raise DataError(f"'{columns[field]}' is infinite in row {at + row}; correct the cell or leave out the row")
    if missing != "drop":
        raise DataError(
            f"'{columns[field]}' is missing in row {at + row}, and a group is measured from whole rows: "
            "missing='drop' leaves the row out, and cumulant.solve(measure(…), symmetry=) takes what is there"
        )


def _blocks(table: Table, width: int, *, plain: bool) -> Iterator[Any]:
    """Rows in parts of bounded size: slices of arrays in memory where these are the fields, else record batches."""
    step = max(1, BLOCK_BYTES // (8 * max(1, width)))
    if plain and table.arrays is not None and table.rows is not None:
        for i in range(0, table.rows, step):
            yield Columns([a[i : i + step] for a in table.arrays])
        return
    for batch in table.open():
        for i in range(0, batch.num_rows, step):
            yield batch.slice(i, step)


def _batch(block: Any, names: list[str]) -> pa.RecordBatch:
    import pyarrow as pa

    if isinstance(block, Columns):
        return pa.record_batch(dict(zip(names, map(pa.array, block.arrays), strict=True)))
    return block.select(names)


def _rows(block: Any, schema: Schema) -> Array:
    if isinstance(block, Columns):
        out = np.empty((block.num_rows, len(block.arrays)))
        for j, a in enumerate(block.arrays):
            out[:, j] = a
        return out
    return schema.forward(block)[:, schema.independent]
