"""A Feynman diagram: a multigraph with labelled external legs, and nothing else.

Nodes 0 … legs − 1 are the ends of the external legs, in the order of their labels; the interaction vertices follow.
Diagrams are compared in a canonical numbering of their vertices, so equal means isomorphic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from math import factorial
from typing import Any

from cumulant.errors import OptionError

__all__ = ["Diagram", "Edge", "canonical"]

Edge = tuple[int, int]


@dataclass(frozen=True, order=True)
class Diagram:
    """A diagram up to the numbering of its vertices.

    Parameters
    ----------
    legs
        Number of external legs, which are told apart by their labels.
    vertices
        Degree of each interaction vertex, in the canonical order.
    edges
        Lines as pairs of nodes, ascending; equal pairs are a multiple line, a pair of equal nodes is a loop at it.

    Raises
    ------
    OptionError
        A vertex or leg has another number of lines than its degree.

    Examples
    --------
    The one-loop correction to a propagator, by a quartic vertex, and its weight in ⟨φφ⟩:

    >>> tadpole = Diagram.of(2, [4], [(0, 2), (1, 2), (2, 2)])
    >>> tadpole.loops, tadpole.symmetry, tadpole.weight
    (1, 2, Fraction(-1, 2))
    """

    legs: int
    vertices: tuple[int, ...]
    edges: tuple[Edge, ...]

    @staticmethod
    def of(legs: int, vertices: Sequence[int], edges: Iterable[Edge]) -> Diagram:
        """The diagram of any numbering of its vertices."""
        lines = sorted((min(edge), max(edge)) for edge in edges)
        degree = Counter(node for edge in lines for node in edge)
        for node, wanted in enumerate([1] * legs + list(vertices)):
            if degree.pop(node, 0) != wanted:
                what = f"leg {node}" if node < legs else f"vertex {node}"
                raise OptionError(f"{what} must end {wanted} lines; give edges= in which it does")
        if degree:
            raise OptionError(f"edges= names node {min(degree)}, but there are {legs + len(vertices)} nodes")
        return canonical(legs, vertices, lines)[0]

    @property
    def nodes(self) -> int:
        """Legs and vertices together."""
        return self.legs + len(self.vertices)

    @cached_property
    def components(self) -> tuple[frozenset[int], ...]:
        """The sets of nodes that lines connect."""
        return tuple(_components(range(self.nodes), self.edges))

    @property
    def loops(self) -> int:
        """Independent closed loops: lines − nodes + components."""
        return len(self.edges) - self.nodes + len(self.components)

    @cached_property
    def symmetry(self) -> int:
        """|Aut|: the permutations of vertices and lines, and flips of loops, that leave the diagram as it is."""
        swaps = canonical(self.legs, self.vertices, self.edges)[1]
        for (a, b), m in Counter(self.edges).items():
            swaps *= factorial(m) * (2**m if a == b else 1)
        return swaps

    @property
    def weight(self) -> Fraction:
        """(−1)^vertices / |Aut|: the coefficient of the diagram when each vertex is a coupling F_{i…j}."""
        return Fraction((-1) ** len(self.vertices), self.symmetry)

    @property
    def connected(self) -> bool:
        """Whether it hangs together, legs included."""
        return len(self.components) <= 1

    @property
    def one_particle_irreducible(self) -> bool:
        """Whether it is connected, and stays so when any one line between vertices is cut."""
        return bool(self.vertices) and self.connected and self._holds_together(1)

    @property
    def two_particle_irreducible(self) -> bool:
        """Whether it is connected, and stays so when any one or two lines between vertices are cut."""
        return self.one_particle_irreducible and self._holds_together(2)

    def _holds_together(self, cuts: int) -> bool:
        inner = [edge for edge in self.edges if edge[0] >= self.legs]
        vertices = range(self.legs, self.nodes)
        ways = combinations(range(len(inner)), min(cuts, len(inner)))
        return all(
            len(list(_components(vertices, [e for i, e in enumerate(inner) if i not in cut]))) == 1 for cut in ways
        )

    @property
    def tadpoles(self) -> bool:
        """Whether cutting one line leaves a part without legs: such parts vanish about the true mean."""
        for i, cut in enumerate(self.edges):
            rest = self.edges[:i] + self.edges[i + 1 :]
            parts = list(_components(range(self.nodes), rest))
            if len(parts) > len(self.components) and any(min(part) >= self.legs for part in parts if set(cut) & part):
                return True
        return False

    def relabelled(self, order: Sequence[int]) -> Diagram:
        """The diagram with leg ``order[i]`` in the place of leg i."""
        place = {leg: i for i, leg in enumerate(order)}
        if sorted(place) != list(range(self.legs)):
            raise OptionError(f"order={list(order)!r}: name each of the legs 0 … {self.legs - 1} once")
        edges = [(place.get(a, a), place.get(b, b)) for a, b in self.edges]
        return Diagram.of(self.legs, self.vertices, edges)

    def __str__(self) -> str:
        lines = ", ".join(f"{self._label(a)}–{self._label(b)}" for a, b in self.edges)
        return f"{lines}  (weight {self.weight})" if lines else f"nothing  (weight {self.weight})"

    def _label(self, node: int) -> str:
        return str(node + 1) if node < self.legs else "abcdefghijklmnopqrstuvwxyz"[(node - self.legs) % 26]

    def _repr_svg_(self) -> str:
        from cumulant.diagrams.draw import svg

        return svg(self)


def canonical(legs: int, vertices: Sequence[int], edges: Iterable[Edge]) -> tuple[Diagram, int]:
    """A diagram in canonical numbering, and the number of permutations of its vertices that preserve its lines.

    Colours are refined by neighbourhoods; where vertices still look alike, each in turn is told apart from the others
    (McKay & Piperno, J. Symb. Comput. 60 (2014) 94, section 2). All numberings that give the smallest list of lines are
    images of one another, so their number is the order of the group. The lines may leave degrees unfilled.
    """
    n = legs + len(vertices)
    lines = list(edges)
    multiplicity = [[0] * n for _ in range(n)]
    for a, b in lines:
        multiplicity[a][b] += 1
        if a != b:
            multiplicity[b][a] += 1
    start = [(0, i) for i in range(legs)] + [(1, d) for d in vertices]
    best: list[Edge] | None = None
    at: list[int] = []
    count = 0
    for numbering in _numberings(_ranked(start), multiplicity):
        renamed = sorted((min(numbering[a], numbering[b]), max(numbering[a], numbering[b])) for a, b in lines)
        if best is None or renamed < best:
            best, at, count = renamed, numbering, 1
        elif renamed == best:
            count += 1
    order = sorted(range(len(vertices)), key=lambda v: at[legs + v])
    return Diagram(legs, tuple(vertices[v] for v in order), tuple(best or ())), count


def _numberings(colours: list[int], multiplicity: list[list[int]]) -> Iterator[list[int]]:
    colours = _refined(colours, multiplicity)
    sizes = Counter(colours)
    alike = next((c for c in sorted(sizes) if sizes[c] > 1), None)
    if alike is None:
        yield colours
        return
    for node, colour in enumerate(colours):
        if colour == alike:
            chosen = [2 * c + (c == alike and i != node) for i, c in enumerate(colours)]
            yield from _numberings(_ranked(chosen), multiplicity)


def _refined(colours: list[int], multiplicity: list[list[int]]) -> list[int]:
    while True:
        seen = [
            (c, row[i], tuple(sorted((colours[j], m) for j, m in enumerate(row) if m)))
            for i, (c, row) in enumerate(zip(colours, multiplicity, strict=True))
        ]
        refined = _ranked(seen)
        if refined == colours:
            return colours
        colours = refined


def _ranked(keys: Sequence[tuple[Any, ...] | int]) -> list[int]:
    """Each key replaced by the number of keys that are smaller."""
    first: dict[tuple[Any, ...] | int, int] = {}
    for rank, key in enumerate(sorted(keys)):
        first.setdefault(key, rank)
    return [first[key] for key in keys]


def _components(nodes: Iterable[int], edges: Iterable[Edge]) -> Iterator[frozenset[int]]:
    parts = [{node} for node in nodes]
    for a, b in edges:
        hit = [part for part in parts if a in part or b in part]
        parts = [part for part in parts if part not in hit]
        parts.append(set().union(*hit))
    yield from map(frozenset, parts)
