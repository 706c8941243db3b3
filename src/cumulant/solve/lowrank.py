r"""More fields than rows: C = L Lᵀ with L (p, r), and all that would take p³ is done with LᵀL at p r².

A prior of mass α makes the correlation matrix (R + α)/(1 + α), whose inverse on the span of L differs from 1/α alone:
with R = V diag(w) Vᵀ, found from the eigenvectors of the small LᵀL,

    (R + α)⁻¹ = (1 − V Vᵀ)/α + V diag(1/(w + α)) Vᵀ .
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["LowRankFactor", "Spectrum", "conditional_parts", "pays", "root_of", "spectrum"]


def pays(rows: float, fields: int) -> bool:
    """Whether the rank, which is less than the number of rows, is small enough for a root to be less work."""
    return 2 * rows < fields


def root_of(covariance: Array) -> Array:
    """L (p, r) with L Lᵀ = C to rounding: Cholesky of the correlations, the largest remainder first, p² r flops.

    References
    ----------
    Higham, "Analysis of the Cholesky decomposition of a semi-definite matrix", in Reliable Numerical Computation,
    Oxford University Press (1990) 161.
    """
    from scipy.linalg.lapack import dpstrf

    variance = np.diag(covariance)
    varies = np.flatnonzero(variance > 0)
    sd = np.sqrt(variance[varies])
    r = covariance[np.ix_(varies, varies)]
    r /= sd[:, None]
    r /= sd
    lower, order, rank, _ = dpstrf(r.T, lower=1, overwrite_a=1)
    out = np.zeros((len(covariance), rank))
    out[varies[order - 1]] = np.tril(lower[:, :rank])
    out[varies] *= sd[:, None]
    return out


@dataclass(frozen=True, eq=False)
class Spectrum:
    """R = A Aᵀ = V diag(w) Vᵀ, for A (p, r) with V = A U diag(w)^(−1/2).

    Parameters
    ----------
    values
        w (r,), 0 where below rounding.
    inner
        U (r, r), orthogonal.
    vectors
        V (p, r); a column of zeros where w is 0.
    """

    values: Array
    inner: Array
    vectors: Array


def spectrum(a: Array) -> Spectrum:
    """Eigenvalues and eigenvectors of A Aᵀ, from those of AᵀA; p r² flops."""
    w, u = np.linalg.eigh(a.T @ a)
    w = np.where(w > len(a) * np.finfo(float).eps * w.max(initial=0.0), w, 0.0)
    inverse = np.divide(1.0, np.sqrt(w), out=np.zeros_like(w), where=w > 0)
    return Spectrum(w, u, (a @ u) * inverse)


@dataclass(frozen=True, eq=False)
class LowRankFactor:
    """Factor of a covariance of p fields that a prior completes; as `Factor`, for few rows.

    Parameters
    ----------
    scale
        1/sd of each field (p,), 0 for a constant field.
    kept
        Which fields are kept (p,): all that vary.
    spectrum
        Of the correlation matrix of the kept fields.
    mass
        α > 0.
    """

    scale: Array
    kept: NDArray[np.bool_]
    spectrum: Spectrum
    mass: float

    @property
    def rank(self) -> int:
        """Number of fields kept."""
        return int(self.kept.sum())

    @property
    def effective_rank(self) -> float:
        """tr R (R + α)⁻¹."""
        w = self.spectrum.values
        return float((w / (w + self.mass)).sum())

    def whiten(self, deviations: Array) -> Array:
        """Rows (n, p) mapped so that their squared length is that by the inverse covariance (n, r + q)."""
        s = self.spectrum
        z = (deviations * self.scale)[:, self.kept]
        along = z @ s.vectors
        across = z - along @ s.vectors.T
        both = np.hstack([along / np.sqrt(s.values + self.mass), across / np.sqrt(self.mass)])
        return np.asarray(both * np.sqrt(1 + self.mass))

    def inverse_diagonal(self) -> Array:
        """Diagonal of the inverse of the covariance (p,), 0 where a field is constant."""
        s = self.spectrum
        squares = s.vectors**2
        out = np.zeros(len(self.kept))
        out[self.kept] = (1 - squares.sum(axis=1)) / self.mass + squares @ (1 / (s.values + self.mass))
        return np.asarray(out * (1 + self.mass) * self.scale**2)

    def inverse(self) -> Array:
        """Inverse of the covariance over the kept fields, 0 elsewhere (p, p)."""
        s, whole = self.spectrum, np.ix_(self.kept, self.kept)
        inner = (s.vectors * (1 / (s.values + self.mass) - 1 / self.mass)) @ s.vectors.T
        inner[np.diag_indices_from(inner)] += 1 / self.mass
        out = np.zeros((len(self.kept), len(self.kept)))
        out[whole] = inner * (1 + self.mass)
        return np.asarray(out * self.scale[:, None] * self.scale)

    @cached_property
    def lower(self) -> Array:
        """Lower triangular factor (q, q) of the scaled covariance, made when asked for."""
        s = self.spectrum
        r = (s.vectors * s.values) @ s.vectors.T
        r[np.diag_indices_from(r)] += self.mass
        return np.asarray(np.linalg.cholesky(r / (1 + self.mass)))


def conditional_parts(root: Array, mass: float, observed: Index, targets: Index) -> tuple[Array, Array, LowRankFactor]:
    """Coefficients (|O|, |T|), covariance of the targets given the observed, and the factor of the observed.

    Nothing cancels: with t = L_T the covariance is [t U α/(w + α) Uᵀtᵀ + α diag(t tᵀ)]/(1 + α).
    """
    a, t = root[observed], root[targets]
    sd = np.sqrt((a**2).sum(axis=1))
    kept = sd > 0
    scale = np.divide(1.0, sd, out=np.zeros_like(sd), where=kept)
    s = spectrum(a[kept] * scale[kept, None])
    along = t @ s.inner
    coefficients = np.zeros((len(observed), len(targets)))
    coefficients[kept] = (s.vectors * (np.sqrt(s.values) / (s.values + mass))) @ along.T * scale[kept, None]
    rest = (along * (mass / (s.values + mass))) @ along.T
    rest[np.diag_indices_from(rest)] += mass * (t**2).sum(axis=1)
    return coefficients, rest / (1 + mass), LowRankFactor(scale, kept, s, mass)
