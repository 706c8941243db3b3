"""Groups that act on the columns: what they are, what they leave invariant, and what that saves."""

from cumulant.symmetry.canonical import equivalent, key
from cumulant.symmetry.catalogue import (
    cyclic,
    dihedral,
    grid_translations,
    hyperoctahedral,
    orthogonal,
    square,
    symmetric,
    trivial,
    wreath,
    z2,
)
from cumulant.symmetry.chain import contains, elements, is_subgroup, order
from cumulant.symmetry.declared import Declared, declared, soft, up_to_scale, with_mean
from cumulant.symmetry.evidence import log_evidence
from cumulant.symmetry.group import Group, Rotations
from cumulant.symmetry.invariants import Invariants, invariants
from cumulant.symmetry.isotypic import Decomposition, Part, applied, found_numerically, gathered, log_determinant
from cumulant.symmetry.orbits import Orbits, burnside, orbits
from cumulant.symmetry.reduced import Reduced, reduce
from cumulant.symmetry.reynolds import parameters, reynolds
from cumulant.symmetry.spectral import isotypic

__all__ = [
    "Declared",
    "Decomposition",
    "Group",
    "Invariants",
    "Orbits",
    "Part",
    "Reduced",
    "Rotations",
    "applied",
    "burnside",
    "contains",
    "cyclic",
    "declared",
    "dihedral",
    "elements",
    "equivalent",
    "found_numerically",
    "gathered",
    "grid_translations",
    "hyperoctahedral",
    "invariants",
    "is_subgroup",
    "isotypic",
    "key",
    "log_determinant",
    "log_evidence",
    "orbits",
    "order",
    "orthogonal",
    "parameters",
    "reduce",
    "reynolds",
    "soft",
    "square",
    "symmetric",
    "trivial",
    "up_to_scale",
    "with_mean",
    "wreath",
    "z2",
]
