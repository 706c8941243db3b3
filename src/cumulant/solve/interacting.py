"""From moments to the law of a polynomial F, or to the Gaussian one where such an F would mislead; and the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Boolean, Categorical
from cumulant.measure.monomials import complete
from cumulant.solve.exact import solve_exact
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.solve.prior import Prior
from cumulant.solve.schwinger_dyson import PolynomialSolution, solve_schwinger_dyson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.theory import Polynomial

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["solve_polynomial"]

# Rows for each coupling below which its moments are noise.
ROWS_PER_COUPLING = 10
# A fold that holds this share of Σ u⁶ holds a few rows that are all of it.
LARGEST_SHARE = 0.5


def solve_polynomial(m: Moments, theory: Polynomial, prior: str | float | None, target: Index | None) -> Solved:
    """The law of a polynomial F by the Schwinger–Dyson equations.

    Raises
    ------
    OptionError
        The prior is none of ``"auto"``, ``"folds"``, ``None`` and a number.
    """
    if theory.order == 2:
        s = solve_exact(m, prior, target)
        return Solved(GaussianLaw(Fields.of(s)), s.prior, s.notes, s.warnings)
    ridge = _ridge(prior)
    obstacle = _obstacle(m, theory.order)
    if obstacle is None:
        try:
            found = solve_schwinger_dyson(m, theory.order, ridge=ridge)
        except DataError as error:
            obstacle = str(error)
        else:
            obstacle = _falls(found)
    s = solve_exact(m, None if obstacle is None else "auto", target)
    gaussian = GaussianLaw(Fields.of(s))
    if obstacle is not None:
        return Solved(gaussian, s.prior, s.notes, (*s.warnings, f"{obstacle}; F is Gaussian here"))
    reason = (
        f"a ridge of {found.ridge:g} on interactions, which held-out folds chose"
        if ridge is None
        else f"a ridge of {found.ridge:g} on interactions, as given"
    )
    mass = Prior(found.ridge, "folds" if ridge is None else "given", reason, np.zeros(0), np.zeros(0))
    law = PolynomialLaw(found.action, gaussian, np.arange(len(m.columns)))
    return Solved(law, mass, (_note(found),), s.warnings)


def _ridge(prior: str | float | None) -> float | None:
    if prior in ("auto", "folds"):
        return None
    if prior is None:
        return 0.0
    if isinstance(prior, str) or not prior >= 0:
        raise OptionError(f"prior={prior!r}: a polynomial F takes 'auto', 'folds', None or a number from 0")
    return float(prior)


def _note(found: PolynomialSolution) -> str:
    beyond = (found.action.terms > 0).sum(axis=1) > 2
    return (
        f"Schwinger–Dyson: {int((found.kept & beyond).sum())} of {int(beyond.sum())} interactions differ from 0 at a "
        f"false-discovery rate of 5 %; condition number {found.condition:.3g}"
    )


def _obstacle(m: Moments, order: int) -> str | None:
    """Why a polynomial F would mislead, with the remedy; None if nothing speaks against it."""
    for lift in m.schema.lifts:
        if isinstance(lift, (Boolean, Categorical)):
            return f"column '{lift.name}' has levels, not values, and F differentiates; leave it out, or use cm.Spins()"
    couplings = len(complete(len(m.columns) + 1, order)) - 1
    rows = 0.0 if m.higher is None else float(m.higher.sums[:, 0].sum())
    if m.higher is not None and rows < ROWS_PER_COUPLING * couplings:
        return (
            f"{rows:,.0f} rows without a gap are too few for the {couplings:,} couplings of order {order}; "
            "measure more rows, or select columns="
        )
    return None if m.higher is None else _heavy(m, order)


def _heavy(m: Moments, order: int) -> str | None:
    """Whether the highest moment of a field rests on a few rows."""
    if m.higher is None or m.folds < 5:
        return None
    monomials, sums = m.higher.monomials, m.higher.sums
    power = 2 * (order - 1)
    for i, name in enumerate(m.columns):
        term = np.zeros((1, monomials.order), dtype=np.int64)
        term[0, monomials.order - power :] = i + 1
        each = sums[:, monomials.find(term)[0]]
        if each.sum() > 0 and each.max() > LARGEST_SHARE * each.sum():
            return (
                f"column '{name}' has tails so heavy that a few rows hold most of its moment of order {power}; take "
                "its logarithm or ranks, or use cm.Fluctuation()"
            )
    return None


def _falls(found: PolynomialSolution) -> str | None:
    """Whether F is unbounded below, and so no probability."""
    direction = found.action.unbounded
    if direction is None:
        return None
    strongest = np.argsort(-np.abs(direction))[:3]
    names = ", ".join(f"'{found.action.columns[i]}'" for i in strongest if abs(direction[i]) > 0.3)
    return (
        f"F falls for ever along {names}, so exp(−F) is no probability: its tails are heavier than a Gaussian's, or a "
        "coupling is lost in noise; transform those columns (logarithm, ranks), or use cm.Fluctuation()"
    )
