"""Averages over p(φ) = exp(−F(φ))/Z by quadrature and by enumeration: they know nothing of any page's formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Grid", "average", "grid"]

CONVERGED = 1e-12
MOST_POINTS = 6_000_000
# Beyond this the nodes of a double-exponential rule are larger than any power of them up to the fifth can be.
FARTHEST = 5.0
MOST_COUNTS = 4096


@dataclass(frozen=True, eq=False)
class Grid:
    """Points of a configuration space, and the probability of each.

    Parameters
    ----------
    fields
        Coordinates of the N points by field (N,).
    probability
        Normalised (N,).
    """

    fields: Mapping[str, Array]
    probability: Array

    def mean(self, observable: Any) -> float:
        """⟨O⟩ of the values of an observable at the points, or of a constant."""
        # Where the probability underflows to zero an observable may be infinite.
        with np.errstate(invalid="ignore"):
            product = np.where(self.probability > 0, self.probability * observable, 0.0)
        return float(product.sum())


def grid(
    free_energy: Callable[[Mapping[str, Any]], Any],
    domains: Mapping[str, str],
    couplings: Mapping[str, float],
    level: int,
) -> Grid:
    """The configuration space at a level of refinement, each level with twice the nodes of the one before."""
    axes = [_AXES[domain](level) for domain in domains.values()]
    if np.prod([float(len(x)) for x, _ in axes]) > MOST_POINTS:
        raise DataError("the integral over so many fields cannot be done by nested quadrature; verify a smaller class")
    points = np.meshgrid(*[x for x, _ in axes], indexing="ij")
    logs = np.meshgrid(*[w for _, w in axes], indexing="ij")
    fields = {name: x.ravel() for name, x in zip(domains, points, strict=True)}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        log_p = sum(w.ravel() for w in logs) - free_energy({**couplings, **fields})
    log_p = np.where(np.isnan(log_p), -np.inf, log_p)
    p = np.exp(log_p - log_p.max())
    return Grid(fields, p / p.sum())


def average(
    free_energy: Callable[[Mapping[str, Any]], Any],
    domains: Mapping[str, str],
    couplings: Mapping[str, float],
    observables: Mapping[str, Callable[[Mapping[str, Any]], Any]],
) -> dict[str, float]:
    """⟨O⟩ for several observables, refined until halving the spacing changes none of them.

    Raises
    ------
    DataError
        The integrals do not converge: F does not confine its fields, or there are too many of them.
    """
    before: Array | None = None
    first = 3 if sum(d not in _DISCRETE for d in domains.values()) > 1 else 5
    for level in range(first, 14):
        g = grid(free_energy, domains, couplings, level)
        env = {**couplings, **g.fields}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            now = np.array([g.mean(o(env)) for o in observables.values()])
        if not np.isfinite(now).all():
            break
        if before is not None and np.allclose(now, before, rtol=CONVERGED, atol=CONVERGED * 1e-3):
            return dict(zip(observables, now.tolist(), strict=True))
        before = now
    raise DataError(f"the integrals of F at {dict(couplings)} do not converge; F must grow in every direction")


# ---------------------------------------------------------------------------------- nodes and log weights of one field


def _real(level: int) -> tuple[Array, Array]:
    """x = sinh(½π sinh t) (Takahasi & Mori 1974): exact for any decay, of exponentials and of powers."""
    t = _steps(level)
    u = 0.5 * np.pi * np.sinh(t)
    return np.sinh(u), np.log(np.cosh(t)) + np.log(np.cosh(u))


def _positive(level: int) -> tuple[Array, Array]:
    """x = exp(½π sinh t), from 10⁻²⁵¹: a density may be singular at 0."""
    t = np.arange(-6.6, FARTHEST, 0.5**level)
    u = 0.5 * np.pi * np.sinh(t)
    return np.exp(u), np.log(np.cosh(t)) + u


def _interval(level: int) -> tuple[Array, Array]:
    t = _steps(level)
    t = t[np.abs(t) < 3.2]
    u = 0.5 * np.pi * np.sinh(t)
    return np.tanh(u), np.log(np.cosh(t)) - 2 * np.log(np.cosh(u))


def _circle(level: int) -> tuple[Array, Array]:
    n = 2 ** (level + 3)
    return 2 * np.pi * np.arange(n) / n - np.pi, np.zeros(n)


def _count(level: int) -> tuple[Array, Array]:
    n = min(2 ** (level + 3), MOST_COUNTS)
    return np.arange(n, dtype=np.float64), np.zeros(n)


def _spin(level: int) -> tuple[Array, Array]:  # noqa: ARG001 - two points at every level
    return np.array([-1.0, 1.0]), np.zeros(2)


def _binary(level: int) -> tuple[Array, Array]:  # noqa: ARG001 - two points at every level
    return np.array([0.0, 1.0]), np.zeros(2)


def _steps(level: int) -> Array:
    n = 2**level * int(FARTHEST)
    return np.asarray(np.arange(-n, n + 1) / 2.0**level)


_AXES: dict[str, Callable[[int], tuple[Array, Array]]] = {
    "real": _real,
    "positive": _positive,
    "interval": _interval,
    "circle": _circle,
    "count": _count,
    "spin": _spin,
    "binary": _binary,
}
_DISCRETE = ("spin", "binary", "count")
