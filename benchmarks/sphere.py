"""One rotation-invariant integral in n dimensions: as n nested integrals, and as one along the radius.

Z = ∫ dⁿφ exp(−F(|φ|)), F = ½aφ² + bφ⁴/4!, is what the couplings of an O(n) class are found from. Rotations make it
S_{n−1} ∫ dr rⁿ⁻¹ exp(−F(r)).
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Options, say, spread, timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MASS, QUARTIC = -1.0, 2.0
# Points along an axis, and along the radius, out to where exp(−F) is below 10⁻¹⁶ of its peak.
AXIS, RADIUS = 36, 48
END = 5.0
DIMENSIONS = (1, 2, 3, 4, 5)
# What a point costs beside its squared length: F, the exponential (counted as ten), weight and sum.
PER_POINT = 16
METHOD = (
    "Z of F = ½aφ² + bφ⁴/4! with a = −1, b = 2, an O(n) class with broken symmetry. Nested: Gauss–Legendre with "
    f"{AXIS} points on each axis from −{END:g} to {END:g}, vectorised over the innermost four axes. Radial: {RADIUS} "
    f"points from 0 to {END:g}, times the area of the sphere. Nodes and weights are at hand. Flops are counted, as "
    f"points × (2n + {PER_POINT}). The last column is both couplings from their moments, by the page phi4-vector: no "
    "integral at all."
)


def run(options: Options) -> dict[str, Any]:
    dimensions = DIMENSIONS[:2] if options.quick else DIMENSIONS
    machine = harness.machine()
    results = harness.call("benchmarks.sphere:measure", dimensions=list(dimensions), rounds=options.rounds).result
    for row in results:
        seconds = row["nested"]["seconds"]["median"], row["radial"]["seconds"]["median"]
        say(f"  n = {row['n']}: nested {seconds[0]:.2e} s, radial {seconds[1]:.2e} s")
    parameters = {"a": MASS, "b": QUARTIC, "axis": AXIS, "radius": RADIUS}
    return {"benchmark": "sphere", "method": METHOD, "machine": machine, "parameters": parameters, "results": results}


# ---------------------------------------------------------------------------------- in the measured process


def measure(dimensions: list[int], rounds: int) -> list[dict[str, Any]]:
    """Seconds, flops and error of both ways, and seconds of the lookup."""
    import cumulant as cm

    out = []
    for n in dimensions:
        exact = reference(n)
        nested_points, radial_points = AXIS**n, RADIUS
        repeat = rounds if n < 5 else 3
        cm.notebook.lookup("phi4-vector", moments=moments(n))
        out.append(
            {
                "n": n,
                "nested": _case(lambda n=n: nested(n), exact, nested_points, n, repeat),
                "radial": _case(lambda n=n: radial(n), exact, radial_points, 1, rounds),
                "lookup_seconds": spread(
                    [timed(lambda n=n: _lookups(cm, n))[0] / REPEATED for _ in range(max(3, rounds))]
                ),
            }
        )
    return out


REPEATED = 200


def _lookups(cm: Any, n: int) -> None:
    given = moments(n)
    for _ in range(REPEATED):
        cm.notebook.lookup("phi4-vector", moments=given)


def moments(n: int) -> dict[str, float]:
    """What a table would give the page: m2 and m4."""
    r, weight = _radial_weights(n)
    p = weight / weight.sum()
    return {"m2": float(p @ r**2), "m4": float(p @ r**4), "n": n}


def _case(integral: Any, exact: float, points: int, n: int, rounds: int) -> dict[str, Any]:
    found = integral()
    seconds = [timed(integral)[0] for _ in range(rounds)]
    return {
        "seconds": spread(seconds),
        "points": points,
        "flops": points * (2 * n + PER_POINT),
        "error": float(f"{abs(found / exact - 1):.1e}"),
    }


def free_energy(square: Array) -> Array:
    return 0.5 * MASS * square + QUARTIC / 24 * square**2


@cache
def _rule(points: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(points)


def nested(n: int) -> float:
    """n integrals, one inside the other."""
    nodes, weights = _rule(AXIS)
    x, w = END * nodes, END * weights
    inner = min(n, 4)
    grids = np.meshgrid(*[x] * inner, indexing="ij", sparse=True)
    square = sum(g**2 for g in grids)
    total = 0.0
    for outer in itertools.product(range(AXIS), repeat=n - inner):
        value = np.exp(-free_energy(square + sum(x[i] ** 2 for i in outer)))
        for _ in range(inner):
            value = value @ w
        total += float(value) * math.prod(w[i] for i in outer)
    return total


def radial(n: int) -> float:
    """One integral, and the area of the sphere."""
    _, weight = _radial_weights(n)
    return float(weight.sum()) * 2 * math.pi ** (n / 2) / math.gamma(n / 2)


def _radial_weights(n: int) -> tuple[Array, Array]:
    nodes, weights = _rule(RADIUS)
    r = 0.5 * END * (nodes + 1)
    return r, 0.5 * END * weights * r ** (n - 1) * np.exp(-free_energy(r**2))


def reference(n: int) -> float:
    """The same in 25 digits, by parabolic cylinder functions (DLMF 12.5.1)."""
    import mpmath

    with mpmath.workdps(25):
        nu, gamma, beta = mpmath.mpf(n) / 2, mpmath.mpf(MASS) / 2, mpmath.mpf(QUARTIC) / 24
        z = gamma / mpmath.sqrt(2 * beta)
        half = (2 * beta) ** (-nu / 2) * mpmath.gamma(nu) * mpmath.exp(z**2 / 4) * mpmath.pcfd(-nu, z)
        return float(half * mpmath.pi**nu / mpmath.gamma(nu))
