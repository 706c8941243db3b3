"""Decompositions that are known: Fourier for rings and grids, mean and contrasts for exchangeable columns.

They are recognised from the generators, not from a name, and hold no p × p matrix: covariances of 10,000 columns on a
ring are 5,001 numbers, found by fast Fourier transforms of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import factorial, prod
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.isotypic import Decomposition, Part, found_numerically
from cumulant.symmetry.product import product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group
    from cumulant.symmetry.isotypic import Array, Complex, Index

__all__ = ["Copies", "Exchangeable", "Fourier", "isotypic", "spectral"]


# Orders of groups on so many columns are computed to recognise them.
MOST_ELEMENTS = 200


@dataclass(frozen=True, eq=False)
class Fourier:
    """Translations of a ring, grid or torus of any dimension, with k columns in each cell.

    Parameters
    ----------
    index
        Columns (k, n_1, …, n_d), each axis a generator.
    label, mirrored
        Class of each frequency that a real transform keeps, and whether it stands for the complex conjugate.
    kinds
        Type of each class: ``"C"`` where nothing takes a frequency to its negative.
    """

    index: Index
    label: Index
    mirrored: NDArray[np.bool_]
    kinds: NDArray[np.str_]

    @property
    def degree(self) -> int:
        """Number of columns p."""
        return self.index.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.index.shape[1:]

    @cached_property
    def weight(self) -> Array:
        """1 for frequencies 0 and ½ of the last axis, 2 for the others, whose negatives are left out (F,)."""
        last = self.shape[-1]
        weight = np.full(last // 2 + 1, 2.0)
        weight[0] = 1.0
        if last % 2 == 0:
            weight[-1] = 1.0
        return np.broadcast_to(weight, (*self.shape[:-1], last // 2 + 1)).ravel()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """One part: a k × k spectral matrix for each class of frequencies."""
        k = len(self.index)
        rank = np.bincount(self.label, self.weight).astype(np.float64)
        return (Part(self.kinds, rank.astype(np.int64), k, k, rank, self.label, self.mirrored, self.weight),)

    def forward(self, x: Array) -> list[Complex]:
        """Orthonormal Fourier coefficients (n, F, 1, k) of rows."""
        cells = x[:, self.index]
        axes = tuple(range(2, cells.ndim))
        z = np.fft.rfftn(cells, axes=axes, norm="ortho").reshape(len(x), len(self.index), -1)
        return [np.moveaxis(z, 1, 2)[:, :, None, :]]

    def backward(self, z: Sequence[Complex]) -> Array:
        """Rows from their Fourier coefficients."""
        k, half = len(self.index), (*self.shape[:-1], self.shape[-1] // 2 + 1)
        cells = np.moveaxis(z[0][:, :, 0, :], 2, 1).reshape(len(z[0]), k, *half)
        axes = tuple(range(2, cells.ndim))
        out = np.empty((len(cells), self.degree))
        out[:, self.index] = np.fft.irfftn(cells, s=self.shape, axes=axes, norm="ortho")
        return out

    def reduce(self, matrix: Array) -> list[Complex]:
        """Spectra of the averages over cells at each displacement: O(p²)."""
        k, cells = len(self.index), prod(self.shape)
        flat = self.index.reshape(k, cells)
        out = np.zeros((k, k, cells))
        grid = np.arange(cells).reshape(self.shape)
        for cell in range(cells):
            step = np.unravel_index(cell, self.shape)
            there = np.roll(grid, tuple(-s for s in step), tuple(range(len(self.shape)))).ravel()
            out += matrix[flat[:, cell][:, None, None], flat[:, there][None]]
        lags = (out / cells).reshape(k, k, *self.shape)
        # C_ab(τ) = ⟨φ_a(x) φ_b(x + τ)⟩ has the transform ⟨z_a* z_b⟩.
        spectrum = np.conj(np.fft.rfftn(lags, axes=tuple(range(2, lags.ndim)))).reshape(k, k, -1)
        part = self.parts[0]
        blocks = part.fold(np.moveaxis(spectrum, 2, 0)) / part.rank[:, None, None]
        return [blocks.real if k == 1 else blocks]

    def scales(self, variances: Array) -> list[Array]:
        """The variances of the columns in a cell, at every frequency."""
        each = np.diag(variances[self.index.reshape(len(self.index), -1)[:, 0]])
        return [np.broadcast_to(each, (len(self.parts[0].rank), *each.shape))]


@dataclass(frozen=True, eq=False)
class Exchangeable:
    """S_n on n blocks of k columns: their mean, and contrasts between them.

    Parameters
    ----------
    index
        Columns (n, k).
    """

    index: Index

    @property
    def degree(self) -> int:
        """Number of columns p."""
        return self.index.size

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The trivial representation and the standard one of dimension n − 1, each k times."""
        n, k = self.index.shape
        return tuple(_real(d, k) for d in ((1, n - 1) if n > 1 else (1,)))

    def forward(self, x: Array) -> list[Complex]:
        """√n times the mean (n, 1, 1, k), and deviations from it (n, 1, n, k), which have n − 1 dimensions."""
        blocks = x[:, self.index]
        n = self.index.shape[0]
        mean = blocks.mean(axis=1, keepdims=True)
        return [mean[:, None] * np.sqrt(n), (blocks - mean)[:, None]][: len(self.parts)]

    def backward(self, z: Sequence[Complex]) -> Array:
        """Rows from mean and deviations."""
        n = self.index.shape[0]
        blocks = z[0][:, 0] / np.sqrt(n)
        if n > 1:
            deviations = z[1][:, 0]
            blocks = blocks + deviations - deviations.mean(axis=1, keepdims=True)
        out = np.empty((len(blocks), self.degree))
        out[:, self.index] = blocks
        return out

    def reduce(self, matrix: Array) -> list[Complex]:
        """Two blocks from the sums within and over blocks: O(p²)."""
        n, k = self.index.shape
        split = matrix[np.ix_(self.index.ravel(), self.index.ravel())].reshape(n, k, n, k)
        within = np.einsum("iaib->ab", split) / n
        total = split.sum(axis=(0, 2)) / n
        blocks = [total] if n == 1 else [total, (n * within - total) / (n - 1)]
        return [((b + b.T) / 2)[None] for b in blocks]

    def scales(self, variances: Array) -> list[Array]:
        """The variances of the columns in a block, twice."""
        return [np.diag(variances[self.index[0]])[None] for _ in self.parts]


@dataclass(frozen=True, eq=False)
class Copies:
    """O(n) on m vectors: one m × m matrix of their dot products.

    Parameters
    ----------
    index
        Columns (n, m): component by component.
    """

    index: Index

    @property
    def degree(self) -> int:
        """Number of columns p."""
        return self.index.size

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The vector representation, m times."""
        n, m = self.index.shape
        return (_real(n, m),)

    def forward(self, x: Array) -> list[Complex]:
        """The components (n, 1, n, m)."""
        return [x[:, self.index][:, None]]

    def backward(self, z: Sequence[Complex]) -> Array:
        """Rows from components."""
        out = np.empty((len(z[0]), self.degree))
        out[:, self.index] = z[0][:, 0]
        return out

    def reduce(self, matrix: Array) -> list[Complex]:
        """Dot products over n."""
        n = self.index.shape[0]
        block = sum((matrix[np.ix_(row, row)] for row in self.index), np.zeros((self.index.shape[1],) * 2)) / n
        return [((block + block.T) / 2)[None]]

    def scales(self, variances: Array) -> list[Array]:
        """The variances of one component of each vector."""
        return [np.diag(variances[self.index[0]])[None]]


def _real(dimension: int, multiplicity: int) -> Part:
    one = np.zeros(1, dtype=np.int64)
    d = one + dimension
    return Part(np.array(["R"]), d, multiplicity, multiplicity, d.astype(float), one, one > 0, np.ones(1))


@lru_cache(maxsize=32)
def isotypic(group: Group) -> Decomposition:
    """The isotypic decomposition of the columns under a group.

    Fourier modes for rings, grids and tori, mean and contrasts for exchangeable columns or blocks, components for
    rotated vectors: recognised from the generators whatever the order of the columns. Groups on disjoint columns are
    decomposed one by one. For any other group it is found numerically, up to 4,000 columns.

    Raises
    ------
    ResourceError
        There are too many columns for a group without a known basis.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> basis = sym.isotypic(sym.symmetric(5))
    >>> [(part.kinds.tolist(), part.dimension.tolist(), part.multiplicity) for part in basis.parts]
    [(['R'], [1], 1), (['R'], [4], 1)]
    >>> sum(len(part.rank) for part in sym.isotypic(sym.cyclic(10_000)).parts)
    5001
    """
    if not group.moved.any():
        return Copies(np.arange(group.degree)[None])
    return spectral(group) or product(group, _separate) or found_numerically(group)


def _separate(group: Group) -> Decomposition:
    """A decomposition whose trivial component is a part of its own."""
    known = spectral(group)
    return found_numerically(group) if known is None or isinstance(known, Fourier) else known


def spectral(group: Group) -> Decomposition | None:
    """The known decomposition of a group, if it is one of those."""
    if not group.finite:
        family = group.rotations[0]
        whole = len(group.images) == 0 and len(group.rotations) == 1 and family.columns.size == group.degree
        return Copies(np.ascontiguousarray(family.columns.T)) if whole and not family.proper else None
    if len(group.images) and (group.images == np.arange(group.degree)).all() and (group.signs < 0).all():
        # A flip of all signs is O(1), of which every column is a vector.
        return Copies(np.arange(group.degree)[None])
    if group.signed or not len(group.images):
        return None
    return _exchangeable(group) or _fourier(group)


def _equivariant(group: Group, start: int, partner: int) -> Index | None:
    """The map of the orbit of one column to that of another that every generator respects, as (p,) with -1 outside."""
    out = np.full(group.degree, -1, dtype=np.int64)
    out[start] = partner
    fresh = [start]
    while fresh:
        at = np.array(fresh)
        fresh = []
        for image in group.images:
            there, expected = image[at], image[out[at]]
            new = out[there] < 0
            if (out[there[~new]] != expected[~new]).any():
                return None
            out[there[new]] = expected[new]
            if (out[there[new]] != expected[new]).any():
                return None
            fresh.extend(there[new].tolist())
    return out


def _orbits(group: Group) -> list[Index]:
    from cumulant.symmetry.orbits import orbits

    labels = orbits(group, 1).labels
    return [np.flatnonzero(labels == a) for a in range(labels.max() + 1)] if len(labels) else []


def _matched(group: Group, members: list[Index]) -> Index | None:
    """Columns (k, N), one row for each orbit, that the group moves alike; None where it does not."""
    start = int(members[0][0])
    rows = [members[0]]
    for other in members[1:]:
        maps = (_equivariant(group, start, int(partner)) for partner in other)
        found = next((m for m in maps if m is not None), None)
        if found is None or len(set(found[members[0]].tolist())) < len(members[0]):
            return None
        rows.append(found[members[0]])
    return np.stack(rows)


def _exchangeable(group: Group) -> Exchangeable | None:
    members = _orbits(group)
    n = len(members[0])
    if n < 2 or {len(m) for m in members} != {n} or not _whole(group, members[0]):
        return None
    rows = _matched(group, members)
    return None if rows is None else Exchangeable(np.ascontiguousarray(rows.T))


def _whole(group: Group, members: Index) -> bool:
    """Whether an orbit (n,) is permuted in every way, where the group does nothing beyond it."""
    from cumulant.symmetry.chain import order

    n = len(members)
    if group.size is not None:
        return group.size == factorial(n)
    # A ring, and an exchange of two neighbours on it, generate all permutations.
    rings = [g for g in group.images if len(_cycle(g, int(members[0]))) == n]
    for g in group.images:
        moved = members[g[members] != members]
        if len(moved) == 2 and any(ring[moved[0]] == moved[1] or ring[moved[1]] == moved[0] for ring in rings):
            return True
    return group.degree <= MOST_ELEMENTS and order(group) == factorial(n)


def _cycle(image: Index, start: int) -> list[int]:
    out = [start]
    while (at := int(image[out[-1]])) != start:
        out.append(at)
    return out


def _fourier(group: Group) -> Fourier | None:
    """Translations and what normalises them, from generators that commute and fix nothing."""
    p = np.arange(group.degree)
    shifts: list[Index] = []
    others: list[Index] = []
    for g in group.images:
        free = (g != p).all() and all((g[s] == s[g]).all() for s in shifts)
        (shifts if free else others).append(g)
    # A quarter turn makes one translation of another.
    for g in others:
        for s in list(shifts):
            moved = np.empty_like(s)
            moved[g] = g[s]
            if all((moved[t] == t[moved]).all() and (moved != t).any() for t in shifts):
                shifts.append(moved)
    translations = _Torus.of(shifts, group.degree) if shifts else None
    if translations is None or (len(translations.index) > 1 and others):
        return None
    turns = [translations.turn(g) for g in others]
    if any(t is None for t in turns):
        return None
    return _classes(translations.index, [t for t in turns if t is not None])


@dataclass(frozen=True)
class _Torus:
    """Cells reached by commuting shifts from one column of each orbit."""

    index: Index

    @staticmethod
    def of(shifts: list[Index], degree: int) -> _Torus | None:
        cells = np.array([0])
        lengths: list[int] = []
        axes: list[Index] = []
        for s in shifts:
            known, length, front = set(cells.tolist()), 0, cells
            layers = []
            while length == 0 or int(front[0]) not in known:
                layers.append(front)
                front, length = s[front], length + 1
                if length > degree:
                    return None
            if length == 1:
                continue
            # The shift must close on itself, not on another cell: the axes are then a direct product.
            if not np.array_equal(front, cells):
                return None
            cells = np.stack(layers, axis=-1).ravel()
            lengths.append(length)
            axes.append(s)
        if len(set(cells.tolist())) < len(cells) or not lengths:
            return None
        found = _Torus._every_orbit(axes, cells.reshape(lengths), degree)
        return found if found is not None and all(found.translates(s) for s in shifts) else None

    @staticmethod
    def _every_orbit(axes: list[Index], first: Index, degree: int) -> _Torus | None:
        rows, left = [first], np.ones(degree, dtype=bool)
        left[first.ravel()] = False
        while left.any():
            cells = np.flatnonzero(left)[:1]
            for s, length in zip(axes, first.shape, strict=True):
                layers = [cells]
                for _ in range(length - 1):
                    layers.append(s[layers[-1]])
                if not np.array_equal(s[layers[-1]], cells):
                    return None
                cells = np.stack(layers, axis=-1).ravel()
            if len(set(cells.tolist())) < len(cells) or not left[cells].all():
                return None
            rows.append(cells.reshape(first.shape))
            left[cells] = False
        return _Torus(np.stack(rows))

    def translates(self, g: Index) -> bool:
        """Whether a generator is the same displacement of the cells in every orbit."""
        moved = g[self.index]
        step = np.unravel_index(int(np.flatnonzero(self.index[0].ravel() == moved[0].ravel()[0])[0]), moved.shape[1:])
        axes = tuple(range(1, moved.ndim))
        return bool(np.array_equal(np.roll(self.index, tuple(-int(s) for s in step), axes), moved))

    def turn(self, g: Index) -> Index | None:
        """An integer matrix (d, d) by which a generator acts on displacements, or None where it is not linear."""
        shape = self.index.shape[1:]
        flat = self.index[0].ravel()
        place = np.empty_like(flat)
        place[flat] = np.arange(len(flat))
        # Cells by their displacement (d, cells); a unit step along each axis is a known cell.
        where = np.stack(np.unravel_index(place[g[flat]], shape))
        units = [int(np.ravel_multi_index(tuple(row), shape)) for row in np.eye(len(shape), dtype=np.int64)]
        matrix = where[:, units] - where[:, :1]
        grid = np.stack([a.ravel() for a in np.indices(shape)])
        predicted = (matrix @ grid + where[:, :1]) % np.array(shape)[:, None]
        return matrix if np.array_equal(predicted, where) else None


def _classes(index: Index, turns: list[Index]) -> Fourier:
    """Classes of frequencies under ± and the turns; f → M⁻ᵀ f, which has the orbits of f → Mᵀ f."""
    shape = index.shape[1:]
    sizes = np.array(shape)[:, None]
    f = np.stack([a.ravel() for a in np.indices(shape)])
    # In units of the largest common denominator, so that axes of different length may mix.
    scale = np.lcm.reduce(sizes)
    steps = scale // sizes
    negative = np.ravel_multi_index(tuple((-f) % sizes), shape)
    turned = [np.ravel_multi_index(tuple((m.T @ (f * steps)) % scale // steps), shape) for m in turns]
    kept = np.arange(f.shape[1]).reshape(shape)[..., : shape[-1] // 2 + 1].ravel()
    _, first, label = np.unique(_components([negative, *turned])[kept], return_index=True, return_inverse=True)
    alone = _components([np.arange(f.shape[1]), *turned])
    kinds = np.where(alone[kept[first]] == alone[negative[kept[first]]], "R", "C")
    # Without turns a class is ±f: the second of the two that a real transform keeps is the first's conjugate.
    mirrored = first[label] != np.arange(len(label)) if len(index) > 1 else np.zeros(len(label), dtype=bool)
    return Fourier(index, label.astype(np.int64), mirrored, kinds)


def _components(maps: list[Index]) -> Index:
    """Connected components of points joined to their images."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(maps[0])
    at = np.tile(np.arange(n), len(maps))
    edges = coo_array((np.ones(len(at), dtype=np.int8), (at, np.concatenate(maps))), shape=(n, n))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.int64)
