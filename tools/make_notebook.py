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
DIRECTIONS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64)


def quartic(n: int) -> Table:
    """b m₂² t/(1−t) against t = n(m₄/m₂² − 1)/2, for F = ½aφ² + bφ⁴/4! of n components."""
    nu = mpmath.mpf(n) / 2

    def ratios(z: Any) -> tuple[Any, Any]:
        """⟨ρ⟩ √(2β)/ν and ⟨ρ²⟩/⟨ρ⟩², both of parabolic cylinder functions (DLMF 12.5.1)."""
        d0, d1 = mpmath.pcfd(-nu, z), mpmath.pcfd(-nu - 1, z)
        # DLMF 12.8.1 loses some two digits for each factor of ten in z, of the forty.
        d2 = (d0 - z * d1) / (nu + 1)
        return d1 / d0, (nu + 1) / nu * d2 * d0 / d1**2

    def value(t: float) -> float:
        t = mpmath.mpf(t)
        target = 1 + t / nu
        z = _root(lambda z: ratios(z)[1] - target)
        mean, _ = ratios(z)
        return float(12 * nu**2 * mean**2 * t / (1 - t))

    return tabulate(value, 0.0, 1.0, tolerance=2e-12, checks=24)


def _root(f: Callable[[Any], Any]) -> Any:
    """The root z of the increasing kurtosis: a bracket, then Anderson–Björck's secants within it."""
    low, high = mpmath.mpf(-2), mpmath.mpf(2)
    while f(low) > 0:
        low *= 2
    while f(high) < 0:
        high *= 2
    return mpmath.findroot(f, (low, high), solver="anderson", tol=1e-46, verify=False)


def concentration(p: int) -> Table:
    """κ(1 − R²)/R against R = I_{p/2}(κ)/I_{p/2−1}(κ), for directions of p components."""
    nu = mpmath.mpf(p) / 2

    def length(kappa: Any) -> Any:
        return mpmath.besseli(nu, kappa) / mpmath.besseli(nu - 1, kappa)

    def value(r: float) -> float:
        R = mpmath.mpf(r)
        # Exact where κ is small and where it is large, and in between it is near.
        start = R * (p - R**2) / (1 - R**2)
        kappa = mpmath.findroot(lambda k: length(k) - R, (start, start * mpmath.mpf("1.01")))
        return float(kappa * (1 - R**2) / R)

    return tabulate(value, 0.0, 1.0, tolerance=2e-12)


def shape() -> Table:
    """k (ln k − ψ(k)) against ln k − ψ(k): the shape of a gamma law."""

    def value(gap: float) -> float:
        s = mpmath.mpf(gap)
        start = (3 - s + mpmath.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
        k = mpmath.findroot(lambda k: mpmath.log(k) - mpmath.digamma(k) - s, (start, start * mpmath.mpf("1.001")))
        return float(k * s)

    return tabulate(value, 0.0, 50.0, tolerance=2e-12)


TABLES: dict[str, Callable[[], dict[str, dict[str, Table]]]] = {
    "gamma": lambda: {"shape": {"": shape()}},
    "phi4": lambda: {"quartic": {"": quartic(1)}},
    "phi4-vector": lambda: {"quartic": {str(n): quartic(n) for n in VECTORS}},
    "von-mises": lambda: {"concentration": {"": concentration(2)}},
    "von-mises-fisher": lambda: {"concentration": {str(p): concentration(p) for p in DIRECTIONS}},
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
