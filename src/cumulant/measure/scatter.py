"""Rows added to the sums of their levels: one place of a large table a row. Compiled, or NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure.kernels import fold_of
from cumulant.measure.native import library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["add_by_level"]


def add_by_level(
    columns: Sequence[Array], shift: Array, level: Index, numbers: int | Index, weights: Array | None, sums: Array
) -> None:
    """Add w (1, x − shift) of each row to the sums of its fold and level.

    Parameters
    ----------
    columns
        The columns (n,), float64 or float32, of any stride, finite.
    shift
        Reference point, a value a column.
    level
        Level of each row (n,); rows of level -1 are passed over.
    numbers
        Number of the first row, or of each row (n,).
    weights
        Weight of each row (n,), or None.
    sums
        Folds × levels × (1 + columns), changed in place.
    """
    if sums.shape[2] != 1 + len(columns) or not sums.flags.c_contiguous:
        raise ValueError(f"sums of shape {sums.shape} for {len(columns)} columns")
    native = library()
    if native is None:
        _add_numpy(columns, shift, level, numbers, weights, sums)
        return
    address = np.array([c.__array_interface__["data"][0] for c in columns], dtype=np.int64)
    stride = np.array([c.strides[0] for c in columns], dtype=np.int64)
    single = np.array([c.dtype == np.float32 for c in columns], dtype=np.uint8)
    reference = np.ascontiguousarray(shift, dtype=np.float64)
    each = None if isinstance(numbers, int) else np.ascontiguousarray(numbers, dtype=np.int64)
    w = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    done = native.cumulant_levels(
        len(level),
        len(columns),
        address.ctypes.data,
        stride.ctypes.data,
        single.ctypes.data,
        reference.ctypes.data,
        numbers if isinstance(numbers, int) else 0,
        None if each is None else each.ctypes.data,
        None if w is None else w.ctypes.data,
        level.ctypes.data,
        sums.shape[1],
        sums.shape[0],
        sums.ctypes.data,
    )
    if done < 0:
        raise MemoryError(f"no memory for rows of {len(columns):,} columns")


def _add_numpy(
    columns: Sequence[Array], shift: Array, level: Index, numbers: int | Index, weights: Array | None, sums: Array
) -> None:
    folds, levels, _ = sums.shape
    here = np.flatnonzero(level >= 0)
    rows = here + numbers if isinstance(numbers, int) else numbers[here]
    place = fold_of(rows, folds) * levels + level[here]
    w = np.ones(len(here)) if weights is None else weights[here]
    sums[:, :, 0] += np.bincount(place, w, folds * levels).reshape(folds, levels)
    for j, (column, reference) in enumerate(zip(columns, shift, strict=True)):
        values = w * (column[here] - reference)
        sums[:, :, 1 + j] += np.bincount(place, values, folds * levels).reshape(folds, levels)
