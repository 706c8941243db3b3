"""The derivation in symbols against SymPy's own integrals, quadrature, and the numbers of a fitted model."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import sympy as sp
from scipy import integrate

from cumulant.errors import ColumnError, MissingDependencyError, OptionError
from cumulant.theory import GaussianAction
from cumulant.theory.symbolic import SymbolicAction, SymbolicTarget, expand

NAMES = ("x", "y", "z")


def zero(expression) -> bool:
    return sp.simplify(sp.together(sp.expand(expression))) == 0


def some_action(p: int) -> GaussianAction:
    rng = np.random.default_rng(p)
    root = rng.normal(size=(p, p + 2))
    return GaussianAction(NAMES[:p], rng.normal(size=p), root @ root.T / p)


def test_expansion_is_the_taylor_series():
    x, y, a, b = sp.symbols("x y a b")
    f = sp.exp(x) * sp.cos(y) + x**3 * y
    found = expand(f, (x, y), (a, b), order=2)
    for n in range(3):
        for k in range(n + 1):
            difference = found.diff(x, n - k, y, k) if n else found
            expected = f.diff(x, n - k, y, k) if n else f
            assert zero((difference - expected).subs({x: a, y: b}))
    assert zero(found.diff(x, 3))
    assert zero(found.diff(x, 2, y, 1))


def test_second_order_of_a_general_free_energy_is_the_gaussian_form():
    """About the point where its first derivatives vanish, any smooth F is ½ η·K·η + constant."""
    action = SymbolicAction(("x", "y"))
    (x, y), (a, b), k = action.fields, action.means, action.precision
    anything = action.free_energy + (x - a) ** 3 * sp.exp(y) + (y - b) ** 4
    assert zero(expand(anything, (x, y), (a, b)) - action.free_energy)
    assert sp.hessian(action.free_energy, (x, y)) == k


@pytest.mark.parametrize("p", [1, 2, 3])
def test_the_square_is_complete(p):
    action = SymbolicAction(NAMES[:p])
    with_source = action.free_energy - sum(j * phi for j, phi in zip(action.sources, action.fields, strict=True))
    assert zero(action.completed_square - with_source)
    # The peak is where the derivative of F − J·φ vanishes.
    at_peak = dict(zip(action.fields, action.peak, strict=True))
    for phi in action.fields:
        assert zero(with_source.diff(phi).subs(at_peak, simultaneous=True))


def test_partition_function_of_one_column_is_the_integral_that_sympy_does():
    action = SymbolicAction(("x",))
    (x,), (j,) = action.fields, action.sources
    integral = sp.integrate(sp.exp(sp.expand(-action.free_energy + j * x)), (x, -sp.oo, sp.oo))
    assert zero(sp.log(integral / action.partition).rewrite(sp.log).simplify())


def test_partition_function_of_two_columns_is_the_integral():
    action, numbers, j = SymbolicAction(("x", "y")), some_action(2), (0.4, -0.6)
    values = dict(zip(action.sources, j, strict=True))
    centre, width = numbers.mean + numbers.propagator @ np.array(j), 10 * np.sqrt(np.diag(numbers.propagator))

    def integrand(y, x):
        phi = np.array([x, y])
        return np.exp(-numbers.free_energy(phi) + np.dot(j, phi))

    (x0, y0), (x1, y1) = centre - width, centre + width
    expected, _ = integrate.dblquad(integrand, x0, x1, y0, y1, epsabs=0, epsrel=1e-9)
    assert action.evaluate(action.partition.subs(values), numbers) == pytest.approx(expected, rel=1e-7)


def test_cumulants_are_mean_propagator_and_nothing_more():
    action = SymbolicAction(("x", "y"))
    k = action.precision
    determinant = k[0, 0] * k[1, 1] - k[0, 1] ** 2
    assert [action.cumulant(name) for name in "xy"] == list(action.means)
    assert zero(action.cumulant("x", "x") - k[1, 1] / determinant)
    assert zero(action.cumulant("y", "x") + k[0, 1] / determinant)
    for names in ("xxx", "xxy", "xyyy"):
        assert action.cumulant(*names) == 0
    assert sp.simplify(action.propagator * k) == sp.eye(2)


@pytest.mark.parametrize("p", [2, 3])
def test_symbols_and_numbers_agree(p):
    symbols, numbers = SymbolicAction(NAMES[:p]), some_action(p)
    for i, a in enumerate(symbols.columns):
        assert symbols.evaluate(symbols.cumulant(a), numbers) == pytest.approx(numbers.mean[i])
        assert symbols.evaluate(symbols.variance(a), numbers) == pytest.approx(numbers.variance(a))
        found = {name: symbols.evaluate(beta, numbers) for name, beta in symbols.coefficients(a).items()}
        assert found == pytest.approx(numbers.coefficients(a))
        for j, b in enumerate(symbols.columns):
            assert symbols.evaluate(symbols.cumulant(a, b), numbers) == pytest.approx(numbers.propagator[i, j])


def test_evaluation_does_not_depend_on_the_order_of_columns():
    symbols, numbers = SymbolicAction(("z", "x")), some_action(3).integrate_out(["y"])
    assert symbols.evaluate(symbols.cumulant("z"), numbers) == pytest.approx(numbers.mean[1])
    assert symbols.evaluate(symbols.variance("x"), numbers) == pytest.approx(numbers.variance("x"))


def test_coefficients_minimise_the_mean_squared_residual():
    """β_j = −K_yj/K_yy, found here as SymPy solves ∂⟨(y − β·x)²⟩/∂β = 0 in terms of the propagator."""
    action = SymbolicAction(NAMES)
    g, slopes = action.propagator, sp.symbols("b0 b1")
    direction = sp.Matrix([-slopes[0], -slopes[1], 1])
    error = (direction.T * g * direction)[0]
    solution = sp.solve([error.diff(b) for b in slopes], slopes)
    for b, (_, beta) in zip(slopes, action.coefficients("z").items(), strict=True):
        assert zero(solution[b] - beta)


def test_the_regression_line_is_the_first_derivative_at_zero_source():
    y = SymbolicTarget("y", ("x1", "x2"))
    x1, x2 = sp.symbols("x1 x2", real=True)
    b0, b1, b2 = sp.symbols("beta_0 beta_x1 beta_x2", real=True)
    assert y.line == b0 + b1 * x1 + b2 * x2
    integrand = sp.exp(-y.free_energy + y.source * (y.y - y.line))
    first = sp.integrate((integrand * (y.y - y.line)).subs(y.source, 0), (y.y, -sp.oo, sp.oo))
    second = sp.integrate((integrand * (y.y - y.line) ** 2).subs(y.source, 0), (y.y, -sp.oo, sp.oo))
    z = sp.integrate(integrand.subs(y.source, 0), (y.y, -sp.oo, sp.oo))
    assert zero(first)
    assert y.cumulant(1) == 0
    assert zero(second / z - y.cumulant(2))
    assert y.cumulant(2) == y.sigma**2
    assert zero(z - y.partition.subs(y.source, 0))
    assert y.cumulant(3) == 0


def test_the_square_of_one_variable_is_complete():
    y = SymbolicTarget("y", ("x",))
    assert zero(y.completed_square - (y.free_energy - y.source * (y.y - y.line)))


def test_rearranging_the_expansion_gives_the_line_and_the_variance():
    """What is left of F to second order is (y − β₀ − Σ β_j x_j)²/(2σ²), up to terms without y."""
    y = SymbolicTarget("delay", ("hour", "wind"))
    known = {sp.Symbol(f"beta_{name}", real=True): y.coefficients[name] for name in y.inputs}
    known[sp.Symbol("beta_0", real=True)] = y.coefficients["const"]
    rearranged = y.free_energy.subs(known).subs(y.sigma**2, y.variance).subs(y.sigma, sp.sqrt(y.variance))
    assert zero((rearranged - y.expansion).diff(y.y))


def test_the_two_stories_agree():
    action, y = SymbolicAction(("x", "y")), SymbolicTarget("y", ("x",))
    # The couplings carry the same names up to the order of the columns.
    same = {sp.Symbol("K_yx", real=True): action.precision[0, 1]}
    assert zero(y.coefficients["x"].subs(same) - action.coefficients("y")["x"])
    assert y.variance == action.variance("y")


def test_a_target_alone_has_a_constant_for_a_line():
    y = SymbolicTarget("y", ())
    assert y.line == sp.Symbol("beta_0", real=True)
    assert list(y.coefficients) == ["const"]


@pytest.mark.parametrize(
    ("target", "inputs"), [("y", ("y",)), ("f", ("x",)), ("y", ("J",)), ("y", ("0",)), ("sigma", ())]
)
def test_names_with_two_meanings_are_refused(target, inputs):
    with pytest.raises(OptionError, match=r"names|name once"):
        SymbolicTarget(target, inputs)


@pytest.mark.parametrize("columns", [(), ("x", "x"), ("x", "mu_x"), tuple("abcde")])
def test_columns_that_make_no_action_are_refused(columns):
    with pytest.raises(OptionError, match="names"):
        SymbolicAction(columns)


def test_questions_that_have_no_answer():
    action, numbers = SymbolicAction(("x", "y")), some_action(2)
    with pytest.raises(ColumnError, match="no column 'z'"):
        action.cumulant("z")
    with pytest.raises(OptionError, match="at least one column"):
        action.cumulant()
    with pytest.raises(OptionError, match="still holds J_x"):
        action.evaluate(action.sources[0], numbers)
    with pytest.raises(ColumnError, match="no column 'y'"):
        action.evaluate(action.means[0], some_action(3).integrate_out(["y"]))
    with pytest.raises(OptionError, match="integrate the other fields out"):
        action.evaluate(action.means[0], some_action(3))
    with pytest.raises(OptionError, match="order=0"):
        SymbolicTarget("y", ()).cumulant(0)


def test_without_sympy_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "sympy":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"cumulant\[symbolic\]"):
        SymbolicAction(("x", "y"))
    with pytest.raises(MissingDependencyError, match=r"cumulant\[symbolic\]"):
        SymbolicTarget("y", ("x",))
