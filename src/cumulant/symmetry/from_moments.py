"""Candidates from the moments alone: exchangeable blocks, matched columns, rings, independent blocks.

Each finder is a guess that costs little beside the weighing that follows, and says how many groups it chose among.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial, lgamma, log, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.symmetry.candidates import Candidate, Observed
from cumulant.symmetry.catalogue import cyclic, z2
from cumulant.symmetry.exhaustive import search_cyclic
from cumulant.symmetry.group import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = [
    "every_cyclic",
    "exchangeable",
    "independent",
    "matched",
    "rings",
    "transposition_tails",
    "uncorrelated_blocks",
]

# Up to so many columns every cyclic group is tried; a search by pairs goes on up to MATCHED, one by waves up to RINGS.
# Up to GRAPHS columns the graph of correlations shows rings of neighbours.
EVERY = 7
GRAPHS = 100
MATCHED = 48
RINGS = 400
SEEDS = 200
CUTS = (0.2, 0.01, 1e-4)


def exchangeable(observed: Observed) -> Iterator[Candidate]:
    """Blocks of columns any two of which may be exchanged, at a few degrees of strictness."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    p = len(observed.columns)
    tails = transposition_tails(observed.covariance, observed.degrees)
    if p < 3 or tails is None:
        return
    apart = 1.0 - tails
    np.fill_diagonal(apart, 0.0)
    tree = linkage(squareform(apart, checks=False), "complete")
    for cut in CUTS:
        label = fcluster(tree, 1.0 - cut, "distance")
        blocks = [np.flatnonzero(label == b) for b in np.unique(label)]
        large = sorted((b for b in blocks if len(b) > 1), key=len, reverse=True)
        if not large:
            continue
        names = [[observed.columns[i] for i in b] for b in large]
        group = _exchanged(observed.columns, large)
        yield Candidate(group, "moments", f"exchangeable blocks: {_shown(names)}", _log_partitions(p))


def transposition_tails(covariance: Array, degrees: float) -> Array | None:
    """For each two columns, P(likelihood ratio ≥ seen) if they may be exchanged (p, p); None where rows are too few.

    Exchanging i and j leaves the covariance alone if x_i − x_j is uncorrelated with x_i + x_j and all other columns.
    The share of its variance that they do not explain is 1/(aᵀS a · aᵀS⁻¹a), and has a beta distribution.
    """
    from scipy.special import betainc

    p = len(covariance)
    sign, _ = np.linalg.slogdet(covariance)
    if degrees < p + 2 or sign <= 0:
        return None
    precision = np.linalg.inv(covariance)
    share = 1.0 / np.maximum(_differences(covariance) * _differences(precision), 1.0)
    tails = betainc(0.5 * (degrees - p + 1), 0.5 * (p - 1), share)
    np.fill_diagonal(tails, 1.0)
    return np.asarray(tails)


def _differences(matrix: NDArray[Any]) -> Array:
    own = np.diag(matrix).astype(np.float64)
    return np.asarray(0.5 * (own[:, None] + own[None, :]) - matrix + np.eye(len(matrix)))


def every_cyclic(observed: Observed) -> Iterator[Candidate]:
    """The best of all cyclic groups of permutations, where the columns are few."""
    p = len(observed.columns)
    if not 2 <= p <= EVERY:
        return
    unit = np.sqrt(np.diag(observed.covariance).mean())
    found = search_cyclic(observed.covariance * observed.degrees / unit**2, observed.degrees, keep=3)
    for image in found.images:
        if (image != np.arange(p)).any():
            group = Group.of(list(observed.columns), [image.tolist()], name=_cycle_name(image, observed.columns))
            yield Candidate(group, "moments", f"among the best of all {found.tried} cyclic groups", log(found.tried))


def matched(observed: Observed) -> Iterator[Candidate]:
    """An exchange of several pairs at once, each pair alike in variance and in correlation with all others."""
    p = len(observed.columns)
    if not EVERY < p <= MATCHED or observed.degrees < 4:
        return
    logs = 0.5 * np.log(np.diag(observed.covariance))
    sd = np.exp(logs)
    z = np.arctanh(np.clip(observed.covariance / np.outer(sd, sd), -1 + 1e-9, 1 - 1e-9) * (1 - np.eye(p)))
    # In units of their standard errors.
    z, logs = z * np.sqrt(observed.degrees), logs * np.sqrt(2 * observed.degrees)
    profile = np.sort(z, axis=1)
    unlike = ((profile[:, None] - profile[None]) ** 2).sum(axis=2) / p + (logs[:, None] - logs) ** 2
    rows, columns = np.triu_indices(p, 1)
    seeds = np.argsort(unlike[rows, columns])[:SEEDS]
    best: dict[tuple[int, ...], float] = {}
    for i, j in zip(rows[seeds], columns[seeds], strict=True):
        image = _extended(int(i), int(j), z, logs)
        best[tuple(image.tolist())] = _merit(image, z, logs, observed.degrees)
    for found in sorted(best, key=lambda g: -best[g])[:2]:
        image = np.array(found)
        swaps = int((image != np.arange(p)).sum()) // 2
        ways = lgamma(p + 1) - swaps * log(2) - lgamma(swaps + 1) - lgamma(p - 2 * swaps + 1)
        if best[found] > 0 and swaps:
            group = Group.of(list(observed.columns), [image.tolist()], name=_cycle_name(image, observed.columns))
            yield Candidate(group, "moments", f"{swaps} matched pairs", ways)


def _extended(i: int, j: int, z: Array, logs: Array) -> Index:
    """The involution that exchanges i and j, and with them what lies alike to the two of them."""
    from scipy.optimize import linear_sum_assignment

    p = len(z)
    rest = np.setdiff1d(np.arange(p), [i, j])
    a, b = z[rest, i], z[rest, j]
    cost = (a[:, None] - b[None]) ** 2 + (b[:, None] - a[None]) ** 2 + (logs[rest][:, None] - logs[rest]) ** 2
    to = linear_sum_assignment(cost)[1]
    image = np.arange(p)
    image[i], image[j] = j, i
    both = to[to] == np.arange(len(to))
    image[rest[both]] = rest[to[both]]
    return image


def _merit(image: Index, z: Array, logs: Array, degrees: float) -> float:
    """Parameters saved, at BIC's price each, less the misfit of the numbers that the exchange makes equal."""
    change = 0.25 * ((z - z[np.ix_(image, image)]) ** 2)[np.triu_indices(len(z), 1)]
    moved = 0.25 * (logs - logs[image]) ** 2
    saved = 0.5 * ((change > 0).sum() + (moved > 0).sum())
    return float(0.5 * saved * np.log(degrees + 1) - 0.5 * (change.sum() + moved.sum()))


def rings(observed: Observed) -> Iterator[Candidate]:
    """Columns in the order of their phase in a pair of waves: on a ring, eigenvectors come as cosine and sine."""
    p = len(observed.columns)
    if p > GRAPHS:
        yield from _by_neighbours(observed)
    if not EVERY < p <= RINGS:
        return
    w, v = np.linalg.eigh(_correlation(observed))
    w, v = w[::-1], v[:, ::-1]
    even = np.abs(v.sum(axis=0)) / np.sqrt(p) < 0.5
    w, v = w[even], v[:, even]
    pairs = [k for k in range(min(len(w) - 1, 6)) if w[k + 1] > 0.7 * w[k]]
    for k in pairs[:2]:
        phase = np.arctan2(v[:, k + 1], v[:, k])
        names = [observed.columns[i] for i in np.argsort(phase)]
        why = f"a ring by phase: {', '.join(names[:4])}, …"
        yield Candidate(cyclic(names).on(observed.columns), "moments", why, lgamma(p) - log(2))


def _by_neighbours(observed: Observed) -> Iterator[Candidate]:
    """A ring on which each column goes with two others more than with any other, where that closes one."""
    p, r = len(observed.columns), _correlation(observed)
    np.fill_diagonal(r, -np.inf)
    nearest = np.argpartition(-r, 2, axis=1)[:, :2]
    order = [0, int(nearest[0, 0])]
    while len(order) < p:
        ahead = [int(i) for i in nearest[order[-1]] if i != order[-2]]
        if order[-2] not in nearest[order[-1]] or ahead[0] == order[0]:
            return
        order.append(ahead[0])
    if {order[0], order[-2]} != set(nearest[order[-1]].tolist()) or order[-1] not in nearest[0]:
        return
    names = [observed.columns[i] for i in order]
    why = f"a ring by neighbours: {', '.join(names[:4])}, …"
    yield Candidate(cyclic(names).on(observed.columns), "moments", why, lgamma(p) - log(2))


def _correlation(observed: Observed) -> Array:
    unit = np.sqrt(np.diag(observed.covariance))
    return np.asarray(observed.covariance / np.outer(unit, unit))


def independent(observed: Observed) -> Iterator[Candidate]:
    """Blocks without a correlation between them: each may flip its sign."""
    p = len(observed.columns)
    at = uncorrelated_blocks(observed)
    if len(at) < 2:
        return
    blocks = [[observed.columns[i] for i in block] for block in at]
    flips = z2(observed.columns, blocks)
    yield Candidate(flips, "moments", f"independent blocks: {_shown(blocks)}", p * log(len(at)))


def uncorrelated_blocks(observed: Observed) -> list[Index]:
    """The finest blocks of columns between which no correlation is significant among all."""
    from scipy.sparse.csgraph import connected_components
    from scipy.special import ndtri

    p = len(observed.columns)
    r = _correlation(observed)
    limit = -ndtri(0.005 / max(1, p * (p - 1) // 2)) / np.sqrt(observed.degrees)
    count, label = connected_components(np.abs(r) > limit, directed=False)
    return [np.flatnonzero(label == b) for b in range(count)]


def _exchanged(columns: tuple[str, ...], blocks: list[Index]) -> Group:
    """All permutations within each block, S × S × …."""
    p = len(columns)
    images = []
    for block in blocks:
        for to in (np.roll(block, 1), np.concatenate([block[1::-1], block[2:]]))[: 2 if len(block) > 2 else 1]:
            image = np.arange(p)
            image[block] = to
            images.append(image)
    name = " × ".join(f"S{len(block)}" for block in blocks)
    return Group(
        p, np.array(images), np.ones((len(images), p), dtype=np.int64), (), name, columns,
        prod(factorial(len(block)) for block in blocks),
    )  # fmt: skip


def _shown(blocks: list[list[str]]) -> str:
    first = ["{" + ", ".join(b[:3]) + (", …" if len(b) > 3 else "") + "}" for b in blocks[:3]]
    return " ".join(first) + (" …" if len(blocks) > 3 else "")


def _cycle_name(image: Index, columns: tuple[str, ...]) -> str:
    """Cycles of names, shortened."""
    cycles, seen = [], set()
    for start in range(len(image)):
        cycle, at = [], start
        while at not in seen:
            seen.add(at)
            cycle.append(columns[at])
            at = int(image[at])
        if len(cycle) > 1:
            cycles.append(f"({' '.join(cycle[:6])}{' …' if len(cycle) > 6 else ''})")
    return "".join(cycles[:4]) + (" …" if len(cycles) > 4 else "")


def _log_partitions(n: int) -> float:
    """ln of the number of ways to split n columns into blocks, Bell's, by the series of Dobinski: Σ kⁿ / k! / e."""
    from scipy.special import gammaln, logsumexp

    k = np.arange(1, 2 * n + 20)
    return float(logsumexp(n * np.log(k) - gammaln(k + 1)) - 1)
