"""When two measurements of the same rows count as the same."""

from __future__ import annotations

import numpy as np

import cumulant as cm


def same_moments(one: cm.Moments, other: cm.Moments) -> None:
    """The same rows, seen the same way: to 1e-12 of the size of each field, in all folds."""
    assert other.schema.fields == one.schema.fields
    assert other.weighting == one.weighting
    assert other.exact == one.exact
    np.testing.assert_array_equal(other.rows, one.rows)
    for a, b in zip(one.levels.sums, other.levels.sums, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12 * np.abs(a).max(initial=0.0))
    for a, b in zip(one.levels.crossings, other.levels.crossings, strict=True):
        np.testing.assert_array_equal(b.cells, a.cells)
    for a, b in [(one.total, other.total), *((one.fold(k), other.fold(k)) for k in range(one.folds))]:
        np.testing.assert_allclose(b.pairs, a.pairs, rtol=1e-12)
        size = np.sqrt(np.abs(np.diag(a.pairwise)))
        np.testing.assert_allclose(b.mean, a.mean, rtol=1e-12, atol=1e-12 * size.max(initial=0.0))
        np.testing.assert_allclose(b.pairwise, a.pairwise, rtol=1e-12, atol=1e-12 * (size.max(initial=0.0) ** 2))
