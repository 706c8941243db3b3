"""The law exp(−F)/Z of a polynomial F: fields one at a time by quadrature, several by visiting each in turn.

The density of one field given all others is a one-dimensional integral. Unknown fields are integrated out by diagrams
(`cumulant.solve.effective`) in the rows where that series may be used; in the others one or two of them by quadrature
(`cumulant.solve.nested`), and more by Gibbs sampling, each drawn from its density given all others (Geman & Geman, IEEE
PAMI 6 (1984) 721): a prediction averages the densities that the draws leave, not the draws.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantWarning
from cumulant.solve import nested
from cumulant.solve.effective import Integrated, integrate_out
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import BySecondOrder
from cumulant.solve.lines import NODES, GridDensity, draw, log_integral, mixture
from cumulant.theory.polynomial_action import PolynomialAction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["PolynomialLaw"]

# Sweeps before the first draw, and draws that a density averages.
BURN, DRAWS = 20, 40
# Sweeps after which chains that began at Gaussian draws are taken as rows.
SWEEPS = 60
# Draws for ln Z of many fields, and for integrals over several unknown fields of a row; and the standard error, in
# nats, that is worth a word.
MANY, SOME, LOOSE = 200_000, 400, 0.05
# Width of the Gaussian that they are drawn from where fields end, in standard deviations.
WIDER = 1.5
# Unknown fields beyond which sampling is the lesser work.
MOST_FREE = 6
# Rows at a time.
STEP = 2000
SEED = 0


@dataclass(frozen=True, eq=False)
class PolynomialLaw(BySecondOrder):
    """A law of p fields with interactions; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    action
        F of all its fields, those integrated out among them.
    whole
        The Gaussian of the same mean and covariance, of the same fields: where integrals begin.
    visible
        Places among them of the fields that are not integrated out (p,).
    integrate
        How: ``"auto"``, by diagrams where the series may be used, and where not by quadrature, of more than two fields
        by sampling; or ``"sampling"``.
    """

    action: PolynomialAction
    whole: GaussianLaw
    visible: Index
    integrate: str = "auto"

    @property
    def count(self) -> float:
        """Rows it was estimated from."""
        return self.whole.count

    @cached_property
    def gaussian(self) -> GaussianLaw:
        """The law of second order of the same mean and covariance."""
        return self.whole.marginal(self.visible)

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of F; where fields were integrated out, those of the Gaussian that is left."""
        if len(self.visible) < len(self.action.mean):
            return self.gaussian.couplings(about)
        return self.action.couplings(about)

    # ------------------------------------------------------------------ fewer fields

    def condition(self, observed: Index, values: Array, rest: Index) -> PolynomialLaw:
        """Observed fields are numbers in F; those neither observed nor in ``rest`` are integrated out."""
        at = self.visible[observed]
        others = np.setdiff1d(np.arange(len(self.action.mean)), at)
        if len(at):
            u = (values - self.action.mean[at]) / self.action.sd[at]
            action = self.action.fix([int(i) for i in at], u)
            whole = self.whole.condition(at, values, others)
        else:
            action, whole = self.action, self.whole
        return PolynomialLaw(action, whole, np.searchsorted(others, self.visible[rest]), self.integrate)

    def marginal(self, at: Index) -> PolynomialLaw:
        """The others are integrated out."""
        return replace(self, visible=self.visible[at])

    # ------------------------------------------------------------------ predictions

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self.density(x, at, "").mean

    def density(self, x: Array, at: Index, name: str) -> GridDensity:
        """Its distribution given the fields known in each row."""
        i = int(self.visible[at[0]])
        parts = [self._integrated(u, i) for u in self._rows(x, i)]
        if not parts:
            return GridDensity(name, np.zeros((0, NODES)), np.zeros((0, NODES)))
        nodes, weights, how = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        mean, sd = self.action.mean[i], self.action.sd[i]
        return GridDensity(name, mean + sd * nodes, weights / sd, how, mean + sd * self.action.ends[i])

    def _integrated(self, u: Array, i: int) -> tuple[Array, Array, NDArray[np.str_]]:
        """Nodes and density (n, G) of field i, and how the unknown fields of each row were integrated out."""
        nodes, weights = np.empty((len(u), NODES)), np.empty((len(u), NODES))
        unknown = np.isnan(u)
        unknown[:, i] = False
        how = np.where(unknown.any(axis=1), "sampling", "quadrature")
        if self.integrate == "auto":
            for pattern in np.unique(unknown[unknown.any(axis=1)], axis=0):
                free = np.flatnonzero(pattern)
                rows = np.flatnonzero((unknown == pattern).all(axis=1))
                if self._expandable(free):
                    found = self._by_diagrams(u[rows], i, free)
                    good, rows = rows[found.trusted], rows[~found.trusted]
                    nodes[good], weights[good] = found.nodes[found.trusted], found.weights[found.trusted]
                    how[good] = "diagrams"
                if len(free) < nested.MOST_FIELDS and len(rows):
                    fields = [i, *free]
                    powers = nested.powers(self.action, u[rows], fields)
                    nodes[rows], weights[rows] = nested.density(powers, self.action.ends[fields])
                    how[rows] = "quadrature"
        rest = np.flatnonzero((how == "sampling") | ~unknown.any(axis=1))
        if len(rest):
            nodes[rest], weights[rest] = mixture(self._conditionals(u[rest], i), self.action.ends[i])
        return nodes, weights, how

    def _expandable(self, free: Index) -> bool:
        """Whether diagrams are tried: few unknown fields, none of which ends where F is not least."""
        return len(free) <= MOST_FREE and not np.isfinite(self.action.ends[free]).any()

    def _by_diagrams(self, u: Array, i: int, free: Index) -> Integrated:
        return integrate_out(self.action, self._precision, u, i, free)

    @cached_property
    def _precision(self) -> Array:
        """Of the Gaussian law, in standard units."""
        return np.asarray(self.whole.precision * np.outer(self.action.sd, self.action.sd))

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Of the levels of a category, which a polynomial F has no place for: by the Gaussian law."""
        return self.gaussian.probabilities(x, indicators)

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """Log density of rows in nats (n,)."""
        del categories  # A polynomial F has none.
        out = [self._log_density(u) for u in self._rows(x, None)]
        return np.concatenate(out) if out else np.zeros(0)

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows (n, p): chains that begin at draws of the Gaussian."""
        u = self._inside(self.action.standard(self.whole.sample(n, categories, rng)))
        unknown = np.ones(u.shape, dtype=bool)
        for first in range(0, n, STEP):
            rows = slice(first, first + STEP)
            for _ in range(SWEEPS):
                u[rows] = self._sweep(u[rows], unknown[rows], rng)
        return np.asarray((self.action.mean + self.action.sd * u)[:, self.visible])

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        out = x.copy()
        for j in range(x.shape[1]):
            absent = np.isnan(x[:, j])
            if absent.any():
                out[absent, j] = self.expect(x[absent], np.array([j]))
        return out

    # ------------------------------------------------------------------ integrals

    def _rows(self, x: Array, target: int | None) -> Iterator[Array]:
        """Rows of all fields in standard units, some at a time; NaN where unknown, the target among them."""
        for first in range(0, len(x), STEP):
            phi = np.full((len(x[first : first + STEP]), len(self.action.mean)), np.nan)
            phi[:, self.visible] = x[first : first + STEP]
            if target is not None:
                phi[:, target] = np.nan
            yield self.action.standard(phi)

    def _conditionals(self, u: Array, i: int) -> Array:
        """F as polynomials of field i (n, draws, k + 1), for draws of the other unknown fields."""
        unknown = np.isnan(u)
        others = np.delete(unknown, i, axis=1).any()
        u = self._begun(u)
        if not others:
            return self.action.along(i, u)[:, None]
        rng = np.random.default_rng(SEED)
        out = []
        for sweep in range(BURN + DRAWS):
            u = self._sweep(u, unknown, rng)
            if sweep >= BURN:
                out.append(self.action.along(i, u))
        return np.stack(out, axis=1)

    def drawn(self, row: Array, i: int, n: int) -> Array:
        """A row of all fields in standard units with its unknown ones, but for i, drawn n times: (n, p)."""
        u = np.tile(row, (n, 1))
        u[:, i] = np.nan
        unknown, rng = np.isnan(u), np.random.default_rng(SEED)
        u = self._begun(u)
        for _ in range(SWEEPS):
            u = self._sweep(u, unknown, rng)
        return u

    def full(self, x: Array) -> Array:
        """Rows of visible fields as rows of all in standard units, NaN where unknown (n, p)."""
        return np.concatenate([*self._rows(x, None), np.zeros((0, len(self.action.mean)))])

    def _begun(self, u: Array) -> Array:
        """Unknown fields at their Gaussian mean."""
        phi = self.action.mean + self.action.sd * u
        return self._inside(self.action.standard(self.whole.fill(phi))) if np.isnan(u).any() else u

    def _inside(self, u: Array) -> Array:
        return u if self.action.bounds is None else np.clip(u, *self.action.ends.T)

    def _sweep(self, u: Array, unknown: NDArray[np.bool_], rng: np.random.Generator) -> Array:
        """Each unknown field drawn anew, given all others."""
        u = u.copy()
        for i in range(u.shape[1]):
            rows = np.flatnonzero(unknown[:, i])
            if len(rows):
                u[rows, i] = draw(self.action.along(i, u[rows]), rng, self.action.ends[i])
        return u

    def _log_density(self, u: Array) -> Array:
        unknown = np.isnan(u)
        out = np.empty(len(u))
        units = np.log(self.action.sd)
        for pattern in np.unique(unknown, axis=0):
            rows = np.flatnonzero((unknown == pattern).all(axis=1))
            free = np.flatnonzero(pattern)
            if not len(free):
                out[rows] = -self.action.value(u[rows])
            elif pattern.all():
                out[rows] = self.log_partition
            else:
                out[rows] = self._log_integrals(u[rows], free)
            out[rows] -= self.log_partition + units[~pattern].sum()
        return np.where(self.action.within(u), out, -np.inf)

    @cached_property
    def log_partition(self) -> float:
        """ln Z in standard units: by quadrature to three fields, beyond by averaging over draws of a Gaussian."""
        p = len(self.action.mean)
        nothing, every = np.full((1, p), np.nan), np.arange(p)
        if p <= nested.MOST_FIELDS:
            return float(self._by_quadrature(nothing, every)[0])
        return float(self._by_draws(nothing, every, MANY)[0])

    def _log_integrals(self, u: Array, free: Index) -> Array:
        """ln ∫ exp(−F) over some fields, unknown in all rows u: (n,)."""
        if len(free) < nested.MOST_FIELDS:
            return self._by_quadrature(u, free)
        out, rest = np.empty(len(u)), np.arange(len(u))
        if len(free) <= MOST_FREE and self._expandable(free[1:]) and self.integrate == "auto":
            found = self._by_diagrams(u, int(free[0]), free[1:])
            out[found.trusted], rest = found.log_integral[found.trusted], rest[~found.trusted]
        if len(rest):
            three = len(free) <= nested.MOST_FIELDS
            out[rest] = self._by_quadrature(u[rest], free) if three else self._by_draws(u[rest], free, SOME)
        return out

    def _by_quadrature(self, u: Array, free: Index) -> Array:
        powers = nested.powers(self.action, np.nan_to_num(u), free.tolist())
        return nested.log_integral(powers, self.action.ends[free])

    def _by_draws(self, u: Array, free: Index, draws: int) -> Array:
        """The last field by quadrature, the others by importance sampling.

        F grows faster than any quadratic form, so the ratio to a Gaussian is bounded, and its mean well behaved; where
        fields end it may grow more slowly, and the Gaussian is a wider one.
        """
        known, sampled = np.setdiff1d(np.arange(u.shape[1]), free), free[:-1]
        z = np.random.default_rng(SEED).normal(size=(draws, len(sampled)))
        out, errors = np.empty(len(u)), np.empty(len(u))
        wider = 1.0 if self.action.bounds is None else WIDER
        for n, row in enumerate(u):
            phi = self.action.mean + self.action.sd * row
            g = self.whole.condition(known, phi[known], sampled) if len(known) else self.whole.marginal(sampled)
            centre = (g.mean - self.action.mean[sampled]) / self.action.sd[sampled]
            root = wider * np.linalg.cholesky(g.covariance / np.outer(self.action.sd[sampled], self.action.sd[sampled]))
            drawn = np.tile(np.nan_to_num(row), (draws, 1))
            drawn[:, sampled] = centre + z @ root.T
            proposal = -0.5 * (z**2).sum(axis=1) - np.log(np.diag(root)).sum() - 0.5 * len(sampled) * np.log(2 * np.pi)
            last = int(free[-1])
            parts = [
                log_integral(self.action.along(last, drawn[i : i + STEP]), self.action.ends[last])
                for i in range(0, draws, STEP)
            ]
            drawn[:, last] = np.nan
            ratio = np.where(self.action.within(drawn), np.concatenate(parts) - proposal, -np.inf)
            weight = np.exp(ratio - ratio.max())
            out[n] = np.log(weight.mean()) + ratio.max()
            errors[n] = weight.std() / (weight.mean() * np.sqrt(draws))
        if errors.max(initial=0.0) > LOOSE:
            warnings.warn(
                f"an integral over {len(free)} unknown fields, of {len(u):,} rows, is an average over {draws:,} draws, "
                f"with a standard error of up to {errors.max():.2g} nats; fit fewer columns, or fill their gaps",
                CumulantWarning,
                stacklevel=2,
            )
        return out

    # ------------------------------------------------------------------ files

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays, meta = self.whole.to_state()
        a = self.action
        mine = {"terms": a.terms, "theta": a.theta, "origin": a.mean, "unit": a.sd, "visible": self.visible}
        if a.bounds is not None:
            mine["bounds"] = a.bounds
        return {**{f"whole.{name}": value for name, value in arrays.items()}, **mine}, {
            "whole": meta,
            "fields": list(a.columns),
            "integrate": self.integrate,
        }

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> PolynomialLaw:
        """The law that `to_state` described."""
        theirs = {name.removeprefix("whole."): a for name, a in arrays.items() if name.startswith("whole.")}
        action = PolynomialAction(
            tuple(meta["fields"]),
            arrays["origin"],
            arrays["unit"],
            arrays["terms"],
            arrays["theta"],
            arrays.get("bounds"),
        )
        whole = GaussianLaw.from_state(theirs, meta["whole"])
        return cls(action, whole, arrays["visible"], meta.get("integrate", "auto"))
