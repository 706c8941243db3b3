"""Third and fourth cumulants of all columns, beside NumPy, and how far from what the machine can multiply."""

from __future__ import annotations

import statistics
import time
from math import comb
from typing import TYPE_CHECKING, Any

from benchmarks import harness
from benchmarks.harness import OURS, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable

PEER = "NumPy"
SIZES = ((3, 1_000_000, 20), (3, 1_000_000, 100), (4, 1_000_000, 10), (4, 1_000_000, 30))
QUICK = ((3, 2_000, 5), (4, 2_000, 4))
REPEAT = 3
# Rows for the peer, whose time is proportional to them.
FEWER = 10
METHOD = (
    "Joint cumulants of Gaussian columns in memory, float64. cumulant: measure(order=) with ten folds, and the "
    f"cumulant, median of {REPEAT}. NumPy: the centred columns, products of pairs of them in blocks, and matrix "
    "products, on a tenth of the rows, times ten. Symmetric operations are two for each row and product of at most "
    "`order` columns, which no method can do without; the rate of the machine is that of NumPy's matrix product on all "
    "cores, one thread a core."
)


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    rates = harness.call("benchmarks.roofline:rates", small=options.quick).result
    results = []
    for order, rows, columns in QUICK if options.quick else SIZES:
        ours = harness.call("benchmarks.higher:seconds", order=order, rows=rows, columns=columns, name=OURS).result
        peer = harness.call("benchmarks.higher:seconds", order=order, rows=rows, columns=columns, name=PEER).result
        rate = 2 * rows * comb(columns + order, order) / ours
        results.append({
            "order": order, "rows": rows, "columns": columns, "seconds": {OURS: ours, PEER: peer},
            "symmetric_flops": rate, "fraction_of_matrix_product": rate / rates["flops"]["all"],
        })  # fmt: skip
        say(f"  κ{order} {rows:,} × {columns}: {ours:.3g} s, NumPy {peer:.3g} s, {rate / 1e9:.0f} GFLOP/s")
    return {
        "benchmark": "higher", "method": METHOD, "machine": machine, "parameters": {"dtype": "float64", "folds": 10},
        "rates": rates, "results": results,
    }  # fmt: skip


# ---------------------------------------------------------------------------------- in the measured processes


def seconds(order: int, rows: int, columns: int, name: str) -> float:
    """Seconds for the cumulant of a table."""
    import numpy as np

    import cumulant as cm

    fewer = 1 if name == OURS else FEWER
    x = np.random.default_rng(0).normal(size=(rows // fewer, columns))
    if name == OURS:
        return _median(lambda: cm.measure(x, order=order).cumulant(order))
    return fewer * _median(lambda: _numpy(x, order))


def _median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEAT):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return float(f"{statistics.median(taken):.4g}")


def _numpy(x: Any, order: int) -> Any:
    """Σ of centred products, as a matrix product of pairs with columns (or pairs)."""
    import numpy as np

    d = x - x.mean(axis=0)
    p, step = d.shape[1], max(64, 4_000_000 // d.shape[1] ** 2)
    total = np.zeros((p * p, p if order == 3 else p * p))
    for i in range(0, len(d), step):
        block = d[i : i + step]
        pairs = (block[:, :, None] * block[:, None, :]).reshape(len(block), -1)
        total += pairs.T @ (block if order == 3 else pairs)
    moment = (total / len(d)).reshape((p,) * order)
    if order == 3:
        return moment
    c = d.T @ d / len(d)
    pairs = np.einsum("ij,kl->ijkl", c, c)
    return moment - pairs - pairs.transpose(0, 2, 1, 3) - pairs.transpose(0, 3, 2, 1)
