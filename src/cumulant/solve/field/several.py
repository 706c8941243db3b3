"""The law of several targets, each a field of the other columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cumulant.solve.field.law import FieldLaw
from cumulant.solve.several import SeveralLaw, states_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FieldsLaw"]


@dataclass(frozen=True, eq=False)
class FieldsLaw(SeveralLaw[FieldLaw]):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    laws
        That of each target, of the same visible fields.
    """

    laws: tuple[FieldLaw, ...]

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of F to second order; of higher order there are infinitely many."""
        return self.gaussian.couplings(about)

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> FieldsLaw:
        """The law that `to_state` described."""
        return cls(tuple(FieldLaw.from_state(*state) for state in states_of(arrays, meta)))
