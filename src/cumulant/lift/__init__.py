"""Columns → numbers, invertibly."""

from cumulant.lift.columns import OTHER, Boolean, Categorical, Cyclic, Lift, Numeric, Temporal
from cumulant.lift.schema import Schema

__all__ = ["OTHER", "Boolean", "Categorical", "Cyclic", "Lift", "Numeric", "Schema", "Temporal"]
