"""Linear regression from Parquet and CSV files: whole processes, from the interpreter's start to its end."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import harness, synthetic
from benchmarks.from_files import WAYS
from benchmarks.harness import MeasurementError, Options, Process, say

SIZES = ((10_000_000, 10), (1_000_000, 100))
QUICK = ((2_000, 5),)
FORMATS = ("parquet", "csv")
# Solves nothing: what it takes to read.
FLOOR = "polars, column sums alone"
METHOD = (
    "Least squares with a constant, from a file with pyarrow's defaults (Parquet: snappy, row groups of 2²⁰ rows; CSV: "
    "shortest decimals that read back exactly) in a warm page cache. Each repetition is a fresh process, and its whole "
    "life is timed, imports included; in turn (A B C A B C …), after one of each. Peers that take over twice as long "
    "may be timed once. Peak memory is the high-water mark of resident memory (VmHWM), mapped files included. Ratio is "
    "cumulant's seconds over the peer's in the same round. "
    "Column sums alone solve nothing: they show what reading and decoding take. Error is the largest relative error "
    "of a coefficient; the exact solution is known by construction."
)


def run(options: Options) -> dict[str, Any]:
    names = options.keep(WAYS)
    machine = harness.machine()
    results = []
    for rows, columns in options.sizes or (QUICK if options.quick else SIZES):
        for format_ in FORMATS:
            with tempfile.TemporaryDirectory(prefix="cumulant-bench-") as folder:
                load = round(os.getloadavg()[0], 2)
                say(f"disk: {rows:,} × {columns + 1:,}, {format_}")
                path = Path(folder) / f"table.{format_}"
                harness.call("benchmarks.disk:generate", path=str(path), rows=rows, columns=columns)
                cases = _file(str(path), names, options)
                size = path.stat().st_size
            shape = {"rows": rows, "columns": columns, "format": format_, "file_bytes": size, "load_at_start": load}
            results.append({**shape, "cases": cases})
    parameters = {"dtype": "float64", "folds": 10, "rounds": options.rounds, "seed": 0}
    return {
        "benchmark": "disk", "method": METHOD, "machine": machine, "parameters": parameters, "results": results
    }  # fmt: skip


def _file(path: str, names: list[str], options: Options) -> dict[str, Any]:
    """All cases on one file; what fails at the first try is recorded with its reason, and not tried again."""
    cases: dict[str, Any] = {}
    peaks: dict[str, list[int]] = {name: [] for name in names}
    for name in names:
        try:
            cases[name] = {"coefficient_error": _error(_process(path, name))}
        except MeasurementError as reason:
            cases[name] = {"failed": str(reason)}
            say(f"  {name}: {reason}")

    def once(name: str) -> tuple[float, float]:
        process = _process(path, name)
        peaks[name].append(process.peak_bytes or 0)
        return process.wall, process.cpu

    working = {name: partial(once, name) for name, case in cases.items() if "failed" not in case}
    for name, summary in harness.summaries(harness.interleaved(working, options)).items():
        cases[name] |= {**summary, "peak_bytes": harness.spread(peaks[name])}
        say(line(name, cases[name]))
    return cases


def _process(path: str, name: str) -> Process:
    return harness.call("benchmarks.disk:solve", path=path, name=name)


def _error(process: Process) -> float | None:
    if process.result is None:
        return None
    found = synthetic.error(process.result)
    if found is None:
        raise MeasurementError("gave coefficients that are not numbers")
    return found


def line(name: str, case: dict[str, Any]) -> str:
    ratio = f"  ours/its {case['ratio']['median']:.3f}" if "ratio" in case else ""
    return f"  {name:50}{case['seconds']['median']:8.2f} s{case['peak_bytes']['median'] / 1e6:8,.0f} MB{ratio}"


# ---------------------------------------------------------------------------------- in the measured processes


def generate(path: str, rows: int, columns: int, group: int = 1 << 20) -> None:
    """Write the table piece by piece, as any program that logs rows would, in row groups of ``group`` rows."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    names = synthetic.names(columns)
    schema = pa.schema([(name, pa.float64()) for name in names])
    parquet = path.endswith(".parquet")
    writer = (pyarrow.parquet.ParquetWriter if parquet else pyarrow.csv.CSVWriter)(path, schema)
    held = []
    with writer:
        for block in synthetic.chunks(rows, columns):
            held.append(pa.table(list(block.T.copy()), schema=schema))
            # A table written in one call would have row groups of this many rows; so has one written in pieces.
            if not parquet or sum(piece.num_rows for piece in held) >= group:
                writer.write_table(pa.concat_tables(held))
                held = []
        if held:
            writer.write_table(pa.concat_tables(held))


def solve(path: str, name: str) -> list[float | None] | None:
    """The coefficients, constant first, by the way of that name."""
    return WAYS[name](path)
