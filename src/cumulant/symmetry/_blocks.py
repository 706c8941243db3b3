"""Isotypic components found numerically."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.evidence import Block
from cumulant.symmetry.orbits import orbits
from cumulant.symmetry.reynolds import reynolds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

__all__ = ["isotypic_blocks"]


def isotypic_blocks(group: Group) -> list[Block]:
    """Isotypic components of the columns under a group, from random elements of its commutant."""
    from scipy.sparse.csgraph import connected_components

    p, rng = group.degree, np.random.default_rng(0)
    a = rng.normal(size=(p, p))
    w, v = np.linalg.eigh(reynolds(group, a + a.T))
    spaces = np.split(np.arange(p), np.flatnonzero(np.diff(w) > 1e-8 * np.abs(w).max()) + 1)
    pairs = orbits(group, 2, ordered=True)
    others = [v.T @ pairs.spread(pairs.collect(rng.normal(size=p * p))).reshape(p, p) @ v for _ in range(5)]
    linked = np.array([[np.abs(others[0][np.ix_(a, b)]).max() > 1e-8 for b in spaces] for a in spaces])
    count, label = connected_components(linked, directed=False)
    out = []
    for c in range(count):
        own = [spaces[i] for i in np.flatnonzero(label == c)]
        kind = 1
        if len(own) > 1:
            seen = np.array([m[np.ix_(own[0], own[1])].ravel() for m in others])
            s = np.linalg.svd(seen, compute_uv=False)
            kind = int((s > 1e-8 * s[0]).sum())
        out.append(Block(len(own), len(own[0]), kind, v[:, np.concatenate(own)]))
    return out
