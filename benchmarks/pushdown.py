"""Sums in the database beside rows streamed from it; and the rates that the choice between them is made by."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.harness import Options, say

# Kind of columns, how many, and rows; those of few rows show what a pass costs before the first.
TABLES = (
    *(
        ("numbers", p, n)
        for p, n in ((1, 2e6), (2, 2e6), (4, 2e6), (8, 1e6), (16, 4e5), (32, 1e5), (4, 1e3), (32, 1e3))
    ),
    *(("gaps", p, n) for p, n in ((1, 2e6), (2, 2e6), (4, 1e6), (8, 4e5))),
    *(("text", p, n) for p, n in ((1, 2e6), (2, 2e6), (4, 1e6))),
)
QUICK = tuple((kind, p, 5e3) for kind in ("numbers", "gaps", "text") for p in (1, 2))
CELLS = {
    "numbers": "random() + {j} AS x{j}",
    "gaps": "CASE WHEN random() < 0.1 THEN NULL ELSE random() + {j} END AS x{j}",
    "text": "'level ' || floor(random() * (4 + {j})) AS x{j}",
}
# What a pass is asked for: folds, and whether the rows are those of a stored table, which have numbers of their own.
SHAPES = ((1, True), (10, True), (10, False))
METHOD = (
    "Moments of columns of float64 in a DuckDB file, in a warm page cache, with default threads: streamed here "
    "(pushdown=False), and summed by the database (pushdown=True), in turn, in one process. Rows of a query are "
    "numbered by the database as it goes, one after the other; those of a stored table have numbers. The rates are "
    "fitted to the medians, none below zero (scipy.optimize.nnls), each time weighing the same."
)
WAYS = {"streamed": False, "pushed": True}
RATES = harness.ROOT / "src/cumulant/measure/pushdown_rates.json"


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    rounds = min(options.rounds, 5)
    sized = tuple(("numbers", p, n) for n, p in options.sizes)
    results = []
    with tempfile.TemporaryDirectory(prefix="cumulant-bench-") as folder:
        for i, (kind, columns, rows) in enumerate(sized or (QUICK if options.quick else TABLES)):
            path = str(Path(folder) / f"{i}.db")
            harness.call("benchmarks.pushdown:generate", path=path, kind=kind, rows=int(rows), columns=columns)
            for folds, stored in SHAPES if kind == "numbers" else SHAPES[:2]:
                found = harness.call(
                    "benchmarks.pushdown:compare", path=path, folds=folds, stored=stored, rounds=rounds
                )
                shape = {"kind": kind, "rows": int(rows), "columns": columns, "folds": folds, "stored": stored}
                results.append({**shape, **found.result})
                say(line(results[-1]))
    rates = fitted(results)
    cores, cpu, date = machine["cores"], machine["cpu"], machine["date"]
    rates["measured"] = f"DuckDB {machine['packages']['duckdb']} on {cores} cores of {cpu}, {date}"
    if not options.partial:
        RATES.write_text(json.dumps(rates, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"written: {RATES}")
    return {
        "benchmark": "pushdown", "method": METHOD, "machine": machine, "parameters": {"rounds": rounds},
        "rates": rates, "results": results,
    }  # fmt: skip


def fitted(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates of both ways by least squares on relative errors."""
    import numpy as np
    from scipy.optimize import nnls

    def rates(way: str, more: list[list[float]]) -> list[float]:
        seconds = np.array([one["seconds"][way]["median"] for one in results])
        work = np.array([[one["rows"] * x for x in one["counts"][way]] for one in results]) * 1e-9
        found, _ = nnls(np.column_stack([work, *more]) / seconds[:, None], np.ones(len(results)))
        return [float(f"{value:.3g}") for value in found]

    once = [1.0 for _ in results]
    streamed = rates("streamed", [once])
    pushed = rates("pushed", [once, [one["counts"]["pushed"][1] for one in results]])
    return {
        "streaming": streamed[:-1],
        "pushed": pushed[:-2],
        "statement": pushed[-1],
        "begin": [streamed[-1], pushed[-2]],
    }


def line(one: dict[str, Any]) -> str:
    here, there = (one["seconds"][name]["median"] for name in WAYS)
    what = f"{one['rows']:,} x {one['columns']} {one['kind']}, {one['folds']} folds"
    return f"  {what:40}{'table' if one['stored'] else 'query'}  streamed {here:.3f} s  pushed {there:.3f} s"


# ---------------------------------------------------------------------------------- in the measured processes


def generate(path: str, kind: str, rows: int, columns: int) -> None:
    import duckdb

    with duckdb.connect(path) as connection:
        cells = ", ".join(CELLS[kind].format(j=j) for j in range(columns))
        connection.execute(f"CREATE TABLE t AS SELECT {cells} FROM range({rows})")


def compare(path: str, folds: int, stored: bool, rounds: int) -> dict[str, Any]:
    """Seconds of both ways, in turn; and the work on a row that the model of their cost sees."""
    import cumulant as cm
    from cumulant.measure import pushdown
    from cumulant.measure.statement import Statement
    from cumulant.source import open_table

    address = f"duckdb:///{path}?table=t" if stored else f"duckdb:///{path}?query=SELECT * FROM t WHERE true"
    calls = {n: partial(cm.measure, address, folds=folds, pushdown=way, progress=False) for n, way in WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            wall, _ = harness.timed(call)
            if turn:  # the first turn warms up
                seconds[name].append(wall)
        if sum(map(sum, seconds.values())) > 1.0 and turn >= 3:
            break
    m, database = calls["pushed"](), open_table(address).database
    assert database is not None
    of_columns = tuple(database.kinds[name] for name in m.schema.columns)
    statement = Statement(m.schema, tuple(m.shift), of_columns, m.presence, folds, "0", None, drop=False)
    counts = pushdown.counts(statement, counted=not stored)
    return {
        "seconds": {name: harness.spread(times) for name, times in seconds.items()},
        "counts": {name: [float(x) for x in work] for name, work in zip(WAYS, counts, strict=True)},
    }
