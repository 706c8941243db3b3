"""The regression table and held-out scores of a model with wide categories.

The coefficients of numbers are those within levels; each level then has a coefficient of its own, with the error that
the same elimination gives. A category without a prior is measured against its first level, as any category is; under a
prior, levels are deviations from the constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.measure import Moments
from cumulant.solve.categories import Categories, Given
from cumulant.solve.levelled import LevelledLaw
from cumulant.solve.predictive import Fields, leverage
from cumulant.solve.regression import Regression, centred_fields, regress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Levelled", "law_of", "levelled", "shares", "square_error"]


@dataclass(frozen=True, eq=False)
class Levelled:
    """One field regressed on others and on wide categories.

    Parameters
    ----------
    regression
        On the numbers within levels. Constant and total are those of the whole regression.
    terms
        Names of the levels (m,), category by category.
    coefficients
        Of the levels (m,); 0 where no row or other levels tell it.
    unit_variance
        Variance of each per unit of noise (m,); NaN where it is not determined.
    given
        The fields within levels.
    notes
        How to read the terms.
    """

    regression: Regression
    terms: tuple[str, ...]
    coefficients: Array
    unit_variance: Array
    given: Given
    notes: tuple[str, ...]

    @property
    def all_coefficients(self) -> Array:
        """Constant, coefficients of fields, coefficients of levels; NaN for levels that are not determined."""
        levels = np.where(np.isnan(self.unit_variance), np.nan, self.coefficients)
        return np.concatenate([[self.regression.constant], self.regression.coefficients, levels])


def law_of(m: Moments, like: LevelledLaw, mass: float) -> LevelledLaw:
    """The law of some of the rows, under the prior of another."""
    fields = centred_fields(m, mass)
    return LevelledLaw.of(fields, replace(Categories.of(m, fields.count), masses=like.categories.masses))


def shares(thing: Model | Moments, name: str) -> Array:
    """How frequent each level of a wide category is (L,); of a model, as its law has it."""
    if isinstance(thing, Moments):
        counts = thing.by_level(name)["count"].to_numpy()
    else:
        counts = law_with_levels(thing).categories.counts_of(name)
    return np.asarray(counts / counts.sum() if counts.sum() > 0 else counts)


def law_with_levels(model: Model) -> LevelledLaw:
    """The law of a model that has a wide category."""
    if not isinstance(model.law, LevelledLaw):
        raise TypeError(f"a {type(model.law).__name__} has no wide category")
    return model.law


def levelled(model: Model, law: LevelledLaw, y: int, x: Index) -> Levelled:
    """Regress the field ``y`` on the fields ``x`` and all wide categories of a law.

    Raises
    ------
    OptionError
        Some columns are held at a value, and a wide category is not.
    """
    if not np.isnan(law.held).all():
        raise OptionError(
            "a model is summarised beside a category of many levels before columns are conditioned on, not after; "
            f"give '{law.categories.names[law.wide[0]]}' a level too, or leave it out by marginal(…)"
        )
    given = law.given(law.wide)
    target, observed = int(law.dense[y]), law.dense[x]
    r = regress(given.fields, target, observed)
    assert r.observed is not None  # noqa: S101  # only a law held as blocks has no factor
    slopes = np.zeros(len(law.fields.mean))
    slopes[target], slopes[observed] = 1.0, -r.coefficients
    terms: list[str] = []
    coefficients, variances, notes = [], [], []
    lifts = model.schema.wide_lifts()
    at_zero = given.constant.copy()
    pivot, load = 0.0, np.eye(1, len(given.inverse))[0]
    for c, lift in zip(law.wide, lifts, strict=True):
        k = given.categories.index(c)
        counts, effects = law.categories.counts[c], given.effects[k]
        met = np.flatnonzero(counts > 0)
        reference = int(met[0]) if not law.categories.masses[c] > 0 and len(met) else None
        own = _Own(given, k)
        pivots, loads = own.of(np.arange(len(counts)))
        if reference is not None:
            first_pivot, first_load = own.of(np.array([reference]))
            pivot, load = pivot + first_pivot[0], load + first_load[0]
            at_zero += effects[reference]
            pivots, loads, effects = pivots + first_pivot, loads - first_load, effects - effects[reference]
            notes.append(f"coefficients of '{lift.name}' are differences from its level '{lift.all_levels[reference]}'")
        else:
            notes.append(f"coefficients of '{lift.name}' are deviations from the constant, drawn to zero by the prior")
        known = (counts > 0) & own.determined()
        variance = given.uncertainty(pivots, loads) + leverage(given.fields, r.observed, effects[:, observed])
        keep = np.arange(len(counts)) != reference
        terms += [name for name, kept in zip(lift.indicators, keep, strict=True) if kept]
        coefficients.append(np.where(known, effects @ slopes, 0.0)[keep])
        variances.append(np.where(known, variance, np.nan)[keep])
    start = float(given.uncertainty(np.array([pivot]), load[None, :])[0])
    start += float(leverage(given.fields, r.observed, -at_zero[None, observed])[0])
    whole = law.fields.covariance if law.fields.measured is None else law.fields.measured
    r = replace(
        r,
        constant=float(at_zero @ slopes),
        unit_variance=np.concatenate([[start], r.unit_variance[1:]]),
        total=float(whole[target, target]) * law.fields.degrees,
    )
    return Levelled(r, tuple(terms), np.concatenate(coefficients), np.concatenate(variances), given, tuple(notes))


@dataclass(frozen=True, eq=False)
class _Own:
    """What the level of one category alone puts on pivots and loads."""

    given: Given
    k: int

    def of(self, levels: Index) -> tuple[Array, Array]:
        g = self.given
        loads = np.zeros((len(levels), len(g.inverse)))
        if self.k:
            loads[np.arange(len(levels)), 1 + g.starts[self.k - 1] + levels] = 1.0
            return np.zeros(len(levels)), loads
        loads[:, 0] = -g.loads[0][levels]
        if g.loads[1] is not None:
            loads[:, 1:] = -g.loads[1][levels].toarray()
        pivots = g.pivots[levels]
        return np.divide(1.0, pivots, out=np.zeros_like(pivots), where=pivots > 0), loads

    def determined(self) -> NDArray[np.bool_]:
        """Which levels have a coefficient that rows, or a prior, determine."""
        g = self.given
        if not self.k:
            return g.pivots > 0
        start = 1 + g.starts[self.k - 1]
        return np.diag(g.inverse)[start : start + len(g.effects[self.k])] > 0


def square_error(law: LevelledLaw, beta: Array, y: int, x: Index, held: Fields, those: Categories) -> float:
    """Mean square of y less its prediction over held-out rows, from their sums alone.

    The prediction errs by u − κ − Σ e(level) in a row, u = θ·(x − μ) with θ = (1, −β). Squared term by term, that takes
    sums by level and tables of counts. A level that the law does not know adds nothing.
    """
    given = law.given(law.wide)
    theta = np.zeros(len(law.fields.mean))
    theta[law.dense[y]], theta[law.dense[x]] = 1.0, -beta
    offset = held.mean - law.fields.mean
    n = held.count
    shift = float(theta @ (given.constant - law.fields.mean))
    total = float(theta @ held.covariance @ theta) * held.degrees + n * (float(theta @ offset) - shift) ** 2
    effects = {c: e @ theta for c, e in zip(given.categories, given.effects, strict=True)}
    for c, e in effects.items():
        sums = those.sums[c] @ theta + those.counts[c] * (float(theta @ offset) - shift)
        total += float(those.counts[c] @ e**2 - 2 * e @ sums)
    for (a, b), table in those.tables.items():
        if a in effects and b in effects:
            total += 2 * float(table.counts @ (effects[a][table.first] * effects[b][table.second]))
    return max(total, 0.0) / n
