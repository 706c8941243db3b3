"""The scales on which inputs are compared: a monotone change of variable of each, chosen before the target is seen.

A propagator knows distances alone. Of an input that is skewed most rows are near each other and a few are far from
all: a field interpolates the many coarsely, and is a straight line through the few. On the scale on which an input is
the most Gaussian rows are as far apart as they are rare (Box & Cox, J. R. Stat. Soc. B 26 (1964) 211).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.field.scale import bent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Bend"]

# The ladder of powers (Tukey 1977), from the reciprocal to the square; an input of fewer values has no scale.
POWERS, FEWEST_VALUES = np.linspace(-1.0, 2.0, 13), 3
# Inputs that are correlated with themselves by more than this stay as they are.
ALIKE = 0.99


@dataclass(frozen=True, eq=False)
class Bend:
    """(g((x − least)/unit) − shift)/width of each input, with g Yeo & Johnson's power, the identity at 1.

    Parameters
    ----------
    least, unit, power, shift, width
        Of each input (p,).
    """

    least: Array
    unit: Array
    power: Array
    shift: Array
    width: Array

    @staticmethod
    def of(x: Array) -> Bend | None:
        """The scales that make inputs (n, p) of mean 0 and variance 1 the most Gaussian; None if they are already."""
        each = [_scale(column) for column in x.T]
        if all(one is None for one in each):
            return None
        return Bend(*np.array([(0.0, 1.0, 1.0, 0.0, 1.0) if one is None else one for one in each]).T)

    def __call__(self, x: Array) -> Array:
        """Inputs (n, p) on their scales."""
        return np.asarray((bent((x - self.least) / self.unit, self.power) - self.shift) / self.width)

    def to_state(self) -> Array:
        """The numbers that determine it (5, p)."""
        return np.array([self.least, self.unit, self.power, self.shift, self.width])

    @staticmethod
    def from_state(state: Array) -> Bend:
        """The scales that `to_state` described."""
        return Bend(*state)


def _scale(x: Array) -> tuple[float, float, float, float, float] | None:
    """Least, unit, power, shift and width of one input (n,); None where it would stay much as it is."""
    least, unit = float(x.min()), float(np.median(np.abs(x - np.median(x)))) or float(x.std())
    if len(np.unique(x)) < FEWEST_VALUES:
        return None
    u = (x - least) / unit
    slope = float(np.log1p(u).mean())
    powers = [(-np.log(bent(u, power).std()) + (power - 1) * slope, power) for power in POWERS]
    power = max(powers)[1]
    g = bent(u, power)
    if not g.std() > 0 or np.corrcoef(g, x)[0, 1] > ALIKE:
        return None
    return least, unit, power, float(g.mean()), float(g.std())
