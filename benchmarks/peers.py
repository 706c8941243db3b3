"""Regressors that others keep, as `benchmarks.boosting` measures them: by default, and tuned in given seconds.

All see inputs and target of mean 0 and variance 1, use one thread, and are seeded.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Settings = dict[str, Any]
    Rng = np.random.Generator

# A Gaussian process has a length for each of so many inputs, and one for all of more.
LENGTHS = 30
# Folds of the training rows that settings are judged by.
FOLDS = 3
# Tried whatever the seconds, the default among them; and never more than.
FEWEST, MOST = 5, 60


@dataclass(frozen=True)
class Peer:
    """A regressor: made of settings and the number of inputs, and where settings are drawn when it is tuned."""

    make: Callable[[Settings, int], Any]
    draw: Callable[[Rng], Settings] | None = None
    has_default: bool = True


def _log(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _whole(rng: Rng, low: float, high: float) -> int:
    return round(_log(rng, low, high))


def _lightgbm(settings: Settings, _: int) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_jobs=1, verbose=-1, random_state=0, **settings)


def _lightgbm_drawn(rng: Rng) -> Settings:
    return {
        "n_estimators": _whole(rng, 50, 1000), "learning_rate": _log(rng, 0.01, 0.3),
        "num_leaves": _whole(rng, 4, 128), "min_child_samples": _whole(rng, 2, 50),
        "subsample": rng.uniform(0.5, 1.0), "subsample_freq": 1, "colsample_bytree": rng.uniform(0.5, 1.0),
        "reg_lambda": _log(rng, 1e-3, 10.0),
    }  # fmt: skip


def _xgboost(settings: Settings, _: int) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_jobs=1, random_state=0, **settings)


def _xgboost_drawn(rng: Rng) -> Settings:
    return {
        "n_estimators": _whole(rng, 50, 1000), "learning_rate": _log(rng, 0.01, 0.3),
        "max_depth": int(rng.integers(2, 10)), "min_child_weight": _log(rng, 1.0, 30.0),
        "subsample": rng.uniform(0.5, 1.0), "colsample_bytree": rng.uniform(0.5, 1.0),
        "reg_lambda": _log(rng, 1e-2, 10.0),
    }  # fmt: skip


def _catboost(settings: Settings, _: int) -> Any:
    from catboost import CatBoostRegressor

    return CatBoostRegressor(thread_count=1, verbose=0, allow_writing_files=False, random_seed=0, **settings)


def _catboost_drawn(rng: Rng) -> Settings:
    return {
        "iterations": _whole(rng, 100, 1000), "learning_rate": _log(rng, 0.01, 0.3),
        "depth": int(rng.integers(2, 9)), "l2_leaf_reg": _log(rng, 1.0, 30.0),
        "random_strength": _log(rng, 0.1, 10.0), "bagging_temperature": rng.uniform(0.0, 1.0),
    }  # fmt: skip


def _forest(settings: Settings, _: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_jobs=1, random_state=0, **settings)


def _process(settings: Settings, inputs: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    length = np.full(inputs if inputs <= LENGTHS else 1, np.sqrt(inputs))
    kernel = ConstantKernel(1.0) * RBF(length, (1e-2, 1e3)) + WhiteKernel(0.1, (1e-6, 10.0))
    return GaussianProcessRegressor(kernel, random_state=0, **settings)


def _ridge(settings: Settings, _: int) -> Any:
    from sklearn.kernel_ridge import KernelRidge

    return KernelRidge(**({"kernel": "rbf", "alpha": 0.1} | settings))


def _ridge_drawn(rng: Rng) -> Settings:
    return {
        "kernel": str(rng.choice(["rbf", "laplacian"])),
        "alpha": _log(rng, 1e-4, 10.0),
        "gamma": _log(rng, 1e-3, 1),
    }


@dataclass(eq=False)
class _Machine:
    """A recursive feature machine as its authors advise: a fifth of the rows chooses among its iterations."""

    settings: Settings
    model: Any = None

    def fit(self, x: Array, y: Array) -> _Machine:
        from xrfm import xRFM

        own = {"kernel": "l2", "bandwidth": 10.0, "exponent": 1.0, "diag": False, "bandwidth_mode": "constant"}
        own |= {name: value for name, value in self.settings.items() if name != "reg"}
        params = {
            "model": own,
            "fit": {"reg": self.settings.get("reg", 1e-3), "iters": 5, "verbose": False, "early_stop_rfm": True},
        }
        self.model = xRFM(
            rfm_params=params, device="cpu", tuning_metric="mse", verbose=False, random_state=0, n_threads=1
        )
        order = np.random.default_rng(0).permutation(len(y))
        held, rest = order[: max(1, len(y) // 5)], order[max(1, len(y) // 5) :]
        a, b = x.astype(np.float32), y.astype(np.float32)[:, None]
        self.model.fit(a[rest], b[rest], a[held], b[held])
        return self

    def predict(self, x: Array) -> Array:
        return np.ravel(self.model.predict(x.astype(np.float32))).astype(float)


def _machine(settings: Settings, _: int) -> Any:
    return _Machine(settings)


def _machine_drawn(rng: Rng) -> Settings:
    return {
        "kernel": str(rng.choice(["l2", "l1"])), "bandwidth": _log(rng, 1.0, 200.0), "reg": _log(rng, 1e-6, 1.0),
        "exponent": rng.uniform(0.7, 1.4), "diag": bool(rng.integers(2)),
        "bandwidth_mode": str(rng.choice(["constant", "adaptive"])),
    }  # fmt: skip


PEERS = {
    "LightGBM": Peer(_lightgbm, _lightgbm_drawn),
    "XGBoost": Peer(_xgboost, _xgboost_drawn),
    "CatBoost": Peer(_catboost, _catboost_drawn),
    "random forest": Peer(_forest),
    "Gaussian process": Peer(_process),
    "kernel ridge": Peer(_ridge, _ridge_drawn, has_default=False),
    "xRFM": Peer(_machine, _machine_drawn),
}


def names() -> list[str]:
    """Of all that is measured."""
    default = [name for name, peer in PEERS.items() if peer.has_default]
    return default + [f"{name}, tuned" for name, peer in PEERS.items() if peer.draw is not None]


def predicted(name: str, x: Array, y: Array, new: Array, seconds: float) -> Array:
    """What a regressor, tuned for so many processor seconds if its name says so, predicts for new inputs (m, p)."""
    centre, width = x.mean(axis=0), x.std(axis=0)
    width[~(width > 0)] = 1.0
    level, scale = y.mean(), y.std() or 1.0
    x, new, y = (x - centre) / width, (new - centre) / width, (y - level) / scale
    peer = PEERS[name.removesuffix(", tuned")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = _tuned(peer, x, y, seconds) if name.endswith(", tuned") else {}
        found = peer.make(settings, x.shape[1]).fit(x, y).predict(new)
    return np.asarray(found, float) * scale + level


def _tuned(peer: Peer, x: Array, y: Array, seconds: float) -> Settings:
    """The settings of the smallest squared error on folds of the training rows, defaults tried first."""
    assert peer.draw is not None
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(y)) % FOLDS
    start, best, least = time.process_time(), {}, np.inf
    for trial in range(MOST):
        if trial >= FEWEST and time.process_time() - start > seconds:
            break
        settings = peer.draw(rng) if trial else {}
        error = 0.0
        for k in range(FOLDS):
            model = peer.make(settings, x.shape[1]).fit(x[fold != k], y[fold != k])
            error += float(np.sum((y[fold == k] - model.predict(x[fold == k])) ** 2))
        if error < least:
            best, least = settings, error
    return best
