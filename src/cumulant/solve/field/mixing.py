"""Fields tried on rows, and mixed: scales of the target, propagators, criteria and metrics, all in the open.

What is tried is scored by the rows it was conditioned on, each left out; the weights are those of the mixture that
makes them most likely.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError
from cumulant.solve.field.bend import Bend
from cumulant.solve.field.conditioning import heavy_tailed
from cumulant.solve.field.density import Component, stacked
from cumulant.solve.field.evidence import Hyper, adapted, parts_of, started
from cumulant.solve.field.left_out import LeftOut, displaced
from cumulant.solve.field.member import Member
from cumulant.solve.field.scale import Scale, scales
from cumulant.solve.field.strength import FEWEST_ROWS, strength_of
from cumulant.source.progress import tell
from cumulant.theory.averaged import Averaged, averaged_over
from cumulant.theory.propagators import Laplace, Linear, Matern, Propagator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.field import Field

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Parts = tuple[Propagator, ...]

__all__ = ["PRODUCT_INPUTS", "Mixing", "named"]

# Rows that hyper-parameters are adapted on, and evaluations of the criterion for it.
ADAPT_ROWS, STEPS = 500, 30
# Solves of the metric's flow at most, evaluations after each, and nats a row that another must be worth.
FLOWS, FLOW_STEPS, FLOW_WORTH = 5, 8, 0.01
# Rows that all fields are tried on; of more, so many fields are conditioned on all rows.
SCREEN_ROWS, MOST_LARGE = 2000, 3
# Noise is raised so often and by this factor where the propagator of all rows is singular to rounding.
FIRMER_STEPS, FIRMER = 8, 10.0
CRITERIA = ("evidence", "left out")
# Rows that each field of the mixture is worth beforehand.
PRIOR_ROWS = 1.0
# Beyond so many inputs each has no scale of its own; none are combined; a product over inputs is too slow.
EACH_SCALE, COMBINED, PRODUCT_INPUTS = 400, 200, 60
# A member of less weight is left out.
LEAST_WEIGHT = 0.02


@dataclass(frozen=True, eq=False)
class _Tried:
    """A field that was adapted and conditioned, and what it says of each row from the others.

    Parameters
    ----------
    member
        The field.
    name
        What it is called.
    mean, size
        Of each row from the others, on the latent scale (n,).
    logs
        Log density of each row (n,).
    chosen
        Numbers that were chosen by the very rows that judge them, each of which makes them likelier by some nat that
        new rows will not have (Akaike, IEEE Trans. Autom. Control 19 (1974) 716).
    """

    member: Member
    name: str
    mean: Array
    size: Array
    logs: Array
    chosen: int

    @property
    def fair(self) -> Array:
        """Log density of each row as of a new one (n,)."""
        return np.asarray(self.logs - self.chosen / len(self.logs))

    @property
    def left_out(self) -> float:
        """Mean log-likelihood of a row from the others."""
        return float(self.fair.mean())


@dataclass(frozen=True, eq=False)
class Mixing:
    """What is conditioned on.

    Parameters
    ----------
    x
        Standardised inputs (n, p).
    y
        The target (n,).
    theory
        What was asked for.
    elements
        Images and signs of a group that acts on the inputs (E, p), which propagators are averaged over.
    bends
        Whether inputs are tried on scales of their own as well.
    """

    x: Array
    y: Array
    theory: Field
    elements: tuple[Index, Index] | None = None
    bends: bool = True

    @cached_property
    def spread(self) -> Array:
        """The target (n,), displaced within its step."""
        return displaced(self.y)

    @cached_property
    def _some(self) -> Index:
        """Rows that hyper-parameters are adapted on."""
        return np.sort(np.random.default_rng(0).permutation(len(self.y))[:ADAPT_ROWS])

    def members(self) -> tuple[tuple[Member, ...], tuple[str, ...], float, LeftOut]:
        """What is mixed, notes that say so, the mean log-likelihood of a row from the others, and all that is said."""
        screen = self._screen()
        tried = screen._all_tried()
        weights = self._weights(tried)
        tried = [tried[i] for i in np.argsort(-weights, kind="stable") if weights[i]]
        if screen is not self:
            tried = [
                self._conditioned(one.member.hyper, one.member.scale, one.name, one.chosen)
                for one in tried[:MOST_LARGE]
            ]
        tried = self._strengthened(tried)
        weights = self._weights(tried)
        kept = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i]]
        shown = ", ".join(f"{tried[i].name} {weights[i]:.0%} ({tried[i].left_out:.4g})" for i in kept)
        note = f"mixed by the likelihood of left-out rows, in nats a row in brackets: {shown}"
        members = tuple(replace(tried[i].member, weight=float(weights[i])) for i in kept)
        logs = np.column_stack([tried[i].fair + np.log(weights[i]) for i in kept])
        held_out = float(np.logaddexp.reduce(logs, axis=1).mean())
        left_out = LeftOut.of(self.y, [(tried[i].mean, tried[i].size) for i in kept])
        return members, (self._told([tried[i] for i in kept], weights[kept], held_out), note), held_out, left_out

    def _weights(self, tried: list[_Tried]) -> Array:
        """Weights of the mixture, 0 where they are small; a network of finite width is one, the most likely."""
        if self.theory.widths:
            return np.eye(len(tried))[int(np.argmax([one.fair.mean() for one in tried]))]
        weights = stacked(np.column_stack([one.fair for one in tried]), PRIOR_ROWS)
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        return np.asarray(weights / weights.sum())

    def _told(self, tried: list[_Tried], weights: Array, held_out: float) -> str:
        """How well the mixture foretells rows that are left out, in words."""
        each = (
            Component(w, t.mean, t.size, t.member.shape, t.member.scale) for w, t in zip(weights, tried, strict=True)
        )
        error = self.y - sum(c.weight * c.expect() for c in each)
        share = 1 - float(np.mean(error**2)) / float(self.y.var())
        rmse = float(np.sqrt(np.mean(error**2)))
        return f"rows, each left out of the field: R² {share:.3f}, RMSE {rmse:.4g}, ln p {held_out:.4g} a row"

    def _screen(self) -> Mixing:
        """What fields are tried on: all rows, or of many some."""
        if len(self.y) <= SCREEN_ROWS:
            return self
        some = np.sort(np.random.default_rng(0).permutation(len(self.y))[:SCREEN_ROWS])
        return replace(self, x=self.x[some], y=self.y[some])

    def _all_tried(self) -> list[_Tried]:
        kinds = self._propagators()
        ways = CRITERIA if self.theory.criterion == "auto" else (self.theory.criterion,)
        tried = [self._adapted(kinds[0], scale, ways[0]) for scale in scales(self.y, self.theory.scale)]
        best = max(tried, key=lambda one: one.left_out)
        scale = best.member.scale
        tried += [self._adapted(kind, scale, ways[0]) for kind in kinds[1:]]
        if self._bend is not None:
            tried += [self._adapted(kind, scale, ways[0], self._bend) for kind in kinds]
        for way in ways[1:]:
            tried += [self._adapted(kind, scale, way) for kind in (kinds[0], kinds[-1])]
            tried += [] if self._bend is None else [self._adapted(kinds[0], scale, way, self._bend)]
        if self.elements is None and self.theory.chosen is None:
            tried += self._planes(scale, ways[0])
        if self.theory.metric in ("auto", "full") and 1 < self.x.shape[1] <= COMBINED:
            tried += self._flown(best, ways[0])
        return tried

    def _planes(self, scale: Scale, criterion: str) -> list[_Tried]:
        """Order 2: a plane, of the target as it is, and of bent inputs on the target's scale."""
        kind = "identity" if self.theory.scale == "auto" else self.theory.scale
        plain = self._adapted((Linear(),), Scale.of(self.y, kind), criterion, each=False)
        return (
            [plain]
            if self._bend is None
            else [plain, self._adapted((Linear(),), scale, criterion, self._bend, each=False)]
        )

    @cached_property
    def _bend(self) -> Bend | None:
        """Scales of the inputs; a group that acts on them knows them as they are."""
        wanted = self.bends and self.elements is None and self.theory.chosen is None and self.x.shape[1] <= EACH_SCALE
        return Bend.of(self.x) if wanted else None

    def _propagators(self) -> list[Parts]:
        kinds: list[Parts] = [(Matern(2.5), Linear()), (Matern(0.5),)]
        if self.theory.chosen is not None:
            kinds = [parts_of(k) for k in self.theory.chosen]
        elif self.x.shape[1] <= PRODUCT_INPUTS:
            kinds.append((Laplace(),))
        if self.elements is None:
            return kinds
        return [tuple(averaged_over(part, *self.elements) for part in parts) for parts in kinds]

    def _adapted(
        self, parts: Parts, scale: Scale, criterion: str, bend: Bend | None = None, *, each: bool = True
    ) -> _Tried:
        each = each and self.theory.metric != "unit" and self.x.shape[1] <= EACH_SCALE
        name = f"{named(parts)} of {'' if bend is None else 'bent inputs and '}{scale.name} by {criterion}"
        tell(name)
        hyper = self._found(started(parts, self.x.shape[1], bend), scale, criterion, STEPS, each=each)
        return self._conditioned(hyper, scale, name, _chosen(hyper, criterion, each=each))

    def _flown(self, start: _Tried, criterion: str) -> list[_Tried]:
        """The metric's flow M ← ⟨∇ȳ ∇ȳᵀ⟩ from a field with a scale for each input: the most likely of its steps."""
        flow, member = [start], start.member
        for _ in range(FLOWS):
            response = member.response(self.x[self._some])
            w, v = np.linalg.eigh(member.hyper.invariant(response.T @ response))
            root = (v * np.sqrt(np.maximum(w, 0.0))) @ v.T
            root *= np.sqrt((start.member.hyper.metric**2).sum() / max((root**2).sum(), 1e-300))
            hyper = replace(member.hyper, metric=root)
            name = f"{named(hyper.parts)} of combined inputs and {member.scale.name} by {criterion}"
            tell(name)
            hyper = self._found(hyper, member.scale, criterion, FLOW_STEPS, each=False)
            flow.append(self._conditioned(hyper, member.scale, name, start.chosen))
            member = flow[-1].member
            if flow[-1].left_out < flow[-2].left_out + FLOW_WORTH:
                break
        return [max(flow[1:], key=lambda one: one.left_out)]

    def _found(self, start: Hyper, scale: Scale, criterion: str, steps: int, *, each: bool) -> Hyper:
        some = self._some
        z = scale.forward(self.y[some])
        dither = scale.forward(self.spread[some]) - z
        return adapted(self.x[some], z, np.ones(len(z)), dither, start, steps, each=each, criterion=criterion)[0]

    def _conditioned(self, hyper: Hyper, scale: Scale, name: str, chosen: int) -> _Tried:
        z, ones, mapped = scale.forward(self.y), np.ones(len(self.y)), hyper.mapped(self.x)
        for _ in range(FIRMER_STEPS):
            known = hyper.conditioned(mapped, z, ones)
            if known is not None:
                break
            # What noise was adapted to on some rows is too little for the rounding of all of them.
            hyper = replace(hyper, noise=FIRMER * hyper.noise)
        else:
            raise DataError(
                f"the propagator {name} of these rows is singular to rounding: their inputs hardly differ; leave out "
                "columns that say the same, or choose propagators= that are less smooth"
            )
        residual, variance = known.left_out
        mean, size = z - residual, np.sqrt(variance)
        shape = heavy_tailed((scale.forward(self.spread) - mean) / size)
        member = Member(hyper, self.x, ones, known.dual, known.amplitude, scale, shape, 1.0)
        return self._scored(member, name, mean, size, chosen)

    def _scored(self, member: Member, name: str, mean: Array, size: Array, chosen: int) -> _Tried:
        logs = Component(1.0, mean, size, member.shape, member.scale).log_prob(self.spread)
        return _Tried(member, name, mean, size, logs, chosen)

    def _strengthened(self, tried: list[_Tried]) -> list[_Tried]:
        """The same, the strength of the fluctuation varying where left-out rows are likelier for it."""
        constant = self.theory.noise == "constant" or bool(self.theory.widths)
        if constant or len(self.y) < FEWEST_ROWS or self.x.shape[1] > EACH_SCALE:
            return tried
        out, hyper = [], None
        for one in tried:
            u = (one.member.scale.forward(self.spread) - one.mean) / one.size
            found = strength_of(self.x, one.mean, u, self._some, hyper, one.member.hyper.parts[0])
            if found is None:
                out.append(one)
                continue
            strength, factor = found
            hyper = strength.hyper
            root = np.sqrt(factor)
            member = replace(one.member, strength=strength, shape=heavy_tailed(u / root))
            name = f"{one.name} with noise that varies"
            out.append(self._scored(member, name, one.mean, one.size * root, one.chosen))
        return out


def _chosen(hyper: Hyper, criterion: str, *, each: bool) -> int:
    """Numbers that left-out rows chose: scales, amplitudes and noise, where they are what it was adapted by."""
    return (len(hyper.metric) if each else 1) + len(hyper.parts) if criterion == "left out" else 0


def named(parts: Parts) -> str:
    """What a sum of propagators is called."""
    first = parts[0]
    over = f" over {len(first.images)} images" if isinstance(first, Averaged) else ""
    return " + ".join(type(part.base if isinstance(part, Averaged) else part).__name__ for part in parts) + over
