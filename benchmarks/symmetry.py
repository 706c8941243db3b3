"""What a symmetry is worth: held-out log-likelihood, error of the covariance, and cost, with and without it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SPLITS = 10
TRAIN = (6, 12, 25, 50, 100, 200, 400, 800)
COSTS = ((500, 100), (500, 1000), (500, 10_000))
# Groups of the cost table; all but the first two at the last size alone.
UNDER = ("none", "ring", "grid", "exchangeable", "rotated")
MOST_PLAIN = 2_000
METHOD = (
    f"Rows drawn at random to train, all others to test; mean over {SPLITS} draws. Log-likelihood in nats a row. "
    "Error: Frobenius norm of the covariance less the truth (of a real table, the covariance of the test rows), over "
    "that of the truth. 'none' is the ordinary model with its automatic prior, which the others have too. 'Up to "
    "scale': correlations are invariant, variances free; 'soft': as much of that as held-out folds of the training "
    "rows say. Tables: electricity demand of Victoria, 365 days of 48 half-hours (R package fpp2, elecdemand); NOx at "
    "Marylebone Road, 2,404 days of 24 hours, in logarithms (R package openair, mydata); 8,480 grey patches of 8×8 "
    "pixels of two photographs (scikit-learn, load_sample_images), with a grey level of noise; and a simulated ring, "
    "a moving average of noise. Cost, of that ring: seconds and peak of memory to measure and solve a table in memory."
)


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    results = harness.call("benchmarks.symmetry:accuracy", quick=options.quick).result
    costs = [
        harness.call("benchmarks.symmetry:cost", rows=n, columns=p, under=under).result
        for n, p in (COSTS[:1] if options.quick else COSTS)
        for under in UNDER
        if (p <= MOST_PLAIN if under == "none" else under == "ring" or p > MOST_PLAIN)
    ]
    for row in costs:
        say(f"  {row['rows']} × {row['columns']} {row['under']}: {row['seconds']:.3g} s")
    return {"benchmark": "symmetry", "method": METHOD, "machine": machine, "results": results, "costs": costs}


# ---------------------------------------------------------------------------------- in the measured process


def accuracy(*, quick: bool) -> list[dict[str, Any]]:
    """Scores of every way of each table, against the number of training rows."""
    out = []
    for name, make in TABLES.items():
        made = make()
        if made is None:
            say(f"  {name}: left out, {harness.TABLES} does not name a folder that has it")
            continue
        x, truth, ways = made
        for n in TRAIN[:2] if quick else TRAIN:
            if n > len(x) // 2:
                break
            scores = _scores(x, truth, ways, n, 1 if quick else SPLITS)
            out.append({"table": name, "columns": x.shape[1], "rows": n, "ways": scores})
            best = {way: round(score["log_likelihood"], 2) for way, score in scores.items()}
            say(f"  {name}, {n} rows: {best}")
    return out


def _scores(x: Array, truth: Array | None, ways: dict[str, Any], n: int, splits: int) -> dict[str, dict[str, float]]:
    import cumulant as cm

    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(x))
        train, test = x[order[:n]], x[order[n:]]
        aim = np.cov(test, rowvar=False) if truth is None else truth
        m = cm.measure(train)
        for way, symmetry in ways.items():
            start = time.perf_counter()
            model = cm.solve(m, symmetry=symmetry)
            seconds = time.perf_counter() - start
            score = _log_likelihood(model.mean, model.covariance, test)
            error = float(np.linalg.norm(model.covariance - aim) / np.linalg.norm(aim))
            found[way].append((score, error, seconds))
    names = ("log_likelihood", "error", "seconds")
    return {way: dict(zip(names, map(float, np.mean(rows, axis=0)), strict=True)) for way, rows in found.items()}


def _log_likelihood(mean: Array, covariance: Array, x: Array) -> float:
    """Mean log density of rows; a singular covariance is met with the least that makes it definite."""
    w, v = np.linalg.eigh(covariance)
    w = np.maximum(w, 1e-9 * w.max())
    z = (x - mean) @ v
    return float(-0.5 * ((z**2 / w).sum(axis=1).mean() + np.log(2 * np.pi * w).sum()))


def cost(rows: int, columns: int, under: str) -> dict[str, Any]:
    """Seconds and peak of memory of one measure and solve."""
    import cumulant as cm

    x = _ring(rows, columns, np.random.default_rng(0))
    group = _group(under, columns)
    _fit(cm, x[:8, :9], _group(under, 9))
    before = harness.resident("VmHWM") or 0
    seconds, model = [], None
    for _ in range(3):
        start = time.perf_counter()
        model = _fit(cm, x, group)
        seconds.append(time.perf_counter() - start)
    told = model.symmetries
    p = columns
    return {
        "rows": rows,
        "columns": columns,
        "under": under,
        "seconds": float(np.median(seconds)),
        "extra_bytes": (harness.resident("VmHWM") or 0) - before,
        "parameters": p + p * (p + 1) // 2 if told is None else told.parameters[1],
        "flops_to_invert": float(p) ** 3 if told is None else told.flops[1],
    }


def _group(under: str, columns: int) -> Any:
    import cumulant.symmetry as sym

    side = math.isqrt(columns)
    made = {
        "ring": sym.cyclic,
        "grid": lambda p: sym.grid_translations(side, p // side),
        "exchangeable": sym.symmetric,
        "rotated": sym.orthogonal,
    }
    return made[under](columns) if under in made else None


def _fit(cm: Any, x: Array, group: Any) -> Any:
    m = cm.measure(x, progress=False) if group is None else cm.measure(x, symmetry=group, progress=False)
    return cm.solve(m)


# ---------------------------------------------------------------------------------- the tables


def _ring(n: int, p: int, rng: np.random.Generator) -> Array:
    """A moving average of noise around a ring; its spectrum is that of the weights 0.8^k over eight places."""
    noise = np.fft.rfft(rng.normal(size=(n, p)))
    return np.asarray(np.fft.irfft(noise * np.fft.rfft(_weights(p)), n=p))


def _weights(p: int) -> Array:
    return np.where(np.arange(p) < 8, 0.8 ** np.arange(p), 0.0)


def _circulant(p: int) -> Array:
    row = np.fft.irfft(np.abs(np.fft.rfft(_weights(p))) ** 2, n=p)
    return np.asarray(row[(np.arange(p)[:, None] - np.arange(p)) % p])


def _simulated() -> tuple[Array, Array, dict[str, Any]]:
    import cumulant.symmetry as sym

    p = 100
    ways = {"none": None, "C100": sym.cyclic(p), "soft": sym.soft(sym.cyclic(p))}
    return _ring(2_000, p, np.random.default_rng(1)), _circulant(p), ways


def _electricity() -> tuple[Array, None, dict[str, Any]] | None:
    import pandas as pd

    path = harness.table_file("elecdemand_daily48.csv")
    if path is None:
        return None
    return pd.read_csv(path).filter(regex=r"^h\d").to_numpy(), None, _ways(48)


def _nox() -> tuple[Array, None, dict[str, Any]] | None:
    import pandas as pd

    path = harness.table_file("openair_nox_daily24.parquet")
    if path is None:
        return None
    return np.log1p(pd.read_parquet(path).filter(regex="^nox").to_numpy(dtype=float)), None, _ways(24)


def _ways(p: int) -> dict[str, Any]:
    import cumulant.symmetry as sym

    ring = sym.cyclic(p)
    return {
        "none": None,
        f"C{p}": ring,
        f"C{p} up to scale": sym.up_to_scale(ring),
        "soft": sym.soft(sym.up_to_scale(ring)),
    }


def _patches() -> tuple[Array, None, dict[str, Any]] | None:
    import pandas as pd

    import cumulant.symmetry as sym

    path = harness.table_file("natural_patches8x8.parquet")
    if path is None:
        return None
    x = pd.read_parquet(path).filter(regex=r"^p\d").to_numpy(dtype=float)
    # Grey levels are whole numbers, and many patches are blank sky: a grey level of noise keeps them from being equal.
    x = x + np.random.default_rng(0).normal(size=x.shape)
    return x, None, {"none": None, "D4": sym.square(8), "D4, torus": sym.square(8, translations=True)}


TABLES: dict[str, Callable[[], tuple[Array, Array | None, dict[str, Any]] | None]] = {
    "electricity, 48 half-hours": _electricity,
    "NOx, 24 hours": _nox,
    "patches of 8×8": _patches,
    "simulated ring of 100": _simulated,
}


# ---------------------------------------------------------------------------------- the tables


def block(record: dict[str, Any], table: Callable[[list[str], list[list[str]]], str], where: str) -> list[str]:
    """The tables of docs/symmetry-worth.md."""
    parts = [record["method"], where]
    for name in dict.fromkeys(row["table"] for row in record["results"]):
        rows = [row for row in record["results"] if row["table"] == name]
        ways = list(rows[0]["ways"])
        head = ["training rows", *(f"{way}: log-likelihood" for way in ways), *(f"{way}: error" for way in ways)]
        cells = [
            [
                f"{row['rows']:,}",
                *(_best(row, way, "log_likelihood", max, ".1f") for way in ways),
                *(_best(row, way, "error", min, ".2f") for way in ways),
            ]
            for row in rows
        ]
        parts += [f"### {name[:1].upper()}{name[1:]}", table(head, cells)]
    head = ["rows × columns", "under", "seconds", "memory", "parameters", "operations to invert"]
    costs = [
        [
            f"{row['rows']:,} × {row['columns']:,}",
            row["under"],
            f"{row['seconds']:.2g}",
            f"{row['extra_bytes'] / 1e6:,.0f} MB",
            f"{row['parameters']:,}",
            f"{row['flops_to_invert']:,.0f}",
        ]
        for row in record["costs"]
    ]
    return [*parts, "### Cost", table(head, costs)]


def _best(row: dict[str, Any], way: str, what: str, better: Callable[..., float], digits: str) -> str:
    """A figure, in bold where no other way is better."""
    value = row["ways"][way][what]
    shown = format(value, digits).replace("-", "−")
    return f"**{shown}**" if value == better(other[what] for other in row["ways"].values()) else shown
