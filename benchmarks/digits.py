"""Correct digits of coefficients and standard errors on NIST's certified regressions, by cumulant and its peers."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import OURS, ROOT, Options, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

    Fit = tuple[NDArray[np.float64], NDArray[np.float64] | None]

METHOD = (
    "Statistical Reference Datasets, linear regression (NIST). Every method is given the columns of the design in "
    "float64, with its defaults, and cumulant the table without a prior. scikit-learn's default drops directions whose "
    "singular value is under 10⁻⁶ of the largest; it is shown with a tolerance of 10⁻¹⁵ as well. A digit count is "
    "−log₁₀ of the largest relative error of a coefficient (or standard error), at least 0 and at most 15."
)


def run(options: Options) -> dict[str, Any]:
    names = options.keep(METHODS)
    machine = harness.machine()
    # The sets are small as they are.
    sets = harness.call("benchmarks.digits:digits", names=names).result
    for name, row in sets.items():
        say(f"  {name:10}" + "".join(f"{row[method]['coefficients']:6.1f}" for method in names))
    return {"benchmark": "digits", "method": METHOD, "machine": machine, "parameters": {}, "results": sets}


# ---------------------------------------------------------------------------------- in the measured process


def digits(names: list[str]) -> dict[str, Any]:
    """By set and method: digits of the coefficients, and of the standard errors where the method has them."""
    nist = _nist()
    out = {}
    for set_name in nist.NAMES:
        reference = nist.load(set_name)
        out[set_name] = {name: _digits(nist, reference, METHODS[name]) for name in names}
    return out


def _digits(nist: ModuleType, reference: Any, method: Callable[[Any], Fit]) -> dict[str, float | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coefficients, errors = method(reference)

    def count(computed: NDArray[np.float64], certified: Any) -> float:
        return round(max(0.0, nist.digits(computed, certified)), 1)

    return {
        "coefficients": count(coefficients, reference.coefficients),
        "standard_errors": None if errors is None else count(errors, reference.standard_errors),
    }


def _nist() -> ModuleType:
    """The loader of ``validation/``, which is a folder of tests and no package."""
    spec = importlib.util.spec_from_file_location("nist", ROOT / "validation" / "nist.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["nist"] = module
    spec.loader.exec_module(module)
    return module


def _cumulant(reference: Any) -> Fit:
    import cumulant as cm

    columns = dict(zip(reference.columns, reference.design.T, strict=True))
    table = cm.fit({**columns, "response": reference.response}, prior=None).summary(
        "response", intercept=reference.intercept
    ).table  # fmt: skip
    return table["coefficient"].to_numpy(), table["se"].to_numpy()


def _sklearn(reference: Any, **options: float) -> Fit:
    from sklearn.linear_model import LinearRegression

    return _estimator(LinearRegression(fit_intercept=reference.intercept, **options), reference)


def _intelex(reference: Any) -> Fit:
    from sklearnex.linear_model import LinearRegression

    return _estimator(LinearRegression(fit_intercept=reference.intercept), reference)


def _estimator(estimator: Any, reference: Any) -> Fit:
    fitted = estimator.fit(reference.design, reference.response)
    slopes = np.ravel(fitted.coef_)
    return (np.append(fitted.intercept_, slopes) if reference.intercept else slopes), None


def _statsmodels(reference: Any, method: str) -> Fit:
    import statsmodels.api as sm

    fitted = sm.OLS(reference.response, _design(reference)).fit(method=method)
    return fitted.params, fitted.bse


def _lstsq(reference: Any) -> Fit:
    return np.linalg.lstsq(_design(reference), reference.response, rcond=None)[0], None


def _design(reference: Any) -> NDArray[np.float64]:
    ones = np.ones((len(reference.design), int(reference.intercept)))
    return np.column_stack([ones, reference.design])


METHODS: dict[str, Callable[[Any], Fit]] = {
    OURS: _cumulant,
    "scikit-learn LinearRegression": _sklearn,
    "scikit-learn LinearRegression(tol=1e-15)": partial(_sklearn, tol=1e-15),
    "scikit-learn-intelex": _intelex,
    "statsmodels OLS(pinv)": partial(_statsmodels, method="pinv"),
    "statsmodels OLS(qr)": partial(_statsmodels, method="qr"),
    "numpy lstsq": _lstsq,
}
