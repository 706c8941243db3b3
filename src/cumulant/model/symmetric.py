"""Models under a group: declared, detected, or one whose class the notebook holds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cumulant.errors import CumulantWarning, OptionError
from cumulant.lift import Numeric
from cumulant.measure.threads import one_blas_thread
from cumulant.model.imposed import Imposed
from cumulant.model.model import Model
from cumulant.solve.symmetric import solve_symmetric
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.symmetry import Declared, Group, Reduced, declared, up_to_scale
from cumulant.symmetry.invariants import MOST_WITH_ROTATIONS
from cumulant.theory import Field, Gaussian, Polynomial, Taylor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cumulant.measure import Moments

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
            from cumulant.model.fit import solve

            model = solve(m, ansatz, prior=prior, target=target)
            return replace(model, notes=(*model.notes, "no symmetry was detected, so none was imposed"))
    with one_blas_thread(len(m.columns)):
        found = solve_symmetric(m, symmetry, prior)
    named = target if target is None or isinstance(target, str) else None
    imposed = Imposed.of(found, state, m)
    plain = None if isinstance(m, Reduced) else m
    notes = found.notes if plain is None else plain.notes + found.notes
    return Model(m.schema, found.law, found.prior, notes, named, plain, symmetries=imposed)


def _invariant(
    m: Moments | Reduced,
    ansatz: Taylor | Field,
    symmetry: Any,
    prior: str | float | None,
    target: str | Sequence[str] | None,
    rows: NDArray[np.float64] | None,
) -> Model:
    """The model of a target that a group acting on the other fields leaves alone: of invariant terms, or a field."""
    from cumulant.solve.field.solve import solve_field
    from cumulant.solve.taylor import solve_taylor

    if not isinstance(symmetry, (Group, Declared)) or isinstance(m, Reduced):
        raise OptionError(
            f"{ansatz!r} takes one group that acts on its inputs: measure without symmetry=, and solve with a group, "
            "as cumulant.symmetry.symmetric(['x1', 'x2'])"
        )
    bound = declared(symmetry).on(m.columns)
    if bound.soft:
        raise OptionError(f"{ansatz!r} takes a group as it is, and none softly; give it without cumulant.symmetry.soft")
    at = None if target is None else m.schema.independent_of(target)
    lifts = [m.schema.lifts[int(m.schema.column_of_field[i])] for i in m.schema.independent[bound.group.moved]]
    other = next((lift.name for lift in lifts if not isinstance(lift, Numeric)), None)
    if other is not None:
        raise OptionError(
            f"column '{other}' is not of numbers, whose powers a group exchanges; leave it out of the group"
        )
    if at is not None and bound.group.moved[at].any():
        raise OptionError(
            f"the group moves the target '{target}', and {ansatz!r} is of a target that it leaves alone: let it act on "
            "the inputs. cm.Gaussian() has no target, and its predictions turn with the group"
        )
    degree = max(ansatz.degrees) if isinstance(ansatz, Taylor) else 0
    if not bound.group.finite and degree > MOST_WITH_ROTATIONS:
        raise OptionError(
            f"{ansatz!r} under rotations: invariants up to degree {MOST_WITH_ROTATIONS} are known, which is "
            f"cm.Taylor({MOST_WITH_ROTATIONS + 1}); beyond, make dot products columns"
        )
    with one_blas_thread(len(m.columns)):
        found = solve_symmetric(m, bound, "auto" if prior in ("evidence", "folds") else prior)
        if isinstance(ansatz, Taylor):
            solved = solve_taylor(m, ansatz, prior, at, found)
        else:
            solved = solve_field(m, ansatz, prior, at, rows, found)
    for note in solved.warnings:
        warnings.warn(note, CumulantWarning, stacklevel=4)
    imposed = Imposed.of(found, "declared", m)
    if isinstance(solved.law, TaylorLaw):
        imposed = imposed.with_terms(solved.law.lifted)
    notes = m.notes + solved.notes + solved.warnings
    named = target if isinstance(target, str) else None
    return Model(m.schema, solved.law, solved.prior, notes, named, m, symmetries=imposed, theory=ansatz)


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
    if symmetry != "detect":
        raise OptionError(f"symmetry={symmetry!r}: choose 'detect', a group as cumulant.symmetry.cyclic(24), or a list")
    if isinstance(m, Reduced):
        raise OptionError("symmetry='detect' needs all second moments, and these were measured under a group")
    from cumulant.symmetry.detect import symmetries

    found = symmetries(m).accepted
    if not found:
        return None
    return up_to_scale(found[0].group) if found[0].scale == "correlation" else found[0].group
