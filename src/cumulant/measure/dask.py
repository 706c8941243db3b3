"""Moments of a Dask dataframe or array, by the workers of its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cumulant.errors import DataError, OptionError, SourceError
from cumulant.measure.cluster import FAN_IN, Options, Span, Spans, begin, measure_partitions, merge, part, survey

if TYPE_CHECKING:
    from cumulant.measure.moments import Moments

__all__ = ["measure_dask"]


def measure_dask(data: Any, options: Options, like: Moments | None) -> Moments:
    """Measure a Dask dataframe, series or array; the current client's cluster does it, or else local threads.

    Raises
    ------
    SourceError, DataError
        It is another collection, or no table.
    ColumnError, OptionError
        As `cumulant.measure`.
    """
    kind = type(data).__module__
    if kind.startswith("dask.array"):
        return measure_partitions(_of_array(data), options, like)
    # Of what dataframes are made of, scalars have no partitions to speak of.
    if kind.startswith("dask.dataframe") and hasattr(data, "ndim") and data.ndim:
        frame = data if data.ndim == 2 else data.to_frame()
        return measure_partitions(_of_frame(frame, options), options, like)
    raise SourceError(f"a Dask {type(data).__name__} is no table; give a Dask dataframe or array (.to_dataframe())")


def _of_frame(data: Any, options: Options) -> _Partitions:
    names = [str(name) for name in data.columns]
    wanted = options.wanted(names)
    kept = data[[data.columns[names.index(name)] for name in wanted]]
    index = data._meta.index
    whole = index.nlevels == 1 and getattr(index.dtype, "kind", "") in "iu"
    # Only with known divisions does the index number the rows of the whole table, not of each partition anew.
    by_index = options.rows is None and whole and data.known_divisions
    parts = kept.to_delayed()
    return _Partitions(parts, [None] * len(parts), bool(by_index))


def _of_array(data: Any) -> _Partitions:
    if data.ndim != 2:
        raise DataError(
            f"A Dask array of {data.ndim} dimensions is not a table. Give rows × columns; one column is "
            "array.reshape(-1, 1)"
        )
    if data.shape[1] != data.shape[1]:
        raise OptionError("the Dask array does not know its number of columns; call compute_chunk_sizes() first")
    counts = [None if size != size else int(size) for size in data.chunks[0]]
    return _Partitions(data.rechunk({1: -1}).to_delayed().ravel().tolist(), counts, by_index=False)


class _Partitions:
    """Partitions as delayed pandas frames or NumPy arrays."""

    def __init__(self, parts: list[Any], counts: list[int | None], by_index: bool) -> None:
        self._parts = parts
        self.counts = counts
        self.by_index = by_index

    def surveys(self, options: Options) -> list[bytes]:
        import dask

        look = dask.delayed(survey, pure=False)
        return list(dask.compute(*[look(rows, i, options) for i, rows in enumerate(self._parts)]))

    def start(self, heads: dict[int, int], options: Options) -> bytes:
        import dask

        head = dask.delayed(_head, pure=False)
        rows = [head(self._parts[i], count) for i, count in heads.items()]
        return bytes(dask.delayed(_begin, pure=False)(rows, options).compute())

    def total(self, start: bytes, spans: Spans, options: Options) -> bytes:
        import dask

        look, add = dask.delayed(_part, pure=False), dask.delayed(_merge, pure=False)
        # Delayed, the start goes to each worker once, not with each task.
        begun = dask.delayed(start)
        shares = enumerate(zip(self._parts, spans, strict=True))
        layer = [look(rows, i, begun, span, options) for i, (rows, span) in shares]
        while len(layer) > 1:
            layer = [add(layer[i : i + FAN_IN]) for i in range(0, len(layer), FAN_IN)]
        return bytes(layer[0].compute())


def _head(rows: Any, count: int) -> Any:
    return rows.iloc[:count] if hasattr(rows, "iloc") else rows[:count]


def _begin(heads: list[Any], options: Options) -> bytes:
    if not hasattr(heads[0], "iloc"):
        import numpy as np

        return begin(np.concatenate(heads), options)
    import pandas as pd

    return begin(pd.concat([head for head in heads if len(head)] or heads[:1], ignore_index=True), options)


def _part(rows: Any, place: int, start: bytes, span: Span, options: Options) -> bytes:
    return part(rows, lambda: len(rows), place, start, span, options)


def _merge(parts: list[bytes]) -> bytes:
    return merge(parts)
