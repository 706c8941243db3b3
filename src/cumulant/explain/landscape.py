"""Loss surfaces over two parameters, the paths descent takes on them, and the answer that needs no path.

Two surfaces.  The *valley* is least squares in two columns: convex, one bottom, and descent's only trouble
is the number of steps.  The *wave* is y = a cos(2π k t): the loss over (k, a) has a local minimum in every
side lobe of the Fourier transform, and most starts end in one (Rife & Boorstyn 1974), while two moments of
the same rows give the frequency in closed form (Pisarenko 1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cumulant.errors import MissingDependencyError
from cumulant.explain.descent import gradient_descent
from cumulant.explain.objective import Goal, LeastSquares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Surface", "Wave", "draw", "valley", "wave_surface"]

Array = NDArray[np.float64]
_Corner = Literal["lower right", "lower left", "upper right", "upper left"]

_GRID = 121
_STARTS = 100
_DRAWN = 5
_VALLEY_PASSES = 2000
_WAVE_STEPS = 1500
_WAVE_RATE = 0.4
_KEPT = 100
_LEVELS = np.linspace(0.0, 1.0, 33)


@dataclass(frozen=True, eq=False)
class Surface:
    """A loss over two parameters, with paths on it.

    Parameters
    ----------
    title, note : str
        Heading, and a sentence that says what happened.
    labels : (str, str)
        Names of the two parameters.
    x, y : (k,) arrays
        Grid of each parameter.
    loss : (k, k) array
        Loss at ``x[j], y[i]``.
    floor : float
        Loss at the bottom.
    paths : tuple of (m, 2) arrays
        Descents, from their start to their end.
    arrived : tuple of bool
        Whether each path ended in the deepest valley.
    answer : (2,) array
        The one-pass answer.
    """

    title: str
    note: str
    labels: tuple[str, str]
    x: Array
    y: Array
    loss: Array
    floor: float
    paths: tuple[Array, ...]
    arrived: tuple[bool, ...]
    answer: Array

    def to_dict(self) -> dict[str, Any]:
        """Everything but the grid, ready for JSON."""
        return {
            "title": self.title,
            "note": self.note,
            "labels": list(self.labels),
            "floor": self.floor,
            "paths": [path.tolist() for path in self.paths],
            "arrived": list(self.arrived),
            "answer": self.answer.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Wave:
    """Loss ½ mean((a cos(2π k t) − y)²) of a noisy wave, over θ = (k, a).

    Parameters
    ----------
    t : (n,) array
        Evenly spaced times from −½ to ½.
    y : (n,) array
        Readings.

    Examples
    --------
    >>> wave = Wave.example()
    >>> k, a = wave.from_moments()
    >>> bool(wave.loss(np.array([k, a])) < wave.loss(np.array([k + 2, 0.1])))
    True
    """

    t: Array
    y: Array

    @staticmethod
    def example(*, cycles: float = 6.3, amplitude: float = 1.0, noise: float = 0.25, seed: int = 0) -> Wave:
        """64 readings of a wave with normal noise."""
        t = (np.arange(64) - 31.5) / 64
        rng = np.random.default_rng([seed, 64])
        return Wave(t, amplitude * np.cos(2 * math.pi * cycles * t) + noise * rng.normal(size=64))

    def loss(self, theta: Array) -> Array:
        """Loss at parameters of shape (..., 2)."""
        residual = theta[..., 1:] * np.cos(2 * math.pi * theta[..., :1] * self.t) - self.y
        return np.asarray(0.5 * np.mean(residual**2, axis=-1))

    def gradient(self, theta: Array) -> Array:
        """Gradient (..., 2) at parameters (..., 2)."""
        angle = 2 * math.pi * theta[..., :1] * self.t
        wave, a = np.cos(angle), theta[..., 1:]
        residual = a * wave - self.y
        by_k = np.mean(residual * -a * np.sin(angle) * 2 * math.pi * self.t, axis=-1)
        return np.stack([by_k, np.mean(residual * wave, axis=-1)], axis=-1)

    def hessian(self, theta: Array) -> Array:
        """Second derivatives (2, 2) at parameters (2,)."""
        angle, turn = 2 * math.pi * theta[0] * self.t, 2 * math.pi * self.t
        wave, a = np.cos(angle), theta[1]
        slope = -np.sin(angle) * turn
        residual = a * wave - self.y
        kk = np.mean((a * slope) ** 2 - residual * a * wave * turn**2)
        ka = np.mean(a * slope * wave + residual * slope)
        return np.array([[kk, ka], [ka, np.mean(wave**2)]])

    def from_moments(self) -> Array:
        """θ = (k, a) from sums over the rows: no start, no step.

        With c₁ and c₂ the averages of y(t) y(t+1) and y(t) y(t+2), which white noise leaves alone,
        c₁ : c₂ = cos ω : cos 2ω is a quadratic equation for cos ω; a is then linear regression on the wave.
        V. F. Pisarenko, Geophys. J. R. astr. Soc. 33 (1973) 347.
        """
        y = self.y
        one, two = np.mean(y[1:] * y[:-1]), np.mean(y[2:] * y[:-2])
        cosine = (two + math.sqrt(two**2 + 8 * one**2)) / (4 * one)
        k = math.acos(min(1.0, max(-1.0, float(cosine)))) / (2 * math.pi * (self.t[1] - self.t[0]))
        return np.array([k, self._best_amplitude(np.array([k]))[0]])

    def bottom(self) -> Array:
        """θ of the global minimum: the best of a fine grid of frequencies, then Newton steps."""
        k = np.linspace(0.0, len(self.t) / 2, 20 * len(self.t))
        candidates = np.stack([k, self._best_amplitude(k)], axis=-1)
        theta = np.array(candidates[np.argmin(self.loss(candidates))])
        for _ in range(10):
            theta -= np.linalg.solve(self.hessian(theta), self.gradient(theta))
        return theta

    def descend(self, starts: Array, *, rate: float = _WAVE_RATE, steps: int = _WAVE_STEPS) -> Array:
        """Gradient descent from each of `starts` (m, 2): the paths (steps + 1, m, 2)."""
        path = np.empty((steps + 1, *starts.shape))
        path[0] = starts
        for i in range(steps):
            path[i + 1] = path[i] - rate * self.gradient(path[i])
        return path

    def _best_amplitude(self, k: Array) -> Array:
        waves = np.cos(2 * math.pi * k[:, None] * self.t)
        return np.asarray(waves @ self.y / np.sum(waves**2, axis=1))


def valley(problem: LeastSquares, columns: tuple[int, int], names: Sequence[str], seed: int = 0) -> Surface:
    """The loss surface of `problem` with only two of its columns, and gradient descent on it.

    Parameters
    ----------
    problem : LeastSquares
        Rows and columns to choose from.
    columns : (int, int)
        The two columns.
    names : sequence of str
        Names of all columns.
    seed : int
        Of the random start.

    Returns
    -------
    Surface
    """
    two = LeastSquares(
        np.ascontiguousarray(problem.X[:, columns]), problem.y,
        problem.centre[list(columns)], problem.scale[list(columns)],
        problem.target_centre, problem.target_scale,
    )  # fmt: skip
    # Drawn almost to the bottom, so that the slow end of the valley is seen.
    goal = Goal.of(two, tolerance=1e-5)
    run = gradient_descent(two, goal, max_passes=_VALLEY_PASSES, seed=seed)
    walked = f"walks {run.steps:,} steps" if run.reached else f"is not there after {run.steps:,} steps"
    points = np.vstack([run.path, goal.optimum])
    reach = 1.25 * np.abs(points - goal.optimum).max(axis=0).max()
    x = goal.optimum[0] + np.linspace(-reach, reach, _GRID)
    y = goal.optimum[1] + np.linspace(-reach, reach, _GRID)
    d = np.stack(np.meshgrid(x - goal.optimum[0], y - goal.optimum[1]), axis=-1)
    height = 0.5 * np.einsum("...i,ij,...j->...", d, goal.curvature, d)
    return Surface(
        title="Least squares: one valley",
        note=f"These two columns alone. Gradient descent {walked}, each over every row; the solution takes one pass.",
        labels=(f"β of {names[columns[0]]} (standardised)", f"β of {names[columns[1]]} (standardised)"),
        x=x,
        y=y,
        loss=goal.optimal_loss + height,
        floor=goal.optimal_loss,
        paths=(run.path,),
        arrived=(True,),
        answer=goal.optimum,
    )


def wave_surface(wave: Wave | None = None, seed: int = 0) -> Surface:
    """The surface of a wave's loss over (k, a), with descents from random starts.

    Parameters
    ----------
    wave : Wave, optional
        By default `Wave.example`.
    seed : int
        Of the example and of the starts.

    Returns
    -------
    Surface
        Its note counts how many of 100 starts ended in a local minimum; the first few are its paths.
    """
    wave = wave or Wave.example(seed=seed)
    bottom = wave.bottom()
    low, high = np.array([0.5, -0.6]), np.array([14.0, 1.5])
    starts = np.random.default_rng([seed, 2]).uniform(low, high, size=(_STARTS, 2))
    paths = wave.descend(starts)
    arrived = np.abs(paths[-1, :, 0] - bottom[0]) < 0.5
    shown = _some_of_each(starts[:, 0], arrived, _DRAWN)
    # Descent is quick at first and creeps at the end: the steps kept are ever further apart.
    kept = np.unique(np.geomspace(1, _WAVE_STEPS + 1, _KEPT).astype(int)) - 1
    answer = wave.from_moments()
    x, y = np.linspace(0.0, 14.5, 2 * _GRID), np.linspace(-0.8, 1.7, _GRID)
    return Surface(
        title="A wave of unknown frequency: many valleys",
        note=f"{int(np.sum(~arrived))} of {_STARTS} random starts end in a local minimum. Two moments, "
        f"with no start to choose, give k = {answer[0]:.2f}; the lowest loss is at k = {bottom[0]:.2f}.",
        labels=("k, cycles in the window", "a, amplitude"),
        x=x,
        y=y,
        loss=wave.loss(np.stack(np.meshgrid(x, y), axis=-1)),
        floor=float(wave.loss(bottom)),
        paths=tuple(paths[kept, i] for i in shown),
        arrived=tuple(bool(arrived[i]) for i in shown),
        answer=answer,
    )


def draw(surfaces: Sequence[Surface], path: str | Path | IO[bytes], *, file_format: str | None = None) -> None:
    """Draw surfaces side by side; the format (SVG, PNG, PDF …) follows the name's ending.

    Parameters
    ----------
    surfaces : sequence of Surface
    path : path or binary file
        Where to write.
    file_format : str, optional
        Needed for an open file.

    Raises
    ------
    MissingDependencyError
        Without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "drawing the loss surface needs matplotlib; install it with: pip install 'cumulant[plot]'"
        ) from error
    # A Figure of its own: pyplot would keep global state and pick a display.
    figure = Figure(figsize=(6.2 * len(surfaces), 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, surface in zip(figure.subplots(1, len(surfaces), squeeze=False)[0], surfaces, strict=True):
        _draw_one(axes, surface)
    figure.savefig(path, format=file_format, dpi=160, transparent=True)


# Greys and hues with a contrast of 4 or more on white and on near-black alike, for pages of either kind.
_INK = "#7b7f86"
_MISSED, _FOUND, _ANSWER, _DEEP = "#ff6b5a", "#ffffff", "#ffd23f", "#0b1533"
_DEPTHS = [_DEEP, "#173a6e", "#2f6f9f", "#6fa8bf", "#b9d3d6"]


def _draw_one(axes: Axes, surface: Surface) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    depths = LinearSegmentedColormap.from_list("depths", _DEPTHS)
    # On a square-root scale the bottom of a valley is as visible as its walls.
    height = np.sqrt(np.maximum(surface.loss - surface.floor, 0.0))
    # Half evenly spaced, half at quantiles: a flat plain with dents shows its dents.
    even = np.linspace(height.min(), height.max(), len(_LEVELS))
    levels = 0.5 * even + 0.5 * np.quantile(height, _LEVELS)
    colours = depths(np.linspace(0, 1, len(_LEVELS) - 1))
    filled = axes.contourf(surface.x, surface.y, height, levels=levels, colors=colours)
    # As an image inside the SVG: the bands have thousands of vertices.
    filled.set_rasterized(True)
    heights = levels[1::2]
    axes.contour(surface.x, surface.y, height, levels=heights, colors="#ffffff", linewidths=0.4, alpha=0.3)
    labelled: set[str] = set()
    for path, arrived in zip(surface.paths, surface.arrived, strict=True):
        colour = _FOUND if arrived else _MISSED
        name = "gradient descent" if arrived else "gradient descent into a local minimum"
        axes.plot(
            *path.T, "-", color=colour, linewidth=1.3, marker="o", markersize=2.2, markevery=_few(path),
            label=None if name in labelled else name,
        )  # fmt: skip
        labelled.add(name)
        axes.plot(*path[0], "o", color=colour, markersize=7, markerfacecolor="none", markeredgewidth=1.5)
        axes.plot(*path[-1], "X", color=colour, markersize=8, markeredgecolor=_DEEP, markeredgewidth=0.7)
    axes.plot(
        *surface.answer, "*", color=_ANSWER, markersize=19, markeredgecolor=_DEEP, linestyle="none",
        label="one pass over the rows", zorder=5,
    )  # fmt: skip
    _dress(axes, surface)


def _dress(axes: Axes, surface: Surface) -> None:
    from textwrap import fill

    axes.set_title(surface.title, color=_INK, fontsize=13, fontweight="bold", loc="left")
    axes.set_xlabel(f"{surface.labels[0]}\n\n{fill(surface.note, 72)}", color=_INK)
    axes.set_ylabel(surface.labels[1], color=_INK)
    axes.tick_params(colors=_INK)
    for spine in axes.spines.values():
        spine.set_color(_INK)
    axes.set_xlim(surface.x[0], surface.x[-1])
    axes.set_ylim(surface.y[0], surface.y[-1])
    legend = axes.legend(loc=_free_corner(surface), fontsize=9, facecolor=_DEEP, edgecolor="none")
    for text in legend.get_texts():
        text.set_color("#ffffff")


def _free_corner(surface: Surface) -> _Corner:
    """The first corner that no path enters; matplotlib's own choice would cover the wave's well."""
    points = np.vstack([*surface.paths, surface.answer])
    right = (points[:, 0] - surface.x[0]) / (surface.x[-1] - surface.x[0])
    up = (points[:, 1] - surface.y[0]) / (surface.y[-1] - surface.y[0])
    corners: tuple[_Corner, ...] = ("lower right", "lower left", "upper right")
    for corner in corners:
        across = right > 0.45 if "right" in corner else right < 0.55
        along = up < 0.2 if "lower" in corner else up > 0.8
        if not np.any(across & along):
            return corner
    return "upper left"


def _few(path: Array) -> list[int]:
    """Which points to mark: 1, 2, 4, 8 …, for near the end they lie on top of each other."""
    return [0, *(2**i for i in range(len(path).bit_length() - 1))]


def _some_of_each(position: Array, arrived: NDArray[np.bool_], count: int) -> list[int]:
    """Starts spread over `position`, first one that arrived and last one that did not, if there are any."""
    order = np.argsort(position)
    shown = [int(i) for i in order[np.linspace(0, len(order) - 1, count).astype(int)]]
    for kind in (True, False):
        if not np.any(arrived[shown] == kind) and np.any(arrived == kind):
            middle = count // 2
            shown[middle] = int(np.argmax(arrived == kind))
    return sorted(shown, key=lambda i: not arrived[i])
