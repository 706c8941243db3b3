"""Any column from any others: against brute force, least squares and peers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import multivariate_normal

import cumulant as cm
from cumulant.errors import ColumnError, CumulantWarning, DataError, IncompatibleError, OptionError
from helpers import TABLES


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return TABLES["numbers"](np.random.default_rng(0), 300)


@pytest.fixture(scope="module")
def model(table) -> cm.Model:
    return cm.fit(table, prior=None)


@pytest.mark.parametrize("target", ["a", "b", "c"])
@pytest.mark.parametrize("drop", [0, 1])
def test_any_target_from_any_others_is_least_squares(table, model, target, drop):
    others = [name for name in table if name != target][drop:]
    fitted = sm.OLS(table[target], sm.add_constant(table[others])).fit()
    new = table[others].iloc[:20] + 1.0
    np.testing.assert_allclose(model.predict(target, given=new), fitted.predict(sm.add_constant(new)), rtol=1e-10)
    interval = model.predict(target, given=new, output="interval", level=0.8)
    expected = fitted.get_prediction(sm.add_constant(new)).conf_int(obs=True, alpha=0.2)
    np.testing.assert_allclose(interval[["low", "high"]], expected, rtol=1e-9)


def test_missing_cells_of_each_row_are_integrated_out(table, model):
    new = table.iloc[:40].mask(np.random.default_rng(1).random((40, 3)) < 0.4)
    predicted = model.predict("a", given=new)
    for i, (_, row) in enumerate(new.drop(columns="a").iterrows()):
        known = row.dropna().index.tolist()
        design = sm.add_constant(table[known]) if known else np.ones((len(table), 1))
        beta = np.linalg.lstsq(np.asarray(design), table["a"], rcond=None)[0]
        assert predicted[i] == pytest.approx(beta @ [1.0, *row[known]], rel=1e-10)


def test_conditioning_commutes_with_marginalising_and_prediction(table, model):
    given = {"b": 4.0}
    one = model.condition(given).marginal(["a"])
    other = model.marginal(["a", "b"]).condition(given)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-12)
    direct = model.predict("a", given={"b": 4.0}, output="interval")
    through = one.predict("a", output="interval")
    np.testing.assert_allclose(through, direct, rtol=1e-12)
    stepwise = model.condition({"b": 4.0}).condition({"c": 5.0}).predict("a", output="interval")
    np.testing.assert_allclose(stepwise, model.predict("a", given={"b": 4.0, "c": 5.0}, output="interval"), rtol=1e-11)


def test_precision_and_partial_correlations(table, model):
    np.testing.assert_allclose(model.precision, np.linalg.inv(table.cov()), rtol=1e-10)
    partial = model.partial_correlations()
    residual = {
        name: table[name] - sm.OLS(table[name], sm.add_constant(table[["c"]])).fit().fittedvalues for name in "ab"
    }
    assert partial.loc["a", "b"] == pytest.approx(np.corrcoef(residual["a"], residual["b"])[0, 1], rel=1e-9)


def test_couplings_are_the_coefficients_of_f(model):
    rng = np.random.default_rng(2)
    for about in ("mean", "origin"):
        couplings = model.couplings(about=about)

        def f(phi, couplings=couplings, about=about):
            value = dict(zip(model.fields, phi - model.mean if about == "mean" else phi, strict=True))
            return sum(c * np.prod([value[name] for name in names]) for names, c in couplings.items())

        a, b = rng.normal(size=(2, 3)) + model.mean
        action = model.action
        assert f(a) - f(b) == pytest.approx(action.free_energy(a) - action.free_energy(b), rel=1e-8)
    with pytest.raises(OptionError, match="about='here'"):
        model.couplings(about="here")


def test_entropy_and_mutual_information(table, model):
    whole = multivariate_normal(table.mean(), table.cov())
    assert model.entropy() == pytest.approx(whole.entropy(), rel=1e-12)
    parts = model.entropy("a") + model.entropy(["b", "c"]) - model.entropy()
    assert model.mutual_information("a", ["b", "c"]) == pytest.approx(parts, rel=1e-9)
    with pytest.raises(OptionError, match="share the field 'a'"):
        model.mutual_information("a", ["a", "b"])
    awkward = cm.fit(TABLES["awkward"](np.random.default_rng(3), 100), prior=None)
    assert awkward.entropy(["x", "again"]) == -np.inf
    assert awkward.mutual_information("x", "again") == np.inf


def test_log_prob_is_the_gaussian_density(table, model):
    expected = multivariate_normal(table.mean(), table.cov()).logpdf(table)
    np.testing.assert_allclose(model.log_prob(table), expected, rtol=1e-10)
    gaps = table.assign(b=np.nan)
    marginal = multivariate_normal(table[["a", "c"]].mean(), table[["a", "c"]].cov()).logpdf(table[["a", "c"]])
    np.testing.assert_allclose(model.log_prob(gaps), marginal, rtol=1e-10)


def test_samples_have_the_moments(model):
    drawn = model.sample(200_000, seed=1)
    sd = np.sqrt(np.diag(model.covariance))
    np.testing.assert_allclose((drawn.mean() - model.mean) / sd, 0.0, atol=0.01)
    np.testing.assert_allclose(drawn.corr(), model.covariance / np.outer(sd, sd), atol=0.01)
    pd.testing.assert_frame_equal(drawn.iloc[:5], model.sample(200_000, seed=1).iloc[:5])


def test_mixed_tables_round_trip():
    table = TABLES["mixed"](np.random.default_rng(4), 2000)
    model = cm.fit(table)
    drawn = model.sample(20_000, seed=0)
    assert list(drawn.columns) == list(table.columns)
    frequency = drawn["city"].value_counts(normalize=True)
    np.testing.assert_allclose(frequency, table["city"].value_counts(normalize=True)[frequency.index], atol=0.02)
    by_city = drawn.groupby("city")["price"].mean()
    np.testing.assert_allclose(by_city, table.groupby("city")["price"].mean(), atol=3.0)
    assert drawn["built"].dtype.kind == "M"
    assert drawn["lift"].dtype == bool


def test_log_prob_of_a_mixed_row_is_a_density():
    """Probabilities of the levels and the density of the number together integrate to one."""
    rng = np.random.default_rng(5)
    city = rng.choice(["x", "y", "z"], size=500)
    model = cm.fit({"city": city, "v": (city == "x") * 2.0 + rng.normal(size=500)})
    grid = np.linspace(-12, 14, 4001)
    total = 0.0
    for level in "xyz":
        log_p = model.log_prob(pd.DataFrame({"city": level, "v": grid}))
        total += np.trapezoid(np.exp(log_p), grid)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_a_category_is_predicted_by_linear_discriminants():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(6)
    label = rng.integers(0, 3, size=600)
    x = rng.normal(size=(600, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]]) + np.array([[0, 0], [2, 0], [0, 2]])[label]
    table = pd.DataFrame({"u": x[:, 0], "kind": np.array(["p", "q", "r"])[label], "v": x[:, 1]})
    model = cm.fit(table, prior=None)
    peer = LinearDiscriminantAnalysis(solver="lsqr").fit(x, table["kind"])
    unbiased = 600 / 597  # scikit-learn divides the pooled scatter by n, not n less the number of classes
    new = rng.normal(size=(50, 2)) * 2
    score = new @ peer.coef_.T / unbiased
    offset = np.log(peer.priors_) - 0.5 * np.einsum(
        "ki,ki->k", peer.means_, np.linalg.solve(peer.covariance_ * unbiased, peer.means_.T).T
    )
    p = np.exp(score + offset)
    p /= p.sum(axis=1, keepdims=True)
    got = model.predict("kind", given=pd.DataFrame({"u": new[:, 0], "v": new[:, 1]}), output="density")
    assert list(got.columns) == ["p", "q", "r"]
    np.testing.assert_allclose(got, p, rtol=1e-7, atol=1e-12)
    assert model.predict("kind", given={"u": [5.0], "v": [0.0]}).tolist() == ["q"]
    with pytest.raises(OptionError, match="category and has no interval"):
        model.predict("kind", output="interval")


def test_true_and_false_are_predicted_as_a_probability():
    rng = np.random.default_rng(7)
    x = rng.normal(size=1000)
    model = cm.fit({"x": x, "hot": x + rng.normal(size=1000) > 0})
    p = model.predict("hot", given={"x": [-9.0, 0.0, 9.0]})
    assert p[0] < 0.001 < 0.4 < p[1] < 0.6 < 0.999 < p[2]
    assert set(np.unique(model.predict("hot", given={"x": [0.0]}, output="samples", seed=0))) == {False, True}


def test_dates_are_predicted_as_dates():
    days = pd.date_range("2020-01-01", periods=100, freq="D")
    model = cm.fit({"day": days, "level": np.arange(100.0) * 2}, prior=None)
    got = model.predict("day", given={"level": [20.0]})
    assert got[0] == np.datetime64("2020-01-11")
    interval = model.predict("day", given={"level": [20.0]}, output="interval")
    assert interval["low"].dtype.kind == "M"


def test_every_kind_of_output(table, model):
    given = table[["b", "c"]].iloc[:7]
    density = model.predict("a", given=given, output="density")
    np.testing.assert_allclose(density.mean, model.predict("a", given=given))
    low, high = density.interval(0.9)
    np.testing.assert_allclose(density.cdf(high) - density.cdf(low), 0.9)
    np.testing.assert_allclose(density.ppf(density.cdf(low)), low)
    np.testing.assert_allclose(np.log(density.pdf(low)), density.log_prob(low))
    drawn = model.predict("a", given=given, output="samples", draws=4000, seed=3)
    assert drawn.shape == (7, 4000)
    np.testing.assert_allclose(drawn.mean(axis=1), density.mean, atol=0.1 * density.scale.max())
    several = model.predict(["a", "b"], given=given[["c"]])
    assert list(several.columns) == ["a", "b"]
    assert several.index.equals(given.index)
    assert model.predict(["a", "b"], given=given[["c"]], output="interval").shape == (7, 6)
    with pytest.raises(OptionError, match="output='median'"):
        model.predict("a", output="median")
    with pytest.raises(OptionError, match=r"level=1\.5"):
        model.predict("a", output="interval", level=1.5)


def test_nothing_known_is_the_mean(table, model):
    assert model.predict("a")[0] == pytest.approx(table["a"].mean())
    assert model.predict("a", given={"a": [3.0]})[0] == pytest.approx(table["a"].mean())


def test_wrong_names_offer_close_ones(model):
    with pytest.raises(ColumnError, match="no column 'aa'; did you mean 'a'"):
        model.predict("aa")
    with pytest.raises(ColumnError, match="no column 'B'"):
        model.predict("a", given={"B": 1.0})
    with pytest.raises(ColumnError, match="none of the columns q is in the model"):
        model.predict("a", given=pd.DataFrame({"q": [1.0]}))
    with pytest.raises(ColumnError, match="no column 'price'"):
        cm.fit({"x": [1.0, 2.0]}, target="price")
    with pytest.raises(DataError, match="'b' is inf in row 0"):
        model.predict("a", given={"b": np.inf})
    with pytest.raises(OptionError, match="theory='cubic'"):
        cm.fit({"x": [1.0, 2.0]}, theory="cubic")


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_impute_fills_every_cell_with_its_conditional_mean(kind):
    import polars as pl
    import pyarrow as pa

    table = TABLES["mixed_with_gaps"](np.random.default_rng(8), 400)
    model = cm.fit(table)
    given = {
        "pandas": lambda: table,
        "polars": lambda: pl.from_pandas(table),
        "arrow": lambda: pa.Table.from_pandas(table, preserve_index=False),
    }[kind]()
    filled = model.impute(given)
    assert type(filled) is type(given)
    frame = filled if kind == "pandas" else filled.to_pandas()
    assert frame.isna().sum().sum() == 0
    known = table.notna()
    for name in ("price", "rooms"):
        rows = known[name]
        np.testing.assert_array_equal(frame.loc[rows, name].astype(float), table.loc[rows, name].astype(float))
        gaps = table.loc[~rows]
        np.testing.assert_allclose(frame.loc[~rows, name].astype(float), model.predict(name, given=gaps), rtol=1e-12)
    assert set(frame["city"]) <= {"Rome", "Oslo", "Lima", "Pisa"}


def test_awkward_columns_predict_and_say_what_was_done():
    table = TABLES["awkward"](np.random.default_rng(9), 100)
    model = cm.fit(table, prior=None)
    assert any("constant" in note and "one" in note for note in model.notes)
    np.testing.assert_allclose(model.predict("sum", given=table), table["sum"], atol=1e-9)
    np.testing.assert_allclose(model.predict("x", given=table[["one", "again"]]), table["x"], atol=1e-12)
    assert np.isfinite(model.sample(10, seed=0).to_numpy()).all()
    assert np.isfinite(model.log_prob(table)).all()


@pytest.mark.parametrize("prior", ["auto", None, "evidence", "folds", 0.1])
def test_more_columns_than_rows(prior):
    rng = np.random.default_rng(10)
    x = rng.normal(size=(20, 50))
    y = x[:, 0] + 0.1 * rng.normal(size=20)
    table = pd.DataFrame(np.column_stack([x, y]), columns=[*(f"x{i}" for i in range(50)), "y"])
    model = cm.fit(table, target="y", prior=prior)
    predicted = model.predict("y", given=table.drop(columns="y"), output="interval")
    assert np.isfinite(predicted).all().all()
    if prior is None:
        np.testing.assert_allclose(predicted["mean"], y, atol=1e-8)
    if prior == "auto":
        assert model.prior.kind == "evidence"
        assert model.prior.mass > 0


def test_one_row_and_none():
    model = cm.fit({"x": [2.0], "y": [3.0]})
    assert model.predict("y", given={"x": 9.0})[0] == 3.0
    with pytest.raises(DataError, match="no rows"):
        cm.fit(pd.DataFrame({"x": np.zeros(0)}))


def test_a_column_without_a_cell():
    model = cm.fit(pd.DataFrame({"x": [1.0, 2.0, 4.0], "empty": [np.nan] * 3, "y": [2.0, 4.0, 8.0]}))
    assert any("no cell is present in empty" in note for note in model.notes)
    assert np.isfinite(model.predict("y", given={"x": [3.0]})).all()


def test_pairwise_covariance_is_repaired_and_says_so():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6))
    table = pd.DataFrame(x, columns=list("abcdef")).mask(rng.random((60, 6)) < 0.75)
    with pytest.warns(CumulantWarning, match="nearest"):
        model = cm.fit(table)
    assert np.linalg.eigvalsh(model.covariance)[0] > 0
    np.testing.assert_allclose(np.diag(model.covariance), table.var(), rtol=1e-10)


def test_gaps_among_near_copies_do_not_explode():
    """Errors of pairs measured on different rows must cancel between columns that are nearly the same."""
    rng = np.random.default_rng(13)
    common = rng.normal(size=(3000, 1))
    x = common + 0.1 * rng.normal(size=(3000, 4))
    table = pd.DataFrame(x, columns=list("abcd")).mask(rng.random((3000, 4)) < 0.1)
    table["y"] = x.sum(axis=1) + rng.normal(size=3000)
    model, complete = cm.fit(table, target="y"), cm.fit(table, target="y", missing="drop")
    new = pd.DataFrame(common[:50] + 0.1 * rng.normal(size=(50, 4)), columns=list("abcd"))
    error, expected = (np.abs(m.predict("y", given=new) - new.sum(axis=1)).mean() for m in (model, complete))
    assert error < 2 * expected


def test_the_demo_table_with_gaps_agrees_with_its_complete_rows():
    import cumulant.data

    integrated = cm.fit(cumulant.data.nyc_flights(), target="arr_delay").summary().table
    complete = cm.fit(cumulant.data.nyc_flights(), target="arr_delay", missing="drop").summary().table
    for term in ("dep_delay", "air_time", "distance"):
        difference = abs(integrated.loc[term, "coefficient"] - complete.loc[term, "coefficient"])
        assert difference < 2 * complete.loc[term, "se"]


def test_a_repaired_covariance_does_not_predict_with_false_confidence():
    import cumulant.data

    complete = pd.read_csv(cumulant.data.nyc_flights()).dropna().select_dtypes("number")
    hidden = complete.mask(np.random.default_rng(2).random(complete.shape) < 0.1)
    with pytest.warns(CumulantWarning, match="nearest"):
        model = cm.fit(hidden, target="arr_delay")
    interval = model.predict("arr_delay", given=complete.drop(columns="arr_delay"), output="interval")
    error = complete["arr_delay"] - interval["mean"]
    assert np.sqrt((error**2).mean()) < 18
    assert interval["low"].le(complete["arr_delay"]).mul(interval["high"].ge(complete["arr_delay"])).mean() > 0.85


@pytest.mark.parametrize("mass", [0.05, 0.5])
def test_conditioning_commutes_under_a_prior_too(table, mass):
    model = cm.fit(table, prior=mass)
    direct = model.predict("a", given={"b": 4.0, "c": 5.0}, output="interval")
    stepwise = model.condition({"b": 4.0}).condition({"c": 5.0}).predict("a", output="interval")
    np.testing.assert_allclose(stepwise, direct, rtol=1e-11)
    joined = model.condition({"c": 5.0}).predict("a", given={"b": 4.0}, output="interval")
    np.testing.assert_allclose(joined, direct, rtol=1e-11)


def test_intervals_under_a_prior_cover_what_they_say():
    rng = np.random.default_rng(14)
    inside, total = 0, 0
    for _ in range(20):
        beta = rng.normal(size=30) / 3
        x = rng.normal(size=(160, 30))
        y = x @ beta + rng.normal(size=160)
        model = cm.fit(np.column_stack([x[:60], y[:60]]), target="x30", prior="evidence")
        interval = model.predict("x30", given=x[60:], output="interval", level=0.9)
        inside += ((interval["low"] <= y[60:]) & (y[60:] <= interval["high"])).sum()
        total += 100
    assert 0.86 < inside / total < 0.94


def test_several_targets_share_a_prior(table):
    model = cm.fit(table, target=["a", "b"], prior="evidence")
    assert model.target is None
    assert model.prior.kind == "evidence"
    with pytest.raises(OptionError, match="name a target"):
        model.summary()


def test_far_from_zero_keeps_its_digits():
    rng = np.random.default_rng(12)
    x = rng.normal(size=1000)
    y = 2 * x + 0.5 * rng.normal(size=1000)
    near, far = cm.fit({"x": x, "y": y}), cm.fit({"x": x + 1e8, "y": y - 1e7})
    np.testing.assert_allclose(far.precision, near.precision, rtol=1e-6)


def test_saved_models_come_back_whole(tmp_path, table, model):
    path = tmp_path / "m.cumulant"
    model.save(path)
    again = cm.load(path)
    np.testing.assert_array_equal(again.predict("a", given=table), model.predict("a", given=table))
    assert again.prior.reason == model.prior.reason
    assert again.moments is not None
    model.save(path, moments=False)
    bare = cm.load(path)
    with pytest.raises(IncompatibleError, match="without its moments"):
        bare.merge(model)


def test_merging_and_forgetting_models(table):
    first, second = cm.fit(table.iloc[:200], target="a"), cm.fit(table.iloc[200:], target="a")
    whole = cm.fit(table, target="a")
    merged = first.merge(second)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-10)
    left = merged.forget(table.iloc[200:])
    np.testing.assert_allclose(left.covariance, first.covariance, rtol=1e-9)
    assert left.target == "a"
    assert left.moments is not None
    assert left.moments.rows.tolist() == first.moments.rows.tolist()


def test_a_prior_of_given_mass_is_ridge(table):
    from sklearn.linear_model import Ridge

    mass = 0.3
    model = cm.fit(table, prior=mass)
    x, y = table[["b", "c"]], table["a"]
    scaled = (x - x.mean()) / x.std()
    peer = Ridge(alpha=mass * (len(x) - 1)).fit(scaled, y)
    np.testing.assert_allclose(model.predict("a", given=x), peer.predict(scaled), rtol=1e-9)
    with pytest.raises(OptionError, match="prior=-1"):
        cm.fit(table, prior=-1)
    with pytest.raises(OptionError, match="prior='strong'"):
        cm.fit(table, prior="strong")


def test_compensated_models_agree_and_survive_files(tmp_path):
    x = np.linspace(1, 2, 200)
    powers = pd.DataFrame({f"x{k}": x**k for k in range(1, 8)})
    beta = np.arange(1.0, 8.0)
    table = powers.assign(y=powers.to_numpy() @ beta)
    with pytest.warns(CumulantWarning, match="compensated"):
        model = cm.fit(table, prior=None)
    assert model.gaussian.low is not None
    path = tmp_path / "m.cumulant"
    model.save(path)
    again = cm.load(path)
    np.testing.assert_array_equal(again.predict("y", given=powers), model.predict("y", given=powers))
    np.testing.assert_allclose(model.predict("y", given=powers), table["y"], rtol=1e-12)
