"""Accuracy of the field on function space on nine public regression sets, with the published splits.

``--case SET`` measures one set; with ``--to benchmarks/results`` it takes its place among those measured before. The
sets and their splits are found as in `benchmarks.accuracy`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from benchmarks import accuracy, harness
from benchmarks.accuracy import SETS
from benchmarks.harness import RESULTS, ROOT, Options, say

METHOD = (
    "Nine public regression sets, 20 published random splits of 90 % training rows each (Protein 5). One default for "
    "all: `cm.fit(train, cm.Field(), target=…)`. Mean over splits ± standard error; log-likelihood in nats a row, of "
    "the target in its units; processor seconds of fit and prediction for one split, one thread. Coverage: part of "
    "held-out rows within intervals of 50, 80 and 95 %. Others as published."
)
LONGEST = 7200.0


def run(options: Options) -> dict[str, Any]:
    tables = os.environ.get("CUMULANT_TABLES")
    if tables is None:
        raise SystemExit("set CUMULANT_TABLES to the folder that holds uci_regression; see benchmarks/accuracy.py")
    folder = str(Path(tables) / "uci_regression")
    before = RESULTS / "field.json"
    results = json.loads(before.read_text("utf-8"))["results"] if before.exists() and options.cases else {}
    for name in options.keep(SETS):
        most = 1 if options.quick else 20
        found = harness.call(
            "benchmarks.field:one_set", timeout=LONGEST, folder=folder, name=SETS[name], most=most
        ).result
        results[name] = found
        say(f"  {name:12} " + json.dumps(found["rmse"]) + json.dumps(found["log_likelihood"]))
    published = json.loads((ROOT / "benchmarks" / "published" / "uci_regression.json").read_text("utf-8"))
    return {
        "benchmark": "field", "method": METHOD, "machine": harness.machine(), "parameters": {},
        "results": {name: results[name] for name in SETS if name in results}, "published": published,
    }  # fmt: skip


def one_set(folder: str, name: str, most: int) -> dict[str, Any]:
    """All splits of a set."""
    import cumulant as cm

    parts = accuracy.splits(folder, name, most)
    rows = [accuracy.judged(train, held, cm.Field(), "integrate") for _, train, held in parts]
    numbers = [key for key in rows[0] if key != "chosen"]
    means = {key: accuracy.mean_and_error([row[key] for row in rows]) for key in numbers}
    return means | {"splits": len(rows), "chosen": rows[-1]["chosen"]}


def block(record: dict[str, Any], table: Any, where: str) -> list[str]:
    """The tables of docs/field.md."""
    return accuracy.beside_published(record, table, where)
