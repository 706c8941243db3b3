"""Arrays on a device: the sums of a strict array library, and of a GPU where there is one, are those of NumPy."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest

import cumulant as cm
from cumulant.errors import CumulantWarning, DataError, MissingDependencyError, OptionError
from cumulant.measure import device
from cumulant.source.arrays import fetched, is_remote
from helpers import TABLES
from sameness import same_moments

N = 5000  # more than the first rows, which alone decide the reference point


def there(values):
    """An array where NumPy cannot read it."""
    return strict.asarray(values, device=strict.Device("device1"))


def table(name="numbers", n=N):
    return TABLES[name](np.random.default_rng(5), n).to_numpy(dtype=np.float64, copy=True)


@pytest.mark.parametrize("missing", ["integrate", "drop"])
@pytest.mark.parametrize("name", ["numbers", "far_from_zero", "with_gaps", "awkward"])
def test_same_as_on_the_host(name, missing, monkeypatch):
    monkeypatch.setattr(device, "BLOCK_BYTES", 8 * 3 * 1500)
    x = table(name)
    m = cm.measure(there(x), missing=missing)
    assert m.notes[0].startswith("summed on ")
    here = cm.measure(x, missing=missing, precision="double")
    same_moments(here, m)
    assert m.presence == here.presence
    np.testing.assert_allclose(m.squares, here.squares, rtol=1e-12)


@pytest.mark.parametrize("kind", ["frequency", "importance"])
@pytest.mark.parametrize("name", ["numbers", "with_gaps"])
def test_weights(name, kind):
    x, w = table(name), np.random.default_rng(0).integers(0, 3, N) / 2
    x[w == 0, 0] = np.nan  # where it does not count
    m = cm.measure(there(x), weights=w, weight_kind=kind, folds=4)
    here = cm.measure(x, weights=w, weight_kind=kind, folds=4)
    same_moments(here, m)
    np.testing.assert_allclose(m.log_weights, here.log_weights)
    same_moments(m, cm.measure(there(x), weights=there(w), weight_kind=kind, folds=4))


def test_gaps_after_the_first_block(monkeypatch):
    monkeypatch.setattr(device, "BLOCK_BYTES", 0)
    x = table()
    x[4000, 1] = np.nan
    m = cm.measure(there(x), columns=["a", "b", "c"])
    assert (m.presence, m.columns) == ((1,), ("a", "b", "c"))
    same_moments(cm.measure(x, columns=["a", "b", "c"]), m)
    with pytest.raises(DataError, match="column 'x1' is missing in row 4000"):
        cm.measure(there(x), missing="error")


def test_like_update_and_row_numbers():
    x = table()
    first = cm.measure(there(x[:3000]))
    same_moments(cm.measure(x), first.update(there(x[3000:])))
    numbers = np.random.default_rng(0).permutation(N)
    for here, rows in ((numbers, numbers), (numbers, there(numbers)), (77, 77)):
        same_moments(cm.measure(x, rows=here), cm.measure(there(x), rows=rows))


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.bool_])
def test_other_types_are_summed_in_double(kind):
    x = (table() * 10 % 7 > 3).astype(kind) if kind is np.bool_ else (1e4 * table()).astype(kind)
    same_moments(cm.measure(x), cm.measure(there(x)))


def test_a_device_without_float64_says_so(monkeypatch):
    monkeypatch.setattr(device, "_widest", lambda xp, where: xp.float32)
    x = table("far_from_zero")[:, 1:].astype(np.float32) + 7
    with pytest.warns(CumulantWarning, match="has no float64"):
        m = cm.measure(there(x))
    np.testing.assert_allclose(m.covariance, np.atleast_2d(np.cov(x.astype(float).T)), rtol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows(n):
    m, here = cm.measure(there(table(n=n))), cm.measure(table(n=n))
    np.testing.assert_array_equal(m.rows, here.rows)
    np.testing.assert_allclose(m.packed, here.packed, rtol=1e-12, atol=1e-13)


def test_what_cannot_be_measured_is_named():
    x = table()
    for value, words in ((np.inf, "column 'x2' holds inf in row 4500"), (1e200, "column 'x2' holds numbers so large")):
        x[4500, 2] = value
        with pytest.raises(DataError, match=words):
            cm.measure(there(x))
    x = there(table())
    for options, words in (
        ({"precision": "compensated"}, "compensated"),
        ({"group_by": "x0"}, "group_by= is for one machine, not for a device"),
        ({"order": 3}, "order=3 is for one machine"),
        ({"weights": "x0"}, "one value a row, not the name"),
        ({"rows": "x0"}, "are numbers, not the name"),
        ({"weights": np.ones(3)}, r"weights= has shape \(3,\)"),
        ({"rows": np.arange(3)}, r"rows= has shape \(3,\)"),
        ({"lifts": {"x0": "categorical"}}, "read as a number"),
        ({"like": cm.measure(table(), columns=["a", "b", "c"])}, "other columns"),
    ):
        with pytest.raises(OptionError, match=words):
            cm.measure(x, **options)
    with pytest.raises(DataError, match="weight in row 0 is -1"):
        cm.measure(x, weights=-np.ones(N))
    with pytest.raises(DataError):
        cm.measure(there(np.zeros((2, 2, 2))))


def test_arrays_of_another_library_on_the_host_are_tables_like_any():
    x = table()
    here = strict.asarray(x)
    assert not is_remote(here)
    same_moments(cm.measure(x), cm.measure(here))
    model = cm.fit(there(x))
    np.testing.assert_allclose(model.predict("x0", given=there(x)), model.predict("x0", given=x))


def test_the_library_that_makes_others_alike_is_optional(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "array_api_compat", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cumulant\[gpu\]'"):
        cm.measure(there(table()))


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_a_gpu(library):
    xp = pytest.importorskip(library, reason=f"{library} is not installed")
    if library == "torch" and not xp.cuda.is_available():
        pytest.skip("PyTorch sees no GPU")
    if library == "cupy" and not xp.cuda.is_available():
        pytest.skip("CuPy sees no GPU")
    for kind in (np.float64, np.float32):
        x = table("with_gaps").astype(kind)
        on_gpu = xp.asarray(x, device="cuda") if library == "torch" else xp.asarray(x)
        assert is_remote(on_gpu)
        np.testing.assert_array_equal(fetched(on_gpu), x)
        same_moments(cm.measure(x), cm.measure(on_gpu))
