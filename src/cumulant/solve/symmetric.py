"""The exact solver in the isotypic basis: an invariant covariance is inverted block by block.

Σ m³ operations for blocks of m rows instead of p³, and as many rows of data for each block as it has copies: that is
why it works with fewer rows than columns. Which of several groups, and how much of a soft one, is decided by the
likelihood of held-out folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.solve.exact import Solution, solve_exact
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.predictive import Fields
from cumulant.solve.prior import GRID, ROWS_PER_FIELD, Prior, second_moment_about
from cumulant.solve.structured import SymmetricLaw
from cumulant.symmetry import declared, trivial
from cumulant.symmetry.reduced import Reduced, dense, deviations, diagonal, reduce
from cumulant.theory import Gaussian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.solve.law import Law
    from cumulant.symmetry import Group
    from cumulant.symmetry.declared import Declared
    from cumulant.symmetry.isotypic import Complex, Decomposition
    from cumulant.symmetry.reduced import Block

    Array = NDArray[np.float64]

__all__ = ["Candidate", "Symmetric", "solve_again", "solve_symmetric"]

# Up to this many fields the notebook is asked for the page of the class: some tenths of a second.
MOST_RECOGNISED = 1_000
# Up to this many fields the covariance is written out, and the model is an ordinary one.
MOST_DENSE = 2_000
STRENGTHS = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A group that was tried.

    Parameters
    ----------
    declared
        The group and how it acts.
    log_likelihood
        Held-out log-likelihood of a row, mean over folds, in nats; NaN where nothing was held out.
    parameters
        Free numbers of mean and covariance.
    """

    declared: Declared
    log_likelihood: float
    parameters: int


@dataclass(frozen=True, eq=False)
class Symmetric:
    """A solution under a group.

    Parameters
    ----------
    law, prior
        The probability of the fields, and the mass that was used.
    reduced
        The moments it rests on.
    strength
        s of C_s = (1 − s) C + s R(C): 1 for a strict symmetry.
    candidates
        The groups that were tried, best first; one where one was declared.
    curve
        (strengths, held-out log-likelihood of a row) for a soft symmetry, else empty.
    notes
        What was done, one sentence each.
    """

    law: Law
    prior: Prior
    reduced: Reduced
    strength: float
    candidates: tuple[Candidate, ...]
    curve: tuple[Array, Array]
    notes: tuple[str, ...]


def solve_symmetric(
    m: Moments | Reduced, symmetry: Group | Declared | Sequence[Group | Declared] | None, prior: str | float | None
) -> Symmetric:
    """Mean and propagator under a group; see `cumulant.solve`.

    Raises
    ------
    DataError
        No rows were measured.
    OptionError
        There is no group, or several and no folds to choose by.
    """
    if isinstance(m, Reduced):
        if symmetry is not None and isinstance(symmetry, Sequence):
            raise OptionError(
                "these moments were measured under one group; measure without symmetry= to choose among several"
            )
        tried = [m]
    else:
        if m.higher is None and not m.total.count > 0:
            raise DataError("no rows were measured; a model needs at least one")
        asked = symmetry if isinstance(symmetry, Sequence) else [symmetry]
        tried = [reduce(m, declared(s)) for s in asked if s is not None]
    if not tried:
        raise OptionError("symmetry= is an empty list; give a group, or groups to choose from")
    if not tried[0].total.count > 0:
        raise DataError("no rows were measured; a model needs at least one")
    if len(tried) > 1:
        tried = _with_none(m, tried)
    candidates = sorted(
        (Candidate(r.declared, heldout(m, r, prior) if len(tried) > 1 else np.nan, r.parameters) for r in tried),
        key=lambda c: -c.log_likelihood if len(tried) > 1 else 0.0,
    )
    best = next(r for r in tried if r.declared is candidates[0].declared)
    found = _strict(best, prior)
    notes = [_about(best)]
    if len(tried) > 1:
        runner = candidates[1]
        notes.append(
            f"chosen among {len(tried)} groups by held-out log-likelihood: {candidates[0].log_likelihood:.6g} a row, "
            f"next {runner.declared} with {runner.log_likelihood:.6g}"
        )
    none = (np.zeros(0), np.zeros(0))
    if not best.declared.soft:
        return Symmetric(found[0], found[1], best, 1.0, tuple(candidates), none, tuple(notes))
    if isinstance(m, Reduced):
        raise OptionError("a soft symmetry needs the plain moments beside their average: measure without symmetry=")
    return _soft(m, best, found, prior, tuple(candidates), tuple(notes))


def solve_again(m: Moments | Reduced, symmetry: Declared, prior: Prior, strength: float) -> GaussianLaw | SymmetricLaw:
    """The law of other rows, some folds say, under a symmetry whose mass and strength were settled before."""
    r = m if isinstance(m, Reduced) else reduce(m, symmetry)
    law = _strict(r, prior.mass)[0]
    if isinstance(m, Reduced) or strength == 1:
        return law
    # Its other end has a mass of its own, chosen by the same rule.
    rule = {"given": prior.mass, "none": None}.get(prior.kind, prior.kind)
    return _between(solve_exact(m, rule, None), law, strength, r.total.count)


def _with_none(m: Moments | Reduced, tried: list[Reduced]) -> list[Reduced]:
    """The candidates and no symmetry at all, which must always be possible; folds to tell them apart by."""
    if tried[0].folds < 2 or (tried[0].count > 0).sum() < 2:
        raise OptionError("choosing among groups needs at least two folds with complete rows; measure with folds=10")
    if isinstance(m, Reduced) or any(not r.group.moved.any() for r in tried):
        return tried
    return [*tried, reduce(m, declared(trivial(m.columns)))]


def _about(r: Reduced) -> str:
    p = len(r.columns)
    before = p + p * (p + 1) // 2
    said = f"symmetric under {r.declared}: {r.parameters:,} parameters instead of {before:,}"
    # The notebook brings SciPy with it, which takes longer to import than most models take to solve.
    from cumulant.notebook.recognise import recognise

    found = recognise(Gaussian(), r.group) if p <= MOST_RECOGNISED else None
    return said if found is None else f"{said}; its class is the page {found.page.name} of the notebook"


def _strict(r: Reduced, prior: str | float | None) -> tuple[GaussianLaw | SymmetricLaw, Prior]:
    """The law whose covariance is invariant."""
    basis, b = r.basis, r.total
    chosen, blocks = settled(r, b, prior)
    if len(b.mean) > MOST_DENSE:
        if r.declared.free_scale:
            raise OptionError(f"a symmetry up to scale holds a full covariance; up to {MOST_DENSE:,} columns")
        return SymmetricLaw(r.declared, b.mean, tuple(blocks), tuple(b.degrees), b.count), chosen
    standard = dense(basis, blocks)
    covariance = standard * np.outer(b.unit, b.unit)
    degrees = b.count if r.declared.mean else b.count - 1
    rows = equivalent_rows(basis, blocks, b.degrees)
    fields = Fields(b.mean, covariance, None, b.count, max(rows - 1, degrees), equivalent=max(rows, b.count))
    return GaussianLaw(fields), chosen


def equivalent_rows(basis: Decomposition, blocks: Sequence[Complex], degrees: Sequence[Array]) -> float:
    """Rows that would tell a covariance without symmetry as well as these tell the invariant one.

    A residual variance 1/K_yy is a sum over blocks, each known to some degrees of freedom; Satterthwaite's rule gives
    those of the sum, and without symmetry n rows of p fields give n − p.

    References
    ----------
    Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bull. 2 (1946) 110.
    """
    spread = np.zeros(basis.degree)
    shares = _shares(basis, blocks)
    total = sum((w.sum(axis=0) for w in shares), np.zeros(basis.degree))
    for w, part, df in zip(shares, basis.parts, degrees, strict=True):
        free = np.maximum(df - (part.size - 1), 1.0)
        spread += ((w / np.where(total > 0, total, 1.0)) ** 2 / free[:, None]).sum(axis=0)
    worst = spread.max(initial=0.0)
    return basis.degree + (1 / worst if worst > 0 else 0.0)


def _shares(basis: Decomposition, blocks: Sequence[Complex]) -> list[Array]:
    """What each block contributes to each diagonal entry of the precision (O, p)."""
    out = []
    coordinates = basis.forward(np.eye(basis.degree))
    for part, block, z in zip(basis.parts, blocks, coordinates, strict=True):
        inverse = part.expand(np.linalg.pinv(block, hermitian=True))
        each = np.einsum("nfci,fij,nfcj->fn", np.conj(z), inverse, z, optimize=True).real * part.weight[:, None]
        total = np.zeros((len(part.rank), basis.degree))
        np.add.at(total, part.block, each)
        out.append(total)
    return out


# ------------------------------------------------------------------ the mass term, block by block


def settled(r: Reduced, b: Block, prior: str | float | None) -> tuple[Prior, list[Complex]]:
    """The mass for an invariant covariance, and its blocks with that mass."""
    scale = r.basis.scales(diagonal(r.group, r.basis, b.blocks))
    chosen = _mass(r, b, scale, prior)
    a = chosen.mass
    return chosen, [(block + a * s) / (1 + a) if a else block for block, s in zip(b.blocks, scale, strict=True)]


def _mass(r: Reduced, b: Block, scale: Sequence[Array], prior: str | float | None) -> Prior:
    none = np.zeros(0)
    if prior is None:
        return Prior(0.0, "none", "no prior was asked for", none, none)
    if isinstance(prior, (int, float)) and not isinstance(prior, bool):
        if not (np.isfinite(prior) and prior >= 0):
            raise OptionError(f"prior={prior!r}: a mass must be finite and not negative")
        return Prior(float(prior), "given", "the mass was given", none, none)
    if prior == "auto":
        least = min(float((df / part.size).min()) for df, part in zip(b.degrees, r.basis.parts, strict=True))
        if least >= ROWS_PER_FIELD:
            return Prior(0.0, "none", f"at least {least:,.0f} degrees of freedom for each row of a block", none, none)
        if b.count < 3:
            return Prior(0.0, "none", "fewer than three rows cannot choose a prior", none, none)
        prior = "evidence"
    if prior not in ("evidence", "folds"):
        raise OptionError(f"prior={prior!r}: choose 'auto', None, 'evidence', 'folds' or a mass (a number, 0 or more)")
    curve = _evidence(r, b, scale) if prior == "evidence" else _heldout_curve(r)
    best = int(np.flatnonzero(curve >= curve.max() - 0.01 / (1 if prior == "evidence" else b.count))[-1])
    what = "the evidence ln Z of the blocks" if prior == "evidence" else "the held-out log-likelihood of a row"
    return Prior(float(GRID[best]), prior, f"{what} is highest at mass {GRID[best]:.3g}", GRID, curve)


def _spectra(blocks: Sequence[Complex], scale: Sequence[Array]) -> list[tuple[Array, Complex]]:
    """Eigenvalues (O, r) of standardised blocks and the vectors that diagonalise both (O, r, r)."""
    out = []
    for block, s in zip(blocks, scale, strict=True):
        # A constant column has no scale; its row of zeros stays an eigenvalue of zero.
        size = np.einsum("oii->oi", s).max(axis=1, initial=0.0)
        safe = s + (size * 1e-15 + (size == 0))[:, None, None] * np.eye(s.shape[-1])
        half = np.linalg.inv(np.linalg.cholesky(safe))
        w, v = np.linalg.eigh(half @ block @ np.swapaxes(half, 1, 2))
        out.append((np.maximum(w, 0.0), np.swapaxes(half, 1, 2) @ v))
    return out


def _evidence(r: Reduced, b: Block, scale: Sequence[Array]) -> Array:
    """Σ over blocks of the log marginal likelihood under an inverse-Wishart prior worth α times the rows."""
    from scipy.special import gammaln

    total = np.zeros(len(GRID))
    for (w, _), df, part in zip(_spectra(b.blocks, scale), b.degrees, r.basis.parts, strict=True):
        rows = df > 0
        nu, w, size = df[rows], w[rows], part.size
        kappa = GRID[:, None] * nu
        before, after = (kappa + size + 1) / 2, (kappa + size + 1 + nu) / 2
        half = np.arange(size) / 2
        gammas = (gammaln(after[..., None] - half) - gammaln(before[..., None] - half)).sum(axis=-1)
        logs = np.log(kappa[..., None] + (nu[:, None] * w)[None]).sum(axis=-1)
        total += (gammas + before * size * np.log(kappa) - after * logs).sum(axis=1)
    return total


def _heldout_curve(r: Reduced) -> Array:
    """Held-out log-likelihood of a row for each mass."""
    total, rows = np.zeros(len(GRID)), 0.0
    for k in _usable(r):
        train = r.without(k)
        held = r.second_about(np.arange(r.folds) == k, train.mean)
        scale = r.basis.scales(diagonal(r.group, r.basis, train.blocks))
        score = np.full(len(GRID), -0.5 * len(train.mean) * np.log(2 * np.pi) - np.log(train.unit).sum())
        for (w, v), s, h, part in zip(_spectra(train.blocks, scale), scale, held, r.basis.parts, strict=True):
            shrunk = (w[None] + GRID[:, None, None]) / (1 + GRID[:, None, None])
            inside = np.einsum("oij,oia,oja->oa", h, np.conj(v), v, optimize=True).real
            units = np.linalg.slogdet(s)[1]
            score -= 0.5 * ((np.log(shrunk) + inside / shrunk).sum(axis=2) + units) @ part.rank
        total += r.count[k] * score
        rows += r.count[k]
    return total / rows


def _usable(r: Reduced) -> list[int]:
    used = [k for k in range(r.folds) if 0 < r.count[k] < r.count.sum() - 1]
    if len(used) < 2:
        raise OptionError("held-out likelihood needs at least two folds with rows; measure with folds=10")
    return used


def heldout(m: Moments | Reduced, r: Reduced, prior: str | float | None) -> float:
    """Held-out log-likelihood of a row, mean over folds: what the rest predicts of each, with the same prior rule.

    Only the invariant part of a held-out covariance meets an invariant precision, so blocks suffice.
    """
    total, rows = 0.0, 0.0
    for k in _usable(r):
        if r.declared.free_scale and not isinstance(m, Reduced):
            # The scales must not have seen the fold either.
            r = reduce(m, r.declared, deviations(m.without(k).covariance))
        train = r.without(k)
        _, blocks = settled(r, train, prior)
        held = r.second_about(np.arange(r.folds) == k, train.mean)
        score = -0.5 * len(train.mean) * np.log(2 * np.pi) - float(np.log(train.unit).sum())
        for part, block, h in zip(r.basis.parts, blocks, held, strict=True):
            w, v = np.linalg.eigh(block)
            if not (w > 1e-14 * max(float(w.max(initial=0.0)), 1e-300)).all():
                return -np.inf
            inside = np.einsum("oij,oia,oja->oa", h, np.conj(v), v, optimize=True).real
            score -= 0.5 * float((np.log(w) + inside / w).sum(axis=1) @ part.rank)
        total += r.count[k] * score
        rows += r.count[k]
    return total / rows


# ------------------------------------------------------------------ as much of it as holds


def _soft(
    m: Moments, r: Reduced, strict: tuple[Law, Prior], prior: str | float | None, candidates: tuple[Candidate, ...],
    notes: tuple[str, ...],
) -> Symmetric:  # fmt: skip
    """C_s between the covariance as it would be solved alone and as the group would have it."""
    if len(r.columns) > MOST_DENSE:
        raise OptionError(
            f"a soft symmetry holds a full covariance; up to {MOST_DENSE:,} columns, not {len(r.columns):,}"
        )
    curve = _strength_curve(m, r, prior)
    best = int(np.flatnonzero(curve >= curve.max() - 0.01 / r.total.count)[-1])
    s = float(STRENGTHS[best])
    law = _between(solve_exact(m, prior, None), strict[0], s, r.total.count)
    notes = (*notes, f"soft: held-out log-likelihood is highest at strength {s:.3g} (0: no symmetry, 1: all of it)")
    return Symmetric(law, strict[1], r, s, candidates, (STRENGTHS, curve), notes)


def _between(plain: Solution, end: Law, s: float, n: float) -> GaussianLaw:
    """C_s and its mean, from n rows."""
    covariance = (1 - s) * plain.covariance + s * end.covariance
    mean = (1 - s) * plain.mean + s * end.mean
    p = len(mean)
    fields = end.fields if isinstance(end, GaussianLaw) else None
    known = fields.known if fields is not None else n
    # Independent errors of the two ends: 1/df adds with the squares of their shares.
    spread = (1 - s) ** 2 / max(n - p, 1.0) + s**2 / max(known - p, 1.0)
    rows = p + 1 / spread
    return GaussianLaw(Fields(mean, covariance, None, n, max(rows - 1, 1.0), equivalent=rows))


def _strength_curve(m: Moments, r: Reduced, prior: str | float | None) -> Array:
    """Held-out log-likelihood of a row for each strength.

    With R = L Lᵀ and L⁻¹ C L⁻ᵀ = V diag(w) Vᵀ, every C_s = L V diag((1 − s) w + s) Vᵀ Lᵀ: one eigenproblem a fold.
    """
    total, rows = np.zeros(len(STRENGTHS)), 0.0
    for k in _usable(r):
        if r.declared.free_scale:
            r = reduce(m, r.declared, deviations(m.without(k).covariance))
        train = r.without(k)
        others = m.some_folds(np.arange(m.folds) != k)
        plain = solve_exact(others, prior, None)
        _, blocks = settled(r, train, prior)
        end = dense(r.basis, blocks) * np.outer(train.unit, train.unit)
        held = m.fold(k)
        low = np.linalg.cholesky(end)
        half = np.linalg.inv(low)
        w, v = np.linalg.eigh(half @ plain.covariance @ half.T)
        shares = (1 - STRENGTHS)[:, None] * np.maximum(w, 0.0) + STRENGTHS[:, None]
        turned = v.T @ half
        for i, s in enumerate(STRENGTHS):
            second = second_moment_about(held, (1 - s) * plain.mean + s * train.mean)
            inside = np.einsum("ai,ij,aj->a", turned, second, turned, optimize=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                terms = np.log(shares[i]) + inside / shares[i]
            score = -0.5 * (terms.sum() + len(w) * np.log(2 * np.pi)) - np.log(np.diag(low)).sum()
            total[i] += held.count * (score if np.isfinite(score) else -np.inf)
        rows += held.count
    return total / rows
