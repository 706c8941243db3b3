"""Moments: the sums over rows that a free energy of second order needs, fold by fold.

Every row of a table becomes z = (1, presence, x − shift): a constant, a 0/1 *presence* field for each column that
has missing cells, and the lifted fields less a fixed reference point, with 0 where a cell is missing. The one
matrix Σ w z zᵀ then holds counts, means and second moments, pairwise where cells are missing. It is a sum over rows,
so tables merge by adding and rows are forgotten by subtracting; changing the reference point, adding a level or a
presence field is a linear map of z, that is, a congruence of the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.errors import CumulantWarning, IncompatibleError, OptionError
from cumulant.lift import Schema
from cumulant.measure import limbs
from cumulant.measure.estimate import Estimate, estimate
from cumulant.measure.higher import HigherSums, combined
from cumulant.measure.jackknife import jackknife
from cumulant.measure.levels import LevelSums, embedded
from cumulant.measure.monomials import complete

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.measure.requirement import Requirement

__all__ = ["Moments"]

WEIGHT_KINDS = ("none", "frequency", "importance")


@dataclass(frozen=True, eq=False)
class Moments:
    """Zeroth to second moments of a table's fields, per fold.

    Made by `cumulant.measure`; merged with ``+``, reduced with ``-``.

    Parameters
    ----------
    schema
        The lifted columns.
    shift
        Reference point of the sums, one value per field (p,), in the units of the field.
    presence
        Indices of the columns that have a presence field, ascending (k of them).
    packed
        Σ w z zᵀ per fold, upper triangles by rows (1, K, q(q + 1)/2) with q = 1 + k + p; (2, …) in compensated
        arithmetic: high and low parts. A triangle begins with the first row, Σ w and Σ w z.
    squares
        Σ w m x² per fold, (K, k, p): second moments of each field over the rows where each column with missing cells
        is present.
    rows
        Rows in each fold (K,).
    squared_weights, log_weights
        Σ w² and Σ ln w in each fold (K,).
    weighting
        ``"none"``, ``"frequency"`` (a row of weight w stands for w rows) or ``"importance"`` (a row of weight w
        has 1/w the variance; only ratios matter).
    levels
        Sums of the categories of many levels, which have no field in z.
    higher
        Sums of third and higher order, where they were asked for.
    notes
        Choices that were made in measuring.
    """

    schema: Schema
    shift: NDArray[np.float64]
    presence: tuple[int, ...]
    packed: NDArray[np.float64]
    squares: NDArray[np.float64]
    rows: NDArray[np.int64]
    squared_weights: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    weighting: str = "none"
    levels: LevelSums = field(default_factory=LevelSums)
    higher: HigherSums | None = None
    notes: tuple[str, ...] = ()

    @staticmethod
    def empty(
        schema: Schema,
        shift: NDArray[np.float64] | None = None,
        *,
        folds: int = 10,
        weighting: str = "none",
        exact: bool = False,
    ) -> Moments:
        """The moments of no rows: the identity of ``+``."""
        p = len(schema.fields)
        return Moments(
            schema=schema,
            shift=np.zeros(p) if shift is None else shift,
            presence=(),
            packed=np.zeros((2 if exact else 1, folds, (p + 1) * (p + 2) // 2)),
            squares=np.zeros((folds, 0, p)),
            rows=np.zeros(folds, dtype=np.int64),
            squared_weights=np.zeros(folds),
            log_weights=np.zeros(folds),
            weighting=weighting,
            levels=LevelSums.empty(schema, folds, p + 1),
        )

    def none(self, weighting: str | None = None) -> Moments:
        """The moments of no rows, seen as these are."""
        bare = Moments.empty(
            self.schema, self.shift, folds=self.folds, weighting=weighting or self.weighting, exact=self.exact
        )
        return bare if self.higher is None else bare.with_order(self.higher.requirement)

    def with_order(self, requirement: Requirement) -> Moments:
        """Room for the sums of higher order that a theory requires, before any row is measured."""
        if requirement.order == 2:
            return replace(self, higher=None)
        return replace(self, higher=HigherSums.empty(requirement, self.schema, self.folds))

    def second_order(self) -> Moments:
        """The same rows without the sums of higher order."""
        return replace(self, higher=None)

    @property
    def order(self) -> int:
        """Highest order of the moments."""
        return 2 if self.higher is None else self.higher.monomials.order

    @property
    def folds(self) -> int:
        """Number of folds K."""
        return len(self.rows)

    @property
    def exact(self) -> bool:
        """Whether the sums are kept in compensated (double-double) arithmetic."""
        return len(self.packed) == 2

    @property
    def sums(self) -> NDArray[np.float64]:
        """Σ w z zᵀ per fold as full matrices (1 or 2, K, q, q), made anew at each call."""
        return storage.unpacked(self.packed, 1 + len(self.presence) + len(self.schema.fields))

    @property
    def weight(self) -> NDArray[np.float64]:
        """Σ w of each fold (K,); without weights its rows."""
        return self.packed[0, :, 0]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the independent fields (p,): the order of `mean` and `covariance`."""
        return tuple(self.schema.fields[i] for i in self.schema.independent)

    @cached_property
    def total(self) -> Estimate:
        """Mean, covariance and counts over all folds."""
        return self._estimate(np.ones(self.folds, dtype=bool))

    def fold(self, k: int) -> Estimate:
        """Mean, covariance and counts of fold ``k`` alone."""
        return self._estimate(np.arange(self.folds) == k)

    def without(self, k: int) -> Estimate:
        """Mean, covariance and counts of all folds but ``k``: the training side of cross-validation."""
        return self._estimate(np.arange(self.folds) != k)

    def some_folds(self, used: NDArray[np.bool_]) -> Moments:
        """The moments of the rows in some folds, kept apart as they are."""
        return replace(
            self,
            packed=self.packed[:, used],
            squares=self.squares[used],
            rows=self.rows[used],
            squared_weights=self.squared_weights[used],
            log_weights=self.log_weights[used],
            levels=self.levels.some_folds(used),
            higher=None if self.higher is None else self.higher.some_folds(used),
        )

    def _estimate(self, used: NDArray[np.bool_]) -> Estimate:
        second = estimate(
            self,
            limbs.total(self.packed if used.all() else self.packed[:, used]),
            self.squares[used].sum(axis=0),
            float(self.squared_weights[used].sum()),
            int(self.rows[used].sum()),
        )
        return second if self.higher is None else replace(second, higher=self.higher.estimate(used))

    @property
    def count(self) -> float:
        """Rows measured; with frequency weights the rows they stand for."""
        return self.total.count

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each field over the rows where it is present (p,)."""
        return self.total.mean

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (p, p) with denominator n - 1, pairwise over the rows where both cells are present."""
        return self.total.pairwise

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Pearson correlation (p, p), pairwise; 0 off the diagonal for a constant field."""
        return self.total.correlation

    def cumulant(self, order: int, *, unbiased: bool = False) -> NDArray[np.float64]:
        """Joint cumulant of the fields, a full symmetric tensor (p,) * order.

        Parameters
        ----------
        order
            From 1 (the mean) to `order`. From the third on, over the rows without a gap.
        unbiased
            The k-statistic, whose expectation is the cumulant, for order 2 to 4; else the cumulant of the rows
            themselves, with denominator n.

        Raises
        ------
        OptionError
            The order was not measured, or has no k-statistic here.
        DataError
            There are too few rows for a k-statistic.

        References
        ----------
        McCullagh, Tensor Methods in Statistics (Chapman and Hall, 1987), chapters 2 and 4.

        Examples
        --------
        >>> import cumulant as cm
        >>> m = cm.measure({"x": [0.0, 0.0, 0.0, 1.0]}, order=3)
        >>> m.cumulant(3)
        array([[[0.09375]]])
        >>> m.cumulant(3, unbiased=True)
        array([[[0.25]]])
        """
        return self.total.cumulant(order, unbiased=unbiased)

    def standard_error(self, order: int, *, unbiased: bool = False) -> NDArray[np.float64]:
        """Standard error of each entry of `cumulant`, by the jackknife that leaves out one fold at a time.

        Raises
        ------
        OptionError
            Fewer than three folds have rows.

        References
        ----------
        Busing, Meijer & van der Leeden, "Delete-m jackknife for unequal m", Statistics and Computing 9 (1999) 3.
        """
        return jackknife(self, lambda e: e.cumulant(order, unbiased=unbiased)).standard_error

    def sampling_covariance(self, order: int, *, unbiased: bool = False) -> pd.DataFrame:
        """Covariance of the distinct entries of `cumulant` by the jackknife, of a rank below the number of folds.

        Raises
        ------
        OptionError
            Fewer than three folds have rows.
        """
        import pandas as pd

        at = complete(len(self.columns), order)
        found = jackknife(self, lambda e: e.cumulant(order, unbiased=unbiased)[tuple(at.T)])
        names = ["·".join(self.columns[i] for i in entry) for entry in at]
        return pd.DataFrame(found.covariance, index=names, columns=names)

    def frame(self, what: str = "covariance") -> pd.DataFrame:
        """``"covariance"``, ``"correlation"`` or ``"pairs"`` (counts) as a labelled pandas frame."""
        import pandas as pd

        if what not in ("covariance", "correlation", "pairs"):
            raise OptionError(f"what={what!r}: choose 'covariance', 'correlation' or 'pairs'")
        values = self.total.pairs if what == "pairs" else getattr(self, what)
        return pd.DataFrame(values, index=list(self.columns), columns=list(self.columns))

    def by_level(self, column: str) -> pd.DataFrame:
        """Rows and means of the fields at each level of a wide category: ``count``, then a column a field.

        Raises
        ------
        OptionError
            The column is no category of many levels.
        """
        import pandas as pd

        at = self.schema.position(column)
        if at not in self.schema.wide:
            raise OptionError(f"column '{column}' is not kept by level: its levels, if it has any, are fields")
        lift = self.schema.wide_lifts()[self.schema.wide.index(at)]
        total = self.levels.sums[self.schema.wide.index(at)].sum(axis=0)
        keep = self.schema.independent
        source = {c: 1 + i for i, c in enumerate(self.presence)}
        mask = [source.get(int(c), 0) for c in self.schema.column_of_field[keep]]
        with np.errstate(invalid="ignore"):
            means = total[:, 1 + len(self.presence) + keep] / total[:, mask] + self.shift[keep]
        index = pd.Index(lift.all_levels, name=column, dtype=object)
        frame = pd.DataFrame(means, index=index, columns=list(self.columns))
        frame.insert(0, "count", total[:, 0])
        return frame

    def update(self, chunk: Any, **options: Any) -> Moments:
        """These moments and the rows of one more chunk, numbered on from the last row.

        The chunk is anything `cumulant.measure` takes.
        """
        from cumulant.measure.measure import measure

        options.setdefault("rows", int(self.rows.sum()))
        return self + measure(chunk, like=self, **options)

    @property
    def _void(self) -> frozenset[str]:
        """Columns without a single cell: their kind is a guess."""
        source = {c: 1 + i for i, c in enumerate(self.presence)}
        weight = storage.diagonal(self.packed[0].sum(axis=0))
        return frozenset(name for i, name in enumerate(self.schema.columns) if not weight[source.get(i, 0)] > 0)

    def shift_in(self, schema: Schema) -> NDArray[np.float64]:
        """The reference point for another schema of the same columns; 0 for fields that are new in it."""
        shift = np.zeros(len(schema.fields))
        where = self.schema.embedding(schema)
        shift[where[where >= 0]] = self.shift[where >= 0]
        return shift

    def embed(self, schema: Schema, shift: NDArray[np.float64], presence: tuple[int, ...]) -> Moments:
        """The same rows seen with other levels, reference point and presence fields."""
        if self.schema == schema and self.presence == presence and np.array_equal(self.shift, shift):
            return self
        t = self._embedding(schema, shift, presence)
        squares = self._squares_in(schema, shift, presence)
        packed = storage.packed(limbs.congruence(t, self.sums))
        levels = embedded(self, schema, t)
        higher = None if self.higher is None else self.higher.embed(self.schema, self.shift, schema, shift)
        return replace(
            self,
            schema=schema,
            shift=shift,
            presence=presence,
            packed=packed,
            squares=squares,
            levels=levels,
            higher=higher,
        )

    def _squares_in(self, schema: Schema, shift: NDArray[np.float64], presence: tuple[int, ...]) -> NDArray[np.float64]:
        """Σ w m x² after `embed`: (x + δ m_x)² = x² + 2δ x + δ² m_x, and a column without gaps is always present."""
        k = len(self.presence)
        source = {c: 1 + i for i, c in enumerate(self.presence)}
        sums = self.sums.sum(axis=0)
        all_rows = np.einsum("kii->ki", sums)[:, None, 1 + k :]
        squares = np.concatenate([all_rows, self.squares], axis=1)
        mask = np.array([source.get(int(c), 0) for c in self.schema.column_of_field], dtype=np.int64)
        where = self.schema.embedding(schema)
        delta = np.where(where >= 0, self.shift - shift[where], 0.0)
        linear, constant = sums[:, : 1 + k, 1 + k :], sums[:, : 1 + k, mask]
        moved = squares + 2 * delta * linear + delta**2 * constant
        out = np.zeros((self.folds, len(presence), len(schema.fields)))
        rows = [source.get(c, 0) for c in presence]
        # Levels that become one are never 1 together, so their squares add like themselves.
        for old, new in enumerate(where):
            if new >= 0:
                out[:, :, new] += moved[:, rows, old]
        return out

    def _embedding(self, schema: Schema, shift: NDArray[np.float64], presence: tuple[int, ...]) -> NDArray[np.float64]:
        k_old, k_new = len(self.presence), len(presence)
        source = {c: 1 + i for i, c in enumerate(self.presence)}
        t = np.zeros((1 + k_new + len(schema.fields), 1 + k_old + len(self.schema.fields)))
        t[0, 0] = 1.0
        for i, column in enumerate(presence):
            t[1 + i, source.get(column, 0)] = 1.0
        # x0 = present · (x − s), so a new reference point s' adds (s − s') times the presence of the field's column.
        for old, new in enumerate(self.schema.embedding(schema)):
            if new < 0:
                continue
            t[1 + k_new + new, 1 + k_old + old] = 1.0
            column = int(self.schema.column_of_field[old])
            t[1 + k_new + new, source.get(column, 0)] += self.shift[old] - shift[new]
        return t

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both."""
        return self._combine(other, 1)

    def __sub__(self, other: Moments) -> Moments:
        """Moments without the rows of ``other``, which must have been measured here.

        The totals are exact whatever the row numbers of ``other``. The folds are too when its rows have the numbers
        they had here (``measure(..., rows=)``); folds that would hold fewer than no rows are merged into one.
        """
        if other.rows.sum() > self.rows.sum():
            raise IncompatibleError(
                f"cannot forget {other.rows.sum():,} rows of {self.rows.sum():,}: subtract only rows that were measured"
            )
        return self._combine(other, -1)._with_possible_folds()

    def _combine(self, other: Moments, sign: int) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        weighting = _common_weighting(self, other)
        if self.folds != other.folds:
            raise IncompatibleError(
                f"one side has {self.folds} folds, the other {other.folds}; measure both with the same folds="
            )
        schema = self.schema.union(other.schema, self._void, other._void)
        presence = tuple(sorted({*self.presence, *other.presence}))
        base = self if self.rows.sum() else other
        shift = base.shift_in(schema)
        a, b = (side.embed(schema, shift, presence) for side in (self._joining(other), other._joining(self)))
        return replace(
            a,
            packed=limbs.combine(a.packed, b.packed, sign),
            squares=a.squares + sign * b.squares,
            rows=a.rows + sign * b.rows,
            squared_weights=a.squared_weights + sign * b.squared_weights,
            log_weights=a.log_weights + sign * b.log_weights,
            weighting=weighting,
            levels=a.levels.combined(b.levels, sign),
            higher=combined(a.higher, b.higher, sign),
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
        )

    def _joining(self, other: Moments) -> Moments:
        """No rows have the moments of any order."""
        if self.rows.any() or not other.rows.any() or other.higher is None:
            return self
        return self.with_order(other.higher.requirement)

    def with_sums_of(self, other: Moments) -> Moments:
        """These moments and the sums and counts of other rows seen the same way, perhaps with fewer gaps.

        Sums by level and of higher order stay those of these moments: rows are added to them as they come.
        """
        seen = other.embed(self.schema, self.shift, self.presence)
        if not self.rows.any() and len(seen.packed) == len(self.packed):
            # Nothing to add to: wide sums are large, and a copy of zeros is one too many.
            return replace(seen, levels=self.levels, higher=self.higher)
        return replace(
            self,
            packed=limbs.combine(self.packed, seen.packed),
            squares=self.squares + seen.squares,
            rows=self.rows + seen.rows,
            squared_weights=self.squared_weights + seen.squared_weights,
            log_weights=self.log_weights + seen.log_weights,
        )

    def _with_possible_folds(self) -> Moments:
        counts = storage.diagonal(self.packed[0])
        tolerance = 1e-9 * np.abs(counts).max(axis=0, initial=0.0)
        if (self.rows >= 0).all() and (counts >= -tolerance).all() and self.levels.possible():
            return self
        import warnings

        warnings.warn(
            "the rows forgotten do not have the row numbers they were measured with, so the folds can no longer be "
            "told apart: they are merged into one and there is no cross-validation; pass rows= to measure the rows "
            "to forget with their original numbers",
            CumulantWarning,
            stacklevel=3,
        )
        return self.merged_folds()

    def merged_folds(self) -> Moments:
        """The same rows in a single fold."""
        return replace(
            self,
            packed=limbs.total(self.packed)[:, None],
            squares=self.squares.sum(axis=0, keepdims=True),
            rows=self.rows.sum(keepdims=True),
            squared_weights=self.squared_weights.sum(keepdims=True),
            log_weights=self.log_weights.sum(keepdims=True),
            levels=self.levels.merged_folds(),
            higher=None if self.higher is None else self.higher.merged_folds(),
        )

    def save(self, path: str | Path) -> None:
        """Write to one file (safetensors), atomically; `cumulant.load` reads it."""
        storage.save(path, "moments", *self.to_state())

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine these moments; the symmetric sums are packed."""
        arrays = {
            "shift": self.shift,
            "sums": self.packed,
            "squares": self.squares,
            "rows": self.rows,
            "squared_weights": self.squared_weights,
            "log_weights": self.log_weights,
            **self.levels.to_state(),
        }
        meta = {
            "schema": self.schema.to_list(),
            "presence": list(self.presence),
            "weighting": self.weighting,
            "notes": list(self.notes),
        }
        if self.higher is not None:
            beside, meta["higher"] = self.higher.to_state()
            arrays |= beside
        return arrays, meta

    @staticmethod
    def from_state(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Moments:
        """The moments that `to_state` described."""
        schema = Schema.from_list(meta["schema"])
        presence = tuple(int(c) for c in meta["presence"])
        return Moments(
            schema,
            arrays["shift"],
            presence,
            arrays["sums"],
            arrays["squares"],
            arrays["rows"],
            arrays["squared_weights"],
            arrays["log_weights"],
            meta["weighting"],
            levels=LevelSums.from_state(arrays, schema),
            higher=None if "higher" not in meta else HigherSums.from_state(arrays, meta["higher"], schema),
            notes=tuple(meta.get("notes", ())),
        )

    def __repr__(self) -> str:
        n = int(self.rows.sum())
        extra = f", order {self.order}" * (self.order > 2) + ", compensated" * self.exact
        size = f"{n:,} rows of {len(self.schema.columns)} columns, {len(self.columns)} fields"
        return f"Moments({size}, {self.folds} folds{extra})"


def _common_weighting(a: Moments, b: Moments) -> str:
    kinds = {m.weighting for m in (a, b) if m.rows.sum()} or {a.weighting}
    if len(kinds) > 1:
        if kinds == {"none", "frequency"}:
            # A row without a weight is a row of frequency one.
            return "frequency"
        raise IncompatibleError(
            f"the weights of the two sides mean different things ({' and '.join(sorted(kinds))}); "
            "measure both with the same weights and weight_kind="
        )
    return kinds.pop()
