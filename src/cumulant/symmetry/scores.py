"""The rows of a table as a symmetry sees them, and its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError
from cumulant.lift.schema import unknown_column
from cumulant.symmetry.catalogue import trivial
from cumulant.symmetry.chain import order
from cumulant.symmetry.evidence import Shape, Spectrum, likelihood_ratio_mean, likelihood_ratio_tail, shapes
from cumulant.symmetry.orbits import orbits
from cumulant.symmetry.reynolds import parameters, reynolds
from cumulant.symmetry.spectral import isotypic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.symmetry.group import Group
    from cumulant.symmetry.isotypic import Decomposition

    Array = NDArray[np.float64]

__all__ = ["Evidence", "Rows", "weigh"]

# Columns so nearly dependent have no likelihood ratio.
SINGULAR = 1e12
RELABELLINGS = 20
FEW_RELABELLINGS = 5
FEWEST_FOLDS = 5
MOST_FOLDS = 10
# Beyond this the folds are merged into a few, and deviations are measured in units of each column.
WIDE = 300
FEW_FOLDS = 6
# Third cumulants of more columns are not looked at.
MOST_THIRDS = 40
# Groups of order up to so many times the columns act step by step: reflections, rings, translations.
LOCAL = 8


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


@dataclass(frozen=True, eq=False)
class Rows:
    """Centred sums of products, fold by fold, of columns that vary.

    Parameters
    ----------
    columns
        Names (p,).
    mean
        (p,), in the units of the sums.
    scatters
        Sums of products about the common mean (K, p, p).
    sums
        Sums of deviations from the common mean (K, p).
    counts
        Rows of each fold (K,).
    degrees
        Degrees of freedom of their total; with gaps, those of the pair of columns with the fewest rows.
    complete
        Whether no cell is missing.
    thirds
        Third cumulant of each fold times its rows (K, p, p, p), where third moments were measured.
    scale
        ``"covariance"`` or ``"correlation"``.
    notes
        What a reader should know.
    """

    columns: tuple[str, ...]
    mean: Array
    scatters: Array
    sums: Array
    counts: Array
    degrees: float
    complete: bool
    thirds: Array | None = None
    scale: str = "covariance"
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(m: Moments, columns: Sequence[str] | None = None) -> Rows:
        """The rows of moments, without columns that do not vary."""
        at = list(range(len(m.columns)))
        if columns is not None:
            place = {name: i for i, name in enumerate(m.columns)}
            for name in columns:
                if name not in place:
                    raise unknown_column(name, list(m.columns))
            at = [place[name] for name in columns]
        notes = []
        variance = np.diag(m.covariance)
        flat = [m.columns[i] for i in at if not variance[i] > 0]
        at = [i for i in at if variance[i] > 0]
        if flat:
            notes.append(f"left out, since constant: {', '.join(flat)}")
        if len(at) < 2 or m.total.degrees < 2:
            raise DataError(
                f"{m.count:.0f} rows of {len(at)} columns that vary are too few to show a symmetry; measure more"
            )
        pairs = m.total.pairs[np.ix_(at, at)]
        fewest = float(pairs.min())
        if not m.total.complete:
            notes.append(
                f"cells are missing: covariances are pairwise, and evidence is counted as if of {fewest:.0f} rows, "
                "the fewest that two columns share"
            )
        folds = [k for k in range(m.folds) if m.rows[k] > 0]
        pieces = [_fold(m, k, at) for k in folds]
        degrees = m.total.degrees if m.total.complete else fewest - 1
        if degrees < 2:
            raise DataError("two columns share fewer than 3 rows; drop one of them with columns=, or measure more rows")
        return Rows(
            tuple(m.columns[i] for i in at),
            m.mean[at],
            np.array([c for c, _, _ in pieces]),
            np.array([s for _, s, _ in pieces]),
            np.array([n for _, _, n in pieces]),
            float(degrees),
            m.total.complete,
            _thirds(m, folds, at),
            notes=tuple(notes),
        )

    @cached_property
    def scatter(self) -> Array:
        """Sum over folds (p, p), positive semidefinite."""
        total = self.scatters.sum(axis=0)
        if self.complete:
            return np.asarray(total)
        w, v = np.linalg.eigh(total)
        return np.asarray((v * np.maximum(w, 0.0)) @ v.T)

    @property
    def covariance(self) -> Array:
        """(p, p)."""
        return np.asarray(self.scatter / self.degrees)

    def without(self, part: Sequence[int]) -> tuple[Array, float]:
        """Scatter of all folds but some, about their own mean, and its degrees of freedom."""
        keep = [k for k in range(len(self.counts)) if k not in set(part)]
        n = float(self.counts[keep].sum())
        if n < 2:
            return np.zeros_like(self.scatter), 0.0
        shift = self.sums[keep].sum(axis=0) / n
        scatter = self.scatters[keep].sum(axis=0) - n * np.outer(shift, shift)
        return np.asarray(scatter), self.degrees * (n - 1) / (self.counts.sum() - 1)

    @cached_property
    def units(self) -> Array:
        """Standard deviations (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def standardised(self) -> Rows:
        """In units of standard deviations: what is symmetric then is so up to scale."""
        unit = self.units
        return replace(
            self,
            mean=self.mean / unit,
            scatters=self.scatters / np.outer(unit, unit),
            sums=self.sums / unit,
            scale="correlation",
        )

    @cached_property
    def parts(self) -> tuple[list[int], ...]:
        """Folds in groups: each alone, or a few together where the table is wide."""
        k = len(self.counts)
        most = MOST_FOLDS if len(self.columns) <= WIDE else FEW_FOLDS
        return tuple(list(range(i, k, most)) for i in range(min(k, most)))

    @cached_property
    def free(self) -> tuple[float, Array]:
        """Log evidence of no symmetry, and how well each part of the folds is predicted by the rest, (1 + parts,)."""
        return _scored(self.in_units(self.units), isotypic(trivial(len(self.columns))))

    def in_units(self, unit: Array) -> Rows:
        """With each column divided by its unit (p,)."""
        square = np.outer(unit, unit)
        thirds = None if self.thirds is None else self.thirds / (square[:, :, None] * unit)
        return replace(
            self, mean=self.mean / unit, scatters=self.scatters / square, sums=self.sums / unit, thirds=thirds
        )


def _thirds(m: Moments, folds: Sequence[int], at: Sequence[int]) -> Array | None:
    if m.order < 3 or len(at) > MOST_THIRDS:
        return None
    estimates = [m.fold(k) for k in folds]
    return np.array([e.count * np.nan_to_num(e.cumulant(3)[np.ix_(at, at, at)]) for e in estimates])


def _fold(m: Moments, k: int, at: list[int]) -> tuple[Array, Array, float]:
    fold = m.fold(k)
    shift = np.nan_to_num(fold.mean[at] - m.mean[at])
    pairs = fold.pairs[np.ix_(at, at)]
    own = np.maximum(pairs - fold.count + fold.degrees, 0.0)
    scatter = fold.pairwise[np.ix_(at, at)] * own + pairs * np.outer(shift, shift)
    return np.nan_to_num(scatter), np.diag(pairs) * shift, fold.count


def weigh(rows: Rows, group: Group) -> Evidence:
    """Score one symmetry."""
    p = len(rows.columns)
    free, kept = p * (p + 1) // 2, parameters(group, 2)
    basis = isotypic(group)
    # In units that the group leaves alone, so that no column drowns another.
    unit = np.sqrt(np.diag(reynolds(group, rows.covariance)))
    bayes, heldout = _gain(rows, basis, unit)
    if rows.scale == "correlation":
        # Scales that the covariance would have shared are free parameters, at BIC's price each.
        extra = p - len(np.unique(np.diag(orbits(group, 2).matrix())))
        kept, bayes = kept + extra, bayes - 0.5 * extra * np.log(rows.degrees + 1)
    p_value, worth_below = _likelihood_ratio(rows, group, shapes(basis), free - kept)
    asymmetry, step = _asymmetry(rows, group)
    return Evidence(
        rows.scale, free, kept, bayes, heldout, p_value, _fold_test(_deviations(rows, group)),
        _fold_test(_mean_deviations(rows, group)), _third_test(rows, group, unit), asymmetry, step, worth_below,
        len(rows.counts) >= MOST_FOLDS and bool(rows.counts.min() >= 10),
    )  # fmt: skip


def _gain(rows: Rows, basis: Decomposition, unit: Array) -> tuple[float, float]:
    """Log Bayes factor against no symmetry, and the gain in log-likelihood a row of folds predicted from the others."""
    whole, parts = _scored(rows.in_units(unit), basis)
    plain, plain_parts = rows.free
    # Both are densities of columns in units of their own.
    units = float(np.log(rows.units / unit).sum())
    bayes = whole - plain + rows.degrees * units
    if len(parts) < 2:
        return bayes, np.nan
    total = float(rows.counts.sum())
    held = np.array([rows.counts[part].sum() for part in rows.parts]) * rows.degrees / (total - 1)
    return bayes, float((parts - plain_parts + held * units).sum() / total)


def _scored(rows: Rows, basis: Decomposition) -> tuple[float, Array]:
    """Log evidence of all rows, and of each part of the folds given the rest, under the best strength of the prior."""
    seen = Spectrum.of(basis, rows.scatter, rows.degrees)
    delta, whole = seen.best()
    predicted = []
    for part in rows.parts if len(rows.parts) > 1 else ():
        rest, degrees = rows.without(part)
        predicted.append(whole - Spectrum.of(basis, rest, degrees).log_evidence(delta))
    return whole, np.array(predicted)


def _likelihood_ratio(rows: Rows, group: Group, components: Sequence[Shape], lost: int) -> tuple[float, float]:
    """p-value of the likelihood ratio, and the number of rows below which the symmetry predicts better."""
    p = len(rows.columns)
    if not rows.complete or rows.scale == "correlation" or rows.degrees < p or not lost:
        return np.nan, np.nan
    sign, plain = np.linalg.slogdet(rows.covariance)
    if sign <= 0 or np.linalg.cond(rows.standardised().covariance) > SINGULAR:
        return np.nan, np.nan
    statistic = rows.degrees * float(np.linalg.slogdet(reynolds(group, rows.covariance))[1] - plain)
    excess = statistic - likelihood_ratio_mean(components, rows.degrees)
    worth = lost * rows.degrees / excess if excess > 0 else np.inf
    return likelihood_ratio_tail(components, statistic, rows.degrees), worth


def _deviations(rows: Rows, group: Group) -> Array:
    """What each fold adds to the part of the scatter that breaks the symmetry (K, p²), in invariant units."""
    if rows.scale == "correlation":
        # To first order a correlation moves by c_ij − r_ij (c_ii + c_jj)/2 with a row's products c.
        r = rows.covariance
        own = np.einsum("kii->ki", rows.scatters)
        shares = rows.counts / rows.counts.sum() * rows.degrees
        sums = rows.scatters - 0.5 * r * (own[:, :, None] + own[:, None, :]) + shares[:, None, None] * r
    else:
        sums = rows.scatters
    even = reynolds(group, rows.covariance)
    broken = np.array([c - reynolds(group, c) for c in sums])
    p = len(even)
    if rows.complete and p <= WIDE and rows.degrees >= 3 * p:
        w, v = np.linalg.eigh(even)
        whiten = v / np.sqrt(np.maximum(w, w[-1] / SINGULAR))
        broken = whiten.T @ broken @ whiten
    else:
        unit = np.sqrt(np.diag(even))
        broken = broken / np.outer(unit, unit)
    return np.asarray(broken.reshape(len(broken), -1))


def _third_test(rows: Rows, group: Group, unit: Array) -> float:
    """Sign flips of the folds' third cumulants."""
    thirds = rows.in_units(unit).thirds
    if thirds is None:
        return float("nan")
    return _fold_test(np.array([(t - reynolds(group, t)).ravel() for t in thirds]))


def _mean_deviations(rows: Rows, group: Group) -> Array:
    """What each fold's mean adds to the part of the mean that breaks the symmetry (K, p)."""
    unit = np.sqrt(np.diag(reynolds(group, rows.covariance)))
    broken = rows.mean - reynolds(group, rows.mean)
    each = np.array([s - reynolds(group, s) for s in rows.sums])
    return np.asarray((each + rows.counts[:, None] * broken) / unit)


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


def _asymmetry(rows: Rows, group: Group) -> tuple[float, float]:
    """Part that breaks the symmetry, of the whole group and of its generators, relative to random relabellings."""
    unit = np.sqrt(np.diag(reynolds(group, rows.covariance)))
    matrix = rows.covariance / np.outer(unit, unit)
    ways: list[Callable[[Array], Array]] = [lambda s: s - reynolds(group, s)]
    discrete = group.discrete
    if order(discrete) <= LOCAL * group.degree:
        for image, sign in zip(discrete.images, discrete.signs, strict=True):
            ways.append(lambda s, i=image, e=sign: s - s[np.ix_(i, i)] * np.outer(e, e))  # type: ignore[misc]
    shares = [_share(rows, matrix, unit, broken) for broken in ways]
    return shares[0], float(np.mean(shares[1:])) if len(shares) > 1 else float("nan")


def _share(rows: Rows, matrix: Array, unit: Array, broken: Callable[[Array], Array]) -> float:
    """Squared length of what a map breaks, less the noise in it, over the mean of relabelled matrices."""
    rng = np.random.default_rng(0)
    chance = []
    for _ in range(RELABELLINGS if len(matrix) <= WIDE else FEW_RELABELLINGS):
        at = rng.permutation(len(matrix))
        chance.append(float((broken(matrix[np.ix_(at, at)]) ** 2).sum()))
    if not np.std(chance) > 1e-9 * np.mean(chance):
        # No relabelling is another group, so there is nothing to compare with.
        return float("nan")
    each = np.array([broken(c / np.outer(unit, unit)).ravel() for c in rows.scatters]) / rows.degrees
    if len(each) == 1:
        return float((each**2).sum() / np.mean(chance))
    gram, n = each @ each.T, rows.counts
    # Products of different folds are free of noise; they stand for all pairs.
    unbiased = (gram.sum() - np.trace(gram)) * n.sum() ** 2 / (n.sum() ** 2 - (n**2).sum())
    return float(max(0.0, unbiased) / np.mean(chance))
