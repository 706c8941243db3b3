"""F expanded to all orders in the inputs at once: a Gaussian field on functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cumulant.errors import OptionError
from cumulant.measure.requirement import Requirement
from cumulant.theory.propagators import Propagator, from_plain, to_plain

__all__ = ["Field"]

# Rows that are conditioned on all at once: their propagator is a matrix of 200 MB.
DENSE_ROWS = 5000
# Of more rows the field is split: long waves are seen everywhere, short ones within blocks of near rows.
MOST_ROWS = 1_000_000
METRICS = ("auto", "unit", "diagonal", "full")
SCALES = ("auto", "identity", "log", "power")
NOISES = ("auto", "constant")
CRITERIA = ("auto", "evidence", "left out")


@dataclass(frozen=True)
class Field:
    """A free field on function space: y = f(x) + η, with f Gaussian of propagator k(x, x′) = ⟨f(x) f(x′)⟩.

    The Taylor series of the target's F in the inputs, every coupling Gaussian, sums to a propagator; so does a network
    of infinite width. Mean, variance and evidence ln Z follow in closed form from one linear solve. The metric by
    which inputs are compared flows to where ln Z is highest. Several propagators are mixed with the weights that make
    rows which were left out most likely. Several targets are each a field, none an input of another.

    Parameters
    ----------
    propagators
        ``"auto"``, a propagator, or several to be mixed.
    metric
        How inputs are compared: ``"unit"`` by their standardised distance, ``"diagonal"`` with a scale for each,
        ``"full"`` with their combinations as well, ``"auto"`` whichever is more likely.
    scale
        The scale on which the target is a field: ``"identity"``, ``"log"``, ``"power"`` (Yeo & Johnson), or ``"auto"``.
    noise
        ``"constant"``, or ``"auto"``: a strength that varies with x where left-out rows are likelier for it.

    criterion
        What metric, amplitudes and noise are adapted by: ``"evidence"``, the likelihood of rows each ``"left out"``, or
        ``"auto"``: fields of both are mixed.
    width
        Units of the hidden layers of a network, of all or one number a layer: mean and variance are then corrected to
        first order in 1/width. For an `NNGP` alone, up to 200 rows, and noise that is constant. None: infinite.

    Raises
    ------
    OptionError
        An option is another, or no network has this width.

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), ch. 2 and 5. Neal, Bayesian Learning for
    Neural Networks (1996). Yaida, MSML 2020 (arXiv:1910.00019; finite width). Radhakrishnan et al., Science 383 (2024)
    1461 (metric flow). Yao et al., Bayesian Analysis 13 (2018) 917 (mixing).

    Examples
    --------
    >>> Field().requires()
    Requirement(order=2, rows=1,000,000)
    """

    propagators: str | Propagator | tuple[Propagator, ...] = "auto"
    metric: str = "auto"
    scale: str = "auto"
    noise: str = "auto"
    criterion: str = "auto"
    width: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        kinds = self.chosen
        if kinds is None:
            if self.propagators != "auto":
                raise OptionError(f"propagators={self.propagators!r}: choose 'auto', a propagator, or a tuple of them")
        elif not kinds or not all(isinstance(kind, Propagator) for kind in kinds):
            raise OptionError(f"propagators={self.propagators!r}: a propagator, or a tuple of propagators, is wanted")
        for name, known in (("metric", METRICS), ("scale", SCALES), ("noise", NOISES), ("criterion", CRITERIA)):
            if getattr(self, name) not in known:
                raise OptionError(f"{name}={getattr(self, name)!r}: choose {', '.join(map(repr, known))}")
        if self.width is not None:
            self._network(self.width)

    def _network(self, width: int | tuple[int, ...]) -> tuple[int, ...]:
        """The width of each hidden layer of the one network."""
        from cumulant.theory.finite_width import widths_of
        from cumulant.theory.networks import NNGP

        kinds = self.chosen or ()
        if len(kinds) != 1 or not isinstance(kinds[0], NNGP):
            raise OptionError(
                f"width={width!r} is that of a network; give one alone: cm.Field(NNGP(depth=2), width={width!r})"
            )
        return widths_of(width, kinds[0].depth)

    def requires(self) -> Requirement:
        """Second moments, for all that is not about the target, and rows, which the field is conditioned on."""
        return Requirement(order=2, rows=MOST_ROWS)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer; none where the width is infinite."""
        return () if self.width is None else self._network(self.width)

    @property
    def chosen(self) -> tuple[Propagator, ...] | None:
        """The propagators that were named; None for the theory's own."""
        given = self.propagators
        if isinstance(given, Propagator):
            return (given,)
        return None if isinstance(given, str) else tuple(given)

    def to_plain(self) -> dict[str, Any]:
        """Its options as plain data."""
        chosen = self.chosen
        named = "auto" if chosen is None else [to_plain(k) for k in chosen]
        return {
            "propagators": named,
            "metric": self.metric,
            "scale": self.scale,
            "noise": self.noise,
            "criterion": self.criterion,
            "width": self.widths or None,
        }

    @staticmethod
    def from_plain(state: dict[str, Any]) -> Field:
        """The theory that `to_plain` described."""
        given = state["propagators"]
        chosen = given if isinstance(given, str) else tuple(from_plain(k) for k in given)
        width = state.get("width")
        return Field(
            chosen, state["metric"], state["scale"], state["noise"], state["criterion"], tuple(width) if width else None
        )  # fmt: skip
