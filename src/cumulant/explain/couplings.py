"""The couplings of F with their sampling errors: which of them the rows can tell from 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.explain.judges import solved_again
from cumulant.measure import Moments
from cumulant.measure.jackknife import Jackknife
from cumulant.solve import student
from cumulant.solve.fluctuation_law import FluctuationLaw
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.schwinger_dyson import solve_schwinger_dyson
from cumulant.solve.several import TaylorsLaw
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.theory import Gaussian, Polynomial, Taylor

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.model import Model
    from cumulant.solve.law import Law

    Array = NDArray[np.float64]
    Couplings = dict[tuple[int, ...], float]

__all__ = ["coupling_table"]

FEWEST_FOLDS = 3


def coupling_table(model: Model) -> pd.DataFrame:
    """Each coupling about the mean with its standard error, as `Model.coupling_table`."""
    import pandas as pd

    m, law = model.moments, model.law
    if not isinstance(m, Moments):
        raise OptionError(
            "errors of couplings come from the folds of the moments, which this model does not hold; ask the model "
            "that cm.fit or cm.solve made, without symmetry="
        )
    if not isinstance(law, (GaussianLaw, TaylorLaw, TaylorsLaw, FluctuationLaw, PolynomialLaw)):
        raise OptionError(
            "this theory's F is no polynomial with couplings of its own; ask a model of cm.Gaussian(), cm.Taylor() or "
            "cm.Polynomial()"
        )
    weight = m.weight if m.higher is None else m.higher.sums[:, 0]
    used = np.flatnonzero(weight > 0)
    if len(used) < FEWEST_FOLDS:
        raise OptionError(
            f"errors of couplings need at least three folds with rows, there are {len(used)}; measure with folds=10"
        )
    theory = model.theory
    if isinstance(theory, Polynomial) and theory.loops is None and isinstance(law, PolynomialLaw):
        # Which interactions are kept was decided on all rows, and is not decided anew without each fold.
        found = solve_schwinger_dyson(m, theory.order, ridge=model.prior.mass, bounds=theory.ends)
        place = {name: i for i, name in enumerate(m.columns)}
        errors = {tuple(place[name] for name in key): se for key, se in found.standard_errors().items()}
        value = law.couplings("mean")
        errors = {key: errors.get(key, np.nan) for key in value}
    else:
        value, errors = _by_solving_again(model, law, m, used, weight[used] / weight.sum())
    names = model.fields
    table = pd.DataFrame(
        {"coefficient": list(value.values()), "se": [errors[key] for key in value]},
        index=pd.Index(["·".join(names[i] for i in key) for key in value], name="coupling"),
    )
    known = (table["se"] > 0).to_numpy()
    table["z"] = np.where(known, table["coefficient"] / table["se"].where(known, 1.0), np.nan)
    table["p"] = np.where(known, student.two_sided(table["z"].fillna(0.0).to_numpy(), len(used) - 1), np.nan)
    table["q"] = _false_discovery(table["p"].to_numpy())
    return table


def _by_solving_again(
    model: Model, law: Law, m: Moments, used: NDArray[np.int64], shares: Array
) -> tuple[Couplings, Couplings]:
    """Couplings of all rows and their errors, solving without each fold; the degree of a mean stays."""
    theory, prior = _settled(model, law)
    folds = np.arange(m.folds)
    value = law.couplings("mean")
    without = [solved_again(model, m.some_folds(folds != k), theory, prior).couplings("mean") for k in used]
    keys = list(value)
    rows = np.array([[one.get(key, 0.0) for key in keys] for one in without])
    errors = Jackknife(np.array([value[key] for key in keys]), rows, shares).standard_error
    return value, dict(zip(keys, errors.tolist(), strict=True))


def _settled(model: Model, law: Law) -> tuple[Any, Any]:
    """The theory with its order decided, and the prior as it is to be chosen again."""
    kind = model.prior.kind
    prior: Any = None if kind == "none" else model.prior.mass if kind in ("given", "folds") else "evidence"
    background = law.background if isinstance(law, FluctuationLaw) else law
    if isinstance(background, (TaylorLaw, TaylorsLaw)):
        means = background.laws if isinstance(background, TaylorsLaw) else (background,)
        return Taylor(1 + max(mean.lifted.factors.shape[1] for mean in means)), prior
    if isinstance(model.theory, Polynomial) and isinstance(law, PolynomialLaw):
        return model.theory, "auto"
    return Gaussian(), prior if kind != "evidence" else model.prior.mass


def _false_discovery(p: Array) -> Array:
    """Benjamini–Hochberg q-values: the rate at which a coupling would just be kept."""
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    q = p[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], 1.0)
    return out
