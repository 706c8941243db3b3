"""From predictive distributions to what the user asked for, in the column's own cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.lift import Boolean, Categorical, Numeric
from cumulant.measure import refuse_if_beyond_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.lift import Lift, Schema
    from cumulant.solve.law import Density, Law

__all__ = ["column_output", "with_index"]

# Probabilities of many levels that are held at a time.
LEVEL_CELLS = 1 << 22


def column_output(
    schema: Schema,
    law: Law,
    name: str,
    x: NDArray[np.float64],
    output: str = "mean",
    level: float = 0.9,
    draws: int = 1,
    seed: int | None = None,
) -> Any:
    """What a law says of one column in rows of which the rest is known, as an output of `cumulant.Model.predict`."""
    lift, at = schema.lifts[schema.position(name)], schema.places_of(name)
    if isinstance(lift, Categorical) and lift.wide:
        return _level_output(lift, len(x), lambda rows: law.probabilities(x[rows], at), output, draws, seed)
    if isinstance(lift, (Categorical, Boolean)):
        return _class_output(lift, law.probabilities(x, at), output, draws, seed)
    if output == "mean":
        return _cells(lift, law.expect(x, at))
    return _number_output(lift, law.density(x, at, name), output, level, draws, seed)


def _cells(lift: Lift, values: NDArray[np.float64]) -> NDArray[Any]:
    """Values of a column's field, of any shape, as its cells."""
    return lift.inverse(values.reshape(-1, 1)).reshape(values.shape)


def _number_output(lift: Lift, density: Density, output: str, level: float, draws: int, seed: int | None) -> Any:
    """Interval, density, standard deviation or samples of a column of numbers, dates or times."""
    if output == "density":
        return density
    if output == "samples":
        return _cells(lift, density.sample(draws, seed))
    if output == "sd":
        if not isinstance(lift, Numeric):
            raise OptionError(f"column '{lift.name}' is not a number; ask for output='interval'")
        return density.sd
    import pandas as pd

    low, high = density.interval(level)
    return pd.DataFrame({"mean": _cells(lift, density.mean), "low": _cells(lift, low), "high": _cells(lift, high)})


def _class_output(
    lift: Categorical | Boolean, p: NDArray[np.float64], output: str, draws: int, seed: int | None
) -> Any:
    """Most probable level, probabilities (n, levels) or samples of a category."""
    if output in ("interval", "sd"):
        raise OptionError(
            f"column '{lift.name}' is a category and has no {output}; "
            "output='density' gives the probability of each level"
        )
    if output == "mean":
        return p[:, 1] if isinstance(lift, Boolean) else lift.inverse(p)
    labels = np.array([False, True]) if isinstance(lift, Boolean) else lift.cells(np.arange(p.shape[1]))
    if output == "samples":
        return labels[_draw(p, draws, np.random.default_rng(seed))]
    import pandas as pd

    return pd.DataFrame(p, columns=list(labels))


def _level_output(
    lift: Categorical,
    n: int,
    probabilities: Callable[[slice], NDArray[np.float64]],
    output: str,
    draws: int,
    seed: int | None,
) -> Any:
    """`_class_output` of a category of many levels, a few of the n rows at a time."""
    if output in ("interval", "density", "sd"):
        many = f"{n:,} rows of the probabilities of {len(lift.all_levels):,} levels"
        refuse_if_beyond_memory(2 * n * len(lift.all_levels), many, "ask for fewer rows at a time")
        return _class_output(lift, probabilities(slice(None)), output, draws, seed)
    step = max(1, LEVEL_CELLS // max(1, len(lift.all_levels)))
    rng = np.random.default_rng(seed)
    width = () if output == "mean" else (draws,)
    level = np.zeros((n, *width), dtype=np.int64)
    for start in range(0, n, step):
        p = probabilities(slice(start, start + step))
        if output == "mean":
            level[start : start + step] = np.argmax(p, axis=1)
            continue
        for row, edges in enumerate(np.cumsum(p, axis=1), start):
            level[row] = np.minimum(np.searchsorted(edges, rng.random(draws)), p.shape[1] - 1)
    return lift.cells(level)


def with_index(value: Any, index: Any) -> Any:
    """A frame with the row labels of the table it answers."""
    if index is not None and hasattr(value, "set_axis"):
        return value.set_axis(index, axis=0)
    return value


def _draw(p: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    edges = np.cumsum(p, axis=1)[:, None, :]
    return np.asarray(np.minimum((rng.random((len(p), draws, 1)) > edges).sum(axis=2), p.shape[1] - 1))
