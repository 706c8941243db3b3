"""Candidates from the moments that have a geometry: components of vectors, and columns in order on a square grid."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt, lgamma, log
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.candidates import Candidate, Observed
from cumulant.symmetry.catalogue import grid_translations, orthogonal, square
from cumulant.symmetry.from_moments import uncorrelated_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["grids", "vectors"]

# Spaces of so many dimensions are looked for.
DIMENSIONS = (2, 8)
MOST_COLUMNS = 400
# Standard errors by which components of a vector may differ in variance and still be compared.
UNLIKE = 4.0
# Part of the squared correlations that their averages by offset must leave, so that a grid is worth weighing.
EXPLAINED = 0.5


def vectors(observed: Observed) -> Iterator[Candidate]:
    """Sets of columns, uncorrelated with each other, that have the same covariance within: one for each direction.

    Rotations of vectors leave C ⊗ 1 invariant: x-components are correlated with x-components alone, and as the
    y-components are with each other.
    """
    p = len(observed.columns)
    if not 4 <= p <= MOST_COLUMNS or observed.degrees < 4:
        return
    blocks = uncorrelated_blocks(observed)
    variance = np.diag(observed.covariance)
    for size in sorted({len(b) for b in blocks}, reverse=True):
        same = sorted((b for b in blocks if len(b) == size), key=lambda b: float(np.log(variance[b]).mean()))
        for run in _runs([float(np.log(variance[b]).mean()) for b in same], observed.degrees):
            directions = [same[i] for i in run]
            if not DIMENSIONS[0] <= len(directions) <= DIMENSIONS[1]:
                continue
            rows = np.array([directions[0], *(_aligned(observed, directions[0], b) for b in directions[1:])]).T
            used = rows.size
            # Ways to lay so many of the columns out as vectors by directions, whatever the order of either.
            ways = lgamma(p + 1) - lgamma(p - used + 1) - lgamma(len(directions) + 1) - lgamma(size + 1)
            group = orthogonal([[observed.columns[i] for i in row] for row in rows])
            names = ", ".join(observed.columns[i] for i in rows[0])
            yield Candidate(group.on(observed.columns), "moments", f"vectors: ({names}){', …' * (size > 1)}", ways)


def _runs(values: list[float], degrees: float) -> list[list[int]]:
    """Neighbours, of values in order, that differ by little beside the error of a log variance."""
    limit = UNLIKE * np.sqrt(4.0 / degrees)
    runs = [[0]]
    for i in range(1, len(values)):
        if values[i] - values[i - 1] < limit:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _aligned(observed: Observed, first: Index, other: Index) -> Index:
    """The columns of one direction in the order of those of the first, matched by variance and correlations."""
    from scipy.optimize import linear_sum_assignment

    covariance = observed.covariance
    a, b = covariance[np.ix_(first, first)], covariance[np.ix_(other, other)]
    order = linear_sum_assignment(((_profile(a)[:, None] - _profile(b)[None]) ** 2).sum(axis=2))[1]
    for _ in range(3):
        # Then by covariances with the columns matched before.
        cost = ((a[:, None] - b[:, order][None]) ** 2).sum(axis=2)
        order = linear_sum_assignment(cost)[1]
    return np.asarray(other[order])


def _profile(matrix: Array) -> Array:
    """Of each column its variance, and its covariances in order (m, m + 1)."""
    return np.column_stack([np.diag(matrix), np.sort(matrix, axis=1)])


def grids(observed: Observed) -> Iterator[Candidate]:
    """A square number of columns, in order on a square, whose correlations depend on the offset of two cells."""
    p = len(observed.columns)
    side = isqrt(p)
    if side < 3 or side * side != p or p > MOST_COLUMNS:
        return
    unit = np.sqrt(np.diag(observed.covariance))
    r = (observed.covariance / np.outer(unit, unit))[np.triu_indices(p, 1)]
    row, column = np.divmod(np.arange(p), side)
    a, b = np.triu_indices(p, 1)
    offset = (row[b] - row[a]) * 2 * side + column[b] - column[a]
    _, label = np.unique(offset, return_inverse=True)
    counts = np.bincount(label)
    means = np.bincount(label, r) / counts
    # Beside the mean of all correlations, and with the degrees of freedom of either.
    within = float(((r - means[label]) ** 2).sum()) / max(1, len(r) - len(counts))
    if within > (1 - EXPLAINED) * float(r.var()):
        return
    names = list(observed.columns)
    why = f"correlations by offset on {side}×{side}"
    for group in (square(side, names), grid_translations(side, side, names), square(side, names, translations=True)):
        yield Candidate(group, "moments", why, log(3))
