"""Networks of finite width, to first order in 1/width: how the propagator of a layer fluctuates, and shifts.

Given the units of a layer, the next layer's are Gaussian with Ĝ_αβ = bias + (weight/n) Σ_j φ(u_jα) φ(u_jβ). Units are
independent given the layer before, so with ⟨Ĝ⟩ = K + G/n and the covariance of Ĝ_αβ and Ĝ_γδ being V/n,

V ← weight² (⟨φφφφ⟩ − ⟨φφ⟩⟨φφ⟩) + J V Jᵀ,   G ← J G + ½ weight ∂²⟨φφ⟩ : V,

J = weight ∂⟨φ_αφ_β⟩/∂(K_αα, K_αβ, K_ββ). The connected four-point function of the output is V in three channels. Its
n⁴ entries are never held: V is the mean of δ ⊗ δ over draws of the units, deviations δ (n, n) that J carries to the
output, each layer's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError, ResourceError
from cumulant.theory.networks import ACTIVATIONS, NNGP, Activation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SHIFTS", "Deviations", "FiniteWidth", "four_point", "propagator_shift", "widths_of"]

# Shifts of the lattice that units of a layer are drawn at, whose spread is the error, and points of each: as many as
# take so many numbers, within bounds.
SHIFTS = 8
NUMBERS, FEWEST, MOST = 1 << 22, 1 << 9, 1 << 14
# Numbers in the deviations that are held at once.
HELD = 1 << 20
# Directions of a layer's propagator below this part of the first are rounding.
SINGULAR = 1e-12
# Rows that a table of the four-point function is made of.
MOST_LISTED = 30


@dataclass(frozen=True, eq=False)
class Deviations:
    """Some draws of δ at the output, of which V/n is the sum of δ ⊗ δ, and their part of the shift of ⟨Ĝ⟩.

    Rows are those conditioned on (n), then new ones; pairs are all rows with those conditioned on, and new ones with
    themselves.

    Parameters
    ----------
    cross, own
        δ (s, q, n) of pairs, and (s, q) of rows with themselves.
    shift_cross, shift_own
        G/n of these draws (q, n) and (q,).
    """

    cross: Array
    own: Array
    shift_cross: Array
    shift_own: Array


@dataclass(frozen=True, eq=False)
class FiniteWidth:
    """A network of finite width at some rows.

    Parameters
    ----------
    net
        The network of infinite width.
    widths
        Units of each hidden layer.
    x, new
        Inputs of the rows conditioned on (n, p), and of others (m, p).

    References
    ----------
    Yaida, "Non-Gaussian processes and neural networks at finite widths", MSML 2020 (arXiv:1910.00019). Roberts, Yaida
    & Hanin, The Principles of Deep Learning Theory (2022), ch. 4.
    """

    net: NNGP
    widths: tuple[int, ...]
    x: Array
    new: Array

    @property
    def draws(self) -> int:
        """Points of a lattice."""
        return min(max(NUMBERS // max(self._pairs, 1), FEWEST), MOST)

    def deviations(self, shift: int) -> Iterator[Deviations]:
        """All draws of one shift of the lattice, layer by layer, some at a time."""
        draws, step = self.draws, max(1, HELD // max(self._pairs, 1))
        for at, width in enumerate(self.widths):
            root, left = self._layers[at].root()
            points = lattice(draws, root.shape[1] + 1, seed=(shift, at))
            size = (draws * width) ** -0.5
            for first in range(0, draws, step):
                some = points[first : first + step]
                u = some[:, :-1] @ root.T
                u[:, len(self.x) :] += some[:, -1:] * left
                yield self._carried(at, *self._layers[at].drawn(u, size))

    @property
    def _pairs(self) -> int:
        return (len(self.x) + len(self.new)) * len(self.x)

    @cached_property
    def _layers(self) -> list[_Layer]:
        """From the first hidden layer to the last."""
        net, phi, n = self.net, ACTIVATIONS[self.net.activation], len(self.x)
        rows = np.concatenate([self.x, self.new])
        own = net.bias + net.weight * (rows**2).sum(axis=1)
        cross, layers = net.bias + net.weight * (rows @ self.x.T), []
        for _ in range(net.depth):
            cross[np.arange(n), np.arange(n)] = own[:n]
            layers.append(_Layer(net, own, cross))
            cross = net.bias + net.weight * phi.value(own[:, None], cross, own[:n])
            own = net.bias + net.weight * phi.value(own, own, own)
        return layers

    def _carried(self, at: int, cross: Array, own: Array) -> Deviations:
        """Deviations of what leaves layer ``at``, through the layers after it."""
        lift_cross, lift_own = np.zeros(cross.shape[1:]), np.zeros(own.shape[1:])
        for layer in self._layers[at + 1 :]:
            bent_cross, bent_own = layer.bent(cross, own)
            lift_cross, lift_own = layer.moved(lift_cross, lift_own)
            lift_cross, lift_own = lift_cross + bent_cross, lift_own + bent_own
            cross, own = layer.moved(cross, own)
        return Deviations(cross, own, lift_cross, lift_own)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A hidden layer: its propagator K of pairs (q, n) and of rows with themselves (q,), and what it does to others."""

    net: NNGP
    own: Array
    cross: Array

    def root(self) -> tuple[Array, Array]:
        """R (q, r) and s (m,): units R ζ, of new rows R ζ + s ζ′, have K among old rows and between old and new."""
        n = self.cross.shape[1]
        w, v = np.linalg.eigh(self.cross[:n])
        firm = np.flatnonzero(w > SINGULAR * max(w[-1], 1e-300))[::-1]
        w, v = w[firm], v[:, firm]
        new = self.cross[n:] @ (v / np.sqrt(w))
        left = np.sqrt(np.maximum(self.own[n:] - (new**2).sum(axis=1), 0.0))
        return np.concatenate([v * np.sqrt(w), new]), left

    def drawn(self, u: Array, size: float) -> tuple[Array, Array]:
        """Deviations of the next layer's Ĝ from its mean at units u (s, q), times ``size``."""
        n = self.cross.shape[1]
        phi, scale = self._phi.of(u), size * self.net.weight
        cross = scale * (phi[:, :, None] * phi[:, None, :n] - self._phi.value(*self._pairs))
        own = scale * (phi**2 - self._phi.value(self.own, self.own, self.own))
        return _closed(cross, own), own

    def moved(self, cross: Array, own: Array) -> tuple[Array, Array]:
        """J δ, for deviations (…, q, n) and (…, q)."""
        n, (left, right, both, alone) = self.cross.shape[1], self._slopes
        moved = left * own[..., :, None] + right * own[..., None, :n] + both * cross
        own = alone * own
        return _closed(moved, own), own

    def bent(self, cross: Array, own: Array) -> tuple[Array, Array]:
        """½ weight ∂²⟨φφ⟩ : δδ, summed over draws (s, q, n) and (s, q)."""
        n, (left, right, both, by_left, by_right, alone) = self.cross.shape[1], self._bends
        square = (own**2).sum(axis=0)
        # ∂²V/∂a∂b = ¼ ∂²V/∂c², so that the pair of own deviations has half of it.
        out = left * square[:, None] + right * square[:n] + 0.5 * both * (own.T @ own[:, :n])
        out += both * np.einsum("sij,sij->ij", cross, cross)
        out += 2 * by_left * np.einsum("si,sij->ij", own, cross) + 2 * by_right * np.einsum(
            "sj,sij->ij", own[:, :n], cross
        )
        own_out = 0.5 * alone * square
        return _closed(0.5 * out, own_out), own_out

    @property
    def _phi(self) -> Activation:
        return ACTIVATIONS[self.net.activation]

    @cached_property
    def _pairs(self) -> tuple[Array, Array, Array]:
        return self.own[:, None], self.cross, self.own[None, : self.cross.shape[1]]

    @cached_property
    def _slopes(self) -> tuple[Array, Array, Array, Array]:
        w, phi, (a, c, b), own = self.net.weight, self._phi, self._pairs, self.own
        alone = 2 * phi.by_own(own, own, own) + phi.by_cross(own, own, own)
        return w * phi.by_own(a, c, b), w * phi.by_own(b, c, a), w * phi.by_cross(a, c, b), w * alone

    @cached_property
    def _bends(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        w, phi, (a, c, b), own = self.net.weight, self._phi, self._pairs, self.own
        twice = phi.by_cross_twice(own, own, own)
        alone = 2 * phi.by_own_twice(own, own, own) + 1.5 * twice + 4 * phi.by_cross_and_own(own, own, own)
        return (
            w * phi.by_own_twice(a, c, b), w * phi.by_own_twice(b, c, a), w * phi.by_cross_twice(a, c, b),
            w * phi.by_cross_and_own(a, c, b), w * phi.by_cross_and_own(b, c, a), w * alone,
        )  # fmt: skip


def _closed(cross: Array, own: Array) -> Array:
    """Pairs of a row with itself are what the row says, without the rounding of an angle of 0."""
    at = np.arange(cross.shape[-1])
    cross[..., at, at] = own[..., at]
    return cross


def lattice(draws: int, dimensions: int, seed: tuple[int, ...]) -> Array:
    """Standard normal points (draws, dimensions) of a shifted lattice, the first dimensions the most even.

    References
    ----------
    Genz & Bretz, "Comparison of methods for the computation of multivariate t probabilities", J. Comput. Graph. Stat.
    11 (2002) 950, eq. 8: Richtmyer's generators √prime, and the baker's transformation.
    """
    from scipy.special import ndtri

    shift = np.random.default_rng(seed).random(dimensions)
    at = np.multiply.outer(np.arange(1, draws + 1, dtype=np.float64), np.sqrt(_primes(dimensions))) + shift
    inside = np.abs(2 * (at % 1.0) - 1)
    return np.asarray(ndtri(np.clip(inside, 1e-12, 1 - 1e-12)))


def _primes(count: int) -> Array:
    most = max(20, int(count * (np.log(count + 1) + np.log(np.log(count + 3)) + 2)))
    is_prime = np.ones(most, dtype=bool)
    is_prime[:2] = False
    for k in range(2, int(most**0.5) + 1):
        if is_prime[k]:
            is_prime[k * k :: k] = False
    return np.flatnonzero(is_prime)[:count].astype(np.float64)


def widths_of(width: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """The width of each hidden layer.

    Raises
    ------
    OptionError
        There is none for each layer, or one is below 1.
    """
    each: tuple[Any, ...] = tuple(width) if isinstance(width, Sequence) else (width,) * depth
    if len(each) != depth or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in each):
        raise OptionError(f"width={width!r}: a number of units of at least 1 is wanted, or {depth}, one a hidden layer")
    return each


def four_point(net: NNGP, width: int | Sequence[int], x: Array) -> tuple[Array, Array]:
    """The connected ⟨f f f f⟩ of the output of a network at initialisation, to first order in 1/width.

    Parameters
    ----------
    net
        The network.
    width
        Units of the hidden layers: of all, or one number a layer.
    x
        Inputs (n, p), up to 30.

    Returns
    -------
    value, error
        (n, n, n, n), and its standard error over the lattices.

    Raises
    ------
    OptionError
        A width is below 1.
    ResourceError
        There are more than 30 inputs.

    Examples
    --------
    One hidden layer of 50 linear units has an excess kurtosis of 6/50, exactly:

    >>> import numpy as np
    >>> net = NNGP("linear", depth=1, weight=1.0, bias=0.0)
    >>> value, error = four_point(net, 50, np.array([[1.0]]))
    >>> abs(float(value.squeeze()) - 6 / 50) < 5 * float(error.squeeze())
    True
    """
    if len(x) > MOST_LISTED:
        raise ResourceError(f"{len(x)}⁴ values of the four-point function; ask for {MOST_LISTED} inputs at most")
    finite, n = FiniteWidth(net, widths_of(width, net.depth), x, x[:0]), len(x)
    each = np.zeros((SHIFTS, n * n, n * n))
    for shift in range(SHIFTS):
        for some in finite.deviations(shift):
            flat = some.cross.reshape(len(some.cross), -1)
            each[shift] += flat.T @ flat
    v = each.reshape(SHIFTS, n, n, n, n)
    channels = v + v.transpose(0, 1, 3, 2, 4) + v.transpose(0, 1, 4, 3, 2)
    return channels.mean(axis=0), channels.std(axis=0, ddof=1) / SHIFTS**0.5


def propagator_shift(net: NNGP, width: int | Sequence[int], x: Array) -> tuple[Array, Array]:
    """⟨f f⟩ of the output of a network at initialisation less that of infinite width, to first order in 1/width.

    Parameters and errors are those of `four_point`, for any number of inputs. One hidden layer has none, nor do two.

    Returns
    -------
    value, error
        (n, n), and its standard error over the lattices.
    """
    finite = FiniteWidth(net, widths_of(width, net.depth), x, x[:0])
    each = np.zeros((SHIFTS, len(x), len(x)))
    for shift in range(SHIFTS):
        for some in finite.deviations(shift):
            each[shift] += some.shift_cross
    return each.mean(axis=0), each.std(axis=0, ddof=1) / SHIFTS**0.5
