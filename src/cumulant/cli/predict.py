"""``cumulant predict``: any column from whatever is known of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cumulant.cli import options as o

if TYPE_CHECKING:
    import pandas as pd

    from cumulant.model import Model

__all__ = ["EXAMPLES", "known_cells", "predict"]

# A distribution that has no name is shown by these.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

EXAMPLES = (
    "cumulant predict houses.cumulant new.csv --target price -o predicted.csv",
    "cumulant predict houses.cumulant --target price --given rooms=4,town=Delft --output interval",
    "cumulant predict houses.cumulant new.csv --target price --target rooms --output interval --level 0.5 --keep id",
    "zcat new.csv.gz | cumulant predict houses.cumulant - --target price | head",
)


def predict(
    model: o.ModelFile,
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE",
            help="The rows to predict for, with any of the other columns: a file, an SQL query, or - for CSV on "
            "standard input.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column to predict; default the one named when fitting. Repeatable.",
            show_default=False,
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A=1,B=x,…",
            help="What is known of one row, instead of a table; columns left out are unknown.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        o.Output,
        typer.Option(help="The expected value, with its bounds, the distribution, or random values."),
    ] = o.Output.mean,
    level: Annotated[float, typer.Option(metavar="0..1", help="Probability that an interval holds the value.")] = 0.9,
    draws: Annotated[int, typer.Option(min=1, help="Samples for each row.")] = 100,
    seed: Annotated[int | None, typer.Option(help="Seed of the samples.", show_default=False)] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Columns of TABLE to write before the prediction.", show_default=False),
    ] = None,
    out: o.ResultFile = None,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
    json: o.Json = False,
) -> None:
    """Predict any column from whatever is known of the others.

    Columns and cells that are not there are integrated out. For each row: the expected value (of a category, the
    most probable level), bounds, the predictive distribution (mean, scale and degrees of freedom of a Student t,
    quantiles of a fluctuation, or the probability of each level), or random values.
    """
    from cumulant.cli import terminal, views
    from cumulant.cli.files import deliver, ending_of, load_model

    ending_of(out)
    if (table is None) == (given is None):
        raise typer.BadParameter("give what is known either as a TABLE or with --given A=1,B=x")
    loaded = load_model(model)
    targets = target or ([loaded.target] if loaded.target is not None else [])
    if not targets:
        raise typer.BadParameter(f"say which column to predict with --target; {model} has {', '.join(loaded.columns)}")
    if table is None:
        rows: Any = known_cells(loaded, o.assignments(given or (), "--given")) or None
    else:
        rows = _held(o.read_table(table, delimiter=delimiter, encoding=encoding, nulls=null, types=type_), keep)
    settings: dict[str, Any] = {"output": output.value, "level": level, "draws": draws, "seed": seed}
    kept = _kept(rows, keep)
    frames = [_columns(_label(name, kept), loaded.predict(name, rows, **settings)) for name in targets]
    result = _beside(kept, frames)
    if table is None and out is None and not json and terminal.is_terminal():
        terminal.show(views.listing([(str(name), _word(value)) for name, value in result.iloc[0].items()]))
    else:
        deliver(result, out, json=json)


def known_cells(model: Model, words: Mapping[str, str]) -> dict[str, list[Any]]:
    """``NAME=VALUE`` words as a table of one row, each value as its column reads it; an empty value is unknown.

    Raises
    ------
    ColumnError
        The model has no such column.
    DataError
        A value is not what the column holds.
    """
    return {name: [_cell(model, name, word)] for name, word in words.items() if word}


def _cell(model: Model, name: str, word: str) -> Any:
    from cumulant.errors import DataError
    from cumulant.lift import Boolean, Categorical, Numeric
    from cumulant.source.columns import closest

    lift = model.schema.lifts[model.schema.position(name)]
    if isinstance(lift, Boolean):
        if word.lower() not in ("true", "false", "1", "0"):
            raise DataError(f"column '{name}' is true or false, not '{word}'")
        return word.lower() in ("true", "1")
    if isinstance(lift, Categorical):
        if word not in lift.levels and not lift.remainder:
            parts = [level for level in lift.levels if word.lower() in level.lower()]
            hint = closest(word, lift.levels, "Its levels are") if not parts else f" Did you mean {_either(parts)}?"
            raise DataError(f"column '{name}' has no level '{word}'.{hint}")
        return word
    if isinstance(lift, Numeric):
        try:
            return float(word)
        except ValueError:
            raise DataError(f"column '{name}' is a number, not '{word}'") from None
    return word


def _either(names: list[str]) -> str:
    return " or ".join(repr(name) for name in names[:3])


def _word(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _held(table: Any, keep: str | None) -> Any:
    """A table that can be read a second time for its columns to keep."""
    if keep is None or table.repeatable:
        return table
    import pyarrow as pa

    return pa.Table.from_batches(list(table.open()), schema=table.schema)


def _kept(rows: Any, keep: str | None) -> pd.DataFrame | None:
    names = o.names(keep, "--keep")
    if names is None:
        return None
    if rows is None or isinstance(rows, dict):
        raise typer.BadParameter("--keep copies columns of a TABLE; with --given there is none")
    import pyarrow as pa

    from cumulant.source import open_table

    table = open_table(rows, columns=names)
    return pa.Table.from_batches(list(table.open()), schema=table.schema).to_pandas()


def _label(target: str, kept: pd.DataFrame | None) -> str:
    return target if kept is None or target not in kept.columns else f"predicted_{target}"


def _columns(target: str, values: Any) -> pd.DataFrame:
    """A prediction of any kind as columns whose names begin with the target's."""
    import pandas as pd

    from cumulant.solve.fluctuation_law import Fluctuating
    from cumulant.solve.predictive import Predictive

    if isinstance(values, Predictive):
        parts = {"mean": values.mean, "scale": values.scale, "df": values.degrees_of_freedom}
        return pd.DataFrame({f"{target}_{name}": part for name, part in parts.items()})
    if isinstance(values, Fluctuating):
        parts = {"mean": values.mean, **{f"q{100 * q:g}": values.ppf(q) for q in QUANTILES}}
        return pd.DataFrame({f"{target}_{name}": part for name, part in parts.items()})
    if isinstance(values, pd.DataFrame):
        if list(values.columns) == ["mean", "low", "high"]:
            return values.set_axis([target, f"{target}_low", f"{target}_high"], axis=1).reset_index(drop=True)
        return values.set_axis([f"{target}={level}" for level in values.columns], axis=1).reset_index(drop=True)
    if values.ndim == 2:
        return pd.DataFrame(values, columns=[f"{target}_{i + 1}" for i in range(values.shape[1])])
    return pd.DataFrame({target: values})


def _beside(kept: pd.DataFrame | None, frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames if kept is None else [kept, *frames], axis=1)
