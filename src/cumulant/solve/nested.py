"""Integrals of exp(−F)/Z over two or three fields, one within another: at any coupling, and in wells however far apart.

Every integral is over one field, on a grid that is laid where the integrand is. So neither a narrow valley nor a second
well is missed, as a chain of draws would miss it that is in the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.lines import interpolated, log_sum, on_nodes
from cumulant.theory.zoom import zoomed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.polynomial_action import PolynomialAction

    Array = NDArray[np.float64]

__all__ = ["MOST_FIELDS", "density", "log_integral", "powers"]

MOST_FIELDS = 3
# Where F is that far above its minimum, nothing is left of exp(−F). Where to look for it, in standard units, on how
# many nodes, more and more closely; and the nodes at last: the trapezoidal rule is exact to many digits where a step is
# no longer than a fluctuation.
DEPTH, REACH, COARSE, NODES = 30.0, 20.0, (33, 17, 17), 41
# Integrals that are done at once: their nodes stay in the cache.
STEP = 1024


def powers(action: PolynomialAction, u: Array, fields: Sequence[int]) -> Array:
    """F as a polynomial of some fields at rows u (n, p) of the others: (n, k + 1, …), by the power of each field."""
    k = action.terms.shape[1]
    z = np.concatenate([np.ones((1, len(u))), u.T])
    z[1 + np.asarray(fields)] = 1.0
    at = tuple((action.terms == i + 1).sum(axis=1) for i in fields)
    out = np.zeros((*(k + 1,) * len(fields), len(u)))
    np.add.at(out, at, action.theta[:, None] * z[action.terms].prod(axis=1))
    return np.moveaxis(out, -1, 0)


def log_integral(c: Array, ends: Array) -> Array:
    """ln ∫ exp(−F) over all fields of polynomials (n, k + 1, …) between the ends of each (m, 2): (n,)."""
    if len(c) > STEP:
        return np.concatenate([log_integral(c[i : i + STEP], ends) for i in range(0, len(c), STEP)])
    low, high = _support(c, ends)
    return log_sum(_marginal(c, ends, low, high, _nodes(ends)), low, high, ends[0])


def density(c: Array, ends: Array) -> tuple[Array, Array]:
    """Nodes and density (n, G) of the first field of polynomials (n, k + 1, …), the others integrated out."""
    low, high = _support(c, ends)
    return interpolated(_marginal(c, ends, low, high, _nodes(ends)), low, high, ends[0])


def _nodes(ends: Array) -> int:
    """Twice as close where the first field breaks off."""
    return 2 * NODES - 1 if np.isfinite(ends[0]).any() else NODES


def _support(c: Array, ends: Array) -> tuple[Array, Array]:
    reach = np.full(len(c), REACH)
    return zoomed(lambda *at: _marginal(c, ends, *at), reach, depth=DEPTH, nodes=COARSE, ends=ends[0])


def _marginal(c: Array, ends: Array, low: Array, high: Array, nodes: int) -> Array:
    """−ln ∫ exp(−F) over all fields but the first, at nodes between ends (n,) of it: (n, G)."""
    F = on_nodes(c, low, high, nodes)
    if c.ndim == 2:
        return F
    inner = np.moveaxis(F, -1, 1)
    return -log_integral(inner.reshape(-1, *inner.shape[2:]), ends[1:]).reshape(-1, nodes)
