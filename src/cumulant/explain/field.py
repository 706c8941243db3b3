"""What a field on function space says of its inputs: which matter, how, and which only together.

Shares are those of an analysis of variance of the mean field. With x′ another row, the total share of a column is
½⟨(f(x) − f(x; x_j → x′_j))²⟩/Var f (Jansen, Comput. Phys. Commun. 117 (1999) 35), and what two columns do that neither
does alone ¼⟨(f(x) − f(x_j → x′_j) − f(x_k → x′_k) + f(both))²⟩/Var f. The main effect of a column is f averaged over
all others, an average of the field, so its interval is in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.explain.portable import shape
from cumulant.lift import Boolean, Categorical
from cumulant.solve.field.averages import Averages, conditioned_rows, mean_field
from cumulant.solve.field.class_law import ClassLaw
from cumulant.solve.field.law import FieldLaw

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cumulant.lift import Lift
    from cumulant.model import Model

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Shares", "field_of", "shares_of"]

# Numbers in the propagators that shares, effects and surfaces may take in all.
WORK = 2.5e8
SHARE_ROWS, EFFECT_ROWS, SURFACE_ROWS = 400, 40, 40
FEWEST = 10
GRID, SURFACE_GRID = 20, 14
# Columns whose effects are shown, pairs that are weighed and shown, levels and combinations of inputs at most.
EFFECTS, WEIGHED, SURFACES, LEVELS, COMBINATIONS = 12, 10, 4, 12, 3
# A pair that does less than this part of the variance together has no surface.
LEAST_SHARE = 1e-3
TWO_SIDED = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Shares:
    """What each column does to the mean field.

    Parameters
    ----------
    columns
        The columns that are inputs.
    total
        Part of the variance that is lost with the column, alone and together with others (c,).
    metric
        Part of the metric: how fast the field varies along the column, on the scale on which it is compared (c,); NaN
        where all inputs are compared alike.
    pairs
        What two columns do together only, by their places, the strongest first.
    """

    columns: tuple[str, ...]
    total: Array
    metric: Array
    pairs: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, eq=False)
class _View:
    """A field as a function of its inputs.

    Parameters
    ----------
    model
        The model.
    columns
        The columns that are inputs, and ``places``, where the fields of each are among the inputs.
    rows
        Inputs of rows that it was conditioned on (n, q).
    value
        The mean field, (n, outputs) for inputs (n, q).
    cost
        Numbers in the propagators of one point.
    """

    model: Model
    law: FieldLaw | ClassLaw
    columns: tuple[str, ...]
    places: tuple[Index, ...]
    rows: Array
    value: Callable[[Array], Array]
    cost: int

    def lift(self, j: int) -> Lift:
        """How the column becomes numbers."""
        return self.model.schema.lifts[self.model.schema.position(self.columns[j])]

    def some(self, most: int, each: int) -> Array:
        """So many rows at most, evenly spread, that ``each`` points a row stay within the work allowed."""
        n = int(np.clip(WORK / max(self.cost * each, 1), FEWEST, most))
        return self.rows[np.unique(np.linspace(0, len(self.rows) - 1, n).astype(np.int64))]

    def moved(self, x: Array, other: Array, columns: tuple[int, ...]) -> Array:
        """Rows with some columns as in others."""
        out = x.copy()
        for j in columns:
            out[:, self.places[j]] = other[:, self.places[j]]
        return out


def field_of(model: Model) -> dict[str, Any] | None:
    """Shares, main effects with intervals and surfaces of the strongest pairs, as plain data; None without a field."""
    view = _view(model)
    if view is None:
        return None
    shares = _shares(view)
    order = np.argsort(-shares.total, kind="stable")
    said = Averages(view.law) if isinstance(view.law, FieldLaw) else None
    effects = [_effect(view, said, int(j)) for j in order[:EFFECTS]]
    pairs = [pair for pair in shares.pairs[:SURFACES] if pair[2] >= LEAST_SHARE]
    surfaces = [_surface(view, j, k, share) for j, k, share in pairs]
    return {
        "target": model.target,
        "outputs": _outputs(model),
        "shares": [{"column": shares.columns[j], "total": shares.total[j], "metric": shares.metric[j]} for j in order],
        "combinations": _combinations(view),
        "effects": [effect for effect in effects if effect is not None],
        "surfaces": [surface for surface in surfaces if surface is not None],
        "conditioned_on": len(view.rows),
    }


def shares_of(model: Model) -> Shares | None:
    """What each column does to the mean field of its target; None without a field."""
    view = _view(model)
    return None if view is None else _shares(view)


def _view(model: Model) -> _View | None:
    law = model.law
    if not isinstance(law, (FieldLaw, ClassLaw)) or len(law.visible) < len(law.fixed):
        return None
    columns, places = [], []
    for name in model.columns:
        at = np.flatnonzero(np.isin(law.inputs, model.schema.independent_of(name)))
        if len(at):
            columns.append(name)
            places.append(at)
    if isinstance(law, FieldLaw):
        rows, members = conditioned_rows(law), len(law.members)
        return _View(
            model, law, tuple(columns), tuple(places), rows, lambda x: mean_field(law, x)[:, None], len(rows) * members
        )
    field = law.field
    return _View(model, law, tuple(columns), tuple(places), field.given, field.probabilities, field.cost)


def _outputs(model: Model) -> list[str]:
    assert model.target is not None  # noqa: S101  # a field has one
    lift = model.schema.lifts[model.schema.position(model.target)]
    if isinstance(lift, Categorical):
        return [str(level) for level in lift.all_levels]
    return ["false", "true"] if isinstance(lift, Boolean) else [model.target]


# ------------------------------------------------------------------------------------------------ shares


def _shares(view: _View) -> Shares:
    count = len(view.columns)
    weighed = min(count, WEIGHED)
    x = view.some(SHARE_ROWS, 2 + count + weighed**2 // 2)
    other = x[np.random.default_rng(0).permutation(len(x))]
    plain = view.value(x)
    variance = float(view.value(view.rows if len(view.rows) <= len(x) else x).var(axis=0).sum()) or 1.0
    alone = [view.value(view.moved(x, other, (j,))) for j in range(count)]
    total = np.array([((plain - each) ** 2).sum(axis=1).mean() / (2 * variance) for each in alone])
    strong = np.sort(np.argsort(-total, kind="stable")[:weighed])
    pairs = []
    for a, j in enumerate(strong):
        for k in strong[a + 1 :]:
            both = view.value(view.moved(x, other, (int(j), int(k))))
            together = ((plain - alone[j] - alone[k] + both) ** 2).sum(axis=1).mean() / (4 * variance)
            pairs.append((int(j), int(k), float(together)))
    pairs.sort(key=lambda pair: -pair[2])
    return Shares(view.columns, total, _metric_shares(view), tuple(pairs))


def _metric(law: FieldLaw) -> Array:
    """M = ⟨L Lᵀ⟩ of the mixture, each of trace one (q, q)."""
    q, out = len(law.inputs), np.zeros((len(law.inputs), len(law.inputs)))
    for member in law.members:
        # What stands beside the inputs, to tell targets apart, is no input.
        metric = member.hyper.metric[:q]
        root = np.diag(metric) if metric.ndim == 1 else metric
        out += member.weight * (root @ root.T) / max(float((root**2).sum()), 1e-300)
    return out / max(float(np.trace(out)), 1e-300) if q else out


def _metric_shares(view: _View) -> Array:
    if not isinstance(view.law, FieldLaw):
        return np.full(len(view.columns), np.nan)
    own = np.diag(_metric(view.law))
    return np.array([own[at].sum() for at in view.places])


def _combinations(view: _View) -> list[dict[str, Any]]:
    """The leading directions of a metric that combines inputs: its share, and the weight of each input in it."""
    law = view.law
    if not isinstance(law, FieldLaw) or all(member.hyper.metric.ndim == 1 for member in law.members):
        return []
    w, v = np.linalg.eigh(_metric(law))
    names = [view.model.fields[i] for i in law.inputs]
    out = []
    for i in np.argsort(-w)[:COMBINATIONS]:
        order = np.argsort(-np.abs(v[:, i]))[:4]
        sign = np.sign(v[order[0], i]) or 1.0
        out.append({"share": w[i], "weights": [[names[j], sign * v[j, i]] for j in order]})
    return out


# ------------------------------------------------------------------------------------------------ effects and surfaces


def _settings(view: _View, j: int, most: int) -> tuple[Array, Array, list[str] | None] | None:
    """Values of a column to set (g, fields), the share of rows near each (g,), and their names if it has levels."""
    at, lift = view.places[j], view.lift(j)
    own = view.rows[:, at]
    if isinstance(lift, (Categorical, Boolean)):
        names = [str(level) for level in lift.all_levels] if isinstance(lift, Categorical) else ["false", "true"]
        return _levels(view, j, names, own)
    if len(at) > 1:
        return None
    values, count = np.unique(own[:, 0], return_counts=True)
    if len(values) <= most:
        return values[:, None], count / count.sum(), None
    grid = np.quantile(own[:, 0], (np.arange(most) + 0.5) / most)
    return grid[:, None], np.full(most, 1 / most), None


def _levels(view: _View, j: int, names: list[str], own: Array) -> tuple[Array, Array, list[str]]:
    """The indicators of each level that occurs, the commonest first."""
    law, lift = view.law, view.lift(j)
    fields = view.model.schema.independent_of(lift.name)
    # Indicators that did not vary are no inputs; the reference has none.
    level = {int(field): i + len(names) - len(fields) for i, field in enumerate(fields)}
    of_input = [level[int(law.inputs[place])] for place in view.places[j]]
    which = np.where(own.max(axis=1) > 0.5, np.array(of_input)[own.argmax(axis=1)], 0)
    count = np.bincount(which, minlength=len(names))
    shown = [int(i) for i in np.argsort(-count, kind="stable")[:LEVELS] if count[i]]
    values = np.array([[float(i == of) for of in of_input] for i in shown])
    return values, count[shown] / count[shown].sum(), [names[i] for i in shown]


def _effect(view: _View, said: Averages | None, j: int) -> dict[str, Any] | None:
    """The target averaged over all other columns, less its mean, at values of one column."""
    found = _settings(view, j, GRID)
    if found is None:
        return None
    values, share, names = found
    x = np.array(
        [
            _set(points, ((view.places[j], value),))
            for value in values
            for points in [view.some(EFFECT_ROWS, len(values) * EFFECTS)]
        ]
    )
    centred = np.eye(len(values)) - share
    out: dict[str, Any] = {"column": view.columns[j], "shape": shape(view.lift(j)), "levels": names}
    out |= {"values": values[:, 0].tolist() if names is None else None, "share": share.tolist()}
    if said is not None:
        value, sd = said.contrasts(x, centred)
        half = TWO_SIDED * sd
        return out | {"effect": [value.tolist()], "low": (value - half).tolist(), "high": (value + half).tolist()}
    mean = view.value(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1).mean(axis=1)
    return out | {"effect": mean.T.tolist(), "low": None, "high": None}


def _surface(view: _View, j: int, k: int, share: float) -> dict[str, Any] | None:
    """The target averaged over all but two columns, less its mean: of the class whose probability moves most."""
    one, two = _settings(view, j, SURFACE_GRID), _settings(view, k, SURFACE_GRID)
    if one is None or two is None:
        return None
    points = view.some(SURFACE_ROWS, len(one[0]) * len(two[0]) * SURFACES)
    cells = [
        view.value(_set(points, ((view.places[j], a), (view.places[k], b)))).mean(axis=0)
        for b in two[0]
        for a in one[0]
    ]
    surface = np.array(cells).reshape(len(two[0]), len(one[0]), -1)
    which = int(surface.std(axis=(0, 1)).argmax())
    chosen = surface[:, :, which]
    axes = [
        {"column": view.columns[c], "shape": shape(view.lift(c)), "levels": found[2]}
        | {"values": found[0][:, 0].tolist() if found[2] is None else None}
        for c, found in ((j, one), (k, two))
    ]
    level = chosen if isinstance(view.law, ClassLaw) else chosen - float(two[1] @ chosen @ one[1])
    return {"x": axes[0], "y": axes[1], "share": share, "output": which, "value": level.tolist()}


def _set(points: Array, values: tuple[tuple[Index, Array], ...]) -> Array:
    out = points.copy()
    for at, value in values:
        out[:, at] = value
    return out
