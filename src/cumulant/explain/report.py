"""One self-contained HTML page from a model: what was measured, the couplings, and a predictor that runs in it."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cumulant import storage
from cumulant.errors import OptionError
from cumulant.explain.describe import WIDEST, describe, jsonable
from cumulant.explain.links import narrowed
from cumulant.explain.portable import portable
from cumulant.explain.rows import Rows, look
from cumulant.explain.structure import diagram_sum
from cumulant.lift import Boolean, Categorical
from cumulant.source import open_table

if TYPE_CHECKING:
    from cumulant.explain.account import Ledger
    from cumulant.model import Model

__all__ = ["write_report"]

PAGE = Path(__file__).with_name("page")
STYLES = ("base.css", "parts.css")
# In the order in which they are evaluated.
SCRIPTS = (
    "student.js",
    "linear.js",
    "pairs.js",
    "gaussian.js",
    "elements.js",
    "content.js",
    "format.js",
    "outcome.js",
    "controls.js",
    "predictor.js",
    "measured.js",
    "maps.js",
    "graph.js",
    "regression.js",
    "heldout.js",
    "ledger.js",
    "symmetry.js",
    "class.js",
    "field.js",
    "diagrams.js",
    "page.js",
)
LISTED_COLUMNS = 500
DIGITS = 7


def write_report(
    model: Model, path: str | Path, *, title: str | None = None, data: Any = None, compare: bool = False
) -> None:
    """Write a model as one HTML file that needs no network and sends nothing.

    The page shows what was measured, correlations and partial correlations, the strongest couplings, the symmetries of
    the table with their evidence (or the one the model was solved under), the class it belongs to, which columns matter
    to a field on function space and how (shares, main effects with intervals, surfaces of the strongest pairs), a
    regression for each target, the diagrams of the target named, scores on held-out folds (of a field on rows each left
    out) and what the fit cost. The model itself
    travels in it, so that any column can be predicted from any others in the browser, to the last digits of what
    Python predicts (of a theory beyond second order: of what it is to second order).

    Parameters
    ----------
    model
        The model.
    path
        The file to write; one that is there is replaced once the page is complete.
    title
        Heading of the page; default: named after the target, or the number of columns.
    data
        Rows to draw residuals and calibration from, as any table. Those the model was fitted to are recognised, and
        each is then judged by the model of the folds it is not in. They do not travel in the page, only counts do.
    compare
        Whether to train on ``data`` what the model stands beside, as `cumulant.compare` does, for the table of costs:
        a line by descent, or of a theory beyond second order a network and an ensemble of them. By default descent is
        there by formula.

    Raises
    ------
    SourceError
        The file cannot be written, or ``data`` cannot be read.
    ColumnError, DataError
        ``data`` does not fit the model.
    OptionError
        There is nothing to compare on.

    Examples
    --------
    >>> import cumulant as cm
    >>> import tempfile, pathlib
    >>> model = cm.fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 3.0, 4.0, 7.0]}, target="y", prior=None)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(model, path, title="A line")
    >>> "<title>A line</title>" in path.read_text(encoding="utf-8")
    True
    """
    storage.write_atomically(path, page(model, title=title, data=data, compare=compare).encode())


def page(model: Model, *, title: str | None = None, data: Any = None, compare: bool = False) -> str:
    """The text of the page."""
    ledger = _beside(model, data) if compare else None
    model = narrowed(model, WIDEST)
    rows = None if data is None else look(model, data)
    found = describe(model, rows=rows, ledger=ledger)
    shown = found["couplings"]["columns"]
    columns = [name for name in model.columns if name in set(shown)]
    sums = diagram_sum(model)
    content = {
        "report": _compact(found) | {"diagrams": None if sums is None else sums.counts},
        "model": jsonable(portable(model, columns, None if rows is None else _seen(model, rows))),
    }
    parts = {
        "title": html.escape(title or _title(model)),
        "style": "\n".join((PAGE / name).read_text(encoding="utf-8") for name in STYLES),
        "script": "\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "content": _embedded(content),
        # Markup made by the library, in which every name is escaped.
        "diagrams": "" if sums is None else sums.svg(),
    }
    template = (PAGE / "page.html").read_text(encoding="utf-8")
    # One pass, so that a column named like a placeholder stays a name.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _beside(model: Model, data: Any) -> Ledger:
    from cumulant.explain.ledger import compare
    from cumulant.theory import Gaussian

    if data is None or model.target is None:
        raise OptionError("a comparison trains on rows for one target: give data=, of a model fitted with target=")
    table = open_table(data)
    if not table.repeatable:
        raise OptionError("a comparison reads the rows more than once: give data= as a file or a table")
    return compare(table, model.target, theory=None if isinstance(model.theory, Gaussian) else model.theory)


def _title(model: Model) -> str:
    if model.target is not None:
        return f"{model.target}, and any other column"
    return f"Any of {len(model.columns):,} columns from any others"


def _embedded(content: Any) -> str:
    """JSON in which no text can end the script element that holds it."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _compact(found: dict[str, Any]) -> dict[str, Any]:
    """The description as the page takes it: pictures to four decimals, tables to seven digits, long lists cut."""
    couplings = dict(found["couplings"])
    for name in ("correlation", "partial_correlation", "total", "direct"):
        couplings[name] = _picture(np.array(couplings[name], dtype=float))
    del couplings["signed"]
    shown = set(couplings["columns"])
    columns = sorted(found["columns"], key=lambda column: column["name"] not in shown)[:LISTED_COLUMNS]
    names = {column["name"] for column in columns}
    return _rounded(
        found
        | {
            "couplings": couplings,
            "symmetry": _pictured(found["symmetry"]),
            "columns": [column for column in found["columns"] if column["name"] in names],
            "regressions": [_by_rows(regression) for regression in found["regressions"]],
        }
    )


def _picture(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Base64 of the upper triangle in units of 1/10,000, little-endian 16-bit integers."""
    upper = matrix[np.triu_indices(len(matrix))]
    return base64.b64encode(np.round(1e4 * upper).astype("<i2").tobytes()).decode()


def _pictured(symmetry: dict[str, Any]) -> dict[str, Any]:
    """The same with matrices as pictures; orbits, which are whole numbers, as they are."""
    return symmetry | {
        "pictures": [
            shown
            | {
                name: None if shown[name] is None else _picture(np.array(shown[name], dtype=float))
                for name in ("measured", "averaged")
            }
            for shown in symmetry["pictures"]
        ]
    }


def _by_rows(regression: dict[str, Any]) -> dict[str, Any]:
    return regression | {"terms": [list(term.values()) for term in regression["terms"]]}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{DIGITS}g}")


def _seen(model: Model, rows: Rows) -> dict[str, tuple[float, float]]:
    """Smallest and largest number of each column that has any."""
    out = {}
    for lift in model.schema.lifts:
        at = model.schema.independent_of(lift.name)
        if not isinstance(lift, (Categorical, Boolean)) and np.isfinite(rows.seen[:, at[0]]).all():
            out[lift.name] = (float(rows.seen[0, at[0]]), float(rows.seen[1, at[0]]))
    return out
