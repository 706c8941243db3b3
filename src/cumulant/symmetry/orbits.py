"""Orbits of columns, pairs, triples and quadruples, from generators alone.

Index tuples are joined to their images and the connected components are the orbits; the group is never enumerated.
Where signs are flipped, a tuple and its negative are two points, and an orbit that holds both carries no moment: it
equals its own negative. One number per remaining orbit is what an invariant moment is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb, factorial, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError, ResourceError
from cumulant.symmetry.chain import elements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Orbits", "burnside", "joined", "orbits"]

MOST_TUPLES = 30_000_000


@dataclass(frozen=True, eq=False)
class Orbits:
    """Orbits of index tuples i ≤ j ≤ … under a group (or of ordered ones).

    Parameters
    ----------
    degree, length
        Number of columns p and of indices k.
    labels
        Orbit of each tuple (N,), -1 where the moment vanishes. Tuples are in colexicographic order: see `rank`.
    signs
        Sign of each tuple relative to the first of its orbit (N,).
    ordered
        Whether (i, j) and (j, i) are two tuples; they are numbered i·p + j then.
    """

    degree: int
    length: int
    labels: Index
    signs: Index
    ordered: bool = False

    @cached_property
    def count(self) -> int:
        """Number of orbits that carry a moment: the free parameters of this order."""
        return int(self.labels.max(initial=-1)) + 1

    @cached_property
    def sizes(self) -> Index:
        """Number of tuples in each orbit (count,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.count)

    @cached_property
    def representatives(self) -> Index:
        """The first tuple of each orbit (count, k)."""
        first = np.full(self.count, -1, dtype=np.int64)
        kept = np.flatnonzero(self.labels >= 0)[::-1]
        first[self.labels[kept]] = kept
        if self.ordered:
            return np.stack(np.unravel_index(first, (self.degree,) * self.length), axis=1)
        return multisets(self.degree, self.length)[first]

    def collect(self, values: Array) -> Array:
        """Mean of the values (N,) over each orbit, with signs (count,)."""
        total = np.bincount(np.maximum(self.labels, 0), self._counted * values, minlength=self.count)[: self.count]
        return np.asarray(total / self.sizes)

    def spread(self, means: Array) -> Array:
        """The value of each tuple (N,) from that of its orbit (count,)."""
        if not self.count:
            return np.zeros(len(self.labels))
        return np.asarray(self._counted * means[np.maximum(self.labels, 0)])

    @cached_property
    def _counted(self) -> Array:
        return np.where(self.labels >= 0, self.signs, 0).astype(np.float64)

    def matrix(self) -> Index:
        """The orbit of each pair as a (p, p) picture, -1 where nothing is left; pairs only."""
        if self.length != 2:
            raise OptionError(f"a matrix shows orbits of pairs, not of {self.length} columns")
        if self.ordered:
            return self.labels.reshape(self.degree, self.degree)
        return _square(self.labels, self.degree)

    @cached_property
    def pairs(self) -> Pairs:
        """The orbits of pairs as matrices."""
        signs = None if (self.labels >= 0).all() and (self.signs > 0).all() else _square(self._counted, self.degree)
        return Pairs(_square(np.maximum(self.labels, 0), self.degree), signs)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Orbits of pairs, as matrices.

    Parameters
    ----------
    labels
        Orbit of each pair (p, p); of one that carries no moment, any.
    signs
        Sign of each pair relative to the first of its orbit (p, p), 0 where the moment vanishes; None if all are 1.
    """

    labels: Index
    signs: Array | None

    def average(self, matrix: Array) -> Array:
        """The mean of a symmetric matrix (p, p) over each orbit, in all of its places."""
        if self.signs is None:
            return np.asarray((np.bincount(self._flat, matrix.ravel()) / self._sizes)[self.labels])
        means = np.bincount(self._flat, (self.signs * matrix).ravel()) / self._sizes
        return np.asarray(means[self.labels] * self.signs)

    @property
    def _flat(self) -> Index:
        return self.labels.ravel()

    @cached_property
    def _sizes(self) -> Array:
        """Places of each orbit; 1 where there is none, as nothing is summed there."""
        signs = None if self.signs is None else np.abs(self.signs).ravel()
        return np.maximum(np.bincount(self._flat, signs), 1.0)


def _square(packed: NDArray[Any], p: int) -> NDArray[Any]:
    """A symmetric matrix (p, p) from its lower triangle, row by row (= colexicographic pairs)."""
    out = np.empty((p, p), dtype=packed.dtype)
    lower = np.tri(p, dtype=np.bool_)
    out[lower] = packed
    out.T[lower] = packed
    return out


def orbits(group: Group, length: int, *, ordered: bool = False) -> Orbits:
    """Orbits of tuples of columns under a group.

    Parameters
    ----------
    group
        The group; for rotations, the finite group that has their invariants (exact for up to three indices; what
        rotations leave of fourth moments is less, see `parameters`).
    length
        How many indices: 1 for columns, 2 for pairs, …
    ordered
        Tell (i, j) from (j, i).

    Raises
    ------
    ResourceError
        There are more tuples than fit in memory.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> [sym.orbits(sym.symmetric(5), k).count for k in (1, 2, 3, 4)]
    [1, 2, 3, 5]
    >>> [sym.orbits(sym.z2(5), k).count for k in (1, 2, 3, 4)]
    [0, 15, 0, 70]
    """
    if length < 1:
        raise OptionError(f"orbits of {length} columns: give 1 or more")
    group = group.discrete
    p = group.degree
    n = p**length if ordered else comb(p + length - 1, length)
    if n * (2 if group.signed else 1) > MOST_TUPLES:
        raise ResourceError(
            f"{n:,} tuples of {length} of {p} columns are too many to join into orbits; choose a lower order"
        )
    if length == 2 and not ordered and group.size is not None and not group.signed:
        columns = orbits(group, 1)
        if group.size == prod(factorial(int(k)) for k in columns.sizes):
            return _of_whole(columns)
    places = np.stack(np.unravel_index(np.arange(n), (p,) * length), axis=1) if ordered else multisets(p, length)
    sources, targets, flips = [], [], []
    for image, sign in zip(group.images, group.signs, strict=True):
        # A generator that moves few columns leaves most tuples where they are.
        at = _touched((image != np.arange(p)) | (sign < 0), places, ordered=ordered)
        before = places[at]
        moved = image[before]
        to = np.ravel_multi_index(tuple(moved.T), (p,) * length) if ordered else rank(np.sort(moved, axis=1))
        flip = (sign[before] < 0).sum(axis=1) % 2 if group.signed else np.zeros(len(at), dtype=np.int64)
        away = (to != at) | (flip > 0)
        sources.append(at[away])
        targets.append(to[away])
        flips.append(flip[away])
    return joined(n, p, length, ordered, sources, targets, flips, signed=group.signed)


def _of_whole(columns: Orbits) -> Orbits:
    """Orbits of pairs under all permutations within each orbit of columns: told by these, and by a pair being one."""
    b, a = np.tril_indices(columns.degree)
    first, second = columns.labels[a], columns.labels[b]
    key = np.minimum(first, second) * columns.count + np.maximum(first, second)
    return Orbits(columns.degree, 2, _renumbered(2 * key + (a == b)), _ones(len(key)))


def _touched(moves: NDArray[np.bool_], places: Index, *, ordered: bool) -> Index:
    """Tuples with a column that moves, as their numbers."""
    if places.shape[1] != 2 or ordered or moves.mean() > 0.2:
        return np.flatnonzero(np.logical_or.reduce([moves[place] for place in places.T]))
    some, p = np.flatnonzero(moves), len(moves)
    a, b = np.repeat(some, p), np.tile(np.arange(p), len(some))
    # A pair of columns that both move is met twice.
    once = ~(moves[b] & (b < a))
    return rank(np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1)[once])


def joined(
    n: int, p: int, length: int, ordered: bool, sources: list[Index], targets: list[Index], flips: list[Index],
    *, signed: bool,
) -> Orbits:  # fmt: skip
    """Orbits of n points that generators take from ``sources`` to ``targets``, flipping their sign where ``flips``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not sources or not sum(map(len, sources)):
        return Orbits(p, length, np.arange(n), _ones(n), ordered)
    a, b, flip = np.concatenate(sources), np.concatenate(targets), np.concatenate(flips)
    points = n
    if signed:
        # Point t is the tuple, t + n its negative.
        a, b = np.concatenate([a, a + n]), np.concatenate([b + n * flip, b + n * (1 - flip)])
        points = 2 * n
    edges = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(points, points))
    found = connected_components(edges, directed=False)[1].astype(np.int64)
    if not signed:
        return Orbits(p, length, _renumbered(found), _ones(n), ordered)
    plus, minus = found[:n], found[n:]
    alive = plus != minus
    both = np.where(alive, np.minimum(plus, minus), -1)
    labels = np.full(n, -1, dtype=np.int64)
    labels[alive] = _renumbered(both[alive])
    sign = np.ones(n, dtype=np.int64)
    _, first = np.unique(labels[alive], return_index=True)
    reference = plus[alive][first]
    sign[alive] = np.where(plus[alive] == reference[labels[alive]], 1, -1)
    return Orbits(p, length, labels, sign, ordered)


def _ones(n: int) -> Index:
    """Signs that are all +1, in the memory of one."""
    return np.broadcast_to(np.ones(1, dtype=np.int64), n)


def _renumbered(labels: Index) -> Index:
    """The same classes numbered in order of their first member."""
    first = np.full(int(labels.max(initial=-1)) + 1, len(labels))
    # Of a label met several times the last assignment counts.
    first[labels[::-1]] = np.arange(len(labels) - 1, -1, -1)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[labels]


def multisets(p: int, k: int) -> Index:
    """All i ≤ j ≤ … of k indices below p, in colexicographic order (N, k)."""
    out = np.arange(p)[:, None]
    for length in range(2, k + 1):
        # Those that end in l are l appended to every shorter one with entries up to l: a leading slice.
        counts = np.array([comb(last + length - 1, length - 1) for last in range(p)], dtype=np.int64)
        last = np.repeat(np.arange(p), counts)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        head = out[np.arange(len(last)) - starts]
        out = np.concatenate([head, last[:, None]], axis=1)
    return out


def rank(tuples: Index) -> Index:
    """Place of sorted tuples (N, k) among `multisets`: Σ_a C(t_a + a, a + 1)."""
    out = np.zeros(len(tuples), dtype=np.int64)
    for a in range(tuples.shape[1]):
        term = np.ones(len(tuples), dtype=np.int64)
        for i in range(a + 1):
            term = term * (tuples[:, a] + i) // (i + 1)
        out += term
    return out


def burnside(group: Group, length: int) -> int:
    """Number of invariants among moments of k indices, by averaging characters over all elements of the group.

    The slow twin of `orbits`: the average over G of the trace of its action on symmetric tensors of order k, from
    Newton's identities h_k = (1/k) Σ_i h_{k-i} tr gⁱ.

    References
    ----------
    Burnside, Theory of Groups of Finite Order (1911), section 145; Molien (1897) for the signed case.
    """
    from fractions import Fraction

    images, signs = elements(group)
    total = Fraction(0)
    for image, sign in zip(images, signs, strict=True):
        traces, at, flip = [], np.arange(group.degree), np.ones(group.degree, dtype=np.int64)
        for _ in range(length):
            at, flip = image[at], flip * sign[at]
            traces.append(int(flip[at == np.arange(group.degree)].sum()))
        h = [Fraction(1)]
        for k in range(1, length + 1):
            h.append(sum((h[k - i] * traces[i - 1] for i in range(1, k + 1)), Fraction(0)) / k)
        total += h[length]
    return int(total / len(images))
