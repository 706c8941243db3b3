"""The free field: beside scikit-learn, brute force and differences; whole models; and bad input."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import Cli
from cumulant.errors import CumulantError, DataError, OptionError
from cumulant.solve.field.bend import Bend
from cumulant.solve.field.conditioning import condition
from cumulant.solve.field.density import Component, Mixed, stacked
from cumulant.solve.field.evidence import _Search, adapted, parts_of, started
from cumulant.solve.field.scale import Scale
from cumulant.solve.shapes import StudentT
from cumulant.theory.propagators import RBF, Laplace, Linear, Matern

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] + 0.1 * RNG.normal(size=40)


def waves(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(n, 3))
    y = np.sin(3 * x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=n)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


# ------------------------------------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("ours", [RBF(0.9), Matern(1.5, 1.2)])
def test_mean_variance_and_evidence_are_those_of_scikit_learn(ours):
    gp = pytest.importorskip("sklearn.gaussian_process")
    kernels = gp.kernels
    same = kernels.RBF(0.9) if isinstance(ours, RBF) else kernels.Matern(1.2, nu=1.5)
    known = condition(ours(X, X), np.full(40, 0.03), Y)
    # The amplitude that we integrate is put into theirs.
    s = known.amplitude
    theirs = gp.GaussianProcessRegressor(kernels.ConstantKernel(s) * same, alpha=0.03 * s, optimizer=None).fit(X, Y)
    assert known.evidence == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-8)
    new = np.random.default_rng(1).normal(size=(9, 3))
    mean, spread = theirs.predict(new, return_std=True)
    cross = ours(new, X)
    np.testing.assert_allclose(cross @ known.dual, mean, atol=1e-8)
    variance = s * (ours.diagonal(new) - np.einsum("ij,jk,ik->i", cross, known.inverse, cross))
    np.testing.assert_allclose(variance, spread**2, atol=1e-8)


def test_left_out_rows_are_those_of_brute_force():
    noise, kernel = np.linspace(0.02, 0.2, 40), Matern(2.5)
    known = condition(kernel(X, X), noise.copy(), Y)
    residual, variance = known.left_out
    for i in range(0, 40, 7):
        rest = np.arange(40) != i
        matrix = kernel(X[rest], X[rest]) + np.diag(noise[rest])
        cross = kernel(X[i : i + 1], X[rest])[0]
        mean = cross @ np.linalg.solve(matrix, Y[rest])
        spread = 1 + noise[i] - cross @ np.linalg.solve(matrix, cross)
        assert residual[i] == pytest.approx(Y[i] - mean, rel=1e-8)
        assert variance[i] == pytest.approx(known.amplitude * spread, rel=1e-8)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("criterion", ["evidence", "left out"])
def test_gradient_of_the_evidence_is_that_of_differences(each, criterion):
    parts = parts_of(Matern(2.5) + Linear() + Laplace(2.0))
    start = replace(started(parts, 3), metric=np.array([0.5, 0.8, 0.3]))
    search = _Search(X, Y, np.linspace(0.5, 2, 40), 0.1 * RNG.normal(size=40), start, each, criterion)
    at = search.flat(start) + 0.1
    _, gradient = search(at)
    for i in range(len(at)):
        step = np.zeros(len(at))
        step[i] = 1e-5
        slope = (search(at + step)[0] - search(at - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_evidence_finds_which_inputs_matter():
    table = waves(200).to_numpy()
    x, y = table[:, :3] / table[:, :3].std(axis=0), table[:, 3] / table[:, 3].std()
    found, _ = adapted(x, y, np.ones(200), np.zeros(200), started((RBF(),), 3), 40, each=True)
    assert found.metric[2] < 0.2 * found.metric[:2].min()


# ------------------------------------------------------------------------------------------------ scales and mixtures


@pytest.mark.parametrize("kind", ["identity", "log", "power"])
def test_scale_and_its_inverse_and_slope(kind):
    y = np.exp(RNG.normal(size=200)) * 3
    scale = Scale.of(y, kind)
    z = scale.forward(y)
    assert abs(z.mean()) < 1e-9
    assert z.std() == pytest.approx(1)
    np.testing.assert_allclose(scale.inverse(z), y, rtol=1e-9)
    numeric = (scale.forward(y + 1e-6) - scale.forward(y - 1e-6)) / 2e-6
    np.testing.assert_allclose(np.exp(scale.log_slope(y)), numeric, rtol=1e-4)


def test_mixture_is_a_distribution():
    y = np.exp(RNG.normal(size=300))
    two = tuple(
        Component(w, np.array([m]), np.array([s]), shape, Scale.of(y, kind))
        for w, m, s, shape, kind in [
            (0.3, 0.5, 0.4, StudentT(np.inf, 1.0), "log"),
            (0.7, 0.1, 0.2, StudentT(5.0, 1.0), "identity"),
        ]
    )
    mixed = Mixed("y", two)
    grid = np.linspace(-20, 80, 400_001)
    density = np.array([np.exp(mixed.log_prob(v))[0] for v in grid[::200]])
    assert np.trapezoid(density, grid[::200]) == pytest.approx(1, abs=2e-3)
    assert mixed.cdf(mixed.ppf(0.3))[0] == pytest.approx(0.3, abs=1e-9)
    draws = mixed.sample(200_000, seed=1)[0]
    assert draws.mean() == pytest.approx(mixed.mean[0], rel=0.02)
    assert (draws < mixed.ppf(0.8)[0]).mean() == pytest.approx(0.8, abs=0.01)


def test_stacking_maximises_the_likelihood_of_left_out_rows():
    logs = RNG.normal(size=(50, 3))
    weights = stacked(logs)

    def score(w):
        return np.log(np.exp(logs) @ w).mean()

    others = RNG.dirichlet(np.ones(3), size=2000)
    assert score(weights) >= max(score(w) for w in others) - 1e-6


# ------------------------------------------------------------------------------------------------ whole models


@pytest.fixture(scope="module")
def model():
    return cm.fit(waves(200), cm.Field(), target="y", progress=False)


def test_predicts_what_bends(model):
    new = waves(200, seed=1)
    density = model.predict("y", given=new.drop(columns="y"), output="density")
    assert np.sqrt(np.mean((density.mean - new["y"]) ** 2)) < 0.2
    low, high = density.interval(0.9)
    assert 0.8 < np.mean((low <= new["y"]) & (new["y"] <= high)) < 0.98
    linear = cm.fit(waves(250), target="y", progress=False).predict("y", given=new, output="density")
    assert density.log_prob(new["y"]).mean() > linear.log_prob(new["y"]).mean() + 1


def test_saved_and_loaded_it_predicts_the_same(model, tmp_path):
    model.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant")
    new = waves(50, seed=2).drop(columns="y")
    one, two = (m.predict("y", given=new, output="density") for m in (model, again))
    np.testing.assert_allclose(two.mean, one.mean, rtol=1e-12)
    np.testing.assert_allclose(two.interval(0.9), one.interval(0.9), rtol=1e-10)
    assert again.theory == model.theory


def test_unknown_inputs_are_averaged_over(model):
    new = waves(30, seed=3)
    whole = model.predict("y", given=new[["a", "b", "c"]], output="density")
    without = model.predict("y", given=new[["a", "c"]], output="density")
    assert (without.scale > whole.scale).mean() > 0.9
    # c says nothing.
    np.testing.assert_allclose(model.predict("y", given=new[["a", "b"]]), whole.mean, atol=0.1)


def test_other_questions_have_gaussian_answers(model):
    given = waves(10, seed=4)
    gaussian = cm.fit(waves(200), target="y", progress=False)
    np.testing.assert_allclose(model.predict("a", given=given), gaussian.predict("a", given=given), rtol=1e-9)
    assert np.isfinite(model.log_prob(given)).all()
    assert model.sample(5, seed=0).shape == (5, 4)
    assert np.isfinite(model.condition({"a": 0.5}).predict("y", given=given[["b", "c"]])).all()


def test_a_propagator_of_ones_own():
    found = cm.fit(waves(80), cm.Field(RBF() + Linear(), metric="unit", scale="identity"), target="y", progress=False)
    assert "RBF + Linear" in found.notes[-1]


def test_gaps_in_training_rows():
    table = waves(120)
    table.loc[::9, "b"] = np.nan
    table.loc[5, "y"] = np.nan
    found = cm.fit(table, cm.Field(), target="y", progress=False)
    assert any("not known" in note for note in found.notes)
    assert np.isfinite(found.predict("y", given=waves(20, seed=5))).all()


def test_scikit_learn_estimator():
    pytest.importorskip("sklearn")
    from cumulant.sklearn import FreeEnergyRegressor

    table, new = waves(120), waves(100, seed=7)
    inputs = ["a", "b", "c"]
    ours = FreeEnergyRegressor(theory="field").fit(table[inputs], table["y"])
    mean, spread = ours.predict(new[inputs], return_std=True)
    assert ours.score(new[inputs], new["y"]) > 0.95
    assert 0.5 < np.mean(np.abs(mean - new["y"]) < spread) < 0.9
    with pytest.raises(OptionError, match="looks at the samples twice"):
        ours.partial_fit(table[inputs], table["y"])
    with pytest.raises(OptionError, match="choose"):
        FreeEnergyRegressor(theory="all").fit(table[inputs], table["y"])


def test_command_line(tmp_path, capsys):
    cli = Cli(capsys)
    waves(50).to_csv(tmp_path / "w.csv", index=False)
    model = tmp_path / "w.cumulant"
    cli("fit", tmp_path / "w.csv", "-o", model, "--target", "y", "--theory", "field").ok()
    assert len(cli("predict", model, tmp_path / "w.csv", "--target", "y").ok().out.splitlines()) > 50
    assert cli("fit", tmp_path / "w.csv", "-o", model, "--theory", "field", "--order", "3").status != 0


def test_combinations_of_inputs_are_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    # One direction across all inputs.
    y = np.sin(3 * x @ np.ones(6) / 6**0.5) + 0.05 * rng.normal(size=200)
    table = pd.DataFrame(x, columns=list("abcdef")).assign(y=y)
    full, diagonal = (
        cm.fit(table, cm.Field(Matern(2.5), metric=metric, scale="identity"), target="y", progress=False)
        for metric in ("full", "diagonal")
    )
    assert "combined inputs" in full.notes[-1]
    new = rng.normal(size=(500, 6))
    truth = np.sin(3 * new @ np.ones(6) / 6**0.5)
    error = [np.std(m.predict("y", given=pd.DataFrame(new, columns=list("abcdef"))) - truth) for m in (full, diagonal)]
    assert error[0] < 0.7 * error[1]


def test_noise_that_varies_is_seen():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=250)
    table = pd.DataFrame({"x": x, "y": np.sin(3 * x) + np.exp(1.5 * x) * 0.2 * rng.normal(size=250)})
    found = cm.fit(table, cm.Field(), target="y", progress=False)
    assert "noise that varies" in found.notes[-1]
    width = found.predict("y", given={"x": [-0.9, 0.9]}, output="density").scale
    assert width[1] > 3 * width[0]
    constant = cm.fit(table, cm.Field(noise="constant"), target="y", progress=False)
    assert "varies" not in constant.notes[-1]


def test_inputs_are_bent_to_what_scipy_finds_most_gaussian():
    from scipy import stats

    rng = np.random.default_rng(0)
    x = np.column_stack([np.exp(rng.normal(size=300)), rng.gamma(2.0, size=300), rng.normal(size=300)])
    bend = Bend.of(x)
    for j in range(2):
        u = (x[:, j] - bend.least[j]) / bend.unit[j]
        assert bend.power[j] == pytest.approx(stats.boxcox_normmax(1 + u, method="mle"), abs=0.13)
    assert np.abs(stats.skew(bend(x))).max() < 0.3
    np.testing.assert_allclose(bend(x).std(axis=0), [1, 1, x[:, 2].std()])
    np.testing.assert_allclose(bend(x)[:, 2], x[:, 2])
    line = np.linspace(-50, 50, 999)[:, None] * np.ones(3)
    assert (np.diff(bend(line), axis=0) > 0).all()
    assert Bend.of(rng.normal(size=(300, 2))) is None


def test_skewed_inputs_are_seen_on_their_scale(tmp_path):
    rng = np.random.default_rng(0)
    g = rng.normal(size=(420, 2))
    table = pd.DataFrame({"a": np.exp(2 * g[:, 0]), "b": g[:, 1], "y": np.sin(2 * g[:, 0]) + g[:, 1]})
    known, new = table[:120], table[120:]
    found = cm.fit(known, cm.Field(), target="y", progress=False)
    assert "bent inputs" in found.notes[-1]
    error = np.std(found.predict("y", given=new) - new["y"])
    plain = cm.fit(known, cm.Field((Matern(2.5) + Linear(), Matern(0.5), Laplace())), target="y", progress=False)
    assert error < 0.5 * np.std(plain.predict("y", given=new) - new["y"])
    found.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant").predict("y", given=new)
    np.testing.assert_allclose(again, found.predict("y", given=new), rtol=1e-12)


def test_few_rows_of_many_inputs_are_no_worse_than_a_ridge():
    ridge = pytest.importorskip("sklearn.linear_model").RidgeCV(np.logspace(-2, 4, 30))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(345, 12)) @ rng.normal(size=(12, 12))
    y = x @ rng.normal(size=12) + 4 * rng.normal(size=345)
    table = pd.DataFrame(x, columns=list("abcdefghijkl")).assign(y=y)
    found = cm.fit(table[:45], cm.Field(), target="y", progress=False)
    error = np.std(found.predict("y", given=table[45:]) - y[45:])
    assert error < 1.1 * np.std(ridge.fit(x[:45], y[:45]).predict(x[45:]) - y[45:])


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "ugly",
    [
        lambda t: t.iloc[:1],
        lambda t: t.iloc[:2],
        lambda t: t.iloc[:4],
        lambda t: t.assign(y=3.0),
        lambda t: t.assign(b=1.0),
        lambda t: t.assign(d=t["a"]),
        lambda t: pd.concat([t.iloc[:30]] * 3, ignore_index=True),
        lambda t: t.assign(y=t["y"].where(t.index != 3, 1e9)),
        lambda t: t.assign(a=t["a"] + 1e8),
    ],
)
def test_ugly_tables_have_an_answer(ugly):
    table = ugly(waves(90)).reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        found = cm.fit(table, cm.Field(), target="y", progress=False)
        assert np.isfinite(found.predict("y", given=table.drop(columns="y"))).all()


def test_more_inputs_than_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 500))
    table = pd.DataFrame(x, columns=[f"x{i}" for i in range(500)]).assign(y=x[:, 0] + 0.1 * rng.normal(size=60))
    found = cm.fit(table, cm.Field(), target="y", progress=False)
    assert np.isfinite(found.predict("y", given=table)).all()


def test_weights_are_not_silently_ignored():
    with pytest.warns(cm.CumulantWarning, match="count the same"):
        cm.fit(waves(60).assign(w=[1.0, 2.0] * 30), cm.Field(), target="y", weights="w", progress=False)


def test_a_propagator_too_smooth_for_its_rows_is_made_firm():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(40, 2)), 3, axis=0) + 1e-9 * rng.normal(size=(120, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sin(x[:, 0])})
    found = cm.fit(table, cm.Field(RBF(3.0), metric="unit"), target="y", progress=False)
    np.testing.assert_allclose(found.predict("y", given=table), table["y"], atol=1e-2)


def test_what_it_cannot_do_is_said():
    table = waves(30)
    with pytest.raises(OptionError, match="target="):
        cm.fit(table, cm.Field(), progress=False)
    with pytest.raises(DataError, match="rows"):
        cm.solve(cm.measure(table, progress=False), cm.Field(), target="y")
    for wrong in ({"metric": "round"}, {"scale": "rank"}, {"noise": "loud"}, {"propagators": "all"}):
        with pytest.raises(CumulantError, match="choose"):
            cm.Field(**wrong)


def test_a_target_that_no_row_knows_is_refused():
    table = pd.DataFrame({"x": np.arange(5.0), "y": np.full(5, np.nan)})
    with pytest.raises(DataError, match="missing in all 5 rows"):
        cm.fit(table, cm.Field(), target="y", progress=False)
