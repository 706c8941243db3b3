"""Propagators of infinitely wide networks: at initialisation (NNGP), and as trained by gradient flow (NTK).

A layer with activation φ takes the covariance (a, c; c, b) of two pre-activations to bias + weight · V(a, c, b), with
V = ⟨φ(u) φ(v)⟩ a Gaussian integral that is closed for each activation here. By Price's theorem ∂V/∂c = ⟨φ′(u) φ′(v)⟩,
which is what the tangent propagator multiplies by, and what gradients are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cumulant.errors import OptionError
from cumulant.theory.propagators import Propagator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ACTIVATIONS", "NNGP", "NTK", "Activation"]

DEEPEST = 50
# A correlation is kept this far from ±1 where a derivative is infinite there.
KINK = 1e-14


class Activation(Protocol):
    """V(a, c, b) = ⟨φ(u) φ(v)⟩ for ⟨uu⟩ = a, ⟨uv⟩ = c, ⟨vv⟩ = b, and its derivatives; arrays that broadcast."""

    def of(self, u: Array) -> Array:
        """φ(u)."""

    def value(self, a: Array, c: Array, b: Array) -> Array:
        """V."""

    def by_cross(self, a: Array, c: Array, b: Array) -> Array:
        """∂V/∂c = ⟨φ′(u) φ′(v)⟩."""

    def by_own(self, a: Array, c: Array, b: Array) -> Array:
        """∂V/∂a = ½⟨φ″(u) φ(v)⟩."""

    def by_cross_twice(self, a: Array, c: Array, b: Array) -> Array:
        """∂²V/∂c², and 0 where it is infinite."""

    def by_cross_and_own(self, a: Array, c: Array, b: Array) -> Array:
        """∂²V/∂c∂a, and 0 where it is infinite."""

    def by_own_twice(self, a: Array, c: Array, b: Array) -> Array:
        """∂²V/∂a² = ¼⟨φ⁗(u) φ(v)⟩, and 0 where it is infinite."""


class _Linear:
    """φ(u) = u: a product of random matrices."""

    def of(self, u: Array) -> Array:
        return u

    def value(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(c + _none(a, b))

    def by_cross(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(1.0 + 0 * c + _none(a, b))

    def by_own(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(0 * c + _none(a, b))

    by_cross_twice = by_cross_and_own = by_own_twice = by_own


class _Relu:
    """φ(u) = max(u, 0): the arc-cosine propagator of order 1 (Cho & Saul, NeurIPS 22 (2009), eq. 3 and 6, halved)."""

    def of(self, u: Array) -> Array:
        return np.maximum(u, 0.0)

    def value(self, a: Array, c: Array, b: Array) -> Array:
        size = np.sqrt(a * b)
        rho = _correlation(c, size)
        return np.asarray(size * (np.sqrt(1 - rho**2) + (np.pi - np.arccos(rho)) * rho) / (2 * np.pi))

    def by_cross(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(0.5 - np.arccos(_correlation(c, np.sqrt(a * b))) / (2 * np.pi))

    def by_own(self, a: Array, c: Array, b: Array) -> Array:
        rho = _correlation(c, np.sqrt(a * b))
        return np.asarray(np.sqrt(_ratio(b, a) * (1 - rho**2)) / (4 * np.pi))

    def by_cross_twice(self, a: Array, c: Array, b: Array) -> Array:
        gap = np.maximum(a * b - c**2, 0.0)
        return _ratio(1 / (2 * np.pi), np.where(gap > KINK * a * b, np.sqrt(gap), 0.0))

    def by_cross_and_own(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(-0.5 * _ratio(c, a) * self.by_cross_twice(a, c, b))

    def by_own_twice(self, a: Array, c: Array, b: Array) -> Array:
        bent = 0.25 * _ratio(b, a) * self.by_cross_twice(a, c, b)
        return np.asarray(bent - _ratio(np.sqrt(np.maximum(a * b - c**2, 0.0)), a**2) / (4 * np.pi))


class _Erf:
    """φ(u) = erf(u) (Williams, Neural Computation 10 (1998) 1203, eq. 11)."""

    def of(self, u: Array) -> Array:
        from scipy.special import erf

        return np.asarray(erf(u))

    def value(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(np.arcsin(2 * c / np.sqrt((1 + 2 * a) * (1 + 2 * b))) * (2 / np.pi))

    def by_cross(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray((4 / np.pi) / np.sqrt(self._gap(a, c, b)))

    def by_own(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray((-4 / np.pi) * c / (1 + 2 * a) / np.sqrt(self._gap(a, c, b)))

    def by_cross_twice(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray((16 / np.pi) * c * self._gap(a, c, b) ** -1.5)

    def by_cross_and_own(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray((-4 / np.pi) * (1 + 2 * b) * self._gap(a, c, b) ** -1.5)

    def by_own_twice(self, a: Array, c: Array, b: Array) -> Array:
        gap = self._gap(a, c, b)
        return np.asarray((4 / np.pi) * c / (1 + 2 * a) * (2 / (1 + 2 * a) + (1 + 2 * b) / gap) / np.sqrt(gap))

    def _gap(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray((1 + 2 * a) * (1 + 2 * b) - 4 * c**2)


class _Gelu:
    """φ(u) = u Φ(u), Φ the normal distribution function (Tsuchida et al., "Avoiding kernel fixed points", AAAI 2021).

    With P = ⟨Φ′(u) Φ′(v)⟩ = 1/2π√Δ and Δ = (1 + a)(1 + b) − c², by parts (Stein) V is
    c/4 + (c/2π) arcsin ρ + P (ab − c² + c²/(1 + a) + c²/(1 + b)), ρ² = c²/(1 + a)(1 + b).
    """

    def of(self, u: Array) -> Array:
        from scipy.special import ndtr

        return np.asarray(u * ndtr(u))

    def value(self, a: Array, c: Array, b: Array) -> Array:
        gap, angle = self._parts(a, c, b)
        return np.asarray(c * (0.25 + angle) + self._rest(a, c, b) / (2 * np.pi * np.sqrt(gap)))

    def by_cross(self, a: Array, c: Array, b: Array) -> Array:
        gap, angle = self._parts(a, c, b)
        return np.asarray(0.25 + angle + c * (self._halves(a, b) + 1 / gap) / (2 * np.pi * np.sqrt(gap)))

    def by_own(self, a: Array, c: Array, b: Array) -> Array:
        gap, _ = self._parts(a, c, b)
        return np.asarray(self._down(a, c, b, gap) / (2 * np.pi * np.sqrt(gap)))

    def by_cross_twice(self, a: Array, c: Array, b: Array) -> Array:
        gap, _ = self._parts(a, c, b)
        far = c**2 / gap
        twice = 1 + self._halves(a, b) * (1 + far) + (1 + 3 * far) / gap
        return np.asarray(twice / (2 * np.pi * np.sqrt(gap)))

    def by_cross_and_own(self, a: Array, c: Array, b: Array) -> Array:
        gap, _ = self._parts(a, c, b)
        down = 0.5 / (1 + a) + 1 / (1 + a) ** 2 + 0.5 * (1 + b) / gap * (self._halves(a, b) + 3 / gap)
        return np.asarray(-c * down / (2 * np.pi * np.sqrt(gap)))

    def by_own_twice(self, a: Array, c: Array, b: Array) -> Array:
        gap, _ = self._parts(a, c, b)
        steep, rest = (c / (1 + a)) ** 2, self._rest(a, c, b)
        twice = 2 * steep / (1 + a) + 0.5 * steep - 0.5 * (1 + b) * ((b - steep) / gap - (1 + b) * rest / gap**2)
        return np.asarray((twice - 0.5 * (1 + b) / gap * self._down(a, c, b, gap)) / (2 * np.pi * np.sqrt(gap)))

    def _down(self, a: Array, c: Array, b: Array, gap: Array) -> Array:
        return np.asarray(b - (c / (1 + a)) ** 2 - 0.5 * c**2 / (1 + a) - 0.5 * (1 + b) * self._rest(a, c, b) / gap)

    def _parts(self, a: Array, c: Array, b: Array) -> tuple[Array, Array]:
        both = (1 + a) * (1 + b)
        return both - c**2, np.arcsin(_correlation(c, np.sqrt(both))) / (2 * np.pi)

    def _halves(self, a: Array, b: Array) -> Array:
        return np.asarray(1 / (1 + a) + 1 / (1 + b))

    def _rest(self, a: Array, c: Array, b: Array) -> Array:
        return np.asarray(a * b + c**2 * (self._halves(a, b) - 1))


ACTIVATIONS: dict[str, Activation] = {"relu": _Relu(), "erf": _Erf(), "gelu": _Gelu(), "linear": _Linear()}


@dataclass(frozen=True)
class NNGP(Propagator):
    """⟨f(x) f(x′)⟩ of a fully connected network with infinitely wide layers, its weights Gaussian and independent.

    The first layer has pre-activations of covariance bias + weight · x·x′; inputs are not divided by their number.

    Parameters
    ----------
    activation
        ``"relu"``, ``"erf"``, ``"gelu"`` or ``"linear"``.
    depth
        Hidden layers, 1 to 50.
    weight, bias
        Variance of the weights of a layer, times its width, and of its biases. At 2 and 0 a ReLU network keeps the
        length of its input.

    Raises
    ------
    OptionError
        An option is another, or a variance is negative.

    References
    ----------
    Neal, Bayesian Learning for Neural Networks (1996). Lee, Bahri, Novak, Schoenholz, Pennington & Sohl-Dickstein,
    "Deep neural networks as Gaussian processes", ICLR 2018, eq. 5.

    Examples
    --------
    The arc-cosine propagator of two inputs at a right angle is 1/π of what it is of equal ones:

    >>> import numpy as np
    >>> NNGP(depth=1, bias=0.0)(np.array([[1.0, 0.0]]), np.eye(2)).round(4)
    array([[2.    , 0.6366]])
    """

    activation: str = "relu"
    depth: int = 1
    weight: float = 2.0
    bias: float = 0.1

    def __post_init__(self) -> None:
        _check(self.activation, self.depth, self.weight, self.bias)

    def __call__(self, x: Array, y: Array) -> Array:
        return self._layers(x, y).cross

    def diagonal(self, x: Array) -> Array:
        a = _own(x, self.weight, self.bias)
        for _ in range(self.depth):
            a = self.bias + self.weight * ACTIVATIONS[self.activation].value(a, a, a)
        return a

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        layers = self._layers(x, y, slopes=True)
        return _gradient(x, y, weights * layers.by_cross, weights * layers.by_own, self.weight)

    def _layers(self, x: Array, y: Array, *, slopes: bool = False) -> _Layers:
        return _propagate(self, x, y, slopes=slopes, tangent=False)


@dataclass(frozen=True)
class NTK(Propagator):
    """⟨∇f(x)·∇f(x′)⟩ over the parameters of the same network: what gradient flow of the mean square ends in.

    Each layer is in the parametrisation where its weights are standard normal times a factor. A field with this
    propagator and noise has the mean of an ensemble of infinitely wide networks, trained with weight decay on what
    they differ from their start in.

    Parameters
    ----------
    activation, depth, weight, bias
        As for `NNGP`.

    Raises
    ------
    OptionError
        An option is another, or a variance is negative.

    References
    ----------
    Jacot, Gabriel & Hongler, "Neural tangent kernel", NeurIPS 2018, th. 1; Lee et al., "Wide neural networks of any
    depth evolve as linear models under gradient descent", NeurIPS 2019, eq. S11.
    """

    activation: str = "relu"
    depth: int = 1
    weight: float = 2.0
    bias: float = 0.1

    def __post_init__(self) -> None:
        _check(self.activation, self.depth, self.weight, self.bias)

    def __call__(self, x: Array, y: Array) -> Array:
        return _propagate(self, x, y, slopes=False, tangent=True).tangent

    def diagonal(self, x: Array) -> Array:
        a, phi = _own(x, self.weight, self.bias), ACTIVATIONS[self.activation]
        tangent = a
        for _ in range(self.depth):
            up = self.weight * phi.by_cross(a, a, a)
            a = self.bias + self.weight * phi.value(a, a, a)
            tangent = a + up * tangent
        return tangent

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        layers = _propagate(self, x, y, slopes=True, tangent=True)
        return _gradient(x, y, weights * layers.tangent_by_cross, weights * layers.tangent_by_own, self.weight)


@dataclass(frozen=True, eq=False)
class _Layers:
    """Propagators (n, m) at the output, and their derivatives by c and a of the first layer."""

    cross: Array
    by_cross: Array
    by_own: Array
    tangent: Array
    tangent_by_cross: Array
    tangent_by_own: Array


def _propagate(net: NNGP | NTK, x: Array, y: Array, *, slopes: bool, tangent: bool) -> _Layers:
    """Layer by layer: c ← bias + weight V, Θ ← c + weight V_c Θ, and the chain rule."""
    phi, w = ACTIVATIONS[net.activation], net.weight
    a, b = _own(x, w, net.bias)[:, None], _own(y, w, net.bias)
    c = net.bias + w * (x @ y.T)
    none = np.zeros((1, 1))
    theta, c_cross, c_own = c, np.ones((1, 1)), none
    theta_cross, theta_own, a_own = c_cross, none, np.ones((1, 1))
    for _ in range(net.depth):
        up = w * phi.by_cross(a, c, b) if slopes or tangent else none
        if slopes:
            own = w * phi.by_own(a, c, b) * a_own
            next_cross, next_own = up * c_cross, up * c_own + own
            if tangent:
                twice, mixed = w * phi.by_cross_twice(a, c, b), w * phi.by_cross_and_own(a, c, b) * a_own
                theta_cross = next_cross + up * theta_cross + theta * twice * c_cross
                theta_own = next_own + up * theta_own + theta * (twice * c_own + mixed)
            c_cross, c_own = next_cross, next_own
            a_own = a_own * w * (2 * phi.by_own(a, a, a) + phi.by_cross(a, a, a))
        c = net.bias + w * phi.value(a, c, b)
        if tangent:
            theta = c + up * theta
        a, b = (net.bias + w * phi.value(q, q, q) for q in (a, b))
    return _Layers(c, c_cross, c_own, theta, theta_cross, theta_own)


def _gradient(x: Array, y: Array, by_cross: Array, by_own: Array, weight: float) -> Array:
    """Of c = bias + weight x·y and a = bias + weight x·x."""
    return np.asarray(weight * (by_cross @ y) + 2 * weight * by_own.sum(axis=1)[:, None] * x)


def _own(x: Array, weight: float, bias: float) -> Array:
    return np.asarray(bias + weight * (x**2).sum(axis=1))


def _correlation(cross: Array, size: Array) -> Array:
    return np.clip(_ratio(cross, size), -1.0, 1.0)


def _none(a: Array, b: Array) -> Array:
    """0, of the shape of both."""
    return np.asarray(0.0 * a + 0.0 * b)


def _ratio(top: Array | float, bottom: Array) -> Array:
    """0 where it would be 0/0."""
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    return np.divide(top, bottom, out=np.zeros(shape), where=np.broadcast_to(bottom > 0, shape))


def _check(activation: str, depth: int, weight: float, bias: float) -> None:
    if activation not in ACTIVATIONS:
        raise OptionError(f"activation={activation!r}: choose {', '.join(map(repr, ACTIVATIONS))}")
    if isinstance(depth, bool) or depth not in range(1, DEEPEST + 1):
        raise OptionError(f"depth={depth!r}: 1 to {DEEPEST} hidden layers")
    if not (np.isfinite(weight) and weight > 0):
        raise OptionError(f"weight={weight!r}: a number above 0 is wanted")
    if not (np.isfinite(bias) and bias >= 0):
        raise OptionError(f"bias={bias!r}: a number of at least 0 is wanted")
