"""How well a covariance with a symmetry explains the rows: all of them at once, and each fold from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.centres import centres
from cumulant.symmetry.evidence import Spectrum, log_predictive
from cumulant.symmetry.spectral import isotypic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group
    from cumulant.symmetry.rows import Rows

    Array = NDArray[np.float64]

__all__ = ["Score", "scored"]

# Of the variance of a column, what is no variance.
SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class Score:
    """Log likelihoods, less −½ ν p ln 2π.

    Parameters
    ----------
    whole
        Log evidence of all rows, under the centre and strength of the prior that suit them best.
    parts
        Log likelihood of each part of the folds given the rest; one or none where nothing can be held out.
    """

    whole: float
    parts: Array


def scored(rows: Rows, group: Group) -> Score:
    """The score of one group."""
    basis = isotypic(group)
    tried = []
    for centre in centres(group, rows.covariance, scales=rows.scale == "correlation"):
        # A factor fitted to dependent columns would put the prior where they cannot go, at any gain.
        if rows.singular and centre.loadings is not None:
            continue
        seen = Spectrum.of(basis, rows.scatter, rows.degrees, centre.covariance, centre.parameters)
        tried.append((*seen.best(), centre))
    delta, whole, centre = max(tried, key=lambda t: t[1])
    parts = []
    for rest, degrees in rows.rests:
        # Too few of the rest to centre a prior on, or a column that does not vary among them.
        enough = degrees > len(rest) and bool((np.diag(rest) > SINGULAR * np.diag(rows.scatter)).all())
        prior = (delta - 2) * (centre.again(group, rest / degrees) if enough else centre).covariance
        parts.append(log_predictive(basis, (rows.scatter, rows.degrees), (rest, degrees), prior, delta))
    return Score(whole, np.array(parts))
