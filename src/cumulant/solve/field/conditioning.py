"""A field conditioned on rows: mean, variance, evidence and what each row looks like from the others, closed forms.

With a propagator K (n, n) and noise N = diag ν, both in units of an amplitude s² that is integrated by its most
likely value, and A = (K + N)⁻¹: mean weights a = A y, s² = yᵀ a/n, ln Z = −½ n ln 2πs² − ½ ln |K + N| − ½ n, and
with row i left out residual a_i/A_ii and variance s²/A_ii (Rasmussen & Williams 2006, eq. 2.30 and 5.12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Conditioned", "condition", "factored"]


@dataclass(frozen=True, eq=False)
class Conditioned:
    """What rows say of a field.

    Parameters
    ----------
    root
        Lower Cholesky factor of K + N (n, n).
    dual
        a = (K + N)⁻¹ y (n,).
    amplitude
        s².
    inverse
        (K + N)⁻¹ (n, n).
    evidence
        ln Z, in nats.
    """

    root: Array
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


def factored(matrix: Array) -> Array | None:
    """Lower Cholesky factor of a positive definite matrix, which is overwritten; None if it is not."""
    from scipy.linalg import lapack

    # LAPACK reads columns: of a symmetric matrix the transpose is the same, and is not copied.
    root, failed = lapack.dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
    return None if failed else root


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
    lower = lapack.dpotri(root, lower=1)[0]
    inverse = lower + np.tril(lower, -1).T
    amplitude = max(float(y @ dual) / n, 1e-300)
    evidence = -0.5 * n * (np.log(2 * np.pi * amplitude) + 1) - float(np.log(np.diag(root)).sum())
    return Conditioned(root, dual, amplitude, inverse, evidence)
