"""Sums by SQL are those that streaming finds, for every kind of column, gap and weight; and streaming takes over."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cumulant as cm
from cumulant.errors import CumulantWarning, DataError, OptionError
from cumulant.measure.kernels import fold_of
from cumulant.measure.pushdown import Rates
from cumulant.measure.statement import fold_steps
from helpers import TABLES
from sameness import same_moments
from test_source_sql import extension

N = 6000  # beyond the first rows, which alone decide the lifts


def stored(frame, path, name="t"):
    with duckdb.connect(str(path)) as connection:
        given = pa.Table.from_pandas(frame, preserve_index=False)
        assert given.num_columns
        connection.execute(f"CREATE TABLE {name} AS FROM given")
    return f"duckdb:///{path}?table={name}"


def both(address, **options):
    """The moments by SQL and by streaming, the same."""
    pushed = cm.measure(address, pushdown=True, **options)
    assert "summed in the database" in pushed.notes[-1]
    streamed = cm.measure(address, pushdown=False, **options)
    assert streamed.notes == ()
    assert pushed.presence == streamed.presence
    same_moments(streamed, pushed)
    scale = np.abs(streamed.squares).max(initial=1.0)
    np.testing.assert_allclose(pushed.squares, streamed.squares, rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(pushed.squared_weights, streamed.squared_weights, rtol=1e-12)
    np.testing.assert_allclose(pushed.log_weights, streamed.log_weights, rtol=1e-12, atol=1e-9)
    return pushed


@pytest.mark.parametrize("folds", [1, 7, 1000])
def test_folds_are_those_of_the_hash(folds):
    numbers = np.array([0, 1, 2, 4096, -1, -(2**63), 2**63 - 1, 2**53 + 1, 123456789], dtype=np.int64)
    with duckdb.connect() as connection:
        relation = connection.sql(f"SELECT unnest({numbers.tolist()}::BIGINT[]) AS r")
        for step in fold_steps(folds):
            relation = relation.project(step)
        assert [fold for (fold,) in relation.project("fold").fetchall()] == fold_of(numbers, folds).tolist()


@pytest.mark.parametrize("missing", ["integrate", "drop"])
@pytest.mark.parametrize("table", TABLES)
def test_same_as_streaming(table, missing, tmp_path):
    frame = TABLES[table](np.random.default_rng(3), N)
    address = stored(frame, tmp_path / "t.db")
    if table == "many_levels":
        with pytest.raises(OptionError, match="of many levels is summed level by level here"):
            cm.measure(address, pushdown=True)
        return
    m = both(address, missing=missing)
    assert m.rows.sum() == (len(frame.dropna()) if missing == "drop" else N)


@pytest.mark.parametrize("kind", ["frequency", "importance"])
@pytest.mark.parametrize("table", ["numbers", "mixed_with_gaps"])
def test_weights(table, kind, tmp_path):
    rng = np.random.default_rng(4)
    frame = TABLES[table](rng, N).assign(w=rng.integers(0, 4, N) * 0.5)
    # Only rows that do not count have gaps here, or show this level.
    frame["quiet"] = np.where(frame["w"] > 0, 1.0, np.nan)
    frame["word"] = np.where(frame["w"] > 0, "shown", "never")
    m = both(stored(frame, tmp_path / "t.db"), weights="w", weight_kind=kind)
    assert m.count == pytest.approx(frame["w"].sum() if kind == "frequency" else (frame["w"] > 0).sum())
    assert "word=never" in m.schema.fields


def test_against_plain_numpy(tmp_path):
    rng = np.random.default_rng(0)
    centre = np.array([0.0, 1e8, -5.0])
    x = rng.normal(size=(N, 3)) + centre
    address = stored(pd.DataFrame(x, columns=list("abc")), tmp_path / "t.db")
    m = cm.measure(address, pushdown=True, folds=4)
    np.testing.assert_allclose(m.mean, (x - centre).mean(axis=0) + centre, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(m.covariance, np.cov((x - centre).T), rtol=1e-12, atol=1e-12)
    fold = fold_of(np.arange(N), 4)
    for k in range(4):
        np.testing.assert_allclose(m.fold(k).mean, x[fold == k].mean(axis=0), rtol=1e-13)


def test_all_types(tmp_path):
    path = tmp_path / "t.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""CREATE TABLE t AS SELECT i::TINYINT % 100 AS tiny, i::HUGEINT AS huge, (i * 0.37)::FLOAT AS single,
            (i * 1.25)::DECIMAL(12, 3) AS price, i % 3 = 0 AS yes, DATE '1969-06-01' + (i % 900)::INT AS day,
            TIMESTAMP '1960-01-01' + INTERVAL (i * 977) MINUTE AS at, TIMESTAMPTZ '2020-02-02' AS zoned,
            (TIMESTAMP '2020-01-01' + INTERVAL (i) SECOND)::TIMESTAMP_NS AS fine, ('k' || i % 4) AS word,
            ('k' || i % 2)::ENUM('k0', 'k1', 'unused') AS one_of, (i % 5)::INT AS code
            FROM (SELECT (range % 101)::BIGINT AS i FROM range({N}))"""
        )
    lifts = {"day": ["cyclic:year", "cyclic:week"], "code": "categorical"}
    m = both(f"duckdb:///{path}?table=t", lifts=lifts, precision="double")
    assert {"day:sin(week)", "code=4", "one_of=k1", "word=k3"} <= set(m.schema.fields)


def test_names_and_levels_are_quoted(tmp_path):
    rng = np.random.default_rng(0)
    odd = ["it's", 'say "no"', "'); DROP TABLE t; --", "", "\\", "ä\n"]
    frame = pd.DataFrame({'x"; --': rng.normal(size=N), "c0": rng.normal(size=N), "fold": rng.choice(odd, N), "r": 1.0})
    m = both(stored(frame, tmp_path / "t.db"))
    assert set(m.schema.lifts[2].levels) == set(odd)


def test_gaps_and_levels_beyond_the_first_rows(tmp_path):
    frame = TABLES["mixed"](np.random.default_rng(1), N).astype({"rooms": "float64", "lift": object})
    frame.loc[N - 3, "city"] = "Bonn"
    frame.loc[N - 5, "rooms"] = np.nan
    frame.loc[N - 6, "lift"] = None
    path = tmp_path / "t.db"
    address = stored(frame, path)
    assert both(address).presence == (1, 4)
    assert both(address, missing="drop").rows.sum() == N - 2
    with duckdb.connect(str(path)) as connection:  # a NaN that is none of Arrow's nulls
        connection.execute("UPDATE t SET price = 'nan' WHERE rowid = 5900")
    assert both(address).presence == (0, 1, 4)
    with pytest.raises(DataError, match="column 'price' is missing in row 5900"):
        cm.measure(address, pushdown=True, missing="error")


def test_what_cannot_be_measured_is_named_by_streaming(tmp_path):
    frame = TABLES["numbers"](np.random.default_rng(1), N)
    frame["w"] = 1.0
    for column, value, words in (
        ("b", np.inf, "column 'b' holds inf in row 5000"),
        ("b", 1e200, "column 'b' holds numbers so large"),
        ("w", -1.0, r"the weight in row 5000 is -1\.0"),
    ):
        bad = frame.copy()
        bad.loc[5000, column] = value
        address = stored(bad, tmp_path / f"{column}{value}.db")
        with pytest.raises(DataError, match=words):
            cm.measure(address, weights="w", pushdown=True)


def test_more_levels_than_are_kept(tmp_path):
    frame = pd.DataFrame(
        {"x": np.arange(N) * 1.0, "c": [f"v{i % 40}" for i in range(N)], "d": ["a"] * (N - 9) + list("bcdefghij")}
    )
    address = stored(frame, tmp_path / "t.db")
    with pytest.warns(CumulantWarning, match="has more than 30 levels"):
        both(address, levels=30)
    # Which levels are kept depends on the order of rows when the first ones do not show that there are too many.
    with pytest.warns(CumulantWarning, match="column 'd' has more than 5 levels"):
        assert cm.measure(address, columns=["x", "d"], levels=5, pushdown=True).notes == ()


@pytest.mark.parametrize("rows", [17, "id"])
def test_row_numbers(rows, tmp_path):
    frame = TABLES["numbers"](np.random.default_rng(1), N).assign(id=np.random.default_rng(2).permutation(N) - 5)
    address = stored(frame, tmp_path / "t.db")
    m = both(address, rows=rows)
    if rows == "id":
        x = frame.set_index("id")[["a", "b", "c"]]
        np.testing.assert_allclose(m.fold(3).mean, x[fold_of(x.index.to_numpy(), 10) == 3].mean(), rtol=1e-12)


def test_rows_deleted_and_views(tmp_path):
    path = tmp_path / "t.db"
    stored(TABLES["numbers"](np.random.default_rng(1), N), path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "DELETE FROM t WHERE rowid % 3 = 1; CREATE VIEW v AS FROM t; "
            "CREATE TABLE rowid AS SELECT 7 - a AS rowid FROM t"
        )
    for name in ("t", "v", "rowid"):
        assert both(f"duckdb:///{path}?table={name}").rows.sum() == N - N // 3


def test_queries_and_relations(tmp_path):
    address = stored(TABLES["mixed"](np.random.default_rng(1), N), tmp_path / "t.db")
    both(f"{address.split('?')[0]}?query=SELECT price * 2 AS p, rooms FROM t WHERE rooms > 2 -- some")
    both(f"{address.split('?')[0]}?query=FROM t ORDER BY price")
    with duckdb.connect(str(tmp_path / "t.db")) as connection:
        relation = connection.table("t")
        both(relation)
        same_moments(cm.measure(relation, pushdown=True), cm.measure(address, pushdown=False))
        assert connection.sql("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows(n, tmp_path):
    address = stored(TABLES["mixed"](np.random.default_rng(0), 5).iloc[:n], tmp_path / "t.db")
    pushed, streamed = (cm.measure(address, pushdown=pushdown) for pushdown in (True, False))
    assert pushed.notes
    assert pushed.schema == streamed.schema
    np.testing.assert_array_equal(pushed.rows, streamed.rows)
    np.testing.assert_allclose(pushed.sums, streamed.sums, rtol=1e-12)


def test_columns_without_a_cell(tmp_path):
    frame = pd.DataFrame(
        {"x": np.arange(20.0), "none": np.full(20, np.nan), "text": pd.Series([None] * 20, dtype="str")}
    )
    assert both(stored(frame, tmp_path / "t.db")).presence == (1, 2)


def test_like_and_merging(tmp_path):
    frame = TABLES["mixed_with_gaps"](np.random.default_rng(0), N)
    whole = cm.measure(frame)
    first, second = (stored(part, tmp_path / f"{i}.db") for i, part in enumerate((frame[:4500], frame[4500:])))
    m = both(first)
    both(second, like=m, rows=4500)
    same_moments(whole, m.update(second, pushdown=True))
    assert len((m + both(second, rows=4500)).notes) == 1


def test_asked_for_what_sql_cannot_do(tmp_path):
    frame = TABLES["numbers"](np.random.default_rng(0), 50)
    address = stored(frame.assign(t=pd.to_timedelta(1, unit="h"), f=0.5), tmp_path / "t.db")
    for data, options, words in (
        (frame, {}, "do not come from a database"),
        (address, {"precision": "compensated", "columns": ["a"]}, "no compensated sums"),
        (address, {"weights": np.ones(50), "columns": ["a"]}, "weights= lie beside the table"),
        (address, {"rows": "f", "columns": ["a"]}, "'f' are DOUBLE"),
        (address, {"columns": ["f"], "lifts": {"f": "categorical"}}, "column 'f' of type DOUBLE"),
        (address, {"group_by": "f"}, "without checkpoint=, group_by="),
    ):
        with pytest.raises(OptionError, match=words):
            cm.measure(data, pushdown=True, **options)
    with pytest.raises(OptionError, match="choose among 'auto', True, False"):
        cm.measure(frame, pushdown="always")
    wide = ", ".join(f"i * {j} AS x{j}" for j in range(110))
    with pytest.raises(OptionError, match="too many for one statement"):
        cm.measure(f"SELECT {wide} FROM range(9) t(i)", pushdown=True)


def test_the_choice_is_made_by_cost_and_shown(tmp_path, monkeypatch):
    path = tmp_path / "t.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT random() AS x, random() AS y FROM range(20000)")
        wide = ", ".join(f"random() AS x{j}" for j in range(30))
        connection.execute(
            f"CREATE TABLE wide AS SELECT {wide} FROM range(20000); CREATE TABLE few AS FROM t LIMIT 100"
        )
    # A table of 20,000 rows costs 20 s to stream whatever its width, and a second and 1 s a sum where it lies.
    rates = Rates((1e6, 0, 0, 0, 0), (0, 5e4, 0, 0, 0), 0.0, (0.0, 1.0), "in thought")
    monkeypatch.setattr(Rates, "known", staticmethod(lambda: rates))
    m = cm.measure(f"duckdb:///{path}?table=t")
    # Two counts of cells, two sums, three products, the fold and its count.
    assert m.notes == (
        "summed in the database (9 sums for each of 20,000 rows or so: about 10 s where they lie, 20 s streamed)",
    )
    assert cm.solve(m).notes[0] == m.notes[0]
    joined = "query=SELECT a.x FROM t a JOIN t b USING (x)"
    for cheaper_streamed in ("table=wide", "table=few", "query=FROM t ORDER BY x", joined):
        assert cm.measure(f"duckdb:///{path}?{cheaper_streamed}").notes == ()


def test_the_rates_that_come_with_the_package_say_where_they_were_measured():
    rates = Rates.known()
    assert "DuckDB" in rates.measured
    assert min(*rates.streaming, *rates.pushed, rates.statement, *rates.begin) >= 0
    assert sum(rates.streaming) > 0
    assert sum(rates.pushed) > 0


def test_notes_are_saved(tmp_path):
    m = cm.measure("SELECT i AS x FROM range(10) t(i)", pushdown=True)
    m.save(tmp_path / "m")
    assert cm.load(tmp_path / "m").notes == m.notes == ("summed in the database (as asked)",)


def test_attached_sqlite(tmp_path):
    prepare = extension("sqlite")
    path = tmp_path / "a.sqlite"
    frame = TABLES["mixed_with_gaps"](np.random.default_rng(0), N)[["price", "city", "rooms"]]
    with contextlib.closing(sqlite3.connect(path)) as made:
        frame.to_sql("t", made, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CumulantWarning)
        both(f"duckdb:///?query={prepare}; ATTACH '{path}' AS s (TYPE sqlite); SELECT * FROM s.t")


def test_attached_postgres():
    server = os.environ.get("CUMULANT_POSTGRES")
    if not server:
        pytest.skip("CUMULANT_POSTGRES names no server to connect to, such as 'host=/tmp user=postgres'")
    attach = f"{extension('postgres')}; ATTACH '{server}' AS p (TYPE postgres)"
    frame = TABLES["mixed_with_gaps"](np.random.default_rng(0), N)[["price", "city", "rooms"]]
    with duckdb.connect() as connection:
        connection.register("given", frame)
        connection.execute(f"{attach}; CREATE OR REPLACE TABLE p.measured AS FROM given")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CumulantWarning)
        both(f"duckdb:///?query={attach}; SELECT * FROM p.measured")
