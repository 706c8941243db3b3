"""Draw the figures of docs/tutorial.md: ``python tools/draw_figures.py`` writes docs/figures/*.svg.

They are small, carry their own light and dark colours, and show numbers of the demo table, nothing made up.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import cumulant as cm
from cumulant.data import nyc_flights

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
COLUMNS = ["hour", "distance", "dep_delay", "air_time", "arr_delay"]
ROW = {"hour": 18.0, "dep_delay": 30.0, "distance": 1000.0, "air_time": 140.0}
BLUE, ORANGE, GREEN = "#4a90d9", "#e0822f", "#3a9d6e"
# Placeholders that the finished drawing replaces by colours of the reader's theme.
INK, PAPER, FAINT = "#010203", "#fdfcfb", "#a1a2a3"
THEME = """<style>
svg { --ink: #24292f; --paper: #ffffff; --faint: #b6bec7; }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --paper: #0d1117; --faint: #57606a; } }
</style>"""
LONG = re.compile(r"-?\d+\.\d{3,}")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cumulant",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": PAPER,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def flights() -> pd.DataFrame:
    """The columns of the tutorial, rows without gaps."""
    return pd.read_csv(nyc_flights())[COLUMNS].dropna()


def source_figure(figure: Any) -> None:
    """The source tilts the bell; the logarithm of its area is a parabola."""
    action = cm.solve(cm.measure(flights()), prior=None).action.fix(ROW)
    mean, sd = action.cumulant(1).item(), np.sqrt(action.cumulant(2).item())
    bell, area = figure.subplots(1, 2)
    y = np.linspace(mean - 4.5 * sd, mean + 4.5 * sd, 90)
    for j, colour in ((-0.05, ORANGE), (0.0, INK), (0.05, BLUE)):
        bell.plot(y, np.exp(-action.free_energy(y[:, None]) + j * (y - mean)), color=colour, label=f"J = {j:+.2f}")
    bell.axvline(mean, color=FAINT, lw=1, ls=":")
    bell.set(xlabel="y, minutes late at arrival", title="exp(−F(y) + J·(y − μ))", yticks=[])
    bell.legend(loc="upper left", fontsize=8)
    sources = np.linspace(-0.1, 0.1, 61)
    area.plot(sources, [action.generator(np.array([j]), about="mean") for j in sources], color=INK)
    area.plot([-0.05, 0.05], [0, 0], color=ORANGE, label="slope at 0: ⟨y − μ⟩ = 0")
    area.plot([], [], color=INK, label=f"curvature: σ² = {sd**2:.0f} = ({sd:.1f} min)²")
    area.set(xlabel="source J, per minute", title="W[J] = ln Z[J] − ln Z[0]")
    area.legend(loc="upper center", fontsize=8)


def free_energy_figure(figure: Any) -> None:
    """One F over two columns holds both regression lines."""
    table = flights()
    action = cm.solve(cm.measure(table), prior=None).action.integrate_out(["hour", "distance", "air_time"])
    shown = table.iloc[::22]
    axes = figure.subplots()
    axes.plot(shown["dep_delay"], shown["arr_delay"], "o", ms=2.2, color=FAINT, zorder=0)
    x, y = np.linspace(-110, 190, 60), np.linspace(-130, 200, 60)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    levels = action.free_energy(grid.reshape(-1, 2)).reshape(60, 60)
    axes.contour(x, y, levels, levels=[0.5, 2, 4.5], colors=INK, linewidths=0.9)
    for target, given, colour in (("arr_delay", "dep_delay", BLUE), ("dep_delay", "arr_delay", ORANGE)):
        slope, start = action.coefficients(target)[given], action.intercept(target)
        known = np.array([-110.0, 190.0])
        line = (known, start + slope * known) if given == "dep_delay" else (start + slope * known, known)
        axes.plot(*line, color=colour, label=f"{target} = {start:.1f} + {slope:.2f} · {given}")
    axes.set(xlim=(-110, 190), ylim=(-130, 200), xlabel="dep_delay, minutes", ylabel="arr_delay, minutes")
    axes.set_title("F = ½, 2, 4½ (one, two and three σ) and the lines it holds")
    axes.legend(loc="lower right", fontsize=8)


def knowing_more_figure(figure: Any) -> None:
    """Each column that becomes known narrows what is left."""
    model = cm.solve(cm.measure(flights()), prior=None)
    axes, known = figure.subplots(), {}
    y = np.linspace(-110, 140, 120)
    steps = ((None, FAINT), ("hour", GREEN), ("dep_delay", ORANGE), ("air_time", INK), ("distance", BLUE))
    for name, colour in steps:
        if name is not None:
            known[name] = ROW[name]
        density = model.predict("arr_delay", given=known or None, output="density")
        label = "nothing known" if name is None else f"and {name} = {ROW[name]:g}"
        # Two of the curves lie on each other.
        line = "--" if name == "air_time" else "-"
        axes.plot(y, density.pdf(y), line, color=colour, label=f"{label}: σ = {density.scale[0]:.1f}")
    axes.set(xlabel="arr_delay, minutes", ylabel="probability density", ylim=(0, None), yticks=[])
    axes.legend(loc="upper left", fontsize=8)


def evidence_figure(figure: Any) -> None:
    """ln Z, computed from 49 flights, and the error on the thousands of others."""
    table = pd.read_csv(nyc_flights(), parse_dates=["date"]).dropna()
    few = table.iloc[::100]
    rest = table.drop(few.index)
    model = cm.fit(few, target="arr_delay", prior="evidence")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.semilogx(model.prior.grid, model.prior.curve - model.prior.curve.max(), color=BLUE)
    upper.set(ylabel="ln Z − max", ylim=(-12, 1), title=f"evidence of {len(few)} flights")
    masses = np.logspace(-3, 1.5, 28)
    errors = []
    with warnings.catch_warnings():
        # Some airlines are in none of the few rows, and count as missing.
        warnings.simplefilter("ignore", cm.CumulantWarning)
        for mass in masses:
            fitted = cm.fit(few, target="arr_delay", prior=float(mass))
            found = fitted.predict("arr_delay", rest.drop(columns="arr_delay"))
            errors.append(float(np.sqrt(np.mean((rest["arr_delay"] - found) ** 2))))
    lower.semilogx(masses, errors, color=ORANGE)
    lower.set(xlabel="prior mass α", ylabel="minutes (RMSE)", xlim=(masses[0], masses[-1]), ylim=(0, None))
    lower.set_title(f"error on the other {len(rest):,} flights")
    for axes in (upper, lower):
        axes.axvline(model.prior.mass, color=FAINT, lw=1, ls=":")


FIGURES: dict[str, tuple[Callable[[Any], None], tuple[float, float]]] = {
    "source": (source_figure, (7.2, 2.9)),
    "free-energy": (free_energy_figure, (5.4, 4.2)),
    "knowing-more": (knowing_more_figure, (5.6, 3.3)),
    "evidence": (evidence_figure, (5.4, 3.9)),
}


def themed(drawing: str) -> str:
    """The drawing with colours of the reader's theme, and numbers of a hundredth of a point."""
    for colour, name in ((INK, "ink"), (PAPER, "paper"), (FAINT, "faint")):
        drawing = drawing.replace(colour, f"var(--{name})")
    drawing = re.sub(r"<metadata>.*?</metadata>\s*", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'"[^"]*"', lambda quoted: LONG.sub(lambda n: f"{float(n[0]):.2f}", quoted[0]), drawing)
    start = drawing.index("<defs>")
    lines = (drawing[:start] + THEME + "\n" + drawing[start:]).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def draw(folder: Path = FOLDER) -> list[Path]:
    """Write every figure to a folder."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (paint, size) in FIGURES.items():
        with mpl.rc_context(STYLE):
            figure, buffer = Figure(figsize=size, layout="constrained"), io.StringIO()
            paint(figure)
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        written.append(folder / f"{name}.svg")
        written[-1].write_text(themed(buffer.getvalue()), encoding="utf-8")
    return written


if __name__ == "__main__":
    for path in draw():
        print(f"{path}: {path.stat().st_size:,} bytes")
