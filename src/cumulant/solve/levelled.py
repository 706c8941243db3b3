"""The law of second order where some categories are wide: each has one place in a row, which holds its level.

Rows are (n, p + c): p fields, and the number of the level of each of c wide categories, NaN where it is unknown. Known
levels are fixed first and exactly (`categories`); what is left is a Gaussian of p fields, whose mean differs from row
to row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve import joint
from cumulant.solve.categories import Categories, Given, patterns
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import BySecondOrder
from cumulant.solve.linear import conditional
from cumulant.solve.mixed import class_probabilities, class_probabilities_about, level_drawn
from cumulant.solve.predictive import Fields, Predictive, fill, predict
from cumulant.solve.predictive import patterns as gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["LevelledLaw"]


@dataclass(frozen=True, eq=False)
class LevelledLaw(BySecondOrder):
    """A Gaussian of p fields beside wide categories; a `cumulant.solve.law.Law`.

    Conditioned or marginal, it is a view of the whole: some places of its rows are held, some are shown.

    Parameters
    ----------
    fields
        Mean, propagator, and how well they are known, of all p fields.
    categories
        The categories.
    shown
        Places of the rows of this law among all p + c.
    held
        Values of all places (p + c,), NaN where they are not held.
    """

    fields: Fields
    categories: Categories
    shown: Index
    held: Array

    @staticmethod
    def of(fields: Fields, categories: Categories) -> LevelledLaw:
        """The law of all fields and categories."""
        width = len(fields.mean) + len(categories.names)
        return LevelledLaw(fields, categories, np.arange(width), np.full(width, np.nan))

    @property
    def dense(self) -> Index:
        """The fields that are shown."""
        return self.shown[self.shown < len(self.fields.mean)]

    @property
    def wide(self) -> tuple[int, ...]:
        """The categories that are shown."""
        p = len(self.fields.mean)
        return tuple(int(i) - p for i in self.shown if i >= p)

    @cached_property
    def gaussian(self) -> GaussianLaw:
        """The fields that are shown given what is held; categories that are not known are integrated out."""
        x, codes = self._split(self.held[None, :])
        known = tuple(int(c) for c in np.flatnonzero(codes[0] >= 0))
        law = GaussianLaw(self.fields)
        if known:
            given = self.given(known)
            leverage = given.fields.leverage + float(given.leverage(codes)[0])
            law = GaussianLaw(replace(given.fields, mean=given.centre(codes)[0], leverage=leverage))
        observed = np.flatnonzero(~np.isnan(x[0]))
        if len(observed):
            return law.condition(observed, x[0, observed], self.dense)
        return law.marginal(self.dense)

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.fields.count

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of the fields, categories integrated out."""
        return self.gaussian.couplings(about)

    def condition(self, observed: Index, values: Array, rest: Index) -> LevelledLaw:
        """The same law with more held and less shown."""
        held = self.held.copy()
        held[self.shown[observed]] = values
        return LevelledLaw(self.fields, self.categories, self.shown[rest], held)

    def marginal(self, at: Index) -> LevelledLaw:
        """The same law with less shown."""
        return LevelledLaw(self.fields, self.categories, self.shown[at], self.held)

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self._predicted(x, at, scales=False)[0]

    def density(self, x: Array, at: Index, name: str) -> Predictive:
        """A Student t: residuals, and the uncertainty of coefficients and levels."""
        return Predictive(name, *self._predicted(x, at, scales=True))

    def _predicted(self, x: Array, at: Index, *, scales: bool) -> tuple[Array, Array, Array]:
        rows, codes = self._split(self._whole(x))
        target = self.shown[at[:1]]
        mean, scale, degrees = np.empty((3, len(rows)))
        for here, given in self._parts(codes):
            if given is None:
                m, s, degrees[here] = predict(self.fields, rows[here], target, scales=scales)
                mean[here], scale[here] = m[:, 0], s[:, 0]
                continue
            centre = given.centre(codes[here])
            beside = given.leverage(codes[here]) if scales else None
            m, s, degrees[here] = predict(given.fields, rows[here] - centre, target, scales=scales, beside=beside)
            mean[here], scale[here] = centre[:, target[0]] + m[:, 0], s[:, 0]
        return mean, scale, degrees

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Linear discriminant analysis (n, levels)."""
        rows, codes = self._split(self._whole(x))
        at = self.shown[indicators]
        if len(at) and at[0] >= len(self.fields.mean):
            return self._levels(rows, codes, int(at[0]) - len(self.fields.mean))
        out = np.empty((len(rows), 1 + len(at)))
        for here, given in self._parts(codes):
            if given is None:
                out[here] = class_probabilities(self.fields, rows[here], at)
            else:
                centre = given.centre(codes[here])
                out[here] = class_probabilities_about(self.fields, given.fields, rows[here] - centre, centre, at)
        return out

    def _levels(self, rows: Array, codes: Index, c: int) -> Array:
        """Probability of each level of a wide category given the fields and the other categories known (n, L)."""
        if not len(self.categories.counts[c]):
            # A column without a single cell has one level to give back: none.
            return np.ones((len(rows), 1))
        codes = codes.copy()
        codes[:, c] = -1
        out = self.categories.chances(c, codes)
        for here, known in patterns(codes):
            given = self.given((*known, c))
            # Level 0 adds its own effect, which is taken off again: the mean of the others is left.
            effects = given.effects[given.categories.index(c)]
            at_zero = codes[here]
            at_zero[:, c] = 0
            deviation = rows[here] - (given.centre(at_zero) - effects[0])
            for part, observed in gaps(deviation):
                unbiased = given.fields.degrees / max(given.fields.count - given.fields.fixed - 1, 1.0)
                within = given.fields.covariance[np.ix_(observed, observed)] * unbiased
                f = conditional(within, np.arange(len(observed)), np.zeros(0, dtype=np.int64)).observed
                centres = f.whiten(effects[:, observed])
                white = f.whiten(deviation[part][:, observed])
                out[here[part]] += white @ centres.T - 0.5 * (centres**2).sum(axis=1)
        return _normalised(out)

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """Log density of rows in nats (n,): wide categories first, then the others given them, then the numbers."""
        held = self._log_prob(self.held[None, :], categories)[0] if (~np.isnan(self.held)).any() else 0.0
        return self._log_prob(self._whole(x), categories) - held

    def _log_prob(self, whole: Array, categories: list[Index]) -> Array:
        rows, codes = self._split(whole)
        out = np.zeros(len(rows))
        before = np.full_like(codes, -1)
        for c in range(codes.shape[1]):
            here = np.flatnonzero(codes[:, c] >= 0)
            for part in _chunks(here, len(self.categories.counts[c])):
                p = _normalised(self.categories.chances(c, before[part]))
                out[part] += np.log(p[np.arange(len(part)), codes[part, c]])
            before[:, c] = codes[:, c]
        dense = [self.shown[at] for at in categories if len(at) and self.shown[at[0]] < len(self.fields.mean)]
        for here, given in self._parts(codes):
            if given is None:
                out[here] += joint.log_prob(self.fields, rows[here], dense)
            else:
                out[here] += joint.log_prob(given.fields, rows[here], dense, given.centre(codes[here]))
        return out

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p + c): a level at a time given what is known, then the numbers."""
        whole = np.tile(self.held, (n, 1))
        p = len(self.fields.mean)
        free = np.isnan(self.held)
        for c in np.flatnonzero(free[p:]):
            rows, codes = self._split(whole)
            for part in _chunks(np.arange(n), len(self.categories.counts[c])):
                chance = self._levels(rows[part], codes[part], int(c))
                whole[part, p + c] = level_drawn(chance, rng)
        rows, codes = self._split(whole)
        dense = [self.shown[at] for at in categories if len(at) and self.shown[at[0]] < p]
        for here, given in self._parts(codes):
            law = GaussianLaw(self.fields) if given is None else GaussianLaw(given.fields)
            centre = None if given is None else given.centre(codes[here])
            observed, rest = np.flatnonzero(~free[:p]), np.flatnonzero(free[:p])
            if len(observed):
                deviation = self.held[observed] - (law.mean[observed] if centre is None else centre[:, observed])
                conditioned = conditional(law.covariance, observed, rest)
                mean = (law.mean if centre is None else centre)[..., rest] + deviation @ conditioned.coefficients
                law = GaussianLaw(replace(law.fields, mean=np.zeros(len(rest)), covariance=conditioned.covariance))
                centre = np.broadcast_to(mean, (len(here), len(rest)))
            places = [np.searchsorted(rest, at) for at in dense]
            whole[np.ix_(here, rest)] = joint.sample(law.fields, len(here), places, rng, centre)
        return np.asarray(whole[:, self.shown])

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p + c); categories are left as they are."""
        whole = self._whole(x)
        rows, codes = self._split(whole)
        for here, given in self._parts(codes):
            if given is None:
                rows[here] = fill(self.fields, rows[here])
            else:
                centre = given.centre(codes[here])
                rows[here] = fill(given.fields, rows[here] - centre) + centre
        return np.asarray(np.column_stack([rows, whole[:, rows.shape[1] :]])[:, self.shown])

    def given(self, categories: tuple[int, ...]) -> Given:
        """The fields given the levels of some categories; kept once made."""
        key = tuple(sorted(categories))
        if key not in self._kept:
            self._kept[key] = self.categories.given(self.fields, key)
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[int, ...], Given]:
        return {}

    def _parts(self, codes: Index) -> Iterator[tuple[Index, Given | None]]:
        for here, known in patterns(codes):
            yield here, self.given(known) if known else None

    def _whole(self, x: Array) -> Array:
        """Rows of this law as rows of all places."""
        whole = np.tile(self.held, (len(x), 1))
        whole[:, self.shown] = x
        return whole

    def _split(self, whole: Array) -> tuple[Array, Index]:
        """Fields (n, p), and levels (n, c) with -1 where they are unknown or no row told of them."""
        p = len(self.fields.mean)
        levels = whole[:, p:]
        codes = np.where(np.isnan(levels), -1, np.nan_to_num(levels)).astype(np.int64)
        return whole[:, :p].copy(), self.categories.known(codes)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays, fields = GaussianLaw(self.fields).to_state()
        more, categories = self.categories.to_state()
        arrays |= more | {"shown": self.shown, "held": self.held}
        return arrays, {"fields": fields, "categories": categories}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> LevelledLaw:
        """The law that `to_state` described."""
        fields = GaussianLaw.from_state(arrays, meta["fields"]).fields
        return cls(fields, Categories.from_state(arrays, meta["categories"]), arrays["shown"], arrays["held"])


def _normalised(log_p: Array) -> Array:
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _chunks(rows: Index, levels: int) -> Iterator[Index]:
    """Rows a few at a time, so that a number for each of their levels is a bounded lot."""
    step = max(1, (1 << 22) // max(levels, 1))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
