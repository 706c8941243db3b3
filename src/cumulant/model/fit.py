"""From a table to a model: measure, then solve."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cumulant.errors import CumulantWarning, DataError, OptionError
from cumulant.measure import Moments, lifted, measure
from cumulant.measure.kernels import fold_of
from cumulant.measure.threads import one_blas_thread
from cumulant.model.model import Model
from cumulant.solve.auto import solve_law, theory_of
from cumulant.source import open_table
from cumulant.source.progress import following
from cumulant.theory import Gaussian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.model.groups import Models
    from cumulant.symmetry import Reduced
    from cumulant.theory import Theory

__all__ = ["fit", "solve"]


@overload
def fit(
    table: Any,
    theory: str | Theory = "auto",
    target: str | Sequence[str] | None = None,
    *,
    prior: str | float | None = "auto",
    group_by: None = None,
    symmetry: Any = None,
    budget: float | None = None,
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
    symmetry: Any = None,
    budget: float | None = None,
    **measure_options: Any,
) -> Model | Models:
    """Measure a table in one pass and solve for its free energy.

    Parameters
    ----------
    table
        Anything `measure` takes.
    theory
        The ansatz for F; ``"auto"`` is `Gaussian`, unless ``budget`` lets it look for more. What it requires is
        measured.
    target
        A column to be predicted, or several: the prior is then chosen for them, and `Model.summary` shows the one. Any
        other column can be predicted just as well.
    prior
        Mass term (ridge): ``"auto"`` (none where there are plenty of rows, else by the evidence), ``None``,
        ``"evidence"``, ``"folds"``, or the mass.
    group_by
        A column whose values part the rows into groups: a model for each, solved when it is asked for.
    symmetry
        A group that acts on the columns (`cumulant.symmetry`), a list of groups to choose from by held-out likelihood,
        or ``"detect"``: the one that the moments show. Of `Field` it is one group, which acts on the inputs
        of the target; of `Taylor` it acts on inputs, and may take targets to each other.
    budget
        Seconds that ``theory="auto"`` may take to look beyond order 2 for one numeric target: it then tries Taylor
        orders, fluctuations and a field on function space as far as they fit in, and takes what rows that were left out
        are most likely under. `Model.candidates` and the notes tell of each. None: no time, and order 2.
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

        if symmetry is not None:
            raise OptionError("symmetry= cannot be combined with group_by=; fit the rows of each group with symmetry=")
        if budget is not None:
            raise OptionError("budget= cannot be combined with group_by=: groups are solved to second order")
        theory_of(theory)
        groups = measure(table, group_by=group_by, **measure_options)
        if target is not None:
            groups.schema.independent_of(target)
        return Models(groups, prior, target)
    wall, cpu = time.perf_counter(), time.process_time()
    ansatz = theory_of(theory, budget, _size_of(table) if budget is not None else None)
    if budget is not None and (target is None or symmetry is not None):
        what = "symmetry=" if target is not None else "no target"
        raise OptionError(f"budget={budget!r} is for one target without a symmetry, and there is {what}; leave it out")
    if "order" not in measure_options:
        measure_options.setdefault("requirement", ansatz.requires())
    if symmetry is not None and isinstance(ansatz, Gaussian):
        from cumulant.model.symmetric import measured_under

        measure_options |= measured_under(symmetry, measure_options)
    m = measure(table, **measure_options)
    if not m.rows.any():
        name = str(table) if isinstance(table, (str, Path)) else f"the {type(table).__name__}"
        raise DataError(f"{name} has no rows to measure; a model needs at least one")
    rows = _rows(table, m, ansatz.requires().rows, measure_options.get("delimiter"))
    with _followed(target, measure_options.get("progress")):
        model = _solved(m, ansatz, prior, target, symmetry, rows)
    effort = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return replace(model, effort={"rows": float(m.rows.sum()), "fields": float(len(m.columns)), **effort})


def solve(
    m: Moments | Reduced,
    theory: str | Theory = "auto",
    *,
    prior: str | float | None = "auto",
    target: str | Sequence[str] | None = None,
    symmetry: Any = None,
    rows: Any = None,
    budget: float | None = None,
) -> Model:
    """Solve moments for a free energy.

    Parameters
    ----------
    m
        Moments, of the order that the theory requires.
    theory
        The ansatz for F.
    prior, target, symmetry, budget
        As in `fit`. Moments that were measured under a group are solved under it.
    rows
        The table, for a theory that requires rows beside moments.

    Raises
    ------
    DataError
        No rows were measured.
    ColumnError
        There is no column ``target``.
    """
    ansatz = theory_of(theory, budget)
    some = None if rows is None else _rows(rows, m, ansatz.requires().rows, None)
    with _followed(target):
        return _solved(m, ansatz, prior, target, symmetry, some)


def _followed(target: str | Sequence[str] | None, enabled: bool | None = None) -> AbstractContextManager[None]:
    """A line of progress that says what is solved for."""
    names = [target] if isinstance(target, str) else list(target or ())
    return following("solving" + (f" for {', '.join(names)}" if names else ""), enabled=enabled)


def _solved(
    m: Moments | Reduced,
    theory: Any,
    prior: str | float | None,
    target: str | Sequence[str] | None,
    symmetry: Any,
    rows: NDArray[np.float64] | None,
) -> Model:
    if symmetry is not None or not isinstance(m, Moments):
        from cumulant.model.symmetric import solve_under

        return solve_under(m, theory, symmetry, prior, target, rows)
    fields = None if target is None else m.schema.independent_of(target)
    with one_blas_thread(len(m.columns)):
        solved = solve_law(m, theory, prior, fields, rows)
    for note in solved.warnings:
        warnings.warn(note, CumulantWarning, stacklevel=3)
    named = target if target is None or isinstance(target, str) else None
    notes = m.notes + solved.notes + solved.warnings
    chosen = theory if solved.theory is None else solved.theory
    return Model(
        m.schema, solved.law, solved.prior, notes, named, m, theory=chosen, candidates=solved.candidates
    )  # fmt: skip


def _size_of(table: Any) -> int | None:
    """Rows of a table, where they are known without reading it."""
    if isinstance(table, Mapping):
        return len(next(iter(table.values()), ()))
    if isinstance(table, (str, Path)) or hasattr(table, "rows"):
        known = open_table(table).rows
        return None if known is None else int(known)
    shape = getattr(table, "shape", None)
    return int(shape[0]) if isinstance(shape, tuple) and isinstance(shape[0], int) else None


def _rows(table: Any, m: Moments | Reduced, most: int, delimiter: str | None) -> NDArray[np.float64] | None:
    """Rows as fields, for a theory that requires them: all, or those whose number hashes below a threshold."""
    if not most:
        return None
    share = most / max(float(m.rows.sum()), 1.0)
    fold, first, parts = max(int(1 / share), 1) if share < 1 else 1, 0, []
    for block in lifted(table, m.schema, delimiter=delimiter):
        numbers = np.arange(first, first + len(block))
        first += len(block)
        parts.append(block[fold_of(numbers, fold) == 0][:, : len(m.columns)])
    return np.concatenate(parts) if parts else np.zeros((0, len(m.columns)))
