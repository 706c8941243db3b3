"""Classes of more rows than are conditioned on at once: fields of rows spread over all, and of each block of near rows.

A few thousand rows, evenly spread, say how classes vary over the whole table. Blocks of near rows, each with fields of
its own, see every row. Both foretell rows they have not seen, and are mixed with the weights that make these most
likely: a row of a block is left out in closed form, and so is one of those that are spread; the others are new to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.field.classes import ClassField, left_out, log_of
from cumulant.solve.field.density import stacked
from cumulant.solve.field.partition import Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cumulant.theory.propagators import Propagator

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["ClassBlocks", "condition_blocks"]


@dataclass(frozen=True, eq=False)
class ClassBlocks:
    """p(class | x): fields of all, and of the block that a row belongs to.

    Parameters
    ----------
    whole
        Conditioned on rows that are spread evenly.
    partition, blocks
        Which block a row belongs to, by inputs of unit variance, and its fields.
    weight
        Of the blocks in the mixture.
    left_out
        Mean log probability of the class of each row from the others, in nats.
    rows
        How many there are.
    """

    whole: ClassField
    partition: Partition
    blocks: tuple[ClassField, ...]
    weight: float
    left_out: float
    rows: int

    @property
    def note(self) -> str:
        """What is mixed, and how well it foretells rows."""
        of_all = f"of {len(self.whole.rows):,} spread rows {1 - self.weight:.0%}"
        mixed = f"fields of {len(self.blocks)} blocks of near rows {self.weight:.0%}, {of_all}"
        likely = f"mixed by the likelihood of left-out rows ({self.left_out:.4g} nats a row)"
        return f"classes of {self.rows:,} rows by {mixed}: {likely}"

    @property
    def given(self) -> Array:
        """Inputs of all rows of blocks (n, q)."""
        return np.concatenate([field.given for field in self.blocks])

    @property
    def cost(self) -> int:
        """Propagators that a new row asks for, at most."""
        return self.whole.cost + max(field.cost for field in self.blocks)

    def probabilities(self, x: Array) -> Array:
        """Of each class (m, C), for inputs (m, q)."""
        out = (1 - self.weight) * self.whole.probabilities(x)
        for b, here in self.partition.deal((x - self.whole.centre) / self.whole.width):
            out[here] += self.weight * self.blocks[b].probabilities(x[here])
        return out

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays: dict[str, NDArray[Any]] = {"directions": self.partition.directions, "cuts": self.partition.cuts}
        about = []
        for i, field in enumerate((self.whole, *self.blocks)):
            own, meta = field.to_state()
            arrays |= {f"field{i}.{name}": array for name, array in own.items()}
            about.append(meta)
        numbers = {"weight": self.weight, "left_out": self.left_out, "rows": self.rows}
        return arrays, {"whole": about[0], "blocks": about[1:], **numbers}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> ClassBlocks:
        """The fields that `to_state` described."""
        fields = []
        for i, about in enumerate([meta["whole"], *meta["blocks"]]):
            own = {name.removeprefix(f"field{i}."): a for name, a in arrays.items() if name.startswith(f"field{i}.")}
            fields.append(ClassField.from_state(own, about))
        partition = Partition(arrays["directions"], arrays["cuts"])
        numbers = float(meta["weight"]), float(meta["left_out"]), int(meta["rows"])
        return cls(fields[0], partition, tuple(fields[1:]), *numbers)


def condition_blocks(
    x: Array, y: Index, classes: int, candidates: Sequence[Propagator], most: int
) -> tuple[ClassField | ClassBlocks, Array]:
    """Condition on rows (n, q) of classes (n,), in blocks of at most ``most`` where there are more.

    Also returns the probability of each class in each row (n, C) by the others.
    """
    if len(y) <= most:
        return left_out(x, y, classes, candidates)
    spread = np.linspace(0, len(y) - 1, most).astype(np.int64)
    whole, told = left_out(x[spread], y[spread], classes, candidates)
    by_whole = whole.probabilities(x)
    by_whole[spread] = told
    by_blocks = np.empty_like(by_whole)
    partition, blocks = Partition.of((x - whole.centre) / whole.width, most)
    fields = []
    for rows in blocks:
        field, by_blocks[rows] = left_out(x[rows], y[rows], classes, candidates)
        fields.append(field)
    weight = stacked(np.column_stack([log_of(by_whole, y), log_of(by_blocks, y)]))
    told = weight[0] * by_whole + weight[1] * by_blocks
    score = float(log_of(told, y).mean())
    return ClassBlocks(whole, partition, tuple(fields), float(weight[1]), score, len(y)), told
