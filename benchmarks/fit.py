"""Linear regression from float64 arrays in memory: seconds, extra memory, and error of the coefficients."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

from benchmarks import harness
from benchmarks.harness import Options, say
from benchmarks.regressions import REGRESSIONS, Data, quietly
from benchmarks.synthetic import error

SIZES = ((1_000_000, 10), (1_000_000, 100), (200_000, 1000), (10_000_000, 10))
QUICK = ((2_000, 5),)
METHOD = (
    "Least squares with a constant on a row-major float64 array, default threads. cumulant: measure with ten folds, "
    "solve without a prior, summary (coefficients, standard errors, tests). Peers: fit, with their defaults; "
    "statsmodels with its summary. Seconds are of repeated calls in one process, in turn (A B C A B C …), after one "
    "call each; ratio is cumulant's seconds over the peer's in the same round. Extra memory is the peak of resident "
    "memory in a fresh process above its level with the data loaded. Error is the largest relative error of a "
    "coefficient; the exact solution is known by construction. The load at the start stands beside each size. "
)


def run(options: Options) -> dict[str, Any]:
    names = options.keep(REGRESSIONS)
    machine = harness.machine()
    results = []
    for rows, columns in options.sizes or (QUICK if options.quick else SIZES):
        say(f"fit: {rows:,} × {columns:,}")
        results.append(_size(rows, columns, names, options))
    parameters = {"dtype": "float64", "layout": "row-major", "folds": 10, "rounds": options.rounds, "seed": 0}
    return {
        "benchmark": "fit", "method": METHOD, "machine": machine, "parameters": parameters, "results": results
    }  # fmt: skip


def _size(rows: int, columns: int, names: list[str], options: Options) -> dict[str, Any]:
    shape = {"rows": rows, "columns": columns}
    limits = {"rounds": options.rounds, "budget": options.budget}
    load = round(os.getloadavg()[0], 2)
    answer = harness.call("benchmarks.fit:timings", timeout=7200, names=names, **limits, **shape).result
    cases = answer["cases"]
    for name, case in cases.items():
        case["extra_bytes"] = harness.call("benchmarks.fit:memory", name=name, **shape).result
        say(line(name, case))
    return {**shape, **answer, "load_at_start": load}


def line(name: str, case: dict[str, Any]) -> str:
    ratio = f"  ours/its {case['ratio']['median']:.3f}" if "ratio" in case else ""
    extra = "" if case["extra_bytes"] is None else f"  +{case['extra_bytes'] / 1e6:,.0f} MB"
    return f"  {name:34}{case['seconds']['median']:9.4f} s{extra:>12}{ratio}"


# ---------------------------------------------------------------------------------- in the measured processes


def timings(rows: int, columns: int, names: list[str], rounds: int, budget: float) -> dict[str, Any]:
    """Times of all cases that the table is not too large for, and why the others are left out."""
    left_out = {name: why for name in names if (why := REGRESSIONS[name].left_out(rows, columns))}
    data = Data.make(rows, columns, "both")
    calls, first = {}, {}
    for name in names:
        if name not in left_out:
            calls[name] = partial(quietly(REGRESSIONS[name].prepare()), data)
            start = time.perf_counter()
            coefficients = calls[name]()
            first[name] = {
                "first_seconds": float(f"{time.perf_counter() - start:.4g}"),
                "coefficient_error": error(coefficients.tolist()),
            }
    times = harness.interleaved(
        {name: partial(harness.timed, call) for name, call in calls.items()},
        Options(rounds=rounds, budget=budget),
    )
    summaries = harness.summaries(times)
    return {"cases": {name: summaries[name] | first[name] for name in summaries}, "left_out": left_out}


def memory(rows: int, columns: int, name: str) -> int | None:
    """Peak extra memory of one case; its code is loaded and has run once, on few rows."""
    fit = quietly(REGRESSIONS[name].prepare())
    fit(Data.make(2 * columns + 20, columns, REGRESSIONS[name].forms))
    data = Data.make(rows, columns, REGRESSIONS[name].forms)
    return harness.peak_extra(partial(fit, data))
