"""The program: its commands, its global options, and what its exit status means."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cumulant.cli import terminal

__all__ = ["app", "main"]

HELP = (
    "Fit a free energy, not a loss.\n\n"
    "Measure the moments of a table in one pass, solve for its free energy F, and predict [bold]any column from any "
    "others[/bold]: no loss, no descent. [cyan]cumulant demo[/cyan] shows it on a real table in a few seconds."
)
STATUS = (
    "Exit status: 0 done, 1 something is wrong with a table or file, 2 with the command line, 130 interrupted. "
    "Results go to standard output, notes and errors to standard error."
)
TRACEBACK = "CUMULANT_TRACEBACK"


def examples(*lines: str) -> str:
    """An epilog that shows commands one below the other."""
    # An empty line between two is what keeps them apart: single line breaks are joined.
    return "\n\n".join(["[bold]Examples[/bold]", *(f"[cyan]{line}[/cyan]" for line in lines)])


app = typer.Typer(
    name="cumulant",
    help=HELP,
    epilog=STATUS,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from cumulant import __version__

        terminal.say(f"cumulant {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option("--traceback", help=f"Show where an error arose (or set {TRACEBACK}=1)."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status.

    Parameters
    ----------
    arguments
        Words of the command line; default those that the process was started with.

    Returns
    -------
    int
        0 done, 1 an error in a table or file, 2 in the command line, 130 interrupted, 141 the reader of standard
        output went away.
    """
    from threadpoolctl import threadpool_limits

    from cumulant.errors import CumulantError

    # The sums have threads of their own; on matrices of a table's size those of BLAS cost more than they bring.
    if "OPENBLAS_NUM_THREADS" not in os.environ and "OMP_NUM_THREADS" not in os.environ:
        threadpool_limits(1, "blas")
    status: int | None = None
    left = ""
    try:
        with terminal.notes_on_stderr():
            status = app(args=arguments, prog_name="cumulant", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt, terminal.InterruptionError) as error:
        status, left = terminal.INTERRUPTED, str(error)
    except (CumulantError, OSError, MemoryError) as error:
        if _wants_traceback(sys.argv[1:] if arguments is None else arguments):
            raise
        return _refused(error)
    except Exception as error:
        # The parser's own exceptions have no importable base in every version of typer.
        if not hasattr(error, "format_message"):
            raise
        return _misused(error)
    if status == terminal.INTERRUPTED:
        terminal.tell("interrupted", left or "nothing was written", "bold yellow")
    return status or 0


def _wants_traceback(arguments: Sequence[str]) -> bool:
    return "--traceback" in arguments or os.environ.get(TRACEBACK, "0") not in ("", "0")


def _refused(error: Exception) -> int:
    from cumulant.errors import OptionError

    terminal.tell("error", str(error) or type(error).__name__, "bold red")
    return 2 if isinstance(error, OptionError) else 1


def _misused(error: Any) -> int:
    context = getattr(error, "ctx", None)
    message = str(error.format_message()).replace("Value error, ", "").removeprefix("Invalid value: ").rstrip(".")
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        return 2
    path = context.command_path if context is not None else "cumulant"
    terminal.tell("error", f"{message[:1].lower()}{message[1:]}; see {path} --help", "bold red")
    return int(getattr(error, "exit_code", 2))


def _enrol() -> None:
    from cumulant.cli import (
        compare,
        demo,
        diagrams,
        fit,
        forget,
        impute,
        inspect,
        merge,
        notebook,
        predict,
        report,
        sample,
        symmetries,
        update,
    )

    rows = (impute, sample, update, merge, forget)
    for command in (demo, fit, inspect, predict, *rows, symmetries, diagrams, compare, report):
        name = command.__name__.rpartition(".")[2]
        app.command(name, epilog=examples(*command.EXAMPLES))(getattr(command, name))
    pages = typer.Typer(help=notebook.HELP, epilog=examples(*notebook.EXAMPLES), no_args_is_help=True)
    for name, function in notebook.COMMANDS.items():
        pages.command(name, epilog=examples(*(e for e in notebook.EXAMPLES if e.split()[2] == name)))(function)
    app.add_typer(pages, name="notebook")


_enrol()
