"""Gaussian classes of any number of fields: how full moments become those of a page, and couplings a full F.

Each family has a slow, obvious twin of its page: `expand` writes the whole precision matrix out, so that LAPACK's
inverse, which knows of no symmetry, is the oracle of the page's formulas.

Standard errors. Sample covariances fluctuate as a Wishart matrix does, and K = C⁻¹ of the averaged C as one of scale K:
the mean of K over an orbit of pairs with indicator A (symmetric, of sum 1) has the variance 2 tr(A K A K)/N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import toeplitz

from cumulant.notebook.arrays import dft, idft
from cumulant.notebook.patterns import displacement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["FAMILIES", "Family", "Shape"]

Shape = tuple[int, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """A Gaussian class of any number of fields.

    Parameters
    ----------
    reduce
        Mean (p,), covariance (p, p) with the fields in the order of the family, and shape, to the page's moments.
    expand
        The page's couplings and a shape, to the precision matrix (p, p).
    spread
        A value of one orbit of fields and a shape, to a vector (p,); None where there is no term of first order.
    variances
        The page's moments and couplings, to N times the variance of each coupling.
    shapes
        Sizes at which `verify` tests the page.
    """

    reduce: Callable[[Array, Array, Shape], dict[str, Any]]
    expand: Callable[[Values, Shape], Array]
    spread: Callable[[Any, Shape], Array] | None
    variances: Callable[[Values, Values], dict[str, Any]]
    shapes: tuple[Shape, ...]


def _wishart(K: Array) -> Array:
    """N times the variance of each element of a precision matrix of N rows."""
    diagonal = np.diag(K)
    return np.asarray(np.outer(diagonal, diagonal) + K**2)


# ---------------------------------------------------------------------------------- no symmetry; even


def _full(mean: Array, C: Array, _: Shape) -> dict[str, Any]:
    return {"mu": mean, "C": C}


def _full_precision(couplings: Values, _: Shape) -> Array:
    return np.asarray(couplings["K"])


def _full_variances(moments: Values, couplings: Values) -> dict[str, Any]:
    K, h = couplings["K"], couplings["h"]
    return {"K": _wishart(K), "h": np.diag(K) * (1 - h @ moments["mu"]) + h**2}


def _itself(value: Any, _: Shape) -> Array:
    return np.asarray(value)


def _even(mean: Array, C: Array, _: Shape) -> dict[str, Any]:
    return {"M": C + np.outer(mean, mean)}


def _even_variances(_: Values, couplings: Values) -> dict[str, Any]:
    return {"K": _wishart(couplings["K"])}


# ---------------------------------------------------------------------------------- exchangeable fields and blocks


def _exchangeable(mean: Array, C: Array, shape: Shape) -> dict[str, Any]:
    (n,) = shape
    diagonal = float(np.trace(C)) / n
    pairs = (float(C.sum()) - n * diagonal) / (n * (n - 1))
    return {"mu": float(mean.mean()), "v": diagonal, "c": pairs, "n": float(n)}


def _exchangeable_precision(couplings: Values, shape: Shape) -> Array:
    (n,) = shape
    return np.asarray((couplings["d"] - couplings["o"]) * np.eye(n) + couplings["o"] * np.ones((n, n)))


def _exchangeable_variances(moments: Values, couplings: Values) -> dict[str, Any]:
    n, d, o = moments["n"], couplings["d"], couplings["o"]
    common, contrast = d + (n - 1) * o, d - o
    return {
        "h": 2 * couplings["h"] ** 2 + common / n,
        "d": 2 * (common**2 + (n - 1) * contrast**2) / n**2,
        "o": 2 * (common**2 + contrast**2 / (n - 1)) / n**2,
    }


def _blocks(mean: Array, C: Array, shape: Shape) -> dict[str, Any]:
    b, k = shape
    parts = C.reshape(b, k, b, k)
    own = np.einsum("iaic->ac", parts) / b
    others = (parts.sum(axis=(0, 2)) - b * own) / (b * (b - 1))
    return {"mu": mean.reshape(b, k).mean(axis=0), "A": own, "B": others, "b": float(b)}


def _blocks_precision(couplings: Values, shape: Shape) -> Array:
    b, _ = shape
    return np.kron(np.eye(b), couplings["D"] - couplings["O"]) + np.kron(np.ones((b, b)), couplings["O"])


def _blocks_variances(moments: Values, couplings: Values) -> dict[str, Any]:
    b, D, O, h = moments["b"], couplings["D"], couplings["O"], couplings["h"]
    common = D + (b - 1) * O
    one, two = _wishart(common), _wishart(D - O)
    return {
        "h": np.diag(common) * (1 / b - h @ moments["mu"]) + h**2,
        "D": (one + (b - 1) * two) / b**2,
        "O": (one + two / (b - 1)) / b**2,
    }


def _repeated(value: Any, shape: Shape) -> Array:
    return np.tile(value, shape[0])


# ---------------------------------------------------------------------------------- translations of a ring or a torus


def _translations(mean: Array, C: Array, shape: Shape) -> dict[str, Any]:
    """Averages of C over pairs at equal displacement on a ring, or on a torus of two and more dimensions."""
    total = np.bincount(displacement(shape).ravel(), C.ravel(), minlength=len(C))
    return {"mu": float(mean.mean()), "c": (total / len(C)).reshape(shape)}


def _translations_precision(couplings: Values, shape: Shape) -> Array:
    return np.asarray(np.asarray(couplings["k"]).ravel()[displacement(shape)])


def _translations_variances(moments: Values, couplings: Values) -> dict[str, Any]:  # noqa: ARG001
    k = np.asarray(couplings["k"])
    eigenvalues = dft(k)
    q = idft(eigenvalues**2)
    # Displacement 2r, around each axis.
    twice = q[np.ix_(*[2 * np.arange(n) % n for n in k.shape])]
    return {"h": 2 * couplings["h"] ** 2 + eigenvalues.flat[0] / k.size, "k": (q.flat[0] + twice) / k.size}


def _constant(value: Any, shape: Shape) -> Array:
    return np.full(int(np.prod(shape)), value)


# ---------------------------------------------------------------------------------- vectors that are rotated together


def _vectors(mean: Array, C: Array, shape: Shape) -> dict[str, Any]:
    m, n = shape
    second = (C + np.outer(mean, mean)).reshape(m, n, m, n)
    return {"A": np.einsum("iaja->ij", second) / n, "n": float(n)}


def _vectors_precision(couplings: Values, shape: Shape) -> Array:
    _, n = shape
    return np.asarray(np.kron(couplings["P"], np.eye(n)))


def _vectors_variances(moments: Values, couplings: Values) -> dict[str, Any]:
    return {"P": _wishart(couplings["P"]) / moments["n"]}


# ---------------------------------------------------------------------------------- stationary in time


def _time(_: Array, C: Array, shape: Shape) -> dict[str, Any]:
    (n,) = shape
    return {"c": np.array([np.diagonal(C, lag).mean() for lag in range(n)])}


def _time_precision(couplings: Values, shape: Shape) -> Array:
    """The inverse of a Toeplitz matrix, as two products of triangular ones (Gohberg & Semencul 1972)."""
    (n,) = shape
    first = np.concatenate([[1.0], -np.asarray(couplings["a"])])
    last = np.concatenate([[0.0], first[:0:-1]])
    lower, upper = toeplitz(first, np.zeros(n)), toeplitz(last, np.zeros(n))
    return np.asarray((lower @ lower.T - upper @ upper.T) / couplings["s2"])


def _time_variances(moments: Values, couplings: Values) -> dict[str, Any]:
    c, s2 = np.asarray(moments["c"]), couplings["s2"]
    return {"a": s2 * np.diag(np.linalg.inv(toeplitz(c[:-1]))), "s2": 2 * s2**2}


FAMILIES: dict[str, Family] = {
    "full": Family(_full, _full_precision, _itself, _full_variances, ((1,), (2,), (5,))),
    "even": Family(_even, _full_precision, None, _even_variances, ((1,), (2,), (5,))),
    "exchangeable": Family(
        _exchangeable, _exchangeable_precision, _constant, _exchangeable_variances, ((2,), (3,), (7,), (20,))
    ),
    "blocks": Family(_blocks, _blocks_precision, _repeated, _blocks_variances, ((2, 2), (3, 2), (4, 3))),
    "ring": Family(
        _translations, _translations_precision, _constant, _translations_variances, ((3,), (5,), (8,), (13,))
    ),
    "grid": Family(
        _translations, _translations_precision, _constant, _translations_variances, ((2, 2), (3, 4), (5, 5))
    ),
    "time": Family(_time, _time_precision, None, _time_variances, ((2,), (4,), (7,))),
    "vectors": Family(_vectors, _vectors_precision, None, _vectors_variances, ((1, 2), (2, 3), (3, 3))),
}
