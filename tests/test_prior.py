from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats

import cumulant as cm
from cumulant.errors import OptionError
from cumulant.measure.kernels import fold_of
from cumulant.solve import prior
from cumulant.solve.prior import joint_evidence, regression_evidence, shrink
from oracles import helmert, ridge, wishart_evidence

MASSES = np.logspace(-4, 2, 7)
SOME = np.linspace(0, len(prior.GRID) - 1, 5).astype(int)


def standardised(n: int, p: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, p)) @ (np.eye(p) + 0.5 * rng.normal(size=(p, p)))
    return (z - z.mean(axis=0)) / z.std(axis=0, ddof=1)


def differences(curve) -> np.ndarray:
    """What is left of a curve that is known up to a constant."""
    return np.asarray(curve) - curve[0]


# ------------------------------------------------------------------------------------------------ evidence of a target


@pytest.mark.parametrize(("n", "p"), [(40, 3), (12, 5), (8, 15)])
def test_regression_evidence_is_the_marginal_likelihood_of_the_rows(n, p):
    z = standardised(n, p + 1, seed=p)
    x, y = z[:, :p], z[:, p]
    r = np.corrcoef(z.T)
    ours = regression_evidence(r[:p, :p], r[:p, p], 1.0, n, MASSES)

    def evidence(mass: float) -> float:
        # A flat prior on the constant leaves the n − 1 contrasts of the rows, N(0, σ² (I + x xᵀ/(α(n − 1)))).
        contrasts = helmert(n)
        covariance = contrasts @ (np.eye(n) + x @ x.T / (mass * (n - 1))) @ contrasts.T

        def minus(log_s2: float) -> float:
            density = stats.multivariate_normal(np.zeros(n - 1), np.exp(log_s2) * covariance, allow_singular=False)
            return -float(density.logpdf(contrasts @ y))

        best = optimize.minimize_scalar(minus, bounds=(-25, 5), method="bounded", options={"xatol": 1e-10})
        return -best.fun

    assert_allclose(differences(ours), differences([evidence(a) for a in MASSES]), atol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(400, 120), (90, 150)])
def test_of_many_columns_it_is_that_of_solving_anew_for_each_mass(n, p):
    z = standardised(n, p + 1)
    r = np.corrcoef(z.T)
    r_xx, r_xy = r[:p, :p], r[:p, p]
    expected = []
    for mass in MASSES:
        s2 = 1 - r_xy @ np.linalg.solve(r_xx + mass * np.eye(p), r_xy)
        log_determinant = np.linalg.slogdet(np.eye(p) + r_xx / mass)[1]
        expected.append(-0.5 * (n - 1) * np.log(s2) - 0.5 * log_determinant)
    assert p >= prior.TRIDIAGONAL
    assert_allclose(regression_evidence(r_xx, r_xy, 1.0, n, MASSES), expected, rtol=1e-9)


@pytest.mark.parametrize("ugly", ["duplicate", "constant", "zero"])
def test_of_many_ugly_columns_it_is_as_by_eigenvectors(ugly, monkeypatch):
    z = standardised(200, 121)
    r = np.corrcoef(z.T)
    if ugly == "duplicate":
        r[:, 1], r[1] = r[:, 0], r[0]
    if ugly == "constant":
        r[:, 1] = r[1] = 0.0
    if ugly == "zero":
        r[:120, :120] = 0.0
        r[120, :120] = r[:120, 120] = 0.0
    ours = regression_evidence(r[:120, :120], r[:120, 120], 1.0, 200)
    monkeypatch.setattr(prior, "TRIDIAGONAL", 1000)
    by_vectors = regression_evidence(r[:120, :120], r[:120, 120], 1.0, 200)
    assert ours.argmax() == by_vectors.argmax()
    assert_allclose(ours, by_vectors, rtol=1e-6, atol=1e-6)


def test_more_fields_than_rows_do_not_make_the_evidence_diverge():
    z = standardised(10, 31, seed=1)
    r = np.corrcoef(z.T)
    small = np.logspace(-8, -4, 5)
    curve = regression_evidence(r[:30, :30], r[:30, 30], 1.0, 10, small)
    assert_allclose(curve, curve[0], atol=0.01)


def test_evidence_recovers_the_ratio_of_noise_to_signal():
    rng = np.random.default_rng(2)
    n, p, signal, noise = 400, 100, 0.3, 2.0
    x = rng.normal(size=(n, p))
    masses = []
    for _ in range(5):
        y = x @ (signal * rng.normal(size=p)) + noise * rng.normal(size=n)
        r = np.corrcoef(x.T, y)
        curve = regression_evidence(r[:p, :p], r[:p, p], 1.0, n)
        masses.append(prior.GRID[np.argmax(curve)])
    # Penalty σ²/τ² on Σ β², in units of (n − 1) sd(x)².
    assert_allclose(np.mean(masses), (noise / signal) ** 2 / (n - 1), rtol=0.3)


# ------------------------------------------------------------------------------------------------ evidence of all


@pytest.mark.parametrize(("n", "p"), [(20, 1), (15, 3), (6, 8)])
def test_joint_evidence_is_the_wishart_marginal_likelihood_of_the_rows(n, p):
    z = standardised(n, p, seed=n)
    ours = joint_evidence(np.corrcoef(z.T).reshape(p, p), n, MASSES)
    contrasts = helmert(n) @ z
    kappas = MASSES * (n - 1)
    rows = [wishart_evidence(contrasts, kappa * np.eye(p), kappa + p + 1) for kappa in kappas]
    assert_allclose(differences(ours), differences(rows), atol=1e-8)


def test_joint_evidence_of_one_field_is_an_integral_over_its_variance():
    n = 12
    z = standardised(n, 1)[:, 0]
    ours = joint_evidence(np.ones((1, 1)), n, MASSES)

    def evidence(kappa: float) -> float:
        variance = stats.invgamma((kappa + 2) / 2, scale=kappa / 2)
        value, _ = integrate.quad(
            lambda s: (
                np.exp(stats.norm.logpdf(helmert(n) @ z, scale=np.exp(s / 2)).sum() + s) * variance.pdf(np.exp(s))
            ),
            -15,
            15,
            limit=400,
            points=[-2, -1, -0.5, 0, 0.5, 1, 2],
            epsrel=1e-12,
        )
        return float(np.log(value))

    expected = [evidence(a * (n - 1)) for a in MASSES]
    assert_allclose(differences(ours), differences(expected), atol=1e-6)


def test_posterior_mean_is_the_shrunk_correlation():
    z = standardised(30, 4)
    mass, n = 0.2, 30
    r = np.corrcoef(z.T)
    kappa = mass * (n - 1)
    posterior = (kappa * np.eye(4) + (n - 1) * r) / (kappa + 4 + 1 + n - 1 - 4 - 1)
    assert_allclose(shrink(r, mass), posterior, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ folds


def frame_of(n: int, p: int, seed: int = 3, noise: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-3, 4, size=p) + 5
    y = x @ (rng.normal(size=p) / x.std(axis=0)) + noise * rng.normal(size=n)
    return pd.DataFrame(x, columns=[f"x{j}" for j in range(p)]).assign(y=y)


def test_fold_curve_of_a_target_is_that_of_refitting_on_rows():
    frame, at = frame_of(50, 4), SOME
    x, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
    chosen = cm.fit(frame, prior="folds", target="y").prior
    fold = fold_of(np.arange(50), 10)
    for mass, ours in zip(prior.GRID[at], chosen.curve[at], strict=True):
        density = np.empty(50)
        for k in np.unique(fold):
            held = fold == k
            fit, n = ridge(x[~held], y[~held], mass), (~held).sum()
            # The noise at the mode of the posterior: squared residuals and the penalty on β, over n − 1.
            penalty = mass * (n - 1) * (fit.beta**2 @ x[~held].var(axis=0, ddof=1))
            s2 = (fit.residual + penalty) / (n - 1)
            density[held] = stats.norm.logpdf(y[held], fit.predict(x[held]), np.sqrt(s2))
        assert_allclose(ours, density.mean(), rtol=1e-9)


def test_joint_fold_curve_is_that_of_refitting_on_rows():
    frame, at = frame_of(50, 4), SOME
    z = frame.to_numpy()
    chosen = cm.fit(frame, prior="folds").prior
    fold = fold_of(np.arange(50), 10)
    for mass, ours in zip(prior.GRID[at], chosen.curve[at], strict=True):
        density = np.empty(50)
        for k in np.unique(fold):
            held = fold == k
            sd = z[~held].std(axis=0, ddof=1)
            shrunk = (np.corrcoef(z[~held].T) + mass * np.eye(5)) / (1 + mass) * np.outer(sd, sd)
            difference = z[held] - z[~held].mean(axis=0)
            _, logdet = np.linalg.slogdet(2 * np.pi * shrunk)
            density[held] = -0.5 * (np.einsum("ni,ij,nj->n", difference, np.linalg.inv(shrunk), difference) + logdet)
        assert_allclose(ours, density.mean(), rtol=1e-8)


@pytest.mark.parametrize("how", ["evidence", "folds"])
def test_noise_is_shrunk_and_signal_is_not(how):
    rng = np.random.default_rng(4)
    names = [f"x{i}" for i in range(20)]
    noise = pd.DataFrame(rng.normal(size=(60, 20)), columns=names).assign(y=rng.normal(size=60))
    signal = frame_of(60, 20, noise=0.05)
    assert cm.fit(noise, prior=how, target="y").prior.mass > 0.5
    assert cm.fit(signal, prior=how, target="y").prior.mass < 0.02


@pytest.mark.parametrize("how", ["evidence", "folds"])
def test_the_chosen_prior_predicts_new_rows_better(how):
    frame = frame_of(500, 30, noise=5.0)
    train, test = frame[:35], frame[35:]

    def error(mass):
        model = cm.fit(train, prior=mass, target="y")
        return float(((model.predict("y", given=test) - test["y"]) ** 2).mean())

    assert error(how) < 0.8 * error(None)


# ------------------------------------------------------------------------------------------------ choosing


def test_auto_needs_no_prior_with_plenty_of_rows_and_takes_the_evidence_with_few():
    assert cm.fit(frame_of(200, 4)).prior.kind == "none"
    assert cm.fit(frame_of(30, 4)).prior.kind == "evidence"
    assert cm.fit(frame_of(2, 1)).prior.kind == "none"


def test_the_curve_is_kept_and_peaks_at_the_mass():
    chosen = cm.fit(frame_of(60, 20), prior="evidence", target="y").prior
    at = int(np.flatnonzero(chosen.grid == chosen.mass)[0])
    assert chosen.curve.max() - chosen.curve[at] <= 0.01
    assert "ln Z" in chosen.reason


def test_a_plateau_gives_its_largest_mass_and_an_end_says_so():
    mass = cm.fit(frame_of(10, 30), prior="evidence", target="y").prior.mass
    assert mass > 1e-7
    end = cm.fit({"x": np.arange(20.0), "y": 2 * np.arange(20.0)}, prior="evidence", target="y").prior
    assert "end of the range" in end.reason


@pytest.mark.parametrize("bad", ["ridge", -1.0, np.nan, np.inf, True])
def test_wrong_priors_are_refused(bad):
    with pytest.raises(OptionError, match="prior="):
        cm.fit(frame_of(30, 2), prior=bad)


def test_folds_need_folds():
    with pytest.raises(OptionError, match="two folds"):
        cm.fit(frame_of(30, 2), prior="folds", folds=1)


def test_categories_as_targets_have_a_curve_for_each_level():
    frame = frame_of(60, 3).assign(kind=["a", "b", "c"] * 20)
    for how in ("evidence", "folds"):
        assert np.isfinite(cm.fit(frame, prior=how, target="kind").prior.curve).all()


def test_constant_and_duplicate_columns_leave_the_curve_finite():
    frame = frame_of(40, 3).assign(one=1.0)
    frame["again"] = frame["x0"]
    for how in ("evidence", "folds"):
        for target in (None, "y"):
            assert np.isfinite(cm.fit(frame, prior=how, target=target).prior.curve).all()
