"""Pages put to the test: moments from an oracle that knows F alone, and the page must give the couplings back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import CumulantError, FileFormatError
from cumulant.notebook.families import FAMILIES, Shape
from cumulant.notebook.oracle import average
from cumulant.notebook.page import Page, Record
from cumulant.notebook.spin_families import SPIN_FAMILIES, SpinFamily, enumerate_spins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["verify"]

TABLES_TOLERANCE = 1e-10


def verify(page: Page) -> tuple[Record, ...]:
    """Test a page against oracles that do not use its formulas.

    The averages of a class of a fixed number of fields are taken over exp(−F)/Z by quadrature (real fields), or by
    enumeration (spins, counts), at each of the page's test points. A Gaussian class of any number of fields is written
    out as a full precision matrix, which LAPACK inverts. Errors are relative, and absolute below 1.

    Parameters
    ----------
    page
        From `pages`, or `read_page`.

    Returns
    -------
    tuple of Record
        One for each oracle; ``passed`` says whether the page can be trusted.

    Examples
    --------
    >>> import cumulant as cm
    >>> all(record.passed for record in cm.notebook.verify(cm.notebook.page("phi4")))
    True
    """
    return tuple(_records(page))


def _records(page: Page) -> Iterator[Record]:
    tables = [one for table in page.tables.values() for one in table.values()]
    if tables:
        pieces = sum(len(t.coefficients) for t in tables)
        yield Record("40 digits, when it was tabulated", pieces, _worst(t.error for t in tables), TABLES_TOLERANCE)
    family = page.solves.family or ""
    if family in FAMILIES:
        errors = [_family_error(page, family, shape) for shape in FAMILIES[family].shapes]
        yield Record("inverse of the full matrix", len(errors), _worst(errors), page.tolerance)
    elif family in SPIN_FAMILIES:
        errors = [_spin_error(page, SPIN_FAMILIES[family], n) for n in SPIN_FAMILIES[family].sizes]
        yield Record("enumeration of all states", len(errors), _worst(errors), page.tolerance)
    elif family == "potts":
        errors = [_potts_error(page, sizes) for sizes in ((2, 2), (3, 4), (5, 2))]
        yield Record("enumeration of all states", len(errors), _worst(errors), page.tolerance)
    elif page.free_energy is not None and page.checks:
        errors = [_point_error(page, point) for point in page.checks]
        discrete = all(domain in ("spin", "binary", "count") for domain in page.solves.fields.values())
        oracle = "enumeration of all states" if discrete else "quadrature of exp(−F)"
        yield Record(oracle, len(errors), _worst(errors), page.tolerance)
    else:
        raise FileFormatError(
            f"page '{page.name}' has nothing to be verified by: give it a formula for F and [verify] points"
        )


def _point_error(page: Page, point: Mapping[str, float]) -> float:
    """Largest error of a coupling at a test point; infinite where the page refuses its own point."""
    if page.free_energy is None:
        return np.inf
    observables = {m.name: m.observable.evaluate for m in page.moments if m.observable is not None}
    moments: dict[str, Any] = average(page.free_energy.evaluate, page.solves.fields, point, observables)
    moments.update({name: point[name] for name in page.solves.parameters})
    if page.outside(moments) is not None:
        return np.inf
    try:
        found = page.couplings_at(moments)
    except (CumulantError, ArithmeticError):
        return np.inf
    return _worst(_difference(found[c.name], point[c.name]) for c in page.couplings)


def _family_error(page: Page, family: str, shape: Shape) -> float:
    """Largest error of a coupling of a random member of the family."""
    f = FAMILIES[family]
    rng = np.random.default_rng(20)
    p = int(np.prod(shape))
    raw = rng.normal(size=(p, 2 * p + 3))
    # Averages of a covariance over the group are those of some member of the class; its inverse is one too.
    start = page.couplings_at(f.reduce(rng.normal(size=p), np.asarray(raw @ raw.T / (2 * p + 3)), shape))
    K = f.expand(start, shape)
    if np.linalg.eigvalsh(K)[0] <= 0:
        return np.inf
    C = np.asarray(np.linalg.inv(K), dtype=np.float64)
    mean: Array = np.zeros(p) if f.spread is None else f.spread(f.reduce(rng.normal(size=p), C, shape)["mu"], shape)
    again = page.couplings_at(f.reduce(mean, C, shape))
    errors = [float(np.abs(f.expand(again, shape) @ C - np.eye(p)).max())]
    if f.spread is not None:
        errors.append(_difference(f.spread(again["h"], shape), -K @ mean))
    return _worst(errors + [_difference(again[name], value) for name, value in start.items() if name != "h"])


def _spin_error(page: Page, family: SpinFamily, n: int) -> float:
    """Largest error of a field or coupling over random members of the family."""
    errors = []
    for seed in range(5):
        h, J = family.example(np.random.default_rng(seed), n)
        moments = family.reduce(enumerate_spins(h, J))
        found = family.expand(moments, page.couplings_at(moments))
        errors += [_difference(found[0], h), _difference(found[1], J)]
    return _worst(errors)


def _potts_error(page: Page, sizes: tuple[int, int]) -> float:
    """Largest error of a coupling between two random categories, in the zero-sum gauge."""
    rng = np.random.default_rng(7)
    h, g = (x - x.mean() for x in (rng.normal(size=sizes[0]), rng.normal(size=sizes[1])))
    J = rng.normal(size=sizes)
    J -= J.mean(axis=0)
    J -= J.mean(axis=1, keepdims=True)
    weight = np.exp([[h[x] + g[y] + J[x, y] for y in range(sizes[1])] for x in range(sizes[0])])
    found = page.couplings_at({"P": weight / weight.sum()})
    return _worst([_difference(found["h"], h), _difference(found["g"], g), _difference(found["J"], J)])


def _worst(errors: Iterable[float]) -> float:
    """The largest; infinite if one is not a number, which no maximum of Python's would notice."""
    found = np.fromiter(errors, dtype=np.float64)
    return float(found.max()) if np.isfinite(found).all() else np.inf


def _difference(found: Any, true: Any) -> float:
    found, true = np.asarray(found, dtype=np.float64), np.asarray(true, dtype=np.float64)
    return float((np.abs(found - true) / np.maximum(1.0, np.abs(true))).max())
