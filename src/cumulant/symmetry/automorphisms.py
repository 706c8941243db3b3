"""Automorphisms of a coloured graph: the permutations of its vertices that keep the colour of every pair.

Vertices are told apart by *refinement*: two differ if they meet other colours, or the same ones in other numbers, and
so on until nothing changes. Where it leaves vertices alike, one is singled out and each of its like tried as its image;
a stabiliser chain of such images generates the group. Every generator is verified on all pairs, so a search that is
cut short still returns automorphisms, of a smaller group.

References
----------
McKay and Piperno, "Practical graph isomorphism, II", J. Symbolic Computation 60 (2014) 94 (individualisation and
refinement); Weisfeiler and Leman (1968).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.int64]

__all__ = ["automorphisms"]

MOST_REFINEMENTS = 3000


def automorphisms(colours: Index, budget: int = MOST_REFINEMENTS) -> list[Index]:
    """Generators of the automorphism group of a complete graph.

    Parameters
    ----------
    colours
        Of each pair, symmetric (p, p); of the vertices on the diagonal.
    budget
        How many refinements may be made; with fewer than are needed the generators are those of a subgroup.

    Returns
    -------
    list of ndarray
        Images (p,) of each generator; none where only the identity is left.

    Examples
    --------
    A square, whose sides are of one colour and whose diagonals of another.

    >>> import numpy as np
    >>> ring = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    >>> [g.tolist() for g in automorphisms(np.minimum(ring, 4 - ring))]
    [[0, 3, 2, 1], [1, 0, 3, 2]]
    """
    return _Search(colours, budget).generators()


@dataclass
class _Search:
    colours: Index
    budget: int

    def generators(self) -> list[Index]:
        """From the stabiliser of a whole base up to that of none of it."""
        base, states = self._base()
        found: list[Index] = []
        for level in range(len(base) - 1, -1, -1):
            start, state = base[level], states[level]
            for other in np.flatnonzero(state == state[start]):
                # The generators so far leave the base before this level alone; their orbits need no further search.
                if other not in _orbit(int(start), found):
                    image = self._extended(self._single(state, start), self._single(state, int(other)))
                    if image is not None:
                        found.append(image)
        return found

    def _base(self) -> tuple[list[int], list[Index]]:
        """Vertices singled out one after the other until all differ, and the colours before each."""
        state = self._refined(np.zeros((1, len(self.colours)), dtype=np.int64))[0]
        base, states = [], []
        while (at := _first_alike(state)) is not None:
            base.append(at)
            states.append(state)
            state = self._refined(self._single(state, at)[None])[0]
        return base, states

    @staticmethod
    def _single(state: Index, vertex: int) -> Index:
        out = state.copy()
        out[vertex] = len(state) + 1
        return out

    def _refined(self, states: Index) -> Index:
        """The stable colours (s, p) of a few colourings of the same graph, alike in all of them."""
        self.budget -= 1
        s, p = states.shape
        count = 0
        while True:
            met = np.sort(self.colours[None] * (4 * p) + states[:, None, :], axis=2)
            rows = np.concatenate([np.diag(self.colours)[None, :, None].repeat(s, 0), states[:, :, None], met], axis=2)
            _, label = np.unique(rows.reshape(s * p, -1), axis=0, return_inverse=True)
            states = label.reshape(s, p).astype(np.int64)
            if label.max() + 1 == count:
                return states
            count = int(label.max()) + 1

    def _extended(self, left: Index, right: Index) -> Index | None:
        """An automorphism that takes colours to colours, if the budget lasts to find one."""
        if self.budget <= 0:
            return None
        left, right = self._refined(np.stack([left, right]))
        if not np.array_equal(np.sort(left), np.sort(right)):
            return None
        at = _first_alike(left)
        if at is None:
            image = np.empty_like(left)
            image[np.argsort(left)] = np.argsort(right)
            return image if np.array_equal(self.colours[np.ix_(image, image)], self.colours) else None
        for other in np.flatnonzero(right == left[at]):
            found = self._extended(self._single(left, at), self._single(right, int(other)))
            if found is not None:
                return found
        return None


def _first_alike(state: Index) -> int | None:
    """A vertex of the smallest class of more than one."""
    sizes = np.bincount(state)
    own = sizes[state]
    if (own == 1).all():
        return None
    return int(np.argmin(np.where(own > 1, own, len(state) + 1)))


def _orbit(start: int, generators: list[Index]) -> set[int]:
    seen, fresh = {start}, [start]
    while fresh:
        at = fresh.pop()
        for image in generators:
            to = int(image[at])
            if to not in seen:
                seen.add(to)
                fresh.append(to)
    return seen
