"""Standard errors of looked-up couplings, by the delta method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import DataError
from cumulant.notebook.families import FAMILIES
from cumulant.notebook.oracle import average
from cumulant.notebook.spin_families import SPIN_FAMILIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.notebook.expression import Expression
    from cumulant.notebook.page import Page

    Array = NDArray[np.float64]
    Values = Mapping[str, Any]

__all__ = ["standard_errors"]

# Relative step of central differences: their error is its square, and rounding's is the precision divided by it.
STEP = 1e-5


def standard_errors(page: Page, couplings: Values, moments: Values, count: float) -> dict[str, Any]:
    """Standard error of each coupling; a name is absent where it cannot be had.

    θ = g(m) with sample moments m of covariance Σ/N, so that cov θ = J Σ Jᵀ/N, with J the derivatives of g. Σ is taken
    over the fitted F.
    """
    name = page.solves.family or ""
    family = FAMILIES.get(name) or SPIN_FAMILIES.get(name)
    if family is not None:
        return {name: np.sqrt(value / count) for name, value in family.variances(moments, couplings).items()}
    if name == "potts":
        return _of_categories(np.asarray(moments["P"]), count)
    observed = [m.name for m in page.moments if m.observable is not None]
    if page.free_energy is None or not observed:
        return {}
    try:
        sigma = _covariance(page, page.free_energy, couplings, moments)
    except DataError:
        # The moments' own variances do not exist: heavy tails.
        return {}
    J = _derivatives(page, moments, observed)
    variance = np.einsum("ia,ab,ib->i", J, sigma, J) / count
    return {c.name: float(np.sqrt(max(v, 0.0))) for c, v in zip(page.couplings, variance, strict=True)}


def _covariance(page: Page, free_energy: Expression, couplings: Values, moments: Values) -> Array:
    """Covariance of the observables over one row (k, k)."""
    formulas = {m.name: m.observable.evaluate for m in page.moments if m.observable is not None}
    observed = list(formulas)
    products = {
        f"{a} {b}": (lambda env, x=formulas[a], y=formulas[b]: x(env) * y(env))
        for i, a in enumerate(observed)
        for b in observed[i:]
    }
    at = {**{name: moments[name] for name in page.solves.parameters}, **couplings}
    found = average(free_energy.evaluate, page.solves.fields, at, {**formulas, **products})
    mean = np.array([found[a] for a in observed])
    second = np.array([[found.get(f"{a} {b}", found.get(f"{b} {a}", 0.0)) for b in observed] for a in observed])
    return np.asarray(second - np.outer(mean, mean))


def _derivatives(page: Page, moments: Values, observed: list[str]) -> Array:
    """∂ coupling / ∂ moment (couplings, moments), by central differences, one-sided at the edge of the domain."""
    out = np.empty((len(page.couplings), len(observed)))
    for k, name in enumerate(observed):
        step = STEP * max(abs(moments[name]), 0.1)
        ends = [{**moments, name: moments[name] + s} for s in (step, -step)]
        ends = [e if page.outside(e) is None else dict(moments) for e in ends]
        up, down = (page.couplings_at(e) for e in ends)
        width = ends[0][name] - ends[1][name]
        out[:, k] = [(up[c.name] - down[c.name]) / width if width else np.nan for c in page.couplings]
    return out


def _of_categories(P: Array, count: float) -> dict[str, Any]:
    """Of main effects and interaction of ln P, which are linear in it: var ln P̂ = 1/(N P), less a constant."""
    a, b = P.shape
    rows, columns = (np.eye(a) - 1 / a) ** 2, (np.eye(b) - 1 / b) ** 2
    return {
        "h": np.sqrt(rows @ (1 / P).sum(axis=1) / (b**2 * count)),
        "g": np.sqrt(columns @ (1 / P).sum(axis=0) / (a**2 * count)),
        "J": np.sqrt(rows @ (1 / P) @ columns / count),
    }
