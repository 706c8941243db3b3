"""More fields than rows: what the n × n side gives is what the p × p side gives, and what scikit-learn does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cumulant as cm
from cumulant.solve import lowrank, predictive
from cumulant.solve import prior as priors


def rows(n: int, p: int, seed: int = 0) -> pd.DataFrame:
    """Correlated columns of different units, a duplicate, a constant, and one that others explain in part."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p)) / np.sqrt(p)) * np.logspace(-3, 3, p)
    table = pd.DataFrame(x, columns=[f"x{i}" for i in range(p)])
    table["again"], table["one"] = table["x0"], 7.0
    table["y"] = x[:, :5] @ (1 / np.logspace(-3, 3, p)[:5]) + rng.normal(size=n)
    return table


@pytest.fixture
def by_fields(monkeypatch):
    """The p × p way, whatever pays."""
    return lambda: monkeypatch.setattr(lowrank, "pays", lambda *_: False)


def test_the_root_has_the_rank_of_the_rows_and_gives_the_covariance_back():
    table = rows(12, 40)
    c = np.cov(table.to_numpy().T)
    root = lowrank.root_of(c)
    assert root.shape == (43, 11)
    sd = np.sqrt(np.maximum(np.diag(c), 1e-300))
    assert_allclose(root @ root.T / sd[:, None] / sd, c / sd[:, None] / sd, atol=1e-12)


@pytest.mark.parametrize("mass", [1e-6, 0.03, 5.0])
def test_few_rows_give_the_ridge_of_scikit_learn(mass):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    n, p = 15, 60
    table = rows(n, p).drop(columns="one")
    x, y = table.drop(columns="y"), table["y"]
    unit = (x - x.mean()) / x.std()
    theirs = linear_model.Ridge(alpha=mass * (n - 1), solver="svd").fit(unit, y)
    model = cm.fit(table, target="y", prior=mass)
    ours = model.summary().table["coefficient"]
    assert model.law.fields.root is not None
    assert_allclose(ours[list(x)] * x.std(), theirs.coef_, rtol=1e-8, atol=1e-10 * np.abs(theirs.coef_).max())
    new = rows(6, p, seed=1).drop(columns="one")
    assert_allclose(model.predict("y", given=new), theirs.predict((new[list(x)] - x.mean()) / x.std()), rtol=1e-7)


@pytest.mark.parametrize("prior", ["evidence", 1e-4, 0.5])
@pytest.mark.parametrize("target", ["y", None])
def test_both_sides_agree(prior, target, by_fields):
    table, new = rows(20, 70), rows(7, 70, seed=2)
    new.loc[2, "x3"] = np.nan

    def figures() -> dict[str, np.ndarray]:
        model = cm.fit(table, target=target, prior=prior)
        summary = model.summary("y")
        interval = model.predict("y", given=new, output="interval").to_numpy()
        rest = model.condition({f"x{i}": float(new[f"x{i}"][0]) for i in range(40)})
        return {
            "mass": np.array(model.prior.mass),
            "curve": model.prior.curve - model.prior.curve[-1:],
            "table": summary.table.loc[summary.table.index != "one"].to_numpy(),
            "figures": np.array([summary.df_resid, summary.residual_sd, summary.r_squared, summary.log_likelihood]),
            "condition": np.array(summary.condition_number),
            "interval": interval,
            "given": rest.predict("y", given=new),
        }

    few = figures()
    by_fields()
    many = figures()
    for name, value in many.items():
        assert_allclose(
            few[name], value, rtol=1e-5, atol=1e-6 * np.abs(np.nan_to_num(value)).max(initial=1e-300), err_msg=name
        )


def test_the_factor_of_few_rows_is_that_of_the_whole_covariance():
    table = rows(9, 30)
    c = np.cov(table.to_numpy().T)
    observed, targets = np.arange(31), np.array([32])
    fields = predictive.Fields(np.zeros(33), priors.shrink(c, 0.2), None, 9.0, 8.0, 0.2, c)
    given = fields.given(observed, targets)
    assert isinstance(given.observed, lowrank.LowRankFactor)
    whole = np.linalg.inv(priors.shrink(c, 0.2)[np.ix_(observed, observed)])
    scale = np.sqrt(np.outer(np.diag(whole), np.diag(whole)))
    assert_allclose(given.observed.inverse() / scale, whole / scale, atol=1e-9)
    assert_allclose(given.observed.inverse_diagonal(), np.diag(whole), rtol=1e-9)
    white = given.observed.whiten(np.eye(31))
    assert_allclose(white @ white.T / scale, whole / scale, atol=1e-9)
    lower = given.observed.lower / given.observed.scale[:, None]
    assert_allclose(np.linalg.inv(lower @ lower.T) / scale, whole / scale, atol=1e-9)


def test_fields_that_were_conditioned_on_have_no_root():
    model = cm.fit(rows(9, 30), target="y", prior=0.1)
    assert model.law.fields.root is not None
    assert model.condition({"x0": 1.0}).law.fields.root is None
    assert cm.fit(rows(9, 30), target="y", prior=None).law.fields.root is None
    assert cm.fit(rows(90, 30), target="y", prior=0.1).law.fields.root is None
