"""Diagrams as SVG: lines, dots, and the names of columns at the legs. Colours follow the page, light or dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cumulant.diagrams.layout import layout
from cumulant.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.diagrams.graph import Diagram

    Point = NDArray[np.float64]

__all__ = ["Drawing", "page", "sheet", "style", "svg"]

UNIT = 56.0
MARGIN = 26.0
DOT = 4.5
LETTER = 7.0


def style(ink: str, before: str = "") -> str:
    """The look of a drawing in one colour, after other rules that set it."""
    return (
        f"<style>{before}.fd{{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:13px}}"
        f".fd path{{fill:none;stroke:{ink};stroke-width:1.6}}.fd circle,.fd text{{fill:{ink}}}</style>"
    )


STYLE = style(
    "var(--ink)",
    ".fd{--ink:#24292f}@media (prefers-color-scheme:dark){.fd{--ink:#e6edf3}}"
    ":root[data-theme=dark] .fd{--ink:#e6edf3}:root[data-theme=light] .fd{--ink:#24292f}",
)


@dataclass(frozen=True)
class Drawing:
    """A diagram with the words beside it.

    Parameters
    ----------
    diagram
        The graph.
    names
        A name for each leg; default 1, 2, …
    caption
        A line of text below it; default its weight.
    left
        How many legs come in from the left; default half.
    """

    diagram: Diagram
    names: Sequence[str] | None = None
    caption: str | None = None
    left: int | None = None


def svg(diagram: Diagram, names: Sequence[str] | None = None, *, caption: str | None = None) -> str:
    """One diagram as a self-contained SVG image; `names` for its legs, a caption instead of its weight."""
    return page([Drawing(diagram, names, caption)])


def sheet(found: Iterable[Diagram], names: Sequence[str] | None = None, *, columns: int = 4) -> str:
    """Several diagrams with equal legs on one SVG image, in rows, each with its weight."""
    return page([Drawing(d, names) for d in found], columns=columns)


def page(drawings: Sequence[Drawing], *, columns: int = 4) -> str:
    """Drawings on one SVG image, in rows.

    Raises
    ------
    OptionError
        There are too few names, or no diagram.
    """
    if not drawings:
        raise OptionError("there is no diagram to draw; give at least one")
    cells = [_Cell(d) for d in drawings]
    width, height = max(c.width for c in cells), max(c.height for c in cells)
    across = min(columns, len(cells))
    body = [
        f'<g transform="translate({i % across * width + (width - c.width) / 2:.1f},'
        f'{i // across * height + (height - c.height) / 2:.1f})">{c.body}</g>'
        for i, c in enumerate(cells)
    ]
    w, h = across * width, -(-len(cells) // across) * height
    label = escape("; ".join(str(d.diagram) for d in drawings), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fd" role="img" aria-label="{label}" width="{w:.0f}" '
        f'height="{h:.0f}" viewBox="0 0 {w:.1f} {h:.1f}">{STYLE}{"".join(body)}</svg>'
    )


class _Cell:
    """One diagram drawn, with the room it takes."""

    def __init__(self, drawing: Drawing) -> None:
        diagram, names, caption = drawing.diagram, drawing.names, drawing.caption
        if caption is None:
            caption = f"weight {diagram.weight}".replace("-", "−")
        legs = [str(i + 1) for i in range(diagram.legs)] if names is None else list(names)
        if len(legs) != diagram.legs:
            raise OptionError(f"{len(legs)} names for {diagram.legs} legs; give one each")
        at = UNIT * layout(diagram, drawing.left) * (1, -1)
        paths = [*_lines(diagram, at), *_loops(diagram, at)]
        parts = [f'<path d="{path}"/>' for path, _ in paths]
        extent = np.vstack([np.zeros((1, 2)), at, *(points for _, points in paths)])
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}"/>' for x, y in at[diagram.legs :]]
        room = [MARGIN, MARGIN]
        for leg, name in enumerate(legs):
            right = _outward(at, leg)
            parts.append(
                f'<text x="{at[leg, 0] + (6 if right else -6):.1f}" y="{at[leg, 1] + 4.5:.1f}" '
                f'text-anchor="{"start" if right else "end"}">{escape(name)}</text>'
            )
            room[right] = max(room[right], LETTER * len(name) + 16)
        low, high = extent.min(axis=0), extent.max(axis=0)
        inner = max(high[0] - low[0] + room[0] + room[1], LETTER * len(caption) + 16)
        self.width, self.height = inner, high[1] - low[1] + 2 * MARGIN + (20 if caption else 0)
        slack = (inner - (high[0] - low[0] + room[0] + room[1])) / 2
        shift = (room[0] + slack - low[0], MARGIN - low[1])
        self.body = f'<g transform="translate({shift[0]:.1f},{shift[1]:.1f})">{"".join(parts)}</g>' + (
            f'<text x="{inner / 2:.1f}" y="{self.height - 8:.1f}" text-anchor="middle">{escape(caption)}</text>'
            if caption
            else ""
        )


def _outward(at: Point, leg: int) -> bool:
    return bool(at[leg, 0] > at[:, 0].mean() + 1e-9)


def _lines(diagram: Diagram, at: Point) -> list[tuple[str, Point]]:
    """Lines between two nodes; several of them fan out as arcs."""
    out = []
    for (a, b), m in Counter(e for e in diagram.edges if e[0] != e[1]).items():
        along = at[b] - at[a]
        across = np.array([-along[1], along[0]])
        for i in range(m):
            bend = (i - (m - 1) / 2) * (0.75 if m == 2 else 0.6)
            middle = (at[a] + at[b]) / 2 + bend * across
            (x0, y0), (x1, y1), (x2, y2) = at[a], middle, at[b]
            out.append(
                (
                    f"M{x0:.1f} {y0:.1f}Q{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}",
                    np.array([(at[a] + at[b]) / 4 + middle / 2]),
                )
            )
    return out


def _loops(diagram: Diagram, at: Point) -> list[tuple[str, Point]]:
    """Lines from a vertex to itself, in the widest gaps between its other lines."""
    out = []
    for (v, _), m in Counter(e for e in diagram.edges if e[0] == e[1]).items():
        ends = [at[b if a == v else a] - at[v] for a, b in diagram.edges if v in (a, b) and a != b]
        taken = sorted({round(float(np.arctan2(d[1], d[0])), 3) for d in ends})
        for angle in _gaps(taken, m):
            turns = (angle - 0.75, angle + 0.75)
            points = [at[v] + 0.95 * UNIT * np.array([np.cos(turn), np.sin(turn)]) for turn in turns]
            (x, y), (x1, y1), (x2, y2) = at[v], *points
            path = f"M{x:.1f} {y:.1f}C{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {x:.1f} {y:.1f}"
            out.append((path, 0.25 * at[v] + 0.75 * np.array(points)))
    return out


def _gaps(taken: list[float], loops: int) -> list[float]:
    """Directions for loops: spread over the circle, or within the widest gap that other lines leave."""
    if not taken:
        return [2 * np.pi * i / loops for i in range(loops)]
    free: list[float] = []
    for _ in range(loops):
        around = sorted(taken + free)
        widths = [(b - a, a) for a, b in zip(around, [*around[1:], around[0] + 2 * np.pi], strict=True)]
        width, start = max(widths)
        free.append((start + width / 2 + np.pi) % (2 * np.pi) - np.pi)
    return free
