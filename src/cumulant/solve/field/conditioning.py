"""A field conditioned on rows: mean, variance, evidence and what each row looks like from the others, closed forms.

With a propagator K (n, n) and noise N = diag ν, both in units of an amplitude s² that is integrated by its most
likely value, and A = (K + N)⁻¹: mean weights a = A y, s² = yᵀ a/n, ln Z = −½ n ln 2πs² − ½ ln |K + N| − ½ n, and
with row i left out residual a_i/A_ii and variance s²/A_ii (Rasmussen & Williams 2006, eq. 2.30 and 5.12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.shapes import DEGREES, StudentT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.propagators import Propagator

    Array = NDArray[np.float64]

__all__ = ["Conditioned", "carried", "condition", "factored", "heavy_tailed", "propagated"]

# Rows whose propagator is computed all at once, and of more rows so many at a time.
WHOLE_ROWS, BLOCK_ROWS = 1500, 256
# Numbers in a propagator between new rows and those conditioned on that stay in a processor's cache, and new rows at
# once at least.
CACHED, FEWEST_NEW = 1 << 15, 16


@dataclass(frozen=True, eq=False)
class Conditioned:
    """What rows say of a field.

    Parameters
    ----------
    dual
        a = (K + N)⁻¹ y (n,).
    amplitude
        s².
    inverse
        (K + N)⁻¹ (n, n).
    evidence
        ln Z, in nats.
    """

    dual: Array
    amplitude: float
    inverse: Array
    evidence: float

    @property
    def left_out(self) -> tuple[Array, Array]:
        """y less the mean of the other rows, and its variance, for each row (n,)."""
        own = np.diag(self.inverse)
        return self.dual / own, self.amplitude / own

    def slope(self) -> Array:
        """d ln Z/dK (n, n): ½ (a aᵀ/s² − A)."""
        out = np.multiply.outer(self.dual, self.dual / self.amplitude)
        out -= self.inverse
        out *= 0.5
        return out

    def left_out_score(self, dither: Array) -> tuple[float, Array]:
        """ln p of the rows, each left out, of a Student t about their means, and its slope by K (n, n).

        With t_i = a_i/√A_ii + e_i √A_ii, e the ``dither`` (n,) of the target within its resolution, the rows are
        ln p(t_i/σ) − ln σ + ½ ln A_ii, and dA = −A dK A, da = −A dK a. Tails and width are those most likely of t, so
        the slope by them is 0.
        """
        own, a = np.diag(self.inverse), self.dual
        root = np.sqrt(own)
        t = a / root + dither * root
        shape = heavy_tailed(t)
        nu = min(shape.degrees, 1e6)
        u = t / shape.scale
        pull = -(nu + 1) * u / (nu + u**2) / shape.scale
        by_dual, by_own = pull / root, 0.5 * (1 - pull * (a / root - dither * root)) / own
        slope = (self.inverse * -by_own) @ self.inverse
        half = np.multiply.outer(0.5 * (self.inverse @ by_dual), a)
        slope -= half
        slope -= half.T
        return float(shape.log_density(t).sum() + 0.5 * np.log(own).sum()), slope


def factored(matrix: Array) -> Array | None:
    """Lower Cholesky factor of a positive definite matrix, which is overwritten; None if it is not."""
    from scipy.linalg import lapack

    # LAPACK reads columns: of a symmetric matrix the transpose is the same, and is not copied.
    root, failed = lapack.dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    return None if failed else root


def heavy_tailed(t: Array) -> StudentT:
    """The Student t, or its Gaussian limit, that makes t (n,) most likely."""
    each = StudentT.each(t, (np.inf, *DEGREES))
    return max(each, key=lambda shape: float(shape.log_density(t).sum()))


def condition(propagator: Array, noise: Array, y: Array) -> Conditioned | None:
    """Condition on rows; None where the propagator is singular to rounding.

    Parameters
    ----------
    propagator
        K (n, n), overwritten.
    noise
        ν (n,).
    y
        (n,).
    """
    from scipy.linalg import lapack

    n = len(y)
    propagator.flat[:: n + 1] += noise
    root = factored(propagator)
    if root is None:
        return None
    dual = lapack.dpotrs(root, y, lower=1)[0]
    amplitude = max(float(y @ dual) / n, 1e-300)
    evidence = -0.5 * n * (np.log(2 * np.pi * amplitude) + 1) - float(np.log(np.diag(root)).sum())
    inverse = lapack.dpotri(root, lower=1, overwrite_c=1)[0]
    inverse += np.tril(inverse, -1).T
    return Conditioned(dual, amplitude, inverse, evidence)


def propagated(k: Propagator, z: Array) -> Array:
    """k between rows (n, n), in blocks of rows that leave what it takes in passing small."""
    n = len(z)
    if n <= WHOLE_ROWS:
        return k(z, z)
    out = np.empty((n, n))
    for first in range(0, n, BLOCK_ROWS):
        out[first : first + BLOCK_ROWS] = k(z[first : first + BLOCK_ROWS], z)
    # A row is at no distance from itself, whatever rounding says.
    out.flat[:: n + 1] = k.diagonal(z)
    return out


def carried(k: Propagator, z: Array, rows: Array, weights: Array) -> Array:
    """Σ_j k(z_i, x_j) w_j (n,) of new rows z, some at a time, so that the propagator stays in the cache."""
    out, step = np.empty(len(z)), max(FEWEST_NEW, CACHED // max(len(rows), 1))
    for first in range(0, len(z), step):
        out[first : first + step] = k(z[first : first + step], rows) @ weights
    return out
