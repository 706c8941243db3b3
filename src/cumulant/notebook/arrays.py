"""Functions of vectors and matrices for the formulas of pages: what symmetric matrices are diagonalised by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ARRAY_FUNCTIONS"]


def dft(c: Array) -> Array:
    """Eigenvalues of the circulant matrix whose first row, even in the lag, is c; over all axes."""
    return np.asarray(np.fft.fftn(c).real)


def idft(eigenvalues: Array) -> Array:
    """The first row of the circulant matrix with these eigenvalues."""
    return np.asarray(np.fft.ifftn(eigenvalues).real)


ARRAY_FUNCTIONS: dict[str, Callable[..., Any]] = {"dft": dft, "idft": idft, "inv": np.linalg.inv}
