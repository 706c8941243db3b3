"""The fitted object: a free energy of all columns, from which any column follows given any others."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cumulant import storage
from cumulant.errors import (
    ColumnError,
    CumulantWarning,
    DataError,
    FileFormatError,
    IncompatibleError,
    OptionError,
)
from cumulant.lift import Boolean, Categorical, Schema
from cumulant.lift.schema import unknown_column
from cumulant.measure import Moments, measure
from cumulant.solve.exact import solve_exact
from cumulant.solve.joint import log_prob, sample
from cumulant.solve.linear import conditional, factor
from cumulant.solve.mixed import class_probabilities
from cumulant.solve.predictive import Fields, Predictive, predict
from cumulant.solve.prior import Prior
from cumulant.source import open_table
from cumulant.source.fill import Cells, with_cells
from cumulant.theory import Gaussian, GaussianAction

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.explain.ledger import Ledger
    from cumulant.explain.summary import Summary

__all__ = ["Model", "fit", "load", "solve"]

Output = Literal["mean", "interval", "density", "samples"]


@dataclass(frozen=True, eq=False)
class Model:
    """A Gaussian free energy of a table's columns, F = ½ (φ − μ)ᵀ K (φ − μ).

    Made by `cumulant.fit` or `cumulant.solve`; `condition` and `marginal` return models again.

    Parameters
    ----------
    schema
        The columns and their lifts.
    gaussian
        Mean, propagator and counts over the independent fields.
    prior
        The mass that was used and how it was chosen.
    notes
        What was done that the user should know, one sentence each.
    target
        The column named when fitting, or None.
    moments
        The moments it was solved from, unless they were left out; they let it merge and forget.
    effort
        What the fit cost (``rows``, ``fields``, ``cpu_seconds``, ``wall_seconds``), where it was timed.
    """

    schema: Schema
    gaussian: Fields
    prior: Prior
    notes: tuple[str, ...] = ()
    target: str | None = None
    moments: Moments | None = None
    effort: Mapping[str, float] | None = None

    # ------------------------------------------------------------------ what it is

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return self.schema.columns

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of the independent fields (p,): the order of `mean`, `covariance` and `precision`."""
        return tuple(self.schema.fields[i] for i in self.schema.independent)

    @property
    def count(self) -> float:
        """Rows the model rests on."""
        return self.gaussian.count

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each field (p,)."""
        return self.gaussian.mean

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The propagator G = K⁻¹ (p, p), prior included."""
        return self.gaussian.covariance

    @cached_property
    def precision(self) -> NDArray[np.float64]:
        """K (p, p); rows and columns of fields that add nothing to those before them are 0."""
        return factor(self.gaussian.covariance, self.gaussian.low).inverse()

    @property
    def action(self) -> GaussianAction:
        """F as an object to differentiate: partition function with source, cumulants, coefficients."""
        return GaussianAction(self.fields, self.mean, self.covariance)

    def couplings(self, about: str = "mean") -> dict[tuple[str, ...], float]:
        """Coefficient of each monomial of the fields in F.

        Parameters
        ----------
        about
            ``"mean"``: in the deviations η = φ − μ (second order only). ``"origin"``: in φ itself, which adds the
            first-order terms −Kμ.
        """
        if about not in ("mean", "origin"):
            raise OptionError(f"about={about!r}: choose 'mean' or 'origin'")
        k = self.precision
        first = -(k @ self.mean)
        out: dict[tuple[str, ...], float] = {}
        if about == "origin":
            out.update({(name,): float(first[i]) for i, name in enumerate(self.fields)})
        for i, a in enumerate(self.fields):
            out[(a, a)] = float(k[i, i] / 2)
            out.update({(a, b): float(k[i, j]) for j, b in enumerate(self.fields) if j > i})
        return out

    def partial_correlations(self) -> pd.DataFrame:
        """Correlation of each pair of fields at fixed values of all others, −K_ij/√(K_ii K_jj) (p, p)."""
        import pandas as pd

        sd = np.sqrt(np.diag(self.precision))
        inverse = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
        r = -self.precision * np.outer(inverse, inverse)
        np.fill_diagonal(r, 1.0)
        return pd.DataFrame(r, index=list(self.fields), columns=list(self.fields))

    def entropy(self, columns: str | Sequence[str] | None = None) -> float:
        """Differential entropy of some columns (default all) in nats: ½ ln det(2πe C); -inf if one is determined."""
        at = self._fields_of(self.columns if columns is None else columns)
        f = factor(self.covariance[np.ix_(at, at)])
        if f.rank < len(at):
            return -np.inf
        return 0.5 * (len(at) * (1 + np.log(2 * np.pi)) + f.log_determinant)

    def mutual_information(self, a: str | Sequence[str], b: str | Sequence[str]) -> float:
        """What one set of columns tells of another, in nats: −½ ln det(C_a|b)/det(C_a)."""
        at_a, at_b = self._fields_of(a), self._fields_of(b)
        both = sorted(set(at_a) & set(at_b))
        if both:
            raise OptionError(f"the two sets share the field '{self.fields[both[0]]}'; give disjoint sets of columns")
        given_b = factor(conditional(self.covariance, at_b, at_a).covariance)
        alone = factor(self.covariance[np.ix_(at_a, at_a)])
        if given_b.rank < alone.rank:
            return np.inf
        return max(0.0, 0.5 * (alone.log_determinant - given_b.log_determinant))

    # ------------------------------------------------------------------ smaller models

    def condition(self, values: Mapping[str, Any]) -> Model:
        """The model of the other columns when these have the given values.

        Parameters
        ----------
        values
            One value per column; a missing value (None, NaN) integrates the column out.

        Raises
        ------
        ColumnError
            A column is unknown.
        """
        self._require(values)
        x = self._lift({name: [value] for name, value in values.items()})[0]
        rest = [name for name in self.columns if name not in values]
        observed, targets = np.flatnonzero(~np.isnan(x)), self._fields_of(rest)
        g = self.gaussian
        given = conditional(g.covariance, observed, targets, g.low)
        deviation = x[observed] - g.mean[observed]
        distance = (given.observed.whiten(deviation[None, :]) ** 2).sum() / max(g.degrees, 1.0)
        return replace(
            self,
            schema=self.schema.select(rest),
            gaussian=replace(
                g,
                mean=g.mean[targets] + deviation @ given.coefficients,
                covariance=given.covariance,
                low=None,
                fixed=g.fixed + given.observed.rank,
                leverage=g.leverage + float(distance),
            ),
            target=self.target if self.target in rest else None,
            moments=None,
        )

    def marginal(self, columns: Sequence[str]) -> Model:
        """The model of some columns, all others integrated out (they drop out of C)."""
        at = self._fields_of(columns)
        g = self.gaussian
        low = None if g.low is None else g.low[np.ix_(at, at)]
        return replace(
            self,
            schema=self.schema.select(list(columns)),
            gaussian=replace(g, mean=g.mean[at], covariance=g.covariance[np.ix_(at, at)], low=low),
            target=self.target if self.target in columns else None,
            moments=None,
        )

    # ------------------------------------------------------------------ prediction

    def predict(
        self,
        target: str | Sequence[str],
        given: Any = None,
        *,
        output: Output = "mean",
        level: float = 0.9,
        draws: int = 100,
        seed: int | None = None,
    ) -> Any:
        """Predict one or several columns from whatever is known of the others.

        Parameters
        ----------
        target
            A column or several.
        given
            A table of n rows (anything `measure` takes, or a dict of values) with any of the other columns; columns
            it lacks and missing cells are integrated out, columns the model does not have are ignored. None: one row
            of which nothing is known.
        output
            ``"mean"``: the expected value; of a category, its most probable level; of true/false, the probability of
            true. ``"interval"``: mean, low and high. ``"density"``: the predictive distribution; of a category, the
            probability of each level. ``"samples"``: random values.
        level
            Probability that an interval holds the value.
        draws, seed
            Number of samples a row, and their seed.

        Returns
        -------
        ndarray, DataFrame, Predictive or dict
            One target: an array (n,) for ``"mean"``, a frame with columns mean, low, high for ``"interval"``, a
            `Predictive` (or frame of probabilities) for ``"density"``, an array (n, draws) for ``"samples"``.
            Several targets: a frame with one column (for intervals three) per target, or a dict.

        Raises
        ------
        ColumnError
            The model has no such target, or ``given`` is a dict with an unknown column.
        OptionError
            The output is unknown, or there is no such output for a category.

        Examples
        --------
        >>> import cumulant as cm
        >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 5.0, 7.0]}, prior=None)
        >>> model.predict("y", given={"x": [10.0, 20.0]})
        array([21., 41.])
        >>> model.predict("x", given={"y": [21.0]})
        array([10.])
        """
        targets = [target] if isinstance(target, str) else list(target)
        self._require(targets)
        if output not in ("mean", "interval", "density", "samples"):
            raise OptionError(f"output={output!r}: choose 'mean', 'interval', 'density' or 'samples'")
        if not 0 < level < 1:
            raise OptionError(f"level={level!r}: a probability between 0 and 1")
        x, index = self._given(given, targets)
        out = {name: self._predict_one(name, x, output, level, draws, seed) for name in targets}
        if isinstance(target, str):
            return _indexed(out[target], index)
        import pandas as pd

        if output == "mean":
            return pd.DataFrame(out, index=index)
        if output == "interval":
            return pd.concat({name: _indexed(frame, index) for name, frame in out.items()}, axis=1)
        return {name: _indexed(value, index) for name, value in out.items()}

    def _predict_one(
        self, name: str, x: NDArray[np.float64], output: str, level: float, draws: int, seed: int | None
    ) -> Any:
        import pandas as pd

        lift = self.schema.lifts[self.schema.position(name)]
        at = self._fields_of(name)
        if isinstance(lift, (Categorical, Boolean)):
            return self._predict_class(lift, class_probabilities(self.gaussian, x, at), output, draws, seed)
        mean, scale, dof = predict(self.gaussian, x, at)
        density = Predictive(name, mean[:, 0], scale[:, 0], dof)
        back = lift.inverse
        if output == "mean":
            return back(mean)
        if output == "density":
            return density
        if output == "samples":
            drawn = density.sample(draws, seed)
            return np.stack([back(drawn[:, [i]]) for i in range(draws)], axis=1)
        low, high = density.interval(level)
        return pd.DataFrame({"mean": back(mean), "low": back(low[:, None]), "high": back(high[:, None])})

    def _predict_class(
        self, lift: Categorical | Boolean, p: NDArray[np.float64], output: str, draws: int, seed: int | None
    ) -> Any:
        import pandas as pd

        if output == "interval":
            raise OptionError(
                f"column '{lift.name}' is a category and has no interval; "
                "output='density' gives the probability of each level"
            )
        if output == "mean":
            return p[:, 1] if isinstance(lift, Boolean) else lift.inverse(p)
        labels = np.array([False, True]) if isinstance(lift, Boolean) else lift.cells(np.arange(p.shape[1]))
        if output == "density":
            return pd.DataFrame(p, columns=list(labels))
        return labels[_draw(p, draws, np.random.default_rng(seed))]

    # ------------------------------------------------------------------ the joint distribution

    def log_prob(self, data: Any) -> NDArray[np.float64]:
        """Log probability density of each row in nats (n,); missing cells are integrated out."""
        return log_prob(self.gaussian, self._lift(data), self._categories())

    def sample(self, n: int, seed: int | None = None) -> pd.DataFrame:
        """``n`` random rows of the model, as a table like the one it was fitted to."""
        import pandas as pd

        x = sample(self.gaussian, n, self._categories(), np.random.default_rng(seed))
        return pd.DataFrame({name: self._cells(name, x) for name in self.columns})

    def impute(self, data: Any) -> Any:
        """The table with each missing cell filled by its expected value given the rest of its row.

        A category gets its most probable level. Returns the kind of table it was given (pandas, polars, Arrow);
        a file gives a pandas frame.
        """
        table = open_table(data)
        x = self._lift(table)
        cells: Cells = {}
        for name in self.columns:
            at = self._fields_of(name)
            absent: NDArray[np.bool_] = np.isnan(x[:, at]).any(axis=1)
            if name in table.schema.names and absent.any():
                cells[name] = (absent, self._most_likely(name, x[absent]))
        return with_cells(data, table, cells)

    def _most_likely(self, name: str, x: NDArray[np.float64]) -> NDArray[Any]:
        value: NDArray[Any] = self._predict_one(name, x, "mean", 0.9, 1, None)
        return value > 0.5 if isinstance(self.schema.lifts[self.schema.position(name)], Boolean) else value

    # ------------------------------------------------------------------ explanation

    def summary(self, target: str | None = None, *, level: float = 0.95, errors: str = "classical") -> Summary:
        """The regression of one column on all others, as a table with errors and tests.

        Parameters
        ----------
        target
            The column; default the one named when fitting.
        level
            Coverage of the intervals.
        errors
            ``"classical"`` standard errors, or ``"jackknife"``: over the folds, which also hold where the variance
            differs from row to row.
        """
        from cumulant.explain.summary import summarise

        return summarise(self, self._target(target), level=level, errors=errors)

    def cross_validate(self, target: str | None = None) -> pd.DataFrame:
        """R², RMSE and log-likelihood a row on each held-out fold, from the folds of moments alone."""
        from cumulant.explain.validate import cross_validate

        return cross_validate(self, self._target(target))

    @property
    def ledger(self) -> Ledger:
        """What the fit cost, and the formula for what descent would."""
        from cumulant.explain.ledger import fit_ledger

        return fit_ledger(self)

    def report(self, path: str | Path, **options: Any) -> None:
        """Write a self-contained HTML page: the moments, the couplings, and a live predictor."""
        from cumulant.explain.report import write_report

        write_report(self, path, **options)

    # ------------------------------------------------------------------ rows that come and go

    def merge(self, other: Model) -> Model:
        """The model of the rows of both."""
        return self._resolved(self._moments("merge") + other._moments("merge"))

    def forget(self, rows: Any, **options: Any) -> Model:
        """The model without some of the rows that it was fitted to, which must be given as a table.

        Options are those of `measure`; ``rows=`` gives their original row numbers, so that folds stay exact.
        """
        m = self._moments("forget")
        return self._resolved(m - (rows if isinstance(rows, Moments) else measure(rows, like=m, **options)))

    def _resolved(self, m: Moments) -> Model:
        again = (
            self.prior.mass if self.prior.kind == "given" else None if self.prior.kind == "none" else self.prior.kind
        )
        return solve(m, prior=again, target=self.target)

    def _moments(self, what: str) -> Moments:
        if self.moments is None:
            raise IncompatibleError(
                f"this model was saved without its moments and cannot {what}; fit or save it with them"
            )
        return self.moments

    # ------------------------------------------------------------------ files

    def save(self, path: str | Path, *, moments: bool = True) -> None:
        """Write the model to one file, atomically. Without ``moments`` it is smaller but cannot merge or forget."""
        g = self.gaussian
        arrays = {
            "mean": g.mean,
            "covariance": g.covariance,
            "prior_grid": self.prior.grid,
            "prior_curve": self.prior.curve,
        }
        if g.low is not None:
            arrays["low"] = g.low
        meta: dict[str, Any] = {
            "schema": self.schema.to_list(),
            "theory": "gaussian",
            "gaussian": {k: getattr(g, k) for k in ("count", "degrees", "mass", "fixed", "leverage")},
            "prior": {"mass": self.prior.mass, "kind": self.prior.kind, "reason": self.prior.reason},
            "notes": list(self.notes),
            "target": self.target,
            "effort": None if self.effort is None else dict(self.effort),
        }
        if moments and self.moments is not None:
            kept, meta["moments"] = self.moments.to_state()
            arrays.update({f"moments.{name}": value for name, value in kept.items()})
        storage.save(path, "model", arrays, meta)

    @staticmethod
    def _from_state(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Model:
        m = None
        if "moments" in meta:
            kept = {k.removeprefix("moments."): v for k, v in arrays.items() if k.startswith("moments.")}
            m = Moments.from_state(kept, meta["moments"])
        return Model(
            Schema.from_list(meta["schema"]),
            Fields(arrays["mean"], arrays["covariance"], arrays.get("low"), **meta["gaussian"]),
            Prior(**meta["prior"], grid=arrays["prior_grid"], curve=arrays["prior_curve"]),
            tuple(meta["notes"]),
            meta["target"],
            m,
            meta["effort"],
        )

    def __repr__(self) -> str:
        size = f"{len(self.columns)} columns, {len(self.fields)} fields, {self.count:,.0f} rows"
        return f"Model({size}; {self.prior.reason})"

    # ------------------------------------------------------------------ from names and cells to fields

    def _target(self, target: str | None) -> str:
        if target is None and self.target is None:
            raise OptionError("name a target: the model was fitted to all columns alike")
        name = target if target is not None else str(self.target)
        self.schema.position(name)
        return name

    def _require(self, names: Any) -> None:
        for name in names:
            self.schema.position(name)

    @cached_property
    def _index(self) -> dict[int, int]:
        return {int(field): i for i, field in enumerate(self.schema.independent)}

    def _fields_of(self, columns: str | Sequence[str]) -> NDArray[np.int64]:
        names = [columns] if isinstance(columns, str) else list(columns)
        spans = [self.schema.span(name) for name in names]
        return np.array(
            [self._index[i] for s in spans for i in range(s.start, s.stop) if i in self._index],
            dtype=np.int64,
        )

    def _categories(self) -> list[NDArray[np.int64]]:
        lifts = self.schema.lifts
        return [self._fields_of(lift.name) for lift in lifts if isinstance(lift, (Categorical, Boolean))]

    def _cells(self, name: str, x: NDArray[np.float64]) -> NDArray[Any]:
        lift, values = self.schema.lifts[self.schema.position(name)], x[:, self._fields_of(name)]
        if isinstance(lift, Categorical):
            return lift.inverse(np.column_stack([1 - values.sum(axis=1), values]))
        cells = lift.inverse(values)
        return cells > 0.5 if isinstance(lift, Boolean) else cells

    def _lift(self, data: Any) -> NDArray[np.float64]:
        table = open_table(data)
        if not set(table.schema.names) & set(self.columns):
            theirs, ours = ", ".join(table.schema.names[:8]), ", ".join(self.columns[:8])
            raise ColumnError(f"none of the columns {theirs} is in the model; it has {ours}")
        blocks = [self.schema.forward(batch)[:, self.schema.independent] for batch in table.open()]
        x = np.concatenate(blocks) if blocks else np.zeros((0, len(self.fields)))
        if np.isinf(x).any():
            row, field = (int(i[0]) for i in np.nonzero(np.isinf(x)))
            raise DataError(
                f"'{self.fields[field]}' is {x[row, field]} in row {row}; replace it, or leave the cell missing"
            )
        return x

    def _given(self, given: Any, targets: Sequence[str]) -> tuple[NDArray[np.float64], Any]:
        if given is None:
            return np.full((1, len(self.fields)), np.nan), None
        if isinstance(given, Mapping):
            for name in given:
                if name not in self.columns:
                    raise unknown_column(str(name), self.columns)
            given = {name: value for name, value in given.items() if name not in targets}
            if not given:
                return np.full((1, len(self.fields)), np.nan), None
        return self._lift(given), getattr(given, "index", None) if type(given).__module__.startswith("pandas") else None


def fit(
    table: Any,
    theory: str | Gaussian = "auto",
    target: str | None = None,
    *,
    prior: str | float | None = "auto",
    **measure_options: Any,
) -> Model:
    """Measure a table in one pass and solve for its free energy.

    Parameters
    ----------
    table
        Anything `measure` takes.
    theory
        The ansatz for F; ``"auto"`` takes `Gaussian`.
    target
        A column to be predicted: the prior is then chosen for it, and `Model.summary` shows it. Any other column can
        be predicted just as well.
    prior
        Mass term (ridge): ``"auto"`` (none where there are plenty of rows, else by the evidence), ``None``,
        ``"evidence"``, ``"folds"``, or the mass.
    **measure_options
        Those of `measure`: ``missing``, ``weights``, ``lifts``, ``folds``, …

    Returns
    -------
    Model

    Examples
    --------
    >>> import cumulant as cm
    >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.9, 5.1, 7.0]}, target="y", prior=None)
    >>> round(float(model.summary().table.loc["x", "coefficient"]), 3)
    2.02
    """
    wall, cpu = time.perf_counter(), time.process_time()
    m = measure(table, **measure_options)
    model = solve(m, theory, prior=prior, target=target)
    effort = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return replace(model, effort={"rows": float(m.rows.sum()), "fields": float(len(m.columns)), **effort})


def solve(
    m: Moments,
    theory: str | Gaussian = "auto",
    *,
    prior: str | float | None = "auto",
    target: str | None = None,
) -> Model:
    """Solve moments for a free energy.

    Parameters
    ----------
    m
        Moments of order 2.
    theory
        The ansatz for F.
    prior, target
        As in `fit`.

    Raises
    ------
    DataError
        No rows were measured.
    ColumnError
        There is no column ``target``.
    """
    if not (theory == "auto" or isinstance(theory, Gaussian)):
        raise OptionError(f"theory={theory!r}: choose 'auto' or cm.Gaussian()")
    fields = None
    if target is not None:
        span = m.schema.span(target)
        fields = np.flatnonzero((m.schema.independent >= span.start) & (m.schema.independent < span.stop))
    s = solve_exact(m, prior, fields)
    for note in s.notes:
        if "nearest" in note:
            warnings.warn(note, CumulantWarning, stacklevel=2)
    gaussian = Fields(s.mean, s.covariance, s.low, s.count, s.degrees, s.prior.mass)
    return Model(m.schema, gaussian, s.prior, s.notes, target, m)


def load(path: str | Path) -> Model | Moments:
    """Read a model or moments that were saved; nothing in the file is executed.

    Raises
    ------
    SourceError
        There is no such file.
    FileFormatError
        It is truncated, corrupted, foreign or from a newer version.
    """
    kind, arrays, meta = storage.read(path)
    try:
        if kind == "moments":
            return Moments.from_state(arrays, meta)
        if kind == "model":
            return Model._from_state(arrays, meta)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is incomplete ({error}); fit the model again or restore a copy") from error
    raise FileFormatError(f"{path} holds '{kind}', which this version does not know; upgrade cumulant")


def _indexed(value: Any, index: Any) -> Any:
    if index is not None and hasattr(value, "set_axis"):
        return value.set_axis(index, axis=0)
    return value


def _draw(p: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    edges = np.cumsum(p, axis=1)[:, None, :]
    return np.minimum((rng.random((len(p), draws, 1)) > edges).sum(axis=2), p.shape[1] - 1)
