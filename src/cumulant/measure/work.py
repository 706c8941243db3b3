"""What a pass does and keeps, counted: operations, bytes read, bytes of moments.

Whoever tells a cost takes its counts from here. They are to leading order in the rows: what is done once for a table or
a fold, such as adding up the folds, is left out, and so are the edges that compiled code pads.
"""

from __future__ import annotations

from math import comb

__all__ = ["WORD", "bytes_kept", "bytes_read", "flops_of_pass", "sums_kept"]

WORD = 8
"""Bytes of a number."""


def flops_of_pass(n: float, p: float, *, order: int = 2, exact: bool = False) -> float:
    """Multiplications and additions of one pass over n rows of p fields.

    To second order n·p·(p + 3): a row less the reference point, its sum, and p(p + 1)/2 products and their sums.
    Each of the C(p + order, order) products of a higher order takes two more. Compensated sums (``exact``) take 8·n·p²
    for the products instead. Folds cost nothing: a row is added to one of them.

    Examples
    --------
    >>> flops_of_pass(1000, 10)
    130000
    """
    products = 8 * n * p**2 if exact else n * p * (p + 1)
    higher = 2 * n * comb(int(p) + order, order) if order > 2 else 0
    return products + 2 * n * p + higher


def bytes_read(n: float, p: float, sweeps: float = 1) -> float:
    """Bytes of n rows of p doubles, read ``sweeps`` times; a pass reads them once, whatever its order and folds."""
    return WORD * n * p * sweeps


def sums_kept(p: int, folds: int, order: int = 2) -> int:
    """Numbers that moments hold: in each fold the triangle of second order, and the products of a higher one.

    Examples
    --------
    >>> sums_kept(10, 10), sums_kept(10, 10, 3)
    (660, 3520)
    """
    return folds * (comb(p + 2, 2) + (comb(p + order, order) if order > 2 else 0))


def bytes_kept(p: int, folds: int, order: int = 2) -> int:
    """Bytes of the sums that moments hold, and send: 8·K·(p + 1)(p + 2)/2 to second order in K folds."""
    return WORD * sums_kept(p, folds, order)
