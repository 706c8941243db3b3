"""Candidates from the names of columns: left and right, x_1 … x_n, h00 … h23, grids, vectors.

Every name is read as a template with one slot, in each possible way: ``left_eye`` as ``‹left›_eye`` and as
``left_‹eye›``, ``h07`` as ``h‹07›``. Templates that take the same values form a table of values by templates; its
values may be exchanged, turned round or reflected, all templates together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry.candidates import Candidate, Observed
from cumulant.symmetry.catalogue import cyclic, grid_translations, orthogonal, square, symmetric
from cumulant.symmetry.group import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = NDArray[np.object_]

__all__ = ["from_names"]

OPPOSITES = (
    ("left", "right"), ("l", "r"), ("top", "bottom"), ("upper", "lower"), ("up", "down"), ("front", "back"),
    ("first", "second"), ("north", "south"), ("east", "west"), ("home", "away"), ("inner", "outer"),
    ("before", "after"), ("pre", "post"), ("mother", "father"), ("male", "female"), ("husband", "wife"),
    ("source", "target"), ("bid", "ask"), ("min", "max"), ("near", "far"), ("od", "os"),
)  # fmt: skip
# Components of vectors: the values of a slot, and whether only proper rotations act.
VECTORS = (
    (("x", "y", "z"), False), (("x", "y"), False), (("u", "v", "w"), False), (("u", "v"), False),
    (("cos", "sin"), True), (("lon", "lat"), False),
)  # fmt: skip
WORD = re.compile(r"\d+|[^\W\d_]+")
MOST_COLUMNS = 2000


def from_names(observed: Observed) -> Iterator[Candidate]:
    """Candidates that the names of the columns suggest."""
    columns = observed.columns
    if len(columns) > MOST_COLUMNS:
        return
    grids = list(_grids(columns))
    for why, group in (*_grid_groups(grids), *_series_groups(columns)):
        yield Candidate(group.on(columns), "names", why)


def _slots(name: str) -> Iterator[tuple[str, str]]:
    """Every reading of a name as (template, value): whole words and numbers, and single letters of short words."""
    for match in WORD.finditer(name):
        head, tail, word = name[: match.start()], name[match.end() :], match[0]
        yield f"{head}‹›{tail}", word
        if word.isalpha() and 1 < len(word) <= 3:
            for i, letter in enumerate(word):
                yield f"{head}{word[:i]}‹·›{word[i + 1 :]}{tail}", letter


def _tables(columns: Sequence[str]) -> Iterator[tuple[list[str], list[str], Cells]]:
    """Values, templates, and the table (values, templates) of names; templates with the same values together."""
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for name in columns:
        for template, value in _slots(name):
            values[template].setdefault(value, name)
    shared: dict[frozenset[str], list[str]] = defaultdict(list)
    for template, cells in values.items():
        if len(cells) > 1:
            shared[frozenset(cells)].append(template)
    for found, templates in shared.items():
        ordered = sorted(found, key=_place)
        yield ordered, templates, np.array([[values[t][v] for t in templates] for v in ordered], dtype=object)


def _place(value: str) -> tuple[int, int, str]:
    return (0, int(value), value) if value.isdigit() else (1, 0, value)


def _series_groups(columns: Sequence[str]) -> Iterator[tuple[str, Group]]:
    for values, templates, cells in _tables(columns):
        if len(set(cells.ravel())) < cells.size:
            continue
        shown = ", ".join(t.replace("‹›", "·").replace("‹·›", "·") for t in templates[:3])
        shown += ", …" if len(templates) > 3 else ""
        if all(v.isdigit() for v in values):
            yield from _ordered(values, cells, shown)
        else:
            yield from _words(values, cells, shown)


def _ordered(values: list[str], cells: Cells, shown: str) -> Iterator[tuple[str, Group]]:
    """A numbered series: exchangeable, on a ring, or the same when read backwards; of square length, a board too."""
    n = len(values)
    span = f"{shown} for {values[0]}…{values[-1]}" if n > 2 else f"{shown} for {values[0]} and {values[1]}"
    if cells.size == 2 * cells.shape[1] or cells.shape[1] * n <= MOST_COLUMNS:
        yield f"exchangeable: {span}", symmetric(_items(cells))
    if n > 3:
        yield f"a ring: {span}", cyclic(_items(cells))
        yield f"read backwards: {span}", _reversed(cells)
    side = isqrt(n)
    if side > 2 and side * side == n and cells.shape[1] == 1:
        yield from _grid(f"a square board: {span}", cells[:, 0].reshape(side, side))


def _words(values: list[str], cells: Cells, shown: str) -> Iterator[tuple[str, Group]]:
    lower = [v.lower() for v in values]
    for components, proper in VECTORS:
        # Other columns of the same point (a charge, a mass) may be named alike.
        if set(components) <= set(lower):
            rows = [[str(cells[lower.index(c), t]) for c in components] for t in range(cells.shape[1])]
            yield f"vectors with components {', '.join(components)}: {shown}", orthogonal(rows, proper=proper)
            break
    for a, b in OPPOSITES:
        if a in lower and b in lower:
            pair = cells[[lower.index(a), lower.index(b)]]
            yield f"{a} and {b}: {shown}", symmetric(_items(pair))
    if len(values) <= 26:
        yield (
            f"alike in name: {shown} for {', '.join(values[:4])}{', …' if len(values) > 4 else ''}",
            symmetric(_items(cells)),
        )


def _items(cells: Cells) -> list[list[str]]:
    return [[str(c) for c in row] for row in cells]


def _reversed(cells: Cells) -> Group:
    names = [str(c) for c in cells.ravel()]
    return Group.of(names, [dict(zip(names, map(str, cells[::-1].ravel()), strict=True))], name="reversal")


def _grids(columns: Sequence[str]) -> Iterator[tuple[str, Cells]]:
    """Names with two numbers, or one of two digits, that fill a rectangle."""
    places: dict[str, dict[tuple[int, int], str]] = defaultdict(dict)
    for name in columns:
        numbers = list(re.finditer(r"\d+", name))
        if len(numbers) == 2:
            template = re.sub(r"\d+", "·", name)
            places[template][int(numbers[0][0]), int(numbers[1][0])] = name
        elif len(numbers) == 1 and len(numbers[0][0]) == 2:
            digits = numbers[0][0]
            places[re.sub(r"\d+", "··", name)][int(digits[0]), int(digits[1])] = name
    for template, found in places.items():
        rows, across = sorted({r for r, _ in found}), sorted({c for _, c in found})
        if min(len(rows), len(across)) > 1 and len(found) == len(rows) * len(across):
            yield template, np.array([[found[r, c] for c in across] for r in rows], dtype=object)


def _grid_groups(grids: Sequence[tuple[str, Cells]]) -> Iterator[tuple[str, Group]]:
    for template, cells in grids:
        yield from _grid(f"a grid: {template}", cells)


def _grid(why: str, cells: Cells) -> Iterator[tuple[str, Group]]:
    height, width = cells.shape
    names = [str(c) for c in cells.ravel()]
    for word, turned in (("left-right", cells[:, ::-1]), ("up-down", cells[::-1])):
        image = dict(zip(names, map(str, turned.ravel()), strict=True))
        yield f"{why}, {word}", Group.of(names, [image], name=f"{word} reflection of {height}×{width}")
    if height == width:
        yield f"{why}, turns and reflections", square(height, names)
        yield f"{why}, turns, reflections and translations", square(height, names, translations=True)
    if min(height, width) > 2:
        yield f"{why}, translations", grid_translations(height, width, names)
