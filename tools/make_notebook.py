"""Tabulate the functions that the pages of the notebook use, verify every page, and write both beside its text.

``python tools/make_notebook.py [--tables] [PAGE …]`` rewrites ``src/cumulant/notebook/pages/*.json``. Tables that are
there are kept unless they are asked for; they are computed with mpmath to 40 digits, independently of the quadrature in
double precision that verifies the pages afterwards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath

from cumulant.notebook.library import BUILT_IN, record, write_record
from cumulant.notebook.page import read_page
from cumulant.notebook.tables import Table, tabulate
from cumulant.notebook.verify import verify

mpmath.mp.dps = 40
VECTORS = tuple(range(1, 17))
DIRECTIONS = (2, 3, 4, 5, 6, 7, 8, 10, 16)


def quartic(n: int) -> Table:
    """b m₂² t/(1−t) against t = n(m₄/m₂² − 1)/2, for F = ½aφ² + bφ⁴/4! of n components."""
    nu = mpmath.mpf(n) / 2

    def ratios(z: Any) -> tuple[Any, Any]:
        """⟨ρ⟩ √(2β)/ν and ⟨ρ²⟩/⟨ρ⟩², both of parabolic cylinder functions (DLMF 12.5.1)."""
        d0, d1, d2 = (mpmath.pcfd(-nu - k, z) for k in range(3))
        return d1 / d0, (nu + 1) / nu * d2 * d0 / d1**2

    def value(t: float) -> float:
        t = mpmath.mpf(t)
        target = 1 + t / nu
        z = _root(lambda z: ratios(z)[1] - target)
        mean, _ = ratios(z)
        return float(12 * nu**2 * mean**2 * t / (1 - t))

    return tabulate(value, 0.0, 1.0, tolerance=2e-12)


def _root(f: Callable[[Any], Any]) -> Any:
    """The root z of the increasing kurtosis: a bracket, then Anderson–Björck's secants within it."""
    low, high = mpmath.mpf(-2), mpmath.mpf(2)
    while f(low) > 0:
        low *= 2
    while f(high) < 0:
        high *= 2
    return mpmath.findroot(f, (low, high), solver="anderson", tol=1e-50, verify=False)


TABLES: dict[str, Callable[[], dict[str, dict[str, Table]]]] = {
    "phi4": lambda: {"quartic": {"": quartic(1)}},
}


def tables_of(path: Path, again: bool) -> dict[str, Any]:
    """The tables of a page: those on disk, or made again."""
    kept = path.with_suffix(".json")
    if path.stem not in TABLES:
        return {}
    if kept.exists() and not again:
        return dict(json.loads(kept.read_text(encoding="utf-8"))["tables"])
    made = TABLES[path.stem]()
    return {name: {key: t.to_dict() for key, t in table.items()} for name, table in made.items()}


def main(arguments: list[str]) -> int:
    """Write the records of some pages, or of all; return the exit status."""
    again, names = "--tables" in arguments, [a for a in arguments if not a.startswith("-")]
    failed = 0
    for path in sorted(BUILT_IN.glob("*.toml")):
        if names and path.stem not in names:
            continue
        tables, text = tables_of(path, again), path.read_text(encoding="utf-8")
        write_record(path, record(path.stem, text, tables, ()))
        found = verify(read_page(path))
        for one in found:
            print(f"{path.stem:28} {one.oracle:36} {one.points:4} {one.error:.1e} {'' if one.passed else 'FAILED'}")
            failed += not one.passed
        write_record(path, record(path.stem, text, tables, found))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
