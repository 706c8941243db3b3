"""Averages of a field over points, and contrasts of them: what they are, and how sure.

Whatever is linear in a field is Gaussian as the field is: with weights W of points P, the mean is W k(P, X) a and the
covariance s² (W k(P, P) Wᵀ − W k(P, X) A k(X, P) Wᵀ). Where the target's scale is bent, W has the slope of its inverse
at the mean field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.field.conditioning import factored, propagated
from cumulant.solve.field.evidence import LEAST_NOISE
from cumulant.solve.field.member import Member

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.field.law import FieldLaw
    from cumulant.solve.field.split_member import SplitMember

    Array = NDArray[np.float64]

__all__ = ["Averages", "conditioned_rows", "mean_field"]

# Rows that variances are conditioned on. More rows make a field surer, never less sure.
MOST_ROWS = 2000


def mean_field(law: FieldLaw, x: Array) -> Array:
    """The target at the mean of each field, mixed (n,), for inputs (n, q) in their units."""
    z = law.standardised(x)
    return np.asarray(sum(m.weight * m.scale.inverse(m.mean(z)) for m in law.members))


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages over points of the field of a law, and how sure they are.

    Parameters
    ----------
    law
        The law.
    """

    law: FieldLaw

    def contrasts(self, x: Array, weights: Array) -> tuple[Array, Array]:
        """Linear combinations of averages of the target, and their standard deviations.

        Parameters
        ----------
        x
            Groups of points that are averaged over (g, m, q), inputs in their units.
        weights
            Of the average of each group (f, g).

        Returns
        -------
        value, sd
            (f,); the standard deviation is that of fields conditioned on at most 2,000 rows.
        """
        groups, points, q = x.shape
        z = self.law.standardised(x.reshape(-1, q))
        value, second = np.zeros(len(weights)), np.zeros(len(weights))
        for member, (known, root) in zip(self.law.members, self._roots, strict=True):
            target = member.scale.inverse(member.mean(z))
            own = weights @ target.reshape(groups, points).mean(axis=1)
            slope = np.exp(-member.scale.log_slope(target)).reshape(groups, points) / points
            through = (weights[:, :, None] * slope).reshape(len(weights), -1)
            value += member.weight * own
            second += member.weight * (own**2 + _variance(member, known, root, z, through))
        return value, np.sqrt(np.maximum(second - value**2, 0.0))

    @cached_property
    def _roots(self) -> list[tuple[Array, Array]]:
        """Of each member mapped rows, and the lower factor of their propagator with noise."""
        return [_root(member) for member in self.law.members]


def conditioned_rows(law: FieldLaw) -> Array:
    """Inputs of some of the rows it was conditioned on (n, q), in their units."""
    first = law.members[0]
    if isinstance(first, Member):
        rows = first.rows
        if law.mark is not None:
            q = len(law.width)
            rows = rows[rows[:, q:] @ law.mark > 0, :q]
        return np.asarray(rows * law.width + law.centre)
    # A metric of which every direction counts can be undone.
    firm = max(law.members, key=lambda m: _firmness(m.hyper.metric))
    metric, rows = firm.hyper.metric, _thinned(firm.split.rows)  # type: ignore[union-attr]
    x = rows / metric if metric.ndim == 1 else np.linalg.lstsq(metric.T, rows.T, rcond=None)[0].T
    return np.asarray(x * law.width + law.centre)


def _firmness(metric: Array) -> float:
    size = np.abs(metric) if metric.ndim == 1 else np.linalg.svd(metric, compute_uv=False)
    return float(size.min() / size.max())


def _thinned(rows: Array) -> Array:
    return rows[np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64))]


def _variance(member: Member | SplitMember, known: Array, root: Array, z: Array, through: Array) -> Array:
    """Of combinations of the latent field (f,), for weights (f, n) of standardised points (n, q)."""
    from scipy.linalg import lapack

    k, mapped = member.hyper.propagator, member.hyper.mapped(z)
    before = np.einsum("fn,fn->f", through @ k(mapped, mapped), through)
    seen = lapack.dtrtrs(root, np.asfortranarray((through @ k(mapped, known)).T), lower=1)[0]
    amplitude = member.amplitude if isinstance(member, Member) else member.split.amplitude
    return np.maximum(amplitude * (before - (seen**2).sum(axis=0)), 0.0)


def _root(member: Member | SplitMember) -> tuple[Array, Array]:
    """Mapped rows, and the lower factor of their propagator with noise."""
    hyper = member.hyper
    rows = hyper.mapped(member.rows) if isinstance(member, Member) else member.split.rows
    relative = member.relative if isinstance(member, Member) else np.ones(len(rows))
    known = _thinned(rows)
    matrix = propagated(hyper.propagator, known)
    matrix.flat[:: len(matrix) + 1] += hyper.noise * _thinned(relative) + LEAST_NOISE
    root = factored(matrix)
    if root is None:
        raise FloatingPointError("a propagator that had a factor has none")
    return known, root
