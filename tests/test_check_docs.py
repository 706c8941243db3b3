from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "check_docs.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_docs", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(folder: Path, text: str, name: str = "README.md") -> Path:
    page = folder / name
    page.write_text(text, encoding="utf-8")
    return page


def test_a_link_must_lead_somewhere(check: ModuleType, tmp_path: Path) -> None:
    written(tmp_path, "# One form, for *all*\n", "other.md")
    page = written(
        tmp_path,
        "# Here\n[a](other.md) [b](other.md#one-form-for-all) [c](#here) "
        "[d](https://example.org/x) ![e](<other.md>)\n"
        "[gone](gone.md) [no heading](other.md#two) [nor here](#there)\n```\n[code](not-a-link.md)\n```\n",
    )
    assert [problem.split(": ")[1] for problem in check.broken_links(page, tmp_path)] == [
        "link to gone.md, which does not exist",
        "link to other.md#two, but other.md has no such heading",
        "link to #there, but README.md has no such heading",
    ]


def test_a_public_name_must_be_shown_as_code(check: ModuleType, tmp_path: Path) -> None:
    reference = written(tmp_path, "`cumulant.fit(table)` and load, in\n```python\ncm.measure(x)\n```\n", "api.md")
    assert list(check.unlisted_names(["fit", "measure"], reference)) == []
    assert list(check.unlisted_names(["fit", "load"], reference)) == ["docs/api.md: cumulant.load is missing"]
    assert list(check.unlisted_names(["fit"], tmp_path / "absent.md")) == []


def test_a_command_must_exist(check: ModuleType, tmp_path: Path) -> None:
    page = written(
        tmp_path,
        "Run `make demo`, make sense, or `make tea`.\n```console\n$ make test\nmake coffee JOBS=2\n```\n",
    )
    assert list(check.unknown_commands(page, "make", {"demo", "test"})) == [
        "README.md: `make coffee` does not exist",
        "README.md: `make tea` does not exist",
    ]


def test_the_targets_of_this_makefile_are_found(check: ModuleType) -> None:
    assert {"demo", "test", "lint", "docs", "bench", "clean", "help"} == check.make_targets(TOOL.parents[1])
