"""The laws a model can hold, by the name that its file gives the theory."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cumulant.theory import Gaussian, Polynomial, Spins

if TYPE_CHECKING:
    from cumulant.solve.law import Law

__all__ = ["LAWS", "ansatz_of", "law_of", "name_of"]

# Given by name, since a model holds one of them and should not wait for all.
LAWS: dict[str, tuple[str, str]] = {
    "gaussian": ("cumulant.solve.gaussian", "GaussianLaw"),
    "gaussian beside wide categories": ("cumulant.solve.levelled", "LevelledLaw"),
    "polynomial": ("cumulant.solve.polynomial_law", "PolynomialLaw"),
    "symmetric": ("cumulant.solve.structured", "SymmetricLaw"),
    "taylor": ("cumulant.solve.taylor_law", "TaylorLaw"),
    "taylor of several targets": ("cumulant.solve.several", "TaylorsLaw"),
    "field of a category": ("cumulant.solve.field.class_law", "ClassLaw"),
    "field": ("cumulant.solve.field.law", "FieldLaw"),
    "fields": ("cumulant.solve.field.several", "FieldsLaw"),
    "fluctuation": ("cumulant.solve.fluctuation_law", "FluctuationLaw"),
}


def law_of(name: str) -> type[Law]:
    """The law of a theory, by its name in files."""
    module, kind = LAWS[name]
    found: type[Law] = getattr(import_module(module), kind)
    return found


def name_of(law: Law) -> str:
    """The name of a law's theory in files."""
    mine = (type(law).__module__, type(law).__name__)
    return next(name for name, kind in LAWS.items() if kind == mine)


# The ansatz that a law's couplings are read against in the notebook.
_THEORIES: dict[str, Gaussian | Polynomial | Spins] = {
    "gaussian": Gaussian(),
    "polynomial": Polynomial(),
    "spins": Spins(),
}


def ansatz_of(law: Law) -> Gaussian | Polynomial | Spins:
    """The kind of F that a law has."""
    return _THEORIES.get(name_of(law), Gaussian())
