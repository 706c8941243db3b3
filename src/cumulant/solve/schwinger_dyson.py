"""Couplings from moments by one linear solve: the Schwinger–Dyson equations.

Integration by parts gives ⟨∂_i O⟩ = ⟨O ∂_i F⟩ for every observable O that does not outgrow exp(−F). With
F = Σ_b θ_b T_b and O = ∂_i T_a, summed over i, this is A θ = b with A_ab = Σ_i ⟨∂_i T_a ∂_i T_b⟩ and
b_a = Σ_i ⟨∂_i² T_a⟩: linear in θ whatever the strength of the couplings, without Z and without descent. To second order
θ is C⁻¹. It minimises ½ θᵀAθ − bᵀθ, the score-matching objective, which held-out folds have too, so that they choose
the ridge.

A field that ends somewhere, as a price does at 0, has a boundary term there. A weight h_i that vanishes at the end, in
O = h_i ∂_i T_a, removes it (generalised score matching).

References
----------
Hyvärinen, "Estimation of non-normalized statistical models by score matching", JMLR 6 (2005) 695.
Hyvärinen, "Some extensions of score matching", Comput. Stat. Data Anal. 51 (2007) 2499.
Yu, Drton & Shojaie, "Generalized score matching for non-negative data", JMLR 20 (2019) 76.
Benjamini & Hochberg, "Controlling the false discovery rate", J. R. Stat. Soc. B 57 (1995) 289.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError, ResourceError
from cumulant.measure.jackknife import Jackknife
from cumulant.measure.monomials import Monomials, complete
from cumulant.solve import student
from cumulant.theory.polynomial_action import PolynomialAction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Equations", "PolynomialSolution", "ends_of", "solve_schwinger_dyson"]

# Couplings beyond these take a matrix of gigabytes.
MOST = 5000
# Equations beyond this condition number are not solved; a field with less than this share in what they lack is no part
# of it.
MOST_SINGULAR, SHARE = 1e13, 0.01
# The ridges tried, on equations scaled to a unit diagonal; the last leaves a Gaussian.
RIDGES = np.array([0.0, *np.logspace(-8, 2, 11), np.inf])


@dataclass(frozen=True, eq=False)
class Equations:
    """The Schwinger–Dyson equations of some terms, as places among the moments.

    Parameters
    ----------
    terms
        The monomials T_a of F as tuples of indices into (1, fields) (N, k).
    blocks
        For each field i and power d in its weight: the terms that contain it, how often, and for each pair of them the
        factor and the place of u_iᵈ ∂_iT_a ∂_iT_b.
    second
        Terms, factors and places of the moments of ∂_i (h_i ∂_i T_a).
    """

    terms: Index
    blocks: tuple[tuple[Index, Array, Index], ...]
    second: tuple[Index, Array, Index]

    @staticmethod
    def of(monomials: Monomials, terms: Index, fields: Index, weights: Sequence[Array] | None = None) -> Equations:
        """The equations of F with ``terms`` (N, k), one for each term, summed over ``fields`` (indices from 1).

        ``weights`` are the coefficients of h_i(u_i) for each of these fields, lowest power first; 1 without.
        """
        blocks, second = [], []
        for i, weight in zip(fields, weights or [np.ones(1)] * len(fields), strict=True):
            power = (terms == i).sum(axis=1)
            ours = np.flatnonzero(power)
            rest = _without(terms[ours], int(i))
            twice = np.flatnonzero(power > 1)
            once = _without(_without(terms[twice], int(i)), int(i))
            for d in np.flatnonzero(weight):
                more = np.full((1, d), i)
                place = _places(monomials, rest[:, None], np.broadcast_to(rest, (len(ours), *rest.shape)), more)
                blocks.append((ours, weight[d] * np.outer(power[ours], power[ours]), place))
                second.append((twice, weight[d] * (power * (power - 1.0))[twice], _places(monomials, once, more)))
                if d:
                    second.append((ours, weight[d] * d * power[ours], _places(monomials, rest, more[:, 1:])))
        joined = tuple(np.concatenate(parts) for parts in zip(*second, strict=True))
        return Equations(terms, tuple(blocks), (joined[0], joined[1], joined[2]))

    def evaluate(self, moments: Array) -> tuple[Array, Array]:
        """A (N, N) and b (N,)."""
        A, b = np.zeros((len(self.terms),) * 2), np.zeros(len(self.terms))
        for ours, factor, place in self.blocks:
            A[np.ix_(ours, ours)] += factor * moments[place]
        where, factor, place = self.second
        np.add.at(b, where, factor * moments[place])
        return A, b


def _places(monomials: Monomials, *factors: Index) -> Index:
    """Places of products of tuples (…, k), which broadcast against each other."""
    shape = np.broadcast_shapes(*(f.shape[:-1] for f in factors))
    count = int(np.prod(shape))
    parts = [np.broadcast_to(f, (*shape, f.shape[-1])).reshape(count, f.shape[-1]) for f in factors]
    product = np.sort(np.concatenate(parts, axis=1), axis=1)
    return monomials.find(_padded(product, monomials.order)).reshape(shape)


def _without(terms: Index, i: int) -> Index:
    """Each term divided once by field i (N, k - 1)."""
    first = np.argmax(terms == i, axis=1)
    keep = np.arange(terms.shape[1]) != first[:, None]
    return terms[keep].reshape(len(terms), terms.shape[1] - 1)


def _padded(terms: Index, n: int) -> Index:
    """The same products as tuples of n: constants are filled in, or those too many left out."""
    k = terms.shape[1]
    return np.pad(terms, ((0, 0), (n - k, 0))) if k <= n else terms[:, k - n :]


@dataclass(frozen=True, eq=False)
class PolynomialSolution:
    """Couplings of a polynomial F, with what is known of their errors.

    Parameters
    ----------
    action
        F itself.
    errors
        Standard error of each coupling in standard units (N,), by the jackknife over folds; NaN where it was not kept.
    p_values
        Of the interactions, in the test that led to dropping; NaN for terms to second order, but for products of fields
        that end somewhere.
    kept
        Which terms F has; the others were indistinguishable from 0.
    condition
        Condition number of the equations, scaled to a unit diagonal.
    ridge
        The ridge that the folds chose.
    count
        Rows.
    conditioned
        The field whose equations alone were solved: F then is that of the field given the others. None: all.
    """

    action: PolynomialAction
    errors: Array
    p_values: Array
    kept: NDArray[np.bool_]
    condition: float
    ridge: float
    count: float
    conditioned: int | None = None

    def couplings(self, about: str = "mean") -> dict[tuple[str, ...], float]:
        """Coefficient of each monomial of the fields in F, ``about`` the ``"mean"`` or the ``"origin"``."""
        names = self.action.columns
        return {tuple(names[i] for i in at): value for at, value in self.action.couplings(about).items()}

    def standard_errors(self) -> dict[tuple[str, ...], float]:
        """Standard error of each coupling about the mean, in the same units."""
        return {
            tuple(self.action.columns[i - 1] for i in term if i): float(error / scale)
            for term, error, scale, kept in zip(
                self.action.terms, self.errors, self.action.units, self.kept, strict=True
            )
            if kept
        }


def solve_schwinger_dyson(
    m: Moments,
    order: int = 4,
    *,
    target: str | None = None,
    ridge: float | None = None,
    rate: float | None = 0.05,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> PolynomialSolution:
    """The couplings of a polynomial F from moments to order 2(k − 1).

    Parameters
    ----------
    m
        Moments.
    order
        Degree k of F.
    target
        A column of one field whose equations alone are solved: F of it given the others, p(y | x).
    ridge
        Penalty on interactions, on equations scaled to unit diagonal. None: chosen on held-out folds.
    rate
        False-discovery rate at which interactions are dropped (Benjamini–Hochberg). None: all are kept.
    bounds
        Where columns end, as ``{"price": (0, inf)}``: integration by parts has a boundary term there, which a weight
        that vanishes at the boundary removes, h = φ − a or (φ − a)(b − φ). Each power of the weight needs moments of
        one order more. On an interval exp(−F) is a probability whatever the sign of its highest power.

    Raises
    ------
    OptionError
        The moments do not reach to the order 2(k − 1), or that of the weights; a bound is none.
    DataError
        A mean lies beyond its bounds; a field is constant, or the equations are singular: fields that are functions of
        each other, or take few values.
    ResourceError
        There are too many couplings.

    Examples
    --------
    >>> import numpy as np, cumulant as cm
    >>> from cumulant.solve.schwinger_dyson import solve_schwinger_dyson
    >>> x = np.random.default_rng(0).normal(size=(4000, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    >>> solution = solve_schwinger_dyson(cm.measure({"x": x[:, 0], "y": x[:, 1]}, order=6))
    >>> max(len(term) for term in solution.couplings())
    2
    """
    ends = ends_of(m, bounds or {})
    need = 2 * (order - 1) + max((int(np.isfinite(end).sum()) for end in ends.values()), default=0)
    if m.order < need:
        within = " within these bounds" if ends else ""
        raise OptionError(
            f"F of order {order}{within} needs moments to order {need}, these reach to {m.order}; measure with "
            f"order={need}"
        )
    p = len(m.columns)
    terms = complete(p + 1, order)[1:]
    conditioned = None
    if target is not None:
        at = m.schema.independent_of(target)
        if len(at) != 1:
            raise OptionError(f"column '{target}' has {len(at)} fields; the equations of one field can be solved")
        conditioned = int(at[0])
        terms = terms[(terms == conditioned + 1).any(axis=1)]
    if len(terms) > MOST:
        raise ResourceError(
            f"F of order {order} has {len(terms):,} couplings of {p} fields, more than {MOST:,}; select columns="
        )
    fields = np.arange(1, p + 1) if conditioned is None else np.array([conditioned + 1])
    system = _System(m, terms, fields, ends)
    if ridge is None:
        ridge = system.chosen_ridge()
    everything = np.ones(len(terms), dtype=bool)
    found = system.jackknife(everything, ridge)
    kept, p_values = everything, np.full(len(terms), np.nan)
    if system.folds > 2 and rate is not None:
        kept, p_values = _discoveries(found, system.interacting, system.folds, rate)
        if not kept.all():
            found = system.jackknife(kept, ridge)
    theta = np.where(kept, found.value, 0.0)
    errors = np.where(kept, found.standard_error, np.nan) if system.folds > 2 else np.full(len(terms), np.nan)
    return PolynomialSolution(
        PolynomialAction(m.columns, system.mean, system.sd, terms, theta, _table_of(ends, p)),
        errors,
        p_values,
        kept,
        system.condition,
        ridge,
        system.count,
        conditioned,
    )


def ends_of(m: Moments, bounds: Mapping[str, tuple[float, float]]) -> dict[int, Array]:
    """Lower and upper end of each bounded field, by its position.

    Raises
    ------
    OptionError
        A bound is none, or a column not one of numbers.
    DataError
        A mean lies beyond its bounds.
    """
    out = {}
    for name, (low, high) in bounds.items():
        at = m.schema.independent_of(name)
        if len(at) != 1 or not low < high:
            raise OptionError(
                f"bounds={{'{name}': ({low:g}, {high:g})}}: a column of numbers, and its lower and upper end"
            )
        field, end = int(at[0]), np.array([low, high], dtype=np.float64)
        if not low < m.mean[field] < high:
            raise DataError(
                f"the mean of column '{name}' is {m.mean[field]:g}, not between its bounds {low:g} and {high:g}; "
                "give the ends of its range"
            )
        if np.isfinite(end).any():
            out[field] = end
    return out


def _table_of(ends: dict[int, Array], p: int) -> Array | None:
    """The ends of all fields (p, 2)."""
    if not ends:
        return None
    return np.array([ends.get(i, (-np.inf, np.inf)) for i in range(p)])


def _vanishing(end: Array | None, mean: float, sd: float) -> Array:
    """Coefficients of a weight in standard units that is 0 at the ends of a field, and about 1 in size."""
    h = np.ones(1)
    if end is not None:
        low, high = (end - mean) / sd
        h = np.convolve(h, [1.0, -1 / low]) if np.isfinite(low) else h
        h = np.convolve(h, [1.0, -1 / high]) if np.isfinite(high) else h
    return h


def _discoveries(
    found: Jackknife, interacting: NDArray[np.bool_], folds: int, rate: float
) -> tuple[NDArray[np.bool_], Array]:
    """Which terms stay when at most a share ``rate`` of the interactions kept may be false, and their p-values."""
    p_values = np.full(len(interacting), np.nan)
    error = found.standard_error[interacting]
    t = np.divide(found.value[interacting], error, out=np.zeros_like(error), where=error > 0)
    p_values[interacting] = student.two_sided(t, folds - 1)
    ordered = np.sort(p_values[interacting])
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    threshold = ordered[below[-1]] if len(below) else -1.0
    return ~interacting | (p_values <= threshold), p_values


class _System:
    """The equations of a table in standard units, of all rows, of each fold, and without it."""

    def __init__(self, m: Moments, terms: Index, fields: Index, ends: dict[int, Array]) -> None:
        p = len(m.columns)
        degree = (terms > 0).sum(axis=1)
        # What is not needed for a law. Fields that end somewhere need no square: exp(−x) is one on a half-line.
        ended = np.isin(terms, [0, *(i + 1 for i in ends)]).all(axis=1)
        self.interacting = (degree > 2) | (ended & (degree == 2))
        self.mean, self.sd = _centre(m)
        # To second order the sums that every table has are enough; the packed ones hold the constant, too.
        monomials = m.higher.monomials if m.higher is not None else Monomials(p, 2, complete(p + 1, 2))
        vanishing = [_vanishing(ends.get(i - 1), self.mean[i - 1], self.sd[i - 1]) for i in fields.tolist()]
        self._equations = Equations.of(monomials, terms, fields, vanishing)
        weights, moments = self._standard(m, monomials)
        self.count = float(weights.sum())
        self.used = np.flatnonzero(weights > 0)
        self.folds = len(self.used)
        self._shares = weights[self.used] / weights.sum()
        self._parts = [self._equations.evaluate(moments[k]) for k in self.used]
        total = weights[self.used] @ moments[self.used] / weights.sum()
        self._total = self._equations.evaluate(total)
        diagonal = np.diag(self._total[0])
        if not (diagonal > 0).all():
            raise DataError("an equation is empty: a field has no variation; leave constant columns out")
        self._scale = 1 / np.sqrt(diagonal)
        values, vectors = np.linalg.eigh(self._total[0] * np.outer(self._scale, self._scale))
        self.condition = float(values[-1] / values[0]) if values[0] > 0 else np.inf
        if not self.condition < MOST_SINGULAR:
            raise DataError(f"the Schwinger–Dyson equations are singular: {_dependence(m, terms, vectors[:, 0])}")

    def _standard(self, m: Moments, monomials: Monomials) -> tuple[Array, Array]:
        """Weight of each fold (K,), and its moments in standard units (K, M)."""
        p = len(self.mean)
        if m.higher is None:
            u = np.zeros((m.folds, p + 1, p + 1))
            for k in range(m.folds):
                one = m.fold(k)
                d = np.nan_to_num(one.mean - self.mean) / self.sd
                scatter = np.nan_to_num(one.cumulant(2)) / np.outer(self.sd, self.sd)
                u[k, 0, 0], u[k, 0, 1:], u[k, 1:, 0], u[k, 1:, 1:] = 1.0, d, d, scatter + np.outer(d, d)
            return m.weight, u[:, monomials.tuples[:, 0], monomials.tuples[:, 1]]
        shift = m.shift[m.schema.independent]
        t = np.zeros((p + 1, p + 1))
        t[0, 0] = 1.0
        t[1:, 0] = (shift - self.mean) / self.sd
        t[1:, 1:] = np.diag(1 / self.sd)
        sums = (monomials.linear_map(t, monomials) @ m.higher.sums.T).T
        weights = m.higher.sums[:, 0]
        return weights, sums / np.where(weights > 0, weights, 1.0)[:, None]

    def _solve(self, A: Array, b: Array, kept: NDArray[np.bool_], ridge: float) -> Array:
        theta = np.zeros(len(b))
        if np.isinf(ridge):
            kept = kept & ~self.interacting
        s = self._scale[kept]
        scaled = A[np.ix_(kept, kept)] * np.outer(s, s)
        scaled[np.diag_indices(len(s))] += ridge * self.interacting[kept] if np.isfinite(ridge) else 0.0
        theta[kept] = s * np.linalg.solve(scaled, s * b[kept])
        return theta

    def _without(self, j: int) -> tuple[Array, Array]:
        share = self._shares[j]
        return (
            (self._total[0] - share * self._parts[j][0]) / (1 - share),
            (self._total[1] - share * self._parts[j][1]) / (1 - share),
        )

    def jackknife(self, kept: NDArray[np.bool_], ridge: float) -> Jackknife:
        """θ of all rows, and without each fold."""
        without = [self._solve(*self._without(j), kept, ridge) for j in range(self.folds)] if self.folds > 2 else []
        return Jackknife(self._solve(*self._total, kept, ridge), np.array(without), self._shares)

    def chosen_ridge(self) -> float:
        """The ridge whose couplings score best on the fold that they have not seen; the largest of equals."""
        if self.folds < 3 or not self.interacting.any():
            return 0.0
        kept = np.ones(len(self.interacting), dtype=bool)
        scores = np.zeros((self.folds, len(RIDGES)))
        for j in range(self.folds):
            A, b = self._without(j)
            seen_A, seen_b = self._parts[j]
            for r, ridge in enumerate(RIDGES):
                theta = self._solve(A, b, kept, float(ridge))
                scores[j, r] = self._shares[j] * (0.5 * theta @ seen_A @ theta - seen_b @ theta)
        return float(RIDGES[int(np.argmin(scores.sum(axis=0)))])


def _dependence(m: Moments, terms: Index, relation: Array) -> str:
    """Which fields a relation between terms (N,) is one of, and what to do."""
    share = np.array([(relation[(terms == i + 1).any(axis=1)] ** 2).sum() for i in range(len(m.columns))])
    names = [f"'{name}'" for name, one in zip(m.columns, share, strict=True) if one > SHARE * share.max()]
    if len(names) == 1:
        return (
            f"column {names[0]} takes few values, and F differentiates; make it a category (lifts={{name: "
            "'categorical'}) with cm.Gaussian(), or leave it out"
        )
    return (
        f"of {', '.join(names[:-1])} and {names[-1]} one is a function of the others, or takes few values; leave it "
        "out, or use cm.Gaussian()"
    )


def _centre(m: Moments) -> tuple[Array, Array]:
    """Mean and standard deviation of the rows without a gap (p,)."""
    if m.higher is None:
        mean, variance = m.mean, np.diag(m.total.cumulant(2))
    else:
        e = m.higher.estimate(np.ones(m.folds, dtype=bool))
        about = e.central(2)
        first = e.monomials.tensor(e.moments, 2)[0, 1:]
        mean, variance = first + m.shift[m.schema.independent], np.diag(about)[1:]
    if not (variance > 0).all():
        name = m.columns[int(np.argmin(variance > 0))]
        raise DataError(f"field '{name}' does not vary in the rows without a gap; leave its column out")
    return mean, np.sqrt(variance)
