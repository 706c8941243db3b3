"""The terms of a target's mean to some degree, their second moments, and the folds left out of them.

Targets that a group takes to each other have one set of coefficients: each contributes the moments of its own terms,
turned to those of the first, and their average is solved. That is least squares on all rows together with their images
under the group, where restricting the coefficients and weighting the outputs by their noise change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cumulant.errors import DataError
from cumulant.lift import Numeric
from cumulant.solve.lift import Lifted, Products, centred, monomials_of
from cumulant.solve.linear import conditional, factor
from cumulant.solve.masses import Masses, choose_masses
from cumulant.solve.predictive import Fields
from cumulant.symmetry.covariants import covariants, exchanged
from cumulant.symmetry.reduced import averaged, unsigned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.measure.higher import HigherSums
    from cumulant.solve.taylor_law import TaylorLaw
    from cumulant.symmetry import Declared

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Expansion", "HeldOut", "Terms", "held_out", "held_out_folds", "recentred", "terms_of"]

LARGEST = 20_000
# A reference point this far from the mean, in standard deviations, costs digits of the moments about it.
OFF_CENTRE = 0.25


def recentred(m: Moments) -> Moments:
    """The same moments about a reference point near the mean."""
    mean, sd = m.total.mean, np.sqrt(np.diag(m.total.covariance))
    away = np.abs(m.shift[m.schema.independent] - mean) > OFF_CENTRE * sd
    if not away.any():
        return m
    shift = m.shift.copy()
    shift[m.schema.independent[away]] = mean[away]
    return m.embed(m.schema, shift, m.presence)


def terms_of(m: Moments, apart: int | Index, degree: int, symmetry: Declared | None = None) -> int:
    """Terms of a mean of some degree, at most; the fields ``apart`` are no inputs."""
    return comb(len(_inputs(m, apart, symmetry)) + degree, degree)


def _inputs(m: Moments, apart: int | Index, symmetry: Declared | None) -> Index:
    """Fields that vary, and those that a group takes to them."""
    used = np.diag(m.total.covariance) > 0
    if symmetry is not None:
        used |= symmetry.group.moved
    used[apart] = False
    return np.flatnonzero(used)


@dataclass(frozen=True, eq=False)
class Terms:
    """Second moments of the terms and the target, with the mass of each and, about their reference point, without."""

    fields: Fields
    mass: Array
    products: Array

    @cached_property
    def parameters(self) -> float:
        """Effective number of them, 1 + tr C (C + mass)⁻¹."""
        heavier = self.fields.covariance[:-1, :-1]
        f = factor(heavier)
        added = np.diag(heavier - _measured(self.fields)[:-1, :-1])
        return 1 + f.rank - float(added @ f.inverse_diagonal())

    @cached_property
    def coefficients(self) -> Array:
        """Of each term, in the mean of the target (T,)."""
        last = len(self.fields.mean) - 1
        return conditional(self.fields.covariance, np.arange(last), np.array([last])).coefficients[:, 0]


@dataclass(frozen=True, eq=False)
class Expansion:
    """The terms of one degree, and where their moments are.

    Parameters
    ----------
    targets
        One target, or those that a group takes to each other (k,).
    each
        The terms of each.
    products
        Of the monomials and the targets.
    shift
        Reference point of the moments for each target (k,).
    zero, unit
        What a target is measured from and in (k,), so that the group takes one to another; then its sign beside the
        first is ``signs`` (k,).
    constant
        Whether a constant is a term.
    weight
        What a row counts: of several targets more than one, and less than all of them if their residuals are alike.
    """

    targets: Index
    each: tuple[Lifted, ...]
    products: Products
    shift: Array
    zero: Array
    unit: Array
    signs: Index
    constant: bool
    weight: float = 1.0

    @staticmethod
    def of(
        m: Moments, targets: Index, degree: int, symmetry: Declared | None = None, apart: Index | None = None
    ) -> Expansion:
        """All terms to a degree, but for those that the symmetry does not leave; ``apart`` are no inputs."""
        apart = targets if apart is None else apart
        inputs, terms = _inputs(m, apart, symmetry), terms_of(m, apart, degree, symmetry)
        if terms > LARGEST:
            raise DataError(
                f"a mean of degree {degree} in {len(inputs)} fields has {terms:,} terms, more than {LARGEST:,}; "
                "choose a lower order, or fewer columns"
            )
        sd = np.sqrt(np.diag(m.total.covariance))
        factors = monomials_of(inputs, degree, _groups(m))
        reference = m.total.mean.copy()
        # An indicator stays an indicator.
        reference[_groups(m) >= 0] = 0.0
        if symmetry is None:
            lifted = Lifted(factors, reference, np.where(sd > 0, sd, 1.0))
            return Expansion.about(m, targets, (lifted,))
        unit = sd[targets]
        if not symmetry.free_scale:
            # The group acts on the fields as they are, so what is invariant is about an invariant point.
            reference = np.where(symmetry.group.moved, averaged(symmetry.group, reference), reference)
            sd, unit = np.sqrt(averaged(unsigned(symmetry.group), sd**2)), np.ones(len(targets))
        found = covariants(symmetry.group, factors, targets)
        each = tuple(Lifted(factors, reference, np.where(sd > 0, sd, 1.0), sums) for sums in found.sums)
        if len(targets) == 1 and found.constant:
            return Expansion.about(m, targets, each)
        plain = Expansion.about(m, targets, each)
        unit = np.where(unit > 0, unit, 1.0)
        return replace(plain, zero=reference[targets], unit=unit, signs=found.signs, constant=found.constant)

    @staticmethod
    def about(m: Moments, targets: Index, each: tuple[Lifted, ...]) -> Expansion:
        """Targets as they are, with these terms."""
        shift = m.shift[m.schema.independent]
        products, k = Products.of(_higher(m).monomials, shift, each[0], targets), len(targets)
        at = shift[targets]
        return Expansion(targets, each, products, at, at, np.ones(k), np.ones(k, dtype=np.int64), constant=True)

    @property
    def lifted(self) -> Lifted:
        """The terms of the first target."""
        return self.each[0]

    # ------------------------------------------------------------------ moments

    def moments(self, m: Moments, used: NDArray[np.bool_]) -> tuple[Array, float]:
        """Means of products of the constant, the terms and the target over some folds, and the rows in them.

        Of several targets it is the mean over them.
        """
        estimate = _higher(m).estimate(used)
        found = self.products.second_moments(estimate.moments)
        if len(self.targets) == 1 and self.constant:
            return self.lifted.gathered(found), estimate.count
        total = np.mean([g @ (g @ found).T for g in self._gathers], axis=0)
        if not self.constant:
            total[0, 1:] = total[1:, 0] = 0.0
        return total, self.weight * estimate.count

    @cached_property
    def _gathers(self) -> tuple[Any, ...]:
        """For each target the sparse matrix that takes constant, monomials and targets to constant, terms and it."""
        from scipy import sparse

        out = []
        for i, lifted in enumerate(self.each):
            own = np.zeros((1, len(self.targets)))
            own[0, i] = 1 / self.unit[i]
            gather = sparse.block_diag([[[float(self.signs[i])]], lifted.sums, own], format="lil")
            gather[-1, 0] = (self.shift[i] - self.zero[i]) / self.unit[i]
            out.append(gather.tocsr())
        return tuple(out)

    def solve(self, m: Moments, prior: str | float | None, tried: Sequence[float]) -> tuple[Terms, Masses]:
        """All rows, with masses chosen."""
        products, n = self.moments(m, np.ones(m.folds, dtype=bool))
        mean, covariance = centred(products)
        masses = choose_masses(covariance, n, self.lifted.degree, prior, tried)
        return Terms(_massive(mean, covariance, n, masses.each), masses.each, products), masses

    def weighed(self, m: Moments, prior: str | float | None, tried: Sequence[float]) -> Expansion:
        """The same, a row of k targets counted as k over the largest eigenvalue of their residuals' correlations.

        No linear combination of coefficients has a larger variance than that says: for residuals that are independent
        rows count k times, for residuals that are all the same once.
        """
        k = len(self.targets)
        if k == 1:
            return self
        solved, _ = self.solve(m, prior, tried)
        beta, mean = solved.coefficients, solved.fields.mean
        own = np.concatenate([[beta @ mean[:-1] - mean[-1]], -beta, [1.0]])
        rows = np.stack([g.T @ own for g in self._gathers])
        found = self.products.second_moments(_higher(m).estimate(np.ones(m.folds, dtype=bool)).moments)
        residuals = rows @ found @ rows.T
        variance, whole = np.diag(residuals), solved.products[-1, -1]
        if not (variance > 1e-12 * whole).all():
            return self
        largest = np.linalg.eigvalsh(residuals / np.sqrt(np.outer(variance, variance)))[-1]
        return replace(self, weight=max(k / float(largest), 1.0))

    def fields_of(self, i: int, fields: Fields) -> Fields:
        """Second moments of the terms of target i and of it, as it is, from those that all have in common."""
        sign, unit = float(self.signs[i]), float(self.unit[i])
        mean, scale = sign * fields.mean, np.ones(len(fields.mean))
        mean[-1], scale[-1] = self.zero[i] + unit * mean[-1], unit
        if unit == 1:
            return replace(fields, mean=mean)
        square = np.outer(scale, scale)
        measured = None if fields.measured is None else fields.measured * square
        return replace(fields, mean=mean, covariance=fields.covariance * square, measured=measured)


def _higher(m: Moments) -> HigherSums:
    if m.higher is None:
        raise DataError("only moments of order 2 were measured; measure with order=4")
    return m.higher


def _groups(m: Moments) -> Index:
    """The column of each independent field that is an indicator, −1 for numbers."""
    column = m.schema.column_of_field[m.schema.independent]
    number = np.array([isinstance(lift, Numeric) for lift in m.schema.lifts])
    return np.where(number[column], -1, column)


def _massive(mean: Array, covariance: Array, n: float, mass: Array) -> Fields:
    """Terms and target with a mass on each term; ``covariance`` has denominator n."""
    degrees = max(n - 1, 0.0)
    measured = covariance * (n / max(degrees, 1.0))
    heavier = measured.copy()
    np.fill_diagonal(heavier, np.diag(measured) * (1 + np.append(mass, 0.0)))
    return Fields(mean, heavier, None, n, degrees, 0.0, measured if mass.any() else None)


def _measured(fields: Fields) -> Array:
    return fields.covariance if fields.measured is None else fields.measured


# ------------------------------------------------------------------ rows left out


class HeldOut(NamedTuple):
    """A fold left out: rows, mean square of the target about prediction and mean, log-likelihood of a row."""

    fold: int
    rows: float
    error: float
    variance: float
    log_likelihood: float


def held_out(m: Moments, expansion: Expansion, solved: Terms) -> float:
    """Mean log-likelihood of a row of folds left out, of p(y | x) with the masses of all rows, from moments alone."""
    folds = list(_by_fold(m, expansion, solved))
    rows = sum(fold.rows for fold in folds)
    return sum(fold.rows * fold.log_likelihood for fold in folds) / rows if rows else -np.inf


def held_out_folds(
    m: Moments, law: TaylorLaw, symmetry: Declared | None = None, apart: Index | None = None
) -> list[HeldOut]:
    """Each fold of moments, left out of a mean with the terms and the masses of a law that was solved from all.

    With a symmetry that takes the target to others, of which none of ``apart`` is an input, it is left out of all.
    """
    expansion = Expansion.about(m, np.array([law.target]), (law.lifted,))
    unit = 1.0
    if symmetry is not None and apart is not None:
        orbit = next(one for one in exchanged(symmetry.group, apart) if law.target in one)
        expansion = Expansion.of(m, orbit, law.lifted.factors.shape[1], symmetry, apart)
        expansion = replace(expansion, weight=law.terms.count / expansion.moments(m, np.ones(m.folds, dtype=bool))[1])
        unit = float(expansion.unit[np.flatnonzero(orbit == law.target)[0]])
    products, _ = expansion.moments(m, np.ones(m.folds, dtype=bool))
    mass = np.diag(law.terms.covariance)[:-1] / np.maximum(np.diag(_measured(law.terms))[:-1], 1e-300) - 1
    found = _by_fold(m, expansion, Terms(law.terms, mass, products))
    shift = float(np.log(expansion.unit).mean() - np.log(unit))
    return [
        fold._replace(
            error=fold.error * unit**2,
            variance=fold.variance * unit**2,
            log_likelihood=fold.log_likelihood + shift,
        )
        for fold in found
    ]


def _by_fold(m: Moments, expansion: Expansion, solved: Terms) -> Iterator[HeldOut]:
    inputs, last = np.arange(len(expansion.lifted)), np.array([len(expansion.lifted)])
    every, total, heavier = solved.products, solved.fields.count, 1 + np.append(solved.mass, 0.0)
    units = float(np.log(expansion.unit).mean())
    counted = _higher(m).rows
    for k in np.flatnonzero(counted):
        if counted.sum() - counted[k] < 3:
            continue
        rest, n = expansion.moments(m, np.arange(m.folds) != k)
        held = total - n
        mean, covariance = centred(rest)
        measured = np.diag(covariance).copy()
        np.fill_diagonal(covariance, measured * heavier)
        beta = np.append(-conditional(covariance, inputs, last).coefficients[:, 0], 1.0)
        # Mean squared errors of the rows that are kept and of all; what these have more is that of the rows held out.
        seen = beta @ covariance @ beta - (measured * (heavier - 1)) @ beta**2
        off = np.append(-beta @ mean, beta)
        error = max(float(total * (off @ every @ off) - n * seen) / held, 0.0)
        y, y2 = (total * every[[0, -1], -1] - n * rest[[0, -1], -1]) / held
        variance = max(seen * n / max(n - solved.parameters, 1.0), 1e-12 * measured[-1])
        likelihood = -0.5 * np.log(2 * np.pi * variance) - 0.5 * error / variance - units
        yield HeldOut(int(k), held / expansion.weight, error, float(y2 - y**2), float(likelihood))
