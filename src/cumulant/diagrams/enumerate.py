"""All diagrams of given vertices and legs, each once, by joining free ends until none is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from math import factorial
from typing import Literal

from cumulant.diagrams.graph import Diagram, Edge, canonical
from cumulant.errors import OptionError

__all__ = ["Channel", "Kind", "diagrams", "of_loops", "of_order", "up_to_labels"]

Kind = Literal["all", "connected", "1PI", "2PI"]
Channel = tuple[Diagram, int]
KINDS = ("all", "connected", "1PI", "2PI")


@lru_cache(maxsize=512)
def _enumerate(legs: int, vertices: tuple[int, ...], connected: bool) -> tuple[Diagram, ...]:
    # A state is a diagram whose vertices still have free ends. Joining the first free end to every other in turn
    # reaches each diagram, and states that are alike are followed once.
    states = {canonical(legs, vertices, ())[0]}
    lines = (legs + sum(vertices)) // 2
    for _ in range(lines):
        states = {
            canonical(legs, state.vertices, (*state.edges, edge))[0]
            for state in states
            for edge in _joins(state, connected)
        }
    return tuple(sorted(state for state in states if state.connected or not connected))


def _joins(state: Diagram, connected: bool) -> Iterator[Edge]:
    free = [1] * state.legs + list(state.vertices)
    for a, b in state.edges:
        free[a] -= 1
        free[b] -= 1
    open_ends = [node for node, f in enumerate(free) if f]
    first = open_ends[0]
    for other in open_ends:
        if other == first and free[first] < 2:
            continue
        edge = (first, other)
        if connected and _closes(state, edge, free):
            continue
        yield edge


def _closes(state: Diagram, edge: Edge, free: Sequence[int]) -> bool:
    """Whether a line would leave a part without free ends while others still have some."""
    joined = set().union(*(part for part in state.components if part & set(edge)))
    return sum(free[node] for node in joined) == 2 and len(joined) < state.nodes


def diagrams(legs: int, vertices: Sequence[int], kind: Kind = "connected") -> tuple[Diagram, ...]:
    """All diagrams with given vertices, up to isomorphism that keeps the labels of the legs.

    Parameters
    ----------
    legs
        Number of external legs; 0 for vacuum diagrams.
    vertices
        Degree of each vertex.
    kind
        ``"all"``, ``"connected"``, ``"1PI"`` (one-particle irreducible) or ``"2PI"``.

    Returns
    -------
    tuple of Diagram
        In canonical order; empty if the free ends do not pair up.

    Raises
    ------
    OptionError
        A number is negative or a kind unknown.

    References
    ----------
    Peskin & Schroeder, An Introduction to Quantum Field Theory (1995), section 4.4, for symmetry factors.

    Examples
    --------
    >>> for d in diagrams(0, [4, 4]):
    ...     print(d)
    a–a, a–b, a–b, b–b  (weight 1/16)
    a–b, a–b, a–b, a–b  (weight 1/48)
    """
    if kind not in KINDS:
        raise OptionError(f"kind={kind!r}: choose {', '.join(map(repr, KINDS))}")
    if legs < 0 or any(d < 1 for d in vertices):
        raise OptionError("legs= must not be negative, and every vertex must have at least one line")
    if (legs + sum(vertices)) % 2:
        return ()
    found = _enumerate(legs, tuple(sorted(vertices)), kind != "all")
    if kind == "1PI":
        return tuple(d for d in found if d.one_particle_irreducible)
    if kind == "2PI":
        return tuple(d for d in found if d.two_particle_irreducible)
    return found


def of_order(legs: int, degrees: Sequence[int], order: int, kind: Kind = "connected") -> tuple[Diagram, ...]:
    """All diagrams with ``order`` vertices of the given degrees.

    Examples
    --------
    >>> [len(of_order(0, [4], n)) for n in (1, 2, 3, 4)]
    [1, 2, 4, 10]
    """
    sets = combinations_with_replacement(sorted(set(degrees)), order)
    return tuple(d for vertices in sets for d in diagrams(legs, vertices, kind))


def of_loops(legs: int, degrees: Sequence[int], loops: int, kind: Kind = "connected") -> tuple[Diagram, ...]:
    """All connected diagrams with a number of loops, vertices of degree 3 and more: there are finitely many.

    A connected diagram obeys 2 (loops − 1) + legs = Σ (degree − 2) over its vertices.
    """
    sets = _with_excess(_interactions(degrees, kind), 2 * (loops - 1) + legs)
    return tuple(d for vertices in sets for d in diagrams(legs, vertices, kind))


def up_to_labels(legs: int, degrees: Sequence[int], loops: int, kind: Kind = "connected") -> tuple[Channel, ...]:
    """The diagrams of `of_loops`, one of each set that differ by the labels of their legs alone.

    Returns
    -------
    tuple of (Diagram, int)
        A diagram of the set, and how many there are in it.

    Examples
    --------
    Exchange between four legs has three channels:

    >>> [(str(d), n) for d, n in up_to_labels(4, [3], 0)]
    [('1–a, 2–a, 3–b, 4–b, a–b  (weight 1)', 3)]
    """
    out = []
    for vertices in _with_excess(_interactions(degrees, kind), 2 * (loops - 1) + legs):
        # A leg without a label is a vertex of one line.
        for bare in diagrams(0, [1] * legs + list(vertices)):
            d = Diagram.of(legs, bare.vertices[legs:], bare.edges)
            if kind == "connected" or (d.two_particle_irreducible if kind == "2PI" else d.one_particle_irreducible):
                out.append((d, factorial(legs) * d.symmetry // bare.symmetry))
    return tuple(out)


def _interactions(degrees: Sequence[int], kind: Kind) -> list[int]:
    if any(d < 3 for d in degrees):
        raise OptionError(f"degrees={list(degrees)!r}: vertices of degree 1 and 2 make infinitely many; resum them")
    if kind == "all":
        raise OptionError("kind='all': disconnected diagrams of a number of loops are infinitely many")
    return sorted(set(degrees))


def _with_excess(degrees: Sequence[int], excess: int) -> Iterator[tuple[int, ...]]:
    if excess == 0:
        yield ()
        return
    for i, degree in enumerate(degrees):
        if degree - 2 <= excess:
            for rest in _with_excess(degrees[i:], excess - (degree - 2)):
                yield (degree, *rest)
