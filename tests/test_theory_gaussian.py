"""The source integral against quadrature, its derivatives against differences, β against least squares on rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import multivariate_normal

import cumulant as cm
from cumulant.errors import ColumnError, DataError, OptionError
from cumulant.theory import Gaussian, GaussianAction, cumulant_by_differences

NAMES = ("a", "b", "c", "d")


def some_action(p: int, seed: int = 0, mean: float = 1.0) -> GaussianAction:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(p, p + 2))
    return GaussianAction(NAMES[:p], mean * rng.normal(size=p), root @ root.T / p)


def rows_of(n: int = 60, p: int = 3, seed: int = 1) -> np.ndarray:
    """Correlated columns of very different units, the last one explained in part by the others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * 10.0 ** np.arange(p) + 3.0
    y = x @ rng.normal(size=p) / 10.0 ** np.arange(p).max() + rng.normal(size=n)
    return np.column_stack([x, y])


def action_of(rows: np.ndarray) -> GaussianAction:
    names = (*(f"x{i}" for i in range(rows.shape[1] - 1)), "y")
    return GaussianAction(names, rows.mean(axis=0), np.cov(rows.T))


@pytest.mark.parametrize("source", [0.0, 0.7, -1.3])
def test_partition_function_in_one_dimension_is_the_integral(source):
    action = some_action(1)

    def integrand(phi):
        return np.exp(-action.free_energy(np.array([phi])) + source * phi)

    centre, width = action.mean[0] + source * action.propagator[0, 0], 12 * np.sqrt(action.propagator[0, 0])
    expected, _ = integrate.quad(integrand, centre - width, centre + width, epsabs=0, epsrel=1e-12)
    assert action.partition(np.array([source])) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("source", [(0.0, 0.0), (0.4, -0.6)])
@pytest.mark.parametrize("about", ["origin", "mean"])
def test_partition_function_in_two_dimensions_is_the_integral(source, about):
    action, j = some_action(2), np.array(source)
    origin = action.mean if about == "mean" else np.zeros(2)

    def integrand(b, a):
        phi = np.array([a, b])
        return np.exp(-action.free_energy(phi) + j @ (phi - origin))

    centre, width = action.mean + action.propagator @ j, 10 * np.sqrt(np.diag(action.propagator))
    (a0, b0), (a1, b1) = centre - width, centre + width
    expected, _ = integrate.dblquad(integrand, a0, a1, b0, b1, epsabs=0, epsrel=1e-9)
    assert action.partition(j, about=about) == pytest.approx(expected, rel=1e-7)


def test_free_energy_and_partition_function_are_the_normal_density():
    action, rng = some_action(3), np.random.default_rng(4)
    phi = rng.normal(size=(5, 3))
    expected = multivariate_normal(action.mean, action.propagator).logpdf(phi)
    np.testing.assert_allclose(-action.free_energy(phi) - action.log_partition(), expected, rtol=1e-11)
    assert action.free_energy(action.mean) == 0.0


@pytest.mark.parametrize("p", [1, 3])
def test_cumulants_are_the_derivatives_of_ln_z(p):
    action = some_action(p)
    sd = np.sqrt(np.diag(action.propagator))
    for order in (1, 2, 3, 4):
        exact, found = action.cumulant(order), action.cumulant(order, method="differences")
        assert exact.shape == found.shape == (p,) * order
        unit = sd
        for _ in range(order - 1):
            unit = np.multiply.outer(unit, sd)
        assert np.abs((found - exact) / unit).max() < (1e-2 if order == 4 else 1e-4)
    np.testing.assert_allclose(action.cumulant(1, method="differences"), action.mean, rtol=1e-9)
    np.testing.assert_allclose(action.cumulant(2, method="differences"), action.propagator, rtol=1e-6)
    assert not action.cumulant(3).any()


def test_cumulants_by_differences_survive_a_mean_far_from_zero():
    action = replace(some_action(2), mean=np.array([1e8, -1e8]))
    np.testing.assert_allclose(action.cumulant(1, method="differences"), action.mean, rtol=1e-9)
    np.testing.assert_allclose(action.cumulant(2, method="differences"), action.propagator, rtol=1e-6)


def test_cumulants_of_an_integral_done_by_quadrature():
    """Nothing of the closed form: Z[J] is integrated, its logarithm differenced."""
    action = some_action(1, seed=3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    sd = np.sqrt(action.propagator[0, 0])
    phi = action.mean[0] + 1.5 * sd * nodes  # a rule centred elsewhere than the integrand's own bell
    density = weights * np.exp(nodes**2 / 2) * np.exp(-action.free_energy(phi[:, None]))

    def log_z(j):
        return np.log((density * np.exp(j[0] * phi)).sum())

    scale = np.array([sd])
    for method in ("central", "complex"):
        assert cumulant_by_differences(log_z, scale, 1, method=method).item() == pytest.approx(action.mean[0], rel=1e-8)
        second = cumulant_by_differences(log_z, scale, 2, method=method).item()
        assert second == pytest.approx(action.propagator[0, 0], rel=1e-6)
        assert abs(cumulant_by_differences(log_z, scale, 3, method=method).item()) < 1e-3 * sd**3


@pytest.mark.parametrize("method", ["central", "complex"])
def test_differences_find_the_cumulants_of_what_is_not_gaussian(method):
    """An exponential variable, ln Z = −ln(1 − J): κ_n = (n − 1)!; and an independent one of mean 2."""

    def generator(j):
        return -np.log(1 - j[0]) - np.log(1 - 2 * j[1])

    scale = np.array([1.0, 2.0])
    np.testing.assert_allclose(cumulant_by_differences(generator, scale, 1, method=method), [1, 2], rtol=1e-8)
    np.testing.assert_allclose(
        cumulant_by_differences(generator, scale, 2, method=method), [[1, 0], [0, 4]], rtol=1e-6, atol=1e-6
    )
    third = cumulant_by_differences(generator, scale, 3, method=method)
    assert third[0, 0, 0] == pytest.approx(2, rel=1e-4)
    assert third[1, 1, 1] == pytest.approx(16, rel=1e-4)
    assert abs(third[0, 1, 0]) < 1e-3


def test_the_complex_step_keeps_every_digit():
    found = cumulant_by_differences(lambda j: 1e8 + np.exp(j[0]), np.ones(1), 1, method="complex")
    assert found.item() == pytest.approx(1.0, rel=1e-15)


def test_coefficients_are_least_squares_on_the_rows():
    rows = rows_of()
    action = action_of(rows)
    for at, target in enumerate(action.columns):
        x = np.column_stack([np.ones(len(rows)), np.delete(rows, at, axis=1)])
        beta, rest, *_ = np.linalg.lstsq(x, rows[:, at], rcond=None)
        assert action.intercept(target) == pytest.approx(beta[0], rel=1e-9)
        np.testing.assert_allclose(list(action.coefficients(target).values()), beta[1:], rtol=1e-9)
        # Same denominator as the covariance, n − 1.
        assert action.variance(target) == pytest.approx(rest.item() / (len(rows) - 1), rel=1e-9)


def test_coefficients_of_a_model_without_prior_are_least_squares():
    rows = rows_of()
    columns = dict(zip(("x0", "x1", "x2", "y"), rows.T, strict=True))
    action = cm.fit(columns, prior=None).action
    x = np.column_stack([np.ones(len(rows)), rows[:, :3]])
    beta = np.linalg.lstsq(x, rows[:, 3], rcond=None)[0]
    found = action.coefficients("y")
    np.testing.assert_allclose([action.intercept("y"), *(found[f"x{i}"] for i in range(3))], beta, rtol=1e-9)


def test_the_factor_in_the_recipe_with_the_matrix_of_the_exponent():
    """β = −2σ²Λ_yj needs Λ = K/2 and σ² at fixed x; the naive reading of either is off by 2/(1 − R²)."""
    rows = rows_of()
    x, y = rows[:, :3], rows[:, 3]
    beta, rest, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(rows)), x]), y, rcond=None)
    in_the_exponent = np.linalg.inv(np.cov(rows.T)) / 2
    at_fixed_x = 1 / (2 * in_the_exponent[3, 3])
    np.testing.assert_allclose(-2 * at_fixed_x * in_the_exponent[3, :3], beta[1:], rtol=1e-9)
    naive = -2 * np.var(y, ddof=1) * np.linalg.inv(np.cov(rows.T))[3, :3]
    r_squared = 1 - rest.item() / ((y - y.mean()) ** 2).sum()
    assert 0.05 < r_squared < 0.95
    np.testing.assert_allclose(naive / beta[1:], 2 / (1 - r_squared), rtol=1e-9)


def test_fixing_fields_in_f_is_conditioning_the_covariance():
    action = some_action(4)
    c, mu, known, rest = action.propagator, action.mean, [0, 2], [1, 3]
    x = np.array([0.3, -2.0])
    left = action.fix({"a": 0.3, "c": -2.0})
    gain = np.linalg.solve(c[np.ix_(known, known)], c[np.ix_(known, rest)])
    assert left.columns == ("b", "d")
    np.testing.assert_allclose(left.mean, mu[rest] + (x - mu[known]) @ gain, rtol=1e-10)
    np.testing.assert_allclose(left.propagator, c[np.ix_(rest, rest)] - c[np.ix_(rest, known)] @ gain, rtol=1e-9)


def test_one_variable_left_is_the_regression_line():
    action = action_of(rows_of())
    row = {"x0": 1.0, "x1": -20.0, "x2": 300.0}
    y = action.fix(row)
    beta = action.coefficients("y")
    line = action.intercept("y") + sum(beta[name] * value for name, value in row.items())
    assert y.cumulant(1).item() == pytest.approx(line, rel=1e-9)
    assert y.cumulant(2).item() == pytest.approx(action.variance("y"), rel=1e-12)


def test_integrating_fields_out_is_doing_their_integral():
    action = some_action(3)
    left = action.integrate_out(["c"])
    assert left.columns == ("a", "b")
    sd = np.sqrt(action.propagator[2, 2])

    def remaining(a, b):
        integral, _ = integrate.quad(
            lambda c: np.exp(-action.free_energy(np.array([a, b, c]))),
            action.mean[2] - 15 * sd,
            action.mean[2] + 15 * sd,
            epsabs=0,
            epsrel=1e-11,
        )
        return -np.log(integral)

    points = np.random.default_rng(5).normal(size=(4, 2)) + action.mean[:2]
    found, expected = left.free_energy(points), np.array([remaining(*point) for point in points])
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-8, atol=1e-9)


def test_units_do_not_matter():
    action = some_action(3)
    units = np.array([1e-9, 1.0, 1e12])
    other = GaussianAction(action.columns, action.mean * units, action.propagator * np.outer(units, units))
    np.testing.assert_allclose(other.precision * np.outer(units, units), action.precision, rtol=1e-12)
    assert other.log_partition() == pytest.approx(action.log_partition() + np.log(units).sum(), rel=1e-12)


def test_a_partition_function_beyond_float64_is_infinite_and_its_logarithm_is_not():
    action = GaussianAction(("a",), np.array([1000.0]), np.eye(1))
    assert action.partition(np.array([10.0])) == np.inf
    assert action.log_partition(np.array([10.0])) == pytest.approx(0.5 * np.log(2 * np.pi) + 10_050)


@pytest.mark.parametrize(
    ("covariance", "name", "why"),
    [
        ([[1, 0, 1], [0, 1, 0], [1, 0, 1]], "c", "linear combination"),
        ([[1, 0, 1], [0, 1, 1], [1, 1, 2]], "c", "linear combination"),
        ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], "b", "linear combination"),
        ([[1, 0, 0], [0, 0, 0], [0, 0, 1]], "b", "constant"),
    ],
)
def test_a_field_that_adds_nothing_is_named(covariance, name, why):
    action = GaussianAction(("a", "b", "c"), np.zeros(3), np.array(covariance, dtype=float))
    for use in (lambda: action.precision, action.log_partition, lambda: action.coefficients("a")):
        with pytest.raises(DataError, match=f"field '{name}' is .*{why}"):
            use()
    assert action.integrate_out([name]).precision.shape == (2, 2)


def test_collinear_rows_are_refused_and_the_remedy_works():
    rows = rows_of()
    action = action_of(np.column_stack([rows[:, :1], 2 * rows[:, :1] + 5, rows[:, 3]]))
    with pytest.raises(DataError, match="field 'x1' is a linear combination"):
        action.coefficients("y")
    assert set(action.integrate_out(["x1"]).coefficients("y")) == {"x0"}


def test_options_that_cannot_be_taken():
    action = some_action(2)
    with pytest.raises(ColumnError, match="no column 'bb'"):
        action.coefficients("bb")
    with pytest.raises(ColumnError, match="no column 'z'"):
        action.fix({"z": 1.0})
    with pytest.raises(OptionError, match="no field is left"):
        action.integrate_out(["a", "b"])
    with pytest.raises(OptionError, match="order=0"):
        action.cumulant(0)
    with pytest.raises(OptionError, match="method='guess'"):
        action.cumulant(2, method="guess")
    with pytest.raises(OptionError, match="about='here'"):
        action.generator(np.zeros(2), about="here")
    with pytest.raises(OptionError, match="2 fields"):
        action.generator(np.zeros(3))
    for options in ({"order": 0}, {"order": 1, "method": "guess"}, {"order": 1, "step": 0.0}):
        with pytest.raises(OptionError, match="="):
            cumulant_by_differences(lambda j: j[0], np.ones(1), **options)


def test_the_gaussian_theory_needs_second_moments():
    assert Gaussian().requires().order == 2
