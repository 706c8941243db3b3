"""Fail where the documentation lags behind the code: public names, links, make targets, commands."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)


def pages(root: Path) -> list[Path]:
    """Every Markdown file that a reader of the repository may open."""
    folders = ("docs", "examples", "benchmarks", "validation", "src", "tools")
    return sorted([*root.glob("*.md"), *(page for name in folders for page in (root / name).rglob("*.md"))])


def code_of(text: str) -> str:
    """Keep the code of a Markdown text, fenced and inline, one piece per line."""
    return "\n".join([*FENCE.findall(text), *CODE_SPAN.findall(FENCE.sub("", text))])


def anchors(text: str) -> set[str]:
    """List the fragments that the headings of a Markdown text can be reached by."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(FENCE.sub("", text)))
    return {title.replace(" ", "-") for title in titles}


def broken_links(page: Path, root: Path) -> Iterator[str]:
    """Relative links of `page` whose file or heading does not exist."""
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        name, _, fragment = unquote(link).partition("#")
        if re.match(r"[a-z][a-z+.-]*:", name):
            continue
        target = (page.parent / name) if name else page
        if not target.exists():
            yield f"{page.relative_to(root)}: link to {link}, which does not exist"
        elif fragment and target.suffix == ".md" and fragment not in anchors(target.read_text("utf-8")):
            yield f"{page.relative_to(root)}: link to {link}, but {target.name} has no such heading"


def unlisted_names(names: list[str], reference: Path) -> Iterator[str]:
    """Public names that the reference page does not show as code."""
    if reference.exists():
        shown = set(re.findall(r"\w+", code_of(reference.read_text("utf-8"))))
        yield from (f"docs/api.md: cumulant.{name} is missing" for name in names if name not in shown)


def unknown_commands(page: Path, program: str, known: set[str]) -> Iterator[str]:
    """Subcommands of `program` that `page` shows as code and that do not exist."""
    if page.exists():
        call = re.compile(rf"^(?:\$ )?{program} ([a-z][a-z-]*)", re.MULTILINE)
        for name in dict.fromkeys(call.findall(code_of(page.read_text("utf-8")))):
            if name not in known:
                yield f"{page.name}: `{program} {name}` does not exist"


def make_targets(root: Path) -> set[str]:
    """List the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))


def cli_commands() -> set[str]:
    """List the subcommands of the ``cumulant`` program."""
    spec = importlib.util.find_spec("cumulant.cli")
    if spec is None or spec.origin is None:
        return set()
    import typer.main

    from cumulant import cli

    return set(getattr(typer.main.get_command(cli.app), "commands", {}))


def main() -> int:
    """Print what lags behind; return the exit status."""
    import cumulant

    problems = [
        *unlisted_names(list(getattr(cumulant, "__all__", [])), ROOT / "docs" / "api.md"),
        *(problem for page in pages(ROOT) for problem in broken_links(page, ROOT)),
        *unknown_commands(ROOT / "README.md", "make", make_targets(ROOT)),
        *unknown_commands(ROOT / "README.md", "cumulant", cli_commands()),
    ]
    print("\n".join(problems) or f"documentation: {len(pages(ROOT))} pages keep up with the code")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
