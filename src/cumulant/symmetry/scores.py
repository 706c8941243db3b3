"""The scores of a symmetry: evidence, held-out likelihood, tests, and how much of the covariance breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.chain import order
from cumulant.symmetry.evidence import Shape, likelihood_ratio_mean, likelihood_ratio_tail, shapes
from cumulant.symmetry.likelihood import Score, scored
from cumulant.symmetry.reynolds import alike, parameters, reynolds
from cumulant.symmetry.rows import MOST_FOLDS, WIDE, Rows
from cumulant.symmetry.spectral import isotypic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Evidence", "weigh"]

# Columns so nearly dependent have no likelihood ratio.
SINGULAR = 1e12
RELABELLINGS = 20
FEW_RELABELLINGS = 5
FEWEST_FOLDS = 5
# Groups of order up to so many times the columns act step by step: reflections, rings, translations.
LOCAL = 8
# Elements of groups with several generators are counted up to so many columns.
MOST_ELEMENTS = 64


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the rows say about one symmetry.

    Parameters
    ----------
    scale
        ``"covariance"``, or ``"correlation"``: the symmetry is of the columns in units of their standard deviations.
    free, parameters
        Free parameters of the covariance without and with the symmetry.
    log_bayes_factor
        Log marginal likelihood with the symmetry less that without, each under the prior strength that suits it best.
    heldout
        Gain in log-likelihood a row, each fold predicted from the others; NaN with a single fold.
    p_value
        Of the likelihood ratio for Gaussian rows: small if the symmetry fails. NaN where rows are fewer than columns,
        cells are missing, or the scale is that of the correlation.
    p_folds
        Of the deviations from symmetry, their signs flipped fold by fold; whatever the distribution of the rows. NaN
        with fewer than five folds.
    p_mean
        The same for the mean: small if the symmetry moves it. No verdict rests on it.
    p_third
        The same for third moments, where they were measured: they alone tell a ring from one that may be run backwards,
        and whether all signs may flip.
    asymmetry
        Part of the covariance that breaks the symmetry (squared, less the noise), relative to the same for the group
        with its columns relabelled at random: 0 for a perfect symmetry, 1 for one no better than chance, NaN where
        relabelling changes nothing.
    step
        The same for one step of the generators, if the group is a reflection, a ring or translations: far less than
        ``asymmetry`` where the symmetry holds from neighbour to neighbour and drifts over the whole.
    worth_below
        Rows below which imposing the symmetry predicts better than leaving it out; infinite for an exact one, NaN where
        rows are too few to tell.
    enough_folds
        Whether the folds are many and large enough for `p_folds` to be trusted alone.
    """

    scale: str
    free: int
    parameters: int
    log_bayes_factor: float
    heldout: float
    p_value: float
    p_folds: float
    p_mean: float
    p_third: float
    asymmetry: float
    step: float
    worth_below: float
    enough_folds: bool = True

    @property
    def p_value_of_verdict(self) -> float:
        """That of the folds; with few or small folds also that of the likelihood ratio, whichever is less."""
        if self.enough_folds or not np.isfinite(self.p_value):
            return self.p_folds if np.isfinite(self.p_folds) else self.p_value
        return float(np.fmin(self.p_folds, self.p_value))


def weigh(rows: Rows, group: Group) -> Evidence:
    """Score one symmetry."""
    p = len(rows.columns)
    free, kept = p * (p + 1) // 2, parameters(group, 2)
    basis = isotypic(group)
    bayes, heldout = _gain(rows, scored(rows, group))
    even = reynolds(group, rows.covariance)
    # In units that the group leaves alone, so that no column drowns another.
    unit = np.sqrt(np.diag(even))
    square = np.outer(unit, unit)
    scaled = rows.in_units(unit)
    if rows.scale == "correlation":
        # Columns alike but for their scales are less to be expected the more scales there are: half BIC's price each.
        extra = p - alike(group).count
        kept, bayes = kept + extra, bayes - 0.25 * extra * np.log(rows.degrees + 1)
    p_value, worth_below = _likelihood_ratio(rows, even, shapes(basis), free - kept)
    broken = _broken(group, scaled.scatters)
    asymmetry, step = _asymmetry(scaled, group, rows.covariance / square, broken)
    if rows.scale == "correlation":
        broken = _broken(group, _of_correlations(rows))
    return Evidence(
        rows.scale, free, kept, bayes, heldout, p_value, _fold_test(_whitened(rows, even / square, broken)),
        _fold_test(_mean_deviations(scaled, group)), _third_test(scaled, group), asymmetry, step, worth_below,
        len(rows.counts) >= MOST_FOLDS and bool(rows.counts.min() >= 10),
    )  # fmt: skip


def _gain(rows: Rows, score: Score) -> tuple[float, float]:
    """Log Bayes factor against no symmetry, and the gain in log-likelihood a row of folds predicted from the others."""
    plain = rows.free
    total = float(rows.counts.sum())
    heldout = float((score.parts - plain.parts).sum() / total) if len(plain.parts) > 1 else np.nan
    return score.whole - plain.whole, heldout


def _likelihood_ratio(rows: Rows, even: Array, components: Sequence[Shape], lost: int) -> tuple[float, float]:
    """p-value of the likelihood ratio, and the number of rows below which the symmetry predicts better."""
    p = len(rows.columns)
    if not rows.complete or rows.scale == "correlation" or rows.degrees < p or not lost:
        return np.nan, np.nan
    if rows.log_determinant == -np.inf or rows.condition > SINGULAR:
        return np.nan, np.nan
    statistic = rows.degrees * float(np.linalg.slogdet(even)[1] - rows.log_determinant)
    excess = statistic - likelihood_ratio_mean(components, rows.degrees)
    worth = lost * rows.degrees / excess if excess > 0 else np.inf
    return likelihood_ratio_tail(components, statistic, rows.degrees), worth


def _broken(group: Group, matrices: Array) -> Array:
    """The part of matrices (K, p, p) that breaks the symmetry."""
    return np.array([c - reynolds(group, c) for c in matrices])


def _of_correlations(rows: Rows) -> Array:
    """What each fold adds to the sums of products of standardised columns, their scales fitted too (K, p, p).

    To first order a correlation moves by c_ij − r_ij (c_ii + c_jj)/2 with a row's products c.
    """
    r = rows.covariance
    own = np.einsum("kii->ki", rows.scatters)
    shares = rows.counts / rows.counts.sum() * rows.degrees
    return np.asarray(rows.scatters - 0.5 * r * (own[:, :, None] + own[:, None, :]) + shares[:, None, None] * r)


def _whitened(rows: Rows, even: Array, broken: Array) -> Array:
    """Deviations (K, p²) of folds from symmetry, in units of the symmetric covariance where the rows can tell it."""
    p = len(even)
    if rows.complete and p <= WIDE and rows.degrees >= 3 * p:
        w, v = np.linalg.eigh(even)
        whiten = v / np.sqrt(np.maximum(w, w[-1] / SINGULAR))
        broken = whiten.T @ broken @ whiten
    return np.asarray(broken.reshape(len(broken), -1))


def _third_test(scaled: Rows, group: Group) -> float:
    """Sign flips of the folds' third cumulants."""
    if scaled.thirds is None:
        return float("nan")
    return _fold_test(np.array([(t - reynolds(group, t)).ravel() for t in scaled.thirds]))


def _mean_deviations(scaled: Rows, group: Group) -> Array:
    """What each fold's mean adds to the part of the mean that breaks the symmetry (K, p)."""
    broken = scaled.mean - reynolds(group, scaled.mean)
    each = np.array([s - reynolds(group, s) for s in scaled.sums])
    return np.asarray(each + scaled.counts[:, None] * broken)


def _fold_test(deviations: Array) -> float:
    """Share of sign flips of the folds that give a sum as long as the one seen.

    If a symmetry holds, what each fold contributes is as likely as its negative: exactly so for a symmetry of order two
    of the distribution, and nearly for sums over many rows.
    """
    k = len(deviations)
    if k < FEWEST_FOLDS:
        return float("nan")
    gram = deviations @ deviations.T
    if k <= 12:
        flips = np.array([(1, *rest) for rest in product((1, -1), repeat=k - 1)], dtype=np.float64)
    else:
        flips = np.where(np.random.default_rng(0).random((4096, k)) < 0.5, -1.0, 1.0)
        flips[0] = 1.0
    lengths = np.einsum("fk,kl,fl->f", flips, gram, flips)
    if not lengths[0] > 1e-12 * np.trace(gram) or not np.trace(gram) > 0:
        return 1.0
    return float(np.mean(lengths >= lengths[0] * (1 - 1e-9)))


def _asymmetry(scaled: Rows, group: Group, matrix: Array, broken: Array) -> tuple[float, float]:
    """Part that breaks the symmetry, of the whole group and of its generators, relative to random relabellings."""
    discrete = group.discrete
    moves = list(zip(discrete.images, discrete.signs, strict=True)) if _few(discrete) else []
    rng, chance = np.random.default_rng(0), []
    for _ in range(RELABELLINGS if len(matrix) <= WIDE else FEW_RELABELLINGS):
        at = rng.permutation(len(matrix))
        relabelled = matrix[np.ix_(at, at)]
        relabelled -= reynolds(group, relabelled)
        chance.append([_square(relabelled), *(_square(_step(relabelled, *move)) for move in moves)])
    of_group, *of_moves = np.array(chance).T
    share = _share(scaled, broken, of_group)
    # What a generator breaks, it breaks of what the group breaks.
    steps = [
        _share(scaled, np.array([_step(b, *move) for b in broken]), by_chance)
        for move, by_chance in zip(moves, of_moves, strict=True)
    ]
    return share, float(np.mean(steps)) if steps else float("nan")


def _step(matrix: Array, image: Index, sign: Index) -> Array:
    """A matrix (p, p) less what a generator makes of it."""
    moved = matrix[image][:, image]
    if (sign < 0).any():
        moved *= np.outer(sign, sign)
    return matrix - moved


def _square(matrix: Array) -> float:
    return float(np.vdot(matrix, matrix))


def _few(group: Group) -> bool:
    """Whether a group is small enough to act step by step."""
    if group.size is None and len(group.images) > 1 and group.degree > MOST_ELEMENTS:
        return False
    size = order(group) if group.size is not None or len(group.images) > 1 else 0
    return size <= LOCAL * group.degree


def _share(scaled: Rows, each: Array, chance: Array) -> float:
    """Squared length of what folds (K, p, p) break together, less the noise in it, over its mean by chance."""
    if not np.std(chance) > 1e-9 * np.mean(chance):
        # No relabelling is another group, so there is nothing to compare with.
        return float("nan")
    flat, n = each.reshape(len(each), -1), scaled.counts
    gram = flat @ flat.T / scaled.degrees**2
    if len(gram) == 1:
        return float(gram[0, 0] / np.mean(chance))
    # Products of different folds are free of noise; they stand for all pairs.
    unbiased = (gram.sum() - np.trace(gram)) * n.sum() ** 2 / (n.sum() ** 2 - (n**2).sum())
    return float(max(0.0, unbiased) / np.mean(chance))
