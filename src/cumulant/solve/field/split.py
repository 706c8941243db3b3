"""A field of many rows, split at a wavelength: long waves seen everywhere, short ones within a block of near rows.

With centres c and the propagator k, q(x, x′) = k(x, c) k(c, c)⁻¹ k(c, x′) is the part of k that the centres carry: a
lift of x to columns Φ(x) = R⁻¹ k(c, x), R Rᵀ = k(c, c), with k ≈ Φ·Φ (Nyström). What is left, k − q, is short-ranged,
and is kept among rows of one block. Then K + N = ΦᵀΦ + D with D block by block, and all that a field needs follows
from sums over blocks that merge: 1 + Σ Φ_b D_b⁻¹ Φ_bᵀ, the second moments of the columns as D weighs rows, and
Σ Φ_b D_b⁻¹ y_b (Snelson & Ghahramani, "Local and global sparse Gaussian process approximations", AISTATS 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure.threads import cores, one_blas_thread
from cumulant.solve.field.conditioning import carried, factored
from cumulant.solve.field.evidence import LEAST_NOISE, Hyper
from cumulant.solve.field.partition import Partition
from cumulant.source.progress import tell
from cumulant.source.threads import in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Single = NDArray[np.float32]
    Index = NDArray[np.int64]

__all__ = ["Coarse", "Split", "SplitSums", "split"]

# Rounding of the propagator among centres, in units of its largest diagonal entry.
JITTER = 1e-9
LEAST_VARIANCE = 1e-12
# Factors of ten that noise is raised by at most where rounding asks for it.
MOST_NOISE = 12
# New rows of a block that are answered for at once.
NEW_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Coarse:
    """Φ(x) = R⁻¹ k(c, x): the columns whose products are the long-ranged part of a propagator.

    Parameters
    ----------
    hyper
        The field.
    centres
        c (m, r), mapped by the metric.
    root
        R (m, m), lower.
    """

    hyper: Hyper
    centres: Array
    root: Array

    @staticmethod
    def of(hyper: Hyper, centres: Array) -> Coarse:
        """Columns of some centres, as many as rows."""
        matrix = hyper.propagator(centres, centres)
        unit = float(np.diag(matrix).max(initial=0.0))
        return Coarse(hyper, centres, _root(matrix, JITTER * unit, JITTER * unit))

    def columns(self, z: Array) -> Array:
        """Φ (m, n) of mapped rows z (n, r)."""
        from scipy.linalg import lapack

        return np.asarray(lapack.dtrtrs(self.root, self.hyper.propagator(self.centres, z), lower=1)[0])

    def short_ranged(self, z: Array, columns: Array) -> Array:
        """Lower factor of D = k − q + N of a block of mapped rows."""
        matrix = self.hyper.propagator(z, z)
        matrix -= columns.T @ columns
        return _root(matrix, self.hyper.noise + LEAST_NOISE, 1e-10 * float(np.diag(matrix).max()))


def _root(matrix: Array, noise: float, least: float) -> Array:
    """Lower factor of a matrix with noise on its diagonal, or with the least of ten times more that makes it positive.

    Raises
    ------
    FloatingPointError
        No noise does.
    """
    for step in range(MOST_NOISE):
        heavier = matrix.copy()
        heavier.flat[:: len(matrix) + 1] += noise if step == 0 else max(noise, least) * 10.0**step
        root = factored(heavier)
        if root is not None:
            return root
    raise FloatingPointError("a propagator that is not positive, whatever the noise")


@dataclass(frozen=True, eq=False)
class SplitSums:
    """Second moments of the columns, as the short-ranged field and the noise weigh rows; they merge by addition.

    Parameters
    ----------
    gram
        Σ Φ_b D_b⁻¹ Φ_bᵀ (m, m).
    cross
        Σ Φ_b D_b⁻¹ y_b (m,).
    square
        Σ y_bᵀ D_b⁻¹ y_b.
    log_determinant
        Σ ln |D_b|.
    count
        Rows.
    """

    gram: Array
    cross: Array
    square: float
    log_determinant: float
    count: int

    def __add__(self, other: SplitSums) -> SplitSums:
        return SplitSums(
            self.gram + other.gram,
            self.cross + other.cross,
            self.square + other.square,
            self.log_determinant + other.log_determinant,
            self.count + other.count,
        )

    def solved(self) -> tuple[Array, Array, float, float]:
        """Weights of the columns (m,), the lower factor of 1 + gram, the amplitude s² and ln Z."""
        from scipy.linalg import lapack

        matrix = self.gram.copy()
        matrix.flat[:: len(matrix) + 1] += 1.0
        root = factored(matrix)
        if root is None:
            raise FloatingPointError("sums of squares that are not positive")
        weights = np.asarray(lapack.dpotrs(root, self.cross, lower=1)[0])
        amplitude = max((self.square - float(self.cross @ weights)) / self.count, 1e-300)
        half = 0.5 * self.log_determinant + float(np.log(np.diag(root)).sum())
        return weights, root, amplitude, -0.5 * self.count * (np.log(2 * np.pi * amplitude) + 1) - half


@dataclass(frozen=True, eq=False)
class _Block:
    """What a block leaves behind: D⁻¹Φᵀ (B, m), D⁻¹y (B,), diag D⁻¹ (B,), in single precision where it is large."""

    seen: Single
    dual: Array
    own: Array

    @staticmethod
    def of(coarse: Coarse, z: Array, y: Array) -> tuple[_Block, SplitSums]:
        from scipy.linalg import lapack

        columns = coarse.columns(z)
        root = coarse.short_ranged(z, columns)
        both = np.asfortranarray(np.column_stack([columns.T, y]))
        half = np.asarray(lapack.dtrtrs(root, both, lower=1, overwrite_b=1)[0])
        sums = SplitSums(
            half[:, :-1].T @ half[:, :-1],
            half[:, :-1].T @ half[:, -1],
            float(half[:, -1] @ half[:, -1]),
            2 * float(np.log(np.diag(root)).sum()),
            len(z),
        )
        solved = np.asarray(lapack.dtrtrs(root, half, lower=1, trans=1)[0])
        inverse = lapack.dtrtri(root, lower=1, overwrite_c=1)[0]
        own = np.einsum("ij,ij->j", inverse, inverse)
        return _Block(solved[:, :-1].astype(np.float32), solved[:, -1], own), sums


@dataclass(frozen=True, eq=False)
class Split:
    """A field of many rows, conditioned.

    Parameters
    ----------
    coarse
        The columns.
    partition
        Which block a row belongs to.
    rows
        Mapped rows that it was conditioned on (n, r), block by block.
    edges
        Where each block starts, and n.
    dual
        (K + N)⁻¹ z of the latent targets z (n,).
    weights
        Of k(x, c) in the mean, for each block (blocks, m).
    posterior
        Lower factor of 1 + gram (m, m).
    amplitude
        s².
    """

    coarse: Coarse
    partition: Partition
    rows: Array
    edges: Index
    dual: Array
    weights: Array
    posterior: Array
    amplitude: float

    def block(self, b: int) -> slice:
        """Rows of a block."""
        return slice(int(self.edges[b]), int(self.edges[b + 1]))

    def mean(self, z: Array) -> Array:
        """Mean field (n,) at mapped rows z (n, r)."""
        k, out = self.coarse.hyper.propagator, np.empty(len(z))

        def answer(b: int, here: Index) -> None:
            own = self.block(b)
            out[here] = carried(k, z[here], self.coarse.centres, self.weights[b])
            out[here] += carried(k, z[here], self.rows[own], self.dual[own])

        self._each(answer, z)
        return out

    def variance(self, z: Array) -> Array:
        """Of a new value (n,), in units of the amplitude."""
        from scipy.linalg import lapack

        k, out = self.coarse.hyper.propagator, np.empty(len(z))

        def answer(b: int, here: Index) -> None:
            rows, some = self.rows[self.block(b)], z[here]
            own, new = self.coarse.columns(rows), self.coarse.columns(some)
            root = self.coarse.short_ranged(rows, own)
            near = lapack.dtrtrs(root, k(rows, some) - own.T @ new, lower=1)[0]
            seen = lapack.dtrtrs(root, near, lower=1, trans=1)[0]
            left = lapack.dtrtrs(self.posterior, new - own @ seen, lower=1)[0]
            known = (new**2).sum(axis=0) + (near**2).sum(axis=0) - (left**2).sum(axis=0)
            out[here] = k.diagonal(some) - known + self.coarse.hyper.noise

        self._each(answer, z)
        return np.maximum(out, LEAST_VARIANCE)

    def _each(self, answer: Callable[[int, Index], None], z: Array) -> None:
        """Answer for some of the rows z (n, r) of each block, on all cores."""
        with one_blas_thread():
            for _ in in_order(lambda dealt: answer(*dealt), _apportioned(self.partition.deal(z)), cores()):
                pass

    def response(self, z: Array) -> Array:
        """∇ of the mean field (n, r) at mapped rows."""
        k, out = self.coarse.hyper.propagator, np.empty_like(z)
        for b, here in self.partition.deal(z):
            own = self.block(b)
            out[here] = k.gradient(z[here], self.coarse.centres, self.weights[b])
            out[here] += k.gradient(z[here], self.rows[own], self.dual[own])
        return out


def _apportioned(dealt: Iterator[tuple[int, Index]]) -> Iterator[tuple[int, Index]]:
    for b, here in dealt:
        for first in range(0, len(here), NEW_ROWS):
            yield b, here[first : first + NEW_ROWS]


def split(
    hyper: Hyper, z: Array, y: Array, centres: Array, partition: Partition, blocks: list[Index]
) -> tuple[Split, Array, Array, float]:
    """Condition a field on mapped rows z (n, r) in blocks.

    Returns
    -------
    field
        Conditioned.
    residual, variance
        Of each row (n,), left out, in the order of z; the variance times the amplitude.
    evidence
        ln Z.
    """
    from scipy.linalg import lapack

    coarse = Coarse.of(hyper, centres)
    m = len(centres)
    kept, total = [], SplitSums(np.zeros((m, m)), np.zeros(m), 0.0, 0.0, 0)
    with one_blas_thread():
        for block, sums in in_order(lambda rows: _Block.of(coarse, z[rows], y[rows]), blocks, cores()):
            kept.append(block)
            total += sums
            tell(f"{len(z):,} rows in {len(blocks)} blocks", score=f"{len(kept)} done")
    weights, root, amplitude, evidence = total.solved()
    order = np.concatenate(blocks)
    edges = np.concatenate([[0], np.cumsum([len(rows) for rows in blocks])])
    dual, own, by_centre = np.empty(len(z)), np.empty(len(z)), np.empty((len(blocks), len(centres)))

    def finish(b: int) -> None:
        here, block = slice(edges[b], edges[b + 1]), kept[b]
        dual[here] = block.dual - block.seen @ weights
        left = lapack.dtrtrs(root, block.seen.T.astype(np.float64, order="F"), lower=1, overwrite_b=1)[0]
        own[here] = np.maximum(block.own - np.einsum("ij,ij->j", left, left), 1e-9 * block.own)
        through = weights - coarse.columns(z[blocks[b]]) @ dual[here]
        by_centre[b] = lapack.dtrtrs(coarse.root, through, lower=1, trans=1)[0]

    with one_blas_thread():
        for _ in in_order(finish, range(len(blocks)), cores()):
            pass
    residual, variance = np.empty(len(z)), np.empty(len(z))
    residual[order], variance[order] = dual / own, amplitude / own
    found = Split(coarse, partition, z[order], edges, dual, by_centre, root, amplitude)
    return found, residual, variance, evidence
