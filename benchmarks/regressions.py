"""Least squares with a constant on arrays in memory, by cumulant and its peers, each as its documentation has it.

Every function imports what it needs and returns the call to be timed: data in, coefficients out, constant first.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

INCREMENT_ROWS = 1 << 16


@dataclass(frozen=True)
class Data:
    """One table in the form each side takes: all columns in one array, or regressors and response apart."""

    table: Array | None
    X: Array | None
    y: Array | None

    @staticmethod
    def make(rows: int, columns: int, forms: str) -> Data:
        """``forms``: "table", "parts", or "both"; all row-major and contiguous."""
        table = synthetic.table(rows, columns)
        parts = (None, None) if forms == "table" else (table[:, :-1].copy(), table[:, -1].copy())
        return Data(None if forms == "parts" else table, *parts)


@dataclass(frozen=True)
class Regression:
    """One way to fit, and the largest table that it is given."""

    prepare: Callable[[], Callable[[Data], Array]]
    forms: str = "parts"
    most_cells: float = float("inf")
    why_limited: str = ""

    def left_out(self, rows: int, columns: int) -> str | None:
        return self.why_limited if rows * columns > self.most_cells else None


def _cumulant() -> Callable[[Data], Array]:
    import cumulant as cm

    def run(data: Data) -> Array:
        m = cm.measure(data.table, columns=synthetic.names(data.table.shape[1] - 1), folds=10, progress=False)
        return cm.solve(m, prior=None).summary("y").table["coefficient"].to_numpy()

    return run


def _intelex() -> Callable[[Data], Array]:
    from sklearnex.linear_model import LinearRegression

    return lambda data: _coefficients(LinearRegression().fit(data.X, data.y))


def _intelex_incremental() -> Callable[[Data], Array]:
    from sklearnex.linear_model import IncrementalLinearRegression

    # Its own default, batches of 5 p rows, is several times slower.
    return lambda data: _coefficients(IncrementalLinearRegression(batch_size=INCREMENT_ROWS).fit(data.X, data.y))


def _sklearn() -> Callable[[Data], Array]:
    from sklearn.linear_model import LinearRegression

    return lambda data: _coefficients(LinearRegression().fit(data.X, data.y))


def _ridge() -> Callable[[Data], Array]:
    from sklearn.linear_model import Ridge

    return lambda data: _coefficients(Ridge(alpha=0.0, solver="cholesky").fit(data.X, data.y))


def _statsmodels() -> Callable[[Data], Array]:
    import statsmodels.api as sm

    def run(data: Data) -> Array:
        fit = sm.OLS(data.y, sm.add_constant(data.X, has_constant="add")).fit()
        fit.summary()  # its standard errors, as in ours, are computed when asked for
        return fit.params

    return run


def _lstsq() -> Callable[[Data], Array]:
    def run(data: Data) -> Array:
        design = np.empty((len(data.X), 1 + data.X.shape[1]))
        design[:, 0], design[:, 1:] = 1.0, data.X
        return np.linalg.lstsq(design, data.y, rcond=None)[0]

    return run


def _coefficients(fitted: Any) -> Array:
    return np.append(np.ravel(fitted.intercept_), np.ravel(fitted.coef_))


SVD = {"most_cells": 2e7, "why_limited": "its singular values would take minutes"}
REGRESSIONS = {
    "cumulant": Regression(_cumulant, forms="table"),
    "scikit-learn-intelex": Regression(_intelex),
    "scikit-learn-intelex incremental": Regression(_intelex_incremental),
    "scikit-learn Ridge(cholesky)": Regression(_ridge),
    "scikit-learn LinearRegression": Regression(_sklearn),
    "statsmodels OLS": Regression(_statsmodels, **SVD),
    "numpy lstsq": Regression(_lstsq, **SVD),
}


def quietly(run: Callable[[Data], Array]) -> Callable[[Data], Array]:
    """The same call, without what it would tell a user (small samples, and the like)."""

    def silent(data: Data) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(data)

    return silent
