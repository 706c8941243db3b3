"""Zero-dimensional theories: the distribution of one fluctuation z of about unit size.

Gaussian, F = ½z²; quartic, F = f₁ z + ½f₂ z² + f₃ z³/6 + f₄ z⁴/24 with f₄ > 0; and a heavy tail,
F = ½(ν + 1) ln(1 + z²/ν), whose Taylor series has f₄ < 0: an inverse temperature that fluctuates. What is left of each
may be put right by moments of its ranks.
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

__all__ = ["Quartic", "Shape", "StudentT", "Tilted", "candidates", "from_state"]

DEGREES = (2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0)
REACH, POINTS = 12.0, 4801
# At a million degrees of freedom nothing tells a Student t from a Gaussian.
MOST_DEGREES = 1e6
# Steps towards a scale at most, and the relative change that ends them.
SCALE_STEPS, SETTLED = 50, 1e-9
# Moments of the ranks that put a shape right, nodes between which the tilt is linear, and the least that it may be.
TILTS, RANKS, RAREST = 10, 513, 0.05
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


@dataclass(frozen=True)
class Tilted:
    """p(z) = p₀(z) g(F₀(z)): another shape, with the density of its ranks u = F₀(z) put right.

    g(u) = 1 + Σ a_k φ_k(u) with Legendre's orthonormal polynomials of 2u − 1, so that the a_k = ⟨φ_k(u)⟩ are moments of
    the ranks: 0, with errors of 1/√n, where the shape is right (Neyman, Skand. Aktuarietidskr. 20 (1937) 149).

    Parameters
    ----------
    base
        The other shape.
    moments
        a₁ … a_K.
    """

    base: StudentT | Quartic
    moments: tuple[float, ...]

    @staticmethod
    def fit(z: Array, base: StudentT | Quartic) -> Tilted:
        """Moments of the ranks, each less what its error is expected to add: a (1 − 1/na²), or 0."""
        a = np.array([float(term.mean()) for term in _legendre(base.cdf(z))])
        kept = np.maximum(0.0, 1 - 1 / np.maximum(len(z) * a**2, 1e-300))
        return Tilted(base, tuple((a * kept).tolist()))

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.base.name} with its ranks put right"

    @property
    def width(self) -> float:
        """That of the other shape."""
        return self.base.width

    @cached_property
    def sd(self) -> float:
        """Its standard deviation."""
        if not np.isfinite(self.base.sd):
            return float("inf")
        middle = (self._ranks[1:] + self._ranks[:-1]) / 2
        z, weight = self.base.quantile(middle), np.diff(self._cumulative)
        return float(np.sqrt(weight @ (z - weight @ z) ** 2))

    @cached_property
    def _ranks(self) -> Array:
        return np.linspace(0.0, 1.0, RANKS)

    @cached_property
    def _tilt(self) -> Array:
        tilt = 1 + sum(a * term for a, term in zip(self.moments, _legendre(self._ranks), strict=True))
        tilt = np.maximum(tilt, RAREST)
        return np.asarray(tilt / ((tilt[1:] + tilt[:-1]).sum() / 2 / (RANKS - 1)))

    @cached_property
    def _cumulative(self) -> Array:
        total = np.concatenate([[0.0], np.cumsum(self._tilt[1:] + self._tilt[:-1])])
        return total / total[-1]

    def log_density(self, z: Array) -> Array:
        """ln p(z)."""
        return self.base.log_density(z) + np.log(np.interp(self.base.cdf(z), self._ranks, self._tilt))

    def cdf(self, z: Array) -> Array:
        """Probability of at most z."""
        return np.interp(self.base.cdf(z), self._ranks, self._cumulative)

    def quantile(self, probability: float | Array) -> Array:
        """Value that is exceeded with probability 1 − ``probability``."""
        return self.base.quantile(np.interp(probability, self._cumulative, self._ranks))

    def state(self) -> list[float]:
        """The numbers that determine it."""
        return [*self.base.state(), *self.moments]


def _legendre(u: Array) -> list[Array]:
    """Orthonormal polynomials of degree 1 … TILTS on (0, 1)."""
    terms = np.polynomial.legendre.legvander(2 * u - 1, TILTS)
    return [np.sqrt(2 * k + 1) * terms[..., k] for k in range(1, TILTS + 1)]


Shape = StudentT | Quartic | Tilted


def candidates(z: Array, kind: str) -> dict[str, StudentT | Quartic]:
    """Shapes of a kind, fitted to z (n,), each by a name that the same shape has for other rows."""
    out: dict[str, StudentT | Quartic] = {}
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
    if len(state) > 4:
        return Tilted(_untilted(state[:-TILTS]), tuple(state[-TILTS:]))
    return _untilted(state)


def _untilted(state: list[float]) -> StudentT | Quartic:
    if len(state) == 2:
        return StudentT(np.inf if state[0] >= MOST_DEGREES else state[0], state[1])
    f1, f2, f3, f4 = state
    return Quartic((f1, f2, f3, f4))
