"""Scaling laws as shown: exponents, the figures of each axis, and a drawing of them in the reader's colours."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from tools.draw_figures import BLUE, FAINT, GREEN, INK, ORANGE, STYLE, themed

from benchmarks.harness import OURS
from benchmarks.scaling import BLAS, POLARS, RIDGE

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWING = "figures/scaling/scaling.svg"
TITLES = {
    "rows": "rows", "columns": "columns", "cores": "cores", "sums": "sums, order 2, 3, 4", "groups": "groups",
}  # fmt: skip
COLOURS = {OURS: BLUE, BLAS: ORANGE, RIDGE: GREEN, POLARS: INK}
MEGABYTE = 1 << 20


def block(record: dict[str, Any], table: Callable[..., str], where: str) -> list[str]:
    """The part of the page on scaling."""
    head = ["along", "from … to", "time", "theory", "extra memory", "theory", "peers' time", "because"]
    laws = []
    for result in record["results"]:
        (time, memory), theory = result["exponents"][OURS], result["theory"]
        others = {name: found[0] for name, found in result["exponents"].items() if name != OURS}
        peers = [f"{name} {_power(power)}" for name, power in others.items() if power is not None]
        ends = [f"{result['points'][i]['x']:,}" for i in (0, -1)]
        laws.append(
            [TITLES[result["axis"]], " … ".join(ends), _power(time), _power(theory[0]), _power(memory),
             _power(theory[1]), "; ".join(peers), result["why"]]
        )  # fmt: skip
    parts = [
        "### How it scales", record["method"], where,
        f"![Seconds and extra memory along rows, columns, sums and groups]({DRAWING})",
        "Dotted: the slope of the theory, through the last point of cumulant.",
        "**Exponents**", table(head, laws),
    ]  # fmt: skip
    for result in record["results"]:
        names = list(dict.fromkeys(name for point in result["points"] for name in point["ways"]))
        rows = [[f"**{n}**" if n == OURS else n, *(_cell(p["ways"].get(n)) for p in result["points"])] for n in names]
        title = f"**Along {TITLES[result['axis']]}**, {_fixed(result['points'])}: least seconds / extra memory."
        parts += [title, table(["", *(f"{point['x']:,}" for point in result["points"])], rows)]
    return parts


def _fixed(points: list[dict[str, Any]]) -> str:
    """What is the same at all points of an axis."""
    named = ((name, {point[name] for point in points}) for name in ("rows", "columns"))
    return ", ".join(f"{next(iter(values)):,} {name}" for name, values in named if len(values) == 1)


def _power(value: float | None) -> str:
    return "–" if value is None else f"{value:g}".replace("-", "−")


def _cell(way: dict[str, Any] | None) -> str:
    if way is None:
        return "–"
    extra = way["extra_bytes"]
    return f"{way['seconds']['min']:.3g} / {'–' if extra is None else f'{extra / 1e6:,.0f} MB'}"


def drawing(record: dict[str, Any]) -> str:
    """Time above, memory below, an axis in each column; cores are too few for a curve."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [result for result in record["results"] if result["axis"] != "cores"]
    with mpl.rc_context(STYLE):
        figure, buffer = Figure(figsize=(9.6, 5.2), layout="constrained"), io.StringIO()
        panels = figure.subplots(2, len(shown))
        for i, result in enumerate(shown):
            _panel(panels[0, i], result, 0)
            _panel(panels[1, i], result, 1)
            panels[0, i].set_title(f"along {TITLES[result['axis']]}")
        panels[0, 0].set_ylabel("seconds")
        panels[1, 0].set_ylabel("extra memory, MB")
        named = {name: line for axes in panels[0] for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named), fontsize=8)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return themed(buffer.getvalue())


def _panel(axes: Any, result: dict[str, Any], which: int) -> None:
    heights = []
    for name in dict.fromkeys(name for point in result["points"] for name in point["ways"]):
        curve = [(p["x"], _value(p["ways"][name], which)) for p in result["points"] if name in p["ways"]]
        kept = [(x, y) for x, y in curve if y]
        if not kept:
            continue
        x, y = zip(*kept, strict=True)
        heights += y
        axes.loglog(x, y, "o-", ms=3.5, color=COLOURS[name], label=name)
        if name == OURS:
            axes.loglog(x, [y[-1] * (at / x[-1]) ** result["theory"][which] for at in x], ":", color=FAINT)
    # Whole decades, so that each panel has two labels at least; and the points themselves below.
    axes.set_ylim(10 ** math.floor(math.log10(min(heights))), 10 ** math.ceil(math.log10(max(heights))))
    places = [point["x"] for point in result["points"]]
    axes.set_xticks(places, [_short(x) for x in places])
    axes.minorticks_off()


def _short(x: int) -> str:
    """A number in thousands or millions."""
    scale, unit = next((one for one in ((10**6, "M"), (1000, "k")) if x >= one[0]), (1, ""))
    return f"{x / scale:.3g}{unit}"


def _value(way: dict[str, Any], which: int) -> float | None:
    """Seconds, or megabytes above the noise of a page or two."""
    if which == 0:
        return float(way["seconds"]["min"])
    extra = way["extra_bytes"] or 0
    return extra / 1e6 if extra > MEGABYTE else None
