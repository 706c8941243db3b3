"""NIST's certified regressions from compensated moments alone.

The rows are read once, into the moments of [1, x − s, y − t] about a constant near the mean; everything after that
is linear algebra in pairs of doubles. Run as a script for the digits reached on each set.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from nist import NAMES, digits, exact_table, load

from cumulant.measure import compensated as dd

if TYPE_CHECKING:
    from nist import Reference
    from numpy.typing import NDArray

    from cumulant.measure.compensated import Pair

ROUNDING = 2.0**-53
# Relative pivots of exact linear combinations come out below 1e-30.
TOLERANCE = 1e-26
REQUIRED = dict.fromkeys(NAMES, 9.0) | {"filip": 7.0}


@dataclass(frozen=True, eq=False)
class Fit:
    """Least squares from moments: what NIST certifies, and the relative pivot of each column."""

    coefficients: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    residual_sd: float
    r_squared: float
    pivots: NDArray[np.float64]


def part(a: Pair, rows: object, columns: object) -> Pair:
    return a[0][rows][:, columns], a[1][rows][:, columns]


def scatter(z: NDArray[np.float64], *, centre: bool) -> tuple[Pair, Pair]:
    """Sums of squares and products (about the means, if asked), and the means, of columns z."""
    n, q = z.shape
    if not centre:
        return dd.gram(z), dd.widen(np.zeros(q))
    shift = z.mean(axis=0)
    high, low = dd.two_sum(z, -shift)
    moments = dd.gram((np.column_stack([np.ones(n), high]), np.column_stack([np.zeros(n), low])))
    totals, count = part(moments, slice(1, None), slice(0, 1)), part(moments, slice(0, 1), slice(0, 1))
    means = dd.div(totals, count)
    centred = dd.sub(part(moments, slice(1, None), slice(1, None)), dd.matmul(means, dd.transpose(totals)))
    return centred, dd.add((means[0][:, 0], means[1][:, 0]), dd.widen(shift))


def scaled(a: Pair) -> tuple[Pair, NDArray[np.float64]]:
    """A with diagonal entries near one, by powers of two, and the factors of its columns."""
    factors = 2.0 ** -np.round(np.log2(np.diagonal(a[0])) / 2)
    square = factors[:, None] * factors
    return (a[0] * square, a[1] * square), factors


def fit(reference: Reference) -> Fit:
    z = np.column_stack([reference.design, reference.response])
    n, p = reference.design.shape
    sums, means = scatter(z, centre=reference.intercept)
    sums, factors = scaled(sums)
    lower, kept = dd.cholesky(sums, TOLERANCE)
    x, y = slice(0, p), slice(p, None)
    inner = part(lower, x, x)
    solution = dd.solve(inner, kept[:p], part(sums, x, y))[0][:, 0]
    inverse = dd.inverse(inner, kept[:p])[0]
    # The last pivot is what no column explains of y; a perfect fit leaves less than the tolerance, hence nothing.
    unexplained = lower[0][p, p] ** 2
    residual_sd = np.sqrt(unexplained / (n - p - reference.intercept)) / factors[p]
    coefficients = solution * factors[:p] / factors[p]
    standard_errors = residual_sd * np.sqrt(np.diagonal(inverse)) * factors[:p]
    if reference.intercept:
        mean_x = (means[0][:p, None], means[1][:p, None])
        fitted = dd.matmul(dd.transpose(mean_x), dd.widen(coefficients[:, None]))
        constant = dd.sub((means[0][p], means[1][p]), (fitted[0][0, 0], fitted[1][0, 0]))[0]
        coefficients = np.concatenate([[constant], coefficients])
        spread = means[0][:p] * factors[:p]
        error = residual_sd * np.sqrt(1 / n + spread @ inverse @ spread)
        standard_errors = np.concatenate([[error], standard_errors])
    pivots = np.diagonal(lower[0]) ** 2 / np.diagonal(sums[0])
    return Fit(coefficients, standard_errors, residual_sd, 1 - unexplained / sums[0][p, p], pivots)


@pytest.mark.parametrize("name", NAMES)
def test_the_certified_digits_are_reached(name: str) -> None:
    reference = load(name)
    result = fit(reference)
    assert digits(result.coefficients, reference.coefficients) >= REQUIRED[name]
    assert digits(result.standard_errors, reference.standard_errors) >= REQUIRED[name]
    assert digits(result.residual_sd, reference.residual_sd) >= REQUIRED[name]
    assert digits(result.r_squared, reference.r_squared) >= REQUIRED[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_certified_coefficients_solve_the_published_tables(name: str) -> None:
    reference = load(name)
    _, response, design = exact_table(name)
    rows = [[*([1] if reference.intercept else []), *row] for row in design]
    residuals = [
        y - sum(Fraction(b) * x for b, x in zip(reference.coefficients, row, strict=True))
        for row, y in zip(rows, response, strict=True)
    ]
    # Least squares leaves residuals orthogonal to every column; 21 published digits leave that much undecided.
    for column in zip(*rows, strict=True):
        rest = abs(sum(x * e for x, e in zip(column, residuals, strict=True)))
        terms = sum(
            abs(x * Fraction(b) * other)
            for x, row in zip(column, rows, strict=True)
            for b, other in zip(reference.coefficients, row, strict=True)
        )
        assert rest <= Fraction(1e-20) * terms


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_kept_and_rounded_combinations_of_columns_are_dropped(name: str) -> None:
    reference = load(name)
    x = reference.design
    combined = [3 * x[:, -1], 0.1 * x[:, 0]] + ([x[:, 0] + x[:, 1]] if x.shape[1] > 1 else [])
    z = np.column_stack([x, *combined])
    sums, _ = scatter(z, centre=reference.intercept)
    # The rounding of cells is what a combination leaves: seen from columns far from zero it is a larger share.
    share = (z**2).sum(axis=0) / np.diagonal(sums[0])
    tolerance = np.maximum(TOLERANCE, 16 * ROUNDING**2 * share)
    _, kept = dd.cholesky(scaled(sums)[0], tolerance)
    assert np.array_equal(kept, np.arange(z.shape[1]) < x.shape[1])


def main() -> None:
    print(f"{'set':10}{'coefficients':>14}{'standard errors':>17}{'residual sd':>13}{'R²':>6}  least pivot")
    for name in NAMES:
        reference, result = load(name), fit(load(name))
        print(
            f"{name:10}{digits(result.coefficients, reference.coefficients):14.1f}"
            f"{digits(result.standard_errors, reference.standard_errors):17.1f}"
            f"{digits(result.residual_sd, reference.residual_sd):13.1f}"
            f"{digits(result.r_squared, reference.r_squared):6.1f}  {result.pivots[:-1].min():.1e}"
        )


if __name__ == "__main__":
    main()
