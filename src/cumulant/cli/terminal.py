"""What a person or a pipe sees: results on standard output; notes, errors and progress on standard error."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from cumulant.errors import CumulantWarning

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "INTERRUPTED",
    "PIPE_CLOSED",
    "InterruptionError",
    "as_json",
    "in_options",
    "is_terminal",
    "note",
    "notes_on_stderr",
    "say",
    "show",
    "tell",
]

# As a shell reports a program that was ended by the signal: 128 + SIGINT, 128 + SIGPIPE.
INTERRUPTED = 130
PIPE_CLOSED = 141
# Nothing is folded or cut in a pipe, where no window limits a line.
UNLIMITED = 100_000
PIECE = 1 << 15


class InterruptionError(Exception):
    """The user stopped a command; the text says what became of its work, if anything did."""


def is_terminal() -> bool:
    """Whether standard output is read by a person."""
    return sys.stdout.isatty()


def say(text: str) -> None:
    """Write a result, as it is, to standard output; a reader that has gone away ends the program quietly."""
    try:
        # In pieces: where standard output is unbuffered, Python ignores that only part of a long text was taken.
        for start in range(0, len(text), PIECE):
            sys.stdout.write(text[start : start + PIECE])
        if not text.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None


def show(*renderables: RenderableType, piped_width: int = UNLIMITED) -> None:
    """Write tables and markup to standard output: coloured for a terminal, plain for a pipe."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, width=None if is_terminal() else piped_width)
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    lines = captured.get().splitlines()
    say("\n".join(lines if is_terminal() else [line.rstrip() for line in lines]))


def tell(word: str, message: str, style: str) -> None:
    """One line on standard error: ``word: message``."""
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((f"{word}: ", style), in_options(" ".join(message.split())))
    Console(stderr=True, highlight=False, soft_wrap=True).print(line)


_noted: set[str] = set()


def note(message: str) -> None:
    """One line ``note: …`` on standard error, once in a run."""
    if message not in _noted:
        _noted.add(message)
        tell("note", message, "bold yellow")


@contextmanager
def notes_on_stderr() -> Iterator[None]:
    """Show a CumulantWarning as a note; other warnings as Python shows them."""
    _noted.clear()
    usual = warnings.showwarning

    def show_warning(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, CumulantWarning):
            note(str(message))
        else:
            usual(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", CumulantWarning)
        warnings.showwarning = show_warning
        yield


# What the text of an error or note may say in Python, and how it is said here.
_CALLS = (
    (re.compile(r"open_table\(…, (.*?)\)"), r"\1"),
    (re.compile(r"lifts=\{'([^']+)': '([^']+)'\}"), r"--lift '\1=\2'"),
    (re.compile(r"types=\{'([^']+)': '([^']+)'\}"), r"--type '\1=\2'"),
    (re.compile(r"nulls=\['([^']*)'\]"), r"--null '\1'"),
    (re.compile(r"replace=True"), "--replace"),
)
_ARGUMENT = re.compile(
    r"\b(columns|delimiter|encoding|errors|folds|level|levels|missing|output|precision|prior|rows|scale|target|weight_kind|"
    r"weights)=(?:(['\"])(\S*?)\2|\[…\]|…|(None|\d+))?"
)


def in_options(message: str) -> str:
    """A message whose remedy names arguments of the Python functions, in the words of the command line.

    Examples
    --------
    >>> in_options('raise levels= to keep more; precision="double" forces the fast sums')
    'raise --levels to keep more; --precision double forces the fast sums'
    >>> in_options("read the column as a category (lifts={'zip': 'categorical'})")
    "read the column as a category (--lift 'zip=categorical')"
    """
    for call, words in _CALLS:
        message = call.sub(words, message)
    return _ARGUMENT.sub(_as_option, message)


def _as_option(match: re.Match[str]) -> str:
    value = match[3] or (match[4] or "").lower()
    return f"--{match[1].replace('_', '-')} {value}".rstrip()


def as_json(value: Any) -> str:
    """JSON text of plain data, numpy numbers, dates and frames; what is not a finite number is null."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return [_plain(row) for row in value.to_dict(orient="records")]
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") and value == value else None
