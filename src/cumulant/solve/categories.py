"""Wide categories beside Gaussian fields: their indicators are eliminated exactly, and never written out.

For a category of L levels the second moments of its indicators are diag(n) − n nᵀ/N, so fixing its level is a solve
with a diagonal: each level has its own mean, and the fields scatter within levels. That is the Schur complement of the
indicators, the *within* (absorption) estimator of fixed effects; q²L + q³ flops for q fields, where a dense solve takes
(L + q)³. A prior worth λ rows for each level draws the means of levels towards their common mean, by n/(n + λ): the
best linear unbiased prediction of a random effect. With several categories the one of most levels is eliminated so,
the others with a dense factor.

References
----------
Frisch & Waugh, Econometrica 1 (1933) 387; Henderson, Biometrics 31 (1975) 423, equations 3 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.measure import refuse_if_beyond_memory
from cumulant.solve.linear import independent_fields
from cumulant.solve.predictive import Fields
from cumulant.solve.repair import nearest_correlation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cumulant.measure import Moments

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Categories", "Given", "Table"]

CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class Table:
    """How often the levels of two categories meet: rows, columns and counts of the cells that are not empty."""

    first: Index
    second: Index
    counts: Array

    @property
    def transposed(self) -> Table:
        """The table the other way round."""
        return Table(self.second, self.first, self.counts)


@dataclass(frozen=True, eq=False)
class Categories:
    """What a model knows of its wide categories, beside the mean and covariance of its fields.

    Parameters
    ----------
    names
        The columns.
    counts
        For each category the rows of each level (L,), which sum to the rows of the model.
    sums
        For each category Σ (x − μ) over the rows of each level (L, p).
    tables
        For pairs of categories a < b, how often their levels meet.
    masses
        For each category the rows λ that the prior is worth.
    complete
        Whether no cell was missing; if one was, the numbers above are pairwise.
    """

    names: tuple[str, ...]
    counts: tuple[Array, ...]
    sums: tuple[Array, ...]
    tables: Mapping[tuple[int, int], Table]
    masses: tuple[float, ...]
    complete: bool

    @staticmethod
    def of(m: Moments, count: float) -> Categories:
        """The categories of all rows of some moments, as if there were ``count`` rows and no gap."""
        total = m.levels.merged_folds()
        lifts = m.schema.wide_lifts()
        x = 1 + len(m.presence) + m.schema.independent
        source = {c: 1 + i for i, c in enumerate(m.presence)}
        mask = np.array([source.get(int(c), 0) for c in m.schema.column_of_field[m.schema.independent]], dtype=np.int64)
        counts, sums = [], []
        for (by_level,) in total.sums:
            rows = by_level[:, 0]
            scale = count / rows.sum() if rows.sum() > 0 else 0.0
            # Where cells are missing, a mean over the rows where level and field are both present.
            present, first = by_level[:, mask], by_level[:, x]
            seen = present.sum(axis=0)
            centre = np.divide(first.sum(axis=0), seen, out=np.zeros(len(x)), where=seen > 0)
            mean = np.divide(first - present * centre, present, out=np.zeros_like(first), where=present > 0)
            counts.append(rows * scale)
            sums.append(mean * (rows * scale)[:, None])
        pairs = [(a, b) for a in range(len(lifts)) for b in range(a + 1, len(lifts))]
        tables = {}
        for (a, b), crossing in zip(pairs, total.crossings, strict=True):
            _, first_level, second_level = crossing.indices()
            tables[a, b] = _scaled(Table(first_level, second_level, crossing.weights), counts[a], counts[b])
        complete = not m.presence
        names = tuple(lift.name for lift in lifts)
        return Categories(names, tuple(counts), tuple(sums), tables, (0.0,) * len(names), complete)

    def counts_of(self, name: str) -> Array:
        """Rows of each level of one category (L,)."""
        return self.counts[self.names.index(name)]

    def table(self, a: int, b: int) -> Table:
        """How often the levels of category a meet those of category b."""
        return self.tables[a, b] if a < b else self.tables[b, a].transposed

    def select(self, names: Sequence[str], fields: Index) -> Categories:
        """Some of the categories, beside some of the fields."""
        kept = [self.names.index(name) for name in names if name in self.names]
        return Categories(
            tuple(self.names[c] for c in kept),
            tuple(self.counts[c] for c in kept),
            tuple(self.sums[c][:, fields] for c in kept),
            {(i, j): self.table(a, b) for i, a in enumerate(kept) for j, b in enumerate(kept) if i < j},
            tuple(self.masses[c] for c in kept),
            self.complete,
        )

    def known(self, codes: Index) -> Index:
        """Levels (n, categories) with -1 for those that no row told anything of."""
        out = codes.copy()
        for c, counts in enumerate(self.counts):
            here = codes[:, c]
            out[here >= 0, c] = np.where(counts[here[here >= 0]] > 0, here[here >= 0], -1)
        return out

    def given(self, fields: Fields, categories: Sequence[int]) -> Given:
        """The fields given the level of some categories."""
        self.refuse_if_too_many(len(fields.mean), categories)
        return _eliminated(self, fields, tuple(categories))

    def refuse_if_too_many(self, fields: int, categories: Sequence[int]) -> None:
        """Raise a ResourceError with the figure where levels beside the most numerous do not fit as a dense matrix."""
        order = _order(self, categories)
        others = sum(len(self.counts[c]) for c in order[1:])
        names = [repr(self.names[c]) for c in order]
        refuse_if_beyond_memory(
            # The matrix, scaled, its factor and its inverse.
            4 * (1 + others + fields) ** 2,
            f"{others:,} levels of {', '.join(names[1:])} beside those of {names[0]}",
            "leave one of the columns out, or lower levels=",
        )

    def chances(self, c: int, codes: Index) -> Array:
        """ln of the probability of each level of category c given levels of others (n, L).

        Others count as independent given c, each smoothed by one row that falls as all rows do: levels that never met
        are unlikely together, not impossible.
        """
        with np.errstate(divide="ignore"):
            out = np.tile(np.log(self.counts[c] / self.counts[c].sum()), (len(codes), 1))
        for b in range(len(self.names)):
            if b == c:
                continue
            here = np.flatnonzero(codes[:, b] >= 0)
            share = self.counts[b] / self.counts[b].sum()
            met = self._sparse(b, c)[codes[here, b]].toarray() + share[codes[here, b], None]
            out[here] += np.log(met / (self.counts[c] + 1))
        return out

    def _sparse(self, a: int, b: int) -> Any:
        """The table of two categories as a scipy matrix (L_a, L_b)."""
        from scipy.sparse import csr_matrix

        t = self.table(a, b)
        return csr_matrix((t.counts, (t.first, t.second)), shape=(len(self.counts[a]), len(self.counts[b])))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine these."""
        arrays: dict[str, NDArray[Any]] = {}
        for c in range(len(self.names)):
            arrays |= {f"categories.{c}.counts": self.counts[c], f"categories.{c}.sums": self.sums[c]}
        for (a, b), t in self.tables.items():
            stem = f"categories.{a}.{b}"
            arrays |= {f"{stem}.first": t.first, f"{stem}.second": t.second, f"{stem}.counts": t.counts}
        return arrays, {"names": list(self.names), "masses": list(self.masses), "complete": self.complete}

    @staticmethod
    def from_state(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Categories:
        """The categories that `to_state` described."""
        every = range(len(meta["names"]))
        tables = {
            (a, b): Table(*(arrays[f"categories.{a}.{b}.{name}"] for name in ("first", "second", "counts")))
            for a in every
            for b in every
            if a < b
        }
        return Categories(
            tuple(meta["names"]),
            tuple(arrays[f"categories.{c}.counts"] for c in every),
            tuple(arrays[f"categories.{c}.sums"] for c in every),
            tables,
            tuple(meta["masses"]),
            meta["complete"],
        )


@dataclass(frozen=True, eq=False)
class Given:
    """Fields given the levels of some categories: x = mean of the levels + what scatters within them.

    Parameters
    ----------
    categories
        Their numbers, the one that was eliminated by its diagonal first.
    fields
        What scatters within levels: mean 0, and parameters spent on levels counted in ``fixed``.
    constant
        Common part of the mean (p,).
    effects
        For each of ``categories`` what its levels add to that (L, p).
    pivots
        Rows of each level of the first category, prior included (L,); 0 where there are none.
    loads
        Share of each level of the first category that falls on the constant and on the levels of the other categories:
        the constant's (L,), and as a sparse (L, R) matrix or None.
    inverse
        Inverse of the second moments of constant and other levels once the first is eliminated (1 + R, 1 + R).
    starts
        Place of the first level of each other category among R.
    """

    categories: tuple[int, ...]
    fields: Fields
    constant: Array
    effects: tuple[Array, ...]
    pivots: Array
    loads: tuple[Array, Any]
    inverse: Array
    starts: tuple[int, ...]

    def centre(self, codes: Index) -> Array:
        """Mean of the fields at some levels (n, p), codes for all categories of the model."""
        out = np.tile(self.constant, (len(codes), 1))
        for c, effects in zip(self.categories, self.effects, strict=True):
            out += effects[codes[:, c]]
        return out

    def leverage(self, codes: Index) -> Array:
        """What the levels add to the variance of a prediction beyond the mean's 1/N, per unit of noise (n,)."""
        chosen = codes[:, list(self.categories)]
        # Rows repeat combinations of levels; each is worked out once, a bounded lot at a time.
        sizes = tuple(len(e) for e in self.effects)
        combinations, row = np.unique(np.ravel_multi_index(tuple(chosen.T), sizes), return_inverse=True)
        out = np.empty(len(combinations))
        step = max(1, CHUNK // len(self.inverse))
        for start in range(0, len(out), step):
            levels = np.column_stack(np.unravel_index(combinations[start : start + step], sizes))
            out[start : start + step] = self.uncertainty(*self.directions(levels))
        return out[row] - 1 / self.fields.count

    def directions(self, levels: Index) -> tuple[Array, Array]:
        """Rows (n, categories) as pivots' share (n,), and loads on constant and other levels (n, 1 + R)."""
        first = levels[:, 0]
        loads = np.zeros((len(levels), len(self.inverse)))
        loads[:, 0] = 1 - self.loads[0][first]
        if self.loads[1] is not None:
            loads[:, 1:] = -self.loads[1][first].toarray()
        for start, level in zip(self.starts, levels[:, 1:].T, strict=True):
            loads[np.arange(len(levels)), 1 + start + level] += 1
        return _over(1.0, self.pivots[first]), loads

    def uncertainty(self, pivot: Array, loads: Array) -> Array:
        """Variance per unit of noise of a combination of constant and levels, from its `directions`."""
        return np.asarray(pivot + ((loads @ self.inverse) * loads).sum(axis=1))


def patterns(codes: Index) -> Iterator[tuple[Index, tuple[int, ...]]]:
    """Groups of rows with the same categories known: rows, and which."""
    group = (codes >= 0) @ (1 << np.arange(codes.shape[1]))
    for bits in np.unique(group):
        yield np.flatnonzero(group == bits), tuple(c for c in range(codes.shape[1]) if bits >> c & 1)


def _order(k: Categories, categories: Sequence[int]) -> list[int]:
    """Categories as they are eliminated: the one of most levels first."""
    return sorted(categories, key=lambda c: (-len(k.counts[c]), c))


def _eliminated(k: Categories, fields: Fields, chosen: tuple[int, ...]) -> Given:
    order = _order(k, chosen)
    first, rest = order[0], order[1:]
    raw = fields.covariance if fields.measured is None else fields.measured
    degrees = max(fields.degrees, 1.0)
    n, mass = k.counts[first], k.masses[first]
    pivots = n + mass
    over = _over(1.0, pivots)
    table, starts = _beside(k, first, rest)
    gram, size = _second_moments(k, rest, raw * degrees, starts)
    r = size - 1
    loads, x_loads = n * over, k.sums[first] * over[:, None]
    # Eliminate the first category: its diagonal is all there is to invert.
    gram[0, 0] -= n @ loads
    gram[0, size:] -= loads @ k.sums[first]
    gram[size:, size:] -= k.sums[first].T @ x_loads
    if table is not None:
        scaled = table.multiply(over[:, None]).tocsr()
        gram[0, 1:size] -= scaled.T @ n
        gram[1:size, 1:size] -= (scaled.T @ table).toarray()
        gram[1:size, size:] -= scaled.T @ k.sums[first]
    gram[size:, 0], gram[1:size, 0], gram[size:, 1:size] = gram[0, size:], gram[0, 1:size], gram[1:size, size:].T
    own = np.concatenate([[fields.count], *(k.counts[c] + k.masses[c] for c in rest)])
    inverse = _inverse(gram[:size, :size], own, _determined(k, order, starts, size))
    shared = inverse @ gram[:size, size:]
    within = gram[size:, size:] - gram[:size, size:].T @ shared
    effects = x_loads - np.outer(loads, shared[0])
    if table is not None:
        effects -= scaled @ shared[1:]
    parts = [effects, *np.split(shared[1:], starts[1:])] if rest else [effects]
    measured = within - sum(k.masses[c] * (e.T @ e) for c, e in zip(order, parts, strict=True))
    spread = Given(
        tuple(order),
        fields,
        fields.mean + shared[0],
        tuple(parts),
        pivots,
        (loads, None if table is None else scaled),
        inverse,
        tuple(starts),
    )
    spent = _parameters(k, order, spread, r)
    return replace(spread, fields=_within(k, fields, raw, within / degrees, measured / degrees, spent, order))


def _within(
    k: Categories, fields: Fields, raw: Array, within: Array, measured: Array, spent: float, order: list[int]
) -> Fields:
    within = _not_negative(within)
    if not k.complete:
        within, measured = nearest_correlation(within)[0], nearest_correlation(_not_negative(measured))[0]
    prior = fields.mass > 0 or any(k.masses[c] > 0 for c in order)
    shrunk = within + fields.mass * np.diag(np.diag(raw))
    return replace(
        fields,
        mean=np.zeros(len(within)),
        covariance=shrunk / (1 + fields.mass),
        low=None,
        measured=_not_negative(measured) if prior else None,
        fixed=fields.fixed + spent,
    )


def _parameters(k: Categories, order: list[int], given: Given, r: int) -> float:
    """Coefficients of levels that the data determine, the constant not counted."""
    rank = float((np.diag(given.inverse) != 0).sum())
    first = order[0]
    out = float((given.pivots > 0).sum()) + rank - 1
    if k.masses[first] > 0:
        spread = np.zeros(len(given.pivots))
        for at in range(0, len(spread), max(1, CHUNK // (r + 1))):
            part = slice(at, at + max(1, CHUNK // (r + 1)))
            loads = given.loads[0][part, None]
            if given.loads[1] is not None:
                loads = np.hstack([loads, given.loads[1][part].toarray()])
            spread[part] = ((loads @ given.inverse) * loads).sum(axis=1)
        out -= k.masses[first] * float((_over(1.0, given.pivots) + spread).sum())
    for c, start in zip(order[1:], given.starts, strict=True):
        own = np.diag(given.inverse)[1 + start : 1 + start + len(k.counts[c])]
        out -= k.masses[c] * float(own.sum())
    return out


def _beside(k: Categories, first: int, rest: list[int]) -> tuple[Any, list[int]]:
    """How often levels of the first category meet those of all others (L, R), sparse; and where each starts."""
    sizes = [len(k.counts[c]) for c in rest]
    starts = [int(s) for s in np.concatenate([[0], np.cumsum(sizes[:-1])])] if rest else []
    if not rest:
        return None, starts
    from scipy.sparse import csr_matrix

    tables = [k.table(first, c) for c in rest]
    rows = np.concatenate([t.first for t in tables])
    columns = np.concatenate([start + t.second for start, t in zip(starts, tables, strict=True)])
    counts = np.concatenate([t.counts for t in tables])
    return csr_matrix((counts, (rows, columns)), shape=(len(k.counts[first]), sum(sizes))), starts


def _second_moments(k: Categories, rest: list[int], scatter: Array, starts: list[int]) -> tuple[Array, int]:
    """Second moments of constant, levels of other categories (with their prior) and fields; and where fields start."""
    r = sum(len(k.counts[c]) for c in rest)
    size = 1 + r
    gram = np.zeros((size + len(scatter), size + len(scatter)))
    gram[0, 0] = k.counts[0].sum()
    gram[size:, size:] = scatter
    for c, start in zip(rest, starts, strict=True):
        own = slice(1 + start, 1 + start + len(k.counts[c]))
        gram[0, own] = k.counts[c]
        gram[own, own] = np.diag(k.counts[c] + k.masses[c])
        gram[own, size:] = k.sums[c]
        for d, other in zip(rest, starts, strict=True):
            if d != c:
                t = k.table(c, d)
                gram[1 + start + t.first, 1 + other + t.second] = t.counts
    return gram, size


def _determined(k: Categories, order: list[int], starts: list[int], size: int) -> NDArray[np.bool_]:
    """Constant and other levels, but for those that others must copy: the indicators of a category sum to one."""
    out = np.ones(size, dtype=bool)
    out[0] = k.masses[order[0]] > 0
    for c, start in zip(order[1:], starts, strict=True):
        out[1 + start : 1 + start + len(k.counts[c])] = k.counts[c] + k.masses[c] > 0
        if not k.masses[c] > 0 and k.counts[c].any():
            out[1 + start + int(np.flatnonzero(k.counts[c])[0])] = False
    return out


def _inverse(a: Array, size: Array, candidates: NDArray[np.bool_]) -> Array:
    """Inverse over ``candidates`` that are no combination of others, judged against their ``size``; 0 elsewhere."""
    scale = _over(1.0, np.sqrt(size))
    at = np.flatnonzero(candidates)
    r = (a * scale[:, None] * scale[None, :])[np.ix_(at, at)]
    kept = independent_fields(r)
    at = at[kept]
    out = np.zeros_like(a)
    out[np.ix_(at, at)] = np.linalg.inv(r[np.ix_(kept, kept)])
    return np.asarray(out * scale[:, None] * scale[None, :])


def _scaled(table: Table, a: Array, b: Array) -> Table:
    """Counts with the margins a and b, where rows with a gap in either were not counted."""
    row, column = np.bincount(table.first, table.counts, len(a)), np.bincount(table.second, table.counts, len(b))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((a / row)[table.first] * (b / column)[table.second])
    return Table(table.first, table.second, table.counts * ratio)


def _not_negative(covariance: Array) -> Array:
    out = 0.5 * (covariance + covariance.T)
    diagonal = np.einsum("ii->i", out)
    diagonal[diagonal < 0] = 0.0
    return out


def _over(a: float | Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0)
