"""The notebook of the documentation is what the pages of the package say."""

from __future__ import annotations

import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cumulant.notebook.library import BUILT_IN, built_in

ROOT = Path(__file__).parents[1]


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


load("draw_figures")
write_notebook = load("write_notebook")


def test_committed_pages_are_those_that_the_command_writes():
    for path, text in write_notebook.texts().items():
        assert path.read_text(encoding="utf-8") == text, "run: python tools/write_notebook.py"


def test_there_is_a_page_and_a_drawing_for_every_class_and_nothing_else():
    names = {page.name for page in built_in()}
    folder = ROOT / "docs" / "notebook"
    diagrams = {f"{name}-diagrams" for name in write_notebook.VERTICES}
    assert {path.stem for path in folder.glob("*.svg")} == names | diagrams
    assert {path.stem for path in folder.glob("*.md")} == names | {"README"}
    assert {path.stem for path in BUILT_IN.glob("*.json")} == names
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.md)" in listed for name in names)


def words(drawing: str) -> list[str]:
    """Labels, ticks and numbers of a drawing."""
    texts = [node for node in ET.fromstring(drawing).iter() if node.tag.endswith("}text")]
    return [re.sub(r"\s+", " ", "".join(node.itertext())).strip() for node in texts]


@pytest.mark.parametrize("name", [page.name for page in built_in()])
def test_drawings_say_what_the_page_says_in_the_reader_s_colours(name):
    committed = (ROOT / "docs" / "notebook" / f"{name}.svg").read_text(encoding="utf-8")
    assert words(committed) == words(write_notebook.drawing(name))
    assert "prefers-color-scheme: dark" in committed
    assert "#010203" not in committed


@pytest.mark.parametrize("name", write_notebook.VERTICES)
def test_diagrams_are_those_of_the_theory(name):
    committed = (ROOT / "docs" / "notebook" / f"{name}-diagrams.svg").read_text(encoding="utf-8")
    assert committed == write_notebook.diagrams(name)
