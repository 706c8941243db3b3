"""Factor a covariance, and integrate fields out: the linear algebra of the exact solver.

Columns are scaled to unit variance first, so that units cannot matter. A field whose variance the fields before it
explain entirely (constant, duplicate, sum of others) is dropped: its coefficient is zero.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.measure import compensated as dd
from cumulant.measure.conditioning import COLLINEAR
from cumulant.solve.lowrank import LowRankFactor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Conditional", "Factor", "conditional", "factor", "independent_fields"]

# Columns that are worked on together: enough for BLAS, few enough to take no memory.
COLUMNS, ROWS = 64, 256
# Up to this order NumPy does what LAPACK's triangular routines are for, in less time than importing SciPy takes.
SMALL = 128


@dataclass(frozen=True, eq=False)
class Factor:
    """Cholesky factor of a covariance of p fields, scaled to unit variance.

    Parameters
    ----------
    scale
        1/sd of each field (p,), rounded to powers of two in compensated arithmetic; 0 for a constant field.
    kept
        Which fields are kept (p,).
    lower
        Lower triangular (r, r) for the r kept fields.
    pair
        (high, low) parts of the factor over all p fields, in compensated arithmetic; None in plain arithmetic.
    """

    scale: Array
    kept: NDArray[np.bool_]
    lower: Array
    pair: tuple[Array, Array] | None = None

    @property
    def rank(self) -> int:
        """Number of fields kept."""
        return int(self.kept.sum())

    def whiten(self, deviations: Array) -> Array:
        """L⁻¹ (x − μ) for rows (n, p): uncorrelated, of unit variance; (n, r)."""
        scaled = deviations * self.scale
        if not self.kept.all():
            scaled = scaled[:, self.kept]
        return _triangular(self.lower, scaled.T).T

    def inverse(self) -> Array:
        """Inverse of the covariance over the kept fields, 0 elsewhere (p, p)."""
        if self.pair is not None:
            out = dd.inverse(self.pair, self.kept)[0]
        else:
            out = _inverse(self.lower)
            if not self.kept.all():
                whole = np.zeros((len(self.kept), len(self.kept)))
                whole[np.ix_(self.kept, self.kept)] = out
                out = whole
        out *= self.scale[:, None]
        out *= self.scale
        return out

    def inverse_diagonal(self) -> Array:
        """Diagonal of `inverse` (p,): squared columns of L⁻¹, found a few at a time."""
        if self.pair is not None:
            return np.diag(self.inverse())
        q = self.rank
        squares = np.empty(q)
        for a in range(0, q, COLUMNS):
            b = min(a + COLUMNS, q)
            # Above its diagonal entry a column of L⁻¹ is zero. Blocks of L are solved in turn: a copy of it is saved.
            columns = np.eye(q - a, b - a)
            for c in range(a, q, ROWS):
                rows, above = slice(c - a, c - a + ROWS), slice(0, c - a)
                columns[rows] -= self.lower[c : c + ROWS, a:c] @ columns[above]
                columns[rows] = _triangular(self.lower[c : c + ROWS, c : c + ROWS], columns[rows])
            squares[a:b] = np.einsum("ij,ij->j", columns, columns)
        out = np.zeros(len(self.kept))
        out[self.kept] = squares
        return np.asarray(out * self.scale**2)

    def solve_pair(self, b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Solve with the scaled covariance in compensated arithmetic; (p, m) pairs."""
        low = np.zeros((len(self.kept), len(self.kept)))
        return dd.solve(self.pair if self.pair is not None else (self.lower, low), self.kept, b)

    @cached_property
    def log_determinant(self) -> float:
        """ln det of the covariance over the kept fields."""
        return float(2 * np.log(np.diag(self.lower)).sum() - 2 * np.log(self.scale[self.kept]).sum())

    @cached_property
    def condition(self) -> float:
        """Condition number of the correlation matrix of the kept fields (2-norm)."""
        if not self.rank:
            return 1.0
        rows = self.lower / np.sqrt((self.lower**2).sum(axis=1))[:, None]
        s = np.linalg.svd(rows, compute_uv=False)
        return float((s[0] / s[-1]) ** 2)


def _triangular(a: Array, b: Array, *, lower: bool = True) -> Array:
    if len(a) <= SMALL:
        return _substituted(a, b, range(len(a)) if lower else range(len(a) - 1, -1, -1))
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(a, b, lower=lower, check_finite=False))


def _substituted(a: Array, b: Array, order: range) -> Array:
    """Solve a triangular system row by row, from the row with one unknown on."""
    x = np.zeros(np.shape(b))
    for i in order:
        x[i] = (b[i] - a[i] @ x) / a[i, i]
    return x


def _inverse(lower: Array) -> Array:
    if len(lower) <= SMALL:
        root = _triangular(lower, np.eye(len(lower)))
        return np.asarray(root.T @ root)
    from scipy.linalg.lapack import dpotri

    # Of an F-ordered matrix the lower triangle is the upper one of its transpose, by rows.
    out, _ = dpotri(np.asfortranarray(lower), lower=1)
    return storage.mirrored(out.T)


def _cholesky(r: Array) -> tuple[Array, bool]:
    """Lower factor of a symmetric matrix, in its memory if it is large."""
    if len(r) <= SMALL:
        with suppress(np.linalg.LinAlgError):
            return np.asarray(np.linalg.cholesky(r), dtype=np.float64), True
    from scipy.linalg.lapack import dpotrf

    lower, failed = dpotrf(r.T, lower=1, clean=1, overwrite_a=1)
    return lower, failed == 0


def factor(covariance: Array, low: Array | None = None) -> Factor:
    """Factor a covariance (p, p), dropping fields that add nothing to the ones before them."""
    diagonal = np.diag(covariance)
    varies = diagonal > 0
    scale = np.zeros(len(diagonal))
    if low is not None:
        scale[varies] = 2.0 ** -np.round(np.log2(diagonal[varies]) / 2)
        square = scale[:, None] * scale[None, :]
        pair, kept = dd.cholesky((covariance * square, low * square), COLLINEAR["compensated"])
        return Factor(scale, kept, pair[0][np.ix_(kept, kept)], pair)
    scale[varies] = 1 / np.sqrt(diagonal[varies])
    if varies.all():
        lower, definite = _cholesky(_correlation(covariance, scale))
        if definite and (np.diag(lower) ** 2).min(initial=1.0) > COLLINEAR["double"]:
            return Factor(scale, varies, lower)
    r = _correlation(covariance, scale)
    kept = _left_to_right(r)
    lower, _ = _cholesky(r[np.ix_(kept, kept)])
    return Factor(scale, kept, lower)


def _correlation(covariance: Array, scale: Array) -> Array:
    r = covariance * scale[:, None]
    r *= scale
    return r


def independent_fields(r: Array) -> NDArray[np.bool_]:
    """Which columns of a matrix, scaled so that a diagonal of 1 is no loss, are no combination of those before."""
    lower, definite = _cholesky(r.copy())
    if definite and (np.diag(lower) ** 2).min(initial=1.0) > COLLINEAR["double"]:
        return np.ones(len(r), dtype=bool)
    return _left_to_right(r)


def _left_to_right(r: Array) -> NDArray[np.bool_]:
    """Which columns of a correlation matrix are no combination of those before: Cholesky, left to right, by blocks."""
    p = len(r)
    kept = np.zeros(p, dtype=bool)
    lower = np.zeros((p, 0))
    for a in range(0, p, COLUMNS):
        b = min(a + COLUMNS, p)
        rest = r[a:, a:b] - lower[a:] @ lower[a:b].T
        found = []
        for j in range(b - a):
            column = rest[:, j]
            if column[j] > COLLINEAR["double"] and r[a + j, a + j] > 0:
                kept[a + j] = True
                column /= np.sqrt(column[j])
                rest[:, j + 1 :] -= np.outer(column, column[j + 1 : b - a])
                found.append(j)
        new = np.zeros((p, len(found)))
        new[a:] = rest[:, found]
        lower = np.hstack([lower, new])
    return kept


@dataclass(frozen=True, eq=False)
class Conditional:
    """p(φ_T | φ_O) with all other fields integrated out.

    Parameters
    ----------
    coefficients
        B (|O|, |T|): the mean is μ_T + (x_O − μ_O) B.
    covariance
        C_TT − C_TO C_OO⁻¹ C_OT (|T|, |T|).
    observed
        Factor of C_OO.
    """

    coefficients: Array
    covariance: Array
    observed: Factor | LowRankFactor


def conditional(
    covariance: Array, observed: NDArray[np.int64], targets: NDArray[np.int64], low: Array | None = None
) -> Conditional:
    """Integrate out every field but ``observed`` and ``targets``, and fix the observed ones."""
    ot, tt = np.ix_(observed, targets), np.ix_(targets, targets)
    oo = _block(observed)
    if low is None:
        f = factor(covariance[oo])
        half = f.whiten(covariance[ot].T).T
        b = np.zeros((len(observed), len(targets)))
        b[f.kept] = _triangular(f.lower.T, half, lower=False)
        b *= f.scale[:, None]
        schur = covariance[tt] - half.T @ half
        return Conditional(b, _floor(schur), f)
    f = factor(covariance[oo], low[oo])
    s = f.scale[:, None]
    b_high, b_low = f.solve_pair((covariance[ot] * s, low[ot] * s))
    b2 = (b_high * s, b_low * s)
    explained = dd.matmul((covariance[ot].T.copy(), low[ot].T.copy()), b2)
    schur_high, _ = dd.sub((covariance[tt], low[tt]), explained)
    return Conditional(b2[0], _floor(schur_high), f)


def _block(at: NDArray[np.int64]) -> Any:
    """Index of a diagonal block: a view where the fields are consecutive, as all but the last are."""
    if len(at) and at[-1] - at[0] + 1 == len(at) and (np.diff(at) == 1).all():
        return slice(at[0], at[-1] + 1), slice(at[0], at[-1] + 1)
    return np.ix_(at, at)


def _floor(covariance: Array) -> Array:
    """Rounding can leave a variance of zero slightly negative."""
    covariance = 0.5 * (covariance + covariance.T)
    diagonal = np.einsum("ii->i", covariance)
    diagonal[diagonal < 0] = 0.0
    return covariance
