"""Regression read off the free energy of features and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from cumulant.errors import OptionError
from cumulant.sklearn.base import FreeEnergy, finite_targets, free_names
from cumulant.solve.auto import theory_of
from cumulant.solve.linear import conditional
from cumulant.source import Table
from cumulant.theory import Auto, Field, Fluctuation, Gaussian, Polynomial, Taylor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cumulant.solve.law import Candidate

    Array = NDArray[np.float64]


class FreeEnergyRegressor(RegressorMixin, FreeEnergy):  # type: ignore[misc]
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
        takes the one under which held-out folds are most likely. Above 2 each of several targets is by itself.
    loops : None or int, default=None
        With ``theory="polynomial"``: couplings by diagrams of up to 0, 1 or 2 loops, for weak couplings, instead of by
        equations that hold at any strength.
    budget : None or float, default=None
        Seconds in which ``theory="auto"`` looks beyond order 2 for what left-out samples are most likely under.
    density : "gaussian" or "fluctuating", default="gaussian"
        Whether the spread about the mean is the same everywhere and Gaussian, or has a strength that may vary and a
        shape of its own. The latter looks at samples a second time, so it cannot be fitted in pieces.
    theory : "auto", "field", "polynomial" or a theory, default="auto"
        The ansatz for the free energy: the one that ``order`` and ``density`` describe, or that `budget` leaves time to
        find; a `cumulant.Field` or `cumulant.Polynomial` with its defaults; or any other. A field is conditioned on
        samples, so it cannot be fitted in pieces.

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
    candidates_ : tuple of Candidate
        With `budget`, what was tried: `name`, `log_likelihood`, `cpu_seconds`, `why`.
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
    _samples: int | None = None

    def __init__(
        self,
        *,
        prior: str | float | None = "auto",
        missing: str = "integrate",
        folds: int = 10,
        weight_kind: str = "frequency",
        order: int | str = 2,
        density: str = "gaussian",
        theory: Any = "auto",
        loops: int | None = None,
        budget: float | None = None,
    ) -> None:
        self.prior = prior
        self.missing = missing
        self.folds = folds
        self.weight_kind = weight_kind
        self.order = order
        self.density = density
        self.theory = theory
        self.loops = loops
        self.budget = budget

    def _theory(self) -> Any:
        if self.density not in ("gaussian", "fluctuating"):
            raise OptionError(f"density={self.density!r}: choose 'gaussian' or 'fluctuating'")
        if self.loops is not None and self.theory != "polynomial":
            raise OptionError(f"loops={self.loops!r} is for theory='polynomial'; leave it out")
        if self.budget is not None and (self.theory != "auto" or self.order != 2 or self.density != "gaussian"):
            raise OptionError(f"budget={self.budget!r} is for theory='auto' without order= and density=; leave one out")
        if not isinstance(self.theory, str):
            return theory_of(self.theory)
        if self.theory == "field":
            return Field()
        if self.theory == "polynomial":
            return Polynomial(4, self.loops)
        if self.theory != "auto":
            raise OptionError(
                f"theory={self.theory!r}: choose 'auto', 'field', 'polynomial', or a theory as cm.Taylor(3)"
            )
        if self.budget is not None:
            return Auto(self.budget, self._samples)
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
        self._solved(table if self._theory().requires().rows else None)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Add more samples; in any number of pieces the same as `fit` on all at once. Parameters as in `fit`."""
        if self._theory().requires().rows:
            option = "density='fluctuating'" if self.density == "fluctuating" else f"theory={self.theory!r}"
            raise OptionError(f"{option} looks at the samples twice; use fit, or a theory that moments are enough for")
        self._fit(X, y, sample_weight, first=not hasattr(self, "moments_"))
        return self

    def _fit(self, X: Any, y: Any, sample_weight: ArrayLike | None, *, first: bool) -> Table:
        rows = self._rows(X, reset=first)
        self._samples = rows.shape[0]
        values = finite_targets(y, rows, np.float64)
        columns = values.reshape(len(values), -1)
        names = free_names(y, columns.shape[1], self._feature_names()) if first else self.target_names_
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
            scale of its Student t distribution, or the standard deviation of another.

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
        spread = [d.scale if hasattr(d, "scale") else d.sd for d in densities]
        return self._shaped([d.mean for d in densities]), self._shaped(spread)

    def _shaped(self, columns: Sequence[Array]) -> Array:
        return columns[0] if self._one_target else np.stack(columns, axis=1)

    @property
    def candidates_(self) -> tuple[Candidate, ...]:
        """What was tried in the time of `budget`."""
        return self.model_.candidates

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
