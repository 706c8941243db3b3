"""A mass for each term of a polynomial, heavier with its degree: both numbers chosen by the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.solve.prior import GRID, Prior, regression_evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["STEEPNESS", "Masses", "choose_masses"]

# How much heavier a term is than one of a degree less, as far as is tried.
STEEPNESS = (1.0, 4.0, 16.0, 64.0)


@dataclass(frozen=True, eq=False)
class Masses:
    """The mass of each term in units of its variance (M,), the steepness with degree, and how they were chosen."""

    each: Array
    steepness: float
    prior: Prior


def choose_masses(
    covariance: Array,
    count: float,
    degree: Index,
    prior: str | float | None,
    tried: Sequence[float] = STEEPNESS,
) -> Masses:
    """Masses α·s^(d − 1) for terms of degree d.

    Parameters
    ----------
    covariance
        Of the terms and, last, the target (M + 1, M + 1).
    count
        Rows.
    degree
        Of each term (M,).
    prior
        ``"auto"`` or ``"evidence"``, None, or the mass α of every term.
    tried
        Values of s to choose from.
    """
    if prior is None:
        return _fixed(len(degree), 0.0, "none", "no prior was asked for")
    if isinstance(prior, (int, float)) and not isinstance(prior, bool):
        if not (np.isfinite(prior) and prior >= 0):
            raise OptionError(f"prior={prior!r}: a mass must be finite and not negative")
        return _fixed(len(degree), float(prior), "given", "the mass was given")
    if prior not in ("auto", "evidence"):
        raise OptionError(f"prior={prior!r}: choose 'auto', None, 'evidence' or a mass for this theory")
    sd = np.sqrt(np.diag(covariance))
    scaled = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    r = covariance * scaled[:, None] * scaled[None, :]
    curves = {}
    for steepness in tried if degree.max(initial=1) > 1 else (1.0,):
        # A heavier term is a smaller column.
        s = steepness ** (-0.5 * (degree - 1))
        curves[steepness] = regression_evidence(r[:-1, :-1] * s[:, None] * s, r[:-1, -1] * s, r[-1, -1], count)
    steepness = max(curves, key=lambda s: float(curves[s].max()))
    mass = float(GRID[int(np.argmax(curves[steepness]))])
    reason = f"the evidence ln Z is highest at mass {mass:.3g}"
    if len(curves) > 1 or steepness != 1:
        reason += f", {steepness:g} times heavier with each degree"
    each = np.asarray(mass * steepness ** (degree - 1.0), dtype=np.float64)
    return Masses(each, steepness, Prior(mass, "evidence", reason, GRID, curves[steepness]))


def _fixed(terms: int, mass: float, kind: str, reason: str) -> Masses:
    return Masses(np.full(terms, mass), 1.0, Prior(mass, kind, reason, np.zeros(0), np.zeros(0)))
