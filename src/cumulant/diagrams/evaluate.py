"""What a diagram is worth: one contraction of propagators and vertices.

Feynman rules: a line is the propagator G, a vertex −F_{i…j}, the weight 1/|Aut|.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.diagrams.graph import Diagram
from cumulant.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Cost", "cost", "evaluate", "evaluate_each", "symmetric_total", "total"]


@dataclass(frozen=True)
class Cost:
    """What evaluating a diagram takes.

    Parameters
    ----------
    flops
        Floating-point operations along the path that was found.
    largest
        Numbers in the largest intermediate array.
    path
        The contractions in order, for a person to read.
    """

    flops: float
    largest: float
    path: str


def evaluate(
    diagram: Diagram, propagator: Array, couplings: Mapping[int, Array], *, amputated: bool = False
) -> NDArray[np.float64]:
    """The value of a diagram: weight × the product of its lines and vertices, summed over the fields inside.

    Parameters
    ----------
    diagram
        The graph.
    propagator
        G (p, p), in units of the fields squared.
    couplings
        Symmetric tensors F_{i…j} (p,)*d by their degree d: the d-th derivatives of F.
    amputated
        Leave out the propagators of the external legs, as in vertex functions.

    Returns
    -------
    ndarray
        (p,)*legs; a number as an array of no axes for a vacuum diagram.

    Raises
    ------
    OptionError
        A coupling that the diagram needs is missing, or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> eight = Diagram.of(0, [4], [(0, 0), (0, 0)])
    >>> float(evaluate(eight, np.array([[2.0]]), {4: np.array([[[[0.3]]]])}))  # −λG²/8
    -0.15
    """
    operands = _operands(diagram, propagator, couplings, amputated)
    if not operands:
        return np.asarray(float(diagram.weight))
    contract = _expression(diagram, amputated, tuple(a.shape for a in operands))
    return np.asarray(contract(*operands) / diagram.symmetry)


def evaluate_each(diagram: Diagram, propagator: Array, couplings: Mapping[int, Array]) -> Array:
    """The values of a diagram in N theories of as many fields at once: `evaluate` with N as the first axis of all."""
    from opt_einsum import get_symbol

    operands = [propagator] * len(diagram.edges) + [-couplings[degree] for degree in diagram.vertices]
    terms, out = _subscripts(diagram, amputated=False).split("->")
    each = get_symbol(2 * len(diagram.edges))
    written = ",".join(each + term for term in terms.split(",")) + "->" + each + out
    contract = _written(written, tuple(a.shape for a in operands))
    return np.asarray(contract(*operands) / diagram.symmetry)


def total(
    found: Sequence[Diagram], propagator: Array, couplings: Mapping[int, Array], *, amputated: bool = False
) -> Array:
    """The sum of diagrams with equal legs, those left out whose couplings are all zero."""
    if not found:
        raise OptionError("there is no diagram to sum; give at least one")
    used = [d for d in found if all(np.any(couplings[v]) for v in set(d.vertices) if v in couplings)]
    zero = np.zeros((len(propagator),) * found[0].legs)
    return np.asarray(sum((evaluate(d, propagator, couplings, amputated=amputated) for d in used), zero))


def symmetric_total(
    found: Iterable[tuple[Diagram, int]],
    propagator: Array,
    couplings: Mapping[int, Array],
    *,
    amputated: bool = False,
) -> Array:
    """The sum over all labels of the legs of what `up_to_labels` found: the average over permutations of the axes."""
    waiting = list(found)
    vanishing = {n for n in couplings if not couplings[n].any()}
    total = np.zeros((len(propagator),) * (waiting[0][0].legs if waiting else 0))
    for d, channels in waiting:
        if not vanishing & set(d.vertices):
            total += channels * evaluate(d, propagator, couplings, amputated=amputated)
    ways = list(permutations(range(total.ndim)))
    return np.asarray(sum(total.transpose(way) for way in ways) / len(ways))


def cost(diagram: Diagram, fields: int, *, amputated: bool = False) -> Cost:
    """What `evaluate` would take for a number of fields, before it runs.

    Examples
    --------
    >>> sunset = Diagram.of(2, [4, 4], [(0, 2), (1, 3), (2, 3), (2, 3), (2, 3)])
    >>> f"{cost(sunset, 10).flops:.0e}"
    '1e+06'
    """
    from opt_einsum import contract_path

    shapes = [(fields,) * len(term) for term in _subscripts(diagram, amputated).split("->")[0].split(",")]
    if shapes == [()]:
        return Cost(0.0, 1.0, "")
    path, about = contract_path(_subscripts(diagram, amputated), *shapes, shapes=True)
    del path
    return Cost(float(about.opt_cost), float(about.largest_intermediate), str(about))


def _operands(diagram: Diagram, propagator: Array, couplings: Mapping[int, Array], amputated: bool) -> list[Array]:
    p = len(propagator)
    if propagator.shape != (p, p):
        raise OptionError(f"propagator has shape {propagator.shape}; it must be square")
    if amputated and any(b < diagram.legs for _, b in diagram.edges):
        raise OptionError("a line from leg to leg has no vertex to be amputated from")
    lines = [a for a, _ in diagram.edges if not (amputated and a < diagram.legs)]
    vertices = []
    for degree in diagram.vertices:
        if degree not in couplings:
            raise OptionError(f"the diagram has a vertex of degree {degree}; give couplings[{degree}]")
        if couplings[degree].shape != (p,) * degree:
            raise OptionError(f"couplings[{degree}] has shape {couplings[degree].shape}, not {(p,) * degree}")
        vertices.append(-couplings[degree])
    return [propagator] * len(lines) + vertices


def _subscripts(diagram: Diagram, amputated: bool) -> str:
    """Each line has an index at either end; an amputated leg is its vertex's index itself."""
    from opt_einsum import get_symbol

    ends: dict[int, list[str]] = {node: [] for node in range(diagram.nodes)}
    lines = []
    for i, (a, b) in enumerate(diagram.edges):
        left, right = get_symbol(2 * i), get_symbol(2 * i + 1)
        if amputated and a < diagram.legs:
            left = right
        else:
            lines.append(left + right)
        ends[a].append(left)
        ends[b].append(right)
    terms = lines + ["".join(ends[v]) for v in range(diagram.legs, diagram.nodes)]
    return ",".join(terms) + "->" + "".join(ends[leg][0] for leg in range(diagram.legs))


def _expression(diagram: Diagram, amputated: bool, shapes: tuple[tuple[int, ...], ...]) -> Any:
    return _written(_subscripts(diagram, amputated), shapes)


@lru_cache(maxsize=1024)
def _written(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> Any:
    from opt_einsum import contract_expression

    return contract_expression(subscripts, *shapes, optimize="auto")
