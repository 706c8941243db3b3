"""The gaps of a table, filled with what a model expects there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.lift import Boolean, Categorical
from cumulant.model.outputs import column_output
from cumulant.model.rows import rows_of
from cumulant.source import open_table
from cumulant.source.fill import Cells, with_cells

if TYPE_CHECKING:
    from cumulant.model.model import Model

__all__ = ["impute"]


def impute(model: Model, data: Any) -> Any:
    """See `Model.impute`."""
    table = open_table(data)
    x = rows_of(model.schema, table)
    filled = model.law.fill(x)
    found: Cells = {}
    for name in model.columns:
        at = model.schema.places_of(name)
        absent = np.asarray(np.isnan(x[:, at]).any(axis=1))
        if name not in table.schema.names or not absent.any():
            continue
        lift = model.schema.lifts[model.schema.position(name)]
        if isinstance(lift, Categorical) and lift.wide:
            found[name] = (absent, column_output(model.schema, model.law, name, x[absent]))
        elif isinstance(lift, (Categorical, Boolean)):
            p = model.law.probabilities(x[absent], at)
            found[name] = (absent, lift.inverse(p) if isinstance(lift, Categorical) else p[:, 1] > 0.5)
        else:
            found[name] = (absent, lift.inverse(filled[absent][:, at]))
    return with_cells(data, table, found)
