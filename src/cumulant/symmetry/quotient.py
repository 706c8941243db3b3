"""Rows up to a group: coordinates of orbits, and the elements that are left to be averaged over.

Rotations are divided out by dot products, which tell orbits of vectors apart (first fundamental theorem: Weyl, The
Classical Groups (1946), ch. II.9). Of a finite group each row is taken to one of its images: of all permutations of
some columns, and of all with signs, by sorting; of others by trying each element.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.symmetry.chain import elements, order
from cumulant.symmetry.group import Group
from cumulant.symmetry.product import factors
from cumulant.symmetry.reduced import averaged, unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["MOST_IMAGES", "Quotient"]

# A propagator is averaged over so many elements of a group at most.
MOST_IMAGES = 48


@dataclass(frozen=True, eq=False)
class Quotient:
    """Inputs up to a group.

    Parameters
    ----------
    group
        What acts on the inputs (p columns).

    Raises
    ------
    OptionError
        The group is neither small nor all permutations, with or without signs, of its columns.
    """

    group: Group

    def __post_init__(self) -> None:
        for family in self.group.rotations:
            if family.proper and len(family.blocks) >= family.dimension:
                raise OptionError(
                    f"{self.group} without reflections leaves volumes of {family.dimension} vectors alone beside dot "
                    "products; declare reflections too, cumulant.symmetry.orthogonal(…), or give them as columns"
                )
        size = prod(factor.size for factor in self._factors[1])
        if size > MOST_IMAGES:
            raise OptionError(
                f"{self.group} has {size:,} elements that a propagator would be averaged over, more than "
                f"{MOST_IMAGES}; make its invariants columns, cumulant.symmetry.invariants(group, 2).table(frame), or "
                "declare all permutations of columns, which are sorted instead"
            )

    # ------------------------------------------------------------------ rotations

    @cached_property
    def _kept(self) -> Index:
        """Columns that no rotation turns."""
        turned = [c for family in self.group.rotations for block in family.blocks for c in block]
        return np.setdiff1d(np.arange(self.group.degree), turned)

    def coordinates(self, x: Array) -> Array:
        """Rows of inputs (n, p) up to rotations (n, q): columns that are not turned, then dot products of vectors."""
        if self.group.finite:
            return x
        out = [x[:, self._kept]]
        for family in self.group.rotations:
            vectors = x[:, family.columns]
            dots = np.einsum("nik,njk->nij", vectors, vectors)
            out.append(dots[:, *np.tril_indices(len(family.blocks))])
        return np.hstack(out)

    @cached_property
    def finite(self) -> Group:
        """The finite group, as it acts on the coordinates."""
        if self.group.finite:
            return self.group
        x = np.random.default_rng(0).normal(size=self.group.degree)
        before = self.coordinates(x[None])[0]
        images, signs = [], []
        for image, sign in zip(self.group.images, self.group.signs, strict=True):
            moved = np.empty_like(x)
            moved[image] = sign * x
            after = self.coordinates(moved[None])[0]
            # No two coordinates of a random row are the same, so each is known again by its size.
            came, went = np.argsort(np.abs(before)), np.argsort(np.abs(after))
            taken, flipped = np.empty_like(came), np.empty_like(came)
            taken[came] = went
            flipped[came] = np.sign(before[came] * after[went])
            images.append(taken)
            signs.append(flipped)
        q = len(before)
        return Group(q, np.array(images, dtype=np.int64).reshape(-1, q), np.array(signs, dtype=np.int64).reshape(-1, q))

    # ------------------------------------------------------------------ permutations and signs

    @cached_property
    def _factors(self) -> tuple[list[_Factor], list[_Factor]]:
        """The factors that are sorted, and those that are averaged over: of all permutations, as many as may be."""
        found = [_Factor.of(part, at) for part, at in factors(self.finite)[0]]
        summed = [f for f in found if not f.whole]
        count, rows = prod(f.size for f in summed), []
        for factor in sorted((f for f in found if f.whole), key=lambda f: f.size):
            if count * factor.size <= MOST_IMAGES:
                count *= factor.size
                summed.append(factor)
            else:
                rows.append(factor)
        return rows, summed

    @cached_property
    def elements(self) -> tuple[Index, Index]:
        """Images and signs (E, q) of what is left to be averaged over, after `folded`."""
        q = self.finite.degree
        images, signs = np.arange(q)[None], np.ones((1, q), dtype=np.int64)
        for factor in self._factors[1]:
            own = elements(factor.group)
            images, signs = np.repeat(images, len(own[0]), axis=0), np.repeat(signs, len(own[0]), axis=0)
            images[:, factor.columns] = np.tile(factor.columns[own[0]], (len(images) // len(own[0]), 1))
            signs[:, factor.columns] = np.tile(own[1], (len(images) // len(own[0]), 1))
        return images, signs

    def folded(self, x: Array) -> Array:
        """One image of each row of coordinates (n, q), the same for a whole orbit."""
        out = x.copy()
        sorted_away, summed = self._factors
        for factor in sorted_away:
            some = out[:, factor.columns]
            out[:, factor.columns] = np.sort(np.abs(some) if factor.group.signed else some, axis=1)
        for factor in summed:
            out[:, factor.columns] = _greatest(out[:, factor.columns], *elements(factor.group))
        return out

    # ------------------------------------------------------------------ scale

    def standard(self, x: Array, *, each: bool) -> tuple[Array, Array]:
        """Centre and width (q,) of coordinates (n, q) that the group leaves alone; with ``each``, of every column."""
        centre, width = x.mean(axis=0), x.std(axis=0)
        if not each:
            centre = np.where(self.finite.moved, averaged(self.finite, centre), centre)
            # About an invariant centre, the same for all images.
            width = np.sqrt(averaged(unsigned(self.finite), ((x - centre) ** 2).mean(axis=0)))
        return centre, np.where(width > 0, width, 1.0)


@dataclass(frozen=True, eq=False)
class _Factor:
    """A factor of the group on its own columns, its order, and whether it is all their permutations (with signs)."""

    group: Group
    columns: Index
    size: int
    whole: bool

    @staticmethod
    def of(group: Group, columns: Index) -> _Factor:
        size, m = int(order(group)), len(columns)
        return _Factor(group, columns, size, size == factorial(m) * (2**m if group.signed else 1))


def _greatest(x: Array, images: Index, signs: Index) -> Array:
    """Of the images of each row (n, m) the one that is last in lexicographic order."""
    best = x
    for image, sign in zip(images, signs, strict=True):
        moved = np.empty_like(x)
        moved[:, image] = x * sign
        apart = moved != best
        first = apart.argmax(axis=1)
        at = np.arange(len(x))
        greater = moved[at, first] > best[at, first]
        best = np.where(greater[:, None], moved, best)
    return best
