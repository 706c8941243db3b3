"""The sums themselves: whatever kernel, type, layout, chunks and threads, they are the plain sums over the rows."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cumulant as cm
from cumulant import storage
from cumulant.errors import DataError
from cumulant.measure import kernels, native

KERNELS = ["compiled", "NumPy"]
LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "mixed": lambda x: x,
}


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    if request.param == "NumPy":
        monkeypatch.setattr(kernels, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("the package was installed without a C compiler, so there is only the NumPy twin")
    return request.param


def columns_of(x: np.ndarray, layout: str, single: bool) -> list[np.ndarray]:
    columns = list(LAYOUTS[layout](x.astype(np.float32) if single else x).T)
    if layout == "mixed":
        # Neighbours of different types and strides share a panel.
        return [c.astype(np.float32) if j % 3 == 0 else c.copy() if j % 3 == 1 else c for j, c in enumerate(columns)]
    return columns


def summed(x: np.ndarray, shift: np.ndarray, fold: np.ndarray, folds: int, weights: np.ndarray | None) -> np.ndarray:
    """The definition, in extended precision."""
    z = np.column_stack([np.ones(len(x)), x - shift]).astype(np.longdouble)
    w = np.ones(len(x)) if weights is None else weights
    return np.array([(z[fold == k] * w[fold == k, None]).T @ z[fold == k] for k in range(folds)])


def accumulated(
    columns: list[np.ndarray],
    shift: np.ndarray,
    folds: int,
    cuts: list[int],
    threads: int = 1,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    sums = kernels.RowSums(shift, folds, threads)
    edges = [0, *cuts, len(columns[0])]
    for a, b in itertools.pairwise(edges):
        assert sums.add([c[a:b] for c in columns], a, None if weights is None else weights[a:b]) == b - a
    return np.asarray(sums.take()).copy()


@settings(max_examples=40)
@given(data=st.data())
def test_sums_are_those_of_the_definition(data):
    n, p = data.draw(st.integers(0, 700), "n"), data.draw(st.integers(1, 40), "p")
    folds, threads = data.draw(st.integers(1, 12), "folds"), data.draw(st.integers(1, 3), "threads")
    layout, single = data.draw(st.sampled_from(sorted(LAYOUTS)), "layout"), data.draw(st.booleans(), "single")
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4), "cuts"))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    weighted = data.draw(st.booleans(), "weighted")
    # Whole numbers over a power of two are the same in float32.
    x = rng.integers(-1000, 1000, size=(n, p)) / 64.0
    shift, weights = rng.normal(size=p), rng.random(n) if weighted else None
    expected = summed(x, shift, kernels.fold_of(np.arange(n), folds), folds, weights)
    scale = np.abs(expected).max(initial=1.0)
    for library in (native.library, lambda: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "library", library)
            sums = accumulated(columns_of(x, layout, single), shift, folds, cuts, threads, weights)
            again = accumulated(columns_of(x, layout, single), shift, folds, cuts, threads, weights)
        np.testing.assert_allclose(
            storage.unpacked(sums, p + 1), expected.astype(float), rtol=1e-12, atol=1e-13 * scale
        )
        np.testing.assert_array_equal(sums, again)


@pytest.mark.parametrize("folds", [1, 10, 33])
@pytest.mark.parametrize("p", range(1, 25))
def test_every_number_of_columns_has_every_product_once(p, folds, kernel):
    # Whole numbers, so that no order of summation rounds; more rows than a block, and not a multiple of it.
    x = np.random.default_rng(p).integers(-99, 99, size=(601, p)).astype(float)
    weights = np.random.default_rng(p).integers(1, 5, 601) ** 2.0
    fold = kernels.fold_of(np.arange(601), folds)
    for w in (None, weights):
        sums = accumulated(list(x.T), np.arange(p, dtype=float), folds, [300], weights=w)
        expected = summed(x, np.arange(p), fold, folds, w).astype(float)
        np.testing.assert_array_equal(storage.unpacked(sums, p + 1), expected)


@settings(max_examples=30)
@given(data=st.data())
def test_moments_are_a_monoid_on_any_threads_in_any_chunks(data):
    p, threads = data.draw(st.sampled_from([3, 9, 20]), "p"), data.draw(st.integers(1, 3), "threads")
    sizes = data.draw(st.lists(st.integers(0, 500), min_size=3, max_size=3), "sizes")
    compiled, single = data.draw(st.booleans(), "compiled"), data.draw(st.booleans(), "single")
    chunk = data.draw(st.sampled_from([256, 300, 1000]), "rows in a chunk")
    x = (100 + np.random.default_rng(sum(sizes)).normal(size=(sum(sizes), p))).astype("f4" if single else "f8")
    edges = np.cumsum([0, *sizes])
    like = cm.measure(x[:0], folds=3)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(kernels, "library", lambda: None)
        module = sys.modules["cumulant.measure.measure"]
        patch.setattr(module, "PARALLEL_CELLS", 0)
        patch.setattr(module, "BLOCK_BYTES", 4 * p * chunk)
        patch.setattr(module, "cores", lambda: threads)
        whole, again = cm.measure(x, like=like), cm.measure(x, like=like)
        a, b, c = (cm.measure(x[i:j], like=like, rows=int(i)) for i, j in itertools.pairwise(edges))
    np.testing.assert_array_equal(whole.packed, again.packed)
    for other in ((a + b) + c, a + (b + c), c + a + b, like + whole, cm.measure(x.astype(float), like=like)):
        np.testing.assert_array_equal(other.rows, whole.rows)
        np.testing.assert_allclose(other.packed, whole.packed, rtol=1e-12, atol=1e-12 * np.abs(whole.packed).max())


@pytest.mark.parametrize("p", [4, 12, 20])
def test_groups_shared_by_threads_are_the_same_to_the_last_bit(p, kernel):
    rng = np.random.default_rng(p)
    x, group, shift = rng.normal(size=(3000, p)), rng.integers(0, 50, 3000), rng.normal(size=p)
    x[2100, p - 1], x[2500, 0] = np.nan, np.inf
    sums = [np.zeros((50, (p + 1) * (p + 2) // 2)) for _ in range(3)]
    for threads, out in enumerate(sums, 1):
        assert kernels.add_to_groups(list(x.T), shift, group, out, threads) == 2100
        np.testing.assert_array_equal(out, sums[0])
    z = np.column_stack([np.ones(2100), x[:2100] - shift])
    for k in (0, 17, 49):
        rows = z[group[:2100] == k]
        np.testing.assert_allclose(storage.unpacked(sums[0][k : k + 1], p + 1)[0], rows.T @ rows, atol=1e-12)


@pytest.mark.parametrize("p", [11, kernels.WIDE + 5])
def test_threads_that_share_rows_change_no_bit(p):
    x = np.random.default_rng(1).normal(size=(1500, p))
    one, two, three = (accumulated(list(x.T), np.zeros(p), 3, [700], threads) for threads in (1, 2, 3))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


@settings(max_examples=25)
@given(
    at=st.integers(0, 599), column=st.integers(0, 12), bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    layout=st.sampled_from(sorted(LAYOUTS)), single=st.booleans(),
)  # fmt: skip
def test_rows_before_a_gap_are_added_and_none_after(at, column, bad, layout, single):
    x = np.random.default_rng(2).integers(-9, 9, size=(600, 13)).astype(float)
    x[at, column] = bad
    for library in (native.library, lambda: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "library", library)
            sums = kernels.RowSums(np.ones(13), 4)
            done = sums.add(columns_of(x, layout, single), 0)
            taken = sums.take()
        assert at - 128 < done <= at
        fold = kernels.fold_of(np.arange(done), 4)
        expected = summed(x[:done], np.ones(13), fold, 4, None).astype(float)
        np.testing.assert_array_equal(storage.unpacked(taken, 14), expected)


@pytest.mark.parametrize("p", [6, 11, 17])
def test_a_state_written_back_goes_on_to_the_last_bit(p, kernel):
    x = np.random.default_rng(3).normal(size=(900, p))
    whole = kernels.RowSums(np.zeros(p), 5)
    whole.add(list(x[:500].T), 0)
    saved = [a.copy() for a in whole.state()]
    other = kernels.RowSums(np.zeros(p), 5)
    for here, there in zip(other.state(), saved, strict=True):
        here[...] = there
    for sums in (whole, other):
        sums.add(list(x[500:].T), 500)
    np.testing.assert_array_equal(whole.take(), other.take())
    assert not whole.take().any()


def test_rows_beside_the_table_are_not_touched(kernel):
    # The last panel is read by eights where that can be; what lies behind the last cell is not the table's.
    x = np.full((130, 24), np.nan)
    x[:, :11] = 1.0
    assert kernels.RowSums(np.zeros(11), 2).add(list(x[:, :11].T), 0) == 130


@pytest.mark.parametrize("p", [2, 10, 20])
def test_numbers_near_the_ends_of_the_range(p, kernel):
    tiny, huge = np.full((40, p), 5e-324), np.full((40, p), 1e153)
    sums = kernels.RowSums(np.zeros(p), 1)
    assert sums.add(list(tiny.T), 0) == 40
    assert sums.take()[0].tolist() == [40.0, *[40 * 5e-324] * p, *[0.0] * (p * (p + 1) // 2)]
    sums.add(list(huge.T), 0)
    assert np.isfinite(sums.take()).all()
    with pytest.raises(DataError, match="column 'x1' holds numbers so large that their squares overflow"):
        cm.measure(np.array([[1.0, 1e200], [2.0, -1e200]]), precision="double")


@settings(max_examples=15)
@given(cut=st.integers(0, 400), gaps=st.booleans(), p=st.sampled_from([3, 20]), folds=st.sampled_from([1, 10]))
def test_parts_add_to_the_whole_and_part_again(cut, gaps, p, folds):
    x = 1e3 + np.random.default_rng(cut).normal(size=(400, p))
    if gaps:
        x[7::31, 1] = np.nan
    whole = cm.measure(x, folds=folds)
    first, second = cm.measure(x[:cut], folds=folds), cm.measure(x[cut:], folds=folds, rows=cut)
    for m in (first + second, second + first):
        np.testing.assert_allclose(m.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(m.covariance, whole.covariance, rtol=1e-12, atol=1e-11)
        np.testing.assert_array_equal(m.rows, whole.rows)
    left = whole - second
    np.testing.assert_array_equal(left.rows, first.rows)
    if cut > 2:
        np.testing.assert_allclose(left.covariance, first.covariance, rtol=1e-9, atol=1e-8)


@settings(max_examples=30)
@given(q=st.integers(0, 150), k=st.integers(1, 3))
def test_triangles_are_unpacked_as_they_were_packed(q, k):
    a = np.random.default_rng(q).normal(size=(k, q, q))
    symmetric = a + a.swapaxes(1, 2)
    triangle = storage.packed(symmetric)
    assert triangle.shape == (k, q * (q + 1) // 2)
    np.testing.assert_array_equal(triangle, symmetric[(slice(None), *np.triu_indices(q))])
    np.testing.assert_array_equal(storage.unpacked(triangle, q), symmetric)
    np.testing.assert_array_equal(storage.diagonal(triangle), np.einsum("kii->ki", symmetric))


@pytest.mark.parametrize("asked", [{}, {"GOMP_SPINCOUNT": "77"}])
def test_threads_that_wait_soon_sleep_unless_the_user_wants_otherwise(asked):
    if native.library() is None:
        pytest.skip("no compiled sums here")
    code = (
        "import os; from cumulant.measure.native import library; "
        f"library(); assert os.environ.get('GOMP_SPINCOUNT') == {asked.get('GOMP_SPINCOUNT')!r}"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", code]
    told = {**env, **asked, "OMP_DISPLAY_ENV": "VERBOSE"}
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    if "GOMP_" not in done.stderr:
        pytest.skip("compiled without OpenMP, or with one that is not GNU's")
    assert f"GOMP_SPINCOUNT = '{asked.get('GOMP_SPINCOUNT', native.SPINS)}'" in done.stderr


@pytest.mark.parametrize(
    ("asked", "rows", "allowed"), [("1", 5000, 1), (None, 5000, 3), ("1", 10, 1), ("2,1", 5000, 2), ("no", 5000, 3)]
)
def test_linear_algebra_takes_no_more_threads_than_the_environment_allows(monkeypatch, asked, rows, allowed):
    from threadpoolctl import threadpool_info

    from cumulant.measure import threads

    monkeypatch.setattr(threads, "cores", lambda: 3)
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    with threads.blas_threads(rows):
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {allowed}
