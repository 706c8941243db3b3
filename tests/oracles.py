"""Slow, obvious twins of what the package computes from moments: every row is used, and no code is shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

Array = np.ndarray


def rows(n: int = 200, p: int = 4, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    """A table x0, x1, …, y with correlated columns far from zero and y linear in them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p))) + rng.normal(size=p)
    y = 1.5 + x @ rng.normal(size=p) + noise * rng.normal(size=n)
    return pd.DataFrame({**{f"x{j}": x[:, j] for j in range(p)}, "y": y})


@dataclass(frozen=True)
class Ridge:
    """A ridge fit to rows: penalty ``mass`` on columns standardised by their training mean and sd (ddof 1)."""

    constant: float
    beta: Array
    residual: float
    parameters: float
    covariance: Array  # posterior covariance of beta per unit of noise variance

    def predict(self, x: Array) -> Array:
        return self.constant + x @ self.beta


def ridge(x: Array, y: Array, mass: float = 0.0) -> Ridge:
    """Least squares by numpy's lstsq on rows; a mass becomes extra rows √(α(n − 1)) I, the textbook device."""
    n, p = x.shape
    centre, sd = x.mean(axis=0), x.std(axis=0, ddof=1)
    sd = np.where(sd > 1e-13 * np.abs(centre), sd, 1.0)
    z = (x - centre) / sd
    penalty = np.sqrt(mass * (n - 1)) * np.eye(p)
    design = np.vstack([z, penalty])
    slope = np.linalg.lstsq(design, np.concatenate([y - y.mean(), np.zeros(p)]), rcond=1e-11)[0]
    covariance = np.linalg.pinv(design.T @ design)
    beta = slope / sd
    constant = y.mean() - centre @ beta
    return Ridge(
        constant=float(constant),
        beta=beta,
        residual=float(((y - constant - x @ beta) ** 2).sum()),
        parameters=float(1 + np.trace(z @ covariance @ z.T)),
        covariance=covariance / np.outer(sd, sd),
    )


def cross_validation(x: Array, y: Array, fold: Array, mass: float = 0.0) -> dict[int | str, dict[str, float]]:
    """Refit on the rows of all other folds, score the rows held out."""
    errors, densities, out = [], [], {}
    for k in np.unique(fold):
        held = fold == k
        fit = ridge(x[~held], y[~held], mass)
        s2 = fit.residual / max((~held).sum() - fit.parameters, 1.0)
        error = y[held] - fit.predict(x[held])
        density = stats.norm.logpdf(error, scale=np.sqrt(s2))
        out[int(k)] = _scores(error, density, ((y[held] - y[held].mean()) ** 2).sum())
        errors.append(error)
        densities.append(density)
    out["all"] = _scores(np.concatenate(errors), np.concatenate(densities), ((y - y.mean()) ** 2).sum())
    return out


def _scores(error: Array, density: Array, total: float) -> dict[str, float]:
    return {
        "rows": float(len(error)),
        "r2": 1 - (error**2).sum() / total if total > 0 else np.nan,
        "rmse": float(np.sqrt((error**2).mean())),
        "log_likelihood": float(density.mean()),
    }


def wishart_evidence(z: Array, scale: Array, nu: float) -> float:
    """ln p(rows z) for mean zero and Σ ~ inverse-Wishart(scale, nu): each row a Student t given those before it."""
    total, p = 0.0, z.shape[1]
    for row in z:
        df = nu - p + 1
        total += float(stats.multivariate_t.logpdf(row, loc=np.zeros(p), shape=scale / df, df=df))
        scale = scale + np.outer(row, row)
        nu += 1
    return total


def helmert(n: int) -> Array:
    """Orthonormal contrasts (n - 1, n): they turn n rows into n - 1 rows of mean zero with the same scatter."""
    out = np.zeros((n - 1, n))
    for i in range(1, n):
        out[i - 1, :i], out[i - 1, i] = 1.0, -float(i)
        out[i - 1] /= np.sqrt(i * (i + 1))
    return out
