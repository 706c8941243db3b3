"""Ten thousand columns: seconds and peak memory of a fit, from memory and from a file; more columns than rows."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks import disk, harness, synthetic
from benchmarks.harness import Options, say

SIZES = ((50_000, 9_999), (2_000, 9_999))
QUICK = ((300, 50), (20, 50))
WAYS = ("array", "Parquet")
METHOD = (
    "`cm.measure` and `cm.solve` with their defaults, once, in a fresh process. With more rows than columns no prior, "
    "and `summary` (coefficients, standard errors, tests); else the prior that is chosen by default, and predictions "
    "of 100 rows. From a row-major float64 array, which is part of the peak, or from a Parquet file in row groups of "
    "2¹³ rows. Peak memory is the high-water mark of resident memory (VmHWM) of the whole process. GFLOP/s are those "
    "of the n p (p + 1) operations of the symmetric sums. Error is the largest relative error of a coefficient, where "
    "the exact solution is known: without a prior."
)
LONGEST = 1800.0
GROUP = 1 << 13


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    results = []
    for rows, columns in options.sizes or (QUICK if options.quick else SIZES):
        load = round(os.getloadavg()[0], 2)
        cases = {way: _case(way, rows, columns) for way in options.keep(WAYS)}
        results.append({"rows": rows, "columns": columns + 1, "load_at_start": load, "cases": cases})
    return {
        "benchmark": "wide", "method": METHOD, "machine": machine, "parameters": {"seed": 0}, "results": results
    }  # fmt: skip


def _case(way: str, rows: int, columns: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="cumulant-bench-") as folder:
        path = None
        if way == "Parquet":
            path = str(Path(folder) / "table.parquet")
            harness.call("benchmarks.wide:generate", timeout=LONGEST, path=path, rows=rows, columns=columns)
        process = harness.call("benchmarks.wide:solve", timeout=LONGEST, path=path, rows=rows, columns=columns)
    out: dict[str, Any] = {**process.result, "peak_bytes": process.peak_bytes}
    say(
        f"wide: {rows:,} × {columns + 1:,}, {way}: measure {out['measure_seconds']} s, solve {out['solve_seconds']} s, "
        f"peak {(process.peak_bytes or 0) / 1e9:.2f} GB"
    )
    return out


# ---------------------------------------------------------------------------------- in the measured processes


def generate(path: str, rows: int, columns: int) -> None:
    disk.generate(path, rows, columns, group=GROUP)


def solve(path: str | None, rows: int, columns: int) -> dict[str, Any]:
    """Seconds of the two parts of a fit, and the error of its coefficients."""
    import cumulant as cm

    data = synthetic.table(rows, columns) if path is None else path
    start = time.perf_counter()
    with warnings.catch_warnings():
        # That memory allows fewer folds than ten.
        warnings.simplefilter("ignore", cm.CumulantWarning)
        m = cm.measure(data)
    measured = time.perf_counter()
    target, error = m.columns[-1], None
    if rows > columns + 1:
        error = synthetic.error(cm.solve(m, prior=None).summary(target).values[:, 0].tolist())
    else:
        new = synthetic.table(100, columns, seed=1)[:, :-1]
        cm.solve(m, target=target).predict(target, given=dict(zip(m.columns, new.T, strict=False)))
    solved = time.perf_counter()
    seconds = measured - start
    return {
        "measure_seconds": float(f"{seconds:.3g}"),
        "solve_seconds": float(f"{solved - measured:.3g}"),
        "gflops": float(f"{rows * (columns + 1) * (columns + 2) / seconds / 1e9:.3g}"),
        "folds": m.folds,
        "coefficient_error": error,
    }
