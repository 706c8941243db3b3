"""What is left about the mean field: a zero-dimensional theory of η = y − ȳ(x)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cumulant.errors import OptionError
from cumulant.measure.requirement import Requirement
from cumulant.theory.taylor import Taylor

__all__ = ["Fluctuation"]

# More rows than that say little more of a distribution of one variable.
ROWS = 20_000


@dataclass(frozen=True)
class Fluctuation:
    """F expanded about the mean field ȳ(x) instead of zero: y = ȳ(x) + η, with F(η | x) = ½ a₂(x) η² + … .

    The background ȳ is that of a `Taylor` theory. About it the strength a₂ may depend on x, and the shape of η is
    Gaussian, quartic (light tails, or two peaks: a₄ > 0), or heavy-tailed (a fluctuating a₂: superstatistics, a
    Student t), whichever makes rows that were left out most likely; with ``"auto"`` the ranks of the residuals then put
    it right, if that makes such rows likelier yet.

    Parameters
    ----------
    background
        The theory of the mean.
    noise
        ``"constant"``, ``"varying"`` with x, or ``"auto"``.
    shape
        ``"gaussian"``, ``"quartic"``, ``"heavy"``, or ``"auto"``.

    Raises
    ------
    OptionError
        An option is another.

    References
    ----------
    Abbott, "The background field method beyond one loop", Nucl. Phys. B 185 (1981) 189. Beck & Cohen,
    "Superstatistics", Physica A 322 (2003) 267.
    """

    background: Taylor = field(default_factory=Taylor)
    noise: str = "auto"
    shape: str = "auto"

    def __post_init__(self) -> None:
        if self.noise not in ("constant", "varying", "auto"):
            raise OptionError(f"noise={self.noise!r}: choose 'constant', 'varying' or 'auto'")
        if self.shape not in ("gaussian", "quartic", "heavy", "auto"):
            raise OptionError(f"shape={self.shape!r}: choose 'gaussian', 'quartic', 'heavy' or 'auto'")

    def requires(self) -> Requirement:
        """The moments of the background, and rows, since η is known only once the background is."""
        return replace(self.background.requires(), rows=ROWS)
