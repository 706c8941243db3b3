"""F = −h·s − ½ s·J·s of spins s = ±1, as an object to differentiate: Z by counting states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError, ResourceError
from cumulant.measure.cumulants import central, cumulant
from cumulant.theory.partition import PartitionFunction, source_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SpinAction"]

# Spins that hang together, whose 2ⁿ states are counted: a tenth of a gigabyte.
MOST_TOGETHER = 20


@dataclass(frozen=True, eq=False)
class SpinAction:
    """The Ising model of named columns.

    Parameters
    ----------
    columns
        Names of the spins (n,).
    fields
        h (n,).
    couplings
        J (n, n), symmetric; its diagonal is not used, since s² = 1.

    Raises
    ------
    OptionError
        Shapes do not fit, or J is not symmetric.

    Examples
    --------
    Two spins that agree, e^J : e^−J:

    >>> import numpy as np
    >>> pair = SpinAction(("a", "b"), np.zeros(2), np.array([[0.0, 0.5], [0.5, 0.0]]))
    >>> Z = pair.Z()
    >>> bool(np.isclose(Z.cumulant(2)[0, 1], np.tanh(0.5))), bool(np.isclose(float(Z), 4 * np.cosh(0.5)))
    (True, True)
    """

    columns: tuple[str, ...]
    fields: Array
    couplings: Array

    def __post_init__(self) -> None:
        n = len(self.columns)
        if np.shape(self.fields) != (n,) or np.shape(self.couplings) != (n, n):
            raise OptionError(f"fields= and couplings= of {n} spins have shapes ({n},) and ({n}, {n})")
        if not np.allclose(self.couplings, np.transpose(self.couplings)):
            raise OptionError("couplings= must be symmetric: J_ij ties spin i to spin j as much as j to i")

    def free_energy(self, spins: Array) -> Array:
        """F of configurations of ±1 (…, n)."""
        s = np.asarray(spins, dtype=np.float64)
        J = self.couplings - np.diag(np.diag(self.couplings))
        return np.asarray(-s @ self.fields - 0.5 * np.einsum("...i,ij,...j->...", s, J, s))

    def Z(self, source: Mapping[str, float] | None = None) -> PartitionFunction:
        """Σ exp(−F(s) + J·s) over all states, at a source by spin, which adds to h; and the cumulants there.

        Spins that no coupling joins are counted apart: Z factorises.

        Raises
        ------
        ResourceError
            More than 20 spins hang together.
        """
        j = source_of(self.columns, source or {})
        parts = [(at, *self._counted(at, j)) for at in self._clusters()]
        n = len(self.columns)

        @cache
        def derivatives(order: int) -> tuple[Array, ...]:
            out = np.zeros((n,) * order)
            for at, _, s, p in parts:
                out[np.ix_(*[at] * order)] = _cumulant(s, p, order)
            return (out,)

        W = float(sum(log for _, log, _, _ in parts))
        return PartitionFunction(self.columns, j, "enumeration", (W,), None, derivatives)

    def _clusters(self) -> list[NDArray[np.int64]]:
        from scipy.sparse.csgraph import connected_components

        number, label = connected_components(self.couplings != 0, directed=False)
        return [np.flatnonzero(label == i) for i in range(number)]

    def _counted(self, at: NDArray[np.int64], j: Array) -> tuple[float, Array, Array]:
        """ln Z of some spins, their states (2ⁿ, n) and the probability of each."""
        if len(at) > MOST_TOGETHER:
            raise ResourceError(
                f"{len(at)} spins hang together, and 2^{len(at)} states are too many to count; up to {MOST_TOGETHER} "
                "can be: leave weak couplings out"
            )
        bits = np.arange(1 << len(at))[:, None] >> np.arange(len(at)) & 1
        s = np.asarray(2.0 * bits - 1.0, dtype=np.float64)
        ours = SpinAction(
            tuple(self.columns[i] for i in at), self.fields[at] + j[at], np.asarray(self.couplings)[np.ix_(at, at)]
        )
        exponent = -ours.free_energy(s)
        log = float(np.logaddexp.reduce(exponent))
        return log, s, np.asarray(np.exp(exponent - log), dtype=np.float64)


def _cumulant(s: Array, p: Array, order: int) -> Array:
    """From the states' moments (homogeneous coordinates, which a mean of one field has too)."""
    n = s.shape[1]
    if order == 1:
        return np.asarray(p @ s)
    z = np.column_stack([np.ones(len(s)), s])
    moments = np.empty((n + 1,) * order)
    for index in product(range(n + 1), repeat=order):
        if list(index) == sorted(index):
            value = p @ z[:, index].prod(axis=1)
            moments[index] = value
    for index in product(range(n + 1), repeat=order):
        moments[index] = moments[tuple(sorted(index))]
    return cumulant(central(moments))
