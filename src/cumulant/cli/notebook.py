"""``cumulant notebook``: the pages of solved symmetry classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cumulant.cli import options as o

if TYPE_CHECKING:
    from cumulant.notebook import Page

__all__ = ["COMMANDS", "EXAMPLES", "HELP"]

HELP = "Symmetry classes that are solved: list, show, search, look up, add and verify their pages; classify a model."
EXAMPLES = (
    "cumulant notebook list",
    "cumulant notebook show phi4",
    "cumulant notebook search 'random intercept'",
    "cumulant notebook lookup phi4 m2=1.0 m4=2.0 --count 10000",
    "cumulant notebook lookup gaussian-time c='[1, 0.7, 0.4]'",
    "cumulant notebook add my-class.toml",
    "cumulant notebook verify",
    "cumulant notebook classify houses.cumulant",
)

PageName = Annotated[str, typer.Argument(metavar="PAGE", help="Name of a page, as list shows it.", show_default=False)]


def list_pages(json: o.Json = False) -> None:
    """List all pages, those of the package and your own."""
    from cumulant.notebook import pages

    _overview(pages(), json)


def search_pages(
    text: Annotated[str, typer.Argument(metavar="WORDS", help="Words that a page must say.", show_default=False)],
    json: o.Json = False,
) -> None:
    """Find pages by words of their physics, machine learning, formulas or references."""
    from cumulant.notebook import search

    _overview(search(text), json)


def show_page(name: PageName, json: o.Json = False) -> None:
    """Show a page: the class, the formulas, where they hold, and what verified them."""
    from cumulant.cli import terminal, views
    from cumulant.notebook import page

    found = page(name)
    if json:
        terminal.say(terminal.as_json(found.to_dict()))
        return
    terminal.show(views.listing(_lines(found)))


def lookup_page(
    name: PageName,
    numbers: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE…",
            help="The moments it needs: numbers, or lists such as c='[1, 0.5]'.",
            show_default=False,
        ),
    ],
    count: Annotated[
        float | None, typer.Option(metavar="ROWS", help="Rows behind them, for standard errors.", show_default=False)
    ] = None,
    json: o.Json = False,
) -> None:
    """Look couplings up from moments."""
    from cumulant.cli import terminal
    from cumulant.notebook import lookup

    given = o.pairs(numbers, "the moments")
    answer = lookup(name, moments={k: _value(k, v) for k, v in given.items()}, count=count)
    terminal.say(terminal.as_json(answer.to_dict()) if json else str(answer))


def add_page(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The TOML file of a page.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace your page of the same name.")] = False,
    json: o.Json = False,
) -> None:
    """Verify a page of your own and keep it where lookup finds it."""
    from cumulant.cli import terminal
    from cumulant.notebook import add, user_folder

    found = add(file, replace=replace)
    if json:
        terminal.say(terminal.as_json(found.to_dict()))
        return
    terminal.say(f"added {found.name} to {user_folder()}")
    for record in found.records:
        terminal.say(f"  {record.oracle}: {record.points} points, largest error {record.error:.1e}")


def verify_pages(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="PAGE…", help="Default: all pages.", show_default=False)
    ] = None,
    json: o.Json = False,
) -> None:
    """Put pages to the test again, against oracles that do not use their formulas."""
    from cumulant.cli import terminal, views
    from cumulant.notebook import page, pages, verify

    chosen = [page(name) for name in names] if names else pages()
    results = [(one.name, record) for one in chosen for record in verify(one)]
    wrong = [name for name, record in results if not record.passed]
    if json:
        rows = [
            {"page": name, "oracle": r.oracle, "points": r.points, "error": r.error, "passed": r.passed}
            for name, r in results
        ]
        terminal.say(terminal.as_json(rows))
    else:
        head = ("page", "oracle", "points", "error", "")
        cells = [(n, r.oracle, str(r.points), f"{r.error:.1e}", "ok" if r.passed else "WRONG") for n, r in results]
        terminal.show(views.plain_table(head, cells))
    if wrong:
        raise typer.Exit(1)


def classify_model(file: o.ModelFile, json: o.Json = False) -> None:
    """Say which class a model belongs to, which of its couplings matter, and what else is in that class."""
    from cumulant.cli import terminal
    from cumulant.cli.files import load_one
    from cumulant.model import Model

    model = load_one(file)
    if not isinstance(model, Model):
        raise typer.BadParameter(f"{file} holds moments; only a model has a class")
    found = model.universality()
    terminal.say(terminal.as_json(found.to_dict()) if json else str(found))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_pages,
    "show": show_page,
    "search": search_pages,
    "lookup": lookup_page,
    "add": add_page,
    "verify": verify_pages,
    "classify": classify_model,
}


def _value(name: str, text: str) -> Any:
    import json

    import numpy as np

    try:
        value = float(text) if not text.startswith("[") else np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError):
        raise typer.BadParameter(f"{name}={text} is not a number, nor a list of numbers such as '[1, 0.5]'") from None
    return value


def _overview(found: tuple[Page, ...], json: bool) -> None:
    from cumulant.cli import terminal, views

    if json:
        terminal.say(terminal.as_json([page.to_dict() for page in found]))
        return
    rows = [(page.name, page.title, ", ".join(page.names)) for page in found]
    terminal.show(views.plain_table(("page", "class", "from the moments"), rows))


def _lines(page: Page) -> list[tuple[str, str]]:
    free_energy = page.latex if page.free_energy is None else page.free_energy.text
    lines: list[tuple[str, str]] = [("page", page.name), ("class", page.title), ("", page.summary), ("F", free_energy)]
    lines += [("moment", f"{m.name}: {m.meaning}") for m in page.moments]
    lines += [("parameter", name) for name in page.solves.parameters]
    lines += [("with", f"{name} = {formula.text}") for name, formula in page.definitions]
    lines += [("coupling", f"{c.name} = {c.formula.text}  ({c.meaning})") for c in page.couplings]
    lines += [("holds where", f"{c.holds.text}; else: {c.otherwise}") for c in page.conditions]
    said: dict[str, Any] = dict(page.text)
    names = (("machine learning", "machine_learning"), ("physics", "physics"))
    lines += [(title, "; ".join(said[key])) for title, key in names if key in said]
    lines += [(key, " ".join(str(said[key]).split())) for key in ("behaviour", "derivation", "errors") if key in said]
    lines += [("reference", reference) for reference in said.get("references", ())]
    lines += [("verified", f"{r.oracle}: {r.points} points, largest error {r.error:.1e}") for r in page.records]
    return lines
