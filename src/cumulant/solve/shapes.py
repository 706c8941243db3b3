"""Zero-dimensional theories: the distribution of one fluctuation z of about unit size.

Gaussian, F = ½z²; quartic, F = f₁ z + ½f₂ z² + f₃ z³/6 + f₄ z⁴/24 with f₄ > 0; and a heavy tail,
F = ½(ν + 1) ln(1 + z²/ν), whose Taylor series has f₄ < 0: an inverse temperature that fluctuates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve import student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Quartic", "Shape", "StudentT", "candidates", "from_state"]

DEGREES = (2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0)
REACH, POINTS = 12.0, 4801
# At a million degrees of freedom nothing tells a Student t from a Gaussian.
MOST_DEGREES = 1e6
# Steps towards a scale at most, and the relative change that ends them.
SCALE_STEPS, SETTLED = 50, 1e-9
# The equations of four couplings contain the sixth moment.
FEWEST_ROWS = 50


@dataclass(frozen=True)
class StudentT:
    """z = scale · t with ν degrees of freedom: a Gaussian whose strength fluctuates.

    Parameters
    ----------
    degrees
        ν; infinite for a Gaussian.
    scale
        Width.
    """

    degrees: float
    scale: float

    @staticmethod
    def fit(z: Array, degrees: float) -> StudentT:
        """The scale of highest likelihood: rows far out count for less (Lange, Little & Taylor, JASA 84 (1989) 881)."""
        return StudentT.each(z, (degrees,))[0]

    @staticmethod
    def each(z: Array, degrees: Sequence[float]) -> list[StudentT]:
        """As `fit`, for several degrees of freedom at once."""
        own = z**2
        square = np.full(len(degrees), float(own.mean()) or 1.0)
        nu = np.minimum(degrees, MOST_DEGREES)
        for _ in range(SCALE_STEPS):
            seen = 1 / (own / square[:, None] + nu[:, None])
            new = np.where(np.isfinite(degrees), (nu + 1) * (seen @ own) / len(z), square)
            new = np.where(new > 0, new, square)
            far, square = float(np.abs(new / square - 1).max()), new
            if far < SETTLED:
                break
        return [StudentT(nu, float(width)) for nu, width in zip(degrees, np.sqrt(square), strict=True)]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"heavy-tailed (Student t, ν = {self.degrees:g})" if np.isfinite(self.degrees) else "Gaussian"

    @property
    def width(self) -> float:
        """Its scale."""
        return self.scale

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return self.scale * float(np.sqrt(self._nu / (self._nu - 2))) if self._nu > 2 else float("inf")

    @property
    def _nu(self) -> float:
        return min(self.degrees, MOST_DEGREES)

    def log_density(self, z: Array) -> Array:
        """ln p(z)."""
        return student.log_density(z / self.scale, self._nu) - np.log(self.scale)

    def cdf(self, z: Array) -> Array:
        """Probability of at most z."""
        return student.cdf(z / self.scale, self._nu)

    def quantile(self, probability: float | Array) -> Array:
        """Value that is exceeded with probability 1 − ``probability``."""
        return self.scale * student.quantile(probability, self._nu)

    def state(self) -> list[float]:
        """The numbers that determine it."""
        return [self._nu, self.scale]


@dataclass(frozen=True)
class Quartic:
    """exp(−F(z))/Z with F = f₁ z + ½f₂ z² + f₃ z³/6 + f₄ z⁴/24, f₄ > 0; exact, by quadrature.

    Parameters
    ----------
    couplings
        f₁ … f₄.
    """

    couplings: tuple[float, float, float, float]

    @staticmethod
    def fit(z: Array) -> Quartic | None:
        """The Schwinger–Dyson equations of one field, one linear solve; None where they ask for f₄ ≤ 0.

        For T_a = zᵃ/a!, A_ab = ⟨T_a′ T_b′⟩ and b_a = ⟨T_a″⟩ (Hyvärinen, J. Mach. Learn. Res. 6 (2005) 695).
        """
        if len(z) < FEWEST_ROWS:
            return None
        slope = np.vstack([np.ones_like(z), z, z**2 / 2, z**3 / 6])
        curvature = np.array([0.0, 1.0, float(np.mean(z)), float(np.mean(z**2 / 2))])
        f = np.linalg.lstsq(slope @ slope.T / max(len(z), 1), curvature, rcond=None)[0]
        found = Quartic((float(f[0]), float(f[1]), float(f[2]), float(f[3])))
        return found if f[3] > 0 and found.contained else None

    @property
    def name(self) -> str:
        """What it is called."""
        peaks = "two peaks" if self.couplings[1] < 0 else "light tails"
        return f"quartic ({peaks})"

    @property
    def contained(self) -> bool:
        """Whether the density has died away at the ends of the grid."""
        return bool(self._density[[0, -1]].max() < 1e-6 * self._density.max())

    @property
    def width(self) -> float:
        """Its standard deviation."""
        p = self._density / self._density.sum()
        mean = p @ self._grid
        return float(np.sqrt(p @ (self._grid - mean) ** 2))

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return self.width

    @cached_property
    def _grid(self) -> Array:
        return np.linspace(-REACH, REACH, POINTS)

    def _energy(self, z: Array) -> Array:
        f1, f2, f3, f4 = self.couplings
        return z * (f1 + z * (f2 / 2 + z * (f3 / 6 + z * f4 / 24)))

    @cached_property
    def _density(self) -> Array:
        energy = self._energy(self._grid)
        return np.exp(energy.min() - energy)

    @cached_property
    def _log_z(self) -> float:
        step = self._grid[1] - self._grid[0]
        return float(np.log(self._density.sum() * step) - self._energy(self._grid).min())

    @cached_property
    def _cumulative(self) -> Array:
        total = np.concatenate([[0.0], np.cumsum(self._density[1:] + self._density[:-1])])
        return total / total[-1]

    def log_density(self, z: Array) -> Array:
        """ln p(z)."""
        return -self._energy(z) - self._log_z

    def cdf(self, z: Array) -> Array:
        """Probability of at most z."""
        return np.interp(z, self._grid, self._cumulative)

    def quantile(self, probability: float | Array) -> Array:
        """Value that is exceeded with probability 1 − ``probability``."""
        return np.asarray(np.interp(probability, self._cumulative, self._grid))

    def state(self) -> list[float]:
        """The numbers that determine it."""
        return list(self.couplings)


Shape = StudentT | Quartic


def candidates(z: Array, kind: str) -> dict[str, Shape]:
    """Shapes of a kind, fitted to z (n,), each by a name that the same shape has for other rows."""
    out: dict[str, Shape] = {}
    if kind in ("gaussian", "auto"):
        out["gaussian"] = StudentT.fit(z, np.inf)
    if kind in ("heavy", "auto"):
        out |= {f"heavy {shape.degrees:g}": shape for shape in StudentT.each(z, DEGREES)}
    if kind in ("quartic", "auto"):
        quartic = Quartic.fit(z)
        if quartic is not None:
            out["quartic"] = quartic
    # A quartic theory that does not exist for these rows leaves the Gaussian.
    return out or {"gaussian": StudentT.fit(z, np.inf)}


def from_state(state: list[float]) -> Shape:
    """The shape that `state` described."""
    if len(state) == 2:
        return StudentT(np.inf if state[0] >= 1e6 else state[0], state[1])
    f1, f2, f3, f4 = state
    return Quartic((f1, f2, f3, f4))
