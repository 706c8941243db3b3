"""The classical equation of a target, ∂F/∂y = 0, to higher order in x: regression on monomials, from moments alone.

Each monomial of the standardised fields becomes a field, and its covariance with every other is a measured moment of
higher order. What is left is the exact solver's problem of second order, with a mass that may grow with the degree:
both are chosen by the evidence ln Z, and the degree, when it is left open, by the likelihood of held-out folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.solve.exact import solve_exact
from cumulant.solve.law import Solved
from cumulant.solve.lift import Lifted, monomials_of, second_moments
from cumulant.solve.linear import conditional
from cumulant.solve.predictive import Fields
from cumulant.solve.prior import GRID, Prior, regression_evidence
from cumulant.solve.taylor_law import TaylorLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.measure.higher import HigherEstimate
    from cumulant.theory.taylor import Taylor

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["solve_taylor"]

# How much heavier a term is than one of a degree less, tried by the evidence.
STEEPNESS = (1.0, 4.0, 16.0, 64.0)
# Beyond so many terms one eigen-decomposition takes seconds, and one steepness must do.
MANY_TERMS = 1500
LARGEST = 20_000
# A reference point this far from the mean, in standard deviations, costs digits of the moments about it.
OFF_CENTRE = 0.25


def solve_taylor(m: Moments, theory: Taylor, prior: str | float | None, target: Index | None) -> Solved:
    """Couplings of a target to monomials of the other fields.

    Raises
    ------
    OptionError
        No single numeric target was named.
    DataError
        The moments are of too low an order, or too few rows are without gaps.
    """
    y = _target(m, target)
    degrees = theory.degrees
    if m.higher is None or m.order < 2 * degrees[0]:
        raise DataError(
            f"moments of order {m.order} were measured and this theory requires order {theory.requires().order}; "
            f"measure with order={theory.requires().order}"
        )
    notes, warnings = [], []
    if m.order < 2 * degrees[-1]:
        degrees = tuple(d for d in degrees if 2 * d <= m.order)
        notes.append(f"moments to order {m.order} leave degrees up to {degrees[-1]} to choose from")
    base = solve_exact(m, "auto" if prior in ("evidence", "folds") else prior, None)
    m = _centred(m)
    problems = {d: _Problem.of(m, y, d) for d in degrees}
    scores = {d: _held_out(m, problem, y, prior) for d, problem in problems.items()} if len(degrees) > 1 else {}
    degree = max(scores, key=lambda d: scores[d]) if scores else degrees[0]
    if scores:
        shown = ", ".join(f"{score:.4g} at degree {d}" for d, score in scores.items())
        notes.append(f"degree {degree} of the mean has the highest held-out log-likelihood of a row ({shown})")
    higher = m.higher
    assert higher is not None  # noqa: S101  # looked at above
    estimate = higher.estimate(np.ones(m.folds, dtype=bool))
    chosen = problems[degree].solve(estimate, y, prior)
    if estimate.count < m.count:
        notes.append(f"{estimate.count:,.0f} of {m.count:,.0f} rows have no gap, and the mean rests on them")
    if chosen.fields.count <= chosen.parameters + 1:
        warnings.append(
            f"{chosen.parameters:.0f} terms are determined by {estimate.count:,.0f} rows, so errors cannot be told; "
            "choose a lower order, or fewer columns"
        )
    mean, covariance = base.mean, base.covariance
    gaussian = Fields(mean, covariance, base.low, base.count, base.degrees, base.prior.mass, base.measured)
    law = TaylorLaw.of(gaussian, y, problems[degree].lifted, chosen.fields)
    return Solved(law, chosen.prior, (*base.notes, *notes), (*base.warnings, *warnings))


def _target(m: Moments, target: Index | None) -> int:
    if target is None or len(target) != 1:
        raise OptionError("this theory expands F about one target; name it: target='price'")
    y = int(target[0])
    lift = m.schema.lifts[int(m.schema.column_of_field[m.schema.independent[y]])]
    if not isinstance(lift, Numeric):
        raise OptionError(f"target='{lift.name}' is no column of numbers; use cm.Gaussian() for it")
    return y


def _centred(m: Moments) -> Moments:
    """The same moments about a reference point near the mean."""
    mean, sd = m.total.mean, np.sqrt(np.diag(m.total.covariance))
    away = np.abs(m.shift[m.schema.independent] - mean) > OFF_CENTRE * sd
    if not away.any():
        return m
    shift = m.shift.copy()
    shift[m.schema.independent[away]] = mean[away]
    return m.embed(m.schema, shift, m.presence)


@dataclass(frozen=True, eq=False)
class _Solved:
    fields: Fields
    prior: Prior
    parameters: float


@dataclass(frozen=True, eq=False)
class _Problem:
    """The terms of one degree."""

    lifted: Lifted

    @staticmethod
    def of(m: Moments, y: int, degree: int) -> _Problem:
        at = m.schema.independent
        sd = np.sqrt(np.diag(m.total.covariance))
        varies = np.flatnonzero(sd > 0)
        factors = monomials_of(varies[varies != y], degree, _groups(m))
        if len(factors) > LARGEST:
            raise DataError(
                f"a mean of degree {degree} in {len(varies) - 1} fields has {len(factors):,} terms, more than "
                f"{LARGEST:,}; choose a lower order, or fewer columns"
            )
        return _Problem(Lifted(factors, m.shift[at], np.where(sd > 0, sd, 1.0)))

    def solve(self, estimate: HigherEstimate, y: int, prior: str | float | None) -> _Solved:
        """Second moments of the terms and the target, with the masses that the evidence or the user chose."""
        mean, covariance = second_moments(estimate, self.lifted, y)
        # Terms are measured from the reference point of the sums; the target is wanted as it is.
        mean[-1] += self.lifted.reference[y]
        n = estimate.count
        degrees = max(n - 1, 0.0)
        covariance *= n / max(degrees, 1.0)
        variance = np.diag(covariance).copy()
        mass, chosen = _masses(covariance, n, self.lifted.degree, prior)
        shrunk = covariance.copy()
        np.fill_diagonal(shrunk, variance * (1 + np.append(mass, 0.0)))
        fields = Fields(mean, shrunk, None, n, degrees, 0.0, covariance if mass.any() else None)
        return _Solved(fields, chosen, len(mass))


def _groups(m: Moments) -> Index:
    """The column of each independent field that is an indicator, −1 for numbers."""
    column = m.schema.column_of_field[m.schema.independent]
    number = np.array([isinstance(lift, Numeric) for lift in m.schema.lifts])
    return np.where(number[column], -1, column)


def _masses(covariance: Array, count: float, degree: Index, prior: str | float | None) -> tuple[Array, Prior]:
    """The mass of each term in units of its variance, and how it was chosen."""
    if prior is None:
        return np.zeros(len(degree)), Prior(0.0, "none", "no prior was asked for", np.zeros(0), np.zeros(0))
    if isinstance(prior, (int, float)) and not isinstance(prior, bool):
        if not (np.isfinite(prior) and prior >= 0):
            raise OptionError(f"prior={prior!r}: a mass must be finite and not negative")
        return np.full(len(degree), float(prior)), Prior(
            float(prior), "given", "the mass was given", np.zeros(0), np.zeros(0)
        )
    if prior not in ("auto", "evidence"):
        raise OptionError(f"prior={prior!r}: choose 'auto', None, 'evidence' or a mass for this theory")
    sd = np.sqrt(np.diag(covariance))
    scaled = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    r = covariance * scaled[:, None] * scaled[None, :]
    tried = STEEPNESS if degree.max(initial=1) > 1 and len(degree) <= MANY_TERMS else STEEPNESS[1:2]
    best: tuple[float, float, Array] | None = None
    for steepness in tried:
        s = steepness ** (-0.5 * (degree - 1))
        curve = regression_evidence(r[:-1, :-1] * s[:, None] * s, r[:-1, -1] * s, r[-1, -1], count)
        if best is None or curve.max() > best[0]:
            best = float(curve.max()), steepness, curve
    assert best is not None  # noqa: S101  # at least one steepness is tried
    _, steepness, curve = best
    mass = float(GRID[int(np.argmax(curve))])
    reason = f"the evidence ln Z is highest at mass {mass:.3g}"
    if degree.max(initial=1) > 1:
        reason += f", {steepness:g} times heavier with each degree"
    masses = np.asarray(mass * steepness ** (degree - 1.0), dtype=np.float64)
    return masses, Prior(mass, "evidence", reason, GRID, curve)


def _held_out(m: Moments, problem: _Problem, y: int, prior: str | float | None) -> float:
    """Mean log-likelihood of a row of folds left out, of the conditional p(y | x), from moments alone."""
    higher = m.higher
    assert higher is not None  # noqa: S101  # looked at before
    score, rows = 0.0, 0.0
    inputs, last = np.arange(len(problem.lifted)), np.array([len(problem.lifted)])
    for k in range(m.folds):
        fold = np.arange(m.folds) == k
        held, train = higher.estimate(fold), higher.estimate(~fold)
        if not held.count > 0 or train.count < 3:
            continue
        fields = problem.solve(train, y, prior).fields
        given = conditional(fields.covariance, inputs, last)
        beta = np.append(-given.coefficients[:, 0], 1.0)
        mean, covariance = second_moments(held, problem.lifted, y)
        mean[-1] += problem.lifted.reference[y]
        # Mean squared error of the held-out rows: their spread, and how far off their mean is.
        error = beta @ covariance @ beta + float(beta @ (mean - fields.mean)) ** 2
        measured = fields.covariance if fields.measured is None else fields.measured
        used = beta @ measured @ beta
        spare = max(train.count - 1 - _parameters(fields, given.observed.inverse()), 1.0)
        variance = max(used * fields.degrees / spare, 1e-12 * measured[-1, -1])
        score += held.count * (-0.5 * np.log(2 * np.pi * variance) - 0.5 * error / variance)
        rows += held.count
    return score / rows if rows else -np.inf


def _parameters(fields: Fields, inverse: Array) -> float:
    """Effective number of terms."""
    measured = fields.covariance if fields.measured is None else fields.measured
    return float(np.sum(measured[:-1, :-1] * inverse))
