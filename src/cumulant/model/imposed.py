"""The symmetry a model was solved under: what acts, why it was taken, and what it saved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.symmetry.reduced import declared_from, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.solve.lift import Lifted
    from cumulant.solve.symmetric import Symmetric
    from cumulant.symmetry import Declared, Group, Orbits, Reduced

__all__ = ["Imposed"]


@dataclass(frozen=True, eq=False)
class Imposed:
    """The symmetry of a model; ``model.symmetries``.

    Parameters
    ----------
    declared
        The group and how it acts.
    state
        ``"declared"`` by the user, ``"chosen"`` among several, or ``"detected"``.
    strength
        1 for a strict symmetry; of a soft one how far the covariance was drawn to its average.
    parameters
        Free numbers of mean and covariance without the symmetry, and with it.
    flops
        Floating-point operations to invert the covariance without the symmetry, and with it.
    tried
        The groups that were weighed: name, held-out log-likelihood of a row, parameters; best first.
    curve
        Strengths and the held-out log-likelihood of a row at each, for a soft symmetry (2, S).
    moments
        Those it was solved from, where they were kept; they let the model merge and forget.

    Examples
    --------
    >>> import cumulant as cm
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(50, 4))
    >>> table = {f"x{j}": z[:, j] + z.sum(axis=1) for j in range(4)}
    >>> model = cm.fit(table, symmetry=cm.symmetry.symmetric(list(table)))
    >>> model.symmetries.parameters
    (14, 6)
    """

    declared: Declared
    state: str
    strength: float
    parameters: tuple[int, int]
    flops: tuple[float, float]
    tried: tuple[tuple[str, float, int], ...]
    curve: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))
    moments: Moments | Reduced | None = None

    @staticmethod
    def of(found: Symmetric, state: str, moments: Moments | Reduced) -> Imposed:
        """What a solver found, told."""
        r = found.reduced
        p = len(r.columns)
        blocks = sum(len(part.rank) * cost(part.size) for part in r.basis.parts)
        tried = tuple((str(c.declared), float(c.log_likelihood), c.parameters) for c in found.candidates)
        return Imposed(
            declared=r.declared,
            state="chosen" if state == "declared" and len(tried) > 1 else state,
            strength=found.strength,
            parameters=(p + p * (p + 1) // 2, r.parameters if found.strength == 1 else p + p * (p + 1) // 2),
            flops=(cost(p), blocks if found.strength == 1 else cost(p)),
            tried=tried,
            curve=np.stack(found.curve),
            moments=moments,
        )

    @staticmethod
    def looked_up(declared: Declared, order: int, moments: Moments) -> Imposed:
        """Of couplings that the notebook gave: as many as there are invariants to some order."""
        from cumulant.symmetry import parameters

        p, orders = declared.group.degree, range(1, order + 1)
        return Imposed(
            declared=declared,
            state="declared",
            strength=1.0,
            parameters=(sum(comb(p + k - 1, k) for k in orders), sum(parameters(declared.group, k) for k in orders)),
            flops=(cost(p), cost(p)),
            tried=((str(declared), float("nan"), p),),
            moments=moments,
        )

    def with_terms(self, means: Sequence[Lifted], targets: Sequence[int]) -> Imposed:
        """With the coefficients of polynomial means counted too: one of each monomial without the symmetry.

        Parameters
        ----------
        means
            Of each set of targets that the group takes to each other, the terms of one.
        targets
            How many there are of each.
        """
        free = sum(k * len(mean.factors) for mean, k in zip(means, targets, strict=True))
        terms = sum(len(mean) for mean in means)
        before = sum(k * cost(len(mean.factors)) for mean, k in zip(means, targets, strict=True))
        after = sum(cost(len(mean)) for mean in means)
        return replace(
            self,
            parameters=(self.parameters[0] + free, self.parameters[1] + terms),
            flops=(self.flops[0] + before, self.flops[1] + after),
        )

    @property
    def group(self) -> Group:
        """What acts on the fields."""
        return self.declared.group

    @property
    def orbits(self) -> Orbits:
        """Orbits of pairs of fields: which entries of the covariance are one number."""
        from cumulant.symmetry import orbits

        return orbits(self.group, 2)

    @property
    def table(self) -> pd.DataFrame:
        """The groups that were weighed, best first."""
        import pandas as pd

        return pd.DataFrame(list(self.tried), columns=["symmetry", "heldout", "parameters"])

    def __str__(self) -> str:
        before, after = self.parameters
        lines = [
            f"{self.declared} ({self.state}), strength {self.strength:.3g}",
            f"  parameters  {before:,} → {after:,}",
            f"  flops to invert the covariance  {self.flops[0]:,.0f} → {self.flops[1]:,.0f}",
        ]
        if len(self.tried) > 1:
            lines += ["", self.table.to_string(index=False, float_format=lambda v: f"{v:.6g}")]
        return "\n".join(lines)

    __repr__ = __str__

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it, without the moments."""
        arrays, meta = state_of(self.declared)
        told = {
            "state": self.state,
            "strength": self.strength,
            "parameters": list(self.parameters),
            "flops": list(self.flops),
            "tried": [[name, score if np.isfinite(score) else None, n] for name, score, n in self.tried],
        }
        return {**arrays, "curve": self.curve}, {"declared": meta, **told}

    @staticmethod
    def from_state(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Imposed:
        """What `to_state` described."""
        return Imposed(
            declared=declared_from(arrays, meta["declared"]),
            state=str(meta["state"]),
            strength=float(meta["strength"]),
            parameters=(int(meta["parameters"][0]), int(meta["parameters"][1])),
            flops=(float(meta["flops"][0]), float(meta["flops"][1])),
            tried=tuple((str(a), float("nan") if b is None else float(b), int(c)) for a, b, c in meta["tried"]),
            curve=arrays["curve"],
        )


def cost(p: int) -> float:
    """Operations to factor and invert a positive definite matrix (p, p), p³."""
    return float(p) ** 3
