"""Decoding on all cores, in an order that does not depend on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["abreast", "cores", "in_order", "one_core"]

S = TypeVar("S")
T = TypeVar("T")

# Results that wait to be taken, for each thread: enough to keep it busy, few enough to stay small.
AHEAD = 2
_alone = ContextVar("one core", default=False)
_END = object()


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


def in_order(work: Callable[[S], T], items: Iterable[S], threads: int) -> Iterator[T]:
    """``map(work, items)`` on some threads; results come in the order of the items, which are taken a few ahead."""
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, "cumulant-source")
    try:
        for item in items:
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def abreast(runs: Sequence[Iterator[T]], threads: int) -> Iterator[list[T]]:
    """``zip(*runs)``, the runs advanced by some threads, a few steps ahead of what is taken."""
    pool = ThreadPoolExecutor(threads, "cumulant-source")
    waiting: deque[list[Future[T]]] = deque()
    last: list[Future[T] | None] = [None] * len(runs)
    # A thread may be interrupted as it starts: only a pool that is shut down lets the process end then.
    try:
        while True:
            while len(waiting) <= AHEAD:
                # Taken up in the order of submission, so what a step waits for is under way.
                last = [pool.submit(_step, run, before) for run, before in zip(runs, last, strict=True)]
                waiting.append([step for step in last if step])
            steps = [step.result() for step in waiting.popleft()]
            if any(step is _END for step in steps):
                return
            yield steps
    finally:
        pool.shutdown(cancel_futures=True)


def _step(run: Iterator[T], before: Future[T] | None) -> T:
    if before is not None:
        before.result()
    end: T = _END  # type: ignore[assignment]
    return next(run, end)
