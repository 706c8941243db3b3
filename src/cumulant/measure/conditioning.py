"""When plain sums lose too many digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure import compensated, limbs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COLLINEAR", "ILL_CONDITIONED", "needs_compensation"]

# Condition number of the correlation matrix above which plain float64 sums leave fewer than about nine digits.
ILL_CONDITIONED = 1e6
# Share of a column's variance that the columns before it must leave unexplained, or it counts as their linear
# combination. By precision of the sums: each lies well above the rounding noise that exact combinations show there
# and well below what distinct columns leave.
COLLINEAR = {"double": 1e-11, "compensated": 1e-25}


def needs_compensation(x: NDArray[np.float64], most_fields: int = 400) -> bool:
    """Whether pilot rows (n, p) show columns so nearly collinear that their covariance loses half its digits.

    Columns that are linear combinations of others up to rounding do not count: no arithmetic separates them, and
    they are dropped when solving.
    """
    p = x.shape[1]
    # A condition number needs no more rows than tell singular from ill-conditioned.
    x = x[: max(1024, 4 * p)]
    x = x[~np.isnan(x).any(axis=1)]
    n = len(x)
    if n < p + 2 or p < 2 or p > most_fields:
        return False
    centred = x - x.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    unit = centred[:, norm > 0] / norm[norm > 0]
    w = np.linalg.eigvalsh(unit.T @ unit) if unit.shape[1] else np.ones(1)
    if w[0] * ILL_CONDITIONED < w[-1]:
        high, low = compensated.gram(np.column_stack([np.ones(n), x]))
        sums = np.stack([high, low])
        scatter = limbs.centred_pair(sums[:, 1:, 1:], sums[:, 1:, 0], sums[:, 0, 0])
        return _condition_of_kept(*scatter, _rounding_of_cells(x)) > ILL_CONDITIONED
    return False


def _rounding_of_cells(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each column's variance that is rounding of its cells: what a sum of other columns leaves unexplained."""
    variance = x.var(axis=0)
    ratio = np.divide((x**2).mean(axis=0), variance, out=np.zeros_like(variance), where=variance > 0)
    return np.maximum(COLLINEAR["compensated"], 16 * 2.0**-106 * ratio)


def _condition_of_kept(high: NDArray[np.float64], low: NDArray[np.float64], tolerance: NDArray[np.float64]) -> float:
    diagonal = np.diag(high)
    # Powers of two scale without rounding.
    scale = np.where(diagonal > 0, 2.0 ** -np.round(np.log2(np.where(diagonal > 0, diagonal, 1.0)) / 2), 0.0)
    square = scale[:, None] * scale[None, :]
    (factor, _), kept = compensated.cholesky((high * square, low * square), tolerance)
    lower = factor[np.ix_(kept, kept)]
    if not len(lower):
        return 1.0
    lower = lower / np.sqrt((lower**2).sum(axis=1))[:, None]
    s = np.linalg.svd(lower, compute_uv=False)
    return float((s[0] / s[-1]) ** 2)
