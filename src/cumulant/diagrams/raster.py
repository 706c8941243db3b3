"""Drawings of diagrams as PNG images: resvg renders the SVG (``pip install 'cumulant[plot]'``)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from cumulant import storage
from cumulant.diagrams.draw import STYLE, style
from cumulant.errors import MissingDependencyError, OptionError

__all__ = ["THEMES", "png", "save"]

# Ink and paper.
THEMES = {"light": ("#24292f", "#ffffff"), "dark": ("#e6edf3", "#0d1117")}


def png(drawing: str, theme: str = "light", *, scale: float = 2.0) -> bytes:
    """A drawing of `cumulant.diagrams.draw` as a PNG image.

    Parameters
    ----------
    drawing
        SVG that `draw.svg`, `draw.sheet` or `draw.page` made.
    theme
        ``"light"`` or ``"dark"``: an image cannot follow the page, as SVG does.
    scale
        Pixels per unit of the drawing.

    Raises
    ------
    OptionError
        The theme is another.
    MissingDependencyError
        resvg is not installed.

    Examples
    --------
    >>> from cumulant.diagrams import diagrams
    >>> from cumulant.diagrams.draw import sheet
    >>> png(sheet(diagrams(2, [4, 4]))).startswith(bytes([0x89]) + b"PNG")
    True
    """
    if theme not in THEMES:
        raise OptionError(f"theme={theme!r}: choose {' or '.join(map(repr, THEMES))}")
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise MissingDependencyError(
            "PNG images are rendered by resvg; write .svg, or install it with: pip install 'cumulant[plot]'"
        ) from error
    ink, paper = THEMES[theme]
    # The fonts that come with matplotlib make letters look alike on every machine; others are for what they lack.
    with resources.as_file(resources.files("matplotlib") / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf") as font:
        return svg_to_bytes(
            svg_string=drawing.replace(STYLE, style(ink)), background=paper, zoom=scale, font_files=[str(font)]
        )


def save(path: str | Path, drawing: str, theme: str) -> None:
    """Write a drawing as an .svg or .png file, atomically.

    Raises
    ------
    OptionError
        The name ends otherwise.
    """
    kind = Path(path).suffix.lower()
    if kind not in (".svg", ".png"):
        raise OptionError(f"'{path}': diagrams are drawn as .svg or .png")
    storage.write_atomically(path, drawing.encode() if kind == ".svg" else png(drawing, theme))
