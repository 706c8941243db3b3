"""Partitions of pairs of fields, as matrices of labels: what a family's symmetry leaves distinct."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.int64]

__all__ = ["blocks_pattern", "displacement", "displacement_pattern", "same_partition"]


def same_partition(a: Index, b: Index) -> bool:
    """Whether two matrices of labels, 0 and up, tell the same pairs apart."""
    return _follows(a, b) and _follows(b, a)


def _follows(a: Index, b: Index) -> bool:
    """Whether equal labels in a are equal in b."""
    image = np.zeros(int(a.max(initial=0)) + 1, dtype=np.int64)
    image[a] = b
    return bool((image[a] == b).all())


def displacement(shape: tuple[int, ...]) -> Index:
    """Number of the displacement from field i to field j of a ring or a torus (p, p)."""
    sites = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), axis=1)
    apart = (sites[None, :, :] - sites[:, None, :]) % np.array(shape)
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(apart, -1, 0)), shape))


def displacement_pattern(shape: tuple[int, ...], *, square: bool = False) -> Index:
    """Pairs told apart by their displacement, one way or the other; on a square torus by its shape alone."""
    forward = displacement(shape)
    pattern = np.minimum(forward, forward.T)
    if not square:
        return pattern
    side = shape[0]
    dy, dx = np.divmod(forward, side)
    dy, dx = np.minimum(dy, side - dy), np.minimum(dx, side - dx)
    return np.asarray(np.minimum(dy, dx) * side + np.maximum(dy, dx))


def blocks_pattern(shape: tuple[int, int]) -> Index:
    """Pairs told apart by their places in a block, and by whether the block is the same."""
    b, k = shape
    block, place = np.divmod(np.arange(b * k), k)
    low, high = np.minimum.outer(place, place), np.maximum.outer(place, place)
    same = block[:, None] == block[None, :]
    # In different blocks (a, c) and (c, a) are exchanged with the blocks; in one block they are the same pair.
    return np.asarray((low * k + high) * 2 + same)
