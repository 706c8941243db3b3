"""From a table to a model: measure, then solve."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from cumulant.errors import CumulantWarning, DataError
from cumulant.measure import measure
from cumulant.measure.threads import one_blas_thread
from cumulant.model.model import Model
from cumulant.solve.auto import solve_law, theory_of

if TYPE_CHECKING:
    from cumulant.measure import Moments
    from cumulant.model.groups import Models
    from cumulant.theory import Gaussian, Taylor

    Theory = Gaussian | Taylor

__all__ = ["fit", "solve"]


@overload
def fit(
    table: Any,
    theory: str | Theory = "auto",
    target: str | Sequence[str] | None = None,
    *,
    prior: str | float | None = "auto",
    group_by: None = None,
    **measure_options: Any,
) -> Model: ...


@overload
def fit(
    table: Any,
    theory: str | Theory = "auto",
    target: str | Sequence[str] | None = None,
    *,
    prior: str | float | None = "auto",
    group_by: str,
    **measure_options: Any,
) -> Models: ...


def fit(
    table: Any,
    theory: str | Theory = "auto",
    target: str | Sequence[str] | None = None,
    *,
    prior: str | float | None = "auto",
    group_by: str | None = None,
    **measure_options: Any,
) -> Model | Models:
    """Measure a table in one pass and solve for its free energy.

    Parameters
    ----------
    table
        Anything `measure` takes.
    theory
        The ansatz for F; ``"auto"`` takes `Gaussian`. What it requires is measured.
    target
        A column to be predicted, or several: the prior is then chosen for them, and `Model.summary` shows the one. Any
        other column can be predicted just as well.
    prior
        Mass term (ridge): ``"auto"`` (none where there are plenty of rows, else by the evidence), ``None``,
        ``"evidence"``, ``"folds"``, or the mass.
    group_by
        A column whose values part the rows into groups: a model for each, solved when it is asked for.
    **measure_options
        Those of `measure`: ``missing``, ``weights``, ``lifts``, ``folds``, …

    Returns
    -------
    Model, or Models
        With ``group_by``, a mapping from each of its values to the model of its rows.

    Examples
    --------
    >>> import cumulant as cm
    >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.9, 5.1, 7.0]}, target="y", prior=None)
    >>> round(float(model.summary().table.loc["x", "coefficient"]), 3)
    2.02
    """
    if group_by is not None:
        from cumulant.model.groups import Models

        theory_of(theory)
        groups = measure(table, group_by=group_by, **measure_options)
        if target is not None:
            groups.schema.independent_of(target)
        return Models(groups, prior, target)
    wall, cpu = time.perf_counter(), time.process_time()
    ansatz = theory_of(theory)
    if "order" not in measure_options:
        measure_options.setdefault("requirement", ansatz.requires())
    m = measure(table, **measure_options)
    if not m.rows.any():
        name = str(table) if isinstance(table, (str, Path)) else f"the {type(table).__name__}"
        raise DataError(f"{name} has no rows to measure; a model needs at least one")
    model = solve(m, ansatz, prior=prior, target=target)
    effort = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return replace(model, effort={"rows": float(m.rows.sum()), "fields": float(len(m.columns)), **effort})


def solve(
    m: Moments,
    theory: str | Theory = "auto",
    *,
    prior: str | float | None = "auto",
    target: str | Sequence[str] | None = None,
) -> Model:
    """Solve moments for a free energy.

    Parameters
    ----------
    m
        Moments, of the order that the theory requires.
    theory
        The ansatz for F.
    prior, target
        As in `fit`.

    Raises
    ------
    DataError
        No rows were measured.
    ColumnError
        There is no column ``target``.
    """
    ansatz = theory_of(theory)
    fields = None if target is None else m.schema.independent_of(target)
    with one_blas_thread(len(m.columns)):
        solved = solve_law(m, ansatz, prior, fields)
    for note in solved.warnings:
        warnings.warn(note, CumulantWarning, stacklevel=2)
    named = target if target is None or isinstance(target, str) else None
    return Model(m.schema, solved.law, solved.prior, m.notes + solved.notes + solved.warnings, named, m)
