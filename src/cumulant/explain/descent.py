"""Descent on the least-squares loss, as it is commonly done, with its passes, flops and bytes counted.

Plain gradient descent (Cauchy 1847), stochastic mini-batches (Robbins & Monro
1951), Adam (Kingma & Ba 2015) and L-BFGS (Liu & Nocedal 1989) start from the same random parameters and
stop as soon as the loss is within a tolerance of the best there is.

Stopping there *favours* descent: the best loss comes from the one-pass solution, and so does the value of
the loss at any parameters (through the second moments, without touching the rows).  In practice neither is
known; one watches a held-out loss, which costs passes, and goes on for longer to be sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cumulant.explain import cost as price
from cumulant.explain.objective import Goal, LeastSquares, start
from cumulant.measure import work

__all__ = [
    "METHODS",
    "Descent",
    "adam",
    "gradient_descent",
    "lbfgs",
    "stochastic_descent",
]

Array = NDArray[np.float64]

_PATH_LENGTH = 256
_CHECKS_PER_PASS = 10
_PATIENCE = 5
_SAMPLE_ROWS = 2000
_POWER_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Descent:
    """One run of a descent.

    Parameters
    ----------
    method : str
        Its name.
    parameters : (p,) array
        Where it ended, on the standardised scale.
    path : (k, p) array
        Parameters at intervals, the start and the end included.
    losses, passes_at : (k,) arrays
        Loss there, and passes over the rows until then.
    passes, flops, bytes : float
        Counted work, choosing the step included, standardising not.
    steps : int
        Updates of the parameters.
    reached : bool
        Whether the loss came within the tolerance before the cap on passes.
    settings : str
        Step size, batch size and the like, in words.
    """

    method: str
    parameters: Array
    path: Array
    losses: Array
    passes_at: Array
    passes: float
    flops: float
    bytes: float
    steps: int
    reached: bool
    settings: str


@dataclass
class _Trail:
    """Keeps a bounded number of points of a path: when full, every second one goes."""

    goal: Goal
    points: list[tuple[Array, float, float]] = field(default_factory=list)
    _stride: int = 1
    _seen: int = 0

    def visit(self, b: Array, passes: float, loss: float | None = None) -> float:
        """Note where descent is; returns the height above the bottom, from the loss where that is known."""
        excess = self.goal.excess(b) if loss is None else loss - self.goal.optimal_loss
        if self._seen % self._stride == 0:
            if len(self.points) >= _PATH_LENGTH:
                self.points = self.points[::2]
                self._stride *= 2
            if self._seen % self._stride == 0:
                self.points.append((b.copy(), self.goal.optimal_loss + excess, passes))
        self._seen += 1
        return excess

    def finish(
        self,
        method: str,
        b: Array,
        *,
        passes: float,
        flops: float,
        bytes_moved: float,
        steps: int,
        settings: str,
    ) -> Descent:
        excess = self.goal.excess(b)
        last = self.points[-1]
        if last[2] != passes or not np.array_equal(last[0], b):
            self.points.append((b.copy(), self.goal.optimal_loss + excess, passes))
        path, losses, at = zip(*self.points, strict=True)
        reached = bool(excess <= self.goal.allowed)
        return Descent(
            method, b, np.array(path), np.array(losses), np.array(at),
            passes, flops, bytes_moved, steps, reached, settings,
        )  # fmt: skip


def largest_curvature(X: Array, seed: int = 0, max_iterations: int = 100) -> tuple[float, int]:
    """Largest eigenvalue of XᵀX/n to about 1 %, by power iteration, and the iterations it took."""
    v: Array = np.random.default_rng(seed).normal(size=(X.shape[1],))
    value = float(np.linalg.norm(v))
    for iteration in range(1, max_iterations + 1):
        v = X.T @ (X @ (v / value)) / len(X)
        before, value = value, float(np.linalg.norm(v))
        if value == 0.0 or (iteration > 1 and abs(value - before) <= _POWER_TOLERANCE * value):
            return value, iteration
    return value, max_iterations


def gradient_descent(
    problem: LeastSquares,
    goal: Goal,
    *,
    learning_rate: float | None = None,
    max_passes: float = 1000,
    seed: int = 0,
) -> Descent:
    """Plain full-batch gradient descent from a random start.

    Parameters
    ----------
    problem : LeastSquares
        n rows, p columns.
    goal : Goal
        Where it may stop.
    learning_rate : float, optional
        Step size; by default 1/L, L the largest curvature, found by power iteration, whose passes count.
    max_passes : float
        Cap on passes over the rows.
    seed : int
        Of the start.

    Returns
    -------
    Descent

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> problem = LeastSquares.from_arrays(X, X.sum(axis=1) + rng.normal(size=200))
    >>> gradient_descent(problem, Goal.of(problem)).reached
    True
    """
    X, y = problem.X, problem.y
    n, p = problem.shape
    searched = 0
    settings = f"step {learning_rate:g}, set by hand" if learning_rate is not None else ""
    if learning_rate is None:
        largest, searched = largest_curvature(X, seed)
        learning_rate = 1.0 / largest if largest > 0 else 1.0
        settings = f"step 1/L = {learning_rate:.3g}, L by {searched} power iterations"
    b = start(p, seed)
    trail = _Trail(goal)
    steps = 0
    # Negated, so that a step that diverges to NaN goes on to the cap instead of passing for arrival.
    while not trail.visit(b, searched + steps) <= goal.allowed and searched + steps + 1 <= max_passes:
        b -= learning_rate * (X.T @ (X @ b - y) / n)
        steps += 1
        if not np.isfinite(b).all():
            break
    sweeps = searched + steps
    return trail.finish(
        "gradient descent",
        b,
        passes=float(sweeps),
        flops=price.flops_power_iteration(n, p, searched) + price.flops_descent(n, p, steps),
        bytes_moved=work.bytes_read(n, p, 2 * sweeps),
        steps=steps,
        settings=settings,
    )


def stochastic_descent(
    problem: LeastSquares,
    goal: Goal,
    *,
    learning_rate: float | None = None,
    batch: int = 64,
    max_passes: float = 1000,
    seed: int = 0,
) -> Descent:
    """Mini-batch stochastic gradient descent; the step is halved when a pass brings no improvement.

    Parameters
    ----------
    problem, goal, max_passes, seed
        As for `gradient_descent`.
    learning_rate : float, optional
        First step size; by default 1/(L + R²/batch), both read off the first 2000 rows: L the largest
        curvature and R² = mean‖x‖⁴ / mean‖x‖², beyond twice which mini-batch steps can grow without bound
        (Bach & Moulines, NeurIPS 2013).
    batch : int
        Rows a step; rows are shuffled anew each pass.

    Returns
    -------
    Descent
    """
    n, p = problem.shape
    batch = min(batch, n)
    spent = 0.0
    if learning_rate is None:
        sample = problem.X[:_SAMPLE_ROWS]
        largest, iterations = largest_curvature(sample, seed)
        squares = np.einsum("ij,ij->i", sample, sample)
        spread = float((squares**2).sum() / squares.sum()) if squares.any() else 0.0
        learning_rate = 1.0 / max(largest + spread / batch, 1e-12)
        spent = (iterations + 1) * len(sample) / n

    def update(b: Array, gradient: Array, rate: float) -> None:
        b -= rate * gradient

    b, passes, steps, trail = _mini_batches(problem, goal, update, learning_rate, batch, spent, max_passes, seed)
    return trail.finish(
        "SGD",
        b,
        passes=passes,
        flops=price.flops_sgd(n, p, passes, steps),
        bytes_moved=work.bytes_read(n, p, passes),
        steps=steps,
        settings=f"batch {batch}, first step {learning_rate:.3g}, halved on a plateau",
    )


def adam(
    problem: LeastSquares,
    goal: Goal,
    *,
    learning_rate: float = 0.01,
    batch: int = 64,
    max_passes: float = 1000,
    seed: int = 0,
) -> Descent:
    """Mini-batch Adam with its authors' decay rates (0.9, 0.999); step halved as in `stochastic_descent`.

    Parameters
    ----------
    problem, goal, batch, max_passes, seed
        As for `stochastic_descent`.
    learning_rate : float
        First step size; the default is ten times its authors', which standardised columns bear.

    Returns
    -------
    Descent
    """
    n, p = problem.shape
    batch = min(batch, n)
    first, second = np.zeros(p), np.zeros(p)
    count = 0

    def update(b: Array, gradient: Array, rate: float) -> None:
        nonlocal first, second, count
        count += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        b -= rate * (first / (1 - 0.9**count)) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)

    b, passes, steps, trail = _mini_batches(problem, goal, update, learning_rate, batch, 0.0, max_passes, seed)
    return trail.finish(
        "Adam",
        b,
        passes=passes,
        flops=price.flops_adam(n, p, passes, steps),
        bytes_moved=work.bytes_read(n, p, passes),
        steps=steps,
        settings=f"batch {batch}, first step {learning_rate:.3g}, halved on a plateau",
    )


def _mini_batches(
    problem: LeastSquares,
    goal: Goal,
    update: Callable[[Array, Array, float], None],
    rate: float,
    batch: int,
    spent: float,
    max_passes: float,
    seed: int,
) -> tuple[Array, float, int, _Trail]:
    """Shuffle, step, look up ten times a pass; returns parameters, passes, steps and the trail."""
    X, y = problem.X, problem.y
    n, p = problem.shape
    b = start(p, seed)
    trail = _Trail(goal)
    per_pass = math.ceil(n / batch)
    look = max(1, per_pass // _CHECKS_PER_PASS)
    best = trail.visit(b, spent)
    kept = b.copy()
    rows_used = steps = idle = 0
    if best <= goal.allowed:
        return b, spent, steps, trail
    for rows in _batches(n, batch, seed):
        passes = spent + rows_used / n
        if passes + len(rows) / n > max_passes:
            break
        Z = X[rows]
        update(b, Z.T @ (Z @ b - y[rows]) / len(rows), rate)
        steps += 1
        rows_used += len(rows)
        if steps % look and steps % per_pass:
            continue
        excess = trail.visit(b, spent + rows_used / n)
        if excess <= goal.allowed:
            break
        if steps % per_pass == 0:
            if excess < best:
                best, kept, idle = excess, b.copy(), 0
            else:
                idle += 1
            # A step too large can throw the parameters far off; then go back to the best pass so far.
            lost = not excess <= 10 * max(best, goal.allowed)
            if lost:
                b[:] = kept
            if lost or idle == _PATIENCE:
                rate, idle = 0.5 * rate, 0
    return b, spent + rows_used / n, steps, trail


def _batches(n: int, batch: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Row numbers of one mini-batch after the other, for ever, each row once a pass."""
    rng = np.random.default_rng([seed, 1])
    while True:
        order = rng.permutation(n)
        for first in range(0, n, batch):
            yield order[first : first + batch]


def lbfgs(problem: LeastSquares, goal: Goal, *, memory: int = 10, max_passes: float = 1000, seed: int = 0) -> Descent:
    """L-BFGS (SciPy's L-BFGS-B without bounds), a pass for each evaluation of loss and gradient.

    Parameters
    ----------
    problem, goal, max_passes, seed
        As for `gradient_descent`.
    memory : int
        Pairs of steps and gradients kept.

    Returns
    -------
    Descent
    """
    # SciPy and NumPy may each bring a BLAS with threads of its own, which then wait for each other's cores
    # at every change between the two: all of this method goes through SciPy's.
    from scipy.linalg.blas import ddot, dgemv
    from scipy.optimize import OptimizeResult, minimize

    X, y = problem.X, problem.y
    n, p = problem.shape
    evaluations = iterations = 0
    trail = _Trail(goal)
    b = start(p, seed)
    trail.visit(b, 0.0)

    def loss(b: Array) -> tuple[float, Array]:
        nonlocal evaluations
        evaluations += 1
        residual = dgemv(1.0, X.T, b, trans=1) - y
        return 0.5 * ddot(residual, residual) / n, dgemv(1.0 / n, X.T, residual)

    def arrived(intermediate_result: OptimizeResult) -> None:
        nonlocal b, iterations
        iterations += 1
        b = np.array(intermediate_result.x)
        excess = trail.visit(b, float(evaluations), float(intermediate_result.fun))
        if excess <= goal.allowed or evaluations >= max_passes:
            raise StopIteration

    if goal.excess(b) > goal.allowed:
        # Only the goal and the cap may stop it: SciPy's own tolerances are switched off.
        options = {"maxcor": memory, "maxiter": 10**9, "maxfun": int(max_passes), "ftol": 0.0, "gtol": 0.0}
        minimize(loss, b.copy(), jac=True, method="L-BFGS-B", callback=arrived, options=options)
    return trail.finish(
        "L-BFGS",
        b,
        passes=float(evaluations),
        flops=price.flops_lbfgs(n, p, evaluations, iterations, memory),
        bytes_moved=work.bytes_read(n, p, 2 * evaluations),
        steps=iterations,
        settings=f"memory {memory}",
    )


METHODS: tuple[Callable[..., Descent], ...] = (gradient_descent, stochastic_descent, adam, lbfgs)
"""The descents of a comparison, in its order."""
