"""``cumulant fit``: one pass over a table, and a model file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cumulant.cli import options as o
from cumulant.cli import terminal

if TYPE_CHECKING:
    from cumulant.model import Model

__all__ = ["EXAMPLES", "fit"]

EXAMPLES = (
    "cumulant fit houses.csv -o houses.cumulant --target price",
    "cumulant fit 'sales/*.parquet' -o sales.cumulant --columns day,shop,units --lift day=cyclic:week,cyclic:year",
    "cumulant fit \"SELECT * FROM 'trips.parquet' WHERE km < 100\" -o trips.cumulant --prior evidence",
    "cumulant fit 'years/*.parquet' -o years.cumulant --checkpoint years.state",
    "cumulant fit houses.csv -o houses.cumulant --target price --budget 10",
    "cumulant fit houses.csv -o houses.cumulant --target price --theory fluctuation",
    "cumulant fit sensors.csv -o sensors.cumulant --symmetry detect",
    "cumulant fit houses.csv --dry-run",
)


def fit(
    table: o.TableName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to save the model.", show_default=False),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="A column to be predicted: the prior is chosen for it and inspect shows it. Any other column can be "
            "predicted as well.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Read only these columns.", show_default=False, rich_help_panel=o.READING),
    ] = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=KIND",
            help="Read a column as numeric, boolean, categorical, wide (a category kept by level), temporal, or as "
            "cyclic:day, cyclic:week, cyclic:year (several with commas). Repeatable.",
            show_default=False,
            rich_help_panel=o.READING,
        ),
    ] = None,
    levels: Annotated[
        int,
        typer.Option(min=1, help="Most levels that a category keeps; the rest is (other).", rich_help_panel=o.READING),
    ] = 10_000,
    missing: o.MissingCells = o.Missing.integrate,
    delimiter: o.Delimiter = None,
    encoding: o.Encoding = None,
    null: o.Nulls = None,
    type_: o.Types = None,
    weights: o.Weights = None,
    weight_kind: Annotated[
        o.WeightKind,
        typer.Option(
            help="A row of weight w stands for w rows, or has 1/w of the variance.", rich_help_panel=o.CALCULATION
        ),
    ] = o.WeightKind.frequency,
    theory: Annotated[
        o.Theory,
        typer.Option(
            help="Straight lines (gaussian), a mean that bends (taylor), that and a spread of its own (fluctuation), a "
            "field on function space (field), interactions of all columns (polynomial), or the first of these unless "
            "--budget lets it look for more (auto). taylor, fluctuation and field need --target.",
            rich_help_panel=o.CALCULATION,
        ),
    ] = o.Theory.auto,
    order: Annotated[
        str,
        typer.Option(
            metavar="auto|2…6",
            help="Order of F in taylor and fluctuation: the mean has one degree less. By held-out folds, or given.",
            rich_help_panel=o.CALCULATION,
        ),
    ] = "auto",
    symmetry: Annotated[
        o.Symmetry,
        typer.Option(
            help="Impose the largest symmetry of the columns that the moments show, as cumulant symmetries finds it; "
            "gaussian only.",
            rich_help_panel=o.CALCULATION,
        ),
    ] = o.Symmetry.none,
    loops: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2,
            help="Of polynomial: couplings by diagrams of up to so many loops, for weak couplings.  [default: by the "
            "Schwinger-Dyson equations, for any]",
            show_default=False,
            rich_help_panel=o.CALCULATION,
        ),
    ] = None,
    bounds: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=LOW:HIGH",
            help="Of polynomial: where a column ends, as price=0: or share=0:1; repeat for more.",
            show_default=False,
            rich_help_panel=o.CALCULATION,
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time for auto to look for a richer theory of --target: what held-out rows are most likely under.",
            show_default=False,
            rich_help_panel=o.CALCULATION,
        ),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(
            metavar="auto|none|evidence|folds|NUMBER",
            help="Mass term (ridge): as the number of rows needs, none, by the evidence ln Z, by folds, or given.",
            rich_help_panel=o.CALCULATION,
        ),
    ] = "auto",
    folds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Sets of sums, for cross-validation.  [default: 10, fewer where memory would not do]",
            rich_help_panel=o.CALCULATION,
        ),
    ] = None,
    precision: Annotated[
        o.Precision,
        typer.Option(
            help="Plain sums, error-free sums (about ten times the work), or as the first rows need.",
            rich_help_panel=o.CALCULATION,
        ),
    ] = o.Precision.auto,
    moments: Annotated[
        bool,
        typer.Option(
            "--moments/--no-moments", help="Keep the moments in the file; without them it cannot merge or forget."
        ),
    ] = True,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the state of the pass in FILE every minute; the same command then goes on after a kill or an "
            "interrupt. Removed at the end.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the first rows only, and say what a fit would cost.")
    ] = False,
    json: o.Json = False,
) -> None:
    """Measure a table in one pass and save its model."""
    from cumulant.cli.files import check_writable

    if out is None:
        if not dry_run:
            raise typer.BadParameter("say where to save the model with -o FILE, or ask its cost with --dry-run")
    elif _same_file(out, table):
        raise typer.BadParameter(f"-o {out} is the table itself; give the model another name")
    check_writable(out)
    wanted = o.names(columns, "--columns")
    if wanted is not None and weights is not None and weights not in wanted:
        wanted.append(weights)
    opened = o.read_table(table, wanted, delimiter=delimiter, encoding=encoding, nulls=null, types=type_)
    ansatz = _theory(theory, order, loops, bounds)
    if symmetry is not o.Symmetry.none and theory not in (o.Theory.auto, o.Theory.gaussian):
        raise typer.BadParameter(f"--symmetry {symmetry.value} is for the Gaussian theory; leave out --theory")
    measuring: dict[str, Any] = {
        "weights": weights,
        "weight_kind": weight_kind.value,
        "missing": missing.value,
        "lifts": _lifts(lift),
        "levels": levels,
        "folds": folds,
        "precision": precision.value,
    }
    if dry_run or out is None:
        from cumulant.cli.plan import plan, refuse_if_too_large, show_plan

        made = plan(opened, table, prior=_prior(prior), target=target, **measuring)
        show_plan(made, json=json)
        refuse_if_too_large(made)
        return
    from cumulant.model import fit as fit_table

    if checkpoint is not None and checkpoint.exists():
        terminal.note(f"going on from the state in {checkpoint}")
    try:
        model = fit_table(
            opened,
            ansatz,
            target,
            prior=_prior(prior),
            checkpoint=checkpoint,
            symmetry=None if symmetry is o.Symmetry.none else symmetry.value,
            budget=budget,
            **measuring,
        )
    except KeyboardInterrupt as stop:
        raise terminal.InterruptionError(str(stop)) from stop
    model.save(out, moments=moments)
    _show(model, opened.name, out, json=json)


def _same_file(out: Path, table: str) -> bool:
    try:
        return out.samefile(table)
    except OSError:  # one of them does not exist, or is no path at all
        return False


def _bounds(texts: list[str] | None) -> dict[str, tuple[float | None, float | None]]:
    out = {}
    for name, text in o.pairs(texts, "--bounds", last=True).items():
        low, colon, high = text.partition(":")
        wrong = typer.BadParameter(f"--bounds {name}={text}: give COLUMN=LOW:HIGH, as {name}=0: or {name}=0:1")
        if not colon:
            raise wrong
        try:
            out[name] = (float(low) if low.strip() else None, float(high) if high.strip() else None)
        except ValueError:
            raise wrong from None
    return out


def _theory(theory: o.Theory, order: str, loops: int | None, bounds: list[str] | None) -> Any:
    from cumulant.theory import Field, Fluctuation, Gaussian, Polynomial, Taylor

    if loops is not None and theory is not o.Theory.polynomial:
        raise typer.BadParameter(f"--loops {loops} is for --theory polynomial")
    if bounds and theory is not o.Theory.polynomial:
        raise typer.BadParameter(f"--bounds {bounds[0]} is for --theory polynomial")
    if theory is o.Theory.field and order == "auto":
        return Field()
    if theory is o.Theory.polynomial and order in ("auto", "2", "4"):
        return Polynomial(4 if order == "auto" else int(order), loops, _bounds(bounds))
    if theory in (o.Theory.polynomial, o.Theory.field):
        raise typer.BadParameter(f"--order {order} is for --theory taylor or fluctuation; polynomial has order 2 or 4")
    if theory in (o.Theory.auto, o.Theory.gaussian):
        if order not in ("auto", "2"):
            raise typer.BadParameter(
                f"--order {order} is for --theory taylor or fluctuation; the Gaussian one is of order 2, a field of all"
            )
        return "auto" if theory is o.Theory.auto else Gaussian()
    if order != "auto" and not order.isdigit():
        raise typer.BadParameter(f"--order {order!r}: give auto, or a number from 2 to 6")
    background = Taylor("auto" if order == "auto" else int(order))
    return background if theory is o.Theory.taylor else Fluctuation(background)


def _prior(word: str) -> str | float | None:
    if word in ("auto", "evidence", "folds"):
        return word
    if word == "none":
        return None
    try:
        return float(word)
    except ValueError:
        raise typer.BadParameter(f"--prior {word!r}: give auto, none, evidence, folds or a number") from None


def _lifts(texts: list[str] | None) -> dict[str, str | list[str]] | None:
    kinds = {name: kind.split(",") for name, kind in o.pairs(texts, "--lift", last=True).items()}
    return {name: words[0] if len(words) == 1 else words for name, words in kinds.items()} or None


def _show(model: Model, table: str, out: Path, *, json: bool) -> None:
    from cumulant.cli import views
    from cumulant.cli.files import size_of
    from cumulant.explain.cost import quantity
    from cumulant.theory import Field

    scores = views.held_out(model)
    for note in model.notes:
        terminal.note(note)
    if json:
        terminal.say(terminal.as_json({**views.describe(model), "cross_validated": scores, "file": str(out)}))
        return
    rows = model.count if model.moments is None else model.moments.count
    sizes = f"{views.counted(rows, 'row')} of {views.counted(len(model.columns), 'column')}"
    lines = [
        ("table", f"{table}: {sizes}, {views.counted(len(model.fields), 'field')}"),
        ("model", f"solved in one pass, {quantity((model.effort or {}).get('wall_seconds', math.nan), 's')}"),
        ("prior", views.prior_of(model)),
    ]
    if scores is not None:
        by = "each row from the others" if isinstance(model.theory, Field) else "by the folds"
        lines.append(("held out", f"R² {scores['r2']:.3f}, RMSE {scores['rmse']:.4g} for {model.target}, {by}"))
    lines.append(("saved", f"{out}, {size_of(out)}"))
    terminal.show(views.listing(lines))
