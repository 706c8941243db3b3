"""The structure of a model as plain data: its symmetry with the evidence, its class, and the diagrams of its target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantError
from cumulant.explain.links import correlation_of
from cumulant.measure import Moments
from cumulant.symmetry import orbits, reynolds
from cumulant.symmetry.detect import symmetries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.explain.diagrams import DiagramSum
    from cumulant.explain.loops import LoopSum
    from cumulant.model import Model
    from cumulant.model.imposed import Imposed
    from cumulant.symmetry import Group
    from cumulant.symmetry.detect import Finding

    Array = NDArray[np.float64]

__all__ = ["class_of", "diagram_sum", "symmetry_of"]

# Candidates are weighed in a second or two.
MOST_WEIGHED = 60
MOST_LISTED = 40
MOST_PICTURES = 6
MOST_PICTURED = 120
# Every pair of fields is a coupling to weigh.
MOST_CLASSED = 300
MOST_COUPLINGS = 12
MOST_DIAGRAMS = 6


def symmetry_of(model: Model) -> dict[str, Any]:
    """The symmetry it was solved under, or those that its moments show; ``why`` says what stood in the way."""
    out: dict[str, Any] = {"why": None, "imposed": None, "summary": None, "notes": [], "findings": [], "pictures": []}
    if model.symmetries is not None:
        return out | _imposed(model, model.symmetries)
    if model.moments is None:
        why = "Symmetries are found in moments, which this model does not carry; take cumulant.symmetries(moments)."
        return out | {"why": why}
    if len(model.fields) > MOST_WEIGHED:
        why = f"A report weighs symmetries of up to {MOST_WEIGHED} fields, and there are {len(model.fields):,}: "
        return out | {"why": why + "cumulant.symmetries(model.moments) takes longer, and weighs any number."}
    try:
        found = symmetries(model.moments)
    except CumulantError as error:
        return out | {"why": f"{error}."}
    telling = [f for f in found if f.verdict in ("holds", "implied", "approximate", "local")]
    return out | {
        "summary": found.summary,
        "notes": list(found.notes),
        "findings": [_told(f) for f in found.findings[:MOST_LISTED]],
        "pictures": [_of_finding(f, model.moments) for f in telling[:MOST_PICTURES]],
    }


def _told(f: Finding) -> dict[str, Any]:
    e = f.evidence
    return {
        "symmetry": str(f.group),
        "scale": f.scale,
        "why": f.why,
        "verdict": f.verdict,
        "parameters": [e.free, e.parameters],
        "log_odds": f.log_odds,
        "heldout": e.heldout,
        "p": e.p_value_of_verdict,
    }


def _imposed(model: Model, s: Imposed) -> dict[str, Any]:
    """What it was, and what it saved."""
    return {
        "imposed": {
            "name": str(s.declared),
            "state": s.state,
            "strength": s.strength,
            "parameters": list(s.parameters),
            "flops": list(s.flops),
            "tried": [list(candidate) for candidate in s.tried],
        },
        "pictures": [_of_imposed(model, s)] if s.group.degree <= MOST_PICTURED else [],
    }


def _of_imposed(model: Model, s: Imposed) -> dict[str, Any]:
    # What was measured under a group is its average already.
    m = s.moments if isinstance(s.moments, Moments) else None
    if s.declared.free_scale:
        solved, measured = correlation_of(model.covariance), None if m is None else m.correlation
    else:
        solved, measured = model.covariance, None if m is None else m.covariance
    return _picture(str(s.declared), s.group, model.fields, measured, solved) | {"solved": True}


def _of_finding(f: Finding, m: Moments) -> dict[str, Any]:
    names = f.group.columns or m.columns
    at = [m.columns.index(name) for name in names]
    measured = (m.correlation if f.scale == "correlation" else m.covariance)[np.ix_(at, at)]
    title = f"{f.group}{' up to scale' if f.scale == 'correlation' else ''}: {f.verdict}"
    return _picture(title, f.group, names, measured, reynolds(f.group, measured)) | {"solved": False}


def _picture(
    title: str, group: Group, names: tuple[str, ...], measured: Array | None, averaged: Array
) -> dict[str, Any]:
    """Matrices of the fields that move, each field in units of its standard deviation averaged over its orbit.

    Those units keep the symmetry, so that fields of different size can be seen beside each other.
    """
    moved = np.flatnonzero(group.moved) if group.moved.any() else np.arange(group.degree)
    at = np.ix_(moved, moved)
    variance = np.diag(reynolds(group, averaged))
    unit = np.divide(1.0, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)
    scale = np.outer(unit, unit)
    return {
        "title": title,
        "fields": [names[i] for i in moved],
        # Sixteen bits hold three standard deviations squared.
        "measured": None if measured is None else np.clip(measured * scale, -3.0, 3.0)[at],
        "averaged": np.clip(averaged * scale, -3.0, 3.0)[at],
        "orbits": orbits(group, 2).matrix()[at],
    }


def class_of(model: Model) -> dict[str, Any]:
    """The page of the notebook that F belongs to; ``why`` says what stood in the way."""
    if len(model.fields) > MOST_CLASSED:
        why = f"A report reads the class of up to {MOST_CLASSED} fields, and there are {len(model.fields):,}: "
        return {"why": why + "model.marginal(columns).universality() tells it of some of them."}
    try:
        found = model.universality()
    except CumulantError as error:
        return {"why": f"{error}."}
    largest = sorted(found.sizes, key=lambda at: -found.sizes[at])[:MOST_COUPLINGS]
    told = found.to_dict()
    return {
        "why": None,
        **{name: told[name] for name in ("class", "page", "exact", "physics", "names_in_physics", "machine_learning")},
        "summary": found.page.summary,
        "threshold": found.threshold,
        "relevant": len(found.relevant),
        "couplings": len(found.sizes),
        "largest": [[" · ".join(at), len(at), found.values[at], found.sizes[at]] for at in largest],
    }


def diagram_sum(model: Model) -> DiagramSum | LoopSum | None:
    """The diagrams of the column named when fitting; None for a category, or where nothing meets it."""
    if model.target is None:
        return None
    try:
        found = model.diagrams(model.target, shown=MOST_DIAGRAMS)
    except CumulantError:
        return None
    return found if found.terms else None
