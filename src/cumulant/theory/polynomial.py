"""F as a polynomial of the fields beyond second order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

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
    bounds
        Where columns end, as ``{"price": (0, None)}``, None for an end that there is not: the law is 0 beyond. Order 2
        then is a truncated Gaussian, or an exponential. Each end of a column takes moments of one order more.

    Raises
    ------
    OptionError
        The order or the number of loops is another; bounds are none, or are given for diagrams.

    Examples
    --------
    >>> Polynomial(4).requires(), Polynomial(4, loops=1).requires()
    (Requirement(order=6), Requirement(order=4))
    >>> Polynomial(2, bounds={"share": (0, 1)}).requires()
    Requirement(order=4)
    """

    order: int = 4
    loops: int | None = None
    bounds: Mapping[str, Sequence[float | None]] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if self.order not in (2, 4):
            raise OptionError(f"order={self.order!r}: choose 2 or 4; F must grow in every direction")
        if self.loops is not None and self.loops not in LOOPS:
            raise OptionError(f"loops={self.loops!r}: choose 0 (tree level), 1, 2, or None (Schwinger–Dyson)")
        if self.bounds and self.loops is not None:
            raise OptionError(f"loops={self.loops!r}: diagrams know no ends of a column; leave bounds= or loops= out")
        for name, (low, high) in self.ends.items():
            if not low < high:
                raise OptionError(
                    f"bounds={{{name!r}: ({low:g}, {high:g})}}: the lower end must be below the upper one"
                )

    @property
    def ends(self) -> dict[str, tuple[float, float]]:
        """Lower and upper end of each column of ``bounds``, infinite where there is none."""
        out = {}
        for name, given in (self.bounds or {}).items():
            try:
                low, high = given
                out[name] = (-inf if low is None else float(low)), (inf if high is None else float(high))
            except (TypeError, ValueError) as error:
                raise OptionError(
                    f"bounds={{{name!r}: {given!r}}}: give a lower and an upper end, as (0, None) or (0, 1)"
                ) from error
        return out

    def requires(self) -> Requirement:
        """Moments of order 2(k − 1), to where the Schwinger–Dyson equations hold; of order k for diagrams."""
        if self.loops is not None:
            return Requirement(order=self.order)
        walls = max((sum(map(isfinite, ends)) for ends in self.ends.values()), default=0)
        return Requirement(order=2 * (self.order - 1) + walls)
