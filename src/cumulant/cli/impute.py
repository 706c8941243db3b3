"""``cumulant impute``: a table without gaps."""

from __future__ import annotations

from cumulant.cli import options as o

__all__ = ["EXAMPLES", "impute"]

EXAMPLES = (
    "cumulant impute houses.cumulant houses.csv -o filled.csv",
    "cumulant impute houses.cumulant - < houses.csv > filled.csv",
)


def impute(
    model: o.ModelFile,
    table: o.TableName,
    out: o.ResultFile = None,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
    json: o.Json = False,
) -> None:
    """Fill the missing cells of a table.

    Each with its expected value given the rest of its row, a category with its most probable level.
    """
    from cumulant.cli.files import deliver, ending_of, load_model

    ending_of(out)
    loaded = load_model(model)
    opened = o.read_table(table, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    deliver(loaded.impute(opened), out, json=json)
