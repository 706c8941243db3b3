"""How good the predictions of a column are on rows the model did not see: scores, residuals, calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantError
from cumulant.explain.judges import Judges
from cumulant.explain.theories import cross_validate
from cumulant.lift import Boolean, Categorical
from cumulant.solve.field.class_law import ClassLaw
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.left_out import displaced
from cumulant.solve.predictive import Predictive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]

__all__ = ["held_out"]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
PIT_BINS = 20
RESIDUAL_GRID = (48, 32)
RESIDUAL_SPAN = 5.0
RELIABILITY_BINS = 10


def held_out(model: Model, target: str, by: Judges | None = None) -> dict[str, Any]:
    """What can be said of the predictions of one column from all others, as plain data.

    ``folds`` and ``overall`` come from the moments (None without them, or for a category); ``rows`` from rows, where
    there are some to judge.
    """
    out: dict[str, Any] = {"target": target, "folds": None, "overall": None, "rows": None}
    lift = model.schema.lifts[model.schema.position(target)]
    if not isinstance(lift, Categorical):
        out |= _from_folds(model, target, by)
    if isinstance(model.law, FieldLaw) and target == model.target and (by is None or by.held_out):
        out["rows"] = _left_out(model.law)
    elif isinstance(model.law, ClassLaw) and target == model.target and (by is None or by.held_out):
        out["rows"] = _left_out_classes(model.law)
    elif by is not None:
        judge = _categories if isinstance(lift, (Categorical, Boolean)) else _numbers
        out["rows"] = judge(by, model.schema.independent_of(target))
    return out


def _from_folds(model: Model, target: str, by: Judges | None) -> dict[str, Any]:
    try:
        scores = cross_validate(model, target, by)
    except CumulantError:
        # Nothing to hold out: a model without moments, or of a handful of rows, or of a theory that asks for rows.
        return {}
    records = [{"fold": str(fold), **row} for fold, row in scores.to_dict("index").items()]
    return {"folds": records[:-1], "overall": records[-1]}


def _numbers(by: Judges, at: NDArray[np.int64]) -> dict[str, Any] | None:
    present = ~np.isnan(by.x[:, at[0]])
    if not present.any():
        return None
    told = np.empty((4, len(by.x)))
    for law, part in by.parts:
        part = part[present[part]]
        found, seen = law.density(by.x[part], at, ""), by.x[part, at[0]]
        size = found.sd
        if isinstance(found, Predictive):
            size = np.maximum(found.scale, np.finfo(float).tiny)
            found = replace(found, scale=size)
        told[:, part] = found.mean, size, found.cdf(seen), found.log_prob(seen)
    value = by.x[present, at[0]]
    return _judged(value, *told[:, present]) | {"held_out": by.held_out}


def _left_out(law: FieldLaw) -> dict[str, Any] | None:
    """Rows that a field was conditioned on, each as the others foretell it: closed forms."""
    if law.left_out is None:
        return None
    foretold, y = law.left_out.density(law.members), law.left_out.y
    spread = displaced(y)
    size = np.maximum(foretold.scale, np.finfo(float).tiny)
    judged = _judged(y, foretold.mean, size, foretold.cdf(spread), foretold.log_prob(spread))
    return judged | {"held_out": True, "each": True}


def _left_out_classes(law: ClassLaw) -> dict[str, Any] | None:
    if law.left_out is None:
        return None
    told = law.left_out
    return _judged_classes(told.level, told.probability.astype(np.float64)) | {"held_out": True, "each": True}


def _judged(value: Array, mean: Array, scale: Array, pit: Array, logs: Array) -> dict[str, Any]:
    return {
        "kind": "number",
        "rows": len(value),
        "rmse": float(np.sqrt(((value - mean) ** 2).mean())),
        "log_likelihood": float(logs.mean()),
        "coverage": [[level, float((np.abs(pit - 0.5) <= level / 2).mean())] for level in LEVELS],
        "pit": np.histogram(pit, bins=PIT_BINS, range=(0.0, 1.0))[0].tolist(),
        "residuals": _residuals(mean, (value - mean) / scale),
    }


def _residuals(mean: Array, standardised: Array) -> dict[str, Any]:
    """Counts of rows over prediction (columns) and residual in units of the predicted scale (rows)."""
    low, high = np.quantile(mean, [0.002, 0.998])
    if not high > low:
        low, high = low - 1.0, high + 1.0
    x = np.clip(mean, low, high)
    y = np.clip(standardised, -RESIDUAL_SPAN, RESIDUAL_SPAN)
    span = [[low, high], [-RESIDUAL_SPAN, RESIDUAL_SPAN]]
    counts, _, _ = np.histogram2d(x, y, bins=RESIDUAL_GRID, range=span)
    return {"x": [float(low), float(high)], "y": span[1], "counts": counts.T.astype(int).tolist()}


def _categories(by: Judges, at: NDArray[np.int64]) -> dict[str, Any] | None:
    present = np.asarray(~np.isnan(by.x[:, at]).any(axis=1))
    if not present.any():
        return None
    p = np.empty((len(by.x), 1 + len(at)))
    for law, part in by.parts:
        part = part[present[part]]
        p[part] = law.probabilities(by.x[part], at)
    p, values = p[present], by.x[present][:, at]
    level = np.argmax(np.column_stack([1 - values.sum(axis=1), values]), axis=1)
    return _judged_classes(level, p) | {"held_out": by.held_out}


def _judged_classes(level: NDArray[Any], p: Array) -> dict[str, Any]:
    share = np.bincount(level, minlength=p.shape[1]) / len(level)
    tiny = np.finfo(float).tiny
    return {
        "kind": "category",
        "rows": len(level),
        "accuracy": float((p.argmax(axis=1) == level).mean()),
        "most_frequent": float(share.max()),
        "log_loss": float(-np.log(np.maximum(p[np.arange(len(p)), level], tiny)).mean()),
        "entropy": float(-(share[share > 0] * np.log(share[share > 0])).sum()),
        "reliability": _reliability(p, level),
    }


def _reliability(p: Array, level: NDArray[Any]) -> list[dict[str, Any]]:
    """Of all probabilities given to any level, how often the level was the one, bin by bin."""
    was = np.zeros(p.shape, dtype=bool)
    was[np.arange(len(p)), level] = True
    bins = np.minimum((p * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    out = []
    for b in range(RELIABILITY_BINS):
        here = bins == b
        if here.any():
            share = {"predicted": float(p[here].mean()), "observed": float(was[here].mean())}
            out.append(share | {"cases": int(here.sum())})
    return out
