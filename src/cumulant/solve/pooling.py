"""How far the levels of a wide category are drawn together: a prior worth λ rows for each level, chosen from moments.

A level of n rows keeps n/(n + λ) of what sets it apart, so levels of few rows lean on all. The strength comes from the
evidence: the effects of levels are integrated out as well as what they are added to, which is the restricted likelihood
of a random effect of variance σ²/λ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.linear import factor
from cumulant.solve.prior import GRID, ROWS_PER_FIELD
from cumulant.solve.repair import nearest_correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.categories import Categories
    from cumulant.solve.predictive import Fields

    Array = NDArray[np.float64]

__all__ = ["level_evidence", "pooled"]


def pooled(
    k: Categories, fields: Fields, prior: str | float | None, target: NDArray[np.int64] | None
) -> tuple[Categories, tuple[str, ...]]:
    """The categories with their masses, and one sentence for each on how it was chosen.

    Parameters
    ----------
    k
        The categories.
    fields
        Mean and covariance of the fields beside them.
    prior
        As for `prior.choose`: a mass α is α times the rows of an average level.
    target
        Fields to be predicted, or None (or none of them) for the joint distribution.
    """
    masses, reasons = [], []
    for c, name in enumerate(k.names):
        met = k.counts[c][k.counts[c] > 0]
        average = float(met.mean()) if met.size else 0.0
        if prior is None or not met.size or not len(fields.mean):
            mass, why = 0.0, "none"
        elif isinstance(prior, (int, float)):
            mass, why = prior * average, "the mass was given"
        elif prior == "auto" and met.min() >= ROWS_PER_FIELD:
            mass, why = 0.0, f"each has at least {met.min():,.0f} rows"
        else:
            curve = level_evidence(k, c, fields, target, GRID * average)
            # The largest that a hundredth of a nat does not tell from the best, as for any prior.
            mass, why = float(GRID[np.flatnonzero(curve >= curve.max() - 0.01)[-1]] * average), "by the evidence ln Z"
        masses.append(mass)
        if why != "none":
            rows = f"{mass:,.0f}" if mass >= 100 else f"{mass:.3g}"
            drawn = f"drawn together as by {rows} rows each" if mass > 0 else "not drawn together"
            reasons.append(f"the {met.size:,} levels of '{name}' are {drawn}: {why}")
    return replace(k, masses=tuple(masses)), tuple(reasons)


def level_evidence(k: Categories, c: int, fields: Fields, target: NDArray[np.int64] | None, masses: Array) -> Array:
    """ln Z of the effects of one category, other categories left out, for each mass λ; up to a constant.

    Parameters
    ----------
    target
        Fields y explained by all others x and the category: −½ Σ ln(1 + n/λ) − ½ ln(1ᵀV⁻¹1) − ½ ln det S_xx
        − ½ (N − 1 − |x|) ln s²(y|x), summed over y. None: of all fields, −(p/2) (…) − ½ (N − 1) ln det S.

    References
    ----------
    Harville, JASA 72 (1977) 320, section 4 (restricted likelihood); S is the scatter about the weighted mean of levels.
    """
    raw = fields.covariance if fields.measured is None else fields.measured
    kept = np.flatnonzero(factor(raw).kept)
    sd = np.sqrt(np.diag(raw)[kept])
    n = k.counts[c][k.counts[c] > 0]
    means = k.sums[c][k.counts[c] > 0][:, kept] / (n[:, None] * sd)
    scatter = raw[np.ix_(kept, kept)] / np.outer(sd, sd) * max(fields.degrees, 1.0)
    within = scatter - (means * n[:, None]).T @ means
    if not k.complete:
        within = nearest_correlation(within)[0]
    penalty = fields.mass * fields.count * np.eye(len(kept))
    wanted = np.flatnonzero(np.isin(kept, [] if target is None else target))
    out = np.empty(len(masses))
    for i, mass in enumerate(masses):
        w = mass * n / (n + mass)
        shift = means.T @ w
        s = within + (means * w[:, None]).T @ means - np.outer(shift, shift) / w.sum()
        effects = -0.5 * (np.log1p(n / mass).sum() + np.log(w.sum() / fields.count))
        if not len(wanted):
            out[i] = len(kept) * effects - 0.5 * (fields.count - 1) * _log_determinant(s + penalty, scatter)
            continue
        x = np.setdiff1d(np.arange(len(kept)), wanted)
        xx = s[np.ix_(x, x)] + penalty[np.ix_(x, x)]
        degrees = max(fields.count - 1 - (0 if fields.mass > 0 else len(x)), 1.0)
        out[i] = 0.0
        for y in wanted:
            both = np.append(x, y)
            joint = s[np.ix_(both, both)]
            joint[:-1, :-1] = xx
            explained = _log_determinant(xx, scatter[np.ix_(x, x)])
            residual = _log_determinant(joint, scatter[np.ix_(both, both)]) - explained
            out[i] += effects - 0.5 * explained - 0.5 * degrees * residual
    return out


def _log_determinant(s: Array, about: Array) -> float:
    """ln det, no eigenvalue taken for smaller than the rounding of what it was subtracted from."""
    if not len(s):
        return 0.0
    w = np.linalg.eigvalsh(s)
    return float(np.log(np.maximum(w, 1e-15 * np.trace(about))).sum())
