"""Estimators with scikit-learn's interface: fitting measures and solves, predicting asks the model."""

from cumulant.errors import MissingDependencyError

try:
    from cumulant.sklearn.classifier import FreeEnergyClassifier
    from cumulant.sklearn.density import FreeEnergyDensity
    from cumulant.sklearn.imputer import FreeEnergyImputer
    from cumulant.sklearn.regressor import FreeEnergyRegressor
except ImportError as error:
    if not (error.name or "").startswith("sklearn"):
        raise
    raise MissingDependencyError(
        "the estimators need scikit-learn 1.6 or newer: pip install 'cumulant[sklearn]'"
    ) from error

__all__ = ["FreeEnergyClassifier", "FreeEnergyDensity", "FreeEnergyImputer", "FreeEnergyRegressor"]
