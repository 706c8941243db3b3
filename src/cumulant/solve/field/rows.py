"""The rows that a field is conditioned on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.gaussian import GaussianLaw

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["usable", "varying"]


def varying(table: Array, targets: Index) -> Index:
    """The fields that differ between rows, but for the targets."""
    spread = table.std(axis=0)
    moves = spread > 1e-12 * np.abs(table).max(axis=0, initial=0.0)
    moves[targets] = False
    return np.flatnonzero(moves)


def usable(law: GaussianLaw, rows: Array, targets: Index, most: int) -> tuple[Array, list[str]]:
    """At most so many rows whose target is known, gaps at their mean given the other inputs.

    Raises
    ------
    DataError
        The target is not known in any row.
    """
    notes = []
    table = rows[~np.isnan(rows[:, targets]).any(axis=1)]
    if not len(table):
        raise DataError(
            f"the target is missing in all {len(rows):,} rows, or where there are several not one row has them all; "
            "name a target= that rows know"
        )
    if len(table) > most:
        notes.append(f"conditioned on {most:,} of {len(table):,} rows, evenly spread")
        table = table[np.linspace(0, len(table) - 1, most).astype(np.int64)]
    gaps = np.isnan(table).any(axis=1)
    if gaps.any():
        bare = table[gaps]
        known = bare[:, targets].copy()
        bare[:, targets] = np.nan
        bare = law.fill(bare)
        bare[:, targets] = known
        table = table.copy()
        table[gaps] = bare
        notes.append(f"inputs not known in {int(gaps.sum()):,} rows stand at their mean given the others")
    return table, notes
