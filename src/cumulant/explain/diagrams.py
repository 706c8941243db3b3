"""A prediction as a sum of diagrams: each term of the mean is a vertex where other fields meet the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.diagrams import Diagram
from cumulant.diagrams.draw import Drawing, page
from cumulant.diagrams.raster import png, save
from cumulant.errors import OptionError
from cumulant.explain.loops import LoopSum, loops_of
from cumulant.lift import Boolean, Categorical
from cumulant.model.rows import given_rows
from cumulant.solve.field.law import FieldLaw
from cumulant.solve.field.member import Member
from cumulant.solve.field.several import FieldsLaw
from cumulant.solve.fluctuation_law import FluctuationLaw
from cumulant.solve.linear import conditional
from cumulant.solve.one_point import Vertex, in_a_row, over_rows
from cumulant.solve.polynomial_law import PolynomialLaw
from cumulant.solve.taylor_law import TaylorLaw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.model import Model
    from cumulant.solve.law import Law

    Array = NDArray[np.float64]

__all__ = ["DiagramSum", "diagrams_of"]


@dataclass(frozen=True, eq=False)
class DiagramSum:
    """The diagrams of a target, largest first; a notebook draws them.

    Parameters
    ----------
    target
        The column.
    constant
        What is predicted when every diagram is zero: the mean, in the units of the target.
    terms
        Names of the fields that meet the target at each vertex. In an interacting theory δy is how far the mean of an
        unknown field, or of the target itself, is off the line that linear regression draws.
    sizes
        What each diagram adds to the prediction, or, of no row in particular, its standard deviation over rows.
    of_a_row
        Whether the sizes are those of one row.
    shown
        How many are drawn.
    inside
        Unknown fields whose lines close at each vertex: none in a tree, two in a loop, three in two loops.
    """

    target: str
    constant: float
    terms: tuple[tuple[str, ...], ...]
    sizes: tuple[float, ...]
    of_a_row: bool
    shown: int
    inside: tuple[tuple[str, ...], ...]

    @property
    def prediction(self) -> float:
        """The sum of the diagrams and the constant; NaN where they are of no row in particular."""
        return self.constant + sum(self.sizes) if self.of_a_row else float("nan")

    @property
    def counts(self) -> dict[str, Any]:
        """How many are drawn, and of how many, as plain data."""
        return {"shown": min(self.shown, len(self.terms)), "of": len(self.terms)}

    @property
    def table(self) -> pd.DataFrame:
        """Sizes by term, and the loops of each."""
        import pandas as pd

        index = pd.Index(self.labels, name="meets the target", dtype=object)
        return pd.DataFrame(
            {"size": self.sizes, "loops": [max(len(names) - 1, 0) for names in self.inside]}, index=index
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """What meets the target at each vertex, in words: ``a·b``, and ``a·⟨b·b⟩`` where b closes a loop."""
        return tuple(
            "·".join([*names, *([_closed(inner)] if inner else [])]) or f"ends of {self.target}"
            for names, inner in zip(self.terms, self.inside, strict=True)
        )

    def svg(self) -> str:
        """The largest diagrams as one SVG image."""
        rows = list(zip(self.terms, self.inside, self.sizes, strict=True))[: self.shown]
        return page([self._drawing(*row) for row in rows], columns=3)

    def _drawing(self, names: tuple[str, ...], inner: tuple[str, ...], size: float) -> Drawing:
        words = _closed(inner) if inner else "" if names else f"ends of {self.target}"
        caption = f"{self._caption(size)}   {words}".rstrip()
        return Drawing(_diagram(len(names), len(inner)), [*names, self.target], caption, left=len(names))

    def png(self, theme: str = "light") -> bytes:
        """The same as a PNG image, ``"light"`` or ``"dark"``; SVG follows the page."""
        return png(self.svg(), theme)

    def save(self, path: str | Path, *, theme: str = "light") -> None:
        """Write the drawing as an .svg or .png file, atomically; ``theme`` is of a .png.

        Raises
        ------
        OptionError
            The name ends otherwise.
        """
        save(path, self.svg(), theme)

    def _caption(self, size: float) -> str:
        if not self.of_a_row:
            return f"{'∓' if size < 0 else '±'} {abs(size):.3g}"
        return f"{size:+.3g}".replace("-", "−")

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        rows = list(zip(self.labels, self.sizes, strict=True))
        width = max((len(label) for label, _ in rows), default=0)
        head = f"{self.target}: {self.constant:.6g} where all diagrams are zero"
        lines = [f"  {label:{width}} ── {self.target}  {self._caption(size)}" for label, size in rows[: self.shown]]
        if len(rows) > self.shown:
            rest = sum(size for _, size in rows[self.shown :])
            lines.append(
                f"  and {len(rows) - self.shown:,} more" + (f", together {rest:+.3g}" if self.of_a_row else "")
            )
        if self.of_a_row:
            lines.append(f"  sum: {self.prediction:.6g}")
        return "\n".join([head, *lines])

    __repr__ = __str__


def diagrams_of(
    model: Model, target: str, given: Mapping[str, Any] | None = None, *, shown: int = 12
) -> DiagramSum | LoopSum:
    """The diagrams that a prediction of ``target`` is the sum of; of a network, those of its finite width.

    Parameters
    ----------
    model
        The model.
    target
        A column of numbers, or true/false.
    given
        What is known of one row; None for sizes over all rows.
    shown
        How many diagrams to draw.

    Raises
    ------
    OptionError
        The target is a category, or no diagram is to be drawn.
    """
    if shown < 1:
        raise OptionError(f"shown={shown!r}: at least one diagram must be drawn")
    lift = model.schema.lifts[model.schema.position(target)]
    if isinstance(lift, Categorical) and not isinstance(lift, Boolean):
        raise OptionError(f"column '{target}' is a category; ask for the diagrams of a column of numbers")
    row = None if given is None else given_rows(model.schema, given, [target])
    at = int(model.schema.independent_of(target)[0])
    law = model.law.background if isinstance(model.law, FluctuationLaw) else model.law
    network = _network(law, at)
    if network is not None:
        return loops_of(network, target, row)
    names = model.fields
    legs: Sequence[str] = names
    if isinstance(law, PolynomialLaw):
        names, i = law.action.columns, int(law.visible[at])
        full = None if row is None else law.full(row)[0]
        constant, found = over_rows(law, i) if full is None else in_a_row(law, i, full)
        # An unknown field has no value at a leg, but a mean that is off its line.
        unknown = np.arange(len(names)) == i if full is None else np.isnan(full)
        legs = [f"δ{name}" if absent else name for name, absent in zip(names, unknown, strict=True)]
    elif isinstance(law, TaylorLaw) and int(law.visible[at]) == law.target:
        constant, found = _of_polynomial(law, row)
    else:
        constant, found = _of_lines(model, at, row)
    ordered = sorted(found.items(), key=lambda item: -abs(item[1]))
    terms = tuple(tuple(legs[f] for f in vertex.legs) for vertex, _ in ordered)
    inside = tuple(tuple(names[f] for f in vertex.inside) for vertex, _ in ordered)
    return DiagramSum(target, constant, terms, tuple(size for _, size in ordered), given is not None, shown, inside)


def _network(law: Law, at: int) -> FieldLaw | None:
    """The law of the field ``at`` if that is a network of finite width."""
    for one in law.laws if isinstance(law, FieldsLaw) else (law,):
        if isinstance(one, FieldLaw) and int(one.visible[at]) == one.target:
            member = one.members[0]
            return one if isinstance(member, Member) and member.widths else None
    return None


def _of_lines(model: Model, at: int, row: Array | None) -> tuple[float, dict[Vertex, float]]:
    """Second order: a line from each known field to the target."""
    g = model.gaussian
    others = np.setdiff1d(np.arange(len(model.fields)), model.schema.independent_of(_column(model, at)))
    known = others if row is None else others[~np.isnan(row[0, others])]
    beta = conditional(g.covariance, known, np.array([at]), g.low).coefficients[:, 0]
    size = np.sqrt(np.diag(g.covariance)[known]) if row is None else row[0, known] - g.mean[known]
    return float(g.mean[at]), {Vertex((int(f),)): float(b * s) for f, b, s in zip(known, beta, size, strict=True)}


def _column(model: Model, at: int) -> str:
    return model.columns[int(model.schema.column_of_field[model.schema.independent[at]])]


def _of_polynomial(law: TaylorLaw, row: Array | None) -> tuple[float, dict[Vertex, float]]:
    """Each monomial of the mean: a vertex. Fields that are fixed are part of the vertex and have no leg."""
    place = {int(f): i for i, f in enumerate(law.visible)}
    constant = float(law.terms.mean[-1])
    sizes = law.spread() if row is None else law.contributions(law.full(row))[0]
    found: dict[Vertex, float] = {}
    for factors, size in zip(law.lifted.terms, sizes, strict=True):
        legs = tuple(place[int(f)] for f in factors if int(f) in place)
        if not legs and row is not None:
            constant += float(size)
        elif legs:
            found[Vertex(legs)] = found.get(Vertex(legs), 0.0) + float(size)
    return constant, found


def _diagram(inputs: int, closed: int = 0) -> Diagram:
    """A line for one input; a vertex where more meet the target or lines close: two in a loop, three in a vertex."""
    if inputs == 1 and not closed:
        return Diagram.of(2, [], [(0, 1)])
    at = inputs + 1
    legs = [(leg, at) for leg in range(at)]
    if closed == 3:
        return Diagram.of(at, [at + 3, 3], [*legs, *[(at, at + 1)] * 3])
    return Diagram.of(at, [at + closed], [*legs, *[(at, at)] * (closed // 2)])


def _closed(names: Sequence[str]) -> str:
    return f"⟨{'·'.join(names)}⟩"
