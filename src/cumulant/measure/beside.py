"""What comes beside the fields of a table: the weights and the numbers of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.lift.schema import unknown_column

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cumulant.source import Table

__all__ = ["Beside"]


@dataclass
class Beside:
    """Weights and row numbers: columns of the table, one value a row, or the number of the first row."""

    weights: str | NDArray[np.float64] | None
    rows: str | NDArray[np.int64] | int

    @staticmethod
    def of(table: Table, weights: Any, rows: Any) -> Beside:
        """Those that ``weights`` and ``rows``, as `cumulant.measure` takes them, mean for a table."""
        for name in (weights, rows):
            if isinstance(name, str) and name not in table.schema.names:
                raise unknown_column(name, table.schema.names)
        if weights is not None and not isinstance(weights, str):
            weights = np.asarray(weights, dtype=np.float64)
        if rows is None:
            rows = 0 if table.row_numbers is None else table.row_numbers
        if not isinstance(rows, (str, int)):
            rows = np.asarray(rows, dtype=np.int64)
        for what, value in (("weights", weights), ("rows", rows)):
            if isinstance(value, np.ndarray) and table.rows is not None and value.shape != (table.rows,):
                raise OptionError(
                    f"{what}= has shape {value.shape}, the table has {table.rows:,} rows; give one value a row"
                )
        return Beside(weights, rows)

    @property
    def columns(self) -> set[str]:
        """Columns of the table that are no fields therefore."""
        return {name for name in (self.weights, self.rows) if isinstance(name, str)}

    def weights_of(self, batch: Any, start: int) -> NDArray[np.float64] | None:
        """Weights (n,) of a batch that begins at row ``start`` of the table."""
        if self.weights is None:
            return None
        if isinstance(self.weights, str):
            values = _plain_column(batch, self.weights)
        else:
            values = _slice(self.weights, start, batch, "weights")
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            raise DataError(f"the weight in row {start + at} is {values[at]}; weights must be finite and not negative")
        return values

    def rows_of(self, batch: Any, start: int) -> int | NDArray[np.int64]:
        """Number of the first row of such a batch, or of each (n,)."""
        if isinstance(self.rows, int):
            return self.rows + start
        if isinstance(self.rows, str):
            return _plain_column(batch, self.rows).astype(np.int64)
        return _slice(self.rows, start, batch, "rows")


def _plain_column(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    out = np.empty((batch.num_rows, 1))
    Numeric(name).forward(batch.column(name), out)
    return out[:, 0]


def _slice(values: NDArray[Any], start: int, batch: Any, what: str) -> NDArray[Any]:
    if len(values) < start + batch.num_rows:
        raise OptionError(f"{what}= has {len(values):,} values, the table has more rows; give one value a row")
    return values[start : start + batch.num_rows]
