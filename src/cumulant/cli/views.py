"""A model as plain data, and as tables for a terminal; both say the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.cli.terminal import in_options
from cumulant.errors import CumulantError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from cumulant.explain.field_summary import FieldSummary
    from cumulant.explain.summary import Summary
    from cumulant.lift import Lift
    from cumulant.measure import Moments
    from cumulant.model import Model

__all__ = [
    "column_table",
    "counted",
    "describe",
    "describe_columns",
    "has_number",
    "held_out",
    "listing",
    "outline",
    "plain_table",
    "prior_of",
    "summary_parts",
    "summary_table",
]


def listing(lines: Sequence[tuple[str, str]]) -> Table:
    """Names on the left, what there is to say of each on the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, Text(text))
    return table


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False) -> Table:
    """Words in columns; with ``numbers`` all but the first are set flush right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if numbers and i else "left", no_wrap=i > 0)
    for row in rows:
        table.add_row(*row)
    return table


def describe(thing: Model | Moments) -> dict[str, Any]:
    """What a model or moments file holds, as plain data."""
    from cumulant.measure import Moments

    if isinstance(thing, Moments):
        return {"kind": "moments", "rows": thing.count, **_sums(thing), "columns": describe_columns(thing)}
    m = thing.moments
    return {
        "kind": "model",
        "rows": thing.count if m is None else float(m.count),
        "fields": len(thing.fields),
        "target": thing.target,
        "prior": {"mass": thing.prior.mass, "kind": thing.prior.kind, "reason": thing.prior.reason},
        "notes": list(thing.notes),
        "moments": None if m is None else _sums(m),
        "effort": None if thing.effort is None else dict(thing.effort),
        "columns": describe_columns(thing),
    }


def _sums(m: Moments) -> dict[str, Any]:
    return {"fields": len(m.columns), "folds": m.folds, "weighting": m.weighting, "compensated": m.exact}


def describe_columns(thing: Model | Moments) -> list[dict[str, Any]]:
    """Per column: kind, share missing; mean and sd of a number, levels and the most frequent one of a category."""
    from cumulant.explain.levelled import shares
    from cumulant.lift import Categorical
    from cumulant.measure import Moments

    m = thing if isinstance(thing, Moments) else thing.moments
    mean, covariance = (m.mean, m.covariance) if m is not None else (thing.mean, thing.covariance)
    out: list[dict[str, Any]] = []
    for lift in thing.schema.lifts:
        at = thing.schema.independent_of(lift.name)
        entry: dict[str, Any] = {"name": lift.name, "kind": lift.kind, "missing": _missing(m, lift)}
        if isinstance(lift, Categorical):
            share = shares(thing, lift.name) if lift.wide else np.concatenate([[1 - mean[at].sum()], mean[at]])
            top = int(np.argmax(share)) if len(lift.all_levels) else None
            most = None if top is None else {"level": lift.all_levels[top], "share": float(share[top])}
            entry |= {"levels": list(lift.all_levels), "most_frequent": most}
        else:
            entry |= {"mean": float(mean[at[0]]), "sd": float(np.sqrt(covariance[at[0], at[0]]))}
        out.append(entry)
    return out


def _missing(m: Moments | None, lift: Lift) -> float | None:
    """Share of the rows in which a column's cell is missing; None where no moments tell."""
    if m is None:
        return None
    if m.schema.position(lift.name) in m.schema.wide:
        return float(1 - m.by_level(lift.name)["count"].sum() / m.weight.sum()) if m.count else None
    at = m.schema.independent_of(lift.name)
    if not len(at):
        return None
    return float(1 - m.total.pairs[at[0], at[0]] / m.count) if m.count else None


def column_table(thing: Model | Moments) -> Table:
    """The columns of a model, one a line."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("column", no_wrap=True)
    table.add_column("kind", style="dim")
    for name in ("mean", "sd", "missing"):
        table.add_column(name, justify="right")
    for entry in describe_columns(thing):
        missing = "" if not entry["missing"] else f"{100 * entry['missing']:.1f} %"
        table.add_row(entry["name"], *_cells(thing, entry), missing)
    return table


def _cells(thing: Model | Moments, entry: dict[str, Any]) -> tuple[str, str, str]:
    if entry["kind"] == "categorical":
        top = entry["most_frequent"]
        often = "" if top is None else f"{top['level']} {100 * top['share']:.0f} %"
        return f"{len(entry['levels'])} levels", often, ""
    if entry["kind"] in ("temporal", "cyclic"):
        lift = thing.schema.lifts[thing.schema.position(entry["name"])]
        cells = lift.inverse(np.full((1, len(lift.fields)), entry["mean"]))
        return (
            entry["kind"],
            str(cells[0].astype("datetime64[m]" if cells.dtype.kind == "M" else "timedelta64[s]")),
            (f"{_number(entry['sd'])} days"),
        )
    return entry["kind"], f"{entry['mean']:.6g}", _number(entry["sd"])


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"


def summary_table(summary: Summary | FieldSummary, most: int | None = None) -> Table:
    """Coefficients of a regression; the terms that cannot be told from nothing are dim.

    With ``most``, only so many of the surest terms, without t and p.
    """
    from rich.table import Table
    from rich.text import Text

    from cumulant.explain.summary import SHOWN

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # Where a window is narrow, names are folded and figures are not.
    table.add_column("term", overflow="fold")
    share = f"{100 * summary.level:g} %"
    names = {name: name for name in summary.table.columns} | {"low": f"low {share}", "high": f"high {share}"}
    rows = summary.table.head(SHOWN) if most is None else _surest(summary, most)
    shown = list(names) if most is None else ["coefficient", "se", "low", "high"]
    for name in shown:
        table.add_column(names[name], justify="right", no_wrap=True)
    told = (rows["p"] < 1 - summary.level).to_numpy()
    for term, row, sure in zip(rows.index, rows[shown].to_numpy(), told, strict=True):
        cells = [f"{row[0]:.5g}", *("–" if math.isnan(v) else f"{v:.3g}" for v in row[1:])]
        table.add_row(Text(str(term)), *cells, style="" if sure else "dim")
    if most is None and len(summary.table) > SHOWN:
        table.add_row(Text(f"… {len(summary.table) - SHOWN:,} more, all with --json"), style="dim")
    return table


def _surest(summary: Summary | FieldSummary, most: int) -> pd.DataFrame:
    terms = summary.table.drop(index="const", errors="ignore")
    return terms.loc[terms["t"].abs().sort_values(ascending=False).index[:most]]


def summary_parts(summary: Summary | FieldSummary) -> list[Any]:
    """A regression, or a field, as a headline, its table and its notes."""
    from rich.text import Text

    from cumulant.explain.summary import Summary

    def figure(value: float) -> str:
        if math.isnan(value):
            return "–"
        return f"{value:,d}" if isinstance(value, int) else f"{value:,.5g}"

    notes = [Text(in_options(f"· {note}"), style="dim") for note in summary.notes]
    if not isinstance(summary, Summary):
        lines = [("field", f"{summary.target} of all other columns"), *summary.header]
        return [listing(lines), "", summary_table(summary), *([""] if notes else []), *notes]
    freedom = f"{figure(summary.df_model)} and {figure(summary.df_resid)}"
    lines = [
        ("regression", f"{summary.target} on all other columns, {summary.errors} errors"),
        ("R²", f"{figure(summary.r_squared)}, adjusted {figure(summary.adj_r_squared)}"),
        ("residual sd", figure(summary.residual_sd)),
        ("F", f"{figure(summary.f_statistic)} on {freedom} degrees of freedom, p = {figure(summary.f_pvalue)}"),
        ("ln L", f"{figure(summary.log_likelihood)}, AIC {figure(summary.aic)}, BIC {figure(summary.bic)}"),
        ("condition", f"{summary.condition_number:.3g}"),
    ]
    return [listing(lines), "", summary_table(summary), *([""] if notes else []), *notes]


def counted(number: float, noun: str) -> str:
    """``1 row``, ``5,613 rows``."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def prior_of(model: Model) -> str:
    """The mass and how it was chosen."""
    prior = model.prior
    return prior.reason if prior.mass == 0 else f"mass {prior.mass:.3g}: {prior.reason}"


def outline(thing: Model | Moments, *, notes: bool = True) -> list[tuple[str, str]]:
    """The lines that say what a model or moments file is."""
    from cumulant.measure import Moments

    m = thing if isinstance(thing, Moments) else thing.moments
    kind = "moments" if isinstance(thing, Moments) else f"model, target {thing.target}" if thing.target else "model"
    fields = len(thing.columns) if isinstance(thing, Moments) else len(thing.fields)
    lines = [
        ("holds", kind),
        ("rows", f"{thing.count if m is None else m.count:,.0f}"),
        ("columns", f"{len(thing.schema.columns):,}, as {counted(fields, 'field')}"),
    ]
    if not isinstance(thing, Moments):
        lines.append(("prior", prior_of(thing)))
        lines += [("note", note) for note in thing.notes] if notes else []
    if m is None:
        lines.append(("moments", "left out, so it cannot merge or forget"))
    else:
        extra = [counted(m.folds, "fold")]
        extra += [f"{m.weighting} weights"] if m.weighting != "none" else []
        extra += ["compensated arithmetic"] if m.exact else []
        lines.append(("moments", ", ".join(extra)))
    return lines


def has_number(model: Model, column: str | None) -> bool:
    """Whether a column has a mean to be explained, as a category has not."""
    from cumulant.lift import Categorical

    return column is not None and not isinstance(model.schema.lifts[model.schema.position(column)], Categorical)


def held_out(model: Model) -> dict[str, float] | None:
    """Cross-validated R² and RMSE of the model's own target, where there is one with a number and folds to tell by."""
    m = model.moments
    if m is None or (m.rows > 0).sum() < 2 or not has_number(model, model.target):
        return None
    try:
        scores = model.cross_validate()
    except CumulantError:
        # A theory that only rows can judge.
        return None
    return {name: float(scores[name].iloc[-1]) for name in ("r2", "rmse", "rows")}
