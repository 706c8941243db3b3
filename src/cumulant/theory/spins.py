"""Fields of two values, s = ±1, with fields h on each and couplings J between pairs: F = −h·s − ½ s·J·s."""

from __future__ import annotations

from dataclasses import dataclass

from cumulant.errors import OptionError
from cumulant.measure.requirement import Requirement

__all__ = ["GRAPHS", "Spins"]

GRAPHS = ("full", "none", "tree", "chain", "ring", "star")


@dataclass(frozen=True)
class Spins:
    """The ansatz that maximum entropy gives for two-valued columns whose means and mean products are known.

    Parameters
    ----------
    graph
        Which pairs interact: ``"full"``, all; ``"none"``; ``"tree"``, the tree of largest mutual information;
        ``"chain"`` and ``"ring"``, neighbours in the order of the columns; ``"star"``, the first with each other.

    Raises
    ------
    OptionError
        There is no such graph.

    References
    ----------
    Nguyen, Zecchina & Berg, "Inverse statistical problems: from the inverse Ising problem to data science", Adv. Phys.
    66 (2017) 197.

    Examples
    --------
    >>> Spins("tree").requires()
    Requirement(order=2)
    """

    graph: str = "full"

    def __post_init__(self) -> None:
        if self.graph not in GRAPHS:
            raise OptionError(f"graph={self.graph!r}: choose one of {', '.join(map(repr, GRAPHS))}")

    def requires(self) -> Requirement:
        """Moments of order 2."""
        return Requirement(order=2)
