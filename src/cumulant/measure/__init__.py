"""Numbers → moments: the one pass over the rows."""

from cumulant.measure.capacity import refuse_if_beyond_memory
from cumulant.measure.measure import lifted, measure
from cumulant.measure.moments import Moments

__all__ = ["Moments", "lifted", "measure", "refuse_if_beyond_memory"]
