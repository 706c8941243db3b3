"""The ledger as an object: costs side by side, as a table to print, to compute with, or to send."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cumulant.errors import OptionError
from cumulant.explain.cost import Cost, quantity
from cumulant.explain.landscape import Surface, draw

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DESCENT_GIVES", "MOMENTS_GIVE", "Gives", "Ledger", "Row"]


@dataclass(frozen=True)
class Gives:
    """What a trained model lets you do afterwards, in a word each."""

    any_target: str
    intervals: str
    merge: str
    forget: str


MOMENTS_GIVE = Gives(any_target="yes", intervals="yes", merge="yes", forget="yes")
"""Moments are sums over rows of all pairs of columns."""

DESCENT_GIVES = Gives(any_target="train again", intervals="extra pass", merge="no", forget="train again")
"""Descent leaves the parameters for one target; an interval needs XᵀX, which is the one pass after all."""


@dataclass(frozen=True)
class Row:
    """One way of training.

    Parameters
    ----------
    method : str
        Its name.
    cost : Cost
        What it cost; seconds are NaN where it was not run.
    excess : float
        Height of its loss above the optimum, as a fraction of the optimum; NaN where it was not run.
    rmse : float
        Root mean square error on the training rows, in the target's units; NaN where it was not run.
    reached : bool
        Whether the loss came within the tolerance.
    gives : Gives
        What it leaves you with.
    settings : str
        Step size and the like.
    log_likelihood : float
        Mean log density of a held-out row, in nats; NaN where there is none.
    """

    method: str
    cost: Cost
    excess: float
    rmse: float
    reached: bool
    gives: Gives
    settings: str = ""
    log_likelihood: float = math.nan


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """Costs side by side.

    Printing it gives a table; so does a notebook.  `table` is a pandas frame, `to_dict` plain data, and
    `plot` draws the loss surface with descent's path on it.

    Parameters
    ----------
    target : str
        The column that is predicted.
    n, p : int
        Rows, and parameters beside the intercept.
    tolerance : float
        Excess of the loss at which descent was stopped.
    rows : tuple of Row
        One per method, the one pass first.
    notes : tuple of str
        What a reader must know to judge the figures.
    surfaces : tuple of Surface
        Pictures; empty for the ledger of a single fit.
    held_out : int
        Rows that were held out and that errors are of; 0: errors are of the rows that were trained on.
    """

    target: str
    n: int
    p: int
    tolerance: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    surfaces: tuple[Surface, ...] = ()
    held_out: int = 0

    @property
    def table(self) -> pd.DataFrame:
        """One line per method, in plain units: seconds, bytes, joules, fractions."""
        import pandas as pd

        return pd.DataFrame([_flat(self, row) for row in self.rows]).set_index("method")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; what was not measured is None."""
        return {
            "target": self.target,
            "rows": self.n,
            "parameters": self.p,
            "tolerance": self.tolerance,
            "held_out": self.held_out,
            "methods": [{key: _plain(value) for key, value in _flat(self, row).items()} for row in self.rows],
            "notes": list(self.notes),
            "surfaces": [surface.to_dict() for surface in self.surfaces],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def plot(self, path: str | Path | IO[bytes], *, file_format: str | None = None) -> None:
        """Draw the loss surfaces; SVG, PNG or PDF by the ending of `path`, or `file_format` for an open file.

        Raises
        ------
        OptionError
            The ledger of a single fit holds no surface.
        MissingDependencyError
            Without matplotlib.
        """
        if not self.surfaces:
            raise OptionError(
                "this ledger holds no loss surface, for no descent was run; "
                "cumulant.compare(table, target=...) runs one and draws it"
            )
        draw(self.surfaces, path, file_format=file_format)

    def __str__(self) -> str:
        from textwrap import fill

        head = [row.method + "  " for row in self.rows]
        lines = _cells(self)
        first = max(len(name) for name, _ in lines)
        widths = [max(len(cells[j]) for _, cells in [("", head), *lines] if cells) + 1 for j in range(len(head))]
        rule = "─" * (first + sum(widths))

        def line(name: str, cells: list[str]) -> str:
            return name.ljust(first) + "".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))

        table = [line(name, cells).rstrip() if cells else rule for name, cells in lines]
        notes = [fill(f"• {note}", max(72, len(rule)), subsequent_indent="  ") for note in self.notes]
        return "\n".join([self._title(), "", line("", head).rstrip(), *table, rule, "◂ least", *notes])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        esc = html.escape
        head = "".join(f"<th>{esc(row.method)}</th>" for row in self.rows)
        body = "".join(
            f"<tr><th style='text-align:left'>{esc(name)}</th>"
            + "".join(f"<td style='text-align:right'>{esc(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, cells in _cells(self)
            if cells
        )
        notes = "".join(f"<li>{esc(note)}</li>" for note in self.notes)
        return (
            f"<table><caption>{esc(self._title())}</caption><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table><ul>{notes}</ul>"
        )

    def off_by(self, row: Row) -> float:
        """How far the parameters of `row` are from the optimum, in standard errors (root mean square).

        With H the curvature of the loss and L* its least value, the covariance of the parameters is 2 L* H⁻¹/n,
        so that n·(L − L*)/(p·L*) is their mean squared deviation in its units.
        """
        return math.sqrt(self.n * max(row.excess, 0.0) / self.p) if self.p else math.nan

    def _title(self) -> str:
        if self.held_out:
            return f"{self.target}: {self.n:,} rows of {self.p:,} inputs, and {self.held_out:,} held out"
        return f"{self.target}: {self.n:,} rows, {self.p:,} parameters and an intercept"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(ledger: Ledger, row: Row) -> dict[str, Any]:
    c, g = row.cost, row.gives
    return {
        "method": row.method,
        "passes": c.passes,
        "flops": c.flops,
        "bytes": c.bytes,
        "cpu_seconds": c.cpu_seconds,
        "wall_seconds": c.wall_seconds,
        "peak_memory": c.peak_memory,
        "joules": c.joules,
        "joules_source": c.joules_source,
        "excess_loss": row.excess,
        "off_by": ledger.off_by(row),
        "rmse": row.rmse,
        "log_likelihood": row.log_likelihood,
        "reached": row.reached,
        "any_target": g.any_target,
        "intervals": g.intervals,
        "merge": g.merge,
        "forget": g.forget,
        "settings": row.settings,
    }


_Line = tuple[str, list[str]]


def _cells(ledger: Ledger) -> list[_Line]:
    """The table as people read it: a line per quantity, the least of each marked; a rule is an empty line."""
    rows = ledger.rows
    costs = [row.cost for row in rows]

    def least(values: list[float], text: Callable[[float], str]) -> list[str]:
        # A method that stopped short has not done the work, and cannot have done it for least.
        known = [v for v, row in zip(values, rows, strict=True) if math.isfinite(v) and row.reached]
        best = text(min(known)) if len(known) > 1 else None
        best_at = [text(v) == best and row.reached for v, row in zip(values, rows, strict=True)]
        return [text(v) + (" ◂" if at else "  ") for v, at in zip(values, best_at, strict=True)]

    def aligned(words: Sequence[str]) -> list[str]:
        return [word + "  " for word in words]

    return [
        ("", []),
        ("passes over the rows", least([c.passes for c in costs], _passes)),
        ("flops", least([c.flops for c in costs], quantity)),
        ("bytes moved", least([c.bytes for c in costs], lambda v: quantity(v, "B"))),
        ("CPU time", least([c.cpu_seconds for c in costs], lambda v: quantity(v, "s"))),
        ("wall-clock time", least([c.wall_seconds for c in costs], lambda v: quantity(v, "s"))),
        ("peak extra memory", least([c.peak_memory for c in costs], lambda v: quantity(v, "B"))),
        ("energy", least([c.joules for c in costs], lambda v: quantity(v, "J"))),
        ("", []),
        *_accuracy(ledger, aligned),
        ("", []),
        ("any other target", aligned([row.gives.any_target for row in rows])),
        ("intervals", aligned([row.gives.intervals for row in rows])),
        ("merge tables", aligned([row.gives.merge for row in rows])),
        ("forget rows", aligned([row.gives.forget for row in rows])),
    ]


def _accuracy(ledger: Ledger, aligned: Callable[[Sequence[str]], list[str]]) -> list[_Line]:
    rows = ledger.rows
    if ledger.held_out:
        return [
            ("RMSE, held out", aligned([_figure(row.rmse) for row in rows])),
            ("ln p of a row, held out", aligned([_figure(row.log_likelihood) for row in rows])),
        ]
    return [
        ("loss above optimum", aligned([_percent(row.excess) for row in rows])),
        ("parameters off by", aligned([_errors(ledger.off_by(row)) for row in rows])),
        ("RMSE, these rows", aligned([_figure(row.rmse) for row in rows])),
        (f"within {_percent(ledger.tolerance)}", aligned(["yes" if row.reached else "no" for row in rows])),
    ]


def _passes(value: float) -> str:
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "never"
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"


def _errors(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.2g} s.e." if value > 1e-4 else "0 s.e."


def _figure(value: float) -> str:
    return f"{value:.5g}" if math.isfinite(value) else "–"


def _percent(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    # Below a billionth it is rounding of the sums.
    return f"{100 * value:.2g} %" if abs(value) > 1e-9 else "0 %"
