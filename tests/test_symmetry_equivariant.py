"""Targets that turn with their inputs: beside least squares on every row together with all its images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.preprocessing import PolynomialFeatures

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import OptionError

X, Y = ["a", "b", "c"], ["u", "v", "w"]
BLOCKS = [list(pair) for pair in zip(X, Y, strict=True)]


def ring(n: int = 150, seed: int = 0, like: float = 0.5) -> pd.DataFrame:
    """Each target leans on its own input and the next; residuals have something in common."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1.0, 1.3, 0.8] + [0.5, 0.6, 0.4]
    noise = rng.normal(size=(n, 3)) + like * rng.normal(size=(n, 1))
    y = x * np.roll(x, -1, axis=1) + 2 * x - 0.5 * np.roll(x, -1, axis=1) ** 2 + 3 + noise
    return pd.DataFrame(np.hstack([x, y]), columns=[*X, *Y])


def images(group: sym.Group, values: np.ndarray) -> np.ndarray:
    """All rows, as every element of a finite group takes them."""
    out = []
    for image, sign in zip(*sym.elements(group), strict=True):
        moved = np.empty_like(values)
        moved[:, image] = values * sign
        out.append(moved)
    return np.concatenate(out)


def augmented(table: pd.DataFrame, group: sym.Group, targets: list[str], degree: int) -> np.ndarray:
    """Predictions of unrestricted least squares on rows with all their images."""
    inputs = [name for name in table if name not in targets]
    every = pd.DataFrame(images(group.on(list(table)), table.to_numpy()), columns=table.columns)
    terms = PolynomialFeatures(degree)
    coefficients = np.linalg.lstsq(terms.fit_transform(every[inputs].to_numpy()), every[targets].to_numpy())[0]
    return terms.transform(table[inputs].to_numpy()) @ coefficients


TURNED = [("c", "-c"), ("b", "-a"), ("a", "b")]
GROUPS = {
    "ring": sym.cyclic(BLOCKS),
    "both ways round": sym.dihedral(BLOCKS),
    "exchangeable": sym.symmetric(BLOCKS),
    "odd": sym.z2([*X, *Y]),
    "odd in one": sym.z2(["a", "u"]),
    "two of them": sym.symmetric(BLOCKS[:2]),
    "two at once": sym.symmetric(BLOCKS[:2]) * sym.z2(["c"]),
    "a quarter turn": sym.Group.of([*X, *Y], [{"a": "b", "b": "-a", "u": "v", "v": "-u"}]),
    "inputs alone": sym.symmetric(["a", "b"]),
}


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("name", GROUPS)
def test_means_are_least_squares_on_all_images_of_the_rows(name, degree):
    table, group = ring(), GROUPS[name]
    model = cm.fit(table, cm.Taylor(degree + 1), target=Y, symmetry=group, prior=None)
    found = model.predict(Y, given=table[X]).to_numpy()
    assert_allclose(found, augmented(table, group, Y, degree), rtol=1e-7, atol=1e-8)


def test_one_target_may_turn_to_its_negative():
    table = ring().drop(columns=["v", "w"])
    group = sym.z2([*X, "u"])
    model = cm.fit(table, cm.Taylor(4), target="u", symmetry=group, prior=None)
    assert_allclose(model.predict("u", given=table[X]), augmented(table, group, ["u"], 3)[:, 0], rtol=1e-7, atol=1e-8)
    assert model.predict("u", given=dict.fromkeys(X, 0.0)) == pytest.approx(0, abs=1e-9)
    assert len(model.summary().table) == 1 + 3 + 10


def test_vectors_that_rotate_with_their_inputs():
    rng = np.random.default_rng(0)
    p, q, s = rng.normal(size=(80, 2)), rng.normal(size=(80, 2)), rng.normal(size=80)
    f = 2 * p - q + 0.5 * s[:, None] * p + 0.3 * rng.normal(size=(80, 2))
    names = ["px", "py", "qx", "qy", "s"]
    table = pd.DataFrame(np.column_stack([p, q, s, f]), columns=[*names, "fx", "fy"])
    group = sym.orthogonal([["px", "py"], ["qx", "qy"], ["fx", "fy"]])
    model = cm.fit(table, cm.Taylor(3), target=["fx", "fy"], symmetry=group, prior=None)
    # What is invariant is about the mean of s, which spans the same terms.
    design = np.column_stack([v.T.ravel() for v in (p, q, s[:, None] * p, s[:, None] * q)])
    expected = (design @ np.linalg.lstsq(design, f.T.ravel())[0]).reshape(2, -1).T
    assert_allclose(model.predict(["fx", "fy"], given=table[names]), expected, rtol=1e-7, atol=1e-9)
    assert len(model.summary("fx").table) == 5
    with pytest.raises(OptionError, match=r"up to degree 2 .* cm.Taylor\(3\)"):
        cm.fit(table, cm.Taylor(4), target=["fx", "fy"], symmetry=group)


def test_up_to_scale_each_column_has_its_own_units():
    table = ring() * [1.0, 1e3, 1e-3, 5.0, 1e4, 1e-2] + [0.0, 7e3, 0.0, 0.0, 0.0, 1.0]
    group = GROUPS["ring"]
    model = cm.fit(table, cm.Taylor(3), target=Y, symmetry=sym.up_to_scale(group), prior=None)
    standard = (table - table.mean()) / table.std()
    expected = augmented(standard, group, Y, 2) * table[Y].std().to_numpy() + table[Y].mean().to_numpy()
    assert_allclose(model.predict(Y, given=table[X]), expected, rtol=1e-6)


@pytest.mark.parametrize("like", [0.0, 1.0, 100.0])
def test_errors_are_at_least_those_of_the_sandwich(like):
    """Cov β = A⁻¹ Σ_ts Σ_ts X_tᵀX_s A⁻¹ for residuals of covariance Σ between targets of one row."""
    table = ring(400, like=like)
    model = cm.fit(table, cm.Taylor(2), target=Y, symmetry=GROUPS["ring"], prior=None)
    # Factors are deviations from a point that the group leaves alone.
    x = table[X].to_numpy() - table[X].to_numpy().mean()
    # Rows turned so that the target is the first: its own input, the next and the one after.
    designs = [np.column_stack([np.ones(len(x)), np.roll(x, -t, axis=1)]) for t in range(3)]
    y = table[Y].to_numpy().T
    beta = np.linalg.lstsq(np.concatenate(designs), y.ravel())[0]
    residuals = np.stack([y[t] - designs[t] @ beta for t in range(3)])
    sigma = residuals @ residuals.T / len(x)
    inverse = np.linalg.inv(sum(d.T @ d for d in designs))
    middle = sum(sigma[s, t] * designs[s].T @ designs[t] for s in range(3) for t in range(3))
    exact = np.sqrt(np.diag(inverse @ middle @ inverse))
    summary = model.summary("u")
    assert_allclose(summary.table["coefficient"], beta, rtol=1e-8)
    said = summary.table["se"].to_numpy()
    assert (said > 0.98 * exact).all()
    if like == 0:
        assert_allclose(said, exact, rtol=0.15)


def test_what_the_group_makes_of_a_row_is_predicted_with_it():
    table = ring()
    model = cm.fit(table, cm.Taylor(3), target=Y, symmetry=sym.with_mean(GROUPS["ring"]))
    turned = table[X].set_axis([*X[1:], X[0]], axis=1)[X]
    before, after = (model.predict(Y, given=t, output="interval") for t in (table[X], turned))
    for old, new in zip(Y, [*Y[1:], Y[0]], strict=True):
        assert_allclose(after[new], before[old], rtol=1e-9)
    f = model.couplings("origin")
    assert_allclose(f["a", "b", "u"], f["b", "c", "v"])
    assert_allclose(f["a", "b", "u"], f["a", "c", "w"])
    assert "which the group takes along" in " ".join(model.notes)
    assert len(model.diagrams("v").terms) == len(model.summary("v").terms) - 1
    # 6 means, 21 variances and covariances, three times nine monomials; with the group their orbits.
    assert model.symmetries.parameters == (27 + 27, 2 + 7 + 9)


def test_fewer_rows_are_needed():
    train, new = ring(14, seed=1), ring(500, seed=2)
    errors = []
    for symmetry in (None, GROUPS["ring"]):
        model = cm.fit(train, cm.Taylor(3), target=Y, symmetry=symmetry)
        errors.append(float(((model.predict(Y, given=new[X]) - new[Y]) ** 2).to_numpy().mean()))
    assert errors[1] < 0.6 * errors[0]


def test_groups_to_choose_from_may_move_the_targets():
    model = cm.fit(ring(300), cm.Taylor(3), target=Y, symmetry=[GROUPS["exchangeable"], GROUPS["ring"]])
    assert model.symmetries.table["symmetry"].tolist()[0] == "C3 on blocks of 2"


def test_several_targets_without_a_symmetry_are_each_by_itself(tmp_path):
    table = ring()
    model = cm.fit(table, cm.Taylor(3), target=Y, prior=None)
    for name in Y:
        alone = cm.fit(table[[*X, name]], cm.Taylor(3), target=name, prior=None)
        expected = alone.predict(name, given=table, output="interval")
        assert_allclose(model.predict(name, given=table, output="interval"), expected, rtol=1e-8)
        pd.testing.assert_frame_equal(model.summary(name).table, alone.summary().table, rtol=1e-7)
        pd.testing.assert_frame_equal(model.cross_validate(name), alone.cross_validate(), rtol=1e-7)
    logs = model.log_prob(table) - cm.fit(table[X], prior=None).log_prob(table[X])
    densities = (model.predict(n, given=table[X], output="density").log_prob(table[n].to_numpy()) for n in Y)
    assert_allclose(logs, sum(densities), rtol=1e-6, atol=1e-6)
    model.save(tmp_path / "model.cumulant")
    again = cm.load(tmp_path / "model.cumulant")
    assert_allclose(again.predict(Y, given=table[X]), model.predict(Y, given=table[X]), rtol=0, atol=1e-12)
    assert again.couplings() == pytest.approx(model.couplings(), rel=1e-9, abs=1e-12)


def test_it_lives_on_with_more_rows(tmp_path):
    table, group = ring(200), GROUPS["ring"]
    half = cm.solve(cm.measure(table[:100], order=4), cm.Taylor(3), target=Y, symmetry=group, prior=None)
    half.save(tmp_path / "half.cumulant")
    whole = cm.load(tmp_path / "half.cumulant").update(table[100:], order=4)
    expected = cm.fit(table, cm.Taylor(3), target=Y, symmetry=group, prior=None).predict(Y, given=table[X])
    assert_allclose(whole.predict(Y, given=table[X]), expected, rtol=1e-8)
    errors = half.coupling_table()["se"]
    assert_allclose(errors["a·b·u"], errors["b·c·v"], rtol=1e-6)
    at = whole.condition({"a": 1.0})
    assert_allclose(at.predict("v", given=table[["b", "c"]]), whole.predict("v", given=table[X].assign(a=1.0)))
    assert whole.sample(50, seed=0).shape == (50, 6)


@pytest.mark.parametrize("scaled", [False, True])
def test_held_out_folds_are_those_of_rows_fitted_anew(scaled):
    from cumulant.measure.kernels import fold_of

    table, group = ring(200), GROUPS["ring"]
    symmetry = sym.up_to_scale(group) if scaled else group
    m = cm.measure(table, order=4)
    model = cm.solve(m, cm.Taylor(3), target=Y, symmetry=symmetry, prior=None)
    scores = model.cross_validate("v")
    fold = fold_of(np.arange(len(table)), m.folds)
    assert_allclose(scores["rows"], [*np.bincount(fold), 200])
    if scaled:
        return
    for k in range(m.folds):
        train, held = table[fold != k], table[fold == k]
        other = cm.fit(train, cm.Taylor(3), target=Y, symmetry=group, prior=None)
        # Scores are of all that the group exchanges together.
        error = ((other.predict(Y, given=held[X]) - held[Y]) ** 2).to_numpy().mean()
        assert scores["rmse"][k] == pytest.approx(np.sqrt(error), rel=1e-6)


def test_targets_that_no_term_can_turn_with_are_zero():
    model = cm.fit(ring(), cm.Taylor(3), target=Y, symmetry=sym.z2(["u"]))
    assert (model.predict("u", given=ring()[X]) == 0).all()
    assert np.ptp(model.predict("v", given=ring()[X])) > 1


def test_constant_columns_and_rows_with_gaps():
    table, group = ring(), GROUPS["ring"]
    still = cm.fit(table.assign(u=1.0, v=1.0, w=1.0), cm.Taylor(3), target=Y, symmetry=group)
    assert_allclose(still.predict(Y, given=table[X]), 1.0)
    gaps = table.mask(np.random.default_rng(0).random(table.shape) < 0.05)
    model = cm.fit(gaps, cm.Taylor(3), target=Y, symmetry=group, prior=None)
    whole = gaps.dropna()
    # The point that monomials are about is the mean of all cells, and does not matter.
    assert_allclose(model.predict(Y, given=whole[X]), augmented(whole, group, Y, 2), rtol=1e-7)
    few = cm.fit(table[:3], cm.Taylor(3), target=Y, symmetry=group)
    assert np.isfinite(few.predict(Y, given=table[X])).all().all()


def test_a_mean_of_a_hundred_million_does_not_matter():
    table = ring()
    far = table + 1e8 * np.array([0, 0, 0, 1, 1, 1])
    near, moved = (cm.fit(t, cm.Taylor(3), target=Y, symmetry=GROUPS["ring"], prior=None) for t in (table, far))
    expected = near.predict(Y, given=table[X])
    assert_allclose(moved.predict(Y, given=table[X]) - 1e8, expected, rtol=0, atol=1e-6)


def test_targets_are_closed_under_the_group():
    with pytest.raises(OptionError, match="takes the target 'u' to 'w', which is no target"):
        cm.fit(ring(), cm.Taylor(3), target=["u", "v"], symmetry=GROUPS["ring"])
    with pytest.raises(OptionError, match="one target"):
        cm.fit(ring(), cm.Fluctuation(), target=Y)
    with pytest.raises(OptionError, match="'word' is no column of numbers"):
        cm.fit(ring().assign(word=["s", "t"] * 75), cm.Taylor(3), target=["u", "word"])
