"""Cross-validation of richer theories: beside refits on rows by plain least squares, and what needs rows."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import IncompatibleError, OptionError
from cumulant.measure.kernels import fold_of
from cumulant.theory.propagators import RBF

FOLDS = 5


def bent(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    return pd.DataFrame({"a": a, "b": b + 5, "y": a * b + a + 0.3 * rng.normal(size=n)})


def by_refits(frame: pd.DataFrame, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean square and log-likelihood of each fold, by least squares on all monomials."""
    x, y = frame[["a", "b"]].to_numpy(), frame["y"].to_numpy()
    x = x - x.mean(axis=0)
    chosen = [c for d in range(degree + 1) for c in itertools.combinations_with_replacement(range(2), d)]
    design = np.column_stack([x[:, list(c)].prod(axis=1) for c in chosen])
    fold, out = fold_of(np.arange(len(y)), FOLDS), []
    for k in range(FOLDS):
        held = fold == k
        beta, residual, *_ = np.linalg.lstsq(design[~held], y[~held], rcond=None)
        s2 = residual[0] / ((~held).sum() - design.shape[1])
        error = ((y[held] - design[held] @ beta) ** 2).mean()
        out.append((error, -0.5 * (np.log(2 * np.pi * s2) + error / s2)))
    return np.array(out).T


def test_a_mean_that_bends_is_scored_as_refits_would():
    frame = bent()
    model = cm.fit(frame, cm.Taylor(3), target="y", prior=None, folds=FOLDS)
    scores = model.cross_validate()
    error, likelihood = by_refits(frame, 2)
    np.testing.assert_allclose(scores["rmse"][:-1], np.sqrt(error), rtol=1e-8)
    np.testing.assert_allclose(scores["log_likelihood"][:-1], likelihood, rtol=1e-8)
    assert scores["rows"].to_list()[:-1] == np.bincount(fold_of(np.arange(200), FOLDS)).tolist()
    share = scores["rows"][:-1] / 200
    assert scores.loc["all", "rmse"] ** 2 == pytest.approx(share @ error)
    assert scores.loc["all", "r2"] == pytest.approx(1 - share @ error / frame["y"].var(ddof=0))
    # Another column is predicted, and scored, to second order.
    assert model.cross_validate("a").loc["all", "r2"] < 0.9


def test_masses_are_those_of_all_rows():
    frame = bent(60)
    model = cm.fit(frame, cm.Taylor(4), target="y", prior="evidence", folds=FOLDS)
    assert model.prior.mass > 0
    new = bent(4000, seed=1)
    rmse = float(np.sqrt(np.mean((model.predict("y", given=new.drop(columns="y")) - new["y"]) ** 2)))
    assert model.cross_validate().loc["all", "rmse"] == pytest.approx(rmse, rel=0.35)


def test_a_field_is_scored_by_rows_left_out():
    frame = bent(120)
    theory = cm.Field(RBF(), metric="unit", scale="identity", noise="constant", criterion="evidence")
    model = cm.fit(frame, theory, target="y", folds=FOLDS, progress=False)
    scores = model.cross_validate()
    (member,) = model.law.members
    z, noise = member.hyper.mapped(member.rows), member.hyper.noise + 1e-9
    inverse = np.linalg.inv(member.hyper.propagator(z, z) + noise * np.eye(len(z)))
    y = frame["y"].to_numpy()
    residual = (inverse @ (y - y.mean())) / np.diag(inverse)
    fold = fold_of(np.arange(120), FOLDS)
    expected = [np.sqrt((residual[fold == k] ** 2).mean()) for k in range(FOLDS)]
    np.testing.assert_allclose(scores["rmse"][:-1], expected, rtol=1e-3)
    new = bent(2000, seed=1)
    score = float(model.predict("y", given=new.drop(columns="y"), output="density").log_prob(new["y"]).mean())
    assert scores.loc["all", "log_likelihood"] == pytest.approx(score, abs=0.2)


def test_a_fluctuation_needs_rows_for_its_likelihood():
    frame = bent()
    model = cm.fit(frame, cm.Fluctuation(cm.Taylor(3)), target="y", prior=None, folds=FOLDS)
    bare, judged = model.cross_validate(), model.cross_validate(data=frame)
    assert bare["log_likelihood"].isna().all()
    np.testing.assert_allclose(judged["rmse"], bare["rmse"], rtol=1e-6)
    assert judged["log_likelihood"].notna().all()
    with pytest.raises(IncompatibleError, match="not the rows"):
        model.cross_validate(data=frame[:100])


def test_a_polynomial_f_needs_rows():
    rng = np.random.default_rng(3)
    peaks = rng.choice([-1.5, 1.5], size=4000) + 0.5 * rng.normal(size=4000)
    frame = pd.DataFrame({"a": peaks, "b": peaks**2 + rng.normal(size=4000)})
    model = cm.fit(frame, cm.Polynomial(4), folds=3)
    with pytest.raises(IncompatibleError, match="data=table"):
        model.cross_validate("b")
    scores = model.cross_validate("b", data=frame)
    assert scores.loc["all", "rows"] == 4000
    assert scores.loc["all", "r2"] > 0.6
    assert cm.fit(frame, folds=3).cross_validate("b").loc["all", "r2"] < 0.2


def test_what_cannot_be_is_said():
    frame = bent(60)
    frame["big"] = frame["y"] > 0
    with pytest.raises(OptionError, match="probabilities"):
        cm.fit(frame.drop(columns="y"), cm.Field(), target="big", progress=False).cross_validate()
    field = cm.fit(frame.drop(columns="big"), cm.Field(RBF(), metric="unit"), target="y", progress=False)
    with pytest.raises(IncompatibleError, match="conditioned"):
        field.condition({"a": 0.0}).cross_validate("y")
    with pytest.raises(OptionError, match="folds"):
        cm.fit(frame.drop(columns="big"), cm.Taylor(3), target="y", folds=1).cross_validate()
