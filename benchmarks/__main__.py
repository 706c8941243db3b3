"""``python -m benchmarks [NAME …]``: measure, write ``results/NAME.json``, rewrite the tables of the documentation."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

from benchmarks import harness, tables
from benchmarks.harness import Options

NAMES = (
    "fit", "disk", "wide", "digits", "levels", "notebook", "sphere", "pushdown", "roofline", "gips", "detect",
    "gallery", "accuracy", "field", "field_size", "symmetry", "scaling", "higher", "groups", "classes", "boosting",
    "wide_symmetries",
    "finite_width",
)  # fmt: skip
# Of data that a user must fetch first.
ON_REQUEST = ("gallery", "accuracy", "field", "field_size", "symmetry", "classes", "boosting", "finite_width")
EPILOG = """\
With --quick, --size or --case, the results are not those of the tables: they go to a temporary folder, unless --to
names one. Extra measurements, for example:
  python -m benchmarks fit --size 1000000x10 --case scikit-learn-intelex
"""


def size(text: str) -> tuple[int, int]:
    rows, _, columns = text.partition("x")
    return int(float(rows)), int(columns)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help=f"{', '.join(NAMES)} (default: all, then tables), or tables: rewrite them from results/",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="tiny tables: shows that it runs, measures nothing")
    parser.add_argument("--size", type=size, action="append", metavar="ROWSxCOLUMNS", help="only this size")
    parser.add_argument("--case", action="append", metavar="PEER", help="only this peer beside cumulant")
    parser.add_argument("--rounds", type=int, default=15, help="most repetitions of a case (default 15)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds a case, after 3 repetitions (default 20)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where to write the results")
    return parser


def main() -> None:
    parser = arguments()
    given = parser.parse_args()
    for name in given.names:
        if name not in (*NAMES, "tables"):
            parser.error(f"no benchmark {name}; there are {', '.join(NAMES)}, and tables")
    options = Options(
        quick=given.quick,
        rounds=1 if given.quick else given.rounds,
        budget=given.budget,
        sizes=tuple(given.size or ()),
        cases=tuple(given.case or ()),
    )
    names = given.names or [*(name for name in NAMES if name not in ON_REQUEST), "tables"]
    folder = given.to or (Path(tempfile.mkdtemp(prefix="cumulant-bench-")) if options.partial else harness.RESULTS)
    for name in names:
        if name == "tables":
            if folder == harness.RESULTS:
                tables.rewrite()
            continue
        result = importlib.import_module(f"benchmarks.{name}").run(options)
        harness.say(f"written: {harness.write(name, result, folder)}")


if __name__ == "__main__":
    main()
