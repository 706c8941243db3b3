"""A network of finite width: the first order in 1/width where that holds, and infinite width where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cumulant.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.solve.field.member import Member

    Array = NDArray[np.float64]

__all__ = ["narrowed", "refuse_if_too_many"]

# Rows that a network of finite width is conditioned on: their pairs are drawn some thousand times.
MOST_ROWS = 200
# Deviation of ln p(y) over networks at initialisation, in nats, beyond which the series is not used.
LARGEST = 1.0


def refuse_if_too_many(rows: int, widths: tuple[int, ...]) -> None:
    """Refuse rows whose pairs are too many to be drawn."""
    if widths and rows > MOST_ROWS:
        raise OptionError(
            f"width={widths}: the first order in 1/width is worked out for up to {MOST_ROWS} rows, and there are "
            f"{rows:,}; fit fewer, or leave width= out, which is infinite width"
        )


def narrowed(member: Member, widths: tuple[int, ...]) -> tuple[Member, str, str | None]:
    """A network with its first order in 1/width, what that does, and a warning where it must not be used."""
    narrow = replace(member, widths=widths)
    evidence, deviation = narrow.one_loop.evidence()
    shown = ", ".join(f"{n:,}" for n in widths)
    if deviation > LARGEST:
        # The parameter of the series falls as 1/√width.
        enough = int(np.ceil(min(widths) * (deviation / LARGEST) ** 2))
        return member, f"hidden layers of {shown} units: predictions are those of infinite width", (
            f"width={widths}: {len(member.rows)} rows tell networks of this width apart (ln p(rows) deviates by "
            f"{deviation:.2g} nats over them, and the series in 1/width holds to {LARGEST:.2g}), so predictions are "
            f"those of infinite width; take some {enough:,} units a layer, or fewer rows"
        )  # fmt: skip
    first = narrow.corrected(member.rows)
    variance = member.latent([member.rows])[1]
    moved = float(np.sqrt(np.mean(first.mean.total**2 / variance)))
    wider = float(np.mean(first.variance.total / variance))
    return narrow, (
        f"hidden layers of {shown} units, to first order in 1/width: at the rows the mean moves by {moved:.2g} "
        f"predictive standard deviations (rms), the variance by {wider:+.1%}, ln Z by {float(evidence.total):+.3g} ± "
        f"{float(evidence.error):.1g}; ln p(rows) deviates by {deviation:.2g} nats over networks, and the series holds "
        f"to {LARGEST:.2g}"
    ), None  # fmt: skip
