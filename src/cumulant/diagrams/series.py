"""Zero-dimensional theories: one field, propagator 1, and diagrams that are just numbers.

With F = ½φ² + Σ_d λ_d φ^d / d!, ln Z and the cumulants are power series in the λ_d whose coefficients are sums of
weights of diagrams: rational numbers, known exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

from cumulant.diagrams.enumerate import Kind, diagrams

__all__ = ["series"]


def series(legs: int, degrees: Sequence[int], order: int, kind: Kind = "connected") -> dict[tuple[int, ...], Fraction]:
    """Coefficients of ln Z (no legs) or of the cumulant of ``legs`` fields.

    Parameters
    ----------
    legs
        0 for ln Z, n for the n-th cumulant (with ``kind="1PI"``: for −Γ^(n), legs amputated).
    degrees
        Degrees d of the interactions.
    order
        Highest total power of the couplings λ_d.
    kind
        Which diagrams to sum.

    Returns
    -------
    dict
        Powers of the couplings, in the order of ``degrees``, to their coefficient. Zeros are left out.

    References
    ----------
    Bessis, Itzykson & Zuber, Adv. Appl. Math. 1 (1980) 109: zero-dimensional field theory as a generator of graphs.

    Examples
    --------
    F = ½φ² + λφ⁴/4!:

    >>> {power: str(c) for (power,), c in series(0, [4], 3).items()}
    {1: '-1/8', 2: '1/12', 3: '-11/96'}
    >>> {power: str(c) for (power,), c in series(2, [4], 2).items()}
    {0: '1', 1: '-1/2', 2: '2/3'}
    """
    out: dict[tuple[int, ...], Fraction] = {}
    for n in range(order + 1):
        for vertices in combinations_with_replacement(degrees, n):
            total = sum((d.weight for d in diagrams(legs, vertices, kind) if d.nodes), Fraction(0))
            if total:
                count = Counter(vertices)
                out[tuple(count[d] for d in degrees)] = total
    return out
