"""A category of many levels beside numbers: seconds, rows a second and extra memory against the number of levels."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import OURS, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import pyarrow as pa

SIZES = ((1_000_000, 100), (1_000_000, 1_000), (1_000_000, 10_000), (1_000_000, 100_000))
QUICK = ((3_000, 150),)
NUMBERS = 20
MEASURE, ALONE = "measure alone", "measure the numbers alone"
METHOD = (
    "Least squares of a number on 19 others and a category, whose levels fall by chance, in an Arrow table "
    "(dictionary of text) with default threads. cumulant: measure with ten folds, solve without a prior, summary "
    "(coefficients and errors of numbers and levels); beside it the measuring alone, and that of the numbers without "
    "the category. 100 levels are fields that are written out, more are kept by level. scikit-learn: OneHotEncoder, "
    "then Ridge (lsqr, tol 1e-8) on the sparse matrix of indicators and numbers, coefficients alone; pyfixest: feols, "
    "the category absorbed, with the errors of the numbers alone; both from a pandas frame with a categorical column. "
    "Seconds are of repeated calls in one process, in turn; ratio is cumulant's seconds over the peer's in the same "
    "round. Extra memory is the peak of resident memory in a fresh process above its level with the data loaded and "
    "the code run once. Difference is the largest of the numbers' coefficients from cumulant's, relative."
)


def run(options: Options) -> dict[str, Any]:
    names = options.keep(CASES)
    machine = harness.machine()
    results = []
    for rows, levels in options.sizes or (QUICK if options.quick else SIZES):
        say(f"levels: {rows:,} rows, {levels:,} levels")
        limits = {"rounds": options.rounds, "budget": options.budget}
        shape = {"rows": rows, "levels": levels}
        load = round(os.getloadavg()[0], 2)
        cases = harness.call("benchmarks.levels:timings", timeout=7200, names=names, **limits, **shape).result
        for name, case in cases.items():
            case["extra_bytes"] = harness.call("benchmarks.levels:memory", name=name, **shape).result
            case["rows_per_second"] = float(f"{rows / case['seconds']['median']:.4g}")
            say(f"  {name:30}{case['seconds']['median']:9.4f} s  +{(case['extra_bytes'] or 0) / 1e6:,.0f} MB")
        results.append({**shape, "numbers": NUMBERS, "load_at_start": load, "cases": cases})
    parameters = {"folds": 10, "numbers": NUMBERS, "rounds": options.rounds, "seed": 0}
    return {
        "benchmark": "levels", "method": METHOD, "machine": machine, "parameters": parameters, "results": results
    }  # fmt: skip


# ---------------------------------------------------------------------------------- in the measured processes


def timings(rows: int, levels: int, names: list[str], rounds: int, budget: float) -> dict[str, Any]:
    """Times of all cases, and how far the coefficients are from cumulant's."""
    data = table(rows, levels)
    calls = {name: CASES[name](data) for name in names}
    first = {name: call() for name, call in calls.items()}
    times = harness.interleaved(
        {name: partial(harness.timed, call) for name, call in calls.items()}, Options(rounds=rounds, budget=budget)
    )
    out = harness.summaries(times)
    for name, coefficients in first.items():
        if isinstance(coefficients, np.ndarray):
            ours = first[OURS]
            out[name]["difference"] = float(f"{np.abs(coefficients / ours - 1).max():.2g}")
    return out


def memory(rows: int, levels: int, name: str) -> int | None:
    """Peak extra memory of one case; its code is loaded and has run once, on few rows."""
    CASES[name](table(2_000, 50))()
    return harness.peak_extra(CASES[name](table(rows, levels)))


def table(rows: int, levels: int) -> pa.Table:
    """A category and 20 numbers, the last of which hangs on the others and on the level."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUMBERS, rows))
    level = rng.integers(0, levels, rows)
    x[-1] += rng.normal(size=NUMBERS - 1) @ x[:-1] + rng.normal(size=levels)[level]
    names = pa.array([f"level {i:06}" for i in range(levels)])
    numbers = {f"x{j}": column for j, column in enumerate(x[:-1])}
    return pa.table(
        {**numbers, "y": x[-1], "c": pa.DictionaryArray.from_arrays(pa.array(level.astype(np.int32)), names)}
    )


def _cumulant(data: pa.Table) -> Callable[[], Any]:
    import cumulant as cm

    def fit() -> Any:
        m = cm.measure(data, levels=1_000_000, folds=10, progress=False)
        return cm.solve(m, prior=None).summary("y").table["coefficient"].to_numpy()[1:NUMBERS]

    return fit


def _measure(data: pa.Table) -> Callable[[], Any]:
    import cumulant as cm

    return lambda: cm.measure(data, levels=1_000_000, folds=10, progress=False)


def _alone(data: pa.Table) -> Callable[[], Any]:
    import cumulant as cm

    numbers = data.drop_columns(["c"])
    return lambda: cm.measure(numbers, folds=10, progress=False)


def _frame(data: pa.Table) -> pd.DataFrame:
    return data.to_pandas()


def _scikit_learn(data: pa.Table) -> Callable[[], Any]:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import OneHotEncoder

    frame = _frame(data)

    def fit() -> Any:
        numbers = frame.drop(columns=["c", "y"]).to_numpy()
        indicators = OneHotEncoder().fit_transform(frame[["c"]])
        x = hstack([csr_matrix(numbers), indicators]).tocsr()
        return Ridge(alpha=1e-6, solver="lsqr", tol=1e-8).fit(x, frame["y"]).coef_[: NUMBERS - 1]

    return fit


def _pyfixest(data: pa.Table) -> Callable[[], Any]:
    import pyfixest as pf

    frame = _frame(data)
    formula = f"y ~ {' + '.join(f'x{j}' for j in range(NUMBERS - 1))} | c"
    return lambda: pf.feols(formula, data=frame, vcov="iid").coef().to_numpy()


CASES: dict[str, Callable[[Any], Callable[[], Any]]] = {
    OURS: _cumulant, MEASURE: _measure, ALONE: _alone, "scikit-learn": _scikit_learn, "pyfixest": _pyfixest,
}  # fmt: skip
