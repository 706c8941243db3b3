"""Propagators of a free field on function space: k(x, x′) = ⟨f(x) f(x′)⟩, the resummed Taylor series of F in x.

A propagator is plain parameters and a few methods. It is composed with ``+`` and ``*``, restricted to some inputs
with `Propagator.on`, and written as plain data with `to_plain`. What a solver asks beside values is one sum over
derivatives, `Propagator.gradient`: the response of a mean field and the gradient of the evidence both follow from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cumulant.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "RBF",
    "Constant",
    "Exponential",
    "Laplace",
    "Linear",
    "Matern",
    "Periodic",
    "Potts",
    "Propagator",
    "RationalQuadratic",
    "from_plain",
    "to_plain",
]


# Up to so many inputs differences are squared one by one.
FEW_INPUTS = 24


class Propagator(ABC):
    """⟨f(x) f(x′)⟩ of a Gaussian field f of inputs x: symmetric and of no negative eigenvalue.

    Inputs are arrays (n, p) without gaps, of about unit scale. A subclass is a frozen dataclass of numbers, strings,
    tuples of integers and propagators.
    """

    @abstractmethod
    def __call__(self, x: Array, y: Array) -> Array:
        """k(x_i, y_j) for rows x (n, p) and y (m, p): (n, m)."""

    @abstractmethod
    def diagonal(self, x: Array) -> Array:
        """k(x_i, x_i) (n,)."""

    @abstractmethod
    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        """Σ_j w_ij ∂k(x_i, y_j)/∂x_i (n, p), for weights (n, m) or, the same in each row, (m,).

        Of the mean field ȳ(x) = Σ_j k(x, y_j) w_j this is ∇ȳ.
        """

    def __add__(self, other: Propagator) -> Sum:
        return Sum(self, other)

    def __mul__(self, other: Propagator | float) -> Product:
        return Product(self, other if isinstance(other, Propagator) else Constant(float(other)))

    __rmul__ = __mul__

    def on(self, *columns: int) -> On:
        """The same, of some of the inputs alone."""
        return On(self, columns)


# ------------------------------------------------------------------------------------------------ of the distance


class Radial(Propagator):
    """A function of the Euclidean distance alone, 1 at no distance."""

    @abstractmethod
    def value(self, square: Array) -> Array:
        """k at squared distances; may overwrite them."""

    @abstractmethod
    def slope(self, square: Array) -> Array:
        """dk/d(square), and 0 where that is infinite; may overwrite them."""

    def __call__(self, x: Array, y: Array) -> Array:
        return self.value(squared_distances(x, y))

    def diagonal(self, x: Array) -> Array:
        return np.ones(len(x))

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        pull = self.slope(squared_distances(x, y))
        pull *= 2 * weights
        return np.asarray(pull.sum(axis=1)[:, None] * x - pull @ y)


@dataclass(frozen=True)
class RBF(Radial):
    """exp(−|x − x′|²/2ℓ²): all Taylor orders, weighted by 1/k!; infinitely smooth.

    Parameters
    ----------
    length
        ℓ.
    """

    length: float = 1.0

    def __post_init__(self) -> None:
        _positive("length", self.length)

    def value(self, square: Array) -> Array:
        square *= -0.5 / self.length**2
        return np.asarray(np.exp(square, out=square))

    def slope(self, square: Array) -> Array:
        return (-0.5 / self.length**2) * self.value(square)


@dataclass(frozen=True)
class Matern(Radial):
    """Matérn: f has ⌈ν⌉ − 1 derivatives. ν = ½ is exp(−|x − x′|/ℓ), a walk without memory.

    Parameters
    ----------
    smoothness
        ν: 0.5, 1.5 or 2.5.
    length
        ℓ.

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), eq. 4.14 to 4.17.
    """

    smoothness: float = 2.5
    length: float = 1.0

    def __post_init__(self) -> None:
        _positive("length", self.length)
        if self.smoothness not in (0.5, 1.5, 2.5):
            raise OptionError(f"smoothness={self.smoothness!r}: choose 0.5, 1.5 or 2.5")

    def value(self, square: Array) -> Array:
        r = self._scaled(square)
        decay = np.negative(r)
        np.exp(decay, out=decay)
        if self.smoothness == 0.5:
            return decay
        if self.smoothness == 2.5:
            inner = r / 3
            inner += 1.0
            r *= inner
        r += 1.0
        decay *= r
        return decay

    def slope(self, square: Array) -> Array:
        r = self._scaled(square)
        unit, decay = self.smoothness / self.length**2, np.exp(-r)
        if self.smoothness == 0.5:
            return np.divide(-unit * decay, r, out=np.zeros_like(r), where=r > 0)
        return np.asarray(-unit * decay if self.smoothness == 1.5 else (-unit / 3) * (1.0 + r) * decay)

    def _scaled(self, square: Array) -> Array:
        square *= 2 * self.smoothness / self.length**2
        return np.asarray(np.sqrt(square, out=square))


@dataclass(frozen=True)
class RationalQuadratic(Radial):
    """(1 + |x − x′|²/2aℓ²)^(−a): Gaussians of all lengths, mixed.

    Parameters
    ----------
    length, tail
        ℓ, and a: the smaller, the more lengths.
    """

    length: float = 1.0
    tail: float = 1.0

    def __post_init__(self) -> None:
        _positive("length", self.length)
        _positive("tail", self.tail)

    def value(self, square: Array) -> Array:
        return np.asarray((1.0 + square / (2 * self.tail * self.length**2)) ** -self.tail)

    def slope(self, square: Array) -> Array:
        unit = 1 / (2 * self.length**2)
        return np.asarray(-unit * (1.0 + square * (unit / self.tail)) ** (-self.tail - 1))


# ------------------------------------------------------------------------------------------------ of x · x′


@dataclass(frozen=True)
class Exponential(Propagator):
    """exp(x·x′/ℓ²) = Σ_k (x·x′)^k/(k! ℓ^{2k}): the Taylor series of F in x with every order a Gaussian coupling.

    Parameters
    ----------
    length
        ℓ.
    """

    length: float = 1.0

    def __post_init__(self) -> None:
        _positive("length", self.length)

    def __call__(self, x: Array, y: Array) -> Array:
        return np.asarray(np.exp(x @ y.T / self.length**2))

    def diagonal(self, x: Array) -> Array:
        return np.asarray(np.exp((x**2).sum(axis=1) / self.length**2))

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        return np.asarray((self(x, y) * weights) @ y / self.length**2)


@dataclass(frozen=True)
class Linear(Propagator):
    """x·x′: a plane through the origin."""

    def __call__(self, x: Array, y: Array) -> Array:
        return np.asarray(x @ y.T)

    def diagonal(self, x: Array) -> Array:
        return np.asarray((x**2).sum(axis=1))

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        return np.asarray(np.broadcast_to(weights, (len(x), len(y))) @ y)


@dataclass(frozen=True)
class Constant(Propagator):
    """The same for all: a level that is not known, or a factor of another propagator.

    Parameters
    ----------
    amplitude
        ⟨f²⟩.
    """

    amplitude: float = 1.0

    def __post_init__(self) -> None:
        _positive("amplitude", self.amplitude)

    def __call__(self, x: Array, y: Array) -> Array:
        return np.full((len(x), len(y)), self.amplitude)

    def diagonal(self, x: Array) -> Array:
        return np.full(len(x), self.amplitude)

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        return np.zeros_like(x)


# ------------------------------------------------------------------------------------------------ of each input


@dataclass(frozen=True)
class Laplace(Propagator):
    """exp(−Σ_c |x_c − x′_c|^q/ℓ^q): jumps along the axes, as trees have.

    Parameters
    ----------
    length
        ℓ.
    power
        q, above 0 and at most 2; at 1 a product of Matérn ½ of each input, at 2 an RBF of length ℓ/√2.
    """

    length: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        _positive("length", self.length)
        if not 0 < self.power <= 2:
            raise OptionError(f"power={self.power!r}: above 0 and at most 2")

    def __call__(self, x: Array, y: Array) -> Array:
        from scipy.spatial.distance import cdist

        if self.power == 1:
            far = cdist(x / self.length, y / self.length, "cityblock")
        else:
            far = cdist(x / self.length, y / self.length, "minkowski", p=self.power) ** self.power
        np.negative(far, out=far)
        return np.asarray(np.exp(far, out=far))

    def diagonal(self, x: Array) -> Array:
        return np.ones(len(x))

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        pull = self(x, y)
        pull *= weights
        out, apart = np.empty_like(x), np.empty_like(pull)
        for c in range(x.shape[1]):
            np.subtract.outer(x[:, c], y[:, c], out=apart)
            sign = np.sign(apart, out=apart) if self.power == 1 else self._slope(apart)
            out[:, c] = np.einsum("ij,ij->i", sign, pull)
        out /= -self.length
        return out

    def _slope(self, apart: Array) -> Array:
        far = np.abs(apart)
        steep = np.power(far / self.length, self.power - 1, out=np.zeros_like(far), where=far > 0)
        return np.asarray(self.power * np.sign(apart) * steep)


@dataclass(frozen=True)
class Periodic(Propagator):
    """exp(−2 Σ_c sin²(π(x_c − x′_c)/P)/ℓ²): repeats with period P in each input.

    Parameters
    ----------
    period, length
        P and ℓ.
    """

    period: float = 1.0
    length: float = 1.0

    def __post_init__(self) -> None:
        _positive("period", self.period)
        _positive("length", self.length)

    def __call__(self, x: Array, y: Array) -> Array:
        total = np.zeros((len(x), len(y)))
        for c in range(x.shape[1]):
            total += np.sin(np.subtract.outer(x[:, c], y[:, c]) * (np.pi / self.period)) ** 2
        return np.asarray(np.exp(-2 / self.length**2 * total))

    def diagonal(self, x: Array) -> Array:
        return np.ones(len(x))

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        pull = self(x, y) * weights
        out = np.empty_like(x)
        turn = 2 * np.pi / self.period
        for c in range(x.shape[1]):
            out[:, c] = (pull * np.sin(np.subtract.outer(x[:, c], y[:, c]) * turn)).sum(axis=1)
        return out * (-turn / self.length**2)


@dataclass(frozen=True)
class Potts(Propagator):
    """1 where all inputs agree, ``unlike`` elsewhere: levels of a category that are exchangeable.

    Parameters
    ----------
    unlike
        At least 0 and below 1.
    """

    unlike: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.unlike < 1:
            raise OptionError(f"unlike={self.unlike!r}: at least 0 and below 1")

    def __call__(self, x: Array, y: Array) -> Array:
        _, level = np.unique(np.vstack([x, y]), axis=0, return_inverse=True)
        level = level.ravel()
        return np.where(np.equal.outer(level[: len(x)], level[len(x) :]), 1.0, self.unlike)

    def diagonal(self, x: Array) -> Array:
        return np.ones(len(x))

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        return np.zeros_like(x)


# ------------------------------------------------------------------------------------------------ composed


@dataclass(frozen=True)
class Sum(Propagator):
    """Two independent fields, added."""

    left: Propagator
    right: Propagator

    def __call__(self, x: Array, y: Array) -> Array:
        out = self.left(x, y)
        out += self.right(x, y)
        return out

    def diagonal(self, x: Array) -> Array:
        return self.left.diagonal(x) + self.right.diagonal(x)

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        return self.left.gradient(x, y, weights) + self.right.gradient(x, y, weights)


@dataclass(frozen=True)
class Product(Propagator):
    """Two propagators, multiplied: f varies where either does."""

    left: Propagator
    right: Propagator

    def __call__(self, x: Array, y: Array) -> Array:
        out = self.left(x, y)
        out *= self.right(x, y)
        return out

    def diagonal(self, x: Array) -> Array:
        return self.left.diagonal(x) * self.right.diagonal(x)

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        by_left = self.left.gradient(x, y, self.right(x, y) * weights)
        return by_left + self.right.gradient(x, y, self.left(x, y) * weights)


@dataclass(frozen=True)
class On(Propagator):
    """A propagator of some inputs alone.

    Parameters
    ----------
    base
        The propagator.
    columns
        Positions of its inputs.
    """

    base: Propagator
    columns: tuple[int, ...]

    def __call__(self, x: Array, y: Array) -> Array:
        some = x[:, self.columns]
        return self.base(some, some if y is x else y[:, self.columns])

    def diagonal(self, x: Array) -> Array:
        return self.base.diagonal(x[:, self.columns])

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        out = np.zeros_like(x)
        out[:, self.columns] = self.base.gradient(x[:, self.columns], y[:, self.columns], weights)
        return out


# ------------------------------------------------------------------------------------------------ as plain data

# Where each kind is at home; given by name, so that those that are not used are not loaded.
HERE = "cumulant.theory.propagators"
KINDS: dict[str, str] = dict.fromkeys(
    ("RBF", "Matern", "RationalQuadratic", "Exponential", "Linear", "Constant", "Laplace", "Periodic", "Potts", "Sum",
     "Product", "On"), HERE,
) | dict.fromkeys(("NNGP", "NTK"), "cumulant.theory.networks") | {"Averaged": "cumulant.theory.averaged"}  # fmt: skip


def to_plain(propagator: Propagator) -> dict[str, Any]:
    """A propagator as numbers, strings and dictionaries."""
    kind = type(propagator)
    if kind.__name__ not in KINDS:
        raise OptionError(
            f"{kind.__name__} is no propagator that a file can name; there are {', '.join(sorted(KINDS))}"
        )
    out: dict[str, Any] = {"kind": kind.__name__}
    for f in fields(cast("Any", propagator)):
        value = getattr(propagator, f.name)
        out[f.name] = to_plain(value) if isinstance(value, Propagator) else value
    return out


def from_plain(state: dict[str, Any]) -> Propagator:
    """The propagator that `to_plain` described."""
    kind = getattr(import_module(KINDS[state["kind"]]), state["kind"])
    options = {name: _restored(value) for name, value in state.items() if name != "kind"}
    return cast("Propagator", kind(**options))


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return from_plain(value)
    return tuple(_restored(each) for each in value) if isinstance(value, list) else value


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i − y_j|² (n, m): of few inputs 0 for equal rows, of many good to rounding of |x|²."""
    if x.shape[1] <= FEW_INPUTS:
        from scipy.spatial.distance import cdist

        return np.asarray(cdist(x, y, "sqeuclidean"))
    out = x @ y.T
    out *= -2
    out += (x**2).sum(axis=1)[:, None]
    out += (y**2).sum(axis=1)
    if x is y:
        np.fill_diagonal(out, 0.0)
    return np.maximum(out, 0.0, out=out)


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise OptionError(f"{name}={value!r}: a positive number")
