"""Blocks of rows that are near each other in the metric: halved again and again across their leading direction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Partition"]

# Rows that the leading direction of a block is found from.
SEEN = 4000
# A cut that leaves less than this share on one side is made by rank, between equal values.
SMALLEST_SIDE = 0.45


@dataclass(frozen=True, eq=False)
class Partition:
    """A complete binary tree of cuts: block b of the lowest level is a leaf.

    Parameters
    ----------
    directions
        Of each cut (blocks − 1, r), the root first and the cuts of a level side by side.
    cuts
        A row belongs to the left where its projection is at most this (blocks − 1,).
    """

    directions: Array
    cuts: Array

    def __len__(self) -> int:
        return len(self.cuts) + 1

    @staticmethod
    def of(z: Array, most: int) -> tuple[Partition, list[Index]]:
        """Cuts of rows z (n, r) into blocks of at most ``most``, and the rows of each block."""
        depth = max(0, int(np.ceil(np.log2(max(len(z), 1) / most))))
        directions, cuts = np.zeros((2**depth - 1, z.shape[1])), np.zeros(2**depth - 1)
        blocks = [np.arange(len(z))]
        for level in range(depth):
            below = []
            for at, rows in enumerate(blocks, start=2**level - 1):
                directions[at], cuts[at], left, right = _halved(z, rows)
                below += [left, right]
            blocks = below
        return Partition(directions, cuts), blocks

    def deal(self, z: Array) -> Iterator[tuple[int, Index]]:
        """Each block that some of the rows z (n, r) belong to, and which."""
        at = np.zeros(len(z), dtype=np.int64)
        for _ in range(len(self).bit_length() - 1):
            projection = np.einsum("ij,ij->i", z, self.directions[at])
            at = 2 * at + 1 + (projection > self.cuts[at])
        order = np.argsort(at, kind="stable")
        edges = np.flatnonzero(np.diff(at[order], prepend=-1, append=2 * len(self)))
        for first, last in pairwise(edges):
            yield int(at[order[first]]) - len(self.cuts), order[first:last]


def _halved(z: Array, rows: Index) -> tuple[Array, float, Index, Index]:
    seen = z[rows[:: max(1, len(rows) // SEEN)]]
    seen = seen - seen.mean(axis=0)
    direction = np.linalg.eigh(seen.T @ seen)[1][:, -1]
    projection = z[rows] @ direction
    order = np.argsort(projection, kind="stable")
    middle = len(rows) // 2
    cut = 0.5 * (projection[order[middle - 1]] + projection[order[middle]])
    left = projection <= cut
    if min(left.sum(), (~left).sum()) < SMALLEST_SIDE * len(rows):
        left = np.zeros(len(rows), dtype=bool)
        left[order[:middle]] = True
    return direction, float(cut), rows[left], rows[~left]
