"""Sums in one float64 (a limb), or in two: the low limb holds what the high one rounds away.

Arrays have the limb axis first. With one limb these are plain sums; with two they are double-double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.measure import compensated as dd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["centred", "centred_pair", "combine", "congruence", "total"]


def combine(a: Array, b: Array, sign: int = 1) -> Array:
    """a + sign·b for sums with the same or different numbers of limbs."""
    if len(a) == len(b) == 1:
        return a + b if sign > 0 else a - b
    return np.stack(dd.add(_pair(a), _pair(sign * b)))


def total(sums: Array) -> Array:
    """Sum over the axis after the limbs."""
    if len(sums) == 1:
        return np.asarray(sums.sum(axis=1))
    out = np.zeros((2, *sums.shape[2:]))
    for k in range(sums.shape[1]):
        out = combine(out, sums[:, k])
    return out


def congruence(t: Array, sums: Array) -> Array:
    """T S Tᵀ for each fold: the sums after the linear map T of the rows. (L, K, q, q) → (L, K, r, r)."""
    if len(sums) == 1:
        return np.asarray(t @ sums @ t.T)
    map_ = (t, np.zeros_like(t))
    out = np.zeros((2, sums.shape[1], len(t), len(t)))
    for k in range(sums.shape[1]):
        half = dd.matmul(map_, (sums[0, k], sums[1, k]))
        out[0, k], out[1, k] = dd.matmul(half, (t.T.copy(), np.zeros_like(t.T)))
    return out


def centred(second: Array, first: Array, weight: Array) -> tuple[Array, Array | None]:
    """Scatter Σ w (x − x̄)(x − x̄)ᵀ from Σ w x xᵀ, Σ w x and Σ w, with its low limb if there is one."""
    if not weight[0] > 0:
        return np.zeros_like(second[0]), None
    if len(second) == 1:
        return second[0] - np.outer(first[0], first[0]) / weight[0], None
    return centred_pair(second, first, weight)


def centred_pair(second: Array, first: Array, weight: Array) -> tuple[Array, Array]:
    """The scatter as `centred` has it, for sums of two limbs."""
    mean = dd.div(_pair(first), (np.full_like(first[0], weight[0]), np.full_like(first[0], weight[1])))
    square = dd.mul((mean[0][:, None], mean[1][:, None]), (first[0][None, :], first[1][None, :]))
    high, low = dd.sub(_pair(second), square)
    # The product above is symmetric only to rounding.
    upper = np.triu_indices(len(high))
    for part in (high, low):
        part[upper[1], upper[0]] = part[upper]
    return high, low


def _pair(a: Array) -> tuple[Array, Array]:
    return a[0], a[1] if len(a) == 2 else np.zeros_like(a[0])
