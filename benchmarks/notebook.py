"""What a page of the notebook saves: couplings looked up, beside the same couplings found numerically."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Options, say, spread, timed

REPEATED = 100
METHOD = (
    "From moments to couplings, in memory. The lookup is the whole call of `cm.notebook.lookup` with numbers, checks "
    "of the domain included. The numerical solution is what one does without a page: moment matching by a hybrid of "
    "Newton's method (scipy.optimize.root) with averages by quadrature or by a sum over all states, scipy's own fit, "
    "or the inverse of the full matrix, all with one thread. Both agree to 10⁻⁶."
)


def run(options: Options) -> dict[str, Any]:
    machine = harness.machine()
    results = harness.call("benchmarks.notebook:measure", rounds=options.rounds).result
    for name, case in results.items():
        a, b = case["lookup_seconds"]["median"], case["solve_seconds"]["median"]
        say(f"  {name:24} {a * 1e6:8.1f} µs   {case['solver']:40} {b * 1e6:10.1f} µs")
    return {"benchmark": "notebook", "method": METHOD, "machine": machine, "parameters": {}, "results": results}


# ---------------------------------------------------------------------------------- in the measured process


def measure(rounds: int) -> dict[str, Any]:
    """Seconds of the lookup and of the numerical solution, by page."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _measure(rounds)


def _measure(rounds: int) -> dict[str, Any]:
    import cumulant as cm

    out = {}
    for name, make in CASES.items():
        moments, solver, solve, size = make()
        looked_up = cm.notebook.lookup(name, moments=moments).couplings
        solved = solve()
        for key, value in solved.items():
            if not np.allclose(looked_up[key], value, rtol=1e-6, atol=1e-6):
                raise AssertionError(f"{name}: {key} is {looked_up[key]} looked up and {value} solved")

        def lookups(name: str = name, moments: dict[str, Any] = moments) -> None:
            for _ in range(REPEATED):
                cm.notebook.lookup(name, moments=moments)

        out[name] = {
            "lookup_seconds": spread([timed(lookups)[0] / REPEATED for _ in range(max(3, rounds))]),
            "solve_seconds": spread([timed(solve)[0] for _ in range(max(3, rounds))]),
            "solver": solver,
            "size": size,
        }
    return out


Case = tuple[dict[str, Any], str, Callable[[], dict[str, Any]], str]


def _quartic() -> Case:
    from scipy import optimize

    nodes, weights = np.polynomial.legendre.leggauss(200)
    x, w = 6 * nodes, 6 * weights

    def moments(theta: Any) -> Any:
        p = w * np.exp(-theta[0] * x**2 / 2 - theta[1] * x**4 / 24)
        p /= p.sum()
        return np.array([p @ x**2, p @ x**4])

    target = moments([-1.0, 2.0])

    def solve() -> dict[str, Any]:
        a, b = optimize.root(lambda theta: moments(theta) - target, [0.0, 1.0], tol=1e-12).x
        return {"a": a, "b": b}

    return {"m2": target[0], "m4": target[1]}, "moment matching, 200-point quadrature", solve, ""


def _angle() -> Case:
    from scipy import stats

    theta = stats.vonmises.rvs(3.0, size=10_000, random_state=0)
    moments = {"c": float(np.cos(theta).mean()), "s": float(np.sin(theta).mean())}

    def solve() -> dict[str, Any]:
        kappa, loc, _ = stats.vonmises.fit(theta, fscale=1)
        return {"x": kappa * np.cos(loc), "y": kappa * np.sin(loc)}

    return moments, "scipy.stats.vonmises.fit, 10,000 rows", solve, ""


def _gamma() -> Case:
    from scipy import stats

    x = stats.gamma.rvs(2.5, scale=3.0, size=10_000, random_state=0)
    moments = {"m1": float(x.mean()), "l1": float(np.log(x).mean())}

    def solve() -> dict[str, Any]:
        shape, _, scale = stats.gamma.fit(x, floc=0)
        return {"k": shape, "r": 1 / scale}

    return moments, "scipy.stats.gamma.fit, 10,000 rows", solve, ""


def _exchangeable() -> Case:
    n, v, c = 1000, 1.0, 0.3
    C = (v - c) * np.eye(n) + c

    def solve() -> dict[str, Any]:
        K = np.linalg.inv(C)
        return {"d": K[0, 0], "o": K[0, 1]}

    return {"v": v, "c": c, "n": n}, "numpy.linalg.inv", solve, ", 1,000 fields"


def _ring() -> Case:
    n = 1000
    c = 0.9 ** np.minimum(np.arange(n), n - np.arange(n))
    C = c[(np.arange(n)[None, :] - np.arange(n)[:, None]) % n]

    def solve() -> dict[str, Any]:
        return {"k": np.linalg.inv(C)[0]}

    return {"c": c}, "numpy.linalg.inv", solve, ", 1,000 fields"


def _chain() -> Case:
    from scipy import optimize

    n = 10
    states = np.array([[1.0 if s >> i & 1 else -1.0 for i in range(n)] for s in range(2**n)])
    T = np.hstack([states, states[:, :-1] * states[:, 1:]])

    def mean(theta: Any) -> Any:
        log_p = T @ theta
        p = np.exp(log_p - log_p.max())
        return T.T @ (p / p.sum())

    target = mean(np.concatenate([np.linspace(-0.4, 0.4, n), np.full(n - 1, 0.5)]))

    def solve() -> dict[str, Any]:
        theta = optimize.root(lambda t: mean(t) - target, np.zeros(2 * n - 1), tol=1e-12).x
        return {"h": theta[:n], "J": theta[n:]}

    edges = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    return {"m": target[:n], "q": target[n:], "edges": edges}, "moment matching over 1,024 states", solve, ", 10 spins"


CASES: dict[str, Callable[[], Case]] = {
    "phi4": _quartic,
    "gamma": _gamma,
    "von-mises": _angle,
    "gaussian-exchangeable": _exchangeable,
    "gaussian-ring": _ring,
    "spins-chain": _chain,
}
