"""Rows to look at: a bounded, evenly spread part of a table, and the range of every column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import ColumnError
from cumulant.measure import lifted
from cumulant.source import open_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]

__all__ = ["Rows", "look"]

MOST_ROWS = 20_000
MOST_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a table, lifted, and what all of its rows say together.

    Parameters
    ----------
    x
        Fields, then levels of wide categories (n, p + c), NaN where a cell is missing.
    numbers
        Row numbers (n,).
    total
        Rows in the table.
    seen
        Smallest and largest value of each field's present cells (2, p); NaN where there are none.
    fitted
        Whether these are the rows that the model was fitted to, in the same order.
    """

    x: Array
    numbers: NDArray[np.int64]
    total: int
    seen: Array
    fitted: bool


def look(model: Model, data: Any) -> Rows:
    """Pass over a table once, keeping every k-th row, k as small as the bounds on rows and cells allow.

    Raises
    ------
    SourceError, ColumnError, DataError
        The table cannot be read or does not fit the model.
    """
    table = open_table(data)
    if not set(table.schema.names) & set(model.columns):
        theirs, ours = ", ".join(table.schema.names[:8]), ", ".join(model.columns[:8])
        raise ColumnError(f"none of the columns {theirs} is in the model; it has {ours}")
    p, width = len(model.fields), len(model.fields) + len(model.schema.wide)
    most = max(1, min(MOST_ROWS, MOST_CELLS // max(width, 1)))
    kept: list[Array] = []
    stride, total, held = 1, 0, 0
    low, high = np.full(p, np.inf), np.full(p, -np.inf)
    sums, present = np.zeros(p), np.zeros(p)
    for block in lifted(table, model.schema):
        fields = block[:, :p]
        here = ~np.isnan(fields)
        present += here.sum(axis=0)
        sums += np.where(here, fields - model.mean, 0.0).sum(axis=0)
        low = np.minimum(low, np.where(here, fields, np.inf).min(axis=0, initial=np.inf))
        high = np.maximum(high, np.where(here, fields, -np.inf).max(axis=0, initial=-np.inf))
        kept.append(block[-total % stride :: stride])
        total += len(block)
        held += len(kept[-1])
        while held > most:
            stride *= 2
            kept = [np.concatenate(kept)[::2]]
            held = len(kept[0])
    numbers = np.arange(0, total, stride)
    if table.row_numbers is not None:
        numbers = np.asarray(table.row_numbers, dtype=np.int64)[numbers]
    seen = np.where(np.isfinite([low, high]), [low, high], np.nan)
    x = np.concatenate([np.zeros((0, width)), *kept])
    return Rows(x, numbers, total, seen, _are_those_fitted(model, total, present, sums))


def _are_those_fitted(model: Model, total: int, present: Array, sums: Array) -> bool:
    """Whether a table has as many rows as were measured, with as many cells and the same mean in each field."""
    m = model.moments
    if m is None or m.weighting != "none" or total != int(m.rows.sum()):
        return False
    if not np.array_equal(present, np.round(np.diag(m.total.pairs))):
        return False
    offset = np.abs(sums / np.maximum(present, 1.0))
    return bool((offset <= 1e-9 * np.sqrt(np.diag(m.total.covariance)) + 1e-12 * np.abs(model.mean)).all())
