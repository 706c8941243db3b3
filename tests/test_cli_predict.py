from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import Cli, houses, run
from cumulant.cli import files, main


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of houses, and new houses."""
    place = tmp_path_factory.mktemp("houses")
    houses().to_csv(place / "houses.csv", index=False)
    assert main(["fit", str(place / "houses.csv"), "-o", str(place / "m"), "--target", "price"]) == 0
    new = houses(30, seed=1).drop(columns="price").assign(id=np.arange(30) + 100)
    new.to_csv(place / "new.csv", index=False)
    return place


@pytest.fixture
def model(folder: Path) -> cm.Model:
    loaded = cm.load(folder / "m")
    assert isinstance(loaded, cm.Model)
    return loaded


def frame_of(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_a_prediction_is_that_of_the_library(cli: Cli, folder: Path, model: cm.Model) -> None:
    answer = cli("predict", folder / "m", folder / "new.csv").ok()
    assert answer.err == ""
    np.testing.assert_allclose(frame_of(answer.out)["price"], model.predict("price", folder / "new.csv"), rtol=1e-14)


def test_an_interval(cli: Cli, folder: Path, model: cm.Model) -> None:
    words = ("--target", "area", "--output", "interval", "--level", 0.5)
    found = frame_of(cli("predict", folder / "m", folder / "new.csv", *words).ok().out)
    assert list(found) == ["area", "area_low", "area_high"]
    wanted = model.predict("area", folder / "new.csv", output="interval", level=0.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_several_targets_side_by_side(cli: Cli, folder: Path, model: cm.Model) -> None:
    words = ("--target", "price", "--target", "town", "--target", "garden", "--target", "sold")
    found = frame_of(cli("predict", folder / "m", folder / "new.csv", *words).ok().out)
    assert list(found) == ["price", "town", "garden", "sold"]
    assert list(found["town"]) == list(model.predict("town", folder / "new.csv"))
    np.testing.assert_allclose(found["garden"], model.predict("garden", folder / "new.csv"), rtol=1e-14)
    times = pd.to_datetime(found["sold"], format="ISO8601").to_numpy()
    assert (np.abs(times - model.predict("sold", folder / "new.csv")) < np.timedelta64(1, "s")).all()


def test_a_distribution(cli: Cli, folder: Path, model: cm.Model) -> None:
    words = ("--output", "density", "--target", "price", "--target", "town")
    found = frame_of(cli("predict", folder / "m", folder / "new.csv", *words).ok().out)
    density = model.predict("price", folder / "new.csv", output="density")
    np.testing.assert_allclose(found["price_scale"], density.scale, rtol=1e-14)
    np.testing.assert_allclose(found["price_df"], density.degrees_of_freedom, rtol=1e-14)
    probabilities = found[["town=Delft", "town=Graz", "town=Lund"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    wanted = model.predict("town", folder / "new.csv", output="density")
    np.testing.assert_allclose(probabilities, wanted, rtol=1e-14)


def test_samples(cli: Cli, folder: Path, model: cm.Model) -> None:
    words = ("--output", "samples", "--draws", 3, "--seed", 5)
    found = frame_of(cli("predict", folder / "m", folder / "new.csv", *words).ok().out)
    assert list(found) == ["price_1", "price_2", "price_3"]
    wanted = model.predict("price", folder / "new.csv", output="samples", draws=3, seed=5)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_columns_of_the_table_are_kept(cli: Cli, folder: Path) -> None:
    found = frame_of(cli("predict", folder / "m", folder / "new.csv", "--keep", "id,rooms").ok().out)
    assert list(found) == ["id", "rooms", "price"]
    assert list(found["id"]) == list(range(100, 130))


def test_a_kept_column_and_its_prediction_have_two_names(cli: Cli, folder: Path) -> None:
    words = ("--keep", "area", "--target", "area", "--output", "interval")
    found = frame_of(cli("predict", folder / "m", folder / "new.csv", *words).ok().out)
    assert list(found) == ["area", "predicted_area", "predicted_area_low", "predicted_area_high"]


def test_standard_input_and_a_kept_column(folder: Path) -> None:
    piped = run("predict", folder / "m", "-", "--keep", "id", input=(folder / "new.csv").read_text()).ok()
    direct = run("predict", folder / "m", folder / "new.csv", "--keep", "id").ok()
    assert piped.out == direct.out
    assert len(piped.out.splitlines()) == 31


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "json"])
def test_files_by_their_ending(cli: Cli, folder: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out.{ending.upper() if ending == 'csv' else ending}"
    answer = cli("predict", folder / "m", folder / "new.csv", "--keep", "id,town", "-o", path).ok()
    assert answer.out == ""
    read = {
        "csv": pd.read_csv,
        "tsv": lambda p: pd.read_csv(p, sep="\t"),
        "parquet": pd.read_parquet,
        "json": pd.read_json,
    }[ending]
    found = read(path)
    assert list(found) == ["id", "town", "price"]
    assert len(found) == 30
    direct = frame_of(cli("predict", folder / "m", folder / "new.csv").ok().out)
    np.testing.assert_allclose(found["price"], direct["price"], rtol=1e-14)


def test_json_on_standard_output(cli: Cli, folder: Path) -> None:
    rows = json.loads(cli("predict", folder / "m", folder / "new.csv", "--keep", "area", "--json").ok().out)
    assert len(rows) == 30
    assert set(rows[0]) == {"area", "price"}
    assert any(row["area"] is None for row in rows)


# ------------------------------------------------------------------ one row in words


def test_what_is_given(cli: Cli, folder: Path, model: cm.Model) -> None:
    words = ("--given", "rooms=4,town=Lund", "--given", "garden=True,sold=2021-05-06", "--output", "interval")
    found = frame_of(cli("predict", folder / "m", *words).ok().out)
    known = {"rooms": [4.0], "town": ["Lund"], "garden": [True], "sold": [np.datetime64("2021-05-06")]}
    wanted = model.predict("price", known, output="interval")
    np.testing.assert_allclose(found, wanted, rtol=1e-13)


def test_unknown_and_nothing_at_all(cli: Cli, folder: Path, model: cm.Model) -> None:
    for given in ("", "rooms=", "rooms=,town="):
        found = frame_of(cli("predict", folder / "m", "--given", given).ok().out)
        np.testing.assert_allclose(found["price"], model.predict("price"), rtol=1e-14)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("room=4", "'rooms'"),
        ("rooms=four", "'rooms' is a number, not 'four'"),
        ("town=Delf", "Did you mean 'Delft'?"),
        ("town=Paris", "Its levels are 'Delft', 'Graz', 'Lund'"),
        ("garden=maybe", "'garden' is true or false, not 'maybe'"),
        ("sold=soon", "sold"),
        ("rooms=inf", "'rooms'"),
    ],
)
def test_what_is_given_wrongly(cli: Cli, folder: Path, given: str, said: str) -> None:
    assert said in cli("predict", folder / "m", "--given", given).refusal()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "TABLE or with --given"),
        (("new.csv", "--given", "rooms=4"), "TABLE or with --given"),
        (("--given", "rooms"), "NAME=VALUE"),
        (("--given", "rooms=4,rooms=5"), "twice"),
        (("--given", "rooms=4", "--keep", "town"), "--keep"),
        (("new.csv", "--output", "out.csv"), "'interval'"),
        (("new.csv", "--level", "90", "--output", "interval"), "--level"),
        (("new.csv", "--target", "town", "--output", "interval"), "category"),
        (("new.csv", "-o", "out.xlsx"), ".parquet"),
    ],
)
def test_misuse(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str) -> None:
    monkeypatch.chdir(folder)
    assert said in cli("predict", "m", *words).refusal(2)


def test_a_model_without_a_target_asks_for_one(cli: Cli, folder: Path, tmp_path: Path) -> None:
    cli("fit", folder / "houses.csv", "-o", tmp_path / "m").ok()
    line = cli("predict", tmp_path / "m", folder / "new.csv").refusal(2)
    assert "--target" in line
    assert "rooms" in line


def test_a_table_of_other_columns(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("p,q\n1,2\n3,4\n")
    assert "none of the columns p, q" in cli("predict", folder / "m", tmp_path / "other.csv").refusal()
    assert "'ids'" in cli("predict", folder / "m", folder / "new.csv", "--keep", "ids").refusal()
    assert "'cost'" in cli("predict", folder / "m", folder / "new.csv", "--target", "cost").refusal()


def test_moments_do_not_predict(cli: Cli, folder: Path, tmp_path: Path) -> None:
    cm.measure(folder / "houses.csv").save(tmp_path / "moments")
    assert "holds moments" in cli("predict", tmp_path / "moments", "--given", "rooms=4").refusal()


def test_whole_numbers_stay_whole_in_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1.0, np.nan, 3.0], "x": [1.0, 2.5, 3.0], "big": [1e300, 2e300, 3e300]})
    files.deliver(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "n,x,big\n1,1.0,1e+300\n,2.5,2e+300\n3,3.0,3e+300\n"
    assert frame.dtypes.eq(float).all()
