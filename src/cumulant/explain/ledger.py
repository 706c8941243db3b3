"""The ledger: what a fit cost, beside descent on the same rows, and what each leaves you with.

`compare` trains one linear model five ways on the same rows in one run; `fit_ledger` writes down what a fit
cost and, by formula, what descent would have.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from cumulant.errors import CumulantWarning, DataError, OptionError, ResourceError
from cumulant.explain import cost as price
from cumulant.explain.account import DESCENT_GIVES, MOMENTS_GIVE, Gives, Ledger, Row
from cumulant.explain.cost import Cost, Meter, quantity
from cumulant.explain.descent import METHODS, Descent
from cumulant.explain.landscape import Surface, valley, wave_surface
from cumulant.explain.objective import (
    Goal,
    LeastSquares,
    passes_of_conjugate_gradients,
    passes_of_gradient_descent,
)
from cumulant.lift import NARROW
from cumulant.measure import lifted, measure, work
from cumulant.measure.kernels import fold_of
from cumulant.model.fit import fit
from cumulant.solve.exact import solve_exact
from cumulant.solve.linear import conditional
from cumulant.source import open_table

if TYPE_CHECKING:
    from cumulant.model import Model
    from cumulant.solve.law import Density

__all__ = ["Ledger", "compare", "fit_ledger"]

Array = NDArray[np.float64]

_Out = TypeVar("_Out")

_QUICK = 0.5
_REPEATS = 3
_WARM_UP_ROWS = 256
_DUPLICATE = 0.999
_FORECAST = (
    "* By formula, not run: to within {percent} of the optimal loss from a random start, as the "
    "measured covariance determines it. Conjugate gradients are the best that gradients alone can do, and "
    "what L-BFGS hopes for."
)
_FAVOUR = (
    "Descent stops as soon as its loss is within {percent} of the optimum. It can only know that "
    "because the one pass has solved the problem, so this favours descent; in practice it runs on to be sure."
)
_PARTS, _FEWEST_SPLIT = 10, 50
_FIELD_GIVES = Gives(any_target="second order", intervals="yes", merge="fit again", forget="fit again")
_NETWORK_GIVES = Gives(any_target="train again", intervals="by held-out rows", merge="no", forget="train again")
_COMPENSATED = "The columns are nearly collinear: the one pass used compensated arithmetic, 8 times the flops."


def compare(
    table: Any,
    target: str,
    *,
    tolerance: float = 0.01,
    max_passes: float = 1000,
    seed: int = 0,
    delimiter: str | None = None,
    theory: Any = None,
) -> Ledger:
    """Train one linear model in one pass and by descent, on the same rows, and account for each.

    The methods: one pass and a solve; gradient descent with step 1/L; mini-batch SGD; mini-batch Adam;
    L-BFGS.  Each descent stops as soon as its loss is within `tolerance` of the optimum, which is known
    only because the problem has been solved: this favours descent.

    Parameters
    ----------
    table
        Anything `cumulant.measure` takes.  It must fit in memory, since descent needs its rows again and
        again; rows with a missing cell are left out for every method alike.
    target : str
        The column to predict, a number, a date or true/false.
    tolerance : float
        Allowed excess of the loss, as a fraction of the optimal loss.
    max_passes : float
        Cap on descent's passes over the rows.
    seed : int
        Of the random start and of the shuffling.
    delimiter : str, optional
        Field separator of a CSV file.
    theory
        A richer theory, such as `cumulant.Field`: instead of lines, it is set beside a network and an ensemble of five,
        trained by Adam on nine tenths of the rows and judged on the rest.

    Returns
    -------
    Ledger

    Raises
    ------
    ColumnError
        The table has no column `target`.
    OptionError
        `target` is a category, or an option has no meaning.
    DataError
        No two complete rows, a constant target, or no other column.
    ResourceError
        The rows do not fit in memory.

    Examples
    --------
    >>> import cumulant as cm
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=500)
    >>> ledger = cm.compare({"x": x, "z": x**2, "y": 2 * x + rng.normal(size=500)}, target="y")
    >>> float(ledger.table.loc["one pass", "passes"])
    1.0
    """
    if not (0 < tolerance < math.inf and max_passes >= 1):
        raise OptionError(
            f"tolerance={tolerance!r}, max_passes={max_passes!r}: give a positive tolerance and at least one pass"
        )
    design = _design(table, target, delimiter)
    if theory is not None:
        return _beside_networks(design, target, theory, tolerance, seed)
    rows, exact = _race(design, tolerance, max_passes, seed)
    problem = LeastSquares.from_arrays(design.X, design.y)
    return Ledger(
        target=target,
        n=len(design.y),
        p=design.X.shape[1],
        tolerance=tolerance,
        rows=rows,
        notes=(*_verdict(rows), *_conditions(design, rows, tolerance, exact)),
        surfaces=(_two_parameters(problem, design.names, seed), wave_surface(seed=seed)),
    )


def fit_ledger(model: Model, target: str | None = None, *, tolerance: float = 0.01, seed: int = 0) -> Ledger:
    """The ledger of one fit: what it cost, and what descent would cost on the same rows by formula.

    The covariance is all that the number of descent's steps depends on, so nothing has to be run.

    Parameters
    ----------
    model : Model
        As fitted.
    target : str, optional
        Column that descent would predict; by default the one named when fitting, else the last.
    tolerance : float
        Excess of the loss, as a fraction of the optimal loss, at which descent would be stopped.
    seed : int
        Of descent's random start.

    Returns
    -------
    Ledger
    """
    name = target or model.target or model.columns[-1]
    span = model.schema.span(name)
    at = np.flatnonzero((model.schema.independent >= span.start) & (model.schema.independent < span.stop))
    rest = np.setdiff1d(np.arange(len(model.fields)), at)
    first = at[:1]
    scale = np.sqrt(np.maximum(np.diag(model.covariance), 0.0))
    scale[scale == 0] = 1.0
    correlation = model.covariance / np.outer(scale, scale)
    goal = Goal.from_moments(
        correlation[np.ix_(rest, rest)],
        correlation[rest][:, first].sum(axis=1),
        float(correlation[np.ix_(first, first)].sum()),
        tolerance,
    )
    n, p = _rows_of(model), len(rest)
    one = _cost_of(model)
    rmse = math.sqrt(2 * goal.optimal_loss) * float(scale[first].sum())
    forecasts = {
        "gradient descent*": passes_of_gradient_descent(goal, seed),
        "conjugate gradients*": passes_of_conjugate_gradients(goal, seed),
    }
    return Ledger(
        target=name,
        n=n,
        p=p,
        tolerance=tolerance,
        rows=(
            Row("one pass", one, 0.0, rmse, True, MOMENTS_GIVE),
            *(_forecast(method, n, p, passes) for method, passes in forecasts.items()),
        ),
        notes=(
            _FORECAST.format(percent=f"{100 * tolerance:g} %"),
            "One pass serves every target; descent is counted for this one alone.",
            f"RMSE: as the model's covariance gives it. Energy: {one.joules_source}.",
        ),
    )


@dataclass(frozen=True, eq=False)
class _Design:
    """Complete rows as numbers: columns X (n, p), target y (n,), and what was left out."""

    X: Array
    y: Array
    names: tuple[str, ...]
    dropped: int


def _design(table: Any, target: str, delimiter: str | None) -> _Design:
    source = open_table(table, delimiter=delimiter)
    rows: Any = source
    if not source.repeatable:
        import pyarrow as pa

        rows = pa.Table.from_batches(source.open(), source.schema)
    with warnings.catch_warnings():
        # What concerns the fit is said by the fit itself, below.
        warnings.simplefilter("ignore", CumulantWarning)
        # Descent takes fields that are written out, so no category is kept by level.
        first_look = measure(rows, folds=1, precision="double", levels=NARROW)
    schema, n = first_look.schema, int(first_look.rows.sum())
    at = _target_field(first_look.columns, schema, target)
    _refuse_if_too_large(n, len(first_look.columns))
    blocks = list(lifted(rows, schema))
    values = np.concatenate(blocks) if blocks else np.empty((0, len(first_look.columns)))
    complete = ~np.isnan(values).any(axis=1)
    values = values[complete]
    if len(values) < 2:
        worst = first_look.columns[int(np.argmin(np.diag(first_look.total.pairs)))]
        raise DataError(
            f"{len(values)} of {n} rows have no missing cell and descent needs at least two; "
            f"leave out the columns with the most missing cells, such as '{worst}'"
        )
    y = np.ascontiguousarray(values[:, at])
    if np.ptp(y) == 0:
        raise DataError(f"column '{target}' is {y[0]:g} in every complete row; choose a target that varies")
    if values.shape[1] == 1:
        raise DataError(f"the table has no column beside '{target}' to predict it from")
    names = tuple(name for i, name in enumerate(first_look.columns) if i != at)
    return _Design(np.delete(values, at, axis=1), y, names, int(np.sum(~complete)))


def _beside_networks(design: _Design, target: str, theory: Any, tolerance: float, seed: int) -> Ledger:
    """A theory, a network and an ensemble, on the same rows, judged on the same others."""
    from cumulant.explain.trained import ENSEMBLE, SETTINGS, Trained, train

    n = len(design.y)
    if n < _FEWEST_SPLIT:
        raise DataError(f"{n} complete rows are too few to hold some out; give at least {_FEWEST_SPLIT}")
    held = fold_of(np.arange(n), _PARTS) == seed % _PARTS
    (x, y), (new, value) = ((design.X[part], design.y[part]) for part in (~held, held))
    names = [f"x{i}" for i in range(x.shape[1])]

    def solved() -> Density:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CumulantWarning)
            columns = dict(zip([*names, "y"], np.column_stack([x, y]).T, strict=True))
            model = fit(columns, theory, target="y", progress=False)
        given: Any = dict(zip(names, new.T, strict=True))
        return cast("Density", model.predict("y", given=given, output="density"))

    def row(method: str, cost: Cost, mean: Array, logs: Array, gives: Gives, settings: str = "") -> Row:
        rmse = float(np.sqrt(np.mean((value - mean) ** 2)))
        return Row(method, cost, math.nan, rmse, True, gives, settings, float(np.mean(logs)))

    def network(method: str, count: int) -> Row:
        with Meter(settle=True) as meter:
            found: Trained = train(x, y, new, count, seed)
        flops = price.flops_adam(len(y), found.weights, found.passes, 0)
        moved = work.bytes_read(len(y), x.shape[1] + 1, found.passes)
        cost = replace(meter.cost(), passes=found.passes, flops=flops, bytes=moved)
        logs = -0.5 * (np.log(2 * np.pi * found.variance) + (value - found.mean) ** 2 / found.variance)
        return row(method, cost, found.mean, logs, _NETWORK_GIVES, SETTINGS)

    train(x[:_WARM_UP_ROWS], y[:_WARM_UP_ROWS], new[:1], 1, seed)
    with Meter(settle=True) as meter:
        density = solved()
    # No formula counts what a theory of any kind takes.
    cost = replace(meter.cost(), passes=math.nan, flops=math.nan, bytes=math.nan)
    own = row(type(theory).__name__, cost, density.mean, density.log_prob(value), _FIELD_GIVES)
    others = (network("network", 1), network(f"ensemble of {ENSEMBLE}", ENSEMBLE))
    notes = (
        f"The same {len(y):,} rows for each, and the same {len(value):,} held out, which errors are of"
        + (f"; {design.dropped:,} with a missing cell were left out." if design.dropped else "."),
        f"Networks: {SETTINGS}. Nothing is tuned, on either side. Flops of networks are counted by formula.",
        f"Energy: {own.cost.joules_source}. Extra memory: {own.cost.memory_source}.",
    )
    return Ledger(target, len(y), x.shape[1], tolerance, (own, *others), notes, held_out=len(value))


def _target_field(fields: tuple[str, ...], schema: Any, target: str) -> int:
    span = schema.span(target)
    if span.stop - span.start != 1:
        kind = schema.lifts[schema.position(target)].kind
        raise OptionError(
            f"target '{target}' is a {kind} column, and the comparison is of linear regressions; "
            "choose a column of numbers"
        )
    return fields.index(schema.fields[span.start])


def _refuse_if_too_large(n: int, p: int) -> None:
    # The lifted rows, their complete part, and the standardised copy of one method at a time.
    need = 8 * n * p * 3
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if need > 0.8 * have:
        raise ResourceError(
            f"descent needs {n:,} rows of {p:,} fields in memory, about {quantity(need, 'B')}, and this "
            f"machine has {quantity(have, 'B')}; compare on a part of the rows (one pass keeps none of them)"
        )


def _race(design: _Design, tolerance: float, max_passes: float, seed: int) -> tuple[tuple[Row, ...], bool]:
    """Every method on the same rows, one after the other; and whether the one pass was compensated."""
    X, y = design.X, design.y
    goal = Goal.of(LeastSquares.from_arrays(X, y), tolerance)
    columns = _columns(X, y)
    descents = [partial(_descend, method, X, y, goal, max_passes, seed) for method in METHODS]
    _warm_up(X, y, goal, seed)
    (intercept, slopes, exact), cost = _timed(partial(_one_pass, columns))
    n, p = X.shape
    cost = replace(
        cost,
        passes=1.0,
        flops=work.flops_of_pass(n, p + 1, exact=exact) + price.flops_solve(p),
        bytes=work.bytes_read(n, p + 1),
    )
    problem = LeastSquares.from_arrays(X, y)
    excess = goal.excess(problem.standardised(slopes))
    rows = [_row("one pass", cost, excess, goal, y - X @ slopes - intercept, excess <= goal.allowed, "")]
    for descent in descents:
        (run, intercept, slopes, standardising), cost = _timed(descent)
        cost = replace(
            cost,
            passes=standardising.passes + run.passes,
            flops=standardising.flops + run.flops,
            bytes=standardising.bytes + run.bytes,
        )
        excess = goal.excess(run.parameters)
        rows.append(_row(run.method, cost, excess, goal, y - X @ slopes - intercept, run.reached, run.settings))
    return tuple(rows), exact


def _row(method: str, cost: Cost, excess: float, goal: Goal, residual: Array, reached: bool, settings: str) -> Row:
    return Row(
        method,
        cost,
        excess / goal.optimal_loss if goal.optimal_loss > 0 else math.nan,
        float(np.sqrt(np.mean(residual**2))),
        bool(reached),
        DESCENT_GIVES if settings else MOMENTS_GIVE,
        settings,
    )


def _columns(X: Array, y: Array) -> dict[str, Array]:
    """Columns by number: contiguous, so that the source need not copy them, as X is contiguous by rows."""
    fields = np.asfortranarray(np.column_stack([X, y]))
    return {str(i): fields[:, i] for i in range(fields.shape[1])}


def _one_pass(columns: dict[str, Array]) -> tuple[float, Array, bool]:
    """Intercept, slopes (p,) and whether the sums were compensated: measure, solve, read β off."""
    with warnings.catch_warnings():
        # The ledger's notes say it.
        warnings.simplefilter("ignore", CumulantWarning)
        m = measure(columns, progress=False)
    s = solve_exact(m, prior=None)
    p = len(s.mean) - 1
    slopes = conditional(s.covariance, np.arange(p), np.array([p]), s.low).coefficients[:, 0]
    return float(s.mean[p] - s.mean[:p] @ slopes), slopes, m.exact


def _descend(
    method: Callable[..., Descent], X: Array, y: Array, goal: Goal, max_passes: float, seed: int
) -> tuple[Descent, float, Array, Cost]:
    problem = LeastSquares.from_arrays(X, y)
    run = method(problem, goal, max_passes=max_passes, seed=seed)
    return (run, *problem.coefficients(run.parameters), problem.standardising)


def _warm_up(X: Array, y: Array, goal: Goal, seed: int) -> None:
    """A few rows through every method, so that none pays for imports and first calls."""
    few = slice(0, _WARM_UP_ROWS)
    _one_pass(_columns(X[few], y[few]))
    for method in METHODS:
        _descend(method, X[few], y[few], goal, 3, seed)


def _timed(run: Callable[[], _Out]) -> tuple[_Out, Cost]:
    """Run under a meter; what takes less than half a second is run thrice, and the fastest counts."""
    with Meter(settle=True) as meter:
        out = run()
    cost = meter.cost()
    for _ in range(_REPEATS - 1 if cost.wall_seconds < _QUICK else 0):
        with Meter() as meter:
            run()
        again = meter.cost()
        if again.wall_seconds < cost.wall_seconds:
            # Memory that the first run freed may be used again without being extra: its peak stands.
            cost = replace(again, peak_memory=cost.peak_memory)
    return out, cost


def _two_parameters(problem: LeastSquares, names: tuple[str, ...], seed: int) -> Surface:
    """The valley of the strongest column and the one most entangled with it."""
    if problem.shape[1] == 1:
        ones = np.ones((problem.shape[0], 1))
        X = np.hstack([problem.X, ones])
        centre, scale = np.append(problem.centre, 0.0), np.append(problem.scale, 1.0)
        problem = replace(problem, X=X, centre=centre, scale=scale)
        names = (*names, "the intercept")
    goal = Goal.of(problem)
    first = int(np.argmax(np.abs(goal.optimum)))
    entangled = np.abs(goal.curvature[first])
    # A duplicate would make the valley a trough without a bottom.
    entangled[entangled > _DUPLICATE] = -1.0
    entangled[first] = -2.0
    return valley(problem, (first, int(np.argmax(entangled))), names, seed)


def _verdict(rows: tuple[Row, ...]) -> list[str]:
    one = rows[0]
    fastest = min((row for row in rows if row.reached), key=lambda row: row.cost.wall_seconds, default=one)
    stopped = [row.method for row in rows if not row.reached]
    theirs, ours = quantity(fastest.cost.wall_seconds, "s"), quantity(one.cost.wall_seconds, "s")
    faster = f"{fastest.method} is faster on the clock here: {theirs} for this one target, against {ours} for "
    notes = ["One pass is the fastest here." if fastest is one else faster + "every target at once."]
    if stopped:
        notes.append(f"Not there when the cap on passes was reached: {', '.join(stopped)}.")
    return notes


def _conditions(design: _Design, rows: tuple[Row, ...], tolerance: float, exact: bool) -> list[str]:
    left_out = f" ({design.dropped:,} with a missing cell were left out)" if design.dropped else ""
    same = f"The same {len(design.y):,} complete rows for every method{left_out}."
    start = "All start from numbers in memory; descent standardises them first, which is in its column."
    sources = f"Energy: {rows[0].cost.joules_source}. Extra memory: {rows[0].cost.memory_source}."
    return [
        f"{same} {start}",
        _FAVOUR.format(percent=f"{100 * tolerance:g} %"),
        *(f"{row.method}: {row.settings}." for row in rows if row.settings),
        f"{sources} Flops and bytes are counted by formula, to leading order.",
        *([_COMPENSATED] if exact else []),
    ]


def _rows_of(model: Model) -> int:
    if model.effort is not None:
        return int(model.effort["rows"])
    return int(model.moments.rows.sum()) if model.moments is not None else round(model.count)


def _cost_of(model: Model) -> Cost:
    """What the fit took: seconds as it was timed, flops and bytes by formula."""
    n, p = _rows_of(model), len(model.fields)
    m = model.moments
    order, exact = (2, False) if m is None else (m.order, m.exact)
    cost = Cost(
        passes=1.0,
        flops=work.flops_of_pass(n, p, order=order, exact=exact) + price.flops_solve(p),
        bytes=work.bytes_read(n, p),
    )
    if model.effort is None:
        return cost
    cpu = model.effort["cpu_seconds"]
    return replace(
        cost,
        cpu_seconds=cpu,
        wall_seconds=model.effort["wall_seconds"],
        joules=cpu * price.WATTS_PER_CORE,
        joules_source=price.estimated(price.WATTS_PER_CORE),
    )


def _forecast(method: str, n: int, p: int, passes: float) -> Row:
    cost = Cost(
        passes=1 + passes,
        flops=price.flops_standardise(n, p) + price.flops_descent(n, p, passes),
        bytes=work.bytes_read(n, p, 2 + 2 * passes),
    )
    return Row(method, cost, math.nan, math.nan, math.isfinite(passes), DESCENT_GIVES, "by formula, not run")
