"""What the prior of an invariant covariance is centred on: independent columns, or one factor common to them.

A symmetry must explain the rows better than whatever explains them as briefly without it. Columns that share one
factor with nearly equal loadings are nearly exchangeable, and a vague prior on free covariances, which spends all its
parameters, would lose to every such accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.reynolds import alike, reynolds
from cumulant.symmetry.spectral import isotypic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group
    from cumulant.symmetry.isotypic import Decomposition

    Array = NDArray[np.float64]

__all__ = ["Centre", "centres"]

MOST_STEPS = 200
STEP = 1e-4
# Of the variance of a column, the least that is its own.
LEAST_OWN = 1e-3
# Share of the largest eigenvalue by which it exceeds the next, where a factor stands out.
ALONE = 1e-6


@dataclass(frozen=True, eq=False)
class Centre:
    """An invariant covariance fitted to the rows, and how.

    Parameters
    ----------
    covariance
        (p, p).
    parameters
        Free numbers that were fitted.
    loadings
        Of the factor (p,); None for independent columns.
    """

    covariance: Array
    parameters: int
    loadings: Array | None = None

    def again(self, group: Group, covariance: Array) -> Centre:
        """The same kind fitted to another covariance (p, p)."""
        if self.loadings is None:
            same = alike(group)
            return Centre(np.diag(same.spread(same.collect(np.diag(covariance)))), self.parameters)
        even = reynolds(group, covariance)
        loadings = _fitted(even, self.loadings)
        return Centre(_one_factor(even, loadings), self.parameters, loadings)


def centres(group: Group, covariance: Array, *, scales: bool = False) -> Iterator[Centre]:
    """Those that a group allows, fitted to a covariance (p, p); with free ``scales`` of all columns."""
    p = group.degree
    even = reynolds(group, covariance)
    own = p if scales else alike(group).count
    yield Centre(np.diag(np.diag(even)), own)
    unit = np.sqrt(np.diag(even))
    if p < 3:
        return
    found = leading(isotypic(group), even / np.outer(unit, unit))
    if found is None:
        return
    largest, vector = found
    loadings = _fitted(even, unit * vector * np.sqrt(largest) * 0.8)
    product = np.outer(loadings, loadings)
    if np.abs(reynolds(group, product) - product).max() > 1e-6 * np.abs(product).max():
        return
    free = np.unique(alike(group).labels[np.abs(loadings) > 1e-6 * unit])
    yield Centre(_one_factor(even, loadings), own + len(free), loadings)


def leading(basis: Decomposition, matrix: Array) -> tuple[float, Array] | None:
    """The largest eigenvalue of an invariant matrix (p, p) and its vector (p,); None where another is as large."""
    blocks = [np.linalg.eigh(block) for block in basis.reduce(matrix)]
    values = np.concatenate([w.ravel() for w, _ in blocks])
    second, first = np.partition(values, -2)[-2:] if len(values) > 1 else (-np.inf, values[0])
    if first - second < ALONE * first:
        return None
    i = next(i for i, (w, _) in enumerate(blocks) if w.max() == first)
    block, place = np.unravel_index(blocks[i][0].argmax(), blocks[i][0].shape)
    part = basis.parts[i]
    if part.dimension[block] > 1:
        return None
    coordinates = [np.zeros_like(z) for z in basis.forward(np.zeros((1, basis.degree)))]
    own = blocks[i][1][block, :, place]
    # Complex blocks of a representation of dimension 1 are real, and so are their vectors but for a phase.
    own = own * np.conj(np.sign(own[np.abs(own).argmax()]))
    coordinates[i][0, np.flatnonzero(part.block == block)[0], 0] = own
    return float(first), basis.backward(coordinates)[0]


def _fitted(covariance: Array, loadings: Array) -> Array:
    """Loadings of one factor by maximum likelihood, by EM (Rubin and Thayer, Psychometrika 47 (1982) 69)."""
    total = np.diag(covariance)
    own = np.maximum(total - loadings**2, LEAST_OWN * total)
    for _ in range(MOST_STEPS):
        weight = loadings / own
        weight = weight / (1 + weight @ loadings)
        seen = covariance @ weight
        before = loadings
        loadings = seen / (1 - weight @ loadings + weight @ seen)
        own = np.maximum(total - loadings * seen, LEAST_OWN * total)
        if (np.abs(loadings - before) < STEP * np.sqrt(total)).all():
            break
    return loadings


def _one_factor(covariance: Array, loadings: Array) -> Array:
    out = np.outer(loadings, loadings)
    total = np.diag(covariance)
    np.fill_diagonal(out, np.maximum(total, loadings**2 + LEAST_OWN * total))
    return out
