"""What a computation costs: passes, flops, bytes, seconds, memory and energy, measured or by formula.

Flops are counted by formula, to leading order, one multiplication or one addition each; the terms left
out are of order n or p.  Those of a pass are counted beside the sums, in `cumulant.measure.work`.
Seconds and memory are measured.  Energy is read from the processor's own
counters (RAPL) where the kernel lets us, and is otherwise CPU-seconds times a stated wattage.
"""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = [
    "WATTS_PER_CORE",
    "Cost",
    "Meter",
    "Rapl",
    "estimated",
    "flops_adam",
    "flops_descent",
    "flops_lbfgs",
    "flops_power_iteration",
    "flops_sgd",
    "flops_solve",
    "flops_standardise",
    "quantity",
]

WATTS_PER_CORE = 15.0
"""Watts assumed for one busy core when the processor's energy counters cannot be read."""

_STATM = Path("/proc/self/statm")
_MEMORY_PERIOD = 0.002
_ENERGY_PERIOD = 1.0


@dataclass(frozen=True)
class Cost:
    """What one computation cost.

    Parameters
    ----------
    passes : float
        Sweeps over the rows of the table; a fraction where only some rows were read.
    flops : float
        Floating-point operations, by the formula of the method.
    bytes : float
        Bytes of table read from or written to memory, by formula.
    cpu_seconds, wall_seconds : float
        Processor time of all threads, and time on the clock; NaN where nothing was run.
    peak_memory : float
        Bytes of resident memory above the level at the start, at the worst moment.
    joules : float
        Energy; see `joules_source`.
    joules_source, memory_source : str
        How the two were obtained.

    Examples
    --------
    >>> one = Cost(passes=1, flops=flops_descent(1000, 10, 1), bytes=8 * 1000 * 10)
    >>> (one + one).passes
    2.0
    """

    passes: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    cpu_seconds: float = math.nan
    wall_seconds: float = math.nan
    peak_memory: float = math.nan
    joules: float = math.nan
    joules_source: str = "not measured"
    memory_source: str = "not measured"

    def __add__(self, other: Cost) -> Cost:
        """One computation after the other: everything adds, except memory, whose peak is the larger."""
        return replace(
            self,
            passes=float(self.passes + other.passes),
            flops=self.flops + other.flops,
            bytes=self.bytes + other.bytes,
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            wall_seconds=self.wall_seconds + other.wall_seconds,
            peak_memory=max(self.peak_memory, other.peak_memory),
            joules=self.joules + other.joules,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON; what was not measured is None."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


class Rapl:
    """Energy counters of the processor packages and their memory (Running Average Power Limit).

    The counters belong to the machine: whatever else runs at the time is in them too.

    Parameters
    ----------
    root : path
        Where the kernel shows them.

    Notes
    -----
    Counters are microjoules that wrap at ``max_energy_range_uj``, so a difference is taken modulo that
    range and must be read more often than it wraps (minutes).  Zones named ``psys`` cover the packages
    a second time, and ``core`` and ``uncore`` are parts of a package; they are left out.
    Linux kernel documentation, *Power Capping Framework*.
    """

    def __init__(self, root: str | Path = "/sys/class/powercap") -> None:
        self._zones = [zone for zone in _rapl_zones(Path(root)) if _readable(zone / "energy_uj")]
        self._last = [_read_int(zone / "energy_uj") for zone in self._zones]
        self._range = [_read_int(zone / "max_energy_range_uj") for zone in self._zones]
        self._joules = 0.0

    @property
    def available(self) -> bool:
        """Whether at least one counter can be read."""
        return bool(self._zones)

    def joules(self) -> float:
        """Joules since construction; reading it also guards against a counter wrapping twice."""
        for i, zone in enumerate(self._zones):
            now = _read_int(zone / "energy_uj")
            step = now - self._last[i]
            self._joules += (step if step >= 0 else step + self._range[i]) * 1e-6
            self._last[i] = now
        return self._joules


class Meter:
    """Measures the block it surrounds: seconds, the peak of extra memory, energy.

    Parameters
    ----------
    watts_per_core : float
        Assumed power of one busy core where energy counters cannot be read.
    settle : bool
        Collect garbage and hand free memory back to the system first, so that blocks measured one after
        the other in one process start alike.
    rapl_root : path
        Where the kernel shows its energy counters.

    Notes
    -----
    Memory is the resident set above its level at the start, read by a thread every 2 ms; memory that the
    allocator already held and reused is not extra.  Where /proc is absent, the growth of the process's
    high-water mark (``ru_maxrss``) is used: it misses a peak lower than an earlier one.

    Examples
    --------
    >>> with Meter() as meter:
    ...     total = sum(range(1000))
    >>> cost = meter.cost(passes=1, flops=1000, bytes_moved=8000)
    >>> cost.wall_seconds >= 0 and cost.joules >= 0
    True
    """

    def __init__(
        self,
        *,
        watts_per_core: float = WATTS_PER_CORE,
        settle: bool = False,
        rapl_root: str | Path = "/sys/class/powercap",
    ) -> None:
        self._watts = watts_per_core
        self._settle = settle
        self._rapl_root = rapl_root
        self._done = threading.Event()

    def __enter__(self) -> Meter:
        if self._settle:
            _hand_back_free_memory()
        self._done.clear()
        self._rapl = Rapl(self._rapl_root)
        self._base = self._peak = _resident()
        self._base_high_water = _high_water()
        self._watcher = threading.Thread(target=self._watch, name="cumulant-meter", daemon=True)
        self._watcher.start()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wall = time.perf_counter() - self._wall
        self._cpu = time.process_time() - self._cpu
        self._peak = max(self._peak, _resident())
        self._joules = self._rapl.joules()
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        # Without /proc there is nothing to poll but energy, which is slow to wrap.
        period = _MEMORY_PERIOD if self._base else _ENERGY_PERIOD
        next_energy = time.monotonic() + _ENERGY_PERIOD
        while not self._done.wait(period):
            self._peak = max(self._peak, _resident())
            if time.monotonic() >= next_energy:
                self._rapl.joules()
                next_energy += _ENERGY_PERIOD

    def cost(self, *, passes: float = 0.0, flops: float = 0.0, bytes_moved: float = 0.0) -> Cost:
        """The measured block as a `Cost`, with the counts that only its author knows."""
        if self._base:
            memory, memory_source = self._peak - self._base, "resident set, sampled every 2 ms"
        else:
            memory, memory_source = _high_water() - self._base_high_water, "growth of ru_maxrss"
        if self._rapl.available:
            joules = self._joules
            source = "RAPL counters of the processor (whole machine)"
        else:
            joules = self._cpu * self._watts
            source = estimated(self._watts)
        return Cost(
            passes=float(passes),
            flops=float(flops),
            bytes=float(bytes_moved),
            cpu_seconds=self._cpu,
            wall_seconds=self._wall,
            peak_memory=float(max(memory, 0)),
            joules=joules,
            joules_source=source,
            memory_source=memory_source,
        )


def estimated(watts_per_core: float) -> str:
    """How energy is obtained where nothing measures it."""
    return f"estimate, CPU-seconds × {watts_per_core:g} W per busy core"


def flops_solve(p: float) -> float:
    """Cholesky factor of a p × p matrix and one right-hand side: p³/3 + 2·p².

    Golub & Van Loan, *Matrix Computations*, 4th ed., §4.2.
    """
    return p**3 / 3 + 2 * p**2


def flops_standardise(n: float, p: float) -> float:
    """Centre and scale p columns of n rows: 6·n·p (mean 1, spread 3, applying both 2, per cell)."""
    return 6 * n * p


def flops_power_iteration(n: float, p: float, iterations: float) -> float:
    """Largest eigenvalue of XᵀX by power iteration: 4·n·p an iteration (X v, then Xᵀ of it)."""
    return 4 * n * p * iterations


def flops_descent(n: float, p: float, passes: float) -> float:
    """Gradient descent on a least-squares loss: 4·n·p a full pass.

    The residual X b − y takes 2·n·p and the gradient Xᵀ r another 2·n·p; the loss itself falls out of
    the residual.
    """
    return 4 * n * p * passes


def flops_sgd(n: float, p: float, passes: float, steps: float) -> float:
    """Mini-batch descent: 4·n·p a pass over the rows, and 2·p for each of the (many) updates."""
    return 4 * n * p * passes + 2 * p * steps


def flops_adam(n: float, p: float, passes: float, steps: float) -> float:
    """Adam: 4·n·p a pass over the rows, and 14·p for each update.

    Per parameter: first moment 3, second moment 4, bias corrections 2, root, sum and quotient 3, update 2.
    Kingma & Ba, *Adam* (2015), algorithm 1.
    """
    return 4 * n * p * passes + 14 * p * steps


def flops_lbfgs(n: float, p: float, evaluations: float, iterations: float, memory: float = 10) -> float:
    """L-BFGS: 4·n·p for each loss and gradient, and 8·m·p an iteration for the two-loop recursion.

    m is the number of stored pairs.  Nocedal & Wright, *Numerical Optimization*, 2nd ed., algorithm 7.4.
    """
    return 4 * n * p * evaluations + 8 * memory * p * iterations


def quantity(value: float, unit: str = "") -> str:
    """A number of three figures with the unit's prefix; a dash where there is none.

    Examples
    --------
    >>> quantity(1234567, "B")
    '1.23 MB'
    >>> quantity(0.00042, "s")
    '420 µs'
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return f"0 {unit}".rstrip()
    prefixes = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
    # Rounding to three figures first, so that 999.9 becomes 1.00 k and not 1000.
    rounded = float(f"{value:.3g}")
    power = min(15, max(-9, 3 * math.floor(math.log10(abs(rounded)) / 3)))
    scaled = rounded / 10.0**power
    digits = max(0, 2 - math.floor(math.log10(abs(scaled)))) if scaled else 0
    return f"{scaled:.{digits}f} {prefixes[power]}{unit}".rstrip()


def _rapl_zones(root: Path) -> Iterator[Path]:
    for zone in sorted(root.glob("intel-rapl:*")):
        # The kernel lists packages ("intel-rapl:0") and their parts ("intel-rapl:0:1") side by side.
        name = _read_text(zone / "name")
        if name.startswith("package") or name == "dram":
            yield zone


def _readable(path: Path) -> bool:
    try:
        _read_int(path)
    except (OSError, ValueError):
        return False
    return True


def _read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _read_int(path: Path) -> int:
    return int(path.read_text())


def _resident() -> int:
    """Bytes of resident memory of this process, or 0 where the system does not say."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return 0
    return pages * _page_size()


def _page_size() -> int:
    import resource

    return resource.getpagesize()


def _high_water() -> int:
    """Bytes of the process's largest resident set so far, or 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _hand_back_free_memory() -> None:
    import ctypes

    gc.collect()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
