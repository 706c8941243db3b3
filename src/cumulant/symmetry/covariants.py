"""Terms that turn with a target: what its mean may hold if a group takes targets to targets as it acts on the inputs.

If y(gx) = g y(x), the coefficient of a monomial m in the mean of a target t is that of gm in the mean of gt, with their
signs. Pairs of a target and a monomial fall into orbits with one coefficient each; a pair that the group takes to its
own negative has none. Of one target that the group leaves alone these are the invariants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.symmetry.orbits import joined, orbits
from cumulant.symmetry.reduced import unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Index = NDArray[np.int64]

__all__ = ["Covariants", "covariants", "exchanged"]


@dataclass(frozen=True, eq=False)
class Covariants:
    """The terms of the means of targets that a group takes to each other.

    Parameters
    ----------
    sums
        For each target the sparse matrix of signs (T, M) that makes T terms of M monomials.
    signs
        Sign of each target beside the first (k,).
    constant
        Whether a constant is a term too: not where the group turns a target to its negative.
    """

    sums: tuple[Any, ...]
    signs: Index
    constant: bool


def covariants(group: Group, factors: Index, targets: Index) -> Covariants:
    """The terms of the means of targets from one orbit.

    Parameters
    ----------
    group
        Acts on inputs and targets; signed permutations stand for its rotations, exactly up to three indices.
    factors
        Columns of each monomial (M, degree), ascending, −1 for no factor; each orbit is there whole or not at all.
    targets
        The orbit (k,).

    Examples
    --------
    Of three outputs on a ring, the mean of each is linear in its own input and in what is on either side:

    >>> import numpy as np
    >>> import cumulant.symmetry as sym
    >>> ring = sym.dihedral([[0, 3], [1, 4], [2, 5]])
    >>> found = covariants(ring, np.array([[0], [1], [2]]), np.array([3, 4, 5]))
    >>> [s.toarray().tolist() for s in found.sums[:2]]
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]]
    """
    group = group.discrete
    k, (m, d) = len(targets), factors.shape
    monomials = np.vstack([np.full((1, d), -1), factors])
    digits = (group.degree + 1) ** np.arange(d, dtype=np.int64)
    keys = np.sort(monomials + 1, axis=1) @ digits
    order = np.argsort(keys)
    place = np.full(group.degree, -1, dtype=np.int64)
    place[targets] = np.arange(k)
    every = np.arange(k * (m + 1))
    to, flips = [], []
    for image, sign in zip(group.images, group.signs, strict=True):
        # No factor stays no factor.
        moved = np.sort(np.append(image, -1)[monomials] + 1, axis=1) @ digits
        at = order[np.searchsorted(keys, moved, sorter=order)]
        flip = (np.append(sign, 1)[monomials] < 0).sum(axis=1) + (sign[targets] < 0)[:, None]
        to.append(((m + 1) * place[image[targets]][:, None] + at).ravel())
        flips.append(flip.ravel() % 2)
    found = joined(len(every), group.degree, d, False, [every] * len(to), to, flips, signed=group.signed)
    labels, signs = found.labels.reshape(k, m + 1), found.signs.reshape(k, m + 1)
    constant = bool(labels[0, 0] >= 0)
    numbers = np.unique(labels[0, 1:][labels[0, 1:] >= 0])
    sums = tuple(_matrix(labels[t, 1:], signs[t, 1:], numbers) for t in range(k))
    return Covariants(sums, signs[:, 0] if constant else np.ones(k, dtype=np.int64), constant)


def exchanged(group: Group, targets: Index) -> list[Index]:
    """The targets in sets that the group takes to each other; a set may hold columns that are no targets."""
    labels = orbits(unsigned(group), 1).labels
    return [np.flatnonzero(labels == one) for one in dict.fromkeys(labels[targets].tolist())]


def _matrix(labels: Index, signs: Index, numbers: Index) -> Any:
    from scipy import sparse

    kept = np.flatnonzero(labels >= 0)
    entries = (signs[kept].astype(np.float64), (np.searchsorted(numbers, labels[kept]), kept))
    out = sparse.csr_array(entries, shape=(len(numbers), len(labels)))
    out.sort_indices()
    return out
