"""What networks of the same data cost: one that is trained by Adam, and an ensemble of them, on the rows of a field.

The network is that of the usual benchmarks of regression, two layers of ReLUs, trained until a tenth of the rows, held
out, stops gaining; the ensemble is five of them from different starts (Lakshminarayanan et al., NeurIPS 2017), whose
spread adds to the variance. Both foretell with a Gaussian, of the variance of another tenth that they have not seen.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ENSEMBLE", "SETTINGS", "Trained", "train"]

ENSEMBLE, WIDTH, PASSES, PATIENCE, STOPPING = 5, 64, 2000, 30, 0.1
RATE, BATCH = 3e-3, 32
SETTINGS = (
    f"two layers of {WIDTH} ReLUs, Adam of rate {RATE:g} on batches of {BATCH}, stopped when {STOPPING:.0%} of the "
    f"rows, held out, gain nothing in {PATIENCE} passes; the variance is that of {STOPPING:.0%} more"
)


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks that were trained.

    Parameters
    ----------
    mean, variance
        Of each new row (n,).
    passes
        Over the rows, of all networks together.
    weights
        Of one network.
    """

    mean: Array
    variance: Array
    passes: float
    weights: int


def train(x: Array, y: Array, new: Array, networks: int, seed: int) -> Trained:
    """Train networks on rows x (n, p) and y (n,), and predict new rows (m, p).

    Raises
    ------
    MissingDependencyError
        Without scikit-learn.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor
    except ImportError as error:
        raise MissingDependencyError(
            "networks are trained by scikit-learn; install it with: pip install 'cumulant[sklearn]'"
        ) from error
    centre, width = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    level, unit = float(y.mean()), float(y.std()) or 1.0
    held = np.random.default_rng(seed).permutation(len(y))[: max(2, round(STOPPING * len(y)))]
    kept = np.setdiff1d(np.arange(len(y)), held)
    z, means, noise, passes, weights = (x - centre) / width, [], [], 0.0, 0
    for k in range(networks):
        net: Any = MLPRegressor(
            hidden_layer_sizes=(WIDTH, WIDTH), learning_rate_init=RATE, batch_size=min(BATCH, len(kept)),
            max_iter=PASSES, early_stopping=True, validation_fraction=STOPPING, n_iter_no_change=PATIENCE,
            random_state=seed + k,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(z[kept], (y[kept] - level) / unit)
        means.append(level + unit * net.predict((new - centre) / width))
        noise.append(float(np.mean((y[held] - level - unit * net.predict(z[held])) ** 2)))
        passes += net.n_iter_
        weights = sum(w.size for w in (*net.coefs_, *net.intercepts_))
    found = np.array(means)
    return Trained(found.mean(axis=0), np.mean(noise) + found.var(axis=0), passes, weights)
