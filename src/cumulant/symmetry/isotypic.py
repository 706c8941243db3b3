"""Isotypic decomposition: the basis in which every invariant covariance is block-diagonal.

Columns split into irreducible representations of the group. An invariant covariance is the same small block on every
copy of an irreducible and nothing between different ones (Schur), so a matrix of p² numbers becomes blocks as large
as the multiplicities: inverting costs Σ m³ instead of p³.

For rings, grids and exchangeable columns the basis is known (`cumulant.symmetry.spectral`). For any other group it is
found here, from eigenspaces of a random invariant matrix, and verified on another.

References
----------
Serre, Linear Representations of Finite Groups (Springer, 1977), section 2.6; Shah & Chandrasekaran, "Group symmetry
and covariance regularization", Electron. J. Stat. 6 (2012) 1600; Murota et al., Japan J. Indust. Appl. Math. 27 (2010)
125 (random elements of the commutant).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cumulant.errors import ResourceError
from cumulant.symmetry.orbits import orbits
from cumulant.symmetry.reynolds import reynolds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Complex = NDArray[Any]  # real or complex

__all__ = ["Decomposition", "Dense", "Part", "applied", "found_numerically", "gathered", "log_determinant"]

MOST_COLUMNS = 4_000
ATTEMPTS = 5
TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class Part:
    """Isotypic components of one shape: a stack of blocks, and the coordinates they act on.

    Parameters
    ----------
    kinds
        ``"R"``, ``"C"`` or ``"H"``: real, complex or quaternionic type of each irreducible (O,).
    dimension
        Real dimension d of each irreducible (O,).
    multiplicity
        How often each occurs, m.
    size
        Rows r of a block.
    rank
        How often each block counts in ln det (O,).
    block
        Which block acts on each coordinate (F,); by its complex conjugate where ``mirrored`` (F,).
    weight
        How much of the squared length each coordinate carries (F,): 2 where a real transform keeps one of ±f.
    """

    kinds: NDArray[np.str_]
    dimension: Index
    multiplicity: int
    size: int
    rank: Array
    block: Index
    mirrored: NDArray[np.bool_]
    weight: Array

    def expand(self, blocks: Complex) -> Complex:
        """Blocks (O, r, r) as they act on each coordinate (F, r, r)."""
        out = blocks[self.block]
        return np.where(self.mirrored[:, None, None], np.conj(out), out) if self.mirrored.any() else out

    def fold(self, per_coordinate: Complex) -> Complex:
        """Sum of what belongs to each block (…, F, r, r) → (…, O, r, r), weighted."""
        x = np.where(self.mirrored[:, None, None], np.conj(per_coordinate), per_coordinate)
        x = _over_units(x * self.weight[:, None, None], self.size // self.multiplicity)
        if len(self.block) == len(self.rank):
            return x[..., np.argsort(self.block), :, :]
        out = np.zeros((*x.shape[:-3], len(self.rank), *x.shape[-2:]), dtype=x.dtype)
        np.add.at(np.moveaxis(out, -3, 0), self.block, np.moveaxis(x, -3, 0))
        return out

    @property
    def parameters(self) -> int:
        """Free numbers in its blocks."""
        m = self.multiplicity
        each = {"R": m * (m + 1) // 2, "C": m * m, "H": m * (2 * m - 1)}
        return sum(
            each[kind] * int(count) for kind, count in zip(*np.unique(self.kinds, return_counts=True), strict=True)
        )


class Decomposition(Protocol):
    """A change of coordinates under which invariant matrices are blocks."""

    @property
    def degree(self) -> int:
        """Number of columns p."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The isotypic components."""

    def forward(self, x: Array) -> list[Complex]:
        """Rows (n, p) in coordinates (n, F, copies, r) for each part: an isometry, counted with its weights."""

    def backward(self, z: Sequence[Complex]) -> Array:
        """Rows (n, p) from coordinates: the transpose of `forward`."""

    def reduce(self, matrix: Array) -> list[Complex]:
        """Blocks (O, r, r) of the invariant part of a symmetric matrix (p, p)."""

    def scales(self, variances: Array) -> list[Array]:
        """Blocks (O, r, r) of the diagonal matrix of invariant variances (p,)."""


def applied(basis: Decomposition, blocks: Sequence[Complex], x: Array) -> Array:
    """Rows x (n, p) times the invariant matrix with these blocks."""
    out = []
    for part, block, z in zip(basis.parts, blocks, basis.forward(x), strict=True):
        each = part.expand(block)
        if part.size == 1:
            out.append(z * each)
        else:
            out.append(np.einsum("fij,nfcj->nfci", each, z, optimize=True))
    return basis.backward(out)


def gathered(basis: Decomposition, x: Array) -> list[Complex]:
    """Blocks of the invariant part of Σ x xᵀ over rows (n, p), times their ranks: sums that add over rows."""
    out = []
    for part, z in zip(basis.parts, basis.forward(x), strict=True):
        if part.size == 1:
            each: Complex = (np.abs(z[..., 0]) ** 2).sum(axis=(0, 2))[:, None, None]
        else:
            each = np.einsum("nfci,nfcj->fij", z, np.conj(z), optimize=True)
        out.append(part.fold(each))
    return out


def log_determinant(basis: Decomposition, blocks: Sequence[Complex]) -> float:
    """ln det of the invariant matrix with these blocks; -inf where it is singular."""
    total = 0.0
    for part, block in zip(basis.parts, blocks, strict=True):
        sign, value = np.linalg.slogdet(block)
        if not (np.real(sign) > 0).all():
            return -np.inf
        total += float(part.rank @ value)
    return total


@dataclass(frozen=True, eq=False)
class Dense:
    """A basis held as numbers: one matrix (p, copies, r) for each isotypic component.

    Parameters
    ----------
    group
        The group it belongs to.
    bases
        Orthonormal bases (p, copies, r), which together are orthogonal (p, p).
    parts
        The components, in the same order.
    """

    group: Group
    bases: tuple[Array, ...]
    parts: tuple[Part, ...]

    @property
    def degree(self) -> int:
        """Number of columns p."""
        return self.group.degree

    def forward(self, x: Array) -> list[Complex]:
        """Coordinates (n, 1, copies, r) of rows (n, p)."""
        return [np.tensordot(x, basis, axes=1)[:, None] for basis in self.bases]

    def backward(self, z: Sequence[Complex]) -> Array:
        """Rows from coordinates."""
        total = np.zeros((len(z[0]), self.degree))
        for basis, part in zip(self.bases, z, strict=True):
            total += np.tensordot(part[:, 0], basis, axes=((1, 2), (1, 2)))
        return total

    def reduce(self, matrix: Array) -> list[Complex]:
        """Blocks (1, r, r): the invariant part is alike on all copies, so one of them tells it."""
        invariant = reynolds(self.group.discrete, matrix)
        return [(basis[:, 0].T @ invariant @ basis[:, 0])[None] for basis in self.bases]

    def scales(self, variances: Array) -> list[Array]:
        """Blocks of a diagonal matrix."""
        return [np.einsum("pa,p,pb->ab", basis[:, 0], variances, basis[:, 0])[None] for basis in self.bases]

    @cached_property
    def matrix(self) -> Array:
        """The basis as one orthogonal matrix (p, p), column by column."""
        return np.concatenate([basis.reshape(self.degree, -1) for basis in self.bases], axis=1)


def found_numerically(group: Group, seed: int = 0) -> Dense:
    """The isotypic decomposition of any group, from random elements of its commutant.

    Eigenspaces of a random symmetric invariant matrix are irreducible (with probability 1); two of them are
    isomorphic where another such matrix connects them, and the connection aligns their bases; what commutes with one
    of them is its type. The result must make a third random matrix block-diagonal to eight digits, or the draw is
    repeated.

    Raises
    ------
    ResourceError
        More than 4,000 columns, or eigenvalues that no draw could tell apart.
    """
    if group.degree > MOST_COLUMNS:
        raise ResourceError(
            f"the decomposition of {group.degree:,} columns needs a dense basis; up to {MOST_COLUMNS:,} can be found, "
            "and any number for rings, grids and exchangeable columns"
        )
    if not group.moved.any():
        p = group.degree
        return Dense(group, (np.eye(p)[:, None, :],), (_part("R", 1, p),))
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng((seed, attempt))
        found = _decomposed(group, rng)
        if found is not None:
            return found
    raise ResourceError(f"the isotypic components of {group} could not be told apart in {ATTEMPTS} random draws")


def _part(kind: str, dimension: int, multiplicity: int) -> Part:
    span = {"R": 1, "C": 2, "H": 4}[kind]
    one = np.zeros(1, dtype=np.int64)
    rank = np.array([dimension / span])
    kinds = np.array([kind])
    return Part(kinds, one + dimension, multiplicity, multiplicity * span, rank, one, one > 0, np.ones(1))


def _over_units(x: Complex, span: int) -> Complex:
    """Blocks over C or H, written as real ones, from outer products of data: what commutes with the units.

    Invariant matrices act on (1, i, j, k) from the left, so they are what multiplication from the right leaves alone.
    """
    if span == 1:
        return x
    m = x.shape[-1] // span
    total = np.zeros_like(x)
    for unit in RIGHT[span]:
        turn = np.kron(np.eye(m), unit)
        total += turn @ x @ turn.T
    return total / span


def _right(span: int) -> list[Array]:
    """Multiplication from the right by each unit, as matrices in the basis 1, i (, j, k)."""
    # e_a e_b = sign · e_{a xor b} with these signs.
    signs = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, -1, -1, 1], [1, 1, -1, -1]])
    out = []
    for unit in range(span):
        matrix = np.zeros((span, span))
        for a in range(span):
            matrix[a ^ unit, a] = signs[a, unit]
        out.append(matrix)
    return out


RIGHT = {span: _right(span) for span in (2, 4)}


def _invariant(group: Group, rng: np.random.Generator) -> Array:
    p = group.degree
    x = rng.normal(size=(p, p))
    x = reynolds(group.discrete, x + x.T)
    return np.asarray(x / np.linalg.norm(x) * np.sqrt(p))


def _commuting(group: Group, rng: np.random.Generator) -> Array:
    """A random invariant matrix that need not be symmetric."""
    found = orbits(group, 2, ordered=True)
    return found.spread(rng.normal(size=found.count)).reshape(group.degree, group.degree)


def _decomposed(group: Group, rng: np.random.Generator) -> Dense | None:
    first, second = _invariant(group, rng), _invariant(group, rng)
    w, v = np.linalg.eigh(first)
    starts = np.flatnonzero(np.diff(w, prepend=-np.inf) > TOLERANCE * max(1.0, np.abs(w).max()))
    sizes = np.diff(np.append(starts, len(w)))
    links = v.T @ second @ v
    strength = np.add.reduceat(np.add.reduceat(links**2, starts, axis=0), starts, axis=1)
    left = np.ones(len(starts), dtype=bool)
    bases, parts = [], []
    mixed: Array | None = None
    for i in range(len(starts)):
        if not left[i]:
            continue
        alike = (strength[i] > TOLERANCE**1.5) & (sizes == sizes[i])
        alike[i] = True
        left &= ~alike
        rows, d = slice(starts[i], starts[i] + sizes[i]), int(sizes[i])
        aligned = []
        for j in np.flatnonzero(alike):
            at = slice(starts[j], starts[j] + d)
            turn = np.eye(d) if j == i else links[rows, at] / np.sqrt((links[rows, at] ** 2).sum() / d)
            aligned.append(v[:, at] @ turn.T)
        kind, frame = "R", np.eye(d)[:, :, None]
        if d % 2 == 0:
            mixed = _commuting(group.discrete, rng) if mixed is None else mixed
            other = _commuting(group.discrete, rng)
            kind, frame = _type(aligned[0].T @ mixed @ aligned[0], aligned[0].T @ other @ aligned[0])
        # (p, m, d) · (d, copies, t) → (p, copies, m·t).
        stacked = np.einsum("pmd,dct->pcmt", np.stack(aligned, axis=1), frame)
        bases.append(stacked.reshape(group.degree, frame.shape[1], -1))
        parts.append(_part(kind, d, len(aligned)))
    out = Dense(group, tuple(bases), tuple(parts))
    return out if _verified(out, _invariant(group, rng)) else None


def _type(a: Array, b: Array) -> tuple[str, Array]:
    """Type of an irreducible from two random endomorphisms, and a frame (d, copies, t) in which they are alike."""
    d = len(a)
    skew_a, skew_b = (a - a.T) / 2, (b - b.T) / 2
    size = np.sqrt((skew_a**2).sum() / d)
    if size < TOLERANCE:
        return "R", np.eye(d)[:, :, None]
    i = skew_a / size
    rest = skew_b - (i * skew_b).sum() / d * i
    other = np.sqrt((rest**2).sum() / d)
    units = [np.eye(d), i]
    if other > TOLERANCE:
        j = rest / other
        units += [j, i @ j]
    frame = np.zeros((d, d // len(units), len(units)))
    spanned = np.zeros((d, 0))
    for copy in range(frame.shape[1]):
        # A vector orthogonal to those before, and its images under the units: e, ie (, je, ke).
        leftover = np.eye(d) - spanned @ spanned.T
        e = leftover[:, np.argmax((leftover**2).sum(axis=0))]
        e = e / np.linalg.norm(e)
        frame[:, copy] = np.stack([u @ e for u in units], axis=1)
        spanned = np.concatenate([spanned, frame[:, copy]], axis=1)
    return {2: "C", 4: "H"}[len(units)], frame


def _verified(found: Dense, invariant: Array) -> bool:
    basis = found.matrix
    # Too many vectors: components that are one were told apart by rounding.
    if basis.shape[1] != found.degree:
        return False
    if np.abs(basis.T @ basis - np.eye(found.degree)).max() > TOLERANCE:
        return False
    blocks = found.reduce(invariant)
    rebuilt = applied(found, blocks, np.eye(found.degree))
    return bool(np.abs(rebuilt - invariant).max() < TOLERANCE * max(1.0, np.abs(invariant).max()))
