"""The one pass: rows stream by once, and only sums are kept."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cumulant.errors import CumulantWarning, OptionError
from cumulant.lift import Boolean, Categorical, Numeric, Schema
from cumulant.lift.schema import LiftSpec, unknown_column
from cumulant.measure.accumulate import Block, Columns, accumulate
from cumulant.measure.beside import Beside
from cumulant.measure.capacity import FOLDS, affordable_folds, refuse_if_beyond_memory, refuse_if_too_large
from cumulant.measure.checkpoint import Checkpoint, fingerprint
from cumulant.measure.conditioning import needs_compensation
from cumulant.measure.moments import WEIGHT_KINDS, Moments
from cumulant.measure.monomials import Monomials
from cumulant.measure.requirement import Requirement
from cumulant.measure.threads import cores, one_blas_thread
from cumulant.source import Table, open_table
from cumulant.source.arrays import is_remote
from cumulant.source.progress import track
from cumulant.source.table import head_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cumulant.measure.groups import Groups

__all__ = ["lifted", "measure"]

BLOCK_BYTES = 16 << 20
# Blocks that rows in memory are dealt out in, at least: fewer would not come out even on a few threads.
SHARES = 16
# Fewer cells are summed before a second thread has started.
PARALLEL_CELLS = 500_000
MISSING = ("integrate", "drop", "error")
LEFT_OUT = "rows have a missing cell and are left out of the moments of order 3"
PUSHDOWN = ("auto", True, False)
PRECISIONS = ("auto", "double", "compensated")
# Tables that an engine holds in partitions on many machines: the package they come from, and who measures them.
ENGINES = {"dask": ("cumulant.measure.dask", "measure_dask"), "pyspark": ("cumulant.measure.spark", "measure_spark")}


@overload
def measure(
    data: Any,
    *,
    order: int = 2,
    requirement: Requirement | None = None,
    folds: int | None = None,
    weights: str | Sequence[float] | NDArray[np.float64] | None = None,
    weight_kind: str = "frequency",
    missing: str = "integrate",
    columns: Sequence[str] | None = None,
    lifts: Mapping[str, LiftSpec] | None = None,
    levels: int = 10_000,
    precision: str = "auto",
    rows: int | str | Sequence[int] | NDArray[np.int64] | None = None,
    like: Moments | None = None,
    delimiter: str | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    pushdown: bool | str = "auto",
    group_by: None = None,
    symmetry: None = None,
) -> Moments: ...


@overload
def measure(
    data: Any,
    *,
    symmetry: Any,
    folds: int | None = None,
    missing: str = "integrate",
    columns: Sequence[str] | None = None,
    lifts: Mapping[str, LiftSpec] | None = None,
    levels: int = 100,
    rows: int | str | Sequence[int] | NDArray[np.int64] | None = None,
    like: Any = None,
    delimiter: str | None = None,
    progress: bool | None = None,
) -> Any: ...


@overload
def measure(
    data: Any,
    *,
    group_by: str,
    folds: int | None = None,
    missing: str = "integrate",
    columns: Sequence[str] | None = None,
    lifts: Mapping[str, LiftSpec] | None = None,
    levels: int = 10_000,
    rows: int | str | Sequence[int] | NDArray[np.int64] | None = None,
    delimiter: str | None = None,
    progress: bool | None = None,
) -> Groups: ...


def measure(
    data: Any,
    *,
    order: int = 2,
    requirement: Requirement | None = None,
    folds: int | None = None,
    weights: str | Sequence[float] | NDArray[np.float64] | None = None,
    weight_kind: str = "frequency",
    missing: str = "integrate",
    columns: Sequence[str] | None = None,
    lifts: Mapping[str, LiftSpec] | None = None,
    levels: int = 10_000,
    precision: str = "auto",
    rows: int | str | Sequence[int] | NDArray[np.int64] | None = None,
    like: Any = None,
    delimiter: str | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    pushdown: bool | str = "auto",
    group_by: str | None = None,
    symmetry: Any = None,
) -> Any:
    """Measure the moments of a table in one pass over its rows.

    Parameters
    ----------
    data
        A path (CSV, TSV, Parquet file, glob or directory, Arrow IPC), an SQL query or ``duckdb:///`` address, a
        pandas or polars frame, an Arrow table or stream, a numpy array, a dict of columns; an array of PyTorch, CuPy or
        JAX, summed on the device it lies on; or a table in partitions on many machines: a Dask dataframe or array, a
        Spark dataframe.
    order
        Highest order of the moments, 2 to 6; 2 is what the Gaussian theory requires. Those from the third on are
        measured over the rows without a gap.
    requirement
        What a theory requires, its ``theory.requires()``, instead of all moments to an order.
    folds
        Number of sets of sums K; rows are dealt to them by a hash of the row number. Default: 10; fewer, with a
        warning, where their sums would take more than a sixteenth of this machine's memory; 1 for groups.
    weights
        A column of the table (which then is no field), or one weight per row.
    weight_kind
        ``"frequency"``: a row of weight w stands for w equal rows. ``"importance"``: a row of weight w has variance
        proportional to 1/w (as in weighted least squares); only ratios matter.
    missing
        ``"integrate"``: a missing cell is a field to integrate out; pairs of columns are measured where both are
        present. ``"drop"``: leave out rows with a missing cell. ``"error"``: refuse them.
    columns
        Measure only these columns (for a bare array: their names).
    lifts
        How to read some columns as numbers, e.g. ``{"zip": "categorical", "time": ["cyclic:day", "cyclic:year"]}``.
    levels
        Most levels that a category keeps; the rest is gathered as ``(other)``, with a warning. One of more than 100
        levels is *wide*: its sums are kept by level, in `Moments.levels`, and it has no field in the covariance.
    precision
        ``"double"``, ``"compensated"`` (error-free sums in double-double, some ten times the work) or ``"auto"``:
        compensated when the first rows show that the covariance would lose more than half its digits.
    rows
        Row numbers: the first one, one per row, or the column that holds them. Default: 0, 1, 2, …; for a pandas
        frame with an integer index, the index.
    like
        Moments whose schema, reference point, folds, order and precision to share.
    delimiter
        Field separator of a CSV file; found out when not given.
    progress
        Show a progress bar; default: when it takes over a second and stderr is a terminal.
    checkpoint
        A file to keep the state in, every minute and at an interrupt; removed at the end. Where it is there already,
        the pass goes on from it, with the same result to the last bit. The table must give the same rows in the same
        order.
    pushdown
        For rows in DuckDB, or in a database that it attaches: True has it compute the sums where the rows lie, by one
        SQL statement; False streams the rows; ``"auto"`` takes what should be faster by the rates measured for this
        package, and says so in ``notes``. The moments are the same to rounding.
    group_by
        A column whose values part the rows into groups: moments of each, in the same pass. For rows without gaps and
        without weights, in double precision.
    symmetry
        A group that acts on the columns (`cumulant.symmetry`): only what it leaves free is summed, which on a ring or
        a grid costs n p log p. For rows without gaps and without weights.

    Returns
    -------
    Moments, Groups or Reduced
        With ``group_by``, a mapping from each of its values to the moments of its rows. With ``symmetry``, the mean and
        the blocks of an invariant covariance.

    Raises
    ------
    SourceError, DataError, ColumnError, OptionError
        The table cannot be read, a cell cannot be measured, or an option is wrong; each names which.
    FileFormatError, IncompatibleError
        The checkpoint is none, or that of another measurement.
    ResourceError
        The sums would not fit in memory.

    Examples
    --------
    >>> import cumulant as cm
    >>> m = cm.measure({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 5.0, 7.0]})
    >>> m.mean
    array([1.5, 4. ])
    >>> m.covariance
    array([[1.66666667, 3.33333333],
           [3.33333333, 6.66666667]])
    """
    required = Requirement(order) if requirement is None else requirement
    _check(folds, weight_kind, missing, precision, pushdown)
    _check_order(required.order, weight_kind if weights is not None else "none")
    if is_remote(data) or _engine_of(data) is not None:
        options = {
            "folds": FOLDS if folds is None else folds,
            "weights": weights,
            "weight_kind": weight_kind,
            "missing": missing,
            "columns": columns,
            "lifts": lifts,
            "levels": levels,
            "precision": precision,
            "rows": rows,
            "delimiter": delimiter,
        }
        local = {"checkpoint": checkpoint, "group_by": group_by, "symmetry": symmetry}
        local["pushdown"] = pushdown is True or None
        return _measure_elsewhere(data, required, like, local, options)
    _check_in_place(pushdown, checkpoint, group_by, symmetry)
    if symmetry is not None:
        return _under(
            symmetry,
            data,
            unfit={
                "group_by": group_by is not None,
                "weights": weights is not None,
                "checkpoint": checkpoint is not None,
                "precision": precision == "compensated",
                "order": required.order > 2,
            },
            folds=folds,
            missing=missing,
            columns=columns,
            lifts=lifts,
            levels=levels,
            rows=rows,
            like=like,
            delimiter=delimiter,
            progress=progress,
        )
    if group_by is not None:
        from cumulant.measure.groups import measure_groups

        unfit = {"weights": weights, "like": like, "checkpoint": checkpoint, "requirement": requirement}
        return measure_groups(
            data,
            group_by,
            unfit={name: value is not None for name, value in unfit.items()}
            | {"precision": precision == "compensated", "order": order > 2},
            folds=1 if folds is None else folds,
            missing=missing,
            columns=columns,
            lifts=lifts,
            levels=levels,
            rows=rows,
            delimiter=delimiter,
            progress=progress,
        )
    beside = [name for name in (weights, rows) if isinstance(name, str)]
    wanted = None if columns is None else [*columns, *(name for name in beside if name not in columns)]
    table = open_table(data, columns=wanted, delimiter=delimiter)
    side = Beside.of(table, weights, rows)
    batches = _blocks(table.open())
    pilot_rows = head_rows(len(table.schema))
    pilot = _take(batches, pilot_rows)
    kept = None
    if checkpoint is not None:
        decided: dict[str, Any] = {
            "folds": folds or FOLDS,
            "weight_kind": weight_kind,
            "missing": missing,
            "levels": levels,
        }
        given = {"lifts": lifts, "precision": precision, "weights": side.weights, "rows": side.rows, "like": like}
        decided["order"] = asdict(required)
        kept = Checkpoint(checkpoint, fingerprint(table, pilot, {**decided, **given}))
    weighting = "none" if weights is None else weight_kind
    saved = None if kept is None else kept.saved
    if saved is not None:
        start = saved.start
    elif like is not None:
        start = _begin_like(like, _fields(table, side), None if weights is None else weight_kind)
    else:
        fields = _fields(table, side)
        head = [batch.select(fields.names) for batch in _first_rows(pilot, pilot_rows)]
        schema = Schema.fit(fields, head, lifts=lifts, limit=levels)
        folds = affordable_folds(len(schema.fields)) if folds is None else folds
        refuse_if_too_large(len(schema.fields), folds)
        _refuse_levels(schema, folds)
        with one_blas_thread(len(schema.fields)):
            start = _begin(schema, head, folds, weighting, precision)
        del head
        start = with_room(start, required)
    asked = pushdown if kept is None else False
    stream = _in_place(table, side, start, pilot, missing, levels, asked=asked, others=batches)
    if isinstance(stream, Moments):
        return stream
    passed, stream = (0, stream) if saved is None else _resumed(table, saved.rows, stream)
    parts = track(table, _parts(table, start.schema, stream), enabled=progress)
    # Of rows that are summed where they lie, the first are not kept as batches too.
    del pilot, batches, stream
    if saved is None:
        cells = (table.rows or PARALLEL_CELLS) * (len(start.schema.fields) + len(start.schema.wide))
        threads = cores() if cells >= PARALLEL_CELLS else 1
    else:
        threads = saved.threads
    if kept is None:
        return _told(accumulate(_numbered(parts, start.schema, levels, side), start, missing, threads))
    schema = start.schema if saved is None else saved.schema
    with kept.begun(start, threads):
        blocks = _numbered(kept.rest(parts, passed), schema, levels, side, kept.rows)
        return _told(accumulate(blocks, start, missing, threads, kept))


def _engine_of(data: Any) -> tuple[str, str] | None:
    return ENGINES.get(type(data).__module__.partition(".")[0])


def _measure_elsewhere(
    data: Any, required: Requirement, like: Moments | None, unfit: Mapping[str, Any], options: dict[str, Any]
) -> Moments:
    """The moments of a table on a cluster, or of an array on a device."""
    engine = _engine_of(data)
    where = "a device" if engine is None else "a cluster"
    for name, value in unfit.items():
        if value is not None:
            remedy = "pass it to cumulant.solve" if name == "symmetry" else "leave it out, or bring the rows here"
            raise OptionError(f"{name}= is for one machine, not for {where}; {remedy}")
    if engine is None:
        if required.order > 2:
            raise OptionError(f"order={required.order} is for one machine; on {where}, moments have order 2")
        from cumulant.measure.device import measure_device

        return measure_device(data, like=like, **options)
    from cumulant.measure.cluster import Options

    kind = f"{engine[1].removeprefix('measure_').title()} {type(data).__name__}"
    chosen = Options.of(kind, requirement=required, **options)
    return _told(getattr(import_module(engine[0]), engine[1])(data, chosen, like))


def _resumed(table: Table, rows: int, stream: Iterator[pa.RecordBatch]) -> tuple[int, Iterator[pa.RecordBatch]]:
    """The row to go on from, and the batches from there on: after so many rows where the table can, else the first."""
    if table.resume is None or table.arrays is not None:
        return 0, stream
    passed, rest = table.resume(rows)
    return passed, _blocks(rest)


def _under(symmetry: Any, data: Any, **options: Any) -> Any:
    """Moments under a group, which knows what it needs of a table."""
    if not hasattr(symmetry, "measure"):
        raise OptionError(
            f"symmetry={symmetry!r}: a table is measured under one group, as cumulant.symmetry.cyclic(24); "
            "give 'detect' or several groups to cumulant.solve or cumulant.fit"
        )
    return symmetry.measure(data, **options)


def with_room(start: Moments, required: Requirement) -> Moments:
    """The start with room for the sums that a theory requires.

    Raises
    ------
    ResourceError
        They would not fit in memory.
    """
    required = required.of(len(start.columns))
    if required.order == 2:
        return start
    # The sums under way of each thread, the copy that is taken of them, and the moments made of it.
    refuse_if_beyond_memory(
        (cores() + 2) * start.folds * Monomials.number(required, start.schema),
        f"moments to order {required.order} of {len(start.columns):,} fields in {start.folds} folds",
    )
    return start.with_order(required)


def _told(m: Moments) -> Moments:
    """The moments; the user hears of rows that are not in all of them."""
    if m.higher is not None and m.higher.rows.sum() < m.rows.sum():
        left = int(m.rows.sum() - m.higher.rows.sum())
        warnings.warn(
            f"{left:,} of {m.rows.sum():,} {LEFT_OUT} to {m.order}; impute them first, or choose columns= "
            "without gaps, to use them",
            CumulantWarning,
            stacklevel=3,
        )
    return m


def _in_place(
    table: Table,
    side: Beside,
    start: Moments,
    pilot: list[pa.RecordBatch],
    missing: str,
    levels: int,
    *,
    asked: bool | str,
    others: Generator[pa.RecordBatch],
) -> Moments | Iterator[pa.RecordBatch]:
    """The moments of a table that its database sums; the rows where they are to be streamed."""
    if not asked or (table.database is None and asked is not True):
        return chain(pilot, others)
    from cumulant.measure.pushdown import Pass, choose, push

    task = Pass(table, side, start, _first_rows(pilot, head_rows(len(table.schema))), missing, levels)
    why = choose(task, asked)
    if why is None:
        return chain(pilot, others)
    others.close()  # a connection answers one query at a time
    pushed = push(task, why)
    return _blocks(table.open()) if pushed is None else pushed


def _fields(table: Table, side: Beside) -> pa.Schema:
    """The columns of a table that are measured."""
    import pyarrow as pa

    return pa.schema([field for field in table.schema if field.name not in side.columns])


def _parts(table: Table, schema: Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
    """The rows in parts of bounded size: columns as they lie in memory where that can be, else record batches."""
    plain = all(isinstance(lift, Numeric) for lift in schema.lifts)
    if table.arrays is None or not plain or table.rows is None or list(schema.columns) != table.schema.names:
        return batches
    arrays = table.arrays
    shares = SHARES if table.rows * len(arrays) >= PARALLEL_CELLS else 1
    step = max(256, min(2 * BLOCK_BYTES // (8 * max(1, len(arrays))), -(-table.rows // shares)))
    return (Columns([a[i : i + step] for a in arrays]) for i in range(0, table.rows, step))


def _numbered(parts: Iterable[Any], schema: Schema, levels: int, side: Beside, first: int = 0) -> Iterator[Block]:
    """Blocks with their row numbers and weights, and levels seen for the first time added to the schema."""
    for part in parts:
        if not isinstance(part, Columns):
            schema = schema.grow(part, levels)
        end = first + part.num_rows
        yield Block(schema, part, first, side.rows_of(part, first), side.weights_of(part, first), end).weighty()
        first = end


def lifted(data: Any, schema: Schema, *, delimiter: str | None = None) -> Iterator[NDArray[np.float64]]:
    """The rows of a table: blocks (n, p + c) of independent fields, then the level of each wide category.

    NaN where a cell is missing.
    """
    table = open_table(data, delimiter=delimiter)
    if table.arrays is not None and all(isinstance(lift, Numeric) for lift in schema.lifts):
        known = dict(zip(table.schema.names, table.arrays, strict=True))
        x = np.empty((table.rows or 0, len(schema.columns)))
        for j, name in enumerate(schema.columns):
            x[:, j] = known.get(name, np.nan)
        yield x
        return
    for batch in _blocks(table.open()):
        fields = schema.forward(batch)[:, schema.independent]
        if not schema.wide:
            yield fields
            continue
        codes = schema.codes(batch)
        yield np.column_stack([fields, np.where(codes >= 0, codes, np.nan)])


def _begin(schema: Schema, pilot: list[pa.RecordBatch], folds: int, weighting: str, precision: str) -> Moments:
    p = len(schema.fields)
    x = np.concatenate([schema.forward(batch) for batch in pilot]) if pilot else np.zeros((0, p))
    x[~np.isfinite(x)] = np.nan
    exact = precision == "compensated"
    if precision == "auto" and needs_compensation(x[:, schema.independent]):
        warnings.warn(
            "the columns are nearly collinear (the covariance would lose more than half its digits): "
            'measured in compensated arithmetic; precision="double" forces the fast sums',
            CumulantWarning,
            stacklevel=3,
        )
        exact = True
    shift = _reference(schema, x, exact)
    return Moments.empty(schema, shift, folds=folds, weighting=weighting, exact=exact)


def _begin_like(like: Moments, fields: pa.Schema, weighting: str | None) -> Moments:
    for name in like.schema.columns:
        if name not in fields.names:
            raise unknown_column(name, fields.names)
    return like.none(weighting)


def _reference(schema: Schema, x: NDArray[np.float64], exact: bool) -> NDArray[np.float64]:
    """Pilot means of the numbers; 0 for indicators, whose sums then are whole numbers.

    Exact arithmetic must not round x − shift: there a mean is used only where every pilot value lies within a factor
    two of it, and the difference of two such numbers is exact (Sterbenz, Floating-Point Computation, 1974, theorem
    4.3.1).
    """
    present = ~np.isnan(x)
    count = present.sum(axis=0)
    mean = np.where(present, x, 0.0).sum(axis=0) / np.maximum(count, 1)
    for lift, start in zip(schema.lifts, schema.starts, strict=False):
        if isinstance(lift, (Boolean, Categorical)):
            mean[start : start + len(lift.fields)] = 0.0
    if exact:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(present, x / mean, 1.0)
        mean[~((ratio >= 0.5) & (ratio <= 2.0)).all(axis=0)] = 0.0
    return mean


def _refuse_levels(schema: Schema, folds: int) -> None:
    """Raise a ResourceError with the figure when the sums by level would not fit in memory."""
    levels = sum(len(lift.all_levels) for lift in schema.wide_lifts())
    # Each thread's sums, their total, and the copy that is taken when levels are added.
    refuse_if_beyond_memory(
        levels * (len(schema.fields) + 1) * folds * (cores() + 2), f"{levels:,} levels in {folds} folds"
    )


def _check_order(order: int, weighting: str) -> None:
    if order > 2 and weighting == "importance":
        raise OptionError(
            f"order={order}: a weight that says how precise a row is does not say what its third moments are; use "
            'weight_kind="frequency", or order=2'
        )


def _check(folds: int | None, weight_kind: str, missing: str, precision: str, pushdown: bool | str) -> None:
    if folds is not None and not 1 <= folds <= 1000:
        raise OptionError(f"folds={folds!r}: give a whole number from 1 to 1000")
    for name, value, choices in (
        ("weight_kind", weight_kind, WEIGHT_KINDS[1:]),
        ("missing", missing, MISSING),
        ("precision", precision, PRECISIONS),
        ("pushdown", pushdown, PUSHDOWN),
    ):
        if value not in choices:
            raise OptionError(f"{name}={value!r}: choose among {', '.join(map(repr, choices))}")


def _check_in_place(pushdown: bool | str, *others: object) -> None:
    if pushdown is True and any(other is not None for other in others):
        raise OptionError(
            "pushdown=True: a database sums one table at once, without checkpoint=, group_by= or symmetry="
        )


def _blocks(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """The same rows in batches whose lifted block stays near the cache, whatever the reader's batch size."""
    for batch in batches:
        step = max(256, BLOCK_BYTES // (8 * max(1, batch.num_columns)))
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)


def _take(batches: Iterator[pa.RecordBatch], rows: int) -> list[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    while sum(b.num_rows for b in held) < rows:
        batch = next(batches, None)
        if batch is None:
            break
        held.append(batch)
    return held


def _first_rows(batches: list[pa.RecordBatch], rows: int) -> list[pa.RecordBatch]:
    head, left = [], rows
    for batch in batches:
        head.append(batch.slice(0, left))
        left -= len(head[-1])
    return [batch for batch in head if batch.num_rows]
