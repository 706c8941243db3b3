"""The law of a target that is a field of the other columns: p(x) Gaussian, p(y | x) a mixture of fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.field.density import Component, Mixed
from cumulant.solve.field.left_out import LeftOut
from cumulant.solve.field.member import Member
from cumulant.solve.field.split_member import SplitMember
from cumulant.solve.gaussian import GaussianLaw
from cumulant.solve.target_law import TargetLaw
from cumulant.symmetry import Declared
from cumulant.symmetry.quotient import Quotient
from cumulant.symmetry.reduced import declared_from, state_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["FieldLaw"]

# Numbers in the propagator between new rows and those conditioned on that are held at once.
BLOCK = 1 << 22
# New rows at once where their propagators are not held all together.
AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class FieldLaw(TargetLaw):
    """A law of p fields; a `cumulant.solve.law.Law`.

    Parameters
    ----------
    base, target, visible, fixed
        As for every `TargetLaw`.
    inputs
        The fields that the target is a function of.
    centre, width
        Of each input, before it is compared.
    members
        The fields on function space that are mixed.
    left_out
        What they say of each row that they were conditioned on, from the others; None in files that do not tell.
    quotient
        The inputs up to a group, if one acts on them: its coordinates are then what is compared.
    mark
        What stands beside the inputs for this target (k,), where several are one field; see `equivariant`.
    """

    inputs: Index
    centre: Array
    width: Array
    members: tuple[Member | SplitMember, ...]
    left_out: LeftOut | None = None
    quotient: Quotient | None = None
    mark: Array | None = None

    def couplings(self, about: str) -> dict[tuple[int, ...], float]:
        """Those of F to second order; of higher order there are infinitely many."""
        return self.gaussian.couplings(about)

    # ------------------------------------------------------------------ prediction

    def mean_of(self, x: Array) -> Array:
        """⟨y | x⟩ (n,) for rows of all fields (n, p)."""
        if any(m.scale.kind != "identity" or (isinstance(m, Member) and m.widths) for m in self.members):
            return self.density_of(x, "").mean
        out = np.empty(len(x))
        for here, points, some in self._standardised(x, AT_ONCE):
            mean = sum(m.weight * m.scale.inverse(m.mean(some)) for m in self.members)
            out[here] = np.asarray(mean).reshape(len(here), points).mean(axis=1)
        return out

    def density_of(self, x: Array, name: str) -> Mixed:
        """A mixture; where inputs are not known, each field has its mean and variance over them."""
        first = self.members[0]
        most = max(1, BLOCK // max(len(first.rows), 1)) if isinstance(first, Member) else AT_ONCE
        blocks = list(self._standardised(x, most))
        components = []
        for m in self.members:
            mean, size = np.empty(len(x)), np.empty(len(x))
            latent, variance = m.latent([some for _, _, some in blocks]) if blocks else (mean, size)
            done = 0
            for here, points, some in blocks:
                part = slice(done, done + len(some))
                done += len(some)
                each, spread = latent[part].reshape(-1, points), variance[part].reshape(-1, points)
                mean[here] = each.mean(axis=1)
                size[here] = np.sqrt(spread.mean(axis=1) + each.var(axis=1))
            components.append(Component(m.weight, mean, size, m.shape, m.scale))
        return Mixed(name, tuple(components))

    def _standardised(self, x: Array, most: int) -> Iterator[tuple[Index, int, Array]]:
        for here, points, filled in self.filled(x, self.inputs, most):
            yield here, points, self.standardised(filled[:, self.inputs])

    def standardised(self, x: Array) -> Array:
        """Inputs (n, q), in their units, as members take them."""
        if self.quotient is not None:
            return self.quotient.folded((self.quotient.coordinates(x) - self.centre) / self.width)
        z = (x - self.centre) / self.width
        return z if self.mark is None else np.hstack([z, np.tile(self.mark, (len(z), 1))])

    # ------------------------------------------------------------------ files

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        arrays, base = self.base.to_state()
        arrays |= {"visible": self.visible, "fixed": self.fixed, "inputs": self.inputs, "centre": self.centre}
        arrays |= {"width": self.width} | ({} if self.mark is None else {"mark": self.mark})
        if isinstance(self.members[0], Member):
            arrays |= {"rows": self.members[0].rows}
        if self.left_out is not None:
            arrays |= {f"left_out.{name}": getattr(self.left_out, name) for name in ("y", "mean", "size")}
        members = []
        for i, member in enumerate(self.members):
            own, meta = member.to_state()
            arrays |= {f"member{i}.{name}": value for name, value in own.items()}
            members.append(meta)
        about: dict[str, Any] = {"target": self.target, "base": base, "members": members}
        if self.quotient is not None:
            own, about["group"] = state_of(Declared(self.quotient.group))
            arrays |= {f"group.{name}": value for name, value in own.items()}
        return arrays, about

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> FieldLaw:
        """The law that `to_state` described."""
        members: list[Member | SplitMember] = []
        for i, about in enumerate(meta["members"]):
            start = f"member{i}."
            own = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
            whole = "rows" in arrays
            members.append(
                Member.from_state(own, about, arrays["rows"]) if whole else SplitMember.from_state(own, about)
            )
        base = GaussianLaw.from_state(arrays, meta["base"])
        told = [arrays[f"left_out.{name}"] for name in ("y", "mean", "size") if f"left_out.{name}" in arrays]
        left_out = LeftOut(*told) if told else None
        quotient = None
        if "group" in meta:
            own = {name.removeprefix("group."): a for name, a in arrays.items() if name.startswith("group.")}
            quotient = Quotient(declared_from(own, meta["group"]).group)
        return cls(
            base, int(meta["target"]), arrays["visible"], arrays["fixed"], arrays["inputs"], arrays["centre"],
            arrays["width"], tuple(members), left_out, quotient, arrays.get("mark"),
        )  # fmt: skip
