"""The fluctuation about a polynomial mean: its strength where it varies with x, and its shape, from residuals.

Residuals are studentised, as if each row had been left out of the mean; their log squares are regressed on x like any
target; and what is left, of about unit size, has one of three shapes. How much of the regression is believed and which
shape is taken is decided by the likelihood of folds that were left out of both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.measure import measure
from cumulant.measure.kernels import fold_of
from cumulant.solve.fluctuation_law import FluctuationLaw, log_strength
from cumulant.solve.law import Solved
from cumulant.solve.shapes import Quartic, Shape, StudentT, Tilted, candidates
from cumulant.solve.taylor import solve_taylor
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.theory.taylor import Taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.theory.fluctuation import Fluctuation

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["fluctuating", "solve_fluctuation"]

FOLDS = 5
# How much of the regression of ln η² on x is believed.
BELIEF = (0.0, 0.25, 0.5, 0.75, 1.0)
FEWEST_ROWS = 40
# A number that takes no more values than these is a count or a grade.
FEW_VALUES = 8
# Residuals smaller than this part of the typical one are rounding, and their logarithm says nothing.
FLOOR = 1e-3
# A more complicated fluctuation must make the left-out rows more likely by so many nats.
WORTH = 1.0
# Fields up to which the strength may bend.
FEW_FIELDS = 30


def solve_fluctuation(
    m: Moments, theory: Fluctuation, prior: str | float | None, target: Index | None, rows: Array | None
) -> Solved:
    """The law of a target about its background.

    Parameters
    ----------
    rows
        Some rows of the table as fields (n, p), gaps as NaN; those with gaps are left out.

    Raises
    ------
    DataError
        There are no rows at hand.
    OptionError
        No target was named, or several.
    """
    if target is not None and len(target) > 1:
        raise OptionError("fluctuations are those of one target; name one, or use cm.Taylor(), which takes several")
    solved = solve_taylor(m, theory.background, prior, target)
    return fluctuating(solved, theory, rows) if isinstance(solved.law, TaylorLaw) else solved


def fluctuating(solved: Solved, theory: Fluctuation, rows: Array | None) -> Solved:
    """The fluctuation about a background that is solved; ``held_out`` grows by what it makes left-out rows likelier."""
    law = solved.law
    if rows is None or not isinstance(law, TaylorLaw):
        raise DataError("fluctuations about the mean are seen in rows, not in moments; use cm.fit(table, …)")
    x = rows[~np.isnan(rows).any(axis=1)]
    if len(x) < FEWEST_ROWS:
        note = f"{len(x)} rows without gaps are too few to see the shape of fluctuations in: they are taken as Gaussian"
        return replace(solved, notes=(*solved.notes, note))
    if not law.residual_variance > 0:
        return replace(solved, notes=(*solved.notes, "the mean leaves nothing to fluctuate"))
    warnings = solved.warnings
    values = len(np.unique(x[:, law.target]))
    if values <= FEW_VALUES and len(x) >= FEWEST_ROWS * FEW_VALUES:
        discrete = (
            f"the target takes only {values} values, and its density here is smooth; for the probability of each, make "
            "it a category (lifts={name: 'categorical'}) with cm.Gaussian() or cm.Field()"
        )
        warnings = (*warnings, discrete)
    mean, u = _studentised(law, x)
    believed = {"constant": BELIEF[:1], "varying": BELIEF[1:], "auto": BELIEF}[theory.noise]
    strength, logs = _strength(law.features(x, mean), u) if believed[-1] else (None, np.zeros(len(u)))
    belief, width, shape, gain = _choose(u, logs, believed, theory.shape)
    varying = f"of a strength that varies (believed to {belief:.0%})" if belief else "of constant strength"
    note = f"the fluctuation about the mean is {shape.name}, {varying}: most likely for rows left out"
    found = FluctuationLaw(law, shape, width, strength if belief else None, belief)
    held_out = None if solved.held_out is None else solved.held_out + gain
    chosen = None if solved.theory is None else replace(theory, background=solved.theory)
    return replace(solved, law=found, notes=(*solved.notes, note), warnings=warnings, held_out=held_out, theory=chosen)


def _studentised(law: TaylorLaw, x: Array) -> tuple[Array, Array]:
    """ȳ, and residuals in the units of the target, each as if its row had not been in the fit: η/√(1 − h)."""
    mean, inflation = law.mean_and_inflation(x)
    # The inflation of a row that was fitted is 1 + h. One that the fit goes through says nothing of the noise.
    rest = np.maximum(2.0 - inflation, 0.01)
    return mean, np.asarray((x[:, law.target] - mean) / np.sqrt(rest))


def _strength(features: Array, u: Array) -> tuple[TaylorLaw | None, Array]:
    """The regression of ln η² on x and ȳ, and what it says of rows of folds that it had not seen (n,)."""
    typical = float(np.median(np.abs(u))) or float(np.abs(u).max(initial=0.0))
    if not typical > 0:
        return None, np.zeros(len(u))
    logs = np.log((u / typical) ** 2 + FLOOR**2)
    p = features.shape[1]
    columns = {f"x{i}": features[:, i] for i in range(p)} | {"ln η²": logs}
    theory = Taylor(3) if p <= FEW_FIELDS else Taylor(2)
    m = measure(columns, requirement=theory.requires(), folds=FOLDS, progress=False, precision="double")
    fold = fold_of(np.arange(len(u)), FOLDS)
    predicted = np.zeros(len(u))
    for k in np.unique(fold):
        part = _regressed(m, theory, np.arange(FOLDS) != k)
        predicted[fold == k] = log_strength(part, features[fold == k])
    return _regressed(m, theory, np.ones(FOLDS, dtype=bool)), predicted


def _regressed(m: Moments, theory: Taylor, used: NDArray[np.bool_]) -> TaylorLaw:
    found = solve_taylor(m.some_folds(used), theory, "evidence", np.array([len(m.columns) - 1])).law
    assert isinstance(found, TaylorLaw)  # noqa: S101  # an order was named
    return found


def _choose(u: Array, logs: Array, believed: tuple[float, ...], kind: str) -> tuple[float, float, Shape, float]:
    """The belief, width and shape under which left-out rows are most likely; ties go to the simpler.

    Last, by how much likelier they make a left-out row than a Gaussian of constant strength does.
    """
    fold = fold_of(np.arange(len(u)), FOLDS)
    plain = 0.0
    scores: dict[tuple[float, str], float] = {}
    for k in np.unique(fold):
        width = _width(u[fold != k])
        held = u[fold == k] / width
        plain += float((StudentT(np.inf, 1.0).log_density(held) - np.log(width)).sum())
    for belief in believed:
        size = np.exp(0.5 * belief * logs)
        z = u / size
        judged: dict[str, list[float]] = {}
        for k in np.unique(fold):
            held = fold == k
            width = _width(z[~held])
            for name, shape in candidates(z[~held] / width, kind).items():
                score = float((shape.log_density(z[held] / width) - np.log(width * size[held])).sum())
                judged.setdefault(name, []).append(score)
        # A shape that does not exist without some fold has fewer rows to be unlikely for.
        most = max(map(len, judged.values()))
        scores |= {(belief, name): sum(parts) for name, parts in judged.items() if len(parts) == most}
    best = next(iter(scores))
    for choice, score in scores.items():
        if score > scores[best] + WORTH:
            best = choice
    belief, name = best
    z = u / np.exp(0.5 * belief * logs)
    width = _width(z)
    shape = _shape(z / width, kind, name)
    gain = _gain_of_tilt(z, fold, kind, name) if kind == "auto" else 0.0
    tilted = Tilted.fit(z / width, shape) if gain > WORTH else shape
    return belief, width, tilted, (scores[best] + (gain if gain > WORTH else 0.0) - plain) / len(u)


def _shape(z: Array, kind: str, name: str) -> StudentT | Quartic:
    return candidates(z, kind).get(name) or StudentT.fit(z, np.inf)


def _gain_of_tilt(z: Array, fold: Index, kind: str, name: str) -> float:
    """Nats by which rows left out are likelier with the ranks of a shape put right by the others."""
    gain = 0.0
    for k in np.unique(fold):
        held, width = fold == k, _width(z[fold != k])
        shape = _shape(z[~held] / width, kind, name)
        tilted = Tilted.fit(z[~held] / width, shape)
        gain += float((tilted.log_density(z[held] / width) - shape.log_density(z[held] / width)).sum())
    return gain


def _width(z: Array) -> float:
    return float(np.sqrt(np.mean(z**2))) or 1.0
