"""Accuracy on public sets of one numeric target, beside boosting, forests and kernels measured on the same rows.

Two collections, as files ``SET.parquet`` in regression (target y, and fold, the published part a row is test of) and
in pmlb (target ``target``), in the folder that CUMULANT_TABLES names; what SRBench published of the latter, as a table
of sets by methods, in published there. ``--case SET`` measures one set; with ``--to benchmarks/results`` it takes its
place among those measured before.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import OURS, RESULTS, TABLES, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Rows = list[list[str]]

# Processor seconds of tuning over those of our field on the same rows.
TIMES = 3.0
# Of ``theory="auto"``.
BUDGET = 60.0
SPLITS = 3
SMALL = 5000
LONGEST = 7200.0
METHOD = (
    f"Public regression sets of at most {SMALL:,} rows, {SPLITS} splits each: the first of the ten published folds, or "
    "for sets of PMLB the rows of SRBench's first trials (75 % training rows). All inputs are numbers for all. One "
    "default of ours for all, `cm.fit(train, cm.Field(), target=…)`; *auto* is "
    f"`cm.fit(…, budget={BUDGET:.0f})`, *order 2* is `cm.Gaussian()`. *Tuned*: random search by 3-fold "
    f"cross-validation of the training rows, defaults first, for {TIMES:.0f} times the processor seconds of our field "
    "on the same split, five draws at least and sixty at most. The Gaussian process has an RBF kernel of a length "
    "for each input (one for all inputs beyond 30) and noise, by its likelihood. Processor seconds of fit and "
    "prediction, tuning included, one thread."
)
VARIANTS = ("cumulant, auto", "cumulant, order 2")
FIELD = "regression"
SRBENCH = "B3_srbench_r2_test_by_dataset.csv"
# SRBench's columns that are shown; in the rank are all.
SHOWN = ("*Operon", "*SBP-GP", "XGB", "LGBM", "RandomForest", "KernelRidge", "MLP", "Linear")
DIGITS = 3


def run(options: Options) -> dict[str, Any]:
    from benchmarks.peers import names

    tables = os.environ.get(TABLES)
    if tables is None:
        raise SystemExit(f"set {TABLES} to the folder that holds regression and pmlb; see benchmarks/boosting.py")
    before = RESULTS / "boosting.json"
    results = json.loads(before.read_text("utf-8"))["results"] if before.exists() and options.cases else {}
    files = _sets(Path(tables))
    for name in options.keep(files):
        results[name] = harness.call(
            "benchmarks.boosting:one_set", timeout=LONGEST, path=str(files[name]), most=1 if options.quick else SPLITS,
            names=[OURS, *VARIANTS, *names()],
        ).result  # fmt: skip
        say(f"  {name:24} " + " ".join(f"{k} {v['rmse']:.4g}" for k, v in results[name]["methods"].items()))
    return {
        "benchmark": "boosting", "method": METHOD, "machine": harness.machine(), "parameters": {},
        "results": {name: results[name] for name in files if name in results},
        "left_out": {name: _rows(path) for name, path in files.items() if name not in results},
        "srbench": _published(Path(tables) / "published" / SRBENCH, results),
    }  # fmt: skip


def _sets(folder: Path) -> dict[str, Path]:
    """Sets of both collections, small ones first."""
    found = [*(folder / "regression").glob("*.parquet"), *(folder / "pmlb").glob("[0-9]*.parquet")]
    return {path.stem: path for path in sorted(found, key=lambda path: (_rows(path), path.stem))}


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(path).metadata.num_rows)


def _published(path: Path, results: dict[str, Any]) -> dict[str, dict[str, float]]:
    import pandas as pd

    table = pd.read_csv(path, index_col="dataset").apply(pd.to_numeric, errors="coerce")
    return {name: table.loc[name].dropna().to_dict() for name in results if name in table.index}


# ---------------------------------------------------------------------------------- in the measured process


def one_set(path: str, most: int, names: list[str]) -> dict[str, Any]:
    """All methods on all splits of a set."""
    import pandas as pd

    table = pd.read_parquet(path).astype(float)
    target = "y" if Path(path).parent.name == FIELD else "target"
    splits = _splits(table, most)
    table = table.drop(columns="fold", errors="ignore")
    _warmed(table, target, names)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for test in splits:
        train, held = table.drop(index=test), table.iloc[test]
        for name in names:
            ours = found[OURS][-1]["cpu_seconds"] if found[OURS] else 0.0
            found[name].append(_judged(name, train, held, target, TIMES * ours))
    methods = {name: _summary(parts) for name, parts in found.items()}
    return {"rows": len(table), "inputs": table.shape[1] - 1, "splits": len(splits), "methods": methods}


def _splits(table: Any, most: int) -> list[Any]:
    """Test rows: of published folds, or of SRBench's trials, whose seeds are the first that seed 42 draws."""
    from sklearn.model_selection import train_test_split

    if "fold" in table:
        return [np.flatnonzero(table["fold"] == k) for k in range(most)]
    seeds = np.random.RandomState(42).randint(2**15 - 1, size=100)[:most]
    rows = np.arange(len(table))
    return [train_test_split(rows, train_size=0.75, test_size=0.25, random_state=int(seed))[1] for seed in seeds]


def _warmed(table: Any, target: str, names: list[str]) -> None:
    """Everything imported and compiled before the clock runs."""
    some = table.iloc[: min(60, len(table))]
    for name in names:
        if not name.endswith("tuned"):
            _judged(name, some, some, target, 0.0)


def _judged(name: str, train: Any, held: Any, target: str, seconds: float) -> dict[str, Any]:
    """Error, explained part of the variance and processor seconds; or why there are none."""
    from benchmarks.peers import predicted

    x, y = train.drop(columns=target), train[target].to_numpy()
    new, truth = held.drop(columns=target), held[target].to_numpy()
    start = time.process_time()
    try:
        if name.startswith(OURS):
            found = _ours(name, train, target, new)
        else:
            found = predicted(name, x.to_numpy(), y, new.to_numpy(), seconds)
    except Exception as error:  # noqa: BLE001  # the record says which, and it ranks last
        return {"failed": f"{type(error).__name__}: {error}"[:200], "cpu_seconds": time.process_time() - start}
    squares = float(np.mean((found - truth) ** 2))
    return {
        "rmse": float(np.sqrt(squares)), "r2": 1 - squares / float(np.var(truth)),
        "cpu_seconds": time.process_time() - start,
    }  # fmt: skip


def _ours(name: str, train: Any, target: str, new: Any) -> Array:
    import cumulant as cm

    theories: dict[str, tuple[Any, dict[str, float]]] = {
        OURS: (cm.Field(), {}), VARIANTS[0]: ("auto", {"budget": BUDGET}), VARIANTS[1]: (cm.Gaussian(), {}),
    }  # fmt: skip
    theory, more = theories[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        lifts = dict.fromkeys(train.columns, "numeric")
        model = cm.fit(train, theory, target=target, lifts=lifts, progress=False, **more)
        return np.asarray(model.predict(target, given=new), float)


def _summary(parts: list[dict[str, Any]]) -> dict[str, Any]:
    failed = [part["failed"] for part in parts if "failed" in part]
    seconds = float(np.mean([part["cpu_seconds"] for part in parts]))
    if failed:
        return {"failed": failed[0], "rmse": None, "r2": None, "cpu_seconds": seconds}
    rmse = [part["rmse"] for part in parts]
    return {
        "rmse": float(np.mean(rmse)), "each": rmse, "r2": float(np.median([part["r2"] for part in parts])),
        "cpu_seconds": seconds,
    }  # fmt: skip


# ---------------------------------------------------------------------------------- the tables


def block(record: dict[str, Any], table: Callable[[list[str], Rows], str], where: str) -> list[str]:
    """What the page shows."""
    results = record["results"]
    peers = [name for name in next(iter(results.values()))["methods"] if not name.startswith(OURS)]
    shown = {name: _standing(results, name, peers) for name in (OURS, *VARIANTS, *peers)}
    rows = [
        [f"**{name}**" if name.startswith(OURS) else name, *one]
        for name, one in sorted(shown.items(), key=lambda item: float(item[1][0]))
    ]
    left = ", ".join(f"{name} ({n:,})" for name, n in record["left_out"].items())
    return [
        record["method"],
        (
            f"Mean over the {len(results)} sets. *Rank*: by RMSE, 1 the best of {len(peers) + 1}; ours of one kind at "
            "a time among the peers, a peer among them and our field. *RMSE over ours*: geometric mean of the ratio "
            "to our field. *Beaten by ours*: sets on which our field is better."
        ),
        table(["", "rank", "RMSE over ours", "beaten by ours", "processor s"], rows),
        "RMSE of each set:",
        table(*_each(results)),
        "Not measured yet (rows): " + (left or "none") + ".",
        *_beside_srbench(record, table),
        where,
    ]


def _standing(results: dict[str, Any], name: str, peers: list[str]) -> list[str]:
    group = [*peers, name] if name.startswith(OURS) else [*peers, OURS]
    ranks, ratios, beaten = [], [], 0
    for one in results.values():
        errors = {other: one["methods"][other]["rmse"] for other in group}
        own, ours = one["methods"][name]["rmse"], one["methods"][OURS]["rmse"]
        ranks.append(_rank(list(errors.values()), own))
        if own is not None:
            ratios.append(own / ours)
        beaten += own is None or ours < own
    seconds = np.mean([one["methods"][name]["cpu_seconds"] for one in results.values()])
    return [
        f"{np.mean(ranks):.2f}", f"{np.exp(np.mean(np.log(ratios))):.3f}",
        "–" if name == OURS else f"{beaten} of {len(results)}", f"{seconds:.2g}",
    ]  # fmt: skip


def _rank(errors: list[float | None], own: float | None) -> float:
    """Place among all, the mean place of ties; without a result, the last."""
    values = np.array([np.inf if error is None else error for error in errors])
    mine = np.inf if own is None else own
    return float(np.sum(values < mine) + (np.sum(values == mine) + 1) / 2)


def _each(results: dict[str, Any]) -> tuple[list[str], Rows]:
    names = [name for name in next(iter(results.values()))["methods"] if name != VARIANTS[1]]
    rows = []
    for name, one in results.items():
        errors = [one["methods"][method]["rmse"] for method in names]
        least = min(error for error in errors if error is not None)
        cells = ["failed" if error is None else f"{error:.{DIGITS}g}" for error in errors]
        cells = [f"**{cell}**" if error == least else cell for cell, error in zip(cells, errors, strict=True)]
        rows.append([name, f"{one['rows']:,} × {one['inputs']}", *cells])
    return ["set", "rows × inputs", *names], rows


def _beside_srbench(record: dict[str, Any], table: Callable[[list[str], Rows], str]) -> list[str]:
    """Explained variance beside what SRBench published."""
    others, results = record["srbench"], record["results"]
    if not others:
        return []
    rows: Rows = []
    ranks: list[float] = []
    for name, published in others.items():
        own = results[name]["methods"][OURS]["r2"]
        ranks.append(_rank([-own, *(-value for value in published.values())], -own))
        shown = [f"{published[column]:.3f}" if column in published else "–" for column in SHOWN]
        rows.append([name, f"{own:.3f}", f"{ranks[-1]:.0f} of {len(published) + 1}", *shown])
    head = ["R²", "**cumulant**", "rank", *(f"`{column}`" for column in SHOWN)]
    return [
        "### Beside SRBench",
        (
            f"Median R² on test rows: ours over {SPLITS} of the ten trials, the others over all ten, tuned, as "
            "published by La Cava et al., NeurIPS 2021 (cavalab/srbench). An asterisk marks symbolic regressors. The "
            f"rank is among all with a result; its mean is {np.mean(ranks):.1f}."
        ),
        table(head, rows),
    ]
