"""Solve rows for the law of a target that is a field of the other columns."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.measure.capacity import refuse_if_beyond_memory
from cumulant.measure.threads import blas_threads
from cumulant.solve.exact import solve_exact
from cumulant.solve.field.class_blocks import condition_blocks
from cumulant.solve.field.class_law import ClassLaw
from cumulant.solve.field.classes import candidates
from cumulant.solve.field.equivariant import most_rows, refuse_if_not_turned, turned_laws
from cumulant.solve.field.large import of_many_rows, sampled
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.left_out import LeftOutClasses
from cumulant.solve.field.member import Member
from cumulant.solve.field.mixing import PRODUCT_INPUTS, Mixing
from cumulant.solve.field.narrow import narrowed, refuse_if_too_many
from cumulant.solve.field.rows import usable, varying
from cumulant.solve.field.several import FieldsLaw
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.mixed import level_of
from cumulant.solve.predictive import Fields
from cumulant.symmetry.quotient import Quotient
from cumulant.theory.field import DENSE_ROWS, MOST_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.solve.field.left_out import LeftOut
    from cumulant.solve.field.split_member import SplitMember
    from cumulant.solve.symmetric import Symmetric
    from cumulant.theory.field import Field

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["solve_field"]

FEWEST_ROWS = 3
UNWEIGHTED = "rows count the same in the field, whatever their weight; repeat rows, or use cm.Taylor(), to weigh them"
# Rows that fields of classes are conditioned on.
MOST_CLASS_ROWS = 100_000
# Matrices of rows by rows that are held at once.
MATRICES = 6


def solve_field(
    m: Moments,
    theory: Field,
    prior: str | float | None,
    target: Index | None,
    rows: Array | None,
    under: Symmetric | None = None,
) -> Solved:
    """The law of a target, a number or a category, or of several numbers, each a field of all other columns.

    Parameters
    ----------
    under
        The Gaussian law under a group, if one acts on the inputs: the field is then one that it leaves alone.

    Raises
    ------
    OptionError
        No target was named, or several that are not all numbers.
    DataError
        There are no rows at hand.
    ResourceError
        The propagator of the rows does not fit into memory.
    """
    targets = _targets(m, target)
    if rows is None:
        raise DataError("a field on function space is conditioned on rows, not on moments; use cm.fit(table, …)")
    column = m.schema.column_of_field[m.schema.independent][targets]
    if under is not None and under.reduced.declared.group.moved[targets].any():
        return _turned(m, theory, prior, targets, rows, under)
    if len(np.unique(column)) <= 1:
        return _one(m, theory, prior, targets, targets, rows, under)
    found = [_one(m, theory, prior, targets[i : i + 1], targets, rows, under) for i in range(len(targets))]
    laws = tuple(one.law for one in found if isinstance(one.law, FieldLaw))
    notes = [
        f"{m.schema.columns[c]}: {note}" for c, one in zip(column, found, strict=True) for note in one.notes
    ]  # fmt: skip
    warnings = tuple(dict.fromkeys(warning for one in found for warning in one.warnings))
    if not laws:
        return Solved(found[0].law, found[0].prior, tuple(notes), warnings, None, theory)
    alike = len({np.isnan(rows[:, t]).tobytes() for t in targets}) == 1
    owners = [m.schema.columns[c] for c, one in zip(column, found, strict=True) if isinstance(one.law, FieldLaw)]
    law, note = FieldsLaw.joint(laws, owners) if alike else (FieldsLaw(laws), None)
    return Solved(law, found[0].prior, (*notes, *([note] if note else [])), warnings, None, theory)


def _one(
    m: Moments,
    theory: Field,
    prior: str | float | None,
    targets: Index,
    apart: Index,
    rows: Array,
    under: Symmetric | None,
) -> Solved:
    """The law of one target, its fields ``targets``; the fields ``apart`` are no inputs."""
    base = solve_exact(m, prior, None)
    law = GaussianLaw(Fields.of(base)) if under is None else under.law.gaussian
    columns = np.unique(m.schema.column_of_field[m.schema.independent][targets])
    number = any(isinstance(m.schema.lifts[column], Numeric) for column in columns)
    table, notes = usable(law, rows, targets, MOST_ROWS if number else MOST_CLASS_ROWS)
    inputs, spread = varying(table, apart), table.std(axis=0)
    if under is not None:
        inputs = np.union1d(inputs, np.flatnonzero(under.reduced.declared.group.moved))
    if len(table) < FEWEST_ROWS or not spread[targets].any() or not len(inputs):
        why = f"{len(table)} rows, of which the target or all inputs are constant, leave a field nothing to follow"
        return Solved(law, base.prior, (*base.notes, *notes, f"{why}: the law is Gaussian"), base.warnings)
    remedy = "fit fewer rows, or cm.Taylor(), which needs moments alone"
    needed = MATRICES * (min(len(table), DENSE_ROWS) ** 2 + table.size)
    refuse_if_beyond_memory(needed, f"propagators of {len(table):,} rows", remedy)
    warnings = base.warnings if np.array_equal(m.squared_weights, m.rows) else (*base.warnings, UNWEIGHTED)
    p = len(law.mean)
    visible, fixed = np.arange(p), np.full(p, np.nan)
    if not number and under is not None:
        raise OptionError(
            "a field of a category takes no symmetry; make the group's invariants columns, "
            "cumulant.symmetry.invariants(group, 2).table(frame)"
        )
    if theory.widths:
        if under is not None or not number:
            what = "symmetry" if number else "category as its target"
            raise OptionError(f"width={theory.width!r}: a network of finite width takes no {what}; leave width= out")
        refuse_if_too_many(len(table), theory.widths)
    if not number:
        chosen = theory.chosen or candidates(len(inputs), product=len(inputs) <= PRODUCT_INPUTS)
        with _threads(len(table)):
            level = level_of(table[:, targets])
            field, told = condition_blocks(table[:, inputs], level, 1 + len(targets), chosen, DENSE_ROWS)
        mixed = ClassLaw(law, targets, visible, fixed, inputs, field, LeftOutClasses.of(level, told))
        return Solved(mixed, base.prior, (*base.notes, *notes, field.note), warnings, field.left_out, theory)
    y = int(targets[0])
    quotient = None
    if under is None:
        centre, width = table[:, inputs].mean(axis=0), spread[inputs]
        x = np.ascontiguousarray((table[:, inputs] - centre) / width)
    else:
        symmetry = under.reduced.declared
        quotient = Quotient(symmetry.group.among(inputs))
        coordinates = quotient.coordinates(table[:, inputs])
        centre, width = quotient.standard(coordinates, each=symmetry.free_scale)
        x = quotient.folded((coordinates - centre) / width)
    # Fields of many rows have a thread for each block.
    with _threads(len(table) if len(table) <= DENSE_ROWS else 1):
        members, said, held_out, left_out = _members(x, table[:, y].copy(), theory, quotient)
        if theory.widths and isinstance(members[0], Member):
            narrow, note, warning = narrowed(members[0], theory.widths)
            members, said = (narrow,), (*said, note)
            warnings = warnings if warning is None else (*warnings, warning)
    found = FieldLaw(law, y, visible, fixed, inputs, centre, width, members, left_out, quotient)
    return Solved(found, base.prior, (*base.notes, *notes, *said), warnings, held_out, theory)


def _turned(
    m: Moments, theory: Field, prior: str | float | None, targets: Index, rows: Array, under: Symmetric
) -> Solved:
    """The laws of targets that turn with their inputs."""
    base, law, symmetry = solve_exact(m, prior, None), under.law.gaussian, under.reduced.declared
    names = tuple(m.schema.fields[i] for i in m.schema.independent)
    refuse_if_not_turned(theory, symmetry, targets, names)
    table, notes = usable(law, rows, targets, most_rows(len(targets)))
    inputs = np.setdiff1d(np.union1d(varying(table, targets), np.flatnonzero(symmetry.group.moved)), targets)
    if len(table) < FEWEST_ROWS or not table[:, targets].any() or not len(inputs):
        why = f"{len(table)} rows, of which targets or all inputs are constant, leave a field nothing to follow"
        return Solved(law, base.prior, (*base.notes, *notes, f"{why}: the law is Gaussian"), base.warnings)
    remedy = "fit fewer rows, or cm.Taylor(), which needs moments alone"
    values = len(table) * len(targets)
    refuse_if_beyond_memory(MATRICES * values**2, f"propagators of {values:,} values", remedy)
    with _threads(values):
        laws, note, held_out = turned_laws(law, table, inputs, targets, symmetry, theory)
    warnings = base.warnings if np.array_equal(m.squared_weights, m.rows) else (*base.warnings, UNWEIGHTED)
    found = laws[0] if len(laws) == 1 else FieldsLaw(laws)
    return Solved(found, base.prior, (*base.notes, *notes, note), warnings, held_out, theory)


def _members(
    x: Array, y: Array, theory: Field, quotient: Quotient | None
) -> tuple[tuple[Member | SplitMember, ...], tuple[str, ...], float, LeftOut]:
    """What is mixed: fields conditioned on all rows at once, or of many rows block by block."""
    whole = Mixing(x, y, theory, None if quotient is None else quotient.elements)
    if len(y) <= DENSE_ROWS:
        return whole.members()
    some = sampled(len(y))
    # Metric and noise are adapted further where rows are as dense as they are.
    metric, flows = "diagonal" if theory.metric == "auto" else theory.metric, theory.metric in ("auto", "full")
    theory = replace(theory, metric=metric, noise="constant")
    first = replace(whole, x=x[some], y=y[some], theory=theory, bends=False)
    return of_many_rows(first.members()[0], x, y, whole.spread, flows=flows)


def _threads(n: int) -> AbstractContextManager[Any]:
    # The linear algebra of SciPy has threads of its own, which are only found once it is there.
    import scipy.linalg  # noqa: F401

    return blas_threads(n)


def _targets(m: Moments, target: Index | None) -> Index:
    if target is None:
        raise OptionError("a field is a function of the other columns: name one column as target=")
    columns = np.unique(m.schema.column_of_field[m.schema.independent][target])
    other = [m.schema.columns[c] for c in columns if not isinstance(m.schema.lifts[c], Numeric)]
    if len(columns) > 1 and other:
        raise OptionError(f"several targets of a field are numbers, and '{other[0]}' is not: fit it by itself")
    return np.asarray(target)
