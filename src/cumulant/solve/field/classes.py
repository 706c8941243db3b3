"""Classes as fields: one for each class against the rest, conditioned in closed form and linked to probabilities.

A field of each class is conditioned on +1 in the class and −1 elsewhere, which one factor of K + αI does for all
classes. What the other rows say of each row is in closed form too, and serves twice: a multinomial link from these
values to probabilities is calibrated on rows that the field has not seen, and propagators are mixed with the weights
that make the rows left out most likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cumulant.solve.field.conditioning import factored
from cumulant.solve.field.density import stacked
from cumulant.source.progress import tell
from cumulant.theory.propagators import RBF, Laplace, Linear, Matern, from_plain, to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cumulant.theory.propagators import Propagator

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["ClassField", "Member", "candidates", "condition_classes", "left_out", "log_of"]

# Rows that candidates are compared on; those that matter there are conditioned on all rows.
SCREENED = 1000
FEWEST, MOST = 0.03, 4
NOISES = 10.0 ** np.arange(-3.0, 1.0, 0.5)
# With more rows less noise is best: these multiples of what fewer asked for are tried with the likeliest propagator.
NEAR = (0.1, 0.3, 1.0)
# Weight of the squared offsets of the link beside the log-likelihood of a row: a class of no rows stays finite.
SHRINK = 1e-3
# Standard deviation of the prior of the logarithm of the link's slope: a few rows that are told apart by chance do not
# make new ones certain.
STEEPNESS = 1.0
# Variance of the level of the fields, over that of the fields: as good as unknown.
LEVEL = 10.0
# Numbers in the propagators of rows that are predicted at once.
BLOCK = 1 << 23


@dataclass(frozen=True, eq=False)
class Member:
    """Fields of all classes with one propagator.

    Parameters
    ----------
    propagator, noise
        k, scaled to a mean diagonal of 1 by ``scale``, and α.
    scale
        What k is divided by.
    dual, level
        Weights of the rows (n, C) and level of each class (C,): f(x) = level + k(x, X) dual/scale.
    slope, offset
        The link: p(c | x) ∝ exp(slope f_c + offset_c).
    weight
        Its part of the mixture.
    """

    propagator: Propagator
    noise: float
    scale: float
    dual: Array
    level: Array
    slope: float
    offset: Array
    weight: float

    def fields(self, x: Array, rows: Array) -> Array:
        """f (m, C) at inputs x (m, q), conditioned on rows (n, q)."""
        return np.asarray(self.propagator(x, rows) @ (self.dual / self.scale) + self.level)

    def probabilities(self, f: Array) -> Array:
        """The link."""
        return np.asarray(np.exp(_log_link(f, self.slope, self.offset)))


@dataclass(frozen=True, eq=False)
class ClassField:
    """p(class | x): a mixture of linked fields.

    Parameters
    ----------
    rows
        Inputs of the rows (n, q), less ``centre`` and over ``width``.
    centre, width
        Of each input (q,).
    members
        What is mixed.
    left_out
        Mean log probability of the class of each row from the others, in nats.
    """

    rows: Array
    centre: Array
    width: Array
    members: tuple[Member, ...]
    left_out: float

    @property
    def note(self) -> str:
        """What is mixed, and how well it foretells rows."""
        order = sorted(self.members, key=lambda member: -member.weight)
        shown = ", ".join(f"{_named(member.propagator)} {member.weight:.0%}" for member in order)
        return f"classes by fields mixed by the likelihood of left-out rows ({self.left_out:.4g} nats a row): {shown}"

    @property
    def given(self) -> Array:
        """Inputs of the rows (n, q), in their units."""
        return np.asarray(self.rows * self.width + self.centre)

    @property
    def cost(self) -> int:
        """Propagators that a new row asks for."""
        return len(self.rows) * len(self.members)

    def probabilities(self, x: Array) -> Array:
        """Of each class (m, C), for inputs (m, q)."""
        out = np.zeros((len(x), len(self.members[0].level)))
        step = max(1, BLOCK // max(1, len(self.rows)))
        for start in range(0, len(x), step):
            some = (x[start : start + step] - self.centre) / self.width
            for member in self.members:
                p = member.probabilities(member.fields(some, self.rows))
                out[start : start + step] += member.weight * p
        return out

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays, members = {"rows": self.rows, "centre": self.centre, "width": self.width}, []
        for i, m in enumerate(self.members):
            arrays |= {f"member{i}.dual": m.dual, f"member{i}.level": m.level, f"member{i}.offset": m.offset}
            numbers = [m.noise, m.scale, m.slope, m.weight]
            members.append({"propagator": to_plain(m.propagator), "numbers": numbers})
        return arrays, {"members": members, "left_out": self.left_out}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> ClassField:
        """The field that `to_state` described."""
        members = []
        for i, about in enumerate(meta["members"]):
            noise, scale, slope, weight = (float(number) for number in about["numbers"])
            dual, level, offset = (arrays[f"member{i}.{name}"] for name in ("dual", "level", "offset"))
            k = from_plain(about["propagator"])
            members.append(Member(k, noise, scale, dual, level, slope, offset, weight))
        return cls(arrays["rows"], arrays["centre"], arrays["width"], tuple(members), float(meta["left_out"]))


class _Left(NamedTuple):
    """A candidate seen by the rows it leaves out."""

    candidate: Propagator
    noise: float
    scale: float
    dual: Array
    fields: Array
    error: float


def condition_classes(x: Array, y: Index, classes: int, candidates: Sequence[Propagator], seed: int = 0) -> ClassField:
    """Condition on rows.

    Parameters
    ----------
    x
        Inputs (n, q) without gaps.
    y
        Class of each row (n,), 0 to ``classes`` − 1.
    candidates
        Propagators of inputs of mean 0 and variance 1, to choose from and mix.
    """
    return left_out(x, y, classes, candidates, seed)[0]


def left_out(
    x: Array, y: Index, classes: int, candidates: Sequence[Propagator], seed: int = 0
) -> tuple[ClassField, Array]:
    """As `condition_classes`, and the probability of each class in each row (n, C) by the others."""
    centre, width = x.mean(axis=0), x.std(axis=0)
    width[~(width > 0)] = 1.0
    rows = (x - centre) / width
    some = np.arange(len(y))
    if len(y) > SCREENED:
        some = np.sort(np.random.default_rng(seed).permutation(len(y))[:SCREENED])
    target = _contrast(y, classes)
    mean = target.mean(axis=0)
    screened = [_by_spectrum(k, rows[some], target[some] - mean) for k in candidates]
    members, told = _mixed(screened, y[some], mean)
    if len(some) < len(y):
        best = sorted(members, key=lambda member: -member.weight)[:MOST]
        first = _by_factors(best[0], rows, target - mean, NEAR)
        near = (first.noise / best[0].noise,)
        rest = [_by_factors(member, rows, target - mean, near) for member in best[1:]]
        members, told = _mixed([first, *rest], y, mean)
    return ClassField(rows, centre, width, tuple(members), float(log_of(told, y).mean())), told


def _named(propagator: Propagator) -> str:
    length = getattr(propagator, "length", None)
    return type(propagator).__name__ if length is None else f"{type(propagator).__name__} of length {length:.3g}"


def candidates(inputs: int, *, product: bool) -> list[Propagator]:
    """Propagators of several classes and lengths, for inputs of unit scale; ``product``: of each input too."""
    typical = float(np.sqrt(inputs))
    out: list[Propagator] = [Linear()]
    out += [Matern(0.5, length * typical) for length in (0.3, 0.7, 1.5, 4.0)]
    out += [RBF(length * typical) for length in (0.25, 0.5, 1.0, 2.0)]
    if product:
        out += [Laplace(length * typical) for length in (0.4, 1.0, 3.0)]
    return out


# ------------------------------------------------------------------------------------------------ one propagator


def _contrast(y: Index, classes: int) -> Array:
    out = np.full((len(y), classes), -1.0)
    out[np.arange(len(y)), y] = 1.0
    return out


def _by_spectrum(candidate: Propagator, x: Array, y: Array) -> _Left:
    """The noise that foretells the rows left out best, all from one eigen-decomposition."""
    from scipy.linalg import eigh

    tell(_named(candidate))
    k, scale = _unit(candidate, x)
    w, v = eigh(k, overwrite_a=True, check_finite=False)
    projected, squares = v.T @ y, v**2
    gains = [(float(noise), 1.0 / (np.maximum(w, 0.0) + noise)) for noise in NOISES]
    tried = [_left(candidate, a, scale, v @ (g[:, None] * projected), squares @ g, y) for a, g in gains]
    return min(tried, key=lambda left: left.error)


def _by_factors(member: Member, x: Array, y: Array, near: Sequence[float]) -> _Left:
    """The same for more rows, at multiples of the noise that fewer asked for."""
    from scipy.linalg import lapack

    tell(f"{_named(member.propagator)} of all {len(y):,} rows")
    k, scale = _unit(member.propagator, x)
    tried = []
    for noise in member.noise * np.array(near):
        noisy = k.copy()
        noisy.flat[:: len(y) + 1] += noise
        root = factored(noisy)
        if root is None:
            continue
        dual = lapack.dpotrs(root, y, lower=1)[0]
        own = np.diag(lapack.dpotri(root, lower=1, overwrite_c=1)[0])
        tried.append(_left(member.propagator, float(noise), scale, dual, own, y))
    if not tried:
        raise FloatingPointError("the propagator of the rows is singular")
    return min(tried, key=lambda left: left.error)


def _unit(candidate: Propagator, x: Array) -> tuple[Array, float]:
    """The propagator over its mean at no distance, and that, with a level that is not known."""
    k = candidate(x, x)
    scale = float(np.trace(k)) / len(x) or 1.0
    k /= scale
    # Were the level known, what all rows sum to would tell each of them from the others.
    k += LEVEL
    return k, scale


def _left(candidate: Propagator, noise: float, scale: float, dual: Array, own: Array, y: Array) -> _Left:
    residual = dual / own[:, None]
    return _Left(candidate, noise, scale, dual, y - residual, float((residual**2).mean()))


# ------------------------------------------------------------------------------------------------ link and mixture


def _mixed(parts: Sequence[_Left], y: Index, mean: Array) -> tuple[list[Member], Array]:
    """Members of more than a token weight, and the probability of each class in each row left out (n, C)."""
    links = [_link(part.fields + mean, y) for part in parts]
    each = [np.exp(_log_link(part.fields + mean, *link)) for part, link in zip(parts, links, strict=True)]
    logs = np.column_stack([log_of(p, y) for p in each])
    weight = stacked(logs)
    keep = np.flatnonzero(weight >= min(FEWEST, weight.max()))
    weight = stacked(logs[:, keep])
    members = []
    for i, part in zip(keep.tolist(), weight.tolist(), strict=True):
        k, noise, scale, dual, *_ = parts[i]
        members.append(Member(k, noise, scale, dual, mean + LEVEL * dual.sum(axis=0), *links[i], part))
    return members, np.sum([part * each[i] for i, part in zip(keep, weight, strict=True)], axis=0)


def _link(f: Array, y: Index) -> tuple[float, Array]:
    """Slope and offsets of the multinomial link, at the highest likelihood of rows left out.

    References
    ----------
    Platt, Advances in Large Margin Classifiers (1999) 61, for many classes.
    """
    from scipy.optimize import minimize

    n, classes = f.shape
    one = np.zeros_like(f)
    one[np.arange(n), y] = 1.0

    def loss(at: Array) -> tuple[float, Array]:
        slope, offset = np.exp(at[0]), at[1:]
        logs = _log_link(f, slope, offset)
        wrong = np.exp(logs) - one
        steeper = at[0] - start[0]
        prior = 0.5 * (steeper / STEEPNESS) ** 2 / n
        value = -logs[np.arange(n), y].mean() + SHRINK * float(offset @ offset) + prior
        by_slope = slope * (wrong * f).sum() / n + steeper / STEEPNESS**2 / n
        return float(value), np.append(by_slope, wrong.mean(axis=0) + 2 * SHRINK * offset)

    start = np.append(np.log(4.0), np.zeros(classes))
    bounds = [(np.log(1e-2), np.log(1e3))] + [(None, None)] * classes
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 100}).x
    return float(np.exp(found[0])), found[1:]


def log_of(p: Array, y: Index) -> Array:
    """ln p of the class of each row (n,), of probabilities (n, C)."""
    return np.asarray(np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(float).tiny)))


def _log_link(f: Array, slope: float, offset: Array) -> Array:
    """ln p(c | x) ∝ slope f_c + offset_c."""
    logits = slope * f + offset
    logits -= logits.max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
