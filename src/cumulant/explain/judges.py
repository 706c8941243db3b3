"""Which model may judge a row: one that has not seen it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantWarning, IncompatibleError
from cumulant.explain.rows import look
from cumulant.explain.validate import judges_by_fold
from cumulant.measure.kernels import fold_of
from cumulant.solve.auto import solve_law
from cumulant.theory import Fluctuation, Polynomial, Taylor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.explain.rows import Rows
    from cumulant.measure import Moments
    from cumulant.model import Model
    from cumulant.solve.law import Law

    Array = NDArray[np.float64]

__all__ = ["Judges", "judges", "judges_among", "solved_again"]


@dataclass(frozen=True, eq=False)
class Judges:
    """Models, and the rows that each may judge.

    Parameters
    ----------
    x
        Fields of all rows (n, p), NaN where a cell is missing.
    parts
        Pairs of a model and the places of its rows, which together are all rows.
    held_out
        Whether no model has seen the rows that it judges.
    fold
        The fold of each row (n,), where they are those the model was fitted to.
    """

    x: Array
    parts: tuple[tuple[Law, NDArray[np.int64]], ...]
    held_out: bool
    fold: NDArray[np.int64] | None = None


def judges(model: Model, rows: Rows) -> Judges:
    """For rows the model was fitted to, the models of all folds but one; for others the model itself."""
    folds = 0 if model.moments is None else int((model.moments.rows > 0).sum())
    fitted = rows.fitted and folds > 1
    fold = fold_of(rows.numbers, model.moments.folds) if fitted and model.moments is not None else None
    if isinstance(model.theory, (Taylor, Fluctuation, Polynomial)):
        return Judges(rows.x, tuple(_beyond(model, rows, fitted=fitted)), fitted, fold)
    return Judges(rows.x, tuple(judges_by_fold(model, rows.numbers, fitted=fitted)), fitted, fold)


def _beyond(model: Model, rows: Rows, *, fitted: bool) -> Iterator[tuple[Law, NDArray[np.int64]]]:
    """Laws of a theory beyond second order, solved anew without each fold."""
    m = model.moments
    if m is None or not fitted:
        yield model.law, np.arange(len(rows.x))
        return
    prior = {"given": model.prior.mass, "none": None}.get(model.prior.kind, model.prior.kind)
    fold = fold_of(rows.numbers, m.folds)
    for k in np.unique(fold):
        part = m.some_folds(np.arange(m.folds) != k)
        yield solved_again(model, part, model.theory, prior, rows.x[fold != k]), np.flatnonzero(fold == k)


def solved_again(model: Model, m: Moments, theory: Any, prior: Any, rows: Array | None = None) -> Law:
    """The law of other moments, about the targets of a model and under its symmetry."""
    if model.symmetries is None:
        target = model.schema.independent_of(model._targets) if model._targets else None
        return solve_law(m, theory, prior, target, rows).law
    from cumulant.model import solve

    with warnings.catch_warnings():
        # What is said of all rows need not be said of each fold.
        warnings.simplefilter("ignore", CumulantWarning)
        again = solve(m, theory, prior=prior, target=model._targets or None, symmetry=model.symmetries.declared)
    return again.law


def judges_among(model: Model, data: Any) -> Judges:
    """Those of the rows that a model was fitted to.

    Raises
    ------
    IncompatibleError
        The rows are others.
    """
    rows = look(model, data)
    if not rows.fitted:
        raise IncompatibleError(
            "data= are not the rows that the model was fitted to, in the same order, or it has no moments that tell"
        )
    return judges(model, rows)
