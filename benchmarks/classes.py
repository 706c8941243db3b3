"""Accuracy of fields of classes on public sets of classes, on the published splits, beside published classifiers.

The sets are those of Fernández-Delgado et al. (JMLR 15, 2014) without an official test part, as files ``SET.parquet``
(features, y) and ``_splits.parquet`` in uci121 in the folder that CUMULANT_TABLES names; the published accuracies, as
a table of sets by classifiers, in published there. ``--case SET`` measures one set; with ``--to benchmarks/results``
it takes its place among those measured before.
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
from benchmarks.harness import RESULTS, TABLES, Options, say

METHOD = (
    "Public sets of classes, four published splits of about 75 % training rows each. One default for all: "
    "`cm.fit(train, cm.Field(), target=…)`. Accuracy in per cent, mean over "
    "splits; processor seconds of fit and prediction for one split, one thread. Others as published by "
    "Fernández-Delgado et al., JMLR 15 (2014) 3133, whose classifiers were tuned on rows that overlap the test parts."
)
if TYPE_CHECKING:
    from collections.abc import Callable

ACCURACIES = "B2_fernandez_delgado_accuracy_all186.csv"
LONGEST = 7200.0
# Classifiers that are named in the table: the best of the published ones.
NAMED = 8
# Of these, how many have a column in the table of sets.
SHOWN = 3


def run(options: Options) -> dict[str, Any]:
    tables = os.environ.get(TABLES)
    if tables is None:
        raise SystemExit(f"set {TABLES} to the folder that holds uci121; see benchmarks/classes.py")
    folder = Path(tables) / "uci121"
    before = RESULTS / "classes.json"
    results = json.loads(before.read_text("utf-8"))["results"] if before.exists() and options.cases else {}
    for name in options.keep(_sets(folder)):
        found = harness.call(
            "benchmarks.classes:one_set", timeout=LONGEST, folder=str(folder), name=name,
            most=1 if options.quick else 4,
        ).result  # fmt: skip
        results[name] = found
        say(f"  {name:32} {found['accuracy']:.1f} {found['cpu_seconds']:.1f} s")
    results = {name: results[name] for name in sorted(results)}
    return {
        "benchmark": "classes", "method": METHOD, "machine": harness.machine(), "parameters": {}, "results": results,
        "published": _published(Path(tables) / "published" / ACCURACIES, results),
    }  # fmt: skip


def _sets(folder: Path) -> list[str]:
    """Sets without an official test part, small ones first."""
    import pyarrow.parquet as pq

    found = {path.stem: pq.ParquetFile(path) for path in folder.glob("[a-z]*.parquet")}
    whole = {name: file for name, file in found.items() if "part" not in file.schema_arrow.names}
    return sorted(whole, key=lambda name: (whole[name].metadata.num_rows, name))


def _published(path: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Means of the best published classifiers over the sets that were measured and that they have all results for."""
    import pandas as pd

    table = pd.read_csv(path, index_col="dataset").apply(pd.to_numeric, errors="coerce")
    sets = [name for name in results if name in table.index]
    means = table.loc[sets].mean(skipna=False).dropna().sort_values(ascending=False)
    each = {name: {best: float(table.loc[name, best]) for best in means.index[:SHOWN]} for name in sets}
    return {
        "sets": sets, "each": each, "classifiers": int(table.shape[1]), "complete": len(means),
        "ours": float(np.mean([results[name]["accuracy"] for name in sets])),
        "best": {name: float(value) for name, value in means.head(NAMED).items()},
    }  # fmt: skip


def block(record: dict[str, Any], table: Callable[[list[str], list[list[str]]], str], where: str) -> list[str]:
    """What the page on classes shows."""
    others, results = record["published"], record["results"]
    wins = sum(results[name]["accuracy"] >= max(each.values()) for name, each in others["each"].items())
    means = [["cumulant", f"{others['ours']:.1f}"]] + [[f"`{k}`", f"{v:.1f}"] for k, v in others["best"].items()]
    named = list(next(iter(others["each"].values())))
    rows = [
        [name, f"{r['rows']:,} × {r['inputs']}", str(r["classes"]), f"{r['accuracy']:.1f}"]
        + [f"{others['each'][name][k]:.1f}" if name in others["each"] else "–" for k in named]
        + [f"{r['cpu_seconds']:.1f}"]
        for name, r in results.items()
    ]
    return [
        record["method"],
        (
            f"Mean over the {len(others['sets'])} sets that have published results, beside the best of the "
            f"{others['complete']} classifiers, of {others['classifiers']}, with results for all of them:"
        ),
        table(["", "accuracy, %"], means),
        f"No worse than each of {', '.join(f'`{k}`' for k in named)} on {wins} sets. Each set:",
        table(["set", "rows × inputs", "classes", "cumulant", *(f"`{k}`" for k in named), "seconds"], rows),
        where,
    ]


# ---------------------------------------------------------------------------------- in the measured process


def one_set(folder: str, name: str, most: int) -> dict[str, Any]:
    """All splits of a set."""
    import pandas as pd

    table = pd.read_parquet(Path(folder) / f"{name}.parquet")
    table["y"] = "class " + table["y"].astype(str)
    splits = pd.read_parquet(Path(folder) / "_splits.parquet")
    splits = splits[(splits["dataset"] == name) & (splits["kind"] == "kfold_test")]
    rows = [_split(table, fold["row"].to_numpy()) for _, fold in list(splits.groupby("fold"))[:most]]
    means = {key: float(np.mean([row[key] for row in rows])) for key in ("accuracy", "log_likelihood", "cpu_seconds")}
    return means | {"rows": len(table), "inputs": table.shape[1] - 1, "classes": int(table["y"].nunique())}


def _split(table: Any, test: Any) -> dict[str, float]:
    import cumulant as cm

    held = table.iloc[test]
    train = table.drop(index=test)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        lifts = dict.fromkeys(train.columns.drop("y"), "numeric")
        model = cm.fit(train, cm.Field(), target="y", lifts=lifts, progress=False)
    p = model.predict("y", given=held.drop(columns="y"), output="density")
    best = p.columns.to_numpy()[p.to_numpy().argmax(axis=1)]
    own = p.reindex(columns=[*p.columns, *(set(held["y"]) - set(p.columns))], fill_value=0.0)
    chance = own.to_numpy()[np.arange(len(held)), own.columns.get_indexer(held["y"])]
    return {
        "accuracy": 100 * float(np.mean(best == held["y"].to_numpy())),
        "log_likelihood": float(np.log(np.maximum(chance, 1e-12)).mean()),
        "cpu_seconds": time.process_time() - start,
    }
