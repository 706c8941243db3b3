"""The metric, the amplitudes and the noise of a field, by the evidence or by left-out rows, and its gradient.

With z = x L, everything follows from G = d ln Z/dK (or that of the log-likelihood of rows, each left out, which sees
past a few rows that are far noisier than others): of an amplitude a in K = Σ a_k K_k it is Σ_ij G_ij K_k,ij, of the
noise Σ_i G_ii, and of the metric d ln Z/dL = 2 xᵀ g with g_i = Σ_j G_ij ∂k(z_i, z_j)/∂z_i: one more product, whatever
the number of inputs. A broad prior about equal scales keeps inputs that say little where they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.field.bend import Bend
from cumulant.solve.field.conditioning import Conditioned, condition, propagated
from cumulant.source.progress import tell
from cumulant.theory.averaged import Averaged
from cumulant.theory.propagators import Constant, Propagator, Sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Hyper", "adapted", "adapted_together", "composed", "parts_of", "started"]

# The level of the field, in units of its amplitude: as good as unknown, once the target is centred.
LEVEL = 10.0
# Noise below this part of the amplitude is rounding of the propagator.
LEAST_NOISE = 1e-9
# Standard deviations of the prior: of ln scales about their mean, of that about unit distance, of ln amplitudes and
# of ln noise about a hundredth.
SCALES, OVERALL, AMPLITUDES, NOISE = 1.5, 2.0, 3.0, 4.0
START_NOISE, TYPICAL_NOISE, START_AMPLITUDE = 0.05, 0.02, 0.15
BOUNDS = {"scale": (-12.0, 4.0), "amplitude": (-9.0, 6.0), "noise": (-16.0, 3.0)}


@dataclass(frozen=True, eq=False)
class Hyper:
    """What a field is, but for the rows it is conditioned on.

    Parameters
    ----------
    parts
        Propagators that are added.
    amplitudes
        Of each part after the first (len(parts) − 1,).
    metric
        Scale of each input (p,), or a map of them (p, r).
    noise
        Variance of η, in units of the amplitude of the first part.
    bend
        The scales of the inputs, before the metric; None as they are.
    level
        Variance of the field's level, in units of its amplitude.
    """

    parts: tuple[Propagator, ...]
    amplitudes: Array
    metric: Array
    noise: float
    bend: Bend | None = None
    level: float = LEVEL

    @property
    def propagator(self) -> Propagator:
        """All parts and the level as one."""
        return composed(self.parts, self.amplitudes, self.level)

    def invariant(self, metric: Array) -> Array:
        """M (p, p) averaged over the group that the propagator is."""
        first = self.parts[0]
        return first.mean_of(metric) if isinstance(first, Averaged) else metric

    def mapped(self, x: Array) -> Array:
        """Inputs (n, p) as the propagator sees them."""
        x = x if self.bend is None else self.bend(x)
        return np.asarray(x * self.metric if self.metric.ndim == 1 else x @ self.metric)

    def pulled(self, gradient: Array) -> Array:
        """Gradients with respect to mapped inputs (n, r) as those with respect to inputs on their scales (n, p)."""
        return np.asarray(gradient * self.metric if self.metric.ndim == 1 else gradient @ self.metric.T)

    def conditioned(self, z: Array, y: Array, relative: Array) -> Conditioned | None:
        """Conditioned on rows z that were mapped, with noise that is ``relative`` (n,) to the typical one."""
        return condition(propagated(self.propagator, z), self.noise * relative + LEAST_NOISE, y)


def parts_of(propagator: Propagator) -> tuple[Propagator, ...]:
    """The terms of a sum."""
    return (*parts_of(propagator.left), *parts_of(propagator.right)) if isinstance(propagator, Sum) else (propagator,)


def composed(parts: tuple[Propagator, ...], amplitudes: Array, level: float = LEVEL) -> Propagator:
    """The sum of parts with their amplitudes, and a level."""
    out = parts[0]
    for part, amplitude in zip(parts[1:], amplitudes, strict=True):
        out = out + float(amplitude) * part
    return out + Constant(level) if level else out


def started(parts: tuple[Propagator, ...], inputs: int, bend: Bend | None = None) -> Hyper:
    """Equal scales, so that rows are about a unit apart."""
    each = np.full(inputs, max(inputs, 1) ** -0.5)
    return Hyper(parts, np.full(len(parts) - 1, START_AMPLITUDE), each, START_NOISE, bend)


def adapted(
    x: Array,
    y: Array,
    relative: Array,
    dither: Array,
    start: Hyper,
    steps: int,
    *,
    each: bool,
    criterion: str = "evidence",
) -> tuple[Hyper, float]:
    """The hyper-parameters of highest evidence or likelihood of left-out rows, prior included, and that.

    Parameters
    ----------
    x, y
        Standardised inputs (n, p) and target (n,).
    relative
        Noise of each row over the typical one (n,).
    dither
        A displacement of each target within its resolution (n,), by which it is scored where it is left out.
    start
        Where to start, with a scale for each input.
    steps
        Evaluations of the evidence, about.
    each
        Whether each input has a scale of its own, or one factor is common to those of ``start``.
    criterion
        ``"evidence"`` or ``"left out"``.
    """
    from scipy.optimize import minimize

    search = _Search(x, y, relative, dither, start, each, criterion)
    first = search.flat(start)
    if not len(first):
        return start, 0.0
    found = minimize(
        search, first, jac=True, method="L-BFGS-B", bounds=search.bounds,
        options={"maxiter": steps, "maxfun": steps + 5},
    )  # fmt: skip
    return search.hyper(found.x), -float(found.fun)


def adapted_together(sets: list[tuple[Array, Array, Array]], start: Hyper, steps: int, criterion: str) -> Hyper:
    """As `adapted`, for several sets of inputs, targets and displacements at once, with one factor common to scales."""
    from scipy.optimize import minimize

    searches = [_Search(x, y, np.ones(len(y)), dither, start, False, criterion) for x, y, dither in sets]

    def total(flat: Array) -> tuple[float, Array]:
        each = [search(flat) for search in searches]
        return sum(value for value, _ in each), np.sum([slope for _, slope in each], axis=0)

    found = minimize(
        total, searches[0].flat(start), jac=True, method="L-BFGS-B", bounds=searches[0].bounds,
        options={"maxiter": steps, "maxfun": steps + 5},
    )  # fmt: skip
    return searches[0].hyper(found.x)


@dataclass(frozen=True, eq=False)
class _Search:
    x: Array
    y: Array
    relative: Array
    dither: Array
    start: Hyper
    each: bool
    criterion: str

    @cached_property
    def _scale(self) -> Index:
        """Which of the scales each input has: one for all that a group exchanges."""
        first, p = self.start.parts[0], self.x.shape[1]
        if not self.each:
            return np.zeros(p, dtype=np.int64)
        return first.orbits if isinstance(first, Averaged) else np.arange(p)

    @property
    def _scales(self) -> int:
        return int(self._scale.max(initial=0)) + 1

    @property
    def bounds(self) -> list[tuple[float, float]]:
        more = [BOUNDS["amplitude"]] * len(self.start.amplitudes)
        return [BOUNDS["scale"]] * self._scales + more + [BOUNDS["noise"]]

    def flat(self, h: Hyper) -> Array:
        first = np.unique(self._scale, return_index=True)[1]
        scales = np.log(h.metric[first]) if self.each else np.zeros(1)
        return np.concatenate([scales, np.log(h.amplitudes), [np.log(h.noise)]])

    def hyper(self, flat: Array) -> Hyper:
        s = self._scales
        metric = np.exp(flat[:s])[self._scale] if self.each else self.start.metric * np.exp(flat[0])
        return replace(self.start, metric=metric, amplitudes=np.exp(flat[s:-1]), noise=float(np.exp(flat[-1])))

    def __call__(self, flat: Array) -> tuple[float, Array]:
        """− ln Z (or of left-out rows) − ln prior, and its gradient."""
        h, s = self.hyper(flat), self._scales
        z = h.mapped(self.x)
        weight = np.append(1.0, h.amplitudes)
        matrices = [part(z, z) for part in h.parts]
        total = np.full((len(z), len(z)), h.level)
        for w, matrix in zip(weight, matrices, strict=True):
            total += w * matrix
        known = condition(total, h.noise * self.relative + LEAST_NOISE, self.y)
        if known is None:
            return 1e12, np.zeros_like(flat)
        by_rows = self.criterion == "left out"
        value, slope = known.left_out_score(self.dither) if by_rows else (known.evidence, known.slope())
        tell(score=f"{'ln p of left-out rows' if by_rows else 'ln Z'} {value:.5g}")
        out = np.empty_like(flat)
        pull = sum(w * part.gradient(z, z, slope) for w, part in zip(weight, h.parts, strict=True))
        by_scale = 2 * (z * pull).sum(axis=0)
        out[:s] = np.bincount(self._scale, by_scale, s) if self.each else by_scale.sum()
        out[s:-1] = [w * float(np.vdot(slope, m)) for w, m in zip(weight[1:], matrices[1:], strict=True)]
        out[-1] = h.noise * float(np.diag(slope) @ self.relative)
        log_prior, prior_slope = self._prior(flat)
        return -(value + log_prior), -(out + prior_slope)

    def _prior(self, flat: Array) -> tuple[float, Array]:
        s, first = self._scales, self.flat(self.start)
        middle = flat[:s].mean()
        apart = flat[:s] - middle
        overall = middle - (-0.5 * np.log(max(self.x.shape[1], 1)) if self.each else first[0])
        amplitudes, noise = flat[s:-1] - np.log(START_AMPLITUDE), flat[-1] - np.log(TYPICAL_NOISE)
        value = -0.5 * (
            apart @ apart / SCALES**2
            + overall**2 / OVERALL**2
            + amplitudes @ amplitudes / AMPLITUDES**2
            + noise**2 / NOISE**2
        )
        slope = np.empty_like(flat)
        slope[:s] = -apart / SCALES**2 - overall / OVERALL**2 / s
        slope[s:-1] = -amplitudes / AMPLITUDES**2
        slope[-1] = -noise / NOISE**2
        return float(value), slope
