"""Monomials of fields as further fields, and their second moments from the measured ones of higher order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.higher import HigherEstimate
    from cumulant.measure.monomials import Monomials

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Lifted", "Products", "monomials_of"]

# Products of pairs of monomials that are looked up at a time.
STEP = 1 << 20


@dataclass(frozen=True, eq=False)
class Lifted:
    """Monomials Π (φ_i − reference_i)/scale_i of some fields.

    Parameters
    ----------
    factors
        Fields of each monomial (M, degree), ascending, −1 for no factor.
    reference, scale
        (p,), in the units of the fields.
    """

    factors: Index
    reference: Array
    scale: Array

    def __len__(self) -> int:
        return len(self.factors)

    @property
    def degree(self) -> Index:
        """Number of factors of each (M,)."""
        return np.asarray((self.factors >= 0).sum(axis=1))

    def forward(self, x: Array) -> Array:
        """Values (n, M) for rows of fields (n, p)."""
        u = np.column_stack([np.ones(len(x)), (x - self.reference) / self.scale])
        out = u[:, 1 + self.factors[:, 0]]
        for column in self.factors.T[1:]:
            out *= u[:, 1 + column]
        return out


def monomials_of(fields: Index, degree: int, groups: Index) -> Index:
    """Factors (M, degree) of all monomials of degree 1 … ``degree`` that are not another one in disguise.

    Parameters
    ----------
    fields
        Which fields may be factors.
    degree
        Highest degree.
    groups
        For each field (p,) the category it is an indicator of, −1 for a number. An indicator is its own square, and two
        of one category are never 1 together.
    """
    out = [np.zeros((1, 0), dtype=np.int64)]
    for _ in range(degree):
        last = out[-1]
        start = np.searchsorted(fields, last[:, -1]) if last.shape[1] else np.zeros(1, dtype=np.int64)
        count = len(fields) - start
        old = np.repeat(np.arange(len(last)), count)
        within = np.arange(len(old)) - np.repeat(np.cumsum(count) - count, count)
        new = fields[start[old] + within]
        clash = (groups[last[old]] == groups[new][:, None]) & (groups[new] >= 0)[:, None]
        keep = ~clash.any(axis=1)
        out.append(np.column_stack([last[old][keep], new[keep]]))
    padded = [np.hstack([f, np.full((len(f), degree - f.shape[1]), -1)]) for f in out[1:]]
    return np.concatenate(padded)


@dataclass(frozen=True, eq=False)
class Products:
    """Where the moment of each product of two terms is found: terms are the monomials and, last, a target.

    Parameters
    ----------
    at
        Positions among the measured moments (M + 2, M + 2), the constant first.
    unit
        What divides each term (M + 2,): the scales of its factors; 1 for the target, which keeps its units.
    """

    at: NDArray[np.int32]
    unit: Array

    @staticmethod
    def of(measured: Monomials, lifted: Lifted, target: int) -> Products:
        """Products of ``lifted``, whose reference point is that of the moments."""
        d, order = lifted.factors.shape[1], measured.order
        # In homogeneous coordinates 0 is the constant.
        y = [1 + target] + [0] * (d - 1)
        terms = np.vstack([np.zeros((1, d), dtype=np.int64), 1 + lifted.factors, [y]])
        scale = np.concatenate([[1.0], lifted.scale])
        scale[1 + target] = 1.0
        q = len(terms)
        at = np.empty((q, q), dtype=np.int32)
        step = max(1, STEP // q)
        for start in range(0, q, step):
            rows = terms[start : start + step]
            pairs = np.zeros((len(rows) * q, order), dtype=np.int64)
            pairs[:, :d], pairs[:, d : 2 * d] = np.repeat(rows, q, axis=0), np.tile(terms, (len(rows), 1))
            pairs.sort(axis=1)
            at[start : start + step] = measured.find(pairs).reshape(len(rows), q)
        return Products(at, scale[terms].prod(axis=1))

    def second_moments(self, estimate: HigherEstimate) -> tuple[Array, Array]:
        """Mean (M + 1,) and covariance (M + 1, M + 1) of the terms about the reference point, denominator n."""
        moments = estimate.moments[self.at] / self.unit[:, None] / self.unit
        mean = moments[0, 1:]
        return mean, moments[1:, 1:] - np.outer(mean, mean)
