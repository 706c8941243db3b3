"""Moments of third to sixth order, against sums over rows that share no code with them."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, CumulantWarning, DataError, IncompatibleError, OptionError, ResourceError
from cumulant.measure import powers
from cumulant.measure.monomials import Monomials, complete
from cumulant.measure.native import library
from cumulant.measure.powers import power_sums
from cumulant.measure.requirement import Requirement
from helpers import TABLES

pytestmark = pytest.mark.filterwarnings("ignore:.*left out of the moments:cumulant.errors.CumulantWarning")


def skewed(n: int = 600, p: int = 3, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p)))
    return pd.DataFrame(x + 5.0, columns=[f"x{i}" for i in range(p)])


def brute(x: np.ndarray, order: int) -> np.ndarray:
    """The joint cumulant of rows, entry by entry, from the textbook formulas in moments about the mean."""
    d = x - x.mean(axis=0)
    p = x.shape[1]

    def m(*index: int) -> float:
        return float(np.mean(np.prod(d[:, list(index)], axis=1)))

    out = np.empty((p,) * order)
    for i in product(range(p), repeat=order):
        if order == 3:
            out[i] = m(*i)
        else:
            a, b, c, e = i
            out[i] = m(*i) - m(a, b) * m(c, e) - m(a, c) * m(b, e) - m(a, e) * m(b, c)
    return out


def values(table: pd.DataFrame, m: cm.Moments) -> np.ndarray:
    """Rows without a gap as independent fields."""
    from cumulant.measure import lifted

    x = np.concatenate(list(lifted(table, m.schema)))
    return x[np.isfinite(x).all(axis=1)]


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("measured", [3, 4, 5, 6])
def test_cumulants_are_those_of_the_rows(order, measured):
    if measured < order:
        return
    table = skewed()
    k = cm.measure(table, order=measured).cumulant(order)
    expected = brute(table.to_numpy(), order)
    assert np.abs(k - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("order", [5, 6])
def test_fifth_and_sixth_cumulant_of_one_field(order):
    """From the recursion κ_n = m_n − Σ C(n−1, k−1) κ_k m_(n−k) (Smith, American Statistician 49 (1995) 217)."""
    from math import comb

    x = np.random.default_rng(1).gamma(1.5, size=400)
    m = [float(np.mean(x**k)) for k in range(order + 1)]
    kappa = [0.0]
    for n in range(1, order + 1):
        kappa.append(m[n] - sum(comb(n - 1, k - 1) * kappa[k] * m[n - k] for k in range(1, n)))
    measured = cm.measure({"x": x}, order=order).cumulant(order).item()
    assert measured == pytest.approx(kappa[order], rel=1e-9)


# A few rows of many levels are hundreds of indicators, whose products of four are billions.
@pytest.mark.parametrize("kind", [kind for kind in TABLES if kind != "many_levels"])
def test_merging_forgetting_saving(kind, tmp_path):
    """Parts measured apart have other levels, reference points and gaps."""
    table = TABLES[kind](np.random.default_rng(2), 300)
    whole = cm.measure(table, order=4)
    expected = brute(values(table, whole), 4)
    scale = max(np.abs(expected).max(), 1e-300)
    parts = [cm.measure(part, order=4) for part in (table[:11], table[11:140], table[140:])]
    for m in (whole, parts[0] + parts[1] + parts[2], parts[2] + (parts[1] + parts[0])):
        assert np.abs(m.cumulant(4) - expected).max() < 1e-8 * scale
    gone = whole - cm.measure(table[140:], like=whole, rows=140)
    left = brute(values(table[:140], gone), 4)
    assert np.abs(gone.cumulant(4) - left).max() < 1e-8 * scale
    whole.save(tmp_path / "m.cumulant")
    again = cm.load(tmp_path / "m.cumulant")
    np.testing.assert_array_equal(again.cumulant(4), whole.cumulant(4))
    assert again.order == 4


def test_twelve_digits_at_mean_1e8():
    rng = np.random.default_rng(3)
    x = np.round(rng.gamma(2.0, size=5000) * 2**20) / 2**20
    near, far = (cm.measure({"x": x + shift}, order=4).cumulant(4).item() for shift in (0.0, 2.0**27))
    assert far == pytest.approx(near, rel=1e-11)


def test_folds_and_what_is_left_without_them():
    table = skewed(500)
    m = cm.measure(table, order=3, folds=5)
    from cumulant.measure.kernels import fold_of

    fold = fold_of(np.arange(500), 5)
    for k in range(5):
        here = brute(table.to_numpy()[fold == k], 3)
        rest = brute(table.to_numpy()[fold != k], 3)
        np.testing.assert_allclose(m.fold(k).cumulant(3), here, atol=1e-12 * np.abs(here).max())
        np.testing.assert_allclose(m.without(k).cumulant(3), rest, atol=1e-12 * np.abs(rest).max())


def test_k_statistics_are_scipys():
    from scipy import stats

    x = np.random.default_rng(4).gamma(1.0, size=9)
    m = cm.measure({"x": x}, order=4)
    for n in (2, 3, 4):
        assert m.cumulant(n, unbiased=True).item() == pytest.approx(stats.kstat(x, n), rel=1e-12)
    # Polarisation: the k-statistic of a sum is the sum of the joint ones.
    both = skewed(40, 2, seed=5)
    joint = cm.measure(both, order=4).cumulant(4, unbiased=True)
    assert joint.sum() == pytest.approx(stats.kstat(both.sum(axis=1), 4), rel=1e-10)


def test_standard_error_covers_the_truth():
    """The third cumulant of a Gamma(2) variable is 4; 200 tables, 2/3 of intervals of one standard error hold it."""
    rng = np.random.default_rng(6)
    inside = 0
    for _ in range(200):
        m = cm.measure({"x": rng.gamma(2.0, size=800)}, order=3, folds=20)
        inside += abs(m.cumulant(3, unbiased=True).item() - 4.0) < m.standard_error(3, unbiased=True).item()
    assert 0.52 < inside / 200 < 0.76


def test_frequency_weights_are_repeated_rows():
    table = skewed(120)
    w = np.random.default_rng(7).integers(0, 4, size=120)
    weighted = cm.measure(table, order=4, weights=w.astype(float))
    repeated = cm.measure(table.loc[table.index.repeat(w)].reset_index(drop=True), order=4)
    for unbiased in (False, True):
        a, b = weighted.cumulant(4, unbiased=unbiased), repeated.cumulant(4, unbiased=unbiased)
        np.testing.assert_allclose(a, b, atol=1e-12 * np.abs(b).max())


def test_rows_with_gaps_are_left_out_and_the_user_is_told():
    table = skewed(200)
    table.iloc[[3, 50, 77], 1] = np.nan
    with pytest.warns(CumulantWarning, match="3 of 200 rows have a missing cell"):
        m = cm.measure(table, order=3)
    np.testing.assert_allclose(m.cumulant(3), brute(table.dropna().to_numpy(), 3), atol=1e-12)
    assert m.higher.rows.sum() == 197
    assert m.cumulant(2, unbiased=True)[0, 0] == pytest.approx(table["x0"].var())


@pytest.mark.filterwarnings("ignore::cumulant.CumulantWarning")
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("missing", ["integrate", "drop"])
def test_second_order_is_the_same_beside_a_higher_one(weights, missing):
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(3, 2, (4000, 4)), columns=list("abcd")).astype({"b": np.float32})
    table.loc[rng.choice(4000, 300), "c"] = np.nan
    table["w"] = rng.integers(0, 4, 4000).astype(float)
    options = {"weights": weights, "missing": missing, "columns": list("abcd"), "progress": False}
    low, high = cm.measure(table, **options), cm.measure(table, order=3, **options)
    np.testing.assert_allclose(high.covariance, low.covariance, rtol=1e-12)
    np.testing.assert_allclose(high.mean, low.mean, rtol=1e-12)
    np.testing.assert_array_equal(high.rows, low.rows)
    np.testing.assert_allclose(high.second_order().packed, low.packed, rtol=1e-11, atol=1e-8)


def test_levels_seen_late_move_the_reference_level():
    """`b` is the reference level until `a` appears; a gap before that is no level."""
    n = 9000
    rng = np.random.default_rng(8)
    city = np.where(rng.random(n) < 0.5, "b", "c").astype(object)
    city[8000:] = np.where(rng.random(1000) < 0.3, "a", city[8000:])
    city[10] = None
    table = pd.DataFrame({"city": city, "x": rng.gamma(1.0, size=n)})
    m = cm.measure(table, order=3)
    whole = table.dropna()
    x = np.column_stack([whole["city"] == "b", whole["city"] == "c", whole["x"]]).astype(float)
    assert m.columns == ("city=b", "city=c", "x")
    np.testing.assert_allclose(m.cumulant(3), brute(x, 3), atol=1e-12)


@pytest.mark.parametrize("order", [3, 4])
def test_only_what_the_target_needs(order):
    table = skewed(300, 4)
    full = cm.measure(table, order=order)
    sliced = cm.measure(table, requirement=Requirement(order, target="x1"))
    assert len(sliced.higher.monomials) < len(full.higher.monomials)
    k = sliced.cumulant(order)
    np.testing.assert_allclose(k[1], full.cumulant(order)[1], atol=1e-12)
    assert np.isnan(k[(0,) * order])
    apart = cm.measure(table[:90], requirement=Requirement(order, target="x1")) + cm.measure(
        table[90:], requirement=Requirement(order, target="x1")
    )
    np.testing.assert_allclose(apart.cumulant(order)[1], k[1], atol=1e-11)


def test_only_some_products():
    table = skewed(300, 4)
    wanted = Requirement(4, monomials=(("x0", "x0", "x3", "x3"), ("x2",)))
    m = cm.measure(table[:200], requirement=wanted) + cm.measure(table[200:], requirement=wanted)
    # 1; 0, 3, 2; 00, 03, 33; 003, 033; 0033
    assert len(m.higher.monomials) == 10
    assert m.cumulant(4)[0, 3, 0, 3] == pytest.approx(brute(table.to_numpy(), 4)[0, 0, 3, 3], rel=1e-10)
    with pytest.raises(ColumnError, match="no column 'x9'"):
        cm.measure(table, requirement=Requirement(3, monomials=(("x9",),)))


def test_threads_and_readers_change_nothing(tmp_path):
    table = skewed(60_000, 10)
    whole = cm.measure(table, order=3)
    table.to_parquet(tmp_path / "t.parquet")
    read = cm.measure(tmp_path / "t.parquet", order=3)
    expected = whole.cumulant(3)
    assert np.abs(read.cumulant(3) - expected).max() < 1e-12 * np.abs(expected).max()


def test_a_checkpoint_keeps_them(tmp_path):
    import pyarrow as pa

    table = skewed(6000)
    rows = pa.Table.from_pandas(table)

    class StopError(Exception):
        pass

    def stream(stop: bool):
        def batches():
            for i, batch in enumerate(rows.to_batches(max_chunksize=500)):
                if stop and i == 9:
                    raise StopError
                yield batch

        return pa.RecordBatchReader.from_batches(rows.schema, batches())

    whole = cm.measure(stream(stop=False), order=3)
    from cumulant.measure import checkpoint

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "INTERVAL", 0.0)
        patch.setattr(checkpoint, "PATIENCE", 0)
        with pytest.raises(StopError):
            cm.measure(stream(stop=True), order=3, checkpoint=tmp_path / "kept")
    assert (tmp_path / "kept").exists()
    on = cm.measure(stream(stop=False), order=3, checkpoint=tmp_path / "kept")
    np.testing.assert_array_equal(on.cumulant(3), whole.cumulant(3))


def test_ugly_tables():
    one = cm.measure({"x": [3.0], "y": [1.0]}, order=3)
    np.testing.assert_array_equal(one.cumulant(3), 0.0)
    with pytest.raises(DataError, match="needs 3 rows, there are 1"):
        one.cumulant(3, unbiased=True)
    nothing = cm.measure({"x": np.zeros(0), "y": np.zeros(0)}, order=3)
    assert np.isnan(nothing.cumulant(3)).all()
    np.testing.assert_array_equal((nothing + one).cumulant(3), one.cumulant(3))
    constant = cm.measure({"x": np.full(50, 7.0)}, order=4)
    assert constant.cumulant(4).item() == 0.0
    with pytest.raises(DataError, match="column 'x' holds numbers so large that their powers"):
        cm.measure({"x": [1e90, -1e90, 0.0] * 5}, order=4)


def test_what_cannot_be_is_refused():
    table = skewed(50)
    for order in (1, 11, True):
        with pytest.raises(OptionError, match="moments of order 2 to 10"):
            cm.measure(table, order=order)
    with pytest.raises(OptionError, match="order 4 was not measured"):
        cm.measure(table, order=3).cumulant(4)
    with pytest.raises(OptionError, match="order 3 was not measured"):
        cm.measure(table).cumulant(3)
    with pytest.raises(OptionError, match="weight_kind"):
        cm.measure(table, order=3, weights=np.ones(50), weight_kind="importance")
    with pytest.raises(IncompatibleError, match="second_order"):
        cm.measure(table, order=3) + cm.measure(table)
    with pytest.raises(ResourceError, match=r"moments to order 4 of 900 fields in 10 folds need .* GiB"):
        cm.measure(np.zeros((10, 900)), order=4)
    both = cm.measure(table, order=3).second_order() + cm.measure(table)
    assert both.order == 2


# (order, fields): on both sides of a panel of eight, and of each way to split an order.
SHAPES = ["3-1", "3-7", "3-8", "3-25", "3-33", "4-2", "4-7", "4-12", "4-23", "5-8", "6-5", "7-4", "8-3", "10-3"]


@pytest.mark.skipif(library() is None, reason="there is no compiled library")
@pytest.mark.parametrize("shape", SHAPES)
def test_compiled_sums_are_those_of_numpy(shape, monkeypatch):
    """More rows than a buffer holds, and folds whose last buffer is nearly empty."""
    order, fields = map(int, shape.split("-"))
    rng = np.random.default_rng(order * fields)
    columns = list(rng.integers(-3, 4, size=(fields, 1_300)).astype(np.float64))
    columns[0][5] = np.nan
    weights = rng.integers(1, 4, size=1_300).astype(np.float64)
    monomials = Monomials(fields, order, complete(fields + 1, order))
    shift = np.ones(fields)
    compiled = power_sums(monomials, shift, 3)
    monkeypatch.setattr(powers, "library", lambda: None)
    slow = power_sums(monomials, shift, 3)
    assert type(compiled) is not type(slow)
    for sums in (compiled, slow):
        sums.add([c[:900] for c in columns], 0, weights[:900])
        sums.add([c[900:] for c in columns], np.arange(5_000, 5_400), weights[900:])
    (fast, rows), (expected, counted) = compiled.take(), slow.take()
    np.testing.assert_array_equal(rows, counted)
    np.testing.assert_allclose(fast, expected, rtol=1e-12, atol=1e-9 * np.abs(expected).max())
    assert not compiled.take()[0].any()


@pytest.mark.parametrize("fields", [3, 30])
def test_products_of_products_are_found(fields):
    monomials = Monomials(fields, 4, complete(fields + 1, 4)[::3])
    few = complete(fields + 1, 2)[:: 1 + fields // 5]
    found = monomials.find_products(few, few)
    place = {tuple(t): i for i, t in enumerate(monomials.tuples)}
    for i, a in enumerate(few):
        for j, b in enumerate(few):
            assert found[i, j] == place.get(tuple(sorted([*a, *b])), -1)


def test_sampling_covariance_of_third_cumulants_of_a_gaussian():
    """Cov(k_abc, k_def) = Σ over pairings C_ad C_be C_cf / n (McCullagh, Tensor Methods, 1987, section 4.2.3)."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=(40_000, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    frame = cm.measure(dict(zip("xy", x.T, strict=True)), order=3, folds=400).sampling_covariance(3, unbiased=True)
    assert list(frame.columns) == ["x·x·x", "x·x·y", "x·y·y", "y·y·y"]
    c = np.array([[1.0, 0.5], [0.5, 1.25]])
    for a, left in enumerate(complete(2, 3)):
        for b, right in enumerate(complete(2, 3)):
            expected = sum(np.prod(c[left, list(p)]) for p in permutations(right)) / 40_000
            scale = np.sqrt(frame.iloc[a, a] * frame.iloc[b, b])
            assert abs(frame.iloc[a, b] - expected) < 0.3 * scale
    with pytest.raises(OptionError, match="three folds"):
        cm.measure({"x": x[:, 0]}, order=3, folds=1).sampling_covariance(3)
