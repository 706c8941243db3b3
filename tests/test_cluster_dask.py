from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, CumulantWarning, DataError, IncompatibleError, OptionError, SourceError
from cumulant.measure.requirement import Requirement
from helpers import TABLES, mixed_with_gaps
from sameness import same_moments

dask = pytest.importorskip("dask", reason="Dask is an extra")
dd = pytest.importorskip("dask.dataframe", reason="Dask's dataframes are an extra")
da = pytest.importorskip("dask.array", reason="Dask's arrays are an extra")
distributed = pytest.importorskip("distributed", reason="Dask's cluster is an extra")

RNG = np.random.default_rng


def partitions(frame: pd.DataFrame, npartitions: int) -> dd.DataFrame:
    """The frame on Dask, objects left as they are: else true and false with gaps become text."""
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(frame, npartitions=npartitions)


@pytest.fixture(autouse=True)
def in_this_thread():
    """Without a cluster unless a test starts one."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.filterwarnings("ignore::cumulant.errors.CumulantWarning")
def test_any_table_in_partitions_has_the_moments_of_the_whole(name: str) -> None:
    frame = TABLES[name](RNG(1), 1000)
    same_moments(cm.measure(frame), cm.measure(partitions(frame, npartitions=11)))


def test_text_of_arrow_is_text() -> None:
    frame = TABLES["mixed"](RNG(1), 500)
    table = dd.from_pandas(frame, npartitions=3)
    assert table.city.dtype == "string"
    same_moments(cm.measure(frame), cm.measure(table))


@pytest.mark.parametrize("missing", ["integrate", "drop"])
@pytest.mark.parametrize("kind", ["frequency", "importance"])
def test_options_hold_on_every_partition(missing: str, kind: str) -> None:
    frame = mixed_with_gaps(RNG(2), 700).assign(w=RNG(3).integers(0, 4, 700), unused="x")
    options = {
        "weights": "w",
        "weight_kind": kind,
        "missing": missing,
        "columns": ["city", "price", "rooms", "built"],
        "lifts": {"rooms": "categorical", "built": ["cyclic:year"]},
        "folds": 4,
        "precision": "compensated",
    }
    same_moments(cm.measure(frame, **options), cm.measure(partitions(frame, npartitions=5), **options))


def test_levels_over_the_limit_are_gathered_as_on_one_machine() -> None:
    # The first rows, which choose levels by how frequent they are, show three of them; the rest come later.
    city = np.concatenate([RNG(4).choice(["a", "b", "c"], 5000), RNG(5).choice(list("zyxwvu"), 3000)])
    frame = pd.DataFrame({"city": city, "y": RNG(6).normal(size=8000)})
    with pytest.warns(CumulantWarning, match="more than 5 levels"):
        one = cm.measure(frame, levels=5)
    with pytest.warns(CumulantWarning, match="more than 5 levels"):
        many = cm.measure(partitions(frame, npartitions=7), levels=5)
    assert many.schema == one.schema
    assert many.schema.lifts[0].remainder
    same_moments(one, many)


def test_levels_of_a_later_partition_are_found() -> None:
    frame = pd.DataFrame({"g": ["a"] * 6000 + ["c", "b"] * 500, "y": np.arange(7000.0)})
    same_moments(cm.measure(frame), cm.measure(partitions(frame, npartitions=6)))


def test_a_column_of_objects_that_begins_empty_is_what_it_becomes() -> None:
    frame = pd.DataFrame({"g": np.array([None] * 5000 + ["b", "a"] * 500, dtype=object), "y": np.arange(6000.0)})
    same_moments(cm.measure(frame), cm.measure(partitions(frame, npartitions=6)))


def test_empty_partitions_leave_no_trace() -> None:
    frame = TABLES["mixed"](RNG(7), 900)
    table = partitions(frame.assign(place=frame.index), npartitions=9)
    some = table[(table.place >= 200) & (table.place < 600)].drop(columns="place")
    same_moments(cm.measure(frame.iloc[200:600]), cm.measure(some))
    nothing = cm.measure(table[table.place < 0].drop(columns="place"))
    assert nothing.rows.sum() == 0
    assert nothing.schema.columns == tuple(frame.columns)


def test_rows_are_numbered_through_the_partitions_where_the_index_begins_anew(tmp_path: Path) -> None:
    frame = TABLES["numbers"](RNG(8), 500)
    for i in range(4):
        frame.iloc[i * 125 : (i + 1) * 125].to_parquet(tmp_path / f"{i}.parquet", index=False)
    same_moments(cm.measure(frame), cm.measure(dd.read_parquet(tmp_path)))


def test_a_known_integer_index_numbers_the_rows() -> None:
    frame = TABLES["numbers"](RNG(9), 300).set_index(np.arange(0, 3000, 10))
    many = cm.measure(partitions(frame, npartitions=3))
    same_moments(cm.measure(frame), many)
    assert not np.array_equal(many.rows, cm.measure(frame, rows=0).rows)


def test_rows_may_be_a_column_or_begin_elsewhere() -> None:
    frame = TABLES["numbers"](RNG(10), 300).assign(id=RNG(11).permutation(300))
    table = partitions(frame, npartitions=4)
    same_moments(cm.measure(frame, rows="id"), cm.measure(table, rows="id"))
    same_moments(cm.measure(frame, rows=77), cm.measure(table, rows=77))


def test_further_rows_join_moments_that_were_measured_elsewhere() -> None:
    frame = TABLES["mixed_with_gaps"](RNG(12), 600)
    first = cm.measure(frame.iloc[:200])
    rest = partitions(frame.iloc[200:].reset_index(drop=True), npartitions=3)
    same_moments(cm.measure(frame), first.update(rest))


@pytest.mark.parametrize("options", [{}, {"rows": "id"}, {"folds": 1}])
def test_rows_that_bring_their_numbers_are_read_once(options: dict[str, object]) -> None:
    frame = TABLES["mixed"](RNG(20), 13_000).assign(id=np.arange(13_000)[::-1])
    looks: list[int] = []

    def look(part: pd.DataFrame) -> pd.DataFrame:
        looks.append(len(part))
        return part

    table = partitions(frame, npartitions=3).map_partitions(look, meta=frame)
    table = table if not options else table.clear_divisions()
    one, many = cm.measure(frame, **options), cm.measure(table, **options)
    same_moments(one, many)
    # The first partition is made twice: what it begins with is the start.
    assert len(looks) == 4


def test_arrays_in_chunks_both_ways() -> None:
    x = RNG(13).normal(size=(400, 6)) + 3
    x[5, 2] = np.nan
    names = list("abcdef")
    same_moments(cm.measure(x, columns=names), cm.measure(da.from_array(x, chunks=(70, 4)), columns=names))
    unknown = da.from_array(x, chunks=(70, 6))
    unknown = unknown[unknown[:, 0] > 3]
    same_moments(cm.measure(x[x[:, 0] > 3]), cm.measure(unknown))


def test_a_model_is_fitted_to_a_table_in_partitions() -> None:
    frame = TABLES["mixed"](RNG(14), 500)
    one, many = cm.fit(frame, target="price"), cm.fit(partitions(frame, npartitions=4), target="price")
    pd.testing.assert_frame_equal(one.summary().table, many.summary().table, rtol=1e-9)


def test_mistakes_are_named_before_any_work() -> None:
    table = partitions(TABLES["mixed"](RNG(15), 50), npartitions=2)
    for options in (
        {"columns": ["prices"]},
        {"weights": "prices"},
        {"rows": "prices"},
        {"lifts": {"prices": "numeric"}},
    ):
        with pytest.raises(ColumnError, match="did you mean 'price'"):
            cm.measure(table, **options)
    with pytest.raises(OptionError, match="make it a column"):
        cm.measure(table, weights=np.ones(50))
    with pytest.raises(OptionError, match="delimiter"):
        cm.measure(table, delimiter=";")
    with pytest.raises(DataError, match="3 dimensions"):
        cm.measure(da.ones((2, 2, 2)))
    with pytest.raises(SourceError, match="no table"):
        cm.measure(dask.delayed(1))
    with pytest.raises(IncompatibleError, match="weights"):
        _ = cm.measure(table, weights="rooms", weight_kind="importance") + cm.measure(table, columns=["price"])


def test_the_first_partition_in_trouble_is_named() -> None:
    frame = TABLES["numbers"](RNG(16), 8000)
    frame.loc[[5000, 7000], "b"] = np.inf
    with pytest.raises(DataError, match=r"partition 2 of the table: column 'b' holds inf in row 1000"):
        cm.measure(partitions(frame, npartitions=4))


def test_a_table_that_changes_between_the_passes_is_refused(tmp_path: Path) -> None:
    frame = TABLES["numbers"](RNG(17), 400)

    def shrinking(part: pd.DataFrame) -> pd.DataFrame:
        seen = tmp_path / f"{part.index[0]}"
        seen.write_text(seen.read_text() + "." if seen.exists() else ".")
        return part.iloc[len(seen.read_text()) :]

    table = partitions(frame, npartitions=2).map_partitions(shrinking, meta=frame)
    with pytest.raises(DataError, match="must be the same each time"):
        cm.measure(table, rows=0)


@pytest.fixture
def client():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "60s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as connected,
        dask.config.set(scheduler=connected),
    ):
        yield connected


def test_a_killed_worker_does_not_change_the_result(client: distributed.Client, tmp_path: Path) -> None:
    frame = TABLES["mixed_with_gaps"](RNG(18), 2000).assign(w=RNG(19).random(2000))
    died, seen = tmp_path / "died", tmp_path / "seen"

    def deadly(part: pd.DataFrame) -> pd.DataFrame:
        # The third look at the rows from 900 on is the one that measures them, with other sums made already.
        if part.index[0] == 900 and not died.exists():
            looks = seen.read_text() if seen.exists() else ""
            seen.write_text(looks + ".")
            if len(looks) == 2:
                died.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        return part

    table = partitions(frame, npartitions=20).map_partitions(deadly, meta=frame)
    before = set(client.nthreads())
    many = cm.measure(table, weights="w")
    assert died.exists()
    assert set(client.nthreads()) != before
    same_moments(cm.measure(frame, weights="w"), many)


@pytest.mark.parametrize("requirement", [Requirement(4), Requirement(3, target="y"), Requirement(4, within=40)])
def test_higher_orders_in_partitions_are_those_of_the_whole(requirement: Requirement) -> None:
    x = RNG(5).gamma(2.0, size=(700, 3))
    frame = pd.DataFrame(x, columns=list("xyz"))
    frame.loc[::50, "x"] = np.nan
    with pytest.warns(CumulantWarning, match="14 of 700 rows have a missing cell") as caught:
        m = cm.measure(partitions(frame, npartitions=7), requirement=requirement)
    assert len(caught) == 1
    with pytest.warns(CumulantWarning, match="14 of 700 rows"):
        whole = cm.measure(frame, requirement=requirement)
    same_moments(whole, m)
    assert m.higher is not None
    np.testing.assert_array_equal(m.higher.rows, whole.higher.rows)
    np.testing.assert_allclose(m.higher.sums, whole.higher.sums, rtol=1e-10, atol=1e-9)
    with pytest.warns(CumulantWarning, match="14 of 700 rows"):
        again = cm.measure(partitions(frame, npartitions=2), like=m)
    np.testing.assert_allclose(again.higher.sums, whole.higher.sums, rtol=1e-10, atol=1e-9)


def test_a_polynomial_from_partitions() -> None:
    x = RNG(6).normal(size=(4000, 2))
    frame = pd.DataFrame({"x": x[:, 0], "y": x[:, 0] ** 2 + 0.1 * x[:, 1]})
    m = cm.measure(partitions(frame, npartitions=3), requirement=cm.Taylor(3).requires())
    model = cm.solve(m, cm.Taylor(3), target="y")
    whole = cm.fit(frame, cm.Taylor(3), target="y")
    given = {"x": [0.5, 2.0]}
    np.testing.assert_allclose(model.predict("y", given=given), whole.predict("y", given=given), rtol=1e-9)
    assert whole.predict("y", given=given) == pytest.approx([0.25, 4.0], abs=0.05)
