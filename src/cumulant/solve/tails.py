"""Whether a moment can be trusted: seen in how much of it one fold holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cumulant.measure import Moments

__all__ = ["heavy_tail"]

# A fold that holds this share of Σ u⁶ holds a few rows that are all of it.
LARGEST_SHARE = 0.5
FEWEST_FOLDS = 5
# Times the power squared: of fewer rows a Gaussian has such a fold, too.
ROWS = 40


def heavy_tail(m: Moments, power: int, fields: Iterable[int] | None = None) -> str | None:
    """What is wrong with an even moment of the first field where it rests on a few rows.

    None if it does of no field, or if there are too few rows to tell.

    Parameters
    ----------
    m
        Moments of third order or higher.
    power
        Which moment, about the reference point.
    fields
        The fields that are looked at; all by default.
    """
    if m.higher is None or m.folds < FEWEST_FOLDS or m.higher.rows.sum() < ROWS * power**2:
        return None
    monomials, sums = m.higher.monomials, m.higher.sums
    for i in range(len(m.columns)) if fields is None else fields:
        term = np.zeros((1, monomials.order), dtype=np.int64)
        term[0, monomials.order - power :] = i + 1
        place = int(monomials.find(term)[0])
        each = sums[:, place] if place >= 0 else np.zeros(1)
        if each.sum() > 0 and each.max() > LARGEST_SHARE * each.sum():
            return (
                f"column '{m.columns[i]}' has tails so heavy that a few rows hold most of its moment of order {power}"
            )
    return None
