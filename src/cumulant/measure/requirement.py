"""What a theory needs to have been measured: said by the theory, read by `measure`, and by nobody in between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb
from typing import Any

from cumulant.errors import OptionError

__all__ = ["HIGHEST", "Requirement"]

HIGHEST = 10


@dataclass(frozen=True)
class Requirement:
    """What a theory needs to have been measured.

    Parameters
    ----------
    order
        Highest order of the moments, 2 to 10.
    target
        Column that the moments of highest order must contain; those of lower order are all kept, because a change of
        the reference point needs them. None: all moments.
    monomials
        Instead of all moments, these products of fields (by name, with repetition) and what divides them, which a
        change of the reference point needs.
    within
        Instead of ``order``, the highest even order below it with no more than so many products, which the number of
        fields decides.
    rows
        So many rows must be at hand too, of a larger table a sample. For what no moment tells.

    Raises
    ------
    OptionError
        The order is not one that can be measured, or a product has more factors than it.

    Examples
    --------
    >>> Requirement(order=3, target="price")
    Requirement(order=3, target='price')
    """

    order: int
    target: str | None = None
    monomials: tuple[tuple[str, ...], ...] | None = None
    within: int | None = None
    rows: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or self.order not in range(2, HIGHEST + 1):
            raise OptionError(f"order={self.order!r}: moments of order 2 to {HIGHEST} can be measured")
        for product in self.monomials or ():
            if len(product) > self.order:
                raise OptionError(f"the product {'·'.join(product)} has more than order={self.order} factors")

    def of(self, fields: int) -> Requirement:
        """What it comes to for a number of fields: an order that is settled."""
        if self.within is None:
            return self
        orders = range(self.order, 2, -2)
        fitting = (order for order in orders if comb(fields + order, order) <= self.within)
        return replace(self, order=next(fitting, 2), within=None)

    @staticmethod
    def from_dict(state: dict[str, Any]) -> Requirement:
        """The requirement that ``dataclasses.asdict`` described."""
        chosen = state["monomials"]
        products = None if chosen is None else tuple(tuple(product) for product in chosen)
        return Requirement(state["order"], state["target"], products, state.get("within"), state.get("rows", 0))

    def __repr__(self) -> str:
        target = "" if self.target is None else f", target={self.target!r}"
        chosen = "" if self.monomials is None else f", {len(self.monomials):,} monomials"
        within = "" if self.within is None else f", within={self.within:,}"
        rows = f", rows={self.rows:,}" if self.rows else ""
        return f"Requirement(order={self.order}{target}{chosen}{within}{rows})"
