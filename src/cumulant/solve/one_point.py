"""The mean of a field in an interacting theory as a sum of diagrams, exact at any strength of the couplings.

The linear theory has the target y on a line through all other fields, and each unknown field z on one through the known
ones x; ζ is what a line leaves over. Integration by parts, ⟨∂_yF⟩ = 0 given x, is the Dyson–Schwinger equation of one
point. With v = (x, ζ), F's slope in normal-ordered products, ∂_yF = B + B_j :v_j: + ½ B_jk :v_j v_k: + …, and M = B_y,

    ⟨y⟩ = βx + γ⟨ζ_z⟩ − (1/M) (B + Σ_{j≠y} B_j ⟨v_j⟩ + ½ Σ B_jk ⟨:v_j v_k:⟩ + …):

the line of linear regression for each known field, and a vertex for each interaction. An expectation of several
unknown fields falls into products of means (trees), a covariance (a loop at the vertex) and a third cumulant (two
loops). Normal ordering takes from each loop what it is in the linear theory, so that M, the average of F_yy, is
positive, and a diagram is what a row has beyond that. A target that ends somewhere is pushed by its ends, by their
densities over M: the boundary term of ⟨∂_yF⟩.

References
----------
Zinn-Justin, Quantum Field Theory and Critical Phenomena (Oxford, 2002), section 7.4 (field equations of Γ).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.linear import conditional
from cumulant.solve.lines import mixture, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.polynomial_law import PolynomialLaw

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["Vertex", "in_a_row", "over_rows"]

# Draws of the unknown fields of a row.
DRAWS = 1000
# M below this share of what it is in the linear theory, as where a field ends, is nothing to divide by.
STIFF = 0.5


@dataclass(frozen=True, order=True)
class Vertex:
    """A diagram: a line to the target, or a vertex at the end of its line.

    Parameters
    ----------
    legs
        Fields at its other legs, by position: a known value, or how far the mean of an unknown one is from its line.
    inside
        Unknown fields whose lines close: two in a loop, three in a further vertex.
    wall
        Whether it is the push of the target's ends, which has neither.
    """

    legs: tuple[int, ...]
    inside: tuple[int, ...] = ()
    wall: bool = False


@dataclass(frozen=True, eq=False)
class _Slope:
    """∂_yF in normal-ordered products of v about the mean of the law, in standard units, less M ζ_y."""

    about: Array
    change: Array
    covariance: Array
    tensors: Mapping[int, Array]
    constant: float
    stiffness: float

    @staticmethod
    def of(law: PolynomialLaw, i: int, unknown: Mask) -> _Slope:
        a = law.action
        about = (law.whole.mean - a.mean) / a.sd
        change, covariance = _residuals(law.whole.covariance / np.outer(a.sd, a.sd), i, unknown)
        slope = a.differentiated(i)
        t = {n: _on_each_axis(tensor, change) for n, tensor in slope.derivatives(about).items()}
        constant = float(slope.value(about))
        if 2 in t:
            constant += 0.5 * float((t[2] * covariance).sum())
        if 3 in t:
            t[1] += 0.5 * np.einsum("jkl,kl->j", t[3], covariance)
        linear = 1 / float(covariance[i, i])
        M = float(t[1][i]) if t[1][i] > STIFF * linear else linear
        t[1][i] -= M
        return _Slope(about, change, covariance, t, constant, M)

    def terms(self) -> Iterator[tuple[tuple[int, ...], float]]:
        """Fields that meet the target at each vertex, ascending, and what multiplies their product in ⟨ζ_y⟩."""
        for _, tensor in sorted(self.tensors.items()):
            for at in zip(*(ends.tolist() for ends in np.nonzero(tensor)), strict=True):
                if tuple(sorted(at)) == at:
                    alike = np.prod([factorial(m) for m in Counter(at).values()])
                    yield at, -float(tensor[at]) / (self.stiffness * float(alike))


def _residuals(C: Array, i: int, unknown: Mask) -> tuple[Array, Array]:
    """The matrix from v to the fields (p, p), and the covariance of v in the linear theory."""
    known, others = np.flatnonzero(~unknown), np.flatnonzero(np.arange(len(C)) != i)
    free = np.setdiff1d(others, known)
    change, covariance = np.eye(len(C)), np.zeros_like(C)
    given = conditional(C, known, free)
    change[np.ix_(free, known)] = given.coefficients.T
    target = np.array([i])
    line = conditional(C, others, target)
    change[i] += line.coefficients[:, 0] @ change[others]
    for at, block in ((known, C[np.ix_(known, known)]), (free, given.covariance), (target, line.covariance)):
        covariance[np.ix_(at, at)] = block
    return change, covariance


def _on_each_axis(tensor: Array, matrix: Array) -> Array:
    for _ in range(tensor.ndim):
        tensor = np.tensordot(tensor, matrix, axes=(0, 0))
    return tensor


def over_rows(law: PolynomialLaw, i: int) -> tuple[float, dict[Vertex, float]]:
    """The mean of field i where all diagrams are zero, and the standard deviation of each over rows, with its sign.

    All other fields are known. Vertices where ζ meets the target are left out: it is 0 on average in the linear theory.
    """
    p, sd = len(law.action.mean), float(law.action.sd[i])
    slope = _Slope.of(law, i, np.arange(p) == i)
    factors: dict[tuple[int, ...], float] = {(j,): float(slope.change[i, j]) for j in range(p) if j != i}
    for at, factor in slope.terms():
        if i not in at:
            factors[at] = factors.get(at, 0.0) + factor
    C = slope.covariance
    sizes = {Vertex(at): sd * factor * _permanent(C[np.ix_(at, at)]) ** 0.5 for at, factor in factors.items()}
    # Ends push the mean of every row; where they do, it is the table's that the diagrams are about.
    walls = np.isfinite(law.action.ends[i]).any()
    return float(law.whole.mean[i]) if walls else _constant(law, slope, i), sizes


def in_a_row(law: PolynomialLaw, i: int, row: Array) -> tuple[float, dict[Vertex, float]]:
    """The mean of field i where all diagrams are zero, and what each adds to it in a row (p,), NaN where unknown.

    Fields are in standard units; other unknown fields than i are averaged over draws.
    """
    unknown = np.isnan(row)
    unknown[i] = True
    slope, sd = _Slope.of(law, i, unknown), float(law.action.sd[i])
    C, back = slope.covariance, np.asarray(np.linalg.inv(slope.change).T, dtype=np.float64)
    mean, pairs, triples, push = _cumulants(law, i, row)
    v, pairs, triples = (_on_each_axis(k, back) for k in (mean - slope.about, pairs, triples))
    found = {Vertex((j,)): sd * float(slope.change[i, j] * v[j]) for j in range(len(v)) if j != i}

    def add(legs: tuple[int, ...], inside: tuple[int, ...], size: float) -> None:
        found[Vertex(legs, inside)] = found.get(Vertex(legs, inside), 0.0) + sd * float(size)

    for at, factor in slope.terms():
        add(at, (), factor * float(v[list(at)].prod()))
        for a, b in combinations(range(len(at)), 2):
            j, k = at[a], at[b]
            rest = tuple(f for place, f in enumerate(at) if place not in (a, b))
            through = factor * float(v[list(rest)].prod())
            if unknown[j] and unknown[k]:
                add(rest, (j, k), through * (pairs[j, k] - C[j, k]))
            elif not unknown[j] and not unknown[k]:
                add(at, (), -through * C[j, k])
        if len(at) == 3 and unknown[list(at)].all():
            add((), at, factor * triples[at])
    if push:
        found[Vertex((), (), wall=True)] = sd * push / slope.stiffness
    return _constant(law, slope, i), found


def _constant(law: PolynomialLaw, slope: _Slope, i: int) -> float:
    a = law.action
    return float(a.mean[i] + a.sd[i] * (slope.about[i] - slope.constant / slope.stiffness))


def _cumulants(law: PolynomialLaw, i: int, row: Array) -> tuple[Array, Array, Array, float]:
    """Mean (p,), covariance (p, p) and third cumulant (p, p, p) of a row's fields: of the target by quadrature.

    Last, its density at its lower end less that at its upper one.
    """
    ends = law.action.ends[i]
    others = np.isnan(np.delete(row, i)).any()
    u = law.drawn(row, i, DRAWS) if others else row[None].copy()
    nodes, weights = mixture(law.action.along(i, np.nan_to_num(u))[:, None], ends)
    p = shares(weights, ends)
    u[:, i] = (p * nodes).sum(axis=1)
    mean = u.mean(axis=0)
    d = u - mean
    within = nodes - u[:, [i]]
    second, third = (p * within**2).sum(axis=1), (p * within**3).sum(axis=1)
    pairs, triples = d.T @ d / len(d), np.einsum("na,nb,nc->abc", d, d, d) / len(d)
    pairs[i, i] += second.mean()
    for place in range(3):
        np.moveaxis(triples, place, 0)[:, i, i] += (d * second[:, None]).mean(axis=0)
    triples[i, i, i] += third.mean()
    at_ends = np.where(nodes[:, [0, -1]] == ends, weights[:, [0, -1]], 0.0).mean(axis=0)
    return mean, pairs, triples, float(at_ends[0] - at_ends[1])


def _permanent(C: Array) -> float:
    """⟨:u_j u_k …:²⟩ of a Gaussian with the covariance C of u_j, u_k, …."""
    n = len(C)
    return float(sum(np.prod(C[range(n), order]) for order in permutations(range(n))))
