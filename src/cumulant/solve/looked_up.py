"""The law of a polynomial F whose couplings are on a page of the notebook: looked up, with no equation solved."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cumulant.notebook.lookup import lookup
from cumulant.solve.exact import solve_exact
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.law import Solved
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.predictive import Fields
from cumulant.solve.prior import Prior
from cumulant.theory.polynomial_action import PolynomialAction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.symmetry import Group
    from cumulant.theory import Polynomial

    Array = NDArray[np.float64]

__all__ = ["solve_looked_up"]

ORDER = 4
REASON = "the couplings were looked up in the notebook, and no prior was needed"


def solve_looked_up(m: Moments, theory: Polynomial, group: Group) -> Solved:
    """The law of a class that the notebook holds.

    Raises
    ------
    OptionError
        The notebook has no page for the theory and the group, or its moments were not measured.
    DataError
        The moments are outside of the domain of the page.
    """
    answer = lookup(theory, group, m)
    p = len(m.columns)
    about = np.zeros(p) if answer.page.solves.about == "origin" else m.total.mean
    sd = np.sqrt(np.diag(m.total.covariance))
    monomials = _monomials(answer.couplings, p)
    terms = np.array([(0,) * (ORDER - len(at)) + tuple(i + 1 for i in at) for at in monomials], dtype=np.int64)
    theta = np.array([value * np.prod(sd[list(at)]) for at, value in monomials.items()])
    action = PolynomialAction(m.columns, about, sd, terms, theta)
    s = solve_exact(m, None, None)
    none = np.zeros(0)
    note = f"couplings of the page {answer.page.name} of the notebook, whose class this is"
    law = PolynomialLaw(action, GaussianLaw(Fields.of(s)), np.arange(p))
    return Solved(law, Prior(0.0, "none", REASON, none, none), (note,), s.warnings)


def _monomials(couplings: Mapping[str, float], p: int) -> dict[tuple[int, ...], float]:
    """Coefficient of each product of fields: of one field to fourth order, or of the length of a vector."""
    h, a, g, b = (couplings.get(name, 0.0) for name in ("h", "a", "g", "b"))
    if p == 1:
        return {(0,): h, (0, 0): a / 2, (0, 0, 0): g / 6, (0, 0, 0, 0): b / 24}
    out: dict[tuple[int, ...], float] = {}
    for i in range(p):
        out[i, i] = a / 2
        out[i, i, i, i] = b / 24
    # (Σ φ_i²)² has each product of two squares twice.
    out.update({(i, i, j, j): b / 12 for i, j in combinations(range(p), 2)})
    return out
