"""Targets that turn as the inputs do: fields with f(gx) = ρ(g) f(x), conditioned on rows as one.

Of fields f_a of propagator k(x, x′) δ_ab, the mean |G|⁻¹ Σ_g ρ(g)ᵀ f(gx) turns with its inputs, and its propagator is
|G|⁻¹ Σ_g k(x, g x′) ρ(g)_ab. With the unit vector e_a beside x this is the propagator k(x, x′) e·e′ of one field of
both, averaged over the group: each target of each row is then a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.solve.field.conditioning import heavy_tailed
from cumulant.solve.field.evidence import adapted, parts_of, started
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.left_out import LeftOut, displaced
from cumulant.solve.field.member import Member
from cumulant.solve.field.mixing import FIRMER, FIRMER_STEPS
from cumulant.solve.field.scale import Scale
from cumulant.symmetry.chain import elements, order
from cumulant.symmetry.quotient import MOST_IMAGES, Quotient
from cumulant.theory.averaged import averaged_over
from cumulant.theory.field import DENSE_ROWS
from cumulant.theory.propagators import Linear, Matern, Propagator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.field.conditioning import Conditioned
    from cumulant.solve.field.evidence import Hyper
    from cumulant.solve.gaussian import GaussianLaw
    from cumulant.symmetry import Declared
    from cumulant.theory.field import Field

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["most_rows", "refuse_if_not_turned", "turned_laws"]

# Values that hyper-parameters are adapted on, and evaluations of the criterion for it.
ADAPT_VALUES, STEPS = 600, 30


def most_rows(targets: int) -> int:
    """Rows that so many targets are conditioned on together."""
    return DENSE_ROWS // targets


def refuse_if_not_turned(theory: Field, symmetry: Declared, targets: Index, names: tuple[str, ...]) -> None:
    """Refuse what fields that turn with their inputs do not have.

    Raises
    ------
    OptionError
        The group is continuous or too large, or the theory has an option that would not turn.
    """
    group = symmetry.group
    if not group.finite:
        raise OptionError(
            f"{group} turns the target '{names[targets[0]]}' by any angle, and a field is averaged over elements of a "
            "finite group: declare some of them, as quarter turns, or use cm.Taylor(), which has all"
        )
    if order(group) > MOST_IMAGES:
        raise OptionError(
            f"{group} has {int(order(group)):,} elements, and fields that turn with their inputs are averaged over up "
            f"to {MOST_IMAGES}; declare a smaller group, or use cm.Taylor()"
        )
    for name, value, known in (
        ("scale", theory.scale, ("auto", "identity")), ("metric", theory.metric, ("auto", "unit", "diagonal")),
        ("width", theory.width, (None,)),
    ):  # fmt: skip
        if value not in known:
            raise OptionError(f"{name}={value!r} is not for targets that turn with their inputs; leave it out")


def turned_laws(
    base: GaussianLaw, table: Array, inputs: Index, targets: Index, symmetry: Declared, theory: Field
) -> tuple[tuple[FieldLaw, ...], str, float]:
    """A law for each target, what was found in words, and the mean log-likelihood of a value, each left out."""
    group, each, k = symmetry.group.among(np.concatenate([inputs, targets])), symmetry.free_scale, len(targets)
    p = len(base.mean)
    centre, width = _standard(symmetry, table, inputs, each)
    level, unit = _standard(symmetry, table, targets, each)
    rows = _Rows.of((table[:, inputs] - centre) / width, (table[:, targets] - level) / unit)
    images, signs = elements(group)
    best = max((rows.tried(kind, theory, (images, signs)) for kind in _kinds(theory, len(inputs), k)), key=_score)
    laws = []
    for a in range(k):
        scale = Scale("identity", 1.0, float(unit[a]), float(level[a] / unit[a]), 1.0)
        own = rows.of_target == a
        left_out = LeftOut.of(table[:, targets[a]], [(best.mean[own], best.size[own])])
        member = replace(best.member, scale=scale)
        visible, fixed = np.arange(p), np.full(p, np.nan)
        laws.append(
            FieldLaw(
                base, int(targets[a]), visible, fixed, inputs, centre, width, (member,), left_out, mark=rows.mark[a]
            )
        )
    held_out = _score(best) - float(np.log(unit).mean())
    note = (
        f"{k} targets turn with their inputs, f(gx) = ρ(g) f(x), over {len(images)} elements: one field of "
        f"{len(rows.y):,} values, {best.name}; each left out: R² {1 - best.error:.3f}, ln p {held_out:.4g} a value"
    )
    return tuple(laws), note, held_out


def _standard(symmetry: Declared, table: Array, at: Index, each: bool) -> tuple[Array, Array]:
    """Centre and width of columns, that the group leaves alone."""
    group, centre, width = symmetry.group, table[:, at].mean(axis=0), table[:, at].std(axis=0)
    moved = np.intersect1d(at, np.flatnonzero(group.moved))
    if len(moved):
        images, signs = np.searchsorted(moved, group.images[:, moved]), group.signs[:, moved]
        acting = replace(group, degree=len(moved), images=images, signs=signs, columns=None)
        place = [at.tolist().index(column) for column in moved]
        centre[place], width[place] = Quotient(acting).standard(table[:, moved], each=each)
    return centre, np.where(width > 0, width, 1.0)


def _kinds(theory: Field, p: int, k: int) -> list[tuple[Propagator, ...]]:
    """Sums of propagators of inputs (p) and unit vectors (k) beside them."""
    inputs, mark = tuple(range(p)), Linear().on(*range(p, p + k))
    chosen = theory.chosen or (Matern(2.5) + Linear(), Matern(0.5))
    return [(*(part.on(*inputs) * mark for part in parts_of(one)), mark) for one in chosen]


@dataclass(frozen=True, eq=False)
class _Tried:
    member: Member
    name: str
    mean: Array
    size: Array
    logs: Array
    error: float


def _score(tried: _Tried) -> float:
    return float(tried.logs.mean())


@dataclass(frozen=True, eq=False)
class _Rows:
    """Each target of each row as a row: inputs with a unit vector (nk, p + k), values and which target it is (nk,)."""

    x: Array
    y: Array
    of_target: Index
    mark: Array

    @staticmethod
    def of(x: Array, y: Array) -> _Rows:
        n, k = y.shape
        # Of the size that undoes what scales start from, so that the amplitude starts as that of the inputs.
        mark = (x.shape[1] + k) ** 0.5 * np.eye(k)
        return _Rows(
            np.hstack([np.repeat(x, k, axis=0), np.tile(mark, (n, 1))]), y.ravel(), np.tile(np.arange(k), n), mark
        )

    def tried(self, kind: tuple[Propagator, ...], theory: Field, group: tuple[Index, Index]) -> _Tried:
        parts = tuple(averaged_over(part, *group) for part in kind)
        criterion = "evidence" if theory.criterion == "evidence" else "left out"
        start = replace(started(parts, self.x.shape[1]), level=0.0)
        k = len(self.mark)
        most = max(ADAPT_VALUES // k, 1)
        chosen = np.random.default_rng(0).permutation(len(self.y) // k)[:most]
        some = (np.sort(chosen)[:, None] * k + np.arange(k)).ravel()
        spread = displaced(self.y)
        dither = (spread - self.y)[some]
        hyper, _ = adapted(
            self.x[some], self.y[some], np.ones(len(some)), dither, start, STEPS, each=theory.metric != "unit",
            criterion=criterion,
        )  # fmt: skip
        hyper, known = self._conditioned(hyper)
        residual, variance = known.left_out
        mean, size = self.y - residual, np.sqrt(variance)
        shape = heavy_tailed((spread - mean) / size)
        scale = Scale("identity", 1.0, 1.0, 0.0, 1.0)
        member = Member(hyper, self.x, np.ones(len(self.y)), known.dual, known.amplitude, scale, shape, 1.0)
        logs = shape.log_density((spread - mean) / size) - np.log(size)
        name = " + ".join(type(part).__name__ for part in _inner(kind)) + f" by {criterion}"
        return _Tried(member, name, mean, size, logs, float((residual**2).mean() / (self.y**2).mean()))

    def _conditioned(self, hyper: Hyper) -> tuple[Hyper, Conditioned]:
        mapped, ones = hyper.mapped(self.x), np.ones(len(self.y))
        for _ in range(FIRMER_STEPS):
            known = hyper.conditioned(mapped, self.y, ones)
            if known is not None:
                return hyper, known
            # What noise was adapted to on some rows is too little for the rounding of all of them.
            hyper = replace(hyper, noise=FIRMER * hyper.noise)
        raise DataError(
            "the propagator of these rows under the group is singular to rounding: their inputs hardly differ; leave "
            "out columns that say the same, or choose propagators= that are less smooth"
        )


def _inner(kind: tuple[Propagator, ...]) -> list[Propagator]:
    """The propagators of the inputs in a sum of products with unit vectors."""
    return [part.left.base for part in kind[:-1]]  # type: ignore[attr-defined]
