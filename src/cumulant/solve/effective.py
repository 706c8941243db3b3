"""Unknown fields integrated out by diagrams: the effective potential Γ(y | x) of a target, at nodes of y.

At each y the unknown fields z are put where F is least, the classical point; then
Γ = F(z) + ½ ln det F″(z) − (two-loop diagrams), and exp(−Γ) is the density of y. All rows and nodes are solved at once.
The size of the last term, and a search for other minima, say of each row whether it may be used.

References
----------
Zinn-Justin, Quantum Field Theory and Critical Phenomena (Oxford, 2002), section 7.3 (loop expansion of Γ).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.diagrams import evaluate_each, of_loops
from cumulant.measure.monomials import Monomials, complete
from cumulant.solve.lines import interpolated, log_sum
from cumulant.theory.zoom import zoomed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.polynomial_action import PolynomialAction

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

__all__ = ["Integrated", "integrate_out"]

# Nodes of y that Γ is computed at; where to look, on how many nodes more and more closely, and to what depth.
NODES, REACH, COARSE, DEPTH = 25, 12.0, (25, 25, 25), 20.0
# Newton's steps, their greatest length in standard units, and when they have arrived.
STEPS, LONGEST, ARRIVED = 25, 1.5, 1e-9
# Γ is judged where the density is not below e⁻⁸ of its peak: there no two-loop term may be larger, and there may be no
# second minimum.
RELEVANT, SMALL = 8.0, 0.25
# Where the search for another minimum begins: so many fluctuations from the classical point, and so many standard
# deviations of the field, since wells that lie apart make it wide; and at how many nodes.
AWAY, ACROSS, SEARCHED = 2.5, (2.0, 8.0), 7


@dataclass(frozen=True, eq=False)
class Integrated:
    """The density of a target with unknown fields integrated out.

    Parameters
    ----------
    nodes, weights
        In standard units (n, G), and the density there.
    log_integral
        ln ∫ exp(−F) over the target and the unknown fields of each row (n,).
    last_term
        The largest two-loop term of each row where its density is not negligible (n,).
    trusted
        Whether the series may be used (n,).
    """

    nodes: Array
    weights: Array
    log_integral: Array
    last_term: Array
    trusted: Mask


def integrate_out(action: PolynomialAction, precision: Array, u: Array, target: int, free: Index) -> Integrated:
    """The density of ``target`` in rows u (n, p), whose unknown fields ``free`` are the same.

    ``precision`` (p, p) is that of the Gaussian theory in standard units, with whose line the search begins. The target
    may end somewhere; diagrams of unknown fields know no end.
    """
    theory = _Restricted(action, target, free)
    coefficients = theory.coefficients(u)
    guess = _line(precision, u, target, free)

    def points_between(low: Array, high: Array, nodes: int) -> _Points:
        return theory.at(coefficients, np.linspace(low, high, nodes, axis=1), guess)

    reach = np.full(len(u), REACH)
    low, high = zoomed(
        lambda *at: points_between(*at).one_loop, reach, depth=DEPTH, nodes=COARSE, ends=action.ends[target]
    )
    points = points_between(low, high, NODES)
    two = np.where(points.minimum, theory.two_loops(points), 0.0)
    gamma = points.one_loop + two
    least = gamma.min(axis=1, keepdims=True)
    matters = gamma < least + RELEVANT
    last = np.where(matters, np.abs(two), 0.0).max(axis=1)
    trusted = (points.minimum | ~matters).all(axis=1) & (last <= SMALL) & np.isfinite(last)
    wide = np.sqrt(np.diag(np.linalg.pinv(precision))[free])
    trusted &= ~theory.other_minima(points, matters, wide)
    fine, weights = interpolated(gamma, low, high, action.ends[target])
    whole = log_sum(gamma, low, high, action.ends[target]) + 0.5 * len(free) * np.log(2 * np.pi)
    return Integrated(fine, weights, whole, last, trusted)


def _line(precision: Array, u: Array, target: int, free: Index) -> tuple[Array, Array]:
    """Where the Gaussian theory has the unknown fields: what does not depend on y (m, n), and its slope (m,)."""
    known = np.setdiff1d(np.arange(u.shape[1]), [*free, target])
    response = -np.linalg.pinv(precision[np.ix_(free, free)])
    return response @ precision[np.ix_(free, known)] @ u[:, known].T, response @ precision[free, target]


@dataclass(frozen=True, eq=False)
class _Points:
    """Classical points of rows and nodes: N of them, as (n, G) or with N last."""

    z: Array
    coefficients: Array
    monomials: Array
    one_loop: Array
    tree: Array
    curvature: Array
    minimum: Mask


class _Restricted:
    """F as a polynomial of the unknown fields z, of which the others are the coefficients."""

    def __init__(self, action: PolynomialAction, target: int, free: Index) -> None:
        k, p = action.terms.shape[1], len(action.mean)
        self.m, self.order = len(free), k
        self._action = action
        self._basis = Monomials(self.m, k, complete(self.m + 1, k))
        place = np.zeros(p + 1, dtype=np.int64)
        place[1 + free] = 1 + np.arange(self.m)
        self._power = (action.terms == target + 1).sum(axis=1)
        self._monomial = self._basis.find(np.sort(place[action.terms], axis=1))
        self._ours = np.array([target, *free]) + 1

    def coefficients(self, u: Array) -> Array:
        """(k + 1, M, n): by the power of y and the monomial of z."""
        z = np.concatenate([np.ones((1, len(u))), u.T])
        z[self._ours] = 1.0
        out = np.zeros((self.order + 1, len(self._basis), len(u)))
        parts = self._action.theta[:, None] * z[self._action.terms].prod(axis=1)
        np.add.at(out, (self._power, self._monomial), parts)
        return out

    def at(self, coefficients: Array, y: Array, guess: tuple[Array, Array]) -> _Points:
        """The classical point at each node y (n, G)."""
        return self._descended(self._of_nodes(coefficients, y), self._guessed(y, guess), y.shape)

    def _of_nodes(self, coefficients: Array, y: Array) -> Array:
        c = np.zeros((len(self._basis), *y.shape))
        for by_power in coefficients[::-1]:
            c = c * y + by_power[:, :, None]
        return c.reshape(len(self._basis), -1)

    @staticmethod
    def _guessed(y: Array, guess: tuple[Array, Array]) -> Array:
        base, slope = guess
        return (base[:, :, None] + slope[:, None, None] * y).reshape(len(slope), -1)

    def _descended(self, c: Array, z: Array, shape: tuple[int, ...]) -> _Points:
        moving = np.arange(c.shape[1])
        z = z.copy()
        for _ in range(STEPS):
            part = c[:, moving]
            M = self._monomials(z[:, moving])
            slope = np.stack([self._value(part, M, (i,)) for i in range(self.m)])
            step = -_solved(self._curvature(part, M), slope)
            length = np.sqrt((step**2).sum(axis=0))
            z[:, moving] += step * np.minimum(1.0, LONGEST / np.maximum(length, 1e-300))
            moving = moving[length > ARRIVED]
            if not len(moving):
                break
        M = self._monomials(z)
        H = self._curvature(c, M)
        pivots = _pivots(H)
        minimum = np.asarray((pivots > 0).all(axis=0))
        minimum[moving] = False
        tree = (c * M).sum(axis=0)
        one = tree + 0.5 * np.log(np.where(pivots > 0, pivots, 1.0)).sum(axis=0)
        return _Points(z, c, M, one.reshape(shape), tree.reshape(shape), H, minimum.reshape(shape))

    def two_loops(self, points: _Points) -> Array:
        """Their two-loop term of Γ: minus the connected diagrams (n, G)."""
        c, M = points.coefficients, points.monomials
        H = np.where(points.minimum.ravel(), points.curvature, np.eye(self.m)[:, :, None])
        g = np.linalg.inv(np.moveaxis(H, -1, 0))
        couplings = {d: self._tensor(c, M, d) for d in range(3, self.order + 1)}
        found = [d for d in of_loops(0, sorted(couplings), 2) if all(couplings[v].any() for v in d.vertices)]
        total = sum((evaluate_each(d, g, couplings) for d in found), np.zeros(len(g)))
        return -np.asarray(total).reshape(points.one_loop.shape)

    def other_minima(self, points: _Points, matters: Mask, wide: Array) -> Mask:
        """Rows in which another minimum is not negligible beside the one that was found (n,)."""
        shape = matters.shape
        some = np.linspace(0, shape[1] - 1, SEARCHED + 2).round().astype(np.int64)[1:-1]
        z = points.z.reshape(self.m, *shape)[:, :, some]
        stiffness = np.einsum("iin->in", points.curvature).reshape(self.m, *shape)[:, :, some]
        spread = 1 / np.sqrt(np.maximum(stiffness, 0.05))
        c = points.coefficients.reshape(-1, *shape)[:, :, some].reshape(len(self._basis), -1)
        found = np.zeros(shape[0], dtype=bool)
        for i in range(self.m):
            for shift in (AWAY * spread[i], *(share * wide[i] for share in ACROSS)):
                for start_i in (z[i] + shift, z[i] - shift):
                    start = z.copy()
                    start[i] = start_i
                    end = self._descended(c, start.reshape(self.m, -1), z.shape[1:])
                    apart = np.abs(end.z.reshape(z.shape) - z).max(axis=0) > 1e-4
                    near = end.one_loop < points.one_loop[:, some] + RELEVANT
                    found |= (end.minimum & apart & near & matters[:, some]).any(axis=1)
        return found

    # ------------------------------------------------------------------ derivatives in z

    def _monomials(self, z: Array) -> Array:
        padded = np.concatenate([np.ones((1, z.shape[1])), z])
        out = padded[self._basis.tuples[:, 0]]
        for factor in self._basis.tuples.T[1:]:
            out *= padded[factor]
        return out

    @cached_property
    def _derivatives(self) -> dict[tuple[int, ...], tuple[Index, Index, Array]]:
        every = np.arange(len(self._basis))
        return {(): (every, every, np.ones(len(every)))}

    def _derivative(self, by: tuple[int, ...]) -> tuple[Index, Index, Array]:
        """From which coefficient to which monomial, and the factor."""
        if by not in self._derivatives:
            source, to, factor = self._derivative(by[:-1])
            tuples = self._basis.tuples[to]
            power = (tuples == by[-1] + 1).sum(axis=1)
            left = np.flatnonzero(power)
            cut = tuples[left].copy()
            cut[np.arange(len(left)), np.argmax(cut == by[-1] + 1, axis=1)] = 0
            at = self._basis.find(np.sort(cut, axis=1))
            self._derivatives[by] = source[left], at, factor[left] * power[left]
        return self._derivatives[by]

    def _value(self, c: Array, M: Array, by: tuple[int, ...]) -> Array:
        source, to, factor = self._derivative(by)
        return np.asarray((factor[:, None] * c[source] * M[to]).sum(axis=0))

    def _curvature(self, c: Array, M: Array) -> Array:
        out = np.empty((self.m, self.m, c.shape[1]))
        for i in range(self.m):
            for j in range(i + 1):
                out[i, j] = out[j, i] = self._value(c, M, (j, i))
        return out

    def _tensor(self, c: Array, M: Array, degree: int) -> Array:
        out = np.empty((c.shape[1], *(self.m,) * degree))
        for index in np.ndindex(*(self.m,) * degree):
            first = tuple(sorted(index))
            out[:, *index] = self._value(c, M, first) if index == first else out[:, *first]
        return out


def _pivots(H: Array) -> Array:
    """Of the elimination of symmetric matrices (m, m, N): all positive where it is positive definite (m, N)."""
    m = len(H)
    A, out = H.copy(), np.empty((m, H.shape[2]))
    for i in range(m):
        out[i] = A[i, i]
        safe = np.where(np.abs(out[i]) > 1e-12, out[i], 1e-12)
        for j in range(i + 1, m):
            A[j, i + 1 :] -= A[j, i] / safe * A[i, i + 1 :]
    return out


def _solved(H: Array, b: Array) -> Array:
    """H⁻¹ b for (m, m, N) and (m, N), every pivot made positive: downhill, and Newton's step at a minimum."""
    m = len(H)
    A, x = H.copy(), b.copy()
    pivots = []
    for i in range(m):
        pivots.append(np.maximum(np.abs(A[i, i]), 1e-2))
        for j in range(i + 1, m):
            share = A[j, i] / pivots[i]
            A[j, i + 1 :] -= share * A[i, i + 1 :]
            x[j] -= share * x[i]
    for i in range(m - 1, -1, -1):
        for j in range(i + 1, m):
            x[i] -= A[i, j] * x[j]
        x[i] /= pivots[i]
    return x
