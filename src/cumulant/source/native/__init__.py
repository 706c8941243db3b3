"""The compiled decoders, where a C compiler was at hand when the package was installed."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

__all__ = ["library"]

FILENAME = "_decode.so"


@cache
def library() -> ctypes.CDLL | None:
    """The shared library, or None: not built, not loadable, or switched off by ``CUMULANT_NATIVE=0``."""
    path = Path(__file__).with_name(FILENAME)
    if os.environ.get("CUMULANT_NATIVE") == "0" or sys.byteorder != "little" or not path.exists():
        return None
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError:
        return None
    pointer, integer, char = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char
    signatures = {
        "page_header": [pointer, integer, pointer],
        "unpack": [pointer, integer, ctypes.c_int, integer, pointer],
        "lookup": [pointer, integer, pointer, integer, ctypes.c_int, pointer],
        "snappy": [pointer, integer, pointer, integer],
        "lines": [pointer, integer, pointer],
        "numbers": [pointer, integer, char, char, integer, pointer, ctypes.c_char_p, pointer, integer, pointer],
    }
    for name, arguments in signatures.items():
        function = getattr(loaded, f"cumulant_{name}")
        function.restype, function.argtypes = integer, arguments
    return loaded
