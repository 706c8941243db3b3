"""Descent: reaches the known bottom, counts what it does, and takes the steps that its formula says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cumulant.explain import cost as price
from cumulant.explain.descent import METHODS, adam, gradient_descent, lbfgs, stochastic_descent
from cumulant.explain.objective import (
    Goal,
    LeastSquares,
    passes_of_conjugate_gradients,
    passes_of_gradient_descent,
    start,
)


def table(n: int, p: int, *, shared: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = math.sqrt(1 - shared) * rng.normal(size=(n, p)) + math.sqrt(shared) * rng.normal(size=(n, 1))
    X = X * np.exp(rng.normal(size=p)) + 10 * rng.normal(size=p)
    return X, X @ rng.normal(size=p) + 2 * rng.normal(size=n) + 5


def problem(n: int, p: int, **options: float) -> LeastSquares:
    return LeastSquares.from_arrays(*table(n, p, **options))


def mean_square(X: np.ndarray, y: np.ndarray, intercept: float, slopes: np.ndarray) -> float:
    return float(np.mean((y - X @ slopes - intercept) ** 2))


def best_mean_square(X: np.ndarray, y: np.ndarray) -> float:
    """Oracle: LAPACK's least squares on the raw columns and a column of ones."""
    A = np.column_stack([np.ones(len(y)), X])
    return float(np.mean((y - A @ np.linalg.lstsq(A, y, rcond=None)[0]) ** 2))


class Counting(np.ndarray):
    """An array that adds up the multiplications and additions of its matrix–vector products."""

    flops = 0

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        Counting.flops += 2 * self.size
        return np.asarray(self) @ other


def counting(made: LeastSquares) -> LeastSquares:
    Counting.flops = 0
    return LeastSquares(made.X.view(Counting), made.y, made.centre, made.scale, made.target_centre, made.target_scale)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "p"), [(300, 1), (500, 4), (1000, 12)])
@pytest.mark.parametrize("tolerance", [0.01, 0.001])
def test_reaches_the_loss_of_lstsq(method, n, p, tolerance):
    X, y = table(n, p)
    made = LeastSquares.from_arrays(X, y)
    run = method(made, Goal.of(made, tolerance), seed=3, max_passes=3000)
    best = best_mean_square(X, y)
    found = mean_square(X, y, *made.coefficients(run.parameters))
    assert run.reached
    assert best <= found * (1 + 1e-12)
    assert found <= best * (1 + tolerance) * (1 + 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_path_runs_from_the_start_to_the_answer(method):
    made = problem(400, 6, shared=0.9)
    goal = Goal.of(made)
    run = method(made, goal, seed=5)
    np.testing.assert_array_equal(run.path[0], start(6, 5))
    np.testing.assert_array_equal(run.path[-1], run.parameters)
    assert run.passes_at[-1] == run.passes
    assert (np.diff(run.passes_at) > 0).all()
    rows = [0.5 * np.mean((made.X @ b - made.y) ** 2) for b in run.path]
    np.testing.assert_allclose(run.losses, rows, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_run(method):
    made = problem(200, 3)
    goal = Goal.of(made)
    first, again, other = (method(made, goal, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.parameters, again.parameters)
    assert not np.array_equal(first.parameters, other.parameters)


def test_bottom_is_that_of_lstsq_and_heights_need_no_rows():
    X, y = table(300, 5)
    made = LeastSquares.from_arrays(X, y)
    goal = Goal.of(made)
    assert 2 * goal.optimal_loss * made.target_scale**2 == pytest.approx(best_mean_square(X, y), rel=1e-10)
    b = np.random.default_rng(8).normal(size=5)
    by_rows = 0.5 * np.mean((made.X @ b - made.y) ** 2)
    assert goal.optimal_loss + goal.excess(b) == pytest.approx(by_rows, rel=1e-12)


def test_standardised_and_own_units_are_inverse():
    made = problem(50, 4)
    b = np.random.default_rng(0).normal(size=4)
    np.testing.assert_allclose(made.standardised(made.coefficients(b)[1]), b, rtol=1e-14)


def test_gradient_descent_in_two_parameters_follows_the_closed_form():
    made = problem(200, 2, shared=0.8)
    goal = Goal.of(made, tolerance=1e-6)
    rate = 0.5
    run = gradient_descent(made, goal, learning_rate=rate, seed=4, max_passes=200)
    # b_t = b* + (1 − rate H)^t (b_0 − b*), by the eigenvalues 1 ± r of a 2 × 2 correlation matrix.
    r = np.corrcoef(made.X.T)[0, 1]
    modes = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
    shrink = np.array([1 - rate * (1 + r), 1 - rate * (1 - r)])
    b_star = np.linalg.lstsq(made.X, made.y, rcond=None)[0]
    at_start = modes @ (start(2, 4) - b_star)
    assert 20 < run.steps < 200
    expected = [b_star + modes @ (shrink**t * at_start) for t in run.passes_at]
    np.testing.assert_allclose(run.path, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [None, 0.3])
def test_flops_of_gradient_descent_are_those_that_happened(rate):
    n, p = 150, 7
    made = counting(problem(n, p))
    run = gradient_descent(made, Goal.of(problem(n, p)), learning_rate=rate)
    assert run.flops == Counting.flops == 4 * n * p * run.passes
    assert run.bytes == 2 * 8 * n * p * run.passes
    assert run.passes >= run.steps > 0


@pytest.mark.parametrize(("method", "per_step"), [(stochastic_descent, 2), (adam, 14)])
@pytest.mark.parametrize("n", [64 * 5, 333])
def test_flops_of_mini_batches_are_those_that_happened(method, per_step, n):
    p = 5
    made = counting(problem(n, p))
    run = method(made, Goal.of(problem(n, p)), learning_rate=0.02)
    assert Counting.flops == pytest.approx(4 * n * p * run.passes, rel=1e-12)
    assert run.flops == pytest.approx(Counting.flops + per_step * p * run.steps, rel=1e-12)
    full, rest = divmod(run.passes, 1)
    assert run.steps == pytest.approx(full * math.ceil(n / 64) + rest * n / 64, abs=1e-6)


def test_passes_of_lbfgs_are_its_evaluations(monkeypatch):
    import scipy.linalg.blas as blas

    n, p = 200, 6
    made = problem(n, p, shared=0.9)
    goal = Goal.of(made)
    products = 0
    original = blas.dgemv

    def counted(*args, **kwargs):
        nonlocal products
        products += 1
        return original(*args, **kwargs)

    monkeypatch.setattr(blas, "dgemv", counted)
    run = lbfgs(made, goal)
    assert products == 2 * run.passes
    assert run.flops == price.flops_lbfgs(n, p, run.passes, run.steps)
    assert run.flops == 4 * n * p * run.passes + 8 * 10 * p * run.steps


def test_first_step_of_adam_moves_every_parameter_by_the_learning_rate():
    made = problem(40, 3)
    run = adam(made, Goal.of(made, 1e-9), learning_rate=0.05, batch=40, max_passes=1, seed=2)
    b = start(3, 2)
    gradient = made.X.T @ (made.X @ b - made.y) / 40
    np.testing.assert_allclose(run.parameters, b - 0.05 * np.sign(gradient), atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_cap_on_passes_holds(method):
    made = problem(300, 8, shared=0.99)
    run = method(made, Goal.of(made, 1e-9), max_passes=7)
    assert not run.reached
    assert 1 <= run.passes <= 8


@pytest.mark.parametrize("method", [gradient_descent, stochastic_descent])
def test_step_too_large_does_not_pass_for_arrival(method):
    made = problem(100, 3)
    with np.errstate(over="ignore", invalid="ignore"):
        run = method(made, Goal.of(made), learning_rate=1e3, max_passes=5)
    assert not run.reached


def test_stochastic_descent_recovers_from_a_step_too_large():
    made = problem(500, 3)
    with np.errstate(over="ignore", invalid="ignore"):
        run = stochastic_descent(made, Goal.of(made), learning_rate=1e3)
    assert run.reached


def test_a_long_path_is_thinned_evenly():
    made = problem(60, 4, shared=0.9999)
    run = gradient_descent(made, Goal.of(made, 1e-12), max_passes=2000)
    assert run.steps > 1000
    assert len(run.path) <= 257
    assert len(set(np.diff(run.passes_at)[:-1])) == 1
    assert (np.diff(run.losses) <= 1e-15).all()


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("seed", [0, 1])
def test_number_of_steps_is_foretold_by_the_second_moments(shared, seed):
    made = problem(200, 5, shared=shared)
    goal = Goal.of(made)
    largest = np.linalg.eigvalsh(goal.curvature)[-1]
    run = gradient_descent(made, goal, learning_rate=1 / largest, max_passes=10**5, seed=seed)
    assert passes_of_gradient_descent(goal, seed) == run.steps


def test_conjugate_gradients_need_a_pass_for_each_distinct_curvature():
    # Eigenvalues 1, 2, 9, some of them repeated: three steps, in exact arithmetic, from anywhere.
    curvature = np.diag([1.0, 1.0, 1.0, 2.0, 2.0, 9.0, 9.0, 9.0])
    goal = Goal.from_moments(curvature, np.ones(8), 10.0, tolerance=1e-12)
    assert passes_of_conjugate_gradients(goal) == 4
    assert passes_of_gradient_descent(goal) > 4


def test_starting_at_the_bottom_takes_no_step():
    b = start(2, 0)
    goal = Goal.from_moments(np.eye(2), b, float(b @ b) + 1.0)
    assert passes_of_gradient_descent(goal) == 0


UGLY = {
    "constant column": lambda X: np.column_stack([X, np.full(len(X), 3.3)]),
    "duplicate column": lambda X: np.column_stack([X, X[:, 0]]),
    "far from zero": lambda X: X + 1e8,
    "more columns than rows": lambda X: np.column_stack([X, np.random.default_rng(1).normal(size=(len(X), 150))]),
    "all constant": lambda X: np.full_like(X, 1 / 3),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ugly", UGLY)
def test_ugly_columns(method, ugly):
    X, y = table(100, 3)
    X = UGLY[ugly](X)
    made = LeastSquares.from_arrays(X, y)
    goal = Goal.of(made, 0.05)
    run = method(made, goal, max_passes=20_000)
    assert np.isfinite(run.parameters).all()
    assert run.reached
    centred = X - X.mean(axis=0)
    best = best_mean_square(centred, y)
    allowed = best + 0.05 * max(best, 1e-6 * y.var())
    assert mean_square(centred, y, y.mean(), made.coefficients(run.parameters)[1]) <= allowed * (1 + 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_row_and_a_constant_target(method):
    made = LeastSquares.from_arrays(np.array([[1.0, 2.0]]), np.array([7.0]))
    run = method(made, Goal.of(made))
    assert run.reached
    assert made.coefficients(run.parameters * 0)[0] == 7.0
