"""Where exp(−F) is: a grid that is laid over all space, and more and more closely over what is left of it."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ENDLESS", "narrowed", "rule", "zoomed"]

# A field that ends nowhere.
ENDLESS = np.array([-np.inf, np.inf])
# Gregory's coefficients.
_CORRECTIONS = (1 / 12, 1 / 24, 19 / 720, 3 / 160, 863 / 60480)


def zoomed(
    free_energy: Callable[[Array, Array, int], Array],
    reach: Array,
    *,
    depth: float,
    nodes: Sequence[int],
    ends: Array = ENDLESS,
) -> tuple[Array, Array]:
    """Ends (n,) of where F of each row is less than ``depth`` above its minimum, which lies within ± ``reach`` (n,).

    ``free_energy`` takes ends (n,) and a number of ``nodes``, one for each time, to F on equidistant nodes (n, G). The
    field is between its ``ends`` (2,).
    """
    low, high = np.maximum(-reach, ends[0]), np.minimum(reach, ends[1])
    for number in nodes:
        F = free_energy(low, high, number)
        low, high = narrowed(low, high, F.min(axis=1, keepdims=True) + depth > F)
        low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
    return low, high


def rule(nodes: int, ends: Array = ENDLESS) -> Array:
    """Weights (nodes,) of a sum over equidistant nodes of a field with these ends (2,), in units of their distance.

    Those of Gregory at an end, where the integrand breaks off. Where it vanishes they are 1, and the sum is exact to
    all digits.

    References
    ----------
    Hildebrand, Introduction to Numerical Analysis (1974), section 5.9.
    """
    low, high = np.isfinite(ends).tolist()
    return _rule(nodes, low, high)


@lru_cache
def _rule(nodes: int, low: bool, high: bool) -> Array:
    corrections = np.zeros(nodes)
    corrections[0] = 0.5
    for k, factor in enumerate(_CORRECTIONS, start=1):
        # Of the k-th difference of the first k + 1 values.
        corrections[: k + 1] += factor * np.array([(-1) ** i * comb(k, i) for i in range(k + 1)])
    return np.ones(nodes) - low * corrections - high * corrections[::-1]


def narrowed(low: Array, high: Array, there: NDArray[np.bool_]) -> tuple[Array, Array]:
    """The first and the last that is there (n, G) of equidistant nodes between ends (n,), and one more on each side."""
    last = there.shape[1] - 1
    step = (high - low) / last
    return low + (np.argmax(there, axis=1) - 1) * step, high - (np.argmax(there[:, ::-1], axis=1) - 1) * step
