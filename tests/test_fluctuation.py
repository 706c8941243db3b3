"""Fluctuations about the mean: shapes held to scipy and quadrature, strengths and coverage to what was simulated."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import cumulant as cm
from cumulant.errors import DataError, OptionError
from cumulant.solve import student
from cumulant.solve.shapes import Quartic, StudentT, Tilted, from_state


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def table(rng, n, noise):
    x = rng.uniform(-2, 2, size=(n, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + x[:, 0] ** 2 - x[:, 1] + noise(x)})


# ------------------------------------------------------------------ shapes


@pytest.mark.parametrize("degrees", [3.0, 7.0, np.inf])
def test_student_is_scipy_s(degrees):
    shape = StudentT(degrees, 1.7)
    peer = stats.t(min(degrees, 1e6), scale=1.7)
    z = np.linspace(-9, 9, 13)
    assert np.allclose(shape.log_density(z), peer.logpdf(z))
    assert np.allclose(shape.cdf(z), peer.cdf(z))
    assert np.allclose(shape.quantile(np.array([0.01, 0.4, 0.9])), peer.ppf([0.01, 0.4, 0.9]))
    assert from_state(shape.state()).log_density(z) == pytest.approx(shape.log_density(z))


@pytest.mark.parametrize("degrees", [1, 2.5, 3, 30, 1e4, 1e7, 5e9])
def test_tails_and_quantiles_of_student(degrees):
    t = np.array([0.0, 1e-3, 0.5, 1.7, 1.8, 8.0, 30.0])
    exact = (
        special.betainc(degrees / 2, 0.5, degrees / (degrees + t**2))
        if degrees < 30
        else 2 * special.stdtr(degrees, -t)
    )
    assert student.two_sided(-t, degrees) == pytest.approx(exact, rel=1e-8 if degrees < 30 else 1e-12, abs=1e-300)
    for p in (0.8, 0.975, 0.99999):
        assert student.quantile(p, degrees) == pytest.approx(special.stdtrit(degrees, p), rel=1e-13)


@pytest.mark.parametrize(
    ("numerator", "denominator", "f"),
    [(1, 5, 0.3), (10, 1e7, 1.1), (10, 1e7, 2), (10, 1e7, 0.9), (100, 1e6, 1.1), (300, 300, 5), (1.5, 40, 30)],
)
def test_tail_of_fisher(numerator, denominator, f):
    mp.mp.dps = 80
    y = mp.mpf(numerator) * f / (denominator + mp.mpf(numerator) * f)
    below = mp.betainc(mp.mpf(numerator) / 2, mp.mpf(denominator) / 2, 0, y, regularized=True)
    assert student.fisher_tail(f, numerator, denominator) == pytest.approx(float(1 - below), rel=1e-13)


def test_tails_at_the_ends():
    assert student.fisher_tail([0.0, np.inf], 3, 7).tolist() == [1.0, 0.0]
    assert np.isnan(student.fisher_tail(np.nan, 3, 7))


def test_the_scale_of_a_heavy_tail_is_the_likeliest(rng):
    z = 2.5 * rng.standard_t(4, size=4000)
    found = StudentT.fit(z, 4.0)
    _, _, scale = stats.t.fit(z, fdf=4, floc=0)
    assert found.scale == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize("couplings", [(0.0, 1.0, 0.0, 3.0), (0.3, -2.0, 0.4, 2.0), (0.0, 0.0, 0.0, 1.0)])
def test_quartic_against_quadrature(couplings):
    f1, f2, f3, f4 = couplings
    shape = Quartic(couplings)

    def weight(z):
        return np.exp(-(f1 * z + f2 * z**2 / 2 + f3 * z**3 / 6 + f4 * z**4 / 24))

    total = integrate.quad(weight, -np.inf, np.inf)[0]
    for z in (-1.5, 0.0, 0.7):
        assert shape.log_density(np.array([z])) == pytest.approx(np.log(weight(z) / total), abs=1e-9)
        below = integrate.quad(weight, -np.inf, z)[0] / total
        assert shape.cdf(np.array([z])) == pytest.approx(below, abs=1e-5)
        assert shape.quantile(below) == pytest.approx(z, abs=1e-4)


@pytest.mark.parametrize("couplings", [(0.0, 1.0, 0.0, 3.0), (0.2, -2.0, 0.4, 2.0)])
def test_the_couplings_of_a_quartic_come_back(couplings, rng):
    draws = Quartic(couplings).quantile(rng.random(200_000))
    found = Quartic.fit(draws)
    assert found is not None
    assert np.allclose(found.couplings, couplings, atol=0.15)


def test_heavy_tails_have_no_quartic(rng):
    assert Quartic.fit(rng.standard_t(3, size=5000)) is None


# ------------------------------------------------------------------ laws


def test_constant_gaussian_noise_stays_the_background(rng):
    data = table(rng, 1500, lambda x: rng.normal(size=len(x)))
    model = cm.fit(data, cm.Fluctuation(cm.Taylor(3)), target="y")
    plain = cm.fit(data, cm.Taylor(3), target="y")
    assert np.array_equal(model.predict("y", given=data), plain.predict("y", given=data))
    a, b = (m.predict("y", given=data.iloc[:50], output="interval") for m in (model, plain))
    assert np.allclose(a["high"] - a["low"], b["high"] - b["low"], rtol=0.15)


def test_a_strength_that_varies_is_seen(rng):
    sd = lambda x: np.exp(0.6 * x[:, 1])  # noqa: E731
    data = table(rng, 3000, lambda x: sd(x) * rng.normal(size=len(x)))
    model = cm.fit(data, cm.Fluctuation(cm.Taylor(3)), target="y")
    assert "strength that varies" in model.notes[-1]
    new = table(rng, 3000, lambda x: sd(x) * rng.normal(size=len(x)))
    density = model.predict("y", given=new, output="density")
    truth = stats.norm(new["a"] + new["a"] ** 2 - new["b"], np.exp(0.6 * new["b"])).logpdf(new["y"]).mean()
    assert density.log_prob(new["y"].to_numpy()).mean() == pytest.approx(truth, abs=0.05)
    assert np.corrcoef(np.log(density.size), new["b"])[0, 1] > 0.95
    plain = cm.fit(data, cm.Taylor(3), target="y").predict("y", given=new, output="density")
    assert plain.log_prob(new["y"].to_numpy()).mean() < truth - 0.2


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda rng, n: rng.standard_t(3, size=n), "heavy-tailed"),
        (lambda rng, n: 2 * Quartic((0.2, -3.0, 0.0, 9.0)).quantile(rng.random(n)), "two peaks"),
        (lambda rng, n: rng.normal(size=n), "Gaussian"),
    ],
)
def test_shapes_are_recognised_and_calibrated(draw, name, rng):
    data = table(rng, 2500, lambda x: draw(rng, len(x)))
    model = cm.fit(data, cm.Fluctuation(cm.Taylor(3)), target="y")
    assert name in model.notes[-1]
    new = table(rng, 4000, lambda x: draw(rng, len(x)))
    y = new["y"].to_numpy()
    for level in (0.5, 0.8, 0.95):
        found = model.predict("y", given=new, output="interval", level=level)
        assert ((found["low"] <= y) & (y <= found["high"])).mean() == pytest.approx(level, abs=0.035)
    pit = model.predict("y", given=new, output="density").cdf(y)
    assert stats.kstest(pit, "uniform").statistic < 0.04
    draws = model.predict("y", given=new.iloc[:1], output="samples", draws=4000, seed=3)
    assert draws.mean() == pytest.approx(model.predict("y", given=new.iloc[:1])[0], abs=0.2)


def test_ranks_put_a_shape_right(rng):
    """Two bumps of different height and width, which no Student t and no quartic has."""

    def bumps(n: int) -> np.ndarray:
        return np.where(rng.random(n) < 0.7, rng.normal(-0.6, 0.3, n), rng.normal(1.4, 0.6, n))

    z, new = bumps(20_000), bumps(20_000)
    for base in (StudentT.fit(z, np.inf), StudentT.fit(z, 4.0)):
        shape = Tilted.fit(z, base)
        assert stats.kstest(new, shape.cdf).statistic < 0.02 < 0.1 < stats.kstest(new, base.cdf).statistic
        assert shape.log_density(new).mean() > base.log_density(new).mean() + 0.05
        total = integrate.quad(lambda t, shape=shape: np.exp(shape.log_density(t)), -8, 8, limit=500, epsabs=1e-4)[0]
        assert total == pytest.approx(1.0, abs=2e-3)
        p = np.linspace(0.01, 0.99, 25)
        np.testing.assert_allclose(shape.cdf(shape.quantile(p)), p, atol=1e-9)
        assert shape.sd == pytest.approx(z.std(), rel=0.1)
        assert from_state(shape.state()) == shape
    x = rng.normal(size=20_000)
    model = cm.fit({"x": x, "y": x + z}, cm.Fluctuation(), target="y")
    assert "ranks put right" in model.notes[-1]
    density = model.predict("y", given={"x": x}, output="density")
    for level in (0.5, 0.8, 0.95):
        low, high = density.interval(level)
        assert np.mean((low <= x + new) & (x + new <= high)) == pytest.approx(level, abs=0.03)


def test_options_narrow_the_choice(rng):
    data = table(rng, 800, lambda x: np.exp(0.6 * x[:, 1]) * rng.standard_t(3, size=len(x)))
    flat = cm.fit(data, cm.Fluctuation(cm.Taylor(3), noise="constant", shape="gaussian"), target="y")
    assert flat.notes[-1].startswith("the fluctuation about the mean is Gaussian, of constant strength")
    varying = cm.fit(data, cm.Fluctuation(cm.Taylor(3), noise="varying", shape="heavy"), target="y")
    assert "heavy-tailed" in varying.notes[-1]
    assert "varies" in varying.notes[-1]


def test_saved_conditioned_sampled(rng, tmp_path):
    data = table(rng, 900, lambda x: np.exp(0.5 * x[:, 1]) * rng.normal(size=len(x)))
    model = cm.fit(data, cm.Fluctuation(cm.Taylor(3), noise="varying"), target="y")
    model.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant")
    rows = data[["a"]].iloc[:20]
    a, b = (m.predict("y", given=rows, output="interval") for m in (model, again))
    assert np.allclose(a, b, rtol=1e-9)
    fixed = model.condition({"a": 1.0})
    got = fixed.predict("y", given={"b": 0.5}, output="density")
    want = model.predict("y", given={"a": 1.0, "b": 0.5}, output="density")
    assert got.mean == pytest.approx(want.mean)
    assert got.size == pytest.approx(want.size)
    assert model.sample(2000, seed=0)["y"].mean() == pytest.approx(data["y"].mean(), abs=0.3)
    assert np.isfinite(model.log_prob(data.iloc[:5])).all()
    assert model.predict("a", given=data.iloc[:3]).shape == (3,)
    assert model.summary().table.index[0] == "const"


def test_too_few_rows_and_no_rows(rng):
    data = table(rng, 30, lambda x: rng.normal(size=len(x)))
    assert "too few" in cm.fit(data, cm.Fluctuation(cm.Taylor(3)), target="y").notes[-1]
    with pytest.raises(DataError, match=r"use cm\.fit"):
        cm.solve(cm.measure(data, order=4), cm.Fluctuation(cm.Taylor(3)), target="y")
    with pytest.raises(OptionError, match="noise='loud'"):
        cm.Fluctuation(noise="loud")
    with pytest.raises(OptionError, match="shape='round'"):
        cm.Fluctuation(shape="round")


def test_a_mean_that_leaves_nothing(rng):
    data = table(rng, 200, lambda x: np.zeros(len(x)))
    model = cm.fit(data, cm.Fluctuation(cm.Taylor(3)), target="y")
    assert np.allclose(model.predict("y", given=data), data["y"], atol=1e-3)
    assert "nothing to fluctuate" in model.notes[-1]
