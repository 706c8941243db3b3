"""What a field says of each input, as a table: its average slope with an error, and its share of the variance."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.explain.describe import jsonable
from cumulant.explain.field import shares_of
from cumulant.explain.heldout import held_out
from cumulant.lift import Boolean, Categorical
from cumulant.solve import student
from cumulant.solve.field.averages import Averages, conditioned_rows
from cumulant.solve.field.law import FieldLaw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]

__all__ = ["FieldSummary", "summarise_field"]

COLUMNS = ("coefficient", "se", "t", "p", "low", "high", "share", "metric")
COVERED = (0.5, 0.8, 0.95)
# Rows that slopes are averages over, and numbers in the propagators of all.
ROWS, WORK = 60, 1e8
FEWEST = 10
MANY = 1e6


@dataclass(frozen=True, eq=False)
class FieldSummary:
    """A target that is a field on function space, input by input.

    Prints as a table, also in a notebook; `to_dict` gives plain data.

    Parameters
    ----------
    target
        The column explained.
    terms
        The inputs.
    values
        Of each (terms, 8): its average slope, in units of the target per unit of the input and over a standard
        deviation of it about each row (a level of a category: the average difference from the first level); the
        posterior standard deviation of that; t, p (two-sided) and the ends of its interval; the share of the field's
        variance that is lost without its column, alone and together with others; and its column's part of the metric.
    level
        Coverage of the intervals.
    rows
        Rows it was conditioned on.
    r_squared, rmse, log_likelihood
        Of rows that were each left out, in closed form; NaN in a model of a file that does not tell.
    coverage
        Share of such rows within the central interval of each probability.
    notes
        What was done that the reader should know.
    """

    target: str
    terms: tuple[str, ...]
    values: Array
    level: float
    rows: int
    r_squared: float
    rmse: float
    log_likelihood: float
    coverage: dict[float, float]
    notes: tuple[str, ...]

    @cached_property
    def table(self) -> pd.DataFrame:
        """`values` by term."""
        import pandas as pd

        return pd.DataFrame(self.values, pd.Index(self.terms, name="term", dtype=object), list(COLUMNS))

    @property
    def header(self) -> list[tuple[str, str]]:
        """The figures of the whole field, in words."""
        held = ", ".join(f"{100 * said:g} %: {100 * held:.3g} %" for said, held in self.coverage.items())
        lines = [("rows", f"{self.rows:,}")]
        if not np.isnan(self.rmse):
            lines += [
                ("R², each row left out", f"{self.r_squared:.5g}"),
                ("RMSE, each row left out", f"{self.rmse:.5g}"),
                ("ln p of a row", f"{self.log_likelihood:.5g}"),
                ("intervals hold", held),
            ]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; None where a figure does not exist."""
        terms = [
            {"term": term, **dict(zip(COLUMNS, row, strict=True))}
            for term, row in zip(self.terms, self.values, strict=True)
        ]
        figures = {name: getattr(self, name) for name in ("r_squared", "rmse", "log_likelihood", "rows", "level")}
        return jsonable(
            {"target": self.target, **figures, "coverage": self.coverage, "terms": terms, "notes": self.notes}
        )

    def __str__(self) -> str:
        width = max(4, *(len(term) for term in self.terms))
        lines = [f"{self.target}: a field of {len(self.terms)} inputs", ""]
        lines += [f"{name:<26}{value}" for name, value in self.header]
        lines += ["", " ".join(["term".ljust(width), *(name.rjust(11) for name in COLUMNS)])]
        lines.append("─" * len(lines[-1]))
        lines += [
            " ".join([term.ljust(width), *(cell.rjust(11) for cell in _cells(row))])
            for term, row in zip(self.terms, self.values, strict=True)
        ]
        return "\n".join([*lines, "", "Notes", *(f"· {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        def row(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        header = "".join(row(list(pair), "td") for pair in self.header)
        terms = zip(self.terms, self.values, strict=True)
        body = "".join(row([term, *_cells(values)], "td") for term, values in terms)
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><b>{html.escape(self.target)}</b>: a field of {len(self.terms)} inputs</p><table>{header}</table>"
            f"<table><thead>{row(['term', *COLUMNS], 'th')}</thead><tbody>{body}</tbody></table><ul>{notes}</ul>"
        )


def summarise_field(
    model: Model, *, level: float = 0.95, errors: str = "classical", intercept: bool = True
) -> FieldSummary:
    """What the field of a model's target says of each input; see `cumulant.Model.summary`.

    Raises
    ------
    OptionError
        An option is wrong, or is one of a regression; or columns were conditioned on.
    """
    if not 0 < level < 1:
        raise OptionError(f"level={level!r}: a probability between 0 and 1")
    if errors != "classical" or not intercept:
        raise OptionError(
            f"errors={errors!r}, intercept={intercept!r}: the slopes of a field have the errors of its posterior, and "
            "no intercept; leave both as they are, or fit cm.Gaussian()"
        )
    law, shares = model.law, shares_of(model)
    if not isinstance(law, FieldLaw) or shares is None or model.target is None:
        raise OptionError("a field is summarised before columns are conditioned on or left out, not after")
    slope, sd = _slopes(model, law)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = slope / sd
    half = sd * student.quantile(0.5 + level / 2, MANY)
    column = {name: j for j, name in enumerate(shares.columns)}
    of_field = {int(i): name for name in shares.columns for i in model.schema.independent_of(name)}
    own = [column[of_field[int(i)]] for i in law.inputs]
    values = np.column_stack(
        (slope, sd, t, student.two_sided(t, MANY), slope - half, slope + half, shares.total[own], shares.metric[own])
    )
    judged = held_out(model, model.target)["rows"]
    nan = float("nan")
    coverage = {} if judged is None else {a: b for a, b in judged["coverage"] if a in COVERED}
    return FieldSummary(
        target=model.target,
        terms=tuple(model.fields[i] for i in law.inputs),
        values=values,
        level=level,
        rows=len(law.members[0].rows),
        r_squared=nan if judged is None or law.left_out is None else 1 - judged["rmse"] ** 2 / law.left_out.y.var(),
        rmse=nan if judged is None else judged["rmse"],
        log_likelihood=nan if judged is None else judged["log_likelihood"],
        coverage=coverage,
        notes=(
            *model.notes,
            (
                "coefficient: slope over a standard deviation of the input about each row, averaged over rows; se and "
                "the interval are of the field's posterior"
            ),
            ("share: of the field's variance, lost without the column; above one in all where they act together"),
        ),
    )


def _slopes(model: Model, law: FieldLaw) -> tuple[Array, Array]:
    """Average slope along each input, and its posterior standard deviation."""
    rows, said = conditioned_rows(law), Averages(law)
    most = int(np.clip(WORK / (2 * len(rows) * len(law.members) * max(len(law.inputs), 1)), FEWEST, ROWS))
    some = rows[np.unique(np.linspace(0, len(rows) - 1, most).astype(np.int64))]
    slope, sd = np.empty(len(law.inputs)), np.empty(len(law.inputs))
    for place, field in enumerate(law.inputs):
        own = next(lift for lift in model.schema.lifts if field in model.schema.independent_of(lift.name))
        x = np.stack([some, some])
        if isinstance(own, (Categorical, Boolean)):
            x[:, :, np.flatnonzero(np.isin(law.inputs, model.schema.independent_of(own.name)))] = 0.0
            x[0, :, place] = 1.0
            step = 1.0
        else:
            step = float(law.width[place])
            x[0, :, place] += 0.5 * step
            x[1, :, place] -= 0.5 * step
        value, error = said.contrasts(x, np.array([[1.0, -1.0]]) / step)
        slope[place], sd[place] = value[0], error[0]
    return slope, sd


def _cells(row: Array) -> list[str]:
    return ["–" if np.isnan(v) else f"{v:.4g}" for v in row]
