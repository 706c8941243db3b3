"""How time and memory grow with rows, columns, cores, order and groups, beside theory; and the rates of a node."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import harness
from benchmarks.harness import OURS, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

BLAS, RIDGE, POLARS = "NumPy XᵀX", "scikit-learn Ridge(cholesky)", "polars, SUM of each product"
# Along each axis: the tables, and the exponents that theory gives to time and extra memory (None: no power).
AXES: dict[str, dict[str, Any]] = {
    "rows": {
        "points": [{"rows": n, "columns": 20} for n in (400_000, 800_000, 1_600_000, 3_200_000)],
        "theory": [1, 0],
        "why": "every row is read once, and none is kept; a call takes some milliseconds besides",
    },
    "columns": {
        "points": [{"rows": 200_000, "columns": p} for p in (32, 64, 128, 256, 512)],
        "theory": [2, 1],
        "why": "a sum for each pair, though dealing rows to folds, p numbers each, takes the larger part up to some "
        "hundred columns; kept are buffers of rows, until the sums outgrow them beyond some 500 columns",
    },
    "cores": {
        "points": [{"rows": 1_000_000, "columns": 60, "cores": c} for c in (1, 2)],
        "theory": [-1, None],
        "why": "threads share nothing but the rows",
    },
    "sums": {
        "points": [{"rows": 400_000, "columns": 12, "order": k} for k in (2, 3, 4)],
        "theory": [1, 1],
        "why": "moments of order k of p fields are C(p + k, k) sums; at order 2 moving the rows takes longer than to "
        "sum them, and their buffers outweigh the sums",
    },
    "groups": {
        "points": [{"rows": 1_000_000, "columns": 10, "groups": g} for g in (100, 1_000, 10_000, 100_000)],
        "theory": [0, 1],
        "why": "a row is added to the sums of its group alone; these outgrow the caches on the way, and "
        "then all else in memory",
    },
}
QUICK_ROWS, QUICK_GROUPS = 4_000, 50
# Of repetitions at a point, after the second.
MOST_SECONDS = 0.5
METHOD = (
    "Moments of order 2 (along sums: also 3 and 4) of standard normal float64 arrays in memory, ten folds (one for "
    "groups), default threads but along cores. Each point is a process of its own; its ways take turns after one call "
    "each. Exponents are slopes of the logarithms of the least seconds (other work on the machine only adds), and of "
    "extra memory, by least squares; extra memory is the peak of resident memory above its level before. Peers on the "
    "same arrays: XᵀX alone, one set of sums; a ridge regression by Cholesky; for groups, 66 sums in polars."
)


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    rounds = min(options.rounds, 5)
    results = []
    for axis, law in AXES.items():
        points = []
        for point in law["points"]:
            asked = {**point, **(_quick(point) if options.quick else {})}
            ways = harness.call("benchmarks.scaling:point", **asked, rounds=rounds).result
            points.append({**asked, "x": _place(axis, asked), "ways": ways})
            seconds = ", ".join(f"{way} {one['seconds']['min']:.3g} s" for way, one in ways.items())
            say(f"  {axis} {points[-1]['x']:,}: {seconds}")
        results.append({"axis": axis, "theory": law["theory"], "why": law["why"], "points": points})
        results[-1]["exponents"] = exponents(points)
    with tempfile.TemporaryDirectory(prefix="cumulant-bench-") as folder:
        asked = {"rows": QUICK_ROWS} if options.quick else {"rows": 1_000_000}
        node = [
            harness.call(
                "benchmarks.scaling:node", folder=folder, columns=p, rows=max(asked["rows"] * 10 // p, 100)
            ).result
            for p in (10, 100)
        ]
    return {
        "benchmark": "scaling", "method": METHOD, "machine": machine, "parameters": {"rounds": rounds},
        "results": results, "node": node,
    }  # fmt: skip


def _quick(point: dict[str, Any]) -> dict[str, Any]:
    small = {"rows": QUICK_ROWS + point["rows"] // 1000}
    return {**small, "groups": QUICK_GROUPS + point["groups"] // 1000} if "groups" in point else small


def _place(axis: str, point: dict[str, Any]) -> int:
    """Where a point is on its axis."""
    return math.comb(point["columns"] + point["order"], point["order"]) if axis == "sums" else int(point[axis])


def exponents(points: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Of time and of extra memory, for each way."""
    ways = {way for point in points for way in point["ways"]}
    out = {}
    for way in sorted(ways, key=lambda name: (name != OURS, name)):
        shown = [(point["x"], point["ways"][way]) for point in points if way in point["ways"]]
        times = [(x, one["seconds"]["min"]) for x, one in shown]
        memory = [(x, one["extra_bytes"]) for x, one in shown if (one["extra_bytes"] or 0) > 1 << 20]
        out[way] = [slope(times), slope(memory)]
    return out


def slope(points: list[tuple[float, float]]) -> float | None:
    """Slope of the line through the logarithms, by least squares; None through fewer than two points."""
    if len({x for x, _ in points}) < 2:
        return None
    x, y = ([math.log(point[i]) for point in points] for i in range(2))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return round(over / sum((a - mean_x) ** 2 for a in x), 2)


# ---------------------------------------------------------------------------------- in the measured processes


def point(
    rows: int, columns: int, rounds: int, cores: int | None = None, order: int = 2, groups: int = 0
) -> dict[str, dict[str, Any]]:
    """Seconds and extra memory of every way at one point."""
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import numpy as np

    x = np.random.default_rng(0).standard_normal((rows, columns))
    ways = _by_group(x, groups) if groups else _of_array(x, order)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            wall, _ = harness.timed(way)
            if turn:  # the first turn warms up
                seconds[name].append(wall)
        if turn >= 2 and sum(map(sum, seconds.values())) > MOST_SECONDS:
            break
    return {
        name: {"seconds": harness.spread(seconds[name]), "extra_bytes": harness.peak_extra(way)}
        for name, way in ways.items()
    }


def _of_array(x: NDArray[np.float64], order: int) -> dict[str, Callable[[], object]]:
    import cumulant as cm

    ours: dict[str, Callable[[], object]] = {OURS: lambda: cm.measure(x, order=order, progress=False)}
    if order > 2:
        return ours
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=1.0, solver="cholesky")
    return {**ours, BLAS: lambda: x.T @ x, RIDGE: lambda: ridge.fit(x[:, :-1], x[:, -1])}


def _by_group(x: NDArray[np.float64], groups: int) -> dict[str, Callable[[], object]]:
    import numpy as np
    import polars as pl

    import cumulant as cm

    names = [f"x{j}" for j in range(x.shape[1])]
    by = np.random.default_rng(1).integers(0, groups, len(x))
    frame = pl.DataFrame(x, schema=names).with_columns(pl.Series("by", by))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
    sums = [
        pl.len(),
        *(pl.col(a).sum().alias(a) for a in names),
        *((pl.col(a) * pl.col(b)).sum().alias(f"{a}{b}") for a, b in pairs),
    ]
    return {
        OURS: lambda: cm.measure(frame, group_by="by", progress=False),
        POLARS: lambda: frame.group_by("by").agg(sums),
    }


def node(folder: str, columns: int, rows: int) -> dict[str, Any]:
    """Rates of this machine as one node of a cluster: rows from memory and from Parquet, and moments merged."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet

    import cumulant as cm

    x = np.random.default_rng(0).standard_normal((rows, columns))
    path = Path(folder) / f"{columns}.parquet"
    pyarrow.parquet.write_table(pa.table({f"x{j}": x[:, j] for j in range(columns)}), path)
    m = cm.measure(x)
    m.save(Path(folder) / "m")
    calls: dict[str, Callable[[], object]] = {
        "memory": lambda: cm.measure(x, progress=False),
        "parquet": lambda: cm.measure(path, progress=False),
        "merge": lambda: m + m,
    }
    seconds = {name: harness.spread([harness.timed(call)[0] for _ in range(5)]) for name, call in calls.items()}
    sizes = {"file_bytes": path.stat().st_size, "moments_bytes": (Path(folder) / "m").stat().st_size}
    return {"rows": rows, "columns": columns, "folds": m.folds, "seconds": seconds, **sizes}
