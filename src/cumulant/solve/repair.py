"""Pairwise covariances need not be positive definite; the nearest one that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["nearest_correlation"]


def nearest_correlation(
    covariance: NDArray[np.float64], floor: float | None = None, tolerance: float = 1e-9, most: int = 500
) -> tuple[NDArray[np.float64], float]:
    """The covariance whose correlation matrix is nearest (Frobenius) with eigenvalues of at least ``floor``.

    Variances are kept. Alternating projections with Dykstra's correction.

    Parameters
    ----------
    covariance
        Symmetric (p, p).
    floor
        Smallest eigenvalue allowed; default as far above zero as the smallest was below. An eigenvalue of −ε shows
        errors of the size of ε, so smaller ones mean nothing, and inverting them would make much of nothing.

    Returns
    -------
    ndarray, float
        The covariance, and the largest change of a correlation (0.0 when nothing had to be done).

    References
    ----------
    Higham, "Computing the nearest correlation matrix", IMA J. Numer. Anal. 22 (2002) 329, algorithm 3.3.
    """
    variance = np.diag(covariance)
    varies = variance > 0
    sd = np.sqrt(np.where(varies, variance, 1.0))
    r = covariance / np.outer(sd, sd)
    r[~varies] = 0.0
    r[:, ~varies] = 0.0
    np.fill_diagonal(r, 1.0)
    smallest = float(np.linalg.eigvalsh(r)[0])
    if smallest >= -1e-12:
        return covariance, 0.0
    floor = max(1e-8, -smallest) if floor is None else floor
    y, correction = r.copy(), np.zeros_like(r)
    for _ in range(most):
        before = y
        shifted = y - correction
        w, v = np.linalg.eigh(shifted)
        x = (v * np.maximum(w, floor)) @ v.T
        correction = x - shifted
        y = x.copy()
        np.fill_diagonal(y, 1.0)
        if np.linalg.norm(y - before) <= tolerance * np.linalg.norm(y):
            break
    y = 0.5 * (y + y.T)
    # The last projection only restored the diagonal; shrinking by what it cost keeps every eigenvalue positive.
    lowest = np.linalg.eigvalsh(y)[0]
    if lowest < floor:
        y = (y + (floor - lowest) * np.eye(len(y))) / (1 + floor - lowest)
    moved = float(np.abs(y - r).max())
    out = y * np.outer(sd, sd)
    np.fill_diagonal(out, variance)
    return out, moved
