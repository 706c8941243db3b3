"""From a table of what is known to rows of fields as a law takes them, and from such rows back to cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import ColumnError, DataError, OptionError
from cumulant.lift import Boolean, Categorical
from cumulant.measure import lifted
from cumulant.source import open_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.lift import Schema

__all__ = ["category_places", "column_cells", "fields_of", "given_rows", "rows_of"]


def rows_of(schema: Schema, data: Any) -> NDArray[np.float64]:
    """Rows of a table (n, places): NaN where a cell is missing or the table has no such column."""
    table = open_table(data)
    if not set(table.schema.names) & set(schema.columns):
        theirs, ours = ", ".join(table.schema.names[:8]), ", ".join(schema.columns[:8])
        raise ColumnError(f"none of the columns {theirs} is in the model; it has {ours}")
    x = np.concatenate([np.zeros((0, _width(schema))), *lifted(table, schema)])
    if np.isinf(x).any():
        row, place = (int(i[0]) for i in np.nonzero(np.isinf(x)))
        name = schema.fields[schema.independent[place]]
        raise DataError(f"'{name}' is {x[row, place]} in row {row}; replace it, or leave the cell missing")
    return x


def given_rows(schema: Schema, given: Any, targets: Sequence[str]) -> NDArray[np.float64]:
    """Rows of what is given to predict some columns from: one of which nothing is known where nothing is given."""
    if isinstance(given, Mapping):
        for name in given:
            schema.position(name)
        given = {name: value for name, value in given.items() if name not in targets}
    if given is None or (isinstance(given, Mapping) and not given):
        return np.full((1, _width(schema)), np.nan)
    return rows_of(schema, given)


def column_cells(schema: Schema, name: str, x: NDArray[np.float64]) -> NDArray[Any]:
    """The cells of one column that rows hold: of a category its level, of true/false the likelier."""
    lift, values = schema.lifts[schema.position(name)], x[:, schema.places_of(name)]
    if isinstance(lift, Categorical) and lift.wide:
        return lift.cells(values[:, 0].astype(np.int64))
    if isinstance(lift, Categorical):
        return lift.inverse(np.column_stack([1 - values.sum(axis=1), values]))
    cells = lift.inverse(values)
    return cells > 0.5 if isinstance(lift, Boolean) else cells


def fields_of(schema: Schema, columns: str | Sequence[str]) -> NDArray[np.int64]:
    """The fields of some columns, none of which may be a wide category."""
    names = [columns] if isinstance(columns, str) else columns
    wide = [name for name in names if schema.position(name) in schema.wide]
    if wide:
        raise OptionError(
            f"column '{wide[0]}' is a category of many levels, which has no field in the covariance; "
            "name columns without it"
        )
    return schema.independent_of(columns)


def category_places(schema: Schema) -> list[NDArray[np.int64]]:
    """Places in a row of each column that is a category or true/false."""
    return [schema.places_of(lift.name) for lift in schema.lifts if isinstance(lift, (Categorical, Boolean))]


def _width(schema: Schema) -> int:
    """Places in a row: a number for each field, and one for each wide category."""
    return len(schema.independent) + len(schema.wide)
