"""A group that acts on columns, given by generators alone.

The action is linear and orthogonal: a generator moves columns to columns and may flip their signs, and vector blocks
may be rotated. Nothing is ever enumerated here: orbits, orders and averages follow from the generators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.lift.schema import unknown_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.int64]

__all__ = ["Group", "Rotations"]

Column = int | str
Generator = Any  # cycles, an array of images, or a mapping of names: see Group.of


@dataclass(frozen=True)
class Rotations:
    """Vectors of n columns each that O(n), or SO(n), turns together.

    Parameters
    ----------
    blocks
        The columns of each vector: m tuples of n indices, components in the same order.
    proper
        SO(n) instead of O(n): without reflections.
    """

    blocks: tuple[tuple[int, ...], ...]
    proper: bool = False

    @property
    def dimension(self) -> int:
        """Number n of components of a vector."""
        return len(self.blocks[0])

    @property
    def columns(self) -> Index:
        """Indices (m, n) of the vectors' components."""
        return np.array(self.blocks, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Group:
    """A group of signed permutations and rotations of columns, by its generators.

    Made by `Group.of`, or by the catalogue (`cumulant.symmetry.cyclic` and its kind).

    Parameters
    ----------
    degree
        Number of columns p that it acts on.
    images, signs
        Generators (g, p): generator k takes column j to column ``images[k, j]``, times ``signs[k, j]`` (±1).
    rotations
        Families of vectors that turn together; none for a finite group.
    name
        For people; nothing is ever decided by it.
    columns
        Names of the columns, if it was declared on names.
    size
        Its order, where that is known in closed form.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> pairs = sym.Group.of(["left", "right", "top", "bottom"], [[("left", "right")], {"top": "-top"}])
    >>> sym.order(pairs)
    4
    >>> sym.orbits(pairs, 1).count, sym.orbits(pairs, 2).count
    (2, 5)
    """

    degree: int
    images: Index
    signs: Index
    rotations: tuple[Rotations, ...] = ()
    name: str = ""
    columns: tuple[str, ...] | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.images.shape != self.signs.shape or self.images.shape[1:] != (self.degree,):
            raise OptionError(f"generators of shape {self.images.shape} for {self.degree} columns; give (g, degree)")
        if self.columns is not None and len(self.columns) != self.degree:
            raise OptionError(f"{len(self.columns)} names for {self.degree} columns; give one each")
        for row in self.images:
            if not np.array_equal(np.sort(row), np.arange(self.degree)):
                raise OptionError(f"{row.tolist()} is no permutation of {self.degree} columns: each must occur once")
        if not (np.abs(self.signs) == 1).all():
            raise OptionError("the signs of a generator must be +1 or -1")
        used = [c for family in self.rotations for block in family.blocks for c in block]
        if len(set(used)) < len(used) or not set(used) <= set(range(self.degree)):
            raise OptionError("vectors that are rotated must be disjoint sets of columns")
        if any(len({len(b) for b in family.blocks}) != 1 for family in self.rotations):
            raise OptionError("vectors that are rotated together must have the same number of components")
        for image, sign in zip(self.images, self.signs, strict=True):
            _require_normal(self.rotations, image, sign)

    @staticmethod
    def of(
        columns: int | Sequence[str],
        generators: Sequence[Generator] = (),
        *,
        rotations: Sequence[Sequence[Sequence[Column]] | Rotations] = (),
        name: str = "",
    ) -> Group:
        """A group from its generators.

        Parameters
        ----------
        columns
            How many columns there are, or their names.
        generators
            Each one of: a list of cycles, ``[("a", "b"), ("c", "d")]``; the image of every column, ``[1, 0, 3, 2]``,
            or a pair (images, signs); a mapping, ``{"a": "b", "b": "-a"}``, where a minus flips the sign and columns
            that are not named stay. Columns are named or numbered from 0.
        rotations
            Families of vectors: each a list of vectors of n columns that O(n) turns together, or a `Rotations`.
        name
            For people.

        Raises
        ------
        OptionError, ColumnError
            A generator is no permutation, or names a column that is not there.
        """
        names = None if isinstance(columns, int) else tuple(columns)
        p = columns if isinstance(columns, int) else len(columns)
        place = {name: i for i, name in enumerate(names or ())}
        pairs = [_generator(g, p, place) for g in generators]
        families = tuple(
            f if isinstance(f, Rotations) else Rotations(tuple(tuple(_at(c, p, place) for c in b) for b in f))
            for f in rotations
        )
        images = np.array([image for image, _ in pairs], dtype=np.int64).reshape(len(pairs), p)
        signs = np.array([sign for _, sign in pairs], dtype=np.int64).reshape(len(pairs), p)
        return Group(p, images, signs, families, name, names)

    def on(self, columns: Sequence[str]) -> Group:
        """The same group among these columns; those it does not name stay as they are.

        Raises
        ------
        ColumnError, OptionError
            It names a column that is not there, or has no names and another number of columns.
        """
        if self.columns is None:
            if self.degree != len(columns):
                raise OptionError(
                    f"the group {self} acts on {self.degree} columns and there are {len(columns)}; name its columns: "
                    "cumulant.symmetry.symmetric(['a', 'b']), say"
                )
            return replace(self, columns=tuple(columns))
        if self.columns == tuple(columns):
            return self
        where = {name: i for i, name in enumerate(columns)}
        for name in self.columns:
            if name not in where:
                raise unknown_column(name, list(columns))
        at = np.array([where[name] for name in self.columns], dtype=np.int64)
        images = np.tile(np.arange(len(columns)), (len(self.images), 1))
        signs = np.ones_like(images)
        images[:, at], signs[:, at] = at[self.images], self.signs
        families = tuple(
            replace(f, blocks=tuple(tuple(int(at[c]) for c in b) for b in f.blocks)) for f in self.rotations
        )
        return replace(
            self, degree=len(columns), images=images, signs=signs, rotations=families, columns=tuple(columns)
        )

    def among(self, some: Index) -> Group:
        """The same group among some of its columns, of which it moves no other.

        Raises
        ------
        OptionError
            It moves a column that is left out.
        """
        place = np.full(self.degree, -1, dtype=np.int64)
        place[some] = np.arange(len(some))
        if (place[self.moved] < 0).any():
            raise OptionError(f"the group {self} moves columns that are left out; name all columns that it moves")
        families = tuple(
            replace(f, blocks=tuple(tuple(int(place[c]) for c in b) for b in f.blocks)) for f in self.rotations
        )
        names = None if self.columns is None else tuple(self.columns[i] for i in some)
        return replace(
            self, degree=len(some), images=place[self.images[:, some]], signs=self.signs[:, some], rotations=families,
            columns=names,
        )  # fmt: skip

    def __mul__(self, other: Group) -> Group:
        """The group generated by both; on the columns of both, where they are named."""
        if not isinstance(other, Group):
            return NotImplemented
        if (self.columns is None) != (other.columns is None):
            raise OptionError("one group names its columns, the other does not; name the columns of both")
        a, b = self, other
        if self.columns is not None and other.columns is not None:
            union = tuple(dict.fromkeys([*self.columns, *other.columns]))
            a, b = self.on(union), other.on(union)
        elif self.degree != other.degree:
            raise OptionError(f"groups on {self.degree} and {other.degree} columns; name the columns of both")
        apart = not (a.moved & b.moved).any()
        return Group(
            a.degree,
            np.concatenate([a.images, b.images]),
            np.concatenate([a.signs, b.signs]),
            (*a.rotations, *(f for f in b.rotations if f not in a.rotations)),
            " × ".join(filter(None, (a.name, b.name))),
            a.columns,
            a.size * b.size if apart and a.size is not None and b.size is not None else None,
        )

    def measure(self, data: Any, **options: Any) -> Any:
        """Measure a table under this group; what ``cumulant.measure(…, symmetry=)`` does."""
        from cumulant.symmetry.declared import Declared

        return Declared(self).measure(data, **options)

    @property
    def finite(self) -> bool:
        """Whether it has no rotations."""
        return not self.rotations

    @cached_property
    def signed(self) -> bool:
        """Whether a generator flips a sign."""
        return bool((self.signs < 0).any())

    @cached_property
    def moved(self) -> NDArray[np.bool_]:
        """Which columns are not left alone (p,)."""
        out = ((self.images != np.arange(self.degree)) | (self.signs < 0)).any(axis=0)
        for family in self.rotations:
            out[family.columns.ravel()] = True
        return np.asarray(out)

    @cached_property
    def discrete(self) -> Group:
        """The finite group with the same invariants to third order: hyperoctahedral for each family of rotations.

        Signed permutations of the n axes have the invariants of O(n) in tensors of order 1, 2 and 3 (none, δ, none)
        and those of determinant 1 the invariants of SO(n) (with ε for n = 2 at order 2 and n = 3 at order 3).
        """
        if self.finite:
            return self
        images, signs = [self.images], [self.signs]
        for family in self.rotations:
            for image, sign in _axes(family, self.degree):
                images.append(image[None])
                signs.append(sign[None])
        return Group(self.degree, np.concatenate(images), np.concatenate(signs), (), self.name, self.columns)

    @property
    def matrices(self) -> NDArray[np.float64]:
        """The generators as orthogonal matrices (g, p, p): x → M x."""
        out = np.zeros((len(self.images), self.degree, self.degree))
        at = np.arange(self.degree)
        for m, image, sign in zip(out, self.images, self.signs, strict=True):
            m[image, at] = sign
        return out

    def __str__(self) -> str:
        return self.name or f"with {len(self.images)} generators"

    def __repr__(self) -> str:
        parts = [f"{self.degree} columns", f"{len(self.images)} generators"]
        parts += [f"{'SO' if f.proper else 'O'}({f.dimension}) on {len(f.blocks)} vectors" for f in self.rotations]
        return f"Group({self.name + ': ' if self.name else ''}{', '.join(parts)})"


def _at(column: Column, p: int, place: Mapping[str, int]) -> int:
    if isinstance(column, str):
        if column not in place:
            raise unknown_column(column, list(place))
        return place[column]
    if not 0 <= int(column) < p:
        raise OptionError(f"column {column} of a generator: there are {p}, numbered from 0")
    return int(column)


def _signed_at(column: Column, p: int, place: Mapping[str, int]) -> tuple[int, int]:
    if isinstance(column, str) and column not in place and column.startswith("-"):
        return _at(column[1:], p, place), -1
    return _at(column, p, place), 1


def _generator(g: Generator, p: int, place: Mapping[str, int]) -> tuple[Index, Index]:
    image, sign = np.arange(p), np.ones(p, dtype=np.int64)
    if isinstance(g, Mapping):
        for a, b in g.items():
            at = _at(a, p, place)
            image[at], sign[at] = _signed_at(b, p, place)
        return image, sign
    items = list(g)
    if len(items) == 2 and all(np.ndim(x) == 1 and len(x) == p for x in items) and set(map(int, items[1])) <= {1, -1}:
        return np.asarray(items[0], dtype=np.int64), np.asarray(items[1], dtype=np.int64)
    if items and all(isinstance(c, (int, np.integer)) for c in items):
        return np.asarray(items, dtype=np.int64), sign
    if items and isinstance(items[0], str):
        items = [tuple(items)]
    for cycle in items:
        round_trip = [_at(c, p, place) for c in cycle]
        for a, b in pairwise([*round_trip, *round_trip[:1]]):
            image[a] = b
    return image, sign


def _require_normal(rotations: tuple[Rotations, ...], image: Index, sign: Index) -> None:
    """Refuse a generator that does not take vectors to vectors: its product with rotations would mix columns."""
    for family in rotations:
        target = {frozenset(b): f for f in rotations for b in f.blocks}
        orders = {b: f for f in rotations for b in f.blocks}
        ways = set()
        for block in family.blocks:
            moved = [int(image[c]) for c in block]
            home = target.get(frozenset(moved))
            if home is None or home.proper != family.proper:
                raise OptionError("a generator must take each rotated vector to a rotated vector, whole")
            there = next(b for b in orders if set(b) == set(moved))
            # The overall sign of a vector commutes with every rotation.
            signs = tuple(int(sign[c] * sign[block[0]]) for c in block)
            ways.add((id(home), tuple(there.index(c) for c in moved), signs))
        if len(ways) > 1:
            raise OptionError("a generator must permute the components of vectors that turn together alike")


def _axes(family: Rotations, p: int) -> list[tuple[Index, Index]]:
    """Generators of the signed permutations of axes, all vectors of the family alike."""
    columns, n = family.columns, family.dimension
    out = []
    # A quarter turn of two axes, and all axes on by one, with a sign that makes it a rotation, generate the rest.
    for cycle in ([0, 1], list(range(n)))[: min(n - 1, 2)]:
        image, sign = np.arange(p), np.ones(p, dtype=np.int64)
        image[columns[:, cycle]] = columns[:, np.roll(cycle, -1)]
        if len(cycle) % 2 == 0:
            sign[columns[:, 0]] = -1
        out.append((image, sign))
    if not family.proper:
        sign = np.ones(p, dtype=np.int64)
        sign[columns[:, 0]] = -1
        out.append((np.arange(p), sign))
    return out
