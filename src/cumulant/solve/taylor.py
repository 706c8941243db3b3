"""The classical equation of a target, ∂F/∂y = 0, to higher order in x: regression on monomials, from moments alone.

Each monomial of the standardised fields becomes a field, and its covariance with every other is a measured moment of
higher order. What is left is the exact solver's problem of second order, with a mass that may grow with the degree:
both are chosen by the evidence ln Z, and the degree, when it is left open, by the likelihood of held-out folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.solve.exact import solve_exact
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.lift import Lifted, Products, centred, monomials_of
from cumulant.solve.linear import conditional, factor
from cumulant.solve.masses import STEEPNESS, Masses, choose_masses
from cumulant.solve.predictive import Fields
from cumulant.solve.tails import heavy_tail
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.symmetry.invariants import summed
from cumulant.symmetry.reduced import averaged, unsigned
from cumulant.theory.taylor import Taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.measure.higher import HigherSums
    from cumulant.solve.symmetric import Symmetric
    from cumulant.symmetry import Declared

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = [
    "MANY_TERMS",
    "Attempt",
    "HeldOut",
    "attempted",
    "held_out_folds",
    "law_of",
    "recentred",
    "solve_taylor",
    "steepness_of",
    "terms_of",
]

# One eigen-decomposition serves each steepness that is tried: beyond so many terms only two near that of a
# degree less, then that one alone; and beyond so many no degree is tried unasked.
FEW_TERMS, SOME_TERMS, MANY_TERMS = 300, 800, 1500
LARGEST = 20_000
# A reference point this far from the mean, in standard deviations, costs digits of the moments about it.
OFF_CENTRE = 0.25


def solve_taylor(
    m: Moments,
    theory: Taylor,
    prior: str | float | None,
    target: Index | None,
    under: Symmetric | None = None,
    *,
    judged: bool = False,
) -> Solved:
    """Couplings of a target to monomials of the other fields.

    Parameters
    ----------
    under
        The Gaussian law under a group, if one acts on the other fields: only its invariant sums of monomials are terms.
    judged
        Whether to score rows held out where there is one order alone, too.

    Raises
    ------
    OptionError
        No single numeric target was named.
    DataError
        The moments are of too low an order, or too few rows are without gaps.
    """
    y = _target(m, target)
    degrees = theory.degrees
    if m.higher is None and theory.order == "auto" and under is None:
        s = solve_exact(m, prior, target)
        note = f"moments of second order alone leave the mean of {len(m.columns):,} fields linear; ask for an order"
        return Solved(GaussianLaw(Fields.of(s)), s.prior, (*s.notes, note), s.warnings)
    if m.higher is None or m.order < 2 * degrees[0]:
        raise DataError(
            f"moments of order {m.order} were measured and this theory requires order {theory.requires().order}; "
            f"measure with order={theory.requires().order}"
        )
    notes = []
    if m.order < 2 * degrees[-1]:
        degrees = tuple(d for d in degrees if 2 * d <= m.order)
        notes.append(f"moments to order {m.order} leave degrees up to {degrees[-1]} to choose from")
    m = recentred(m)
    judged = judged or len(degrees) > 1
    tried = _climb(m, y, degrees, prior, None if under is None else under.reduced.declared, judged=judged)
    degree = max(tried, key=lambda d: tried[d].held_out)
    if len(tried) > 1:
        shown = ", ".join(f"{one.held_out:.4g} at degree {d}" for d, one in tried.items())
        notes.append(f"degree {degree} of the mean has the highest held-out log-likelihood of a row ({shown})")
    return law_of(m, y, tried[degree], prior, notes, under)


def law_of(
    m: Moments,
    y: int,
    attempt: Attempt,
    prior: str | float | None,
    before: Sequence[str] = (),
    under: Symmetric | None = None,
) -> Solved:
    """The law of a mean of the degree that was tried; ``before`` is said first."""
    problem, solved = attempt.problem, attempt.solved
    base, said, warned = _base(m, prior, under)
    notes, warnings = list(before), []
    count, fields = solved.fields.count, solved.fields
    if count < m.count:
        notes.append(f"{count:,.0f} of {m.count:,.0f} rows have no gap, and the mean rests on them")
    if count <= solved.parameters + 1:
        warnings.append(
            f"{solved.parameters:.0f} parameters are determined by {count:,.0f} rows, so errors cannot be told; "
            "choose a lower order, or fewer columns"
        )
    if under is not None:
        monomials = len(problem.lifted.factors)
        notes.append(f"the mean is a sum of {len(problem.lifted):,} invariant terms of {monomials:,} monomials")
    # Of a degree that held-out folds chose, they have judged the moments too.
    degree = problem.lifted.factors.shape[1]
    asked = degree > 1 and bool(np.isnan(attempt.held_out))
    inputs = [i for i in range(len(m.columns)) if i != y and asked]
    heavy = (heavy_tail(m, 2 * degree, inputs), heavy_tail(m, 2, [y]))
    warnings += [f"{found}, which the mean rests on; take its logarithm or ranks" for found in heavy if found]
    law = TaylorLaw.of(base, y, problem.lifted, fields)
    held_out = None if np.isnan(attempt.held_out) else attempt.held_out
    given = (*warned, *warnings)
    return Solved(law, attempt.masses.prior, (*said, *notes), given, held_out, Taylor(degree + 1))


def _base(
    m: Moments, prior: str | float | None, under: Symmetric | None
) -> tuple[Fields, tuple[str, ...], tuple[str, ...]]:
    """The Gaussian law of all fields, with what is to be said of it."""
    if under is not None:
        return under.law.gaussian.fields, under.notes, ()
    s = solve_exact(m, "auto" if prior in ("evidence", "folds") else prior, None)
    return Fields.of(s), s.notes, s.warnings


def _climb(
    m: Moments, y: int, degrees: tuple[int, ...], prior: str | float | None, symmetry: Declared | None, *, judged: bool
) -> dict[int, Attempt]:
    """Each degree solved, and its held-out score, from the lowest up for as long as it pays."""
    tried: dict[int, Attempt] = {}
    for degree in degrees:
        if tried and terms_of(m, y, degree, symmetry) > MANY_TERMS:
            break
        tried[degree] = attempted(m, y, degree, prior, tried.get(degree - 1), symmetry, judged=judged)
        if tried[degree].held_out < max(one.held_out for one in tried.values()):
            break
    return tried


def attempted(
    m: Moments,
    y: int,
    degree: int,
    prior: str | float | None,
    below: Attempt | None,
    symmetry: Declared | None = None,
    *,
    judged: bool = True,
) -> Attempt:
    """A mean of one degree, with what is known of the degree below it."""
    problem = _Problem.of(m, y, degree, symmetry)
    start = STEEPNESS[1] if below is None else below.masses.steepness
    solved, masses = problem.solve(m, prior, steepness_of(len(problem.lifted), start))
    return Attempt(problem, solved, masses, _held_out(m, problem, solved) if judged else float("nan"))


def steepness_of(terms: int, start: float) -> tuple[float, ...]:
    """Values of the steepness that are tried for so many terms, from what suits a degree less."""
    return STEEPNESS if terms <= FEW_TERMS else (start, 4 * start) if terms <= SOME_TERMS else (start,)


def _target(m: Moments, target: Index | None) -> int:
    if target is None or len(target) != 1:
        raise OptionError("this theory expands F about one target; name it: target='price'")
    y = int(target[0])
    lift = m.schema.lifts[int(m.schema.column_of_field[m.schema.independent[y]])]
    if not isinstance(lift, Numeric):
        raise OptionError(f"target='{lift.name}' is no column of numbers; use cm.Gaussian() for it")
    return y


def recentred(m: Moments) -> Moments:
    """The same moments about a reference point near the mean."""
    mean, sd = m.total.mean, np.sqrt(np.diag(m.total.covariance))
    away = np.abs(m.shift[m.schema.independent] - mean) > OFF_CENTRE * sd
    if not away.any():
        return m
    shift = m.shift.copy()
    shift[m.schema.independent[away]] = mean[away]
    return m.embed(m.schema, shift, m.presence)


def terms_of(m: Moments, y: int, degree: int, symmetry: Declared | None = None) -> int:
    """Terms of a mean of some degree, at most."""
    return comb(len(_inputs(m, y, symmetry)) + degree, degree)


def _inputs(m: Moments, y: int, symmetry: Declared | None) -> Index:
    """Fields that vary, and those that a group takes to them."""
    used = np.diag(m.total.covariance) > 0
    if symmetry is not None:
        used |= symmetry.group.moved
    used[y] = False
    return np.flatnonzero(used)


@dataclass(frozen=True, eq=False)
class _Solved:
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


@dataclass(frozen=True, eq=False)
class Attempt:
    """A degree that was solved, and the mean log-likelihood of a held-out row under it, NaN where not judged."""

    problem: _Problem
    solved: _Solved
    masses: Masses
    held_out: float


@dataclass(frozen=True, eq=False)
class _Problem:
    """The terms of one degree, and where their moments are."""

    lifted: Lifted
    products: Products
    target: int
    shift: float

    @staticmethod
    def of(m: Moments, y: int, degree: int, symmetry: Declared | None = None) -> _Problem:
        inputs, terms = _inputs(m, y, symmetry), terms_of(m, y, degree, symmetry)
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
        sums = None
        if symmetry is not None:
            sums = summed(symmetry.group, factors)
            if not symmetry.free_scale:
                # The group acts on the inputs as they are, so what is invariant is about an invariant point.
                reference = np.where(symmetry.group.moved, averaged(symmetry.group, reference), reference)
                sd = np.sqrt(averaged(unsigned(symmetry.group), sd**2))
        lifted = Lifted(factors, reference, np.where(sd > 0, sd, 1.0), sums)
        return _Problem.about(m, lifted, y)

    @staticmethod
    def about(m: Moments, lifted: Lifted, y: int) -> _Problem:
        """The problem of these terms."""
        shift = m.shift[m.schema.independent]
        return _Problem(lifted, Products.of(_higher(m).monomials, shift, lifted, y), y, float(shift[y]))

    def solve(self, m: Moments, prior: str | float | None, tried: Sequence[float]) -> tuple[_Solved, Masses]:
        """All rows, with masses chosen."""
        products, n = self.moments(m, np.ones(m.folds, dtype=bool))
        mean, covariance = centred(products)
        masses = choose_masses(covariance, n, self.lifted.degree, prior, tried)
        # The target is measured from the reference point of the sums, and wanted as it is.
        mean[-1] += self.shift
        return _Solved(_massive(mean, covariance, n, masses.each), masses.each, products), masses

    def moments(self, m: Moments, used: NDArray[np.bool_]) -> tuple[Array, float]:
        """Means of products of the constant, the terms and the target over some folds, and the rows in them."""
        estimate = _higher(m).estimate(used)
        return self.lifted.gathered(self.products.second_moments(estimate.moments)), estimate.count


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


def _held_out(m: Moments, problem: _Problem, solved: _Solved) -> float:
    """Mean log-likelihood of a row of folds left out, of p(y | x) with the masses of all rows, from moments alone."""
    folds = list(_by_fold(m, problem, solved))
    rows = sum(fold.rows for fold in folds)
    return sum(fold.rows * fold.log_likelihood for fold in folds) / rows if rows else -np.inf


class HeldOut(NamedTuple):
    """A fold left out: rows, mean square of the target about prediction and mean, log-likelihood of a row."""

    fold: int
    rows: float
    error: float
    variance: float
    log_likelihood: float


def held_out_folds(m: Moments, law: TaylorLaw) -> list[HeldOut]:
    """Each fold of moments, left out of a mean with the terms and the masses of a law that was solved from all."""
    problem = _Problem.about(m, law.lifted, law.target)
    products, _ = problem.moments(m, np.ones(m.folds, dtype=bool))
    mass = np.diag(law.terms.covariance)[:-1] / np.maximum(np.diag(_measured(law.terms))[:-1], 1e-300) - 1
    return list(_by_fold(m, problem, _Solved(law.terms, mass, products)))


def _by_fold(m: Moments, problem: _Problem, solved: _Solved) -> Iterator[HeldOut]:
    inputs, last = np.arange(len(problem.lifted)), np.array([len(problem.lifted)])
    every, total, heavier = solved.products, solved.fields.count, 1 + np.append(solved.mass, 0.0)
    counted = _higher(m).rows
    for k in np.flatnonzero(counted):
        if counted.sum() - counted[k] < 3:
            continue
        rest, n = problem.moments(m, np.arange(m.folds) != k)
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
        likelihood = -0.5 * np.log(2 * np.pi * variance) - 0.5 * error / variance
        yield HeldOut(int(k), held, error, float(y2 - y**2), float(likelihood))
