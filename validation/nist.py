"""The eleven linear regression sets of NIST's Statistical Reference Datasets, with their certified results.

The polynomial sets are given here as a user would hand them over: as columns x, x², …, each power rounded once from
its exact decimal value.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["NAMES", "Reference", "digits", "exact_table", "load"]

FOLDER = Path(__file__).parent / "nist_strd"
CERTIFIED = {entry["name"]: entry for entry in json.loads((FOLDER / "certified.json").read_text())}
NAMES = tuple(CERTIFIED)
# A float64 holds between 15 and 17 decimal digits.
MOST_DIGITS = 15.0


@dataclass(frozen=True, eq=False)
class Reference:
    """A data set and its certified least-squares fit.

    Parameters
    ----------
    name
        Lower case, as ``"filip"``.
    response
        y, shape (n,).
    columns
        Names of the columns of the design, p of them; no column of ones.
    design
        Shape (n, p).
    intercept
        Whether the model has one.
    coefficients, standard_errors
        Certified, intercept first where there is one, then in the order of the columns.
    residual_sd, r_squared
        Certified; R² is about the origin where there is no intercept.
    """

    name: str
    response: NDArray[np.float64]
    columns: tuple[str, ...]
    design: NDArray[np.float64]
    intercept: bool
    coefficients: tuple[Decimal, ...]
    standard_errors: tuple[Decimal, ...]
    residual_sd: Decimal
    r_squared: Decimal


def load(name: str) -> Reference:
    """The set of that name, one of :data:`NAMES`."""
    entry = CERTIFIED[name]
    columns, response, design = exact_table(name)
    return Reference(
        name=name,
        response=np.array([float(y) for y in response]),
        columns=columns,
        design=np.array([[float(x) for x in row] for row in design]),
        intercept=entry["intercept"],
        coefficients=tuple(map(Decimal, entry["beta"])),
        standard_errors=tuple(map(Decimal, entry["standard_error"])),
        residual_sd=Decimal(entry["residual_sd"]),
        r_squared=Decimal(entry["r_squared"]),
    )


def exact_table(name: str) -> tuple[tuple[str, ...], list[Fraction], list[list[Fraction]]]:
    """Column names, response and design of a set as the rational numbers that NIST published."""
    entry = CERTIFIED[name]
    with (FOLDER / entry["file"]).open(newline="") as file:
        header, *cells = csv.reader(file)
    rows = [[Fraction(cell) for cell in row] for row in cells]
    response = [row[0] for row in rows]
    if not entry["model"].startswith("polynomial"):
        return tuple(header[1:]), response, [row[1:] for row in rows]
    powers = range(1, int(entry["model"].split()[-1]) + 1)
    # The quotient of two Python integers is rounded correctly, so float() of these powers is their nearest double.
    return tuple(f"x{k}" for k in powers), response, [[row[1] ** k for k in powers] for row in rows]


def digits(computed: ArrayLike, certified: Decimal | Iterable[Decimal]) -> float:
    """Correct decimal digits of the worst of some numbers: −log₁₀ of its relative error, at most 15.

    Where the certified value is zero the error is absolute, as is NIST's own practice. Minus infinity for NaN.
    """
    values = np.atleast_1d(np.asarray(computed, dtype=np.float64))
    targets = [certified] if isinstance(certified, Decimal) else list(certified)
    if len(values) != len(targets):
        raise ValueError(f"{len(values)} numbers computed, {len(targets)} certified")
    if not np.all(np.isfinite(values)):
        return -np.inf
    errors = [
        abs(Fraction(float(value)) - Fraction(target)) / (abs(Fraction(target)) or 1)
        for value, target in zip(values, targets, strict=True)
    ]
    worst = max(errors, default=Fraction(0))
    return float(-np.log10(float(worst))) if worst > Fraction(10) ** -15 else MOST_DIGITS
