"""What the estimators share: rows in, moments and model out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from cumulant.errors import DataError, OptionError
from cumulant.lift import Numeric
from cumulant.measure import Moments, measure
from cumulant.model import Model, solve
from cumulant.source import Table, open_table
from cumulant.theory import Field, Fluctuation, Gaussian, Taylor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cumulant.lift.schema import LiftSpec

    Array = NDArray[np.float64]


class FreeEnergy(BaseEstimator):  # type: ignore[misc]
    """Rows in, moments and model out; what the four estimators share."""

    moments_: Moments
    n_samples_seen_: int
    n_features_in_: int
    _model: Model | None
    _target: str | list[str] | None

    def __init__(
        self,
        *,
        prior: str | float | None = "auto",
        missing: str = "integrate",
        folds: int = 10,
        weight_kind: str = "frequency",
    ) -> None:
        self.prior = prior
        self.missing = missing
        self.folds = folds
        self.weight_kind = weight_kind

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "error"
        return tags

    def _rows(self, X: Any, *, reset: bool = False) -> Any:
        """``X`` checked: a frame as it came, anything else as an array (n, features) of floats."""
        if not is_frame(X):
            finite = True if self.missing == "error" else "allow-nan"
            return validate_data(self, X, reset=reset, dtype=(np.float64, np.float32), ensure_all_finite=finite)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if not len(X) or not self.n_features_in_:
            what = "sample" if self.n_features_in_ else "feature"
            raise DataError(f"Found a frame with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is required.")
        return X

    def _table(self, rows: Any, beside: Mapping[str, pa.Array] | None = None) -> Table:
        """Checked rows under the names of the features, with further columns beside them."""
        names = self._feature_names()
        table = open_table(rows) if is_frame(rows) else open_table(rows, columns=names)
        beside = beside or {}
        kinds = [field.type for field in table.schema] + [values.type for values in beside.values()]
        schema = pa.schema(list(zip([*names, *beside], kinds, strict=True)))
        passes = table.open

        def joined() -> Iterator[pa.RecordBatch]:
            start = 0
            for batch in passes():
                more = (values.slice(start, batch.num_rows) for values in beside.values())
                yield pa.RecordBatch.from_arrays([*batch.columns, *more], schema=schema)
                start += batch.num_rows

        arrays = table.arrays
        if arrays is not None:
            floats = all(pa.types.is_float64(values.type) and not values.null_count for values in beside.values())
            arrays = (*arrays, *(values.to_numpy() for values in beside.values())) if floats else None
        # Rows are numbered as they come, so that a frame's index cannot tell one pass from several.
        return replace(table, schema=schema, open=joined, row_numbers=None, arrays=arrays, database=None)

    def _feature_names(self) -> list[str]:
        if hasattr(self, "feature_names_in_"):
            return [str(name) for name in self.feature_names_in_]
        return [f"x{i}" for i in range(self.n_features_in_)]

    def _learn(
        self,
        rows: Any,
        beside: Mapping[str, pa.Array],
        sample_weight: ArrayLike | None,
        *,
        first: bool,
        lifts: Mapping[str, LiftSpec] | None = None,
    ) -> Table:
        seen = 0 if first else self.n_samples_seen_
        weights = self._weights(sample_weight, rows)
        if first and weights is not None and not weights.any():
            raise DataError("every sample_weight is zero, so no row is left; at least one weight must be positive")
        table = self._table(rows, beside)
        m = measure(
            table,
            folds=self.folds,
            missing=self.missing,
            lifts=lifts if first else None,
            weights=weights,
            weight_kind=self.weight_kind,
            rows=seen,
            like=None if first else self.moments_,
            progress=False,
            requirement=self._theory().requires(),
        )
        self.moments_ = m if first else self.moments_ + m
        self.n_samples_seen_ = seen + rows.shape[0]
        self._target = next(iter(beside)) if len(beside) == 1 else None
        if len(beside) > 1 and isinstance(self._theory(), (Field, Fluctuation, Taylor)):
            self._target = list(beside)
        self._model = None
        return table

    @property
    def model_(self) -> Model:
        """The fitted free energy. Pieces only add to the sums; it is solved when it is next asked for."""
        check_is_fitted(self)
        return self._solved() if self._model is None else self._model

    def _solved(self, rows: Table | None = None) -> Model:
        self._model = model = solve(self.moments_, self._theory(), prior=self.prior, target=self._target, rows=rows)
        return model

    def _theory(self) -> Any:
        return Gaussian()

    def _fit_rows(self, X: Any, sample_weight: ArrayLike | None, *, first: bool) -> Self:
        self._learn(self._rows(X, reset=first), {}, sample_weight, first=first)
        return self

    def _weights(self, sample_weight: ArrayLike | None, rows: Any) -> Array | None:
        if sample_weight is None:
            return np.ones(rows.shape[0]) if self.weight_kind == "importance" else None
        w = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
        if w.ndim != 1:
            raise OptionError(f"sample_weight has shape {w.shape}; give one weight a sample, (n_samples,)")
        check_consistent_length(rows, w)
        return np.asarray(w)

    def _all_numbers(self) -> bool:
        return all(isinstance(lift, Numeric) for lift in self.model_.schema.lifts)


class OfFeatures(FreeEnergy):
    """What the estimators without a target share."""

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Measure X in one pass and solve; X and sample_weight as in `FreeEnergyRegressor.fit`."""
        self._fit_rows(X, sample_weight, first=True)._solved()
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Add more samples; in any number of pieces the same as `fit` on all at once."""
        return self._fit_rows(X, sample_weight, first=not hasattr(self, "moments_"))


def is_frame(X: Any) -> bool:
    """Whether X is a table of named, typed columns (pandas, polars, Arrow)."""
    return hasattr(X, "__arrow_c_stream__") and len(getattr(X, "shape", ())) == 2


def finite_targets(y: Any, rows: Any, dtype: Any) -> NDArray[Any]:
    """The targets checked: finite, one a row."""
    if y is None:
        raise OptionError("This estimator requires y to be passed, but the target y is None.")
    values = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    check_consistent_length(rows, values)
    return np.asarray(values)


def refuse_missing(labels: NDArray[Any]) -> None:
    """Raise if a label is missing."""
    if labels.dtype != object:
        return
    import pandas as pd

    absent = np.flatnonzero(pd.isna(labels))
    if len(absent):
        raise DataError(
            f"y has no label in row {absent[0]}; leave out rows without one, or give them a label of their own"
        )


def free_names(y: Any, count: int, taken: Sequence[str]) -> list[str]:
    """Names of the targets in the model: their own where they have some, and none that a feature has."""
    own = list(getattr(y, "columns", ()) if count > 1 else [getattr(y, "name", None)])
    if len(own) != count or not all(isinstance(name, str) and name for name in own):
        own = ["y"] if count == 1 else [f"y{i}" for i in range(count)]
    names: list[str] = []
    for name in own:
        while name in taken or name in names:
            name += "_"
        names.append(name)
    return names
