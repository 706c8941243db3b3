"""Bayesian networks of finite width beside infinite width, and beside its first order in 1/width.

The truth is importance sampling: networks drawn at initialisation by NumPy, weighed by the likelihood of the rows,
their last layer integrated in closed form.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Options, say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWING = "figures/fields/finite-width.svg"
ROWS, NEW, NOISE, DRAWN = 12, 6, 0.1, 20_000
CASES = {"ReLU, 2 hidden layers": ("relu", 2), "erf, 1 hidden layer": ("erf", 1)}
WIDTHS = (8, 16, 32, 64, 128)
METHOD = (
    f"{ROWS} rows of two standard normal inputs, targets drawn from the field of infinite width with noise {NOISE:g}, "
    f"{NEW} new rows; weights of variance 2/width, biases 0.1. Root mean square over new rows of what the mean is "
    "off, in posterior standard deviations, and of what the variance is off, in parts of it, from importance "
    "sampling. Parameter: the deviation of ln p(rows) over networks at initialisation."
)


def run(options: Options) -> dict[str, Any]:
    widths, batches = (WIDTHS[:1], 1) if options.quick else (WIDTHS, 4)
    machine, results = harness.machine(), []
    for name, (activation, depth) in CASES.items():
        given = {"activation": activation, "depth": depth, "widths": list(widths), "batches": batches}
        points = harness.call("benchmarks.finite_width:measure", **given).result
        results.append({"network": name, "points": points})
        for point in points:
            say(f"  {name}, width {point['width']}: {point['mean']} of the mean, {point['variance']} of the variance")
    return {"benchmark": "finite_width", "method": METHOD, "machine": machine, "results": results}


# ---------------------------------------------------------------------------------- in the measured process


def measure(activation: str, depth: int, widths: list[int], batches: int) -> list[dict[str, Any]]:
    """Errors of infinite width and of the first order, with the parameter of the series, at each width."""
    from cumulant.solve.field.one_loop import OneLoop
    from cumulant.theory.networks import NNGP

    rng, net = np.random.default_rng(1), NNGP(activation, depth, 2.0, 0.1)
    x, new = rng.normal(size=(ROWS, 2)), rng.normal(size=(NEW, 2))
    noisy = net(x, x) + NOISE * np.eye(ROWS)
    y = np.linalg.cholesky(noisy) @ rng.normal(size=ROWS)
    inverse, seen, out = np.linalg.inv(noisy), net(new, x), []
    dual = inverse @ y
    mean, variance = seen @ dual, net.diagonal(new) - np.einsum("ij,jk,ik->i", seen, inverse, seen)
    for width in widths:
        loop = OneLoop(net, (width,) * depth, x, dual, inverse)
        first = loop.at(new, seen)
        drawn = [_networks(activation, depth, width, np.concatenate([x, new]), seed) for seed in range(batches)]
        true, spread, error = _weighed(np.concatenate(drawn), y)
        off = {
            "infinite": (mean - true, variance - spread),
            "first": (mean + first.mean.total - true, variance + first.variance.total - spread),
        }
        sizes = {name: (_rms(m / variance**0.5), _rms(v / variance)) for name, (m, v) in off.items()}
        out.append(
            {
                "width": width,
                "parameter": round(loop.evidence()[1], 4),
                "mean": {name: round(size[0], 6) for name, size in sizes.items()},
                "variance": {name: round(size[1], 6) for name, size in sizes.items()},
                "error": round(_rms(error / variance**0.5), 6),
            }
        )
    return out


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _networks(activation: str, depth: int, width: int, x: Array, seed: int) -> Array:
    """Covariance of the output given the hidden units (DRAWN, n, n), of random networks."""
    from scipy.special import erf

    def phi(u: Array) -> Array:
        return np.maximum(u, 0.0) if activation == "relu" else np.asarray(erf(u))

    rng, out = np.random.default_rng(seed), []
    for _ in range(DRAWN // 1000):
        u = 2**0.5 * np.einsum("ip,mpk->mik", x, rng.normal(size=(1000, x.shape[1], width)))
        u += 0.1**0.5 * rng.normal(size=(1000, 1, width))
        for _ in range(depth - 1):
            u = (2 / width) ** 0.5 * phi(u) @ rng.normal(size=(1000, width, width))
            u += 0.1**0.5 * rng.normal(size=(1000, 1, width))
        out.append(0.1 + 2 / width * phi(u) @ phi(u).transpose(0, 2, 1))
    return np.concatenate(out)


def _weighed(drawn: Array, y: Array) -> tuple[Array, Array, Array]:
    """Posterior mean and variance at the new rows, and the standard error of the mean."""
    n = len(y)
    root = np.linalg.inv(drawn[:, :n, :n] + NOISE * np.eye(n))
    logs = -0.5 * np.einsum("i,mij,j->m", y, root, y) + 0.5 * np.linalg.slogdet(root)[1]
    w = np.exp(logs - logs.max())[:, None]
    through = drawn[:, n:, :n] @ root
    each = through @ y
    spread = np.einsum("mii->mi", drawn[:, n:, n:]) - np.einsum("mij,mij->mi", through, drawn[:, n:, :n])
    mean = (w * each).sum(axis=0) / w.sum()
    variance = (w * (spread + each**2)).sum(axis=0) / w.sum() - mean**2
    return mean, variance, np.sqrt((w**2 * (each - mean) ** 2).sum(axis=0)) / w.sum()


# ---------------------------------------------------------------------------------- on the page


def drawing(record: dict[str, Any]) -> str:
    """What infinite width and the first order are off, by width."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from tools.draw_figures import BLUE, FAINT, ORANGE, STYLE, themed

    with mpl.rc_context(STYLE):
        figure, buffer = Figure(figsize=(9.6, 3.4), layout="constrained"), io.StringIO()
        panels = figure.subplots(1, 2, sharey=True)
        for axes, result in zip(panels, record["results"], strict=True):
            width = [point["width"] for point in result["points"]]
            for name, what, colour in (("infinite width", "infinite", ORANGE), ("first order", "first", BLUE)):
                for quantity, style in (("mean", "o-"), ("variance", "s--")):
                    off = [point[quantity][what] for point in result["points"]]
                    axes.loglog(width, off, style, ms=4, color=colour, label=f"{name}, {quantity}")
            # The series is not used where its parameter is above 1.
            narrow = [point["width"] for point in result["points"] if point["parameter"] > 1]
            if narrow:
                axes.axvspan(width[0] / 1.2, max(narrow) * 1.2, color=FAINT, alpha=0.2, lw=0)
            axes.set_xticks(width, [str(w) for w in width])
            axes.minorticks_off()
            axes.set_title(result["network"])
            axes.set_xlabel("units a layer")
        panels[0].set_ylabel("off, of a posterior sd or variance")
        panels[1].legend(fontsize=8)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return themed(buffer.getvalue())
