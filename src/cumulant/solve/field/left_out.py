"""What a mixture says of each row that it was conditioned on, from the other rows: closed forms that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.field.density import Component, Mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cumulant.solve.field.member import Member
    from cumulant.solve.field.split_member import SplitMember

    Array = NDArray[np.float64]

__all__ = ["LeftOut", "LeftOutClasses", "displaced"]

# Multiples of it are evenly spread modulo 1, however many there are.
_GOLDEN = 0.6180339887498949
# Probabilities of classes of left-out rows that are kept.
JUDGED_NUMBERS = 100_000


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The target of each row, of many rows some, and what k fields of the mixture say of it where it is left out.

    Parameters
    ----------
    y
        The target (n,).
    mean, size
        Of each row under each field, on its latent scale (k, n).
    """

    y: Array
    mean: NDArray[np.float32]
    size: NDArray[np.float32]

    @staticmethod
    def of(y: Array, components: Sequence[tuple[Array, Array]]) -> LeftOut:
        """From the mean and the size of each field; latent values are of about unit size, so halves of a double do."""
        mean, size = (np.array(each, dtype=np.float32) for each in zip(*components, strict=True))
        return LeftOut(y, mean, size)

    def density(self, members: Sequence[Member | SplitMember]) -> Mixed:
        """The predictive distribution of each row from the others."""
        parts = zip(members, self.mean.astype(np.float64), self.size.astype(np.float64), strict=True)
        return Mixed("", tuple(Component(m.weight, mean, size, m.shape, m.scale) for m, mean, size in parts))


@dataclass(frozen=True, eq=False)
class LeftOutClasses:
    """The class of each row, of many rows some, and the probability of each class where the row is left out.

    Parameters
    ----------
    level
        The class (n,).
    probability
        Of each class (n, C).
    """

    level: NDArray[np.int32]
    probability: NDArray[np.float32]

    @staticmethod
    def of(level: NDArray[np.int64], probability: Array) -> LeftOutClasses:
        """Of at most `JUDGED_NUMBERS` probabilities, of rows evenly spread."""
        some = slice(None, None, 1 + probability.size // JUDGED_NUMBERS)
        return LeftOutClasses(level[some].astype(np.int32), probability[some].astype(np.float32))


def displaced(y: Array) -> Array:
    """The target (n,), each value displaced within the step that targets are measured in, evenly.

    Rows that are left out are scored at targets so displaced: a density is then worth no more on a value that occurs
    often than the width of its step allows.
    """
    values = np.unique(y)
    step = float(np.diff(values).min(initial=np.inf))
    return np.asarray(y + step * ((np.arange(len(y)) * _GOLDEN) % 1.0 - 0.5))
