"""The lifts of a table, side by side: which columns it has, which fields they become, and how tables combine."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cumulant.errors import ColumnError, CumulantWarning, DataError, IncompatibleError, OptionError
from cumulant.lift.columns import (
    OTHER,
    Boolean,
    Categorical,
    Cyclic,
    Lift,
    Numeric,
    Temporal,
    as_text,
    from_dict,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Schema"]

LiftSpec = str | Sequence[str] | Lift
_SPECS = ("numeric", "boolean", "categorical", "wide", "temporal", "cyclic:day", "cyclic:week", "cyclic:year")


@dataclass(frozen=True)
class Schema:
    """The declared lifts of a table's columns, in order.

    Fields are numbered through all columns. A category has one field per level; since they sum to one, the first
    level is the *reference* and `independent` leaves it out. A wide category has no field: `wide` lists those.
    """

    lifts: tuple[Lift, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table."""
        return tuple(lift.name for lift in self.lifts)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of all fields, reference levels included."""
        return tuple(field for lift in self.lifts for field in lift.fields)

    @cached_property
    def column_of_field(self) -> NDArray[np.int64]:
        """Index of the column that each field belongs to."""
        return np.repeat(np.arange(len(self.lifts)), [len(lift.fields) for lift in self.lifts])

    @cached_property
    def wide(self) -> tuple[int, ...]:
        """Indices of the columns that are categories of many levels, kept by level."""
        return tuple(i for i, lift in enumerate(self.lifts) if isinstance(lift, Categorical) and lift.wide)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Index of the first field of each column, and one past the last."""
        return np.concatenate([[0], np.cumsum([len(lift.fields) for lift in self.lifts])]).astype(np.int64)

    @cached_property
    def independent(self) -> NDArray[np.int64]:
        """Indices of the fields without the reference level of each category."""
        keep = np.ones(len(self.fields), dtype=bool)
        for lift, start in zip(self.lifts, self.starts, strict=False):
            if isinstance(lift, Categorical) and lift.fields:
                keep[start] = False
        return np.flatnonzero(keep)

    def span(self, column: str) -> slice:
        """The fields of one column."""
        i = self.position(column)
        return slice(int(self.starts[i]), int(self.starts[i + 1]))

    @cached_property
    def _rank(self) -> dict[int, int]:
        return {int(field): i for i, field in enumerate(self.independent)}

    def independent_of(self, columns: str | Sequence[str]) -> NDArray[np.int64]:
        """Places among the independent fields of those of one or several columns."""
        spans = [self.span(name) for name in ([columns] if isinstance(columns, str) else columns)]
        found = (self._rank[i] for s in spans for i in range(s.start, s.stop) if i in self._rank)
        return np.fromiter(found, dtype=np.int64)

    def places_of(self, columns: str | Sequence[str]) -> NDArray[np.int64]:
        """Places in a row of those of one or several columns: their independent fields, then wide categories.

        A row has all independent fields first, then one place for each wide category.
        """
        names = [columns] if isinstance(columns, str) else columns
        chosen = [self.position(name) for name in names]
        wide = [len(self.independent) + self.wide.index(i) for i in chosen if i in self.wide]
        return np.concatenate([self.independent_of(names), np.array(wide, dtype=np.int64)])

    def position(self, column: str) -> int:
        """Index of a column; an unknown name is a ColumnError that offers close ones."""
        try:
            return self._places[column]
        except KeyError:
            raise unknown_column(column, self.columns) from None

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.columns)}

    def select(self, columns: Sequence[str]) -> Schema:
        """The schema of some of the columns, in the order given."""
        return Schema(tuple(self.lifts[self.position(column)] for column in columns))

    def forward(self, batch: pa.RecordBatch) -> NDArray[np.float64]:
        """Lift a batch of n rows to fields (n, p); columns it lacks, like missing cells, are NaN."""
        values = np.full((batch.num_rows, len(self.fields)), np.nan)
        present = {name: i for i, name in enumerate(batch.schema.names)}
        for j, lift in enumerate(self.lifts):
            if lift.name in present:
                lift.forward(batch.column(present[lift.name]), values[:, self.starts[j] : self.starts[j + 1]])
        return values

    def codes(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """Level of each row in each wide category (n, categories); -1 where it is missing, unknown or no column."""
        out = np.full((batch.num_rows, len(self.wide)), -1, dtype=np.int64, order="F")
        for c, i in enumerate(self.wide):
            lift = self.lifts[i]
            if isinstance(lift, Categorical) and lift.name in batch.schema.names:
                out[:, c] = lift.places(batch.column(lift.name))
        return out

    def wide_lifts(self) -> tuple[Categorical, ...]:
        """The wide categories."""
        return tuple(lift for lift in self.lifts if isinstance(lift, Categorical) and lift.wide)

    def arrays(self, batch: pa.RecordBatch) -> list[NDArray[np.float64]]:
        """The fields of a batch as one array (n,) each; a column of floats without nulls is not copied."""
        out: list[NDArray[np.float64]] = []
        for lift in self.lifts:
            cells = batch.column(lift.name)
            if isinstance(lift, Numeric) and str(cells.type) in ("double", "float") and not cells.null_count:
                out.append(cast("NDArray[np.float64]", np.from_dlpack(cells)))
                continue
            values = np.empty((batch.num_rows, len(lift.fields)), order="F")
            lift.forward(cells, values)
            out.extend(values.T)
        return out

    def grow(self, batch: pa.RecordBatch, limit: int) -> Schema:
        """Add the levels that a batch shows for the first time, up to ``limit`` a column; the rest is ``(other)``."""
        lifts = list(self.lifts)
        for i, lift in enumerate(lifts):
            if isinstance(lift, Categorical) and not lift.remainder:
                new = lift.unseen(batch.column(lift.name))
                room = limit - len(lift.levels)
                if new:
                    lifts[i] = lift.with_levels((*lift.levels, *new[:room]), remainder=len(new) > room)
                if len(new) > room:
                    _warn_capped(lift.name, limit)
        return self if lifts == list(self.lifts) else Schema(tuple(lifts))

    def union(
        self, other: Schema, void: frozenset[str] = frozenset(), void_other: frozenset[str] = frozenset()
    ) -> Schema:
        """The schema that rows of both tables fit; columns must agree in name, order and kind.

        Columns of which a table had no cell at all (``void``, ``void_other``) take the kind they have in the other.
        """
        if self == other:
            return self
        if self.columns != other.columns:
            missing = sorted(set(self.columns) ^ set(other.columns))
            what = f"only one of them has {', '.join(missing)}" if missing else "their order differs"
            raise IncompatibleError(
                f"the two tables do not have the same columns: {what}; select the same columns in both"
            )
        pairs = zip(self.lifts, other.lifts, strict=True)
        return Schema(tuple(b if a.name in void else a if a.name in void_other else _unite(a, b) for a, b in pairs))

    def embedding(self, target: Schema) -> NDArray[np.int64]:
        """For each field of this schema its index in ``target``, or -1 for one that target does not have.

        A level that target lacks goes to its ``(other)``.
        """
        index = {field: i for i, field in enumerate(target.fields)}
        names = ((lift.name, field) for lift in self.lifts for field in lift.fields)
        return np.array([index.get(f, index.get(f"{name}={OTHER}", -1)) for name, f in names], dtype=np.int64)

    def to_list(self) -> list[dict[str, Any]]:
        """Plain data, for files."""
        return [{"kind": lift.kind, **asdict(lift)} for lift in self.lifts]

    @staticmethod
    def from_list(state: Sequence[dict[str, Any]]) -> Schema:
        """The schema that `to_list` described."""
        return Schema(tuple(from_dict(item) for item in state))

    @staticmethod
    def fit(
        schema: pa.Schema,
        pilot: Sequence[pa.RecordBatch],
        *,
        lifts: Mapping[str, LiftSpec] | None = None,
        limit: int = 100,
    ) -> Schema:
        """Declare a lift for each column from its Arrow type and the first rows.

        Parameters
        ----------
        schema
            Arrow schema of the batches.
        pilot
            The first batches; levels of categories are taken from them, most frequent first when over ``limit``.
        lifts
            For some columns, the lift to use instead: a word (``"numeric"``, ``"boolean"``, ``"categorical"``,
            ``"wide"`` for a category kept by level whatever their number, ``"temporal"``), cycles
            (``["cyclic:day", "cyclic:year"]``), or a lift.
        limit
            Most levels that a category keeps.

        Raises
        ------
        ColumnError
            ``lifts`` names a column that the table does not have.
        OptionError
            A lift is not known.
        DataError
            A column's type cannot be lifted.
        """
        given = dict(lifts or {})
        for name in given:
            if name not in schema.names:
                raise unknown_column(name, schema.names)
        made = []
        for i, field in enumerate(schema):
            lift = _declare(field.name, field.type, given.get(field.name))
            if isinstance(lift, Categorical) and not lift.levels:
                lift = _levels_of_pilot(lift, [batch.column(i) for batch in pilot], limit)
            made.append(lift)
        return Schema(tuple(made))


def unknown_column(name: str, names: Sequence[str]) -> ColumnError:
    """The error for a column that is not there, with the closest names that are."""
    close = difflib.get_close_matches(str(name), list(names), n=3)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else f"there are {_list(names)}"
    return ColumnError(f"no column '{name}'; {hint}")


def _list(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(str(name) for name in names[:most])
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")


def _declare(name: str, kind: pa.DataType, spec: LiftSpec | None) -> Lift:
    import pyarrow as pa

    if isinstance(spec, Lift):
        return replace(spec, name=name)
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    words = [spec] if isinstance(spec, str) else list(spec or [])
    for word in words:
        if word not in _SPECS:
            raise OptionError(f"column '{name}': no lift '{word}'; choose among {', '.join(_SPECS)}")
    cycles = tuple(word.removeprefix("cyclic:") for word in words if word.startswith("cyclic:"))
    if cycles:
        return Cyclic(name, cycles, str(value_type))
    word = words[0] if words else _default(name, kind)
    if word in ("categorical", "wide"):
        return Categorical(name, (), arrow=_plain(value_type), wide=word == "wide")
    if word == "temporal":
        return Temporal(name, str(value_type))
    return Boolean(name) if word == "boolean" else Numeric(name)


def _default(name: str, kind: pa.DataType) -> str:
    import pyarrow as pa

    t = pa.types
    if t.is_boolean(kind):
        return "boolean"
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_null(kind):
        return "numeric"
    if t.is_temporal(kind):
        return "temporal"
    if t.is_dictionary(kind) or t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "categorical"
    raise DataError(
        f"column '{name}' has type {kind}, which has no lift; unnest or drop it, or convert it to numbers or text"
    )


def _plain(kind: pa.DataType) -> str:
    import pyarrow as pa

    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind)
    return str(kind) if plain else "string"


def _levels_of_pilot(lift: Categorical, cells: list[pa.Array], limit: int) -> Categorical:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [as_text(c) for c in cells]
    counts = pc.value_counts(pa.chunked_array(texts, type=pa.string()).drop_null()).to_pylist()
    # Ties broken by name, so that the levels kept never depend on the chunking.
    ranked = sorted(counts, key=lambda c: (-c["counts"], c["values"]))
    if len(ranked) > limit:
        _warn_capped(lift.name, limit)
    return lift.with_levels((c["values"] for c in ranked[:limit]), remainder=len(ranked) > limit)


def _warn_capped(name: str, limit: int) -> None:
    warnings.warn(
        f"column '{name}' has more than {limit} levels: {limit} are kept, the others are gathered as '{OTHER}'; "
        "raise levels= to keep more, or leave the column out",
        CumulantWarning,
        stacklevel=2,
    )


def _unite(a: Lift, b: Lift) -> Lift:
    if a == b:
        return a
    if isinstance(a, Categorical) and isinstance(b, Categorical):
        # A level that the other side has already gathered in its remainder cannot be told apart any more.
        ours, theirs = set(a.levels), set(b.levels)
        kept = {x for x in ours | theirs if (x in ours or not a.remainder) and (x in theirs or not b.remainder)}
        remainder = a.remainder or b.remainder or len(kept) < len(ours | theirs)
        return replace(a, wide=a.wide or b.wide).with_levels(kept, remainder=remainder)
    if a.kind == b.kind and not isinstance(a, Cyclic):
        return a
    raise IncompatibleError(
        f"column '{a.name}' is {a.kind} in one table and {b.kind} in the other; measure both with the same lifts="
    )
