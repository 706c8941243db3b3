"""``theory="auto"`` with time to spend: a ladder of theories of one target, climbed while held-out rows pay for it.

Order 2 stands at its foot. Each rung above says beforehand what it would take, is left out where that is more than the
time that is left, and is taken where rows that were left out are likelier under it, by more than a nat for each number
that they chose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.lift import Numeric
from cumulant.solve.auto import solve_gaussian
from cumulant.solve.field.mixing import ADAPT_ROWS, EACH_SCALE
from cumulant.solve.field.solve import solve_field
from cumulant.solve.fluctuation import fluctuating
from cumulant.solve.held_out import log_likelihood, usable_folds
from cumulant.solve.law import Candidate, Solved
from cumulant.solve.taylor import MANY_TERMS, Attempt, attempted, law_of, recentred, steepness_of, terms_of
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
ADAPTING, CONDITIONING = 1.2e5, 10
HIGHEST_DEGREE = 5


@dataclass(eq=False)
class Climb:
    """What is to be explained, and what was found so far."""

    m: Moments
    y: int
    prior: str | float | None
    rows: Array | None
    degrees: dict[int, Attempt] = field(default_factory=dict)

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
    chosen: Callable[[Climb], float] = lambda _: 1.0


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
        found = attempted(climb.m, climb.y, degree, climb.prior, climb.degrees.get(degree - 1))
        climb.degrees[degree] = found
        return law_of(climb.m, climb.y, found, climb.prior)

    return Rung(f"Taylor order {k}", obstacle, seconds, solve)


def _usable(climb: Climb) -> Array:
    return np.zeros((0, 0)) if climb.rows is None else climb.rows[~np.isnan(climb.rows).any(axis=1)]


def _without_rows(climb: Climb) -> str | None:
    return "needs rows beside moments: give the table, rows=" if climb.rows is None else None


def _fluctuation(climb: Climb) -> Solved:
    background = law_of(climb.m, climb.y, climb.mean, climb.prior)
    return fluctuating(background, Fluctuation(), climb.rows)


def _fluctuation_obstacle(climb: Climb) -> str | None:
    return _without_rows(climb) or (None if climb.degrees else "needs moments of order 3 and more")


def _fluctuation_seconds(climb: Climb) -> float:
    n, p = _usable(climb).shape
    return n * (float(p) ** 2 / 2 + len(climb.mean.problem.lifted)) ** 2 / FLOPS_PER_SECOND + 2e-6 * n


def _field_seconds(climb: Climb) -> float:
    n = float(min(DENSE_ROWS, len(_usable(climb))))
    return 0.4 + (ADAPTING * min(n, ADAPT_ROWS) ** 2 + CONDITIONING * n**3) / FLOPS_PER_SECOND


def _field(climb: Climb) -> Solved:
    return solve_field(climb.m, Field(), climb.prior, np.array([climb.y]), climb.rows)


def _field_chosen(climb: Climb) -> float:
    """A scale for each input, a noise, a shape and a weight, of each propagator."""
    return 3.0 * (min(len(climb.m.columns), EACH_SCALE) + 2)


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
    if not _climbable(m, target):
        note = "auto climbs beyond order 2 for one numeric target that varies, without categories of many levels"
        return replace(best, notes=(*best.notes, note))
    assert target is not None  # noqa: S101  # it is climbable
    climb = Climb(recentred(m), int(target[0]), prior, rows)
    foot = _foot(climb, best.prior.mass)
    candidates = [Candidate("order 2", float(foot), time.process_time() - cpu)]
    best, at = replace(best, held_out=foot), 0
    for rung in LADDER:
        left = theory.seconds - (time.perf_counter() - start)
        obstacle = rung.obstacle(climb)
        expected = 0.0 if obstacle else rung.seconds(climb)
        if obstacle is None and expected > left:
            obstacle = f"would take some {expected:.2g} s of the {max(left, 0):.2g} s that are left"
        if obstacle is not None:
            candidates.append(Candidate(rung.name, float("nan"), 0.0, obstacle))
            continue
        cpu = time.process_time()
        found = rung.solve(climb)
        candidates.append(Candidate(rung.name, _score(found), time.process_time() - cpu))
        if _pays(best, found, rung.chosen(climb), climb):
            best, at = found, len(candidates) - 1
    return _told(best, candidates, at)


def _climbable(m: Moments, target: Index | None) -> bool:
    if target is None or len(target) != 1 or m.schema.wide:
        return False
    if not (np.diag(m.total.covariance)[target[0]] > 0 and len(usable_folds(m)) > 1):
        return False
    return isinstance(m.schema.lifts[int(m.schema.column_of_field[m.schema.independent[target[0]]])], Numeric)


def _foot(climb: Climb, mass: float) -> float:
    """The held-out log-likelihood of order 2."""
    if climb.m.higher is None:
        return log_likelihood(climb.m, mass, climb.y)
    climb.degrees[1] = attempted(climb.m, climb.y, 1, climb.prior, None)
    return climb.degrees[1].held_out


def _score(found: Solved) -> float:
    return float("nan") if found.held_out is None else float(found.held_out)


def _pays(best: Solved, found: Solved, chosen: float, climb: Climb) -> bool:
    if found.held_out is None:
        return False
    return bool(found.held_out - _score(best) > max(LEAST, chosen / max(climb.m.count, 1.0)))


def _told(best: Solved, candidates: Sequence[Candidate], at: int) -> Solved:
    """The one that was taken, with the path to it."""
    name = candidates[at].name
    tried = [one for one in candidates if not np.isnan(one.log_likelihood)]
    path = ", ".join(f"{one.name} {one.log_likelihood:.4g} ({one.cpu_seconds:.2g} s)" for one in tried)
    left = "; ".join(f"{one.name} {one.why}" for one in candidates if one.why and "did not pay" not in one.why)
    note = (
        f"auto took {name}: nothing else that was tried made left-out rows likelier by more than the numbers that it "
        f"chose by them are worth (nats a row: {path})"
    )
    skipped = (f"auto did not try: {left}",) if left else ()
    taken = (replace(candidates[at], why="taken") if i == at else one for i, one in enumerate(candidates))
    return replace(best, notes=(*best.notes, note, *skipped), candidates=tuple(taken))
