"""A fitted F read against the notebook: its class, what matters in it, and what physics and machine learning know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.notebook.library import page as page_named
from cumulant.notebook.recognise import Theory, recognise
from cumulant.theory import Gaussian, Polynomial, Spins

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.notebook.page import Page
    from cumulant.symmetry import Group

    Array = NDArray[np.float64]

__all__ = ["MOST_FIELDS", "Universality", "universality"]

# A coupling that is zero shows a size of about 1/√N; beyond this many of them it is counted as real.
SIGMAS = 3.0
# Every pair is weighed, and every mode of the correlations found.
MOST_FIELDS = 1_000
# The page that a theory belongs to where no page has its exact class.
NEAREST = {Gaussian: "gaussian", Polynomial: "phi4-skew", Spins: "spin-pair"}


@dataclass(frozen=True, eq=False)
class Universality:
    """What class a fitted F belongs to.

    Parameters
    ----------
    page
        The page of the class, or the nearest one.
    exact
        Whether the class is the page's own, and not only near it.
    sizes
        Dimensionless size of each coupling, by names of fields.
    values
        The couplings themselves, about the mean.
    threshold
        Size above which a coupling is relevant.
    physics
        What was measured of the class: mass gap, susceptibility, phases.
    """

    page: Page
    exact: bool
    sizes: Mapping[tuple[str, ...], float]
    values: Mapping[tuple[str, ...], float]
    threshold: float
    physics: Mapping[str, float | str]

    @property
    def name(self) -> str:
        """The class, in words."""
        return self.page.title if self.exact else f"near: {self.page.title}"

    @property
    def machine_learning(self) -> tuple[str, ...]:
        """Models of machine learning in the class."""
        return tuple(self.page.text.get("machine_learning", ()))

    @property
    def relevant(self) -> tuple[tuple[str, ...], ...]:
        """Couplings that stand out of the noise, largest first."""
        kept = [at for at, size in self.sizes.items() if size > self.threshold]
        return tuple(sorted(kept, key=lambda at: -self.sizes[at]))

    @property
    def irrelevant(self) -> tuple[tuple[str, ...], ...]:
        """Couplings that could be zero."""
        return tuple(at for at, size in self.sizes.items() if not size > self.threshold)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each coupling: order, value, size, and whether it is relevant; largest first."""
        import pandas as pd

        rows = [
            (" · ".join(at), len(at), self.values[at], size, size > self.threshold) for at, size in self.sizes.items()
        ]
        frame = pd.DataFrame(rows, columns=["coupling", "order", "value", "size", "relevant"])
        return frame.sort_values("size", ascending=False, kind="stable").set_index("coupling")

    def to_dict(self) -> dict[str, Any]:
        """Plain data: class, page, physics, models and couplings."""
        return {
            "class": self.name,
            "page": self.page.name,
            "exact": self.exact,
            "physics": dict(self.physics),
            "names_in_physics": list(self.page.text.get("physics", ())),
            "machine_learning": list(self.machine_learning),
            "behaviour": self.page.text.get("behaviour", ""),
            "relevant": [list(at) for at in self.relevant],
            "irrelevant": [list(at) for at in self.irrelevant],
            "threshold": self.threshold,
        }

    def __str__(self) -> str:
        shown = ", ".join(" · ".join(at) for at in self.relevant[:8]) or "none"
        more = f" and {len(self.relevant) - 8} more" if len(self.relevant) > 8 else ""
        lines = [f"{self.name} (page {self.page.name})"]
        lines += [
            f"  {name}: {value if isinstance(value, str) else f'{value:.4g}'}" for name, value in self.physics.items()
        ]
        lines += [
            f"  relevant: {shown}{more}; irrelevant: {len(self.irrelevant)} of {len(self.sizes)}",
            f"  in machine learning: {'; '.join(self.machine_learning)}",
            f"  in physics: {'; '.join(self.page.text.get('physics', ()))}",
        ]
        return "\n".join(lines)

    __repr__ = __str__


def universality(
    theory: Theory,
    group: Group,
    fields: Sequence[str],
    couplings: Mapping[tuple[int, ...], float],
    mean: Array,
    covariance: Array,
    count: float,
) -> Universality:
    """Read couplings against the notebook.

    Parameters
    ----------
    theory, group
        The class: which kind of F, and its symmetry.
    fields
        Names of the p fields.
    couplings
        Coefficient of each monomial of F about the mean, by positions.
    mean, covariance
        Mean (p,) and propagator (p, p) of the fields.
    count
        Rows that it rests on.

    Returns
    -------
    Universality
        Sizes are a coefficient's times √G_ii for each leg i, times √k! for k equal legs: what a coupling adds to the
        cumulants, in standard deviations. One that is zero shows about 1/√N.
    """
    match = recognise(theory, group)
    sd = np.sqrt(np.diag(covariance))
    sizes, values = {}, {}
    for at, value in couplings.items():
        equal = float(np.prod([factorial(k) for k in Counter(at).values()]))
        name = tuple(fields[i] for i in at)
        sizes[name] = float(abs(value) * np.sqrt(equal) * np.prod(sd[list(at)]))
        values[name] = float(value)
    threshold = SIGMAS / np.sqrt(max(count, 1.0))
    beyond = isinstance(theory, Gaussian) and any(len(at) > 2 and size > threshold for at, size in sizes.items())
    return Universality(
        page=page_named(NEAREST[type(theory)]) if match is None else match.page,
        exact=match is not None and not beyond,
        sizes=sizes,
        values=values,
        threshold=threshold,
        physics={**_fluctuations(covariance), **_phases(theory, couplings, mean, covariance, fields)},
    )


def _fluctuations(covariance: Array) -> dict[str, float | str]:
    """Mass gap and susceptibility, with each field in units of its standard deviation."""
    sd = np.sqrt(np.diag(covariance))
    moving = sd > 0
    if not moving.any():
        return {}
    R = covariance[np.ix_(moving, moving)] / np.outer(sd[moving], sd[moving])
    largest = float(np.linalg.eigvalsh(R)[-1])
    return {"susceptibility of the softest mode": largest, "mass gap": 1 / largest}


def _phases(
    theory: Theory, couplings: Mapping[tuple[int, ...], float], mean: Array, covariance: Array, fields: Sequence[str]
) -> dict[str, float | str]:
    if isinstance(theory, Spins):
        return _magnetism(couplings, mean)
    if isinstance(theory, Polynomial) and theory.order > 2:
        wells = {fields[i]: _wells(couplings, i, float(np.sqrt(covariance[i, i]))) for i in range(len(fields))}
        double = [name for name, number in wells.items() if number > 1]
        return {"phases": f"two wells in {', '.join(double)}" if double else "one"}
    return {"phases": "one"}


def _wells(couplings: Mapping[tuple[int, ...], float], i: int, sd: float) -> int:
    """Number of minima of F along one field, the others at their means."""
    degree = max((len(at) for at in couplings), default=2)
    c = [couplings.get((i,) * k, 0.0) * sd**k for k in range(degree + 1)]
    slope = np.polynomial.Polynomial(c).deriv()
    roots = slope.roots()
    real = roots[np.abs(roots.imag) < 1e-8].real
    return int((slope.deriv()(real) > 0).sum()) if len(real) else 1


def _magnetism(couplings: Mapping[tuple[int, ...], float], mean: Array) -> dict[str, float | str]:
    """The mean-field criterion: largest eigenvalue of J_ij √((1 − m_i²)(1 − m_j²)), critical at 1."""
    n = len(mean)
    J = np.zeros((n, n))
    for at, value in couplings.items():
        if len(at) == 2 and at[0] != at[1]:
            J[at] = J[at[::-1]] = -value
    room = np.sqrt(np.clip(1 - mean**2, 0, None))
    strength = float(np.linalg.eigvalsh(J * np.outer(room, room))[-1])
    return {
        "coupling strength": strength,
        "distance from criticality": 1 - strength,
        "phases": "one" if strength < 1 else "two in mean field: columns freeze together",
    }
