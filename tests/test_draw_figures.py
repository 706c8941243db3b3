"""The figures of the tutorial are those that the command draws, small, and readable in light and dark."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("draw_figures", ROOT / "tools" / "draw_figures.py")
draw_figures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(draw_figures)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, str]:
    paths = draw_figures.draw(tmp_path_factory.mktemp("figures"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def words(drawing: str) -> list[str]:
    """The text of a drawing: its labels, ticks and numbers."""
    return [re.sub(r"\s+", " ", "".join(node.itertext())).strip() for node in ET.fromstring(drawing).iter() if
            node.tag.endswith("}text")]  # fmt: skip


def test_every_figure_is_committed_and_shown(drawn):
    committed = {path.name for path in draw_figures.FOLDER.glob("*.svg")}
    assert committed == set(drawn)
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert all(f"figures/{name}" in tutorial for name in drawn)


def test_committed_figures_say_what_the_data_say(drawn):
    """Shapes may differ between versions of the drawing library; labels and numbers may not."""
    for name, drawing in drawn.items():
        committed = (draw_figures.FOLDER / name).read_text(encoding="utf-8")
        assert words(committed) == words(drawing), f"run: python tools/draw_figures.py ({name})"


def test_figures_are_small_vector_and_themed(drawn):
    for name, drawing in drawn.items():
        assert len(drawing) < 60_000, name
        assert "<image" not in drawing, name
        assert "prefers-color-scheme: dark" in drawing, name
        for placeholder in (draw_figures.INK, draw_figures.PAPER, draw_figures.FAINT):
            assert placeholder not in drawing, name
        assert {"var(--ink)", "var(--paper)"} <= set(re.findall(r"var\(--\w+\)", drawing)), name
