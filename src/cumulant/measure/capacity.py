"""What fits in this machine's memory: refused with the figure before work starts, or measured in fewer folds."""

from __future__ import annotations

import os
import warnings

from cumulant.errors import CumulantWarning, ResourceError
from cumulant.measure.work import WORD, bytes_kept, sums_kept

__all__ = ["FOLDS", "affordable_folds", "refuse_if_beyond_memory", "refuse_if_too_large"]

# Sets of sums, and the share of the memory that they may take where nobody chose their number.
FOLDS, SHARE = 10, 1 / 16


def affordable_folds(fields: int) -> int:
    """Folds where nobody chose: ten, or as many as leave memory for the solution; the user hears of fewer."""
    fold = bytes_kept(fields, 1)
    folds = max(1, min(FOLDS, int(SHARE * _memory() / fold)))
    if folds < FOLDS:
        warnings.warn(
            f"{fields:,} fields are measured in {folds} fold{'s' * (folds > 1)} of {fold / 1e9:.2g} GB, not {FOLDS}, "
            f"to leave memory for the solution; folds={FOLDS} keeps {FOLDS} for cross-validation",
            CumulantWarning,
            stacklevel=3,
        )
    return folds


def refuse_if_too_large(fields: int, folds: int) -> None:
    """Raise a ResourceError with the figure when the sums, and what they are solved in, would not fit in memory."""
    # A triangle for each fold and one in passing; to solve, a covariance and its factor.
    refuse_if_beyond_memory(sums_kept(fields, folds + 5), f"{fields:,} fields in {folds} folds")


def refuse_if_beyond_memory(
    numbers: int, what: str, remedy: str = "select columns=, lower levels=, or use fewer folds="
) -> None:
    """Raise a ResourceError when so many numbers leave this machine no room for anything else."""
    need, have = WORD * numbers, _memory()
    if need > 0.8 * have:
        raise ResourceError(f"{what} need {need / 2**30:,.1f} GiB, this machine has {have / 2**30:,.1f}; {remedy}")


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
