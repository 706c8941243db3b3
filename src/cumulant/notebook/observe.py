"""The moments that a page needs, out of the moments of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError
from cumulant.lift import Boolean
from cumulant.notebook.families import FAMILIES

if TYPE_CHECKING:
    from cumulant.measure import Moments
    from cumulant.notebook.recognise import Match

__all__ = ["observe"]

# How far a column of two values may be from −1 and 1, in its mean square.
TWO_VALUED = 1e-9


def observe(match: Match, m: Moments) -> dict[str, Any]:
    """Values of the page's moments by name.

    Raises
    ------
    DataError
        Too few rows, or spins that are not ±1 or true/false.
    """
    if not m.count > 1:
        raise DataError(f"{m.count:g} rows have no covariance; a page needs two at least")
    at = match.order
    solves = match.page.solves
    family = FAMILIES.get(solves.family or "")
    if family is not None:
        return family.reduce(m.total.mean[at], m.total.covariance[np.ix_(at, at)], match.shape)
    if solves.theory == "spins":
        return _pair(m)
    return {}


def _pair(m: Moments) -> dict[str, float]:
    mean, C = spin_moments(m)
    return {"m1": float(mean[0]), "m2": float(mean[1]), "q": float(C[0, 1] + mean[0] * mean[1])}


def spin_moments(m: Moments) -> tuple[Any, Any]:
    """Means (p,) and covariances (p, p; denominator n) of spins, from columns that are true/false or −1 and 1."""
    n = m.count
    mean, C = m.total.mean.copy(), m.total.covariance * (n - 1) / n
    scale = np.ones(len(mean))
    for lift in m.schema.lifts:
        at = m.schema.independent_of(lift.name)
        if isinstance(lift, Boolean):
            scale[at] = 2.0
        else:
            square = np.diag(C)[at] + mean[at] ** 2
            if (np.abs(square - 1) > TWO_VALUED).any():
                raise DataError(
                    f"column '{lift.name}' is not a spin: its values are not all −1 or 1; map its two values to "
                    "true and false, or to −1 and 1"
                )
    offset = np.where(scale == 2.0, -1.0, 0.0)
    return scale * mean + offset, C * np.outer(scale, scale)
