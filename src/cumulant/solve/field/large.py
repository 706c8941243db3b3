"""Fields of more rows than are conditioned on at once: adapted where rows are as dense as they are, then split.

What a sample says of metric and noise is where to start. Blocks of near rows, in which rows are as dense as in the
whole table, say it better: noise and scale are adapted on some of them, and the metric flows, M ← ⟨∇ȳ ∇ȳᵀ⟩, as long as
rows that are left out become likelier (Radhakrishnan et al., Science 383 (2024) 1461). Then all rows are conditioned
on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.field.conditioning import heavy_tailed
from cumulant.solve.field.density import Component, stacked
from cumulant.solve.field.evidence import Hyper, adapted_together
from cumulant.solve.field.left_out import LeftOut
from cumulant.solve.field.mixing import named
from cumulant.solve.field.partition import Partition
from cumulant.solve.field.scale import Scale
from cumulant.solve.field.split import split
from cumulant.solve.field.split_member import SplitMember
from cumulant.solve.field.temperature import NEIGHBOURS, Temperature, nearest_means
from cumulant.theory.averaged import Averaged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.field.member import Member

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["of_many_rows", "sampled"]

# Blocks, and columns of long waves: to search with, of all rows, and of so many that time or memory asks for fewer.
SEARCHED, WHOLE, MANY = (1000, 400), (2000, 1000), (1000, 500)
MANY_ROWS = 100_000
# Rows that are searched on, in whole blocks; blocks that scale and noise are adapted on, and evaluations for it.
SEARCH_ROWS, ADAPTED_BLOCKS, ADAPTED_ROWS, STEPS = 8000, 4, 500, 12
# Rows that left-out likelihoods are compared on, about.
JUDGED_ROWS = 5000
# Rows of the sample, and kinds of field in its mixture that are followed; how often the metric of each flows at most.
SAMPLE, FOLLOWED, FLOWS = 2000, 2, 2
# What a direction that the field does not respond to keeps of its scale, in units of the mean response; rows that the
# response is a mean over.
KEPT, RESPONSES = 1e-4, 4000
# A field whose mean is further off than this many times the best one's is left out, however likely.
WORSE = 1.1
LEAST_WEIGHT = 0.02
# Fields that are conditioned on all rows.
MIXED = 2


@dataclass(frozen=True, eq=False)
class _Rows:
    """Standardised inputs (n, p), targets (n,), and the targets displaced within their resolution (n,)."""

    x: Array
    y: Array
    spread: Array

    def __getitem__(self, some: Index) -> _Rows:
        return _Rows(self.x[some], self.y[some], self.spread[some])

    def latent(self, scale: Scale) -> tuple[Array, Array]:
        z = scale.forward(self.y)
        return z, scale.forward(self.spread) - z


@dataclass(frozen=True, eq=False)
class _Tried:
    member: SplitMember
    foretold: Component
    logs: Array
    error: float
    name: str

    @property
    def left_out(self) -> float:
        return float(self.logs.mean())


def of_many_rows(
    first: tuple[Member, ...], x: Array, y: Array, spread: Array, *, flows: bool
) -> tuple[tuple[SplitMember, ...], tuple[str, ...], float, LeftOut]:
    """Fields of all rows, from those of a sample.

    Parameters
    ----------
    first
        The sample's mixture, by falling weight.
    x, y
        Standardised inputs (n, p) and target (n,).
    spread
        The target, displaced within its resolution, at which rows that are left out are scored (n,).
    flows
        Whether the metric may flow.
    """
    rows = _Rows(x, y, spread)
    some = rows[_searched(first[0].hyper.mapped(x))]
    tried: list[_Tried] = []
    # Two of the same kind become one and the same where both are adapted to more rows.
    unlike = {member.hyper.parts: member for member in reversed(first)}
    for member in sorted(unlike.values(), key=lambda member: -member.weight)[:FOLLOWED]:
        kinds = {scale.kind: scale for scale in (member.scale, Scale.of(y, "identity"))}
        tried += _followed(member.hyper, list(kinds.values()), some, FLOWS if flows else 0)
    blocks, columns = WHOLE if len(y) <= MANY_ROWS else MANY
    chosen = _mixed(tried)[: 1 if len(y) > MANY_ROWS else MIXED]
    found = [_tried(t.member.hyper, t.member.scale, rows, blocks, columns) for t, _ in chosen]
    mixed = _mixed(found)
    shown = ", ".join(f"{t.name} {weight:.0%} ({t.left_out:.4g})" for t, weight in mixed)
    kept = len(mixed[0][0].member.split.partition)
    notes = (
        f"{len(y):,} rows: long waves by {columns:,} columns everywhere, short ones within {kept} blocks of near rows",
        f"mixed by the likelihood of left-out rows, in nats a row in brackets: {shown}",
    )
    logs = np.column_stack([t.logs + np.log(weight) for t, weight in mixed])
    held_out = float(np.logaddexp.reduce(logs, axis=1).mean())
    left_out = LeftOut.of(y[_judged(len(y))], [(t.foretold.mean, t.foretold.size) for t, _ in mixed])
    return tuple(replace(t.member, weight=weight) for t, weight in mixed), notes, held_out, left_out


def sampled(n: int) -> Index:
    """Rows that a first mixture is found on."""
    return np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])


def _searched(z: Array) -> Index:
    """Rows of some blocks, evenly spread over all."""
    if len(z) <= SEARCH_ROWS:
        return np.arange(len(z))
    _, blocks = Partition.of(z, SEARCHED[0])
    chosen = np.random.default_rng(0).permutation(len(blocks))[: SEARCH_ROWS // len(blocks[0])]
    return np.sort(np.concatenate([blocks[b] for b in chosen]))


def _judged(n: int) -> slice:
    """Rows, evenly spread, that left-out likelihoods are compared on."""
    return slice(None, None, max(1, n // JUDGED_ROWS))


def _followed(hyper: Hyper, scales: list[Scale], rows: _Rows, flows: int) -> list[_Tried]:
    """The field adapted on each scale, and on the best as its metric flows while left-out rows become likelier."""
    out = [_tried(_adapted(hyper, scale, rows), scale, rows, *SEARCHED) for scale in scales]
    best = max(out, key=lambda one: one.left_out)
    for _ in range(flows):
        scale = best.member.scale
        out.append(_tried(_adapted(_flowed(best.member, rows.x), scale, rows), scale, rows, *SEARCHED))
        if out[-1].left_out < best.left_out:
            break
        best = out[-1]
    return out


def _adapted(hyper: Hyper, scale: Scale, rows: _Rows) -> Hyper:
    """Scale, amplitudes and noise by the evidence of some blocks."""
    z, dither = rows.latent(scale)
    _, blocks = Partition.of(hyper.mapped(rows.x), ADAPTED_ROWS)
    chosen = np.random.default_rng(1).permutation(len(blocks))[:ADAPTED_BLOCKS]
    sets = [(rows.x[blocks[b]], z[blocks[b]], dither[blocks[b]]) for b in chosen]
    return adapted_together(sets, hyper, STEPS, "evidence")


def _flowed(member: SplitMember, x: Array) -> Hyper:
    """The same field with the metric ⟨∇ȳ ∇ȳᵀ⟩, of the same size."""
    hyper, p = member.hyper, x.shape[1]
    slope = member.response(x[:: max(1, len(x) // RESPONSES)])
    response = hyper.invariant(slope.T @ slope)
    response /= max(float(np.trace(response)), 1e-300)
    w, v = np.linalg.eigh(response + KEPT / p * np.eye(p))
    metric = v * np.sqrt(w)
    if isinstance(hyper.parts[0], Averaged):
        # The symmetric root is the one that the group leaves alone.
        metric = metric @ v.T
    return replace(hyper, metric=metric * np.sqrt((hyper.metric**2).sum() / (metric**2).sum()))


def _tried(hyper: Hyper, scale: Scale, rows: _Rows, most: int, columns: int) -> _Tried:
    z, dither = rows.latent(scale)
    mapped = hyper.mapped(rows.x)
    partition, blocks = Partition.of(mapped, most)
    centres = mapped[np.sort(np.random.default_rng(2).permutation(len(z))[:columns])]
    found, residual, variance, _ = split(hyper, mapped, z, centres, partition, blocks)
    heat = (residual + dither) ** 2 / variance
    judged = _judged(len(z))
    means = np.empty((len(z), len(NEIGHBOURS)))
    for block in blocks:
        own = np.flatnonzero(block % judged.step == 0)
        means[block[own]] = nearest_means(mapped[block[own]], mapped[block], heat[block], NEIGHBOURS, own)
    off, variance, means = (residual + dither)[judged], variance[judged], means[judged]
    temperature = Temperature.of(off, variance, means)
    size = np.sqrt(temperature(variance, means[:, NEIGHBOURS.index(temperature.neighbours)]))
    shape = heavy_tailed(off / size)
    component = Component(1.0, (z - residual)[judged], size, shape, scale)
    member = SplitMember(found, heat[np.concatenate(blocks)], temperature, scale, shape, 1.0)
    name = f"{named(hyper.parts)} of {scale.name}"
    error = float(np.mean((component.expect() - rows.y[judged]) ** 2))
    return _Tried(member, component, component.log_prob(rows.spread[judged]), error, name)


def _mixed(tried: list[_Tried]) -> list[tuple[_Tried, float]]:
    """Fields and their weights, the heaviest first."""
    least = min(t.error for t in tried)
    fit = [t for t in tried if t.error <= WORSE**2 * least]
    weights = stacked(np.column_stack([t.logs for t in fit]))
    weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
    weights /= weights.sum()
    return [(fit[i], float(weights[i])) for i in np.argsort(-weights, kind="stable") if weights[i]]
