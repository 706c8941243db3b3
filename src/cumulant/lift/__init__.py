"""Columns → numbers, invertibly."""

from cumulant.lift.columns import NARROW, OTHER, Boolean, Categorical, Cyclic, Lift, Numeric, Temporal
from cumulant.lift.schema import Schema

__all__ = ["NARROW", "OTHER", "Boolean", "Categorical", "Cyclic", "Lift", "Numeric", "Schema", "Temporal"]
