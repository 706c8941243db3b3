"""ln Z and cumulants by diagrams about the classical point, where the slope of F equals the source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cumulant.diagrams import of_loops, symmetric_total, total, up_to_labels
from cumulant.errors import DataError
from cumulant.theory.partition import MOST_LOOPS, PartitionFunction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.polynomial_action import PolynomialAction

    Array = NDArray[np.float64]

__all__ = ["ClassicalPoint", "by_series", "classical_points", "refuse_unbounded"]

# Fields up to which one loop more than was asked for, to judge the series by, is no work to speak of.
FEW_FIELDS = 12
# Descents, how far from the origin of standard units they begin, and how near two ends are one.
DESCENTS, SPREAD, SAME = 12, 3.0, 1e-4
# Another minimum weighs nothing beside the first if F is that much higher there.
NEGLIGIBLE = 12.0
# The first term beyond one loop that a series may have.
SMALL = 0.5


@dataclass(frozen=True, eq=False)
class ClassicalPoint:
    """A minimum of F − J·φ.

    Parameters
    ----------
    u
        Where it is (p,), in standard units.
    value
        F − J·φ there, less J·mean.
    derivatives
        Those of F there, by order.
    """

    u: Array
    value: float
    derivatives: dict[int, Array]


def refuse_unbounded(action: PolynomialAction) -> None:
    """A polynomial that falls for ever has no Z."""
    direction = action.unbounded
    if direction is not None:
        name = action.columns[int(np.argmax(np.abs(direction)))]
        raise DataError(
            f"F falls for ever along '{name}', so Z is infinite; only its series is defined: method='series', or "
            "add a term of higher even order"
        )


def classical_points(action: PolynomialAction, j: Array) -> list[ClassicalPoint]:
    """The minima of F − J·φ that descents from the origin and about it reach, the lowest first.

    Raises
    ------
    DataError
        None was found at which F curves up in every direction.
    """
    from scipy.optimize import minimize

    p = len(action.mean)
    rng = np.random.default_rng(0)
    pull = j * action.sd
    starts = np.vstack([np.zeros(p), SPREAD * rng.normal(size=(DESCENTS, p))])
    found: list[ClassicalPoint] = []
    for start in starts:
        with np.errstate(over="ignore", invalid="ignore"):
            end = minimize(
                lambda u: float(action.value(u) - pull @ u), start, jac=lambda u: action.slope(u) - pull, method="BFGS"
            ).x
        point = _polished(action, pull, end)
        if point is not None and not any(np.allclose(point.u, other.u, atol=SAME) for other in found):
            found.append(point)
    if not found:
        raise DataError(
            "F has no minimum with a source like this, so there is nothing to expand about; make the source smaller"
        )
    return sorted(found, key=lambda point: point.value)


def _polished(action: PolynomialAction, pull: Array, u: Array) -> ClassicalPoint | None:
    """Newton's last steps; None where they do not end at a minimum."""
    for _ in range(20):
        if not np.abs(u).max() < 1e6:
            return None
        d = action.derivatives(u)
        curvature = d.get(2, np.zeros((len(u), len(u))))
        if np.linalg.eigvalsh(curvature)[0] <= 1e-9 * np.abs(curvature).max():
            return None
        step = np.linalg.solve(curvature, d[1] - pull)
        if np.abs(step).max() <= 1e-14 * max(1.0, np.abs(u).max()):
            break
        u = u - step
    if np.abs(step).max() > 1e-6:
        return None
    return ClassicalPoint(u, float(action.value(u) - pull @ u), d)


def by_series(action: PolynomialAction, j: Array, loops: int) -> PartitionFunction:
    """W and its derivatives to a number of loops, and what speaks against them."""
    points = classical_points(action, j)
    best = points[0]
    g = np.asarray(np.linalg.inv(best.derivatives[2]))
    couplings = {n: tensor for n, tensor in best.derivatives.items() if n > 2}
    interacting = sorted(n for n, tensor in couplings.items() if tensor.any())
    p = len(g)
    free = -best.value + j @ action.mean
    one_loop = 0.5 * (p * np.log(2 * np.pi) + np.linalg.slogdet(g)[1]) + np.log(action.sd).sum()
    judged = max(2, min(loops + 1, MOST_LOOPS) if p <= FEW_FIELDS else loops)
    beyond = [
        float(total(of_loops(0, interacting, n), g, couplings)) if interacting else 0.0 for n in range(2, judged + 1)
    ]
    terms = (float(free), float(one_loop), *beyond)
    mean = action.mean + action.sd * best.u

    @cache
    def derivatives(order: int) -> tuple[Array, ...]:
        parts = []
        for n in range(loops + 1):
            found = up_to_labels(order, interacting, n) if interacting or (order, n) == (2, 0) else ()
            part = symmetric_total(found, g, couplings) if found else np.zeros((p,) * order)
            for axis in range(order):
                part = np.moveaxis(np.moveaxis(part, axis, -1) * action.sd, -1, axis)
            parts.append(part + mean if (order, n) == (1, 0) else part)
        return tuple(parts)

    if not interacting:
        return PartitionFunction(action.columns, j, "completing the square", (sum(terms[:2]),), None, derivatives)
    obstacle = _obstacle(action, points, beyond)
    return PartitionFunction(action.columns, j, "series", terms[: loops + 1], obstacle, derivatives)


def _obstacle(action: PolynomialAction, points: list[ClassicalPoint], beyond: list[float]) -> str | None:
    direction = action.unbounded
    if direction is not None:
        return f"F falls for ever along '{action.columns[int(np.argmax(np.abs(direction)))]}', so Z is infinite"
    if len(points) > 1 and points[1].value < points[0].value + NEGLIGIBLE:
        where = ", ".join(
            f"{name} = {at:.3g}" for name, at in zip(action.columns, action.mean + action.sd * points[1].u, strict=True)
        )
        return f"F has a second minimum, {points[1].value - points[0].value:.2g} above the first, at {where}"
    sizes = np.abs(beyond)
    if len(sizes) and (sizes[0] > SMALL or any(b > a for a, b in pairwise(sizes))):
        return f"its terms beyond one loop do not become small ({', '.join(f'{term:.2g}' for term in beyond)})"
    return None
