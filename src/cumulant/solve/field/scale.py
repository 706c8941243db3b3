"""The scale on which a target is a Gaussian field: a monotone change of variable, z = T(y), of mean 0 and variance 1.

Smooth families of one parameter only: a scale that follows ranks would put its density on the values that happened to
be measured, and its likelihood would say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Scale", "bent", "scales"]

# Powers beyond those of the logarithm and of its mirror image have an end, at a finite z: a law on such a scale has no
# mean, and its tail no bound that rows could teach.
LEAST, MOST = 0.0, 2.0


@dataclass(frozen=True)
class Scale:
    """z = (g(y/unit) − shift)/width, with g Yeo & Johnson's power, the identity at 1, or the logarithm.

    Parameters
    ----------
    kind
        ``"identity"``, ``"log"`` or ``"power"``.
    power
        λ of Yeo & Johnson.
    unit
        What y is measured in, before the power is taken.
    shift, width
        Mean and standard deviation of g.
    """

    kind: str
    power: float
    unit: float
    shift: float
    width: float

    @staticmethod
    def of(y: Array, kind: str) -> Scale:
        """The scale of a kind that makes y (n,) the most Gaussian."""
        unit = float(np.median(np.abs(y - np.median(y)))) or float(y.std()) or 1.0
        power = 1.0
        if kind == "power":
            from scipy.stats import yeojohnson_normmax

            power = float(np.clip(yeojohnson_normmax(y / unit), LEAST, MOST))
        if kind == "log":
            unit = 1.0
        g = Scale(kind, power, unit, 0.0, 1.0).forward(y)
        return Scale(kind, power, unit, float(g.mean()), float(g.std()) or 1.0)

    @property
    def name(self) -> str:
        """What it is called."""
        return {"identity": "y", "log": "ln y", "power": f"y to the power {self.power:.2g} (Yeo–Johnson)"}[self.kind]

    def forward(self, y: Array) -> Array:
        """z of y; −∞ where a logarithm does not exist."""
        if self.kind == "identity":
            g = y / self.unit
        elif self.kind == "log":
            g = np.log(np.where(y > 0, y, 0.0), out=np.full(np.shape(y), -np.inf), where=np.asarray(y) > 0)
        else:
            g = bent(y / self.unit, self.power)
        return np.asarray((g - self.shift) / self.width)

    def inverse(self, z: Array) -> Array:
        """Y of z."""
        g = z * self.width + self.shift
        if self.kind == "identity":
            return np.asarray(g * self.unit)
        if self.kind == "log":
            return np.asarray(np.exp(np.minimum(g, 700.0)))
        return np.asarray(_unbent(g, self.power) * self.unit)

    def log_slope(self, y: Array) -> Array:
        """Ln dz/dy; −∞ where z is."""
        if self.kind == "identity":
            return np.full(np.shape(y), -np.log(self.width * self.unit))
        if self.kind == "log":
            safe = np.where(y > 0, y, 1.0)
            return np.where(y > 0, -np.log(safe * self.width), -np.inf)
        u = y / self.unit
        bent = np.where(u >= 0, self.power - 1, 1 - self.power) * np.log1p(np.abs(u))
        return np.asarray(bent - np.log(self.width * self.unit))


def scales(y: Array, kind: str) -> list[Scale]:
    """The scales to choose from."""
    kinds = ["identity"] if kind == "auto" else [kind]
    if kind == "auto":
        kinds += ["log"] if y.min() > 0 else []
        kinds += ["power"]
    return [Scale.of(y, each) for each in kinds]


def bent(u: Array, power: Array | float) -> Array:
    """Yeo & Johnson's power λ of u, which is 2 − λ and mirrored below 0."""
    size, power = np.log1p(np.abs(u)), np.where(u >= 0, power, 2 - power)
    firm = np.where(np.abs(power) > 1e-9, power, 1.0)
    g = np.where(firm == power, np.expm1(firm * size) / firm, size)
    return np.asarray(np.where(u >= 0, g, -g))


def _unbent(g: Array, power: float) -> Array:
    return np.where(g >= 0, _rooted(np.maximum(g, 0), power), -_rooted(np.maximum(-g, 0), 2 - power))


def _rooted(g: Array, power: float) -> Array:
    if abs(power) <= 1e-9:
        return np.expm1(np.minimum(g, 700.0))
    return np.asarray((1 + power * g) ** (1 / power) - 1)
