"""The exact solver: moments of order two determine F, and nothing is minimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError
from cumulant.solve.prior import Prior, choose, effective_count, shrink
from cumulant.solve.repair import nearest_correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments

__all__ = ["Solution", "solve_exact"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Couplings of F to second order, as mean and propagator.

    Parameters
    ----------
    mean
        μ (p,).
    covariance
        The propagator G = K⁻¹ (p, p), prior included.
    low
        Its low limb in compensated arithmetic, or None.
    measured
        The covariance without the prior, or None when there is none.
    count
        Rows that inference rests on.
    degrees
        Denominator of the covariance.
    prior
        The mass and how it was chosen.
    notes, warnings
        What was done that the user should know, and what the user should mind.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    low: NDArray[np.float64] | None
    measured: NDArray[np.float64] | None
    count: float
    degrees: float
    prior: Prior
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def solve_exact(m: Moments, prior: str | float | None = "auto", target: NDArray[np.int64] | None = None) -> Solution:
    """Mean and propagator from moments; see `cumulant.solve`."""
    total = m.total
    if not total.count > 0:
        raise DataError("no rows were measured; a model needs at least one")
    mean, covariance, notes = total.mean, total.covariance, []
    warnings = []
    never = np.isnan(mean)
    if never.any():
        names = ", ".join(np.array(m.columns)[never])
        notes.append(f"no cell is present in {names}: taken as 0 and unrelated to the other fields")
        mean = np.where(never, 0.0, mean)
        covariance = np.where(never[:, None] | never[None, :], 0.0, covariance)
    if not np.isfinite(covariance).all():
        covariance = np.nan_to_num(covariance)
    moved = 0.0
    if not total.complete:
        covariance, moved = nearest_correlation(covariance)
        if moved > 0:
            warnings.append(
                "the pairwise covariance was not positive definite and was replaced by the nearest that is "
                f"(largest change of a correlation: {moved:.2g})"
            )
    constant = [name for name, v in zip(m.columns, np.diag(covariance), strict=True) if not v > 0]
    if constant:
        notes.append(f"constant, so without influence: {', '.join(constant)}")
    count = total.count if total.complete else effective_count(m)
    chosen = choose(prior, m, covariance, target, repaired=moved > 0)
    degrees = total.degrees if total.complete else max(count - 1, 0.0)
    low = total.low if chosen.mass == 0 else None
    shrunk, measured = shrink(covariance, chosen.mass), covariance if chosen.mass > 0 else None
    return Solution(mean, shrunk, low, measured, count, degrees, chosen, tuple(notes), tuple(warnings))
