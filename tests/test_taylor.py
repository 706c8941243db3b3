"""Polynomial means from moments: held to least squares on the monomials themselves, and to rows that are integrated."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures

import cumulant as cm
from cumulant.data import nyc_flights
from cumulant.errors import DataError, OptionError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def bent(rng) -> pd.DataFrame:
    x = rng.normal(size=(400, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 1.0, 0.2], [0.0, 0.0, 2.0]]) + [5.0, -3.0, 100.0]
    y = 1 + x[:, 0] + 0.5 * (x[:, 0] - 5) * (x[:, 1] + 3) - 0.2 * (x[:, 2] - 100) ** 2 + rng.normal(size=400)
    return pd.DataFrame({"a": x[:, 0], "y": y, "b": x[:, 1], "c": x[:, 2]})


def design(table: pd.DataFrame, degree: int) -> np.ndarray:
    x = table[["a", "b", "c"]].to_numpy()
    return PolynomialFeatures(degree).fit_transform((x - x.mean(axis=0)) / x.std(axis=0))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_without_a_prior_it_is_least_squares_on_monomials(bent, order):
    model = cm.fit(bent, cm.Taylor(order), target="y", prior=None)
    x = design(bent, order - 1)
    beta, *_ = np.linalg.lstsq(x, bent["y"], rcond=None)
    assert np.allclose(model.predict("y", given=bent), x @ beta, atol=1e-7)
    rest = len(bent) - x.shape[1]
    s = np.sqrt(((bent["y"] - x @ beta) ** 2).sum() / rest)
    leverage = np.einsum("ni,ij,nj->n", x, np.linalg.inv(x.T @ x), x)
    density = model.predict("y", given=bent, output="density")
    assert np.allclose(density.scale, s * np.sqrt(1 + leverage), rtol=1e-7)
    assert np.allclose(density.degrees_of_freedom, rest)


def test_a_given_mass_is_a_ridge_on_standardised_monomials(bent):
    model = cm.fit(bent, cm.Taylor(3), target="y", prior=0.1)
    u = (bent[["a", "b", "c"]] - bent[["a", "b", "c"]].mean()) / bent[["a", "b", "c"]].std()
    x = PolynomialFeatures(2, include_bias=False).fit_transform(u)
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    ridge = Ridge(alpha=0.1 * (len(bent) - 1)).fit(x, bent["y"])
    assert np.allclose(model.predict("y", given=bent), ridge.predict(x), atol=1e-7)


def test_the_degree_is_found_and_said(bent):
    model = cm.fit(bent, cm.Taylor(), target="y")
    assert any(note.startswith("degree 2 of the mean") for note in model.notes)
    straight = bent.assign(y=bent["a"] - bent["b"] + np.random.default_rng(0).normal(size=len(bent)))
    assert any(note.startswith("degree 1 of the mean") for note in cm.fit(straight, cm.Taylor(), target="y").notes)


def test_held_out_scores_are_those_of_refitted_folds(bent):
    """The likelihood of a fold left out, from moments, against rows that are fitted and predicted."""
    from cumulant.measure.kernels import fold_of
    from cumulant.solve.expansion import Expansion, held_out, recentred

    m = recentred(cm.measure(bent, order=4))
    expansion = Expansion.of(m, np.array([m.columns.index("y")]), 2)
    score = held_out(m, expansion, expansion.solve(m, None, (1.0,))[0])
    fold = fold_of(np.arange(len(bent)), m.folds)
    total = 0.0
    for k in range(m.folds):
        x, left = design(bent, 2)[fold != k], design(bent, 2)[fold == k]
        beta, *_ = np.linalg.lstsq(x, bent["y"][fold != k], rcond=None)
        variance = ((bent["y"][fold != k] - x @ beta) ** 2).sum() / (len(x) - x.shape[1])
        error = bent["y"][fold == k] - left @ beta
        total += (-0.5 * np.log(2 * np.pi * variance) - 0.5 * error**2 / variance).sum()
    assert score == pytest.approx(total / len(bent), rel=1e-6)


def test_any_column_of_the_same_moments_can_be_the_target(bent):
    m = cm.measure(bent, order=4)
    for target in bent.columns:
        model = cm.solve(m, cm.Taylor(3), target=target)
        alone = cm.fit(bent, cm.Taylor(3), target=target)
        assert np.allclose(model.predict(target, given=bent), alone.predict(target, given=bent))


def test_unknown_inputs_are_integrated_out(bent):
    """E[y | a] and its spread, with b and c drawn from the Gaussian law given a."""
    model = cm.fit(bent, cm.Taylor(3), target="y", prior=None)
    given = {"a": [4.0, 6.5]}
    density = model.predict("y", given=given, output="density")
    rng = np.random.default_rng(1)
    for i, a in enumerate(given["a"]):
        rest = cm.fit(bent[["a", "b", "c"]], prior=None).condition({"a": a})
        draws = rng.multivariate_normal(rest.mean, rest.covariance, size=40_000)
        y = model.predict(
            "y", given={"a": np.full(len(draws), a), "b": draws[:, 0], "c": draws[:, 1]}, output="density"
        )
        spread = np.sqrt((y.scale**2).mean() + y.mean.var())
        assert density.mean[i] == pytest.approx(y.mean.mean(), abs=0.05 * spread)
        assert density.scale[i] == pytest.approx(spread, rel=0.1)


def test_condition_and_marginal_are_models(bent):
    model = cm.fit(bent, cm.Taylor(3), target="y", prior=None)
    fixed = model.condition({"a": 6.0})
    assert fixed.columns == ("y", "b", "c")
    together = model.predict("y", given={"a": 6.0, "b": -2.0, "c": 101.0})
    assert fixed.predict("y", given={"b": -2.0, "c": 101.0}) == pytest.approx(together)
    assert model.marginal(["y", "a"]).predict("y", given={"a": 6.0}) == pytest.approx(
        model.predict("y", given={"a": 6.0})
    )
    others = model.condition({"y": 2.0})
    assert isinstance(others.gaussian.mean, np.ndarray)
    assert others.columns == ("a", "b", "c")


def test_couplings_are_the_coefficients_of_f(bent):
    model = cm.fit(bent, cm.Taylor(3), target="y", prior=None)
    f = model.couplings(about="origin")

    def energy(row):
        return sum(v * np.prod([row[name] for name in key]) for key, v in f.items())

    rows = bent.iloc[:6]
    energies = np.array([energy(row) for _, row in rows.iterrows()])
    x = cm.fit(bent[["a", "b", "c"]], prior=None)
    eta = rows[["a", "b", "c"]].to_numpy() - x.mean
    y_bar = model.predict("y", given=rows)
    sigma2 = model.law.residual_variance
    expected = 0.5 * np.einsum("ni,ij,nj->n", eta, x.precision, eta) + 0.5 * (rows["y"] - y_bar) ** 2 / sigma2
    assert np.allclose(np.diff(energies), np.diff(expected), atol=1e-5)
    about_mean = model.couplings()
    assert max(len(key) for key in about_mean) == 4
    assert about_mean["a", "a", "b", "b"] > 0


def test_saved_and_loaded_it_says_the_same(bent, tmp_path):
    model = cm.fit(bent, cm.Taylor(4), target="y").condition({"b": -3.5})
    model.save(tmp_path / "bent.cumulant")
    again = cm.load(tmp_path / "bent.cumulant")
    rows = bent[["a", "c"]]
    assert np.allclose(again.predict("y", given=rows), model.predict("y", given=rows), rtol=1e-12)
    assert again.law.covariance == pytest.approx(model.law.covariance)


def test_summary_names_the_terms(bent):
    model = cm.fit(bent, cm.Taylor(3), target="y", prior=None)
    table = model.summary().table
    pairs = ["·".join(p) if p[0] != p[1] else f"{p[0]}²" for p in combinations_with_replacement("abc", 2)]
    assert list(table.index) == ["const", "a", "b", "c", *pairs]
    assert abs(table.loc["a·b", "coefficient"] - 0.5) < 4 * table.loc["a·b", "se"]
    assert abs(table.loc["c²", "coefficient"] + 0.2) < 4 * table.loc["c²", "se"]
    import statsmodels.api as sm

    shift = model.law.lifted.reference
    u = bent[["a", "b", "c"]] - shift[[0, 2, 3]]
    x = PolynomialFeatures(2).fit_transform(u)
    ols = sm.OLS(bent["y"].to_numpy(), x).fit()
    assert np.allclose(table["coefficient"], ols.params, rtol=1e-6)
    assert np.allclose(table["se"], ols.bse, rtol=1e-6)
    assert model.summary("a").table.index.tolist() == ["const", "y", "b", "c"]


def test_categories_and_gaps_on_a_real_table():
    model = cm.fit(
        nyc_flights(), cm.Taylor(3), target="arr_delay", columns=["arr_delay", "dep_delay", "distance", "origin"]
    )
    factors = model.law.lifted.factors
    names = [[model.fields[f] for f in row if f >= 0] for row in factors]
    assert not any(len(n) == 2 and n[0].startswith("origin") and n[1].startswith("origin") for n in names)
    assert any("no gap" in note for note in model.notes)
    late = model.predict("arr_delay", given={"dep_delay": [0, 60], "origin": "JFK"})
    assert late[1] - late[0] > 45
    assert model.predict("origin", given={"distance": 1000}, output="density").to_numpy().sum() == pytest.approx(1)
    assert model.sample(5, seed=1).shape == (5, 4)
    assert np.isfinite(model.log_prob({"arr_delay": [5.0], "dep_delay": [3.0], "origin": ["LGA"]})).all()
    filled = model.impute({"arr_delay": [np.nan, 3.0], "dep_delay": [30.0, np.nan]})
    assert np.isfinite(np.array(list(filled["arr_delay"]), dtype=float)).all()


def test_far_from_zero_digits_survive(rng):
    x = 1e8 + rng.normal(size=300)
    y = (x - 1e8) ** 2 + 0.1 * rng.normal(size=300)
    model = cm.fit({"x": x, "y": y}, cm.Taylor(3), target="y", prior=None)
    assert abs(model.summary().table.loc["x²", "coefficient"] - 1) < 0.05


def test_awkward_columns_leave_an_answer(rng):
    x = rng.normal(size=60)
    table = pd.DataFrame({"x": x, "again": x, "one": 1.0, "flag": rng.random(60) < 0.5, "y": x**2})
    model = cm.fit(table, cm.Taylor(3), target="y")
    assert np.allclose(model.predict("y", given=table), table["y"], atol=0.05)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_fewer_rows_than_terms_are_warned_of(rows, rng):
    table = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "y"])
    with pytest.warns(cm.CumulantWarning, match="parameters are determined by"):
        model = cm.fit(table, cm.Taylor(3), target="y", prior=1e-3)
    assert np.isfinite(model.predict("y", given=table)).all()


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda t: cm.Taylor(7), OptionError, "order=7"),
        (lambda t: cm.fit(t, cm.Taylor(3)), OptionError, "name one, target="),
        (
            lambda t: cm.fit(t.assign(g=np.where(t["a"] > 5, "x", "z")), cm.Taylor(3), target="g"),
            OptionError,
            "no column of numbers",
        ),
        (lambda t: cm.fit(t, cm.Taylor(3), target="y", prior="folds"), OptionError, "prior='folds'"),
        (lambda t: cm.fit(t, cm.Taylor(3), target="y", prior=-1), OptionError, "not negative"),
        (lambda t: cm.solve(cm.measure(t), cm.Taylor(3), target="y"), DataError, "measure with order=4"),
        (lambda t: cm.fit(t).expanded(), OptionError, "only a model of cm.Taylor"),
        (lambda t: cm.fit(t, cm.Taylor(3), target="y").condition({"a": 5.0}).summary(), OptionError, "that was fitted"),
        (lambda t: cm.fit(t, cm.Taylor(3), target="y").marginal(["y", "a"]).couplings(), OptionError, "polynomial of"),
    ],
)
def test_mistakes_are_named(bent, call, error, what):
    with pytest.raises(error, match=what):
        call(bent)


def test_merged_and_forgotten_it_is_the_same_theory(bent, tmp_path):
    whole = cm.fit(bent, cm.Taylor(3), target="y", prior=None)
    parts = [cm.fit(bent[a:b], cm.Taylor(3), target="y", prior=None) for a, b in ((0, 150), (150, 400))]
    parts[1].save(tmp_path / "part.cumulant")
    merged = parts[0].merge(cm.load(tmp_path / "part.cumulant"))
    assert np.allclose(merged.predict("y", given=bent), whole.predict("y", given=bent))
    assert np.allclose(whole.forget(bent[150:]).predict("y", given=bent), parts[0].predict("y", given=bent), atol=1e-6)
    assert merged.theory == cm.Taylor(3)
    fluctuating = cm.fit(bent, cm.Fluctuation(cm.Taylor(3)), target="y")
    with pytest.raises(ValueError, match="fit again"):
        fluctuating.merge(fluctuating)
    fluctuating.save(tmp_path / "f.cumulant")
    assert cm.load(tmp_path / "f.cumulant").theory == cm.Fluctuation(cm.Taylor(3))


def test_what_is_not_asked_for_stays_affordable(rng):
    table = pd.DataFrame(rng.normal(size=(300, 60)), columns=[f"x{i}" for i in range(60)])
    model = cm.fit(table, cm.Taylor(), target="x0")
    assert model.moments.order == 2
    assert "ask for an order" in model.notes[-1]
    assert cm.fit(table.iloc[:, :4], cm.Taylor(), target="x0").moments.order == 10


def test_moments_of_a_lower_order_leave_fewer_degrees(bent):
    model = cm.solve(cm.measure(bent, order=4), cm.Taylor(), target="y")
    assert any("degrees up to 2" in note for note in model.notes)
