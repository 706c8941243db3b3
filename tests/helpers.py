"""Enrolment: one line here crosses a new kind of table, or a group, with every law that it must obey."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

import cumulant.symmetry as sym

Rng = np.random.Generator


def numbers(rng: Rng, n: int) -> pd.DataFrame:
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + 5.0
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})


def far_from_zero(rng: Rng, n: int) -> pd.DataFrame:
    return pd.DataFrame({"a": 1e8 + rng.normal(size=n), "b": -1e6 + 1e-3 * rng.normal(size=n)})


def with_gaps(rng: Rng, n: int) -> pd.DataFrame:
    table = numbers(rng, n)
    return table.mask(rng.random(table.shape) < 0.2)


def mixed(rng: Rng, n: int) -> pd.DataFrame:
    city = rng.choice(["Rome", "Oslo", "Lima", "Pisa"], size=n, p=[0.4, 0.3, 0.2, 0.1])
    rooms = rng.integers(1, 7, size=n)
    built = pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, size=n), unit="D")
    price = 40.0 * rooms + 30.0 * (city == "Rome") + rng.normal(size=n, scale=20)
    return pd.DataFrame({"price": price, "rooms": rooms, "city": city, "built": built, "lift": rng.random(n) < 0.5})


def mixed_with_gaps(rng: Rng, n: int) -> pd.DataFrame:
    table = mixed(rng, n).astype({"rooms": "float64", "lift": object})
    return table.mask(rng.random(table.shape) < 0.15)


def awkward(rng: Rng, n: int) -> pd.DataFrame:
    """A constant, a duplicate and a sum of other columns."""
    x, y = rng.normal(size=(2, n))
    return pd.DataFrame({"x": x, "one": 1.0, "again": x, "y": y, "sum": x + y})


def many_levels(rng: Rng, n: int) -> pd.DataFrame:
    """Categories that become wide when there are enough rows to show over 100 levels, one of them with gaps."""
    plane, city = rng.integers(0, 200, size=n), rng.integers(0, 150, size=n)
    delay = 5.0 * rng.normal(size=200)[plane] + rng.normal(size=n)
    frame = pd.DataFrame({"delay": delay, "plane": plane.astype(str), "city": city.astype(str)})
    return frame.assign(city=frame["city"].mask(rng.random(n) < 0.1), hour=rng.integers(0, 24, size=n))


TABLES: dict[str, Callable[[Rng, int], pd.DataFrame]] = {
    f.__name__: f for f in (numbers, far_from_zero, with_gaps, mixed, mixed_with_gaps, awkward, many_levels)
}

# Small enough to be averaged over element by element. Rotations are laws of their own: see test_symmetry_rotations.
GROUPS: dict[str, Callable[[], sym.Group]] = {
    "trivial": lambda: sym.trivial(4),
    "Z2": lambda: sym.z2(4),
    "Z2 per block": lambda: sym.z2(5, [[0, 2], [1, 3]]),
    "S5": lambda: sym.symmetric(5),
    "exchangeable blocks": lambda: sym.symmetric([[0, 3], [1, 4], [2, 5]]),
    "C6": lambda: sym.cyclic(6),
    "C4 on blocks": lambda: sym.cyclic([[0, 4], [1, 5], [2, 6], [3, 7]]),
    "D5": lambda: sym.dihedral(5),
    "D3 on blocks": lambda: sym.dihedral([[0, 1], [2, 3], [4, 5]]),
    "translations 2x3": lambda: sym.grid_translations(2, 3),
    "D4 of 3x3": lambda: sym.square(3),
    "torus 3x3": lambda: sym.square(3, translations=True),
    "wreath": lambda: sym.wreath([[0, 1], [2, 3], [4, 5]]),
    "hyperoctahedral": lambda: sym.hyperoctahedral(4),
    "quaternions": lambda: sym.Group.of(4, [([1, 0, 3, 2], [1, -1, -1, 1]), ([2, 3, 0, 1], [1, 1, -1, -1])]),
    "quaternions twice": lambda: sym.Group.of(
        8,
        [
            ([1, 0, 3, 2, 5, 4, 7, 6], [1, -1, -1, 1] * 2),
            ([2, 3, 0, 1, 6, 7, 4, 5], [1, 1, -1, -1] * 2),
        ],
    ),
    "grid of pairs": lambda: sym.grid_translations(2, 2, [[0, 1], [2, 3], [4, 5], [6, 7]]),
    "quarter turn": lambda: sym.Group.of(5, [([1, 0, 2, 4, 3], [1, -1, 1, 1, 1])]),
    "pairs and a spectator": lambda: sym.Group.of(5, [[(0, 1), (2, 3)]]),
    "ring and a pair": lambda: sym.Group.of(6, [[(0, 1, 2, 3)], [(4, 5)]]),
}
