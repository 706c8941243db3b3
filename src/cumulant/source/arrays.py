"""Arrays of other libraries than NumPy (PyTorch, CuPy, JAX), here or on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["compat", "fetched", "is_foreign", "is_remote"]

_LIBRARIES = ("torch", "cupy", "jax", "jaxlib", "array_api_strict")
_HOST = 1  # kDLCPU, the number that DLPack gives to memory of the processor


def is_foreign(data: Any) -> bool:
    """Whether data is an array of another library."""
    return type(data).__module__.partition(".")[0] in _LIBRARIES and hasattr(data, "__dlpack_device__")


def is_remote(data: Any) -> bool:
    """Whether an array lies where NumPy cannot see it."""
    if not is_foreign(data):
        return False
    kind, _ = data.__dlpack_device__()
    return bool(kind != _HOST) or "CPU" not in str(getattr(data, "device", "CPU")).upper()


def fetched(data: Any) -> NDArray[Any]:
    """An array of any library as NumPy's, brought here where it lies elsewhere."""
    if hasattr(data, "detach"):  # PyTorch
        data = data.detach().cpu()
    if hasattr(data, "get"):  # CuPy
        return np.asarray(data.get())
    if is_remote(data):
        library = compat()
        xp = library.array_namespace(data)
        strict = type(data).__module__.startswith("array_api_strict")
        data = library.to_device(data, xp.Device("CPU_DEVICE") if strict else "cpu")
    return np.from_dlpack(data)


def compat() -> Any:
    """The package that makes libraries of arrays alike."""
    try:
        import array_api_compat
    except ImportError as error:
        raise MissingDependencyError(
            "arrays on a device are measured through the array API. Install it: pip install 'cumulant[gpu]'"
        ) from error
    return array_api_compat
