"""A model as one dict of plain data: what was measured, what it says, how good it is, what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantError
from cumulant.explain.field import field_of
from cumulant.explain.heldout import held_out
from cumulant.explain.judges import judges
from cumulant.explain.levelled import shares
from cumulant.explain.links import Links, correlation_of, link, measured_covariance, most_connected, narrowed
from cumulant.explain.portable import shape
from cumulant.explain.rows import Rows, look
from cumulant.explain.structure import class_of, symmetry_of
from cumulant.explain.summary import summarise
from cumulant.lift import Boolean, Categorical
from cumulant.model.laws import name_of
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.mixed import marginal_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.explain.account import Ledger
    from cumulant.lift import Lift
    from cumulant.model import Model

__all__ = ["describe", "jsonable"]

WIDEST = 300
MOST_TERMS = 6_000
MOST_LEVELS = 30
MOST_FLOPS = 2e10
# Theories with more than a covariance, by their names in files.
BEYOND = {
    "taylor": "a mean that may bend",
    "fluctuation": "a mean that may bend, and fluctuations about it that vary",
    "polynomial": "interacting fields",
    "field": "all orders in the inputs, a field on functions",
    "field of a category": "all orders in the inputs, fields on functions",
}


def describe(
    model: Model, *, data: Any = None, rows: Rows | None = None, fields: int = WIDEST, ledger: Ledger | None = None
) -> dict[str, Any]:
    """Everything a reader may want to know of a model, ready for JSON.

    Parameters
    ----------
    model
        The model.
    data
        Rows to judge its predictions on, as any table. Those it was fitted to, in the same order, are recognised, and
        each is then judged by the model of the folds it is not in.
    rows
        Such rows already looked at, instead of ``data``.
    fields
        Most fields to show couplings of; a wider model shows the columns most connected (to its target, if it has
        one); beyond 6,000 fields under a symmetry all others are integrated out. Regressions and scores are given for
        as many targets as keep the terms in all below 6,000 and the work to some seconds.
    ledger
        What it cost beside what else was run, as `cumulant.compare` gives it; by default its own, by formula.

    Returns
    -------
    dict
        ``rows``, ``target``, ``beyond`` (what F has beyond second order), ``columns`` (one entry each: kind, missing
        share, mean, sd, levels), ``prior``, ``notes``, ``couplings`` (correlations and partial correlations of fields;
        links of columns), ``symmetry`` (what it was solved under, or what the moments show), ``class`` (its page of the
        notebook), ``field`` (of a field on function space which columns matter, and how), ``regressions``,
        ``held_out``, ``ledger``, and ``shown``: how much of a wide model that is. What does not exist is None.

    Examples
    --------
    >>> import cumulant as cm
    >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 4.0, 7.0]}, prior=None)
    >>> found = describe(model)
    >>> found["rows"], [column["mean"] for column in found["columns"]]
    (4, [1.5, 3.75])
    """
    from cumulant import __version__

    model = narrowed(model, fields)
    if data is not None:
        rows = look(model, data)
    columns = most_connected(model, fields)
    targets = _targets(model, columns)
    by = None if rows is None else judges(model, rows)
    spread = np.sqrt(np.diag(model.covariance))
    return jsonable(
        {
            "version": __version__,
            "rows": model.count if model.moments is None else int(model.moments.rows.sum()),
            "count": model.count,
            "target": model.target,
            "beyond": BEYOND.get(name_of(model.law)),
            "columns": [_column(model, lift, spread) for lift in model.schema.lifts],
            "prior": _prior(model),
            "notes": [*model.notes, *_left_out(model)],
            "effort": None if model.effort is None else dict(model.effort),
            "couplings": _couplings(model, link(model, columns)),
            "symmetry": symmetry_of(model),
            "class": class_of(model),
            "field": field_of(model),
            "regressions": [found for target in targets if (found := _regression(model, target)) is not None],
            "held_out": [held_out(model, target, by) for target in targets],
            "ledger": _ledger(model) if ledger is None else ledger.to_dict(),
            "looked_at": None if rows is None else {"rows": rows.total, "kept": len(rows.x), "fitted": rows.fitted},
            "shown": {
                "columns": len(columns),
                "of_columns": len(model.columns),
                "targets": len(targets),
                "fields": sum(len(model.schema.independent_of(name)) for name in columns),
                "of_fields": len(model.fields),
            },
        }
    )


def jsonable(value: Any) -> Any:
    """The same with Python's own types and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else None
    return int(value) if isinstance(value, np.integer) else value


def _column(model: Model, lift: Lift, spread: NDArray[np.float64]) -> dict[str, Any]:
    at = model.schema.independent_of(lift.name)
    out: dict[str, Any] = {
        "name": lift.name,
        "kind": lift.kind,
        "shape": shape(lift),
        "fields": [model.fields[i] for i in at],
        "missing": _missing_share(model, lift.name),
        "mean": None,
        "sd": None,
        "levels": None,
    }
    if isinstance(lift, Categorical) and lift.wide:
        out["levels"] = [[n, float(s)] for n, s in zip(lift.all_levels, shares(model, lift.name), strict=True)]
    elif isinstance(lift, (Categorical, Boolean)):
        names = lift.all_levels if isinstance(lift, Categorical) else ("false", "true")
        marginal = marginal_probabilities(model.mean[at])
        out["levels"] = [[name, float(share)] for name, share in zip(names, marginal, strict=True)]
    elif len(at):
        out |= {"mean": model.mean[at[0]], "sd": spread[at[0]]}
    return out


def _left_out(model: Model) -> list[str]:
    return [
        f"'{lift.name}' has {len(lift.all_levels):,} levels: couplings and pictures are of the other columns, with it "
        "integrated out"
        for lift in model.schema.wide_lifts()
    ]


def _missing_share(model: Model, name: str) -> float | None:
    """Share of the rows, by weight, in which a column is missing; None where the moments were left out."""
    m = model.moments
    if m is None:
        return None
    column = m.schema.position(name)
    if column not in m.presence:
        return 0.0
    present = m.packed[0, :, 1 + m.presence.index(column)].sum()
    return float(1 - present / m.weight.sum())


def _prior(model: Model) -> dict[str, Any]:
    p = model.prior
    return {"mass": p.mass, "kind": p.kind, "reason": p.reason, "grid": p.grid, "curve": p.curve}


def _couplings(model: Model, links: Links) -> dict[str, Any]:
    """Between fields as signed correlations, between columns as links; both in the links' order."""
    at = np.concatenate([np.zeros(0, dtype=np.int64), *(model.schema.independent_of(name) for name in links.columns)])
    of_column = [i for i, name in enumerate(links.columns) for _ in model.schema.independent_of(name)]
    return {
        "fields": [model.fields[i] for i in at],
        "column_of_field": of_column,
        "correlation": correlation_of(measured_covariance(model)[np.ix_(at, at)]),
        "partial_correlation": model.partial_correlations().to_numpy()[np.ix_(at, at)],
        "columns": list(links.columns),
        "total": links.total,
        "direct": links.direct,
        "signed": links.signed,
    }


def _targets(model: Model, columns: list[str]) -> list[str]:
    """Columns to explain: the target first, then the others shown, while terms and work stay bounded."""
    p = max(len(model.fields), 1)
    folds = 1 if model.moments is None else model.moments.folds
    most = max(1, MOST_TERMS // p)
    affordable = max(1, int(MOST_FLOPS / (folds * p**3)))
    return sorted(columns, key=lambda name: name != model.target)[: min(most, affordable)]


def _regression(model: Model, target: str) -> dict[str, Any] | None:
    if isinstance(model.schema.lifts[model.schema.position(target)], Categorical):
        return None
    try:
        # Of a field its straight part: what it says itself stands under "field".
        summary = (summarise(model, target) if isinstance(model.law, FieldLaw) else model.summary(target)).to_dict()
    except CumulantError:
        # A model conditioned under a prior has no table of coefficients; its predictions stand all the same.
        return None
    # Numbers come first, then the levels of wide categories: of those, the ones that stand out.
    count = 1 + len(model.fields) - len(model.schema.independent_of(target))
    levels = sorted(summary["terms"][count:], key=lambda term: -abs(term["t"] or 0.0))[:MOST_LEVELS]
    return summary | {"terms": summary["terms"][:count] + levels}


def _ledger(model: Model) -> dict[str, Any] | None:
    try:
        return model.ledger.to_dict()
    except CumulantError:
        # Nothing to regress: a single field, or categories alone.
        return None
