"""Feynman diagrams as graphs: enumerate, weigh, evaluate, draw. They know no data."""

from cumulant.diagrams.enumerate import diagrams, of_loops, of_order, up_to_labels
from cumulant.diagrams.evaluate import Cost, cost, evaluate, evaluate_each, symmetric_total, total
from cumulant.diagrams.graph import Diagram
from cumulant.diagrams.series import series

__all__ = [
    "Cost",
    "Diagram",
    "cost",
    "diagrams",
    "evaluate",
    "evaluate_each",
    "of_loops",
    "of_order",
    "series",
    "symmetric_total",
    "total",
    "up_to_labels",
]
