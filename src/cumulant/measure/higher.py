"""Sums of higher order, beside those of second order: products of three and more fields, fold by fold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import IncompatibleError, OptionError
from cumulant.measure import cumulants
from cumulant.measure.monomials import Monomials
from cumulant.measure.requirement import Requirement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.lift import Schema

    Array = NDArray[np.float64]

__all__ = ["HigherEstimate", "HigherSums"]


@dataclass(frozen=True, eq=False)
class HigherSums:
    """Σ w of products of the independent fields, less the reference point, over the rows without a gap.

    Parameters
    ----------
    requirement
        Which products.
    monomials
        The same, as indices into (1, fields).
    sums
        (K, M), one row a fold.
    rows
        Rows without a gap in each fold (K,).
    """

    requirement: Requirement
    monomials: Monomials
    sums: Array
    rows: NDArray[np.int64]

    @staticmethod
    def empty(requirement: Requirement, schema: Schema, folds: int) -> HigherSums:
        """The sums of no rows."""
        monomials = Monomials.of(requirement, schema)
        return HigherSums(requirement, monomials, np.zeros((folds, len(monomials))), np.zeros(folds, dtype=np.int64))

    def plus(self, other: HigherSums, sign: int = 1) -> HigherSums:
        """The sums of the rows of both, or of these without the others, seen the same way."""
        return replace(self, sums=self.sums + sign * other.sums, rows=self.rows + sign * other.rows)

    def with_sums(self, sums: Array, rows: NDArray[np.int64]) -> HigherSums:
        """These and the sums of other rows."""
        return replace(self, sums=self.sums + sums, rows=self.rows + rows)

    def embed(self, old: Schema, shift: Array, new: Schema, new_shift: Array) -> HigherSums:
        """The same rows seen with other levels and another reference point."""
        t = linear_forms(old, shift, new, new_shift)
        if old == new and np.array_equal(t, np.eye(len(t))):
            return self
        monomials = Monomials.of(self.requirement, new)
        moved = self.monomials.linear_map(t, monomials) @ self.sums.T
        return replace(self, monomials=monomials, sums=np.ascontiguousarray(moved.T))

    def some_folds(self, used: NDArray[np.bool_]) -> HigherSums:
        """Some of the folds, kept apart as they are."""
        return replace(self, sums=self.sums[used], rows=self.rows[used])

    def merged_folds(self) -> HigherSums:
        """The same rows in a single fold."""
        return replace(self, sums=self.sums.sum(axis=0, keepdims=True), rows=self.rows.sum(keepdims=True))

    def estimate(self, used: NDArray[np.bool_]) -> HigherEstimate:
        """The moments of some folds together."""
        sums = self.sums[used].sum(axis=0)
        return HigherEstimate(self.monomials, sums / sums[0] if sums[0] > 0 else sums * np.nan, float(sums[0]))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine these sums, given the schema."""
        return {"higher.sums": self.sums, "higher.rows": self.rows}, asdict(self.requirement)

    @staticmethod
    def from_state(arrays: dict[str, NDArray[Any]], meta: dict[str, Any], schema: Schema) -> HigherSums:
        """The sums that `to_state` described."""
        requirement = Requirement.from_dict(meta)
        monomials = Monomials.of(requirement, schema)
        return HigherSums(requirement, monomials, arrays["higher.sums"], arrays["higher.rows"])


@dataclass(frozen=True, eq=False)
class HigherEstimate:
    """Moments of some rows about the reference point.

    Parameters
    ----------
    monomials
        Which products of fields.
    moments
        Their means (M,); NaN without rows.
    count
        Rows without a gap, or what their weights add up to.
    """

    monomials: Monomials
    moments: Array
    count: float

    def central(self, order: int) -> Array:
        """Moments about the mean to ``order``, in homogeneous coordinates (p + 1,) * order."""
        if not 2 <= order <= self.monomials.order:
            raise OptionError(
                f"order {order} was not measured, only up to {self.monomials.order}; measure with order={order}"
            )
        return cumulants.central(self.monomials.tensor(self.moments, order))

    def cumulant(self, order: int, *, unbiased: bool = False) -> Array:
        """κ (p,) * order; NaN where a product was not measured."""
        about_mean = self.central(order)
        return cumulants.k_statistic(about_mean, self.count) if unbiased else cumulants.cumulant(about_mean)


def combined(a: HigherSums | None, b: HigherSums | None, sign: int) -> HigherSums | None:
    """Sums of both sides, where both have them.

    Raises
    ------
    IncompatibleError
        They were measured to different orders.
    """
    if a is None and b is None:
        return None
    if a is None or b is None or a.requirement != b.requirement:
        orders = " and ".join(str(2 if side is None else side.requirement) for side in (a, b))
        raise IncompatibleError(
            f"the two sides hold different moments ({orders}); measure both with the same order=, or reduce one to "
            "what both have: moments.second_order()"
        )
    return a.plus(b, sign)


def linear_forms(old: Schema, shift: Array, new: Schema, new_shift: Array) -> Array:
    """T with z' = T z: the independent fields of a new schema, less its reference point, from those of the old.

    A level that was the reference is one less the other levels of its column, in rows where no cell is missing.
    """
    place = {int(field): 1 + i for i, field in enumerate(old.independent)}
    forms = np.zeros((len(old.fields), 1 + len(old.independent)))
    for field, i in place.items():
        forms[field, [0, i]] = shift[field], 1.0
    for field in set(range(len(old.fields))) - set(place):
        siblings = np.flatnonzero(old.column_of_field == old.column_of_field[field])
        forms[field] = -forms[siblings[siblings != field]].sum(axis=0)
        forms[field, 0] += 1.0
    fields = np.zeros((len(new.fields), forms.shape[1]))
    for i, j in enumerate(old.embedding(new)):
        if j >= 0:
            fields[j] += forms[i]
    fields[:, 0] -= new_shift
    return np.vstack([np.eye(1, forms.shape[1]), fields[new.independent]])
