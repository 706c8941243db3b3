"""The fitted object, and how it is made, kept and read back."""

from cumulant.model.file import load
from cumulant.model.fit import fit, solve
from cumulant.model.model import Model

__all__ = ["Model", "fit", "load", "solve"]
