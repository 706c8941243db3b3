from __future__ import annotations

import csv
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cumulant.data import nyc_flights

ROOT = Path(__file__).parents[1]
SLOW_TO_IMPORT = {
    "dask", "duckdb", "matplotlib", "pandas", "polars", "pyarrow.csv", "pyarrow.dataset", "pyarrow.parquet",
    "rich", "scipy.stats", "sklearn", "statsmodels", "sympy", "typer",
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    name = subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return zipfile.ZipFile(folder / name.split()[-1])


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "cumulant").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == sources
    assert {"cumulant/py.typed", "cumulant/data/nyc_flights.csv", "cumulant/data/README.md"} <= held
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_every_folder_of_the_package_is_importable() -> None:
    folders = {path.parent for path in (ROOT / "src" / "cumulant").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_program_is_installed() -> None:
    (program,) = entry_points(group="console_scripts", name="cumulant")
    assert program.value == "cumulant.cli:main"
    assert callable(program.load())


def test_importing_the_package_imports_nothing_slow() -> None:
    loaded = "import sys, cumulant; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout
    assert SLOW_TO_IMPORT & set(modules.split()) == set()


def test_a_regression_from_a_file_imports_no_special_functions(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"x": [1.0, 2, 4, 5, 7, 8], "y": [1.0, 3, 2, 4, 6, 5]}), path)
    code = f"import sys, cumulant as cm; str(cm.fit({str(path)!r}, prior=None).summary('y')); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    # They would take longer to import than the regression takes.
    assert {"scipy.special", "scipy.linalg", "scipy.stats"} & set(done.stdout.split()) == set()


def test_each_optional_package_is_an_extra_and_all_of_them_are_in_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    # Spark is large and needs Java: who wants it asks for it.
    users = set(extras) - {"all", "bench", "lint", "test", "spark"}
    assert set(re.findall(r"[a-z]+", extras["all"][0].split("[")[1])) == users
    required = " ".join([*project["dependencies"], *(name for extra in extras.values() for name in extra)])
    assert not re.search(r"torch|tensorflow|jax", required)


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    latest = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert latest.startswith(("Unreleased", version))


def test_the_demo_table_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "make_demo_table.py", tmp_path / "again.csv"], check=True)
    assert (tmp_path / "again.csv").read_bytes() == nyc_flights().read_bytes()


def test_the_demo_table_is_as_its_page_says() -> None:
    with nyc_flights().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    page = nyc_flights().with_name("README.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", page, re.MULTILINE)
    counted = [(name, str(sum(row[name] == "" for row in rows))) for name in rows[0]]
    assert said == counted
    assert page.count(f"{len(rows):,} flights") == 1
    assert f"name of the carrier, {len({row['airline'] for row in rows})} values" in page
    assert nyc_flights().stat().st_size < 500_000
