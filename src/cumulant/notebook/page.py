"""A page of the notebook: one symmetry class, solved once, as data that is read and never executed."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cumulant.errors import DataError, FileFormatError
from cumulant.notebook.arrays import ARRAY_FUNCTIONS
from cumulant.notebook.expression import Expression, parse
from cumulant.notebook.tables import Table

__all__ = ["Condition", "Coupling", "Moment", "Page", "Record", "SolvedClass", "read_page"]

FORMAT = 1
DOMAINS = ("real", "positive", "interval", "circle", "count", "spin", "binary")
REQUIRED = ("name", "title", "summary", "class", "moment", "coupling", "free_energy", "verify")


@dataclass(frozen=True)
class SolvedClass:
    """What a page is found by: the kind of theory, its order, the fields and the action on them.

    Parameters
    ----------
    theory
        ``"gaussian"``, ``"polynomial"``, ``"spins"``, or the name of a distribution.
    order
        Highest order of F in the fields; 0 where F is no polynomial.
    symmetry
        Name of the action, as the catalogue of groups has it.
    fields
        Domain of each field by name, for a class of a fixed number of fields.
    family
        Name of the family, for a class of any number of fields.
    graph
        Which spins interact, for spins.
    about
        ``"origin"``, or ``"mean"`` where moments of columns are taken about their mean.
    parameters
        Integers that F depends on, with the values that were verified.
    """

    theory: str
    order: int
    symmetry: str
    fields: Mapping[str, str]
    family: str | None
    graph: str | None
    about: str
    parameters: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Moment:
    """An average that the page needs; ``observable`` is what is averaged, where the fields are few enough to say."""

    name: str
    meaning: str
    observable: Expression | None
    default: float | None = None


@dataclass(frozen=True)
class Coupling:
    """A parameter of F, and the formula that gives it from the moments."""

    name: str
    meaning: str
    formula: Expression


@dataclass(frozen=True)
class Condition:
    """Where the formulas hold, and what to do elsewhere."""

    holds: Expression
    otherwise: str


@dataclass(frozen=True)
class Record:
    """What verified a page: the oracle, at how many points, with what largest error."""

    oracle: str
    points: int
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a NaN is not."""
        return self.error <= self.tolerance


@dataclass(frozen=True, eq=False)
class Page:
    """One solved symmetry class.

    Parameters
    ----------
    name, title, summary
        What it is called, in file names and in words.
    solves
        The class: what the page is found by.
    free_energy
        F as a formula of fields and couplings, where the class has a fixed number of fields.
    latex
        F as it is written.
    moments, definitions, couplings, conditions
        The inverse map: what is averaged, intermediate values, the parameters, and where they hold.
    tables
        Functions of one variable that the formulas use.
    checks
        Couplings (and parameters) at which `verify` puts the formulas to the test.
    tolerance
        Largest relative error allowed there.
    records
        What verified it, or nothing.
    text
        Prose: ``machine_learning`` and ``physics`` (names), ``behaviour``, ``derivation`` (LaTeX), ``errors``,
        ``references``, ``diagrams``.
    digest
        Of the text and the tables that were verified.
    """

    name: str
    title: str
    summary: str
    solves: SolvedClass
    free_energy: Expression | None
    latex: str
    moments: tuple[Moment, ...]
    definitions: tuple[tuple[str, Expression], ...]
    couplings: tuple[Coupling, ...]
    conditions: tuple[Condition, ...]
    tables: Mapping[str, Mapping[str, Table]]
    checks: tuple[Mapping[str, float], ...]
    tolerance: float
    records: tuple[Record, ...]
    text: Mapping[str, Any]
    digest: str
    steps: tuple[tuple[str, Callable[[Mapping[str, Any]], Any]], ...] = field(repr=False)

    def couplings_at(self, moments: Mapping[str, Any]) -> dict[str, Any]:
        """The couplings, by evaluating the formulas; moments (and parameters) are numbers or arrays by name."""
        values = dict(moments)
        for name, evaluate in self.steps:
            values[name] = evaluate(values)
        return {c.name: values[c.name] for c in self.couplings}

    def outside(self, moments: Mapping[str, Any]) -> str | None:
        """What to do if the moments are not in the domain of the page; None if they are."""
        for condition in self.conditions:
            if not condition.holds.evaluate(moments):
                return condition.otherwise
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the moments and parameters that it takes."""
        return (*(m.name for m in self.moments), *self.solves.parameters)

    def __repr__(self) -> str:
        return f"Page({self.name}: {self.title})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data: all that the page says, without its tables."""
        solves = self.solves
        return {
            "name": self.name,
            "title": self.title,
            "summary": self.summary,
            "class": {
                "theory": solves.theory,
                "order": solves.order,
                "symmetry": solves.symmetry,
                "fields": dict(solves.fields),
                "graph": solves.graph,
                "parameters": {name: list(values) for name, values in solves.parameters.items()},
            },
            "free_energy": self.latex,
            "moments": {m.name: m.meaning for m in self.moments},
            "definitions": {name: formula.text for name, formula in self.definitions},
            "couplings": {c.name: {"meaning": c.meaning, "formula": c.formula.text} for c in self.couplings},
            "conditions": [{"holds": c.holds.text, "otherwise": c.otherwise} for c in self.conditions],
            "verified": [vars(r) for r in self.records],
            **self.text,
        }

    @property
    def verified(self) -> bool:
        """Whether there is a record of the page as it stands, and every check passed."""
        return bool(self.records) and all(r.passed for r in self.records)


def read_page(path: Path) -> Page:
    """Read a page from its TOML file, and what was generated for it from the JSON file beside it.

    Raises
    ------
    FileFormatError
        The file is no page, or uses what pages may not.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not a page: {error}") from None
    generated = _generated(path.with_suffix(".json"))
    try:
        return _page(data, generated, digest_of(text, generated.get("tables", {})))
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileFormatError(f"{path} is not a page of format {FORMAT}: {error!r}") from None


def digest_of(text: str, tables: Mapping[str, Any]) -> str:
    """What a record of verification belongs to: not one character of the page may differ."""
    return hashlib.sha256((text + json.dumps(tables, sort_keys=True)).encode()).hexdigest()[:16]


def _generated(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is damaged: {error}; verify the page again") from None
    return found if isinstance(found, dict) else {}


def _page(data: dict[str, Any], generated: dict[str, Any], digest: str) -> Page:
    absent = [key for key in REQUIRED if key not in data]
    if absent or data.get("format") != FORMAT:
        raise FileFormatError(f"a page has format = {FORMAT} and {', '.join(REQUIRED)}; missing: {', '.join(absent)}")
    solves = _solved_class(data["class"])
    tables = {name: _table(entry) for name, entry in {**data.get("tables", {}), **generated.get("tables", {})}.items()}
    functions = {**ARRAY_FUNCTIONS, **{name: _function(name, table) for name, table in tables.items()}}
    definitions = tuple((d["name"], parse(d["formula"], functions)) for d in data.get("define", ()))
    couplings = tuple(Coupling(c["name"], c["meaning"], parse(c["formula"], functions)) for c in data["coupling"])
    moments = tuple(_moment(m) for m in data["moment"])
    conditions = tuple(Condition(parse(c["holds"], ARRAY_FUNCTIONS), c["otherwise"]) for c in data.get("condition", ()))
    formula = data["free_energy"].get("formula")
    steps = (*((n, e) for n, e in definitions), *((c.name, c.formula) for c in couplings))
    free_energy = None if formula is None else parse(formula)
    _refuse_unknown_names(steps, {*(m.name for m in moments), *solves.parameters})
    checks = tuple({str(k): float(v) for k, v in p.items()} for p in data["verify"].get("points", ()))
    if free_energy is not None:
        _refuse_loose_ends(solves, free_energy, moments, couplings, checks)
    return Page(
        name=_slug(data["name"]),
        title=str(data["title"]),
        summary=" ".join(str(data["summary"]).split()),
        solves=solves,
        free_energy=free_energy,
        latex=str(data["free_energy"]["latex"]).strip(),
        moments=moments,
        definitions=definitions,
        couplings=couplings,
        conditions=conditions,
        tables=tables,
        checks=checks,
        tolerance=float(data["verify"].get("tolerance", 1e-9)),
        records=_records(generated, digest),
        text=data.get("text", {}),
        digest=digest,
        steps=tuple((name, e.evaluate) for name, e in steps),
    )


def _slug(name: str) -> str:
    if not name or not all(c.isascii() and (c.isalnum() or c == "-") for c in name):
        raise FileFormatError(f"name = '{name}': letters, digits and hyphens only")
    return name


def _solved_class(data: Mapping[str, Any]) -> SolvedClass:
    fields = {str(k): str(v) for k, v in data.get("fields", {}).items()}
    unknown = [v for v in fields.values() if v not in DOMAINS]
    if unknown:
        raise FileFormatError(f"a field cannot be '{unknown[0]}'; there are {', '.join(DOMAINS)}")
    return SolvedClass(
        theory=str(data["theory"]),
        order=int(data["order"]),
        symmetry=str(data["symmetry"]),
        fields=fields,
        family=data.get("family"),
        graph=data.get("graph"),
        about=str(data.get("about", "origin")),
        parameters={k: tuple(int(v) for v in values) for k, values in data.get("parameters", {}).items()},
    )


def _moment(data: Mapping[str, Any]) -> Moment:
    observable = data.get("observable")
    default = None if "default" not in data else float(data["default"])
    return Moment(data["name"], data["meaning"], None if observable is None else parse(observable), default)


def _table(entry: Mapping[str, Any]) -> dict[str, Table]:
    return {key: Table.from_dict(one) for key, one in entry.items()}


def _function(name: str, table: Mapping[str, Table]) -> Callable[..., Any]:
    """A table as a function of its variable, or of an integer parameter and its variable."""
    if set(table) == {""}:
        return table[""]

    def of_parameter(n: float, x: Any) -> Any:
        one = table.get(str(int(n)))
        if one is None:
            raise DataError(f"{name} is tabulated for {', '.join(table)}, not for {n:g}; use the theory's solver")
        return one(x)

    return of_parameter


def _refuse_unknown_names(steps: tuple[tuple[str, Expression], ...], known: set[str]) -> None:
    for name, formula in steps:
        unknown = formula.names - known
        if unknown:
            raise FileFormatError(
                f"{name} = {formula.text} uses '{min(unknown)}', which is no moment, parameter or earlier definition"
            )
        known = known | {name}


def _refuse_loose_ends(
    solves: SolvedClass,
    free_energy: Expression,
    moments: tuple[Moment, ...],
    couplings: tuple[Coupling, ...],
    checks: tuple[Mapping[str, float], ...],
) -> None:
    """F is a function of fields and couplings, observables are of fields, and a test point gives every coupling."""
    given = {*(c.name for c in couplings), *solves.parameters}
    used = [("F", free_energy, {*solves.fields, *given})]
    used += [(m.name, m.observable, {*solves.fields, *solves.parameters}) for m in moments if m.observable is not None]
    for name, formula, known in used:
        if formula.names - known:
            raise FileFormatError(f"{name} = {formula.text} uses '{min(formula.names - known)}', which it cannot know")
    for point in checks:
        if set(point) != given:
            wrong = min(set(point) ^ given)
            raise FileFormatError(f"[verify] points must give {', '.join(sorted(given))}; look at '{wrong}'")


def _records(generated: Mapping[str, Any], digest: str) -> tuple[Record, ...]:
    if generated.get("digest") != digest:
        return ()
    return tuple(Record(r["oracle"], r["points"], r["error"], r["tolerance"]) for r in generated["verified"])
