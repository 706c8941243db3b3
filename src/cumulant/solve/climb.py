"""``theory="auto"`` with time to spend: a ladder of theories of one target, climbed while held-out rows pay for it.

Order 2 stands at its foot. Each rung above says beforehand what it would take, is left out where that is more than the
time that is left, and is taken where rows that were left out are likelier under it, by more than a nat for each number
that they chose; a field also where they are as likely, within a standard error, and nearer to its mean by more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.lift import Boolean, Categorical, Numeric
from cumulant.solve.auto import solve_gaussian
from cumulant.solve.expansion import Expansion, recentred, terms_of
from cumulant.solve.field.classes import SCREENED
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.left_out import displaced
from cumulant.solve.field.mixing import ADAPT_ROWS, PRODUCT_INPUTS
from cumulant.solve.field.solve import solve_field
from cumulant.solve.fluctuation import fluctuating
from cumulant.solve.held_out import class_log_likelihood, log_likelihood, usable_folds
from cumulant.solve.law import Candidate, Solved
from cumulant.solve.taylor import MANY_TERMS, Attempt, attempted, base_of, law_of, steepness_of
from cumulant.source.progress import tell
from cumulant.theory import Field, Fluctuation, Gaussian
from cumulant.theory.field import DENSE_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.theory.auto import Auto

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["LADDER", "solve_auto"]

# Nats a row that left-out rows must be likelier by, of however many rows.
LEAST = 1e-3
# Operations a second of a modest machine, in what dominates each rung.
FLOPS_PER_SECOND = 15e9
EIGEN, LOOK_UP = 10, 30
# Tables of 277 to 1,439 rows and 6 to 13 inputs took 2.8 to 7.9 s; of more rows than are dense, at most 4 ms a row.
ADAPTING, CONDITIONING, SPLIT_ROW = 3.5e5, 10, 4e-3
HIGHEST_DEGREE = 5
_WITHOUT_ROWS = "needs rows beside moments: give the table, rows="
# Of classes: products for each noise that is tried, factors of all rows, and operations for each input of an entry.
CLASS_NOISES, CLASS_FACTORS, PER_ENTRY = 30, 8, 10


@dataclass(eq=False)
class Climb:
    """What is to be explained, and what was found so far; ``foot`` is the held-out log-likelihood of order 2."""

    m: Moments
    y: int
    prior: str | float | None
    rows: Array | None
    foot: float = float("nan")
    degrees: dict[int, Attempt] = field(default_factory=dict)

    def expansion(self, degree: int) -> Expansion:
        """The terms of a mean of some degree."""
        return Expansion.of(self.m, np.array([self.y]), degree)

    @property
    def mean(self) -> Attempt:
        """The best mean so far."""
        return max(self.degrees.values(), key=lambda one: one.held_out)


@dataclass(frozen=True, eq=False)
class Rung:
    """A theory to try: its name, why it cannot be or None, the seconds it takes, and how it is solved.

    ``chosen`` is how many numbers are chosen by the very rows that judge it, each of which makes them likelier by some
    nat that new rows will not have (Akaike, IEEE Trans. Autom. Control 19 (1974) 716).
    """

    name: str
    obstacle: Callable[[Climb], str | None]
    seconds: Callable[[Climb], float]
    solve: Callable[[Climb], Solved]
    chosen: Callable[[Solved], float] = lambda _: 1.0


def _order(k: int) -> Rung:
    degree = k - 1

    def obstacle(climb: Climb) -> str | None:
        if climb.m.order < 2 * degree:
            return f"needs moments of order {2 * degree}, and these reach to {climb.m.order}"
        if terms_of(climb.m, climb.y, degree) > MANY_TERMS:
            return f"its mean would have {terms_of(climb.m, climb.y, degree):,} terms"
        pays = degree - 1 in climb.degrees and climb.mean is climb.degrees[degree - 1]
        return None if pays else f"order {k - 1} did not pay"

    def seconds(climb: Climb) -> float:
        n = terms_of(climb.m, climb.y, degree)
        tried = len(steepness_of(n, 1.0))
        return n**2 * ((EIGEN * tried + climb.m.folds / 3) * n + LOOK_UP * climb.m.folds) / FLOPS_PER_SECOND

    def solve(climb: Climb) -> Solved:
        found = attempted(climb.m, climb.expansion(degree), climb.prior, climb.degrees.get(degree - 1))
        climb.degrees[degree] = found
        return law_of(climb.m, found, base_of(climb.m, climb.prior))

    return Rung(f"Taylor order {k}", obstacle, seconds, solve)


def _usable(climb: Climb) -> Array:
    return np.zeros((0, 0)) if climb.rows is None else climb.rows[~np.isnan(climb.rows).any(axis=1)]


def _without_rows(climb: Climb) -> str | None:
    return _WITHOUT_ROWS if climb.rows is None else None


def _fluctuation(climb: Climb) -> Solved:
    background = law_of(climb.m, climb.mean, base_of(climb.m, climb.prior))
    return fluctuating(background, Fluctuation(), climb.rows)


def _fluctuation_obstacle(climb: Climb) -> str | None:
    return _without_rows(climb) or (None if climb.degrees else "needs moments of order 3 and more")


def _fluctuation_seconds(climb: Climb) -> float:
    n, p = _usable(climb).shape
    return n * (float(p) ** 2 / 2 + len(climb.mean.expansion.lifted)) ** 2 / FLOPS_PER_SECOND + 2e-6 * n


def _field_seconds(climb: Climb) -> float:
    n = float(len(_usable(climb)))
    if n > DENSE_ROWS:
        return SPLIT_ROW * n
    return 0.4 + (ADAPTING * min(n, ADAPT_ROWS) ** 2 + CONDITIONING * n**3) / FLOPS_PER_SECOND


def class_seconds(rows: int, inputs: int, classes: int) -> float:
    """Time that fields of classes take: their candidates on some rows, and the likeliest on all."""
    some, n = float(min(rows, SCREENED)), float(min(rows, DENSE_ROWS))
    tried = 9 + 3 * (inputs <= PRODUCT_INPUTS)
    work = tried * (EIGEN * some**3 + CLASS_NOISES * some**2 * (classes + 1) + PER_ENTRY * inputs * some**2)
    work += (CLASS_FACTORS * n**3 + 4 * PER_ENTRY * inputs * n**2) if n > SCREENED else 0.0
    return 0.3 + work / FLOPS_PER_SECOND


def _field(climb: Climb) -> Solved:
    return solve_field(climb.m, Field(), climb.prior, np.array([climb.y]), climb.rows)


def _field_chosen(found: Solved) -> float:
    """A weight of each field, tails and a width; for what else its rows chose they have been charged already."""
    return 1.0 + len(found.law.members) if isinstance(found.law, FieldLaw) else 0.0


LADDER: tuple[Rung, ...] = (
    *(_order(k) for k in range(3, HIGHEST_DEGREE + 2)),
    # The shape, its width, and how much of a strength that varies is believed.
    Rung("fluctuation", _fluctuation_obstacle, _fluctuation_seconds, _fluctuation, lambda _: 3.0),
    Rung("field", _without_rows, _field_seconds, _field, _field_chosen),
)


def solve_auto(m: Moments, theory: Auto, prior: str | float | None, target: Index | None, rows: Array | None) -> Solved:
    """The theory of one numeric target that rows which were left out are most likely under; else order 2."""
    start, cpu = time.perf_counter(), time.process_time()
    best = replace(solve_gaussian(m, Gaussian(), prior, target), theory=Gaussian())
    if _is_class(m, target):
        assert target is not None  # noqa: S101  # it is a class
        return _of_classes(m, theory, prior, target, rows, best)
    if not _climbable(m, target):
        note = "auto climbs beyond order 2 for one target that varies, without categories of many levels"
        return replace(best, notes=(*best.notes, note))
    assert target is not None  # noqa: S101  # it is climbable
    climb = Climb(recentred(m), int(target[0]), prior, rows)
    climb.foot = _foot(climb, best.prior.mass)
    candidates = [Candidate("order 2", float(climb.foot), time.process_time() - cpu)]
    best, at = replace(best, held_out=climb.foot), 0
    for rung in LADDER:
        left = theory.seconds - (time.perf_counter() - start)
        obstacle = rung.obstacle(climb)
        expected = 0.0 if obstacle else rung.seconds(climb)
        if obstacle is None and expected > left:
            obstacle = f"would take some {expected:.2g} s of the {max(left, 0):.2g} s that are left"
        if obstacle is not None:
            candidates.append(Candidate(rung.name, float("nan"), 0.0, obstacle))
            continue
        tell(rung.name)
        cpu = time.process_time()
        found = rung.solve(climb)
        candidates.append(Candidate(rung.name, _score(found), time.process_time() - cpu))
        if _pays(best, found, rung.chosen(found), climb) or _as_likely_and_closer(best, found, climb):
            best, at = found, len(candidates) - 1
    return _told(best, candidates, at)


def _climbable(m: Moments, target: Index | None) -> bool:
    if target is None or len(target) != 1 or m.schema.wide:
        return False
    if not (np.diag(m.total.covariance)[target[0]] > 0 and len(usable_folds(m)) > 1):
        return False
    return isinstance(m.schema.lifts[int(m.schema.column_of_field[m.schema.independent[target[0]]])], Numeric)


def _is_class(m: Moments, target: Index | None) -> bool:
    """Whether a target is one category or true/false, of which more than one level occurs."""
    if target is None or not len(target) or m.schema.wide:
        return False
    columns = np.unique(m.schema.column_of_field[m.schema.independent][target])
    if len(columns) > 1 or not isinstance(m.schema.lifts[int(columns[0])], (Boolean, Categorical)):
        return False
    return bool((np.diag(m.total.covariance)[target] > 0).any()) and len(usable_folds(m)) > 1


def _of_classes(
    m: Moments, theory: Auto, prior: str | float | None, target: Index, rows: Array | None, foot: Solved
) -> Solved:
    """Order 2 and a field of the classes: whichever rows that were left out are likelier under."""
    start, cpu = time.perf_counter(), time.process_time()
    score = float("nan") if rows is None else class_log_likelihood(m, foot.prior.mass, target, rows)
    candidates = [Candidate("order 2", score, time.process_time() - cpu)]
    left = theory.seconds - (time.perf_counter() - start)
    expected = 0.0 if rows is None else class_seconds(len(rows), rows.shape[1] - len(target), 1 + len(target))
    why = _WITHOUT_ROWS if rows is None else None
    if expected > left:
        why = f"would take some {expected:.2g} s of the {max(left, 0):.2g} s that are left"
    foot = replace(foot, held_out=score)
    if why is not None:
        return _told(foot, [*candidates, Candidate("field", float("nan"), 0.0, why)], 0)
    cpu = time.process_time()
    found = replace(solve_field(m, Field(), prior, target, rows), theory=Field())
    candidates.append(Candidate("field", _score(found), time.process_time() - cpu))
    # A link of a slope and a level of each class, and some weights, are chosen by the rows that judge it.
    chosen = 3.0 * (2 + len(target))
    pays = found.held_out is not None and found.held_out - score > max(LEAST, chosen / max(m.count, 1.0))
    return _told(found if pays else foot, candidates, int(pays))


def _foot(climb: Climb, mass: float) -> float:
    """The held-out log-likelihood of order 2."""
    if climb.m.higher is None:
        return log_likelihood(climb.m, mass, climb.y)
    climb.degrees[1] = attempted(climb.m, climb.expansion(1), climb.prior, None)
    return climb.degrees[1].held_out


def _score(found: Solved) -> float:
    return float("nan") if found.held_out is None else float(found.held_out)


def _pays(best: Solved, found: Solved, chosen: float, climb: Climb) -> bool:
    if found.held_out is None:
        return False
    return bool(found.held_out - _score(best) > max(LEAST, chosen / max(climb.m.count, 1.0)))


def _as_likely_and_closer(best: Solved, found: Solved, climb: Climb) -> bool:
    """Whether left-out rows are as likely under a field, within a standard error, and nearer to its mean by more."""
    if not isinstance(found.law, FieldLaw) or found.law.left_out is None:
        return False
    left_out = found.law.left_out
    foretold = left_out.density(found.law.members)
    error = float(np.mean((foretold.mean - left_out.y) ** 2))
    sure = float(foretold.log_prob(displaced(left_out.y)).std()) / len(left_out.y) ** 0.5
    gaussian = -0.5 * float(np.log(2 * np.pi * np.e * max(error, 1e-300)))
    other = climb.mean.held_out if climb.degrees else climb.foot
    return _score(found) > _score(best) - sure and gaussian > other + sure


def _told(best: Solved, candidates: Sequence[Candidate], at: int) -> Solved:
    """The one that was taken, with the path to it."""
    name = candidates[at].name
    tried = [one for one in candidates if not np.isnan(one.log_likelihood)]
    path = ", ".join(f"{one.name} {one.log_likelihood:.4g} ({one.cpu_seconds:.2g} s)" for one in tried)
    left = "; ".join(f"{one.name} {one.why}" for one in candidates if one.why and "did not pay" not in one.why)
    note = (
        f"auto took {name}: nothing else that was tried made left-out rows likelier by more than is sure and than the "
        f"numbers that it chose by them are worth (nats a row: {path})"
    )
    skipped = (f"auto did not try: {left}",) if left else ()
    taken = (replace(candidates[at], why="taken") if i == at else one for i, one in enumerate(candidates))
    return replace(best, notes=(*best.notes, note, *skipped), candidates=tuple(taken))
