"""One field conditioned on rows, as it predicts and as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.measure.threads import cores, one_blas_thread
from cumulant.solve.field.bend import Bend
from cumulant.solve.field.conditioning import carried, factored, propagated
from cumulant.solve.field.evidence import LEAST_NOISE, LEVEL, Hyper
from cumulant.solve.field.one_loop import Corrected, OneLoop
from cumulant.solve.field.scale import Scale
from cumulant.solve.field.strength import Strength
from cumulant.solve.shapes import Shape, from_state
from cumulant.source.threads import in_order
from cumulant.theory.networks import NNGP
from cumulant.theory.propagators import from_plain, to_plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Member"]

# Up to so many rows the factor of a member is kept once it was needed; of more it is found again for each question.
KEPT_ROWS = 2000
# Numbers in a propagator that one thread is given.
ALONE = 1 << 20
# No latent variance is below this part of the amplitude: rounding.
LEAST_VARIANCE = 1e-12
# The first order in 1/width takes a variance no further down than to this part of it.
LEAST_CORRECTED = 0.25


@dataclass(frozen=True, eq=False)
class Member:
    """A field of the mixture.

    Parameters
    ----------
    hyper
        Its propagator, metric and noise.
    rows
        Standardised inputs it was conditioned on (n, p).
    relative
        Noise of each of them over the typical one (n,).
    dual
        (K + N)⁻¹ z of the target's latent values z (n,).
    amplitude
        What its propagator is in units of.
    scale
        The latent scale of the target.
    shape
        The distribution of a new value over its predictive standard deviation.
    weight
        In the mixture.
    strength
        The fluctuation's, where it varies.
    widths
        Of each hidden layer of a network whose mean and variance are corrected to first order in 1/width.
    """

    hyper: Hyper
    rows: Array
    relative: Array
    dual: Array
    amplitude: float
    scale: Scale
    shape: Shape
    weight: float
    strength: Strength | None = None
    widths: tuple[int, ...] = ()

    @cached_property
    def _z(self) -> Array:
        return self.hyper.mapped(self.rows)

    @cached_property
    def _kept_root(self) -> Array:
        return self._root()

    @cached_property
    def one_loop(self) -> OneLoop:
        """The network as one of finite width."""
        from scipy.linalg import lapack

        net = self.hyper.parts[0]
        if not isinstance(net, NNGP) or len(self.hyper.parts) > 1:
            raise TypeError(f"{net!r} has no width")
        inverse = lapack.dpotri(self._kept_root, lower=1)[0]
        inverse += np.tril(inverse, -1).T
        return OneLoop(net, self.widths, self._z, self.dual / np.sqrt(self.amplitude), inverse)

    def corrected(self, x: Array) -> Corrected:
        """First order in 1/width of the latent mean and variance at standardised inputs (n, p)."""
        z = self.hyper.mapped(x)
        return self.one_loop.at(z, self.hyper.propagator(z, self._z)).times(self.amplitude)

    def _root(self) -> Array:
        matrix = propagated(self.hyper.propagator, self._z)
        matrix.flat[:: len(matrix) + 1] += self.hyper.noise * self.relative + LEAST_NOISE
        root = factored(matrix)
        if root is None:
            raise FloatingPointError("a propagator that had a factor has none")
        return root

    def mean(self, x: Array) -> Array:
        """Latent mean field (n,) at standardised inputs (n, p), of a network at infinite width."""
        k, rows, z = self.hyper.propagator, self._z, self.hyper.mapped(x)
        threads = cores() if len(z) * len(rows) > ALONE else 1
        with one_blas_thread():
            parts = in_order(lambda some: carried(k, some, rows, self.dual), np.array_split(z, threads), threads)
            return np.concatenate(list(parts))

    def latent(self, blocks: list[Array]) -> tuple[Array, Array]:
        """Latent mean (n,) and variance of a new value (n,), for blocks of standardised inputs."""
        from scipy.linalg import lapack

        root = self._kept_root if len(self.rows) <= KEPT_ROWS else self._root()
        k, means, variances = self.hyper.propagator, [], []
        for x in blocks:
            z = self.hyper.mapped(x)
            cross = k(z, self._z)
            means.append(cross @ self.dual)
            explained = lapack.dtrtrs(root, cross.T, lower=1, overwrite_b=1)[0]
            left = k.diagonal(z) - np.einsum("ij,ij->j", explained, explained) + self.hyper.noise
            variance = self.amplitude * np.maximum(left, LEAST_VARIANCE)
            if self.widths:
                first = self.corrected(x)
                means[-1] = means[-1] + first.mean.total
                variance = np.maximum(variance + first.variance.total, LEAST_CORRECTED * variance)
            variances.append(variance if self.strength is None else variance * self.strength.factor(x, means[-1]))
        return np.concatenate(means), np.concatenate(variances)

    def response(self, x: Array) -> Array:
        """∇ of the latent mean field (n, p) by inputs on their scales, at standardised inputs (n, p)."""
        return self.hyper.pulled(self.hyper.propagator.gradient(self.hyper.mapped(x), self._z, self.dual))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and plain data, but for the rows."""
        h, s = self.hyper, self.scale
        arrays = {"metric": h.metric, "amplitudes": h.amplitudes, "dual": self.dual, "relative": self.relative}
        meta = {
            "parts": [to_plain(part) for part in h.parts],
            "noise": h.noise,
            "amplitude": self.amplitude,
            "scale": [s.kind, s.power, s.unit, s.shift, s.width],
            "shape": self.shape.state(),
            "weight": self.weight,
            "widths": list(self.widths),
            "level": h.level,
        }
        if h.bend is not None:
            arrays["bend"] = h.bend.to_state()
        if self.strength is not None:
            more, meta["strength"] = self.strength.to_state()
            arrays |= {f"strength.{name}": value for name, value in more.items()}
        return arrays, meta

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any], rows: Array) -> Member:
        """The member that `to_state` described."""
        parts = tuple(from_plain(part) for part in meta["parts"])
        bend = Bend.from_state(arrays["bend"]) if "bend" in arrays else None
        hyper = Hyper(
            parts, arrays["amplitudes"], arrays["metric"], float(meta["noise"]), bend, float(meta.get("level", LEVEL))
        )
        shape = from_state([float(number) for number in meta["shape"]])
        # The same layout, so that products are rounded the same.
        rows, strength = np.ascontiguousarray(rows), None
        if "strength" in meta:
            own = {name.removeprefix("strength."): a for name, a in arrays.items() if name.startswith("strength.")}
            strength = Strength.from_state(own, meta["strength"], rows)
        return cls(
            hyper, rows, arrays["relative"], arrays["dual"], float(meta["amplitude"]), Scale(*meta["scale"]), shape,
            float(meta["weight"]), strength, tuple(meta.get("widths", ())),
        )  # fmt: skip
