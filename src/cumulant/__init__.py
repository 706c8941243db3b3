"""cumulant: fit a free energy, not a loss.

Measure the moments of a table in one pass, solve for its free energy F, and predict any column from any others.
"""

from typing import TYPE_CHECKING

from cumulant.errors import CumulantError, CumulantWarning
from cumulant.measure import Moments, measure
from cumulant.model import Model, fit, load, solve
from cumulant.theory import Field, Fluctuation, Gaussian, Polynomial, Spins, Taylor

if TYPE_CHECKING:
    from cumulant.symmetry.detect import symmetries

__version__ = "0.1.0"

__all__ = [
    "CumulantError",
    "CumulantWarning",
    "Field",
    "Fluctuation",
    "Gaussian",
    "Model",
    "Moments",
    "Polynomial",
    "Spins",
    "Taylor",
    "compare",
    "fit",
    "load",
    "measure",
    "notebook",
    "solve",
    "symmetries",
    "symmetry",
]


def __getattr__(name: str) -> object:
    # The comparison with descent is for showing, and most fits declare no group: neither is paid for on import.
    if name == "compare":
        from cumulant.explain.ledger import compare

        return compare
    if name == "symmetries":
        from cumulant.symmetry.detect import symmetries

        return symmetries
    if name in ("symmetry", "notebook"):
        import importlib

        return importlib.import_module(f"cumulant.{name}")
    raise AttributeError(f"module 'cumulant' has no attribute '{name}'")
