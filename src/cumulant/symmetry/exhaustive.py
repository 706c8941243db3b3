"""Every cyclic group of permutations of a few columns, weighed by its evidence.

A cyclic group is a generator up to powers coprime to its order, and all its generators have one cycle type. So the
search runs over cycle types. Within a type the Fourier basis of the cycles is the same for all generators: a gather of
p(p + 1)/2 numbers, one matrix product and a few small determinants weigh many thousands of groups at once.

References
----------
Graczyk, Ishi, Kołodziejek and Massam, "Model selection in the space of Gaussian models invariant by symmetry",
Annals of Statistics 50 (2022) 1747. The number of cyclic subgroups of S_p is OEIS A051625.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import gcd, lcm
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.symmetry.evidence import log_gamma_cone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Words = NDArray[np.int8]

__all__ = ["MOST_COLUMNS", "CyclicSearch", "search_cyclic"]

MOST_COLUMNS = 12
CHUNK = 1 << 14


@dataclass(frozen=True, eq=False)
class CyclicSearch:
    """The best cyclic groups of all, and what share of the posterior each holds.

    Parameters
    ----------
    images
        Generators (k, p), best first: column j goes to ``images[i, j]``.
    log_evidence
        Log marginal likelihood of each (k,), up to a constant common to all groups.
    log_total
        Logarithm of the sum over all groups tried, in the same units.
    identity
        Log marginal likelihood of no symmetry.
    tried
        How many groups there are.
    """

    images: Index
    log_evidence: Array
    log_total: float
    identity: float
    tried: int

    @property
    def probability(self) -> Array:
        """Posterior probability of each (k,), all cyclic groups being equally likely beforehand."""
        return np.asarray(np.exp(self.log_evidence - self.log_total))

    @property
    def log_bayes_factor(self) -> Array:
        """Log Bayes factor of each (k,) against no symmetry."""
        return np.asarray(self.log_evidence - self.identity)


def search_cyclic(
    scatter: Array, degrees: float, *, delta: float = 3.0, scale: float | None = None, keep: int = 100
) -> CyclicSearch:
    """Weigh every cyclic group of permutations of p columns.

    Parameters
    ----------
    scatter
        Centred sums of products (p, p).
    degrees
        Their degrees of freedom: rows less one for the mean.
    delta, scale
        The prior of the precision matrix, Wishart with ``delta`` and ``scale`` times the identity; by default 3 and the
        mean variance.
    keep
        How many of the best to return.

    Raises
    ------
    OptionError
        There are more than twelve columns.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 1.0, 3.0]
    >>> found = search_cyclic((x - x.mean(0)).T @ (x - x.mean(0)), 49)
    >>> found.images[0], found.tried
    (array([1, 0, 2]), 5)
    """
    p = len(scatter)
    if not 1 <= p <= MOST_COLUMNS:
        raise OptionError(f"every cyclic group of {p} columns is too much to try; choose 1 to {MOST_COLUMNS} columns")
    scale = float(np.trace(scatter)) / degrees / p if scale is None else scale
    upper = np.triu_indices(p)
    values = (scatter + scale * np.eye(p))[upper]
    place = np.zeros((p, p), dtype=np.int64)
    place[upper] = np.arange(len(values))
    place = np.maximum(place, place.T)
    best = _Best(p, keep)
    for lengths in _partitions(p):
        weigh = _Weigher(lengths, degrees, delta, scale)
        for words in _generators(lengths):
            for start in range(0, len(words), CHUNK):
                some = words[start : start + CHUNK]
                pairs = place[some[:, upper[0]], some[:, upper[1]]]
                best.add(some, lengths, weigh(values[pairs]))
    return best.result()


class _Best:
    """The best generators so far, and the sum over all."""

    def __init__(self, p: int, keep: int) -> None:
        self.keep = keep
        self.images = np.zeros((0, p), dtype=np.int64)
        self.scores = np.zeros(0)
        self.log_total, self.identity, self.tried = -np.inf, np.nan, 0

    def add(self, words: Words, lengths: tuple[int, ...], scores: Array) -> None:
        self.tried += len(words)
        top = float(scores.max())
        self.log_total = float(np.logaddexp(self.log_total, top + np.log(np.exp(scores - top).sum())))
        if lengths[0] == 1:
            self.identity = float(scores[0])
        some = np.argsort(-scores, kind="stable")[: self.keep]
        images = np.concatenate([self.images, _images(words[some].astype(np.int64), lengths)])
        scores = np.concatenate([self.scores, scores[some]])
        order = np.argsort(-scores, kind="stable")[: self.keep]
        self.images, self.scores = images[order], scores[order]

    def result(self) -> CyclicSearch:
        return CyclicSearch(self.images, self.scores, self.log_total, self.identity, self.tried)


def _partitions(p: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Cycle types: partitions of p, longest cycle first."""
    if p == 0:
        yield ()
        return
    for first in range(min(p, largest or p), 0, -1):
        for rest in _partitions(p - first, first):
            yield (first, *rest)


def _generators(lengths: tuple[int, ...]) -> Iterator[Words]:
    """One generator of every cyclic group of a cycle type, as words: the columns written cycle after cycle (m, p).

    Each cycle starts with its least column, cycles of one length are in order of their least columns, and of the
    generators of a group the one is kept whose word comes first.
    """
    p, starts = sum(lengths), list(accumulate(lengths, initial=0))[:-1]
    powers = _powers(lengths, starts)
    # All words are listed part by part, by the first cycle's first three columns, so that few are held at once.
    for head in _words(np.zeros((1, 0), dtype=np.int8), p, lengths, starts, min(3, p)):
        words = head[None]
        for done in range(min(3, p), p):
            words = _extended(words, p, lengths, starts, done)
        for power in powers:
            words = words[_not_after(words, words[:, power])]
        if len(words):
            yield words


def _words(words: Words, p: int, lengths: tuple[int, ...], starts: list[int], upto: int) -> Words:
    for done in range(upto):
        words = _extended(words, p, lengths, starts, done)
    return words


def _extended(words: Words, p: int, lengths: tuple[int, ...], starts: list[int], done: int) -> Words:
    """Words of one column more, in every way that keeps the rules of `_generators`."""
    cycle = max(c for c, s in enumerate(starts) if s <= done)
    used = np.zeros((len(words), p), dtype=bool)
    np.put_along_axis(used, words.astype(np.int64), values=True, axis=1)
    free = ~used
    columns = np.arange(p)
    if done > starts[cycle]:
        free &= columns > words[:, [starts[cycle]]]
    else:
        if cycle and lengths[cycle] == lengths[cycle - 1]:
            free &= columns > words[:, [starts[cycle - 1]]]
        # Enough greater columns must be left for the rest of the cycle, and of all cycles of its length.
        ahead = (~used)[:, ::-1].cumsum(axis=1)[:, ::-1]
        free &= ahead >= lengths[cycle] * (lengths[cycle:].count(lengths[cycle]))
    row, column = np.nonzero(free)
    return np.concatenate([words[row], column[:, None].astype(np.int8)], axis=1)


def _powers(lengths: tuple[int, ...], starts: list[int]) -> list[Index]:
    """How the letters of a word are rearranged by each power of its permutation that generates the same group."""
    order = lcm(*lengths)
    found = {
        tuple(s + (j * t) % n for s, n in zip(starts, lengths, strict=True) for t in range(n))
        for j in range(2, order)
        if gcd(j, order) == 1
    }
    found.discard(tuple(range(sum(lengths))))
    return [np.array(power, dtype=np.int64) for power in sorted(found)]


def _not_after(words: Words, others: Words) -> NDArray[np.bool_]:
    """Whether each word comes no later than the other."""
    difference = others != words
    first = difference.argmax(axis=1)[:, None]
    ahead = np.take_along_axis(words, first, axis=1) <= np.take_along_axis(others, first, axis=1)
    return np.asarray(ahead[:, 0])


def _images(words: Index, lengths: tuple[int, ...]) -> Index:
    out = np.empty_like(words)
    start = 0
    for n in lengths:
        cycle = words[:, start : start + n]
        np.put_along_axis(out, cycle, np.roll(cycle, -1, axis=1), axis=1)
        start += n
    return out


class _Weigher:
    """The log evidence of all groups of a cycle type, from the entries of the matrix in the order of their words.

    At frequency ω each cycle with a whole number of waves has one Fourier vector; the group leaves the Hermitian matrix
    between them free. Hence r cycles give a factor Γ_Ω(b) |H|^{-b} / Γ_Ω(a) |H₀|^{-a} (Graczyk et al., eqs. 27 and 33).
    """

    def __init__(self, lengths: tuple[int, ...], degrees: float, delta: float, scale: float) -> None:
        p = sum(lengths)
        starts = list(accumulate(lengths, initial=0))[:-1]
        rows, columns = np.triu_indices(p)
        self.constant = 0.0
        self.blocks: list[tuple[Array, Array | None, float]] = []
        for omega in sorted({Fraction(j, n) for n in lengths for j in range(n // 2 + 1)}):
            waves = []
            for s, n in zip(starts, lengths, strict=True):
                if (omega * n).denominator == 1:
                    wave = np.zeros(p, dtype=np.complex128)
                    wave[s : s + n] = np.exp(2j * np.pi * float(omega) * np.arange(n)) / np.sqrt(n)
                    waves.append(wave)
            v, r = np.array(waves), len(waves)
            d = 1 if omega in (0, Fraction(1, 2)) else 2
            a = d * (delta - 2) / 2 + 1 + d * (r - 1) / 2
            b = a + d * degrees / 2
            # With k = d: ln Γ(b) − ln Γ(a) − (b − a) r ln(k/2) + a r ln(scale) − b ln |H|.
            self.constant += log_gamma_cone(b, r, d) - log_gamma_cone(a, r, d) - (b - a) * r * np.log(d / 2)
            self.constant += a * r * np.log(scale)
            low = np.tril_indices(r)
            bra, ket = v[low[0]].conj(), v[low[1]]
            outer = bra[:, rows] * ket[:, columns]
            outer += np.where(rows != columns, bra[:, columns] * ket[:, rows], 0)
            real = np.ascontiguousarray(outer.real.T)
            imaginary = np.ascontiguousarray(outer.imag.T) if d == 2 and r > 1 else None
            self.blocks.append((real, imaginary, b))

    def __call__(self, entries: Array) -> Array:
        out = np.full(len(entries), self.constant)
        for real, imaginary, b in self.blocks:
            packed = entries @ real
            if imaginary is not None:
                packed = packed + 1j * (entries @ imaginary)
            out -= b * _log_determinants(packed)
        return out


def _log_determinants(packed: NDArray[np.inexact]) -> Array:
    """Log determinants of positive Hermitian matrices, given by their lower triangles (m, r(r + 1)/2).

    Symmetric elimination, one step for all matrices together.
    """
    r = int((np.sqrt(8 * packed.shape[1] + 1) - 1) / 2)
    h = {(i, j): packed[:, i * (i + 1) // 2 + j] for i in range(r) for j in range(i + 1)}
    out = np.zeros(len(packed))
    for k in range(r):
        pivot = h[k, k].real
        out += np.log(pivot)
        for i in range(k + 1, r):
            factor = h[i, k] / pivot
            for j in range(k + 1, i + 1):
                h[i, j] = h[i, j] - factor * h[j, k].conj()
    return out
