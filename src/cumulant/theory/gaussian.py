"""The free energy to second order, F = ½ (φ − μ)ᵀ K (φ − μ), and everything that follows from its source integral.

With a source J the integral Z[J] = ∫ dφ exp(−F(φ) + J·φ) is done by completing the square. Its logarithm
W[J] = ln Z[J] generates the cumulants: the first derivative at J = 0 is the mean, the second the covariance, and
there are no others. That is why sums over rows (the law of large numbers) determine every parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Gaussian", "GaussianAction", "Requirement"]


@dataclass(frozen=True)
class Requirement:
    """What a theory needs to have been measured.

    Parameters
    ----------
    order
        Highest order of the moments.
    """

    order: int


@dataclass(frozen=True)
class Gaussian:
    """The ansatz that maximum entropy gives when means and covariances are what is known.

    References
    ----------
    Jaynes, "Information theory and statistical mechanics", Phys. Rev. 106 (1957) 620.
    """

    def requires(self) -> Requirement:
        """Moments of order 2."""
        return Requirement(order=2)


@dataclass(frozen=True, eq=False)
class GaussianAction:
    """F to second order about its mean, as an object to differentiate.

    Parameters
    ----------
    columns
        Names of the fields (p,).
    mean
        μ (p,).
    propagator
        G = C = K⁻¹ (p, p): the line of every diagram, the covariance of the fields.

    Examples
    --------
    >>> import numpy as np
    >>> action = GaussianAction(("x", "y"), np.zeros(2), np.array([[2.0, 1.0], [1.0, 1.0]]))
    >>> action.precision
    array([[ 1., -1.],
           [-1.,  2.]])
    >>> action.coefficients("y")
    {'x': 0.5}
    """

    columns: tuple[str, ...]
    mean: NDArray[np.float64]
    propagator: NDArray[np.float64]

    @cached_property
    def precision(self) -> NDArray[np.float64]:
        """K = G⁻¹, the second derivative of F (p, p)."""
        return np.asarray(np.linalg.inv(self.propagator))

    def free_energy(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """F(φ) for one row (p,) or several (n, p); zero at the mean."""
        eta = np.asarray(phi) - self.mean
        return np.asarray(0.5 * np.einsum("...i,ij,...j->...", eta, self.precision, eta))

    def log_partition(self, source: NDArray[np.float64] | None = None) -> float:
        """ln Z[J] = ½ ln det(2π G) + J·μ + ½ J·G·J, for J (p,) or none."""
        _, logdet = np.linalg.slogdet(2 * np.pi * self.propagator)
        return float(0.5 * logdet) + (0.0 if source is None else self.generator(source))

    def partition(self, source: NDArray[np.float64] | None = None) -> float:
        """Z[J]."""
        return float(np.exp(self.log_partition(source)))

    def generator(self, source: NDArray[np.float64]) -> float:
        """W[J] = ln Z[J] − ln Z[0] = J·μ + ½ J·G·J: the cumulant generating function."""
        j = np.asarray(source, dtype=np.float64)
        return float(j @ self.mean + 0.5 * j @ self.propagator @ j)

    def cumulant(self, order: int) -> NDArray[np.float64]:
        """∂ⁿW/∂Jⁿ at J = 0: the mean, the covariance, and zero beyond."""
        if order < 1:
            raise ValueError(f"order={order}: cumulants begin at order 1")
        if order == 1:
            return self.mean
        return self.propagator if order == 2 else np.zeros((len(self.mean),) * order)

    def coefficients(self, target: str) -> dict[str, float]:
        """β_j = −K_yj / K_yy: linear regression of ``target`` on all other fields, read off F."""
        y = self.columns.index(target)
        k = self.precision[y]
        return {name: float(-k[j] / k[y]) for j, name in enumerate(self.columns) if j != y}

    def intercept(self, target: str) -> float:
        """β₀ = μ_y − Σ β_j μ_j."""
        beta = self.coefficients(target)
        mean = dict(zip(self.columns, self.mean, strict=True))
        return float(mean[target] - sum(b * mean[name] for name, b in beta.items()))

    def variance(self, target: str) -> float:
        """σ² = 1/K_yy: the variance of ``target`` at fixed values of all other fields."""
        y = self.columns.index(target)
        return float(1 / self.precision[y, y])
