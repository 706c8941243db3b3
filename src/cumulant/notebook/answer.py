"""What the notebook answers: couplings, their standard errors, the page they come from and where it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError
from cumulant.notebook.deltas import standard_errors
from cumulant.notebook.families import FAMILIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.notebook.families import Shape
    from cumulant.notebook.page import Page

    Array = NDArray[np.float64]

__all__ = ["Answer"]


@dataclass(frozen=True, eq=False)
class Answer:
    """Couplings of a class, looked up.

    Parameters
    ----------
    page
        The page that answered.
    couplings
        Numbers or arrays by name.
    moments
        What they were looked up from.
    count
        Rows behind the moments, if known.
    columns
        Columns that play the part of the page's fields, in its order.
    shape
        Sizes of a class of any number of fields.
    order
        Place of each of `columns` among those of the moments (p,).
    """

    page: Page
    couplings: Mapping[str, Any]
    moments: Mapping[str, Any]
    count: float | None = None
    columns: tuple[str, ...] = ()
    shape: Shape = ()
    order: NDArray[np.int64] | None = None

    @cached_property
    def errors(self) -> dict[str, Any]:
        """Standard error of each coupling, by the delta method; empty where the number of rows is not known."""
        if self.count is None:
            return {}
        return standard_errors(self.page, self.couplings, self.moments, self.count)

    @property
    def valid(self) -> str | None:
        """None where the moments lie in the domain of the page; otherwise what to do."""
        return self.page.outside(self.moments)

    @property
    def precision(self) -> Array:
        """K (p, p) of a Gaussian class, fields in the order of the columns of the moments.

        Raises
        ------
        OptionError
            The class is not Gaussian.
        """
        family = self.page.solves.family
        if family not in FAMILIES:
            raise OptionError(
                f"page '{self.page.name}' is no Gaussian class and has no precision matrix; see .couplings"
            )
        K = FAMILIES[family].expand(self.couplings, self.shape)
        if self.order is None:
            return K
        out = np.empty_like(K)
        out[np.ix_(self.order, self.order)] = K
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain data: page, couplings, errors, moments, count, columns."""
        return {
            "page": self.page.name,
            "title": self.page.title,
            "couplings": dict(self.couplings),
            "errors": self.errors,
            "moments": dict(self.moments),
            "count": self.count,
            "columns": list(self.columns),
        }

    def __str__(self) -> str:
        lines = [f"{self.page.title} (page {self.page.name})"]
        for coupling in self.page.couplings:
            value, error = self.couplings[coupling.name], self.errors.get(coupling.name)
            # Adding zero takes the sign off a zero.
            shown = f"{value + 0.0:.6g}" if np.ndim(value) == 0 else np.array2string(np.asarray(value), precision=4)
            if error is not None and np.ndim(value) == 0:
                shown += f" ± {error:.2g}"
            lines.append(f"  {coupling.name} = {shown}  {coupling.meaning}")
        return "\n".join(lines)

    __repr__ = __str__
