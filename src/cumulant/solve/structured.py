"""A Gaussian law whose covariance is held as blocks: what a group of many columns leaves of it.

Nothing here is p × p: covariance and precision act on rows by transforms, and conditioning inverts a matrix as large
as the fewer of the fields that are known and those that are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError, OptionError, ResourceError
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.linear import factor
from cumulant.solve.predictive import Fields, Predictive, patterns
from cumulant.solve.regression import Regression
from cumulant.symmetry import applied, isotypic, log_determinant
from cumulant.symmetry.reduced import declared_from, dense, diagonal, portable, state_of, unported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.symmetry.declared import Declared
    from cumulant.symmetry.isotypic import Complex, Decomposition

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["SymmetricLaw"]

# Rows that are turned at once, in numbers.
CHUNK = 1 << 23
MOST_UNKNOWN = 6_000


@dataclass(frozen=True, eq=False)
class SymmetricLaw:
    """A Gaussian of p fields that a group leaves invariant; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    declared
        The group, bound to the fields.
    mean
        μ (p,).
    blocks
        Blocks of the covariance in the isotypic basis, prior included.
    degrees
        Degrees of freedom that each block rests on.
    count
        Rows it was estimated from.
    """

    declared: Declared
    mean: Array
    blocks: tuple[Complex, ...]
    degrees: tuple[Array, ...]
    count: float

    @property
    def basis(self) -> Decomposition:
        """The isotypic basis."""
        return isotypic(self.declared.group)

    @cached_property
    def inverse(self) -> tuple[Complex, ...]:
        """Blocks of the precision.

        Raises
        ------
        DataError
            A block is singular.
        """
        for block in self.blocks:
            if not (np.linalg.eigvalsh(block).min(initial=np.inf) > 0):
                raise DataError(
                    "the symmetric covariance is singular: columns are constant or determine each other, or there are "
                    "too few rows; leave such columns out, or solve with prior='evidence'"
                )
        return tuple(np.linalg.inv(block) for block in self.blocks)

    @cached_property
    def covariance(self) -> Array:
        """As a matrix (p, p), where that is not too large."""
        return dense(self.basis, self.blocks)

    @cached_property
    def precision(self) -> Array:
        """As a matrix (p, p), where that is not too large."""
        return dense(self.basis, self.inverse)

    @cached_property
    def gaussian(self) -> GaussianLaw:
        """The same law written out, where that is not too large."""
        return self._plain(self.mean, self.covariance)

    def columns(self, at: Index, *, inverse: bool = False) -> Array:
        """Some columns of the covariance, or of the precision, as rows (|at|, p)."""
        out = np.empty((len(at), len(self.mean)))
        blocks, step = self.inverse if inverse else self.blocks, max(1, CHUNK // max(1, len(self.mean)))
        for start in range(0, len(at), step):
            part = at[start : start + step]
            unit = np.zeros((len(part), len(self.mean)))
            unit[np.arange(len(part)), part] = 1.0
            out[start : start + step] = applied(self.basis, blocks, unit)
        return out

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """½K_ii and K_ij, where writing all pairs out is not too much."""
        return self.gaussian.couplings(about)

    def _unknown(self, x: Array, observed: Index, targets: Index) -> tuple[Array, Array]:
        """Mean (n, |T|) and covariance (|T|, |T|) of targets given the fields observed in all of these rows."""
        p = len(self.mean)
        hidden = np.setdiff1d(np.arange(p), observed)
        if min(len(hidden), len(observed)) > MOST_UNKNOWN:
            raise ResourceError(
                f"{len(observed):,} of {p:,} fields are known: the smaller side is inverted, up to {MOST_UNKNOWN:,}; "
                "give more or fewer columns"
            )
        deviations = np.where(np.isin(np.arange(p), observed), x - self.mean, 0.0)
        if len(hidden) <= len(observed):
            # K_UU η_U = −K_UO η_O.
            k = self.columns(hidden, inverse=True)[:, hidden]
            f = factor((k + k.T) / 2)
            spread = f.inverse()
            pull = self._applied(deviations, self.inverse)[:, hidden]
            rows = np.searchsorted(hidden, targets)
            return self.mean[targets] - pull @ spread[:, rows], spread[np.ix_(rows, rows)]
        c = self.columns(targets)
        across, within = c[:, observed], self.columns(observed)[:, observed]
        inverse = factor((within + within.T) / 2).inverse()
        coefficients = across @ inverse
        mean = self.mean[targets] + deviations[:, observed] @ coefficients.T
        covariance = c[:, targets] - coefficients @ across.T
        return mean, (covariance + covariance.T) / 2

    def _applied(self, x: Array, blocks: tuple[Complex, ...]) -> Array:
        step = max(1, CHUNK // max(1, x.shape[1]))
        return np.concatenate([applied(self.basis, blocks, x[i : i + step]) for i in range(0, max(len(x), 1), step)])

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of a residual variance, by Satterthwaite's rule over the blocks of the precision."""
        share, spread = 0.0, 0.0
        for part, block, df in zip(self.basis.parts, self.inverse, self.degrees, strict=True):
            weight = part.rank * np.einsum("oii->o", block).real
            share += float(weight.sum())
            spread += float((weight**2 / np.maximum(df - (part.size - 1), 1.0)).sum())
        return max(1.0, share**2 / spread)

    def regressed(self, y: int) -> Regression:
        """Field ``y`` on all others, from one column of the precision and its diagonal: O(p log p) on a ring."""
        p, k = len(self.mean), self.columns(np.array([y]), inverse=True)[0]
        x, tension = np.arange(p) != y, float(k[y])
        mean = np.where(x, self.mean, 0.0)
        # C_xx⁻¹ = K_xx − K_xy K_yx / K_yy.
        inverse = diagonal(self.declared.group, self.basis, self.inverse) - k**2 / tension
        distance = float(mean @ self._applied(mean[None], self.inverse)[0] - (k @ mean) ** 2 / tension)
        degrees = p + self.freedom - 1
        beta = -k[x] / tension
        return Regression(
            constant=float(self.mean[y] - beta @ self.mean[x]),
            coefficients=beta,
            low=np.zeros(p - 1),
            kept=np.ones(p - 1, dtype=bool),
            unit_variance=np.append(1 / self.count + distance / degrees, inverse[x] / degrees),
            residual=degrees / tension,
            total=degrees * float(self.columns(np.array([y]))[0, y]),
            parameters=float(p),
            count=degrees + 1,
            observed=None,
        )

    def condition(self, observed: Index, values: Array, rest: Index) -> GaussianLaw:
        """The law of the rest, written out."""
        x = np.full((1, len(self.mean)), np.nan)
        x[0, observed] = values
        mean, covariance = self._unknown(x, observed, rest)
        return self._plain(mean[0], covariance)

    def marginal(self, at: Index) -> GaussianLaw:
        """The law of some fields, written out."""
        return self._plain(self.mean[at], self.columns(at)[:, at])

    def _plain(self, mean: Array, covariance: Array) -> GaussianLaw:
        rows = len(mean) + self.freedom
        covariance = (covariance + covariance.T) / 2
        return GaussianLaw(Fields(mean, covariance, None, self.count, rows - 1, equivalent=rows))

    def expect(self, x: Array, at: Index) -> Array:
        """Mean of the first of the fields ``at`` (n,)."""
        return self._predicted(x, at)[0]

    def density(self, x: Array, at: Index, name: str) -> Predictive:
        """A Student t: residuals, and the uncertainty of mean and coefficients at a typical distance from the mean."""
        mean, variance = self._predicted(x, at)
        return Predictive(name, mean, np.sqrt(variance), np.full(len(x), self.freedom))

    def _predicted(self, x: Array, at: Index) -> tuple[Array, Array]:
        mean, variance = np.empty(len(x)), np.empty(len(x))
        for rows, observed in patterns(x, at):
            m, c = self._unknown(x[rows], observed, at[:1])
            q = len(observed)
            # As for rows that would tell as much without the symmetry: freedom + q of them, less q coefficients.
            inflation = (1 + q / self.freedom) * (1 + 1 / self.count + q / (self.freedom + q))
            mean[rows], variance[rows] = m[:, 0], c[0, 0] * inflation
        return mean, variance

    def probabilities(self, x: Array, indicators: Index) -> Array:
        """Probability of each level (n, 1 + k): from the joint law of the indicators and the fields known."""
        out = np.empty((len(x), 1 + len(indicators)))
        for rows, observed in patterns(x, indicators):
            at = np.concatenate([indicators, observed])
            here = np.full((len(x[rows]), len(at)), np.nan)
            here[:, len(indicators) :] = x[rows][:, observed]
            out[rows] = self.marginal(at).probabilities(here, np.arange(len(indicators)))
        return out

    def log_prob(self, x: Array, categories: list[Index]) -> Array:
        """Log density of rows in nats (n,)."""
        _refuse(categories)
        out = np.empty(len(x))
        p = len(self.mean)
        for rows, observed in patterns(x):
            if len(observed) == p:
                deviations = x[rows] - self.mean
                inside = (deviations * self._applied(deviations, self.inverse)).sum(axis=1)
                out[rows] = -0.5 * (inside + log_determinant(self.basis, self.blocks) + p * np.log(2 * np.pi))
            else:
                out[rows] = self.marginal(observed).log_prob(x[rows][:, observed], []) if len(observed) else 0.0
        return out

    def sample(self, n: int, categories: list[Index], rng: np.random.Generator) -> Array:
        """Random rows: white noise under the square root of the covariance."""
        _refuse(categories)
        roots = []
        for block in self.blocks:
            w, v = np.linalg.eigh(block)
            roots.append(np.einsum("oia,oa,oja->oij", v, np.sqrt(np.maximum(w, 0.0)), np.conj(v)))
        return self.mean + self._applied(rng.standard_normal((n, len(self.mean))), tuple(roots))

    def fill(self, x: Array) -> Array:
        """Rows with unknown fields at their conditional mean (n, p)."""
        out = x.copy()
        for rows, observed in patterns(x):
            missing = np.setdiff1d(np.arange(x.shape[1]), observed)
            if len(missing):
                at = np.arange(len(x))[rows]
                out[np.ix_(at, missing)] = self._unknown(x[rows], observed, missing)[0]
        return out

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Generators, mean and blocks."""
        arrays, meta = state_of(self.declared)
        arrays |= {"mean": self.mean} | {f"degrees.{i}": d for i, d in enumerate(self.degrees)}
        arrays |= {f"blocks.{name}": a for name, a in portable(self.basis, self.blocks).items()}
        return arrays, {"declared": meta, "count": float(self.count)}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> SymmetricLaw:
        """The law that `to_state` described."""
        symmetry = declared_from(arrays, meta["declared"])
        basis = isotypic(symmetry.group)
        degrees = tuple(arrays[f"degrees.{i}"] for i in range(len(basis.parts)))
        blocks = tuple(unported(basis, arrays, "blocks."))
        return cls(symmetry, arrays["mean"], blocks, degrees, float(meta["count"]))


def _refuse(categories: list[Index]) -> None:
    if categories:
        raise OptionError(
            "the joint law of a symmetric model of so many columns is one of numbers; leave categories out"
        )
