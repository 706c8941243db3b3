"""The sums themselves: pure functions on arrays, the only code that runs once per row."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.measure import compensated
from cumulant.measure.native import library
from cumulant.storage import packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["WIDE", "RowSums", "fold_of", "grams"]

# Rows that wait in a fold's buffer. Narrow sums are flat from 200 to 500; wide ones leave the caches at each flush, and
# gain as far as all buffers together take no more than so many bytes, or an eighth of the sums.
DEPTH, WIDE_DEPTH, LEAST_DEPTH = 256, 512, 128
BUFFERS, BUFFERS_SHARE = 16 << 20, 8
# Fields from which a table is wide: a copy of the sums for each thread would not fit in its cache.
WIDE = 256


def fold_of(rows: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Fold of each row number: the splitmix64 finaliser, its upper half scaled to the number of folds.

    Depends on the row number alone, so neither chunking, threads nor machines change it.

    References
    ----------
    Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 17.
    """
    x = np.asarray(rows, dtype=np.int64).view(np.uint64).copy()
    with np.errstate(over="ignore"):
        x += np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        x = ((x >> np.uint64(32)) * np.uint64(folds)) >> np.uint64(32)
    return x.astype(np.int64)


class RowSums:
    """Σ w z zᵀ with z = (1, x − shift) for rows without gaps, fold by fold; one thread's share of the pass.

    n·q·(q+1) flops and 8·n·p bytes read once. Rows are dealt to one buffer per fold, so that folds cost no more than
    their sums; compiled code where it was built, NumPy otherwise.

    Parameters
    ----------
    shift
        Reference point (p,).
    folds
        Number of folds K.
    threads
        Threads that share the work on each row; worth their while from some hundred fields on.
    """

    def __init__(self, shift: Array, folds: int, threads: int = 1) -> None:
        self.shift = np.ascontiguousarray(shift, dtype=np.float64)
        self.folds = folds
        self._native = library()
        self._workspace = 0
        p = len(self.shift)
        size = (p + 1) * (p + 2) // 2 if self._native is None else self._native.cumulant_size(p)
        # Zeros that nobody has written to take no memory yet.
        self._sums = np.zeros((folds, size))
        if self._native is None:
            return
        room = max(BUFFERS, self._sums.nbytes // BUFFERS_SHARE) // (8 * folds * (p + 8))
        depth = max(LEAST_DEPTH, min(DEPTH if p < WIDE else WIDE_DEPTH, room))
        self._workspace = self._native.cumulant_open(len(shift), folds, depth, threads, self._sums.ctypes.data)
        if not self._workspace:
            raise MemoryError(f"no memory for the sums of {len(shift):,} fields in {folds} folds")

    def _fresh(self) -> Array:
        # Zeros that nobody has written to take no memory yet.
        return np.zeros((self.folds, self._native.cumulant_size(len(self.shift)) if self._native else 0))

    def add(
        self,
        columns: Sequence[Array],
        numbers: int | NDArray[np.int64],
        weights: Array | None = None,
    ) -> int:
        """Add rows up to the first block of them that holds a NaN or an infinity.

        Parameters
        ----------
        columns
            The p columns (n,), float64 or float32, of any stride.
        numbers
            Number of the first row, or of each row (n,).
        weights
            Weight of each row (n,).

        Returns
        -------
        int
            Rows added. Fewer than n: the next row, or one of the few after it, is not finite.
        """
        if len(columns) != len(self.shift):
            raise ValueError(f"{len(columns)} columns for {len(self.shift)} fields")
        if self._native is None:
            return self._add_numpy(columns, numbers, weights)
        n, address, stride, single = layout(columns)
        each = None if isinstance(numbers, int) else np.ascontiguousarray(numbers, dtype=np.int64)
        w = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        done: int = self._native.cumulant_add(
            self._workspace,
            n,
            address.ctypes.data,
            stride.ctypes.data,
            single.ctypes.data,
            self.shift.ctypes.data,
            numbers if isinstance(numbers, int) else 0,
            None if each is None else each.ctypes.data,
            None if w is None else w.ctypes.data,
        )
        return done

    def take(self) -> Array:
        """Upper triangles of the sums by rows (K, q(q + 1)/2), which start anew."""
        q = len(self.shift) + 1
        sums = self._sums
        self._sums = np.zeros(sums.shape)
        if self._native is not None and not self._native.cumulant_take(self._workspace, self._sums.ctypes.data):
            raise MemoryError(f"no memory for a copy of the sums of {q - 1:,} fields")
        return sums[:, : q * (q + 1) // 2]

    def state(self) -> tuple[NDArray[Any], ...]:
        """All that was added, as views: sums, rows that wait, their number by fold. Written to, they restore it."""
        if self._native is None:
            return (self._sums,)
        waiting, filled = ctypes.c_void_p(), ctypes.c_void_p()
        size = self._native.cumulant_state(self._workspace, ctypes.byref(waiting), ctypes.byref(filled))
        return (
            self._sums,
            np.ctypeslib.as_array(ctypes.cast(waiting, ctypes.POINTER(ctypes.c_double)), (size,)),
            np.ctypeslib.as_array(ctypes.cast(filled, ctypes.POINTER(ctypes.c_int64)), (self.folds,)),
        )

    def __del__(self) -> None:
        if self._workspace and self._native is not None:
            self._native.cumulant_close(self._workspace)
            self._workspace = 0

    def _add_numpy(self, columns: Sequence[Array], numbers: int | NDArray[np.int64], weights: Array | None) -> int:
        x = np.column_stack(columns)
        z = np.empty((len(x), x.shape[1] + 1))
        z[:, 0] = 1.0
        np.subtract(x, self.shift, out=z[:, 1:])
        finite = np.isfinite(z).all(axis=1)
        n = len(z) if finite.all() else int(np.argmin(finite))
        rows = np.arange(numbers, numbers + n) if isinstance(numbers, int) else numbers[:n]
        kept = None if weights is None else weights[:n]
        self._sums += packed(grams(z[:n], fold_of(rows, self.folds), self.folds, kept)[0])
        return n


def add_to_groups(
    columns: Sequence[Array], shift: Array, group: NDArray[np.int64], sums: Array, threads: int = 1
) -> int:
    """Add z zᵀ with z = (1, x − shift) of each row to the sums of its group, until a row is not finite.

    Parameters
    ----------
    columns
        The p columns (n,), float64 or float32, of any stride.
    shift
        Reference point (p,).
    group
        Group of each row (n,).
    sums
        Upper triangles (groups, q(q + 1)/2), q = p + 1, changed in place.
    threads
        Threads that share the groups. Each group is one thread's, so their number changes no bit.

    Returns
    -------
    int
        Rows added. Fewer than n: the next row holds a NaN or an infinity.
    """
    native = library()
    if native is None:
        return _add_to_groups_numpy(columns, shift, group, sums)
    n, address, stride, single = layout(columns)
    done: int = native.cumulant_groups(
        n,
        len(columns),
        address.ctypes.data,
        stride.ctypes.data,
        single.ctypes.data,
        np.ascontiguousarray(shift).ctypes.data,
        np.ascontiguousarray(group).ctypes.data,
        threads,
        sums.ctypes.data,
    )
    if done < 0:
        raise MemoryError(f"no memory for a row of {len(columns):,} fields")
    return done


def _add_to_groups_numpy(columns: Sequence[Array], shift: Array, group: NDArray[np.int64], sums: Array) -> int:
    z = np.vstack([np.ones(len(group)), *(c - s for c, s in zip(columns, shift, strict=True))])
    finite = np.isfinite(z).all(axis=0)
    n = len(finite) if finite.all() else int(np.argmin(finite))
    present, place = np.unique(group[:n], return_inverse=True)
    i, j = np.triu_indices(len(z))
    products = [np.bincount(place, z[a, :n] * z[b, :n], len(present)) for a, b in zip(i, j, strict=True)]
    sums[present] += np.column_stack(products)
    return n


def layout(
    columns: Sequence[Array],
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Rows, and of each column the address, the stride in bytes, and whether it is float32."""
    address = np.array([c.__array_interface__["data"][0] for c in columns], dtype=np.int64)
    stride = np.array([c.strides[0] for c in columns], dtype=np.int64)
    single = np.array([c.dtype == np.float32 for c in columns], dtype=np.uint8)
    return len(columns[0]), address, stride, single


def grams(z: Array, fold: NDArray[np.int64], folds: int, weights: Array | None = None, *, exact: bool = False) -> Array:
    """Σ w z zᵀ over the rows of each fold, in NumPy: for rows with gaps, and for exact sums.

    Parameters
    ----------
    z
        Rows (n, q), finite.
    fold
        Fold of each row (n,).
    folds
        Number of folds K.
    weights
        Weight of each row (n,), or None for ones.
    exact
        Accumulate without rounding error (double-double result).

    Returns
    -------
    ndarray
        (1, K, q, q), or (2, K, q, q) when exact: high and low parts.
    """
    q = z.shape[1]
    out = np.zeros((2 if exact else 1, folds, q, q))
    order = np.argsort(fold, kind="stable") if folds > 1 else np.arange(len(z))
    edges = np.searchsorted(fold[order], np.arange(folds + 1))
    for k in range(folds):
        rows = order[edges[k] : edges[k + 1]]
        if not len(rows):
            continue
        part = z[rows] if folds > 1 else z
        w = None if weights is None else weights[rows]
        if exact:
            out[0, k], out[1, k] = compensated.gram(part, w)
        else:
            # The square root keeps both factors the same array, which BLAS multiplies at half the cost (syrk).
            scaled = part if w is None else part * np.sqrt(w)[:, None]
            # An overflow is refused by the name of its column when all rows are in.
            with np.errstate(over="ignore"):
                out[0, k] = scaled.T @ scaled
    return out
