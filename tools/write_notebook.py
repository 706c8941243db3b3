"""Write the notebook of the documentation from its pages: ``python tools/write_notebook.py``.

Makes docs/notebook/*.md with a drawing of each inverse map, and the table of docs/universality.md. Nothing in them is
written by hand, so that they say what the package does.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from draw_figures import BLUE, FAINT, GREEN, INK, ORANGE, STYLE, themed

from cumulant.diagrams import of_loops
from cumulant.diagrams.draw import sheet
from cumulant.notebook import Page, lookup
from cumulant.notebook.library import built_in

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COLOURS = (BLUE, ORANGE, GREEN, INK)
SIZE = (5.4, 2.9)

# What a page of the package says below [text].
TOLD = ("machine_learning", "physics", "behaviour", "derivation", "errors", "references")
# The table of contents, in order: theories by name, and of any other those whose first field is of such a kind.
SECTIONS = {
    "Gaussian": ("gaussian",),
    "Interacting": ("polynomial", "real"),
    "Two-valued and categorical": ("spins", "potts", "spin", "binary"),
    "Angles and directions": ("von-mises-fisher", "circle", "interval"),
    "Positive quantities and counts": ("positive", "count"),
}


# ---------------------------------------------------------------------------------------------- drawings


Moments = Callable[[float], dict[str, Any]]


def curves(
    name: str, x: Any, moments: Moments, values: dict[str, Callable[[Any], float]], xlabel: str, ylabel: str
) -> Any:
    """A drawing of numbers that the page gives, against a moment."""

    def paint(axes: Any) -> None:
        answers = [lookup(name, moments=moments(float(t))) for t in x]
        for colour, (label, value) in zip(COLOURS, values.items(), strict=False):
            axes.plot(x, [value(answer) for answer in answers], color=colour, label=label)
        axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.legend(fontsize=8)

    return paint


def coupling(name: str, *at: int) -> Callable[[Any], float]:
    """One number of an answer."""

    def value(answer: Any) -> float:
        found = np.asarray(answer.couplings[name])
        return float(found[at] if at else found)

    return value


def vectors(axes: Any) -> None:
    """The coupling of O(n) φ⁴ for several n."""
    for n, colour in ((1, BLUE), (2, ORANGE), (3, GREEN), (16, INK)):
        x = np.linspace(1 + 0.06 / n, 1 + 2 / n, 80)
        b = [lookup("phi4-vector", moments={"m2": 1.0, "m4": t, "n": n}).couplings["b"] / n for t in x]
        axes.plot(1 + (x - 1) * n, b, color=colour, label=f"n = {n}")
    axes.set(xlabel="1 + n (m4/m2² − 1): sphere at 1, free at 3", ylabel="b m2² / n", ylim=(0, 60))
    axes.legend(fontsize=8)


def directions(axes: Any) -> None:
    """The concentration for several dimensions."""
    x = np.linspace(0, 0.93, 80)
    for p, colour in ((3, BLUE), (5, ORANGE), (16, GREEN)):
        k = [lookup("von-mises-fisher", moments={"R": t, "p": p}).couplings["k"] for t in x]
        axes.plot(x, k, color=colour, label=f"p = {p}")
    axes.set(xlabel="length R of the mean vector", ylabel="concentration κ", ylim=(0, 40))
    axes.legend(fontsize=8)


def skewed(t: float) -> dict[str, Any]:
    """Moments of a mixture of two Gaussians of unequal weight, as their distance grows."""
    w, s2 = 0.35, 0.25
    centres = np.array([-w * t, (1 - w) * t])
    weights = np.array([1 - w, w])
    powers = [1, 0, s2, 0, 3 * s2**2, 0, 15 * s2**3]
    from math import comb

    return {
        f"m{k}": float(sum(comb(k, j) * powers[j] * weights @ centres ** (k - j) for j in range(k + 1)))
        for k in range(1, 7)
    }


def ring_of(rho: float) -> dict[str, Any]:
    """Covariance around a ring of eight that falls off with the distance."""
    distance = np.minimum(np.arange(8), 8 - np.arange(8))
    return {"c": rho**distance}


def grid_of(rho: float) -> dict[str, Any]:
    """Covariance on a torus of 8 × 8 that falls off in both directions."""
    c = ring_of(rho)["c"]
    return {"c": np.outer(c, c)}


def forest_of(q: float) -> dict[str, Any]:
    """Three spins in a row with small means."""
    return {"m": np.array([0.1, 0.0, -0.1]), "q": np.array([q, 0.3]), "edges": np.array([[0, 1], [1, 2]])}


def ring_spins(q: float) -> dict[str, Any]:
    """Six equal spins on a ring without field: q2 by their transfer matrix."""
    t = np.linspace(-0.999, 0.999, 4001)
    q1, q2 = (t + t**5) / (1 + t**6), (t**2 + t**4) / (1 + t**6)
    return {"m": np.zeros(6), "q1": np.full(6, q), "q2": np.full(6, np.interp(q, q1, q2)), "t": np.zeros(6)}


R = np.linspace(-0.9, 0.9, 91)
FRACTION = np.linspace(0.02, 0.98, 97)
DRAWINGS: dict[str, Callable[[Any], None]] = {
    "gaussian": curves(
        "gaussian",
        R,
        lambda r: {"mu": np.zeros(2), "C": np.array([[1, r], [r, 1]])},
        {"K₁₁": coupling("K", 0, 0), "K₁₂": coupling("K", 0, 1)},
        "correlation of two fields of variance 1",
        "coupling",
    ),
    "gaussian-even": curves(
        "gaussian-even",
        R,
        lambda r: {"M": np.array([[1, r], [r, 1]])},
        {"K₁₁": coupling("K", 0, 0), "K₁₂": coupling("K", 0, 1)},
        "mean product of two fields of mean square 1",
        "coupling",
    ),
    "gaussian-exchangeable": curves(
        "gaussian-exchangeable",
        np.linspace(-0.2, 0.9, 90),
        lambda c: {"v": 1, "c": c, "n": 5},
        {"d": coupling("d"), "o": coupling("o")},
        "covariance c of five fields of variance 1",
        "coupling",
    ),
    "gaussian-blocks": curves(
        "gaussian-blocks",
        np.linspace(-0.3, 0.55, 90),
        lambda c: {
            "mu": np.zeros(2),
            "A": np.array([[1, 0.4], [0.4, 1]]),
            "B": np.array([[c, 0.1], [0.1, 0.2]]),
            "b": 3,
        },
        {"D₁₁": coupling("D", 0, 0), "O₁₁": coupling("O", 0, 0), "D₁₂": coupling("D", 0, 1)},
        "covariance B₁₁ between blocks",
        "coupling",
    ),
    "gaussian-ring": curves(
        "gaussian-ring",
        np.linspace(0, 0.9, 90),
        ring_of,
        {f"k at distance {r}": coupling("k", r) for r in range(3)},
        "correlation of neighbours, falling off as a power",
        "coupling",
    ),
    "gaussian-grid": curves(
        "gaussian-grid",
        np.linspace(0, 0.8, 90),
        grid_of,
        {"k at (0, 0)": coupling("k", 0, 0), "k at (0, 1)": coupling("k", 0, 1), "k at (1, 1)": coupling("k", 1, 1)},
        "correlation of neighbours, falling off as a power",
        "coupling",
    ),
    "gaussian-time": curves(
        "gaussian-time",
        np.linspace(0, 0.95, 90),
        lambda c: {"c": np.array([1, 0.7, c])},
        {"a₁": coupling("a", 0), "a₂": coupling("a", 1), "σ²": coupling("s2")},
        "correlation at lag 2, if 0.7 at lag 1",
        "",
    ),
    "gaussian-vectors": curves(
        "gaussian-vectors",
        R,
        lambda r: {"A": np.array([[1, r], [r, 1]]), "n": 3},
        {"P₁₁": coupling("P", 0, 0), "P₁₂": coupling("P", 0, 1)},
        "mean scalar product of two vectors, over n",
        "coupling",
    ),
    "phi4": curves(
        "phi4",
        np.linspace(1.2, 3, 120),
        lambda t: {"m2": 1, "m4": t},
        {"a m2": coupling("a"), "b m2² / 10": lambda answer: float(answer.couplings["b"] / 10)},
        "m4/m2²: two values at 1, free at 3",
        "coupling",
    ),
    "phi4-vector": vectors,
    "phi4-skew": curves(
        "phi4-skew",
        np.linspace(1.0, 3.0, 90),
        skewed,
        {name: coupling(name) for name in ("h", "a", "g", "b")},
        "distance of two unequal peaks (standard deviation ½ each)",
        "coupling",
    ),
    "student-t": curves(
        "student-t",
        np.linspace(3.2, 9, 90),
        lambda t: {"m2": 1, "m4": t},
        {"ν": coupling("nu"), "10 s²": lambda answer: float(10 * answer.couplings["s2"])},
        "m4/m2²",
        "",
    ),
    "spins-independent": curves(
        "spins-independent",
        2 * FRACTION - 1,
        lambda m: {"m": np.array([m])},
        {"h": coupling("h", 0)},
        "mean",
        "field",
    ),
    "spin-pair": curves(
        "spin-pair",
        np.linspace(-0.45, 0.5, 90),
        lambda q: {"m1": 0.3, "m2": -0.2, "q": q - 0.06},
        {name: coupling(name) for name in ("h1", "h2", "J")},
        "covariance of two spins of means 0.3 and −0.2",
        "coupling",
    ),
    "spins-tree": curves(
        "spins-tree",
        np.linspace(-0.85, 0.85, 90),
        forest_of,
        {"J of the edge": coupling("J", 0), "h of its inner end": coupling("h", 1)},
        "mean product of the ends of an edge",
        "coupling",
    ),
    "spins-chain": curves(
        "spins-chain",
        np.linspace(-0.85, 0.85, 90),
        forest_of,
        {"J": coupling("J", 0), "next J": coupling("J", 1)},
        "mean product of two neighbours",
        "coupling",
    ),
    "naive-bayes": curves(
        "naive-bayes",
        np.linspace(-0.75, 0.75, 90),
        lambda q: {"m": np.array([0.0, 0.2, -0.1]), "q": np.array([q, 0.3]), "edges": np.array([[0, 1], [0, 2]])},
        {"J of an input": coupling("J", 0), "h of the class": coupling("h", 0)},
        "mean product of class and input",
        "coupling",
    ),
    "spins-ring": curves(
        "spins-ring",
        np.linspace(-0.9, 0.9, 90),
        ring_spins,
        {"J": coupling("J", 0)},
        "mean product of neighbours, six spins",
        "coupling",
    ),
    "curie-weiss": curves(
        "curie-weiss",
        np.linspace(0.05, 0.9, 60),
        lambda q: {"m": 0.2, "q": q, "n": 20},
        {"J": coupling("J"), "10 h": lambda answer: float(10 * answer.couplings["h"])},
        "mean product of a pair, 20 spins of mean 0.2",
        "coupling",
    ),
    "potts-pair": curves(
        "potts-pair",
        np.linspace(0.02, 0.31, 60),
        lambda d: {"P": np.full((3, 3), (1 - 3 * d) / 6) + np.eye(3) * (d - (1 - 3 * d) / 6)},
        {"J, equal levels": coupling("J", 0, 0), "J, others": coupling("J", 0, 1)},
        "frequency of each pair of equal levels (3 × 3)",
        "coupling",
    ),
    "von-mises": curves(
        "von-mises",
        np.linspace(0, 0.95, 90),
        lambda r: {"c": r, "s": 0},
        {"κ": coupling("x")},
        "length R of the mean vector",
        "concentration",
    ),
    "von-mises-fisher": directions,
    "log-normal": curves(
        "log-normal",
        np.linspace(0.1, 3, 60),
        lambda t: {"l1": 0.5, "l2": 0.25 + t},
        {"σ²": coupling("s2"), "μ": coupling("mu")},
        "variance of the logarithm, of mean 0.5",
        "",
    ),
    "poisson": curves(
        "poisson", np.linspace(0.05, 10, 90), lambda m: {"m1": m}, {"h": coupling("h")}, "mean count", "coupling"
    ),
    "bernoulli": curves(
        "bernoulli", FRACTION, lambda p: {"p": p}, {"h": coupling("h")}, "frequency of true", "log odds"
    ),
    "exponential": curves(
        "exponential", np.linspace(0.1, 4, 90), lambda m: {"m1": m}, {"r": coupling("r")}, "mean", "rate"
    ),
    "gamma": curves(
        "gamma",
        np.linspace(0.03, 3, 90),
        lambda s: {"m1": 1, "l1": -s},
        {"k": coupling("k")},
        "ln of arithmetic over geometric mean",
        "shape",
    ),
}


# Interacting pages, and how many legs their vertices have.
VERTICES = {"phi4": (4,), "phi4-vector": (4,), "phi4-skew": (3, 4)}
# Two kinds of vertices make too many diagrams for a page at two loops.
LOOPS = {1: "two loops", 2: "one loop"}


def diagrams(name: str) -> str:
    """The diagrams of the second cumulant, as SVG."""
    loops = range(4 - len(VERTICES[name]))
    return sheet([d for order in loops for d in of_loops(2, VERTICES[name], order)], columns=4) + "\n"


def drawing(name: str) -> str:
    """The inverse map of a page, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure, buffer = Figure(figsize=SIZE, layout="constrained"), io.StringIO()
        DRAWINGS[name](figure.subplots())
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return themed(buffer.getvalue())


# ---------------------------------------------------------------------------------------------- words


def words_of(page: Page) -> str:
    """A page of the notebook in Markdown."""
    said = page.text
    if missing := [key for key in TOLD if key not in said]:
        raise SystemExit(f"page '{page.name}' does not say {', '.join(missing)}: add them below [text]")
    parts = [
        f"<!-- written by: python tools/write_notebook.py -->\n\n# {page.title}",
        page.summary,
        f"$${page.latex}$$",
        _facts(page),
        "## From moments to couplings",
        _table(("moment", ""), [(f"`{m.name}`", _said(m.meaning)) for m in page.moments] + _parameters(page)),
    ]
    if page.definitions:
        parts += ["With", _code([f"{name} = {formula.text}" for name, formula in page.definitions])]
    parts.append(
        _table(
            ("coupling", "", "formula"),
            [(f"`{c.name}`", _said(c.meaning), f"`{c.formula.text}`") for c in page.couplings],
        )
    )
    if page.tables:
        parts.append(_tables(page))
    parts.append(f"![{page.title}: couplings against a moment]({page.name}.svg)")
    if page.conditions:
        rows = [(f"`{c.holds.text}`", _said(c.otherwise)) for c in page.conditions]
        parts += ["It holds where", _table(("condition", "otherwise"), rows)]
    parts += ["```python\nimport cumulant as cm\n\n" + _call(page) + "\n```"]
    parts += ["## Why", _flow(said["derivation"]), f"**Standard errors.** {_flow(said['errors'])}"]
    if said.get("diagrams"):
        parts += ["**Diagrams.** " + "; ".join(said["diagrams"]) + "."]
    if page.name in VERTICES:
        parts += [
            f"The second cumulant to {LOOPS[len(VERTICES[page.name])]}; a vertex stands for minus its coupling:",
            f"![Feynman diagrams of the second cumulant, {page.title}]({page.name}-diagrams.svg)",
        ]
    parts += ["## What is known of it", _flow(said["behaviour"])]
    parts += [
        f"**In physics**: {'; '.join(said['physics'])}.",
        f"**In machine learning**: {'; '.join(said['machine_learning'])}.",
    ]
    parts += ["## Verified", _table(("oracle", "points", "largest error", "allowed"), _records(page))]
    parts += ["## References", "\n".join(f"- {reference}" for reference in said["references"])]
    parts += ["[All pages](README.md)"]
    return "\n\n".join(parts) + "\n"


def _facts(page: Page) -> str:
    solves = page.solves
    default = {"spins": "spin", "potts": "category"}.get(solves.theory, "real")
    kinds = sorted(set(solves.fields.values())) or [default]
    number = "any number" if solves.family or solves.parameters else str(len(solves.fields))
    fields = f"{', '.join(kinds)}; {number}"
    if solves.symmetry == "orthogonal" and solves.fields:
        fields = "the components of a vector"
    pairs = {"none": "no pairs", "full": "all pairs"}
    rows = [
        ("theory", solves.theory),
        ("order", str(solves.order) if solves.order else "all"),
        ("symmetry", solves.symmetry.replace("-", " ")),
        ("fields", fields),
    ]
    if solves.graph:
        rows.append(("couplings between", pairs.get(solves.graph, f"the edges of a {solves.graph}")))
    return _table(("class", ""), rows)


def _parameters(page: Page) -> list[tuple[str, ...]]:
    return [
        (f"`{name}`", f"number of components; verified for {', '.join(map(str, values))}")
        for name, values in page.solves.parameters.items()
    ]


def _tables(page: Page) -> str:
    lines = []
    for name, table in page.tables.items():
        keys = [key for key in table if key]
        ends = next(iter(table.values())).breaks
        pieces = sum(len(one.coefficients) for one in table.values())
        error = max(one.error for one in table.values())
        of = f", for each of {', '.join(keys)}," if keys else ""
        lines.append(
            f"`{name}` is tabulated{of} on [{ends[0]:g}, {ends[-1]:g}]: {pieces} pieces of Chebyshev polynomials, "
            f"whose relative error is at most {error:.1e} everywhere (the sum of its Chebyshev coefficients, from 40 "
            "digits)."
        )
    return "\n\n".join(lines)


CALLS = {
    "full": "cm.Gaussian(), None, moments",
    "even": "cm.Gaussian(), cm.symmetry.z2(columns), moments",
    "exchangeable": "cm.Gaussian(), cm.symmetry.symmetric(columns), moments",
    "blocks": 'cm.Gaussian(), cm.symmetry.symmetric([["x1", "y1"], ["x2", "y2"]]), moments',
    "ring": "cm.Gaussian(), cm.symmetry.cyclic(columns), moments",
    "grid": "cm.Gaussian(), cm.symmetry.grid_translations(height, width, columns), moments",
    "vectors": 'cm.Gaussian(), cm.symmetry.orthogonal([["x1", "y1"], ["x2", "y2"]]), moments',
    "magnet": "cm.Spins(), cm.symmetry.symmetric(columns), moments",
    "spin-ring": 'cm.Spins("ring"), cm.symmetry.z2(columns), moments',
}
GROUPS = {"z2": "cm.symmetry.z2(columns)", "orthogonal": "cm.symmetry.orthogonal([columns])", "trivial": "None"}


def _call(page: Page) -> str:
    solves = page.solves
    if solves.family in CALLS:
        return f"answer = cm.notebook.lookup({CALLS[solves.family]})"
    if solves.graph:
        return f'answer = cm.notebook.lookup(cm.Spins("{solves.graph}"), None, moments)'
    if solves.theory == "polynomial":
        return f"answer = cm.notebook.lookup(cm.Polynomial(4), {GROUPS[solves.symmetry]}, moments)"
    given = ", ".join(f'"{name}": {name}' for name in page.names)
    return f'answer = cm.notebook.lookup("{page.name}", moments={{{given}}}, count=rows)'


def _records(page: Page) -> list[tuple[str, ...]]:
    return [(r.oracle, str(r.points), f"{r.error:.1e}", f"{r.tolerance:g}") for r in page.records]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _code(lines: list[str]) -> str:
    return "\n".join(["```text", *lines, "```"])


def _said(text: str) -> str:
    return text.replace("|", "\\|")


def _flow(text: str) -> str:
    return " ".join(text.split())


CONTENTS = """\
<!-- written by: python tools/write_notebook.py -->

# The notebook

Like a table of integrals: each page is a symmetry class that was solved once. It says which couplings survive, which
moments suffice, and how the one follows from the other: by a formula, or by a function of one variable that was
tabulated once. Each page was verified before it was written, against an oracle that does not use its formulas.
`cm.notebook.lookup` recognises the class of your columns and evaluates the page; `cumulant notebook list` shows the
same in a terminal. To add a page of your own, see [Extending](../extending.md#a-page); what each class is called
elsewhere is in the table of [universality](../universality.md). Why a rotation-invariant class of n dimensions is one
integral: [the sphere](../sphere.md).
"""
UNIVERSALITY = """\
<!-- written by: python tools/write_notebook.py -->

# Universality

A model is its free energy $F$, and two models with the same fields, the same symmetry and the same surviving couplings
are one model, whatever they are called. The rows are the classes of the [notebook](notebook/README.md).
`model.universality()` says which of them a fitted model is in, which of its couplings stand out of the noise, and what
follows: mass gap, susceptibility, one phase or two.

The size of a coupling is its coefficient times $\\sqrt{G_{ii}}$ for each of its legs, and $\\sqrt{k!}$ for $k$ equal
legs: what it adds to the cumulants, in standard deviations. A coupling that is zero shows about $1/\\sqrt N$; beyond
three of these it is called relevant.
"""


def _section(page: Page) -> str:
    solves = page.solves
    by_name = [title for title, kinds in SECTIONS.items() if solves.theory in kinds]
    by_field = [title for title, kinds in SECTIONS.items() if set(list(solves.fields.values())[:1]) & set(kinds)]
    return (by_name + by_field)[0]


def contents(pages: tuple[Page, ...]) -> str:
    """The table of contents."""
    parts = [CONTENTS.strip()]
    for title in SECTIONS:
        rows = [
            (f"[{page.title}]({page.name}.md)", ", ".join(f"`{name}`" for name in page.names))
            for page in pages
            if _section(page) == title
        ]
        parts += [f"## {title}", _table(("class", "from the moments"), rows)]
    return "\n\n".join(parts) + "\n"


def universality(pages: tuple[Page, ...]) -> str:
    """The whole correspondence, as one table."""
    rows = [
        (
            f"[{page.title}](notebook/{page.name}.md)",
            "; ".join(page.text["machine_learning"]),
            "; ".join(page.text["physics"]),
        )
        for title in SECTIONS
        for page in pages
        if _section(page) == title
    ]
    return UNIVERSALITY + "\n" + _table(("class", "in machine learning", "in physics"), rows) + "\n"


def texts() -> dict[Path, str]:
    """Every Markdown file as it ought to read."""
    pages = built_in()
    out = {DOCS / "notebook" / f"{page.name}.md": words_of(page) for page in pages}
    out[DOCS / "notebook" / "README.md"] = contents(pages)
    out[DOCS / "universality.md"] = universality(pages)
    return out


def main() -> int:
    """Write all of it."""
    for path, text in texts().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for page in built_in():
        (DOCS / "notebook" / f"{page.name}.svg").write_text(drawing(page.name), encoding="utf-8")
    for name in VERTICES:
        (DOCS / "notebook" / f"{name}-diagrams.svg").write_text(diagrams(name), encoding="utf-8")
    print(f"{len(built_in())} pages in {DOCS / 'notebook'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
