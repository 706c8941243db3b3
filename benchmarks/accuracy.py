"""Accuracy and calibration on nine public regression sets, with the published splits, beside published results.

The sets and their splits are those of Hernández-Lobato & Adams (ICML 2015), as files ``SET.csv`` and
``SET.splits.csv.gz`` (columns split and test_index), in uci_regression in the folder that CUMULANT_TABLES names.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import ROOT, Options, say

METHOD = (
    "Nine public regression sets, 20 published random splits of 90 % training rows each (Protein 5). One default for "
    "all: `cm.fit(train, cm.Fluctuation(), target=…)`. Mean over splits ± standard error; log-likelihood in nats a "
    "row, of the target in its units; processor seconds of fit and prediction for one split, one thread. Coverage: "
    "part of held-out rows within intervals of 50, 80 and 95 %. Others as published."
)
GAPS = (
    "Each input of a test row is removed with a probability of 30 %. *integrated*: the same model, which averages over "
    "what is not known. *mean*: gaps filled with the mean of the training rows, then predicted as if known. "
    "*iterative*: gaps filled by scikit-learn's IterativeImputer. Mean over ten splits ± standard error."
)
SETS = {
    "Boston": "bostonHousing",
    "Concrete": "concrete",
    "Energy": "energy",
    "Kin8nm": "kin8nm",
    "Naval": "naval-propulsion-plant",
    "Power plant": "power-plant",
    "Protein": "protein-tertiary-structure",
    "Wine red": "wine-quality-red",
    "Yacht": "yacht",
}
WITH_GAPS = ("Concrete", "Power plant", "Wine red")
LEVELS = (0.5, 0.8, 0.95)
REMOVED = 0.3


def run(options: Options) -> dict[str, Any]:
    tables = os.environ.get("CUMULANT_TABLES")
    if tables is None:
        raise SystemExit("set CUMULANT_TABLES to the folder that holds uci_regression; see benchmarks/accuracy.py")
    folder = str(Path(tables) / "uci_regression")
    published = json.loads((ROOT / "benchmarks" / "published" / "uci_regression.json").read_text("utf-8"))
    machine = harness.machine()
    names = options.keep(SETS)
    target = "benchmarks.accuracy:one_set"
    results, gaps = {}, {}
    for name in names:
        most = 1 if options.quick else 20
        results[name] = harness.call(target, folder=folder, name=SETS[name], most=most, gaps=False).result
        say(f"  {name:12} " + json.dumps(results[name]["rmse"]) + json.dumps(results[name]["log_likelihood"]))
    for name in names:
        if name in WITH_GAPS:
            most = 1 if options.quick else 10
            gaps[name] = harness.call(target, folder=folder, name=SETS[name], most=most, gaps=True).result
    return {
        "benchmark": "accuracy", "method": METHOD, "machine": machine, "parameters": {}, "results": results,
        "gaps": gaps, "published": published,
    }  # fmt: skip


# ---------------------------------------------------------------------------------- in the measured process


def one_set(folder: str, name: str, most: int, gaps: bool) -> dict[str, Any]:
    """All splits of a set, or what becomes of them when inputs are missing."""
    parts = splits(folder, name, most)
    rows = [_without(train, held, split) if gaps else judged(train, held) for split, train, held in parts]
    return {key: mean_and_error([row[key] for row in rows]) for key in rows[0] if key != "chosen"} | (
        {} if gaps else {"chosen": rows[-1]["chosen"]}
    )


def splits(folder: str, name: str, most: int) -> Iterator[tuple[int, Any, Any]]:
    """Number, training rows and held-out rows of each split of a set."""
    import pandas as pd

    (path,) = (p for p in Path(folder).glob(f"{name}.csv*") if "splits" not in p.name)
    table = pd.read_csv(path).astype(float)
    chosen = pd.read_csv(Path(folder) / f"{name}.splits.csv.gz")
    for split in sorted(chosen["split"].unique())[:most]:
        test = chosen["test_index"][chosen["split"] == split].to_numpy()
        yield int(split), table.drop(index=test).reset_index(drop=True), table.iloc[test].reset_index(drop=True)


def _fitted(train: Any, theory: Any = None, missing: str = "drop") -> Any:
    import cumulant as cm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        lifts = dict.fromkeys(train.columns, "numeric")
        theory = cm.Fluctuation() if theory is None else theory
        return cm.fit(train, theory, target=train.columns[-1], lifts=lifts, missing=missing, progress=False)


def judged(train: Any, held: Any, theory: Any = None, missing: str = "drop") -> dict[str, Any]:
    """Error, log-likelihood, coverage and processor seconds of a theory on held-out rows."""
    target = train.columns[-1]
    start = time.process_time()
    model = _fitted(train, theory, missing)
    density = model.predict(target, given=held.drop(columns=target), output="density")
    y = held[target].to_numpy()
    out = {
        "rmse": float(np.sqrt(np.mean((y - density.mean) ** 2))),
        "log_likelihood": float(np.mean(density.log_prob(y))),
        "cpu_seconds": time.process_time() - start,
        "chosen": list(model.notes[-2:]),
    }
    for level in LEVELS:
        low, high = density.interval(level)
        out[f"coverage {level:g}"] = float(np.mean((low <= y) & (y <= high)))
    return out


def _without(train: Any, held: Any, split: int) -> dict[str, float]:
    """Error and log-likelihood with inputs removed, in three ways."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    target = train.columns[-1]
    inputs = held.drop(columns=target)
    rng = np.random.default_rng(split)
    gaps = inputs.mask(rng.random(inputs.shape) < REMOVED)
    model = _fitted(train)
    imputer = IterativeImputer(random_state=0).fit(train.drop(columns=target))
    filled = {
        "integrated": gaps,
        "mean": gaps.fillna(train.drop(columns=target).mean()),
        "iterative": gaps.__class__(imputer.transform(gaps), columns=inputs.columns),
    }
    y = held[target].to_numpy()
    out = {}
    for name, given in filled.items():
        density = model.predict(target, given=given, output="density")
        out[f"rmse {name}"] = float(np.sqrt(np.mean((y - density.mean) ** 2)))
        out[f"log_likelihood {name}"] = float(np.mean(density.log_prob(y)))
    return out


def mean_and_error(values: list[float]) -> dict[str, float]:
    a = np.array(values)
    return {"mean": float(a.mean()), "error": float(a.std(ddof=1) / np.sqrt(len(a))) if len(a) > 1 else float("nan")}


# ---------------------------------------------------------------------------------- the tables


def block(record: dict[str, Any], table: Any, where: str) -> list[str]:
    """The tables of docs/accuracy.md."""
    parts = beside_published(record, table, where)
    parts += ["### Inputs that are missing", GAPS]
    ways = ("integrated", "mean", "iterative")
    head = ["", *(f"RMSE, {way}" for way in ways), *(f"log-likelihood, {way}" for way in ways)]
    rows = [
        [name, *(_pm(one[f"rmse {w}"], 3) for w in ways), *(_pm(one[f"log_likelihood {w}"], 2) for w in ways)]
        for name, one in record["gaps"].items()
    ]
    parts.append(table(head, rows))
    parts += [f"*{name}*: {text}" for name, text in record["published"]["source"].items()]
    return parts


def beside_published(record: dict[str, Any], table: Any, where: str) -> list[str]:
    """Error, likelihood and coverage of each set, beside what was published."""
    published = record["published"]["sets"]
    peers = list(dict.fromkeys(peer for one in published.values() for peer in one))
    parts = [record["method"], where]
    for title, key, digits in (("RMSE", "rmse", 3), ("Log-likelihood", "log_likelihood", 2)):
        head = [title, "**cumulant**", *peers, *(["processor s"] if key == "rmse" else [])]
        rows = []
        for name, one in record["results"].items():
            row = [name, f"**{_pm(one[key], digits)}**", *(_pm(published[name][peer][key], 2) for peer in peers)]
            rows.append([*row, f"{one['cpu_seconds']['mean']:.2g}"] if key == "rmse" else row)
        parts.append(table(head, rows))
    head = ["Coverage of intervals", *(f"{level:.0%}" for level in LEVELS)]
    coverage = [
        [name, *(_pm({k: 100 * v for k, v in one[f"coverage {level:g}"].items()}, 1) + " %" for level in LEVELS)]
        for name, one in record["results"].items()
    ]
    parts.append(table(head, coverage))
    return parts


def _pm(value: dict[str, float], digits: int) -> str:
    if 0 < abs(value["mean"]) < 10**-digits:
        return f"{value['mean']:.1e}"
    return f"{value['mean']:.{digits}f} ± {value['error']:.{digits}f}"
