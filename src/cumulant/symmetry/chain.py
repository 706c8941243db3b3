"""Order, membership and elements of a group of signed permutations, by a chain of stabilisers.

Schreier and Sims: a base of points, and for each the transversal of the orbit that the stabiliser of the points
before it has. The chain is grown from random elements of the group until forty in a row sift through, so an order
can come out too small with probability below 2⁻⁴⁰, and membership can then be denied wrongly; never the reverse.

References
----------
Sims, "Computational methods in the study of permutation groups" (1970); Seress, Permutation Group Algorithms
(Cambridge, 2003), sections 4.2 and 4.3 (random Schreier-Sims); Celler et al., Comm. Algebra 23 (1995) 4931 (product
replacement).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import inf, prod
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError, ResourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Index = NDArray[np.int64]

__all__ = ["contains", "elements", "is_subgroup", "order"]

SIFTED = 40
MOST_ELEMENTS = 2_000_000


def points(images: Index, signs: Index) -> Index:
    """Signed permutations (…, p) as permutations of 2p points: j is +j, j + p is −j."""
    p = images.shape[-1]
    there = images + p * (signs < 0)
    return np.concatenate([there, (there + p) % (2 * p)], axis=-1)


@dataclass
class _Level:
    """One step of the chain: a base point, the generators that fix those before, and how each point is reached."""

    base: int
    generators: list[Index] = field(default_factory=list)
    transversal: dict[int, Index] = field(default_factory=dict)

    def add(self, g: Index) -> None:
        self.generators.append(g)
        fresh = list(self.transversal)
        generators = [g]
        while fresh:
            found = []
            for x in fresh:
                for s in generators:
                    y = int(s[x])
                    if y not in self.transversal:
                        self.transversal[y] = s[self.transversal[x]]
                        found.append(y)
            fresh, generators = found, self.generators


@dataclass
class Chain:
    """A base and strong generating set."""

    size: int
    levels: list[_Level] = field(default_factory=list)

    def sift(self, g: Index) -> tuple[Index, int]:
        """What is left of g after dividing by transversals, and the level it stopped at."""
        for depth, level in enumerate(self.levels):
            u = level.transversal.get(int(g[level.base]))
            if u is None:
                return g, depth
            inverse = np.empty_like(u)
            inverse[u] = np.arange(self.size)
            g = inverse[g]
        return g, len(self.levels)

    def insert(self, g: Index) -> bool:
        """Make the chain hold g; whether it did already."""
        g, depth = self.sift(g)
        moved = np.flatnonzero(g != np.arange(self.size))
        if not len(moved):
            return True
        if depth == len(self.levels):
            self.levels.append(_Level(int(moved[0]), transversal={int(moved[0]): np.arange(self.size)}))
        for level in self.levels[: depth + 1]:
            # What fixes the bases before belongs to every level up to where it stopped.
            level.add(g)
            if g[level.base] != level.base:
                break
        return False

    @property
    def order(self) -> int:
        """Product of the orbits' lengths."""
        return prod(len(level.transversal) for level in self.levels)


def _random_elements(generators: Index, rng: np.random.Generator) -> tuple[list[Index], Index]:
    size = generators.shape[1]
    pool = list(generators) * (1 + 10 // len(generators)) + [np.arange(size)]
    accumulator = np.arange(size)
    for _ in range(60):
        accumulator = _replace(pool, accumulator, rng)
    return pool, accumulator


def _replace(pool: list[Index], accumulator: Index, rng: np.random.Generator) -> Index:
    i, j = rng.choice(len(pool), 2, replace=False)
    if rng.random() < 0.5:
        pool[i] = pool[i][pool[j]]
    else:
        inverse = np.empty_like(pool[j])
        inverse[pool[j]] = np.arange(len(inverse))
        pool[i] = pool[i][inverse]
    return accumulator[pool[i]]


@lru_cache(maxsize=64)
def chain(group: Group) -> Chain:
    """The chain of stabilisers of a finite group."""
    p = group.degree
    generators = points(group.images, group.signs) if group.signed else group.images
    size = generators.shape[1] if len(generators) else p
    out = Chain(size)
    keep = [g for g in generators if (g != np.arange(size)).any()]
    if not keep:
        return out
    for g in keep:
        out.insert(g)
    rng = np.random.default_rng(len(keep))
    pool, x = _random_elements(np.array(keep), rng)
    passed = 0
    while passed < SIFTED and out.order != group.size:
        x = _replace(pool, x, rng)
        passed = passed + 1 if out.insert(x) else 0
    return out


def order(group: Group) -> int | float:
    """Number of elements; infinite with rotations.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> sym.order(sym.Group.of(8, [[(0, 1, 2, 3, 4, 5, 6, 7)], [(0, 1)]]))
    40320
    """
    if not group.finite:
        return inf
    return group.size if group.size is not None else chain(group).order


def contains(group: Group, image: Index, sign: Index | None = None) -> bool:
    """Whether a signed permutation (images (p,), signs (p,)) belongs to a finite group."""
    _require_finite(group)
    sign = np.ones_like(image) if sign is None else sign
    if not group.signed and (sign < 0).any():
        return False
    g = points(image, sign) if group.signed else image
    left, _ = chain(group).sift(g)
    return bool((left == np.arange(len(left))).all())


def is_subgroup(part: Group, whole: Group) -> bool:
    """Whether every element of one group is in the other, both on the same columns.

    Raises
    ------
    OptionError
        They act on different numbers of columns.
    """
    if part.degree != whole.degree:
        raise OptionError(f"groups on {part.degree} and {whole.degree} columns cannot be compared; use on(columns)")
    if part.rotations:
        blocks = {(frozenset(f.blocks), f.proper) for f in whole.rotations}
        if not all((frozenset(f.blocks), f.proper) in blocks for f in part.rotations):
            return False
    # Within the rotations' own axes, signed permutations stand for them.
    whole = whole.discrete
    return all(contains(whole, i, s) for i, s in zip(part.images, part.signs, strict=True))


def elements(group: Group) -> tuple[Index, Index]:
    """All elements of a finite group, as images and signs (order, p): for oracles and for small groups.

    Raises
    ------
    ResourceError
        There are too many.
    """
    _require_finite(group)
    p, links = group.degree, chain(group)
    if links.order * p > MOST_ELEMENTS * 8:
        raise ResourceError(f"the group has {links.order:,} elements on {p} columns, too many to list")
    found = np.arange(links.size)[None]
    for level in reversed(links.levels):
        found = np.concatenate([u[found] for u in level.transversal.values()])
    found = found[:, :p]
    return found % p, np.where(found >= p, -1, 1)


def _require_finite(group: Group) -> None:
    if not group.finite:
        raise OptionError(f"the group {group} holds rotations, which cannot be listed; use a finite group")
