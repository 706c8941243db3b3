"""The Reynolds operator: a moment replaced by its average over the group.

On index tuples it is the average over orbits. Rotations have the invariants of signed permutations of their axes to
third order; at fourth order they leave less, and the slots of vectors are projected on the invariant tensors (products
of δ and ε) besides.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.symmetry.orbits import multisets, orbits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group, Rotations
    from cumulant.symmetry.orbits import Orbits

    Array = NDArray[np.float64]

__all__ = ["parameters", "reynolds"]

MOST_ORDER = 4


@lru_cache(maxsize=32)
def kept(group: Group, length: int) -> Orbits:
    """`orbits`, kept for the groups that were asked for last."""
    return orbits(group, length)


@lru_cache(maxsize=32)
def alike(group: Group) -> Orbits:
    """Orbits of columns whatever their signs: those that have one variance."""
    finite = group.discrete
    return orbits(replace(finite, signs=np.ones_like(finite.signs)), 1)


def reynolds(group: Group, moment: Array) -> Array:
    """The part of a symmetric moment that the group leaves invariant.

    Parameters
    ----------
    group
        The group.
    moment
        Symmetric tensor of order 1 to 4, shape (p,) * order: a mean, a covariance, a cumulant.

    Returns
    -------
    ndarray
        Its average over the group, of the same shape. The operator is a projection.

    Raises
    ------
    OptionError
        The moment has the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> import cumulant.symmetry as sym
    >>> sym.reynolds(sym.symmetric(3), np.array([1.0, 2.0, 6.0]))
    array([3., 3., 3.])
    >>> sym.reynolds(sym.z2(3), np.array([1.0, 2.0, 6.0]))
    array([0., 0., 0.])
    """
    moment = np.asarray(moment, dtype=np.float64)
    k = moment.ndim
    if not 1 <= k <= MOST_ORDER or set(moment.shape) != {group.degree}:
        raise OptionError(
            f"a moment of shape {moment.shape} for a group on {group.degree} columns; give a tensor of order 1 to 4 "
            f"with {group.degree} values along each axis"
        )
    if not group.moved.any():
        return moment.copy()
    found = kept(group, k)
    if k == 2:
        return found.pairs.average(moment)
    places = tuple(multisets(group.degree, k).T)
    out = np.empty_like(moment)
    means = found.spread(found.collect(moment[places]))
    for permuted in _arrangements(k):
        out[tuple(places[a] for a in permuted)] = means
    if k == MOST_ORDER:
        for family in group.rotations:
            out = _rotated(out, family)
    return out


def parameters(group: Group, order: int) -> int:
    """Number of free parameters that a symmetric moment of some order has under the group.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> [sym.parameters(sym.cyclic(24), k) for k in (1, 2)], [sym.parameters(sym.trivial(24), k) for k in (1, 2)]
    ([1, 13], [24, 300])
    >>> sym.parameters(sym.orthogonal(3), 4), sym.parameters(sym.hyperoctahedral(3), 4)
    (1, 2)
    """
    found = kept(group, order)
    if group.finite or order < MOST_ORDER:
        return found.count
    # Rotations project the space of invariants of their axes further; the trace of a projection is its rank.
    trace = 0.0
    for orbit in range(found.count):
        unit = found.spread(np.eye(found.count)[orbit])
        tensor = np.zeros((group.degree,) * order)
        places = multisets(group.degree, order)
        for permuted in _arrangements(order):
            tensor[tuple(places[:, a] for a in permuted)] = unit
        trace += float(found.collect(reynolds(group, tensor)[tuple(places.T)])[orbit])
    return round(trace)


def _arrangements(k: int) -> list[tuple[int, ...]]:
    from itertools import permutations

    return list(permutations(range(k)))


@lru_cache(maxsize=32)
def _invariants(n: int, slots: int, *, proper: bool) -> Array:
    """Orthonormal basis of the invariant tensors of O(n) or SO(n) with so many indices (r, n**slots).

    Products of δ, and for SO(n) of ε as well (Weyl, The Classical Groups, 1939, theorem 2.9.A).
    """
    kinds = [(2, np.eye(n))]
    if proper and n <= slots:
        kinds.append((n, _epsilon(n)))
    tensors = [t.ravel() for t in _products(tuple(range(slots)), kinds, n)]
    if not tensors:
        return np.zeros((0, n**slots))
    _, s, v = np.linalg.svd(np.array(tensors), full_matrices=False)
    return np.asarray(v[s > 1e-9 * s[0]])


def _products(slots: tuple[int, ...], kinds: list[tuple[int, Array]], n: int) -> list[Array]:
    """Every way to pair off indices into the given tensors, as full tensors with axes in the order of the slots."""
    from itertools import combinations

    if not slots:
        return [np.ones(())]
    out = []
    for size, tensor in kinds:
        for rest in combinations(slots[1:], size - 1):
            chosen = (slots[0], *rest)
            left = tuple(s for s in slots if s not in chosen)
            for other in _products(left, kinds, n):
                axes = np.argsort((*chosen, *left))
                out.append(np.transpose(np.multiply.outer(tensor, other), axes))
    return out


def _epsilon(n: int) -> Array:
    from itertools import permutations

    out = np.zeros((n,) * n)
    for order in permutations(range(n)):
        out[order] = round(np.linalg.det(np.eye(n)[list(order)]))
    return out


def _rotated(moment: Array, family: Rotations) -> Array:
    """Average over rotations of the vectors of one family."""
    p, k = len(moment), moment.ndim
    vectors = family.columns
    m, n = vectors.shape
    others = np.setdiff1d(np.arange(p), vectors.ravel())
    sides = (others, vectors.ravel())
    out = np.zeros_like(moment)
    for kinds in product((0, 1), repeat=k):
        at = np.ix_(*(sides[kind] for kind in kinds))
        part = moment[at]
        if not any(kinds):
            out[at] = part
            continue
        split = part.reshape([size for kind in kinds for size in ((m, n) if kind else (len(others),))])
        axes, spins, at_axis = [], [], 0
        for kind in kinds:
            axes.append(at_axis)
            if kind:
                spins.append(at_axis + 1)
            at_axis += 1 + kind
        moved = np.transpose(split, (*axes, *spins))
        flat = moved.reshape(-1, n ** len(spins))
        basis = _invariants(n, len(spins), proper=family.proper)
        back = ((flat @ basis.T) @ basis).reshape(moved.shape)
        out[at] = np.transpose(back, np.argsort((*axes, *spins))).reshape(part.shape)
    return out
