"""The fitted object: a free energy of all columns, from which any column follows given any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from cumulant.errors import IncompatibleError, OptionError
from cumulant.lift import Numeric, Schema
from cumulant.measure import Moments, measure
from cumulant.model.outputs import column_output, with_index
from cumulant.model.rows import category_places, column_cells, fields_of, given_rows, rows_of
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.linear import conditional, factor
from cumulant.solve.prior import Prior
from cumulant.theory import Gaussian, GaussianAction

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.explain.diagrams import DiagramSum
    from cumulant.explain.field_summary import FieldSummary
    from cumulant.explain.ledger import Ledger
    from cumulant.explain.loops import LoopSum
    from cumulant.explain.summary import Summary
    from cumulant.model.imposed import Imposed
    from cumulant.notebook import Universality
    from cumulant.solve.law import Candidate, Law
    from cumulant.solve.predictive import Fields
    from cumulant.symmetry import Group
    from cumulant.theory import PartitionFunction, PolynomialAction, Theory

__all__ = ["Model"]

Output = Literal["mean", "sd", "interval", "density", "samples"]


@dataclass(frozen=True, eq=False)
class Model:
    """A free energy F of a table's columns, p(φ) = exp(−F)/Z.

    Made by `cumulant.fit` or `cumulant.solve`; `condition` and `marginal` return models again.

    Parameters
    ----------
    schema
        The columns and their lifts.
    law
        The probability of the independent fields that the solver found.
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
    symmetries
        The symmetry it was solved under, and what that saved; None where there was none. It holds the moments too,
        those measured under a group included.
    theory
        The ansatz that was solved for, which it is solved for again when rows come or go.
    candidates
        The theories that ``budget=`` gave time to try, each with its held-out log-likelihood and the seconds it took.
    """

    schema: Schema
    law: Law
    prior: Prior
    notes: tuple[str, ...] = ()
    target: str | None = None
    moments: Moments | None = None
    effort: Mapping[str, float] | None = None
    symmetries: Imposed | None = None
    theory: Theory = field(default_factory=Gaussian)
    candidates: tuple[Candidate, ...] = ()

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
    def gaussian(self) -> Fields:
        """Mean, propagator and counts to second order, which tables of linear regression are made of."""
        return self.law.gaussian.fields

    @property
    def count(self) -> float:
        """Rows the model rests on."""
        return self.law.count

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each field (p,)."""
        return self.law.mean

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The propagator G = K⁻¹ (p, p), prior included."""
        return self.law.covariance

    @property
    def precision(self) -> NDArray[np.float64]:
        """K (p, p); rows and columns of fields that add nothing to those before them are 0."""
        return self.law.precision

    @property
    def action(self) -> GaussianAction:
        """F to second order as an object to differentiate: partition function with source, cumulants, coefficients."""
        return GaussianAction(self.fields, self.mean, self.covariance)

    def Z(self, source: Mapping[str, float] | None = None, **options: Any) -> PartitionFunction:
        """The partition function of F with a source, J by field; cumulants are the derivatives of its logarithm.

        Options are those of `cumulant.theory.PolynomialAction.Z`, and are for an interacting F.
        """
        own: PolynomialAction | None = getattr(self.law, "action", None)
        # Where fields were integrated out, F of the rest is no polynomial.
        action = own if own is not None and own.columns == self.fields else self.action
        return action.Z(source, **options)

    def couplings(self, about: str = "mean") -> dict[tuple[str, ...], float]:
        """Coefficient of each monomial of the fields in F.

        Parameters
        ----------
        about
            ``"mean"``: in the deviations η = φ − μ (of a Gaussian, second order only). ``"origin"``: in φ itself,
            which adds the first-order terms −Kμ.
        """
        if about not in ("mean", "origin"):
            raise OptionError(f"about={about!r}: choose 'mean' or 'origin'")
        names = self.fields
        return {tuple(names[i] for i in at): value for at, value in self.law.couplings(about).items()}

    def coupling_table(self) -> pd.DataFrame:
        """Couplings about the mean with errors from the folds: coefficient, se, z, p and false-discovery rate q."""
        from cumulant.explain.couplings import coupling_table

        return coupling_table(self)

    def expanded(self) -> Model:
        """A model of the terms of a polynomial mean, each a column of its own, and the target: a regression on them.

        A column called ``a·b²`` holds the product of deviations from a reference point, which the notes name.

        Raises
        ------
        OptionError
            The theory has no such terms.
        """
        regression = getattr(self.law, "regression", None)
        if regression is None:
            raise OptionError("only a model of cm.Taylor has terms to expand; couplings() gives those of F")
        terms, fields, reference = regression(self.fields)
        at = ", ".join(f"{name} {value:.6g}" for name, value in reference.items())
        return replace(
            self,
            schema=Schema(tuple(Numeric(name) for name in terms)),
            law=GaussianLaw(fields),
            notes=(*self.notes, f"factors are deviations from {at}"),
            target=terms[-1],
            moments=None,
            symmetries=None,
        )

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
        at = fields_of(self.schema, self.columns if columns is None else columns)
        f = factor(self.covariance[np.ix_(at, at)])
        if f.rank < len(at):
            return -np.inf
        return 0.5 * (len(at) * (1 + np.log(2 * np.pi)) + f.log_determinant)

    def mutual_information(self, a: str | Sequence[str], b: str | Sequence[str]) -> float:
        """What one set of columns tells of another, in nats: −½ ln det(C_a|b)/det(C_a)."""
        at_a, at_b = fields_of(self.schema, a), fields_of(self.schema, b)
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
        x = rows_of(self.schema, {name: [value] for name, value in values.items()})[0]
        rest = [name for name in self.columns if name not in values]
        observed = np.flatnonzero(~np.isnan(x))
        return self._smaller(self.law.condition(observed, x[observed], self.schema.places_of(rest)), rest)

    def marginal(self, columns: Sequence[str]) -> Model:
        """The model of some columns, all others integrated out (they drop out of C)."""
        return self._smaller(self.law.marginal(self.schema.places_of(columns)), columns)

    def _smaller(self, law: Law, columns: Sequence[str]) -> Model:
        return replace(
            self,
            schema=self.schema.select(list(columns)),
            law=law,
            target=self.target if self.target in columns else None,
            moments=None,
            symmetries=None,
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
            true. ``"sd"``: the standard deviation of a new value. ``"interval"``: mean, low and high. ``"density"``:
            the predictive distribution; of a category, the probability of each level. ``"samples"``: random values.
        level
            Probability that an interval holds the value.
        draws, seed
            Number of samples a row, and their seed.

        Returns
        -------
        ndarray, DataFrame, Predictive or dict
            One target: an array (n,) for ``"mean"`` and ``"sd"``, a frame with columns mean, low, high for
            ``"interval"``, a `Predictive` (or frame of probabilities) for ``"density"``, an array (n, draws) for
            ``"samples"``.
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
        if output not in get_args(Output):
            raise OptionError(f"output={output!r}: choose {', '.join(map(repr, get_args(Output)))}")
        if not 0 < level < 1:
            raise OptionError(f"level={level!r}: a probability between 0 and 1")
        x = given_rows(self.schema, given, targets)
        index = given.index if type(given).__module__.startswith("pandas") else None
        out = {name: column_output(self.schema, self.law, name, x, output, level, draws, seed) for name in targets}
        if isinstance(target, str):
            return with_index(out[target], index)
        import pandas as pd

        if output in ("mean", "sd"):
            return pd.DataFrame(out, index=index)
        if output == "interval":
            return pd.concat({name: with_index(frame, index) for name, frame in out.items()}, axis=1)
        return {name: with_index(value, index) for name, value in out.items()}

    # ------------------------------------------------------------------ the joint distribution

    def log_prob(self, data: Any) -> NDArray[np.float64]:
        """Log probability density of each row in nats (n,); missing cells are integrated out."""
        return self.law.log_prob(rows_of(self.schema, data), category_places(self.schema))

    def sample(self, n: int, seed: int | None = None) -> pd.DataFrame:
        """``n`` random rows of the model, as a table like the one it was fitted to."""
        import pandas as pd

        x = self.law.sample(n, category_places(self.schema), np.random.default_rng(seed))
        return pd.DataFrame({name: column_cells(self.schema, name, x) for name in self.columns})

    def impute(self, data: Any) -> Any:
        """The table with each missing cell filled by its expected value given the rest of its row.

        A category gets its most probable level. Returns the kind of table it was given (pandas, polars, Arrow);
        a file gives a pandas frame.
        """
        from cumulant.model.filling import impute

        return impute(self, data)

    # ------------------------------------------------------------------ explanation

    def summary(
        self,
        target: str | None = None,
        *,
        level: float = 0.95,
        errors: str = "classical",
        intercept: bool = True,
    ) -> Summary | FieldSummary:
        """The regression of one column on all others, or on the terms of its polynomial, with errors and tests.

        Of a target that is a field on function space: its average slope along each input, with its posterior error, the
        share of its variance that is lost without the input, and how well it foretells rows that are left out.

        Parameters
        ----------
        target
            The column; default the one named when fitting.
        level
            Coverage of the intervals.
        errors
            ``"classical"`` standard errors, or ``"jackknife"``: over the folds, which also hold where the variance
            differs from row to row.
        intercept
            Without: a regression through the origin, which needs the moments and no prior.
        """
        from cumulant.explain.summary import summarise
        from cumulant.model.laws import name_of

        name = self._target(target)
        own = self._about(name)
        if name == own.target and name_of(own.law) == "field":
            from cumulant.explain.field_summary import summarise_field

            return summarise_field(own, level=level, errors=errors, intercept=intercept)
        if hasattr(own.law, "regression") and name == own.target:
            return summarise(own.expanded(), name, level=level, errors=errors, intercept=intercept)
        return summarise(own, name, level=level, errors=errors, intercept=intercept)

    def diagrams(
        self, target: str | None = None, given: Mapping[str, Any] | None = None, *, shown: int = 12
    ) -> DiagramSum | LoopSum:
        """What a prediction is the sum of: a line for each field, a vertex where several meet the target.

        Of a network of finite width (``cm.Field(…, width=)``) the diagrams are those of first order in 1/width.

        Parameters
        ----------
        target
            The column; default the one named when fitting.
        given
            What is known of one row: each diagram then has the size it adds. Without: its standard deviation over rows.
        shown
            How many diagrams to draw.

        Notes
        -----
        Of a `cumulant.Polynomial` the sum has trees and loops, and holds at any strength of the couplings (see
        `cumulant.solve.one_point`). Where other columns than the target are unknown, they are averaged over a thousand
        draws, whose error the sum has.

        Examples
        --------
        >>> import cumulant as cm
        >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 5.0, 7.0]}, prior=None)
        >>> print(model.diagrams("y", given={"x": 10.0}))
        y: 4 where all diagrams are zero
          x ── y  +17
          sum: 21
        """
        from cumulant.explain.diagrams import diagrams_of

        name = self._target(target)
        return diagrams_of(self._about(name), name, given, shown=shown)

    def cross_validate(self, target: str | None = None, *, data: Any = None) -> pd.DataFrame:
        """R², RMSE and log-likelihood a row on each held-out fold, of the theory that was fitted.

        Parameters
        ----------
        target
            The column; default the one named when fitting. Others are scored to second order, as they are predicted,
            but for a polynomial F.
        data
            The rows that the model was fitted to. Gaussian and Taylor theories are scored from folds of moments, a
            field from what the other rows say of each in closed form, and neither needs them. A polynomial F does, and
            so does the log-likelihood of `cumulant.Fluctuation` (NaN without): they are solved anew without each fold.

        Raises
        ------
        OptionError, IncompatibleError
            There is nothing to hold out, rows are needed, or those given are others.

        Examples
        --------
        >>> import cumulant as cm
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 60)
        >>> model = cm.fit({"x": x, "y": x**2 + 0.01 * np.cos(99 * x)}, cm.Taylor(3), target="y")
        >>> bool(model.cross_validate().loc["all", "r2"] > 0.99)
        True
        """
        from cumulant.explain.judges import judges_among
        from cumulant.explain.theories import cross_validate

        judged_by = None if data is None else judges_among(self, data)
        return cross_validate(self, self._target(target), judged_by)

    def universality(self, symmetry: Group | None = None) -> Universality:
        """The class that F belongs to: its page in the notebook, which couplings matter, and what is known of it.

        Parameters
        ----------
        symmetry
            The group of the columns, from `cumulant.symmetry`; default the one it was solved under, or none.

        Examples
        --------
        >>> import cumulant as cm
        >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.9, 5.1, 7.0]}, prior=None)
        >>> model.universality().page.name
        'gaussian'
        """
        from cumulant.model.laws import ansatz_of
        from cumulant.notebook.universality import MOST_FIELDS, universality
        from cumulant.symmetry import trivial

        if len(self.fields) > MOST_FIELDS:
            raise OptionError(
                f"universality weighs every coupling, and there are {len(self.fields):,} fields; "
                f"take up to {MOST_FIELDS:,} of them: model.marginal(columns).universality()"
            )
        own = trivial(self.fields) if self.symmetries is None else self.symmetries.group
        group = own if symmetry is None else symmetry.on(self.fields)
        law = self.law
        return universality(
            ansatz_of(law), group, self.fields, law.couplings("mean"), law.mean, law.covariance, law.count
        )

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
        return self._resolved(self._kept("merge") + other._kept("merge"))

    def update(self, table: Any, /, **options: Any) -> Model:
        """The model of its rows and those of a table, numbered on from the last row.

        Options are those of `measure`; columns, lifts, folds, theory, target and prior are its own.

        Examples
        --------
        >>> import cumulant as cm
        >>> model = cm.fit({"x": [0.0, 1.0], "y": [1.0, 3.0]}, prior=None)
        >>> model.update({"x": [2.0, 3.0], "y": [5.0, 7.0]}).predict("y", given={"x": [10.0]})
        array([21.])
        """
        m = self._kept("take more rows")
        return self._resolved(m + _measured_like(m, table, **{"rows": int(m.rows.sum()), **options}))

    def forget(self, table: Any, /, **options: Any) -> Model:
        """The model without some of the rows that it was fitted to, given as a table or as moments.

        Options are those of `measure`; ``rows=`` gives their original row numbers, so that folds stay exact.
        """
        m = self._kept("forget")
        if isinstance(table, type(m)):
            return self._resolved(m - table)
        return self._resolved(m - _measured_like(m, table, **options))

    def _resolved(self, m: Any) -> Model:
        again = {"given": self.prior.mass, "none": None}.get(self.prior.kind, self.prior.kind)
        from cumulant.model.fit import solve

        if self.theory.requires().rows:
            raise IncompatibleError(
                f"{type(self.theory).__name__} is seen in rows, not in moments: merge, update or forget the "
                "moments, and solve them with rows=, or fit again"
            )
        declared = self.symmetries and self.symmetries.declared
        several = len(self._targets) > 1
        return solve(m, self.theory, prior=again, target=self._targets if several else self.target, symmetry=declared)

    def _kept(self, what: str) -> Any:
        """The moments it was solved from, under a symmetry too."""
        if self.symmetries is not None and self.symmetries.moments is not None:
            return self.symmetries.moments
        if self.moments is None:
            raise IncompatibleError(
                f"this model was saved without its moments and cannot {what}; fit or save it with them"
            )
        return self.moments

    # ------------------------------------------------------------------ files

    def save(self, path: str | Path, *, moments: bool = True) -> None:
        """Write the model to one file, atomically; `cumulant.load` reads it.

        Without ``moments`` the file is smaller (some 4·p² bytes) but the model can no longer merge or forget.
        """
        from cumulant.model.file import save

        save(self, path, moments=moments)

    def __repr__(self) -> str:
        rows = self.count if self.moments is None else self.moments.count
        size = f"{len(self.columns)} columns, {len(self.fields)} fields, {rows:,.0f} rows"
        return f"Model({size}; {self.prior.reason})"

    # ------------------------------------------------------------------ from names and cells to fields

    @property
    def _targets(self) -> tuple[str, ...]:
        """The column that the theory is about, or several."""
        places = getattr(self.law, "places", None)
        if places is None:
            return () if self.target is None else (self.target,)
        schema = self.schema
        return tuple(self.columns[c] for c in schema.column_of_field[schema.independent[places]])

    def _about(self, target: str) -> Model:
        """The model as it is about one of its several targets; itself, if it has not several."""
        if len(self._targets) < 2 or target not in self._targets:
            return self
        law: Any = self.law
        return replace(self, law=law.of(int(self.schema.places_of(target)[0])), target=target)

    def _target(self, target: str | None) -> str:
        if target is None and self.target is None:
            raise OptionError("name a target: the model was fitted to all columns alike")
        name = target if target is not None else str(self.target)
        self.schema.position(name)
        return name

    def _require(self, names: Any) -> None:
        for name in names:
            self.schema.position(name)


def _measured_like(m: Any, table: Any, **options: Any) -> Any:
    """The moments of other rows, under a symmetry too."""
    under = {} if isinstance(m, Moments) else {"symmetry": m.declared}
    return measure(table, like=m, **under, **options)
