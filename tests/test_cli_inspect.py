"""Commands that show: inspect, compare, report, demo."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import cumulant as cm
from commandline import Cli, houses, run
from cumulant.cli import main


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("houses")
    houses().to_csv(place / "houses.csv", index=False)
    assert main(["fit", str(place / "houses.csv"), "-o", str(place / "m"), "--target", "price"]) == 0
    return place


@pytest.fixture
def model(folder: Path) -> cm.Model:
    loaded = cm.load(folder / "m")
    assert isinstance(loaded, cm.Model)
    return loaded


# ------------------------------------------------------------------ inspect


def test_inspect_shows_rows_columns_prior_and_the_regression(cli: Cli, folder: Path, model: cm.Model) -> None:
    text = cli("inspect", folder / "m").ok().out
    for words in ("model, target price", "200", "6, as 7 fields", model.prior.reason, "10 folds", *model.notes):
        assert words in text
    lines = {line.split()[0]: line for line in reversed(text.splitlines()) if line}
    assert "3 levels" in lines["town"]
    assert "5.0 %" in lines["area"]
    assert "2021" in lines["sold"]
    summary = model.summary()
    assert f"{summary.r_squared:,.5g}" in lines["R²"]
    assert f"{summary.table.loc['town=Graz', 'coefficient']:.5g}" in lines["town=Graz"].split()


def test_inspect_another_column_with_other_errors(cli: Cli, folder: Path, model: cm.Model) -> None:
    words = ("--target", "area", "--errors", "jackknife", "--level", 0.5)
    text = cli("inspect", folder / "m", *words).ok().out
    table = model.summary("area", errors="jackknife", level=0.5).table
    assert "area on all other columns, jackknife errors" in text
    assert "low 50 %" in text
    line = next(line for line in text.splitlines() if line.startswith("rooms ") and "numeric" not in line)
    assert line.split()[1:3] == [f"{table.loc['rooms', 'coefficient']:.5g}", f"{table.loc['rooms', 'se']:.3g}"]


def test_inspect_as_json(cli: Cli, folder: Path, model: cm.Model) -> None:
    found = json.loads(cli("inspect", folder / "m", "--json").ok().out)
    assert found["kind"] == "model"
    assert found["rows"] == 200
    assert found["target"] == "price"
    assert found["prior"]["mass"] == model.prior.mass
    assert found["moments"] == {"fields": 7, "folds": 10, "weighting": "none", "compensated": False}
    assert found["bytes"] == (folder / "m").stat().st_size
    columns = {column["name"]: column for column in found["columns"]}
    frame = houses()
    assert columns["price"]["mean"] == pytest.approx(frame["price"].mean(), rel=1e-12)
    assert columns["price"]["sd"] == pytest.approx(frame["price"].std(), rel=1e-12)
    assert columns["area"]["missing"] == pytest.approx(frame["area"].isna().mean())
    top = frame["town"].value_counts(normalize=True)
    assert columns["town"]["most_frequent"] == {"level": top.index[0], "share": pytest.approx(top.iloc[0])}
    terms = {term["term"]: term["coefficient"] for term in found["summary"]["terms"]}
    assert terms == pytest.approx(model.summary().table["coefficient"].to_dict(), rel=1e-12)


def test_inspect_a_model_of_a_category_and_one_without_target_or_moments(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    cli("fit", folder / "houses.csv", "-o", tmp_path / "town", "--target", "town").ok()
    assert "regression" not in cli("inspect", tmp_path / "town").ok().out
    assert "category" in cli("inspect", tmp_path / "town", "--target", "town").refusal(2)
    cli("fit", folder / "houses.csv", "-o", tmp_path / "bare", "--no-moments").ok()
    assert "cannot merge or forget" in cli("inspect", tmp_path / "bare").ok().out
    found = json.loads(cli("inspect", tmp_path / "bare", "--json").ok().out)
    assert found["summary"] is None
    assert found["moments"] is None
    assert found["columns"][0]["missing"] is None


def test_inspect_moments(cli: Cli, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "moments"
    cm.measure(folder / "houses.csv", weights="rooms", weight_kind="importance", precision="compensated").save(path)
    text = cli("inspect", path).ok().out
    for words in ("moments", "importance weights", "compensated arithmetic", "5, as 6 fields"):
        assert words in text
    found = json.loads(cli("inspect", path, "--json").ok().out)
    assert (found["kind"], found["weighting"], found["summary"]) == ("moments", "importance", None)
    assert "--target" in cli("inspect", path, "--target", "price").refusal(2)


def test_inspect_dates_times_and_spans(cli: Cli, tmp_path: Path) -> None:
    import pandas as pd

    days = pd.date_range("2024-02-01", periods=30)
    frame = pd.DataFrame({"day": days, "span": days - days[0], "x": np.arange(30.0)})
    frame.to_parquet(tmp_path / "t.parquet")
    cli("fit", tmp_path / "t.parquet", "-o", tmp_path / "m", "--lift", "day=cyclic:week", "--prior", "none").ok()
    text = cli("inspect", tmp_path / "m").ok().out
    assert "2024-02-15T12:00" in text
    assert "cyclic" in text
    assert "1252800 seconds" in text


def test_inspect_what_cannot_be_regressed_on_anything(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    cli("fit", tmp_path / "t.csv", "-o", tmp_path / "m", "--target", "y").ok()
    text = cli("inspect", tmp_path / "m").ok().out
    assert "constant, so without influence: x, y" in text
    assert "nan" not in text


# ------------------------------------------------------------------ compare


def test_compare_is_the_ledger(cli: Cli, folder: Path) -> None:
    text = cli("compare", folder / "houses.csv", "--target", "price").ok().out
    for words in ("one pass", "gradient descent", "L-BFGS", "passes over the rows", "forget rows"):
        assert words in text


def test_compare_as_json_and_as_a_picture(cli: Cli, folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "surface.svg"
    words = ("--target", "price", "--tolerance", 0.1, "--max-passes", 20, "--seed", 3, "--plot", picture, "--json")
    found = json.loads(cli("compare", folder / "houses.csv", *words).ok().out)
    assert found["target"] == "price"
    assert found["tolerance"] == 0.1
    methods = {method["method"]: method for method in found["methods"]}
    assert methods["one pass"]["passes"] == 1
    assert max(method["passes"] for method in methods.values()) <= 21
    assert "</svg>" in picture.read_text()


def test_compare_refuses(cli: Cli, folder: Path, tmp_path: Path) -> None:
    table = folder / "houses.csv"
    assert "'prise'" in cli("compare", table, "--target", "prise").refusal()
    assert "categorical" in cli("compare", table, "--target", "town").refusal(2)
    assert ".svg" in cli("compare", table, "--target", "price", "--plot", tmp_path / "surface.gif").refusal(2)
    assert "no folder" in cli("compare", table, "--target", "price", "--plot", tmp_path / "x" / "s.svg").refusal()
    assert "--target" in cli("compare", table).refusal(2)


# ------------------------------------------------------------------ report


def test_a_report_is_one_page(cli: Cli, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ("-o", page, "--title", "Houses & gardens", "--data", folder / "houses.csv")
    assert "page.html" in cli("report", folder / "m", *words).ok().out
    text = page.read_text()
    assert "<title>Houses &amp; gardens" in text
    assert not re.search(r"(src|href)=[\"']https?://", text)


def test_a_report_refuses(cli: Cli, folder: Path, tmp_path: Path) -> None:
    assert "no folder" in cli("report", folder / "m", "-o", tmp_path / "x" / "r.html").refusal()
    cm.measure(folder / "houses.csv").save(tmp_path / "moments")
    assert "holds moments" in cli("report", tmp_path / "moments", "-o", tmp_path / "r.html").refusal()
    words = ("-o", tmp_path / "r.html", "--data", tmp_path / "none.csv")
    assert "none.csv" in cli("report", folder / "m", *words).refusal()
    assert not (tmp_path / "r.html").exists()


# ------------------------------------------------------------------ demo


def test_the_demo_tells_the_whole_story_and_leaves_what_it_says(tmp_path: Path) -> None:
    place = tmp_path / "new" / "place"
    answer = run("demo", "-o", place).ok()
    assert answer.err == ""
    assert max(len(line) for line in answer.out.splitlines() if "$ cumulant" not in line) <= 100
    assert len(answer.out.splitlines()) < 80
    assert sorted(path.name for path in place.iterdir()) == ["flights.cumulant", "report.html"]
    model = cm.load(place / "flights.cumulant")
    assert isinstance(model, cm.Model)
    assert model.target == "arr_delay"
    assert f"R² {model.cross_validate().loc['all', 'r2']:.3f}" in answer.out
    late = model.predict("arr_delay", {"airline": ["JetBlue Airways"], "distance": [1000], "dep_delay": [30]})
    assert f"lands {late[0]:.0f} min late" in answer.out
    apart = [float(number) for number in re.findall(r"to (\S+) standard errors", answer.out)]
    assert len(apart) == 2
    assert max(apart) < 1e-9
    recovered = dict(re.findall(r"(\w+) (-?\d+) %", answer.out.split("recovered: ")[1].split("\n\n")[0]))
    assert min(int(recovered["air_time"]), int(recovered["temp"])) > 80
    for method in ("one pass", "gradient descent", "SGD", "Adam", "L-BFGS"):
        assert method in answer.out
    commands = re.findall(r"^ +\$ cumulant ((?:inspect|predict) .*)$", answer.out, re.MULTILINE)
    assert len(commands) == 2
    for words in commands:
        assert run(*words.split()).ok().out


def test_the_demo_needs_a_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot make the folder" in cli("demo", "-o", tmp_path / "file" / "x").refusal()
