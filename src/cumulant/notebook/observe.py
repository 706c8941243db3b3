"""The moments that a page needs, out of the moments of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError, OptionError
from cumulant.lift import Boolean, Categorical, Cyclic
from cumulant.notebook.expression import monomial
from cumulant.notebook.families import FAMILIES
from cumulant.notebook.spin_families import SPIN_FAMILIES, SpinMoments
from cumulant.symmetry import Reduced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.notebook.page import Page
    from cumulant.notebook.recognise import Match

    Array = NDArray[np.float64]

__all__ = ["observe"]

# How far the mean square of a column of values −1 and 1 may be from 1.
TWO_VALUED = 1e-9


def observe(match: Match, m: Moments | Reduced) -> dict[str, Any]:
    """Values of the page's moments and parameters by name.

    Raises
    ------
    DataError
        Too few rows, or columns that are not what the page is about.
    OptionError
        Moments that were not measured.
    """
    solves = match.page.solves
    name = solves.family or ""
    rows = float(np.sum(m.count))
    if not rows > 1:
        raise DataError(f"{rows:g} rows have no covariance; a page needs two at least")
    if name in FAMILIES:
        at = match.order
        mean, C = (m.mean, m.covariance) if isinstance(m, Reduced) else (m.total.mean, m.total.covariance)
        mean, C = mean[at], C[np.ix_(at, at)]
        if match.even:
            mean, C = np.zeros(len(mean)), C + np.outer(mean, mean)
        return FAMILIES[name].reduce(mean, C, match.shape)
    if isinstance(m, Reduced):
        raise OptionError(
            f"page '{match.page.name}' is not Gaussian, and these moments were measured under a group: measure without "
            "symmetry="
        )
    if name in SPIN_FAMILIES:
        return SPIN_FAMILIES[name].reduce(_spins(match, m))
    special = _SPECIAL.get(match.page.name)
    return special(m) if special is not None else _monomials(match.page, match, m)


# ---------------------------------------------------------------------------------- products of fields


def _monomials(page: Page, match: Match, m: Moments) -> dict[str, Any]:
    """Averages of products of the fields, about zero or, where the page says so, about the mean."""
    fields = list(page.solves.fields)
    powers = {}
    for moment in page.moments:
        found = None if moment.observable is None else monomial(moment.observable.text, fields)
        if found is None:
            raise OptionError(
                f"page '{page.name}' needs the {moment.meaning}, which moments of columns do not hold; give numbers: "
                f"{{{', '.join(repr(one.name) + ': …' for one in page.moments)}}}"
            )
        powers[moment.name] = found
    if len(match.order) != len(fields):
        raise OptionError(f"page '{page.name}' is about {len(fields)} fields, and there are {len(match.order)}")
    tensor = _tensor(m, max(sum(p) for p in powers.values()), page)
    if set(page.solves.fields.values()) == {"spin"}:
        tensor = _affine(tensor, *_spin_scale(m))
    out = {}
    for name, power in powers.items():
        index = [1 + int(match.order[i]) for i, k in enumerate(power) for _ in range(k)]
        out[name] = float(tensor[tuple(index + [0] * (tensor.ndim - len(index)))])
    return out


def _tensor(m: Moments, order: int, page: Page) -> Array:
    """Moments in homogeneous coordinates (p + 1,) * order; entry 0 stands for one."""
    if order > m.order:
        raise OptionError(f"page '{page.name}' needs moments of order {order}: measure with order={order}")
    about_mean = page.solves.about == "mean"
    mean, n = m.total.mean, m.count
    if order <= 2:
        central = np.zeros((len(mean) + 1,) * 2)
        central[0, 0] = 1.0
        central[1:, 1:] = m.total.covariance * ((n - 1) / n)
    elif m.total.higher is None:
        raise OptionError(f"page '{page.name}' needs moments of order {order}: measure with order={order}")
    else:
        central = m.total.higher.central(order)
    return central if about_mean else _affine(central, np.ones(len(mean)), mean)


def _affine(tensor: Array, scale: Array, offset: Array) -> Array:
    """Moments of scale·φ + offset, from those of φ in homogeneous coordinates."""
    out = tensor.copy()
    for axis in range(out.ndim):
        along = np.moveaxis(out, axis, 0)
        shape = (-1, *[1] * (out.ndim - 1))
        along[1:] = scale.reshape(shape) * along[1:] + offset.reshape(shape) * along[:1]
    return out


# ---------------------------------------------------------------------------------- spins


def _spin_scale(m: Moments) -> tuple[Array, Array]:
    """What makes spins of the columns: 2b − 1 of true and false, and nothing of −1 and 1.

    Raises
    ------
    DataError
        A column is neither.
    """
    mean, n = m.total.mean, m.count
    square = np.diag(m.total.covariance) * ((n - 1) / n) + mean**2
    boolean = np.zeros(len(mean), dtype=bool)
    for lift in m.schema.lifts:
        at = m.schema.independent_of(lift.name)
        two_levels = isinstance(lift, Boolean) or (isinstance(lift, Categorical) and len(at) == 1)
        boolean[at] = two_levels
        if not two_levels and (np.abs(square[at] - 1) > TWO_VALUED).any():
            raise DataError(
                f"column '{lift.name}' is not a spin: its values are not all −1 or 1; make true and false of its two "
                "values, or −1 and 1"
            )
    return np.where(boolean, 2.0, 1.0), np.where(boolean, -1.0, 0.0)


def _spins(match: Match, m: Moments) -> SpinMoments:
    at, page = match.order, match.page
    n = len(at)
    third = page.solves.graph == "ring" and not match.even and m.order >= 3
    tensor = _affine(_tensor(m, 3 if third else 2, page), *_spin_scale(m))
    pairs = tensor[0, 1:, 1:] if third else tensor[1:, 1:]
    pairs = pairs[np.ix_(at, at)]
    if match.even:
        return SpinMoments(np.zeros(n), pairs, np.zeros(n))
    triples = None
    if third:
        i = np.arange(n)
        triples = tensor[1:, 1:, 1:][at[i - 1], at[i], at[(i + 1) % n]]
    mean = tensor[0, 0, 1:] if third else tensor[0, 1:]
    return SpinMoments(mean[at], pairs, triples)


# ---------------------------------------------------------------------------------- more than products


def _angle(m: Moments) -> dict[str, Any]:
    """Mean cosine and sine of a column with one cycle, or of two columns that hold them."""
    waves = [lift for lift in m.schema.lifts if isinstance(lift, Cyclic) and len(lift.cycles) == 1]
    if len(waves) == 1:
        _, sine, cosine = m.schema.independent_of(waves[0].name)
    elif len(m.columns) == 2:
        cosine, sine = 0, 1
    else:
        raise OptionError(
            f"an angle is a column with one cycle (lifts={{'time': 'cyclic:day'}}), or two columns that hold its "
            f"cosine and sine, and there are {', '.join(m.columns)}"
        )
    return {"c": float(m.total.mean[cosine]), "s": float(m.total.mean[sine])}


def _direction(m: Moments) -> dict[str, Any]:
    return {"R": float(np.linalg.norm(m.total.mean)), "p": float(len(m.columns))}


def _vector(m: Moments) -> dict[str, Any]:
    p = len(m.columns)
    higher = m.total.higher
    if m.order < 4 or higher is None:
        raise OptionError("the lengths of vectors to the fourth power are moments of order 4: measure with order=4")
    tensor = _affine(higher.central(4), np.ones(p), m.total.mean)
    return {
        "m2": float(np.trace(tensor[0, 0, 1:, 1:])),
        "m4": float(np.einsum("iijj->", tensor[1:, 1:, 1:, 1:])),
        "n": float(p),
    }


def _table(m: Moments) -> dict[str, Any]:
    """Frequencies of the pairs of levels of two categories, from the means and products of their indicators."""
    if len(m.schema.lifts) != 2 or not all(isinstance(lift, (Categorical, Boolean)) for lift in m.schema.lifts):
        raise OptionError("the page potts-pair is about two columns of categories; measure those alone")
    a, b = (m.schema.independent_of(lift.name) for lift in m.schema.lifts)
    mean, n = m.total.mean, m.count
    product = m.total.covariance * ((n - 1) / n) + np.outer(mean, mean)
    P = np.empty((len(a) + 1, len(b) + 1))
    P[1:, 1:] = product[np.ix_(a, b)]
    P[1:, 0], P[0, 1:] = mean[a] - P[1:, 1:].sum(axis=1), mean[b] - P[1:, 1:].sum(axis=0)
    P[0, 0] = 1 - P[1:, 0].sum() - P[:, 1:].sum()
    # Rounding of what is never seen must not look like something rarely seen.
    return {"P": np.where(np.abs(P) < 0.5 / max(n, 1.0), 0.0, P)}


_SPECIAL: dict[str, Callable[[Moments], dict[str, Any]]] = {
    "von-mises": _angle,
    "von-mises-fisher": _direction,
    "phi4-vector": _vector,
    "potts-pair": _table,
}
