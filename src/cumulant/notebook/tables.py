"""Functions of one variable, tabulated once: Chebyshev polynomials on pieces of an interval, with their error bound."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from cumulant.errors import FileFormatError, OptionError

__all__ = ["Table", "tabulate"]

# Pieces of low degree cost least to evaluate.
DEGREE = 14
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
        Largest relative error found where it was checked against the function itself.

    References
    ----------
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
        Relative error allowed, at ``checks`` points of each piece that are not nodes.

    Raises
    ------
    OptionError
        512 pieces, or 40 halvings, are not enough: f has a singularity in the interval, or is noisier than the
        tolerance.

    Examples
    --------
    >>> import math
    >>> table = tabulate(math.exp, 0.0, 1.0)
    >>> abs(table(0.5) - math.exp(0.5)) < 1e-10
    True
    """
    waiting, done = [(low, high)], []
    worst = 0.0
    while waiting:
        a, b = waiting.pop()
        c, error = _piece(function, a, b, checks)
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


def _piece(function: Callable[[float], float], a: float, b: float, checks: int) -> tuple[tuple[float, ...], float]:
    """Coefficients on [a, b], and the largest relative error between the nodes."""
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    nodes = chebyshev.chebpts1(DEGREE + 1)
    values = [float(function(float(middle + half * u))) for u in nodes]
    c = chebyshev.chebfit(nodes, values, DEGREE)
    u = np.cos(np.pi * (np.arange(checks) + 0.37) / checks)
    exact = np.array([float(function(float(middle + half * v))) for v in u])
    error = np.abs(chebyshev.chebval(u, c) - exact) / np.abs(exact)
    return tuple(float(v) for v in c), float(error.max())
