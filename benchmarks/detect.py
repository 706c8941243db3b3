"""How often a symmetry is accepted where there is none, and how often it is found where there is one, against rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import harness
from benchmarks.harness import Options, say

METHOD = (
    "Tables of Gaussian rows of 6 columns whose names suggest several symmetries, searched with the defaults of "
    "cm.symmetries (level 0.05). False alarms: the share of tables without symmetry that have any accepted; their "
    "covariances are Wishart matrices of p + 2, 2p and 5p degrees of freedom; one factor (loadings uniform on 0.3 "
    "… 1.5, own variances on 0.2 … 2); or two factors with Gaussian loadings. Costly: those of them whose "
    "symmetry is false beyond what the rows can tell, n times the Kullback–Leibler divergence of the true "
    "covariance from its average over the group being more than half the parameters saved; the others predict new "
    "rows better than no symmetry. Power: the share of tables with a planted symmetry in which it, or a group "
    "that implies it, is accepted; scaled: pairs whose columns are in units of their own. Chain: an "
    "autoregression in shuffled order, whose reversal is a symmetry up to scale, and nothing named is."
)
PAIRS = ("left_a", "right_a", "left_b", "right_b", "age", "size")
RING = tuple(f"h{i}" for i in range(6))
# Places along the chain, of columns in order.
CHAIN = [3, 0, 5, 1, 4, 2]
SEED = 31
ROWS = (20, 100, 1000)
POWER_ROWS = (50, 120, 500)
Rng = np.random.Generator


def _wishart(degrees: int) -> Callable[[Rng], np.ndarray]:
    def draw(rng: Rng) -> np.ndarray:
        a = rng.normal(size=(6, degrees))
        return a @ a.T / degrees

    return draw


def _factor(rng: Rng) -> np.ndarray:
    load = rng.uniform(0.3, 1.5, 6)
    return np.outer(load, load) + np.diag(rng.uniform(0.2, 2.0, 6))


def _two_factors(rng: Rng) -> np.ndarray:
    load = rng.normal(size=(6, 2))
    return load @ load.T + np.diag(rng.uniform(0.2, 2.0, 6))


NULLS = {
    "Wishart p + 2": _wishart(8),
    "Wishart 2p": _wishart(12),
    "Wishart 5p": _wishart(30),
    "one factor": _factor,
    "two factors": _two_factors,
}


def run(options: Options) -> dict[str, Any]:
    """Both rates."""
    machine = harness.machine()
    tables, planted = (4, 4) if options.quick else (100, 40)
    rows, power_rows = (ROWS[:1], POWER_ROWS[-1:]) if options.quick else (ROWS, POWER_ROWS)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Each cell in a process of its own: rates are no timings.
        alarmed = {name: {str(n): pool.submit(_rate, "alarms", name, n, tables) for n in rows} for name in NULLS}
        found = {name: {str(n): pool.submit(_rate, "power", name, n, planted) for n in power_rows} for name in PLANTED}
        alarms: dict[str, dict[str, float]] = {}
        costly: dict[str, dict[str, float]] = {}
        for name, each in alarmed.items():
            alarms[name], costly[name] = ({n: rate.result()[i] for n, rate in each.items()} for i in (0, 1))
            say(f"  false alarms, {name:14}" + "".join(f"  n = {n}: {rate:.2f}" for n, rate in alarms[name].items()))
        power: dict[str, dict[str, float]] = {}
        for name, each in found.items():
            power[name] = {n: rate.result() for n, rate in each.items()}
            say(f"  found, {name:14}" + "".join(f"  n = {n}: {rate:.2f}" for n, rate in power[name].items()))
    parameters = {"columns": 6, "tables": tables, "planted": planted, "level": 0.05, "seed": SEED}
    return {
        "benchmark": "detect", "method": METHOD, "machine": machine, "parameters": parameters,
        "results": {"false_alarms": alarms, "costly": costly, "power": power},
    }  # fmt: skip


def _rate(kind: str, name: str, n: int, tables: int) -> Any:
    return harness.call(f"benchmarks.detect:{kind}", name=name, n=n, tables=tables).result


def _table(covariance: np.ndarray, names: tuple[str, ...], n: int, rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(rng.multivariate_normal(np.zeros(len(names)), covariance, n), columns=list(names))


def alarms(name: str, n: int, tables: int) -> tuple[float, float]:
    """Share of tables in which anything is accepted, and in which that costs more than it saves."""
    import cumulant as cm

    found, costly = 0, 0
    for seed in range(tables):
        rng = np.random.default_rng((SEED, n, seed))
        covariance = NULLS[name](rng)
        table = _table(covariance, PAIRS if seed % 2 else RING, n, rng)
        accepted = cm.symmetries(cm.measure(table, progress=False)).accepted
        found += bool(accepted)
        costly += any(_costs(f, covariance, n) for f in accepted)
    return found / tables, costly / tables


def _costs(finding: Any, covariance: np.ndarray, n: int) -> bool:
    import cumulant.symmetry as sym

    if finding.scale == "correlation":
        unit = np.sqrt(np.diag(covariance))
        covariance = covariance / np.outer(unit, unit)
    even = sym.reynolds(finding.group, covariance)
    # The trace of the covariance by its average is p: the average is over a group that leaves the average alone.
    divergence = 0.5 * (np.linalg.slogdet(even)[1] - np.linalg.slogdet(covariance)[1])
    return bool(n * divergence > 0.5 * (finding.evidence.free - finding.evidence.parameters))


def _planted() -> dict[str, tuple[tuple[str, ...], Any]]:
    import cumulant.symmetry as sym

    back = [(RING[CHAIN.index(i)], RING[CHAIN.index(5 - i)]) for i in range(3)]
    swap = sym.Group.of(list(PAIRS), [[("left_a", "right_a"), ("left_b", "right_b")]])
    return {
        "pairs": (PAIRS, swap),
        "scaled": (PAIRS, swap),
        "ring": (RING, sym.cyclic(list(RING))),
        "exchangeable": (RING, sym.symmetric(list(RING))),
        "chain": (
            RING,
            sym.Group.of(list(RING), [back]),
        ),
    }


PLANTED = ("pairs", "scaled", "ring", "exchangeable", "chain")


def power(name: str, n: int, tables: int) -> float:
    """Share of tables in which the planted symmetry is accepted, or implied by one that is."""
    import cumulant as cm
    import cumulant.symmetry as sym

    names, group = _planted()[name]
    found = 0
    for seed in range(tables):
        rng = np.random.default_rng((SEED, n, seed))
        if name == "chain":
            decay, scale = rng.uniform(0.3, 0.95), rng.uniform(0.5, 2.0, 6)
            steps = np.abs(np.subtract.outer(CHAIN, CHAIN))
            covariance = decay**steps * np.outer(scale, scale)
        else:
            covariance = sym.reynolds(group, NULLS["Wishart 2p"](rng) + 0.5)
        if name == "scaled":
            scale = rng.uniform(0.5, 2.0, 6)
            covariance = covariance * np.outer(scale, scale)
        accepted = cm.symmetries(cm.measure(_table(covariance, names, n, rng), progress=False)).accepted
        probe = rng.normal(size=(6, 6))
        even = sym.reynolds(group, probe + probe.T)
        found += any(_keeps(f.group, group, even) for f in accepted)
    return found / tables


def _keeps(held: Any, group: Any, even: np.ndarray) -> bool:
    import cumulant.symmetry as sym

    seen = sym.reynolds(held, even)
    return bool(np.allclose(sym.reynolds(group, seen), seen)) and bool(
        sym.parameters(held, 2) <= sym.parameters(group, 2)
    )
