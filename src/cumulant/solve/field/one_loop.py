"""A network of finite width conditioned on rows: the first order in 1/width of its mean, its variance and ln Z.

Given its hidden units the output is Gaussian, of the propagator K + δ. With ⟨δ⟩ = G and ⟨δ ⊗ δ⟩ = V, both ∝ 1/width,
A = (K + N)⁻¹, a = A y and w = (−A k(X, x), 1), expanding in δ under ln p(y | δ) = … + ½ aᵀδa − ½ tr Aδ + … gives

  mean:      wᵀGa                + ½⟨wᵀδa aᵀδa⟩            − ½⟨wᵀδa tr Aδ⟩ − ⟨wᵀδAδa⟩
  variance:  wᵀGw                + ½⟨wᵀδw aᵀδa⟩ + ⟨(wᵀδa)²⟩  − ½⟨wᵀδw tr Aδ⟩ − ⟨wᵀδAδw⟩
  ln Z:      ½ aᵀGa − ½ tr AG    + ⅛⟨(aᵀδa)²⟩              − ¼⟨aᵀδa tr Aδ⟩ − ½⟨aᵀδAδa⟩, + ⅛⟨(tr Aδ)²⟩ + ¼⟨tr AδAδ⟩

In columns: a line whose propagator is shifted; a quartic vertex, the four-point function, whose legs all end at rows or
at x; the same vertex with two legs closed to a loop by A; and with two loops. They are the diagrams of the dual field
t of Z = ∫dt exp(−½ tᵀ(K + N)t + i tᵀy + V₄tttt/4!).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.theory.finite_width import SHIFTS, Deviations, FiniteWidth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.networks import NNGP

    Array = NDArray[np.float64]

__all__ = ["DIAGRAMS", "Corrected", "Correction", "OneLoop"]

# What terms are, in order; the last is one of ln Z alone.
DIAGRAMS = ("shift of the propagator", "quartic vertex", "quartic vertex with a loop", "two loops")
NEW_ROWS = 256


@dataclass(frozen=True, eq=False)
class Correction:
    """A first order in 1/width.

    Parameters
    ----------
    terms
        Of each diagram (k, …).
    error
        Standard error of their sum over the lattices that units were drawn on (…).
    """

    terms: Array
    error: Array

    @property
    def total(self) -> Array:
        """Their sum (…)."""
        return np.asarray(self.terms.sum(axis=0))

    @staticmethod
    def of(each: Array) -> Correction:
        """From the terms of each lattice (8, k, …)."""
        return Correction(each.mean(axis=0), each.sum(axis=1).std(axis=0, ddof=1) / len(each) ** 0.5)


@dataclass(frozen=True, eq=False)
class Corrected:
    """The first order of the posterior mean and variance at new rows (m,)."""

    mean: Correction
    variance: Correction

    def times(self, amplitude: float) -> Corrected:
        """In the units of a field of that amplitude."""
        mean, variance = self.mean, self.variance
        return Corrected(
            Correction(amplitude**0.5 * mean.terms, amplitude**0.5 * mean.error),
            Correction(amplitude * variance.terms, amplitude * variance.error),
        )


@dataclass(frozen=True, eq=False)
class OneLoop:
    """A network conditioned on rows, in units of the amplitude of its propagator.

    Parameters
    ----------
    net, widths
        The network, and the units of each hidden layer.
    rows
        Inputs conditioned on (n, r).
    dual
        a = (K + N)⁻¹ y (n,).
    inverse
        A = (K + N)⁻¹ (n, n).

    References
    ----------
    Yaida, MSML 2020 (arXiv:1910.00019), sect. 3. Naveh, Ben David, Sompolinsky & Ringel, Phys. Rev. E 104 (2021) 064301
    (arXiv:2004.01190).
    """

    net: NNGP
    widths: tuple[int, ...]
    rows: Array
    dual: Array
    inverse: Array

    def evidence(self) -> tuple[Correction, float]:
        """First order of ln Z, and √⟨(½ aᵀδa − ½ tr Aδ)²⟩, the deviation of ln p(y) over networks.

        The latter is what the series is an expansion in: beyond 1, rows tell networks apart, and few of those at
        initialisation are left.
        """
        each, spread = np.zeros((SHIFTS, 4)), 0.0
        finite = FiniteWidth(self.net, self.widths, self.rows, self.rows[:0])
        for shift in range(SHIFTS):
            for some in finite.deviations(shift):
                each[shift] += self._evidence(some)
                source, loop = self._closed(some)
                spread += 0.25 * float(((source - loop) ** 2).sum()) / SHIFTS
        return Correction.of(each), spread**0.5

    def at(self, new: Array, seen: Array) -> Corrected:
        """First order of mean and variance at inputs ``new`` (m, r), of which k(new, rows) (m, n) is ``seen``."""
        each = np.zeros((2, SHIFTS, 3, len(new)))
        for first in range(0, len(new), NEW_ROWS):
            some = slice(first, first + NEW_ROWS)
            finite, weights = FiniteWidth(self.net, self.widths, self.rows, new[some]), seen[some] @ self.inverse
            for shift in range(SHIFTS):
                for drawn in finite.deviations(shift):
                    mean, variance = self._moved(drawn, weights)
                    each[0, shift, :, some] += mean
                    each[1, shift, :, some] += variance
        return Corrected(Correction.of(each[0]), Correction.of(each[1]))

    def _closed(self, some: Deviations) -> tuple[Array, Array]:
        """aᵀδa and tr Aδ of each draw (s,)."""
        known = some.cross[:, : len(self.rows)]
        return known @ self.dual @ self.dual, np.einsum("sij,ij->s", known, self.inverse)

    def _evidence(self, some: Deviations) -> Array:
        a, inverse, known = self.dual, self.inverse, some.cross[:, : len(self.rows)]
        source, loop = self._closed(some)
        pulled = known @ a
        turned = known @ inverse
        twice = np.einsum("sij,sji->", turned, turned)
        shifted = 0.5 * (a @ some.shift_cross @ a - np.einsum("ij,ij->", some.shift_cross, inverse))
        one = -0.25 * source @ loop - 0.5 * np.einsum("si,ij,sj->", pulled, inverse, pulled, optimize=True)
        return np.array([shifted, 0.125 * source @ source, one, 0.125 * loop @ loop + 0.25 * twice])

    def _moved(self, some: Deviations, weights: Array) -> tuple[Array, Array]:
        """Terms (3, m) of mean and variance at new rows, k(new, rows) A being ``weights``."""
        n, a, inverse = len(self.rows), self.dual, self.inverse
        known, cross, own = some.cross[:, :n], some.cross[:, n:], some.own[:, n:]
        source, loop = self._closed(some)
        pulled = known @ a
        across = cross - weights @ known
        mean = cross @ a - pulled @ weights.T
        spread = own - np.einsum("smn,mn->sm", cross + across, weights)
        shift, shift_own = some.shift_cross[n:] - weights @ some.shift_cross[:n], some.shift_own[n:]
        shift_spread = shift_own - np.einsum("mn,mn->m", some.shift_cross[n:] + shift, weights)
        mean_loop = -0.5 * loop @ mean - np.einsum("smn,sn->m", across, pulled @ inverse)
        turned = np.einsum("smn,smn->m", across @ inverse, across)
        return (
            np.array([shift @ a, 0.5 * source @ mean, mean_loop]),
            np.array([shift_spread, 0.5 * source @ spread + (mean**2).sum(axis=0), -0.5 * loop @ spread - turned]),
        )
