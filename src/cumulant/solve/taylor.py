"""The classical equation of a target, ∂F/∂y = 0, to higher order in x: regression on monomials, from moments alone.

Each monomial of the standardised fields becomes a field, and its covariance with every other is a measured moment of
higher order. What is left is the exact solver's problem of second order, with a mass that may grow with the degree:
both are chosen by the evidence ln Z, and the degree, when it is left open, by the likelihood of held-out folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.solve.exact import solve_exact
from cumulant.solve.expansion import Expansion, Terms, held_out, recentred, terms_of
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.masses import STEEPNESS, Masses
from cumulant.solve.predictive import Fields
from cumulant.solve.several import TaylorsLaw
from cumulant.solve.tails import heavy_tail
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.symmetry.covariants import exchanged
from cumulant.theory.taylor import Taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.solve.symmetric import Symmetric
    from cumulant.symmetry import Declared

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["MANY_TERMS", "Attempt", "Base", "attempted", "base_of", "law_of", "solve_taylor", "steepness_of"]

# One eigen-decomposition serves each steepness that is tried: beyond so many terms only two near that of a
# degree less, then that one alone; and beyond so many no degree is tried unasked.
FEW_TERMS, SOME_TERMS, MANY_TERMS = 300, 800, 1500


def solve_taylor(
    m: Moments,
    theory: Taylor,
    prior: str | float | None,
    target: Index | None,
    under: Symmetric | None = None,
    *,
    judged: bool = False,
) -> Solved:
    """Couplings of a target, or of several, to monomials of the other fields.

    Parameters
    ----------
    under
        The Gaussian law under a group, if one acts on the other fields: only its invariant sums of monomials are terms.
        If it takes targets to each other, the terms of their means go with them, with one set of coefficients.
    judged
        Whether to score rows held out where there is one order alone, too.

    Raises
    ------
    OptionError
        No target was named, or one that is not of numbers.
    DataError
        The moments are of too low an order, or too few rows are without gaps.
    """
    targets = _targets(m, target)
    degrees, symmetry = theory.degrees, None if under is None else under.reduced.declared
    orbits = (
        [targets[i : i + 1] for i in range(len(targets))] if symmetry is None else exchanged(symmetry.group, targets)
    )
    if m.higher is None and theory.order == "auto" and under is None:
        s = solve_exact(m, prior, target)
        note = f"moments of second order alone leave the mean of {len(m.columns):,} fields linear; ask for an order"
        return Solved(GaussianLaw(Fields.of(s)), s.prior, (*s.notes, note), s.warnings)
    if m.higher is None or m.order < 2 * degrees[0]:
        raise DataError(
            f"moments of order {m.order} were measured and this theory requires order {theory.requires().order}; "
            f"measure with order={theory.requires().order}"
        )
    first = []
    if m.order < 2 * degrees[-1]:
        degrees = tuple(d for d in degrees if 2 * d <= m.order)
        first.append(f"moments to order {m.order} leave degrees up to {degrees[-1]} to choose from")
    m, base = recentred(m), base_of(m, prior, under)
    solved = []
    for orbit in orbits:
        notes = list(first)
        # No mean of a constant is likelier than another.
        varies = bool((np.diag(m.total.covariance)[orbit] > 0).all())
        asked = degrees if varies else degrees[:1]
        tried = _climb(m, orbit, targets, asked, prior, symmetry, judged=varies and (judged or len(degrees) > 1))
        degree = max(tried, key=lambda d: tried[d].held_out)
        if len(tried) > 1:
            shown = ", ".join(f"{one.held_out:.4g} at degree {d}" for d, one in tried.items())
            notes.append(f"degree {degree} of the mean has the highest held-out log-likelihood of a row ({shown})")
        elif len(asked) > 1 and np.isinf(tried[degree].held_out):
            notes.append(f"{m.count:,.0f} rows are too few to hold any out, so the mean is linear; measure more rows")
        solved.append(law_of(m, tried[degree], base, notes, apart=targets))
    return solved[0] if len(solved) == 1 else _together(m, orbits, solved)


def _together(m: Moments, orbits: Sequence[Index], solved: Sequence[Solved]) -> Solved:
    """The law of several targets that were solved each by itself; what is said of all is said once."""
    laws = [law for one in solved for law in (one.law.laws if isinstance(one.law, TaylorsLaw) else (one.law,))]
    common = [note for note in solved[0].notes if all(note in one.notes for one in solved)]
    notes = list(common)
    for orbit, one in zip(orbits, solved, strict=True):
        name = ", ".join(m.columns[i] for i in orbit)
        notes += [f"{name}: {note}" for note in one.notes if note not in common]
    warnings = tuple(dict.fromkeys(warning for one in solved for warning in one.warnings))
    held_out = None
    if all(one.held_out is not None for one in solved):
        rows = [len(orbit) * (one.held_out or 0.0) for orbit, one in zip(orbits, solved, strict=True)]
        held_out = sum(rows) / sum(len(orbit) for orbit in orbits)
    highest = max((one.theory for one in solved), key=lambda t: max(t.degrees))
    ordered = sorted((law for law in laws if isinstance(law, TaylorLaw)), key=lambda law: law.target)
    return Solved(TaylorsLaw(tuple(ordered)), solved[0].prior, tuple(notes), warnings, held_out, highest)


def law_of(m: Moments, attempt: Attempt, base: Base, before: Sequence[str] = (), apart: Index | None = None) -> Solved:
    """The law of a mean of the degree that was tried; ``before`` is said first, and ``apart`` are no inputs."""
    expansion, solved = attempt.expansion, attempt.solved
    targets, lifted, count = expansion.targets, expansion.lifted, solved.fields.count
    apart = targets if apart is None else apart
    notes, warnings = list(before), []
    if count < expansion.weight * m.count:
        rows = count / expansion.weight
        notes.append(f"{rows:,.0f} of {m.count:,.0f} rows have no gap, and the mean rests on them")
    if count <= solved.parameters + 1:
        warnings.append(
            f"{solved.parameters:.0f} parameters are determined by {count:,.0f} rows, so errors cannot be told; "
            "choose a lower order, or fewer columns"
        )
    if lifted.sums is not None:
        notes.append(_said_of_terms(m, expansion))
    # Of a degree that held-out folds chose, they have judged the moments too.
    degree = lifted.factors.shape[1]
    asked = degree > 1 and bool(np.isnan(attempt.held_out))
    if asked and not warnings and len(lifted) >= count:
        warnings.append(
            f"{len(lifted):,} terms of the mean rest on {count:,.0f} rows, so that the prior decides among them; let "
            "order='auto' choose by held-out folds, or measure more rows"
        )
    inputs = [i for i in range(len(m.columns)) if i not in apart and asked]
    heavy = (heavy_tail(m, 2 * degree, inputs), heavy_tail(m, 2, targets.tolist()))
    warnings += [f"{found}, which the mean rests on; take its logarithm or ranks" for found in heavy if found]
    laws = [
        TaylorLaw.of(base.fields, int(y), own, expansion.fields_of(i, solved.fields))
        for i, (y, own) in enumerate(zip(targets, expansion.each, strict=True))
    ]
    law = laws[0] if len(laws) == 1 else TaylorsLaw(tuple(laws))
    held_out = None if np.isnan(attempt.held_out) else attempt.held_out
    said, warned = (*base.notes, *notes), (*base.warnings, *warnings)
    return Solved(law, attempt.masses.prior, said, warned, held_out, Taylor(degree + 1))


def _said_of_terms(m: Moments, expansion: Expansion) -> str:
    terms, monomials = len(expansion.lifted), len(expansion.lifted.factors)
    if len(expansion.targets) == 1 and expansion.constant:
        return f"the mean is a sum of {terms:,} invariant terms of {monomials:,} monomials"
    names = ", ".join(m.columns[i] for i in expansion.targets)
    said = f"the mean of {names} is a sum of {terms:,} terms of {monomials:,} monomials, which the group takes along"
    if len(expansion.targets) > 1:
        said += f"; in errors a row of them counts as {expansion.weight:.3g}"
    return said


class Base(NamedTuple):
    """The Gaussian law of all fields, with what is to be said of it."""

    fields: Fields
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def base_of(m: Moments, prior: str | float | None, under: Symmetric | None = None) -> Base:
    """The law of second order, on which a mean that bends is laid."""
    if under is not None:
        return Base(under.law.gaussian.fields, under.notes, ())
    s = solve_exact(m, "auto" if prior in ("evidence", "folds") else prior, None)
    return Base(Fields.of(s), s.notes, s.warnings)


@dataclass(frozen=True, eq=False)
class Attempt:
    """A degree that was solved, and the mean log-likelihood of a held-out row under it, NaN where not judged."""

    expansion: Expansion
    solved: Terms
    masses: Masses
    held_out: float


def _climb(
    m: Moments,
    orbit: Index,
    apart: Index,
    degrees: tuple[int, ...],
    prior: str | float | None,
    symmetry: Declared | None,
    *,
    judged: bool,
) -> dict[int, Attempt]:
    """Each degree solved, and its held-out score, from the lowest up for as long as it pays."""
    tried: dict[int, Attempt] = {}
    for degree in degrees:
        if tried and terms_of(m, apart, degree, symmetry) > MANY_TERMS:
            break
        expansion = Expansion.of(m, orbit, degree, symmetry, apart)
        tried[degree] = attempted(m, expansion, prior, tried.get(degree - 1), judged=judged)
        if tried[degree].held_out < max(one.held_out for one in tried.values()) or np.isinf(tried[degree].held_out):
            break
    return tried


def attempted(
    m: Moments, expansion: Expansion, prior: str | float | None, below: Attempt | None, *, judged: bool = True
) -> Attempt:
    """A mean of one degree, with what is known of the degree below it."""
    tried = steepness_of(len(expansion.lifted), STEEPNESS[1] if below is None else below.masses.steepness)
    expansion = expansion.weighed(m, prior, tried)
    solved, masses = expansion.solve(m, prior, tried)
    return Attempt(expansion, solved, masses, held_out(m, expansion, solved) if judged else float("nan"))


def steepness_of(terms: int, start: float) -> tuple[float, ...]:
    """Values of the steepness that are tried for so many terms, from what suits a degree less."""
    return STEEPNESS if terms <= FEW_TERMS else (start, 4 * start) if terms <= SOME_TERMS else (start,)


def _targets(m: Moments, target: Index | None) -> Index:
    if target is None:
        raise OptionError("this theory expands F about its targets; name one, target='price', or several")
    lifts = [m.schema.lifts[int(m.schema.column_of_field[m.schema.independent[y]])] for y in target]
    other = next((lift.name for lift in lifts if not isinstance(lift, Numeric)), None)
    if other is not None:
        raise OptionError(f"target='{other}' is no column of numbers; use cm.Gaussian() for it")
    return np.asarray(target)
