"""Classes of any number of two-valued fields, F = −h·s − Σ_{i<j} J_ij s_i s_j; their oracle enumerates all states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.notebook.arrays import cells, edge_cells, triple_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["SPIN_FAMILIES", "SpinFamily", "SpinMoments", "enumerate_spins"]

Values = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SpinMoments:
    """Means of spins and of their products.

    Parameters
    ----------
    mean
        ⟨s_i⟩ (n,).
    pairs
        ⟨s_i s_j⟩ (n, n).
    triples
        ⟨s_i−1 s_i s_i+1⟩ around the ring (n,), where they are known.
    """

    mean: Array
    pairs: Array
    triples: Array | None


@dataclass(frozen=True)
class SpinFamily:
    """A class of spins.

    Parameters
    ----------
    reduce
        All moments to those of the page.
    expand
        The page's moments and couplings to (h (n,), J (n, n)).
    example
        Random couplings (h, J) of the class, for `verify`.
    variances
        The page's moments and couplings to N times the variance of each coupling.
    sizes
        Numbers of spins at which `verify` tests the page.
    """

    reduce: Callable[[SpinMoments], dict[str, Any]]
    expand: Callable[[Values, Values], tuple[Array, Array]]
    example: Callable[[np.random.Generator, int], tuple[Array, Array]]
    variances: Callable[[Values, Values], dict[str, Any]]
    sizes: tuple[int, ...]


def enumerate_spins(h: Array, J: Array) -> SpinMoments:
    """Moments by a sum over all 2ⁿ states, the slow way."""
    n = len(h)
    s = np.array([[1.0 if state >> i & 1 else -1.0 for i in range(n)] for state in range(2**n)])
    minus_f = s @ h + 0.5 * np.einsum("ki,ij,kj->k", s, J, s)
    p = np.exp(minus_f - minus_f.max())
    p /= p.sum()
    around = np.roll(s, 1, axis=1) * s * np.roll(s, -1, axis=1)
    return SpinMoments(p @ s, (s * p[:, None]).T @ s, p @ around)


# ---------------------------------------------------------------------------------- no couplings


def _alone(m: SpinMoments) -> dict[str, Any]:
    return {"m": m.mean}


def _alone_couplings(_: Values, couplings: Values) -> tuple[Array, Array]:
    n = len(couplings["h"])
    return np.asarray(couplings["h"]), np.zeros((n, n))


def _alone_variances(moments: Values, _: Values) -> dict[str, Any]:
    return {"h": 1 / (1 - moments["m"] ** 2)}


# ---------------------------------------------------------------------------------- forests


def _on(edges: Index, m: SpinMoments) -> dict[str, Any]:
    return {"m": m.mean, "q": m.pairs[edges[:, 0], edges[:, 1]], "edges": edges}


def _chain(m: SpinMoments) -> dict[str, Any]:
    return _on(_chain_edges(len(m.mean)), m)


def _chain_edges(n: int) -> Index:
    return np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)


def _star(m: SpinMoments) -> dict[str, Any]:
    return _on(_star_edges(len(m.mean)), m)


def _star_edges(n: int) -> Index:
    return np.stack([np.zeros(n - 1, dtype=np.int64), np.arange(1, n)], axis=1)


def _tree(m: SpinMoments) -> dict[str, Any]:
    """The tree of largest total mutual information (Chow & Liu 1968), which is the likeliest."""
    return _on(_heaviest_tree(_information(m)), m)


def _information(m: SpinMoments) -> Array:
    """Mutual information of each pair, in nats (n, n)."""
    p = cells(m.mean[:, None], m.mean[None, :], m.pairs)
    up, down = (1 + m.mean) / 2, (1 - m.mean) / 2
    alone = np.stack([np.outer(x, y) for x in (up, down) for y in (up, down)])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / alone), 0.0)
    return np.asarray(terms.sum(axis=0))


def _heaviest_tree(weight: Array) -> Index:
    """Edges (n − 1, 2) of the spanning tree of largest weight, by Prim's algorithm."""
    n = len(weight)
    best, nearest = weight[0].copy(), np.zeros(n, dtype=np.int64)
    best[0] = -np.inf
    edges = []
    for _ in range(n - 1):
        new = int(np.argmax(best))
        edges.append((min(new, int(nearest[new])), max(new, int(nearest[new]))))
        closer = (weight[new] > best) & (best > -np.inf)
        nearest[closer] = new
        best = np.where(closer, weight[new], best)
        best[new] = -np.inf
    return np.array(sorted(edges), dtype=np.int64).reshape(-1, 2)


def _forest_couplings(moments: Values, couplings: Values) -> tuple[Array, Array]:
    h, edges = np.asarray(couplings["h"]), moments["edges"]
    J = np.zeros((len(h), len(h)))
    J[edges[:, 0], edges[:, 1]] = J[edges[:, 1], edges[:, 0]] = couplings["J"]
    return h, J


def _forest_variances(moments: Values, _: Values) -> dict[str, Any]:
    """Woolf's variance of a log odds ratio; of a field, its own spin's and each edge's share, which are independent."""
    m = moments["m"]
    table, ends = edge_cells(m, moments["q"], moments["edges"])
    per_edge = (1 / table).sum(axis=0) / 16
    degree = np.bincount(ends.ravel(), minlength=len(m))
    shared = np.bincount(ends.ravel(), np.repeat(per_edge, 2), minlength=len(m))
    return {"h": (1 - degree) / (1 - m**2) + shared, "J": per_edge}


def _random_forest(edges: Callable[[int], Index]) -> Callable[[np.random.Generator, int], tuple[Array, Array]]:
    def example(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        J = np.zeros((n, n))
        for i, j in edges(n):
            J[i, j] = J[j, i] = rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
        return rng.normal(scale=0.5, size=n), J

    return example


def _some_tree(n: int) -> Index:
    return np.array([(int(np.random.default_rng(i).integers(i)), i) for i in range(1, n)], dtype=np.int64)


# ---------------------------------------------------------------------------------- rings


def _ring(m: SpinMoments) -> dict[str, Any]:
    n = len(m.mean)
    if m.triples is None:
        raise OptionError(
            "a ring of spins in a field needs the means of three neighbours: measure with order=3; or declare that "
            "there is no field, with the group cumulant.symmetry.z2"
        )
    at = np.arange(n)
    neighbours, across = m.pairs[at, (at + 1) % n], m.pairs[at - 1, (at + 1) % n]
    return {"m": m.mean, "q1": neighbours, "q2": across, "t": m.triples}


def _ring_couplings(_: Values, couplings: Values) -> tuple[Array, Array]:
    h, bonds = np.asarray(couplings["h"]), np.asarray(couplings["J"])
    n = len(h)
    J, at = np.zeros((n, n)), np.arange(n)
    J[at, (at + 1) % n] = J[(at + 1) % n, at] = bonds
    return h, J


def _random_ring(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    J, at = np.zeros((n, n)), np.arange(n)
    J[at, (at + 1) % n] = J[(at + 1) % n, at] = rng.uniform(-0.8, 0.8, size=n)
    return rng.normal(scale=0.4, size=n), J


def _ring_variances(moments: Values, _: Values) -> dict[str, Any]:
    """Of a bond the two ends' estimates are averaged, as if they erred alike: an upper bound."""
    p = triple_cells(*(moments[name] for name in ("m", "q1", "q2", "t")))
    one = (1 / p).sum(axis=(0, 1, 2)) / 64
    return {"h": one, "J": ((np.sqrt(one) + np.sqrt(np.roll(one, -1))) / 2) ** 2}


# ---------------------------------------------------------------------------------- exchangeable spins


def _magnet(m: SpinMoments) -> dict[str, Any]:
    n = len(m.mean)
    pairs = (float(m.pairs.sum()) - float(np.trace(m.pairs))) / (n * (n - 1))
    return {"m": float(m.mean.mean()), "q": pairs, "n": float(n)}


def _magnet_couplings(moments: Values, couplings: Values) -> tuple[Array, Array]:
    n = int(moments["n"])
    return np.full(n, couplings["h"]), couplings["J"] / n * (np.ones((n, n)) - np.eye(n))


def _random_magnet(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return _magnet_couplings({"n": n}, {"h": rng.normal(scale=0.2), "J": rng.uniform(-0.5, 1.5)})


def _magnet_variances(moments: Values, couplings: Values) -> dict[str, Any]:
    """Inverse Fisher information: the covariance of Σs and Σ_{i<j} s_i s_j/n, over the n + 1 values of Σs."""
    from scipy.special import gammaln

    n, h, J = int(moments["n"]), couplings["h"], couplings["J"]
    S = np.arange(-n, n + 1, 2, dtype=np.float64)
    T = np.stack([S, (S**2 - n) / (2 * n)])
    log_p = h * T[0] + J * T[1] - gammaln((n + S) / 2 + 1) - gammaln((n - S) / 2 + 1)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    deviation = T - (T @ p)[:, None]
    variance = np.diag(np.linalg.inv((deviation * p) @ deviation.T))
    return {"h": float(variance[0]), "J": float(variance[1])}


SPIN_FAMILIES: dict[str, SpinFamily] = {
    "independent": SpinFamily(
        _alone, _alone_couplings, lambda rng, n: (rng.normal(size=n), np.zeros((n, n))), _alone_variances, (1, 4)
    ),
    "chain": SpinFamily(_chain, _forest_couplings, _random_forest(_chain_edges), _forest_variances, (2, 3, 8)),
    "star": SpinFamily(_star, _forest_couplings, _random_forest(_star_edges), _forest_variances, (2, 4, 8)),
    "tree": SpinFamily(_tree, _forest_couplings, _random_forest(_some_tree), _forest_variances, (2, 5, 9)),
    "spin-ring": SpinFamily(_ring, _ring_couplings, _random_ring, _ring_variances, (3, 4, 7)),
    "magnet": SpinFamily(_magnet, _magnet_couplings, _random_magnet, _magnet_variances, (2, 3, 6, 10)),
}
