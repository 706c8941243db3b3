"""What rows say about a symmetry of their covariance.

Three scores, none of which iterates. The *evidence* is the marginal likelihood of a Gaussian whose precision matrix is
invariant, under the conjugate (Wishart) prior. The *held-out* score is the same likelihood of each fold given the rest.
The *likelihood ratio* asks whether the invariant covariance fits as well as a free one; its null distribution is exact.
All follow from determinants of the isotypic blocks: a group with r copies of an irreducible representation of real
dimension k and type d (1 real, 2 complex, 4 quaternionic) leaves free an r × r Hermitian matrix over that field.

References
----------
Graczyk, Ishi, Kołodziejek and Massam, "Model selection in the space of Gaussian models invariant by symmetry",
Annals of Statistics 50 (2022) 1747, eqs. 27 and 33. Andersson, Brøns and Jensen, Annals of Statistics 11 (1983) 392
(moments of the likelihood ratio). Faraut and Korányi, Analysis on Symmetric Cones (1994), theorem VII.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Block", "Spectrum", "likelihood_ratio_mean", "likelihood_ratio_tail", "log_evidence", "log_gamma_cone"]

# Bounds of ln (δ − 2): from a tenth of a row to a prior that no table of a million rows overrules.
STRENGTHS = (-2.3, 14.0)


@dataclass(frozen=True, eq=False)
class Block:
    """One isotypic component: ``copies`` r of a representation of real ``dimension`` k and ``type`` d.

    ``basis`` (p, k·r) spans it, orthonormal.
    """

    copies: int
    dimension: int
    type: int
    basis: Array

    def log_determinant(self, matrix: Array) -> float:
        """Log determinant of the free r × r part of an invariant matrix."""
        _, value = np.linalg.slogdet(self.basis.T @ matrix @ self.basis)
        return float(value) / self.dimension

    def eigenvalues(self, matrix: Array) -> Array:
        """Eigenvalues (r,) of the free part of an invariant matrix, which has each of them k times."""
        w = np.linalg.eigvalsh(self.basis.T @ matrix @ self.basis)
        return np.asarray(np.maximum(w.reshape(self.copies, self.dimension).mean(axis=1), 0.0))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """All that the evidence needs of an invariant scatter: the eigenvalues of its free parts, and their kinds.

    The prior is that of independent columns of unit variance, of strength δ: |K|^(δ−2)/2 exp(−½ (δ−2) tr K).
    """

    copies: tuple[int, ...]
    dimensions: tuple[int, ...]
    types: tuple[int, ...]
    eigenvalues: tuple[Array, ...]
    degrees: float

    @staticmethod
    def of(blocks: Sequence[Block], matrix: Array, degrees: float) -> Spectrum:
        """The spectrum of an invariant matrix (p, p), of so many degrees of freedom."""
        return Spectrum(
            tuple(b.copies for b in blocks),
            tuple(b.dimension for b in blocks),
            tuple(b.type for b in blocks),
            tuple(b.eigenvalues(matrix) for b in blocks),
            degrees,
        )

    def log_evidence(self, delta: float) -> float:
        """Log marginal likelihood, as `log_evidence`, under the prior of strength δ > 2."""
        total, scale = 0.0, delta - 2
        for r, k, d, w in zip(self.copies, self.dimensions, self.types, self.eigenvalues, strict=True):
            a = 0.5 * k * (delta - 2) + 1 + 0.5 * d * (r - 1)
            b = a + 0.5 * k * self.degrees
            total += log_gamma_cone(b, r, d) - log_gamma_cone(a, r, d) - (b - a) * r * np.log(0.5 * k)
            total += a * r * np.log(scale) - b * float(np.log(w + scale).sum())
        return total

    def best(self) -> tuple[float, float]:
        """The strength of the prior that explains the rows best, and the log evidence under it."""
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda t: -self.log_evidence(2 + np.exp(t)), bounds=STRENGTHS, method="bounded", options={"xatol": 1e-3}
        )
        return float(2 + np.exp(found.x)), -float(found.fun)


def log_gamma_cone(x: float, r: int, d: int) -> float:
    """ln Γ of the cone of positive r × r Hermitian matrices of type d, less its constant power of 2π."""
    from scipy.special import gammaln

    return float(gammaln(x - 0.5 * d * np.arange(r)).sum())


def log_evidence(blocks: Sequence[Block], matrix: Array, degrees: float, prior: Array, delta: float) -> float:
    """Log marginal likelihood of an invariant Gaussian, up to a constant common to all groups.

    Parameters
    ----------
    blocks
        The isotypic components of the group.
    matrix
        Group average of the centred sums of products (p, p).
    degrees
        Rows less one for the mean.
    prior, delta
        Of the precision matrix K, among invariant ones: |K|^(δ−2)/2 exp(−½ tr K D) with D the group average of
        ``prior`` (p, p).
    """
    total = 0.0
    posterior = matrix + prior
    for block in blocks:
        r, k, d = block.copies, block.dimension, block.type
        a = 0.5 * k * (delta - 2) + 1 + 0.5 * d * (r - 1)
        b = a + 0.5 * k * degrees
        total += log_gamma_cone(b, r, d) - log_gamma_cone(a, r, d) - (b - a) * r * np.log(0.5 * k)
        total += a * block.log_determinant(prior) - b * block.log_determinant(posterior)
    return total


def likelihood_ratio_mean(blocks: Sequence[Block], degrees: float) -> float:
    """E T of T = ν ln(|R S| / |S|) when the covariance is invariant and rows are Gaussian."""
    p = sum(b.copies * b.dimension for b in blocks)
    return _cumulant(blocks, p, degrees, 0.0, 1)


def likelihood_ratio_tail(blocks: Sequence[Block], statistic: float, degrees: float) -> float:
    """P(T ≥ statistic) of T = ν ln(|R S| / |S|) when the covariance is invariant and rows are Gaussian.

    Under the null T does not depend on the covariance: exp(−hT/ν) has the moments of independent gamma variables, so the
    cumulant generating function is known in closed form, and the tail follows by the saddle point (Lugannani and Rice,
    Adv. Appl. Prob. 12 (1980) 475). NaN where the covariance is singular, ν < p.
    """
    p = sum(b.copies * b.dimension for b in blocks)
    if degrees < p:
        return float("nan")
    return _saddle_point_tail(
        lambda t, n: _cumulant(blocks, p, degrees, t, n), statistic, 0.5 * (1 - (p - 1) / degrees)
    )


def _cumulant(blocks: Sequence[Block], p: int, degrees: float, t: float, derivative: int) -> float:
    """ln E exp(tT), or its first or second derivative in t: E|S|^{-νt} / E|R S|^{-νt} of Wishart matrices."""
    nu = degrees
    total = _log_moment(p, 1, 1, nu, t, derivative)
    for b in blocks:
        total -= _log_moment(b.copies, b.dimension, b.type, nu, t, derivative)
    return total


def _log_moment(r: int, k: int, d: int, nu: float, t: float, derivative: int) -> float:
    """ln E det(x)^{−kνt} of a Wishart matrix x of shape kν/2 on the cone, less what its scale contributes.

    The scales of all blocks are one matrix, so they cancel; what is left of them is the factor (2/k)^{…}.
    """
    from scipy.special import gammaln, polygamma

    shape = 0.5 * k * nu - 0.5 * d * np.arange(r)
    x = shape - k * nu * t
    if derivative == 0:
        return float((gammaln(x) - gammaln(shape)).sum()) - r * k * nu * t * np.log(2 / k)
    if derivative == 1:
        return float(-k * nu * polygamma(0, x).sum()) - r * k * nu * np.log(2 / k)
    return float((k * nu) ** 2 * polygamma(1, x).sum())


def _saddle_point_tail(cumulant: Callable[[float, int], float], x: float, limit: float) -> float:
    """Upper tail at x of a variable with a known cumulant generating function, finite below ``limit``."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    mean, variance = cumulant(0.0, 1), cumulant(0.0, 2)
    if x <= 0 or not variance > 0:
        return 1.0
    if abs(x - mean) < 1e-4 * np.sqrt(variance):
        # The formula is 0/0 at the mean; there the tail is smooth, so a point beside it will do.
        x = mean + 1e-4 * np.sqrt(variance)
    low, high = -1.0, limit * (1 - 1e-12)
    while cumulant(low, 1) > x:
        low *= 2
    t = float(brentq(lambda s: cumulant(s, 1) - x, low, high, xtol=1e-14, rtol=1e-13))
    w = np.sign(t) * np.sqrt(max(0.0, 2 * (t * x - cumulant(t, 0))))
    u = t * np.sqrt(cumulant(t, 2))
    if w > 30:
        return float(np.exp(log_ndtr(-w)))
    tail = ndtr(-w) + np.exp(-0.5 * w * w) / np.sqrt(2 * np.pi) * (1 / u - 1 / w)
    return float(min(1.0, max(0.0, tail)))
