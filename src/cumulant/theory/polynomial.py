"""F as a polynomial of the fields beyond second order."""

from __future__ import annotations

from dataclasses import dataclass

from cumulant.errors import OptionError
from cumulant.measure.requirement import Requirement

__all__ = ["LOOPS", "Polynomial"]

LOOPS = (0, 1, 2)


@dataclass(frozen=True)
class Polynomial:
    """The ansatz that maximum entropy gives when moments up to an even order are known: F of that order.

    Parameters
    ----------
    order
        Highest power of the fields in F: 2 or 4. Even, so that F can grow in every direction; the equations of order 6
        would need moments to order 10.
    loops
        None: the couplings follow from the Schwinger–Dyson equations, at any strength. 0, 1 or 2: from the cumulants by
        diagrams of up to so many loops, for weak couplings only, from moments of order 4.

    Raises
    ------
    OptionError
        The order or the number of loops is another.

    Examples
    --------
    >>> Polynomial(4).requires(), Polynomial(4, loops=1).requires()
    (Requirement(order=6), Requirement(order=4))
    """

    order: int = 4
    loops: int | None = None

    def __post_init__(self) -> None:
        if self.order not in (2, 4):
            raise OptionError(f"order={self.order!r}: choose 2 or 4; F must grow in every direction")
        if self.loops is not None and self.loops not in LOOPS:
            raise OptionError(f"loops={self.loops!r}: choose 0 (tree level), 1, 2, or None (Schwinger–Dyson)")

    def requires(self) -> Requirement:
        """Moments of order 2(k − 1), to where the Schwinger–Dyson equations hold; of order k for diagrams."""
        return Requirement(order=2 * (self.order - 1) if self.loops is None else self.order)
