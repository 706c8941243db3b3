"""Cumulants of any theory by numerical differentiation of its generator W[J]: slow, and independent of its formulas."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement, permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["cumulant_by_differences"]

METHODS = ("central", "complex")


def cumulant_by_differences(
    generator: Callable[[NDArray[Any]], Any],
    scale: Array,
    order: int,
    *,
    method: str = "central",
    step: float | None = None,
) -> Array:
    """∂ⁿW/∂Jⁿ at J = 0 from values of W alone.

    Parameters
    ----------
    generator
        W[J] for a source (p,); ln Z[J] does as well, since constants drop out.
    scale
        Typical size of each field (p,), such as its standard deviation. J_i is varied in units of 1/scale_i.
    order
        n, from 1.
    method
        ``"central"`` differences, with an error of order step²; ``"complex"``: the first derivative is Im W[ih]/h,
        which subtracts nothing and so keeps every digit, and the others are central. W must then take complex J.
    step
        Size of the steps, in those units. Default: where rounding and truncation balance, ε^(1/(n+2)).

    Returns
    -------
    ndarray
        (p,) * n, symmetric.

    References
    ----------
    Squire & Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40 (1998) 110.

    Examples
    --------
    >>> import numpy as np
    >>> poisson = lambda j: 3.0 * (np.exp(j[0]) - 1.0)  # every cumulant of a Poisson variable is its mean
    >>> [round(cumulant_by_differences(poisson, np.ones(1), n).item(), 3) for n in (1, 2, 3)]
    [3.0, 3.0, 3.0]
    """
    if order < 1:
        raise OptionError(f"order={order!r}: cumulants begin at order 1")
    if method not in METHODS:
        raise OptionError(f"method={method!r}: choose 'central' or 'complex'")
    h = np.finfo(float).eps ** (1 / (order + 2)) if step is None else step
    if not h > 0:
        raise OptionError(f"step={step!r}: give a positive number")
    p = len(scale)
    unit = np.diag(1 / np.asarray(scale, dtype=np.float64))
    out = np.empty((p,) * order)
    derivative = _complex_step if method == "complex" else _central
    for index in combinations_with_replacement(range(p), order):
        value = derivative(generator, unit[list(index)], h) * np.prod([scale[i] for i in index])
        for place in set(permutations(index)):
            out[place] = value
    return out


def _central(generator: Callable[[NDArray[Any]], Any], directions: NDArray[Any], h: float) -> float:
    """Mixed derivative along n directions (n, p): Σ over signs s of Π s · W[h s·directions], over (2h)ⁿ."""
    n = len(directions)
    terms = (np.prod(s) * generator(h * (np.array(s) @ directions)) for s in product((1.0, -1.0), repeat=n))
    return float(sum(terms) / (2 * h) ** n)


def _complex_step(generator: Callable[[NDArray[Any]], Any], directions: NDArray[Any], h: float) -> float:
    # The imaginary step costs no digits however small it is.
    tiny = 1e-100
    first = 1j * tiny * directions[0]

    def slope(j: NDArray[Any]) -> float:
        return float(np.imag(generator(j + first)) / tiny)

    return _central(slope, directions[1:], h) if len(directions) > 1 else slope(np.zeros(directions.shape[1]))
