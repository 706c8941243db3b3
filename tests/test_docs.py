from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"^```pycon\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for folder in (ROOT, ROOT / "docs", ROOT / "src", ROOT / "examples")
    for page in sorted(folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
    if EXAMPLE.search(page.read_text(encoding="utf-8"))
]


def examples_of(page: Path) -> str:
    """The examples of a page at their own lines, all else blank, so that a failure names the page's line."""
    text, kept = page.read_text(encoding="utf-8"), []
    position = 0
    for block in EXAMPLE.finditer(text):
        kept += ["\n" * text.count("\n", position, block.start(1)), block[1]]
        position = block.end(1)
    return "".join(kept)


def failures_of(source: str, page: Path) -> str:
    test = doctest.DocTestParser().get_doctest(source, {"__name__": "__main__"}, page.name, str(page), 0)
    report: list[str] = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_print_what_the_page_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failures = failures_of(examples_of(page), page)
    assert not failures, failures


def test_an_example_that_lies_is_caught_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```pycon\n>>> 1 + 1\n2\n```\n\ntext\n\n```pycon\n>>> 1 + 2\n4\n```\n", encoding="utf-8")
    failures = failures_of(examples_of(page), page)
    assert "line 11" in failures
    assert "Expected:\n    4\nGot:\n    3" in failures
