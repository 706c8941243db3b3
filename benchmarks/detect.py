"""How often a symmetry is accepted where there is none, and how often it is found where there is one, against rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import harness
from benchmarks.harness import Options, say

METHOD = (
    "Tables of Gaussian rows whose column names suggest several symmetries, searched with the defaults of "
    "cm.symmetries (level 0.05). False alarms: the share of tables without symmetry that have any accepted; their "
    "covariances are Wishart matrices of p + 2, 2p and 5p degrees of freedom, or one factor and noise of unequal "
    "strength. Power: the share of tables with a planted symmetry in which it, or a group that implies it, is accepted."
)
PAIRS = ("left_a", "right_a", "left_b", "right_b", "age", "size")
RING = tuple(f"h{i}" for i in range(6))
ROWS = (20, 100, 1000)
POWER_ROWS = (20, 50, 120, 500)
Rng = np.random.Generator


def _wishart(degrees: int) -> Callable[[Rng], np.ndarray]:
    def draw(rng: Rng) -> np.ndarray:
        a = rng.normal(size=(6, degrees))
        return a @ a.T / degrees

    return draw


def _factor(rng: Rng) -> np.ndarray:
    load = rng.uniform(0.3, 1.5, 6)
    return np.outer(load, load) + np.diag(rng.uniform(0.2, 2.0, 6))


NULLS = {"Wishart p + 2": _wishart(8), "Wishart 2p": _wishart(12), "Wishart 5p": _wishart(30), "one factor": _factor}


def run(options: Options) -> dict[str, Any]:
    """Both rates."""
    machine = harness.machine()
    tables = 4 if options.quick else 25
    rows, power_rows = (ROWS[:1], POWER_ROWS[-1:]) if options.quick else (ROWS, POWER_ROWS)
    alarms: dict[str, dict[str, float]] = {}
    for name in NULLS:
        alarms[name] = {
            str(n): harness.call("benchmarks.detect:alarms", name=name, n=n, tables=tables).result for n in rows
        }
        say(f"  false alarms, {name:14}" + "".join(f"  n = {n}: {rate:.2f}" for n, rate in alarms[name].items()))
    power: dict[str, dict[str, float]] = {}
    for name in PLANTED:
        power[name] = {
            str(n): harness.call("benchmarks.detect:power", name=name, n=n, tables=tables).result for n in power_rows
        }
        say(f"  found, {name:14}" + "".join(f"  n = {n}: {rate:.2f}" for n, rate in power[name].items()))
    parameters = {"columns": 6, "tables": tables, "level": 0.05}
    return {
        "benchmark": "detect", "method": METHOD, "machine": machine, "parameters": parameters,
        "results": {"false_alarms": alarms, "power": power},
    }  # fmt: skip


def _rate(what: str, name: str, n: int, tables: int) -> float:
    return harness.call(f"benchmarks.detect:{what}", name=name, n=n, tables=tables).result


def _table(covariance: np.ndarray, names: tuple[str, ...], n: int, rng: Rng) -> pd.DataFrame:
    return pd.DataFrame(rng.multivariate_normal(np.zeros(len(names)), covariance, n), columns=list(names))


def alarms(name: str, n: int, tables: int) -> float:
    """Share of tables in which anything is accepted."""
    import cumulant as cm

    found = 0
    for seed in range(tables):
        rng = np.random.default_rng((n, seed))
        table = _table(NULLS[name](rng), PAIRS if seed % 2 else RING, n, rng)
        found += bool(cm.symmetries(cm.measure(table, progress=False)).accepted)
    return found / tables


def _planted() -> dict[str, tuple[tuple[str, ...], Any]]:
    import cumulant.symmetry as sym

    swap = sym.Group.of(list(PAIRS), [[("left_a", "right_a"), ("left_b", "right_b")]])
    return {
        "pairs": (PAIRS, swap),
        "ring": (RING, sym.cyclic(list(RING))),
        "exchangeable": (RING, sym.symmetric(list(RING))),
    }


PLANTED = ("pairs", "ring", "exchangeable")


def power(name: str, n: int, tables: int) -> float:
    """Share of tables in which the planted symmetry is accepted, or implied by one that is."""
    import cumulant as cm
    import cumulant.symmetry as sym

    names, group = _planted()[name]
    found = 0
    for seed in range(tables):
        rng = np.random.default_rng((n, seed))
        covariance = sym.reynolds(group, NULLS["Wishart 2p"](rng) + 0.5)
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
