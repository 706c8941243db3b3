"""Direct products: groups on disjoint columns side by side, and columns that nothing moves.

Each factor is decomposed on its own columns. What the factors leave invariant is one trivial component, to which the
columns left alone belong; all other irreducibles of different factors are different.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.symmetry.group import Group, Rotations
from cumulant.symmetry.isotypic import Decomposition, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Complex = NDArray[Any]

__all__ = ["Product", "factors", "product"]


@dataclass(frozen=True, eq=False)
class Factor:
    """One factor: its decomposition, the columns (m,) it acts on, and which of its parts are not trivial."""

    basis: Decomposition
    columns: Index
    kept: tuple[int, ...]

    def take(self, parts: Sequence[Any]) -> list[Any]:
        """Of a list by part, what belongs to those that are not trivial."""
        return [parts[i] for i in self.kept]


@dataclass(frozen=True, eq=False)
class Product:
    """The decomposition of a direct product.

    Parameters
    ----------
    invariant
        Orthonormal basis (p, r), sparse, of what no factor changes.
    factors
        The others' components.
    """

    invariant: Any
    factors: tuple[Factor, ...]

    @property
    def degree(self) -> int:
        """Number of columns p."""
        return int(self.invariant.shape[0])

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The trivial component first, unless it is empty, and those of each factor."""
        r = self.invariant.shape[1]
        one = np.ones(1, dtype=np.int64)
        first = (Part(np.array(["R"]), one, r, r, np.ones(1), 0 * one, one < 0, np.ones(1)),) if r else ()
        return (*first, *(part for f in self.factors for part in f.take(f.basis.parts)))

    def forward(self, x: Array) -> list[Complex]:
        """Coordinates (n, F, copies, r) of rows (n, p)."""
        out = [(x @ self.invariant)[:, None, None, :]] if self.invariant.shape[1] else []
        for f in self.factors:
            out += f.take(f.basis.forward(x[:, f.columns]))
        return out

    def backward(self, z: Sequence[Complex]) -> Array:
        """Rows from coordinates."""
        given = iter(z)
        rows = len(z[0])
        out = np.zeros((rows, self.degree))
        if self.invariant.shape[1]:
            out += next(given)[:, 0, 0, :] @ self.invariant.T
        for f in self.factors:
            # Coordinates of what is trivial are in the first part; here they are zero.
            like = f.basis.forward(np.zeros((1, len(f.columns))))
            zeros = [np.zeros((rows, *part.shape[1:]), dtype=part.dtype) for part in like]
            for i in f.kept:
                zeros[i] = next(given)
            out[:, f.columns] += f.basis.backward(zeros)
        return out

    def reduce(self, matrix: Array) -> list[Complex]:
        """Blocks (O, r, r) of the invariant part of a symmetric matrix."""
        out: list[Complex] = []
        if self.invariant.shape[1]:
            half = self.invariant.T @ matrix
            out.append(np.asarray(self.invariant.T @ half.T)[None])
        for f in self.factors:
            out += f.take(f.basis.reduce(matrix[np.ix_(f.columns, f.columns)]))
        return out

    def scales(self, variances: Array) -> list[Array]:
        """Blocks of a diagonal matrix of invariant variances."""
        out = []
        if self.invariant.shape[1]:
            out.append((self.invariant.T @ (self.invariant * variances[:, None])).toarray()[None])
        for f in self.factors:
            out += f.take(f.basis.scales(variances[f.columns]))
        return out


def product(group: Group, decompose: Callable[[Group], Decomposition]) -> Product | None:
    """The decomposition of a group with factors on disjoint columns, or that leaves columns alone; None of others."""
    from scipy.sparse import csr_array

    found, fixed = factors(group)
    if len(found) < 2 and not len(fixed):
        return None
    rows, columns, values = [fixed], [np.arange(len(fixed))], [np.ones(len(fixed))]
    made, r = [], len(fixed)
    for part, at in found:
        basis = decompose(part)
        vectors = basis.forward(np.eye(len(at)))
        trivial = [i for i, (p, v) in enumerate(zip(basis.parts, vectors, strict=True)) if _trivial(part, p, v)]
        for i in trivial:
            still = vectors[i][:, 0, 0, :].real
            rows.append(np.repeat(at, still.shape[1]))
            columns.append(np.tile(r + np.arange(still.shape[1]), len(at)))
            values.append(still.ravel())
            r += still.shape[1]
        made.append(Factor(basis, at, tuple(i for i in range(len(vectors)) if i not in trivial)))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return Product(csr_array(entries, shape=(group.degree, r)), tuple(made))


def _trivial(group: Group, part: Part, vectors: Complex) -> bool:
    """Whether every generator leaves the vectors (m, 1, 1, r) of a part as they are."""
    if len(part.rank) > 1 or int(part.dimension[0]) > 1:
        return False
    still = vectors[:, 0, 0, :]
    pairs = zip(group.discrete.images, group.discrete.signs, strict=True)
    return all(np.allclose(still[image], still * sign[:, None], atol=1e-7) for image, sign in pairs)


def factors(group: Group) -> tuple[list[tuple[Group, Index]], Index]:
    """The group as a direct product: factors with the columns (m,) each acts on, and the columns left alone."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    p = group.degree
    moves = [np.flatnonzero((g != np.arange(p)) | (s < 0)) for g, s in zip(group.images, group.signs, strict=True)]
    moves += [f.columns.ravel() for f in group.rotations]
    source = np.concatenate([np.repeat(m[:1], len(m)) for m in moves]) if moves else np.zeros(0, dtype=np.int64)
    target = np.concatenate(moves) if moves else source
    joined = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), shape=(p, p))
    label = connected_components(joined, directed=False)[1]
    fixed = np.flatnonzero(~group.moved)
    out = []
    for one in np.unique(label[group.moved]):
        at = np.flatnonzero(label == one)
        place = np.full(p, -1, dtype=np.int64)
        place[at] = np.arange(len(at))
        own = [k for k, m in enumerate(moves[: len(group.images)]) if len(m) and label[m[0]] == one]
        families = tuple(
            Rotations(tuple(tuple(int(place[c]) for c in b) for b in f.blocks), f.proper)
            for f in group.rotations
            if label[f.columns[0, 0]] == one
        )
        images, signs = place[group.images[own][:, at]], group.signs[own][:, at]
        out.append((Group(len(at), images, signs, families, group.name), at))
    return out, fixed
