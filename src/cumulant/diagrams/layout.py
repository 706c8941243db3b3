"""Where the nodes of a diagram are put: legs left and right, vertices where lines of equal length want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.diagrams.graph import Diagram

__all__ = ["layout"]

STEPS = 300
# Vertices start near the axis between the legs, where most of them end.
FLAT = 0.2


def layout(diagram: Diagram, left: int | None = None) -> NDArray[np.float64]:
    """Positions (nodes, 2) in units of a line's length; the first ``left`` legs, default half, are on the left.

    References
    ----------
    Gansner, Koren & North, "Graph drawing by stress majorization", Graph Drawing 2004, equation 6.
    """
    n = diagram.nodes
    if n == 0:
        return np.zeros((0, 2))
    distance = _distances(diagram)
    place, pinned = _start(diagram, distance, (diagram.legs + 1) // 2 if left is None else left)
    free = [i for i in range(n) if i not in pinned]
    weight = np.where(distance > 0, distance, 1.0) ** -2.0
    np.fill_diagonal(weight, 0.0)
    for _ in range(STEPS):
        for i in free:
            away = place[i] - place
            length = np.maximum(np.hypot(*away.T), 1e-9)
            wanted = place + away * (distance[i] / length)[:, None]
            place[i] = weight[i] @ wanted / max(weight[i].sum(), 1e-12)
    if diagram.legs == 1:
        place = _levelled(place, -1.0 if left == 0 else 1.0)
    if diagram.legs in (1, 2):
        place[np.abs(place[:, 1]) < FLAT, 1] = 0.0
    return place if pinned else _lying(place)


def _levelled(place: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Turned about its only leg so that the rest is level with it, on the right of it or, for side −1, on the left."""
    away = place - place[0]
    x, y = away.mean(axis=0)
    length = max(float(np.hypot(x, y)), 1e-9)
    return place[0] + away @ np.array([[x, -y], [y, x]]) / length * (side, 1.0)


def _lying(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turned so that the longest extent is across the page."""
    centred = place - place.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes.T if len(axes) == 2 else centred


def _distances(diagram: Diagram) -> NDArray[np.float64]:
    """Lines on the shortest way between two nodes; a little more than any way where there is none."""
    n = diagram.nodes
    d = np.full((n, n), np.inf)
    np.fill_diagonal(d, 0.0)
    for a, b in diagram.edges:
        if a != b:
            d[a, b] = d[b, a] = 1.0
    for k in range(n):
        d = np.minimum(d, d[:, k : k + 1] + d[k : k + 1])
    reach = d[np.isfinite(d)].max(initial=1.0)
    return np.where(np.isfinite(d), d, reach + 1.0)


def _start(diagram: Diagram, distance: NDArray[np.float64], left: int) -> tuple[NDArray[np.float64], dict[int, None]]:
    n, legs = diagram.nodes, diagram.legs
    angle = 2 * np.pi * (np.arange(n) + 0.5) / max(n, 1)
    place = 0.5 * distance.max(initial=1.0) * np.column_stack([np.cos(angle), np.sin(angle)])
    if legs:
        place[:, 1] *= FLAT
    if legs == 1:
        place[0] = (-0.5 * distance[0].max(initial=1.0) - 0.5, 0.0)
        return place, {0: None}
    pinned = dict.fromkeys(range(legs))
    between = distance[:left, left:legs].max(initial=1.0) if legs else 1.0
    for leg in range(legs):
        side, rank, of = (-1, leg, left) if leg < left else (1, leg - left, legs - left)
        place[leg] = (side * between / 2, (of - 1) / 2 - rank)
    return place, pinned
