"""Moments of a table that lies in partitions on many machines: what all engines share.

Moments form a monoid, so a table in partitions is measured by a tree of additions. Three steps, of which the first
and the second read the rows:

1. Each partition is *surveyed*: how many rows it has, hence the row numbers of the partitions after it; and which
   levels its categories show, in order of appearance.
2. The first rows of the table make the *start*, moments of no rows: schema, reference point, precision. It is the
   start that one machine would make of the same rows, with the levels it would have found on its way. Then each
   partition is measured from that start.
3. Neighbours are *merged*, a few at a time, until one is left. Who is merged with whom depends on the order of the
   partitions alone, so that neither stragglers nor repeated work show in the result.

The survey is left out where row numbers do not hang on it, and then the table is read once: levels that a partition
shows for the first time are united in the merge. Only if that has to gather levels is there a survey after all, for
which ones are kept is a matter of the order in which they appear.

What partitions send is the bytes of moments, of a survey, or of the error that stopped them. An error of the table is
sent, not raised: no engine then tries the same row again.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from cumulant import errors, storage
from cumulant.errors import CumulantError, CumulantWarning, DataError, OptionError
from cumulant.lift import Categorical, Schema
from cumulant.lift.schema import LiftSpec, unknown_column
from cumulant.measure.measure import LEFT_OUT, measure, with_room
from cumulant.measure.moments import Moments
from cumulant.measure.requirement import Requirement
from cumulant.measure.threads import one_core
from cumulant.source import open_table
from cumulant.source.table import HEAD_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FAN_IN",
    "Options",
    "Partitions",
    "Span",
    "Spans",
    "arrow_rows",
    "begin",
    "measure_partitions",
    "merge",
    "part",
    "survey",
]

# First row number (None: by the index) and number of rows (None: not counted) of a partition.
Span = tuple[int | None, int | None]
Spans = list[Span]
# Moments that one task adds: few enough to hold at once, enough to keep the tree of 10⁵ partitions six levels deep.
FAN_IN = 8
SECOND_ORDER = Requirement(2)


@dataclass(frozen=True)
class Options:
    """The options of `cumulant.measure` that partitions share."""

    folds: int
    weights: str | None
    weight_kind: str
    missing: str
    columns: tuple[str, ...] | None
    lifts: Mapping[str, LiftSpec] | None
    levels: int
    precision: str
    rows: int | str | None
    requirement: Requirement = SECOND_ORDER

    @staticmethod
    def of(
        what: str, *, weights: Any, columns: Sequence[str] | None, rows: Any, delimiter: str | None, **others: Any
    ) -> Options:
        """Options for a table of kind ``what``; one value a row cannot be given beside a table in partitions."""
        if delimiter is not None:
            raise OptionError(f"delimiter= is an option for text; a {what} has its columns already")
        for name, value, kinds in (("weights", weights, str), ("rows", rows, (int, str))):
            if value is not None and not isinstance(value, kinds):
                raise OptionError(
                    f"{name}= was given as {type(value).__name__}, but the rows of a {what} lie on many machines; "
                    "make it a column and give its name"
                )
        return Options(weights=weights, columns=None if columns is None else tuple(columns), rows=rows, **others)

    def wanted(self, names: Sequence[str]) -> list[str]:
        """The columns to read of those there are.

        Raises
        ------
        ColumnError
            One that is asked for is not there.
        """
        beside = [name for name in (self.weights, self.rows) if isinstance(name, str)]
        chosen = list(dict.fromkeys([*(names if self.columns is None else self.columns), *beside]))
        for name in (*chosen, *(self.lifts or {})):
            if name not in names:
                raise unknown_column(name, names)
        return [*names] if self.columns is None else chosen

    def measure(self, rows: Any, *, like: Moments | None = None, first: int | None = 0) -> Moments:
        """Moments of some rows, numbered from ``first`` on, by their index if None, or by a column of theirs."""
        numbers = self.rows if isinstance(self.rows, str) else first
        with one_core():
            return measure(
                rows,
                folds=self.folds,
                weights=self.weights,
                weight_kind=self.weight_kind,
                missing=self.missing,
                columns=self.columns,
                lifts=self.lifts,
                levels=self.levels,
                precision=self.precision,
                rows=numbers,
                like=like,
                progress=False,
            )


class Partitions(Protocol):
    """A table on an engine, as rows that lie in partitions of a fixed order.

    ``counts`` are the rows of each partition, as far as they are known without reading; None where not even the number
    of partitions is. ``by_index`` says that the rows bring their numbers. ``surveys`` asks each partition, ``start`` a
    task that is handed the first rows of some partitions (by index), and ``total`` measures each partition from a start
    and merges; all return what was sent.
    """

    by_index: bool

    @property
    def counts(self) -> Sequence[int | None] | None:
        """Rows of each partition."""

    def surveys(self, options: Options) -> list[bytes]:
        """What `survey` says of each partition, in order."""

    def start(self, heads: dict[int, int], options: Options) -> bytes:
        """What `begin` makes of the first rows of some partitions."""

    def total(self, start: bytes, spans: Spans, options: Options) -> bytes:
        """What `merge` makes of each `part`, which is to have these first row numbers and numbers of rows."""


def measure_partitions(table: Partitions, options: Options, like: Moments | None) -> Moments:
    """The moments of a table in partitions.

    Raises
    ------
    CumulantError
        The one that the first partition in trouble sent.
    """
    once = _read_once(table, options, like)
    if once is not None:
        return once
    seen = [told(answer)[1] for answer in table.surveys(options)]
    counts = [int(one["rows"]) for one in seen]
    if like is None:
        # A column of objects may be empty in the first rows; what it is elsewhere decides.
        texts = {name: "categorical" for one in seen for name, levels in one["levels"].items() if levels}
        start, beside = told(table.start(_heads(counts), replace(options, lifts={**texts, **(options.lifts or {})})))
        _warn(beside["notes"])
    else:
        start = _start_like(like, options)
    start = _with_levels(start, [one["levels"] for one in seen], options.levels)
    if not sum(counts):
        return start
    spans = _spans(counts, options, by_index=table.by_index)
    return told(table.total(_moments_bytes(start), spans, options))[0]


def _read_once(table: Partitions, options: Options, like: Moments | None) -> Moments | None:
    """The moments without a survey; None where one is needed."""
    if not table.counts:
        return None
    counts = [count for count in table.counts if count is not None]
    counted = len(counts) == len(table.counts)
    folds = options.folds if like is None else like.folds
    if not (counted or table.by_index or isinstance(options.rows, str) or folds == 1):
        return None
    notes: list[str] = []
    if like is None:
        start, beside = told(table.start(_heads(counts) if counted else {0: HEAD_ROWS}, options))
        short = not counted and len(table.counts) > 1 and beside["rows"] < HEAD_ROWS
        if short or beside["empty_columns"]:
            return None
        notes = beside["notes"]
    else:
        start = _start_like(like, options)
    spans: Spans = [(None if table.by_index else 0, None) for _ in table.counts]
    if counted:
        spans = _spans(counts, options, by_index=table.by_index)
    total: Moments = told(table.total(_moments_bytes(start), spans, options))[0]
    for before, after in zip(start.schema.lifts, total.schema.lifts, strict=True):
        if isinstance(after, Categorical) and after != before and _is_full(after, options):
            return None
    _warn(notes)
    return total


def _is_full(category: Categorical, options: Options) -> bool:
    return category.remainder or len(category.levels) > options.levels


def _start_like(like: Moments, options: Options) -> Moments:
    weighting = like.weighting if options.weights is None else options.weight_kind
    return like.none(weighting)


def _spans(counts: list[int], options: Options, *, by_index: bool) -> Spans:
    """First row number (None: by the index) and number of rows of each partition."""
    begins: Iterable[int | None] = itertools.repeat(None)
    if not by_index:
        begins = itertools.accumulate(counts[:-1], initial=options.rows if isinstance(options.rows, int) else 0)
    return list(zip(begins, counts, strict=False))


def _warn(notes: list[str]) -> None:
    for note in notes:
        warnings.warn(note, CumulantWarning, stacklevel=5)


def _heads(counts: list[int]) -> dict[int, int]:
    """How many rows of which partitions make the first rows of the table."""
    heads, left = {0: min(counts[0], HEAD_ROWS) if counts else 0}, HEAD_ROWS
    for i, count in enumerate(counts):
        if left > 0 and count:
            heads[i] = min(count, left)
            left -= heads[i]
    return heads


def _with_levels(start: Moments, seen: list[dict[str, list[str]]], limit: int) -> Moments:
    """The start with the levels that partitions show, added in their order as one pass would add them."""
    import pyarrow as pa

    schema = start.schema
    names = [lift.name for lift in schema.lifts if isinstance(lift, Categorical)]
    for levels in seen:
        longest = max((len(levels.get(name, [])) for name in names), default=0)
        if longest:
            columns = [levels.get(name, []) for name in names]
            padded = [pa.array([*texts, *[None] * (longest - len(texts))], type=pa.string()) for texts in columns]
            schema = schema.grow(pa.record_batch(padded, names=names), limit)
    return start.embed(schema, start.shift_in(schema), start.presence)


def survey(rows: Any, place: int, options: Options) -> bytes:
    """Number of rows and levels of a partition (None: an empty one); at most as many levels as can matter."""

    def look() -> bytes:
        if rows is None:
            return storage.encode("survey", {}, {"rows": 0, "levels": {}})
        table = open_table(rows, columns=options.columns)
        declared = Schema.fit(table.schema, [], lifts=options.lifts).lifts
        texts = [lift for lift in declared if isinstance(lift, Categorical)]
        levels: dict[str, dict[str, None]] = {lift.name: {} for lift in texts}
        count = 0
        for batch in table.open():
            count += batch.num_rows
            for lift in texts:
                # The start knows up to `levels` of them; as many more, and one, fill the room and show that there
                # is a rest.
                if len(levels[lift.name]) <= 2 * options.levels:
                    levels[lift.name].update(dict.fromkeys(lift.unseen(batch.column(lift.name))))
        kept = {name: list(itertools.islice(all_, 2 * options.levels + 1)) for name, all_ in levels.items()}
        return storage.encode("survey", {}, {"rows": count, "levels": kept})

    return _answer(look, place)


def begin(rows: Any, options: Options) -> bytes:
    """The start that one machine makes of the first rows of the table, and what it warns of."""

    def look() -> bytes:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            m = options.measure(rows)
        notes = [str(w.message) for w in caught if issubclass(w.category, CumulantWarning)]
        arrays, meta = with_room(m.none(), options.requirement).to_state()
        beside = {"notes": notes, "rows": len(rows), "empty_columns": bool(m._void)}
        return storage.encode("moments", arrays, {**meta, **beside})

    return _answer(look, None)


def part(rows: Any, seen: Callable[[], int], place: int, start: bytes, span: Span, options: Options) -> bytes:
    """The moments of a partition (None: an empty one), whose rows ``seen`` counts when they have been read."""

    def look() -> bytes:
        like, _ = told(start)
        first, expected = span
        with warnings.catch_warnings():
            # Of rows that are not in all moments the whole table says how many.
            warnings.filterwarnings("ignore", f".*{LEFT_OUT}", CumulantWarning)
            m = like if rows is None else options.measure(rows, like=like, first=first)
        if expected is not None and seen() != expected:
            raise DataError(
                f"had {expected:,} rows when they were counted and {seen():,} when they were measured; the table must "
                "be the same each time it is made: keep it (persist(), cache()), or fix the seed of what is random"
            )
        return _moments_bytes(m)

    return _answer(look, place)


def merge(parts: Iterable[bytes]) -> bytes:
    """The sum of moments, in order; the first error among them if there is one."""
    total: Moments | None = None
    for content in parts:
        try:
            m, _ = told(content)
        except CumulantError:
            return content
        total = m if total is None else total + m
    if total is None:
        raise ValueError("there are no moments to merge")
    return _moments_bytes(total)


def told(content: bytes) -> tuple[Any, dict[str, Any]]:
    """The moments that were sent (None in a survey), and the plain data beside them.

    Raises
    ------
    CumulantError
        An error was sent.
    """
    kind, arrays, meta = storage.decode(content)
    if kind == "error":
        raise getattr(errors, meta["error"])(meta["message"])
    return (Moments.from_state(arrays, meta) if kind == "moments" else None), meta


def arrow_rows(batches: Iterable[pa.RecordBatch]) -> tuple[pa.RecordBatchReader | None, Callable[[], int]]:
    """A stream of Arrow batches to measure (None without a batch), and a count of the rows taken from it."""
    import pyarrow as pa

    taken = [0]

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            taken[0] += batch.num_rows
            yield batch

    stream = counted()
    first = next(stream, None)
    if first is None:
        return None, lambda: 0
    return pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], stream)), lambda: taken[0]


def _moments_bytes(m: Moments) -> bytes:
    return storage.encode("moments", *m.to_state())


def _answer(look: Callable[[], bytes], place: int | None) -> bytes:
    try:
        return look()
    except CumulantError as error:
        text = str(error) if place is None else f"partition {place} of the table: {error}"
        return storage.encode("error", {}, {"error": type(error).__name__, "message": text})
