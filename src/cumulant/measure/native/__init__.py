"""The compiled sums, where a C compiler was at hand when the package was installed."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

__all__ = ["FILENAME", "SPINS", "library"]

FILENAME = "_panels.so"
# Looks that a thread of OpenMP takes before it sleeps: tens of microseconds. By default it spins for milliseconds, even
# while the thread that it waits for is kept off its core by another program: 1e5 rows of 256 fields have taken 2 to
# 13 s beside busy neighbours, and take 0.3 s with this.
SPINS = "1000"


@cache
def library() -> ctypes.CDLL | None:
    """The shared library, or None: not built, not loadable, or switched off by ``CUMULANT_NATIVE=0``."""
    path = Path(__file__).with_name(FILENAME)
    if os.environ.get("CUMULANT_NATIVE") == "0" or not path.exists():
        return None
    try:
        loaded = _loaded(path)
    except OSError:
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    loaded.cumulant_size.restype = integer
    loaded.cumulant_size.argtypes = [integer]
    loaded.cumulant_open.restype = pointer
    loaded.cumulant_open.argtypes = [integer, integer, integer, ctypes.c_int, pointer]
    loaded.cumulant_add.restype = integer
    loaded.cumulant_add.argtypes = [pointer, integer, *[pointer] * 4, integer, pointer, pointer]
    loaded.cumulant_take.restype = ctypes.c_int
    loaded.cumulant_take.argtypes = [pointer, pointer]
    loaded.cumulant_state.restype = integer
    loaded.cumulant_state.argtypes = [pointer, ctypes.POINTER(pointer), ctypes.POINTER(pointer)]
    loaded.cumulant_groups.restype = integer
    loaded.cumulant_groups.argtypes = [integer, integer, *[pointer] * 5, ctypes.c_int, pointer]
    loaded.cumulant_levels.restype = integer
    sums = [integer] * 2 + [pointer] * 4 + [integer] + [pointer] * 3 + [integer] * 2 + [pointer]
    loaded.cumulant_levels.argtypes = sums
    loaded.cumulant_powers_open.restype = pointer
    loaded.cumulant_powers_open.argtypes = [
        *[integer] * 3, pointer, integer, pointer, integer, integer, pointer, integer, pointer, integer
    ]  # fmt: skip
    loaded.cumulant_powers_add.restype = integer
    loaded.cumulant_powers_add.argtypes = loaded.cumulant_add.argtypes
    loaded.cumulant_powers_take.restype = None
    loaded.cumulant_powers_take.argtypes = [pointer, pointer, pointer]
    loaded.cumulant_powers_state.restype = integer
    loaded.cumulant_powers_state.argtypes = loaded.cumulant_state.argtypes
    loaded.cumulant_powers_close.restype = None
    loaded.cumulant_powers_close.argtypes = [pointer]
    loaded.cumulant_close.restype = None
    loaded.cumulant_close.argtypes = [pointer]
    return loaded


def _loaded(path: Path) -> ctypes.CDLL:
    """The library; OpenMP reads its variables as it is loaded with it, and only then. The user's own come first."""
    if os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        return ctypes.CDLL(str(path))
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        return ctypes.CDLL(str(path))
    finally:
        del os.environ["GOMP_SPINCOUNT"]
