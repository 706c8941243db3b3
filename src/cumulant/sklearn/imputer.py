"""Gaps filled with expected values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from cumulant.sklearn.base import OfFeatures, is_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class FreeEnergyImputer(OneToOneFeatureMixin, TransformerMixin, OfFeatures):  # type: ignore[misc]
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
        if is_frame(rows):
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
