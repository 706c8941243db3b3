"""Options that several commands share, and how their words become values."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cumulant.source import Table

__all__ = [
    "Delimiter",
    "Encoding",
    "Errors",
    "Json",
    "Missing",
    "MissingCells",
    "ModelFile",
    "Nulls",
    "Output",
    "Precision",
    "ResultFile",
    "TableName",
    "Theory",
    "Types",
    "WeightKind",
    "Weights",
    "assignments",
    "names",
    "pairs",
    "read_table",
    "row_numbers",
]

READING = "Reading the table"
CALCULATION = "The calculation"


class Missing(StrEnum):
    """What becomes of a missing cell."""

    integrate = "integrate"
    drop = "drop"
    error = "error"


class Symmetry(StrEnum):
    """What to do about symmetries of the columns."""

    none = "none"
    detect = "detect"


class Theory(StrEnum):
    """The ansatz for F."""

    auto = "auto"
    gaussian = "gaussian"
    taylor = "taylor"
    fluctuation = "fluctuation"
    field = "field"
    polynomial = "polynomial"


class WeightKind(StrEnum):
    """What the weight of a row means."""

    frequency = "frequency"
    importance = "importance"


class Precision(StrEnum):
    """The arithmetic of the sums."""

    auto = "auto"
    double = "double"
    compensated = "compensated"


class Output(StrEnum):
    """What a prediction gives for each row."""

    mean = "mean"
    sd = "sd"
    interval = "interval"
    density = "density"
    samples = "samples"


class Errors(StrEnum):
    """Standard errors of a regression."""

    classical = "classical"
    jackknife = "jackknife"


TableName = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="CSV, TSV, Parquet or Arrow file, a folder or glob of Parquet files, an SQL query, a duckdb:/// address, "
        "or - for CSV on standard input.",
        show_default=False,
    ),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that cumulant fit wrote.", show_default=False)]
ResultFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Write to FILE: .csv, .tsv, .parquet or .json. Default: CSV on standard output.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
MissingCells = Annotated[
    Missing,
    typer.Option(
        "--missing",
        help="A missing cell is integrated out, its row is dropped, or it is an error.",
        rich_help_panel=READING,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="COLUMN",
        help="Column with the weight of each row.",
        show_default=False,
        rich_help_panel=CALCULATION,
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="CHAR",
        help="What separates the cells of a text table; found out when not given.",
        show_default=False,
        rich_help_panel=READING,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="Encoding of a text table, such as cp1252.",
        show_default=False,
        rich_help_panel=READING,
    ),
]
Nulls = Annotated[
    list[str] | None,
    typer.Option(
        "--null",
        metavar="TEXT",
        help="One more spelling of a missing cell in a text table. Repeatable.",
        show_default=False,
        rich_help_panel=READING,
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="COLUMN=TYPE",
        help="Type of a column of a text table: number, integer, string, boolean, date, timestamp. Repeatable.",
        show_default=False,
        rich_help_panel=READING,
    ),
]


def names(text: str | None, option: str) -> list[str] | None:
    """Column names from ``a,b``; quotes protect a comma, as in CSV: ``a,"b, c"``."""
    if text is None:
        return None
    cells = [cell.strip() for cell in _cells(text)]
    if not all(cells):
        raise typer.BadParameter(f"{option} {text!r} has an empty name; write a,b,c")
    return cells


def pairs(texts: Sequence[str] | None, option: str, *, last: bool = False) -> dict[str, str]:
    """``NAME=VALUE`` words as a dict; the name ends at the first ``=``, or with ``last`` at the last."""
    out: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.rpartition("=") if last else text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{option} {text!r} is not of the form NAME=VALUE")
        if name.strip() in out:
            raise typer.BadParameter(f"{option} gives '{name.strip()}' twice; give each column one value")
        out[name.strip()] = value.strip()
    return out


def assignments(texts: Sequence[str], option: str) -> dict[str, str]:
    """``a=1,b=2`` words as a dict; quotes protect a comma: ``"name=Smith, John",x=3``."""
    return pairs([cell for text in texts for cell in _cells(text) if cell.strip()], option)


def row_numbers(text: str | None) -> int | str | None:
    """The number of the first row, or the name of the column with the row numbers."""
    return int(text) if text is not None and text.strip().isdigit() else text


def _cells(text: str) -> list[str]:
    return next(csv.reader([text], skipinitialspace=True), [])


def read_table(
    table: str,
    columns: Sequence[str] | None = None,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    nulls: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
) -> Table:
    """The table that the words on the command line mean, opened; only a pilot of it is read."""
    from cumulant.source import open_table

    if table == "-" and sys.stdin.isatty():
        raise typer.BadParameter("standard input is the keyboard; pipe a CSV into it, or name a file instead of -")
    return open_table(
        table,
        columns=columns,
        delimiter={"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter),
        encoding=encoding,
        nulls=tuple(nulls or ()),
        types=pairs(types, "--type", last=True) or None,
    )
