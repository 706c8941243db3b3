"""Which page a theory and a group belong to, whatever their columns are called and in whatever order they come.

To second order a class is its partition of pairs of columns into orbits, and nothing else: groups with the same orbits
of pairs leave the same covariances. Each action is found from that partition by an order of the columns in which it has
the pattern of the page, and is believed only when the whole pattern agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.notebook.library import pages
from cumulant.notebook.patterns import blocks_pattern, displacement_pattern, same_partition
from cumulant.symmetry import orbits
from cumulant.theory import Gaussian, Polynomial, Spins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.notebook.families import Shape
    from cumulant.notebook.page import Page
    from cumulant.symmetry import Group

    Index = NDArray[np.int64]
    Found = tuple[Shape, Index] | None

__all__ = ["Match", "Theory", "recognise"]

Theory = Gaussian | Polynomial | Spins

# The partition of pairs is a matrix; beyond this many columns only groups that move nothing are recognised.
MOST_COLUMNS = 3_000
MOST_KEPT = 256


@dataclass(frozen=True, eq=False)
class Match:
    """A page, and how its fields are those of the group.

    Parameters
    ----------
    page
        The page.
    shape
        Sizes of the family: (n,), or (blocks, columns in each).
    order
        Column that plays the part of each field of the page (p,).
    even
        Whether the group flips all signs, so that odd moments vanish.
    """

    page: Page
    shape: Shape
    order: Index
    even: bool = False


def recognise(theory: Theory, group: Group) -> Match | None:
    """The page of a class, or None where the notebook has none yet."""
    found = pages()
    action = (group.degree, group.images.tobytes(), group.signs.tobytes(), group.rotations)
    # Neither names of columns nor pages that say the same can change the answer.
    key = (theory, action, tuple(page.digest for page in found))
    if key not in _RECOGNISED:
        if len(_RECOGNISED) >= MOST_KEPT:
            _RECOGNISED.clear()
        _RECOGNISED[key] = _recognise(theory, group, found)
    return _RECOGNISED[key]


_RECOGNISED: dict[Hashable, Match | None] = {}


def _recognise(theory: Theory, group: Group, found: Sequence[Page]) -> Match | None:
    kind, order = _kind(theory)
    graph = theory.graph if isinstance(theory, Spins) else None
    known = [p for p in found if (p.solves.theory, p.solves.order) == (kind, order)]
    action = _Action.of(group)
    for page in known:
        solves = page.solves
        if solves.graph not in (None, graph):
            continue
        placed = _FINDERS[solves.symmetry](action) if solves.symmetry in _FINDERS else None
        if placed is None:
            continue
        shape, columns = placed
        number = shape[0] if solves.symmetry == "orthogonal" else len(columns)
        if not solves.fields or len(solves.fields) == number:
            return Match(page, shape, columns, action.even)
    return None


def _kind(theory: Theory) -> tuple[str, int]:
    match theory:
        case Polynomial() if theory.order > 2:
            return "polynomial", theory.order
        case Spins():
            return "spins", 2
        case _:
            return "gaussian", 2


# ---------------------------------------------------------------------------------- the action, taken apart


@dataclass(frozen=True, eq=False)
class _Action:
    """A group without the flip of all signs, which is noted apart."""

    group: Group
    even: bool

    @staticmethod
    def of(group: Group) -> _Action:
        flips = (group.images == np.arange(group.degree)).all(axis=1) & (group.signs < 0).all(axis=1)
        even = bool(flips.any()) and group.degree > 0
        return _Action(replace(group, images=group.images[~flips], signs=group.signs[~flips], size=None), even)

    @property
    def plain(self) -> bool:
        """Whether what is left permutes columns and does nothing else."""
        return self.group.finite and not self.group.signed and self.group.degree <= MOST_COLUMNS

    @property
    def still(self) -> bool:
        """Whether nothing is left."""
        return not self.group.moved.any()

    @cached_property
    def labels(self) -> Index:
        """Orbit of each pair of columns (p, p)."""
        return orbits(self.group, 2).matrix()


def _nothing(action: _Action) -> Found:
    return ((action.group.degree,), np.arange(action.group.degree)) if action.still and not action.even else None


def _flip(action: _Action) -> Found:
    return ((action.group.degree,), np.arange(action.group.degree)) if action.still and action.even else None


def _nothing_or_flip(action: _Action) -> Found:
    return _nothing(action) or _flip(action)


def _symmetric(action: _Action) -> Found:
    p = action.group.degree
    if p < 2 or not action.plain or action.still:
        return None
    return ((p,), np.arange(p)) if same_partition(action.labels, np.eye(p, dtype=np.int64)) else None


def _vectors(action: _Action) -> Found:
    """One family of vectors that rotate, and no columns beside them; a plane's rotations allow more than O(2)'s."""
    group = action.group
    if len(group.rotations) != 1 or len(group.images):
        return None
    family = group.rotations[0]
    if family.columns.size != group.degree or (family.proper and family.dimension == 2):
        return None
    m, n = family.columns.shape
    return (m, n), family.columns.ravel()


def _blocks(action: _Action) -> Found:
    """Columns in k orbits of b; the pairs that stay together give the blocks."""
    p = action.group.degree
    if not action.plain or action.still:
        return None
    labels = action.labels
    kinds = [np.flatnonzero(labels.diagonal() == kind) for kind in dict.fromkeys(labels.diagonal().tolist())]
    b = len(kinds[0])
    if b < 2 or len(kinds) < 2 or any(len(kind) != b for kind in kinds):
        return None
    first = kinds[0]
    places = [first]
    for kind in kinds[1:]:
        between = labels[np.ix_(first, kind)]
        together = next((t for t in dict.fromkeys(between[0].tolist()) if _matching(between == t)), None)
        if together is None:
            return None
        places.append(kind[np.argmax(between == together, axis=1)])
    order = np.stack(places, axis=1).ravel()
    shape = (b, p // b)
    return (shape, order) if same_partition(labels[np.ix_(order, order)], blocks_pattern(shape)) else None


def _matching(one: NDArray[np.bool_]) -> bool:
    """Whether each row and each column has exactly one partner."""
    return bool((one.sum(axis=0) == 1).all() and (one.sum(axis=1) == 1).all())


def _ring(action: _Action) -> Found:
    """A relation that makes one cycle of all columns gives their order."""
    p = action.group.degree
    if p < 4 or not action.plain or action.still:
        return None
    labels = action.labels
    pattern = displacement_pattern((p,))
    for order in _cycles(labels):
        if same_partition(labels[np.ix_(order, order)], pattern):
            return (p,), order
    return None


def _cycles(labels: Index) -> Iterator[Index]:
    """Orders of the columns: as they come, then along every relation in which each column has two neighbours."""
    p = len(labels)
    yield np.arange(p)
    for label in dict.fromkeys(labels[0].tolist()):
        near = labels == label
        np.fill_diagonal(near, val=False)
        if (near.sum(axis=1) == 2).all():
            walk = _walk(near)
            if len(walk) == p:
                yield walk


def _walk(near: NDArray[np.bool_]) -> Index:
    """Columns met from the first, always on to the neighbour that one did not come from."""
    ends = np.nonzero(near)[1].reshape(-1, 2).tolist()
    path, before = [0], -1
    while True:
        a, b = ends[path[-1]]
        onward = b if a == before else a
        if onward == 0:
            return np.array(path)
        before = path[-1]
        path.append(onward)


def _grid(action: _Action) -> Found:
    """A torus, with or without the symmetries of a square: two translations give the place of every cell."""
    p = action.group.degree
    if p < 4 or not action.plain or action.still:
        return None
    labels = action.labels
    for down, across in _translations(action.group.images):
        rows, columns = _orbit(down, 0), _orbit(across, 0)
        shape = (len(rows), len(columns))
        if min(shape) < 2 or shape[0] * shape[1] != p:
            continue
        order = _layout(rows, across, shape[1])
        if len(set(order.tolist())) < p:
            continue
        inside = labels[np.ix_(order, order)]
        for square in (False, True) if shape[0] == shape[1] else (False,):
            if same_partition(inside, displacement_pattern(shape, square=square)):
                return shape, order
    return None


def _translations(images: Index) -> Iterator[tuple[Index, Index]]:
    """Pairs of generators, and of generators turned by others: two directions of a grid may come as one and a turn."""
    found = [tuple(g) for g in images.tolist()]
    for g in images:
        for t in images:
            turned = np.empty_like(g)
            turned[t] = t[g]
            found.append(tuple(turned.tolist()))
    distinct = [np.array(g) for g in dict.fromkeys(found)]
    return ((a, b) for a in distinct for b in distinct if np.array_equal(a[b], b[a]))


def _orbit(image: Index, start: int) -> list[int]:
    """Where a generator takes a column, again and again, until it is back."""
    path = [start]
    while (onward := int(image[path[-1]])) != start:
        path.append(onward)
    return path


def _layout(rows: list[int], across: Index, width: int) -> Index:
    """Cells row after row, from the first of each row."""
    order = np.empty((len(rows), width), dtype=np.int64)
    order[:, 0] = rows
    for c in range(1, width):
        order[:, c] = across[order[:, c - 1]]
    return order.ravel()


_FINDERS: dict[str, Callable[[_Action], Found]] = {
    "trivial": _nothing,
    "z2": _flip,
    "trivial-or-z2": _nothing_or_flip,
    "symmetric": _symmetric,
    "blocks": _blocks,
    "ring": _ring,
    "grid": _grid,
    "orthogonal": _vectors,
}
