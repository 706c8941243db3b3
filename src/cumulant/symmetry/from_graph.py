"""Candidates from the graph of correlations: those that differ by no more than their errors are one colour.

What keeps the colours of all pairs is a symmetry that no list of known groups need hold: of a ring, a cube, a tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush
from math import log
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.automorphisms import automorphisms
from cumulant.symmetry.candidates import Candidate, Observed
from cumulant.symmetry.chain import order
from cumulant.symmetry.group import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["clustered", "graphs"]

COLUMNS = (4, 100)
# Standard deviations by which the squares in a class may exceed those of errors alone.
LIMITS = (0.5, 1.5, 2.5, 4.0, 6.0, 10.0)


def graphs(observed: Observed) -> Iterator[Candidate]:
    """Automorphisms of the graph of correlations, coloured at a few degrees of strictness."""
    from scipy.special import gammaln

    p = len(observed.columns)
    if not COLUMNS[0] <= p <= COLUMNS[1] or observed.degrees < 4:
        return
    sd = np.sqrt(np.diag(observed.covariance))
    r = np.clip(observed.covariance / np.outer(sd, sd), -1 + 1e-9, 1 - 1e-9)
    at = np.triu_indices(p, 1)
    # In units of their standard errors.
    pairs, own = np.arctanh(r[at]) * np.sqrt(observed.degrees), np.log(sd) * np.sqrt(2 * observed.degrees)
    seen: set[bytes] = set()
    for limit in LIMITS:
        edge = clustered(pairs, limit)
        colours = np.diag(clustered(own, limit))
        colours[at] = colours[at[::-1]] = edge
        if colours.tobytes() in seen:
            continue
        seen.add(colours.tobytes())
        images = automorphisms(colours)
        if not images:
            continue
        group = Group(p, np.array(images), np.ones((len(images), p), dtype=np.int64), (), "", observed.columns)
        size, fixed = log(order(group)), int((~group.moved).sum())
        # Its relabellings: p! over those that keep it, which are its own elements and any of the columns left alone.
        ways = max(0.0, float(gammaln(p + 1) - gammaln(fixed + 1)) - size)
        why = f"the graph of correlations in {len(np.unique(edge))} classes"
        yield Candidate(_named(group, size), "moments", why, ways + log(len(LIMITS)))


def _named(group: Group, size: float) -> Group:
    count = f"{round(np.exp(size)):,}" if size < log(1e6) else f"e^{size:.0f}"
    return replace(group, name=f"automorphisms, {count} of them")


def clustered(values: Array, limit: float) -> Index:
    """Classes (N,) of values of unit error, numbered from below.

    Neighbours are merged, the cheapest pair first by what that adds to the squares about the mean (Ward), unless the
    squares of the two together exceed what errors explain by ``limit`` standard deviations.
    """
    order = np.argsort(values, kind="stable")
    n = len(order)
    mean, count, squares = values[order].tolist(), [1] * n, [0.0] * n
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))
    alive = np.ones(n, dtype=bool)

    def entry(i: int, j: int) -> tuple[float, int, int, int, int]:
        both = count[i] * count[j] / (count[i] + count[j])
        return (mean[i] - mean[j]) ** 2 * both, i, j, count[i], count[j]

    heap = [entry(i, i + 1) for i in range(n - 1)]
    heapify(heap)
    while heap:
        cost, i, j, of_i, of_j = heappop(heap)
        # An entry is stale once either of its two has grown.
        if not alive[i] or not alive[j] or (count[i], count[j]) != (of_i, of_j):
            continue
        free = of_i + of_j - 1
        if squares[i] + squares[j] + cost > free + limit * (2 * free) ** 0.5:
            continue
        mean[i] = (mean[i] * of_i + mean[j] * of_j) / (of_i + of_j)
        count[i], squares[i] = of_i + of_j, squares[i] + squares[j] + cost
        alive[j] = False
        after[i] = after[j]
        if after[i] < n:
            before[after[i]] = i
            heappush(heap, entry(i, after[i]))
        if before[i] >= 0:
            heappush(heap, entry(before[i], i))
    out = np.empty(n, dtype=np.int64)
    out[order] = np.cumsum(alive) - 1
    return out
