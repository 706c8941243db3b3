"""How strongly columns hang together, whatever their kind: one number per pair, and an order to show them in.

The measure is Linfoot's informational correlation r = √(1 − exp(−2 I)) of the mutual information I. For two columns of
numbers it is the size of their correlation (of their partial correlation, when I is taken at fixed values of all other
columns); for a category it gathers all its indicator fields in one number that no choice of reference can change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.solve.structured import SymmetricLaw
from cumulant.symmetry.reduced import MOST_DENSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.model import Model

    Array = NDArray[np.float64]

__all__ = ["Links", "correlation_of", "link", "measured_covariance", "most_connected", "narrowed"]


@dataclass(frozen=True, eq=False)
class Links:
    """Strength of each pair of columns.

    Parameters
    ----------
    columns
        Names (k,), in an order that puts columns that hang together next to each other.
    total
        Informational correlation of each pair (k, k), between 0 and 1; with a sign where both are single fields. As
        measured: without the prior.
    direct
        The same at fixed values of all other columns of the model, with the prior.
    signed
        Which pairs have a sign (k, k).

    References
    ----------
    Linfoot, "An informational measure of correlation", Information and Control 1 (1957) 85.
    """

    columns: tuple[str, ...]
    total: Array
    direct: Array
    signed: NDArray[np.bool_]


def link(model: Model, columns: Sequence[str] | None = None) -> Links:
    """Links between some of the columns of a model (default all), all others still fixed in the direct ones.

    Examples
    --------
    >>> import cumulant as cm
    >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 4.0, 7.0]}, prior=None)
    >>> links = link(model)
    >>> bool(abs(links.total[0, 1] - 0.981) < 1e-3)
    True
    """
    names = _with_fields(model) if columns is None else list(columns)
    blocks = [model.schema.independent_of(name) for name in names]
    total = _strengths(_unit(measured_covariance(model)), blocks)
    # The covariance of some fields at fixed values of all others is the inverse of their block of K, and information
    # does not change under inversion; only the sign of the one coupling does.
    direct = _strengths(_unit(model.precision), blocks)
    single = np.array([len(block) == 1 for block in blocks], dtype=bool)
    signed = single[:, None] & single[None, :]
    direct[signed] *= -1.0
    for strengths in (total, direct):
        np.fill_diagonal(strengths, 1.0)
    order = arrange(np.abs(total))
    at = np.ix_(order, order)
    return Links(tuple(names[i] for i in order), total[at], direct[at], signed[at])


def most_connected(model: Model, fields: int) -> list[str]:
    """The columns of a wide model to show: as many as fill ``fields`` fields, in the order of the table.

    The target first, then those most correlated with it; without a target those most correlated with all others.
    """
    columns = _with_fields(model)
    sizes = {name: len(model.schema.independent_of(name)) for name in columns}
    if sum(sizes.values()) <= fields:
        return columns
    square = _unit(model.covariance) ** 2
    if model.target in columns:
        square = square[:, model.schema.independent_of(model.target)]
    score = {name: square[model.schema.independent_of(name)].sum() for name in columns}
    chosen: set[str] = set()
    room = fields
    for name in sorted(columns, key=lambda name: (name != model.target, -score[name])):
        if sizes[name] <= room:
            chosen.add(name)
            room -= sizes[name]
    return [name for name in columns if name in chosen]


def narrowed(model: Model, fields: int) -> Model:
    """A model too wide to write out, with all but some columns integrated out: the target and those nearest to it.

    Without a target the first columns: under a group that joins all of them any one is like another.
    """
    law = model.law
    if not isinstance(law, SymmetricLaw) or len(model.fields) <= MOST_DENSE:
        return model
    columns = _with_fields(model)
    if model.target is not None:
        at = model.schema.independent_of(model.target)
        near = (law.columns(at) ** 2).sum(axis=0)
        columns = sorted(columns, key=lambda n: (n != model.target, -near[model.schema.independent_of(n)].sum()))
    chosen, room = set[str](), fields
    for name in columns:
        room -= len(model.schema.independent_of(name))
        if room < 0:
            break
        chosen.add(name)
    note = (
        f"a covariance of {len(model.fields):,} fields is not written out: everything here is of {len(chosen)} "
        "columns, all others integrated out; model.summary(target) has a regression on all of them"
    )
    shown = model.marginal([name for name in model.columns if name in chosen])
    return replace(shown, notes=(*shown.notes, note))


def _with_fields(model: Model) -> list[str]:
    """All columns but wide categories, which have no place in a covariance."""
    return [name for i, name in enumerate(model.columns) if i not in model.schema.wide]


def measured_covariance(model: Model) -> Array:
    """Covariance of the fields as it was measured, whatever prior the model has (p, p)."""
    g = model.gaussian
    return g.covariance if g.measured is None else g.measured


def correlation_of(covariance: Array) -> Array:
    """The covariance in units of standard deviations (p, p); 0 off the diagonal for a constant field."""
    r = _unit(covariance)
    np.fill_diagonal(r, 1.0)
    return r


def arrange(strength: Array) -> list[int]:
    """An order of the columns in which neighbours are alike: leaves of a tree of average linkage, optimally turned.

    References
    ----------
    Bar-Joseph, Gifford & Jaakkola, "Fast optimal leaf ordering for hierarchical clustering", Bioinformatics 17 (2001).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(strength) < 3:
        return list(range(len(strength)))
    distance = 1 - np.clip((strength + strength.T) / 2, 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [int(i) for i in leaves_list(tree)]


def _strengths(r: Array, blocks: list[NDArray[np.int64]]) -> Array:
    """Informational correlation of each pair of blocks of a matrix of unit diagonal; signed where both are single."""
    k = len(blocks)
    out = np.zeros((k, k))
    single = [i for i, block in enumerate(blocks) if len(block) == 1]
    heads = [blocks[i][0] for i in single]
    out[np.ix_(single, single)] = r[np.ix_(heads, heads)]
    alone = [_log_determinant(r, block) for block in blocks]
    for i, a in enumerate(blocks):
        for j in range(i):
            if len(a) and len(blocks[j]) and not len(a) == len(blocks[j]) == 1:
                together = _log_determinant(r, np.concatenate([a, blocks[j]]))
                # Rounding can leave the determinant of the whole slightly above the product of its parts.
                out[i, j] = out[j, i] = np.sqrt(-np.expm1(min(together - alone[i] - alone[j], 0.0)))
    return np.clip(out, -1.0, 1.0)


def _log_determinant(r: Array, block: NDArray[np.int64]) -> float:
    """ln det of the block over the fields that vary in it; a determined field counts as rounding."""
    block = block[np.diag(r)[block] > 0]
    w = np.linalg.eigvalsh(r[np.ix_(block, block)])
    return float(np.log(np.maximum(w, np.finfo(float).eps)).sum())


def _unit(matrix: Array) -> Array:
    """The matrix scaled to a diagonal of one; rows and columns of zeros stay as they are."""
    diagonal = np.diag(matrix)
    inverse = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 0.0)
    return np.asarray(matrix * inverse[:, None] * inverse[None, :])
