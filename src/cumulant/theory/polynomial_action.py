"""F as a polynomial: its value, its gradient, its couplings about any point, and whether it is bounded below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.measure.monomials import Monomials, complete

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.partition import PartitionFunction

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["PolynomialAction"]

# Directions that are tried beside the axes and diagonals, and how many of the lowest are followed downhill.
DIRECTIONS, FOLLOWED, STEPS = 2000, 8, 200
# Standard deviations that descents start from, and their number.
FAR, DESCENTS = 15.0, 8


@dataclass(frozen=True, eq=False)
class PolynomialAction:
    """F = Σ θ_a T_a(u) in standard units u = (φ − mean)/sd.

    Parameters
    ----------
    columns
        Names of the fields (p,).
    mean, sd
        Origin and unit of each field (p,).
    terms
        Monomials as sorted tuples of indices into (1, fields) (N, k).
    theta
        Their coefficients in standard units (N,).
    bounds
        Lower and upper end of each field (p, 2), beyond which exp(−F) is 0; None where none ends.

    Examples
    --------
    >>> import numpy as np
    >>> terms = np.array([[0, 0, 1, 1], [1, 1, 1, 1]])  # x², x⁴
    >>> well = PolynomialAction(("x",), np.zeros(1), np.ones(1), terms, np.array([-1.0, 0.5]))
    >>> well.free_energy(np.array([1.0]))
    array(-0.5)
    >>> well.gradient(np.array([1.0]))
    array([0.])
    """

    columns: tuple[str, ...]
    mean: Array
    sd: Array
    terms: Index
    theta: Array
    bounds: Array | None = None

    @staticmethod
    def of_tensors(columns: Sequence[str], mean: Array, sd: Array, couplings: Mapping[int, Array]) -> PolynomialAction:
        """F from its derivatives F_i, F_ij, … about ``mean``: symmetric tensors (p,)*degree by their degree."""
        p, order = len(mean), max(couplings)
        terms = complete(p + 1, order)[1:]
        degree = (terms > 0).sum(axis=1)
        theta = np.zeros(len(terms))
        for n in couplings:
            ours = np.flatnonzero(degree == n)
            at = terms[ours][:, order - n :] - 1
            # A derivative of a monomial is the product of the factorials of its powers.
            powers = np.stack([(at == i).sum(axis=1) for i in range(p)], axis=1)
            repeats = np.array([factorial(k) for k in range(n + 1)])[powers].prod(axis=1)
            theta[ours] = couplings[n][tuple(at.T)] * sd[at].prod(axis=1) / repeats
        return PolynomialAction(tuple(columns), mean, sd, terms, theta)

    @staticmethod
    def of(couplings: Mapping[tuple[str, ...], float]) -> PolynomialAction:
        """F from the coefficients of its monomials in the fields themselves, as ``couplings("origin")`` gives them.

        Examples
        --------
        >>> well = PolynomialAction.of({("x", "x"): -1.0, ("x", "x", "x", "x"): 0.5})
        >>> well.columns, well.free_energy([[1.0], [2.0]])
        (('x',), array([-0.5,  4. ]))
        """
        named = {key: value for key, value in couplings.items() if key}
        if not named:
            raise OptionError("couplings= must name a field, as in {('x', 'x'): 0.5}")
        columns = tuple(dict.fromkeys(name for key in named for name in key))
        order = max(map(len, named))
        place = {name: 1 + i for i, name in enumerate(columns)}
        terms = np.array([[0] * (order - len(key)) + sorted(place[name] for name in key) for key in named])
        theta = np.array(list(named.values()), dtype=np.float64)
        return PolynomialAction(columns, np.zeros(len(columns)), np.ones(len(columns)), terms, theta)

    @cached_property
    def ends(self) -> Array:
        """Lower and upper end of each field in standard units (p, 2), infinite where it has none."""
        if self.bounds is None:
            return np.tile([-np.inf, np.inf], (len(self.mean), 1))
        return np.asarray((self.bounds - self.mean[:, None]) / self.sd[:, None])

    def within(self, u: Array) -> NDArray[np.bool_]:
        """Which rows u (n, p) are beyond no end; a cell that is NaN is not."""
        return np.asarray(~((u < self.ends[:, 0]) | (u > self.ends[:, 1])).any(axis=-1))

    @cached_property
    def units(self) -> Array:
        """Product of the units of each term (N,)."""
        return np.asarray(np.concatenate([[1.0], self.sd])[self.terms].prod(axis=1))

    def standard(self, phi: Array) -> Array:
        """u of rows φ (…, p)."""
        return (np.asarray(phi, dtype=np.float64) - self.mean) / self.sd

    def free_energy(self, phi: Array) -> Array:
        """F of rows (…, p), less its value at the mean."""
        return self.value(self.standard(phi))

    def gradient(self, phi: Array) -> Array:
        """∂F/∂φ of rows (…, p)."""
        return self.slope(self.standard(phi)) / self.sd

    def value(self, u: Array) -> Array:
        """F in standard units (…)."""
        return np.asarray(self._products(u) @ self.theta)

    def slope(self, u: Array) -> Array:
        """∂F/∂u (…, p)."""
        u = np.asarray(u, dtype=np.float64)
        out = np.zeros(u.shape)
        z = np.concatenate([np.ones((*u.shape[:-1], 1)), u], axis=-1)
        for position in range(self.terms.shape[1]):
            # Each factor in turn is differentiated; a power is met as often as it has factors.
            others = np.delete(self.terms, position, axis=1)
            part = self.theta * z[..., others].prod(axis=-1)
            for i in range(u.shape[-1]):
                out[..., i] += part[..., self.terms[:, position] == i + 1].sum(axis=-1)
        return out

    def differentiated(self, i: int) -> PolynomialAction:
        """∂F/∂u_i as a polynomial in standard units, its constant among the terms."""
        power = (self.terms == i + 1).sum(axis=1)
        ours = self.terms[power > 0]
        others = np.arange(ours.shape[1]) != np.argmax(ours == i + 1, axis=1)[:, None]
        rest = ours[others].reshape(len(ours), ours.shape[1] - 1)
        return PolynomialAction(self.columns, self.mean, self.sd, rest, (self.theta * power)[power > 0])

    def derivatives(self, u: Array) -> dict[int, Array]:
        """∂ⁿF at a point u (p,) in standard units, by n: symmetric tensors (p,) * n, to the order of F."""
        p, order = len(self.mean), self.terms.shape[1]
        z = np.concatenate([[1.0], np.asarray(u, dtype=np.float64)])
        out = {n: np.zeros((p,) * n) for n in range(1, order + 1)}
        for n, tensor in out.items():
            for legs in permutations(range(order), n):
                at = self.terms[:, legs]
                ours = (at > 0).all(axis=1)
                rest = np.delete(self.terms[ours], legs, axis=1)
                np.add.at(tensor, tuple(at[ours].T - 1), self.theta[ours] * z[rest].prod(axis=1))
        return out

    def Z(
        self, source: Mapping[str, float] | None = None, *, method: str = "auto", loops: int = 2
    ) -> PartitionFunction:
        """The partition function ∫ dφ exp(−F(φ) + J·φ) at a source J, from whose logarithm cumulants follow.

        Parameters
        ----------
        source
            J by field, in inverse units of the fields; those not named have none.
        method
            ``"quadrature"`` on a grid, for up to three fields; ``"series"``, diagrams about the classical point;
            ``"auto"``: quadrature where there is a grid for it.
        loops
            Loops of the series, 0 to 4.

        Returns
        -------
        PartitionFunction

        Raises
        ------
        OptionError
            An option is another, or the source names no field.
        DataError
            F is unbounded below, or, with ``"auto"``, the series must not be used; `PartitionFunction.obstacle`
            says why.

        Warns
        -----
        CumulantWarning
            The series was asked for, and must not be used.

        Examples
        --------
        F = ½φ² + λφ⁴/4! with λ = 0.1:

        >>> phi4 = PolynomialAction.of({("x",) * 2: 0.5, ("x",) * 4: 0.1 / 24})
        >>> Z = phi4.Z()
        >>> round(Z.W - phi4.Z(method="series", loops=4).W, 6)
        1.9e-05
        >>> Z.cumulant(2).round(4)
        array([[0.9556]])
        """
        from cumulant.theory.partition import partition_function

        return partition_function(self, source or {}, method, loops)

    def _products(self, u: Array) -> Array:
        u = np.asarray(u, dtype=np.float64)
        z = np.concatenate([np.ones((*u.shape[:-1], 1)), u], axis=-1)
        return np.asarray(z[..., self.terms].prod(axis=-1))

    def along(self, i: int, u: Array) -> Array:
        """F as a polynomial of field i at rows u (n, p): coefficients (n, k + 1), lowest power first."""
        z = np.concatenate([np.ones((1, len(u))), u.T])
        z[i + 1] = 1.0
        parts = z[self.terms[:, 0]]
        for factor in self.terms.T[1:]:
            parts *= z[factor]
        power = (self.terms == i + 1).sum(axis=1)
        by_power = np.where(power == np.arange(self.terms.shape[1] + 1)[:, None], self.theta, 0.0)
        return np.asarray((by_power @ parts).T)

    def couplings(self, about: str = "mean") -> dict[tuple[int, ...], float]:
        """Coefficient of each monomial in F by positions, ``about`` the ``"mean"`` or the ``"origin"``."""
        if about == "mean":
            return {
                tuple(int(i) - 1 for i in term if i): float(value / unit)
                for term, value, unit in zip(self.terms, self.theta, self.units, strict=True)
                if value
            }
        if about != "origin":
            raise OptionError(f"about={about!r}: choose 'mean' or 'origin'")
        p, k = len(self.mean), self.terms.shape[1]
        t = np.zeros((p + 1, p + 1))
        t[0, 0] = 1.0
        t[1:, 0] = -self.mean / self.sd
        t[1:, 1:] = np.diag(1 / self.sd)
        used = np.flatnonzero(self.theta)
        every = Monomials(p, k, complete(p + 1, k))
        moved = every.linear_map(t, Monomials(p, k, self.terms[used])).T @ self.theta[used]
        return {
            tuple(int(i) - 1 for i in term if i): float(value)
            for term, value in zip(every.tuples, moved, strict=True)
            if value and term.any()
        }

    def fix(self, at: Sequence[int], values: Array) -> PolynomialAction:
        """F of the other fields when these have values in standard units."""
        p = len(self.mean)
        rest = [i for i in range(p) if i not in set(at)]
        z = np.ones(p + 1)
        z[1 + np.asarray(at, dtype=np.int64)] = values
        factor = np.where(np.isin(self.terms, np.asarray(at) + 1), z[self.terms], 1.0).prod(axis=1)
        new = np.zeros(p + 1, dtype=np.int64)
        new[1 + np.asarray(rest, dtype=np.int64)] = 1 + np.arange(len(rest))
        tuples, where = np.unique(np.sort(new[self.terms], axis=1), axis=0, return_inverse=True)
        theta = np.bincount(where.ravel(), self.theta * factor, len(tuples)).astype(np.float64)
        some = tuples.any(axis=1)
        names = tuple(self.columns[i] for i in rest)
        bounds = None if self.bounds is None else self.bounds[rest]
        return PolynomialAction(names, self.mean[rest], self.sd[rest], tuples[some], theta[some], bounds)

    @cached_property
    def unbounded(self) -> Array | None:
        """A direction (p,) in standard units in which F falls for ever, and no field ends; None if none was found.

        Along a ray F is a polynomial of its length: the highest power must be even and positive. The axes, the
        diagonals and random directions are tried, and the lowest followed downhill; at last F itself is, from far
        away, because it may fall along a curve though it grows along each ray.
        """
        p = len(self.mean)
        rng = np.random.default_rng(0)
        axes = np.eye(p)
        pairs = [axes[i] + sign * axes[j] for i in range(min(p, 30)) for j in range(i) for sign in (1, -1)]
        d = np.vstack([axes, *pairs, rng.normal(size=(DIRECTIONS, p))])
        d = self._open(np.vstack([d, -d]))
        if not len(d):
            return None
        degree = (self.terms > 0).sum(axis=1)
        low: Array | None = None
        for power in range(self.terms.shape[1], 0, -1):
            top = PolynomialAction(self.columns, self.mean, self.sd, self.terms, self.theta * (degree == power))
            if not top.theta.any():
                continue
            value = top.value(d)
            tried, found = d, value
            if low is None:
                low = d[np.argsort(value)[:FOLLOWED]]
                for _ in range(STEPS):
                    low = self._open(low - 0.05 * top.slope(low) / np.abs(top.theta).max())
                tried, found = np.vstack([d, low]), np.concatenate([value, top.value(low)])
            scale = np.abs(top.theta).max()
            if found.min() < -1e-9 * scale:
                return np.asarray(tried[np.argmin(found)])
            # Only directions that are exactly flat: what is nearly flat grows in the end.
            d = d[value <= 0]
            if not len(d):
                return self._escape(low, rng)
        return np.asarray(d[0]) if len(d) else None

    def _open(self, d: Array) -> Array:
        """Directions (n, p) without what leads to an end of a field, at unit length."""
        below, above = np.where(np.isfinite(self.ends), 0.0, (-np.inf, np.inf)).T
        d = np.clip(d, below, above)
        return _unit(d[d.any(axis=1)])

    def _escape(self, low: Array, rng: np.random.Generator) -> Array | None:
        """Where a descent from far away ends, if it ends farther."""
        from scipy.optimize import minimize

        starts = FAR * np.vstack([low[:2], self._open(rng.normal(size=(DESCENTS, len(self.mean))))])
        for start in np.clip(starts, *self.ends.T):
            if self.bounds is None:
                end = minimize(self.value, start, jac=self.slope, method="BFGS", options={"maxiter": 300}).x
            else:
                end = minimize(self.value, start, jac=self.slope, method="L-BFGS-B", bounds=self.ends).x
            if np.linalg.norm(end) > 3 * FAR:
                return np.asarray(end / np.linalg.norm(end))
        return None


def _unit(d: Array) -> Array:
    return np.asarray(d / np.linalg.norm(d, axis=1, keepdims=True))
