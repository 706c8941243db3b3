"""The figures in the documentation, written from ``results/*.json`` between two markers of each page."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from benchmarks import accuracy, boosting, classes, cluster_plan, field, finite_width, scaling_page, symmetry
from benchmarks.disk import FLOOR
from benchmarks.harness import OURS, RESULTS, ROOT, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

BEGIN, END = "<!-- performance:begin -->", "<!-- performance:end -->"
NONE = "–"
STAGES = ("start-up", "reading", "decoding", "sums")


def rewrite() -> None:
    """Put the tables into every page that exists."""
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
        say(f"written: {page.relative_to(ROOT)}")
    for picture, drawn in pictures().items():
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_text(drawn, encoding="utf-8")
        say(f"written: {picture.relative_to(ROOT)}")


def pictures(root: Path = ROOT, results: Path = RESULTS) -> dict[Path, str]:
    """The drawings that pages show of what was measured, as they ought to be."""
    makers = {"scaling": scaling_page, "finite_width": finite_width}
    records = {name: results / f"{name}.json" for name in makers}
    return {
        root / "docs" / makers[name].DRAWING: makers[name].drawing(json.loads(record.read_text("utf-8")))
        for name, record in records.items()
        if record.exists()
    }


def pages(root: Path = ROOT, results: Path = RESULTS) -> dict[Path, str]:
    """The pages as they ought to read: the file, and its text with the block made anew."""
    makers = {
        root / "README.md": summary,
        root / "docs" / "performance.md": details,
        root / "docs" / "how-fast-and-why.md": reasons,
        root / "docs" / "sphere.md": solved_once,
        root / "docs" / "accuracy.md": accuracy_page,
        root / "docs" / "field.md": field_page,
        root / "docs" / "class-accuracy.md": classes_page,
        root / "docs" / "boosting.md": boosting_page,
        root / "docs" / "symmetry-worth.md": worth,
        root / "docs" / "cluster-plan.md": planned,
    }
    records = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(results.glob("*.json"))}
    return {
        page: replaced(page.read_text("utf-8"), make(records), page.name)
        for page, make in makers.items()
        if page.exists()
    }


def replaced(text: str, block: str, name: str) -> str:
    """The text with another block between its markers.

    Raises
    ------
    ValueError
        The text has not exactly one begin marker, followed by one end marker.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in head + tail:
        raise ValueError(f"{name} needs one {BEGIN} and, after it, one {END}; the tables go between them")
    return f"{head}{BEGIN}\n{block}\n{END}{tail}"


# ---------------------------------------------------------------------------------------------- the blocks


def summary(records: dict[str, Any]) -> str:
    """The block of README: medians alone, and where each was measured."""
    makers = {"fit": _fit_brief, "disk": _disk_brief, "digits": _digits_brief}
    places: dict[str, list[str]] = {}
    for name in makers:
        if name in records:
            places.setdefault(_place(records[name]), []).append(name)
    notes = [f"{', '.join(names)}: {place}" if len(places) > 1 else place for place, names in places.items()]
    return _block(records, makers) + f"\n\n<sub>Measured on {'; '.join(notes)}. `make bench` measures again.</sub>"


def details(records: dict[str, Any]) -> str:
    """The block of the page on performance: all that was measured."""
    makers = {
        "fit": _fit_full,
        "disk": _disk_full,
        "wide": _wide_full,
        "levels": _levels_full,
        "groups": _groups_full,
        "digits": _digits_full,
    }
    return _block(records, makers)


def worth(records: dict[str, Any]) -> str:
    """The block of the page on what a symmetry is worth."""
    return _block(records, {"symmetry": lambda record: symmetry.block(record, _table, _where(record))})


def accuracy_page(records: dict[str, Any]) -> str:
    """The block of the page on accuracy."""
    return _block(records, {"accuracy": lambda record: accuracy.block(record, _table, _where(record))})


def field_page(records: dict[str, Any]) -> str:
    """The block of the page on fields."""
    return _block(records, {"field": lambda record: field.block(record, _table, _where(record))})


def classes_page(records: dict[str, Any]) -> str:
    """The block of the page on classes."""
    return _block(records, {"classes": lambda record: classes.block(record, _table, _where(record))})


def boosting_page(records: dict[str, Any]) -> str:
    """The block of the page on numbers beside boosting."""
    return _block(records, {"boosting": lambda record: boosting.block(record, _table, _where(record))})


def solved_once(records: dict[str, Any]) -> str:
    """The block of the page on the sphere: one integral two ways, and pages beside numerical solutions."""
    return _block(records, {"sphere": _sphere, "notebook": _notebook})


def _sphere(record: dict[str, Any]) -> list[str]:
    head = ["n", "nested points", "flops", "seconds", "error", "radial flops", "seconds", "error", "lookup"]
    rows = []
    for result in record["results"]:
        cells = [str(result["n"]), f"{result['nested']['points']:,}"]
        for way in ("nested", "radial"):
            one = result[way]
            cells += [f"{one['flops']:.1e}", _time(one["seconds"]["median"]), f"{one['error']:.0e}"]
        rows.append([*cells, _time(result["lookup_seconds"]["median"])])
    return ["### One integral, two ways", record["method"], _where(record), _table(head, rows)]


def _notebook(record: dict[str, Any]) -> list[str]:
    head = ["class", "looked up", "solved numerically", "by", "ratio"]
    rows = [
        [
            f"[{name}](notebook/{name}.md){case['size']}",
            _time(case["lookup_seconds"]["median"]),
            _time(case["solve_seconds"]["median"]),
            case["solver"],
            f"{case['solve_seconds']['median'] / case['lookup_seconds']['median']:,.0f}",
        ]
        for name, case in record["results"].items()
    ]
    return ["### A page beside a numerical solution", record["method"], _where(record), _table(head, rows)]


def _time(seconds: float) -> str:
    """In the unit that suits it, to two digits."""
    scale, unit = next((one for one in ((1.0, "s"), (1e-3, "ms")) if seconds >= one[0]), (1e-6, "µs"))
    return f"{seconds / scale:.2g} {unit}" if seconds / scale < 100 else f"{seconds / scale:.0f} {unit}"


def reasons(records: dict[str, Any]) -> str:
    """The block of the page that says why a fit takes as long as it does."""
    scaling = {"scaling": lambda record: scaling_page.block(record, _table, _where(record))}
    return _block(records, {"roofline": _roofline, "higher": _higher, **scaling})


def _higher(record: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"κ{result['order']}, {_size(result)}", *map(_figure, result["seconds"].values()),
            _figure(result["symmetric_flops"] / 1e9), f"{100 * result['fraction_of_matrix_product']:.0f} %",
        ]
        for result in record["results"]
    ]  # fmt: skip
    head = ["", "cumulant, s", "NumPy, s", "symmetric GFLOP/s", "of a matrix product's rate"]
    return ["### Third and fourth cumulants", record["method"], _where(record), _table(head, rows)]


def planned(records: dict[str, Any]) -> str:
    """The block of the page that plans a table of 10¹² rows, from the rates of a node."""
    return _block(records, {"scaling": lambda record: cluster_plan.block(record, _table, _where(record))})


def _roofline(record: dict[str, Any]) -> list[str]:
    units = {"memory_bytes": ("Reading memory", "GB/s"), "flops": ("Multiplying matrices", "GFLOP/s")}
    units["file_bytes"] = ("Reading files in the page cache", "GB/s")
    rates = [
        [name, *(f"{_figure(record['rates'][rate][cores] / 1e9)} {unit}" for cores in ("one", "all"))]
        for rate, (name, unit) in units.items()
    ]
    memory = [
        [_size(case), _figure(case["seconds"]), _figure(case["roof_seconds"]), case["bound"], _percent(case)]
        for case in record["results"]["memory"]
    ]
    files = [
        [
            f"{_size(case, 1)} {_FORMAT[case['format']]}", *(_figure(case["stages"][stage]) for stage in STAGES),
            _figure(case["seconds"]), case["bound"], _percent(case),
        ]
        for case in record["results"]["files"]
    ]  # fmt: skip
    return [
        "### The roof", record["method"], _where(record),
        "**What the machine can do**", _table(["", "one core", "all cores"], rates),
        "**From arrays in memory**: seconds, and the roof's.",
        _table(["", "measured", "roof", "bound by", "roof / measured"], memory),
        "**From files**: seconds of each stage alone, of the whole process, and the stages' sum over the whole.",
        _table(["", *STAGES, "whole", "bound by", "stages / whole"], files),
    ]  # fmt: skip


def _percent(case: dict[str, Any]) -> str:
    return f"{100 * case['fraction']:.0f} %"


def _block(records: dict[str, Any], makers: dict[str, Callable[[dict[str, Any]], list[str]]]) -> str:
    parts = [part for name, make in makers.items() if name in records for part in make(records[name])]
    return "\n\n".join(["<!-- written by: python -m benchmarks tables -->", *parts])


def _fit_brief(record: dict[str, Any]) -> list[str]:
    return [
        (
            "**From arrays in memory**: median seconds and, in brackets, the time over cumulant's. Sizes are "
            "measured in separate runs; with other work on the machine (load at the start), seconds "
            "compare only within a column."
        ),
        _by_case(record["results"], [_size_and_load(result) for result in record["results"]], _seconds_and_ratio),
    ]


def _size_and_load(result: dict[str, Any]) -> str:
    return f"{_size(result)} (load {result['load_at_start']})"


def _disk_brief(record: dict[str, Any]) -> list[str]:
    head = [f"{_size(result, 1)} {_FORMAT[result['format']]}" for result in record["results"]]
    return [
        "**From files**: the whole process, from the interpreter's start to its end. Median seconds / peak memory.",
        _by_case(record["results"], head, _seconds_and_peak),
    ]


def _by_case(results: list[dict[str, Any]], head: list[str], cell: Callable[[Any], str]) -> str:
    """A row for each case that solves something, a column for each table measured."""
    names = [name for name in _names(result["cases"] for result in results) if name != FLOOR]
    rows = [[_ours(name), *(cell(result["cases"].get(name)) for result in results)] for name in names]
    return _table(["", *head], rows)


def _digits_brief(record: dict[str, Any]) -> list[str]:
    return [
        "**Correct digits** of the worst coefficient on NIST's certified regressions.",
        _digits_table(record, "coefficients"),
    ]


def _fit_full(record: dict[str, Any]) -> list[str]:
    head = ["", "seconds", "first call", "processor s", "extra memory", "error", "cumulant / it", "n"]
    parts = ["### From arrays in memory", record["method"], _where(record)]
    for result in record["results"]:
        rows = [
            [
                _ours(name), _range(case["seconds"]), _figure(case["first_seconds"]),
                _figure(case["cpu_seconds"]["median"]), _bytes(case["extra_bytes"]), _error(case),
                _range(case.get("ratio")), str(case["repetitions"]),
            ]
            for name, case in result["cases"].items()
        ]  # fmt: skip
        parts += [f"**{_size(result)}** (load {result['load_at_start']})", _table(head, rows)]
        parts += [f"Left out, {name}: {why}." for name, why in result["left_out"].items()]
    return parts


def _disk_full(record: dict[str, Any]) -> list[str]:
    head = ["", "seconds", "processor s", "peak memory", "error", "cumulant / it", "n"]
    parts = ["### From files", record["method"], _where(record)]
    for result in record["results"]:
        rows = [
            [_ours(name), f"failed: {case['failed']}", *[NONE] * 5]
            if "failed" in case
            else [
                _ours(name), _range(case["seconds"]), _figure(case["cpu_seconds"]["median"]),
                _bytes(case["peak_bytes"]["max"]), _error(case), _range(case.get("ratio")), str(case["repetitions"]),
            ]
            for name, case in result["cases"].items()
        ]  # fmt: skip
        size, load = _bytes(result["file_bytes"]), result["load_at_start"]
        title = f"{_size(result, 1)}, {_FORMAT[result['format']]} of {size} (load {load})"
        parts += [f"**{title}**", _table(head, rows)]
    return parts


def _wide_full(record: dict[str, Any]) -> list[str]:
    rows = [
        [f"{_size(result)}, {way}", str(result["load_at_start"]), str(case["folds"]), _figure(case["measure_seconds"]),
         _figure(case["gflops"]), _figure(case["solve_seconds"]), _bytes(case["peak_bytes"]), _error(case)]
        for result in record["results"] for way, case in result["cases"].items()
    ]  # fmt: skip
    head = ["", "load", "folds", "seconds to measure", "GFLOP/s", "seconds to solve", "peak memory", "error"]
    return ["### Ten thousand columns", record["method"], _where(record), _table(head, rows)]


def _levels_full(record: dict[str, Any]) -> list[str]:
    results = record["results"]
    head = [f"{result['levels']:,} levels (load {result['load_at_start']})" for result in results]
    table = _by_case(results, head, _seconds_and_extra)
    title = f"### A category of many levels beside {results[0]['numbers']} numbers, {results[0]['rows']:,} rows"
    return [title, record["method"], _where(record), "Median seconds / extra memory.", table]


def _groups_full(record: dict[str, Any]) -> list[str]:
    blocks = [record["method"], _where(record)]
    for result in record["results"]:
        rows = [
            [_ours(name), _range(case["seconds"]), f"{case['rows_per_second'] / 1e6:.2f}", _bytes(case["extra_bytes"]),
             f"{_figure(1 / case['ratio']['median'], 2)}×" if "ratio" in case else NONE]
            for name, case in result["cases"].items()
        ]  # fmt: skip
        kept = result["kept"]
        file = (
            f"The file of all models: {_bytes(kept['file_bytes'])}, written in "
            f"{_time(kept['save_seconds']['median'])}, read in {_time(kept['load_seconds']['median'])}; one model is "
            f"solved in {_time(kept['solve_seconds'])}. Largest error of a covariance: "
            f"{result['cases'][OURS]['difference']:.0e} of the variance."
        )
        title = f"{result['groups']:,} groups, {result['rows']:,} rows of {result['numbers']} numbers:"
        blocks += [
            title,
            _table(["", "seconds", "million rows a second", "extra memory", "time beside ours"], rows),
            file,
        ]
    return ["### Many small models", *blocks]


def _seconds_and_extra(case: dict[str, Any] | None) -> str:
    return NONE if case is None else f"{_figure(case['seconds']['median'])} / {_bytes(case['extra_bytes'])}"


def _digits_full(record: dict[str, Any]) -> list[str]:
    return [
        "### Digits", record["method"], _where(record),
        "**Coefficients**", _digits_table(record, "coefficients"),
        "**Standard errors**", _digits_table(record, "standard_errors"),
    ]  # fmt: skip


def _digits_table(record: dict[str, Any], what: str) -> str:
    rows = {
        name: {method: found[what] for method, found in row.items() if found[what] is not None}
        for name, row in record["results"].items()
    }
    methods = _names(rows.values())
    body = [[name.capitalize(), *(f"{row[method]:.1f}" for method in methods)] for name, row in rows.items()]
    return _table(["", *map(_ours, methods)], body)


# ---------------------------------------------------------------------------------------------- the cells

_FORMAT = {"parquet": "Parquet", "csv": "CSV"}


def _place(record: dict[str, Any]) -> str:
    """The machine and the date."""
    machine = record["machine"]
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['cpu']} ({machine['vectors']}), "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB, cumulant {machine['packages'][OURS]}"
    )


def _where(record: dict[str, Any]) -> str:
    """All that is known of the machine."""
    machine = record["machine"]
    packages = {name: version for name, version in machine["packages"].items() if version and name != OURS}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    limits = "".join(f"; {name}={value}" for name, value in machine["thread_limits"].items())
    return (
        f"<sub>{_place(record)}; load {machine['load_at_start']} at the start{limits}; {machine['system']}, "
        f"Python {machine['python']}, {versions}; {'; '.join(machine['blas'])}.</sub>"
    )


def _names(cases: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in cases for name in row))


def _ours(name: str) -> str:
    return f"**{name}**" if name == OURS else name


def _size(result: dict[str, Any], response: int = 0) -> str:
    return f"{result['rows']:,} × {result['columns'] + response:,}"


def _seconds_and_ratio(case: dict[str, Any] | None) -> str:
    if case is None:
        return NONE
    seconds = _figure(case["seconds"]["median"])
    return f"{seconds} ({_figure(1 / case['ratio']['median'], 2)}×)" if "ratio" in case else f"**{seconds}**"


def _seconds_and_peak(case: dict[str, Any] | None) -> str:
    if case is None or "failed" in case:
        return NONE if case is None else "failed"
    return f"{_figure(case['seconds']['median'])} / {_bytes(case['peak_bytes']['max'])}"


def _range(three: dict[str, float] | None) -> str:
    return f"{_figure(three['median'])} ({_figure(three['min'])}…{_figure(three['max'])})" if three else NONE


def _figure(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, never in powers of ten."""
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(0, places)}f}"


def _bytes(value: float | None) -> str:
    return NONE if value is None else f"{value / 1e6:,.0f} MB"


def _error(case: dict[str, Any]) -> str:
    found = case["coefficient_error"]
    return NONE if found is None else f"{found:.1e}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    # A message of a failure may hold what would end a cell.
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])
