"""Solve rows for the field of a target: scales and propagators tried, adapted by evidence, mixed by left-out rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.measure.capacity import refuse_if_beyond_memory
from cumulant.solve.exact import solve_exact
from cumulant.solve.field.class_law import ClassLaw, level_of
from cumulant.solve.field.classes import candidates, condition_classes
from cumulant.solve.field.conditioning import heavy_tailed
from cumulant.solve.field.density import Component, stacked
from cumulant.solve.field.evidence import adapted, parts_of, started
from cumulant.solve.field.large import of_many_rows, sampled
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.member import Member
from cumulant.solve.field.rows import usable, varying
from cumulant.solve.field.scale import Scale, scales
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.predictive import Fields
from cumulant.theory.field import DENSE_ROWS, MOST_ROWS
from cumulant.theory.propagators import Laplace, Linear, Matern, Propagator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.solve.field.split_member import SplitMember
    from cumulant.theory.field import Field

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["solve_field"]

# Rows that hyper-parameters are adapted on, and evaluations of the evidence.
ADAPT_ROWS, STEPS = 600, 30
# Multiples of it are evenly spread modulo 1, however many there are.
GOLDEN = 0.6180339887498949
CRITERIA = ("left out", "evidence")
# Beyond so many inputs each has no scale of its own, and a product over inputs is too slow.
EACH_SCALE, PRODUCT_INPUTS = 400, 60
FEWEST_ROWS = 3
# Matrices of rows by rows that are held at once.
MATRICES = 6
# A member of less weight is left out.
LEAST_WEIGHT = 0.02


def solve_field(
    m: Moments, theory: Field, prior: str | float | None, target: Index | None, rows: Array | None
) -> Solved:
    """The law of a target, a number or a category, that is a field of all other columns.

    Raises
    ------
    OptionError
        No target was named, or several.
    DataError
        There are no rows at hand.
    ResourceError
        The propagator of the rows does not fit into memory.
    """
    targets = _targets(m, target)
    if rows is None:
        raise DataError("a field on function space is conditioned on rows, not on moments; use cm.fit(table, …)")
    base = solve_exact(m, prior, None)
    law = GaussianLaw(Fields.of(base))
    number = isinstance(m.schema.lifts[m.schema.column_of_field[m.schema.independent][targets[0]]], Numeric)
    table, notes = usable(law, rows, targets, MOST_ROWS if number else DENSE_ROWS)
    inputs, spread = varying(table, targets), table.std(axis=0)
    if len(table) < FEWEST_ROWS or not spread[targets].any() or not len(inputs):
        why = f"{len(table)} rows, of which the target or all inputs are constant, leave a field nothing to follow"
        return Solved(law, base.prior, (*base.notes, *notes, f"{why}: the law is Gaussian"), base.warnings)
    remedy = "fit fewer rows, or cm.Taylor(), which needs moments alone"
    needed = MATRICES * (min(len(table), DENSE_ROWS) ** 2 + table.size)
    refuse_if_beyond_memory(needed, f"propagators of {len(table):,} rows", remedy)
    p = len(law.mean)
    visible, fixed = np.arange(p), np.full(p, np.nan)
    if not number:
        chosen = theory.chosen or candidates(len(inputs), product=len(inputs) <= PRODUCT_INPUTS)
        field = condition_classes(table[:, inputs], level_of(table[:, targets]), 1 + len(targets), chosen)
        mixed = ClassLaw(law, targets, visible, fixed, inputs, field)
        return Solved(mixed, base.prior, (*base.notes, *notes, field.note), base.warnings)
    y = int(targets[0])
    centre, width = table[:, inputs].mean(axis=0), spread[inputs]
    x = np.ascontiguousarray((table[:, inputs] - centre) / width)
    members, said = _members(x, table[:, y].copy(), theory)
    found = FieldLaw(law, y, visible, fixed, inputs, centre, width, members)
    return Solved(found, base.prior, (*base.notes, *notes, *said), base.warnings)


def _members(x: Array, y: Array, theory: Field) -> tuple[tuple[Member | SplitMember, ...], tuple[str, ...]]:
    """What is mixed: fields conditioned on all rows at once, or of many rows block by block."""
    some = np.arange(len(y)) if len(y) <= DENSE_ROWS else sampled(len(y))
    members, said = _Problem(x[some], y[some], theory).members()
    if len(some) == len(y):
        return members, said
    spread = y + _Problem(x, y, theory).dither
    return of_many_rows(members, x, y, spread, flows=theory.metric in ("auto", "full"))


@dataclass(frozen=True, eq=False)
class _Tried:
    """A field that was adapted and conditioned, and what it says of each row from the others."""

    member: Member
    logs: Array
    name: str

    @property
    def left_out(self) -> float:
        """Mean log-likelihood of a row from the others."""
        return float(self.logs.mean())


@dataclass(frozen=True, eq=False)
class _Problem:
    """Standardised inputs x (n, p), target y (n,), and what was asked for."""

    x: Array
    y: Array
    theory: Field

    @cached_property
    def dither(self) -> Array:
        """A displacement of each target within the step that targets are measured in (n,), evenly spread.

        Rows that are left out are scored at targets so displaced: a density is then worth no more on a value that
        occurs often than the width of its step allows.
        """
        values = np.unique(self.y)
        step = float(np.diff(values).min(initial=np.inf))
        return np.asarray(step * ((np.arange(len(self.y)) * GOLDEN) % 1.0 - 0.5))

    def members(self) -> tuple[tuple[Member, ...], tuple[str, ...]]:
        """What is mixed, and notes that say so."""
        kinds = self._propagators()
        ways = CRITERIA if self.theory.criterion == "auto" else (self.theory.criterion,)
        tried = [self._tried(kinds[0], scale, ways[0]) for scale in scales(self.y, self.theory.scale)]
        scale = max(tried, key=lambda one: one.left_out).member.scale
        tried += [self._tried(k, scale, ways[0]) for k in kinds[1:]] + [
            self._tried(kinds[0], scale, way) for way in ways[1:]
        ]
        weights = stacked(np.column_stack([one.logs for one in tried]))
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        weights /= weights.sum()
        order = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i]]
        shown = ", ".join(f"{tried[i].name} {weights[i]:.0%} ({tried[i].left_out:.4g})" for i in order)
        note = f"mixed by the likelihood of left-out rows, in nats a row in brackets: {shown}"
        return tuple(replace(tried[i].member, weight=float(weights[i])) for i in order), (note,)

    def _propagators(self) -> list[tuple[Propagator, ...]]:
        chosen = self.theory.chosen
        if chosen is not None:
            return [parts_of(k) for k in chosen]
        out: list[tuple[Propagator, ...]] = [(Matern(2.5), Linear()), (Matern(0.5),)]
        return [*out, (Laplace(),)] if self.x.shape[1] <= PRODUCT_INPUTS else out

    def _tried(self, parts: tuple[Propagator, ...], scale: Scale, criterion: str) -> _Tried:
        z, n = scale.forward(self.y), len(self.y)
        ones = np.ones(n)
        some = np.sort(np.random.default_rng(0).permutation(n)[:ADAPT_ROWS])
        hyper = started(parts, self.x.shape[1])
        each = self.theory.metric != "unit" and self.x.shape[1] <= EACH_SCALE
        spread = self.y + self.dither
        dither = scale.forward(spread) - z
        hyper, _ = adapted(
            self.x[some], z[some], ones[some], dither[some], hyper, STEPS, each=each, criterion=criterion
        )
        known = hyper.conditioned(hyper.mapped(self.x), z, ones)
        if known is None:
            raise FloatingPointError("the propagator of the rows is singular")
        residual, variance = known.left_out
        size = np.sqrt(variance)
        shape = heavy_tailed((residual + dither) / size)
        logs = Component(1.0, z - residual, size, shape, scale).log_prob(spread)
        member = Member(hyper, self.x, ones, known.dual, known.amplitude, scale, shape, 1.0)
        name = f"{' + '.join(type(part).__name__ for part in parts)} of {scale.name} by {criterion}"
        return _Tried(member, logs, name)


def _targets(m: Moments, target: Index | None) -> Index:
    if target is None:
        raise OptionError("a field is a function of the other columns: name one column as target=")
    columns = np.unique(m.schema.column_of_field[m.schema.independent][target])
    if len(columns) > 1:
        named = ", ".join(f"'{m.schema.columns[c]}'" for c in columns)
        raise OptionError(f"a field is a function of the other columns: name one of {named} as target=")
    return np.asarray(target)
