"""Which page a theory and a group belong to, whatever their columns are called and in whatever order they come."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant import symmetry as sym
from cumulant.notebook.library import pages
from cumulant.theory import Gaussian, Polynomial, Spins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.notebook.families import Shape
    from cumulant.notebook.page import Page
    from cumulant.symmetry import Group

__all__ = ["ACTIONS", "Match", "Theory", "recognise"]

Theory = Gaussian | Polynomial | Spins


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
    order: NDArray[np.int64]
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
MOST_KEPT = 256


def _recognise(theory: Theory, group: Group, found: Sequence[Page]) -> Match | None:
    kind, order = _kind(theory)
    graph = theory.graph if isinstance(theory, Spins) else None
    for page in found:
        solves = page.solves
        if (solves.theory, solves.order) != (kind, order) or solves.graph not in (None, graph):
            continue
        if solves.fields and len(solves.fields) != group.degree and "n" not in solves.parameters:
            continue
        for shape, action in ACTIONS[solves.symmetry](group.degree):
            if solves.fields and "n" in solves.parameters and shape[0] != 1:
                continue
            placed = sym.equivalent(action, group)
            if placed is not None:
                return Match(page, shape, placed, group.signed)
    return None


def _kind(theory: Theory) -> tuple[str, int]:
    match theory:
        case Polynomial() if theory.order > 2:
            return "polynomial", theory.order
        case Spins():
            return "spins", 2
        case _:
            return "gaussian", 2


def _factors(p: int) -> Iterator[tuple[int, int]]:
    return ((b, p // b) for b in range(2, p // 2 + 1) if p % b == 0)


def _blocks(p: int) -> Iterator[tuple[Shape, Group]]:
    for b, k in _factors(p):
        yield (b, k), sym.symmetric(np.arange(p).reshape(b, k).tolist())


def _rings(p: int) -> Iterator[tuple[Shape, Group]]:
    if p > 2:
        yield (p,), sym.cyclic(p)
        yield (p,), sym.dihedral(p)


def _grids(p: int) -> Iterator[tuple[Shape, Group]]:
    for h, w in _factors(p):
        yield (h, w), sym.grid_translations(h, w)
        if h == w:
            yield (h, w), sym.square(h, translations=True)


def _vectors(p: int) -> Iterator[tuple[Shape, Group]]:
    for n in range(2, p + 1):
        if p % n == 0:
            yield (p // n, n), sym.orthogonal(np.arange(p).reshape(p // n, n).tolist())


# What a page calls its symmetry, and the actions on p columns that it covers.
ACTIONS: dict[str, Callable[[int], Iterator[tuple[Shape, Group]]]] = {
    "trivial": lambda p: iter([((p,), sym.trivial(p))]),
    "trivial-or-z2": lambda p: iter([((p,), sym.trivial(p)), ((p,), sym.z2(p))]),
    # Translations of time that leave the ends of a window are no group of its columns: found by name.
    "time": lambda _: iter(()),
    "z2": lambda p: iter([((p,), sym.z2(p))]),
    "symmetric": lambda p: iter([((p,), sym.symmetric(p))] if p > 1 else []),
    "blocks": _blocks,
    "ring": _rings,
    "grid": _grids,
    "orthogonal": _vectors,
}
