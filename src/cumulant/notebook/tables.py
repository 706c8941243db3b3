"""Functions of one variable, tabulated once: Chebyshev polynomials on pieces of an interval, with their error bound."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev

from cumulant.errors import FileFormatError, OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Table", "tabulate"]

# Pieces of low degree cost least to evaluate.
DEGREE = 14
FEWEST_CHECKS = 20
DIED_AWAY = 0.02
MOST_PIECES = 512
MOST_HALVINGS = 40


@dataclass(frozen=True)
class Table:
    """A tabulated function f(x) on [breaks[0], breaks[-1]].

    Parameters
    ----------
    breaks
        Ends of the pieces, ascending.
    coefficients
        Chebyshev coefficients on each piece, which is mapped to [−1, 1].
    error
        Bound of the relative error: over pieces, the largest sum of the Chebyshev coefficients of p/f − 1, with p the
        polynomial of a piece.

    References
    ----------
    Trefethen, Approximation Theory and Approximation Practice (SIAM, 2013), chapters 3, 4 and 8.
    Clenshaw, "A note on the summation of Chebyshev series", Math. Comp. 9 (1955) 118.
    """

    breaks: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    error: float

    def __call__(self, x: Any) -> Any:
        """f(x), for a number or an array; NaN outside the table."""
        if isinstance(x, np.ndarray):
            return np.array([self._at(float(v)) for v in x.ravel()]).reshape(x.shape)
        return self._at(float(x))

    def _at(self, x: float) -> float:
        breaks = self.breaks
        if not breaks[0] <= x <= breaks[-1]:
            return float("nan")
        k = min(bisect_right(breaks, x), len(breaks) - 1) - 1
        low, high = breaks[k], breaks[k + 1]
        u = (2.0 * x - low - high) / (high - low)
        c = self.coefficients[k]
        one = two = 0.0
        for value in c[:0:-1]:
            one, two = value + 2.0 * u * one - two, one
        return c[0] + u * one - two

    def to_dict(self) -> dict[str, Any]:
        """Plain data, exact: floats print as the shortest text that reads back the same."""
        return {
            "breaks": list(self.breaks),
            "coefficients": [list(c) for c in self.coefficients],
            "error": self.error,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Table:
        """The table that `to_dict` described; refuses one that cannot be evaluated."""
        try:
            breaks = tuple(float(b) for b in data["breaks"])
            coefficients = tuple(tuple(float(v) for v in c) for c in data["coefficients"])
            error = float(data["error"])
        except (KeyError, TypeError, ValueError) as wrong:
            raise FileFormatError(f"a table of a page is damaged: {wrong}") from None
        rising = all(a < b for a, b in pairwise(breaks))
        if len(breaks) != len(coefficients) + 1 or not rising or not all(coefficients) or len(breaks) < 2:
            raise FileFormatError("a table of a page is damaged: its pieces do not fit its breaks")
        return Table(breaks, coefficients, error)


def tabulate(
    function: Callable[[float], float], low: float, high: float, *, tolerance: float = 1e-11, checks: int = 40
) -> Table:
    """Tabulate a smooth function on an interval, halving pieces until each is as exact as asked.

    Parameters
    ----------
    function
        f(x), finite on (low, high); never called at the ends.
    low, high
        The interval.
    tolerance
        Relative error allowed, anywhere.
    checks
        Points of each piece, more than 20, at which the error is taken. The polynomial through them is bounded by the
        sum of its Chebyshev coefficients, wherever it is largest, and the last quarter of these must have died away.

    Raises
    ------
    OptionError
        512 pieces, or 40 halvings, are not enough: f has a singularity in the interval, or is noisier than the
        tolerance. Or the error is taken at too few points.

    Examples
    --------
    >>> import math
    >>> table = tabulate(math.exp, 0.0, 1.0)
    >>> abs(table(0.5) - math.exp(0.5)) < 1e-10
    True
    """
    if checks <= FEWEST_CHECKS:
        raise OptionError(f"checks={checks!r}: an error is told from more than {FEWEST_CHECKS} points of a piece")
    waiting, done = [(low, high)], []
    worst = 0.0
    while waiting:
        a, b = waiting.pop()
        c, error = _piece(function, a, b, checks, tolerance)
        if error <= tolerance:
            done.append((a, b, c))
            worst = max(worst, error)
        elif len(waiting) + len(done) < MOST_PIECES and b - a > (high - low) * 0.5**MOST_HALVINGS:
            middle = 0.5 * (a + b)
            waiting += [(middle, b), (a, middle)]
        else:
            raise OptionError(
                f"the function is not smooth near {0.5 * (a + b):.6g} (error {error:.1e} on a piece of {b - a:.1e}); "
                "take its singular factor out, or tabulate a smaller interval"
            )
    breaks = (done[0][0], *(b for _, b, _ in done))
    return Table(breaks, tuple(c for _, _, c in done), worst)


def _piece(
    function: Callable[[float], float], a: float, b: float, checks: int, tolerance: float
) -> tuple[tuple[float, ...], float]:
    """Coefficients on [a, b], and the bound of the relative error; infinite where too few points tell it."""
    middle, half = 0.5 * (a + b), 0.5 * (b - a)

    def exact(u: Array) -> Array:
        return np.array([float(function(float(middle + half * v))) for v in u])

    nodes, u = chebyshev.chebpts1(DEGREE + 1), chebyshev.chebpts1(checks)
    c = chebyshev.chebfit(nodes, exact(nodes), DEGREE)
    error = np.abs(chebyshev.chebfit(u, chebyshev.chebval(u, c) / exact(u) - 1, checks - 1))
    # What has not died away by the last of these coefficients goes on beyond them.
    bound = float(error.sum()) if error[-(checks // 4) :].max() <= DIED_AWAY * tolerance else np.inf
    return tuple(float(v) for v in c), bound
