"""Classification read off the free energy of features and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted

from cumulant.errors import DataError, OptionError
from cumulant.lift import Categorical
from cumulant.lift.columns import as_text
from cumulant.sklearn.base import FreeEnergy, finite_targets, free_names, refuse_missing
from cumulant.theory import Auto, Field, Gaussian

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cumulant.solve.law import Candidate
    from cumulant.source import Table

    Array = NDArray[np.float64]


class FreeEnergyClassifier(ClassifierMixin, FreeEnergy):  # type: ignore[misc]
    """Classification read off the free energy of features and classes, in closed form.

    To second order all classes share one propagator, which the joint moments already hold: linear discriminant
    analysis. Beyond it each class is a field on function space. Missing cells are integrated out.

    Parameters
    ----------
    theory : "auto", "field" or a theory, default="auto"
        ``"auto"`` is `Gaussian`, or what `budget` leaves time to choose; ``"field"`` the same as ``cm.Field()``:
        classes that bend, several propagators mixed by the likelihood of samples left out. It looks at the samples
        themselves, so `partial_fit` cannot have it.
    prior, missing, folds, weight_kind
        As in `FreeEnergyRegressor`.
    budget : None or float, default=None
        Seconds in which ``theory="auto"`` climbs from order 2 to a field, if samples left out are likelier under it.

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
    candidates_ : tuple of Candidate
        With `budget`, what was tried: `name`, `log_likelihood`, `cpu_seconds`, `why`.
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

    def __init__(
        self,
        *,
        theory: Any = "auto",
        prior: Any = "auto",
        missing: str = "integrate",
        folds: int = 10,
        weight_kind: str = "frequency",
        budget: float | None = None,
    ) -> None:
        self.theory = theory
        self.prior = prior
        self.missing = missing
        self.folds = folds
        self.weight_kind = weight_kind
        self.budget = budget

    def _theory(self) -> Any:
        if self.budget is not None:
            if self.theory != "auto":
                raise OptionError(f"budget={self.budget!r} is for theory='auto'; leave one of them out")
            return Auto(self.budget)
        if isinstance(self.theory, (Field, Gaussian)):
            return self.theory
        if self.theory not in ("auto", "field"):
            raise OptionError(f"theory={self.theory!r}: choose 'auto', 'field', or cm.Field(…)")
        return Field() if self.theory == "field" else Gaussian()

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Measure X and y in one pass and solve; parameters as in `FreeEnergyRegressor.fit`, y holds class labels."""
        table = self._fit(X, y, None, sample_weight, first=True)
        self._solved(table if self._theory().requires().rows else None)
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
        if self._theory().requires().rows:
            raise OptionError("theory='field' and budget= look at the samples themselves; use fit, or theory='auto'")
        first = not hasattr(self, "moments_")
        if first and classes is None:
            raise OptionError("classes= must be passed on the first call to partial_fit: every label that will come")
        if not first and classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise OptionError(f"classes={classes!r} is not what the first call to partial_fit had: {self.classes_!r}")
        self._fit(X, y, classes, sample_weight, first=first)
        return self

    def _fit(self, X: Any, y: Any, classes: ArrayLike | None, sample_weight: ArrayLike | None, *, first: bool) -> Table:
        rows = self._rows(X, reset=first)
        labels = column_or_1d(finite_targets(y, rows, None), warn=True)
        refuse_missing(labels)
        check_classification_targets(labels)
        known = unique_labels(labels if classes is None else classes) if first else self.classes_
        strange = np.setdiff1d(labels, known)
        if len(strange):
            raise DataError(f"y holds the label {strange[0]!r}, which is not among the classes {known!r}")
        name = free_names(y, 1, self._feature_names())[0] if first else self.target_name_
        levels = as_text(pa.array(known))
        codes = pa.array(np.searchsorted(known, labels), type=pa.int32())
        lift = Categorical(name, tuple(sorted(levels.to_pylist())))
        beside = {name: pa.DictionaryArray.from_arrays(codes, levels)}
        table = self._learn(rows, beside, sample_weight, first=first, lifts={name: lift})
        self.classes_, self.target_name_ = known, name
        return table

    @property
    def candidates_(self) -> tuple[Candidate, ...]:
        """What was tried in the time of `budget`."""
        return self.model_.candidates

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, (n_samples, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        frame = self.model_.predict(self.target_name_, self._table(self._rows(X)), output="density")
        return np.asarray(frame[as_text(pa.array(self.classes_)).to_pylist()].to_numpy())

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable class of each sample, (n_samples,)."""
        most_probable = np.argmax(self.predict_proba(X), axis=1)
        return np.asarray(self.classes_[most_probable])
