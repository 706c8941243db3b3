"""One field of many rows, as it predicts and as it is written: the twin of `Member`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.solve.field.evidence import Hyper
from cumulant.solve.field.partition import Partition
from cumulant.solve.field.scale import Scale
from cumulant.solve.field.split import Coarse, Split
from cumulant.solve.field.temperature import Temperature, nearest_means
from cumulant.solve.shapes import Shape, from_state
from cumulant.theory.propagators import from_plain, to_plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SplitMember"]


@dataclass(frozen=True, eq=False)
class SplitMember:
    """A field of the mixture that was conditioned in blocks.

    Parameters
    ----------
    split
        The field.
    heat
        t² of each row, left out (n,), in the order of ``split.rows``.
    temperature
        How strong fluctuations are near a row.
    scale, shape, weight
        As of a `Member`.
    """

    split: Split
    heat: Array
    temperature: Temperature
    scale: Scale
    shape: Shape
    weight: float

    @property
    def hyper(self) -> Hyper:
        """Propagator, metric and noise."""
        return self.split.coarse.hyper

    @property
    def rows(self) -> Array:
        """Mapped rows that it was conditioned on (n, r)."""
        return self.split.rows

    def mean(self, x: Array) -> Array:
        """Latent mean field (n,) at standardised inputs (n, p)."""
        return self.split.mean(self.hyper.mapped(x))

    def latent(self, blocks: list[Array]) -> tuple[Array, Array]:
        """Latent mean (n,) and variance of a new value (n,), for blocks of standardised inputs."""
        z = self.hyper.mapped(np.concatenate(blocks))
        variance = self.split.amplitude * self.split.variance(z)
        tau = np.empty(len(z))
        for b, here in self.split.partition.deal(z):
            own = self.split.block(b)
            count = (self.temperature.neighbours,)
            tau[here] = nearest_means(z[here], self.split.rows[own], self.heat[own], count)[:, 0]
        return self.split.mean(z), self.temperature(variance, tau)

    def response(self, x: Array) -> Array:
        """∇ of the latent mean field (n, p) at standardised inputs (n, p)."""
        return self.hyper.pulled(self.split.response(self.hyper.mapped(x)))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data that determine it."""
        h, s, f = self.hyper, self.scale, self.split
        arrays = {
            "metric": h.metric, "amplitudes": h.amplitudes, "centres": f.coarse.centres, "root": f.coarse.root,
            "directions": f.partition.directions, "cuts": f.partition.cuts, "rows": f.rows, "edges": f.edges,
            "dual": f.dual, "weights": f.weights, "posterior": f.posterior, "heat": self.heat,
        }  # fmt: skip
        t = self.temperature
        meta = {
            "parts": [to_plain(part) for part in h.parts],
            "noise": h.noise,
            "amplitude": f.amplitude,
            "temperature": [t.neighbours, t.by_variance, t.by_heat],
            "scale": [s.kind, s.power, s.unit, s.shift, s.width],
            "shape": self.shape.state(),
            "weight": self.weight,
        }
        return arrays, meta

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> SplitMember:
        """The member that `to_state` described."""
        a = {name: np.ascontiguousarray(each) for name, each in arrays.items()}
        parts = tuple(from_plain(part) for part in meta["parts"])
        hyper = Hyper(parts, a["amplitudes"], a["metric"], float(meta["noise"]))
        coarse = Coarse(hyper, a["centres"], a["root"])
        partition = Partition(a["directions"], a["cuts"])
        found = Split(
            coarse, partition, a["rows"], a["edges"], a["dual"], a["weights"], a["posterior"], float(meta["amplitude"])
        )
        neighbours, by_variance, by_heat = meta["temperature"]
        temperature = Temperature(int(neighbours), float(by_variance), float(by_heat))
        shape = from_state([float(number) for number in meta["shape"]])
        return cls(found, a["heat"], temperature, Scale(*meta["scale"]), shape, float(meta["weight"]))
