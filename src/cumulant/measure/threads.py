"""Who gets the processors: the sums have threads of their own, and BLAS on small matrices is kept to one.

A BLAS with a thread a core keeps its threads spinning for a while after each call. On matrices of a table's size that
gains nothing, and takes the cores from the sums that follow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any

__all__ = ["cores", "one_blas_thread", "one_core"]

SMALL = 1000
_alone = ContextVar("one core", default=False)


def cores() -> int:
    """Processors that this process may use, or the one that `one_core` leaves it."""
    if _alone.get():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_core() -> Iterator[None]:
    """Keep to one core where someone else, such as a cluster's scheduler, has a task for every core."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def one_blas_thread(fields: int) -> AbstractContextManager[Any]:
    """Keep BLAS to one thread while matrices of ``fields`` rows are worked on, unless they are large."""
    if fields > SMALL:
        return nullcontext()
    limit: AbstractContextManager[Any] = _controller("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas")
    return limit


@cache
def _controller(with_scipy: bool) -> Any:
    # Libraries are looked for once; SciPy's own is loaded later than NumPy's.
    del with_scipy
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
