"""Functions of vectors and matrices for the formulas of pages, closed but for one (of Curie and Weiss)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.special import gammaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["ARRAY_FUNCTIONS", "cells", "dft", "edge_cells", "idft", "triple_cells"]

NEWTON_STEPS = 60


def dft(c: Array) -> Array:
    """Eigenvalues of the circulant matrix whose first row, even in the displacement, is c; over all axes."""
    return np.asarray(np.fft.fftn(c).real)


def idft(eigenvalues: Array) -> Array:
    """The first row of the circulant matrix with these eigenvalues."""
    return np.asarray(np.fft.ifftn(eigenvalues).real)


def norm(x: Array) -> float:
    """Length of a vector."""
    return float(np.sqrt(np.sum(np.square(x))))


def smallest_eigenvalue(M: Array) -> float:
    """Of a symmetric matrix."""
    return float(np.linalg.eigvalsh(M)[0])


def smallest(x: Array) -> float:
    """Smallest element."""
    return float(np.min(x))


def largest(x: Array) -> float:
    """Largest element."""
    return float(np.max(x))


def centred_rows(M: Array) -> Array:
    """Mean of each row, less the mean of all."""
    return np.asarray(M.mean(axis=1) - M.mean())


def centred_columns(M: Array) -> Array:
    """Mean of each column, less the mean of all."""
    return np.asarray(M.mean(axis=0) - M.mean())


def interaction(M: Array) -> Array:
    """What is left of a matrix when the means of its rows and columns are taken out."""
    return np.asarray(M - M.mean(axis=0) - M.mean(axis=1, keepdims=True) + M.mean())


# ---------------------------------------------------------------------------------- time


def levinson(c: Array) -> Array:
    """Coefficients a (p,) of the best prediction from the p last values, of the autocovariances c (p + 1,).

    Levinson's recursion solves the Yule-Walker equations in O(p²).
    """
    c = np.asarray(c)
    return np.asarray(solve_toeplitz(c[:-1], c[1:])) if len(c) > 1 else np.zeros(0)


def innovation(c: Array) -> float:
    """Variance of what that prediction leaves."""
    return float(c[0] - levinson(c) @ np.asarray(c)[1:])


# ---------------------------------------------------------------------------------- spins


def cells(a: Array, b: Array, q: Array) -> Array:
    """Probabilities (4, …) of (+ +), (+ −), (− +), (− −), from the means of two spins and of their product."""
    return np.stack([1 + a + b + q, 1 + a - b - q, 1 - a + b - q, 1 - a - b + q]) / 4


def edge_cells(m: Array, q: Array, edges: Index) -> tuple[Array, Index]:
    """The 2 × 2 tables of the edges (4, e), and their ends (e, 2)."""
    ends = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    return cells(m[ends[:, 0]], m[ends[:, 1]], q), ends


def bond(m: Array, q: Array, edges: Index) -> Array:
    """Coupling of each edge of a forest (e,): a quarter of the log odds ratio of its 2 × 2 table."""
    pp, pm, mp, mm = np.log(edge_cells(m, q, edges)[0])
    return np.asarray((pp - pm - mp + mm) / 4)


def forest_field(m: Array, q: Array, edges: Index) -> Array:
    """Field on each spin of a forest (n,): each edge adds what the other end does not explain."""
    table, ends = edge_cells(m, q, edges)
    pp, pm, mp, mm = np.log(table)
    alone = np.arctanh(m)
    h = alone.copy()
    np.add.at(h, ends[:, 0], (pp + pm - mp - mm) / 4 - alone[ends[:, 0]])
    np.add.at(h, ends[:, 1], (pp - pm + mp - mm) / 4 - alone[ends[:, 1]])
    return np.asarray(h)


def triple_cells(m: Array, q1: Array, q2: Array, t: Array) -> Array:
    """Probabilities (2, 2, 2, n) of the states + and − of a ring's three neighbours i − 1, i, i + 1.

    q1 holds ⟨s_i s_i+1⟩, q2 ⟨s_i−1 s_i+1⟩ and t ⟨s_i−1 s_i s_i+1⟩.
    """
    sign = np.array([1.0, -1.0])
    a, s, b = sign[:, None, None, None], sign[None, :, None, None], sign[None, None, :, None]
    left, right, before = np.roll(m, 1), np.roll(m, -1), np.roll(q1, 1)
    alone = a * left + s * m + b * right
    return np.asarray((1 + alone + a * s * before + s * b * q1 + a * b * q2 + a * s * b * t) / 8)


def ring_field(m: Array, q1: Array, q2: Array, t: Array) -> Array:
    """Field on each spin of a ring (n,): its log odds, averaged over the states of its neighbours."""
    log_p = np.log(triple_cells(m, q1, q2, t))
    return np.asarray((log_p[:, 0] - log_p[:, 1]).mean(axis=(0, 1)) / 2)


def ring_bond(m: Array, q1: Array, q2: Array, t: Array) -> Array:
    """Coupling of each spin of a ring to the next (n,): the mean of what both ends say."""
    log_p = np.log(triple_cells(m, q1, q2, t))
    odds = (log_p[:, 0] - log_p[:, 1]) / 2
    to_left = (odds[0] - odds[1]).mean(axis=0) / 2
    to_right = (odds[:, 0] - odds[:, 1]).mean(axis=0) / 2
    return np.asarray((to_right + np.roll(to_left, -1)) / 2)


def ring_margin(m: Array, q1: Array, q2: Array, t: Array) -> float:
    """Probability of the rarest state of three neighbours."""
    return float(triple_cells(m, q1, q2, t).min())


def forest_margin(m: Array, q: Array, edges: Index) -> float:
    """Probability of the rarest state of the two ends of an edge."""
    return float(edge_cells(m, q, edges)[0].min(initial=1.0))


def magnet(m: float, q: float, n: float) -> tuple[float, float]:
    """(h, J) of n exchangeable spins, F = −h Σs − (J/n) Σ_{i<j} s_i s_j, from the mean and the mean product of a pair.

    Newton's method on ln Z(h, J) − h⟨T₁⟩ − J⟨T₂⟩, which is convex and a sum of n + 1 terms, from the formula of
    large n.
    """
    size = int(n)
    S = np.arange(-size, size + 1, 2, dtype=np.float64)
    T = np.stack([S, (S**2 - size) / (2 * size)])
    target = np.array([size * m, (size - 1) * q / 2])
    up = (S + size) / 2
    base = gammaln(size + 1) - gammaln(up + 1) - gammaln(size - up + 1)
    theta = _magnet_of_many(m, q, size)
    value = _convex(theta, T, base, target)
    for _ in range(NEWTON_STEPS):
        log_p = theta @ T + base
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        mean = T @ p
        step = np.linalg.solve((T * p) @ T.T - np.outer(mean, mean), target - mean)
        scale = 1.0
        while scale > 1e-6 and not _convex(theta + scale * step, T, base, target) <= value + 1e-15 * abs(value):
            scale /= 2
        theta = theta + scale * step
        value = _convex(theta, T, base, target)
        if np.abs(step).max() < 1e-12 * max(1.0, float(np.abs(theta).max())):
            break
    return float(theta[0]), float(theta[1])


def _convex(theta: Array, T: Array, base: Array, target: Array) -> float:
    log_p = theta @ T + base
    top = log_p.max()
    return float(top + np.log(np.exp(log_p - top).sum()) - theta @ target)


def _magnet_of_many(m: float, q: float, n: int) -> Array:
    """The closed formula for n → ∞: χ = (1 − m²)/(1 − J(1 − m²)), h = atanh m − J m; J kept where it is safe."""
    rest = 1 - m * m
    chi = rest + (n - 1) * (q - m * m)
    J = min(max(1 / rest - 1 / max(chi, 1e-3 * rest), -5.0), 2.0 / rest)
    return np.array([np.arctanh(m) - J * m, J])


ARRAY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "bond": bond,
    "centred_columns": centred_columns,
    "centred_rows": centred_rows,
    "dft": dft,
    "forest_field": forest_field,
    "forest_margin": forest_margin,
    "idft": idft,
    "innovation": innovation,
    "interaction": interaction,
    "inv": np.linalg.inv,
    "largest": largest,
    "levinson": levinson,
    "magnet_bond": lambda m, q, n: magnet(m, q, n)[1],
    "magnet_field": lambda m, q, n: magnet(m, q, n)[0],
    "norm": norm,
    "ring_bond": ring_bond,
    "ring_field": ring_field,
    "ring_margin": ring_margin,
    "smallest": smallest,
    "smallest_eigenvalue": smallest_eigenvalue,
    "total": np.sum,
}
