"""From a class and its moments to couplings: a page is found by its action, and its formulas are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import symmetry as sym
from cumulant.errors import DataError, OptionError
from cumulant.measure import Moments
from cumulant.notebook.answer import Answer
from cumulant.notebook.families import FAMILIES
from cumulant.notebook.library import page as page_named
from cumulant.notebook.observe import observe
from cumulant.notebook.recognise import Match, Theory, recognise
from cumulant.symmetry import Reduced

if TYPE_CHECKING:
    from cumulant.notebook.page import Page
    from cumulant.symmetry import Group

__all__ = ["lookup"]


def lookup(
    theory: Theory | str,
    group: Group | None = None,
    moments: Moments | Reduced | Mapping[str, Any] | None = None,
    *,
    count: float | None = None,
) -> Answer:
    """Couplings of a solved class, from moments, with no iteration.

    Parameters
    ----------
    theory
        ``cm.Gaussian()``, ``cm.Polynomial(4)``, ``cm.Spins(…)``; or the name of a page.
    group
        Symmetry of the columns, from `cumulant.symmetry`; None: no symmetry. It is recognised by its action, whatever
        the columns are called and in whatever order they come.
    moments
        `Moments`, those that were measured under a group (which is then the default), or the numbers that the page
        needs, by name: ``{"m2": 1.0, "m4": 2.5}``.
    count
        Rows behind numbers, for standard errors; `Moments` know it.

    Returns
    -------
    Answer
        ``couplings`` and ``errors`` by name, the ``page``, and for Gaussian classes the ``precision`` matrix.

    Raises
    ------
    OptionError
        The notebook has no page for the class, or a number is missing.
    DataError
        The moments are outside of the domain of the page.

    Examples
    --------
    >>> import cumulant as cm
    >>> answer = cm.notebook.lookup("phi4", moments={"m2": 1.0, "m4": 2.0}, count=10_000)
    >>> {name: round(value, 4) for name, value in answer.couplings.items()}
    {'b': 4.6704, 'a': -0.5568}
    """
    if moments is None:
        raise OptionError(
            "lookup needs moments: those of cm.measure(table), or numbers, such as {'m2': 1.0, 'm4': 2.5}"
        )
    if isinstance(moments, (Moments, Reduced)):
        return _from_moments(theory, group, moments)
    found = page_named(theory) if isinstance(theory, str) else _page_of(theory, group)
    values = _numbers(found, moments)
    return _answer(Match(found, (), np.zeros(0, dtype=np.int64)), values, count, ())


def _from_moments(theory: Theory | str, group: Group | None, m: Moments | Reduced) -> Answer:
    if group is None:
        group = m.group if isinstance(m, Reduced) else sym.trivial(list(m.columns))
    group = group.on(m.columns)
    if isinstance(theory, str):
        page = page_named(theory)
        if page.solves.symmetry in ("blocks", "grid"):
            raise OptionError(
                f"page '{theory}' needs to know which columns belong together; give cm.Gaussian() and the group"
            )
        match = Match(page, (group.degree,), np.arange(group.degree), group.signed)
    else:
        found = recognise(theory, group)
        if found is None:
            raise _no_page(theory, group)
        match = found
    count = float(m.count.sum()) if isinstance(m, Reduced) else m.count
    return _answer(match, observe(match, m), count, tuple(m.columns[i] for i in match.order))


def _page_of(theory: Theory, group: Group | None) -> Page:
    if group is None:
        raise OptionError("with numbers for moments, name the page, or give the group: cumulant.symmetry.z2(1), say")
    match = recognise(theory, group)
    if match is None:
        raise _no_page(theory, group)
    return match.page


def _no_page(theory: Theory, group: Group) -> OptionError:
    return OptionError(
        f"the notebook has no page for {theory} and the group {group} on {group.degree} columns; cm.solve() solves it, "
        "and `cumulant notebook add` records it once you have"
    )


def _numbers(page: Page, given: Mapping[str, Any]) -> dict[str, Any]:
    """The moments that a page needs, as numbers or arrays of floats."""
    values: dict[str, Any] = {m.name: m.default for m in page.moments if m.default is not None}
    names = page.names
    for name, value in given.items():
        if name not in names:
            raise OptionError(f"page '{page.name}' takes {', '.join(names)}, not '{name}'")
        scalar = isinstance(value, (int, float)) or np.ndim(value) == 0
        values[name] = float(value) if scalar else np.asarray(value, dtype=np.float64)
    missing = [name for name in names if name not in values]
    if missing:
        raise OptionError(f"page '{page.name}' needs {', '.join(names)}; missing: {', '.join(missing)}")
    return values


def _answer(match: Match, values: dict[str, Any], count: float | None, columns: tuple[str, ...]) -> Answer:
    page = match.page
    if not all(np.isfinite(v).all() for v in values.values()):
        raise DataError(f"page '{page.name}': a moment is not finite; it needs {', '.join(page.names)}")
    try:
        otherwise = page.outside(values)
        with np.errstate(all="ignore"):
            couplings = {} if otherwise is not None else page.couplings_at(values)
    except (ValueError, IndexError, TypeError) as error:
        wanted = "; ".join(f"{m.name}: {m.meaning}" for m in page.moments)
        raise DataError(f"page '{page.name}': the moments do not fit each other ({error}); it takes {wanted}") from None
    except ArithmeticError as error:
        raise _not_finite(page, str(error)) from None
    if otherwise is not None:
        raise DataError(f"page '{page.name}' does not hold here: {otherwise}")
    for name, value in couplings.items():
        if np.iscomplexobj(value) or not np.isfinite(value).all():
            raise _not_finite(page, name)
    order = match.order if page.solves.family in FAMILIES and columns else None
    return Answer(page, couplings, values, count, columns, match.shape, order)


def _not_finite(page: Page, what: str) -> DataError:
    return DataError(
        f"page '{page.name}' has no finite couplings for these moments ({what}): they lie on the edge of what the "
        "class can have; check them, or measure more rows"
    )
