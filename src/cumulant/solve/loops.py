"""Couplings from cumulants, and cumulants from couplings, by Feynman diagrams: perturbation theory both ways.

About the mean the effective action Γ is F plus its loops. Its derivatives follow from measured cumulants by cutting
legs off (tree level), and F follows from Γ by taking the loops back, L substitutions for L loops:

    F_n = Γ_n + Σ (one-particle irreducible diagrams of n legs and 1 … L loops, made of F).

Nothing is iterated to convergence. The series is asymptotic, so each answer carries the size of its last term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cumulant.diagrams import symmetric_total, up_to_labels
from cumulant.diagrams.enumerate import Channel, Kind
from cumulant.errors import DataError, OptionError
from cumulant.theory.polynomial import LOOPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Tensors = dict[int, Array]

__all__ = ["LoopExpansion", "couplings_from_cumulants", "cumulants_from_couplings", "vertices"]

# Interactions of F are kept to this degree, which fourth cumulants determine.
DEGREE = 4


@dataclass(frozen=True, eq=False)
class LoopExpansion:
    """Taylor coefficients of F about the mean, order by order in loops.

    Parameters
    ----------
    couplings
        F_i, F_ij, F_ijk, F_ijkl by degree: symmetric tensors (p,)*degree, in inverse units of the fields.
    terms
        Largest dimensionless change of a coupling by each order of loops, (L + 1,): the tree-level interactions, then
        what each loop added. Dimensionless is F_{i…j} times the standard deviation of each of its fields.
    """

    couplings: Tensors
    terms: tuple[float, ...]

    @property
    def last_term(self) -> float:
        """Size of what the last order of loops added."""
        return self.terms[-1]

    @property
    def trustworthy(self) -> bool:
        """Whether the terms become smaller and F is bounded below in every field; otherwise solve in another way."""
        return self.obstacle is None

    @property
    def obstacle(self) -> str | None:
        """Why the series must not be used; None if nothing speaks against it."""
        quartic = np.einsum("iiii->i", self.couplings[DEGREE])
        cubic = np.einsum("iii->i", self.couplings[3])
        if not ((quartic > 0) | ((quartic == 0) & (cubic == 0))).all():
            return "F would fall for ever along a field"
        if np.linalg.eigvalsh(self.couplings[2])[0] <= 0:
            return "F would not be a minimum at second order"
        if self.last_term >= 1 or any(b > a for a, b in pairwise(self.terms)):
            return f"the terms of the series do not become small ({', '.join(f'{term:.2g}' for term in self.terms)})"
        return None


def vertices(cumulants: Mapping[int, Array]) -> Tensors:
    """Derivatives Γ_2, Γ_3, Γ_4 of the effective action at the mean: the legs of connected functions cut off.

    Γ_ij = K_ij; Γ_ijk = −K K K κ_ijk; Γ_ijkl = −K K K K κ_ijkl + Γ_ijm G_mn Γ_nkl + 2 other channels.

    Parameters
    ----------
    cumulants
        κ_2, κ_3 and κ_4 by order, full symmetric tensors.

    References
    ----------
    Zinn-Justin, Quantum Field Theory and Critical Phenomena (Oxford, 2002), section 7.1 (Legendre transformation).
    """
    g = cumulants[2]
    try:
        k = np.asarray(np.linalg.inv(g), dtype=np.float64)
        np.linalg.cholesky(g)
    except np.linalg.LinAlgError as error:
        raise DataError(
            "the covariance is singular, so propagators have no inverse; leave out constant and duplicate columns"
        ) from error
    third = -_on_each_axis(k, cumulants[3])
    exchange = np.einsum("ijm,mn,nkl->ijkl", third, g, third, optimize=True)
    channels = exchange + exchange.transpose(0, 2, 1, 3) + exchange.transpose(0, 3, 2, 1)
    return {2: k, 3: third, 4: -_on_each_axis(k, cumulants[4]) + channels}


def couplings_from_cumulants(cumulants: Mapping[int, Array], loops: int = 1) -> LoopExpansion:
    """Couplings of F about the mean, with L loops taken back.

    Parameters
    ----------
    cumulants
        κ_2, κ_3, κ_4 by order: (p, p), (p, p, p), (p, p, p, p).
    loops
        L, 0 (tree level) to 2. What is neglected is of order L + 1 in the loops.

    Returns
    -------
    LoopExpansion
        F_1 … F_4; F_1 is the force that the loops balance, since the mean is no minimum of F.

    Raises
    ------
    OptionError
        ``loops`` is out of range.
    DataError
        The covariance is singular.

    Examples
    --------
    A weakly coupled field, F = ½φ² + 0.1 φ⁴/4!, from its exact cumulants:

    >>> k = {2: 0.955576630, 3: 0.0, 4: -0.073977855}
    >>> k = {n: np.full((1,) * n, value) for n, value in k.items()}
    >>> [round(couplings_from_cumulants(k, loops=n).couplings[4].item(), 3) for n in (0, 1, 2)]
    [0.089, 0.1, 0.1]
    """
    _check(loops)
    gamma = vertices(cumulants)
    sd = np.sqrt(np.diag(cumulants[2]))
    p = len(sd)
    history: list[Tensors] = [{1: np.zeros(p), **gamma}]
    for order in range(1, loops + 1):
        f = {1: np.zeros(p), **{n: gamma[n].copy() for n in gamma}}
        for loop in range(1, order + 1):
            # Loops made of couplings that are right to one order less each: consistent to `order`, and no further.
            source = history[order - loop]
            for n in range(1, DEGREE + 1):
                f[n] += _one_particle_irreducible(n, loop, source)
        history.append(f)
    interactions = max(_size(history[0][n], sd) for n in (3, 4))
    changes = [max(_size(b[n] - a[n], sd) for n in range(1, DEGREE + 1)) for a, b in pairwise(history)]
    return LoopExpansion(history[-1], (interactions, *changes))


def cumulants_from_couplings(couplings: Mapping[int, Array], order: int, loops: int = 1) -> Array:
    """The ``order``-th cumulant of an interacting F about a minimum, to a number of loops.

    Parameters
    ----------
    couplings
        F_2, F_3, F_4 by degree at a point where F_1 = 0.
    order
        Number of legs, 1 to 4. For 1: how far the mean lies from the minimum.
    loops
        Highest number of loops.
    """
    _check(loops)
    g = np.asarray(np.linalg.inv(couplings[2]), dtype=np.float64)
    found = [d for loop in range(loops + 1) for d in _channels(order, loop, "connected")]
    return symmetric_total(found, g, couplings)


def _check(loops: int) -> None:
    if loops not in LOOPS:
        raise OptionError(f"loops={loops!r}: choose 0 (tree level) to {LOOPS[-1]}")


def _one_particle_irreducible(legs: int, loops: int, couplings: Mapping[int, Array]) -> Array:
    g = np.asarray(np.linalg.inv(couplings[2]), dtype=np.float64)
    return symmetric_total(_channels(legs, loops, "1PI"), g, couplings, amputated=True)


@lru_cache(maxsize=64)
def _channels(legs: int, loops: int, kind: Kind) -> tuple[Channel, ...]:
    return up_to_labels(legs, [3, 4], loops, kind)


def _on_each_axis(matrix: Array, tensor: Array) -> Array:
    for _ in range(tensor.ndim):
        tensor = np.tensordot(tensor, matrix, axes=(0, 0))
    return tensor


def _size(tensor: Array, sd: Array) -> float:
    for axis in range(tensor.ndim):
        tensor = np.moveaxis(np.moveaxis(tensor, axis, -1) * sd, -1, axis)
    return float(np.abs(tensor).max(initial=0.0))
