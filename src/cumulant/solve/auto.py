"""Which solver answers which theory: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cumulant.errors import OptionError
from cumulant.lift import NARROW
from cumulant.solve.exact import solve_exact
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.predictive import Fields
from cumulant.theory import Auto, Field, Fluctuation, Gaussian, Polynomial, Spins, Taylor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cumulant.measure import Moments

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["solve_law", "theory_of"]


def solve_gaussian(m: Moments, _: Gaussian, prior: str | float | None, target: Index | None) -> Solved:
    """The exact solver, with categories of many levels eliminated where there are any."""
    s = solve_exact(m, prior, target)
    fields = Fields.of(s)
    if not m.schema.wide:
        return Solved(GaussianLaw(fields), s.prior, s.notes, s.warnings)
    from cumulant.solve.categories import Categories
    from cumulant.solve.levelled import LevelledLaw
    from cumulant.solve.pooling import pooled

    measured = Categories.of(m, s.count)
    measured.refuse_if_too_many(len(fields.mean), range(len(measured.names)))
    categories, reasons = pooled(measured, fields, prior, target)
    return Solved(LevelledLaw.of(fields, categories), s.prior, s.notes + reasons, s.warnings)


# A solver is a function (moments, theory, prior, target fields or None) → Solved; where the theory requires rows, they
# follow as an array of fields, or None. Given by name, since most fits need one of them and should not wait for all.
SOLVERS: dict[type, tuple[str, str]] = {
    Auto: ("cumulant.solve.climb", "solve_auto"),
    Gaussian: ("cumulant.solve.auto", "solve_gaussian"),
    Polynomial: ("cumulant.solve.interacting", "solve_polynomial"),
    Taylor: ("cumulant.solve.taylor", "solve_taylor"),
    Field: ("cumulant.solve.field.solve", "solve_field"),
    Fluctuation: ("cumulant.solve.fluctuation", "solve_fluctuation"),
}


def theory_of(theory: Any, budget: float | None = None, rows: int | None = None) -> Any:
    """The theory that was named: ``"auto"`` is the Gaussian one, and with a budget of seconds the ladder above it.

    Raises
    ------
    OptionError
        No solver answers it, or there is a budget and nothing to choose.
    """
    if isinstance(theory, str) and theory == "auto":
        return Gaussian() if budget is None else Auto(budget, rows)
    if budget is not None:
        raise OptionError(f"budget={budget!r} is the time that theory='auto' may take to choose; leave one of them out")
    if type(theory) not in SOLVERS:
        known = ", ".join(f"cm.{kind.__name__}()" for kind in SOLVERS if kind is not Auto)
        looked_up = isinstance(theory, Spins)
        remedy = "; for some classes of it couplings can be looked up: cm.notebook.lookup(theory, group, moments)"
        raise OptionError(f"theory={theory!r}: choose 'auto' or {known}{remedy if looked_up else ''}")
    return theory


def solve_law(
    m: Moments, theory: Any, prior: str | float | None, target: Index | None, rows: Array | None = None
) -> Solved:
    """Solve moments, and rows where the theory requires them, for the law of a theory.

    Raises
    ------
    OptionError
        A category is wide, which the theory has no place for.
    """
    if m.schema.wide and not isinstance(theory, (Auto, Gaussian)):
        name = m.schema.columns[m.schema.wide[0]]
        raise OptionError(
            f"column '{name}' is a category of many levels, which only cm.Gaussian() has a place for; leave it out, or "
            f"measure with levels={NARROW} to gather all but its most frequent levels"
        )
    module, name = SOLVERS[type(theory)]
    solver: Callable[..., Solved] = getattr(import_module(module), name)
    return solver(m, theory, prior, target, rows) if theory.requires().rows else solver(m, theory, prior, target)
