"""What the finite width of a network does to a prediction: the diagrams with one quartic vertex, and their sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.diagrams import Diagram
from cumulant.diagrams.draw import Drawing, page
from cumulant.diagrams.raster import png, save
from cumulant.errors import OptionError
from cumulant.solve.field.member import Member
from cumulant.solve.field.one_loop import DIAGRAMS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cumulant.solve.field.law import FieldLaw

    Array = NDArray[np.float64]

__all__ = ["LoopSum", "loops_of"]

# Ends of the legs of each diagram of the mean and of the variance, at rows conditioned on or at a new one.
MEAN = (("rows", "x"), ("rows", "rows", "rows", "x"), ("rows", "x"))
VARIANCE = (("x", "x"), ("rows", "rows", "x", "x"), ("x", "x"))
LOOP = 2


@dataclass(frozen=True, eq=False)
class LoopSum:
    """The first order in 1/width of a prediction by a network, diagram by diagram; a notebook draws it.

    Parameters
    ----------
    target
        The column, as it is named, or on its latent scale.
    widths
        Units of each hidden layer.
    constant, variance
        Mean and predictive variance at infinite width; NaN and the average over rows, where it is of no row.
    terms
        Names of the diagrams.
    sizes, variance_sizes
        What each adds to the mean and to the variance; of no row in particular the root mean square over rows.
    errors
        Standard errors of both sums, from the draws of hidden units.
    of_a_row
        Whether the sizes are those of one row.
    """

    target: str
    widths: tuple[int, ...]
    constant: float
    variance: float
    terms: tuple[tuple[str, ...], ...]
    sizes: tuple[float, ...]
    variance_sizes: tuple[float, ...]
    errors: tuple[float, float]
    of_a_row: bool

    @property
    def prediction(self) -> float:
        """The mean and what the diagrams add to it; NaN where they are of no row in particular."""
        return self.constant + sum(self.sizes) if self.of_a_row else float("nan")

    @property
    def counts(self) -> dict[str, Any]:
        """How many are drawn, and of what network, as plain data."""
        return {"shown": len(self.terms), "of": len(self.terms), "widths": list(self.widths)}

    @property
    def table(self) -> pd.DataFrame:
        """What each diagram adds to mean and variance."""
        import pandas as pd

        index = pd.Index([name for (name,) in self.terms], name="diagram", dtype=object)
        return pd.DataFrame({"mean": self.sizes, "variance": self.variance_sizes}, index=index)

    def svg(self) -> str:
        """The diagrams of the mean, and below them those of the variance, as one SVG image."""
        drawings = [
            Drawing(_diagram(legs, loop=at == LOOP), legs, f"{what} {self._caption(size)}", left=_left(legs))
            for what, ends, sizes in (("mean", MEAN, self.sizes), ("variance", VARIANCE, self.variance_sizes))
            for at, (legs, size) in enumerate(zip(ends, sizes, strict=True))
        ]
        return page(drawings, columns=3)

    @property
    def inside(self) -> tuple[tuple[str, ...], ...]:
        """No column closes a loop: the units of the network do."""
        return ((),) * len(self.terms)

    def png(self, theme: str = "light") -> bytes:
        """The drawing as a PNG image, ``"light"`` or ``"dark"``."""
        return png(self.svg(), theme)

    def save(self, path: str | Path, *, theme: str = "light") -> None:
        """Write the drawing as an .svg or .png file, atomically; ``theme`` is of a .png."""
        save(path, self.svg(), theme)

    def _caption(self, size: float) -> str:
        return f"{size:+.3g}".replace("-", "−") if self.of_a_row else f"±{abs(size):.3g}"

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        units = ", ".join(f"{n:,}" for n in self.widths)
        width = max(len(name) for (name,) in self.terms)
        where = f" {self.constant:.6g}, variance {self.variance:.4g}" if self.of_a_row else ", over the rows"
        lines = [f"{self.target}: mean at infinite width{where}; to first order in 1/width, {units} units:"]
        for (name,), size, wider in zip(self.terms, self.sizes, self.variance_sizes, strict=True):
            lines.append(f"  {name:{width}}  mean {self._caption(size):>10}  variance {self._caption(wider):>10}")
        if self.of_a_row:
            mean, variance = (f"± {error:.1g}" for error in self.errors)
            total = self.variance + sum(self.variance_sizes)
            lines.append(f"  sum: mean {self.prediction:.6g} {mean}, variance {total:.4g} {variance}")
        return "\n".join(lines)

    __repr__ = __str__


def loops_of(law: FieldLaw, target: str, row: Array | None) -> LoopSum:
    """The diagrams of a network of finite width, on the scale on which the target is a field.

    Parameters
    ----------
    law
        A law of one network.
    target
        The column.
    row
        All fields of one row (1, p), NaN where unknown; None for the rows that it was conditioned on.

    Raises
    ------
    OptionError
        An input is not known.
    """
    member = law.members[0]
    if not isinstance(member, Member):
        raise TypeError("only a field that is conditioned on all rows at once has a width")
    if row is None:
        z = member.rows
    else:
        inputs = law.full(row)[:, law.inputs]
        if np.isnan(inputs).any():
            raise OptionError("diagrams of a network are those of a row whose inputs are all known; give them all")
        z = (inputs - law.centre) / law.width
    first, (mean, variance) = member.corrected(z), replace(member, widths=()).latent([z])
    scale = member.scale
    plain = scale.kind == "identity"
    # On a bent scale there is no one unit of the target.
    unit, level = (scale.unit * scale.width, scale.unit * scale.shift) if plain else (1.0, 0.0)
    sizes, wider = unit * first.mean.terms, unit**2 * first.variance.terms
    alone = row is not None
    if not alone:
        sizes, wider = (np.sqrt((each**2).mean(axis=1, keepdims=True)) for each in (sizes, wider))
    return LoopSum(
        target if plain else f"{target} as {scale.name}, standardised",
        member.widths,
        float(unit * mean[0] + level) if alone else float("nan"),
        float(unit**2 * variance.mean()),
        tuple((name,) for name in DIAGRAMS[:3]),
        tuple(sizes[:, 0].tolist()),
        tuple(wider[:, 0].tolist()),
        (float(unit * first.mean.error.max()), float(unit**2 * first.variance.error.max())),
        alone,
    )


def _left(legs: tuple[str, ...]) -> int:
    """Rows come in from the left; without them a line goes across."""
    return max(legs.count("rows"), 1)


def _diagram(legs: tuple[str, ...], *, loop: bool) -> Diagram:
    """One vertex where all legs meet, with a line back to it or without."""
    at, degree = len(legs), len(legs) + 2 * loop
    return Diagram.of(at, [degree], [(leg, at) for leg in range(at)] + [(at, at)] * loop)
