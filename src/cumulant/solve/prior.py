"""The mass term: how far couplings between different fields are drawn to zero, chosen from moments alone.

A prior mass α shrinks the correlation matrix, R → (R + α I)/(1 + α). For every target at once this is ridge
regression with penalty α on standardised columns, β = (R_xx + α I)⁻¹ r_xy. Its strength comes from the evidence
ln Z(α), or from the likelihood of held-out folds; neither looks at a row again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.solve import lowrank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.measure.estimate import Estimate

    Array = NDArray[np.float64]

__all__ = ["Prior", "choose"]

# A mass below √ε leaves a singular correlation matrix with coefficients of less than half their digits.
GRID = np.logspace(-8, 3, 111)
ROWS_PER_FIELD = 20
# Columns from which a tridiagonal form is sooner found than eigenvectors.
TRIDIAGONAL = 100


@dataclass(frozen=True, eq=False)
class Prior:
    """The mass that was used, why, and the curve it was chosen on.

    Parameters
    ----------
    mass
        α, in units of a standardised column's variance; 0 for none.
    kind
        ``"none"``, ``"given"``, ``"evidence"`` or ``"folds"``.
    reason
        One sentence for the user.
    grid, curve
        Masses tried and what was maximised: ln Z(α), or the mean held-out log-likelihood of a row. Empty if none.
    """

    mass: float
    kind: str
    reason: str
    grid: Array
    curve: Array


def choose(
    prior: str | float | None,
    m: Moments,
    covariance: Array,
    target: NDArray[np.int64] | None,
    *,
    repaired: bool = False,
) -> Prior:
    """Settle the mass.

    Parameters
    ----------
    prior
        ``"auto"``, ``None``, ``"evidence"``, ``"folds"`` or the mass itself.
    m
        The moments.
    covariance
        Their covariance (p, p), positive semi-definite.
    target
        Fields to be predicted, or None for the joint distribution.
    repaired
        Whether the covariance had to be made positive definite, so that its smallest eigenvalues mean nothing.
    """
    if prior is None:
        return _fixed(0.0, "none", "no prior was asked for")
    if isinstance(prior, (int, float)) and not isinstance(prior, bool):
        if not (np.isfinite(prior) and prior >= 0):
            raise OptionError(f"prior={prior!r}: a mass must be finite and not negative")
        return _fixed(float(prior), "given", "the mass was given")
    count = effective_count(m)
    if prior == "auto":
        fields = max(1, len(covariance))
        if not repaired and count >= ROWS_PER_FIELD * fields:
            return _fixed(0.0, "none", f"{count:,.0f} rows for {fields} fields need no prior")
        if count < 3:
            return _fixed(0.0, "none", "fewer than three rows cannot choose a prior")
        prior = "evidence"
    if prior == "evidence":
        return _by_evidence(covariance, count, target)
    if prior == "folds":
        return _by_folds(m, target)
    raise OptionError(f"prior={prior!r}: choose 'auto', None, 'evidence', 'folds' or a mass (a number, 0 or more)")


def effective_count(m: Moments) -> float:
    """Rows that the least measured pair of fields rests on; pairs that never meet tell nothing and do not count."""
    if m.total.complete:
        return m.total.count
    met = m.total.pairs[m.total.pairs > 0]
    return float(met.min()) if met.size else m.total.count


def shrink(covariance: Array, mass: float) -> Array:
    """(R + α I)/(1 + α) in the units of the fields: off-diagonal entries over 1 + α."""
    if mass == 0:
        return covariance
    out = covariance / (1 + mass)
    np.fill_diagonal(out, np.diag(covariance))
    return out


def _fixed(mass: float, kind: str, reason: str) -> Prior:
    return Prior(mass, kind, reason, np.zeros(0), np.zeros(0))


def _chosen(kind: str, curve: Array, what: str, rows: float = 1.0) -> Prior:
    # Among masses that a hundredth of a nat tells apart, the largest: with more fields than rows the curve ends in a
    # plateau towards no mass, where rounding alone would choose.
    best = int(np.flatnonzero(curve >= curve.max() - 0.01 / rows)[-1])
    mass = float(GRID[best])
    reason = f"{what} is highest at mass {mass:.3g}"
    if best in (0, len(GRID) - 1):
        reason += " (the end of the range searched)"
    return Prior(mass, kind, reason, GRID, curve)


def _by_evidence(covariance: Array, count: float, target: NDArray[np.int64] | None) -> Prior:
    curve = _evidence_by_rank if lowrank.pays(count, len(covariance)) else _evidence
    return _chosen("evidence", curve(_correlation(covariance), count, target), "the evidence ln Z")


def _evidence(r: Array, count: float, target: NDArray[np.int64] | None) -> Array:
    if target is None:
        return joint_evidence(r, count)
    x = np.setdiff1d(np.arange(len(r)), target)
    return np.sum([regression_evidence(r[np.ix_(x, x)], r[x, y], r[y, y], count) for y in target], axis=0)


def _evidence_by_rank(r: Array, count: float, target: NDArray[np.int64] | None) -> Array:
    """The same from a root of R (p, r): eigenvalues beside the r of the small product are zero, and tell nothing."""
    root = lowrank.root_of(r)
    if target is None:
        w = np.zeros(len(r))
        w[: root.shape[1]] = lowrank.spectrum(root).values
        return _joint_curve(w, count, GRID)
    s = lowrank.spectrum(np.delete(root, target, axis=0))
    along = np.sqrt(s.values) * (root[target] @ s.inner)
    curves = [_regression_curve(s.values, c, r[y, y], count, GRID) for c, y in zip(along, target, strict=True)]
    return np.asarray(np.sum(curves, axis=0))


def regression_evidence(r_xx: Array, r_xy: Array, r_yy: float, count: float, grid: Array = GRID) -> Array:
    """ln Z(α) = −((n − 1)/2) ln s²(α) − ½ Σ ln(1 + w/α), up to a constant, for each mass on the grid.

    s²(α) = (y'y − Σ c²/(w + α))/(n − 1) with X'X = V diag(w) V' and c = V'X'y: O(p³) once, O(p) a point, and of many
    columns no eigenvectors: Σ c²/(w + α) = t'(T + α)⁻¹t with T = Q'X'XQ tridiagonal and t = Q'X'y. The constant
    of the regression is integrated out, which costs one of the n rows; were it not, no mass at all would always win
    where there are as many fields as rows.

    References
    ----------
    MacKay, "Bayesian interpolation", Neural Computation 4 (1992) 415, with the noise variance at its optimum.
    """
    if len(r_xx) >= TRIDIAGONAL:
        found = _without_vectors(r_xx, r_xy, grid)
        if found is not None:
            return _curve(found[0], r_yy - found[1], count, grid)
    w, v = np.linalg.eigh(r_xx)
    return _regression_curve(np.maximum(w, 0.0), v.T @ r_xy, r_yy, count, grid)


def _without_vectors(r_xx: Array, r_xy: Array, grid: Array) -> tuple[Array, Array] | None:
    """Eigenvalues (p,) and r_xy'(r_xx + α)⁻¹r_xy for each mass, by a tridiagonal form; None if rounding spoils it."""
    from scipy.linalg import eigvalsh_tridiagonal, lapack

    work = int(lapack.dsytrd_lwork(len(r_xx), lower=1)[0])
    reduced, diagonal, beside, reflectors, failed = lapack.dsytrd(np.asfortranarray(r_xx), lower=1, lwork=work)
    turned = r_xy.copy()
    below, right = np.asfortranarray(reduced[1:, :-1]), np.asfortranarray(turned[1:, None])
    turned[1:] = lapack.dormqr("L", "T", below, reflectors, right, lwork=work)[0][:, 0]
    explained = np.empty(len(grid))
    for i, mass in enumerate(grid):
        *_, solved, singular = lapack.dptsv(diagonal + mass, beside, turned)
        if failed or singular:
            return None
        explained[i] = turned @ solved
    w = eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf")
    return np.maximum(w, 0.0), explained


def _regression_curve(w: Array, c: Array, r_yy: float, count: float, grid: Array) -> Array:
    return _curve(w, r_yy - (c**2 / (w + grid[:, None])).sum(axis=1), count, grid)


def _curve(w: Array, s2: Array, count: float, grid: Array) -> Array:
    # Rounding can push a perfect fit below zero; a column of float64 cannot be explained beyond its own digits.
    s2 = np.maximum(s2, 1e-15)
    return np.asarray(-0.5 * (count - 1) * np.log(s2) - 0.5 * np.log1p(w / grid[:, None]).sum(axis=1))


def joint_evidence(r: Array, count: float, grid: Array = GRID) -> Array:
    """ln of the marginal likelihood of all columns under Σ ~ inverse-Wishart with mean I, for each mass.

    A prior worth κ = α·(n − 1) rows, Σ ~ IW(κ I, κ + p + 1), has posterior mean (R + α I)/(1 + α).

    References
    ----------
    Dawid & Lauritzen, Ann. Stat. 21 (1993) 1272, equation 45 (normalising constants of the inverse Wishart).
    """
    return _joint_curve(np.maximum(np.linalg.eigvalsh(r), 0.0), count, grid)


def _joint_curve(w: Array, count: float, grid: Array) -> Array:
    from scipy.special import gammaln

    p = len(w)
    n = count - 1
    kappa = grid * n
    before, after = (kappa + p + 1) / 2, (kappa + p + 1 + n) / 2
    half = np.arange(p) / 2
    gammas = (gammaln(after[:, None] - half) - gammaln(before[:, None] - half)).sum(axis=1)
    return np.asarray(gammas + before * p * np.log(kappa) - after * np.log(kappa[:, None] + n * w).sum(axis=1))


def _by_folds(m: Moments, target: NDArray[np.int64] | None) -> Prior:
    used = [k for k in range(m.folds) if m.rows[k] > 0 and m.rows[k] < m.rows.sum() - 1]
    if len(used) < 2:
        raise OptionError("prior='folds' needs at least two folds with rows; measure with folds=10, or use 'evidence'")
    curve, rows = np.zeros(len(GRID)), 0.0
    for k in used:
        held, train = m.fold(k), m.without(k)
        score = _joint_score(train, held) if target is None else _target_score(train, held, target)
        curve += held.count * score
        rows += held.count
    return _chosen("folds", curve / rows, "the held-out log-likelihood of a row", rows)


def second_moment_about(held: Estimate, mean: Array) -> Array:
    """Mean of (x − mean)(x − mean)ᵀ over the held-out rows, from their mean and covariance."""
    offset = np.nan_to_num(held.mean - mean)
    # A single row has no covariance, only an offset.
    spread = held.covariance * (held.degrees / held.count) if held.degrees > 0 else 0.0
    return np.asarray(spread + np.outer(offset, offset))


def _joint_score(train: Estimate, held: Estimate) -> Array:
    sd, varies = _sd(train.covariance)
    w, v = np.linalg.eigh(_correlation(train.covariance)[np.ix_(varies, varies)])
    s = (second_moment_about(held, train.mean) / np.outer(sd, sd))[np.ix_(varies, varies)]
    spread = np.einsum("ia,ij,ja->a", v, s, v)
    shrunk = (np.maximum(w, 0.0) + GRID[:, None]) / (1 + GRID[:, None])
    norm = len(w) * np.log(2 * np.pi) + 2 * np.log(sd[varies]).sum()
    return np.asarray(-0.5 * (np.log(shrunk) + spread / shrunk).sum(axis=1) - 0.5 * norm)


def _target_score(train: Estimate, held: Estimate, target: NDArray[np.int64]) -> Array:
    sd, varies = _sd(train.covariance)
    r = _correlation(train.covariance)
    s = second_moment_about(held, train.mean) / np.outer(sd, sd)
    x = np.setdiff1d(np.flatnonzero(varies), target)
    w, v = np.linalg.eigh(r[np.ix_(x, x)])
    out = np.zeros(len(GRID))
    for y in target[varies[target]]:
        c = v.T @ r[x, y]
        beta = v @ (c[:, None] / (np.maximum(w, 0.0)[:, None] + GRID[None, :]))
        s2 = np.maximum(1 - (c[:, None] ** 2 / (w[:, None] + GRID[None, :])).sum(axis=0), 1e-15)
        error = s[y, y] - 2 * s[y, x] @ beta + np.einsum("ig,ij,jg->g", beta, s[np.ix_(x, x)], beta)
        out += -0.5 * np.log(2 * np.pi * s2 * sd[y] ** 2) - 0.5 * error / s2
    return out


def _sd(covariance: Array) -> tuple[Array, NDArray[np.bool_]]:
    variance = np.diag(covariance)
    varies = variance > 0
    return np.sqrt(np.where(varies, variance, 1.0)), varies


def _correlation(covariance: Array) -> Array:
    sd, _ = _sd(covariance)
    return covariance / np.outer(sd, sd)
