"""Models of many groups, solved when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cumulant import storage
from cumulant.measure.groups import KIND, Groups
from cumulant.model.model import Model

__all__ = ["Models"]


@dataclass(frozen=True, eq=False)
class Models(Mapping[Any, Model]):
    """A model for each group of rows: a mapping from the values of a column.

    Made by ``cumulant.fit(…, group_by=)``. A model is solved each time it is asked for; what is held, and saved, is
    the moments of the groups.

    Parameters
    ----------
    groups
        Moments of each group.
    prior, target
        As in `cumulant.solve`.
    """

    groups: Groups
    prior: str | float | None = "auto"
    target: str | Sequence[str] | None = None

    def __getitem__(self, level: Any) -> Model:
        from cumulant.model.fit import solve

        return solve(self.groups[level], prior=self.prior, target=self.target)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __repr__(self) -> str:
        return f"Models({self.groups!r})"

    def save(self, path: str | Path) -> None:
        """Write all models to one file, atomically; `cumulant.load` reads it."""
        arrays, meta = self.groups.to_state()
        target = self.target if self.target is None or isinstance(self.target, str) else list(self.target)
        storage.save(path, KIND, arrays, {**meta, "model": {"prior": self.prior, "target": target}})
