"""The ansatz for F: which terms of its expansion are kept, and what must be measured for them."""

from cumulant.measure.requirement import Requirement
from cumulant.theory.auto import Auto
from cumulant.theory.derivatives import cumulant_by_differences
from cumulant.theory.field import Field
from cumulant.theory.fluctuation import Fluctuation
from cumulant.theory.gaussian import Gaussian, GaussianAction
from cumulant.theory.partition import PartitionFunction
from cumulant.theory.polynomial import Polynomial
from cumulant.theory.polynomial_action import PolynomialAction
from cumulant.theory.spin_action import SpinAction
from cumulant.theory.spins import Spins
from cumulant.theory.taylor import Taylor

Theory = Gaussian | Taylor | Fluctuation | Polynomial | Field

__all__ = [
    "Auto",
    "Field",
    "Fluctuation",
    "Gaussian",
    "GaussianAction",
    "PartitionFunction",
    "Polynomial",
    "PolynomialAction",
    "Requirement",
    "SpinAction",
    "Spins",
    "Taylor",
    "Theory",
    "cumulant_by_differences",
]
