"""Enrolment: one line here crosses a new kind of table with every law that moments and models must obey."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

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


TABLES: dict[str, Callable[[Rng, int], pd.DataFrame]] = {
    f.__name__: f for f in (numbers, far_from_zero, with_gaps, mixed, mixed_with_gaps, awkward)
}
