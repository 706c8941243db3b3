"""Tables whose least-squares solution is known exactly, noise included.

Rows come in pairs that share their regressors and whose noise is opposite, so the noise is orthogonal to every
regressor and to the constant, exactly. All numbers are multiples of 2⁻³², small enough that the response is exact in
float64: no rounding stands between the table and its solution.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

GRID = 2.0**32
CHUNK_CELLS = 1 << 20


def truth(columns: int) -> list[int]:
    """The solution: constant first, then a coefficient a regressor, none of them zero."""
    return [3, *((-1) ** j * (1 + 7 * j % 31) for j in range(columns))]


def names(columns: int) -> list[str]:
    return [*(f"x{j}" for j in range(columns)), "y"]


def chunks(rows: int, columns: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Blocks of rows (m, columns + 1), the response last: correlated Gaussian regressors of different means."""
    import numpy as np

    rng = np.random.default_rng(seed)
    solution = np.array(truth(columns), dtype=np.float64)
    offset = np.arange(columns) % 7.0
    size = 2 * max(1, CHUNK_CELLS // (2 * (columns + 1)))
    for start in range(0, rows, size):
        m = min(size, rows - start)
        half = m // 2
        block = np.empty((m, columns + 1))
        # A row without a partner has no noise.
        x = rng.standard_normal((m - half, columns)) + rng.standard_normal((m - half, 1)) / 2 + offset
        block[: m - half, :-1] = np.rint(x * GRID) / GRID
        block[m - half :, :-1] = block[:half, :-1]
        block[:, -1] = block[:, :-1] @ solution[1:] + solution[0]
        noise = np.rint(rng.standard_normal(half) * 10 * GRID) / GRID
        block[:half, -1] += noise
        block[m - half :, -1] -= noise
        yield block


def table(rows: int, columns: int, seed: int = 0) -> NDArray[np.float64]:
    """The whole table in memory, row-major (rows, columns + 1)."""
    import numpy as np

    out = np.empty((rows, columns + 1))
    start = 0
    for block in chunks(rows, columns, seed):
        out[start : start + len(block)] = block
        start += len(block)
    return out


def error(coefficients: Sequence[float | None]) -> float | None:
    """Largest relative error of coefficients, constant first, to two digits; None where one is not a number."""
    if any(value is None or not math.isfinite(value) for value in coefficients):
        return None
    pairs = zip(coefficients, truth(len(coefficients) - 1), strict=True)
    return float(f"{max(abs(value / exact - 1) for value, exact in pairs):.2g}")
