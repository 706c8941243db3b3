"""What all benchmarks share: clean processes, interleaved repetitions, peaks of memory, a record of the machine.

Imports the standard library alone, so that a process measured from start to end pays for its own imports and no others.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "cumulant", "numpy", "scipy", "pyarrow", "pandas", "scikit-learn", "scikit-learn-intelex", "statsmodels",
    "polars", "polars-ds", "duckdb", "dask", "pyfixest", "lightgbm", "xgboost", "catboost", "xrfm",
)  # fmt: skip
# Names the folder of the tables that do not come with the package.
TABLES = "CUMULANT_TABLES"
# Container images set these to make runs repeatable on any processor, at the price of one that nobody has.
FORCED_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# And this one, to stay small; a package that is installed has its bytecode, and so has this checkout then.
FORGETS_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# Idle threads of OpenBLAS and OpenMP spin for some 30 ms, on cores that the next case wants.
PAUSE = 0.1
LONGEST = 1200.0
OURS = "cumulant"


class MeasurementError(Exception):
    """A measured process ended without a result."""


@dataclass(frozen=True)
class Options:
    """How much to measure.

    Parameters
    ----------
    quick
        Tiny tables, one round: shows that everything runs, measures nothing.
    rounds
        Most repetitions of a case.
    budget
        Seconds after which a case is repeated no more, once it has been three times.
    sizes
        Only these (rows, columns); empty for all.
    cases
        Only these peers beside cumulant; empty for all.
    """

    quick: bool = False
    rounds: int = 15
    budget: float = 20.0
    sizes: tuple[tuple[int, int], ...] = ()
    cases: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether the result is less than what the tables are written from."""
        return self.quick or bool(self.sizes or self.cases)

    def keep(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        unknown = set(self.cases) - set(names)
        if unknown:
            raise SystemExit(f"no case {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
        return [name for name in names if not self.cases or name == OURS or name in self.cases]


@dataclass
class Timings:
    """Seconds of one case, by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def done(self, options: Options) -> bool:
        return len(self.wall) >= options.rounds or (len(self.wall) >= 3 and sum(self.wall) > options.budget)


def interleaved(cases: Mapping[str, Callable[[], tuple[float, float]]], options: Options) -> dict[str, Timings]:
    """Repeat cases in turn, A B C A B C …, so that a slow minute of the machine falls on all of them.

    Each case gives its wall and processor seconds. Slow ones drop out early; cumulant stays to the last round, so that
    every repetition of a peer has one of ours beside it.
    """
    timings = {name: Timings() for name in cases}
    for turn in range(options.rounds):
        active = [name for name in cases if name != OURS and not timings[name].done(options)]
        if not active and turn >= 3:
            break
        for name in cases:
            if name in active or name == OURS:
                time.sleep(PAUSE)
                wall, cpu = cases[name]()
                timings[name].wall.append(wall)
                timings[name].cpu.append(cpu)
    return timings


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call; what it returns is freed outside of the clock."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    kept = run()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    del kept
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Smallest, median and largest, to four digits."""
    three = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in three.items()}


def summaries(timings: Mapping[str, Timings]) -> dict[str, dict[str, Any]]:
    """Seconds of every case, and cumulant's over each peer's, round by round."""
    ours = timings[OURS].wall
    out: dict[str, dict[str, Any]] = {}
    for name, times in timings.items():
        out[name] = {
            "repetitions": len(times.wall),
            "seconds": spread(times.wall),
            "cpu_seconds": spread(times.cpu),
        }
        if name != OURS:
            out[name]["ratio"] = spread([a / b for a, b in zip(ours, times.wall, strict=False)])
    return out


def peak_extra(run: Callable[[], object]) -> int | None:
    """Resident bytes above the level just before the call, at the worst moment; None where the kernel will not say."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark anew
    except OSError:
        return None
    before = resident("VmRSS")
    run()
    peak = resident("VmHWM")
    return None if before is None or peak is None else peak - before


def resident(line: str) -> int | None:
    """Bytes of this process by /proc: VmRSS now, VmHWM at the worst moment."""
    with suppress(OSError):
        match = re.search(rf"^{line}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(match[1]) * 1024 if match else None
    return None


# ---------------------------------------------------------------------------------------------- processes


def environment() -> dict[str, str]:
    """The variables of a measured process: this checkout, compiled once, and the algebra of the processor at hand."""
    env = {name: value for name, value in os.environ.items() if name not in (*FORCED_KERNELS, FORGETS_BYTECODE)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), env.get("PYTHONPATH")]))
    return env


@dataclass(frozen=True)
class Process:
    """A process that has ended: what its function returned, and what the whole of it took."""

    result: Any
    wall: float
    cpu: float
    peak_bytes: int | None


def call(target: str, timeout: float = LONGEST, **parameters: Any) -> Process:
    """Run ``module:function`` in a fresh interpreter.

    Raises
    ------
    MeasurementError
        With the last line that the process wrote.
    """
    command = [sys.executable, "-m", "benchmarks.worker", target, json.dumps(parameters)]
    cpu, wall = _children_cpu(), time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"took over {timeout:.0f} s") from None
    wall, cpu = time.perf_counter() - wall, _children_cpu() - cpu
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        reason = f"killed by signal {-done.returncode}" if done.returncode < 0 else lines[-1]
        raise MeasurementError(reason[:300])
    answer = json.loads(done.stdout.splitlines()[-1])
    return Process(answer["result"], wall, cpu, answer["peak_bytes"])


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# ---------------------------------------------------------------------------------------------- the record


def machine() -> dict[str, Any]:
    """What it was measured on, and when; says so if the machine has other work."""
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"other programs are running (load {load:.1f}): the figures will be worse than this machine's")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "vectors": _vectors(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "blas": call("benchmarks.harness:blas").result,
        "thread_limits": {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")},
        "load_at_start": round(load, 2),
    }


def blas() -> list[str]:
    """The linear algebra libraries in a measured process: kernel and threads."""
    for package in ("numpy", "scipy.linalg"):
        importlib.import_module(package)
    from threadpoolctl import threadpool_info

    return sorted(
        f"{pool['internal_api']} {pool['version']}, {pool.get('architecture')}, {pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    )


def _cpu_model() -> str:
    with suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if match:
            return re.sub(r"\(R\)|\(TM\)", "", match[1]).strip()
    return platform.processor() or platform.machine()


def _vectors() -> str:
    with suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text().split())
        return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "none of AVX2, AVX-512"
    return "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def table_file(name: str) -> Path | None:
    """A table that does not come with the package, where CUMULANT_TABLES names a folder that has it."""
    folder = os.environ.get(TABLES)
    return None if folder is None else next(iter(sorted(Path(folder).rglob(name))), None)


def write(name: str, result: Mapping[str, Any], folder: Path) -> Path:
    """Write the record of a benchmark as ``folder/name.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
