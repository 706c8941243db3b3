"""Monomials of fields as further fields, and their second moments from the measured ones of higher order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.higher import HigherEstimate

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Lifted", "monomials_of", "second_moments"]

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


def second_moments(estimate: HigherEstimate, lifted: Lifted, target: int) -> tuple[Array, Array]:
    """Mean (M + 1,) and covariance (M + 1, M + 1) of the monomials and the target, denominator n.

    Parameters
    ----------
    estimate
        Moments about the reference point of ``lifted``, to twice the degree.
    lifted
        The monomials.
    target
        The target field, which comes last, in its own units.
    """
    d = lifted.factors.shape[1]
    order = estimate.monomials.order
    # In homogeneous coordinates 0 is the constant; a target y is a monomial too.
    terms = np.vstack([np.zeros((1, d), dtype=np.int64), 1 + lifted.factors, [[1 + target] + [0] * (d - 1)]])
    scale = np.concatenate([[1.0], lifted.scale])
    scale[1 + target] = 1.0
    unit = scale[terms].prod(axis=1)
    q = len(terms)
    moments = np.empty((q, q))
    step = max(1, STEP // q)
    for start in range(0, q, step):
        rows = terms[start : start + step]
        pairs = np.concatenate([np.repeat(rows, q, axis=0), np.tile(terms, (len(rows), 1))], axis=1)
        padded = np.zeros((len(pairs), order), dtype=np.int64)
        padded[:, order - 2 * d :] = np.sort(pairs, axis=1)
        found = estimate.moments[estimate.monomials.find(padded)]
        moments[start : start + step] = found.reshape(len(rows), q) / unit[start : start + step, None] / unit
    mean = moments[0, 1:]
    return mean, moments[1:, 1:] - np.outer(mean, mean)
