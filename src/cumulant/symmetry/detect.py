"""Symmetries of a table, with the evidence for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant.errors import OptionError, ResourceError
from cumulant.source.progress import following, tell
from cumulant.symmetry.candidates import Candidate, Observed, propose
from cumulant.symmetry.chain import order
from cumulant.symmetry.group import Group
from cumulant.symmetry.reynolds import parameters, reynolds
from cumulant.symmetry.rows import Rows
from cumulant.symmetry.scores import Evidence, weigh

if TYPE_CHECKING:
    import pandas as pd

    from cumulant.measure import Moments

__all__ = ["Finding", "Symmetries", "symmetries"]

SCALES = ("auto", "covariance", "correlation")
VERDICTS = ("holds", "implied", "approximate", "local", "undecided", "surpassed", "refused")
# Of what a random relabelling breaks.
NEARLY = 0.25
# Odds, before the rows are seen, that one of the candidates of a source holds; they share them equally. What columns
# are named after, or a user asks about, is a hypothesis stated beforehand; the best of a search is none.
PRIOR = {"user": 4.0, "names": 4.0, "moments": 0.25}
# Of what a true symmetry gains on folds held out: ½ for each parameter saved, whatever the rows.
GAIN = 0.4


@dataclass(frozen=True, eq=False)
class Finding:
    """A candidate symmetry, what the rows say about it, and the verdict.

    Parameters
    ----------
    group
        The group, on the columns of the table by name.
    source, why
        Where the candidate came from: ``"names"``, ``"moments"`` or ``"user"``, and the reason in words.
    evidence
        The scores.
    log_odds
        Log posterior odds against no symmetry: the log Bayes factor, and the prior odds that the candidates of its
        source share (4 to 1 for names and the user, 1 to 4 for the moments), less ln of how many alternatives the
        finder chose among.
    verdict
        ``"holds"``; ``"implied"`` by a larger group that holds; ``"approximate"``: a test rejects it, but it breaks
        less than a quarter of what chance would, or odds and held-out folds speak for it all the same (never of one
        found in the moments, which is near by choice); ``"local"``: approximate from neighbour to neighbour only;
        ``"undecided"``: not rejected, but the rows do not speak for it either; ``"surpassed"``: not rejected, but a
        part of it is likelier by (1 − level)/level; ``"refused"``.
    """

    group: Group
    source: str
    why: str
    evidence: Evidence
    log_odds: float
    verdict: str

    @property
    def scale(self) -> str:
        """``"covariance"``, or ``"correlation"`` for a symmetry up to the scale of each column."""
        return self.evidence.scale

    def __str__(self) -> str:
        up = " up to scale" if self.scale == "correlation" else ""
        return f"{self.group}{up} ({self.why}): {self.verdict}"


@dataclass(frozen=True, eq=False)
class Symmetries:
    """Candidate symmetries of a table, best first.

    Made by `cumulant.symmetries`.
    """

    columns: tuple[str, ...]
    findings: tuple[Finding, ...]
    level: float
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> tuple[Finding, ...]:
        """Those that hold, as far as the rows can tell; the largest groups first."""
        return tuple(f for f in self.findings if f.verdict in ("holds", "implied"))

    @property
    def approximate(self) -> tuple[Finding, ...]:
        """Those that are broken, but by little: worth imposing softly, or while rows are few."""
        return tuple(f for f in self.findings if f.verdict in ("approximate", "local"))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each candidate."""
        import pandas as pd

        rows = [
            {
                "symmetry": str(f.group),
                "why": f.why,
                "source": f.source,
                "scale": f.scale,
                "parameters": f.evidence.parameters,
                "of": f.evidence.free,
                "log_bayes_factor": f.evidence.log_bayes_factor,
                "log_odds": f.log_odds,
                "heldout": f.evidence.heldout,
                "p_value": f.evidence.p_value,
                "p_folds": f.evidence.p_folds,
                "p_mean": f.evidence.p_mean,
                "p_third": f.evidence.p_third,
                "asymmetry": f.evidence.asymmetry,
                "step": f.evidence.step,
                "worth_below": f.evidence.worth_below,
                "verdict": f.verdict,
            }
            for f in self.findings
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def __iter__(self) -> Any:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, at: int) -> Finding:
        return self.findings[at]

    @property
    def summary(self) -> str:
        """In one line."""
        if not self.findings:
            return "no candidate symmetry: nothing in the names or the moments suggests one"
        return f"{len(self.accepted)} of {len(self)} candidate symmetries of {len(self.columns)} columns hold"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "columns": list(self.columns),
            "level": self.level,
            "notes": list(self.notes),
            "findings": [
                {
                    "symmetry": str(f.group), "why": f.why, "source": f.source, "verdict": f.verdict,
                    "log_odds": f.log_odds, **asdict(f.evidence), "order": order(f.group),
                    "generators": _cycles(f.group, self.columns),
                }
                for f in self.findings
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        if not self.findings:
            return "\n".join((self.summary, *self.notes))
        shown = self.table.drop(columns=["source", "of", "p_mean", "p_third", "worth_below"])
        shown["parameters"] = [f"{e.free} → {e.parameters}" for e in (f.evidence for f in self.findings)]
        text = shown.to_string(index=False, float_format=lambda v: f"{v:.3g}", max_colwidth=44, na_rep="–")
        return "\n".join((self.summary, text, *self.notes))

    __repr__ = __str__


_COLUMNS = (
    "symmetry", "why", "source", "scale", "parameters", "of", "log_bayes_factor", "log_odds", "heldout", "p_value",
    "p_folds", "p_mean", "p_third", "asymmetry", "step", "worth_below", "verdict",
)  # fmt: skip


def symmetries(
    m: Moments,
    candidates: Group | Sequence[Group] = (),
    *,
    search: bool = True,
    scale: str = "auto",
    columns: Sequence[str] | None = None,
    level: float = 0.05,
) -> Symmetries:
    """Find symmetries between the columns of a table, with evidence.

    A symmetry is of the fluctuations: of covariances about the mean. Whether it keeps the mean too is shown beside.

    Parameters
    ----------
    m
        Moments of a table.
    candidates
        Groups of your own to weigh besides.
    search
        Also look for candidates in the names of the columns and in their moments.
    scale
        ``"covariance"``, ``"correlation"`` (symmetries up to the scale of each column), or ``"auto"``: the covariance,
        and where a candidate does not hold there the correlation.
    columns
        Only these columns (of `Moments.columns`).
    level
        How often a table without symmetry may have one accepted, about: docs/symmetry-gallery.md has the rates
        measured. A symmetry holds if no test rejects it at a fifth of the level, its posterior odds against none are
        better than (1 − level)/level, and it predicts folds held out no worse. Odds below the square of that need the
        folds to gain as much, or four fifths of what a true symmetry is expected to, whichever is less.

    Returns
    -------
    Symmetries

    Raises
    ------
    OptionError, ColumnError
        An option has a value it cannot take, or there is no such column.
    DataError
        There are too few rows or columns to tell anything.

    Examples
    --------
    >>> import cumulant as cm
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(400, 4))
    >>> pairs = {"left_1": z[:, 0] + z[:, 2], "right_1": z[:, 1] + z[:, 2], "size": z[:, 2] + 3 * z[:, 3]}
    >>> found = cm.symmetries(cm.measure(pairs))
    >>> [(str(f.group), f.why) for f in found.accepted]
    [('S2', 'left and right: ·_1')]
    """
    if scale not in SCALES:
        raise OptionError(f"scale={scale!r}: choose {', '.join(map(repr, SCALES))}")
    if not 0 < level < 1:
        raise OptionError(f"level={level!r}: choose a number between 0 and 1")
    rows = Rows.of(m, columns)
    own = [candidates] if isinstance(candidates, Group) else list(candidates)
    with following(f"symmetries of {len(rows.columns):,} columns"):
        return _searched(rows, own, search=search, scale=scale, level=level)


def _searched(rows: Rows, own: Sequence[Group], *, search: bool, scale: str, level: float) -> Symmetries:
    """What is proposed, weighed, and compared with what else holds."""
    chosen = [Candidate(g.on(rows.columns), "user", "declared") for g in own]
    if search:
        kinds = ("covariance", "correlation") if scale == "auto" else (scale,)
        for kind in kinds:
            seen = rows if kind == "covariance" else rows.standardised
            tell(f"candidates from the {kind}")
            chosen += propose(Observed(rows.columns, seen.covariance, rows.degrees))
    chosen = _once(chosen, 2 if rows.thirds is None else 3)
    shares = {s: sum(c.source == s for c in chosen) / odds for s, odds in PRIOR.items()}
    weighed, unknown = [], 0
    for number, candidate in enumerate(chosen, 1):
        tell(str(candidate.group), score=f"{number} of {len(chosen)} candidates")
        try:
            weighed.append(_find(candidate, rows, scale, shares[candidate.source], level))
        except ResourceError:
            # Of a candidate that was asked for, the user is told; one that was thought of can be left out.
            if candidate.source == "user":
                raise
            unknown += 1
    notes = rows.notes
    if unknown:
        notes = (*notes, f"{unknown} candidates were not weighed: their groups are too large to decompose numerically")
    findings = _ordered(_compared(_ordered(weighed), level))
    both = _together(findings, rows, level)
    return Symmetries(rows.columns, tuple(_ordered(_compared([*findings, *both], level))), level, notes)


def _find(candidate: Candidate, rows: Rows, scale: str, tried: float, level: float) -> Finding:
    found = []
    if scale != "correlation":
        found.append(_judge(candidate, rows, tried, level))
    if scale == "correlation" or (scale == "auto" and found[0].verdict != "holds" and _has_scales(candidate.group)):
        found.append(_judge(candidate, rows.standardised, tried, level))
    return min(found, key=lambda f: VERDICTS.index(f.verdict))


def _ordered(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (VERDICTS.index(f.verdict), -f.log_odds))


def _compared(findings: Sequence[Finding], level: float) -> list[Finding]:
    """Groups that hold, one inside another: the larger implies the other, unless that is decisively likelier."""
    out = list(findings)
    held = [i for i, f in enumerate(out) if f.verdict == "holds"]
    inside = _inside({i: out[i].group for i in held})
    for i, j in inside:
        # By odds, not by evidence: the best of many parts is better than the whole by choice.
        # A part whose prior is drawn to the whole explains the rows as well, and says less.
        if out[i].log_odds > out[j].log_odds + _bar(level):
            out[j] = replace(out[j], verdict="surpassed")
    for i, j in inside:
        same = out[i].scale == out[j].scale or out[j].scale == "covariance"
        if out[i].verdict == out[j].verdict == "holds" and same:
            out[i] = replace(out[i], verdict="implied")
    return out


def _inside(groups: dict[int, Group]) -> set[tuple[int, int]]:
    """Pairs (part, whole): every covariance invariant under the whole is so under the part, which leaves more."""
    out = set()
    for j, whole in groups.items():
        smaller = [i for i, g in groups.items() if parameters(g, 2) > parameters(whole, 2)]
        if smaller:
            a = np.random.default_rng(0).normal(size=(whole.degree, whole.degree))
            even = reynolds(whole, a + a.T)
            out |= {(i, j) for i in smaller if np.allclose(reynolds(groups[i], even), even)}
    return out


def _together(findings: Sequence[Finding], rows: Rows, level: float) -> list[Finding]:
    """The group that those that hold generate together, as far as it holds too."""
    held = [f for f in findings if f.verdict == "holds"]
    if len(held) < 2:
        return []
    best, parts = held[0], 1
    for other in held[1:]:
        try:
            group = replace(best.group * other.group, name=f"{best.group} × {other.group}")
        except OptionError:
            # Rotations and exchanges that mix their components generate no group of this kind.
            continue
        scale = "correlation" if "correlation" in (best.scale, other.scale) else "covariance"
        seen = rows if scale == "covariance" else rows.standardised
        why = f"{best.why}; {other.why}"
        # Both had to be found.
        price = sum(f.evidence.log_bayes_factor - f.log_odds for f in (best, other))
        found = _judge(Candidate(group, "together", why, price), seen, 1, level)
        if found.verdict == "holds" and found.log_odds > best.log_odds:
            best, parts = found, parts + 1
    return [best] if parts > 1 else []


def _once(candidates: Sequence[Candidate], order: int) -> list[Candidate]:
    from cumulant.symmetry.candidates import fingerprint

    seen: dict[bytes, Candidate] = {}
    for c in candidates:
        seen.setdefault(fingerprint(c.group) + (fingerprint(c.group, order) if order > 2 else b""), c)
    return list(seen.values())


def _has_scales(group: Group) -> bool:
    """Whether columns are exchanged: else the correlation has no symmetry that the covariance lacks."""
    return bool((group.images != np.arange(group.degree)).any()) or bool(group.rotations)


def _bar(level: float) -> float:
    """Log odds that a decision takes."""
    return log((1 - level) / level)


def _judge(candidate: Candidate, rows: Rows, tried: float, level: float) -> Finding:
    evidence = weigh(rows, candidate.group)
    odds = evidence.log_bayes_factor - candidate.alternatives - log(tried)
    gained = evidence.heldout * float(rows.counts.sum())
    # Odds that are only just enough need the folds to speak for them too.
    least = 0.0 if odds > 2 * _bar(level) else min(_bar(level), GAIN * (evidence.free - evidence.parameters))
    if evidence.p_value_of_verdict <= level / 5:
        # Broken, yet by less than leaving it out would cost on rows like these.
        near = evidence.asymmetry < NEARLY or (odds > _bar(level) and gained > 0)
        verdict = "approximate" if near else "local" if evidence.step < NEARLY else "refused"
        if candidate.source == "moments":
            # The nearest of many is near by choice.
            verdict = "refused"
    elif evidence.p_third <= level / 5:
        verdict = "refused"
    elif odds > _bar(level) and not gained < least:
        verdict = "holds"
    else:
        verdict = "undecided"
    return Finding(candidate.group, candidate.source, candidate.why, evidence, odds, verdict)


def _cycles(group: Group, columns: Sequence[str]) -> list[list[list[str]]]:
    """Generators as cycles of names; a minus before a column whose sign flips on the way to the next."""
    out = []
    for image, sign in zip(group.discrete.images, group.discrete.signs, strict=True):
        cycles, seen = [], set()
        for start in range(group.degree):
            cycle, at = [], start
            while at not in seen:
                seen.add(at)
                cycle.append(("-" if sign[at] < 0 else "") + columns[at])
                at = int(image[at])
            if len(cycle) > 1 or (cycle and cycle[0].startswith("-")):
                cycles.append(cycle)
        out.append(cycles)
    return out
