"""F as a polynomial of the fields beyond second order."""

from __future__ import annotations

from dataclasses import dataclass

from cumulant.errors import OptionError
from cumulant.measure.requirement import Requirement

__all__ = ["Polynomial"]


@dataclass(frozen=True)
class Polynomial:
    """The ansatz that maximum entropy gives when moments up to an even order are known: F of that order.

    Parameters
    ----------
    order
        Highest power of the fields in F: 2 or 4. Even, so that F can grow in every direction; the equations of order 6
        would need moments to order 10.

    Raises
    ------
    OptionError
        The order is another.

    Examples
    --------
    >>> Polynomial(4).requires()
    Requirement(order=6)
    """

    order: int = 4

    def __post_init__(self) -> None:
        if self.order not in (2, 4):
            raise OptionError(f"order={self.order!r}: choose 2 or 4; F must grow in every direction")

    def requires(self) -> Requirement:
        """Moments of order 2(k − 1): the Schwinger–Dyson equations of an F of order k hold up to there."""
        return Requirement(order=2 * (self.order - 1))
