"""The model as plain data that travels: what a page needs to predict any column from any others by itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.lift import Boolean, Categorical, Cyclic, Temporal
from cumulant.lift.columns import CYCLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.lift import Lift
    from cumulant.model import Model

__all__ = ["doubles", "portable", "shape"]


def portable(
    model: Model, columns: Sequence[str], seen: Mapping[str, tuple[float, float]] | None = None
) -> dict[str, Any]:
    """Mean, covariance and lifts of some columns, exact to the last bit; all others are integrated out.

    Parameters
    ----------
    model
        The model.
    columns
        Columns to keep. Those left out drop out of the covariance, so what is predicted from the rest is the same.
    seen
        Smallest and largest value of columns, where rows are at hand; they bound the ranges offered.

    Returns
    -------
    dict
        Ready for JSON. Arrays are base64 of little-endian float64; symmetric ones hold their upper triangle by rows.
    """
    part = model.marginal(columns)
    g = part.gaussian
    upper = np.triu_indices(len(g.mean))
    return {
        "columns": [_column(part, lift, (seen or {}).get(lift.name)) for lift in part.schema.lifts],
        "fields": list(part.fields),
        "mean": doubles(g.mean),
        "covariance": doubles(g.covariance[upper]),
        "low": None if g.low is None else doubles(g.low[upper]),
        "measured": None if g.measured is None else doubles(g.measured[upper]),
        **{name: float(getattr(g, name)) for name in ("count", "degrees", "mass", "fixed", "leverage")},
    }


def doubles(values: NDArray[np.float64]) -> str:
    """Base64 of little-endian float64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def shape(lift: Lift) -> str:
    """What a cell looks like: number, boolean, category, date, datetime, time or duration."""
    if isinstance(lift, Boolean):
        return "boolean"
    if isinstance(lift, Categorical):
        return "category"
    if isinstance(lift, (Temporal, Cyclic)):
        for start, name in (("date32", "date"), ("time", "time"), ("duration", "duration")):
            if lift.arrow.startswith(start) and not lift.arrow.startswith("timestamp"):
                return name
        return "datetime"
    return "number"


def _column(part: Model, lift: Lift, seen: tuple[float, float] | None) -> dict[str, Any]:
    at = part.schema.independent_of(lift.name)
    out: dict[str, Any] = {"name": lift.name, "shape": shape(lift), "at": [int(i) for i in at]}
    if isinstance(lift, Categorical):
        return out | {"levels": list(lift.all_levels)}
    if isinstance(lift, Boolean):
        return out | {"levels": ["false", "true"]}
    if isinstance(lift, Cyclic):
        out["cycles"] = [CYCLES[name] for name in lift.cycles]
    mean, sd = float(part.mean[at[0]]), float(np.sqrt(part.covariance[at[0], at[0]]))
    return out | {"range": _range(mean, sd, seen)}


def _range(mean: float, sd: float, seen: tuple[float, float] | None) -> list[float]:
    """Three standard deviations to each side, within what was seen; of a constant, some room about it."""
    if not sd > 0:
        room = abs(mean) / 10 or 1.0
        return [mean - room, mean + room]
    low, high = mean - 3 * sd, mean + 3 * sd
    return [low, high] if seen is None else [max(low, seen[0]), min(high, seen[1])]
