"""The laws a model can hold, by the name that its file gives the theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cumulant.solve.fluctuation_law import FluctuationLaw
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.levelled import LevelledLaw
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.structured import SymmetricLaw
from cumulant.solve.taylor_law import TaylorLaw
from cumulant.theory import Gaussian, Polynomial, Spins

if TYPE_CHECKING:
    from cumulant.solve.law import Law

__all__ = ["LAWS", "ansatz_of", "name_of"]

LAWS: dict[str, type[Law]] = {
    "gaussian": GaussianLaw,
    "gaussian beside wide categories": LevelledLaw,
    "polynomial": PolynomialLaw,
    "symmetric": SymmetricLaw,
    "taylor": TaylorLaw,
    "fluctuation": FluctuationLaw,
}


def name_of(law: Law) -> str:
    """The name of a law's theory in files."""
    return next(name for name, kind in LAWS.items() if isinstance(law, kind))


# The ansatz that a law's couplings are read against in the notebook.
_THEORIES: dict[str, Gaussian | Polynomial | Spins] = {
    "gaussian": Gaussian(),
    "polynomial": Polynomial(),
    "spins": Spins(),
}


def ansatz_of(law: Law) -> Gaussian | Polynomial | Spins:
    """The kind of F that a law has."""
    return _THEORIES.get(name_of(law), Gaussian())
