"""How far a fit is from what the machine can do: bandwidth, multiplication, reading, decoding, starting."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import disk, harness
from benchmarks.harness import OURS, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = ((1_000_000, 10), (1_000_000, 100), (200_000, 1000), (10_000_000, 10))
QUICK = ((2_000, 5),)
REPEAT = 5
TINY = 100
METHOD = (
    "Rates of the machine: the best of 5 runs on one core and on all at once, one thread a core. Reading memory: "
    "NumPy's dot product of arrays far larger than the caches. Multiplying: matrices of 1000 × 1000 float64. Reading "
    "files: a file in the page cache, a megabyte at a time. In memory, the roof is the larger of reading the table "
    "once (8np bytes) and of its n·p·(p+1) floating-point operations, each at the machine's rate; measured is "
    "cumulant's measure with ten folds, median of 5. From files, each stage alone: start-up is a whole process on "
    f"{TINY} rows; reading the bytes of the file; decoding is a pass over the table, its rows thrown away; sums are "
    "those of as many rows from memory; then the whole process, median of 3. Bound names the longest stage."
)


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    rates = harness.call("benchmarks.roofline:rates", small=options.quick).result
    for name, rate in rates.items():
        say(f"  {name}: {rate['one']:.3g} on one core, {rate['all']:.3g} on all")
    memory = []
    for rows, columns in options.sizes or (QUICK if options.quick else MEMORY):
        seconds = harness.call("benchmarks.roofline:sums", rows=rows, columns=columns).result
        memory.append(in_memory(rows, columns, seconds, rates))
        say(f"  {rows:,} × {columns:,}: {seconds:.4f} s, roof {memory[-1]['roof_seconds']:.4f}, {memory[-1]['bound']}")
    files = []
    for rows, columns in options.sizes or (QUICK if options.quick else disk.SIZES):
        for format_ in disk.FORMATS:
            files.append(_file(rows, columns, format_, rates))
            say(f"  {rows:,} × {columns + 1:,} {format_}: {files[-1]['stages']}, bound by {files[-1]['bound']}")
    return {
        "benchmark": "roofline", "method": METHOD, "machine": machine, "parameters": {"dtype": "float64", "folds": 10},
        "rates": rates, "results": {"memory": memory, "files": files},
    }  # fmt: skip


def in_memory(rows: int, columns: int, seconds: float, rates: dict[str, Any]) -> dict[str, Any]:
    """How far the sums of a table are from the roof, and which roof that is."""
    reading = 8 * rows * columns / rates["memory_bytes"]["all"]
    multiplying = rows * columns * (columns + 1) / rates["flops"]["all"]
    roof = max(reading, multiplying)
    return {
        "rows": rows, "columns": columns, "seconds": seconds, "roof_seconds": roof, "fraction": roof / seconds,
        "bound": "memory" if reading >= multiplying else "arithmetic",
    }  # fmt: skip


def _file(rows: int, columns: int, format_: str, rates: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="cumulant-bench-") as folder:
        path, tiny = (str(Path(folder) / f"{name}.{format_}") for name in ("table", "tiny"))
        harness.call("benchmarks.disk:generate", path=path, rows=rows, columns=columns)
        harness.call("benchmarks.disk:generate", path=tiny, rows=min(TINY, rows), columns=columns)
        size = Path(path).stat().st_size
        stages = {
            "start-up": _process(tiny, 5),
            "reading": size / rates["file_bytes"]["all"],
            "decoding": harness.call("benchmarks.roofline:decoding", path=path).result,
            "sums": harness.call("benchmarks.roofline:sums", rows=rows, columns=columns + 1).result,
        }
        whole = _process(path, 3)
    return {
        "rows": rows, "columns": columns, "format": format_, "file_bytes": size, "stages": stages, "seconds": whole,
        "bound": max(stages, key=lambda stage: stages[stage]),
        # Reading is part of decoding; sums and decoding share the cores.
        "fraction": (stages["start-up"] + stages["decoding"] + stages["sums"]) / whole,
    }  # fmt: skip


def _process(path: str, times: int) -> float:
    taken = [harness.call("benchmarks.disk:solve", path=path, name=OURS).wall for _ in range(times)]
    return statistics.median(taken)


# ---------------------------------------------------------------------------------- in the measured processes


def rates(small: bool) -> dict[str, dict[str, float]]:
    """Bytes from memory, operations, and bytes from files in a second, on one core and on all."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    length, side, file_bytes = (1 << 16, 50, 1 << 20) if small else (1 << 24, 1000, 1 << 28)
    vectors = [np.ones(length) for _ in range(cores)]
    squares = [np.ones((side, side)) for _ in range(cores)]

    with tempfile.NamedTemporaryFile(prefix="cumulant-bench-") as file, threadpool_limits(1, "blas"):
        file.write(bytes(file_bytes))
        file.flush()

        def read(_: int) -> None:
            buffer = bytearray(1 << 20)
            for at in range(0, file_bytes, len(buffer)):
                os.preadv(file.fileno(), [buffer], at)

        return {
            "memory_bytes": _both(lambda i: vectors[i] @ vectors[i], cores, 8 * length),
            "flops": _both(lambda i: squares[i] @ squares[i], cores, 2 * side**3),
            "file_bytes": _both(read, cores, file_bytes),
        }


def _both(work: Callable[[int], object], cores: int, amount: float) -> dict[str, float]:
    return {"one": _rate(work, 1, amount), "all": _rate(work, cores, amount)}


def _rate(work: Callable[[int], object], threads: int, amount: float) -> float:
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(REPEAT):
            begin = time.perf_counter()
            list(pool.map(work, range(threads)))
            best = min(best, time.perf_counter() - begin)
    return float(f"{threads * amount / best:.4g}")


def sums(rows: int, columns: int) -> float:
    """Seconds to measure a table in memory."""
    import cumulant as cm
    from benchmarks import synthetic

    table = synthetic.table(rows, columns - 1)
    return _median(lambda: cm.measure(table))


def decoding(path: str) -> float:
    """Seconds to read a file as the batches that are summed, without summing."""
    from cumulant.source import open_table

    def through() -> None:
        for _ in open_table(path).open():
            pass

    return _median(through)


def _median(work: Callable[[], object]) -> float:
    work()
    times = [harness.timed(work)[0] for _ in range(REPEAT)]
    return float(f"{statistics.median(times):.4g}")
