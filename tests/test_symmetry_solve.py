"""Moments and models under a group, against dense linear algebra on rows written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import DataError, OptionError
from cumulant.measure.kernels import fold_of
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.predictive import Fields
from cumulant.solve.structured import SymmetricLaw
from cumulant.solve.symmetric import STRENGTHS, heldout, solve_symmetric
from cumulant.symmetry.spectral import spectral
from helpers import GROUPS

KINDS = pytest.mark.parametrize("make", GROUPS.values(), ids=GROUPS.keys())
SPECTRAL = {
    "ring": lambda: sym.cyclic(7),
    "ring both ways": lambda: sym.dihedral(6),
    "ring of pairs": lambda: sym.cyclic([[0, 1], [2, 3], [4, 5], [6, 7]]),
    "grid": lambda: sym.grid_translations(2, 4),
    "torus": lambda: sym.square(3, translations=True),
    "exchangeable": lambda: sym.symmetric(6),
    "exchangeable pairs": lambda: sym.symmetric([[0, 3], [1, 4], [2, 5]]),
    "O(3)": lambda: sym.orthogonal([[0, 1, 2], [3, 4, 5]]),
}
FAST = pytest.mark.parametrize("make", SPECTRAL.values(), ids=SPECTRAL.keys())


def rows(group: sym.Group, n: int, seed: int = 0) -> np.ndarray:
    """Rows whose covariance is invariant, about a mean that is not."""
    p = group.degree
    rng = np.random.default_rng(seed)
    root = np.random.default_rng(1).normal(size=(p, p))
    c = sym.reynolds(group, root @ root.T + np.eye(p))
    return rng.multivariate_normal(np.arange(p) * 1.0, c, size=n)


@KINDS
def test_solving_averages_the_covariance(make):
    group = make()
    x = rows(group, 40)
    model = cm.solve(cm.measure(x), symmetry=group, prior=None)
    expected = sym.reynolds(group, np.cov(x, rowvar=False))
    np.testing.assert_allclose(model.covariance, expected, atol=1e-10)
    np.testing.assert_allclose(model.mean, x.mean(axis=0))
    p = group.degree
    assert model.symmetries.parameters == (p + p * (p + 1) // 2, p + sym.parameters(group, 2))
    assert model.symmetries.state == "declared"
    table = pd.DataFrame(rows(group, 5, seed=3), columns=model.columns)
    oracle = stats.multivariate_normal(x.mean(axis=0), expected, allow_singular=True)
    np.testing.assert_allclose(model.log_prob(table), oracle.logpdf(table.to_numpy()), atol=1e-8)


@FAST
def test_measuring_under_a_group_sums_what_reducing_leaves(make):
    group = make()
    x = rows(group, 60)
    plain = sym.reduce(cm.measure(x), sym.declared(group))
    direct = cm.measure(x, symmetry=group)
    assert isinstance(direct, sym.Reduced)
    assert direct.parameters == group.degree + sym.parameters(group, 2)
    np.testing.assert_allclose(direct.count, plain.count)
    np.testing.assert_allclose(direct.covariance, sym.reynolds(group, np.cov(x, rowvar=False)), atol=1e-10)
    for k in range(direct.folds):
        used = np.arange(direct.folds) != k
        for a, b in zip(direct.estimate(used).blocks, plain.estimate(used).blocks, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10)
    np.testing.assert_allclose(cm.solve(direct).covariance, cm.solve(cm.measure(x), symmetry=group).covariance)


@FAST
def test_merging_and_forgetting_under_a_group(make, tmp_path):
    group = make()
    x = rows(group, 50)
    whole, head = cm.measure(x, symmetry=group), cm.measure(x[:20], symmetry=group)
    tail = cm.measure(x[20:], symmetry=group, rows=20)
    both = head + tail
    np.testing.assert_allclose(both.count, whole.count)
    np.testing.assert_allclose(both.covariance, whole.covariance)
    np.testing.assert_allclose((whole - tail).covariance, head.covariance)
    np.testing.assert_allclose((whole - tail).mean, head.mean)
    whole.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant")
    np.testing.assert_allclose(again.covariance, whole.covariance, atol=1e-12)
    assert again.parameters == whole.parameters
    like = cm.measure(x[20:], symmetry=group, rows=20, like=head)
    np.testing.assert_array_equal(like.shift, head.shift)
    np.testing.assert_allclose((head + like).covariance, whole.covariance)


def test_reduced_moments_are_blind_to_chunks_kinds_of_table_and_distance_from_zero(tmp_path):
    group = sym.cyclic([f"h{j}" for j in range(6)])
    x = rows(sym.cyclic(6), 80) + 1e8
    table = pd.DataFrame(x, columns=group.columns)
    table.to_parquet(tmp_path / "x.parquet")
    expected = sym.reynolds(group, np.cov(x, rowvar=False))
    for data in (x, table, str(tmp_path / "x.parquet")):
        m = cm.measure(data, symmetry=sym.cyclic(6) if data is x else group)
        np.testing.assert_allclose(m.covariance, expected, rtol=1e-6)
    mixed = table[table.columns[::-1]]
    np.testing.assert_allclose(cm.fit(mixed, symmetry=group, prior=None).covariance, expected[::-1, ::-1], rtol=1e-6)


def test_rows_with_gaps():
    x = rows(sym.cyclic(6), 40)
    x[3, 2] = np.nan
    with pytest.raises(DataError, match=r"row 3.*missing='drop'"):
        cm.measure(x, symmetry=sym.cyclic(6))
    dropped = cm.measure(x, symmetry=sym.cyclic(6), missing="drop")
    assert dropped.count.sum() == 39
    integrated = cm.fit(x, symmetry=sym.cyclic(6), prior=None)
    expected = sym.reynolds(sym.cyclic(6), cm.measure(x).total.covariance)
    np.testing.assert_allclose(integrated.covariance, expected)
    x[3, 2] = np.inf
    with pytest.raises(DataError, match="infinite in row 3"):
        cm.measure(x, symmetry=sym.cyclic(6), missing="drop")


def dense_heldout(x: np.ndarray, folds: int, fitted) -> float:
    """Mean log density of held-out rows, row by row."""
    fold = fold_of(np.arange(len(x)), folds)
    total = 0.0
    for k in range(folds):
        mean, covariance = fitted(x[fold != k])
        total += stats.multivariate_normal(mean, covariance).logpdf(x[fold == k]).sum()
    return total / len(x)


@pytest.mark.parametrize("group", [sym.cyclic(6), sym.square(2), sym.trivial(6), sym.z2(6, [[0, 2], [1]])])
def test_held_out_likelihood_is_that_of_rows(group):
    x = rows(group, 70)
    found = heldout(cm.measure(x), sym.reduce(cm.measure(x), sym.declared(group)), None)

    def fitted(train):
        return train.mean(axis=0), sym.reynolds(group, np.cov(train, rowvar=False))

    np.testing.assert_allclose(found, dense_heldout(x, 10, fitted))


def test_held_out_likelihood_up_to_scale_does_not_see_the_fold():
    group, units = sym.symmetric(4), np.array([1.0, 10.0, 0.1, 3.0])
    x = rows(group, 60) * units
    symmetry = sym.up_to_scale(group)
    m = cm.measure(x)

    def fitted(train):
        c = np.cov(train, rowvar=False)
        sd = np.sqrt(np.diag(c))
        return train.mean(axis=0), sym.reynolds(group, c / np.outer(sd, sd)) * np.outer(sd, sd)

    np.testing.assert_allclose(heldout(m, sym.reduce(m, symmetry), None), dense_heldout(x, 10, fitted))
    model = cm.solve(m, symmetry=symmetry, prior=None)
    np.testing.assert_allclose(model.covariance, fitted(x)[1])
    # Means, variances and one correlation.
    assert model.symmetries.parameters == (14, 9)
    tried = cm.solve(m, symmetry=[group, symmetry]).symmetries
    assert tried.state == "chosen"
    assert tried.table["symmetry"].tolist()[-1] == "S4"


def test_the_mean_is_averaged_where_that_is_declared():
    group = sym.symmetric(4)
    x = rows(group, 30)
    model = cm.solve(cm.measure(x), symmetry=sym.with_mean(group), prior=None)
    np.testing.assert_allclose(model.mean, np.full(4, x.mean()))
    about = x - x.mean()
    # One degree of freedom is spent, on the one mean, in the block of the mean; none on contrasts.
    total = sym.reynolds(group, about.T @ about)
    mean_part = np.full((4, 4), total.sum() / 16)
    np.testing.assert_allclose(model.covariance, mean_part / 29 + (total - mean_part) / 30)
    assert model.symmetries.parameters[1] == 3
    odd = cm.solve(cm.measure(x - 1.5), symmetry=sym.with_mean(sym.z2(4)), prior=None)
    np.testing.assert_array_equal(odd.mean, np.zeros(4))
    y = x - 1.5
    np.testing.assert_allclose(odd.covariance, y.T @ y / 30)


def test_a_soft_symmetry_is_never_worse_than_either_end():
    group = sym.cyclic(6)
    x = rows(group, 60) * np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.3])
    m = cm.measure(x)
    found = solve_symmetric(m, sym.soft(group), None)
    strengths, curve = found.curve

    def at(s):
        def fitted(train):
            c = np.cov(train, rowvar=False)
            return train.mean(axis=0), (1 - s) * c + s * sym.reynolds(group, c)

        return dense_heldout(x, 10, fitted)

    for i in (0, 13, 40):
        np.testing.assert_allclose(curve[i], at(strengths[i]))
    assert at(found.strength) >= max(curve[0], curve[-1]) - 1e-3
    assert 0 < found.strength < 1
    c = np.cov(x, rowvar=False)
    expected = (1 - found.strength) * c + found.strength * sym.reynolds(group, c)
    np.testing.assert_allclose(found.law.covariance, expected)
    assert len(STRENGTHS) == len(curve)


def test_fewer_rows_than_columns():
    group = sym.dihedral(24)
    truth = sym.reynolds(group, np.cov(rows(group, 4000, seed=5), rowvar=False))
    test = pd.DataFrame(rows(group, 2000, seed=6), columns=[f"x{j}" for j in range(24)])
    train = rows(group, 8, seed=7)
    plain, ring = cm.fit(train), cm.fit(train, symmetry=group)
    assert ring.log_prob(test).mean() > plain.log_prob(test).mean() + 1
    assert np.linalg.norm(ring.covariance - truth) < np.linalg.norm(plain.covariance - truth)
    held = ring.predict("x3", given=test.drop(columns="x3"), output="interval", level=0.9)
    inside = (test["x3"] >= held["low"]) & (test["x3"] <= held["high"])
    assert 0.85 < inside.mean() < 0.995


def test_no_symmetry_counts_rows_as_they_are():
    x = rows(sym.trivial(5), 30)
    plain, trivial = cm.fit(x, prior=None), cm.fit(x, symmetry=sym.trivial(5), prior=None)
    np.testing.assert_allclose(trivial.gaussian.known, 30)
    np.testing.assert_allclose(plain.summary("x0").table, trivial.summary("x0").table, rtol=1e-9)
    a, b = (m.predict("x0", given={"x1": [1.0]}, output="interval") for m in (plain, trivial))
    np.testing.assert_allclose(a, b)


def test_coefficients_that_symmetry_makes_equal_have_errors_that_are_not_too_small():
    group = sym.symmetric(6)
    truth = np.linalg.inv(sym.reynolds(group, np.cov(rows(group, 200_000, seed=9), rowvar=False)))
    beta = -truth[0, 1] / truth[0, 0]
    found = [cm.fit(rows(group, 40, seed=s), symmetry=group, prior=None).summary("x0").table for s in range(60)]
    x1 = np.array([t.loc["x1", ["coefficient", "se"]].to_numpy() for t in found], dtype=float)
    assert np.ptp(found[0].loc["x1":"x5", "coefficient"]) < 1e-12
    # Errors are those of rows without form, so they are wide rather than narrow: the five slopes are one number.
    assert abs(x1[:, 0].mean() - beta) < 3 * x1[:, 0].std() / np.sqrt(len(x1))
    assert 1 < x1[:, 1].mean() / x1[:, 0].std() < 3


def structured(group: sym.Group, n: int = 50) -> tuple[SymmetricLaw, GaussianLaw]:
    """The same law as blocks and written out."""
    r = cm.measure(rows(group, n), symmetry=group)
    b = r.total
    law = SymmetricLaw(r.declared, b.mean, tuple(b.blocks), tuple(b.degrees), b.count)
    return law, GaussianLaw(Fields(b.mean, r.covariance, None, b.count, b.count - 1))


@FAST
def test_a_law_held_as_blocks_answers_as_the_dense_one(make):
    group = make()
    law, dense = structured(group)
    p = group.degree
    x = rows(group, 6, seed=2)
    np.testing.assert_allclose(law.covariance, dense.covariance, atol=1e-12)
    np.testing.assert_allclose(law.precision, dense.precision, atol=1e-8)
    np.testing.assert_allclose(law.log_prob(x, []), dense.log_prob(x, []))
    for at in (0, p - 1):
        np.testing.assert_allclose(law.expect(x, np.array([at])), dense.expect(x, np.array([at])))
    gappy = x.copy()
    gappy[0, 1] = gappy[1, 2:] = gappy[2, :-1] = gappy[3, :] = np.nan
    np.testing.assert_allclose(law.fill(gappy), dense.fill(gappy), atol=1e-9)
    np.testing.assert_allclose(law.log_prob(gappy, []), dense.log_prob(gappy, []), atol=1e-9)
    some = np.array([0, p - 2])
    rest = np.setdiff1d(np.arange(p), some)
    a, b = law.condition(some, x[0, some], rest), dense.condition(some, x[0, some], rest)
    np.testing.assert_allclose(a.mean, b.mean, atol=1e-9)
    np.testing.assert_allclose(a.covariance, b.covariance, atol=1e-9)
    np.testing.assert_allclose(law.marginal(some).covariance, dense.marginal(some).covariance, atol=1e-12)
    assert law.couplings("origin").keys() == dense.couplings("origin").keys()
    drawn = law.sample(60_000, [], np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), law.covariance, atol=0.05 * np.diag(law.covariance).max())
    again = SymmetricLaw.from_state(*law.to_state())
    np.testing.assert_allclose(again.covariance, law.covariance, atol=1e-12)


def test_a_large_model_is_held_as_blocks(tmp_path):
    group = sym.cyclic(2_500)
    spectrum = 1 / (1 + (30 * np.fft.rfftfreq(2_500)) ** 2)
    rng = np.random.default_rng(0)
    x = np.fft.irfft(np.fft.rfft(rng.normal(size=(60, 2_500))) * np.sqrt(spectrum), n=2_500)
    model = cm.fit(x[:50], symmetry=group)
    assert isinstance(model.law, SymmetricLaw)
    assert model.symmetries.parameters == (3_128_750, 2_500 + 1_251)
    true = np.fft.irfft(spectrum, n=2_500)
    near = model.marginal(["x0", "x1", "x5"]).covariance
    np.testing.assert_allclose(near[0], true[[0, 1, 5]], atol=0.005)
    names = list(model.columns)
    test = pd.DataFrame(x[50:], columns=names)
    inside = []
    for name in names[:60:3]:
        interval = model.predict(name, given=test.drop(columns=name), output="interval", level=0.8)
        inside.append((interval["low"] < test[name]) & (interval["high"] > test[name]))
    assert 0.7 < np.mean(inside) < 0.9
    model.save(tmp_path / "ring.cumulant")
    again = cm.load(tmp_path / "ring.cumulant")
    np.testing.assert_allclose(again.log_prob(test), model.log_prob(test))
    # The prior mass does not depend on the order of rows, so merging halves is fitting all.
    halves = cm.fit(x[:25], symmetry=group).merge(cm.fit(x[25:50], symmetry=group, rows=25))
    np.testing.assert_allclose(halves.log_prob(test), model.log_prob(test))
    later = cm.fit(x[:25], symmetry=group).update(x[25:50])
    np.testing.assert_allclose(later.log_prob(test), model.log_prob(test))
    gone = model.forget(x[25:50], rows=25)
    np.testing.assert_allclose(gone.log_prob(test), cm.fit(x[:25], symmetry=group).log_prob(test))


def test_models_under_a_symmetry_merge_forget_and_are_saved(tmp_path):
    group = sym.symmetric(["a", "b", "c"])
    table = pd.DataFrame(rows(sym.symmetric(3), 60), columns=["a", "b", "c"])
    model = cm.fit(table, symmetry=group, prior=None)
    halves = cm.fit(table[:30], symmetry=group, prior=None).merge(cm.fit(table[30:], symmetry=group, prior=None))
    np.testing.assert_allclose(halves.covariance, model.covariance)
    np.testing.assert_allclose(
        model.forget(table[30:]).covariance, cm.fit(table[:30], symmetry=group, prior=None).covariance
    )
    later = cm.fit(table[:30], symmetry=group, prior=None).update(table[30:])
    np.testing.assert_allclose(later.covariance, model.covariance)
    model.save(tmp_path / "model.cumulant")
    again = cm.load(tmp_path / "model.cumulant")
    np.testing.assert_array_equal(again.covariance, model.covariance)
    assert str(again.symmetries) == str(model.symmetries)
    np.testing.assert_allclose(again.merge(halves).count, 120)
    assert model.condition({"a": 1.0}).symmetries is None
    model.report(tmp_path / "report.html")


def test_choosing_among_groups_shows_the_choice():
    z = np.random.default_rng(0).normal(size=(60, 6))
    group = sym.cyclic(6)
    # A ring: each column shares something with its neighbours.
    m = cm.measure(z + 0.6 * np.roll(z, 1, axis=1))
    model = cm.solve(m, symmetry=[sym.symmetric(6), group])
    table = model.symmetries.table
    assert table["symmetry"].tolist()[0] == "C6"
    assert set(table["symmetry"]) == {"C6", "S6", "trivial"}
    assert (np.diff(table["heldout"]) <= 0).all()
    assert any("chosen among 3 groups" in note for note in model.notes)
    assert "C6 (chosen)" in str(model.symmetries)
    # Where no group fits, none is taken.
    skewed = cm.measure(np.random.default_rng(0).normal(size=(400, 4)) * [1, 2, 4, 8])
    assert cm.solve(skewed, symmetry=[sym.symmetric(4), sym.cyclic(4)]).symmetries.declared.group.name == "trivial"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_rows(n):
    model = cm.fit(rows(sym.cyclic(6), n), symmetry=sym.cyclic(6))
    assert np.isfinite(model.covariance).all()
    assert model.count == n


def test_constant_columns_stay_constant():
    x = rows(sym.cyclic(4), 30)
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "one": 1.0})
    for prior in ("auto", 0.5, "evidence", "folds"):
        model = cm.fit(table, symmetry=sym.symmetric(["a", "b"]), prior=prior)
        np.testing.assert_allclose(model.covariance[2], 0.0, atol=1e-12)
        assert np.isclose(model.covariance[0, 0], model.covariance[1, 1])


def test_the_mass_shrinks_correlations_within_blocks():
    group = sym.cyclic(6)
    x = rows(group, 12)
    c = sym.reynolds(group, np.cov(x, rowvar=False))
    model = cm.fit(x, symmetry=group, prior=0.5)
    np.testing.assert_allclose(model.covariance, (c + 0.5 * np.diag(np.diag(c))) / 1.5)
    for prior in ("evidence", "folds"):
        chosen = cm.fit(x, symmetry=group, prior=prior).prior
        assert chosen.kind == prior
        assert len(chosen.curve) == len(chosen.grid)

    def at(mass):
        def fitted(train):
            s = sym.reynolds(group, np.cov(train, rowvar=False))
            return train.mean(axis=0), (s + mass * np.diag(np.diag(s))) / (1 + mass)

        return fitted

    folds = cm.fit(x, symmetry=group, prior="folds").prior
    i = len(folds.grid) // 2
    np.testing.assert_allclose(folds.curve[i], dense_heldout(x, 10, at(folds.grid[i])))


def test_without_symmetry_the_evidence_is_the_exact_solvers():
    x = rows(sym.trivial(5), 12)
    plain, trivial = cm.fit(x, prior="evidence"), cm.fit(x, symmetry=sym.trivial(5), prior="evidence")
    np.testing.assert_allclose(plain.prior.curve, trivial.prior.curve)
    np.testing.assert_allclose(plain.covariance, trivial.covariance)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cm.measure(x, symmetry="detect"), "one group"),
        (lambda x: cm.measure(x, symmetry=[sym.cyclic(4)]), "one group"),
        (lambda x: cm.measure(x, symmetry=sym.cyclic(4), weights=np.ones(len(x))), "weights="),
        (lambda x: cm.measure(x, symmetry=sym.cyclic(5)), "name its columns"),
        (lambda x: cm.solve(cm.measure(x), symmetry="all"), "'detect'"),
        (lambda x: cm.solve(cm.measure(x), symmetry=3), "give a group"),
        (lambda x: cm.solve(cm.measure(x), symmetry=[]), "empty list"),
        (lambda x: cm.solve(cm.measure(x, folds=1), symmetry=[sym.cyclic(4), sym.symmetric(4)]), "two folds"),
        (lambda x: cm.solve(cm.measure(x, symmetry=sym.cyclic(4)), symmetry="detect"), "measured under a group"),
        (lambda x: cm.solve(cm.measure(x, symmetry=sym.cyclic(4)), symmetry=[sym.cyclic(4)]), "under one group"),
        (lambda x: cm.solve(cm.measure(x[:0]), symmetry=sym.cyclic(4)), "no rows"),
        (lambda x: cm.fit(x, symmetry=sym.cyclic(4), prior=-1.0), "mass"),
        (lambda x: cm.fit(x, symmetry=sym.cyclic(4), prior="maybe"), "choose 'auto'"),
        (lambda x: cm.fit(x, symmetry=sym.cyclic(4), group_by="x0"), "group_by"),
        (lambda x: sym.with_mean(sym.up_to_scale(sym.cyclic(4))), "not both"),
        (
            lambda x: cm.measure(x, symmetry=sym.cyclic(4)) + cm.measure(x, symmetry=sym.dihedral(4)),
            "different groups",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    x = rows(sym.cyclic(4), 20)
    with pytest.raises(cm.CumulantError, match=message):
        call(x)


def test_groups_without_a_known_basis_are_measured_in_full():
    group = sym.wreath([[0, 1], [2, 3], [4, 5]])
    assert spectral(group) is None
    x = rows(group, 30)
    np.testing.assert_allclose(
        cm.measure(x, symmetry=group).covariance, sym.reynolds(group, np.cov(x, rowvar=False)), atol=1e-10
    )


def test_a_soft_symmetry_of_reduced_moments_is_refused():
    with pytest.raises(OptionError, match="measure without symmetry="):
        solve_symmetric(
            cm.measure(rows(sym.wreath([[0, 1], [2, 3]]), 20), symmetry=sym.soft(sym.cyclic(4))), None, None
        )


def test_a_symmetry_is_detected_or_none_is_imposed():
    z = np.random.default_rng(0).normal(size=(400, 4))
    pairs = pd.DataFrame({"left_1": z[:, 0] + z[:, 2], "right_1": z[:, 1] + z[:, 2], "size": z[:, 2] + 3 * z[:, 3]})
    model = cm.fit(pairs, symmetry="detect")
    assert model.symmetries.state == "detected"
    assert np.isclose(model.covariance[0, 0], model.covariance[1, 1])
    plain = cm.fit(pairs.assign(left_1=5 * pairs["left_1"] + pairs["size"])[["left_1", "size"]], symmetry="detect")
    assert plain.symmetries is None
    assert any("no symmetry was detected" in note for note in plain.notes)
