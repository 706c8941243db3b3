"""Many small models in one pass: rows a second, and the file that keeps all of them."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import OURS, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

SIZES = ((2_000_000, 100_000),)
QUICK = ((3_000, 150),)
NUMBERS = 10
PARQUET, POLARS, DUCKDB = "cumulant, from Parquet", "polars", "DuckDB"
METHOD = (
    "Moments of ten numbers for each of many groups, which rows belong to by chance, by a column of integers of an "
    "Arrow table, with default threads. cumulant: measure(group_by=), from the table in memory and from a Parquet "
    "file of it in the page cache. Peers, from the table in memory: the count, 10 sums and 55 sums of products of "
    "each group, by GROUP BY in DuckDB and group_by in polars; both sum without a reference point, so that a mean far "
    "from 0 would cost digits. Seconds are of repeated calls in one process, in turn; ratio is cumulant's seconds over "
    "the peer's in the same round. Extra memory is the peak of resident memory in a fresh process above its level with "
    "the data loaded and the code run once. Difference is the largest of covariances in a thousand groups from "
    "numpy.cov of their rows, relative to the variance. The models of all groups are one file, and a model is solved "
    "when it is asked for: by a ridge on nine columns, the prior chosen by default."
)


def run(options: Options) -> dict[str, Any]:
    names = options.keep(CASES)
    machine = harness.machine()
    results = []
    for rows, groups in options.sizes or (QUICK if options.quick else SIZES):
        say(f"groups: {rows:,} rows, {groups:,} groups")
        shape = {"rows": rows, "groups": groups}
        load = round(os.getloadavg()[0], 2)
        limits = {"rounds": options.rounds, "budget": options.budget}
        cases = harness.call("benchmarks.groups:timings", names=names, **limits, **shape).result
        for name, case in cases.items():
            case["extra_bytes"] = harness.call("benchmarks.groups:memory", name=name, **shape).result
            case["rows_per_second"] = float(f"{rows / case['seconds']['median']:.4g}")
            say(f"  {name:24}{case['seconds']['median']:9.4f} s  {case['rows_per_second']:,.0f} rows/s")
        kept = harness.call("benchmarks.groups:kept", **shape).result
        results.append({**shape, "numbers": NUMBERS, "load_at_start": load, "cases": cases, "kept": kept})
    parameters = {"folds": 1, "numbers": NUMBERS, "rounds": options.rounds, "seed": 0}
    return {
        "benchmark": "groups", "method": METHOD, "machine": machine, "parameters": parameters, "results": results
    }  # fmt: skip


# ---------------------------------------------------------------------------------- in the measured processes


def timings(rows: int, groups: int, names: list[str], rounds: int, budget: float) -> dict[str, Any]:
    """Times of all cases, and how far cumulant's covariances are from NumPy's."""
    data = table(rows, groups)
    calls = {name: CASES[name](data) for name in names}
    error = _error(data, calls[OURS]())
    for call in calls.values():
        call()
    times = harness.interleaved(
        {name: partial(harness.timed, call) for name, call in calls.items()}, Options(rounds=rounds, budget=budget)
    )
    out = harness.summaries(times)
    out[OURS]["difference"] = float(f"{error:.2g}")
    return out


def memory(rows: int, groups: int, name: str) -> int | None:
    """Peak extra memory of one case; its code is loaded and has run once, on few rows."""
    CASES[name](table(2_000, 50))()
    return harness.peak_extra(CASES[name](table(rows, groups)))


def kept(rows: int, groups: int) -> dict[str, Any]:
    """The file of all models: its size, seconds to write and read it, and to solve a model of it."""
    import cumulant as cm

    models = cm.fit(table(rows, groups), target="x9", group_by="store", progress=False)
    with tempfile.TemporaryDirectory(prefix="cumulant-bench-") as folder:
        path = Path(folder) / "models.cumulant"
        save = [harness.timed(lambda: models.save(path))[0] for _ in range(5)]
        load = [harness.timed(lambda: cm.load(path))[0] for _ in range(5)]
        again, size = cm.load(path), path.stat().st_size
    levels = list(again)[:200]
    again[levels[0]]
    seconds, _ = harness.timed(lambda: [again[level] for level in levels])
    return {
        "file_bytes": size,
        "save_seconds": harness.spread(save),
        "load_seconds": harness.spread(load),
        "solve_seconds": float(f"{seconds / len(levels):.3g}"),
    }


def table(rows: int, groups: int) -> pa.Table:
    """Ten numbers, the last of which hangs on the others, and the group of each row."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUMBERS, rows))
    x[-1] += rng.normal(size=NUMBERS - 1) @ x[:-1]
    return pa.table({**{f"x{j}": column for j, column in enumerate(x)}, "store": rng.integers(0, groups, rows)})


def _error(data: pa.Table, found: Any) -> float:
    """The largest error of covariances in a thousand groups of several rows, relative to variances."""
    store = data.column("store").to_numpy()
    x = np.array([data.column(f"x{j}").to_numpy() for j in range(NUMBERS)])
    order = np.argsort(store, kind="stable")
    levels, starts = np.unique(store[order], return_index=True)
    worst = 0.0
    for level, rows in zip(levels[:1000], np.split(order, starts[1:])[:1000], strict=True):
        if len(rows) > 1:
            wanted = np.cov(x[:, rows])
            scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
            worst = max(worst, float(np.max(np.abs(found[int(level)].covariance - wanted) / scale)))
    return worst


def _cumulant(data: pa.Table) -> Callable[[], Any]:
    import cumulant as cm

    return lambda: cm.measure(data, group_by="store", progress=False)


def _parquet(data: pa.Table) -> Callable[[], Any]:
    import pyarrow.parquet

    import cumulant as cm

    folder = tempfile.TemporaryDirectory(prefix="cumulant-bench-")
    pyarrow.parquet.write_table(data, Path(folder.name) / "table.parquet")
    # The folder lives as long as what reads it.
    return lambda: cm.measure(Path(folder.name) / "table.parquet", group_by="store", progress=False)


def _pairs() -> Iterator[tuple[str, str]]:
    names = [f"x{j}" for j in range(NUMBERS)]
    return ((a, b) for i, a in enumerate(names) for b in names[i:])


def _polars(data: pa.Table) -> Callable[[], Any]:
    import polars as pl

    frame = pl.from_arrow(data)
    sums = [pl.len(), *(pl.col(f"x{j}").sum() for j in range(NUMBERS))]
    sums += [(pl.col(a) * pl.col(b)).sum().alias(f"{a}{b}") for a, b in _pairs()]
    return lambda: frame.group_by("store").agg(sums)


def _duckdb(data: pa.Table) -> Callable[[], Any]:
    import duckdb

    sums = ", ".join(["count(*)", *(f"sum(x{j})" for j in range(NUMBERS)), *(f"sum({a} * {b})" for a, b in _pairs())])
    connection = duckdb.connect()
    connection.register("data", data)
    return lambda: connection.sql(f"SELECT store, {sums} FROM data GROUP BY store").to_arrow_table()


CASES: dict[str, Callable[[Any], Callable[[], Any]]] = {
    OURS: _cumulant, PARQUET: _parquet, POLARS: _polars, DUCKDB: _duckdb,
}  # fmt: skip
