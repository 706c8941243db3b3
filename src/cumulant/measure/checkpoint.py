"""The state of a measurement under way, kept in a file: after a kill the pass goes on where it was, to the last bit.

What is kept is what the pass consists of: the decisions of its beginning (schema, reference point, precision, number
of threads), every thread's sums with the rows that wait to be multiplied, and how many rows were consumed. A
fingerprint of the table and the options goes with it, so that no other measurement is taken for this one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.errors import CumulantWarning, FileFormatError, IncompatibleError, SourceError
from cumulant.lift import Schema
from cumulant.measure.higher import HigherSums
from cumulant.measure.levels import LevelSums
from cumulant.measure.moments import Moments
from cumulant.measure.native import library
from cumulant.measure.requirement import Requirement

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cumulant.measure.accumulate import Accumulator, Block
    from cumulant.source import Table

__all__ = ["KIND", "Checkpoint", "Saved", "fingerprint"]

KIND = "checkpoint"
# Seconds between two states; longer where writing one takes long, so that it costs a small part of the time.
INTERVAL = 60.0
PATIENCE = 20
# First rows that stand for a table's content.
ROWS = 64
SHOWN = 60
BESIDE = ("schema", "presence", "weighting", "levels", "higher")
ARRAYS = tuple(f.name for f in fields(Moments) if f.name not in BESIDE)


@dataclass(frozen=True)
class Saved:
    """What a file holds of a measurement.

    Parameters
    ----------
    start
        Moments of no rows: the schema, reference point and precision that the pass began with.
    schema
        The schema after the last block, with the levels seen since.
    threads
        Threads it runs on, between which blocks are dealt.
    dealt, rows
        Blocks and rows consumed.
    shares
        State of each accumulator.
    """

    start: Moments
    schema: Schema
    threads: int
    dealt: int
    rows: int
    shares: list[tuple[Moments, list[NDArray[Any]]]]


class Checkpoint:
    """Writes the state of a pass from time to time, and finds the one that an earlier pass left.

    Parameters
    ----------
    path
        The file.
    identity
        The `fingerprint` of table and options.

    Raises
    ------
    SourceError
        The file could not be written: its folder is not there, or not writable.
    FileFormatError
        It is something else than a checkpoint, or corrupted.
    IncompatibleError
        It is the state of another measurement; the message says what differs.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, str]) -> None:
        self.path = Path(path)
        self._identity = dict(identity)
        self._begin: dict[str, Any] = {}
        self._shift = np.zeros(0)
        self._stop = False
        self._last, self._interval = monotonic(), INTERVAL
        _refuse_place(self.path)
        self.saved = self._read() if self.path.exists() else None

    @contextmanager
    def begun(self, start: Moments, threads: int) -> Iterator[None]:
        """While a pass that began so is under way: an interrupt waits for the block and keeps the state.

        At the end the file is removed.
        """
        self._shift = start.shift
        self._begin = {
            "start": start.schema.to_list(),
            "folds": start.folds,
            "weighting": start.weighting,
            "exact": start.exact,
            "threads": threads,
            "higher": None if start.higher is None else start.higher.to_state()[1],
        }
        with self._interrupts():
            yield
        if self._stop:
            raise KeyboardInterrupt(f"stopped after the last row; {self.path} is as it was")
        self.path.unlink(missing_ok=True)
        self._sweep()

    def resume(self, shares: Sequence[Accumulator]) -> int:
        """Bring accumulators to the state that was saved, if there is one; gives the blocks they have."""
        if self.saved is None:
            return 0
        for share, (m, arrays) in zip(shares, self.saved.shares, strict=True):
            share.resume(m, arrays)
        # They are as large as the sums themselves.
        self.saved.shares.clear()
        return self.saved.dealt

    @property
    def rows(self) -> int:
        """Rows that an earlier pass has consumed."""
        return 0 if self.saved is None else self.saved.rows

    def rest(self, parts: Iterable[Any], passed: int = 0) -> Iterator[Any]:
        """The parts of a table that have not been consumed yet, from parts that begin at row ``passed``."""
        skip = self.rows - passed
        for part in parts:
            if skip and part.num_rows <= skip:
                skip -= part.num_rows
                continue
            yield part.slice(skip) if skip else part
            skip = 0
        if skip:
            raise IncompatibleError(
                f"{self.rows:,} rows were measured before {self.path} was written, and now the table ends after "
                f"{self.rows - skip:,}: it has changed; delete {self.path} to begin anew"
            )

    def due(self) -> bool:
        """Whether the state should be kept now."""
        return self._stop or monotonic() - self._last >= self._interval

    def keep(self, shares: Sequence[Accumulator], dealt: int, block: Block) -> None:
        """Write the state after a block.

        Raises
        ------
        KeyboardInterrupt
            The user asked to stop; the message says how to go on.
        """
        begin = monotonic()
        kept = self._written(shares, dealt, block)
        self._last = monotonic()
        self._interval = max(INTERVAL, PATIENCE * (self._last - begin))
        if self._stop:
            where = f"is kept in {self.path}" if kept else f"could not be kept in {self.path}"
            raise KeyboardInterrupt(
                f"the state after {block.end:,} rows {where}; measure the same table with the same options "
                "and checkpoint to go on"
            )

    def _written(self, shares: Sequence[Accumulator], dealt: int, block: Block) -> bool:
        arrays: dict[str, NDArray[Any]] = {"shift": self._shift}
        states = []
        for i, share in enumerate(shares):
            m, beside = share.state()
            arrays.update({f"{i}.{name}": getattr(m, name) for name in ARRAYS})
            arrays.update({f"{i}.{name}": array for name, array in m.levels.to_state().items()})
            if m.higher is not None:
                arrays.update({f"{i}.{name}": array for name, array in m.higher.to_state()[0].items()})
            arrays.update({f"{i}.beside.{j}": array for j, array in enumerate(beside)})
            states.append({"schema": m.schema.to_list(), "presence": list(m.presence), "beside": len(beside)})
        meta = {
            **self._begin,
            "identity": self._identity,
            "schema": block.schema.to_list(),
            "dealt": dealt,
            "rows": block.end,
            "shares": states,
        }
        try:
            storage.save(self.path, KIND, arrays, meta)
        except SourceError as error:
            warnings.warn(
                f"the measurement goes on, but its state is not kept: {error}. Make room on the disk; the next "
                "attempt follows",
                CumulantWarning,
                stacklevel=5,
            )
            return False
        return True

    def _read(self) -> Saved:
        try:
            kind, arrays, meta = storage.read(self.path)
        except FileFormatError as error:
            raise FileFormatError(
                f"{self.path} cannot be the state of a measurement: {error}. Give another name for the checkpoint, or "
                "delete the file to begin anew"
            ) from error
        if kind != KIND:
            raise FileFormatError(f"{self.path} holds {kind}, not a checkpoint; give the checkpoint another name")
        _refuse_other(self.path, meta["identity"], self._identity)
        self._sweep()
        weighting = meta["weighting"]
        start = Moments.empty(
            Schema.from_list(meta["start"]),
            arrays["shift"],
            folds=meta["folds"],
            weighting=weighting,
            exact=meta["exact"],
        )
        if meta["higher"] is not None:
            start = start.with_order(Requirement.from_dict(meta["higher"]))
        shares = []
        for i, state in enumerate(meta["shares"]):
            kept: dict[str, Any] = {name: arrays[f"{i}.{name}"] for name in ARRAYS}
            presence = tuple(int(c) for c in state["presence"])
            schema = Schema.from_list(state["schema"])
            mine = {name.removeprefix(f"{i}."): array for name, array in arrays.items() if name.startswith(f"{i}.")}
            levels = LevelSums.from_state(mine, schema)
            m = Moments(schema, presence=presence, weighting=weighting, levels=levels, **kept)
            if meta["higher"] is not None:
                m = replace(m, higher=HigherSums.from_state(mine, meta["higher"], schema))
            shares.append((m, [arrays[f"{i}.beside.{j}"] for j in range(state["beside"])]))
        schema = Schema.from_list(meta["schema"])
        return Saved(start, schema, meta["threads"], meta["dealt"], meta["rows"], shares)

    def _sweep(self) -> None:
        """Remove what a kill in the middle of writing left beside the file."""
        for left in self.path.parent.glob(f".{glob.escape(self.path.name)}.????????"):
            left.unlink(missing_ok=True)

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def ask(number: int, _: Any) -> None:
            self._stop = True
            # A second interrupt ends what the first has to wait for.
            signal.signal(number, before)

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def fingerprint(table: Table, first: Sequence[pa.RecordBatch], options: Mapping[str, Any]) -> dict[str, str]:
    """What tells one measurement from another: name, size, columns and first rows of the table, and the options."""
    head: list[Any] = []
    for batch in first:
        head.extend(batch.slice(0, ROWS - len(head)).to_pylist())
    return {
        "the table's name": table.name,
        "its bytes": str(table.size),
        "its rows": str(table.rows),
        "its columns": ", ".join(f"{field.name}: {field.type}" for field in table.schema),
        "its first rows": _digest(repr(head).encode()),
        "the arithmetic": "NumPy" if library() is None else "compiled",
        **{f"{name}=": _plain(value) for name, value in options.items()},
    }


def _plain(value: Any) -> str:
    """A short text for an option's value; for long ones a digest."""
    if isinstance(value, Moments):
        arrays = (value.shift, np.array([value.folds, value.exact]))
        value = [value.schema, value.weighting, *map(_plain, arrays)]
    if isinstance(value, np.ndarray):
        return f"{len(value):,} values {_digest(np.ascontiguousarray(value).tobytes())}"
    return repr(value)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _refuse_other(path: Path, saved: Mapping[str, str], now: Mapping[str, str]) -> None:
    differing = []
    for key in {**now, **saved}:
        was, is_ = saved.get(key, "not there"), now.get(key, "not there")
        if was != is_:
            differing.append(f"{key} {was}, now {is_}" if len(was + is_) <= SHOWN else key)
    if differing:
        raise IncompatibleError(
            f"{path} is the state of another measurement; what differs: {'; '.join(differing)}. Measure the same table "
            "with the same options to go on, give another checkpoint, or delete the file to begin anew"
        )


def _refuse_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise SourceError(f"cannot keep a checkpoint in {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise SourceError(f"cannot keep a checkpoint in {path}: it is a folder; give the name of a file")
    if not os.access(path.parent, os.W_OK):
        raise SourceError(
            f"cannot keep a checkpoint in {path}: the folder {path.parent} is not yours to write; choose another"
        )
