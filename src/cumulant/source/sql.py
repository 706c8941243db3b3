"""Tables by SQL: whatever DuckDB can query or attach, streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from cumulant.errors import CumulantError, MissingDependencyError, OptionError, SourceError
from cumulant.source.columns import closest, unique
from cumulant.source.database import ROWID, Database, identifier
from cumulant.source.table import Table, build, rows_per_batch

__all__ = ["is_sql", "open_relation", "open_sql"]

SCHEME = "duckdb://"
_STATEMENT = re.compile(r"\s*(select|with|from|attach|load|set|pivot|values)\b", re.IGNORECASE)


def is_sql(text: str) -> bool:
    """Whether a string is a query or a DuckDB address rather than a path."""
    return text.startswith(SCHEME) or bool(_STATEMENT.match(text) and len(text.split()) > 1)


def open_sql(text: str, columns: list[str] | None) -> Table:
    """Table that a query gives; the query runs anew on each pass.

    Several statements may be given, separated by semicolons: the last one is the table, those before it
    prepare (``ATTACH``, ``LOAD``, ``SET``). Rows come in the order that DuckDB gives them; a query whose
    order is open (``GROUP BY`` without ``ORDER BY``) may give another on the next pass.

    Raises
    ------
    MissingDependencyError
        If DuckDB is not installed.
    OptionError
        If the address has neither ``query=`` nor ``table=``.
    SourceError
        If the file is missing, or DuckDB refuses the query; its message is passed on.
    """
    database, query, stored = _parts(text)
    name = _short(query) if database is None else f"{database.name}: {_short(query)}"

    @contextmanager
    def rows() -> Iterator[Any]:
        numbered = stored and "rowid" not in map(str.casefold, schema.names)
        with _session(database, query, name, numbered=numbered) as relation:
            yield relation

    with _session(database, query, name) as relation:
        unique(relation.columns, name)
        schema = _reader(relation.limit(0), 1).schema.remove_metadata()
        seen = Database.of(relation, rows, stored=stored)

    def start(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        with _session(database, query, name) as relation:
            yield from _chosen(relation, wanted, schema)

    size = database.stat().st_size if database is not None else None
    return replace(build(name, schema, start, columns, size=size), database=seen)


def open_relation(relation: Any, columns: list[str] | None) -> Table:
    """Table over a relation of the caller's own DuckDB connection, which is busy while a pass runs."""
    name = "DuckDB relation"

    @contextmanager
    def rows() -> Iterator[Any]:
        with _own_words(name):
            yield relation

    with _own_words(name):
        unique(relation.columns, name)
        schema = _reader(relation.limit(0), 1).schema.remove_metadata()
        seen = Database.of(relation, rows, stored=False)

    def start(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        with _own_words(name):
            yield from _chosen(relation, wanted, schema)

    return replace(build(name, schema, start, columns), database=seen)


def _chosen(relation: Any, wanted: list[str], schema: pa.Schema) -> pa.RecordBatchReader:
    """The columns wanted, as a relation of its own: a relation that has been read may not be read again."""
    size = rows_per_batch(pa.schema([schema.field(column) for column in wanted]))
    return _reader(relation.select(", ".join(map(identifier, wanted))), size)


def _parts(text: str) -> tuple[Path | None, str, bool]:
    """Of an address or plain SQL: the database file, if any, the query, and whether it is one whole table."""
    if not text.startswith(SCHEME):
        return None, text.strip(), False
    place, _, what = text.removeprefix(SCHEME).removeprefix("/").partition("?")
    key, _, value = what.partition("=")
    if key not in ("query", "table") or not value.strip():
        raise OptionError(
            f"{text} says neither what to read nor how. Add ?table=name or ?query=SELECT …, "
            "as in duckdb:///houses.db?table=houses"
        )
    if not re.search(r"\s", value):  # SQL as people type it has spaces; without any it is percent-encoded
        value = unquote(value)
    query = value if key == "query" else f"FROM {'.'.join(map(identifier, value.split('.')))}"
    return _database(place) if place else None, query, key == "table"


def _database(place: str) -> Path:
    """The file; ``duckdb:///data/x.db`` may mean a path from here or, as many write it, from the root."""
    path = Path(place).expanduser()
    if not path.exists() and Path("/", place).exists():
        path = Path("/", place)
    if not path.exists():
        near = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
        raise SourceError(f"There is no database {path}.{closest(path.name, near, 'The folder holds')}")
    return path


def _short(query: str) -> str:
    line = " ".join(query.split())
    return line if len(line) <= 60 else line[:59] + "…"


def _connection(database: Path | None) -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependencyError("SQL is run by DuckDB. Install it: pip install 'cumulant[sql]'") from error
    if database is None:
        return duckdb.connect()
    try:
        return duckdb.connect(str(database), read_only=True)
    except duckdb.ConnectionException:  # open for writing in this very process; then it has to be shared
        return duckdb.connect(str(database))


@contextmanager
def _session(database: Path | None, query: str, name: str, *, numbered: bool = False) -> Iterator[Any]:
    """The relation that a query defines, on a connection of its own; with DuckDB's row numbers beside, if any."""
    with _own_words(name), _connection(database) as connection:
        # Otherwise "FROM data" would find whatever local variable of this package is called data.
        connection.execute("SET python_enable_replacements=false")
        relation = _relation(connection, query, name)
        if numbered:
            with suppress(Exception):  # a view has none
                relation = connection.sql(query.replace("FROM", f"SELECT rowid AS {identifier(ROWID)}, * FROM", 1))
        yield relation


@contextmanager
def _own_words(name: str) -> Iterator[None]:
    """DuckDB's errors made ours, in its own words, which know best, up to the picture of the query below them."""
    try:
        yield
    except CumulantError:
        raise
    except Exception as error:
        if not (isinstance(error, (pa.ArrowException, OSError)) or "duckdb" in type(error).__module__):
            raise
        words = " ".join(str(error).split("\n\nLINE ")[0].split())
        raise SourceError(f"{name}: DuckDB says: {words}") from error


def _relation(connection: Any, query: str, name: str) -> Any:
    statements = connection.extract_statements(query)
    for statement in statements[:-1]:
        connection.execute(statement)
    if not statements or statements[-1].type.name not in ("SELECT", "MULTI"):
        raise SourceError(f"{name} gives no table. Its last statement has to be a query")
    return connection.sql(statements[-1].query)


def _reader(relation: Any, rows: int) -> pa.RecordBatchReader:
    """A reader that runs the query while it is read, in bounded memory; DuckDB 1 has it under its older name."""
    current = hasattr(relation, "to_arrow_reader")
    return relation.to_arrow_reader(rows) if current else relation.fetch_arrow_reader(rows)
