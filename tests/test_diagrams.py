"""Diagrams, held to counts of Wick contractions, to exact rational series, and to published numbers of graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations, product
from math import factorial, prod
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from cumulant.diagrams import Diagram, cost, diagrams, evaluate, of_loops, of_order, series, total
from cumulant.diagrams.draw import sheet, svg
from cumulant.diagrams.graph import canonical
from cumulant.errors import OptionError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def pairings(ends: list[int]) -> Iterator[list[tuple[int, int]]]:
    """Every way to pair up free ends: Wick's theorem, written out."""
    if not ends:
        yield []
        return
    first, rest = ends[0], ends[1:]
    for i, other in enumerate(rest):
        for more in pairings(rest[:i] + rest[i + 1 :]):
            yield [(first, other), *more]


def contractions(legs: int, vertices: tuple[int, ...]) -> Counter[Diagram]:
    """How many Wick contractions give each diagram."""
    ends = list(range(legs)) + [legs + v for v, degree in enumerate(vertices) for _ in range(degree)]
    return Counter(Diagram.of(legs, vertices, lines) for lines in pairings(ends))


@pytest.mark.parametrize(
    ("legs", "vertices"),
    [
        (0, (4, 4)),
        (0, (3, 3)),
        (0, (3, 3, 4)),
        (2, (4,)),
        (2, (4, 4)),
        (2, (3, 3)),
        (4, (3, 3)),
        (1, (3, 4)),
        (3, (5,)),
        (0, (6, 4)),
    ],
)
def test_symmetry_factors_are_counts_of_wick_contractions(legs, vertices):
    count = contractions(legs, vertices)
    assert set(count) == set(diagrams(legs, vertices, "all"))
    ways = prod(factorial(d) for d in vertices) * prod(factorial(n) for n in Counter(vertices).values())
    for diagram, n in count.items():
        assert Fraction(n, ways) == Fraction(1, diagram.symmetry)


@pytest.mark.parametrize(
    ("degree", "numbers"),
    [
        # Connected multigraphs with loops: 4-regular (OEIS A085549) and cubic, of an even order (OEIS A005967).
        (4, {1: 1, 2: 2, 3: 4, 4: 10, 5: 28}),
        (3, {1: 0, 2: 2, 3: 0, 4: 5, 5: 0, 6: 17}),
    ],
)
def test_numbers_of_vacuum_diagrams_are_the_published_ones(degree, numbers):
    assert {n: len(of_order(0, [degree], n)) for n in numbers} == numbers


def formal_log_of_z(degrees: tuple[int, ...], order: int, legs: int) -> dict[tuple[int, ...], Fraction]:
    """Cumulants of ``legs`` equal fields as power series: moments of the Gaussian, divided and logged term by term."""
    powers = [n for n in product(range(order + 1), repeat=len(degrees)) if sum(n) <= order]

    def gaussian(n: int) -> int:
        return 0 if n % 2 else factorial(n) // (2 ** (n // 2) * factorial(n // 2))

    def with_source(j: int) -> dict[tuple[int, ...], Fraction]:
        """The coefficient of J^j/j! in Z[J]."""
        return {
            n: Fraction((-1) ** sum(n) * gaussian(j + sum(d * k for d, k in zip(degrees, n, strict=True))))
            / prod(factorial(d) ** k * factorial(k) for d, k in zip(degrees, n, strict=True))
            for n in powers
        }

    def times(a, b):
        out = dict.fromkeys(powers, Fraction(0))
        for (m, x), (n, y) in product(a.items(), b.items()):
            k = tuple(i + j for i, j in zip(m, n, strict=True))
            if k in out:
                out[k] += x * y
        return out

    z = [with_source(j) for j in range(legs + 1)]
    zero = tuple(0 for _ in degrees)
    inverse, power = dict.fromkeys(powers, Fraction(0)), {n: Fraction(int(n == zero)) for n in powers}
    minus = {n: Fraction(int(n == zero)) - v for n, v in z[0].items()}
    logarithm = dict.fromkeys(powers, Fraction(0))
    for k in range(order + 1):
        inverse = {n: inverse[n] + power[n] for n in powers}
        power = times(power, minus)
        logarithm = {n: logarithm[n] - power[n] / (k + 1) for n in powers}
    if legs == 0:
        return {n: v for n, v in logarithm.items() if v}
    moments = [times(m, inverse) for m in z]
    kappa: list[dict[tuple[int, ...], Fraction]] = [dict.fromkeys(powers, Fraction(0))]
    for j in range(1, legs + 1):
        rest = moments[j]
        for i in range(1, j):
            c = Fraction(factorial(j - 1), factorial(i - 1) * factorial(j - i))
            rest = {n: rest[n] - c * v for n, v in times(kappa[i], moments[j - i]).items()}
        kappa.append(rest)
    return {n: v for n, v in kappa[legs].items() if v}


@pytest.mark.parametrize(
    ("legs", "degrees", "order"),
    [
        (0, (4,), 5),
        (2, (4,), 5),
        (4, (4,), 3),
        (0, (3,), 6),
        (1, (3,), 5),
        (3, (3,), 3),
        (0, (3, 4), 5),
        (1, (3, 4), 3),
        (2, (3, 4, 6), 2),
    ],
)
def test_the_series_of_zero_dimensional_theories_are_exact(legs, degrees, order):
    assert series(legs, degrees, order) == formal_log_of_z(degrees, order, legs)


def test_known_rationals():
    found = {power: c for (power,), c in series(0, [4], 5).items()}
    assert found == {
        1: Fraction(-1, 8), 2: Fraction(1, 12), 3: Fraction(-11, 96), 4: Fraction(17, 72), 5: Fraction(-619, 960)
    }  # fmt: skip


def isserlis(tensors: list[np.ndarray], g: np.ndarray) -> float:
    """⟨Π T·φⁿ⟩ over a Gaussian, by summing all pairings."""
    owner = [t for t, tensor in enumerate(tensors) for _ in range(tensor.ndim)]
    out = 0.0
    for lines in pairings(list(range(len(owner)))):
        place = {end: 2 * i + side for i, line in enumerate(lines) for side, end in enumerate(line)}
        terms: list[object] = []
        for a, b in lines:
            terms += [g, [place[a], place[b]]]
        for t, tensor in enumerate(tensors):
            terms += [tensor, [place[e] for e in range(len(owner)) if owner[e] == t]]
        out += float(np.einsum(*terms, []))
    return out


def symmetric(rng, p, degree):
    t = rng.normal(size=(p,) * degree)
    return sum(np.transpose(t, axes) for axes in permutations(range(degree))) / factorial(degree)


def test_diagrams_of_several_fields_sum_to_wick_s_theorem(rng):
    p = 2
    root = rng.normal(size=(p, p))
    g, f3, f4 = root @ root.T, symmetric(rng, p, 3), symmetric(rng, p, 4)
    couplings = {3: f3, 4: f4}
    first = -isserlis([f4], g) / 24
    assert total(diagrams(0, [4]), g, couplings) == pytest.approx(first)
    both = isserlis([f3, f3], g) / (2 * 36)  # ⟨F₃⟩ = 0, so the second cumulant is the second moment
    assert total(diagrams(0, [3, 3]), g, couplings) == pytest.approx(both)
    square = isserlis([f4, f4], g) / (2 * 576) - isserlis([f4], g) ** 2 / (2 * 576)
    assert total(diagrams(0, [4, 4]), g, couplings) == pytest.approx(square)


def test_legs_carry_propagators_unless_amputated(rng):
    root = rng.normal(size=(3, 3))
    g, f3 = root @ root.T + np.eye(3), symmetric(rng, 3, 3)
    (tree,) = diagrams(3, [3])
    assert np.allclose(evaluate(tree, g, {3: f3}, amputated=True), -f3)
    assert np.allclose(evaluate(tree, g, {3: f3}), -np.einsum("ai,bj,ck,ijk->abc", g, g, g, f3))


def test_channels_have_their_own_labels(rng):
    g, f3 = np.eye(2), symmetric(rng, 2, 3)
    found = diagrams(4, [3, 3])
    assert len(found) == 3
    for d in found:
        assert {d.relabelled(order) for order in permutations(range(4))} == set(found)
    s = np.einsum("abm,mcd->abcd", f3, f3)
    assert np.allclose(total(found, g, {3: f3}), s + s.transpose(0, 2, 1, 3) + s.transpose(0, 3, 2, 1))


def test_what_can_be_cut():
    tadpole = Diagram.of(2, [3, 3], [(0, 2), (1, 2), (2, 3), (3, 3)])
    bubble = Diagram.of(2, [3, 3], [(0, 2), (1, 3), (2, 3), (2, 3)])
    sunset = Diagram.of(2, [4, 4], [(0, 2), (1, 3), (2, 3), (2, 3), (2, 3)])
    chain = Diagram.of(2, [4, 4], [(0, 2), (2, 2), (2, 3), (3, 3), (1, 3)])
    assert tadpole.tadpoles
    assert not any(d.tadpoles for d in (bubble, sunset, chain))
    assert [d.one_particle_irreducible for d in (tadpole, bubble, sunset, chain)] == [False, True, True, False]
    assert [d.two_particle_irreducible for d in (tadpole, bubble, sunset, chain)] == [False, False, True, False]
    assert [d.loops for d in (tadpole, bubble, sunset, chain)] == [1, 1, 2, 2]
    assert not Diagram.of(0, [4, 4], [(0, 0), (0, 0), (1, 1), (1, 1)]).connected


def test_vertex_functions_generate_all_connected_diagrams():
    """Legendre transform by hand: the full propagator is the geometric series of the 1PI self-energy."""
    sigma = series(2, [4], 5, "1PI")
    g = {(0,): Fraction(1)}
    for _ in range(5):
        terms = {n: [sigma.get((k,), Fraction(0)) * g.get((n - k,), 0) for k in range(1, n + 1)] for n in range(6)}
        g = {(n,): Fraction(int(n == 0)) + sum(terms[n]) for n in range(6)}
    assert g == series(2, [4], 5)


def test_two_particle_irreducible_diagrams_make_ln_z_of_the_full_propagator():
    """ln Z = ½ ln G + ½(1 − G) + Φ, Φ the 2PI vacuum diagrams with G for lines (Cornwall, Jackiw & Tomboulis)."""
    order = 5
    powers = range(order + 1)

    def times(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
        return [sum((a[k] * b[n - k] for k in range(n + 1)), Fraction(0)) for n in powers]

    found = series(2, [4], order)
    g = [found.get((n,), Fraction(0)) for n in powers]
    one, total, power = [Fraction(int(n == 0)) for n in powers], [Fraction(0)] * (order + 1), None
    for k in range(1, order + 1):
        small = [a - b for a, b in zip(g, one, strict=True)]
        power = small if power is None else times(power, small)
        total = [t + Fraction((-1) ** (k + 1), 2 * k) * p for t, p in zip(total, power, strict=True)]
    total = [t + (o - x) / 2 for t, o, x in zip(total, one, g, strict=True)]
    dressed = one
    for n in range(1, order + 1):
        dressed = times(dressed, times(g, g))
        weight = series(0, [4], order, "2PI").get((n,), Fraction(0))
        total = [t + weight * (dressed[m - n] if m >= n else 0) for m, t in zip(powers, total, strict=True)]
    assert total == [series(0, [4], order).get((n,), Fraction(0)) for n in powers]


def test_loops_bound_the_vertices():
    two_point = of_loops(2, [3, 4], 1, "1PI")
    assert sorted(d.vertices for d in two_point) == [(3, 3), (4,)]
    assert all(d.loops == 2 for d in of_loops(1, [3, 4, 5], 2))
    assert of_loops(2, [3, 4], 0) == diagrams(2, [])


def test_a_numbering_does_not_matter(rng):
    edges = [(0, 2), (1, 3), (2, 3), (2, 4), (3, 4), (2, 4), (3, 4)]
    d = Diagram.of(2, [4, 4, 4], edges)
    for order in permutations(range(3)):
        moved = [(a if a < 2 else 2 + order[a - 2], b if b < 2 else 2 + order[b - 2]) for a, b in edges]
        assert Diagram.of(2, [4, 4, 4], moved) == d
        assert canonical(2, (4, 4, 4), moved)[1] == 1


def test_cost_is_told_before_it_is_paid():
    sunset = Diagram.of(2, [4, 4], [(0, 2), (1, 3), (2, 3), (2, 3), (2, 3)])
    assert cost(sunset, 20).flops > 16 * cost(sunset, 10).flops
    assert cost(sunset, 10).flops < 1e8  # term by term it would be 10^10


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: diagrams(0, [4], "tree"), "kind='tree'"),
        (lambda: diagrams(-1, [4]), "legs="),
        (lambda: Diagram.of(0, [4], [(0, 0)]), "must end 4 lines"),
        (lambda: Diagram.of(1, [], [(0, 1)]), "names node 1"),
        (lambda: of_loops(2, [2, 4], 1), "degree 1 and 2"),
        (lambda: of_loops(2, [4], 1, "all"), "kind='all'"),
        (lambda: diagrams(2, [4])[0].relabelled([0]), "name each of the legs"),
        (lambda: evaluate(diagrams(2, [4])[0], np.eye(2), {}), "couplings\\[4\\]"),
        (lambda: evaluate(diagrams(2, [4])[0], np.eye(2), {4: np.eye(2)}), "has shape"),
        (lambda: evaluate(diagrams(2, [4])[0], np.ones((1, 2)), {}), "square"),
        (lambda: evaluate(diagrams(2, [])[0], np.eye(2), {}, amputated=True), "leg to leg"),
        (lambda: total([], np.eye(1), {}), "no diagram"),
        (lambda: sheet([]), "no diagram"),
        (lambda: svg(diagrams(2, [4])[0], ["x"]), "1 names for 2 legs"),
    ],
)
def test_mistakes_are_named(call, what):
    with pytest.raises(OptionError, match=what):
        call()


def test_odd_ends_make_no_diagram_and_no_vertices_make_the_propagator():
    assert diagrams(0, [3]) == ()
    assert diagrams(1, []) == ()
    (line,) = diagrams(2, [])
    assert np.array_equal(evaluate(line, np.array([[2.0]]), {}), [[2.0]])


@pytest.mark.parametrize(
    "d", [*diagrams(0, [4, 4, 4]), *diagrams(1, [3]), *diagrams(2, []), *diagrams(5, [5])], ids=str
)
def test_drawings_are_complete(d):
    names = [f"<column> {i} & co" for i in range(d.legs)]
    drawing = ET.fromstring(svg(d, names, caption="a & b"))
    found = Counter(element.tag.partition("}")[2] for element in drawing.iter())
    assert found["path"] == len(d.edges)
    assert found["circle"] == len(d.vertices)
    assert [t.text for t in drawing.iter("{http://www.w3.org/2000/svg}text")] == [*names, "a & b"]
    assert ET.fromstring(d._repr_svg_()).get("role") == "img"
