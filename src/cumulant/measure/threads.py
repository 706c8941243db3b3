"""Who gets the processors: the sums have threads of their own, and BLAS on small matrices is kept to one.

A BLAS with a thread a core keeps its threads spinning for a while after each call. On matrices of a table's size that
gains nothing, and takes the cores from the sums that follow.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from cumulant.source.threads import cores, one_core

__all__ = ["blas_threads", "cores", "one_blas_thread", "one_core"]

SMALL = 1000
# Where a user says how many threads linear algebra may have.
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one_blas_thread(fields: int = 0) -> AbstractContextManager[Any]:
    """Keep BLAS to one thread while matrices of ``fields`` rows are worked on, unless they are large."""
    if fields > SMALL:
        return nullcontext()
    limit: AbstractContextManager[Any] = _controller("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas")
    return limit


def blas_threads(rows: int) -> AbstractContextManager[Any]:
    """One thread for BLAS while matrices of ``rows`` rows are small, and else as many as the environment allows."""
    limits = 1 if rows <= SMALL else min([cores(), *_allowed()])
    limit: AbstractContextManager[Any] = _controller("scipy.linalg" in sys.modules).limit(
        limits=limits, user_api="blas"
    )
    return limit


def _allowed() -> list[int]:
    asked = [os.environ.get(name, "").split(",")[0] for name in LIMITS]
    return [int(number) for number in asked if number.isdecimal() and int(number) > 0]


@cache
def _controller(with_scipy: bool) -> Any:
    # Libraries are looked for once; SciPy's own is loaded later than NumPy's.
    del with_scipy
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
