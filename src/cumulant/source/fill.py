"""Give a table back with some of its cells replaced, as the kind of table it came as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.source.table import Table

__all__ = ["Cells", "with_cells"]

Cells = dict[str, tuple["NDArray[np.bool_]", "NDArray[Any]"]]


def with_cells(data: Any, table: Table, cells: Cells) -> Any:
    """``data`` with, for each column, the values (m,) in the rows of a mask (n,).

    pandas, polars and Arrow tables come back as such; anything else as a pandas frame. A column of whole numbers
    that receives fractions becomes float.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(data, pd.DataFrame):
        out = data.copy()
        for name, (mask, values) in cells.items():
            out[name] = _filled(out[name], mask, values)
        return out
    arrow = pa.Table.from_batches(table.open(), schema=table.schema)
    for name, (mask, values) in cells.items():
        filled = pa.Array.from_pandas(_filled(arrow.column(name).to_pandas(), mask, values))
        arrow = arrow.set_column(arrow.schema.get_field_index(name), name, filled)
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return arrow
    if type(data).__module__.startswith("polars"):
        import polars as pl

        return pl.from_arrow(arrow)
    return arrow.to_pandas()


def _filled(column: Any, mask: NDArray[np.bool_], values: NDArray[Any]) -> Any:
    import pandas as pd

    column = column.copy()
    if pd.api.types.is_integer_dtype(column.dtype):
        column = column.astype("float64")
    if pd.api.types.is_bool_dtype(column.dtype) or (column.dtype == object and values.dtype == bool):
        column = column.astype(object)
    column.loc[mask] = values
    return column.infer_objects()
