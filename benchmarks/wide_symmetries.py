"""What it takes to search a thousand columns for symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Options, say

METHOD = (
    "cm.symmetries with its defaults on the moments of 3,000 Gaussian rows of 1,000 columns, once, in a fresh process: "
    "independent columns; ten exchangeable blocks of 100, columns shuffled; a ring whose correlations fall with "
    "distance, columns shuffled; and a periodic grid of 31 × 31, named after its places. Peak memory is that of the "
    "whole process."
)
KINDS = ("noise", "blocks", "ring", "grid")
ROWS, COLUMNS, SIDE = 3000, 1000, 31


def run(options: Options) -> dict[str, Any]:
    """Seconds of each table."""
    machine = harness.machine()
    rows, columns, side = (100, 40, 6) if options.quick else (ROWS, COLUMNS, SIDE)
    results = {}
    for kind in KINDS:
        process = harness.call("benchmarks.wide_symmetries:search", kind=kind, rows=rows, columns=columns, side=side)
        results[kind] = {**process.result, "peak_bytes": process.peak_bytes}
        found = results[kind]
        say(f"  {kind:8}{found['seconds']:7.1f} s  {found['cpu_seconds']:7.1f} processor s  {found['best']}")
    parameters = {"rows": rows, "columns": columns, "side": side, "seed": 0}
    return {
        "benchmark": "wide_symmetries", "method": METHOD, "machine": machine, "parameters": parameters,
        "results": results,
    }  # fmt: skip


def search(kind: str, rows: int, columns: int, side: int) -> dict[str, Any]:
    """In the measured process: seconds, and the first of what was found."""
    import cumulant as cm

    m = cm.measure(table(kind, rows, columns, side), progress=False)
    found: list[Any] = []
    wall, cpu = harness.timed(lambda: found.append(cm.symmetries(m)))
    best = found[0][0]
    return {
        "columns": len(m.columns), "seconds": wall, "cpu_seconds": cpu, "candidates": len(found[0]),
        "accepted": len(found[0].accepted), "best": f"{best.verdict}: {str(best.group)[:60]}",
    }  # fmt: skip


def table(kind: str, rows: int, columns: int, side: int) -> dict[str, np.ndarray]:
    """Rows of one kind."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(rows, side * side if kind == "grid" else columns))
    if kind == "grid":
        squared = np.add.outer(np.fft.fftfreq(side, 1 / side) ** 2, np.fft.rfftfreq(side, 1 / side) ** 2)
        waves = np.fft.rfft2(z.reshape(rows, side, side)) / (1 + squared / 30)
        z = np.fft.irfft2(waves, s=(side, side)).reshape(rows, -1)
        return {f"g{i // side}_{i % side}": column for i, column in enumerate(z.T)}
    if kind == "blocks":
        for block in np.array_split(np.arange(columns), 10):
            z[:, block] += rng.normal(size=(rows, 1)) * (0.5 + block[0] / columns)
    if kind == "ring":
        z = np.fft.irfft(np.fft.rfft(z) / (1 + (np.arange(columns // 2 + 1) / 40) ** 2), n=columns)
    order = np.arange(columns) if kind == "noise" else rng.permutation(columns)
    return {f"c{i}": column for i, column in enumerate(z.T[order])}
