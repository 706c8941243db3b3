"""The canonical form of an action: what two groups share if and only if they differ in the labels of columns.

`key` is a digest of invariants of the action, none of which depends on how columns are named, ordered or signed: its
degree and order, its orbits of pairs as a coherent configuration (told apart by their intersection numbers), and for
small groups the signed cycle types of all elements. Equivalent actions always have equal keys. The converse is
checked, where it matters, by `equivalent`, which finds the relabelling itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import ResourceError
from cumulant.symmetry.chain import contains, elements, order
from cumulant.symmetry.orbits import orbits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Index = NDArray[np.int64]
    Colours = NDArray[np.uint64]

__all__ = ["equivalent", "key"]

# Up to this degree the invariants are those of pairs; beyond, of columns and generators' orders alone.
MOST_COLUMNS = 300
MOST_LISTED = 5_000
ROUNDS = 3
MOST_STEPS = 200_000


def key(group: Group) -> str:
    """A name of the action that does not depend on the labels, the order or the signs of columns.

    Groups that differ only in these have the same key. Different actions have different keys throughout the
    catalogue; in general groups of more than 5,000 elements with the same orbits of pairs may share one (the
    alternating and the symmetric group are told apart by their orders), and beyond 300 columns only order and orbits
    of columns are compared: `equivalent` decides.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> sym.key(sym.cyclic(["x", "y", "z", "w"])) == sym.key(sym.Group.of(4, [[(0, 2, 1, 3)]]))
    True
    >>> sym.key(sym.cyclic(4)) == sym.key(sym.dihedral(4))
    False
    """
    finite = group.discrete
    families = sorted((f.dimension, len(f.blocks), f.proper) for f in group.rotations)
    said: list[object] = [group.degree, str(order(group)), str(order(finite)), families]
    if group.degree <= MOST_COLUMNS:
        said.append(sorted(Counter(_configuration(finite).ravel().tolist()).items()))
    else:
        columns = orbits(finite, 1)
        said.append((sorted(columns.sizes.tolist()), int((columns.labels < 0).sum())))
    if order(finite) <= MOST_LISTED:
        said.append(sorted(_cycle_index(finite).items()))
    digest = hashlib.sha256(repr(said).encode()).hexdigest()
    return f"{group.degree}:{digest[:24]}"


def _mix(x: Colours) -> Colours:
    """A fixed scrambling of 64-bit numbers (the finaliser of SplitMix64)."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _configuration(group: Group) -> Colours:
    """A colour for each ordered pair of columns (p, p), equal for equivalent actions whatever their labels.

    Orbits of pairs start from their sizes and are told apart by how many paths i → k → j of each two colours there
    are (their intersection numbers), as in two-dimensional Weisfeiler-Leman refinement.
    """
    found = orbits(group, 2, ordered=True)
    label = found.matrix()
    p = group.degree
    size = np.where(label >= 0, found.sizes[np.maximum(label, 0)] if found.count else 0, 0)
    alone = orbits(group, 1).labels < 0
    colour = size * 4 + 2 * np.eye(p, dtype=np.int64) + (alone[:, None] & np.eye(p, dtype=bool))
    out = _mix(colour.astype(np.uint64))
    for _ in range(ROUNDS):
        paths = _mix(out ^ np.uint64(1)) @ _mix(out ^ np.uint64(2))
        out = _mix(_mix(out) + paths + np.uint64(3) * _mix(out.T.copy()))
    return out


def _cycle_index(group: Group) -> Counter[tuple[tuple[int, int, int], ...]]:
    """How many elements have each signed cycle type: (length, product of signs, how many)."""
    out: Counter[tuple[tuple[int, int, int], ...]] = Counter()
    for image, sign in zip(*elements(group), strict=True):
        out[_cycle_type(image, sign)] += 1
    return out


def _cycle_type(image: Index, sign: Index) -> tuple[tuple[int, int, int], ...]:
    cycles: Counter[tuple[int, int]] = Counter()
    left = set(range(len(image)))
    images, signs = image.tolist(), sign.tolist()
    while left:
        at = start = left.pop()
        length, product = 1, signs[at]
        while (at := images[at]) != start:
            left.discard(at)
            length += 1
            product *= signs[at]
        cycles[length, product] += 1
    return tuple(sorted((length, product, count) for (length, product), count in cycles.items()))


def equivalent(a: Group, b: Group) -> Index | None:
    """The relabelling that turns one action into another, or None where there is none.

    Parameters
    ----------
    a, b
        Groups; signs are compared as they are.

    Returns
    -------
    ndarray or None
        π (p,): column j of ``a`` plays the part of column π[j] of ``b``.

    Raises
    ------
    ResourceError
        The search was given up; actions with few orbits and no recognisable difference can be that hard.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> ring = sym.Group.of(4, [[(0, 2, 1, 3)]])
    >>> sym.equivalent(sym.cyclic(4), ring).tolist()
    [0, 2, 1, 3]
    """
    if key(a) != key(b):
        return None
    search = _Search(a.discrete, b.discrete, _configuration(a.discrete), _configuration(b.discrete))
    return search.extend(np.full(a.degree, -1, dtype=np.int64), 0)


@dataclass
class _Search:
    """Depth-first assignment of columns that keeps the colours of pairs."""

    a: Group
    b: Group
    colours: Colours
    targets: Colours
    steps: int = 0

    def extend(self, pi: Index, depth: int) -> Index | None:
        if depth == len(pi):
            return pi.copy() if self._carries(pi) else None
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise ResourceError("the search for a relabelling of columns was given up; compare smaller groups")
        free = np.ones(len(pi), dtype=bool)
        free[pi[:depth]] = False
        fits = self.targets.diagonal() == self.colours[depth, depth]
        fits &= (self.targets[pi[:depth]] == self.colours[:depth, depth][:, None]).all(axis=0)
        for candidate in np.flatnonzero(fits & free):
            pi[depth] = candidate
            found = self.extend(pi, depth + 1)
            if found is not None:
                return found
        pi[depth] = -1
        return None

    def _carries(self, pi: Index) -> bool:
        image, sign = np.empty_like(pi), np.empty_like(pi)
        for g, s in zip(self.a.images, self.a.signs, strict=True):
            image[pi], sign[pi] = pi[g], s
            if not contains(self.b, image, sign):
                return False
        return True
