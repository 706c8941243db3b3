"""``cumulant demo``: the whole of it on one real table, in a few seconds."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cumulant.errors import CumulantWarning

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType

    from cumulant.explain.ledger import Ledger
    from cumulant.model import Model

__all__ = ["EXAMPLES", "demo"]

EXAMPLES = ("cumulant demo", "cumulant demo -o flights")

WIDTH = 100
TARGET = "arr_delay"
LIFTS = {"date": ["cyclic:year"]}
# What is known, in words and as cells; the column asked for; how to say the answer.
QUESTIONS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    (
        "JetBlue, 1,000 miles, left 30 min late",
        {"airline": "JetBlue Airways", "distance": 1000, "dep_delay": 30},
        TARGET,
        "lands {:.0f} min late",
    ),
    ("landed 60 min late", {"arr_delay": 60}, "dep_delay", "left {:.0f} min late"),
    ("500 miles to go", {"distance": 500}, "air_time", "{:.0f} min in the air"),
    ("15 July", {"date": "2013-07-15"}, "temp", "{:.0f} °F"),
    ("15 July, and a dew point of 40 °F", {"date": "2013-07-15", "dewp": 40}, "humid", "{:.0f} % humidity"),
    ("from LaGuardia, 760 miles", {"origin": "LGA", "distance": 760}, "airline", ""),
    ("leaves at 20 h, and nothing else", {"hour": 20}, TARGET, "lands {:.0f} min late"),
    ("nothing at all", {}, TARGET, "lands {:.0f} min late"),
)
HIDDEN = ("air_time", "temp", "arr_delay", "humid", "pressure")
SHARE_HIDDEN = 0.1

T = TypeVar("T")


def demo(
    output: Annotated[
        Path,
        typer.Option("--output", "--out", "-o", metavar="DIR", help="Folder for flights.cumulant and report.html."),
    ] = Path(),
) -> None:
    """See all of it on a real table, in a few seconds.

    Flights out of New York: measured in one pass, any column predicted from any others, missing cells, merging and
    forgetting rows, and the same model by gradient descent. Leaves a model file and a web page.
    """
    from cumulant.cli.files import check_writable, make_folder

    make_folder(output)
    model_file, page = output / "flights.cumulant", output / "report.html"
    check_writable(model_file)
    with warnings.catch_warnings():
        # The first stage shows the notes of the model; those of the trials after it would interrupt the story.
        warnings.simplefilter("ignore", CumulantWarning)
        _tell(model_file, page)


def _tell(model_file: Path, page: Path) -> None:
    from cumulant.cli import terminal

    begin = time.perf_counter()
    flights = _flights()
    gaps = sum(column.null_count for column in flights.columns)
    _show(
        f"[bold]{flights.num_rows:,} flights out of New York in 2013[/bold], {flights.num_columns} columns: numbers, "
        f"categories and a date; {gaps:,} cells are missing."
    )
    model, seconds = _timed(lambda: _fit(flights))
    _stage("1  Train: one pass, no loss, no descent", seconds)
    _show(*_fitted(model, flights.num_rows))
    for title, work in (
        (f"2  What it learned about {TARGET}, the minutes late at arrival", lambda: _learned(model)),
        ("3  Ask it for any column, from whatever is known", lambda: _answers(model)),
        ("4  Missing cells", lambda: _gaps(flights)),
        ("5  Rows come and go, without training again", lambda: _rows(model, flights)),
        (f"6  Descent, for the same linear model of {TARGET} on the same rows", lambda: _beside_descent(flights)),
    ):
        parts, seconds = _timed(work)
        _stage(title, seconds)
        _show(*parts)
    model.save(model_file)
    model.report(page, data=flights, title="Flights out of New York, 2013")
    _stage("7  Yours now", time.perf_counter() - begin, "in all")
    _show(_saved(page, model_file))
    # Not folded at the edge, so that they can be copied.
    terminal.say(
        f"   $ cumulant inspect {model_file}\n"
        f"   $ cumulant predict {model_file} --target air_time --given distance=800 --output interval\n"
        "   $ cumulant fit YOUR_TABLE.csv -o yours.cumulant"
    )


def _show(*parts: RenderableType) -> None:
    from rich.padding import Padding

    from cumulant.cli import terminal

    terminal.show(*(Padding(part, (0, 0, 0, 3), expand=False) for part in parts), piped_width=WIDTH)


def _stage(title: str, seconds: float, what: str = "") -> None:
    from cumulant.cli import terminal
    from cumulant.explain.cost import quantity

    terminal.show("", f"[bold cyan]{title}[/bold cyan]  [dim]{quantity(seconds, 's')} {what}[/dim]", piped_width=WIDTH)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begin = time.perf_counter()
    return work(), time.perf_counter() - begin


def _flights() -> pa.Table:
    import pyarrow as pa

    from cumulant.data import nyc_flights
    from cumulant.source import open_table

    table = open_table(str(nyc_flights()))
    flights = pa.Table.from_batches(list(table.open()), schema=table.schema)
    # Loading libraries and starting the threads of linear algebra is not what the stages are timed for.
    _learned(_fit(flights.slice(0, 500), precision="double"))
    return flights


def _fit(table: Any, **more: Any) -> Model:
    from cumulant.model import fit

    return fit(table, target=TARGET, lifts=LIFTS, **more)


def _fitted(model: Model, rows: int) -> list[RenderableType]:
    from rich.text import Text

    from cumulant.cli import terminal, views

    return [
        f"{rows:,} rows of {len(model.columns)} columns, {len(model.fields)} fields: measured once, then solved for F.",
        f"Prior: {views.prior_of(model)}.",
        *(Text(f"Note: {terminal.in_options(note)}.") for note in model.notes),
    ]


def _learned(model: Model) -> list[RenderableType]:
    from cumulant.cli import views

    summary, scores = model.summary(), model.cross_validate().loc["all"]
    held_out = f"R² {scores['r2']:.3f}, off by {scores['rmse']:.1f} min (RMSE)"
    return [
        views.summary_table(summary, most=6),
        f"[dim]the six surest of {len(summary.table) - 1} terms, each with all others held fixed[/dim]",
        f"On rows held out, in ten folds: {held_out}; from sums alone, nothing is fitted again.",
    ]


def _answers(model: Model) -> list[RenderableType]:
    from cumulant.cli import views

    rows = [
        (words, *_answer(model, {name: [cell] for name, cell in known.items()} or None, asked, phrase))
        for words, known, asked, phrase in QUESTIONS
    ]
    return [views.plain_table(("known", "answer", "90 % interval"), rows)]


def _answer(model: Model, known: Any, asked: str, phrase: str) -> tuple[str, str]:
    if not phrase:
        likely = model.predict(asked, known, output="density").iloc[0].nlargest(2)
        return ", ".join(f"{level.split()[0]} {100 * p:.0f} %" for level, p in likely.items()), ""
    row = model.predict(asked, known, output="interval").iloc[0]
    return phrase.format(row["mean"]), f"{row['low']:.0f} to {row['high']:.0f}"


def _gaps(flights: pa.Table) -> list[RenderableType]:
    import numpy as np

    whole = flights.to_pandas()
    hidden = whole[list(HIDDEN)].notna() & (np.random.default_rng(0).random((len(whole), len(HIDDEN))) < SHARE_HIDDEN)
    holed = whole.assign(**{name: whole[name].mask(hidden[name]) for name in HIDDEN})
    filled = _fit(holed).impute(holed)
    found = []
    for name in HIDDEN:
        truth, guess = whole[name][hidden[name]], filled[name][hidden[name]]
        found.append(f"{name} {100 * (1 - ((truth - guess) ** 2).mean() / truth.var(ddof=0)):.0f} %")
    return [
        "Training integrates them out and fills in none; to fill one is to predict it from the rest of its row.",
        f"Tried: {hidden.to_numpy().sum():,} more cells hidden, trained on the others, and the hidden ones filled.",
        f"Variance recovered: {', '.join(found)}.",
    ]


def _rows(model: Model, flights: pa.Table) -> list[RenderableType]:
    from cumulant.measure import measure

    half, last = flights.num_rows // 2, flights.num_rows - 500
    merged = _apart(_fit(flights.slice(0, half)).merge(_fit(flights.slice(half), rows=half)), model)
    forgetful = model.forget(measure(flights.slice(last), like=model.moments, rows=last))
    forgotten = _apart(forgetful, _fit(flights.slice(0, last)))
    return [
        f"merge: two halves of the year, measured apart, give these coefficients, to {merged:.0e} standard errors",
        f"forget: the last 500 flights, as if they had never been measured, to {forgotten:.0e} standard errors",
    ]


def _apart(a: Model, b: Model) -> float:
    """Largest difference of two regressions' coefficients, in standard errors."""
    one, two = a.summary().table, b.summary().table
    return float(((one["coefficient"] - two["coefficient"]).abs() / two["se"]).max())


def _beside_descent(flights: pa.Table) -> list[RenderableType]:
    from cumulant.explain.ledger import compare

    ledger = compare(flights, TARGET)
    one, others = ledger.rows[0], ledger.rows[1:]
    quickest = min(others, key=lambda row: row.cost.wall_seconds)
    if quickest.cost.wall_seconds < one.cost.wall_seconds:
        fair = f"{quickest.method} is quicker on the clock, for this one target."
    else:
        fair = "The one pass is the quickest on the clock as well."
    return [
        _costs(ledger),
        f"{fair} Descent leaves the coefficients of one target: no other, no interval, no merging, no forgetting.",
        "[dim]The full account: cumulant compare TABLE --target COLUMN[/dim]",
    ]


def _costs(ledger: Ledger) -> RenderableType:
    from cumulant.cli import views
    from cumulant.explain.cost import quantity

    rows = [
        (
            row.method,
            f"{row.cost.passes:,.0f}",
            quantity(row.cost.flops),
            quantity(row.cost.wall_seconds, "s"),
            quantity(row.cost.joules, "J"),
            f"{100 * row.excess:.2f} %",
        )
        for row in ledger.rows
    ]
    return views.plain_table(("", "passes", "flops", "time", "energy", "loss above optimum"), rows, numbers=True)


def _saved(page: Path, model_file: Path) -> RenderableType:
    from cumulant.cli import views
    from cumulant.cli.files import size_of

    return views.listing(
        [
            (str(page), f"{size_of(page)}: open it, choose a target, move the sliders"),
            (str(model_file), f"{size_of(model_file)}: the model. Next, for instance:"),
        ]
    )
