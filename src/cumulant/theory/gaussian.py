"""The free energy to second order, F = ½ (φ − μ)ᵀ K (φ − μ), and everything that follows from its source integral.

With a source J the integral Z[J] = ∫ dφ exp(−F(φ) + J·φ) is done by completing the square. Its logarithm
W[J] = ln Z[J] generates the cumulants: the first derivative at J = 0 is the mean, the second the covariance, and
there are no others. That is why sums over rows (the law of large numbers) determine every parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift.schema import unknown_column
from cumulant.measure.conditioning import COLLINEAR
from cumulant.measure.requirement import Requirement
from cumulant.theory.derivatives import cumulant_by_differences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.theory.partition import PartitionFunction

    Array = NDArray[np.float64]

__all__ = ["Gaussian", "GaussianAction"]


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

    References
    ----------
    Zinn-Justin, Path Integrals in Quantum Mechanics (Oxford, 2005), sections 1.1-1.3: Gaussian integrals with a source.

    Examples
    --------
    >>> import numpy as np
    >>> action = GaussianAction(("x", "y"), np.zeros(2), np.array([[2.0, 1.0], [1.0, 1.0]]))
    >>> action.precision.round(9)
    array([[ 1., -1.],
           [-1.,  2.]])
    >>> round(action.coefficients("y")["x"], 9)
    0.5
    """

    columns: tuple[str, ...]
    mean: Array
    propagator: Array

    @cached_property
    def precision(self) -> Array:
        """K = G⁻¹, the second derivative of F (p, p).

        Raises
        ------
        DataError
            A field is constant, or a linear combination of those before it: G has no inverse.
        """
        from scipy.linalg.lapack import dpotri

        inverse, _ = dpotri(self._lower, lower=1)
        sd = self._deviations
        return np.asarray((np.tril(inverse) + np.tril(inverse, -1).T) / np.outer(sd, sd))

    def free_energy(self, phi: Array) -> Array:
        """F(φ) for one row (p,) or several (n, p); zero at the mean."""
        eta = np.asarray(phi) - self.mean
        return np.asarray(0.5 * np.einsum("...i,ij,...j->...", eta, self.precision, eta))

    # ------------------------------------------------------------------ the source integral

    def Z(self, source: Mapping[str, float] | None = None) -> PartitionFunction:
        """The partition function at a source, J by field, and the cumulants there: exact.

        Examples
        --------
        >>> import numpy as np
        >>> action = GaussianAction(("x", "y"), np.zeros(2), np.array([[2.0, 1.0], [1.0, 1.0]]))
        >>> action.Z({"x": 1.0}).cumulant(1)
        array([2., 1.])
        """
        from cumulant.theory.partition import PartitionFunction, source_of

        j = source_of(self.columns, source or {})

        def derivatives(order: int) -> tuple[Array, ...]:
            return (self.cumulant(order) + self.propagator @ j if order == 1 else self.cumulant(order),)

        W = self.log_partition(j)
        return PartitionFunction(self.columns, j, "completing the square", (W,), None, derivatives)

    def log_partition(self, source: Array | None = None, *, about: str = "origin") -> float:
        """ln Z[J] = ½ ln det(2π G) + J·μ + ½ J·G·J, for J (p,) or none.

        Parameters
        ----------
        source
            J, in inverse units of the fields.
        about
            What the source is coupled to: ``"origin"``, the fields φ; ``"mean"``, their deviations φ − μ, which
            leaves the term J·μ out.
        """
        roots = np.log(self._deviations).sum() + np.log(np.diag(self._lower)).sum()
        volume = 0.5 * len(self.mean) * np.log(2 * np.pi) + roots
        return float(volume) + (0.0 if source is None else self.generator(source, about=about))

    def partition(self, source: Array | None = None, *, about: str = "origin") -> float:
        """Z[J]; infinite where it exceeds the largest float64 (its logarithm never does)."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.log_partition(source, about=about)))

    def generator(self, source: Array, *, about: str = "origin") -> float:
        """W[J] = ln Z[J] − ln Z[0] = J·μ + ½ J·G·J: the cumulant generating function."""
        if about not in ("origin", "mean"):
            raise OptionError(f"about={about!r}: choose 'origin' or 'mean'")
        j = np.asarray(source, dtype=np.float64)
        if j.shape != self.mean.shape:
            raise OptionError(f"a source of shape {j.shape} for {len(self.mean)} fields; give one value a field")
        linear = float(j @ self.mean) if about == "origin" else 0.0
        return linear + float(0.5 * j @ self.propagator @ j)

    def cumulant(self, order: int, method: str = "exact") -> Array:
        """∂ⁿW/∂Jⁿ at J = 0: the mean, the covariance, and zero beyond; shape (p,) * order.

        Parameters
        ----------
        order
            n, from 1.
        method
            ``"exact"``, or ``"differences"``: central differences of W[J], a check that knows nothing of its
            derivatives. It takes some (2p)ⁿ/n! evaluations.
        """
        if order < 1:
            raise OptionError(f"order={order!r}: cumulants begin at order 1")
        if method == "differences":
            return self._cumulant_by_differences(order)
        if method != "exact":
            raise OptionError(f"method={method!r}: choose 'exact' or 'differences'")
        if order == 1:
            return self.mean
        return self.propagator if order == 2 else np.zeros((len(self.mean),) * order)

    def _cumulant_by_differences(self, order: int) -> Array:
        # Cumulants beyond the first do not depend on the origin, and differences far from it would lose digits.
        about = "origin" if order == 1 else "mean"
        return cumulant_by_differences(lambda j: self.generator(j, about=about), self._deviations, order)

    # ------------------------------------------------------------------ fewer fields

    def fix(self, values: Mapping[str, float]) -> GaussianAction:
        """F of the other fields when these are numbers, read off F itself.

        Where x is fixed, F keeps K_TT in the remaining fields T and gains a term linear in them; completing the
        square moves their mean to μ_T − K_TT⁻¹ K_TX (x − μ_X).

        Examples
        --------
        >>> import numpy as np
        >>> action = GaussianAction(("x", "y"), np.zeros(2), np.array([[2.0, 1.0], [1.0, 1.0]]))
        >>> y = action.fix({"x": 3.0})
        >>> y.columns, y.mean.round(9), y.propagator.round(9)
        (('y',), array([1.5]), array([[0.5]]))
        """
        known, rest = self._split(list(values))
        x = np.array([float(values[self.columns[i]]) for i in known])
        k = self.precision
        propagator = np.asarray(np.linalg.inv(k[np.ix_(rest, rest)]), dtype=np.float64)
        shift = propagator @ k[np.ix_(rest, known)] @ (x - self.mean[known])
        return GaussianAction(self._names(rest), self.mean[rest] - shift, propagator)

    def integrate_out(self, columns: Sequence[str]) -> GaussianAction:
        """F of the other fields when nothing is known of these: they drop out of G, and out of G alone."""
        _, rest = self._split(columns)
        return GaussianAction(self._names(rest), self.mean[rest], self.propagator[np.ix_(rest, rest)])

    # ------------------------------------------------------------------ regression, read off K

    def coefficients(self, target: str) -> dict[str, float]:
        """β_j = −K_yj / K_yy: linear regression of ``target`` on all other fields, read off F."""
        y = self._position(target)
        k = self.precision[y]
        return {name: float(-k[j] / k[y]) for j, name in enumerate(self.columns) if j != y}

    def intercept(self, target: str) -> float:
        """β₀ = μ_y − Σ β_j μ_j."""
        beta = self.coefficients(target)
        mean = dict(zip(self.columns, self.mean, strict=True))
        return float(mean[target] - sum(b * mean[name] for name, b in beta.items()))

    def variance(self, target: str) -> float:
        """σ² = 1/K_yy: the variance of ``target`` at fixed values of all other fields."""
        y = self._position(target)
        return float(1 / self.precision[y, y])

    # ------------------------------------------------------------------ names and scales

    @cached_property
    def _deviations(self) -> Array:
        """Standard deviation of each field (p,); none may be constant."""
        variance = np.diag(self.propagator)
        if not (variance > 0).all():
            self._refuse(int(np.argmin(variance > 0)), "constant")
        return np.sqrt(variance)

    @cached_property
    def _lower(self) -> Array:
        """Cholesky factor of G scaled to unit variance (p, p), so that units cannot matter."""
        # Imported here: half of what importing the package would cost.
        from scipy.linalg.lapack import dpotrf

        sd = self._deviations
        lower, failed = dpotrf(self.propagator / np.outer(sd, sd), lower=1, clean=1)
        pivots = np.diag(lower)[: failed - 1 if failed > 0 else None] ** 2
        weak = np.flatnonzero(pivots <= COLLINEAR["double"])
        if failed > 0 or len(weak):
            self._refuse(int(weak[0]) if len(weak) else failed - 1, "a linear combination of the fields before it")
        return np.asarray(lower)

    def _position(self, name: str) -> int:
        if name not in self.columns:
            raise unknown_column(name, self.columns)
        return self.columns.index(name)

    def _split(self, names: Sequence[str]) -> tuple[list[int], list[int]]:
        chosen = [self._position(name) for name in names]
        rest = [i for i in range(len(self.columns)) if i not in chosen]
        if not rest:
            raise OptionError("no field is left; leave at least one out of the list")
        return chosen, rest

    def _names(self, at: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.columns[i] for i in at)

    def _refuse(self, at: int, what: str) -> None:
        name = self.columns[at]
        raise DataError(
            f"field '{name}' is {what}, so G has no inverse and there is no K; "
            f"leave it out first: action.integrate_out(['{name}'])"
        )
