from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import Cli, houses, run
from cumulant.cli import files, main, plan
from cumulant.cli import options as o


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    houses().to_csv(tmp_path / "houses.csv", index=False)
    return tmp_path / "houses.csv"


def fitted(cli: Cli, table: object, out: Path, *words: object) -> cm.Model:
    cli("fit", table, "-o", out, *words).ok()
    model = cm.load(out)
    assert isinstance(model, cm.Model)
    return model


def same(a: cm.Model, b: cm.Model) -> None:
    assert a.fields == b.fields
    assert a.target == b.target
    assert a.prior.mass == b.prior.mass
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ((), {}),
        (("--target", "price"), {"target": "price"}),
        (("--prior", "none"), {"prior": None}),
        (("--prior", "evidence", "--target", "price"), {"prior": "evidence", "target": "price"}),
        (("--prior", "folds"), {"prior": "folds"}),
        (("--prior", "0.25"), {"prior": 0.25}),
        (("--missing", "drop"), {"missing": "drop"}),
        (("--columns", "town,price,area"), {"columns": ["town", "price", "area"]}),
        (("--lift", "sold=cyclic:week,cyclic:year"), {"lifts": {"sold": ["cyclic:week", "cyclic:year"]}}),
        (("--lift", "rooms=categorical", "--levels", "3"), {"lifts": {"rooms": "categorical"}, "levels": 3}),
        (("--folds", "4"), {"folds": 4}),
        (("--precision", "compensated", "--missing", "drop"), {"precision": "compensated", "missing": "drop"}),
        (("--weights", "rooms"), {"weights": "rooms"}),
        (("--weights", "rooms", "--weight-kind", "importance"), {"weights": "rooms", "weight_kind": "importance"}),
    ],
)
def test_a_fit_is_that_of_the_library(
    cli: Cli, table: Path, tmp_path: Path, words: tuple[str, ...], settings: dict[str, object]
) -> None:
    model = fitted(cli, table, tmp_path / "m.cumulant", *words)
    same(model, cm.fit(table, **settings))  # type: ignore[arg-type]
    assert model.moments is not None


def test_the_weight_column_need_not_be_named_twice(cli: Cli, table: Path, tmp_path: Path) -> None:
    model = fitted(cli, table, tmp_path / "m", "--columns", "area,price", "--weights", "rooms")
    assert model.columns == ("area", "price")
    same(model, cm.fit(table, columns=["area", "price", "rooms"], weights="rooms"))


def test_what_it_says(cli: Cli, table: Path, tmp_path: Path) -> None:
    answer = cli("fit", table, "-o", tmp_path / "m.cumulant", "--target", "price").ok()
    r2 = cm.fit(table, target="price").cross_validate().loc["all", "r2"]
    for words in ("200 rows of 6 columns, 7 fields", f"R² {r2:.3f}", "m.cumulant"):
        assert words in answer.out
    assert all(line.startswith("note: ") for line in answer.err.splitlines())


def test_json(cli: Cli, table: Path, tmp_path: Path) -> None:
    found = json.loads(cli("fit", table, "-o", tmp_path / "m", "--target", "price", "--json").ok().out)
    assert found["rows"] == 200
    assert found["fields"] == 7
    assert found["cross_validated"]["r2"] == cm.fit(table, target="price").cross_validate().loc["all", "r2"]
    towns = next(column for column in found["columns"] if column["name"] == "town")
    assert towns["levels"] == ["Delft", "Graz", "Lund"]


def test_a_symmetry_is_detected_and_lives_on(cli: Cli, tmp_path: Path) -> None:
    z = np.random.default_rng(0).normal(size=(400, 4))
    ears = {"left_ear": z[:, 0] + z[:, 2], "right_ear": z[:, 1] + z[:, 2], "size": z[:, 2] + 3 * z[:, 3]}
    pd.DataFrame(ears).to_csv(tmp_path / "ears.csv", index=False)
    out = tmp_path / "ears.cumulant"
    model = fitted(cli, tmp_path / "ears.csv", out, "--symmetry", "detect", "--target", "size")
    assert model.symmetries is not None
    assert model.symmetries.state == "detected"
    assert model.symmetries.declared.group.moved.tolist() == [True, True, False]
    said = cli("inspect", out).ok().out
    assert "symmetric under S2: 7 parameters instead of 9" in said
    assert "10 folds" in said
    cli("update", out, tmp_path / "ears.csv", "-o", tmp_path / "twice.cumulant").ok()
    twice = cm.load(tmp_path / "twice.cumulant")
    assert isinstance(twice, cm.Model)
    assert twice.symmetries is not None
    assert twice.count == 800
    refused = cli("fit", tmp_path / "ears.csv", "-o", out, "--symmetry", "detect", "--theory", "taylor")
    assert "leave out --theory" in refused.refusal(2)


def test_a_category_as_target_and_a_single_fold_have_no_score(cli: Cli, table: Path, tmp_path: Path) -> None:
    assert "held out" not in cli("fit", table, "-o", tmp_path / "m", "--target", "town").ok().out
    assert "held out" not in cli("fit", table, "-o", tmp_path / "m", "--target", "price", "--folds", 1).ok().out


def test_without_moments_the_file_is_smaller(cli: Cli, table: Path, tmp_path: Path) -> None:
    fitted(cli, table, tmp_path / "with")
    model = fitted(cli, table, tmp_path / "without", "--no-moments")
    assert model.moments is None
    assert (tmp_path / "without").stat().st_size < (tmp_path / "with").stat().st_size


def test_parquet_and_sql_and_standard_input(table: Path, tmp_path: Path, cli: Cli) -> None:
    frame = houses()
    frame.to_parquet(tmp_path / "houses.parquet")
    whole = fitted(cli, table, tmp_path / "csv")
    same(fitted(cli, tmp_path / "houses.parquet", tmp_path / "parquet"), cm.fit(frame))
    sql = f"SELECT * FROM '{tmp_path}/houses.parquet' WHERE rooms > 4"
    same(fitted(cli, sql, tmp_path / "sql", "--prior", "none"), cm.fit(frame[frame.rooms > 4], prior=None))
    piped = run("fit", "-", "-o", tmp_path / "piped", input=table.read_text())
    assert "standard input: 200 rows" in piped.ok().out
    same(cm.load(tmp_path / "piped"), whole)  # type: ignore[arg-type]


def test_how_a_text_table_is_written(cli: Cli, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": ["1,5", "2,5", "?", "4,0"], "ü": [1, 0, 1, 1], "y": [2.0, 3.0, 4.0, 6.0]})
    for separator, words in ((";", "--delimiter=;"), ("\t", "--delimiter=tab")):
        path = tmp_path / "table.txt"
        path.write_bytes(frame.to_csv(index=False, sep=separator, decimal=",").encode("cp1252"))
        model = fitted(cli, path, tmp_path / "m", words, "--encoding", "cp1252", "--null", "?", "--type", "ü=boolean")
        assert [lift.kind for lift in model.schema.lifts] == ["numeric", "boolean", "numeric"]
        assert model.columns == ("x", "ü", "y")
        assert model.mean[0] == pytest.approx((1.5 + 2.5 + 4) / 3)


def test_names_with_commas_and_equals_signs(cli: Cli, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a, b": [1.0, 2, 4], "c=d": ["1", "2", "3"], "e": [0.0, 1, 5]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = fitted(cli, tmp_path / "t.csv", tmp_path / "m", "--columns", '"a, b",c=d', "--lift", "c=d=categorical")
    assert model.columns == ("a, b", "c=d")
    assert model.schema.lifts[1].kind == "categorical"


def test_progress_and_notes_stay_off_standard_output(cli: Cli, tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(200.0), "k": [f"k{i}" for i in range(200)]}).to_csv(tmp_path / "t.csv", index=False)
    answer = cli("fit", tmp_path / "t.csv", "-o", tmp_path / "m", "--json", "--levels", "50").ok()
    json.loads(answer.out)
    assert "raise --levels to keep more" in answer.err


# ------------------------------------------------------------------ misuse


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "-o FILE"),
        (("-o", "m", "--prior", "lots"), "--prior"),
        (("-o", "m", "--prior", "-1"), "prior"),
        (("-o", "m", "--lift", "town"), "--lift"),
        (("-o", "m", "--lift", "town=red"), "red"),
        (("-o", "m", "--lift", "town=numeric", "--lift", "town=numeric"), "twice"),
        (("-o", "m", "--columns", "a,,b"), "--columns"),
        (("-o", "m", "--missing", "guess"), "integrate"),
        (("-o", "m", "--type", "area=complex"), "complex"),
        (("-o", "m", "--encoding", "klingon"), "klingon"),
        (("-o", "houses.csv"), "another name"),
    ],
)
def test_misuse_is_told(
    cli: Cli, table: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(table.parent)
    before = table.read_bytes()
    assert said in cli("fit", "houses.csv", *words).refusal(2)
    assert table.read_bytes() == before
    assert not Path("m").exists()


def test_a_place_that_cannot_be_written_is_told_before_any_row_is_read(cli: Cli, table: Path) -> None:
    assert "no folder" in cli("fit", table, "-o", table.parent / "none" / "m").refusal()
    assert "it is a folder" in cli("fit", table, "-o", table.parent).refusal()


def test_a_folder_of_someone_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(cm.CumulantError, match="not yours to write"):
        files.check_writable(tmp_path / "m")


def test_the_keyboard_is_not_a_table(monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path) -> None:
    keyboard = io.StringIO()
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    assert "keyboard" in cli("fit", "-", "-o", tmp_path / "m").refusal(2)


def test_words_become_values() -> None:
    assert o.names('a, "b, c",d ', "--columns") == ["a", "b, c", "d"]
    assert o.names(None, "--columns") is None
    assert o.pairs(["a=b=c"], "-") == {"a": "b=c"}
    assert o.pairs(["a=b=c"], "-", last=True) == {"a=b": "c"}
    assert o.assignments(['x=1,"name=Smith, John"', "y="], "-") == {"x": "1", "name": "Smith, John", "y": ""}
    assert [o.row_numbers(word) for word in (None, "12", "row", "-3")] == [None, 12, "row", "-3"]


# ------------------------------------------------------------------ what it would cost


def planned(cli: Cli, *words: object) -> dict[str, object]:
    found = json.loads(cli("fit", *words, "--dry-run", "--json").ok().out)
    assert isinstance(found, dict)
    return found


def test_a_dry_run_foretells_the_fit(cli: Cli, table: Path, tmp_path: Path) -> None:
    words = ("--lift", "sold=cyclic:year", "--weights", "rooms")
    found = planned(cli, table, *words, "--target", "price")
    model = fitted(cli, table, tmp_path / "m", *words)
    assert model.moments is not None
    q = model.moments.sums.shape[-1]
    assert found["rows"] == 200
    assert found["rows_are"] == "known"
    assert found["columns"] == 5
    assert found["fields"] == len(model.fields)
    assert found["missing"] == len(model.moments.presence) == 1
    assert found["sums"] == q
    assert found["flops"] == pytest.approx(200 * q * (q + 1) + len(model.fields) ** 3 / 3)
    assert found["bytes_memory"] == model.moments.packed.nbytes + 2 * 8 * q * q
    assert found["bytes_read"] == table.stat().st_size
    assert "none" in str(found["prior"])


@pytest.mark.parametrize("prior", ["auto", "none", "evidence", "folds", "0.5"])
@pytest.mark.parametrize("rows", [50, 2000])
def test_a_dry_run_foretells_the_prior(cli: Cli, tmp_path: Path, prior: str, rows: int) -> None:
    houses(rows).drop(columns="area").to_csv(tmp_path / "t.csv", index=False)
    kind = fitted(cli, tmp_path / "t.csv", tmp_path / "m", "--prior", prior).prior.kind
    said = str(planned(cli, tmp_path / "t.csv", "--prior", prior)["prior"])
    words = {"none": "none", "evidence": "evidence", "folds": "folds", "given": "mass 0.5"}
    assert words[kind] in said


def test_a_dry_run_foretells_the_arithmetic(cli: Cli, tmp_path: Path) -> None:
    x = np.linspace(0, 1, 50)
    frame = pd.DataFrame({f"x{k}": x**k for k in range(1, 9)})
    frame.to_csv(tmp_path / "powers.csv", index=False)
    assert planned(cli, tmp_path / "powers.csv")["arithmetic"] == "compensated"
    assert "compensated" in cli("fit", tmp_path / "powers.csv", "--dry-run").ok().out
    assert planned(cli, tmp_path / "powers.csv", "--precision", "double")["arithmetic"] == "double"
    model = fitted(cli, tmp_path / "powers.csv", tmp_path / "m")
    assert model.moments is not None
    assert model.moments.exact


def test_a_dry_run_reads_only_the_first_rows(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    rows = 900_000
    path.write_bytes(b"a,b\n" + b"1.25,2.50\n" * rows + b"ragged\n")
    found = planned(cli, path)
    assert found["rows_are"] == "estimated"
    assert found["rows"] == pytest.approx(rows, rel=0.01)
    assert "about " in cli("fit", path, "--dry-run").ok().out
    assert "1 cells where the header has 2" in cli("fit", path, "-o", tmp_path / "m").refusal()


def test_rows_that_only_reading_would_tell(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1.25,2.50\n" * 900_000, 1))
    found = planned(cli, tmp_path / "t.csv.gz")
    assert (found["rows"], found["flops"]) == (None, None)
    assert "unknown" in cli("fit", tmp_path / "t.csv.gz", "--dry-run").ok().out


def test_a_dry_run_says_that_memory_would_not_do(cli: Cli, tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(100_000)]
    (tmp_path / "wide.csv").write_text("\n".join([",".join(names), *[",".join(["1"] * len(names))] * 2]))
    answer = cli("fit", tmp_path / "wide.csv", "--dry-run", "--folds", "10")
    assert "560 GB" in answer.out
    assert "100,000 fields" in answer.refusal()


def test_a_dry_run_checks_names(cli: Cli, table: Path) -> None:
    assert "'prise'" in cli("fit", table, "--dry-run", "--target", "prise").refusal()
    assert "'wait'" in cli("fit", table, "--dry-run", "--weights", "wait").refusal()
    assert not list(table.parent.glob("*.cumulant"))


def test_a_plan_of_a_table_without_rows(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n")
    assert planned(cli, tmp_path / "t.csv")["rows"] == 0


def test_the_pilot_is_that_of_the_pass() -> None:
    from cumulant.source import open_table
    from cumulant.source.table import HEAD_ROWS

    held = plan._pilot(open_table({"x": np.zeros(3 * HEAD_ROWS)}))
    assert sum(len(batch) for batch in held) == HEAD_ROWS


def test_main_takes_its_words_from_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cumulant", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("cumulant ")
