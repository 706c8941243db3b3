"""The rows of a table as a symmetry sees them: centred sums of products, fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import DataError
from cumulant.lift.schema import unknown_column
from cumulant.symmetry.catalogue import trivial
from cumulant.symmetry.likelihood import Score, scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments

    Array = NDArray[np.float64]

__all__ = ["MOST_FOLDS", "WIDE", "Rows"]

MOST_FOLDS = 10
# Beyond this the folds are merged into a few, and deviations are measured in units of each column.
WIDE = 300
FEW_FOLDS = 6
# Third cumulants of more columns are not looked at.
MOST_THIRDS = 40
# Eigenvalues of the correlation that are zero, relative to the largest.
SINGULAR = 1e-10


@dataclass(frozen=True, eq=False)
class Rows:
    """Centred sums of products, fold by fold, of columns that vary.

    Parameters
    ----------
    columns
        Names (p,).
    mean
        (p,), in the units of the sums.
    scatters
        Sums of products about the common mean (K, p, p).
    sums
        Sums of deviations from the common mean (K, p).
    counts
        Rows of each fold (K,).
    degrees
        Degrees of freedom of their total; with gaps, those of the pair of columns with the fewest rows.
    complete
        Whether no cell is missing.
    thirds
        Third cumulant of each fold times its rows (K, p, p, p), where third moments were measured.
    scale
        ``"covariance"`` or ``"correlation"``.
    notes
        What a reader should know.
    """

    columns: tuple[str, ...]
    mean: Array
    scatters: Array
    sums: Array
    counts: Array
    degrees: float
    complete: bool
    thirds: Array | None = None
    scale: str = "covariance"
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(m: Moments, columns: Sequence[str] | None = None) -> Rows:
        """The rows of moments, without columns that do not vary."""
        at = list(range(len(m.columns)))
        if columns is not None:
            place = {name: i for i, name in enumerate(m.columns)}
            for name in columns:
                if name not in place:
                    raise unknown_column(name, list(m.columns))
            at = [place[name] for name in columns]
        notes = []
        variance = np.diag(m.covariance)
        flat = [m.columns[i] for i in at if not variance[i] > 0]
        at = [i for i in at if variance[i] > 0]
        if flat:
            notes.append(f"left out, since constant: {', '.join(flat)}")
        if len(at) < 2 or m.total.degrees < 2:
            raise DataError(
                f"{m.count:.0f} rows of {len(at)} columns that vary are too few to show a symmetry; measure more"
            )
        pairs = m.total.pairs[np.ix_(at, at)]
        fewest = float(pairs.min())
        if not m.total.complete:
            notes.append(
                f"cells are missing: covariances are pairwise, and evidence is counted as if of {fewest:.0f} rows, "
                "the fewest that two columns share"
            )
        folds = [k for k in range(m.folds) if m.rows[k] > 0]
        pieces = [_fold(m, k, at) for k in folds]
        degrees = m.total.degrees if m.total.complete else fewest - 1
        if degrees < 2:
            raise DataError("two columns share fewer than 3 rows; drop one of them with columns=, or measure more rows")
        return Rows(
            tuple(m.columns[i] for i in at),
            m.mean[at],
            np.array([c for c, _, _ in pieces]),
            np.array([s for _, s, _ in pieces]),
            np.array([n for _, _, n in pieces]),
            float(degrees),
            m.total.complete,
            _thirds(m, folds, at),
            notes=tuple(notes),
        )

    @cached_property
    def scatter(self) -> Array:
        """Sum over folds (p, p), positive semidefinite."""
        total = self.scatters.sum(axis=0)
        if self.complete:
            return np.asarray(total)
        w, v = np.linalg.eigh(total)
        return np.asarray((v * np.maximum(w, 0.0)) @ v.T)

    @cached_property
    def covariance(self) -> Array:
        """(p, p)."""
        return np.asarray(self.scatter / self.degrees)

    @cached_property
    def rests(self) -> tuple[tuple[Array, float], ...]:
        """For each of the parts, scatter and degrees of freedom of all others; none where nothing can be held out."""
        return tuple(self._without(part) for part in self.parts) if len(self.parts) > 1 else ()

    def _without(self, part: Sequence[int]) -> tuple[Array, float]:
        """Scatter of all folds but some, about their own mean, and its degrees of freedom."""
        keep = [k for k in range(len(self.counts)) if k not in set(part)]
        n = float(self.counts[keep].sum())
        if n < 2:
            return np.zeros_like(self.scatter), 0.0
        shift = self.sums[keep].sum(axis=0) / n
        scatter = self.scatters[keep].sum(axis=0) - n * np.outer(shift, shift)
        return np.asarray(scatter), self.degrees * (n - 1) / (self.counts.sum() - 1)

    @cached_property
    def condition(self) -> float:
        """Condition number of the correlation; infinite where columns depend on each other linearly."""
        unit = self.units
        w = np.linalg.eigvalsh(self.covariance / np.outer(unit, unit))
        return float(w[-1] / w[0]) if w[0] > 0 else np.inf

    @property
    def singular(self) -> bool:
        """Whether columns depend on each other linearly, or so nearly that it cannot be told."""
        return self.condition * SINGULAR > 1

    @cached_property
    def log_determinant(self) -> float:
        """Of the covariance; -inf where it is singular."""
        sign, value = np.linalg.slogdet(self.covariance)
        return float(value) if sign > 0 else -np.inf

    @cached_property
    def units(self) -> Array:
        """Standard deviations (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @cached_property
    def standardised(self) -> Rows:
        """In units of standard deviations: what is symmetric then is so up to scale."""
        unit = self.units
        return replace(
            self,
            mean=self.mean / unit,
            scatters=self.scatters / np.outer(unit, unit),
            sums=self.sums / unit,
            scale="correlation",
        )

    @cached_property
    def parts(self) -> tuple[list[int], ...]:
        """Folds in groups: each alone, or a few together where the table is wide."""
        k = len(self.counts)
        most = MOST_FOLDS if len(self.columns) <= WIDE else FEW_FOLDS
        return tuple(list(range(i, k, most)) for i in range(min(k, most)))

    @cached_property
    def free(self) -> Score:
        """The score of no symmetry."""
        return scored(self, trivial(len(self.columns)))

    def in_units(self, unit: Array) -> Rows:
        """With each column divided by its unit (p,)."""
        square = np.outer(unit, unit)
        thirds = None if self.thirds is None else self.thirds / (square[:, :, None] * unit)
        return replace(
            self, mean=self.mean / unit, scatters=self.scatters / square, sums=self.sums / unit, thirds=thirds
        )


def _thirds(m: Moments, folds: Sequence[int], at: Sequence[int]) -> Array | None:
    if m.order < 3 or len(at) > MOST_THIRDS:
        return None
    estimates = [m.fold(k) for k in folds]
    return np.array([e.count * np.nan_to_num(e.cumulant(3)[np.ix_(at, at, at)]) for e in estimates])


def _fold(m: Moments, k: int, at: list[int]) -> tuple[Array, Array, float]:
    fold = m.fold(k)
    shift = np.nan_to_num(fold.mean[at] - m.mean[at])
    pairs = fold.pairs[np.ix_(at, at)]
    own = np.maximum(pairs - fold.count + fold.degrees, 0.0)
    # A fold in which two columns share one row or none has no covariance of them, and needs none.
    scatter = np.nan_to_num(fold.pairwise[np.ix_(at, at)]) * own + pairs * np.outer(shift, shift)
    return scatter, np.diag(pairs) * shift, fold.count
