"""Invariant Taylor terms: what a regression on inputs that a group permutes may depend on.

If the target does not change when the group acts on the inputs, the terms of its Taylor series fall into orbits with
one coefficient each: to second order, n exchangeable inputs leave Σx, Σx² and Σ x_i x_j, three terms instead of
n(n + 3)/2. Sums over orbits are columns like any other, so one pass and a linear solve fit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.symmetry.orbits import multisets, orbits

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group
    from cumulant.symmetry.orbits import Orbits

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["MOST_WITH_ROTATIONS", "Invariants", "invariants"]

CHUNK = 1 << 22
MOST_WITH_ROTATIONS = 3


@dataclass(frozen=True, eq=False)
class Invariants:
    """Sums of monomials over the orbits of a group, to some order.

    Made by `invariants`.

    Parameters
    ----------
    columns
        The inputs (p,).
    orbits
        Orbits of their monomials of each order from 1.
    """

    columns: tuple[str, ...]
    orbits: tuple[Orbits, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of each term: its first monomial, and how many there are."""
        out = []
        for found in self.orbits:
            for place, size in zip(found.representatives, found.sizes, strict=True):
                powers = [(self.columns[c], int((place == c).sum())) for c in dict.fromkeys(place.tolist())]
                word = "·".join(name + (f"^{n}" if n > 1 else "") for name, n in powers)
                out.append(word if size == 1 else f"Σ{size} {word}")
        return tuple(out)

    def __len__(self) -> int:
        return sum(found.count for found in self.orbits)

    def values(self, x: Array) -> Array:
        """The terms (n, T) of rows of inputs (n, p)."""
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.columns):
            raise OptionError(f"inputs of shape {x.shape} for {len(self.columns)} columns; give rows (n, p)")
        return np.concatenate([_sums(found, x) for found in self.orbits], axis=1)

    def table(self, data: pd.DataFrame) -> pd.DataFrame:
        """A frame with the terms in place of the inputs; its other columns, as the target, stay."""
        import pandas as pd

        terms = pd.DataFrame(self.values(data[list(self.columns)].to_numpy()), columns=self.names, index=data.index)
        return pd.concat([terms, data.drop(columns=list(self.columns))], axis=1)


def invariants(group: Group, order: int = 2, columns: Sequence[str] | None = None) -> Invariants:
    """The invariant monomials of the columns that a group acts on.

    Parameters
    ----------
    group
        The group; signs count: what equals its own negative is no term.
    order
        Highest degree. With rotations at most 3: beyond, use dot products as columns.
    columns
        Names of the inputs, where the group has none.

    Examples
    --------
    >>> import numpy as np
    >>> import cumulant as cm
    >>> import cumulant.symmetry as sym
    >>> import pandas as pd
    >>> terms = sym.invariants(sym.symmetric(["x1", "x2", "x3"]), order=2)
    >>> terms.names
    ('Σ3 x1', 'Σ3 x1^2', 'Σ3 x1·x2')
    >>> x = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=["x1", "x2", "x3"])
    >>> table = terms.table(x.assign(y=x.sum(axis=1) ** 2))
    >>> model = cm.fit(table, target="y", prior=None)
    >>> model.summary().table["coefficient"].round(6).tolist()
    [-0.0, 0.0, 1.0, 2.0]
    """
    if order < 1:
        raise OptionError(f"order={order!r}: give the highest degree of the terms, 1 or more")
    if not group.finite and order > MOST_WITH_ROTATIONS:
        raise OptionError(
            f"order={order} with rotations: up to {MOST_WITH_ROTATIONS}; make dot products columns instead"
        )
    names = tuple(columns) if columns is not None else group.columns
    bound = group if names is None else group.on(names)
    names = names if names is not None else tuple(f"x{j}" for j in range(group.degree))
    return Invariants(names, tuple(orbits(bound, k) for k in range(1, order + 1)))


def _sums(found: Orbits, x: Array) -> Array:
    """Signed sums of monomials over each orbit (n, count)."""
    kept = np.flatnonzero(found.labels >= 0)
    kept = kept[np.argsort(found.labels[kept], kind="stable")]
    if not len(kept):
        return np.zeros((len(x), 0))
    places, signs = multisets(found.degree, found.length)[kept], found.signs[kept]
    starts = np.searchsorted(found.labels[kept], np.arange(found.count))
    out = np.empty((len(x), found.count))
    step = max(1, CHUNK // len(kept))
    for i in range(0, len(x), step):
        monomials = np.prod(x[i : i + step][:, places], axis=2) * signs
        out[i : i + step] = np.add.reduceat(monomials, starts, axis=1)
    return out
