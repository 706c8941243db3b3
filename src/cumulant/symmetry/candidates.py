"""Symmetries worth weighing, and where the thought came from.

A *finder* looks at the columns, their names or their moments, and proposes candidates; it decides nothing. `propose`
enrols them. What a finder chose among is counted in ``alternatives``, so that a search does not pass for a hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cumulant.symmetry.group import Group

__all__ = ["Candidate", "Finder", "Observed", "propose"]


@dataclass(frozen=True, eq=False)
class Observed:
    """What finders look at: columns that vary, and their covariance or correlation.

    Parameters
    ----------
    columns
        Names (p,).
    covariance
        (p, p); with ones on the diagonal where symmetries up to the scale of each column are looked for.
    degrees
        Rows less one that it rests on; with gaps, those of the pair of columns with the fewest.
    """

    columns: tuple[str, ...]
    covariance: NDArray[np.float64]
    degrees: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A group and why it was thought of.

    Parameters
    ----------
    group
        Acting on the observed columns.
    source
        ``"names"``, ``"moments"`` or ``"user"``.
    why
        For people.
    alternatives
        ln of how many groups like it were compared to find this one; 0 if it was found without looking at the moments.
    """

    group: Group
    source: str
    why: str
    alternatives: float = 0.0


Finder = Callable[[Observed], Iterator[Candidate]]


def propose(observed: Observed) -> list[Candidate]:
    """All finders' candidates, each symmetry once."""
    from cumulant.symmetry.from_geometry import grids, vectors
    from cumulant.symmetry.from_graph import graphs
    from cumulant.symmetry.from_moments import every_cyclic, exchangeable, independent, matched, rings
    from cumulant.symmetry.from_names import from_names

    finders: tuple[Finder, ...] = (
        from_names, exchangeable, every_cyclic, matched, rings, independent, vectors, grids, graphs,
    )  # fmt: skip
    found: dict[bytes, Candidate] = {}
    for finder in finders:
        for candidate in finder(observed):
            found.setdefault(fingerprint(candidate.group), candidate)
    return list(found.values())


@lru_cache(maxsize=1024)
def fingerprint(group: Group, order: int = 2) -> bytes:
    """Equal for groups that leave the same moments of this order invariant."""
    from cumulant.symmetry.reynolds import kept

    found = kept(group, order)
    digest = blake2b(found.labels.tobytes(), digest_size=32)
    if (found.signs < 0).any():
        digest.update(found.signs.tobytes())
    return digest.digest()
