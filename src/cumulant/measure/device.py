"""Moments of an array on a GPU, or any other device, through the array API standard: rows stay, sums travel.

The rows z = (1, presence, x − shift) of a block are made on the device, gathered by fold and multiplied there. What
leaves it are the first rows, which decide the schema and the reference point, the sums, and of blocks with gaps one
byte a cell. Row numbers are hashed here, since not every library has 64-bit unsigned integers, and go there as places.

References
----------
Consortium for Python Data API Standards, Array API standard, https://data-apis.org/array-api.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.errors import CumulantWarning, DataError, OptionError
from cumulant.lift import Boolean, Numeric
from cumulant.measure import limbs
from cumulant.measure.accumulate import refuse_overflow
from cumulant.measure.kernels import fold_of
from cumulant.source.arrays import compat, fetched, is_remote
from cumulant.source.table import head_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cumulant.measure.moments import Moments

    Array = NDArray[np.float64]

__all__ = ["measure_device"]

# Of a block as float64, at most.
BLOCK_BYTES = 256 << 20


def measure_device(
    data: Any,
    *,
    like: Moments | None,
    folds: int,
    weights: Any,
    weight_kind: str,
    missing: str,
    precision: str,
    rows: Any,
    **options: Any,
) -> Moments:
    """Measure a 2-D array on a device; options are those of `cumulant.measure`.

    Raises
    ------
    MissingDependencyError
        array-api-compat is not installed.
    DataError, OptionError
        As `cumulant.measure`; compensated sums are not for devices.
    """
    from cumulant.measure.measure import measure

    xp = compat().array_namespace(data)
    data = data.detach() if hasattr(data, "detach") else data
    if data.ndim != 2:
        raise DataError(
            f"an array of {data.ndim} dimensions is no table; give rows × columns, as reshape((-1, 1)) does"
        )
    n, names = data.shape[0], options.get("columns")
    head = fetched(data[: min(n, head_rows(data.shape[1])), :])
    if precision == "compensated":
        raise OptionError("precision='compensated' is not for arrays on a device; bring the array to the host")
    start = measure(head, folds=folds, missing="integrate", precision="double", progress=False, **options)
    for lift in start.schema.lifts:
        if not isinstance(lift, (Numeric, Boolean)):
            raise OptionError(f"column '{lift.name}' of an array on a device is read as a number, not as {lift.kind}")
    weighting = "none" if weights is None else weight_kind
    base = start if like is None else like
    if like is not None and (like.exact or list(like.schema.columns) != list(start.schema.columns)):
        raise OptionError("like= has other columns, or compensated sums, which are not for arrays on a device")
    begun = replace(base.none(weighting), notes=(f"summed on {_place(data)}",))
    sums = _Sums(xp, compat().device(data), begun)
    if names is not None and len(names) != data.shape[1]:
        raise OptionError(f"columns= has {len(names)} names, the array {data.shape[1]} columns")
    w = None if weights is None else _checked(weights, n)
    numbered = _numbers(rows, n)
    step = max(1024, BLOCK_BYTES // (8 * max(1, data.shape[1])))
    for first in range(0, n, step):
        end = min(n, first + step)
        sums.add(data[first:end, :], first, numbered(first, end), None if w is None else w[first:end], missing)
    return sums.moments()


class _Sums:
    """Moments under construction: sums on the device, all else here."""

    def __init__(self, xp: Any, device: Any, start: Moments) -> None:
        self._xp, self._device, self._m = xp, device, start
        self._type = _widest(xp, device)
        if self._type != xp.float64:
            warnings.warn(
                f"{device} has no float64: blocks are summed in float32 there, and only their sums in float64; for "
                "more digits bring the array to the host",
                CumulantWarning,
                stacklevel=4,
            )
        self._shift = self._there(start.shift)
        self._under_way: list[Any] = []

    def add(self, x: Any, first: int, numbers: NDArray[np.int64], weights: Array | None, missing: str) -> None:
        """Add the rows of a block, which begins at row ``first`` of the array."""
        xp = self._xp
        x = xp.astype(x, self._type)
        self._refuse_infinite(x, first, weights)
        absent = self._gaps(x)
        kept = np.ones(len(numbers), dtype=bool) if weights is None else weights > 0
        if absent is not None:
            gaps = absent & kept[:, None]
            if missing == "error" and gaps.any():
                row, column = (int(i[0]) for i in np.nonzero(gaps))
                raise DataError(
                    f"column '{self._m.schema.columns[column]}' is missing in row {first + row}; "
                    'fill the cell, or measure with missing="integrate" or "drop"'
                )
            if missing == "drop":
                kept &= ~gaps.any(axis=1)
                gaps = gaps & kept[:, None]
            self._grow({int(c) for c in np.flatnonzero(gaps.any(axis=0))})
        fold = fold_of(numbers, self._m.folds)
        order = np.flatnonzero(kept)[np.argsort(fold[kept], kind="stable")]
        edges = np.searchsorted(fold[order], np.arange(self._m.folds + 1))
        w = None if weights is None else weights[order]
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name in the end; libraries may warn as NumPy
            self._add_by_fold(xp.take(x, self._places(order), axis=0), edges, w)
        self._count(fold[order], w)

    def moments(self) -> Moments:
        """The moments of all rows added."""
        self._settle()
        refuse_overflow(self._m)
        return self._m

    def _add_by_fold(self, x: Any, edges: NDArray[np.int64], weights: Array | None) -> None:
        xp, presence = self._xp, self._m.presence
        z = x - self._shift
        ones = xp.ones((z.shape[0], 1), dtype=self._type, device=self._device)
        if presence:
            here = ~xp.isnan(z)
            z = xp.where(here, z, xp.zeros_like(z))
            shown = xp.take(here, self._places(np.array(presence)), axis=1)
            z = xp.concat([ones, xp.astype(shown, self._type), z], axis=1)
        else:
            z = xp.concat([ones, z], axis=1)
        scaled = z if weights is None else z * xp.expand_dims(self._there(weights), axis=1)
        k = len(presence)
        for f in range(self._m.folds):
            here = slice(int(edges[f]), int(edges[f + 1]))
            left = xp.matrix_transpose(scaled[here, :])
            parts = [left @ z[here, :], left[1 : 1 + k, :] @ z[here, 1 + k :] ** 2]
            if len(self._under_way) <= f:
                self._under_way.append(parts)
            else:
                self._under_way[f] = [a + b for a, b in zip(self._under_way[f], parts, strict=True)]
        if self._type != xp.float64:
            self._settle()

    def _settle(self) -> None:
        """Bring the sums here."""
        if not self._under_way:
            return
        sums, squares = (np.stack([fetched(parts[i]) for parts in self._under_way]) for i in range(2))
        self._under_way = []
        packed = storage.packed(sums.astype(np.float64))[None]
        m = self._m
        self._m = replace(m, packed=limbs.combine(m.packed, packed), squares=m.squares + squares)

    def _grow(self, columns: set[int]) -> None:
        presence = tuple(sorted({*self._m.presence, *columns}))
        if presence != self._m.presence:
            self._settle()
            self._m = self._m.embed(self._m.schema, self._m.shift, presence)

    def _count(self, fold: NDArray[np.int64], weights: Array | None) -> None:
        def sums(values: Array | None) -> Array:
            return np.bincount(fold, weights=values, minlength=self._m.folds).astype(np.float64)

        m = self._m
        self._m = replace(
            m,
            rows=m.rows + np.bincount(fold, minlength=m.folds),
            squared_weights=m.squared_weights + sums(None if weights is None else weights**2),
            log_weights=m.log_weights if weights is None else m.log_weights + sums(np.log(weights)),
        )

    def _gaps(self, x: Any) -> NDArray[np.bool_] | None:
        gaps = self._xp.isnan(x)
        return fetched(gaps) if bool(self._xp.any(gaps)) else None

    def _refuse_infinite(self, x: Any, first: int, weights: Array | None) -> None:
        found = self._xp.isinf(x)
        if not bool(self._xp.any(found)):
            return
        counted = fetched(found) if weights is None else fetched(found) & (weights > 0)[:, None]
        if counted.any():
            row, column = (int(i[0]) for i in np.nonzero(counted))
            raise DataError(
                f"column '{self._m.schema.columns[column]}' holds {float(x[row, column])} in row {first + row}; "
                "replace it by a number, or by a missing cell to have it integrated out"
            )

    def _there(self, values: Array) -> Any:
        return self._xp.asarray(values, dtype=self._type, device=self._device)

    def _places(self, places: NDArray[np.int64]) -> Any:
        return self._xp.asarray(places, dtype=self._xp.int64, device=self._device)


def _widest(xp: Any, device: Any) -> Any:
    """float64 where the device has it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = xp.zeros(1, dtype=xp.float64, device=device)
    except (TypeError, RuntimeError):
        return xp.float32
    return made.dtype


def _place(data: Any) -> str:
    library = type(data).__module__.partition(".")[0]
    return f"{compat().device(data)} by {library} {getattr(sys.modules[library], '__version__', '')}".rstrip()


def _checked(weights: Any, n: int) -> Array:
    if isinstance(weights, str):
        raise OptionError("weights= of an array on a device are one value a row, not the name of a column")
    values = fetched(weights) if is_remote(weights) else weights
    w = np.asarray(values, dtype=np.float64)
    if w.shape != (n,):
        raise OptionError(f"weights= has shape {w.shape}, the array has {n:,} rows; give one value a row")
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"the weight in row {at} is {w[at]}; weights must be finite and not negative")
    return w


def _numbers(rows: Any, n: int) -> Callable[[int, int], NDArray[np.int64]]:
    """The numbers of the rows from one place to another."""
    if isinstance(rows, str):
        raise OptionError("rows= of an array on a device are numbers, not the name of a column")
    if rows is None or isinstance(rows, int):
        zero = rows or 0
        return lambda first, end: np.arange(zero + first, zero + end, dtype=np.int64)
    numbers = np.asarray(fetched(rows) if is_remote(rows) else rows, dtype=np.int64)
    if numbers.shape != (n,):
        raise OptionError(f"rows= has shape {numbers.shape}, the array has {n:,} rows; give one value a row")
    return lambda first, end: numbers[first:end]
