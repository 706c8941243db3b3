from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import require

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
harness, synthetic, tables, from_files, roofline = (
    importlib.import_module(f"benchmarks.{name}")
    for name in ("harness", "synthetic", "tables", "from_files", "roofline")
)
PAGES = [ROOT / name for name in ("README.md", "docs/performance.md", "docs/how-fast-and-why.md")]

RECORD = {
    "method": "as one does",
    "machine": {
        "date": "2031-05-06", "cpu": "Abacus 3000", "cores": 7, "vectors": "AVX2", "memory_bytes": 5 * 2**30,
        "system": "Linux 1", "python": "3.11.0", "packages": {"cumulant": "0.1.0", "numpy": "2.0", "dask": None},
        "blas": ["openblas 0.3"], "thread_limits": {"OMP_NUM_THREADS": "1"}, "load_at_start": 0.25,
    },
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- the documentation


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()])
def test_the_figures_shown_are_those_measured(page: Path) -> None:
    assert page.read_text("utf-8") == tables.pages()[page], "run: python -m benchmarks tables"


def test_a_page_without_markers_is_named() -> None:
    for text in ("nothing", tables.BEGIN, tables.END + tables.BEGIN, f"{tables.BEGIN}{tables.END}" * 2):
        with pytest.raises(ValueError, match=r"somewhere\.md needs one"):
            tables.replaced(text, "block", "somewhere.md")


def test_only_the_block_is_rewritten() -> None:
    text = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    new = tables.replaced(text, "new", "page")
    assert new == f"before\n{tables.BEGIN}\nnew\n{tables.END}\nafter\n"
    assert tables.replaced(new, "new", "page") == new


def test_tables_say_how_much_slower_where_and_when() -> None:
    def three(value: float) -> dict[str, float]:
        return {"min": value / 2, "median": value, "max": 2 * value}

    base = {
        "repetitions": 5, "cpu_seconds": three(1.0), "first_seconds": 1.0, "coefficient_error": 3e-14,
        "extra_bytes": 12_345_678,
    }  # fmt: skip
    cases = {
        "cumulant": {**base, "seconds": three(0.012)},
        "peer": {**base, "seconds": three(0.24), "ratio": three(0.05)},
        "faster": {**base, "seconds": three(0.006), "ratio": three(2.0)},
    }
    results = [{"rows": 1000, "columns": 4, "cases": cases, "left_out": {"huge": "too slow"}, "load_at_start": 0.1}]
    records = {"fit": {**RECORD, "results": results}}
    brief, full = tables.summary(records), tables.details(records)
    assert "| peer | 0.240 (20×) |" in brief
    assert "| faster | 0.00600 (0.50×) |" in brief
    assert "2031-05-06, 7 cores of Abacus 3000 (AVX2), 5 GiB" in brief
    assert "| peer | 0.240 (0.120…0.480) | 1.00 | 1.00 | 12 MB | 3.0e-14 | 0.0500 (0.0250…0.100) | 5 |" in full
    assert "Left out, huge: too slow." in full
    assert "OMP_NUM_THREADS=1" in full
    assert "numpy 2.0" in full
    assert "dask" not in full


def test_a_failed_case_is_shown_with_its_reason() -> None:
    cases = {"peer": {"failed": "no | memory"}}
    results = [{"rows": 10, "columns": 2, "format": "csv", "file_bytes": 1, "load_at_start": 0.1, "cases": cases}]
    records = {"disk": {**RECORD, "results": results}}
    assert "| peer | failed |" in tables.summary(records)
    assert r"failed: no \| memory" in tables.details(records)


# ---------------------------------------------------------------------------------------------- the tables measured


@pytest.mark.parametrize(("rows", "columns"), [(40, 3), (41, 3), (7, 2)])
def test_the_known_solution_solves_the_normal_equations_exactly(rows: int, columns: int) -> None:
    table = [[Fraction(cell) for cell in row] for row in synthetic.table(rows, columns).tolist()]
    residuals = [
        row[-1] - sum((b * x for b, x in zip(synthetic.truth(columns), [1, *row[:-1]], strict=True)), Fraction(0))
        for row in table
    ]
    assert any(residuals)
    for column in range(columns):
        assert sum(row[column] * residual for row, residual in zip(table, residuals, strict=True)) == 0
    assert sum(residuals) == 0


def test_the_response_is_exact_at_the_widest_size() -> None:
    table = synthetic.table(6, 1000)
    solution = synthetic.truth(1000)
    first, partner = ([Fraction(cell) for cell in table[i].tolist()] for i in (0, 3))
    assert first[:-1] == partner[:-1]
    exact = solution[0] + sum(b * x for b, x in zip(solution[1:], first[:-1], strict=True))
    assert (first[-1] + partner[-1]) / 2 == exact
    assert first[-1] != exact


def test_pieces_make_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "CHUNK_CELLS", 40)
    pieces = list(synthetic.chunks(25, 4))
    assert [len(piece) for piece in pieces] == [8, 8, 8, 1]
    assert np.array_equal(np.concatenate(pieces), synthetic.table(25, 4))
    assert len(synthetic.names(4)) == synthetic.table(25, 4).shape[1]


def test_error_is_of_the_worst_coefficient() -> None:
    exact = synthetic.truth(3)
    assert synthetic.error(exact) == 0
    assert synthetic.error([exact[0], exact[1], exact[2] * 1.5, exact[3] * 1.25]) == 0.5
    assert synthetic.error([exact[0], exact[1], None, exact[3]]) is None
    assert synthetic.error([exact[0], exact[1], float("nan"), exact[3]]) is None


@pytest.mark.parametrize("way", ["cumulant", "pandas + scikit-learn", "DuckDB SUM(x*y)"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_ways_from_files_agree(way: str, suffix: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"table.{suffix}")
    importlib.import_module("benchmarks.disk").generate(path, 300, 4)
    assert synthetic.error(from_files.WAYS[way](path)) < 1e-10


# ---------------------------------------------------------------------------------------------- the harness


def test_cases_take_turns_and_slow_ones_drop_out() -> None:
    calls: list[str] = []
    seconds = {"cumulant": 1.0, "quick": 2.0, "slow": 50.0}

    def case(name: str) -> Any:
        return lambda: (calls.append(name), (seconds[name], 0.1))[1]

    cases = {name: case(name) for name in seconds}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "PAUSE", 0.0)
        timings = harness.interleaved(cases, harness.Options(rounds=5, budget=30.0))
    assert calls == [*["cumulant", "quick", "slow"] * 3, *["cumulant", "quick"] * 2]
    summaries = harness.summaries(timings)
    assert [summaries[name]["repetitions"] for name in seconds] == [5, 5, 3]
    assert summaries["slow"]["ratio"] == {"min": 0.02, "median": 0.02, "max": 0.02}
    assert "ratio" not in summaries["cumulant"]


def test_ratio_is_taken_within_a_round() -> None:
    timings = {
        "cumulant": harness.Timings([1.0, 8.0, 3.0], [0.0] * 3),
        "peer": harness.Timings([2.0, 16.0, 12.0], [0.0] * 3),
    }
    assert harness.summaries(timings)["peer"]["ratio"] == {"min": 0.25, "median": 0.5, "max": 0.5}


def test_peak_sees_memory_that_is_freed_again() -> None:
    require("peak memory of a process", os.access("/proc/self/clear_refs", os.W_OK), "no /proc/self/clear_refs")
    # In a process of its own: others' allocations would be counted too.
    code = (
        "import numpy as np; from benchmarks.harness import peak_extra\n"
        "held = np.ones(4_000_000)\n"
        "print(peak_extra(lambda: float((held + 1.0).sum())))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 31e6 < float(done.stdout) < 40e6


def test_measured_processes_have_the_processor_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    env = harness.environment()
    assert "OPENBLAS_CORETYPE" not in env
    assert "OPENBLAS_L2_SIZE" not in env
    assert env["OMP_NUM_THREADS"] == "3"


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(harness.MeasurementError, match=r"ModuleNotFoundError.*no_such"):
        harness.call("benchmarks.no_such:function")
    with pytest.raises(harness.MeasurementError, match=r"took over 0 s"):
        harness.call("benchmarks.harness:blas", timeout=0.001)


def test_an_unknown_peer_is_refused() -> None:
    assert harness.Options(cases=("b",)).keep(["cumulant", "a", "b"]) == ["cumulant", "b"]
    with pytest.raises(SystemExit, match="no case c; there are: cumulant, a"):
        harness.Options(cases=("c",)).keep(["cumulant", "a"])


# ---------------------------------------------------------------------------------------------- from one command


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, env=harness.environment(), capture_output=True, text=True, check=False)


def test_quick_run_measures_all_that_the_tables_show(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in harness.RESULTS.glob("*.json")}
    peers = ["--case", "scikit-learn LinearRegression"]
    done = [
        benchmark("fit", "--quick", "--to", str(tmp_path), *peers),
        benchmark("digits", "--quick", "--to", str(tmp_path), *peers),
        benchmark("roofline", "--quick", "--to", str(tmp_path)),
        benchmark("disk", "--quick", "--to", str(tmp_path), "--case", "polars, column sums alone"),
    ]
    assert not any(run.returncode for run in done), [run.stderr[-500:] for run in done]
    records = {path.stem: json.loads(path.read_text("utf-8")) for path in tmp_path.glob("*.json")}
    assert set(records) == {"fit", "digits", "disk", "roofline"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", records["fit"]["machine"]["date"])
    cases = [result["cases"] for record in ("fit", "disk") for result in records[record]["results"]]
    errors = [case["coefficient_error"] for row in cases for case in row.values()]
    assert max(error for error in errors if error is not None) < 1e-9
    assert tables.summary(records).count("**cumulant**") == 3
    assert "scikit-learn LinearRegression" in tables.details(records)
    assert tables.reasons(records).count("| 2,000 × ") == 3
    assert {path: path.read_bytes() for path in harness.RESULTS.glob("*.json")} == before


def test_the_roof_is_the_slower_of_memory_and_arithmetic() -> None:
    rates = {"memory_bytes": {"all": 8e9}, "flops": {"all": 1e9}}
    narrow = roofline.in_memory(1_000_000, 1, 0.01, {**rates, "flops": {"all": 1e10}})
    assert (narrow["bound"], narrow["roof_seconds"], narrow["fraction"]) == ("memory", 1e-3, pytest.approx(0.1))
    wide = roofline.in_memory(1000, 99, 0.0198, rates)
    assert (wide["bound"], wide["roof_seconds"], wide["fraction"]) == ("arithmetic", 9.9e-3, pytest.approx(0.5))


def test_rates_are_measured_for_one_core_and_for_all() -> None:
    found = roofline.rates(small=True)
    assert set(found) == {"memory_bytes", "flops", "file_bytes"}
    assert all(rate["one"] > 0 and rate["all"] > 0 for rate in found.values())


@pytest.mark.parametrize("arguments", [["speed"], ["fit", "--size", "many"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    done = benchmark(*arguments)
    assert done.returncode == 2
    assert arguments[-1] in done.stderr


def test_results_kept_were_measured_whole() -> None:
    for path in harness.RESULTS.glob("*.json"):
        record = json.loads(path.read_text("utf-8"))
        assert record["benchmark"] == path.stem
        assert record["method"] == importlib.import_module(f"benchmarks.{path.stem}").METHOD
        results = record["results"] if isinstance(record["results"], list) else []
        for name, case in itertools.chain.from_iterable(result.get("cases", {}).items() for result in results):
            hopeless = "ratio" in case and case["ratio"]["median"] < 0.5
            # What takes minutes is measured once, as its method says, and has no repetitions to count.
            assert "failed" in case or case.get("repetitions", 3) >= 3 or hopeless, name
