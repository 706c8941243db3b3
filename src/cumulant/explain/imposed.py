"""Models under a symmetry, solved again from some folds of their moments and judged on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cumulant.solve.regression import Regression, regress
from cumulant.solve.structured import SymmetricLaw
from cumulant.solve.symmetric import solve_again
from cumulant.symmetry import applied

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.model.imposed import Imposed
    from cumulant.solve.gaussian import GaussianLaw
    from cumulant.solve.prior import Prior
    from cumulant.symmetry import Reduced

    Array = NDArray[np.float64]

__all__ = ["law_under", "mean_square", "regression_of"]


def law_under(imposed: Imposed, prior: Prior, part: Moments | Reduced) -> GaussianLaw | SymmetricLaw:
    """The law of some of the rows, under the symmetry and the prior of all."""
    return solve_again(part, imposed.declared, prior, imposed.strength)


def regression_of(law: GaussianLaw | SymmetricLaw, y: int, x: NDArray[np.int64]) -> Regression:
    """Field ``y`` on all others."""
    return law.regressed(y) if isinstance(law, SymmetricLaw) else regress(law.fields, y, x)


def mean_square(r: Reduced, used: NDArray[np.bool_], theta: Array, point: Array | None = None) -> float:
    """Mean of (θ·(x − point))² over the rows of some folds, and over all θ that the group makes of this one.

    The invariant part of their second moments tells no more, and needs no more: what a group exchanges is predicted
    alike. Without a point, about their mean.
    """
    about = r.estimate(used).mean if point is None else point
    turned = theta * r.unit
    return max(float(turned @ applied(r.basis, r.second_about(used, about), turned[None])[0]), 0.0)
