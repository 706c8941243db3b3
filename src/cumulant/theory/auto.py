"""A ladder of theories of one target: order 2 first, richer ones while held-out likelihood pays for them."""

from __future__ import annotations

from dataclasses import dataclass

from cumulant.errors import OptionError
from cumulant.measure.requirement import HIGHEST, Requirement
from cumulant.theory.fluctuation import ROWS
from cumulant.theory.taylor import AFFORDABLE

__all__ = ["Auto"]

# Products of fields that are summed in a second, as a modest machine does, and the share of the time they may take.
PRODUCTS_PER_SECOND, SHARE = 5e9, 0.25
# Rows of a table whose number is not known beforehand.
SUPPOSED_ROWS = 1_000_000


@dataclass(frozen=True)
class Auto:
    """What ``theory="auto"`` means where it was given time: the theory that held-out rows are most likely under.

    Order 2, then Taylor orders, fluctuations about their mean, and a field on function space are tried in turn, each
    where the time that is left allows it.

    Parameters
    ----------
    seconds
        Time for measuring what richer theories require, and for trying them.
    rows
        Rows of the table, where known: of how many the moments of higher order are taken decides which are affordable.

    Raises
    ------
    OptionError
        The time is not positive.
    """

    seconds: float = 10.0
    rows: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.seconds, bool) or not self.seconds > 0:
            raise OptionError(f"budget={self.seconds!r}: give a number of seconds above 0, or None for order 2 alone")

    def requires(self) -> Requirement:
        """Moments to the order that the time allows, and rows."""
        rows = SUPPOSED_ROWS if self.rows is None else self.rows
        within = int(SHARE * self.seconds * PRODUCTS_PER_SECOND / max(rows, 1))
        return Requirement(order=HIGHEST, within=min(within, AFFORDABLE), rows=ROWS)
