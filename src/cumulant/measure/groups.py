"""Moments of many groups of rows in one pass, held as one stack of packed sums.

A group is a fold that has a name: its rows add z zᵀ to sums of its own. There may be 10⁵ of them, most with few rows,
so nothing is kept for a group but the upper triangle of its sums, and products go there row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cumulant import storage
from cumulant.errors import ColumnError, DataError, OptionError
from cumulant.lift import NARROW, Schema
from cumulant.lift.schema import LiftSpec, unknown_column
from cumulant.measure.capacity import refuse_if_beyond_memory
from cumulant.measure.kernels import add_to_groups, fold_of
from cumulant.measure.measure import measure
from cumulant.measure.moments import Moments
from cumulant.measure.threads import cores
from cumulant.source import open_table
from cumulant.source.progress import track
from cumulant.source.table import HEAD_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["KIND", "Groups", "measure_groups"]

KIND = "groups"
# Fewer cells of a batch are summed before a second thread has started.
PARALLEL_CELLS = 50_000


@dataclass(frozen=True, eq=False)
class Groups(Mapping[Any, Moments]):
    """Moments of each group of rows: a mapping from the values of a column, in order of appearance.

    Made by ``cumulant.measure(…, group_by=)``.

    Parameters
    ----------
    by
        The column whose values name the groups.
    levels
        Those values (G of them).
    schema
        The lifted columns, the same for all groups.
    shift
        Reference point of the sums (p,).
    sums
        Upper triangles of Σ z zᵀ with z = (1, x - shift), (G, K, q(q + 1)/2) with q = 1 + p, in K folds.
    """

    by: str
    levels: tuple[Any, ...]
    schema: Schema
    shift: Array
    sums: Array

    @cached_property
    def _place(self) -> dict[Any, int]:
        return {level: i for i, level in enumerate(self.levels)}

    def __getitem__(self, level: Any) -> Moments:
        if level not in self._place:
            raise ColumnError(f"no group '{level}' in column '{self.by}'; there are {len(self):,} groups")
        return self._moments(self.sums[self._place[level]])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.levels)

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows in each group (G,)."""
        return np.rint(self.sums[:, :, 0].sum(axis=1)).astype(np.int64)

    @property
    def total(self) -> Moments:
        """The moments of all rows, whatever their group."""
        return self._moments(self.sums.sum(axis=0))

    def _moments(self, packed: Array) -> Moments:
        rows = np.rint(packed[:, 0]).astype(np.int64)
        return Moments(
            schema=self.schema,
            shift=self.shift,
            presence=(),
            packed=packed[None],
            squares=np.zeros((len(rows), 0, len(self.shift))),
            rows=rows,
            squared_weights=rows.astype(np.float64),
            log_weights=np.zeros(len(rows)),
        )

    def __repr__(self) -> str:
        return (
            f"Groups({len(self):,} values of '{self.by}', {self.rows.sum():,} rows, {len(self.schema.fields)} fields)"
        )

    def save(self, path: str | Path) -> None:
        """Write all groups to one file, atomically; `cumulant.load` reads it."""
        storage.save(path, KIND, *self.to_state())

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine these groups."""
        sink = pa.BufferOutputStream()
        table = pa.table({"level": pa.array(self.levels)})
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        named = np.frombuffer(sink.getvalue(), dtype=np.uint8)
        return {"shift": self.shift, "sums": self.sums, "levels": named}, {
            "by": self.by,
            "schema": self.schema.to_list(),
        }

    @staticmethod
    def from_state(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Groups:
        """The groups that `to_state` described."""
        levels = pa.ipc.open_stream(arrays["levels"].tobytes()).read_all().column("level").to_pylist()
        schema = Schema.from_list(meta["schema"])
        return Groups(meta["by"], tuple(levels), schema, arrays["shift"], arrays["sums"])


def measure_groups(
    data: Any,
    by: str,
    unfit: Mapping[str, bool],
    *,
    folds: int,
    missing: str,
    columns: Sequence[str] | None,
    lifts: Mapping[str, LiftSpec] | None,
    levels: int,
    rows: int | str | Sequence[int] | NDArray[np.int64] | None,
    delimiter: str | None,
    progress: bool | None,
) -> Groups:
    """Measure the rows of each value of a column; the options are those of `cumulant.measure`.

    ``unfit`` says which options were given that groups do not have. About n·q² flops, at the pace of memory: each row
    changes sums that lie anywhere.
    """
    for name, given in unfit.items():
        if given:
            raise OptionError(f"{name}= cannot be combined with group_by=; leave it out, or measure group by group")
    wanted = (
        None if columns is None else list(dict.fromkeys([*columns, by, *([rows] if isinstance(rows, str) else [])]))
    )
    table = open_table(data, columns=wanted, delimiter=delimiter)
    for beside in (by, rows):
        if isinstance(beside, str) and beside not in table.schema.names:
            raise unknown_column(beside, table.schema.names)
    names = [name for name in table.schema.names if name != by and not (isinstance(rows, str) and name == rows)]
    batches = table.open()
    pilot = next(batches, None)
    head = (table.schema.empty_table() if pilot is None else pa.Table.from_batches([pilot])).select(names)
    # The start is the one that a single group would have: lifts from the types and first rows, their means as shift.
    # The sums of a group are packed squares of fields, so no category of a group is wide.
    levels = min(levels, NARROW)
    start = measure(head.slice(0, HEAD_ROWS), folds=1, lifts=lifts, levels=levels, precision="double", progress=False)
    if start.schema.wide:
        name = start.schema.wide_lifts()[0].name
        raise OptionError(f"column '{name}' cannot be 'wide' with group_by=; measure group by group to keep all levels")
    sums = _Sums(by, Moments.empty(start.schema, start.shift), folds, drop=missing == "drop")
    first = 0
    labels = table.row_numbers if rows is None else None if isinstance(rows, (str, int)) else np.asarray(rows)
    if labels is not None and table.rows is not None and len(labels) != table.rows:
        raise OptionError(f"rows= has {len(labels):,} values, the table has {table.rows:,} rows; give one value a row")
    for batch in track(table, chain([] if pilot is None else [pilot], batches), enabled=progress):
        sums.grow(batch, levels)
        here = np.arange(first, first + batch.num_rows, dtype=np.int64)
        if isinstance(rows, str):
            numbers = batch.column(rows).to_numpy(zero_copy_only=False).astype(np.int64)
        elif labels is not None:
            numbers = labels[here].astype(np.int64)
        else:
            numbers = here + (rows if isinstance(rows, int) else 0)
        sums.add(batch, here, numbers)
        first += batch.num_rows
    return sums.groups()


class _Sums:
    """Groups under construction."""

    def __init__(self, by: str, start: Moments, folds: int, *, drop: bool) -> None:
        self._by = by
        self._schema, self._shift = start.schema, start.shift
        self._folds = folds
        self._drop = drop
        self._levels: pa.Array | None = None
        self._sums = np.zeros((0, self._size))

    @property
    def _size(self) -> int:
        q = len(self._shift) + 1
        return q * (q + 1) // 2

    def groups(self) -> Groups:
        """What was added so far."""
        levels = () if self._levels is None else tuple(self._levels.to_pylist())
        used = self._sums[: len(levels) * self._folds]
        sums = used.reshape(len(levels), self._folds, self._size).copy()
        return Groups(self._by, levels, self._schema, self._shift, sums)

    def grow(self, batch: pa.RecordBatch, limit: int) -> None:
        """Take up the levels that the categories among the fields show for the first time."""
        schema = self._schema.grow(batch, limit)
        if schema == self._schema:
            return
        where = np.concatenate([[0], 1 + self._schema.embedding(schema)])
        seen = Moments.empty(self._schema, self._shift)
        old, self._schema, self._shift = self._sums, schema, seen.shift_in(schema)
        place = np.zeros((len(self._shift) + 1,) * 2, dtype=np.int64)
        place[np.triu_indices(len(place))] = np.arange(self._size)
        i, j = np.triu_indices(len(where))
        a, b = np.minimum(where[i], where[j]), np.maximum(where[i], where[j])
        self._sums = np.zeros((len(old), self._size))
        self._sums[:, place[a, b]] = old

    def add(self, batch: pa.RecordBatch, here: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        """Add a batch of rows, which lie at ``here`` in the table and have row ``numbers``."""
        group = self._groups_of(batch.column(self._by))
        keep = group >= 0
        if not keep.all():
            self._refuse_gap(self._by, int(here[np.argmin(keep)]))
        void = [c for c, k in zip(self._schema.columns, np.diff(self._schema.starts), strict=True) if not k]
        if void and len(here):
            # No field could show that all of its cells are missing.
            self._refuse_gap(void[0], int(here[0]))
            return
        columns = self._schema.arrays(batch)
        fold = group * self._folds + fold_of(numbers, self._folds)
        if not keep.all():
            columns, fold, here = [c[keep] for c in columns], fold[keep], here[keep]
        threads = cores() if len(here) * len(columns) >= PARALLEL_CELLS else 1
        done = add_to_groups(columns, self._shift, fold, self._sums, threads)
        if done < len(here):
            self._add_some(np.column_stack([c[done:] for c in columns]), fold[done:], here[done:])

    def _groups_of(self, cells: pa.Array) -> NDArray[np.int64]:
        """Number of the group of each row, -1 where the cell is missing."""
        if isinstance(cells, pa.DictionaryArray):
            cells = cells.dictionary_decode()
        if pa.types.is_floating(cells.type):
            # Minus zero is zero.
            cells = pa.array(cells.to_numpy(zero_copy_only=False) + 0.0, from_pandas=True)
        coded = cells.dictionary_encode()
        code, known = self._codes_of(coded.dictionary)
        need = known * self._folds
        if need > len(self._sums):
            refuse_if_beyond_memory(need * self._size, f"{known:,} groups of '{self._by}'")
            # Doubled, so that a table of ever new groups is not copied for each.
            more = np.zeros((max(need, 2 * len(self._sums)), self._size))
            more[: len(self._sums)] = self._sums
            self._sums = more
        return np.append(code, -1)[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]

    def _codes_of(self, values: pa.Array) -> tuple[NDArray[np.int64], int]:
        """Numbers of the groups of distinct values, those that are new among them taken up; and how many there are."""
        import pyarrow.compute as pc

        if self._levels is None:
            self._levels = values.slice(0, 0)
        found = pc.index_in(values, value_set=self._levels)
        fresh = found.is_null().to_numpy(zero_copy_only=False)
        code = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        code[fresh] = np.arange(len(self._levels), len(self._levels) + fresh.sum())
        if fresh.any():
            self._levels = pa.concat_arrays([self._levels, values.filter(pa.array(fresh))])
        return code, len(self._levels)

    def _add_some(self, x: Array, fold: NDArray[np.int64], here: NDArray[np.int64]) -> None:
        """Add rows of which some are not finite."""
        for test, refuse in ((np.isinf, self._refuse_infinite), (np.isnan, self._refuse_gap)):
            if test(x).any():
                row, field = (int(i[0]) for i in np.nonzero(test(x)))
                refuse(self._schema.columns[self._schema.column_of_field[field]], int(here[row]))
        keep = ~np.isnan(x).any(axis=1)
        add_to_groups(list(x[keep].T), self._shift, fold[keep], self._sums)

    def _refuse_gap(self, column: str, row: int) -> None:
        if not self._drop:
            raise DataError(
                f"column '{column}' is missing in row {row}; groups are measured from whole rows: fill the cell, leave "
                'such rows out with missing="drop", or measure group by group'
            )

    def _refuse_infinite(self, column: str, row: int) -> None:
        raise DataError(f"column '{column}' holds an infinity in row {row}; replace it by a number or a missing cell")
