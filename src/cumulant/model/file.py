"""A model as one file: its arrays, and as plain data everything else."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, get_args

from cumulant import storage
from cumulant.errors import FileFormatError
from cumulant.lift import Schema
from cumulant.measure import Moments
from cumulant.model.laws import LAWS, law_of, name_of
from cumulant.model.model import Model
from cumulant.solve.law import Candidate
from cumulant.solve.prior import Prior
from cumulant.theory import Field, Taylor, Theory

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cumulant.measure.groups import Groups
    from cumulant.model.groups import Models
    from cumulant.model.imposed import Imposed
    from cumulant.symmetry import Reduced

__all__ = ["load", "save"]


def save(model: Model, path: str | Path, *, moments: bool) -> None:
    """Write a model, with or without the moments it was solved from."""
    prior, theory = model.prior, name_of(model.law)
    arrays, law = model.law.to_state()
    arrays |= {"prior_grid": prior.grid, "prior_curve": prior.curve}
    meta: dict[str, Any] = {
        "schema": model.schema.to_list(),
        "theory": theory,
        theory: law,
        "ansatz": [type(model.theory).__name__, _plain(model.theory)],
        "prior": {"mass": prior.mass, "kind": prior.kind, "reason": prior.reason},
        "notes": list(model.notes),
        "target": model.target,
        "candidates": [asdict(one) for one in model.candidates],
        "effort": None if model.effort is None else dict(model.effort),
    }
    kept_moments: Moments | Reduced | None = model.moments
    if model.symmetries is not None:
        told, meta["symmetry"] = model.symmetries.to_state()
        arrays.update({f"symmetry.{name}": value for name, value in told.items()})
        kept_moments = model.symmetries.moments
    if moments and kept_moments is not None:
        kept, meta["moments"] = kept_moments.to_state()
        meta["reduced"] = not isinstance(kept_moments, Moments)
        arrays.update({f"moments.{name}": value for name, value in kept.items()})
    storage.save(path, "model", arrays, meta)


def load(path: str | Path) -> Model | Moments | Models | Groups | Reduced:
    """Read a model or moments, or those of groups, that were saved; nothing in the file is executed.

    Raises
    ------
    SourceError
        There is no such file.
    FileFormatError
        It is truncated, corrupted, foreign or from a newer version.
    """
    kind, arrays, meta = storage.read(path)
    try:
        if kind == "moments":
            return Moments.from_state(arrays, meta)
        if kind == "model":
            return _model(arrays, meta)
        if kind == "groups":
            return _groups(arrays, meta)
        if kind == "reduced":
            return _reduced(arrays, meta)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is incomplete ({error}); fit the model again or restore a copy") from error
    if kind == "checkpoint":
        raise FileFormatError(f"{path} is the state of a measurement under way; finish it: measure(…, checkpoint=…)")
    raise FileFormatError(f"{path} holds '{kind}', which this version does not know; upgrade cumulant")


def _reduced(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Reduced:
    # Most models have no symmetry: its modules are not paid for on import.
    from cumulant.symmetry import Reduced

    return Reduced.from_state(arrays, meta)


def _groups(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Groups | Models:
    from cumulant.measure.groups import Groups
    from cumulant.model.groups import Models

    groups = Groups.from_state(arrays, meta)
    return Models(groups, **meta["model"]) if "model" in meta else groups


def _plain(theory: Theory) -> dict[str, Any]:
    return theory.to_plain() if isinstance(theory, Field) else asdict(theory)


def _ansatz(state: list[Any] | None) -> Theory:
    """The theory of a model; files of before there were several say nothing and mean the Gaussian one."""
    name, options = state or ["Gaussian", {}]
    if name == "Field":
        return Field.from_plain(options)
    known: dict[str, type[Theory]] = {kind.__name__: kind for kind in get_args(Theory)}
    if "background" in options:
        options = {**options, "background": Taylor(**options["background"])}
    return known[name](**options)


def _model(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Model:
    moments: Moments | Reduced | None = None
    symmetries: Imposed | None = None
    theory = meta["theory"]
    if theory not in LAWS:
        raise FileFormatError(f"the model is of theory '{theory}', which this version does not know; upgrade cumulant")
    if "moments" in meta:
        kept = {k.removeprefix("moments."): v for k, v in arrays.items() if k.startswith("moments.")}
        moments = (_reduced if meta.get("reduced") else Moments.from_state)(kept, meta["moments"])
    if "symmetry" in meta:
        from cumulant.model.imposed import Imposed

        told = {k.removeprefix("symmetry."): v for k, v in arrays.items() if k.startswith("symmetry.")}
        symmetries = replace(Imposed.from_state(told, meta["symmetry"]), moments=moments)
    return Model(
        schema=Schema.from_list(meta["schema"]),
        law=law_of(theory).from_state(arrays, meta[theory]),
        prior=Prior(**meta["prior"], grid=arrays["prior_grid"], curve=arrays["prior_curve"]),
        notes=tuple(meta["notes"]),
        target=meta["target"],
        moments=moments if isinstance(moments, Moments) else None,
        effort=meta["effort"],
        symmetries=symmetries,
        theory=_ansatz(meta.get("ansatz")),
        candidates=tuple(Candidate(**one) for one in meta.get("candidates", ())),
    )
