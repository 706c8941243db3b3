"""F quadratic in a target and of higher order in the other fields: a mean that bends."""

from __future__ import annotations

from dataclasses import dataclass

from cumulant.errors import OptionError
from cumulant.measure.requirement import HIGHEST, Requirement

__all__ = ["Taylor"]

# Products of fields that are summed without being asked for: some seconds of work for a million rows.
AFFORDABLE = 1 << 17


@dataclass(frozen=True)
class Taylor:
    """The Taylor series of F in a target y to second order, in the other fields x to ``order`` in all.

    F = ½ a (y − ȳ(x))² + …, where the mean field ȳ, the solution of ∂F/∂y = 0, is a polynomial of degree ``order`` − 1.
    Order 2 is linear regression; order 3 has the vertices y x x: curvature and interactions of pairs.

    Parameters
    ----------
    order
        2 to 6, or ``"auto"``: the one with the highest likelihood of held-out folds, of those that the number of fields
        leaves affordable.

    Raises
    ------
    OptionError
        The order is another.

    Notes
    -----
    The couplings follow from moments to order 2 (``order`` − 1) alone, those of the products of the polynomial's
    terms. So any field can be the target of one measurement.

    Examples
    --------
    >>> Taylor(3).requires()
    Requirement(order=4)
    """

    order: int | str = "auto"

    def __post_init__(self) -> None:
        highest = HIGHEST // 2 + 1
        if self.order != "auto" and self.order not in range(2, highest + 1):
            raise OptionError(f"order={self.order!r}: choose 2 to {highest}, or 'auto'")

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degrees of ȳ(x) to choose from."""
        return tuple(range(1, HIGHEST // 2 + 1)) if isinstance(self.order, str) else (self.order - 1,)

    def requires(self) -> Requirement:
        """Moments of order 2 (k − 1), and those of order 3 at least: they count whole rows, without gaps."""
        if isinstance(self.order, str):
            return Requirement(order=HIGHEST, within=AFFORDABLE)
        return Requirement(order=max(3, 2 * (self.order - 1)))
