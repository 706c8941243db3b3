"""SQL through DuckDB: files, databases, attached databases, and DuckDB's complaints passed on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sqlite3
import sys
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pytest

from cumulant.errors import ColumnError, DataError, MissingDependencyError, OptionError, SourceError
from cumulant.source import open_table
from cumulant.source.sql import is_sql


def rows(table):
    return pa.Table.from_batches(table.open(), table.schema).to_pylist()


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "houses.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE houses AS FROM (VALUES (1.5::DOUBLE, 'Lund'), (2.5, 'Graz')) t(price, city)")
        connection.execute('CREATE SCHEMA old; CREATE TABLE old."odd name" AS SELECT 7 AS a')
    return path


def test_table_of_a_database(base):
    table = open_table(f"duckdb:///{base}?table=houses")
    assert rows(table) == rows(table) == [{"price": 1.5, "city": "Lund"}, {"price": 2.5, "city": "Graz"}]
    assert table.name == 'houses.db: FROM "houses"'
    assert table.size == base.stat().st_size
    assert rows(open_table(f"duckdb:///{base}?table=old.odd name")) == [{"a": 7}]


def test_query_of_a_database(base):
    query = "SELECT city, price + 1 AS p FROM houses WHERE city LIKE 'L%' AND price = 1.5"
    for text in (query, quote(query)):
        assert rows(open_table(f"duckdb:///{base}?query={text}")) == [{"city": "Lund", "p": 2.5}]


def test_relative_and_absolute_addresses(base, monkeypatch):
    monkeypatch.chdir(base.parent)
    for address in ("duckdb:///houses.db", f"duckdb:///{base}", f"duckdb://{base}"):
        assert len(rows(open_table(f"{address}?table=houses"))) == 2


def test_columns_are_chosen_by_the_query_engine(base):
    assert rows(open_table(f"duckdb:///{base}?table=houses", columns=["city"])) == [{"city": "Lund"}, {"city": "Graz"}]
    with pytest.raises(ColumnError, match="Did you mean 'price'"):
        open_table(f"duckdb:///{base}?table=houses", columns=["prize"])
    odd = open_table('SELECT 1 AS "a ""b"", c", 2 AS d', columns=['a "b", c'])
    assert rows(odd) == [{'a "b", c': 1}]


@pytest.mark.parametrize("shape", ["SELECT * FROM '{}'", "from '{}'", "duckdb:///?query=SELECT * FROM '{}'"])
def test_queries_over_files(tmp_path, shape):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    table = open_table(shape.format(path))
    assert rows(table) == rows(table) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_statements_before_the_query():
    table = open_table("duckdb:///?query=CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2); FROM t ORDER BY a;")
    assert rows(table) == rows(table) == [{"a": 1}, {"a": 2}]


def test_types_from_sql_are_plain():
    table = open_table(
        "SELECT 1.25::DECIMAL(9,2) AS d, 3::HUGEINT AS h, 'u'::ENUM('u','v') AS e, DATE '2024-01-31' AS t"
    )
    assert [str(kind) for kind in table.schema.types][:2] == ["double", "double"]
    (row,) = rows(table)
    assert (row["d"], row["h"], row["e"], str(row["t"])) == (1.25, 3.0, "u", "2024-01-31")
    for query in ("SELECT [1, 2] AS a", "SELECT {'k': 1} AS a", "SELECT 'x'::BLOB AS a", "SELECT INTERVAL 1 DAY AS a"):
        with pytest.raises(DataError, match=r"Column 'a'.*columns="):
            open_table(query)


def test_a_long_result_streams():
    table = open_table("SELECT range AS i, range * 0.5::DOUBLE AS x FROM range(1000000)")
    count, largest = 0, 0
    for batch in table.open():
        count, largest = count + batch.num_rows, max(largest, batch.num_rows)
    assert (count, largest <= 1 << 16) == (1_000_000, True)


def test_a_pass_may_be_abandoned(base):
    table = open_table(f"duckdb:///{base}?query=SELECT range AS i FROM range(1000000)")
    next(table.open())
    assert next(table.open()).num_rows > 0


def test_database_open_elsewhere_in_this_process(base):
    with duckdb.connect(str(base)) as connection:
        connection.execute("INSERT INTO houses VALUES (3.5, 'Ulm')")
        assert len(rows(open_table(f"duckdb:///{base}?table=houses"))) == 3
        assert connection.sql("SELECT current_setting('python_enable_replacements')").fetchall() == [(True,)]


def test_local_variables_are_not_tables():
    columns = pa.table({"a": [1]})
    assert columns.num_rows == 1
    for name in ("columns", "data", "query", "relation"):
        with pytest.raises(SourceError, match=f"Table with name {name} does not exist"):
            open_table(f"SELECT * FROM {name}")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT * FROM houzes", r'Table with name houzes does not exist! Did you mean "houses"\?$'),
        (
            "SELECT prize FROM houses",
            r'Referenced column "prize" not found in FROM clause! Candidate bindings: "(houses.)?price"',
        ),
        ("SELECT FROM WHERE", "syntax error"),
    ],
)
def test_complaints_are_passed_on_in_one_line(base, query, words):
    with pytest.raises(SourceError, match=words) as caught:
        open_table(f"duckdb:///{base}?query={query}")
    assert "\n" not in str(caught.value)
    assert "DuckDB says" in str(caught.value)


def test_error_in_the_midst_of_a_pass():
    table = open_table("SELECT CASE WHEN range < 900000 THEN 1 ELSE error('row too far') END AS a FROM range(1000000)")
    with pytest.raises(SourceError, match="row too far"):
        list(table.open())


def test_error_of_the_caller_is_left_alone():
    batches = open_table("SELECT range AS a FROM range(100000)").open()
    next(batches)
    with pytest.raises(ZeroDivisionError):
        batches.throw(ZeroDivisionError)


def test_unknown_table_and_missing_database(base):
    with pytest.raises(SourceError, match='Table with name house does not exist! Did you mean "houses"'):
        open_table(f"duckdb:///{base}?table=house")
    with pytest.raises(SourceError, match=r"There is no database .*house.db. Did you mean 'houses.db'"):
        open_table(f"duckdb:///{base.parent}/house.db?table=houses")
    assert not (base.parent / "house.db").exists()
    other = base.parent / "notes.db"
    other.write_text("no database at all " * 100)
    with pytest.raises(SourceError, match="not a valid DuckDB database"):
        open_table(f"duckdb:///{other}?table=houses")


@pytest.mark.parametrize("what", ["", "?", "?table=", "?query=  ", "?tables=houses"])
def test_address_without_table_or_query(base, what):
    with pytest.raises(OptionError, match=r"Add \?table=name or \?query=SELECT"):
        open_table(f"duckdb:///{base}{what}")


@pytest.mark.parametrize("query", ["CREATE TABLE t (a INT)", "SELECT 1; CREATE TABLE t (a INT)", "-- nothing"])
def test_statements_that_give_no_table(query):
    with pytest.raises(SourceError, match="gives no table"):
        open_table(f"duckdb:///?query={query}")


def test_duplicate_columns_of_a_query():
    with pytest.raises(DataError, match="more than one column named 'a'"):
        open_table("SELECT 1 AS a, 2 AS a")


def test_what_counts_as_sql(tmp_path, monkeypatch):
    assert all(map(is_sql, ["select 1", " WITH a AS (SELECT 1) FROM a", "FROM 't.csv'", "duckdb:///x.db?table=t"]))
    assert not any(map(is_sql, ["selection.csv", "from.csv", "with", "data/select.parquet"]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "from me.csv").write_text("a\n1\n")
    assert rows(open_table("from me.csv")) == [{"a": 1.0}]


def test_duckdb_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cumulant\[sql\]'"):
        open_table("SELECT 1 AS a")


def extension(name: str) -> str:
    """SQL that makes an extension of DuckDB available: already there, or from a package duckdb-ext-NAME."""
    folders = [f"SET extension_directory = '{p}/extensions'" for p in (package_folder("duckdb_ext"),) if p]
    for prepare in ["SELECT 1", *folders]:
        with duckdb.connect() as connection, contextlib.suppress(duckdb.Error):
            connection.execute(f"SET autoinstall_known_extensions = false; {prepare}; LOAD {name}")
            return prepare
    pytest.skip(f"DuckDB's {name} extension is not installed; pip install duckdb-ext-{name}, beside its DuckDB")


def package_folder(name: str) -> str | None:
    found = importlib.util.find_spec(name)
    return str(Path(found.origin).parent) if found and found.origin else None


def test_attached_sqlite(tmp_path):
    prepare = extension("sqlite")
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (a REAL, b TEXT)")
        made.execute("INSERT INTO t VALUES (1.5, 'x')")
    made.close()
    table = open_table(f"duckdb:///?query={prepare}; ATTACH '{path}' AS s (TYPE sqlite); SELECT * FROM s.t")
    assert rows(table) == [{"a": 1.5, "b": "x"}]


def test_attached_postgres():
    server = os.environ.get("CUMULANT_POSTGRES")
    if not server:
        pytest.skip("CUMULANT_POSTGRES names no server to connect to, such as 'host=/tmp user=postgres'")
    prepare = extension("postgres")
    attach = f"{prepare}; ATTACH '{server}' AS p (TYPE postgres)"
    with duckdb.connect() as connection:
        connection.execute(
            f"{attach}; CREATE OR REPLACE TABLE p.houses AS SELECT i::DOUBLE AS a, 'x' AS b FROM range(3) r(i)"
        )
    table = open_table(f"duckdb:///?query={attach}; SELECT * FROM p.houses ORDER BY a")
    assert rows(table) == [{"a": float(i), "b": "x"} for i in range(3)]


def test_attached_database(base):
    table = open_table(f"ATTACH '{base}' AS h (READ_ONLY); SELECT price FROM h.houses ORDER BY price")
    assert rows(table) == [{"price": 1.5}, {"price": 2.5}]
