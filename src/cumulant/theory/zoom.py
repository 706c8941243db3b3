"""Where exp(−F) is: a grid that is laid over all space, and more and more closely over what is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["narrowed", "zoomed"]


def zoomed(
    free_energy: Callable[[Array, Array, int], Array], reach: Array, *, depth: float, nodes: Sequence[int]
) -> tuple[Array, Array]:
    """Ends (n,) of where F of each row is less than ``depth`` above its minimum, which lies within ± ``reach`` (n,).

    ``free_energy`` takes ends (n,) and a number of ``nodes``, one for each time, to F on equidistant nodes (n, G).
    """
    low, high = -reach, reach
    for number in nodes:
        F = free_energy(low, high, number)
        low, high = narrowed(low, high, F.min(axis=1, keepdims=True) + depth > F)
    return low, high


def narrowed(low: Array, high: Array, there: NDArray[np.bool_]) -> tuple[Array, Array]:
    """The first and the last that is there (n, G) of equidistant nodes between ends (n,), and one more on each side."""
    last = there.shape[1] - 1
    step = (high - low) / last
    return low + (np.argmax(there, axis=1) - 1) * step, high - (np.argmax(there[:, ::-1], axis=1) - 1) * step
