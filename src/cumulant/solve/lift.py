"""Monomials of fields as further fields, and their second moments from the measured ones of higher order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure.monomials import Monomials

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Lifted", "Products", "centred", "monomials_of"]

# Products of pairs of monomials that are looked up at a time; rows whose monomials stay in the cache.
STEP, ROWS = 1 << 20, 128


@dataclass(frozen=True, eq=False)
class Lifted:
    """Monomials Π (φ_i − reference_i)/scale_i of some fields, or sums of them that a symmetry leaves.

    Parameters
    ----------
    factors
        Fields of each monomial (M, degree), ascending, −1 for no factor.
    reference, scale
        (p,), in the units of the fields.
    sums
        Of a symmetry the sparse matrix of signs (T, M) that makes T terms of the monomials; None: each is a term.
    """

    factors: Index
    reference: Array
    scale: Array
    sums: Any = None

    def __len__(self) -> int:
        return len(self.factors) if self.sums is None else int(self.sums.shape[0])

    @property
    def terms(self) -> Index:
        """Factors of each term (T, degree); of a sum, those of its first monomial."""
        return self.factors if self.sums is None else self.factors[self.sums.indices[self.sums.indptr[:-1]]]

    @property
    def sizes(self) -> Index:
        """Number of monomials in each term (T,)."""
        return np.ones(len(self), dtype=np.int64) if self.sums is None else np.diff(self.sums.indptr)

    @property
    def degree(self) -> Index:
        """Number of factors of each term (T,)."""
        return np.asarray((self.terms >= 0).sum(axis=1))

    def gathered(self, products: Array) -> Array:
        """Means of products of the constant, the terms and a target, from those with the monomials."""
        if self.sums is None:
            return products
        from scipy import sparse

        total = sparse.block_diag([[[1.0]], self.sums, [[1.0]]], format="csr")
        return np.asarray(total @ (total @ products).T)

    def spread(self, coefficients: Array) -> Array:
        """The coefficient of each monomial (M,) from that of its term (T,)."""
        return coefficients if self.sums is None else np.asarray(self.sums.T @ coefficients)

    def forward(self, x: Array) -> Array:
        """Values of the terms (n, T) for rows of fields (n, p)."""
        u = np.vstack([np.ones(len(x)), ((x - self.reference) / self.scale).T])
        out = np.empty((len(x), len(self)))
        for start in range(0, len(x), ROWS):
            some = u[:, start : start + ROWS]
            part = some[1 + self.factors[:, 0]]
            for column in self.factors.T[1:]:
                part *= some[1 + column]
            out[start : start + ROWS] = (part if self.sums is None else self.sums @ part).T
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
    """Where the moment of each product of two terms is found: terms are the monomials and, last, k targets.

    Parameters
    ----------
    at
        Positions among the measured moments (1 + M + k, 1 + M + k), the constant first.
    move
        The sparse matrix (1 + M + k, 1 + M + k) that takes monomials about the reference point of the moments, in the
        units of the fields, to those about that of the terms, in theirs. Targets keep their units.
    """

    at: NDArray[np.int32]
    move: Any

    @staticmethod
    def of(measured: Monomials, shift: Array, lifted: Lifted, targets: Index) -> Products:
        """Products of the terms ``lifted``, from moments about ``shift``."""
        d = lifted.factors.shape[1]
        # In homogeneous coordinates 0 is the constant.
        y = np.zeros((len(targets), d), dtype=np.int64)
        y[:, 0] = 1 + targets
        terms = np.vstack([np.zeros((1, d), dtype=np.int64), 1 + lifted.factors, y])
        scale = np.concatenate([[1.0], lifted.scale])
        scale[1 + targets] = 1.0
        q = len(terms)
        at = np.empty((q, q), dtype=np.int32)
        step = max(1, STEP // q)
        for start in range(0, q, step):
            block = measured.find_products(terms[start : start + step], terms[start:])
            at[start : start + step, start:] = block
            at[start:, start : start + step] = block.T
        away = (lifted.reference - shift) / lifted.scale
        from scipy import sparse

        return Products(
            at, _moved(lifted.factors, away, len(targets)) @ sparse.diags_array(1 / scale[terms].prod(axis=1))
        )

    def second_moments(self, moments: Array) -> Array:
        """Means of products of the terms (1 + M + k, 1 + M + k), the constant first; targets about their shift."""
        return np.asarray(self.move @ (self.move @ moments[self.at]).T)


def centred(moments: Array) -> tuple[Array, Array]:
    """Mean (M + 1,) and covariance (M + 1, M + 1), denominator n, from moments with the constant first."""
    mean = moments[0, 1:].copy()
    covariance = np.multiply.outer(-mean, mean)
    covariance += moments[1:, 1:]
    return mean, covariance


def _moved(factors: Index, away: Array, targets: int) -> Any:
    """Π (u_i − δ_i) as sums of Π u_i over some of the factors, for all monomials, the constant first, targets last."""
    from scipy import sparse

    m, d = factors.shape
    base = int(factors.max(initial=0)) + 2
    digits = base ** np.arange(d, dtype=np.int64)

    def key(f: Index) -> Index:
        return np.asarray(np.sort(f + 1, axis=1) @ digits)

    keys = np.concatenate([[0], key(factors)])
    order = np.argsort(keys)
    # No factor is never left out.
    step = np.append(-away, 0.0)[factors]
    kept = np.concatenate([[0], np.arange(m + 1, m + 1 + targets)])
    rows, columns, values = [kept], [kept], [np.ones(len(kept))]
    for some in product((False, True), repeat=d):
        coefficient = np.where(some, 1.0, step).prod(axis=1)
        used = np.flatnonzero(coefficient)
        smaller = np.where(some, factors[used], -1)
        rows.append(1 + used)
        columns.append(order[np.searchsorted(keys, key(smaller), sorter=order)])
        values.append(coefficient[used])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(m + 1 + targets, m + 1 + targets))
