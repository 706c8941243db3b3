"""Moments of a Spark dataframe, by its executors: rows go to Python as Arrow batches and never leave their task."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cumulant.errors import MissingDependencyError, SourceError
from cumulant.measure.cluster import FAN_IN, Options, Spans, arrow_rows, begin, measure_partitions, merge, part, survey

if TYPE_CHECKING:
    from cumulant.measure.moments import Moments

__all__ = ["measure_spark"]

Batches = Iterator[pa.RecordBatch]
# One row for each partition, or group of partitions, that has something to say.
SENT = "place int, content binary"


def measure_spark(data: Any, options: Options, like: Moments | None) -> Moments:
    """Measure a Spark dataframe, classic or of Spark Connect.

    Raises
    ------
    SourceError
        It is no dataframe.
    MissingDependencyError
        Spark is older than 3.5.
    ColumnError, OptionError, DataError
        As `cumulant.measure`.
    """
    if type(data).__name__ != "DataFrame" or not hasattr(data, "schema"):
        raise SourceError(f"a Spark {type(data).__name__} is no table; give a Spark DataFrame")
    if not hasattr(data, "mapInArrow"):
        raise MissingDependencyError("Spark dataframes need Spark 3.5 or newer: pip install 'cumulant[spark]'")
    return measure_partitions(_Partitions(data, options.wanted(data.columns)), options, like)


class _Partitions:
    """Partitions as streams of Arrow batches, known by the numbers that Spark gives them.

    Every pass is over the same plan with the same columns, so that Spark cuts it into the same partitions.
    """

    by_index = False
    # Only running a plan shows how many partitions it has.
    counts = None

    def __init__(self, frame: Any, names: list[str]) -> None:
        quoted = ["`" + name.replace("`", "``") + "`" for name in names]
        # Spark reads a dot in a name as a path into the column, so the columns travel by number.
        self._frame = frame.select(quoted).toDF(*(f"c{i}" for i in range(len(names))))
        self._names = names
        self._places: list[int] = []

    def surveys(self, options: Options) -> list[bytes]:
        names = self._names

        def look(batches: Batches) -> Batches:
            place = _place()
            yield _sent(place, survey(arrow_rows(_named(batches, names))[0], place, options))

        rows = sorted((row.place, bytes(row.content)) for row in self._frame.mapInArrow(look, SENT).collect())
        self._places = [place for place, _ in rows]
        return [content for _, content in rows]

    def start(self, heads: dict[int, int], options: Options) -> bytes:
        counts = {self._places[i]: count for i, count in heads.items() if count}
        if not counts:
            empty = self._frame.limit(0)
            rows = empty.toArrow() if hasattr(empty, "toArrow") else pa.Table.from_pandas(empty.toPandas())
            return begin(rows.rename_columns(self._names), options)
        names = self._names

        def take(batches: Batches) -> Batches:
            left = counts.get(_place(), 0)
            if left:
                yield _sent(_place(), _ipc(_first(_named(batches, names), left)))

        def look(sent: Batches) -> Batches:
            tables = [pa.ipc.open_stream(content).read_all() for _, content in sorted(_received(sent))]
            yield _sent(0, begin(pa.concat_tables(tables), options))

        return self._one(self._frame.mapInArrow(take, SENT).repartition(1).mapInArrow(look, SENT))

    def total(self, start: bytes, spans: Spans, options: Options) -> bytes:
        names = self._names
        order = {place: i for i, place in enumerate(self._places)}

        def look(batches: Batches) -> Batches:
            place = _place()
            rows, seen = arrow_rows(_named(batches, names))
            i = order.get(place)
            span = (0, 0) if i is None else spans[i]
            yield _sent(place if i is None else i, part(rows, seen, place, start, span, options))

        layer, width = self._frame.mapInArrow(look, SENT), len(spans)
        while width > FAN_IN:
            width = -(-width // FAN_IN)
            grouped = layer.selectExpr("place", "content", f"place div {FAN_IN} as parent")
            layer = grouped.repartition(width, "parent").drop("parent").mapInArrow(_merger(FAN_IN), SENT)
        return self._one(layer.repartition(1).mapInArrow(_merger(1 << 30), SENT))

    @staticmethod
    def _one(frame: Any) -> bytes:
        return bytes(frame.collect()[0].content)


def _merger(fan_in: int) -> Callable[[Batches], Batches]:
    """A task that merges what it was sent by groups of ``fan_in`` neighbours, each in order."""

    def work(sent: Batches) -> Batches:
        received = sorted(_received(sent))
        for parent, group in itertools.groupby(received, key=lambda one: one[0] // fan_in):
            yield _sent(parent, merge(content for _, content in group))

    return work


def _named(batches: Batches, names: list[str]) -> Batches:
    return (batch.rename_columns(names) for batch in batches)


def _place() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return 0 if context is None else int(context.partitionId())


def _sent(place: int, content: bytes) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array([place], pa.int32()), pa.array([content], pa.binary())], names=["place", "content"]
    )


def _received(batches: Batches) -> Iterator[tuple[int, bytes]]:
    for batch in batches:
        for row in batch.to_pylist():
            yield row["place"], row["content"]


def _first(batches: Batches, count: int) -> list[pa.RecordBatch]:
    taken: list[pa.RecordBatch] = []
    for batch in batches:
        taken.append(batch.slice(0, count))
        count -= taken[-1].num_rows
        if not count:
            break
    return taken


def _ipc(batches: Iterable[pa.RecordBatch]) -> bytes:
    table = pa.Table.from_batches(batches)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
