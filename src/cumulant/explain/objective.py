"""The least-squares loss that descent goes down, and its bottom.

The loss of parameters b is ½ mean((X b − y)²) over standardised columns and a standardised target, where
the intercept is zero.  Being quadratic, it is known everywhere once its second moments are: its bottom, its
height at any b, and the number of steps that descent would take, without running it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cumulant.explain import cost as price
from cumulant.measure import work

__all__ = ["Goal", "LeastSquares", "passes_of_conjugate_gradients", "passes_of_gradient_descent", "start"]

Array = NDArray[np.float64]

_EXACT_FIT = 0.5e-6


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """A least-squares problem over standardised columns.

    Parameters
    ----------
    X : (n, p) array
        Columns of mean 0 and standard deviation 1; a constant column is left at 0.
    y : (n,) array
        Target of mean 0 and standard deviation 1.
    centre, scale : (p,) arrays
        Means and standard deviations of the columns before.
    target_centre, target_scale : float
        The same of the target.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 2))
    >>> problem = LeastSquares.from_arrays(X, X @ [1.0, -2.0] + 3.0)
    >>> intercept, slopes = problem.coefficients(Goal.of(problem).optimum)
    >>> [round(float(b), 6) for b in (intercept, *slopes)]
    [3.0, 1.0, -2.0]
    """

    X: Array
    y: Array
    centre: Array
    scale: Array
    target_centre: float
    target_scale: float

    @staticmethod
    def from_arrays(X: Array, y: Array) -> LeastSquares:
        """Standardise the columns of X (n, p) and the target y (n,)."""
        centre, scale = X.mean(axis=0), X.std(axis=0)
        # Rounding leaves a constant column with a spread of some eps; dividing by it would make noise of it.
        varies = scale > 1e-12 * np.maximum(np.abs(centre), 1e-300)
        scale = np.where(varies, scale, 1.0)
        Z = X - centre
        Z /= scale
        Z[:, ~varies] = 0.0
        target_centre = float(y.mean())
        target_scale = float(y.std()) or 1.0
        return LeastSquares(Z, (y - target_centre) / target_scale, centre, scale, target_centre, target_scale)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.X.shape[0], self.X.shape[1]

    @property
    def standardising(self) -> price.Cost:
        """What standardising took: one pass, reading and writing the columns."""
        n, p = self.shape
        return price.Cost(1.0, price.flops_standardise(n, p), work.bytes_read(n, p, 2))

    def coefficients(self, b: Array) -> tuple[float, Array]:
        """Intercept and slopes (p,) in the columns' own units."""
        slopes = b * self.target_scale / self.scale
        return self.target_centre - float(self.centre @ slopes), slopes

    def standardised(self, slopes: Array) -> Array:
        """Parameters (p,) on the standardised scale from slopes in the columns' own units."""
        return slopes * self.scale / self.target_scale


@dataclass(frozen=True, eq=False)
class Goal:
    """Where descent may stop: the bottom of the loss and the height above it that is allowed.

    Parameters
    ----------
    curvature : (p, p) array
        Second derivatives of the loss, XᵀX / n.
    optimum : (p,) array
        Parameters at the bottom; the shortest where columns are dependent.
    optimal_loss : float
        Loss at the bottom.
    tolerance : float
        Allowed excess of the loss, as a fraction of the optimal loss.
    """

    curvature: Array
    optimum: Array
    optimal_loss: float
    tolerance: float

    @staticmethod
    def of(problem: LeastSquares, tolerance: float = 0.01) -> Goal:
        """The bottom of `problem`, from its second moments."""
        n = problem.shape[0]
        return Goal.from_moments(
            problem.X.T @ problem.X / n,
            problem.X.T @ problem.y / n,
            float(problem.y @ problem.y) / n,
            tolerance,
        )

    @staticmethod
    def from_moments(curvature: Array, response: Array, power: float, tolerance: float = 0.01) -> Goal:
        """The bottom from XᵀX/n (p, p), Xᵀy/n (p,) and yᵀy/n."""
        w, V = np.linalg.eigh(curvature)
        kept = w > max(w.max(initial=0.0), 0.0) * 1e-12
        c = V.T @ response
        optimum = V[:, kept] @ (c[kept] / w[kept])
        optimal = 0.5 * max(power - float(np.sum(c[kept] ** 2 / w[kept])), 0.0)
        return Goal(curvature, optimum, optimal, tolerance)

    def excess(self, b: Array) -> float:
        """Height of parameters b (p,) above the bottom: ½ (b − b*)ᵀ H (b − b*), without the rows."""
        d = b - self.optimum
        return 0.5 * float(d @ (self.curvature @ d))

    @property
    def allowed(self) -> float:
        """Height at which descent stops; an exact fit counts as one that leaves a millionth of the variance."""
        return self.tolerance * max(self.optimal_loss, _EXACT_FIT)


def start(p: int, seed: int) -> Array:
    """The random parameters (p,) every method starts from: normal of variance 1/p, as a layer's weights."""
    return np.random.default_rng(seed).normal(size=p) / math.sqrt(max(p, 1))


def passes_of_gradient_descent(goal: Goal, seed: int = 0) -> float:
    """Passes that gradient descent with step 1/L takes from `start` to `goal`, by formula.

    In the eigenbasis of the curvature the deviation shrinks by (1 − λ_i/L) a step, so the height after t
    steps is ½ Σ λ_i (1 − λ_i/L)^(2t) d_i², which falls with t: the first t below the allowed height is found
    by bisection.  Infinite where no number of steps below 2⁶⁰ suffices.  The passes that finding L takes are
    left out.
    """
    w, V = np.linalg.eigh(goal.curvature)
    d = V.T @ (start(len(w), seed) - goal.optimum)
    shrink = np.clip(1 - w / w.max(), 0.0, 1.0) if w.max(initial=0.0) > 0 else np.zeros_like(w)

    def arrived(t: float) -> bool:
        return bool(0.5 * np.sum(np.maximum(w, 0.0) * shrink ** (2 * t) * d**2) <= goal.allowed)

    if arrived(0):
        return 0.0
    high = 1
    while not arrived(high):
        high *= 2
        if high >= 2**60:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if arrived(middle) else (middle, high)
    return float(high)


def passes_of_conjugate_gradients(goal: Goal, seed: int = 0) -> float:
    """Passes of the best method that sees only gradients: conjugate gradients on the measured curvature.

    L-BFGS with exact line searches takes the same steps while its memory lasts, so this is what it hopes for
    (Nocedal & Wright, *Numerical Optimization*, 2nd ed., §7.2).  One gradient more than steps is counted.
    """
    b = start(len(goal.optimum), seed)
    residual = goal.curvature @ (goal.optimum - b)
    direction = residual.copy()
    steps = 0
    while goal.excess(b) > goal.allowed and steps < 10 * len(b):
        curved = goal.curvature @ direction
        power = residual @ residual
        move = power / (direction @ curved)
        b = b + move * direction
        residual = residual - move * curved
        direction = residual + (residual @ residual / power) * direction
        steps += 1
    return float(steps + 1) if goal.excess(b) <= goal.allowed else math.inf
