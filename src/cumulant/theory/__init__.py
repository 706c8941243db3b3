"""The ansatz for F: which terms of its expansion are kept, and what must be measured for them."""

from cumulant.measure.requirement import Requirement
from cumulant.theory.derivatives import cumulant_by_differences
from cumulant.theory.gaussian import Gaussian, GaussianAction

__all__ = ["Gaussian", "GaussianAction", "Requirement", "cumulant_by_differences"]
