"""Integrals of exp(−F + J·φ) over one to three fields on a grid, which no coupling is too strong for."""

from __future__ import annotations

from functools import cache
from itertools import product
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.measure.cumulants import cumulant
from cumulant.theory.partition import PartitionFunction
from cumulant.theory.saddle import classical_points, refuse_unbounded
from cumulant.theory.zoom import narrowed, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.polynomial_action import PolynomialAction

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["MOST_FIELDS", "by_quadrature"]

MOST_FIELDS = 3
# Where F is that far above its minimum, nothing is left of exp(−F).
DEPTH = 40.0
# Half the width first looked at, in units of the classical point's fluctuations, and how often more closely.
REACH, ZOOMS, COARSE = 30.0, 5, 41
# A sum is exact to all digits at this step of a smooth function that vanishes at both ends; and the most
# nodes along each axis, by their number, with the step above which they are too few.
STEP, MOST_NODES, TOO_WIDE = 0.15, {1: 20_001, 2: 2001, 3: 161}, 0.7


def by_quadrature(action: PolynomialAction, j: Array) -> PartitionFunction:
    """Z on a grid, in coordinates in which the fluctuations about the classical point are independent.

    Where fields end, the coordinates are the fields themselves.
    """
    p = len(action.columns)
    if p > MOST_FIELDS:
        raise OptionError(f"method='quadrature': a grid takes up to {MOST_FIELDS} fields, not {p}; use method='series'")
    refuse_unbounded(action)
    at, root, reach = (np.zeros(p), np.eye(p), REACH) if action.bounds is not None else _independent(action, j)
    c = _coefficients(action.derivatives(at), j * action.sd, root)
    nodes = _box(c, reach, action.ends)
    F = _on_grid(c, nodes)
    low = F.min()
    weights = np.exp(low - F)
    for axis, x in enumerate(nodes):
        weights *= rule(len(x), action.ends[axis]).reshape((-1, *(1,) * (p - 1 - axis)))
    cell = float(np.prod([x[1] - x[0] for x in nodes]))
    volume = np.log(cell) + np.log(abs(np.linalg.det(root))) + np.log(action.sd).sum()
    classical = j @ (action.mean + action.sd * at) - float(action.value(at))
    W = classical - low + float(np.log(weights.sum())) + volume
    weights /= weights.sum()
    mean = np.array([_moment(weights, nodes, axis) for axis in np.eye(p, dtype=np.int64)])
    about = [x - m for x, m in zip(nodes, mean, strict=True)]
    legs = action.sd[:, None] * root

    @cache
    def derivatives(order: int) -> tuple[Array, ...]:
        if order == 1:
            return (action.mean + action.sd * at + legs @ mean,)
        moments = np.zeros((p + 1,) * order)
        for index in product(range(p + 1), repeat=order):
            moments[index] = _moment(weights, about, np.bincount(index, minlength=p + 1)[1:].astype(np.int64))
        out = cumulant(moments)
        for _ in range(order):
            out = np.tensordot(out, legs, axes=(0, 1))
        return (out,)

    return PartitionFunction(action.columns, j, "quadrature", (W,), None, derivatives)


def _independent(action: PolynomialAction, j: Array) -> tuple[Array, Array, float]:
    """The classical point, the legs of independent fluctuations about it, and how far to look, in units of these."""
    points = classical_points(action, j)
    at, curvature = points[0].u, points[0].derivatives[2]
    root = np.asarray(np.linalg.inv(np.linalg.cholesky(curvature)).T)
    apart = max((np.abs(np.linalg.solve(root, other.u - at)).max() for other in points), default=0.0)
    return at, root, REACH + 2 * float(apart)


def _coefficients(derivatives: dict[int, Array], j: Array, root: Array) -> Array:
    """F − J·φ less its value at the classical point, by powers of each of the independent coordinates (k + 1,) * p."""
    p, order = len(root), max(derivatives)
    out = np.zeros((order + 1,) * p)
    for n, tensor in derivatives.items():
        bent = tensor - j if n == 1 else tensor
        for _ in range(n):
            bent = np.tensordot(bent, root, axes=(0, 0))
        for index in product(range(p), repeat=n):
            out[tuple(np.bincount(index, minlength=p))] += bent[index] / factorial(n)
    return out


def _on_grid(c: Array, nodes: list[Array]) -> Array:
    out = c
    for x in nodes:
        out = np.tensordot(out, x ** np.arange(len(c))[:, None], axes=(0, 0))
    return out


def _box(c: Array, reach: float, within: Array) -> list[Array]:
    """Nodes along each axis where exp(−F) is, between the ends of its field (p, 2)."""
    p = c.ndim
    ends = np.clip(np.tile([-reach, reach], (p, 1)), within[:, :1], within[:, 1:])
    for _ in range(ZOOMS):
        nodes = [np.linspace(low, high, COARSE) for low, high in ends]
        F = _on_grid(c, nodes)
        there = F.min() + DEPTH > F
        along = [there.any(axis=tuple(a for a in range(p) if a != axis)) for axis in range(p)]
        ends = np.stack(narrowed(ends[:, 0], ends[:, 1], np.array(along)), axis=1)
        ends = np.clip(ends, within[:, :1], within[:, 1:])
    lengths = ends[:, 1] - ends[:, 0]
    number = np.minimum(np.maximum(np.ceil(lengths / STEP).astype(int) + 1, COARSE), MOST_NODES[p])
    if (lengths / number > TOO_WIDE).any():
        raise DataError(
            "the integrand is spread too widely for a grid, as where minima lie far apart; rescale F, or fix a field"
        )
    return [np.linspace(low, high, n) for (low, high), n in zip(ends, number, strict=True)]


def _moment(weights: Array, nodes: list[Array], powers: Index) -> float:
    out = weights
    for x, power in zip(nodes, powers, strict=True):
        out = np.tensordot(x**power, out, axes=(0, 0))
    return float(out)
