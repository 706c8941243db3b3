"""Fields of many rows: what splitting costs in accuracy, and what many rows cost in time and memory.

``--case loss``, ``many`` or ``predict`` measures one of the three; with ``--to benchmarks/results`` it takes its place
beside the others. Rows are drawn from a function of ten of 90 inputs, with noise that varies.
"""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import RESULTS, Options, say

METHOD = (
    "Inputs standard normal; y = sin 2u₁ · u₂ + u₃² + noise of 0.1 to 0.5, u three fixed directions among ten of the "
    "inputs. loss: 5,000 rows of ten inputs, the same field conditioned on all at once, and split as larger tables "
    "are, beside each other on 5,000 new rows. many: rows of 90 inputs, `cm.fit(table, cm.Field(Matern(2.5)))`, all "
    "defaults but the one propagator; mean of 100,000 new rows, and mean and variance of 2,000. "
    "predict: the same for 2,000 rows of 12 inputs conditioned on all at once, mean of 400,000 new rows, and mean and "
    "variance of 20,000."
)
CASES = ("loss", "many", "predict")
LONGEST = 3600.0


def run(options: Options) -> dict[str, Any]:
    before = RESULTS / "field_size.json"
    results = json.loads(before.read_text("utf-8"))["results"] if before.exists() and options.cases else {}
    rows = options.sizes[0] if options.sizes else ((6000, 12) if options.quick else (500_000, 90))
    for case in options.keep(CASES):
        given = {"rows": 1500 if options.quick else 5000} if case == "loss" else {"rows": rows[0], "columns": rows[1]}
        given = {"rows": 500 if options.quick else 2000, "columns": 12} if case == "predict" else given
        process = harness.call(f"benchmarks.field_size:{case}", timeout=LONGEST, **given)
        peak = {"peak_bytes": process.peak_bytes} if case == "many" else {}
        results[case] = given | process.result | peak
        say(f"  {case:5} " + json.dumps(results[case]))
    return {
        "benchmark": "field_size", "method": METHOD, "machine": harness.machine(), "parameters": {},
        "results": {case: results[case] for case in CASES if case in results},
    }  # fmt: skip


def drawn(rows: int, columns: int, seed: int) -> tuple[Any, Any]:
    """Inputs (rows, columns) and target (rows,)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    u = x[:, :10] @ np.linalg.qr(np.random.default_rng(0).normal(size=(10, 3)))[0]
    noise = 0.1 + 0.4 / (1 + np.exp(-2 * u[:, 0]))
    return x, np.sin(2 * u[:, 0]) * u[:, 1] + u[:, 2] ** 2 + noise * rng.normal(size=rows)


def loss(rows: int) -> dict[str, Any]:
    """Root mean square errors on new rows of one field, dense and split."""
    from cumulant.solve.field.evidence import adapted, started
    from cumulant.solve.field.partition import Partition
    from cumulant.solve.field.split import split
    from cumulant.theory.propagators import Linear, Matern

    x, y = drawn(rows, 10, 1)
    new, truth = drawn(5000, 10, 2)
    level = y.mean()
    some, ones = slice(0, 500), np.ones(500)
    start = started((Matern(2.5), Linear()), 10)
    hyper, _ = adapted(x[some], y[some] - level, ones, 0 * ones, start, 30, each=True)
    z, at = hyper.mapped(x), hyper.mapped(new)

    def error(mean: Any) -> float:
        return float(np.sqrt(np.mean((mean + level - truth) ** 2)))

    known = hyper.conditioned(z, y - level, np.ones(rows))
    if known is None:
        raise FloatingPointError("the propagator of the rows is singular")
    out = {"dense": error(hyper.propagator(at, z) @ known.dual)}
    for most, columns in ((250, 250), (1000, 500), (2000, 1000)):
        partition, blocks = Partition.of(z, most)
        centres = z[np.random.default_rng(2).permutation(rows)[:columns]]
        found, *_ = split(hyper, z, y - level, centres, partition, blocks)
        out[f"{len(blocks)} blocks, {columns} columns"] = error(found.mean(at))
    return out


def many(rows: int, columns: int) -> dict[str, Any]:
    """Seconds of fit and prediction of a split field, and the error of the mean."""
    return _answered(rows, columns, 100_000, 2000)


def predict(rows: int, columns: int) -> dict[str, Any]:
    """Rows a second that a field conditioned on all rows at once answers for."""
    return _answered(rows, columns, 400_000, 20_000)


def _answered(rows: int, columns: int, of_mean: int, of_density: int) -> dict[str, Any]:
    import pandas as pd

    import cumulant as cm
    from cumulant.theory.propagators import Matern

    names = [f"x{i}" for i in range(columns)]
    x, y = drawn(rows, columns, 1)
    table = pd.DataFrame(x, columns=names, copy=False).assign(y=y)
    del x
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        model = cm.fit(table, cm.Field(Matern(2.5)), target="y", progress=False)
    out: dict[str, Any] = {"fit_seconds": time.perf_counter() - wall, "fit_cpu_seconds": time.process_time() - cpu}
    del table
    new, truth = drawn(of_mean, columns, 2)
    given = pd.DataFrame(new, columns=names)
    wall = time.perf_counter()
    mean = model.predict("y", given=given)
    out["mean_rows_a_second"] = len(given) / (time.perf_counter() - wall)
    wall = time.perf_counter()
    density = model.predict("y", given=given[:of_density], output="density")
    out["density_rows_a_second"] = of_density / (time.perf_counter() - wall)
    low, high = density.interval(0.9)
    out |= {
        "rmse": float(np.sqrt(np.mean((mean - truth) ** 2))),
        "spread_of_target": float(truth.std()),
        "coverage 0.9": float(np.mean((low <= truth[:of_density]) & (truth[:of_density] <= high))),
        "chosen": list(model.notes[-2:]),
    }
    return out
