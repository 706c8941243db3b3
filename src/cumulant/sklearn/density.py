"""The joint density of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from cumulant.sklearn.base import OfFeatures

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


class FreeEnergyDensity(DensityMixin, OfFeatures):  # type: ignore[misc]
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
