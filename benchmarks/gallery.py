"""Symmetries of real tables, known beforehand, and of tables that have none: ``python -m benchmarks gallery``.

Reads the tables from the folder that the environment variable CUMULANT_TABLES names: frets.csv, banknote.csv,
tic_tac_toe.csv, openair_nox_daily24.parquet, elecdemand_daily48.csv, natural_patches8x8.parquet, digits8x8.parquet,
quakes.csv, qm9_C7H10O2_geometry.parquet, hipparcos2.parquet. Their sources are beside their names below.
Draws a picture of each symmetry that holds, nearly or not, into docs/figures/symmetries/.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import harness
from benchmarks.harness import ROOT, Options, say

METHOD = "cm.symmetries with its defaults on each table; the best five candidates of each are kept."
PAGE = ROOT / "docs" / "symmetry-gallery.md"
PICTURES = ROOT / "docs" / "figures" / "symmetries"
Frame = pd.DataFrame


def _notes(status: str) -> Callable[[Frame], Frame]:
    return lambda t: t[t["Status"] == status].drop(columns="Status")


def _numeric(stop: int) -> Callable[[Frame], Frame]:
    return lambda t: t.iloc[:, :stop].astype(float)


def _positions(t: Frame) -> Frame:
    return t[[f"{axis}{atom:02d}" for atom in range(19) for axis in "xyz"]].astype(float)


def _turned(t: Frame) -> Frame:
    """Each molecule about its centroid, turned and reflected at random, and columns without their names or order."""
    rng = np.random.default_rng(0)
    at = _positions(t).to_numpy().reshape(-1, 19, 3)
    q, r = np.linalg.qr(rng.normal(size=(len(at), 3, 3)))
    turns = q * np.sign(np.einsum("nii->ni", r))[:, None, :]
    rows = np.einsum("nij,naj->nai", turns, at - at.mean(axis=1, keepdims=True)).reshape(len(at), 57)
    return pd.DataFrame(rows[:, rng.permutation(57)], columns=[f"c{i}" for i in range(57)])


def _hydrogens(t: Frame) -> Frame:
    """Of the ten hydrogen atoms of each molecule: charge, and distance from the centroid of all atoms."""
    at = _positions(t).to_numpy().reshape(-1, 19, 3)
    distance = np.linalg.norm(at - at.mean(axis=1, keepdims=True), axis=2)
    atoms = range(9, 19)
    return pd.DataFrame(
        {f"q{a:02d}": t[f"q{a:02d}"].astype(float) for a in atoms} | {f"d{a:02d}": distance[:, a] for a in atoms}
    )


def _hydrogens_shuffled(t: Frame) -> Frame:
    """The same, in random order in each molecule."""
    filed = _hydrogens(t)
    each = filed.to_numpy().reshape(-1, 2, 10)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(10), (len(each), 1)), axis=1)
    return pd.DataFrame(np.take_along_axis(each, order[:, None, :], axis=2).reshape(-1, 20), columns=filed.columns)


def _relabelled(choose: Callable[[Frame], Frame]) -> Callable[[Frame], Frame]:
    """The same columns under names dealt at random, so that what the names suggest is false."""

    def table(t: Frame) -> Frame:
        chosen = choose(t)
        names = np.random.default_rng(1).permutation(list(chosen.columns))
        return chosen.set_axis([str(name) for name in names], axis=1)

    return table


def _unit_vectors(t: Frame) -> Frame:
    return t[["ux", "uy", "uz"]].astype(float)


TABLES: dict[str, tuple[str, Callable[[Frame], Frame], str]] = {
    "frets": ("frets.csv", lambda t: t, "heads of first and second sons (R boot, Frets 1921)"),
    "banknote genuine": ("banknote.csv", _notes("genuine"), "Swiss notes (R mclust, Flury and Riedwyl 1988)"),
    "banknote counterfeit": ("banknote.csv", _notes("counterfeit"), "the same, counterfeit: bottom and top differ"),
    "tic-tac-toe": ("tic_tac_toe.csv", _numeric(9), "all finished boards (UCI): D4, exactly"),
    "NOx by hour": ("openair_nox_daily24.parquet", lambda t: t.iloc[:, 1:], "London Marylebone Road (R openair)"),
    "electricity by half-hour": ("elecdemand_daily48.csv", _numeric(48), "Victoria, Australia, 2014 (R fpp2)"),
    "photograph patches": ("natural_patches8x8.parquet", _numeric(64), "two photographs of scikit-learn"),
    "digits": (
        "digits8x8.parquet",
        lambda t: t[[f"p{r}{c}" for r in range(8) for c in range(1, 7)]],
        "handwritten digits (UCI), inner columns of pixels: a control, not symmetric",
    ),
    "quakes": ("quakes.csv", lambda t: t, "earthquakes off Fiji (R datasets): a control"),
    "molecules as filed": (
        "qm9_C7H10O2_geometry.parquet",
        _positions,
        (
            "positions of the 19 atoms of isomers of C7H10O2 (QM9, Ramakrishnan et al. 2014), in the pose and the "
            "order of atoms that their authors gave them: neither rotations nor an exchange of all atoms show in them"
        ),
    ),
    "molecules turned at random": (
        "qm9_C7H10O2_geometry.parquet",
        _turned,
        (
            "the same about their centroids, each turned and reflected at random, columns shuffled and unnamed: O(3), "
            "by construction, to be found from moments alone"
        ),
    ),
    "hydrogens as filed": (
        "qm9_C7H10O2_geometry.parquet",
        _hydrogens,
        (
            "charge and distance from the centroid of the ten hydrogen atoms of the same molecules, in the order that "
            "their authors gave them: a control, the order follows the bonds"
        ),
    ),
    "hydrogens in random order": (
        "qm9_C7H10O2_geometry.parquet",
        _hydrogens_shuffled,
        "the same in random order in each molecule: equal atoms are exchangeable, two columns each",
    ),
    "directions of stars": (
        "hipparcos2.parquet",
        _unit_vectors,
        "unit vectors to the stars of the Hipparcos catalogue: a control, the Milky Way is not isotropic",
    ),
    "electricity, half-hours shuffled": (
        "elecdemand_daily48.csv",
        _relabelled(_numeric(48)),
        "the half-hours above under each other's names: a control, no order of the names is that of the day",
    ),
    "NOx, hours shuffled": (
        "openair_nox_daily24.parquet",
        _relabelled(lambda t: t.iloc[:, 1:]),
        "the hours above under each other's names: a control",
    ),
    "frets, measurements shuffled": (
        "frets.csv",
        _relabelled(lambda t: t),
        "lengths and breadths of the two sons under each other's names: a control",
    ),
}


def run(options: Options) -> dict[str, Any]:
    """Weigh and draw."""
    machine = harness.machine()
    results = {}
    for name in list(TABLES)[: 1 if options.quick else None]:
        draw = None if options.quick else str(PICTURES)
        results[name] = harness.call("benchmarks.gallery:one", name=name, draw=draw).result
        best = results[name]["findings"][0]
        say(f"  {name:26} {best['verdict']:12} {best['symmetry']} ({best['why']})")
    record = {"benchmark": "gallery", "method": METHOD, "machine": machine, "parameters": {}, "results": results}
    if not options.partial:
        PAGE.write_text(page(record), encoding="utf-8")
    return record


def one(name: str, draw: str | None) -> dict[str, Any]:
    """One table: its best findings, and a picture of the first that holds or nearly does."""
    import cumulant as cm
    from cumulant.explain.symmetry_picture import draw_symmetry

    file, choose, source = TABLES[name]
    path = harness.table_file(file)
    if path is None:
        raise SystemExit(f"{file} is not in the folder that {harness.TABLES} names; see benchmarks/gallery.py")
    table = choose(pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path))
    m = cm.measure(table, progress=False)
    found = cm.symmetries(m)
    data = found.to_dict()["findings"][:5]
    for finding in data:
        del finding["generators"]
    best = found[0]
    if draw is not None and best.verdict in ("holds", "approximate", "local"):
        Path(draw).mkdir(parents=True, exist_ok=True)
        (Path(draw) / f"{name.replace(' ', '-').lower()}.svg").write_text(draw_symmetry(best, m))
    return {
        "source": source,
        "rows": len(table),
        "columns": table.shape[1],
        "notes": list(found.notes),
        "findings": data,
    }


# ---------------------------------------------------------------------------------------------------- the page


def page(record: dict[str, Any]) -> str:
    """docs/symmetry-gallery.md, from the results of this benchmark and of those beside it."""
    intro = (
        "Written by `python -m benchmarks gallery`. What the columns mean: "
        "[Symmetries of a table](api.md#symmetries-of-a-table). In each picture: the covariance as measured, which of "
        "its entries the group makes equal, and their averages."
    )
    parts = ["# Gallery of symmetries", intro]
    for name, result in record["results"].items():
        size = f"{result['rows']:,} rows, {result['columns']} columns"
        parts += [f"## {name[:1].upper()}{name[1:]}", f"{result['source']}; {size}."]
        parts.append(_table(result["findings"]))
        picture = PICTURES / f"{name.replace(' ', '-').lower()}.svg"
        if picture.exists():
            parts.append(f"![{name}](figures/symmetries/{picture.name})")
    parts += _beside()
    return "\n\n".join(parts) + "\n"


def _table(findings: list[dict[str, Any]]) -> str:
    lines = ["| verdict | symmetry | because | parameters | ln Bayes factor | held out | p (folds) | asymmetry |"]
    lines.append("|---|---|---|--:|--:|--:|--:|--:|")
    for f in findings:
        up = " up to scale" if f["scale"] == "correlation" else ""
        numbers = (f["log_bayes_factor"], f["heldout"], f["p_folds"], f["asymmetry"])
        shown = " | ".join("–" if v is None or v != v else f"{v:.3g}" for v in numbers)
        size = f"{f['free']} → {f['parameters']}"
        lines.append(f"| {f['verdict']} | {f['symmetry']}{up} | {f['why']} | {size} | {shown} |")
    return "\n".join(lines)


def _beside() -> list[str]:
    """False alarms and power, and the search that gips does, where they were measured."""
    parts = []
    detect = _read("detect")
    if detect is not None:
        parts += ["## False alarms and power", detect["method"]]
        for title, rates in detect["results"].items():
            rows = list(next(iter(rates.values())))
            lines = [f"| {title.replace('_', ' ')} | " + " | ".join(f"n = {n}" for n in rows) + " |"]
            lines.append("|---|" + "--:|" * len(rows))
            lines += [f"| {k} | " + " | ".join(f"{100 * v[n]:.0f} %" for n in rows) + " |" for k, v in rates.items()]
            parts.append("\n".join(lines))
        parts.append(
            f"{detect['parameters']['tables']} tables a cell, of planted symmetries "
            f"{detect['parameters']['planted']}; 6 columns."
        )
    gips = _read("gips")
    if gips is not None:
        lines = ["| columns | cyclic groups | seconds | gips, published | ratio |", "|--:|--:|--:|--:|--:|"]
        for p, r in gips["results"].items():
            ratio = r["seconds_published"] / r["seconds"]
            lines.append(f"| {p} | {r['groups']:,} | {r['seconds']:.3g} | {r['seconds_published']:,g} | {ratio:,.0f} |")
        machine = f"{gips['machine']['cpu']}, {gips['machine']['date']}"
        parts += ["## Every cyclic group", f"{gips['method']} Ours: {machine}.", "\n".join(lines)]
    wide = _read("wide_symmetries")
    if wide is not None:
        lines = [
            "| table | columns | seconds | processor seconds | peak, GiB | first of the list |",
            "|---|--:|--:|--:|--:|---|",
        ]
        for kind, r in wide["results"].items():
            numbers = f"{r['columns']:,} | {r['seconds']:.1f} | {r['cpu_seconds']:.1f} | {r['peak_bytes'] / 2**30:.1f}"
            lines.append(f"| {kind} | {numbers} | {r['best']} |")
        machine = f"{wide['machine']['cpu']}, {wide['machine']['date']}, load {wide['machine']['load_at_start']}"
        parts += ["## A thousand columns", f"{wide['method']} {machine}.", "\n".join(lines)]
    return parts


def _read(name: str) -> dict[str, Any] | None:
    path = harness.RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None
