"""Sampling errors of couplings, against tables drawn again and again and against the theory of normal errors."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant as cm
from cumulant.errors import OptionError


def gaussian(n: int, seed: int) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    return {"x": x[:, 0], "y": x[:, 1] + 3.0}


def test_errors_of_a_precision_are_those_of_the_wishart_law():
    """Var K_ij = (K_ii K_jj + K_ij²)/n for large n (Anderson, Multivariate Statistical Analysis, 2003, section 3.4)."""
    model = cm.fit(gaussian(20_000, 0), prior=None, folds=200)
    table = model.coupling_table()
    K = np.linalg.inv([[1.0, 0.6], [0.6, 1.0]])
    expected = {
        "x·x": K[0, 0] / np.sqrt(2 * 20_000),
        "y·y": K[1, 1] / np.sqrt(2 * 20_000),
        "x·y": np.sqrt((K[0, 0] * K[1, 1] + K[0, 1] ** 2) / 20_000),
    }
    for term, se in expected.items():
        assert table.loc[term, "se"] == pytest.approx(se, rel=0.2), term
    assert list(table["coefficient"]) == list(model.couplings().values())
    assert (table["q"] >= table["p"]).all()
    assert (table["q"] < 1e-6).all()


def test_errors_of_a_bent_mean_are_the_spread_over_tables():
    def table(seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=800)
        return {"x": x, "y": 0.5 * x + 0.4 * x**2 + rng.normal(size=800)}

    models = [cm.fit(table(s), cm.Taylor(3), target="y", prior=None) for s in range(60)]
    spread = np.std([m.couplings()["x", "x", "y"] for m in models], ddof=1)
    mean = np.mean([m.coupling_table().loc["x·x·y", "se"] for m in models[:20]])
    assert mean == pytest.approx(spread, rel=0.25)


def test_a_polynomial_keeps_the_errors_of_its_equations():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30_000, 2))
    keep = rng.random(30_000) < np.exp(-0.1 * (x**4).sum(axis=1))
    model = cm.fit({"x": x[keep, 0], "y": x[keep, 1]}, cm.Polynomial(4))
    table = model.coupling_table()
    for term in ("x·x·x·x", "y·y·y·y"):
        assert abs(table.loc[term, "coefficient"] - 0.1) < 4 * table.loc[term, "se"], term
        assert table.loc[term, "q"] < 0.05


def test_what_has_no_folds_has_no_errors():
    with pytest.raises(OptionError, match="folds=10"):
        cm.fit(gaussian(50, 2), folds=1).coupling_table()
    with pytest.raises(OptionError, match="does not hold"):
        cm.fit(gaussian(50, 3)).condition({"x": 0.0}).coupling_table()


def test_ugly_tables_have_a_table():
    few = cm.fit({"x": [1.0, 2.0, 4.0, 3.0, 5.0], "one": np.ones(5)}, folds=3).coupling_table()
    assert "x·x" in few.index
