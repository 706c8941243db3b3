"""The regression table: every figure an ordinary-least-squares user expects, from moments alone."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import IncompatibleError, OptionError
from cumulant.explain.levelled import Levelled, levelled
from cumulant.explain.validate import jackknife, target_and_rest
from cumulant.lift import Boolean
from cumulant.measure.threads import one_blas_thread
from cumulant.solve import student
from cumulant.solve.levelled import LevelledLaw
from cumulant.solve.regression import Regression, origin_fields, regress
from cumulant.solve.structured import SymmetricLaw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.model import Model
    from cumulant.solve.predictive import Fields
    from cumulant.solve.prior import Prior

    Array = NDArray[np.float64]

__all__ = ["Summary", "summarise"]

CONSTANT = "const"
COLUMNS = ("coefficient", "se", "t", "p", "low", "high")
# Terms that a printed table has; all are in the frame.
SHOWN = 200


@dataclass(frozen=True, eq=False)
class Summary:
    """One column regressed on all others.

    Prints as a table, also in a notebook; `to_dict` gives plain data.

    Parameters
    ----------
    target
        The column explained.
    terms
        Their names, ``const`` first.
    values
        Of each term coefficient, standard error, t, p (two-sided), and the ends of its confidence interval
        (terms, 6). A dropped term has coefficient 0 and NaN elsewhere.
    level
        Coverage of the intervals.
    errors
        ``"classical"`` or ``"jackknife"``.
    n
        Rows, or the rows that frequency weights stand for.
    df_resid, df_model
        Residual degrees of freedom, and number of coefficients beside the constant (with a prior: effective number).
    r_squared, adj_r_squared
        About the mean; about the origin without a constant.
    f_statistic, f_pvalue
        Of all coefficients beside the constant together; classical. NaN with a prior.
    log_likelihood, aic, bic
        Of a Gaussian with the residuals' variance over n. With importance weights less ½ Σ ln wᵢ, which is the same for
        every model of the same rows.
    residual_sd
        Square root of the unbiased residual variance, in units of the target.
    notes
        What was done that the reader should know.
    prior
        The mass and how it was chosen.
    design
        Makes a triangular factor of X'X, X the design with its constant.
    """

    target: str
    terms: tuple[str, ...]
    values: Array
    level: float
    errors: str
    n: float
    df_resid: float
    df_model: float
    r_squared: float
    adj_r_squared: float
    f_statistic: float
    f_pvalue: float
    log_likelihood: float
    aic: float
    bic: float
    residual_sd: float
    notes: tuple[str, ...]
    prior: Prior
    design: Callable[[], Array] = field(repr=False)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`values` by term, with columns ``coefficient``, ``se``, ``t``, ``p``, ``low`` and ``high``."""
        import pandas as pd

        return pd.DataFrame(self.values, pd.Index(self.terms, name="term", dtype=object), list(COLUMNS))

    @cached_property
    def condition_number(self) -> float:
        """Largest over smallest singular value of the design, constant and units as they are, without dropped terms.

        Decomposed when first asked for, which takes longer than the regression itself. NaN under a symmetry of so many
        columns that their covariance is held as blocks.
        """
        triangle = self.design()
        if not len(triangle):
            return float("nan")
        with one_blas_thread(len(triangle)):
            s = np.linalg.svd(triangle, compute_uv=False)
        return float(s[0] / s[-1]) if s[-1] > 0 else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; None where a figure does not exist."""
        figures = {name: _plain(getattr(self, name)) for name in _FIGURES}
        terms = [
            {"term": term, **{name: _plain(value) for name, value in zip(COLUMNS, row, strict=True)}}
            for term, row in zip(self.terms, self.values, strict=True)
        ]
        return {
            "target": self.target,
            "level": self.level,
            "errors": self.errors,
            **figures,
            "prior": {"mass": self.prior.mass, "kind": self.prior.kind, "reason": self.prior.reason},
            "terms": terms,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        width = max(len(_TERM), *(len(str(term)) for term in self.terms[:SHOWN]))
        lines = [f"{self.target}: linear regression on {len(self.terms) - self._has_constant} terms", ""]
        pairs = self._header()
        half = (len(pairs) + 1) // 2
        for i in range(half):
            (a, b), right = pairs[i], pairs[half + i] if half + i < len(pairs) else None
            line = f"{a:<22}{b:>14}"
            lines.append(line if right is None else f"{line}    {right[0]:<22}{right[1]:>14}")
        lines += ["", " ".join([_TERM.ljust(width), *(name.rjust(12) for name in self._columns())])]
        lines.append("─" * len(lines[-1]))
        for term, row in zip(self.terms, self.values[:SHOWN], strict=False):
            lines.append(" ".join([str(term).ljust(width), *(cell.rjust(12) for cell in _cells(row))]))
        if len(self.terms) > SHOWN:
            lines.append(self._not_shown)
        if self.notes:
            lines += ["", "Notes", *(f"· {note}" for note in self.notes)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def row(cells: list[str], tag: str = "td") -> str:
            first, *rest = (html.escape(cell) for cell in cells)
            right = "".join(f'<{tag} style="text-align:right">{cell}</{tag}>' for cell in rest)
            return f'<tr><{tag} style="text-align:left">{first}</{tag}>{right}</tr>'

        header = "".join(row([name, value]) for name, value in self._header())
        terms = zip(self.terms, self.values[:SHOWN], strict=False)
        body = "".join(row([str(term), *_cells(values)]) for term, values in terms)
        body += row([self._not_shown]) if len(self.terms) > SHOWN else ""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><b>{html.escape(self.target)}</b>: linear regression</p><table>{header}</table>"
            f"<table><thead>{row([_TERM, *self._columns()], 'th')}</thead><tbody>{body}</tbody></table>"
            + (f"<ul>{notes}</ul>" if notes else "")
        )

    @property
    def _not_shown(self) -> str:
        return f"… and {len(self.terms) - SHOWN:,} more terms, in .table"

    @property
    def _has_constant(self) -> int:
        return int(self.terms[:1] == (CONSTANT,))

    def _columns(self) -> list[str]:
        tail = f"{100 * (1 - self.level) / 2:.4g} %", f"{100 * (1 + self.level) / 2:.4g} %"
        return ["coefficient", "se", "t", "p", *tail]

    def _header(self) -> list[tuple[str, str]]:
        shown = [(label, _short(getattr(self, name))) for name, label in _FIGURES.items()]
        shown.insert(1, ("standard errors", self.errors))
        return [*shown, ("prior mass", _short(self.prior.mass))] if self.prior.mass > 0 else shown


_TERM = "term"
_FIGURES = {
    "n": "rows",
    "df_resid": "residual df",
    "df_model": "model df",
    "residual_sd": "residual sd",
    "condition_number": "condition number",
    "r_squared": "R²",
    "adj_r_squared": "adjusted R²",
    "f_statistic": "F",
    "f_pvalue": "p of F",
    "log_likelihood": "log-likelihood",
    "aic": "AIC",
    "bic": "BIC",
}


def summarise(
    model: Model, target: str, *, level: float = 0.95, errors: str = "classical", intercept: bool = True
) -> Summary:
    """The regression of ``target`` on all other columns; see `cumulant.Model.summary`.

    Parameters
    ----------
    model
        The model.
    target
        A column of numbers, dates or true/false.
    level
        Coverage of the intervals, between 0 and 1.
    errors
        ``"classical"``, or ``"jackknife"`` over the folds of the moments.
    intercept
        Without: a regression through the origin.

    Raises
    ------
    ColumnError
        There is no such column.
    OptionError
        The target is a category, an option is wrong, there are too few folds for the jackknife, or a regression
        through the origin is asked of a model with a prior.
    IncompatibleError
        What is asked for needs the moments, and the model was made without them.

    Examples
    --------
    >>> import cumulant as cm
    >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.9, 5.1, 7.0]}, prior=None)
    >>> summary = model.summary("y")
    >>> summary.table.round(3)
           coefficient     se       t      p    low   high
    term
    const         0.97  0.079  12.221  0.007  0.628  1.312
    x             2.02  0.042  47.612  0.000  1.837  2.203
    """
    if not 0 < level < 1:
        raise OptionError(f"level={level!r}: a probability between 0 and 1")
    if errors not in ("classical", "jackknife"):
        raise OptionError(f"errors={errors!r}: choose 'classical' or 'jackknife'")
    y, x = target_and_rest(model, target)
    terms = [CONSTANT, *(model.fields[i] for i in x)]
    by_level = None
    with one_blas_thread(len(x)):
        fields = _fields(model, y, intercept=intercept)
        notes = _notes(model, target, fields)
        if isinstance(model.law, SymmetricLaw):
            r = model.law.regressed(y)
        elif isinstance(model.law, LevelledLaw) and model.law.wide:
            by_level = _by_level(model, model.law, y, x, intercept=intercept)
            r, notes = by_level.regression, [*notes, *by_level.notes]
            fields = replace(by_level.given.fields, fixed=fields.fixed)
        else:
            r = regress(fields, y, x, intercept=intercept)
    notes += _dropped(r, fields, terms, x)
    coefficient = np.concatenate([[r.constant], r.coefficients])
    se, t_df = r.standard_errors, r.degrees_of_freedom
    kept = np.concatenate([[True], r.kept])
    if by_level is not None:
        terms += by_level.terms
        coefficient = np.concatenate([coefficient, by_level.coefficients])
        se = np.concatenate([se, np.sqrt(by_level.unit_variance * r.variance)])
        kept = np.concatenate([kept, ~np.isnan(by_level.unit_variance)])
    if errors == "jackknife":
        found = jackknife(model, target, intercept=intercept)
        se, t_df = found.standard_errors, float(found.folds - 1)
        notes += _about_jackknife(found.folds, se, kept, terms)
    values = _values(coefficient, np.where(kept, se, np.nan), t_df, level)
    shown = slice(None) if intercept else slice(1, None)
    if not r.degrees_of_freedom > 0:
        notes.append(
            f"there are as many parameters as rows ({r.count:g}), so nothing is left to tell errors by; "
            'fit with prior="evidence", or with fewer columns'
        )
    if fields.fixed:
        notes.append("R² and F are of what the columns already conditioned on leave unexplained")
    return Summary(
        target=target,
        terms=tuple(terms[shown]),
        values=values[shown],
        level=level,
        errors=errors,
        n=int(fields.count) if float(fields.count).is_integer() else fields.count,
        residual_sd=float(np.sqrt(r.variance)),
        notes=tuple(notes),
        prior=model.prior,
        design=partial(_design, r, fields, x, intercept=intercept),
        **_quality(r, fields, _likelihood_of_weights(model.moments), intercept=intercept),
    )


def _by_level(model: Model, law: LevelledLaw, y: int, x: NDArray[np.int64], *, intercept: bool) -> Levelled:
    if not intercept:
        name = law.categories.names[law.wide[0]]
        raise OptionError(f"intercept=False: the levels of '{name}' sum to a constant; keep the intercept")
    return levelled(model, law, y, x)


def _fields(model: Model, y: int, *, intercept: bool) -> Fields:
    if isinstance(model.law, SymmetricLaw) and intercept:
        # Of the target alone: no matrix of all fields is made for its counts.
        g = model.law.marginal(np.array([y])).fields
        return replace(g, equivalent=len(model.fields) + model.law.freedom)
    g = model.gaussian
    if g.mass > 0 and g.fixed:
        raise OptionError("a model with a prior is summarised before columns are conditioned on, not after")
    if intercept:
        return g
    if g.mass > 0:
        raise OptionError(
            f"intercept=False has no prior, and this model has one of mass {g.mass:.3g}; fit with prior=None"
        )
    if model.symmetries is not None:
        raise OptionError("intercept=False is solved without a symmetry; fit without symmetry=")
    if model.moments is None:
        raise IncompatibleError(
            "intercept=False needs the moments about the origin, and this model was made without its moments; "
            "summarise the model that was fitted"
        )
    return origin_fields(model.moments)


def _values(coefficient: Array, se: Array, df: float, level: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        t = coefficient / se
    half = se * (student.quantile(0.5 + level / 2, df) if df > 0 else np.nan)
    p = student.two_sided(t, df) if df > 0 else np.full(len(t), np.nan)
    return np.column_stack((coefficient, se, t, p, coefficient - half, coefficient + half))


def _likelihood_of_weights(m: Moments | None) -> float:
    """½ Σ ln w: what importance weights, of mean one, add to the log-likelihood."""
    if m is None or m.weighting != "importance":
        return 0.0
    n, weight = m.rows.sum(), m.packed[:, :, 0].sum()
    return 0.5 * float(m.log_weights.sum() - n * np.log(weight / n))


def _quality(r: Regression, fields: Fields, of_weights: float, *, intercept: bool) -> dict[str, float]:
    """The figures of the whole fit."""
    n, df = fields.count, r.degrees_of_freedom
    model_df = r.parameters - intercept - fields.fixed
    df_model = int(model_df) if fields.measured is None else model_df
    nan = float("nan")
    r2 = 1 - r.residual / r.total if r.total > 0 else nan
    around = r.count - intercept - fields.fixed
    with np.errstate(divide="ignore"):
        likelihood = float(-0.5 * n * (np.log(2 * np.pi * np.float64(r.residual) / r.count) + 1)) + of_weights
        explained = np.float64(r.total - r.residual)
        tested = fields.measured is None and df > 0 and df_model > 0 and r.total > 0
        f = float(explained / df_model / np.float64(r.variance)) if tested else nan
    return {
        "df_resid": int(df) if float(df).is_integer() else df,
        "df_model": df_model,
        "r_squared": float(r2),
        "adj_r_squared": float(1 - (1 - r2) * around / df) if df > 0 else nan,
        "f_statistic": f,
        "f_pvalue": float(student.fisher_tail(f, df_model, df)) if tested else nan,
        "log_likelihood": likelihood,
        "aic": -2 * likelihood + 2 * r.parameters,
        "bic": -2 * likelihood + math.log(n) * r.parameters,
    }


def _design(r: Regression, fields: Fields, x: NDArray[np.int64], *, intercept: bool) -> Array:
    """A triangular factor of X'X, which keeps the digits that X'X itself would square away."""
    f = r.observed
    if f is None:
        return np.zeros((0, 0))
    q = f.rank
    triangle = np.zeros((q + 1, q + 1))
    triangle[1:, 1:] = (f.lower / f.scale[f.kept, None]).T * np.sqrt(max(fields.degrees, 0.0))
    triangle[0, 0] = np.sqrt(fields.count)
    triangle[0, 1:] = np.sqrt(fields.count) * fields.mean[x][f.kept]
    return triangle if intercept else triangle[1:, 1:]


def _notes(model: Model, target: str, g: Fields) -> list[str]:
    notes, m = list(model.notes), model.moments
    if isinstance(model.schema.lifts[model.schema.position(target)], Boolean):
        notes.append(
            f"'{target}' is true/false: a linear probability model, coefficients are changes of the probability; its "
            "variance differs from row to row, which errors='jackknife' allows for"
        )
    if g.mass > 0:
        notes.append(
            f"prior mass {g.mass:.3g} ({model.prior.reason}): coefficients are posterior means, drawn to zero, and se "
            "posterior standard deviations; degrees of freedom count effective parameters"
        )
    if g.equivalent:
        notes.append(
            f"errors count the {g.count:,.0f} rows as {g.known:,.0f}, which would tell the covariance as well without "
            "the symmetry"
        )
    if m is not None and not m.total.complete:
        notes.append(
            f"cells are missing: pairs of columns are measured where both are present, and n = {g.count:,.0f} is the "
            "rows of the least measured pair; se take the correlations as if from n complete rows, errors='jackknife' "
            "does not"
        )
    if m is not None and m.weighting == "importance":
        notes.append("importance weights, scaled to mean one")
    return notes


def _dropped(r: Regression, fields: Fields, terms: list[str], x: NDArray[np.int64]) -> list[str]:
    if r.kept.all():
        return []
    variance = np.diag(fields.covariance)[x]
    constant = [terms[1 + i] for i in np.flatnonzero(~r.kept & ~(variance > 0))]
    collinear = [terms[1 + i] for i in np.flatnonzero(~r.kept & (variance > 0))]
    notes = []
    if constant:
        notes.append(f"dropped, because it does not vary: {_listed(constant)}")
    if collinear:
        notes.append(f"dropped, because it is a linear combination of the terms before it: {_listed(collinear)}")
    return notes


def _about_jackknife(folds: int, se: Array, kept: NDArray[np.bool_], terms: list[str]) -> list[str]:
    notes = [f"errors by the jackknife over {folds} folds, t on {folds - 1} degrees of freedom; F is classical"]
    lost = np.flatnonzero(np.isnan(se) & kept)
    if len(lost):
        names = _listed([terms[i] for i in lost])
        notes.append(f"without one of the folds there is no coefficient, so no jackknife error: {names}")
    return notes


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names):,} in all)" if len(names) > most else "")


def _plain(value: Any) -> Any:
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, (int, np.integer)) else number


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,d}" if isinstance(value, int) else f"{value:.6g}"


def _cells(row: Array) -> list[str]:
    return [f"{row[0]:.6g}", *("–" if math.isnan(v) else f"{v:.4g}" for v in row[1:])]
