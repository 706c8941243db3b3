"""Moments under a group: the mean, and of the second moments only what the group leaves free.

A covariance of p columns has p(p + 1)/2 numbers; its invariant part has one for each orbit of pairs. They are kept as
sums of blocks in the isotypic basis, fold by fold, so that they merge, are subtracted and cross-validated like moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.errors import IncompatibleError, ResourceError
from cumulant.lift import Schema
from cumulant.symmetry.declared import Declared
from cumulant.symmetry.group import Group, Rotations
from cumulant.symmetry.isotypic import applied, gathered
from cumulant.symmetry.orbits import orbits
from cumulant.symmetry.reynolds import alike
from cumulant.symmetry.spectral import isotypic

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.symmetry.isotypic import Array, Complex, Decomposition, Index

__all__ = ["Block", "Reduced", "reduce"]

KIND = "reduced"
MOST_DENSE = 6_000


@dataclass(frozen=True, eq=False)
class Block:
    """Estimate of an invariant covariance from some rows.

    Parameters
    ----------
    count
        Rows n.
    mean
        μ (p,), averaged over the group where that was declared.
    blocks
        Blocks of the covariance for each part (O, r, r).
    degrees
        Degrees of freedom that each block rests on (O,): rows times the rank of the block, less what the mean took.
    unit
        What the covariance of the blocks is in units of (p,).
    """

    count: float
    mean: Array
    blocks: list[Complex]
    degrees: list[Array]
    unit: Array


@dataclass(frozen=True, eq=False)
class Reduced:
    """Zeroth to second moments that a group leaves free, per fold.

    Made by ``cumulant.measure(…, symmetry=)`` or by `reduce`; merged with ``+``, reduced with ``-``.

    Parameters
    ----------
    schema
        The lifted columns.
    declared
        The group, bound to the fields, and how it acts.
    shift, unit
        Reference point and unit of the sums (p,): z = (x − shift)/unit. Units are 1 unless it holds up to scale.
    count
        Rows in each fold (K,).
    first
        Σ z in each fold (K, p).
    second
        For each part of the isotypic basis, blocks of the invariant part of Σ z zᵀ times their ranks (K, O, r, r).
    """

    schema: Schema
    declared: Declared
    shift: Array
    unit: Array
    count: Array
    first: Array
    second: tuple[Complex, ...]

    @staticmethod
    def empty(schema: Schema, symmetry: Declared, shift: Array, folds: int) -> Reduced:
        """The moments of no rows."""
        basis, p = isotypic(symmetry.group), len(shift)
        dtypes = (b.dtype for b in gathered(basis, np.zeros((1, p))))
        second = tuple(
            np.zeros((folds, len(part.rank), part.size, part.size), dtype=dtype)
            for part, dtype in zip(basis.parts, dtypes, strict=True)
        )
        return Reduced(schema, symmetry, shift, np.ones(p), np.zeros(folds), np.zeros((folds, p)), second)

    @property
    def group(self) -> Group:
        """What acts on the fields."""
        return self.declared.group

    @property
    def basis(self) -> Decomposition:
        """The isotypic basis of the blocks."""
        return isotypic(self.group)

    @property
    def folds(self) -> int:
        """Number of folds K."""
        return len(self.count)

    @property
    def rows(self) -> Array:
        """Rows in each fold (K,)."""
        return self.count

    @property
    def weight(self) -> Array:
        """Their weights, which are 1 (K,)."""
        return self.count

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the independent fields (p,)."""
        return tuple(self.schema.fields[i] for i in self.schema.independent)

    @property
    def parameters(self) -> int:
        """Free numbers: of the mean, and of the covariance one for each orbit of pairs."""
        mean = orbits(self.group, 1).count if self.declared.mean else len(self.columns)
        # Free variances take the place of one for each orbit of columns.
        scales = len(self.columns) - alike(self.group).count if self.declared.free_scale else 0
        return mean + scales + sum(part.parameters for part in self.basis.parts)

    @cached_property
    def total(self) -> Block:
        """Mean and blocks over all folds."""
        return self.estimate(np.ones(self.folds, dtype=bool))

    def without(self, k: int) -> Block:
        """Mean and blocks of all folds but ``k``."""
        return self.estimate(np.arange(self.folds) != k)

    def some_folds(self, used: NDArray[np.bool_]) -> Reduced:
        """The moments of the rows in some folds, kept apart as they are."""
        second = tuple(s[used] for s in self.second)
        return replace(self, count=self.count[used], first=self.first[used], second=second)

    @property
    def mean(self) -> Array:
        """Mean of each field (p,)."""
        return self.total.mean

    @property
    def covariance(self) -> Array:
        """The invariant covariance as a matrix (p, p).

        Raises
        ------
        ResourceError
            There are more than 6,000 fields; its blocks are in ``total``.
        """
        return dense(self.basis, self.total.blocks) * np.outer(self.unit, self.unit)

    def estimate(self, used: NDArray[np.bool_]) -> Block:
        """Mean and covariance of the rows in some folds."""
        n = float(self.count[used].sum())
        first = self.first[used].sum(axis=0)
        offset = first / n if n > 0 else np.zeros_like(first)
        # In the units of the data an invariant mean is one about the origin, not about the reference point.
        mean = offset * self.unit + self.shift
        if self.declared.mean:
            mean = averaged(self.group, mean)
        about = (mean - self.shift) / self.unit
        # Σ (x − a)(x − a)ᵀ = Σ x xᵀ − n (x̄ x̄ᵀ − (x̄ − a)(x̄ − a)ᵀ).
        taken = [n * t for t in gathered(self.basis, offset[None])]
        given = [n * t for t in gathered(self.basis, (offset - about)[None])]
        blocks, degrees = [], []
        for part, total, a, b, lost in zip(self.basis.parts, self.second, taken, given, self._lost, strict=True):
            df = np.maximum(n * part.rank - lost, 0.0)
            scatter = total[used].sum(axis=0) - a + b
            blocks.append(scatter / np.where(df > 0, df, np.inf)[:, None, None])
            degrees.append(df)
        return Block(n, mean, blocks, degrees, self.unit)

    def second_about(self, used: NDArray[np.bool_], point: Array) -> list[Complex]:
        """Blocks of the mean of (x − point)(x − point)ᵀ, in units squared, over the rows in some folds."""
        n = float(self.count[used].sum())
        offset = self.first[used].sum(axis=0) / n
        about = (point - self.shift) / self.unit
        taken, given = gathered(self.basis, offset[None]), gathered(self.basis, (offset - about)[None])
        sums = [total[used].sum(axis=0) / n for total in self.second]
        return [
            (s - a + b) / part.rank[:, None, None]
            for part, s, a, b in zip(self.basis.parts, sums, taken, given, strict=True)
        ]

    @cached_property
    def _lost(self) -> list[Array]:
        """Degrees of freedom of each block that the mean takes (O,)."""
        if not self.declared.mean:
            return [part.rank for part in self.basis.parts]
        found = orbits(self.group, 1)
        if not found.count:
            return [np.zeros_like(part.rank) for part in self.basis.parts]
        vectors = np.stack([found.spread(unit) for unit in np.eye(found.count)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sums = gathered(self.basis, vectors)
        return [np.einsum("oii->o", s).real / part.size for s, part in zip(sums, self.basis.parts, strict=True)]

    def add(self, x: Array, fold: Index) -> Reduced:
        """These moments and those of rows of fields (n, p), dealt to folds (n,)."""
        count, first = self.count.copy(), self.first.copy()
        second = tuple(s.copy() for s in self.second)
        for k in np.unique(fold):
            rows = (x[fold == k] - self.shift) / self.unit
            count[k] += len(rows)
            first[k] += rows.sum(axis=0)
            for total, part in zip(second, gathered(self.basis, rows), strict=True):
                total[k] += part
        return replace(self, count=count, first=first, second=second)

    def __add__(self, other: Reduced) -> Reduced:
        """Moments of the rows of both."""
        return self._combine(other, 1)

    def __sub__(self, other: Reduced) -> Reduced:
        """Moments without the rows of ``other``, which must have been measured here."""
        return self._combine(other, -1)

    def _combine(self, other: Reduced, sign: int) -> Reduced:
        if not isinstance(other, Reduced):
            return NotImplemented
        same = np.array_equal(self.group.images, other.group.images) and self.group.rotations == other.group.rotations
        same &= np.array_equal(self.group.signs, other.group.signs) and self.declared.mean == other.declared.mean
        if self.declared.free_scale or other.declared.free_scale:
            raise IncompatibleError(
                "moments up to scale do not merge: merge plain moments, then solve with the symmetry"
            )
        if not same or self.schema != other.schema or self.folds != other.folds:
            raise IncompatibleError(
                "the two sides were measured under different groups, columns or folds; measure both alike, with like="
            )
        b = other.about(self.shift)
        count = self.count + sign * b.count
        if (count < 0).any():
            raise IncompatibleError(
                "cannot forget rows that were not measured here, with their row numbers: pass rows="
            )
        return replace(
            self,
            count=count,
            first=self.first + sign * b.first,
            second=tuple(x + sign * y for x, y in zip(self.second, b.second, strict=True)),
        )

    def about(self, shift: Array) -> Reduced:
        """The same moments about another reference point."""
        if np.array_equal(shift, self.shift):
            return self
        move = self.shift - shift
        second = [s.copy() for s in self.second]
        for k, n in enumerate(self.count):
            # Σ (x + δ)(x + δ)ᵀ − Σ x xᵀ = (S + nδ)(S + nδ)ᵀ/n − S Sᵀ/n.
            if n:
                after, before = (
                    gathered(self.basis, v[None] / np.sqrt(n)) for v in (self.first[k] + n * move, self.first[k])
                )
                for total, a, b in zip(second, after, before, strict=True):
                    total[k] += a - b
        first = self.first + self.count[:, None] * move
        return replace(self, shift=shift, first=first, second=tuple(second))

    def save(self, path: str | Path) -> None:
        """Write to one file, atomically; `cumulant.load` reads it."""
        storage.save(path, KIND, *self.to_state())

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine these moments."""
        arrays, meta = state_of(self.declared)
        arrays |= {"shift": self.shift, "unit": self.unit, "count": self.count, "first": self.first}
        # The coordinates of a basis found numerically may differ from machine to machine; matrices do not.
        for k in range(self.folds):
            per_fold = [s[k] / part.rank[:, None, None] for s, part in zip(self.second, self.basis.parts, strict=True)]
            arrays |= {f"second.{k}.{name}": a for name, a in portable(self.basis, per_fold).items()}
        return arrays, {"schema": self.schema.to_list(), "symmetry": meta}

    @staticmethod
    def from_state(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Reduced:
        """The moments that `to_state` described."""
        symmetry = declared_from(arrays, meta["symmetry"])
        basis, count = isotypic(symmetry.group), arrays["count"]
        per_fold = [
            [
                b * part.rank[:, None, None]
                for b, part in zip(unported(basis, arrays, f"second.{k}."), basis.parts, strict=True)
            ]
            for k in range(len(count))
        ]
        second = tuple(np.stack(parts) for parts in zip(*per_fold, strict=True))
        schema = Schema.from_list(meta["schema"])
        return Reduced(schema, symmetry, arrays["shift"], arrays["unit"], count, arrays["first"], second)

    def __repr__(self) -> str:
        size = f"{int(self.count.sum()):,} rows of {len(self.columns)} fields under {self.declared}"
        return f"Reduced({size}: {self.parameters:,} parameters, {self.folds} folds)"


def reduce(m: Moments, symmetry: Declared, unit: Array | None = None) -> Reduced:
    """What a group leaves of measured moments.

    Of moments with missing cells only the pairwise total is taken, in one fold.

    Parameters
    ----------
    unit
        Of a symmetry up to scale (p,); its standard deviations unless given.
    """
    symmetry = symmetry.on(m.columns)
    basis = isotypic(symmetry.group)
    shift = np.nan_to_num(m.total.mean)
    if unit is None:
        unit = deviations(np.nan_to_num(m.total.covariance)) if symmetry.free_scale else np.ones_like(shift)
    whole = m.total.complete
    folds = [m.fold(k) for k in range(m.folds)] if whole else [m.total]
    count, first = np.zeros(len(folds)), np.zeros((len(folds), len(shift)))
    second = [[] for _ in basis.parts]  # type: list[list[Complex]]
    for k, estimate in enumerate(folds):
        n = estimate.count if whole else float(np.where(m.total.pairs > 0, m.total.pairs, np.inf).min(initial=np.inf))
        n = 0.0 if not np.isfinite(n) else n
        offset = np.nan_to_num(estimate.mean - shift) / unit if n > 0 else np.zeros_like(shift)
        count[k], first[k] = n, n * offset
        scatter = np.nan_to_num(estimate.covariance) * (max(n - 1, 0.0) / np.outer(unit, unit))
        blocks = basis.reduce(scatter)
        for out, block, part, own in zip(second, blocks, basis.parts, gathered(basis, offset[None]), strict=True):
            out.append(block * part.rank[:, None, None] + n * own)
    return Reduced(m.schema, symmetry, shift, unit, count, first, tuple(np.stack(s) for s in second))


def deviations(covariance: Array) -> Array:
    """Standard deviations (p,), 1 for a constant column."""
    variance = np.diag(covariance)
    return np.sqrt(np.where(variance > 0, variance, 1.0))


def unsigned(group: Group) -> Group:
    """The permutations of a group without their signs, rotations included as those of their axes."""
    finite = group.discrete
    return replace(finite, signs=np.ones_like(finite.signs), size=None)


def averaged(group: Group, mean: Array) -> Array:
    """A mean averaged over the group (p,)."""
    found = orbits(group, 1)
    return found.spread(found.collect(mean)) if found.count else np.zeros_like(mean)


def dense(basis: Decomposition, blocks: Sequence[Complex]) -> Array:
    """The matrix (p, p) of some blocks."""
    if basis.degree > MOST_DENSE:
        raise ResourceError(
            f"a covariance of {basis.degree:,} fields is not written out as a matrix (up to {MOST_DENSE:,}); "
            "take some of them, model.marginal(columns), or the blocks of the isotypic basis, model.law.blocks"
        )
    out = applied(basis, blocks, np.eye(basis.degree))
    return (out + out.T) / 2


def diagonal(group: Group, basis: Decomposition, blocks: Sequence[Complex]) -> Array:
    """Variances (p,) from the blocks: one column for each orbit of columns."""
    found = alike(group)
    at = found.representatives[:, 0]
    rows = np.zeros((len(at), group.degree))
    rows[np.arange(len(at)), at] = 1.0
    return found.spread(applied(basis, blocks, rows)[np.arange(len(at)), at])


def portable(basis: Decomposition, blocks: Sequence[Complex]) -> dict[str, NDArray[Any]]:
    """Blocks as arrays that do not depend on a basis found numerically."""
    from cumulant.symmetry.isotypic import Dense

    if isinstance(basis, Dense):
        return {"matrix": storage.packed(dense(basis, blocks))}
    out: dict[str, NDArray[Any]] = {}
    for i, block in enumerate(blocks):
        out[f"{i}.real"] = np.ascontiguousarray(block.real)
        if np.iscomplexobj(block):
            out[f"{i}.imag"] = np.ascontiguousarray(block.imag)
    return out


def unported(basis: Decomposition, arrays: dict[str, NDArray[Any]], prefix: str) -> list[Complex]:
    """The blocks that `portable` wrote."""
    if f"{prefix}matrix" in arrays:
        return basis.reduce(storage.unpacked(arrays[f"{prefix}matrix"], basis.degree))
    out: list[Complex] = []
    for i in range(len(basis.parts)):
        real = arrays[f"{prefix}{i}.real"]
        out.append(real + 1j * arrays[f"{prefix}{i}.imag"] if f"{prefix}{i}.imag" in arrays else real)
    return out


def state_of(symmetry: Declared) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """A declared symmetry as arrays and plain data."""
    g = symmetry.group
    meta = {
        "degree": g.degree,
        "name": g.name,
        "size": None if g.size is None else str(g.size),
        "columns": None if g.columns is None else list(g.columns),
        "rotations": [{"blocks": [list(b) for b in f.blocks], "proper": f.proper} for f in g.rotations],
        "mean": symmetry.mean,
        "soft": symmetry.soft,
        "free_scale": symmetry.free_scale,
    }
    return {"images": g.images, "signs": g.signs}, meta


def declared_from(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Declared:
    """The symmetry that `state_of` described."""
    families = tuple(
        Rotations(tuple(tuple(int(c) for c in b) for b in f["blocks"]), bool(f["proper"])) for f in meta["rotations"]
    )
    names = None if meta["columns"] is None else tuple(meta["columns"])
    size = None if meta["size"] is None else int(meta["size"])
    p = int(meta["degree"])
    images, signs = (arrays[name].reshape(-1, p) for name in ("images", "signs"))
    group = Group(p, images, signs, families, str(meta["name"]), names, size)
    return Declared(group, bool(meta["mean"]), bool(meta["soft"]), bool(meta["free_scale"]))
