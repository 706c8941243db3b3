"""A propagator averaged over a group that acts on the inputs: that of a field which the group leaves alone.

If a field f has ⟨f(x) f(x′)⟩ = k(x, x′) and k(gx, gx′) = k(x, x′), its mean over the images of x, |G|⁻¹ Σ_g f(gx), is
invariant, and its propagator is |G|⁻¹ Σ_g k(x, g x′): one sum, not two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError
from cumulant.theory.propagators import Propagator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Averaged", "averaged_alike", "averaged_over"]

# Rows whose own images are compared at once.
OWN_ROWS = 32


@dataclass(frozen=True)
class Averaged(Propagator):
    """|G|⁻¹ Σ_g k(x, g x′), the sum over all elements of a finite group of signed permutations of the inputs.

    Parameters
    ----------
    base
        k, which the group must leave alone: k(gx, gx′) = k(x, x′). `averaged_over` makes sure of it.
    images, signs
        All elements: input j goes to input ``images[g][j]``, times ``signs[g][j]``.

    References
    ----------
    Haasdonk & Burkhardt, "Invariant kernel functions for pattern analysis and machine learning", Machine Learning 68
    (2007) 35, sect. 4.1 (Haar integration); Ginsbourger, Bay, Roustant & Carraro, Annales de la Faculté des Sciences
    de Toulouse 21 (2012) 501.

    Examples
    --------
    >>> import numpy as np
    >>> from cumulant.theory.propagators import RBF
    >>> even = Averaged(RBF(), images=((0,), (0,)), signs=((1,), (-1,)))
    >>> even(np.array([[0.5]]), np.array([[2.0], [-2.0]])).round(4)
    array([[0.1843, 0.1843]])
    """

    base: Propagator
    images: tuple[tuple[int, ...], ...]
    signs: tuple[tuple[int, ...], ...]

    @cached_property
    def elements(self) -> tuple[Index, Array]:
        """Images and signs (|G|, p)."""
        return np.array(self.images, dtype=np.int64), np.array(self.signs, dtype=np.float64)

    def __call__(self, x: Array, y: Array) -> Array:
        out = np.zeros((len(x), len(y)))
        for moved in self._moved(y):
            out += self.base(x, moved)
        return out / len(self.images)

    def diagonal(self, x: Array) -> Array:
        out = np.zeros(len(x))
        for first in range(0, len(x), OWN_ROWS):
            some = x[first : first + OWN_ROWS]
            for moved in self._moved(some):
                out[first : first + OWN_ROWS] += np.diag(self.base(some, moved))
        return out / len(self.images)

    def gradient(self, x: Array, y: Array, weights: Array) -> Array:
        out = np.zeros_like(x)
        for moved in self._moved(y):
            out += self.base.gradient(x, moved, weights)
        return out / len(self.images)

    def _moved(self, y: Array) -> list[Array]:
        """Rows y (m, p) as each element takes them; those of the identity are y itself."""
        out = []
        for image, sign in zip(*self.elements, strict=True):
            if (sign > 0).all() and np.array_equal(image, np.arange(len(image))):
                out.append(y)
                continue
            moved = np.empty_like(y)
            moved[:, image] = y * sign
            out.append(moved)
        return out

    @cached_property
    def orbits(self) -> Index:
        """Which inputs are images of each other: a number for each (p,)."""
        return np.unique(self.elements[0].min(axis=0), return_inverse=True)[1].ravel()

    def mean_of(self, matrix: Array) -> Array:
        """A matrix (p, p) of the inputs, averaged over the group."""
        out = np.zeros_like(matrix)
        for image, sign in zip(*self.elements, strict=True):
            out[np.ix_(image, image)] += matrix * np.multiply.outer(sign, sign)
        return out / len(self.images)


def averaged_over(base: Propagator, images: Index, signs: Index) -> Propagator:
    """A propagator averaged over all elements of a group (|G|, p); itself where there is only one.

    Raises
    ------
    OptionError
        The group does not leave it alone: it treats inputs differently that the group exchanges.
    """
    if len(images) == 1:
        return base
    out = Averaged(base, tuple(map(tuple, images.tolist())), tuple(map(tuple, signs.tolist())))
    x = np.random.default_rng(0).normal(size=(4, images.shape[1]))
    whole = base(x, x)
    if any(not np.allclose(base(moved, moved), whole, rtol=1e-9, atol=1e-12) for moved in out._moved(x)):
        raise OptionError(
            f"{base!r} treats inputs differently that the group exchanges, so it cannot be averaged over the group by "
            "one sum; leave out .on(…), or let it hold all inputs of an orbit alike"
        )
    return out


def averaged_alike(base: Propagator, like: Propagator, more: int) -> Propagator:
    """A propagator averaged as another is, of so many more inputs, which the group leaves alone."""
    if not isinstance(like, Averaged):
        return base
    images, signs = like.elements
    p = images.shape[1]
    beside = np.tile(np.arange(p, p + more), (len(images), 1))
    return averaged_over(base, np.hstack([images, beside]), np.hstack([signs, np.ones_like(beside)]).astype(np.int64))
