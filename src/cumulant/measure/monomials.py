"""Products of fields, in homogeneous coordinates: which are summed, and what a linear map of the rows does to them.

With z = (1, y_1 … y_p) a product of at most n fields is one of exactly n entries of z: a sorted tuple of n indices into
z, filled up with zeros in front. All products to order n are then one packed symmetric tensor over p + 1 indices, and a
new reference point, a new level, or another reference level is a linear map of z.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import IncompatibleError
from cumulant.lift.schema import unknown_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.lift import Schema
    from cumulant.measure.requirement import Requirement

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Monomials", "complete"]

# Monomials that a linear map is worked out for at a time: each grows to 2ⁿ terms or more.
STEP = 1 << 14


@dataclass(frozen=True, eq=False)
class Monomials:
    """Some products of at most ``order`` of p fields, closed under division.

    Parameters
    ----------
    fields
        Number of fields p.
    order
        Number of factors n, the constant 1 included.
    tuples
        Indices into z = (1, y) of each (M, n), sorted within and among each other.
    """

    fields: int
    order: int
    tuples: Index

    @staticmethod
    def of(requirement: Requirement, schema: Schema) -> Monomials:
        """The products of independent fields that a requirement names."""
        p, n = len(schema.independent), requirement.order
        if requirement.monomials is not None:
            names = [schema.fields[i] for i in schema.independent]
            return Monomials(p, n, _closure(requirement.monomials, names, n))
        tuples = complete(p + 1, n)
        if requirement.target is not None:
            ours = 1 + schema.independent_of(requirement.target)
            tuples = tuples[(tuples[:, 0] == 0) | np.isin(tuples, ours).any(axis=1)]
        return Monomials(p, n, tuples)

    @staticmethod
    def number(requirement: Requirement, schema: Schema) -> int:
        """How many there will be, before any is made."""
        p, n = len(schema.independent), requirement.order
        if requirement.monomials is not None:
            return min(comb(p + n, n), 2**n * len(requirement.monomials) + 1)
        if requirement.target is None:
            return comb(p + n, n)
        others = p - len(schema.independent_of(requirement.target))
        return comb(p + n, n) - comb(others + n - 1, n)

    def __len__(self) -> int:
        return len(self.tuples)

    @cached_property
    def complete(self) -> bool:
        """Whether all products to the order are there."""
        return len(self) == comb(self.fields + self.order, self.order)

    @cached_property
    def _keys(self) -> Index:
        return self._key(self.tuples)

    def _key(self, tuples: Index) -> Index:
        return tuples @ (self.fields + 1) ** np.arange(self.order - 1, -1, -1, dtype=np.int64)

    def find(self, tuples: Index) -> Index:
        """Position of sorted tuples (m, n), -1 for one that is not there."""
        key = self._key(tuples)
        at = np.minimum(np.searchsorted(self._keys, key), len(self) - 1)
        return np.where(self._keys[at] == key, at, -1)

    def find_products(self, a: Index, b: Index) -> Index:
        """Position of each product of a (m, …) with one of b (k, …): (m, k), -1 for one that is not there."""
        if (self.order + 1) ** self.fields < 1 << 62:
            # Powers as digits of a number: of a product, the sum of those of its factors.
            digit = np.concatenate([[0], (self.order + 1) ** np.arange(self.fields, dtype=np.int64)])
            order, keys = self._by_powers
            key = digit[a].sum(axis=1)[:, None] + digit[b].sum(axis=1)
            at = np.minimum(np.searchsorted(keys, key), len(self) - 1)
            return np.where(keys[at] == key, order[at], -1)
        both = np.zeros((len(a) * len(b), self.order), dtype=np.int64)
        wide = a.shape[1]
        both[:, :wide], both[:, wide : wide + b.shape[1]] = np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))
        both.sort(axis=1)
        return self.find(both).reshape(len(a), len(b))

    @cached_property
    def _by_powers(self) -> tuple[Index, Index]:
        digit = np.concatenate([[0], (self.order + 1) ** np.arange(self.fields, dtype=np.int64)])
        keys = digit[self.tuples].sum(axis=1)
        order = np.argsort(keys)
        return order, keys[order]

    def tensor(self, sums: Array, axes: int | None = None) -> Array:
        """The full symmetric tensor (p + 1,) * axes of packed sums (M,), the constant first; NaN where none is kept.

        With fewer axes than the order, the moments of that order and below.
        """
        axes = self.order if axes is None else axes
        few = ~self.tuples[:, : self.order - axes].any(axis=1)
        tuples, values = self.tuples[few, self.order - axes :], sums[few]
        out = np.full((self.fields + 1,) * axes, np.nan)
        for legs in permutations(tuples.T):
            out[legs] = values
        return out

    def linear_map(self, t: Array, target: Monomials) -> Any:
        """The sparse matrix (M', M) that takes sums over z to sums over T z, for T (p' + 1, p + 1).

        Raises
        ------
        IncompatibleError
            A product in the new coordinates needs one that was not summed in the old.
        """
        from scipy import sparse

        parts = [self._rows(t, target.tuples[i : i + STEP]) for i in range(0, len(target), STEP)]
        return sparse.vstack(parts, format="csr")

    def _rows(self, t: Array, tuples: Index) -> Any:
        from scipy import sparse

        terms = np.count_nonzero(t, axis=1)
        starts = np.concatenate([[0], np.cumsum(terms)])
        entry, factor = np.nonzero(t)[1], t[np.nonzero(t)]
        row, coefficient = np.arange(len(tuples)), np.ones(len(tuples))
        made = np.zeros((len(tuples), 0), dtype=np.int64)
        for position in range(self.order):
            form = tuples[row, position]
            # Each row becomes as many rows as the linear form of its next factor has terms.
            old = np.repeat(np.arange(len(row)), terms[form])
            within = np.arange(len(old)) - np.repeat(np.cumsum(terms[form]) - terms[form], terms[form])
            at = starts[form[old]] + within
            made = np.column_stack([made[old], entry[at]])
            row, coefficient = row[old], coefficient[old] * factor[at]
        column = self.find(np.sort(made, axis=1))
        if (column < 0).any():
            raise IncompatibleError(
                "a column has other levels here than where the chosen products of fields were measured, and they do "
                "not determine each other; declare the levels with lifts=, or measure all moments of that order"
            )
        return sparse.csr_matrix((coefficient, (row, column)), shape=(len(tuples), len(self)))


def complete(q: int, n: int) -> Index:
    """All sorted tuples of n indices below q (C(q + n - 1, n), n), in lexicographic order."""
    out = np.zeros((1, 0), dtype=np.int64)
    for _ in range(n):
        first = out[:, -1] if out.shape[1] else np.zeros(len(out), dtype=np.int64)
        count = q - first
        old = np.repeat(np.arange(len(out)), count)
        within = np.arange(len(old)) - np.repeat(np.cumsum(count) - count, count)
        out = np.column_stack([out[old], first[old] + within])
    return out


def _closure(products: tuple[tuple[str, ...], ...], names: list[str], n: int) -> Index:
    """Tuples of products given by name, and of all that divide them."""
    place = {name: 1 + i for i, name in enumerate(names)}
    for name in {name for product in products for name in product}:
        if name not in place:
            raise unknown_column(name, names)
    found: set[tuple[int, ...]] = {(0,) * n}
    waiting = [tuple(sorted([0] * (n - len(product)) + [place[name] for name in product])) for product in products]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend((0, *one[:i], *one[i + 1 :]) for i in range(n) if one[i])
    return np.array(sorted(found), dtype=np.int64).reshape(-1, n)
