"""Unknown fields integrated out by diagrams, against sums over a plain grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cumulant.diagrams import evaluate, evaluate_each, of_loops
from cumulant.solve.effective import integrate_out
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.theory import PolynomialAction

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
GRID = np.linspace(-7, 7, 71)
NAMES = ("x", "a", "b", "y")
Y = np.array([3])


def law(strength: float) -> PolynomialLaw:
    """Four fields with cubic and quartic vertices between them."""
    f = {(n, n): 0.7 for n in NAMES} | {(n,) * 4: 0.1 * strength for n in NAMES}
    f |= {("x", "a"): -0.5, ("a", "y"): -0.5, ("b", "y"): 0.4, ("x", "y"): -0.3}
    f |= {("a", "a", "y"): 0.4 * strength, ("x", "b", "b"): 0.3 * strength}
    action = PolynomialAction.of(f | {("a", "a", "b", "b"): 0.15 * strength, ("y", "y", "a", "a"): 0.2 * strength})
    coarse = np.linspace(-5, 5, 21)
    rows = np.stack(np.meshgrid(*[coarse] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    w = np.exp(action.value(np.zeros(4)) - action.value(rows))
    w /= w.sum()
    d = rows - w @ rows
    return PolynomialLaw(action, GaussianLaw(Fields(w @ rows, (w * d.T) @ d, None, 1e6, 1e6)), np.arange(4))


def by_grid(theory: PolynomialLaw, row: np.ndarray) -> np.ndarray:
    """The density of y on the grid, the unknown fields summed over."""
    free = [i for i in range(4) if np.isnan(row[i])]
    mesh = np.meshgrid(*[GRID] * len(free), indexing="ij")
    points = np.zeros((*mesh[0].shape, 4)) + np.nan_to_num(row)
    for i, values in zip(free, mesh, strict=True):
        points[..., i] = values
    F = theory.action.value(points)
    p = np.exp(F.min() - F).sum(axis=tuple(range(len(free) - 1)))
    return p / (p.sum() * (GRID[1] - GRID[0]))


def rows(*known: str) -> np.ndarray:
    x = np.full((5, 4), np.nan)
    for name in known:
        x[:, NAMES.index(name)] = np.linspace(-2, 2, 5)
    return x


@pytest.mark.parametrize("known", [("x",), ("x", "b"), ("b",)])
def test_a_weak_coupling_needs_no_draw(known):
    theory, x = law(0.2), rows(*known)
    density = theory.density(x, Y, "y")
    assert (density.how == "diagrams").all()
    assert (density.sd > 0.3).all()
    for i, row in enumerate(x):
        p = by_grid(theory, row)
        mean = (p * GRID).sum() / p.sum()
        sd = np.sqrt((p * (GRID - mean) ** 2).sum() / p.sum())
        assert abs(density.mean[i] - mean) < 0.01 * sd
        assert density.sd[i] == pytest.approx(sd, rel=0.01)
        at = np.argmax(p)
        assert np.exp(density.log_prob(np.full(5, GRID[at])))[i] == pytest.approx(p[at], rel=0.02)


def test_without_vertices_it_is_the_gaussian():
    free = law(0.0)
    K = np.zeros((4, 4))
    for (i, j), value in free.action.couplings("origin").items():
        K[i, j] += value
        K[j, i] += value
    C = np.linalg.inv(K)
    theory = replace(free, whole=GaussianLaw(Fields(np.zeros(4), C, None, 1e6, 1e6)))
    x = rows("x")
    density = theory.density(x, Y, "y")
    np.testing.assert_allclose(density.mean, x[:, 0] * C[0, 3] / C[0, 0], atol=1e-6)
    np.testing.assert_allclose(density.sd, np.sqrt(C[3, 3] - C[0, 3] ** 2 / C[0, 0]), rtol=1e-4)


def test_the_error_is_smaller_than_the_last_term_and_falls_with_the_coupling():
    errors = []
    for strength in (0.1, 0.2):
        theory, x = law(strength), rows("x")
        found = integrate_out(theory.action, theory._precision, theory.action.standard(x), 3, np.array([1, 2]))
        at = [int(np.argmin(np.abs(found.nodes[i]))) for i in range(5)]
        gap = [
            np.log(found.weights[i, k] / np.interp(found.nodes[i, k], GRID, by_grid(theory, x[i])))
            for i, k in enumerate(at)
        ]
        errors.append(np.abs(gap).max())
        assert errors[-1] < found.last_term.max() < 0.25
    assert errors[0] < 0.02


def test_where_the_series_must_not_be_used_one_field_within_another_is_integrated():
    theory, x = law(2.0), rows("x")
    strong = theory.density(x, Y, "y")
    assert set(strong.how) == {"quadrature"}
    for i, row in enumerate(x):
        p = by_grid(theory, row)
        mean = (p * GRID).sum() / p.sum()
        assert strong.mean[i] == pytest.approx(mean, abs=1e-4)
        assert strong.sd[i] == pytest.approx(np.sqrt((p * (GRID - mean) ** 2).sum() / p.sum()), rel=1e-4)
    action = PolynomialAction.of(
        {(n, n): 0.7 for n in NAMES} | {("a", "a"): -1.2, ("a",) * 4: 0.15, ("a", "y"): -0.5, ("a", "x"): -0.2}
    )
    # Wells at a = ±2, about as wide together as a Gaussian of that spread.
    whole = GaussianLaw(Fields(np.zeros(4), np.diag([1.0, 4.0, 1.0, 1.0]), None, 1e6, 1e6))
    wells = PolynomialLaw(action, whole, np.arange(4))
    assert (wells.density(rows("x", "b"), Y, "y").how == "quadrature").all()
    assert (wells.density(rows("x", "a", "b"), Y, "y").how == "quadrature").all()


def test_rows_of_any_pattern_keep_their_order():
    theory = law(0.2)
    x = np.vstack([rows("x")[:2], rows("x", "a", "b")[:2], rows("b")[:2], rows("x")[3:]])
    together = theory.density(x, Y, "y")
    apart = np.concatenate([theory.density(x[i : i + 1], Y, "y").mean for i in range(len(x))])
    np.testing.assert_allclose(together.mean, apart, atol=1e-8)
    assert together.how.tolist() == ["diagrams"] * 2 + ["quadrature"] * 2 + ["diagrams"] * 4
    again = PolynomialLaw.from_state(*replace(theory, integrate="sampling").to_state())
    assert set(again.density(x[:1], Y, "y").how) == {"sampling"}


def test_many_theories_at_once_are_those_one_by_one():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 3, 3))
    g = root @ root.transpose(0, 2, 1)
    couplings = {n: rng.normal(size=(6, *(3,) * n)) for n in (3, 4)}
    for diagram in of_loops(0, [3, 4], 2):
        each = [evaluate(diagram, g[i], {n: t[i] for n, t in couplings.items()}) for i in range(6)]
        np.testing.assert_allclose(evaluate_each(diagram, g, couplings), each, rtol=1e-12)
