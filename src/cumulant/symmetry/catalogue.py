"""Groups by the names the field gives them; each is only its generators, and its order in closed form.

Wherever columns are named, an entry may also be a list of columns that move together: ``symmetric([["x1", "y1"],
["x2", "y2"]])`` exchanges the blocks, keeping x with x and y with y.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import TYPE_CHECKING, overload

import numpy as np

from cumulant.errors import OptionError
from cumulant.symmetry.group import Column, Group, Rotations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.int64]

__all__ = [
    "cyclic",
    "dihedral",
    "grid_translations",
    "hyperoctahedral",
    "orthogonal",
    "square",
    "symmetric",
    "trivial",
    "wreath",
    "z2",
]

Items = int | Sequence[Column] | Sequence[Sequence[Column]]


def trivial(columns: int | Sequence[str]) -> Group:
    """No symmetry: the group of the identity alone."""
    names, at = _items(columns)
    return _made(names, at, [], "trivial", 1)


def z2(columns: int | Sequence[str], blocks: Sequence[Sequence[Column]] | None = None) -> Group:
    """Sign flips: of all columns at once, Z2, or of each block on its own, Z2 to the number of blocks.

    Odd couplings vanish, φ → −φ about the mean.

    Parameters
    ----------
    columns
        How many, or their names.
    blocks
        Disjoint sets of columns, each with a flip of its own.
    """
    names, at = _items(columns)
    p = len(at)
    place: dict[Column, int] = dict(zip(names or range(p), range(p), strict=True))
    sets = [list(range(p))] if blocks is None else [[_find(c, place) for c in block] for block in blocks]
    signs = np.ones((len(sets), p), dtype=np.int64)
    for row, members in zip(signs, sets, strict=True):
        row[members] = -1
    images = np.tile(np.arange(p), (len(sets), 1))
    name = "Z2" if blocks is None else f"Z2^{len(sets)}"
    return Group(p, images, signs, (), name, names, 2 ** len(sets))


def symmetric(columns: Items) -> Group:
    """S_n: exchangeable columns, or exchangeable blocks of columns (compound symmetry, repeated measures).

    Examples
    --------
    >>> import cumulant.symmetry as sym
    >>> sym.order(sym.symmetric(["a", "b", "c"]))
    6
    >>> twins = sym.symmetric([["height_1", "weight_1"], ["height_2", "weight_2"]])
    >>> sym.orbits(twins, 2).count
    6
    """
    names, at = _items(columns)
    n = len(at)
    swap = [1, 0, *range(2, n)]
    return _made(names, at, [swap, _shift(n)][: max(0, n - 1)], _title("S", at), factorial(n))


def cyclic(columns: Items) -> Group:
    """C_n: columns, or blocks of them, on a ring (the hours of a day, the directions of a compass)."""
    names, at = _items(columns)
    n = len(at)
    return _made(names, at, [_shift(n)] if n > 1 else [], _title("C", at), max(1, n))


def dihedral(columns: Items) -> Group:
    """D_n: a ring that may also be run backwards; of order 2n for n > 2.

    A covariance that is cyclic is dihedral too; only third moments, or blocks, can tell the two apart.
    """
    names, at = _items(columns)
    n = len(at)
    back = list(range(n))[::-1]
    generators = [_shift(n), back][: 0 if n < 2 else 1 if n == 2 else 2]
    return _made(names, at, generators, _title("D", at), 2 * n if n > 2 else max(1, n))


def grid_translations(height: int, width: int, columns: Items | None = None) -> Group:
    """C_h × C_w: translations of a periodic grid of h by w cells, row after row; a cell may be a block of columns."""
    names, at = _grid_items(height, width, columns)
    cells = np.arange(height * width).reshape(height, width)
    generators = [np.roll(cells, -1, axis).ravel().tolist() for axis in (0, 1) if cells.shape[axis] > 1]
    return _made(names, at, generators, f"translations of {height}×{width}", height * width)


def square(side: int, columns: Items | None = None, *, translations: bool = False) -> Group:
    """D4 of a square grid, row after row: quarter turns and reflections; with translations, those of the torus too."""
    names, at = _grid_items(side, side, columns)
    cells = np.arange(side * side).reshape(side, side)
    generators = [np.rot90(cells).ravel().tolist(), cells.T.ravel().tolist()] if side > 1 else []
    size = 8 if side > 1 else 1
    if not translations:
        return _made(names, at, generators, f"D4 of {side}×{side}", size)
    generators = [np.roll(cells, -1, 0).ravel().tolist(), *generators] if side > 1 else []
    # For sides 1 and 2 some of the eight are translations, or the identity, already.
    order = {1: 1, 2: 8}.get(side, 8 * side * side)
    return _made(names, at, generators, f"D4 and translations of {side}×{side}", order)


def wreath(blocks: Sequence[Sequence[Column]]) -> Group:
    """S_m ≀ S_n: n exchangeable blocks of m exchangeable columns (pupils within classes, leaves on trees)."""
    names, at = _items(blocks)
    n, m = at.shape
    p = at.size
    rows = []
    for generator in ([1, 0, *range(2, m)], _shift(m))[: max(0, m - 1)]:
        image = np.arange(p)
        image[at[0]] = at[0][generator]
        rows.append(image)
    for generator in ([1, 0, *range(2, n)], _shift(n))[: max(0, n - 1)]:
        image = np.arange(p)
        image[at] = at[generator]
        rows.append(image)
    images = np.array(rows, dtype=np.int64).reshape(len(rows), p)
    size = factorial(m) ** n * factorial(n)
    return Group(p, images, np.ones_like(images), (), f"S{m} ≀ S{n}", names, size)


def hyperoctahedral(columns: int | Sequence[str]) -> Group:
    """B_n: exchangeable columns that may each flip its sign."""
    names, at = _items(columns)
    p = len(at)
    base = symmetric(p)
    images = np.concatenate([base.images, np.arange(p)[None]])
    signs = np.ones_like(images)
    signs[-1, 0] = -1
    return Group(p, images, signs, (), f"B{p}", names, 2**p * factorial(p))


@overload
def orthogonal(vectors: int, *, proper: bool = False) -> Group: ...


@overload
def orthogonal(vectors: Sequence[Sequence[Column]], *, proper: bool = False) -> Group: ...


def orthogonal(vectors: int | Sequence[Sequence[Column]], *, proper: bool = False) -> Group:
    """O(n): vectors of n columns, all turned and reflected together; SO(n) where ``proper``.

    ``orthogonal([["cos_wind", "sin_wind"]], proper=True)`` is SO(2): the origin of an angle does not matter.

    Parameters
    ----------
    vectors
        One vector of so many columns, or the columns of each of several.
    """
    names, at = _items([list(range(vectors))] if isinstance(vectors, int) else vectors)
    m, n = at.shape
    family = Rotations(tuple(tuple(int(c) for c in row) for row in at), proper)
    empty = np.zeros((0, at.size), dtype=np.int64)
    name = f"{'SO' if proper else 'O'}({n})" + (f" on {m} vectors" if m > 1 else "")
    return Group(at.size, empty, empty, (family,), name, names)


def _items(columns: Items) -> tuple[tuple[str, ...] | None, Index]:
    """Names of the columns, if any, and their indices (n, m): n items of m columns that move together."""
    if isinstance(columns, int):
        if columns < 0:
            raise OptionError(f"a group on {columns} columns; give 0 or more")
        return None, np.arange(columns)[:, None]
    rows = [[c] if isinstance(c, (str, int, np.integer)) else list(c) for c in columns]
    if len({len(row) for row in rows}) > 1:
        raise OptionError("blocks that are exchanged must have the same number of columns each")
    flat = [c for row in rows for c in row]
    if len(set(flat)) < len(flat):
        raise OptionError("a column may occur only once in a group's columns")
    shape = (len(rows), len(rows[0]) if rows else 1)
    if all(isinstance(c, str) for c in flat):
        return tuple(str(c) for c in flat), np.arange(len(flat)).reshape(shape)
    numbers = [int(c) for c in flat if not isinstance(c, str)]
    if sorted(numbers) != list(range(len(flat))):
        raise OptionError("number all columns from 0, each once, or name them")
    return None, np.array(numbers, dtype=np.int64).reshape(shape)


def _grid_items(height: int, width: int, columns: Items | None) -> tuple[tuple[str, ...] | None, Index]:
    names, at = _items(height * width if columns is None else columns)
    if len(at) != height * width:
        raise OptionError(f"{len(at)} cells for a grid of {height} by {width}; give {height * width}")
    return names, at


def _made(names: tuple[str, ...] | None, at: Index, generators: list[list[int]], name: str, size: int) -> Group:
    """The group in which each generator moves item i to item ``generator[i]``, whole."""
    images = np.empty((len(generators), at.size), dtype=np.int64)
    for image, generator in zip(images, generators, strict=True):
        image[at] = at[generator]
    return Group(at.size, images, np.ones_like(images), (), name, names, size)


def _shift(n: int) -> list[int]:
    return [*range(1, n), 0] if n else []


def _title(letter: str, at: Index) -> str:
    return f"{letter}{len(at)}" + (f" on blocks of {at.shape[1]}" if at.shape[1] > 1 else "")


def _find(column: Column, place: dict[Column, int]) -> int:
    if column not in place:
        raise OptionError(f"'{column}' is none of the group's columns")
    return place[column]
