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

from cumulant.symmetry.orbits import orbits
from cumulant.symmetry.reynolds import reynolds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Array = NDArray[np.float64]

__all__ = ["Centre", "centres"]

MOST_STEPS = 200
STEP = 1e-4
# Of the variance of a column, the least that is its own.
LEAST_OWN = 1e-3


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
        even = reynolds(group, covariance)
        if self.loadings is None:
            return Centre(np.diag(np.diag(even)), self.parameters)
        loadings = _fitted(even, self.loadings)
        return Centre(_one_factor(even, loadings), self.parameters, loadings)


def centres(group: Group, covariance: Array, *, scales: bool = False) -> Iterator[Centre]:
    """Those that a group allows, fitted to a covariance (p, p); with free ``scales`` of all columns."""
    p = group.degree
    even = reynolds(group, covariance)
    own = p if scales else len(np.unique(np.diag(orbits(group, 2).matrix())))
    yield Centre(np.diag(np.diag(even)), own)
    unit = np.sqrt(np.diag(even))
    w, v = np.linalg.eigh(even / np.outer(unit, unit))
    if p < 3 or w[-1] - w[-2] < 1e-6 * w[-1]:
        return
    loadings = _fitted(even, unit * v[:, -1] * np.sqrt(w[-1]) * 0.8)
    product = np.outer(loadings, loadings)
    if np.abs(reynolds(group, product) - product).max() > 1e-6 * np.abs(product).max():
        return
    alike = np.unique(np.diag(orbits(group, 2).matrix())[np.abs(loadings) > 1e-6 * unit])
    yield Centre(_one_factor(even, loadings), own + len(alike), loadings)


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
