"""Estimators with scikit-learn's interface: fitting measures and solves, predicting asks the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from cumulant.errors import DataError, MissingDependencyError, OptionError
from cumulant.lift import Categorical, Numeric
from cumulant.lift.columns import as_text
from cumulant.measure import Moments, measure
from cumulant.model import Model, solve
from cumulant.solve.linear import conditional
from cumulant.source import Table, open_table
from cumulant.theory import Fluctuation, Gaussian, Taylor

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        DensityMixin,
        OneToOneFeatureMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils import check_array, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
except ImportError as error:
    raise MissingDependencyError(
        "the estimators need scikit-learn 1.6 or newer: pip install 'cumulant[sklearn]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cumulant.lift.schema import LiftSpec

    Array = NDArray[np.float64]

__all__ = ["FreeEnergyClassifier", "FreeEnergyDensity", "FreeEnergyImputer", "FreeEnergyRegressor"]


class _FreeEnergy(BaseEstimator):  # type: ignore[misc]
    """Rows in, moments and model out; what the four estimators share."""

    moments_: Moments
    n_samples_seen_: int
    n_features_in_: int
    _model: Model | None
    _target: str | None

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
        if not _is_frame(X):
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
        table = open_table(rows) if _is_frame(rows) else open_table(rows, columns=names)
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


class FreeEnergyRegressor(RegressorMixin, _FreeEnergy):  # type: ignore[misc]
    """Regression read off the free energy of features and targets: one pass over the rows, no loss, no descent.

    Without a prior this is ordinary least squares; a prior of mass α is ridge regression on standardised features
    with penalty n·α. Missing cells are integrated out, in fitting and in predicting.

    Parameters
    ----------
    prior : "auto", None, "evidence", "folds" or float, default="auto"
        Mass that draws couplings to zero: none where rows are plenty and else by the evidence, none, by the
        evidence ln Z, by the held-out likelihood of the folds, or the mass itself. With several targets it is chosen
        for the joint distribution of all columns.
    missing : "integrate", "drop" or "error", default="integrate"
        What to do with NaN when fitting: measure each pair of columns where both are present, leave out the row, or
        refuse. When predicting, a missing feature is integrated out, unless this is ``"error"``.
    folds : int, default=10
        Number of sets of moments kept, for the prior by folds and for ``model_.cross_validate()``.
    weight_kind : "frequency" or "importance", default="frequency"
        Whether a sample of weight w stands for w equal samples, or has variance proportional to 1/w.
    order : int or "auto", default=2
        Order of the free energy: with 2 the mean is linear, with k up to 6 a polynomial of degree k − 1; ``"auto"``
        takes the one under which held-out folds are most likely. Above 2 for one target only.
    density : "gaussian" or "fluctuating", default="gaussian"
        Whether the spread about the mean is the same everywhere and Gaussian, or has a strength that may vary and a
        shape of its own. The latter looks at samples a second time, so it cannot be fitted in pieces.

    Attributes
    ----------
    coef_ : ndarray of shape (n_fields,) or (n_targets, n_fields)
        Coefficients of the features; a category has one per level but its first (`coef_names_`).
    coef_names_ : list of str
        Names of the fields that `coef_` belongs to: the features, where all are numbers.
    intercept_ : float or ndarray of shape (n_targets,)
        Prediction where every field is 0.
    model_ : Model
        The fitted free energy, which predicts any column from any others; `target_names_` are the targets in it.
    moments_ : Moments
        The sums it was solved from; they add.
    target_names_ : list of str
        Names of the targets in `model_` and `moments_`.
    n_samples_seen_ : int
        Samples fitted to, over all calls of `partial_fit`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X is a frame.

    Examples
    --------
    >>> import numpy as np
    >>> from cumulant.sklearn import FreeEnergyRegressor
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
    >>> regressor = FreeEnergyRegressor(prior=None).fit(X, X @ [2.0, -1.0] + 3.0)
    >>> regressor.coef_
    array([ 2., -1.])
    >>> regressor.predict([[1.0, 1.0], [1.0, np.nan]])
    array([4. , 4.1])

    A frame may have columns of text, which are lifted to one field per level:

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"rooms": [2, 3, 3, 4], "city": ["Graz", "Lund", "Graz", "Lund"]})
    >>> regressor = FreeEnergyRegressor(prior=None).fit(frame, [5.0, 7.0, 6.0, 8.0])
    >>> regressor.coef_names_, regressor.coef_
    (['rooms', 'city=Lund'], array([1., 1.]))
    """

    target_names_: list[str]

    def __init__(
        self,
        *,
        prior: str | float | None = "auto",
        missing: str = "integrate",
        folds: int = 10,
        weight_kind: str = "frequency",
        order: int | str = 2,
        density: str = "gaussian",
    ) -> None:
        self.prior = prior
        self.missing = missing
        self.folds = folds
        self.weight_kind = weight_kind
        self.order = order
        self.density = density

    def _theory(self) -> Any:
        if self.density not in ("gaussian", "fluctuating"):
            raise OptionError(f"density={self.density!r}: choose 'gaussian' or 'fluctuating'")
        if self.density == "fluctuating":
            return Fluctuation(Taylor(self.order))
        return Gaussian() if self.order == 2 else Taylor(self.order)

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Measure X and y in one pass and solve.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            A pandas, polars or Arrow frame may have columns of text, categories, booleans and dates. NaN is a
            missing cell.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, finite.
        sample_weight : array-like of shape (n_samples,), optional
            See `weight_kind`.

        Returns
        -------
        self

        Raises
        ------
        DataError, OptionError, ValueError
            A cell cannot be measured, or shapes or options are wrong; the message names which.
        """
        table = self._fit(X, y, sample_weight, first=True)
        self._solved(table if self.density == "fluctuating" else None)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Add more samples; in any number of pieces the same as `fit` on all at once. Parameters as in `fit`."""
        if self.density == "fluctuating":
            raise OptionError("density='fluctuating' looks at the samples twice; use fit, or density='gaussian'")
        self._fit(X, y, sample_weight, first=not hasattr(self, "moments_"))
        return self

    def _fit(self, X: Any, y: Any, sample_weight: ArrayLike | None, *, first: bool) -> Table:
        rows = self._rows(X, reset=first)
        values = _finite_targets(y, rows, np.float64)
        columns = values.reshape(len(values), -1)
        names = _free_names(y, columns.shape[1], self._feature_names()) if first else self.target_names_
        if len(names) != columns.shape[1]:
            raise OptionError(f"y has {columns.shape[1]} targets, earlier pieces had {len(names)}; give the same ones")
        beside = {name: pa.array(np.ascontiguousarray(columns[:, i])) for i, name in enumerate(names)}
        table = self._learn(rows, beside, sample_weight, first=first)
        if first:
            self.target_names_ = names
            self._one_target = values.ndim == 1
        return table

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected value of the targets; features that are missing in a row are integrated out.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Features.
        return_std : bool, default=False
            Also return the standard error of a new observation: residual and coefficient uncertainty together, the
            scale of its Student t distribution, or the standard deviation of a quartic one.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Expected values.
        std : ndarray of the same shape
            Only with ``return_std``.
        """
        check_is_fitted(self)
        table = self._table(self._rows(X))
        if not return_std:
            means = self.model_.predict(self.target_names_, table)
            return self._shaped([means[name].to_numpy(np.float64) for name in self.target_names_])
        densities = self.model_.predict(self.target_names_, table, output="density").values()
        return self._shaped([d.mean for d in densities]), self._shaped([d.scale for d in densities])

    def _shaped(self, columns: Sequence[Array]) -> Array:
        return columns[0] if self._one_target else np.stack(columns, axis=1)

    @property
    def coef_names_(self) -> list[str]:
        """Names of the fields that `coef_` belongs to."""
        check_is_fitted(self)
        return [name for name in self.model_.fields if name not in self.target_names_]

    @property
    def coef_(self) -> Array:
        """Coefficients, (n_fields,) or (n_targets, n_fields); 0 for a field that others determine.

        Of the linear mean, also where ``order`` lets it bend: ``model_.summary()`` has the terms of a polynomial.
        """
        coefficients = self._coefficients()
        return coefficients[:, 0] if self._one_target else coefficients.T

    @property
    def intercept_(self) -> Any:
        """Prediction where every field is 0: a number, or (n_targets,)."""
        coefficients, mean, p = self._coefficients(), self.model_.mean, len(self.coef_names_)
        intercepts = mean[p:] - mean[:p] @ coefficients
        return float(intercepts[0]) if self._one_target else intercepts

    def _coefficients(self) -> Array:
        # The targets come after the features.
        p, fields = len(self.coef_names_), np.arange(len(self.model_.fields))
        g = self.model_.gaussian
        return conditional(g.covariance, fields[:p], fields[p:], g.low).coefficients

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class FreeEnergyClassifier(ClassifierMixin, _FreeEnergy):  # type: ignore[misc]
    """Classification read off the free energy of features and classes: linear discriminant analysis in closed form.

    All classes share one propagator, which the joint second moments already hold. Missing cells are integrated out.

    Parameters
    ----------
    prior, missing, folds, weight_kind
        As in `FreeEnergyRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    model_ : Model
        The fitted free energy, which predicts any column from any others; `target_name_` is the class in it.
    moments_ : Moments
        The sums it was solved from; they add.
    target_name_ : str
        Name of the class in `model_` and `moments_`.
    n_samples_seen_, n_features_in_, feature_names_in_
        As in `FreeEnergyRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from cumulant.sklearn import FreeEnergyClassifier
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    >>> y = ["cold", "cold", "cold", "warm", "warm", "warm"]
    >>> classifier = FreeEnergyClassifier(prior=None).fit(X, y)
    >>> classifier.predict([[0.5], [4.5]])
    array(['cold', 'warm'], dtype='<U4')
    >>> classifier.predict_proba([[2.5], [np.nan]])
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """

    classes_: NDArray[Any]
    target_name_: str

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Measure X and y in one pass and solve; parameters as in `FreeEnergyRegressor.fit`, y holds class labels."""
        self._fit(X, y, None, sample_weight, first=True)._solved()
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add more samples; in any number of pieces the same as `fit` on all at once.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (n_classes,)
            All labels that will ever come; required on the first call.
        """
        first = not hasattr(self, "moments_")
        if first and classes is None:
            raise OptionError("classes= must be passed on the first call to partial_fit: every label that will come")
        if not first and classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise OptionError(f"classes={classes!r} is not what the first call to partial_fit had: {self.classes_!r}")
        return self._fit(X, y, classes, sample_weight, first=first)

    def _fit(self, X: Any, y: Any, classes: ArrayLike | None, sample_weight: ArrayLike | None, *, first: bool) -> Self:
        rows = self._rows(X, reset=first)
        labels = column_or_1d(_finite_targets(y, rows, None), warn=True)
        _refuse_missing(labels)
        check_classification_targets(labels)
        known = unique_labels(labels if classes is None else classes) if first else self.classes_
        strange = np.setdiff1d(labels, known)
        if len(strange):
            raise DataError(f"y holds the label {strange[0]!r}, which is not among the classes {known!r}")
        name = _free_names(y, 1, self._feature_names())[0] if first else self.target_name_
        levels = as_text(pa.array(known))
        codes = pa.array(np.searchsorted(known, labels), type=pa.int32())
        lift = Categorical(name, tuple(sorted(levels.to_pylist())))
        beside = {name: pa.DictionaryArray.from_arrays(codes, levels)}
        self._learn(rows, beside, sample_weight, first=first, lifts={name: lift})
        self.classes_, self.target_name_ = known, name
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, (n_samples, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        frame = self.model_.predict(self.target_name_, self._table(self._rows(X)), output="density")
        return np.asarray(frame[as_text(pa.array(self.classes_)).to_pylist()].to_numpy())

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable class of each sample, (n_samples,)."""
        most_probable = np.argmax(self.predict_proba(X), axis=1)
        return np.asarray(self.classes_[most_probable])


class _OfFeatures(_FreeEnergy):
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


class FreeEnergyImputer(OneToOneFeatureMixin, TransformerMixin, _OfFeatures):  # type: ignore[misc]
    """Fill missing cells by their expected value given all that is present in the row.

    A missing cell is NaN (or null, in a frame). Every feature is kept; one without any value is filled with 0.

    Parameters
    ----------
    prior, folds, weight_kind
        As in `FreeEnergyRegressor`.
    missing : "integrate" or "drop", default="integrate"
        Whether incomplete rows help to fit.

    Attributes
    ----------
    model_, moments_, n_samples_seen_, n_features_in_, feature_names_in_
        As in `FreeEnergyRegressor`; the model is of the features alone.

    Examples
    --------
    >>> import numpy as np
    >>> from cumulant.sklearn import FreeEnergyImputer
    >>> X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [4.0, 8.0]])
    >>> FreeEnergyImputer(prior=None).fit(X).transform([[10.0, np.nan], [np.nan, 10.0]])
    array([[10., 20.],
           [ 5., 10.]])
    """

    def transform(self, X: Any) -> Any:
        """X with every missing cell filled.

        Returns
        -------
        ndarray of shape (n_samples, n_features), or frame
            A frame with columns that are not numbers comes back as a frame of its own kind, a category filled with
            its most probable level; anything else as an array, unless `set_output` says otherwise.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        if _is_frame(rows):
            if self._all_numbers():
                return self.model_.impute(self._table(rows)).to_numpy(np.float64)
            return self.model_.impute(rows if hasattr(self, "feature_names_in_") else self._table(rows))
        out = rows.copy()
        incomplete = np.isnan(rows).any(axis=1)
        if incomplete.any():
            out[incomplete] = self.model_.impute(self._table(rows[incomplete])).to_numpy(rows.dtype)
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class FreeEnergyDensity(DensityMixin, _OfFeatures):  # type: ignore[misc]
    """The joint distribution of all features, exp(−F)/Z.

    Parameters
    ----------
    prior, missing, folds, weight_kind
        As in `FreeEnergyRegressor`.

    Attributes
    ----------
    model_, moments_, n_samples_seen_, n_features_in_, feature_names_in_
        As in `FreeEnergyRegressor`; the model is of the features alone.

    Examples
    --------
    >>> import numpy as np
    >>> from cumulant.sklearn import FreeEnergyDensity
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> density = FreeEnergyDensity().fit(X)
    >>> bool(density.score_samples([[0.0, 0.0]]) > density.score_samples([[3.0, 3.0]]))
    True
    >>> density.sample(3, random_state=0).shape
    (3, 2)
    """

    def score_samples(self, X: Any) -> Array:
        """Log density of each sample in nats, (n_samples,); missing cells are integrated out."""
        check_is_fitted(self)
        return self.model_.log_prob(self._table(self._rows(X)))

    def score(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean log density of the samples, in nats."""
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        return float(np.average(self.score_samples(X), weights=weights))

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Any:
        """Random samples: an array (n_samples, n_features), or a pandas frame where a feature is not a number."""
        check_is_fitted(self)
        seed = check_random_state(random_state).randint(2**31 - 1)
        drawn = self.model_.sample(n_samples, seed=seed)
        return drawn.to_numpy() if self._all_numbers() else drawn


def _is_frame(X: Any) -> bool:
    """Whether X is a table of named, typed columns (pandas, polars, Arrow)."""
    return hasattr(X, "__arrow_c_stream__") and len(getattr(X, "shape", ())) == 2


def _finite_targets(y: Any, rows: Any, dtype: Any) -> NDArray[Any]:
    if y is None:
        raise OptionError("This estimator requires y to be passed, but the target y is None.")
    values = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    check_consistent_length(rows, values)
    return np.asarray(values)


def _refuse_missing(labels: NDArray[Any]) -> None:
    if labels.dtype != object:
        return
    import pandas as pd

    absent = np.flatnonzero(pd.isna(labels))
    if len(absent):
        raise DataError(
            f"y has no label in row {absent[0]}; leave out rows without one, or give them a label of their own"
        )


def _free_names(y: Any, count: int, taken: Sequence[str]) -> list[str]:
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
