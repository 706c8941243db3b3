"""Models under a group: declared, detected, or one whose class the notebook holds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantWarning, OptionError
from cumulant.lift import Numeric
from cumulant.measure.threads import one_blas_thread
from cumulant.model.imposed import Imposed
from cumulant.model.model import Model
from cumulant.solve.several import TaylorsLaw
from cumulant.solve.symmetric import solve_symmetric
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.symmetry import Declared, Group, Reduced, declared, trivial, up_to_scale
from cumulant.symmetry.covariants import exchanged
from cumulant.symmetry.invariants import MOST_WITH_ROTATIONS
from cumulant.theory import Field, Gaussian, Polynomial, Taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.solve.law import Solved
    from cumulant.solve.symmetric import Symmetric

    Index = NDArray[np.int64]

__all__ = ["measured_under", "solve_under"]

# Groups of more columns are measured as they are solved; smaller ones from ordinary moments, which may have gaps.
MANY_COLUMNS = 300


def measured_under(symmetry: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What `measure` is told of a symmetry."""
    group = symmetry.group if isinstance(symmetry, Declared) else symmetry
    plain = not {"weights", "checkpoint", "group_by"} & {k for k, v in options.items() if v is not None}
    if isinstance(group, Group) and group.degree > MANY_COLUMNS and plain:
        return {"symmetry": symmetry}
    return {}


def solve_under(
    m: Moments | Reduced,
    ansatz: Any,
    symmetry: Any,
    prior: str | float | None,
    target: str | Sequence[str] | None,
    rows: NDArray[np.float64] | None = None,
) -> Model:
    """The model under a group."""
    if isinstance(ansatz, Polynomial) and ansatz.bounds:
        raise OptionError("bounds= of cm.Polynomial have no solution under symmetry=; leave one of them out")
    if isinstance(ansatz, Polynomial) and ansatz.order > 2:
        return _looked_up(m, ansatz, symmetry, prior, target)
    if isinstance(ansatz, (Taylor, Field)):
        return _invariant(m, ansatz, symmetry, prior, target, rows)
    if not isinstance(ansatz, Gaussian):
        raise OptionError(
            f"symmetry= is solved for cm.Gaussian(), cm.Taylor() and cm.Field(), not {ansatz!r}; leave one of them out"
        )
    if target is not None:
        m.schema.independent_of(target)
    state = "declared"
    if isinstance(symmetry, str):
        symmetry, state = _detected(m, symmetry), "detected"
        if symmetry is None:
            return _without(m, ansatz, prior, target)
    with one_blas_thread(len(m.columns)):
        found = solve_symmetric(m, symmetry, prior)
    named = target if target is None or isinstance(target, str) else None
    imposed = Imposed.of(found, state, m)
    plain = None if isinstance(m, Reduced) else m
    notes = found.notes if plain is None else plain.notes + found.notes
    return Model(m.schema, found.law, found.prior, notes, named, plain, symmetries=imposed)


def _without(m: Moments | Reduced, ansatz: Any, prior: str | float | None, target: str | Sequence[str] | None) -> Model:
    """The model without a symmetry, where none was detected."""
    from cumulant.model.fit import solve

    model = solve(m, ansatz, prior=prior, target=target)
    return replace(model, notes=(*model.notes, "no symmetry was detected, so none was imposed"))


def _invariant(
    m: Moments | Reduced,
    ansatz: Taylor | Field,
    symmetry: Any,
    prior: str | float | None,
    target: str | Sequence[str] | None,
    rows: NDArray[np.float64] | None,
) -> Model:
    """The model of targets whose means are as symmetric as their inputs: of terms that go with them, or a field."""
    if isinstance(m, Reduced):
        raise OptionError(f"{ansatz!r} takes its group when it is solved; measure without symmetry=")
    at = None if target is None else m.schema.independent_of(target)
    one = isinstance(symmetry, (Group, Declared))
    offered = [symmetry] if one else _offered(m, ansatz, symmetry, at)
    if isinstance(symmetry, str) and not offered:
        return _without(m, ansatz, prior, target)
    asked = [_acting(m, ansatz, s, at) for s in ([*offered] if one else [*offered, trivial(m.columns)])]
    with one_blas_thread(len(m.columns)):
        tried = [_solved_under(m, ansatz, bound, prior, at, rows, judged=not one) for bound in asked]
    tried.sort(key=lambda found: -_score(found[1]))
    under, solved = tried[0]
    imposed, notes = _imposed(m, under, solved), m.notes + solved.notes
    if not one:
        shown = tuple((str(u.reduced.declared), _score(s), _imposed(m, u, s).parameters[1]) for u, s in tried)
        imposed = replace(imposed, state="detected" if isinstance(symmetry, str) else "chosen", tried=shown)
        notes += (
            f"{shown[0][0]} was chosen among {len(tried)} groups by the likelihood of the target in rows held out",
        )
    for note in solved.warnings:
        warnings.warn(note, CumulantWarning, stacklevel=4)
    named = target if isinstance(target, str) else None
    notes += solved.warnings
    return Model(m.schema, solved.law, solved.prior, notes, named, m, symmetries=imposed, theory=ansatz)


def _offered(m: Moments, ansatz: Taylor | Field, symmetry: Any, at: Index | None) -> Sequence[Group | Declared]:
    """The groups to choose from by rows held out; of those detected the ones that leave the target alone."""
    if not isinstance(ansatz, Taylor):
        raise OptionError(
            f"{ansatz!r} takes one group that acts on its inputs, as cumulant.symmetry.symmetric(['x1', 'x2'])"
        )
    if isinstance(symmetry, str):
        return [one for one in _detections(m, symmetry) if at is None or not declared(one).group.moved[at].any()]
    if not isinstance(symmetry, Sequence) or not symmetry:
        raise OptionError(
            f"symmetry={symmetry!r}: give a group, as cumulant.symmetry.cyclic(24), or groups to choose from"
        )
    return symmetry


def _score(solved: Solved) -> float:
    """Held-out log-likelihood of the target in a row."""
    return -inf if solved.held_out is None else solved.held_out


def _acting(m: Moments, ansatz: Taylor | Field, symmetry: Any, at: Index | None) -> Declared:
    """The group among the fields, if it may act there."""
    bound = declared(symmetry).on(m.columns)
    if bound.soft:
        raise OptionError(f"{ansatz!r} takes a group as it is, and none softly; give it without cumulant.symmetry.soft")
    lifts = [m.schema.lifts[int(m.schema.column_of_field[i])] for i in m.schema.independent[bound.group.moved]]
    other = next((lift.name for lift in lifts if not isinstance(lift, Numeric)), None)
    if other is not None:
        raise OptionError(
            f"column '{other}' is not of numbers, whose powers a group exchanges; leave it out of the group"
        )
    turned = at is not None and bool(bound.group.moved[at].any())
    if at is not None and turned:
        _require_closed(m, bound.group, at)
    # With a target that rotates an invariant has one index more than its monomial.
    most = MOST_WITH_ROTATIONS - turned
    degree = max(ansatz.degrees) if isinstance(ansatz, Taylor) else 0
    if not bound.group.finite and degree > most:
        raise OptionError(
            f"{ansatz!r} under rotations: terms up to degree {most} are known, which is cm.Taylor({most + 1}); beyond, "
            "make dot products columns"
        )
    return bound


def _require_closed(m: Moments, group: Group, at: Index) -> None:
    """Refuse a group that takes a target to what is none."""
    for orbit in exchanged(group, at):
        other = np.setdiff1d(orbit, at)
        if len(other):
            target = m.columns[np.intersect1d(orbit, at)[0]]
            raise OptionError(
                f"the group takes the target '{target}' to '{m.columns[other[0]]}', which is no target: name as "
                "targets all that it exchanges, or let it act on the inputs alone"
            )


def _solved_under(
    m: Moments,
    ansatz: Taylor | Field,
    bound: Declared,
    prior: str | float | None,
    at: Index | None,
    rows: NDArray[np.float64] | None,
    *,
    judged: bool,
) -> tuple[Symmetric, Solved]:
    """The Gaussian law of all fields under a group, and on it the theory of the target."""
    from cumulant.solve.field.solve import solve_field
    from cumulant.solve.taylor import solve_taylor

    found = solve_symmetric(m, bound, "auto" if prior in ("evidence", "folds") else prior)
    if isinstance(ansatz, Taylor):
        return found, solve_taylor(m, ansatz, prior, at, found, judged=judged)
    return found, solve_field(m, ansatz, prior, at, rows, found)


def _imposed(m: Moments, found: Symmetric, solved: Solved) -> Imposed:
    imposed = Imposed.of(found, "declared", m)
    laws = solved.law.laws if isinstance(solved.law, TaylorsLaw) else (solved.law,)
    means = {law.target: law.lifted for law in laws if isinstance(law, TaylorLaw)}
    if not means:
        return imposed
    orbits = exchanged(found.reduced.group, np.array(list(means)))
    return imposed.with_terms([means[orbit[0]] for orbit in orbits], [len(orbit) for orbit in orbits])


def _looked_up(
    m: Moments | Reduced, ansatz: Polynomial, symmetry: Any, prior: Any, target: str | Sequence[str] | None
) -> Model:
    """The model of a class of interacting fields that the notebook holds."""
    from cumulant.solve.looked_up import solve_looked_up

    group = symmetry.group if isinstance(symmetry, Declared) else symmetry
    if not isinstance(group, Group) or isinstance(m, Reduced):
        raise OptionError(
            f"{ansatz!r} is looked up in the notebook under one group: measure without symmetry=, and solve with a "
            "group, as cumulant.symmetry.z2(['x'])"
        )
    if prior not in ("auto", None):
        raise OptionError(f"prior={prior!r}: couplings that are looked up take none; leave it out")
    bound = declared(symmetry).on(m.columns)
    solved = solve_looked_up(m, ansatz, bound.group)
    for note in solved.warnings:
        warnings.warn(note, CumulantWarning, stacklevel=4)
    named = target if target is None or isinstance(target, str) else None
    notes = m.notes + solved.notes + solved.warnings
    imposed = Imposed.looked_up(bound, ansatz.order, m)
    return Model(m.schema, solved.law, solved.prior, notes, named, m, symmetries=imposed, theory=ansatz)


def _detected(m: Moments | Reduced, symmetry: str) -> Group | Declared | None:
    """The largest symmetry that the moments show, or None."""
    return next(iter(_detections(m, symmetry)), None)


def _detections(m: Moments | Reduced, symmetry: str) -> list[Group | Declared]:
    """The symmetries that the moments show, the largest first."""
    if symmetry != "detect":
        raise OptionError(f"symmetry={symmetry!r}: choose 'detect', a group as cumulant.symmetry.cyclic(24), or a list")
    if isinstance(m, Reduced):
        raise OptionError("symmetry='detect' needs all second moments, and these were measured under a group")
    from cumulant.symmetry.detect import symmetries

    accepted = symmetries(m).accepted
    return [up_to_scale(one.group) if one.scale == "correlation" else one.group for one in accepted]
