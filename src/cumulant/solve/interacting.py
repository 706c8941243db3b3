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
from cumulant.solve.loops import couplings_from_cumulants
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.solve.prior import Prior
from cumulant.solve.schwinger_dyson import PolynomialSolution, ends_of, solve_schwinger_dyson
from cumulant.solve.tails import heavy_tail
from cumulant.theory.polynomial import LOOPS
from cumulant.theory.polynomial_action import PolynomialAction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.theory import Polynomial

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["solve_polynomial"]

# Rows for each coupling below which its moments are noise.
ROWS_PER_COUPLING = 10
# Fields up to which two loops, whatever was asked for, are no work to speak of.
FEW_FIELDS = 12


def solve_polynomial(m: Moments, theory: Polynomial, prior: str | float | None, target: Index | None) -> Solved:
    """The law of a polynomial F, by the Schwinger–Dyson equations or by diagrams.

    Raises
    ------
    OptionError
        The prior is none of ``"auto"``, ``"folds"``, ``None`` and a number; for diagrams, of ``"auto"`` and ``None``. A
        bound is none.
    DataError
        The mean of a column lies beyond its bounds.
    """
    bounds = theory.ends
    ends_of(m, bounds)
    if theory.order == 2 and not bounds:
        s = solve_exact(m, prior, target)
        return Solved(GaussianLaw(Fields.of(s)), s.prior, s.notes, s.warnings)
    if theory.loops is not None:
        return _by_diagrams(m, theory.order, theory.loops, prior, target)
    ridge = _ridge(prior)
    obstacle = _obstacle(m, theory.order)
    if obstacle is None:
        try:
            found = solve_schwinger_dyson(m, theory.order, ridge=ridge, bounds=bounds)
        except DataError as error:
            obstacle = str(error)
        else:
            obstacle = _falls(found.action)
    if obstacle is not None:
        return _gaussian(m, target, f"{obstacle}; bounds= are not kept" if bounds else obstacle)
    s = solve_exact(m, None, target)
    gaussian = GaussianLaw(Fields.of(s))
    reason = (
        f"a ridge of {found.ridge:g} on interactions, which held-out folds chose"
        if ridge is None
        else f"a ridge of {found.ridge:g} on interactions, as given"
    )
    mass = Prior(found.ridge, "folds" if ridge is None else "given", reason, np.zeros(0), np.zeros(0))
    law = PolynomialLaw(found.action, gaussian, np.arange(len(m.columns)))
    return Solved(law, mass, (_note(found),), s.warnings)


def _by_diagrams(m: Moments, order: int, loops: int, prior: str | float | None, target: Index | None) -> Solved:
    """Perturbation theory about the mean; the Gaussian law where its series must not be used."""
    if prior not in ("auto", None):
        raise OptionError(f"prior={prior!r}: couplings from diagrams have no prior; leave prior= out, or loops=None")
    obstacle = _obstacle(m, order, power=order)
    if obstacle is None:
        try:
            kappa = {n: m.cumulant(n) for n in range(2, order + 1)}
            found = couplings_from_cumulants(kappa, loops)
            # A series is judged by what it leaves out.
            beyond = LOOPS[-1] if len(m.columns) <= FEW_FIELDS else max(loops, 1)
            judged = couplings_from_cumulants(kappa, beyond)
        except DataError as error:
            return _gaussian(m, target, str(error))
        remedy = "use cm.Polynomial(4), whose equations hold at any strength of the couplings"
        obstacle = None if judged.obstacle is None else f"loops={loops}: {judged.obstacle}; {remedy}"
    if obstacle is None:
        action = PolynomialAction.of_tensors(m.columns, m.cumulant(1), np.sqrt(np.diag(m.cumulant(2))), found.couplings)
        obstacle = _falls(action)
    if obstacle is not None:
        return _gaussian(m, target, obstacle)
    s = solve_exact(m, None, target)
    first, *more = (f"{term:.2g}" for term in judged.terms)
    note = (
        f"couplings by diagrams to {loops} loop{'s' * (loops != 1)}: the largest interaction at tree level is {first} "
        f"in units of standard deviations; the largest change of a coupling by 1, 2 … loops is {', '.join(more)}"
    )
    law = PolynomialLaw(action, GaussianLaw(Fields.of(s)), np.arange(len(m.columns)))
    return Solved(law, s.prior, (note,), s.warnings)


def _gaussian(m: Moments, target: Index | None, obstacle: str) -> Solved:
    """The law of second order, and why it is that."""
    s = solve_exact(m, "auto", target)
    return Solved(GaussianLaw(Fields.of(s)), s.prior, s.notes, (*s.warnings, f"{obstacle}; F is Gaussian here"))


def _ridge(prior: str | float | None) -> float | None:
    if prior in ("auto", "folds"):
        return None
    if prior is None:
        return 0.0
    if isinstance(prior, str) or not prior >= 0:
        raise OptionError(f"prior={prior!r}: a polynomial F takes 'auto', 'folds', None or a number from 0")
    return float(prior)


def _note(found: PolynomialSolution) -> str:
    beyond = ((found.action.terms > 0).sum(axis=1) > 2) | ~np.isnan(found.p_values)
    return (
        f"Schwinger–Dyson: {int((found.kept & beyond).sum())} of {int(beyond.sum())} interactions differ from 0 at a "
        f"false-discovery rate of 5 %; condition number {found.condition:.3g}"
    )


def _obstacle(m: Moments, order: int, power: int = 0) -> str | None:
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
    heavy = heavy_tail(m, power or 2 * (order - 1))
    return None if heavy is None else f"{heavy}; take its logarithm or ranks, or use cm.Fluctuation()"


def _falls(action: PolynomialAction) -> str | None:
    """Whether F is unbounded below, and so no probability."""
    direction = action.unbounded
    if direction is None:
        return None
    strongest = np.argsort(-np.abs(direction))[:3]
    names = ", ".join(f"'{action.columns[i]}'" for i in strongest if abs(direction[i]) > 0.3)
    return (
        f"F falls for ever along {names}, so exp(−F) is no probability: its tails are heavier than a Gaussian's, or a "
        "coupling is lost in noise; transform those columns (logarithm, ranks), or use cm.Fluctuation()"
    )
