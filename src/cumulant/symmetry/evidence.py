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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cumulant.symmetry.spectral import isotypic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group
    from cumulant.symmetry.isotypic import Complex, Decomposition

    Array = NDArray[np.float64]

__all__ = [
    "Shape",
    "Spectrum",
    "likelihood_ratio_mean",
    "likelihood_ratio_tail",
    "log_evidence",
    "log_gamma_cone",
    "shapes",
]

# Bounds of ln (δ − 2): from a tenth of a row to a prior that no table of a million rows overrules.
STRENGTHS = (-2.3, 14.0)
# What is known beforehand of a number in the prior's centre, as 1 over the rows that would tell as much.
VAGUENESS = 0.2
FIELDS = {"R": 1, "C": 2, "H": 4}


class Shape(NamedTuple):
    """An isotypic component: r copies of a representation of real dimension k and type d."""

    copies: int
    dimension: int
    type: int


def shapes(basis: Decomposition) -> list[Shape]:
    """The isotypic components, one for each block that a group leaves free."""
    return [
        Shape(part.multiplicity, int(k), FIELDS[str(kind)])
        for part in basis.parts
        for k, kind in zip(part.dimension, part.kinds, strict=True)
    ]


def log_determinants(basis: Decomposition, matrix: Array) -> list[Array]:
    """ln det (O,) of the free blocks of the invariant part of a positive matrix (p, p)."""
    blocks = zip(basis.parts, basis.reduce(matrix), strict=True)
    return [_log_determinant(block) * part.multiplicity / part.size for part, block in blocks]


def _log_determinant(blocks: Complex) -> Array:
    """ln |det| (O,) of blocks (O, r, r); over complex numbers or quaternions written with real ones, 2 or 4 times."""
    if blocks.shape[-1] > 1:
        return np.asarray(np.linalg.slogdet(blocks)[1])
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.abs(blocks[:, 0, 0])))


def eigenvalues(basis: Decomposition, matrix: Array, unit: Array) -> list[Array]:
    """Eigenvalues (O, r) of the free blocks of the invariant part of a matrix (p, p), in units of a positive one."""
    blocks = zip(basis.parts, basis.reduce(matrix), basis.reduce(unit), strict=True)
    return [
        np.maximum(_in_units(block, other).reshape(len(block), part.multiplicity, -1).mean(axis=2), 0.0)
        for part, block, other in blocks
    ]


def _in_units(blocks: Complex, units: Complex) -> Array:
    """Eigenvalues (O, r) of Hermitian blocks (O, r, r) in units of positive ones."""
    from scipy.linalg import eigvalsh

    if blocks.shape[-1] == 1:
        return np.asarray((blocks / units).real[:, :, 0])
    if len(blocks) == 1:
        return np.asarray(eigvalsh(blocks[0], units[0], check_finite=False))[None]
    root = np.linalg.inv(np.linalg.cholesky(units))
    return np.asarray(np.linalg.eigvalsh(root @ blocks @ np.conj(np.swapaxes(root, -1, -2))))


def log_gamma_cone(x: float, r: int, d: int) -> float:
    """ln Γ of the cone of positive r × r Hermitian matrices of type d, less its constant power of 2π."""
    from scipy.special import gammaln

    return float(gammaln(x - 0.5 * d * np.arange(r)).sum())


def log_evidence(group: Group, scatter: Array, degrees: float, prior: Array, delta: float = 3.0) -> float:
    """Log marginal likelihood of Gaussian rows whose precision matrix K is invariant, less −½ ν p ln 2π.

    Parameters
    ----------
    group
        Acting on the columns.
    scatter
        Centred sums of products (p, p).
    degrees
        Their degrees of freedom ν: rows less one for the mean.
    prior, delta
        Of K among invariant matrices: |K|^(δ−2)/2 exp(−½ tr K D) with D the group average of ``prior`` (p, p).

    Examples
    --------
    >>> import numpy as np
    >>> import cumulant.symmetry as sym
    >>> s = np.diag([20.0, 21.0])
    >>> gain = sym.log_evidence(sym.symmetric(2), s, 20, np.eye(2)) - sym.log_evidence(sym.trivial(2), s, 20, np.eye(2))
    >>> round(gain, 2)
    1.97

    References
    ----------
    Graczyk, Ishi, Kołodziejek and Massam, Annals of Statistics 50 (2022) 1747, eqs. 27 and 33.
    """
    return log_evidence_by(isotypic(group), scatter, degrees, prior, delta)


def log_evidence_by(basis: Decomposition, scatter: Array, degrees: float, prior: Array, delta: float) -> float:
    """`log_evidence` by a decomposition of the columns."""
    after = np.concatenate(log_determinants(basis, scatter + prior))
    before = np.concatenate(log_determinants(basis, prior))
    total = 0.0
    for shape, at in _by_shape(basis).items():
        a, b = _exponents(shape, degrees, delta)
        total += len(at) * _gammas(shape, degrees, delta) + a * float(before[at].sum()) - b * float(after[at].sum())
    return total


def log_predictive(
    basis: Decomposition, whole: tuple[Array, float], rest: tuple[Array, float], prior: Array, delta: float
) -> float:
    """`log_evidence` of a whole scatter (p, p) and its degrees of freedom, less that of a part of it."""
    total = 0.0
    # What the prior alone contributes to either is the same.
    for sign, (scatter, degrees) in ((1, whole), (-1, rest)):
        after = np.concatenate(log_determinants(basis, scatter + prior))
        for shape, at in _by_shape(basis).items():
            b = _exponents(shape, degrees, delta)[1]
            total += sign * (len(at) * _gammas(shape, degrees, delta) - b * float(after[at].sum()))
    return total


def _by_shape(basis: Decomposition) -> dict[Shape, list[int]]:
    """The free blocks of each shape, by their numbers."""
    out: dict[Shape, list[int]] = {}
    for i, shape in enumerate(shapes(basis)):
        out.setdefault(shape, []).append(i)
    return out


def _exponents(shape: Shape, degrees: float, delta: float) -> tuple[float, float]:
    a = 0.5 * shape.dimension * (delta - 2) + 1 + 0.5 * shape.type * (shape.copies - 1)
    return a, a + 0.5 * shape.dimension * degrees


def _gammas(shape: Shape, degrees: float, delta: float) -> float:
    r, k, d = shape
    a, b = _exponents(shape, degrees, delta)
    return log_gamma_cone(b, r, d) - log_gamma_cone(a, r, d) - (b - a) * r * float(np.log(0.5 * k))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """All that the evidence needs of a scatter: its free blocks' eigenvalues in units of the prior's centre C.

    The prior is of strength δ − 2 about an invariant covariance C: |K|^(δ−2)/2 exp(−½ (δ−2) tr K C).

    Parameters
    ----------
    blocks
        Of the free blocks of each shape: how many there are, their eigenvalues, and the sum of ln det of their centres.
    degrees
        Of freedom of the scatter.
    fitted
        Numbers in the centre that were fitted to the same rows.
    """

    blocks: dict[Shape, tuple[int, Array, float]]
    degrees: float
    fitted: int

    @staticmethod
    def of(basis: Decomposition, scatter: Array, degrees: float, centre: Array, fitted: int) -> Spectrum:
        """The spectrum of a scatter (p, p) in units of a centre (p, p)."""
        w = [row for rows in eigenvalues(basis, scatter, centre) for row in rows]
        c = np.concatenate(log_determinants(basis, centre))
        blocks = {
            shape: (len(at), np.concatenate([w[i] for i in at]), float(c[at].sum()))
            for shape, at in _by_shape(basis).items()
        }
        return Spectrum(blocks, degrees, fitted)

    def log_evidence(self, delta: float) -> float:
        """Log marginal likelihood, as `log_evidence`, under the prior of strength δ − 2 > 0.

        Less what fitting the centre costs: for each of its numbers, the logarithm of how much better the rows know it.
        """
        scale = delta - 2
        total = -0.5 * self.fitted * float(np.log1p(VAGUENESS * self.degrees * scale / (self.degrees + scale)))
        for shape, (count, w, centre) in self.blocks.items():
            a, b = _exponents(shape, self.degrees, delta)
            total += count * (_gammas(shape, self.degrees, delta) + a * shape.copies * float(np.log(scale)))
            total += (a - b) * centre - b * float(np.log(w + scale).sum())
        return total

    def best(self) -> tuple[float, float]:
        """The δ that explains the rows best, and the log evidence under it."""
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda t: -self.log_evidence(2 + np.exp(t)), bounds=STRENGTHS, method="bounded", options={"xatol": 1e-3}
        )
        return float(2 + np.exp(found.x)), -float(found.fun)


def likelihood_ratio_mean(components: Sequence[Shape], degrees: float) -> float:
    """E T of T = ν ln(|R S| / |S|) when the covariance is invariant and rows are Gaussian."""
    p = sum(b.copies * b.dimension for b in components)
    return _cumulant(components, p, degrees, 0.0, 1)


def likelihood_ratio_tail(components: Sequence[Shape], statistic: float, degrees: float) -> float:
    """P(T ≥ statistic) of T = ν ln(|R S| / |S|) when the covariance is invariant and rows are Gaussian.

    Under the null T does not depend on the covariance: exp(−hT/ν) has the moments of independent gamma variables, so
    the cumulant generating function is known in closed form, and the tail follows by the saddle point (Lugannani and
    Rice, Adv. Appl. Prob. 12 (1980) 475). NaN where the covariance is singular, ν < p.
    """
    p = sum(b.copies * b.dimension for b in components)
    if degrees < p:
        return float("nan")
    return _saddle_point_tail(
        lambda t, n: _cumulant(components, p, degrees, t, n), statistic, 0.5 * (1 - (p - 1) / degrees)
    )


def _cumulant(components: Sequence[Shape], p: int, degrees: float, t: float, derivative: int) -> float:
    """ln E exp(tT), or its first or second derivative in t: E|S|^{-νt} / E|R S|^{-νt} of Wishart matrices."""
    nu = degrees
    total = _log_moment(p, 1, 1, nu, t, derivative)
    for b in components:
        total -= _log_moment(*b, nu, t, derivative)
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
