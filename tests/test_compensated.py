"""Pairs of doubles against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cumulant.errors import DataError
from cumulant.measure import compensated as dd
from cumulant.measure.products import BLOCK_ROWS

exact = np.vectorize(lambda x: Fraction(float(x)), otypes=[object])
numbers = st.one_of(st.just(0.0), *(st.floats(*sorted(s * x for x in (1e-100, 1e100))) for s in (1, -1)))
positive = st.floats(1e-100, 1e100)
fractions = st.floats(-1, 1)


def value(pair):
    return exact(pair[0]) + exact(pair[1])


def make_pair(high, share):
    """A pair whose low word is the given share of its largest size."""
    return dd.two_sum(high, share * np.spacing(high) / 2)


def assert_normalised(pair):
    high, low = pair
    assert np.all(np.abs(low) <= np.spacing(np.abs(high)) / 2)


def relative_error(pair, truth):
    assert_normalised(pair)
    computed = value(pair)
    return abs(computed - truth) / abs(truth) if truth else abs(computed)


# Elementary operations


@given(numbers, numbers)
def test_two_sum_and_two_prod_make_no_error(a, b):
    assert value(dd.two_sum(a, b)) == Fraction(a) + Fraction(b)
    assert value(dd.two_prod(a, b)) == Fraction(a) * Fraction(b)


@given(numbers, fractions, numbers, fractions)
def test_arithmetic_keeps_102_bits(a, a_share, b, b_share):
    x, y = make_pair(a, a_share), make_pair(b, b_share)
    p, q = value(x), value(y)
    assert relative_error(dd.add(x, y), p + q) < 2.0**-104
    assert relative_error(dd.sub(x, y), p - q) < 2.0**-104
    assert relative_error(dd.mul(x, y), p * q) < 2.0**-103
    assume(b != 0)
    assert relative_error(dd.div(x, y), p / q) < 2.0**-102


@given(positive, fractions)
def test_subtraction_survives_cancellation(a, share):
    x = make_pair(a, share)
    y = dd.mul(x, dd.widen(1 + 2.0**-52))
    assert relative_error(dd.sub(x, y), value(x) - value(y)) < 2.0**-104


@given(positive, fractions)
def test_square_root_squares_back(a, share):
    x = make_pair(a, share)
    root = dd.sqrt(x)
    assert_normalised(root)
    assert abs(value(root) ** 2 / value(x) - 1) < 2.0**-101


def test_square_root_of_zero_is_zero():
    root = dd.sqrt(dd.widen(np.array([0.0, 4.0])))
    assert np.array_equal(root[0], [0.0, 2.0])
    assert np.array_equal(root[1], [0.0, 0.0])


def test_operations_broadcast():
    column, row = dd.widen(np.array([[1.0], [2.0]])), dd.widen(np.array([3.0, 7.0, 11.0]))
    for operation in (dd.add, dd.sub, dd.mul, dd.div):
        assert operation(column, row)[0].shape == (2, 3)
    assert np.array_equal(dd.mul(column, row)[0], [[3.0, 7.0, 11.0], [6.0, 14.0, 22.0]])


# Second moments


def integers(x):
    """Doubles as Python integers, in units of the smallest denormal."""
    return np.vectorize(lambda v: int(Fraction(float(v)) * 2**1074), otypes=[object])(x)


def assert_moments(pair, z, weights=None, low=None, tolerance=1e-30):
    """Symmetric, normalised, and within tolerance of ZᵀWZ relative to the norms of the columns."""
    assert_normalised(pair)
    assert all(np.array_equal(word, word.T) for word in pair)
    columns = integers(z) if low is None else integers(z) + integers(low)
    weight = np.full(len(z), 2**1074, dtype=object) if weights is None else integers(weights)
    truth = (columns.T @ (weight[:, None] * columns)) * Fraction(1, 2 ** (3 * 1074))
    error = np.abs(value(pair) - truth)
    norms = np.outer(truth.diagonal(), truth.diagonal())
    # What lies below the smallest denormal cannot be represented.
    assert np.all((error**2 <= Fraction(tolerance) ** 2 * norms) | (error <= Fraction(2.0**-1073)))


sizes = st.tuples(st.integers(1, 6), st.integers(1, 3))


@given(sizes.flatmap(lambda size: arrays(np.float64, size, elements=st.floats(-1e150, 1e150))))
def test_moments_of_anything(z):
    assert_moments(dd.gram(z), z)


@given(
    arrays(np.float64, (4, 2), elements=st.floats(-1e100, 1e100)),
    arrays(np.float64, 4, elements=st.one_of(st.just(0.0), st.floats(1e-20, 1e20))),
)
def test_weighted_moments_of_anything(z, weights):
    assert_moments(dd.gram(z, weights), z, weights)


COLUMNS = {
    "normal": lambda r, n: r.normal(size=n),
    "mean 1e8": lambda r, n: 1e8 + r.normal(size=n),
    "all positive": lambda r, n: r.uniform(0.5, 1, n),
    "all bits set": lambda r, n: np.full(n, 1 - 2.0**-53),
    "full slices": lambda r, n: np.full(n, 0.5 + 2.0**-22 - 2.0**-44 + 2.0**-53) * r.choice([-1, 1], n),
    "widely spread": lambda r, n: np.exp(30 * r.normal(size=n)),
    "one outlier": lambda r, n: np.where(np.arange(n) == n // 2, 1e20, r.normal(size=n)),
    "indicator": lambda r, n: r.integers(0, 2, n).astype(float),
    "counts": lambda r, n: r.integers(-(10**9), 10**9, n).astype(float),
    "decimals": lambda r, n: np.round(r.normal(size=n), 2),
    "denormal": lambda r, n: r.normal(size=n) * 1e-315,
    "huge": lambda r, n: r.uniform(-1, 1, n) * 1e150,
    "zero": lambda r, n: np.zeros(n),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", COLUMNS)
def test_moments_over_blocks_of_rows(kind, weighted):
    r = np.random.default_rng(3)
    n = BLOCK_ROWS + 17
    z = np.column_stack([COLUMNS[kind](r, n), r.normal(size=n), np.ones(n)])
    weights = r.exponential(size=n) * 10.0 ** r.integers(-6, 6, n) if weighted else None
    assert_moments(dd.gram(z, weights), z, weights, tolerance=1e-31)


def test_the_layout_of_the_array_does_not_matter():
    z = np.random.default_rng(0).normal(size=(3000, 9))
    for other in (np.asfortranarray(z), np.repeat(z, 2, axis=0)[::2]):
        assert all(np.array_equal(a, b) for a, b in zip(dd.gram(z), dd.gram(other), strict=True))


def test_a_pair_of_shifted_columns_is_measured_without_rounding_the_shift():
    r = np.random.default_rng(1)
    x = r.exponential(size=(300, 2))
    z = dd.two_sum(x, -x.mean(axis=0))
    assert np.any(z[1] != 0)
    assert_moments(dd.gram(z), z[0], low=z[1], tolerance=1e-31)
    weights = r.exponential(size=300)
    assert_moments(dd.gram(z, weights), z[0], weights, low=z[1], tolerance=1e-31)


def test_moments_of_no_rows_are_zero():
    for weights in (None, np.zeros(0)):
        high, low = dd.gram(np.zeros((0, 3)), weights)
        assert np.array_equal(high, np.zeros((3, 3)))
        assert np.array_equal(low, np.zeros((3, 3)))


def test_integer_weights_repeat_rows_and_zero_weights_drop_them():
    r = np.random.default_rng(2)
    z, counts = r.normal(size=(50, 3)), r.integers(0, 5, 50)
    difference = dd.sub(dd.gram(z, counts), dd.gram(np.repeat(z, counts, axis=0)))
    assert np.abs(difference[0]).max() < 1e-30 * (counts @ z**2).max()


def test_relations_between_columns_survive_weights():
    # c = a + b holds exactly in these cells, so the moments have the null vector (1, 1, −1) whatever the weights.
    r = np.random.default_rng(4)
    a, b = r.integers(-1000, 1000, (2, 500)).astype(float)
    high, low = dd.gram(np.column_stack([a, b, a + b]), r.exponential(size=500))
    null = dd.matmul((high, low), dd.widen(np.array([[1.0], [1.0], [-1.0]])))
    assert np.abs(null[0]).max() < 1e-30 * high.max()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_moments_name_the_column_that_is_not_finite(bad):
    z = np.ones((5, 3))
    z[2, 1] = bad
    with pytest.raises(DataError, match="column 1"):
        dd.gram(z)


def test_moments_name_the_column_whose_square_overflows():
    with pytest.raises(DataError, match="column 2 exceeds"):
        dd.gram(np.array([[1.0, 0.0, 1e200]]))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_named_by_row(bad):
    with pytest.raises(DataError, match="row 1"):
        dd.gram(np.ones((3, 2)), [1.0, bad, 1.0])


def test_weights_of_another_length_are_refused():
    with pytest.raises(DataError, match="one weight per row"):
        dd.gram(np.ones((3, 2)), np.ones(2))


@pytest.mark.parametrize("length", [0, 1, 7, BLOCK_ROWS + 3])
def test_products_of_matrices(length):
    r = np.random.default_rng(length)
    a = make_pair(r.normal(size=(3, length)) * [[1e-250], [1.0], [1e140]], r.uniform(-1, 1, (3, length)))
    b = make_pair(np.exp(9 * r.normal(size=(length, 2))), r.uniform(-1, 1, (length, 2)))
    product = dd.matmul(a, b)
    assert_normalised(product)
    norms = np.outer((value(a) ** 2).sum(axis=1), (value(b) ** 2).sum(axis=0))
    assert np.all((value(product) - value(a) @ value(b)) ** 2 <= Fraction(2e-31) ** 2 * norms)


# Factors and solutions


def hilbert(order):
    """An integer multiple of the Hilbert matrix, exact in doubles."""
    scale = lcm(*range(1, 2 * order))
    return np.array([[float(scale // (i + j + 1)) for j in range(order)] for i in range(order)])


def rational_solution(a, b):
    """Gauss-Jordan elimination in rationals."""
    rows = [[*map(Fraction, row), *map(Fraction, right)] for row, right in zip(a, b, strict=True)]
    for j in range(len(rows)):
        pivot = next(i for i in range(j, len(rows)) if rows[i][j])
        rows[j], rows[pivot] = rows[pivot], rows[j]
        rows[j] = [x / rows[j][j] for x in rows[j]]
        for i in range(len(rows)):
            if i != j:
                rows[i] = [x - rows[i][j] * y for x, y in zip(rows[i], rows[j], strict=True)]
    return np.array([row[len(a) :] for row in rows], dtype=object)


@pytest.mark.parametrize("order", [1, 6, 12])
def test_hilbert_matrices_are_solved_and_inverted(order):
    # The condition number at order 12 is 1.7e16: in doubles no digit is left.
    a = hilbert(order)
    right = np.column_stack([np.ones(order), np.arange(1, order + 1)])
    lower, kept = dd.cholesky(dd.widen(a), 1e-30)
    assert kept.all()
    truth = rational_solution(exact(a), exact(right))
    assert np.all(np.abs(value(dd.solve(lower, kept, dd.widen(right))) / truth - 1) < 1e-14)
    inverse = dd.inverse(lower, kept)
    assert_normalised(inverse)
    assert np.array_equal(inverse[0], inverse[0].T)
    assert np.array_equal(inverse[1], inverse[1].T)
    truth = rational_solution(exact(a), exact(np.eye(order)))
    assert np.all(np.abs(value(inverse) / truth - 1) < 1e-14)


@given(arrays(np.float64, (5, 3), elements=st.floats(-10, 10)))
def test_factors_multiply_back(z):
    moments = dd.gram(z)
    (high, low), kept = dd.cholesky(moments, 1e-25)
    assert np.array_equal(high, np.tril(high))
    assert not high[~kept].any()
    assert not high[:, ~kept].any()
    product = value((high, low)) @ value((high, low)).T
    norm = np.sqrt(np.diagonal(moments[0]))
    both = np.ix_(kept, kept)
    error = (product - value(moments))[both].astype(float)
    assert np.all(np.abs(error) <= 1e-30 * np.outer(norm, norm)[both])


def test_large_matrices_are_factored_by_halves():
    r = np.random.default_rng(5)
    p = 2 * dd.LEAF + 5
    a = dd.gram(r.normal(size=(2 * p, p)))
    lower, kept = dd.cholesky(a, 1e-26)
    assert kept.all()
    norm = np.sqrt(np.diagonal(a[0]))
    error = residual(lower, dd.transpose(lower), a)
    assert np.all(np.abs(error) <= 1e-30 * np.outer(norm, norm))
    b = dd.widen(r.normal(size=(p, 3)))
    assert np.abs(residual(a, dd.solve(lower, kept, b), b)).max() < 1e-27
    assert np.abs(residual(a, dd.inverse(lower, kept), dd.widen(np.eye(p)))).max() < 1e-27


def residual(a, b, c):
    """A B − C, exact before it is rounded."""
    a, b, c = (integers(high) + integers(low) for high, low in (a, b, c))
    return ((a @ b - c * 2**1074) * Fraction(1, 2**2148)).astype(float)


@pytest.mark.parametrize("p", [8, 3 * dd.LEAF])
def test_dependent_columns_are_dropped_from_left_to_right(p):
    r = np.random.default_rng(6)
    z = r.normal(size=(2 * p, p))
    z[:, 2] = 0.0
    z[:, 5] = 3 * z[:, 1]
    z[:, p - 3] = z[:, 0] + z[:, 4]
    z[:, p - 1] = 0.1 * z[:, p - 2] - 0.7 * z[:, 3]
    lower, kept = dd.cholesky(dd.gram(z), 1e-26)
    assert np.array_equal(np.flatnonzero(~kept), sorted({2, 5, p - 3, p - 1}))
    assert not lower[0][~kept].any()
    assert not lower[0][:, ~kept].any()
    # A fit to the kept columns alone solves the same least-squares problem.
    y = r.normal(size=(2 * p, 1))
    right = dd.gram(np.column_stack([z, y]))
    solution = dd.solve(lower, kept, (right[0][:p, p:], right[1][:p, p:]))[0]
    assert not solution[~kept].any()
    assert np.allclose(solution[kept], np.linalg.lstsq(z[:, kept], y, rcond=None)[0], rtol=1e-9)
    inverse = dd.inverse(lower, kept)[0]
    assert not inverse[~kept].any()
    assert np.allclose(inverse[np.ix_(kept, kept)] @ (z.T @ z)[np.ix_(kept, kept)], np.eye(kept.sum()), atol=1e-9)


def test_the_indicators_of_a_category_add_up_to_the_constant():
    group = np.random.default_rng(7).integers(0, 4, 200)
    z = np.column_stack([np.ones(200), group[:, None] == np.arange(4)])
    assert np.array_equal(dd.cholesky(dd.gram(z), 1e-26)[1], [True, True, True, True, False])


def test_a_tolerance_may_be_given_for_each_column():
    a = dd.widen(np.array([[1.0, 1.0, 1.0], [1.0, 1.25, 1.0], [1.0, 1.0, 1.25]]))
    assert np.array_equal(dd.cholesky(a, np.array([0.0, 0.5, 0.1]))[1], [True, False, True])


def test_negative_and_undefined_pivots_are_dropped():
    a = dd.widen(np.diag([1.0, -1.0, np.nan, 0.0, 4.0]))
    assert np.array_equal(dd.cholesky(a, 0.0)[1], [True, False, False, False, True])


def test_a_matrix_without_kept_columns_is_solved_by_zeros():
    lower, kept = dd.cholesky(dd.widen(np.zeros((2, 2))), 1e-26)
    assert not kept.any()
    assert np.array_equal(dd.solve(lower, kept, dd.widen(np.ones((2, 1))))[0], np.zeros((2, 1)))
    assert np.array_equal(dd.inverse(lower, kept)[0], np.zeros((2, 2)))
