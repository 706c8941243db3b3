"""The law of several targets, each a field of the other columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.copula import Copula, scores
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.several import SeveralLaw, states_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FieldsLaw"]

# Pairs of targets that a note names.
SHOWN = 3


@dataclass(frozen=True, eq=False)
class FieldsLaw(SeveralLaw[FieldLaw]):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    laws
        That of each target, of the same visible fields.
    copula
        How targets fluctuate together at fixed inputs; None where they are independent.
    """

    laws: tuple[FieldLaw, ...]
    copula: Copula | None = None

    @staticmethod
    def joint(laws: tuple[FieldLaw, ...], names: list[str]) -> tuple[FieldsLaw, str | None]:
        """The law of targets that were conditioned on the same rows, and how they fluctuate together, in words."""
        told = [law.left_out for law in laws]
        rows = {None if one is None else len(one.y) for one in told}
        if len(laws) < 2 or None in rows or len(rows) > 1:
            return FieldsLaw(laws), None
        z = [
            scores(one.density(law.members).cdf(one.y)) for one, law in zip(told, laws, strict=True) if one is not None
        ]
        copula = Copula.of(np.array([law.target for law in laws]), np.column_stack(z))
        if copula is None:
            return FieldsLaw(laws), None
        r = copula.correlation
        pairs = sorted(zip(*np.triu_indices(len(laws), 1), strict=True), key=lambda at: -abs(r[at]))[:SHOWN]
        shown = ", ".join(f"{names[i]} and {names[j]} {r[i, j]:+.2f}".replace("-", "−") for i, j in pairs)
        note = f"what left-out rows leave of the targets correlates, which their joint density has: {shown}"
        return FieldsLaw(laws, copula), note

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of F to second order; of higher order there are infinitely many."""
        return self.gaussian.couplings(about)

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> FieldsLaw:
        """The law that `to_state` described."""
        return cls(
            tuple(FieldLaw.from_state(*state) for state in states_of(arrays, meta)), Copula.from_state(arrays)
        )  # fmt: skip
