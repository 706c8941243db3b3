"""Which columns of a table are read, and the plain types that they come out as."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cumulant.errors import ColumnError, DataError, OptionError, SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Columns", "array_of", "as_names", "choose", "closest", "unique"]


@dataclass(frozen=True)
class Columns:
    """The columns kept of a source: their schema, and the step from a batch as read to a batch as promised."""

    schema: pa.Schema

    @staticmethod
    def of(schema: pa.Schema, where: str, columns: Sequence[str] | None = None) -> Columns:
        """Check names and types, and choose.

        Raises
        ------
        SourceError
            If the table has no columns.
        DataError
            If two columns share a name, or a chosen column is nested or binary.
        ColumnError
            If `columns` names one that is not there.
        """
        if not schema.names:
            raise SourceError(f"{where} has no columns. Give a table with at least one named column")
        unique(schema.names, where)
        names = choose(schema.names, columns, where)
        fields = [pa.field(name, _plain(schema.field(name).type, name, where)) for name in names]
        return Columns(pa.schema(fields))

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch as read (these columns among others, in any order) as a batch of `schema`."""
        arrays = [_convert(batch.column(field.name), field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def array_of(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers (n,), where they are `valid`, as an Arrow array in the same memory.

    ``pa.array`` would import pandas, which takes longer than most fits.
    """
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])


def as_names(columns: Sequence[str] | str | None) -> list[str] | None:
    """Column names as a list of text; a single name may be given bare.

    Raises
    ------
    OptionError
        If the list is empty or names a column twice.
    """
    if columns is None:
        return None
    names = [columns] if isinstance(columns, str) else [str(column) for column in columns]
    if not names:
        raise OptionError("columns is empty. Name at least one column, or leave it out to read them all")
    repeated = _repeated(names)
    if repeated:
        raise OptionError(f"columns names {_quoted(repeated)} more than once. Name each column once")
    return names


def choose(names: Sequence[str], columns: Sequence[str] | None, where: str) -> list[str]:
    """The chosen columns in the order asked for, or all of them."""
    if columns is None:
        return list(names)
    known = set(names)
    for column in columns:
        if column not in known:
            raise ColumnError(f"{where} has no column {column!r}.{closest(column, names, 'Its columns are')}")
    return list(columns)


def closest(wanted: str, known: Iterable[str], otherwise: str) -> str:
    """A sentence that offers the names nearest to `wanted`, or lists the first few that exist."""
    known = list(known)
    folded = {name.casefold(): name for name in reversed(known)}
    matches = [folded[near] for near in difflib.get_close_matches(wanted.casefold(), folded, n=3)]
    if matches:
        return f" Did you mean {' or '.join(repr(match) for match in matches)}?"
    if not known:
        return ""
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return f" {otherwise} {_quoted(known[:8])}{more}"


def unique(names: Sequence[str], where: str) -> None:
    """Refuse a table in which a name could mean two columns."""
    repeated = _repeated(names)
    if repeated:
        places = [str(at + 1) for at, name in enumerate(names) if name == repeated[0]]
        raise DataError(
            f"{where} has more than one column named {_quoted(repeated)} "
            f"({repeated[0]!r} is column {' and '.join(places)}). Rename them so that each name is used once"
        )


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _plain(kind: pa.DataType, column: str, where: str) -> pa.DataType:
    """The type that a column of type `kind` comes out as; few types here mean few cases downstream."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type, column, where)
    if types.is_dictionary(kind):
        return pa.dictionary(pa.int32(), _plain(kind.value_type, column, where), kind.ordered)
    if types.is_run_end_encoded(kind):
        return _plain(kind.value_type, column, where)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_decimal(kind) or types.is_null(kind):
        return pa.float64()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return kind
    if types.is_date(kind) or types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind):
        return kind
    raise DataError(f"Column {column!r} of {where} is of type {kind}, which has no single value a row. {_remedy(kind)}")


def _remedy(kind: pa.DataType) -> str:
    if pa.types.is_nested(kind):
        return "Flatten it into plain columns (or a number such as its length), or leave it out with columns=[…]"
    return "Convert it to numbers or text, or leave it out with columns=[…]"


def _convert(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if isinstance(array.type, pa.BaseExtensionType):
        return _convert(array.storage, kind)
    if pa.types.is_run_end_encoded(array.type):
        import pyarrow.compute as pc

        return _convert(pc.run_end_decode(array), kind)
    if pa.types.is_dictionary(array.type):
        # Arrow cannot cast every dictionary; its two halves it can.
        codes, values = array.indices.cast(pa.int32()), _convert(array.dictionary, kind.value_type)
        return pa.DictionaryArray.from_arrays(codes, values, ordered=kind.ordered)
    return array.cast(kind)
