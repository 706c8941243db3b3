"""The compiled sums, where a C compiler was at hand when the package was installed."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

__all__ = ["FILENAME", "library"]

FILENAME = "_panels.so"


@cache
def library() -> ctypes.CDLL | None:
    """The shared library, or None: not built, not loadable, or switched off by ``CUMULANT_NATIVE=0``."""
    path = Path(__file__).with_name(FILENAME)
    if os.environ.get("CUMULANT_NATIVE") == "0" or not path.exists():
        return None
    try:
        loaded = ctypes.CDLL(str(path))
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
    loaded.cumulant_groups.argtypes = [integer, integer, *[pointer] * 6]
    loaded.cumulant_levels.restype = integer
    sums = [integer] * 2 + [pointer] * 4 + [integer] + [pointer] * 3 + [integer] * 2 + [pointer]
    loaded.cumulant_levels.argtypes = sums
    loaded.cumulant_powers_open.restype = pointer
    loaded.cumulant_powers_open.argtypes = [integer] * 5 + [pointer, integer]
    loaded.cumulant_powers_add.restype = None
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
