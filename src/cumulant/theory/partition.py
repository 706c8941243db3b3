"""Z(J) = ∫ dφ exp(−F(φ) + J·φ) of any theory: its logarithm W, and the cumulants that are W's derivatives.

A Gaussian is done by completing the square, up to three interacting fields on a grid, spins by counting states, and all
else by diagrams about the classical point: W is the tree −F(φ_c) + J·φ_c, one loop ½ ln det 2πG, and the connected
diagrams without legs beyond; a cumulant is the connected diagrams with its legs. That series is asymptotic, so each
answer carries the size of its last term, and is refused where it must not be used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import CumulantWarning, DataError, OptionError
from cumulant.lift.schema import unknown_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.polynomial_action import PolynomialAction

    Array = NDArray[np.float64]

__all__ = ["MOST_LOOPS", "PartitionFunction", "partition_function", "source_of"]

METHODS = ("auto", "quadrature", "series")
MOST_LOOPS = 4


@dataclass(frozen=True, eq=False)
class PartitionFunction:
    """Z at one source J, and the derivatives of W = ln Z there.

    Parameters
    ----------
    columns
        Names of the fields (p,).
    source
        J (p,), in inverse units of the fields.
    method
        How it was found: ``"completing the square"``, ``"quadrature"``, ``"enumeration"``, or ``"series"``.
    terms
        W, as what each order of loops adds (L + 1,); one number where it is exact.
    obstacle
        Why the series must not be used; None if nothing speaks against it.
    derivatives
        ∂ⁿW/∂Jⁿ by n, as what each order of loops adds: arrays (p,) * n.
    """

    columns: tuple[str, ...]
    source: Array
    method: str
    terms: tuple[float, ...]
    obstacle: str | None
    derivatives: Callable[[int], Sequence[Array]]

    @property
    def W(self) -> float:
        """ln Z(J)."""
        return float(sum(self.terms))

    def __float__(self) -> float:
        """Z(J); infinite where it exceeds the largest float64 (its logarithm never does)."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.W))

    @property
    def exact(self) -> bool:
        """Whether it is no series, or one that ends."""
        return self.method != "series"

    def cumulant(self, order: int) -> Array:
        """∂ⁿW/∂Jⁿ at the source, (p,) * n: at J = 0 the mean, the covariance, κ₃ and so on.

        Raises
        ------
        OptionError
            ``order`` is below 1.
        """
        return np.asarray(sum(self._parts(order)))

    def last_term(self, order: int = 0) -> float:
        """Size of what the last order of loops added to W (order 0), or to a cumulant; 0 where it is exact."""
        if self.exact:
            return 0.0
        return abs(self.terms[-1]) if order == 0 else float(np.abs(self._parts(order)[-1]).max())

    def _parts(self, order: int) -> Sequence[Array]:
        if order < 1:
            raise OptionError(f"order={order!r}: cumulants begin at order 1; W itself is .W")
        return self.derivatives(order)

    def __repr__(self) -> str:
        at = ", ".join(f"{name}: {j:g}" for name, j in zip(self.columns, self.source, strict=True) if j)
        how = self.method if self.exact else f"series to {len(self.terms) - 1} loops, last term {self.last_term():.2g}"
        wrong = "" if self.obstacle is None else f"; not to be used: {self.obstacle}"
        return f"PartitionFunction(ln Z = {self.W:.6g} at J = {{{at}}}, by {how}{wrong})"


def source_of(columns: Sequence[str], source: Mapping[str, float]) -> Array:
    """J (p,) from its values by name."""
    for name in source:
        if name not in columns:
            raise unknown_column(name, columns)
    return np.array([float(source.get(name, 0.0)) for name in columns])


def partition_function(
    action: PolynomialAction, source: Mapping[str, float], method: str, loops: int
) -> PartitionFunction:
    """Z of a polynomial F: on a grid where there is one, by diagrams elsewhere."""
    from cumulant.theory.quadrature import MOST_FIELDS, by_quadrature
    from cumulant.theory.saddle import by_series

    if method not in METHODS:
        raise OptionError(f"method={method!r}: choose {', '.join(map(repr, METHODS))}")
    if loops not in range(MOST_LOOPS + 1):
        raise OptionError(f"loops={loops!r}: choose 0 (tree level) to {MOST_LOOPS}")
    j = source_of(action.columns, source)
    p = len(action.columns)
    if method == "quadrature" or (method == "auto" and p <= MOST_FIELDS):
        return by_quadrature(action, j)
    if action.bounds is not None:
        raise OptionError(
            f"a series knows no ends of a field, and a grid takes up to {MOST_FIELDS} fields, not {p}: fix some, or "
            "draw from F with model.sample()"
        )
    found = by_series(action, j, loops)
    if found.obstacle is None:
        return found
    remedy = "model.sample() draws from any F"
    if method == "auto":
        raise DataError(f"the series of ln Z must not be used: {found.obstacle}; {remedy}")
    warnings.warn(f"the series of ln Z must not be used: {found.obstacle}; {remedy}", CumulantWarning, stacklevel=3)
    return found
