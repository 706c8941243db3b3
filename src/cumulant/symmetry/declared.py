"""How a group is meant to act: on fluctuations or on the mean too, strictly or as far as the data bear it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cumulant.errors import OptionError
from cumulant.symmetry.group import Group

__all__ = ["Declared", "declared", "soft", "up_to_scale", "with_mean"]


@dataclass(frozen=True, eq=False)
class Declared:
    """A symmetry as it was declared.

    Parameters
    ----------
    group
        What acts on the columns.
    mean
        Whether the mean is invariant too. Without, the group acts on deviations from a mean that is free: a load
        curve has its shape, and only its fluctuations are alike at all hours.
    soft
        Whether the covariance is drawn towards its average only as far as held-out folds say.
    free_scale
        Whether every column keeps its own variance, and only correlations are invariant.
    """

    group: Group
    mean: bool = False
    soft: bool = False
    free_scale: bool = False

    def __post_init__(self) -> None:
        if self.mean and self.free_scale:
            raise OptionError(
                "columns of different units have no common mean: declare with_mean or up_to_scale, not both"
            )

    def on(self, columns: Sequence[str]) -> Declared:
        """The same among these columns; see `Group.on`."""
        return replace(self, group=self.group.on(columns))

    def measure(self, data: Any, **options: Any) -> Any:
        """Measure a table under the group; what ``cumulant.measure(…, symmetry=)`` does."""
        from cumulant.symmetry.measuring import measure_reduced

        return measure_reduced(data, self, **options)

    def __str__(self) -> str:
        words = {"up to scale": self.free_scale, "mean included": self.mean, "soft": self.soft}
        return ", ".join([str(self.group), *(word for word, meant in words.items() if meant)])


def declared(symmetry: Group | Declared) -> Declared:
    """A group as declared strictly, about a free mean; what is declared already stays.

    Raises
    ------
    OptionError
        It is neither.
    """
    if isinstance(symmetry, Declared):
        return symmetry
    if isinstance(symmetry, Group):
        return Declared(symmetry)
    raise OptionError(
        f"symmetry={symmetry!r}: give a group, as cumulant.symmetry.cyclic(24), or a list of groups to choose from"
    )


def soft(group: Group | Declared) -> Declared:
    """C_s = (1 − s) C + s R(C): as much of the symmetry as held-out folds bear out, from none to all.

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> print(sym.soft(sym.cyclic(24)))
    C24, soft
    """
    return replace(declared(group), soft=True)


def with_mean(group: Group | Declared) -> Declared:
    """The group leaves the mean invariant as well: equal means for exchangeable columns, none for sign flips."""
    return replace(declared(group), mean=True)


def up_to_scale(group: Group | Declared) -> Declared:
    """Correlations are invariant, variances free: columns that differ in units, or vary more at noon than at night."""
    return replace(declared(group), free_scale=True)
