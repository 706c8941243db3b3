"""Commands that draw, fill, merge and forget rows."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import Cli, houses


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def fit(cli: Cli, frame: pd.DataFrame, place: Path, *words: object) -> Path:
    frame.to_csv(place.with_suffix(".csv"), index=False)
    cli("fit", place.with_suffix(".csv"), "-o", place, "--prior", "none", "--target", "price", *words).ok()
    return place


def model_in(path: Path) -> cm.Model:
    model = cm.load(path)
    assert isinstance(model, cm.Model)
    return model


def same(a: cm.Model, b: cm.Model) -> None:
    assert a.fields == b.fields
    assert a.target == b.target
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-10)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-8, atol=1e-9)


def complete(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    return houses(rows, seed).dropna().reset_index(drop=True)


# ------------------------------------------------------------------ sample


def test_samples_are_rows_of_the_model(cli: Cli, tmp_path: Path) -> None:
    path = fit(cli, complete(), tmp_path / "m")
    answer = cli("sample", path, "-n", 7, "--seed", 3).ok()
    found = pd.read_csv(io.StringIO(answer.out))
    wanted = model_in(path).sample(7, seed=3)
    assert list(found) == list(wanted)
    np.testing.assert_allclose(found["price"], wanted["price"], rtol=1e-14)
    assert list(found["town"]) == list(wanted["town"])
    assert cli("sample", path, "-n", 7, "--seed", 3).out == answer.out
    assert len(json.loads(cli("sample", path, "-n", 2, "--json").ok().out)) == 2


def test_no_samples_still_have_a_header(cli: Cli, tmp_path: Path) -> None:
    path = fit(cli, complete(), tmp_path / "m")
    assert cli("sample", path, "-n", 0).ok().out == "town,rooms,area,garden,sold,price\n"


def test_samples_with_some_columns_held(cli: Cli, tmp_path: Path) -> None:
    path = fit(cli, complete(), tmp_path / "m")
    out = tmp_path / "s.parquet"
    cli("sample", path, "-n", 500, "--seed", 1, "--given", "town=Lund,rooms=8", "-o", out).ok()
    found = pd.read_parquet(out)
    assert list(found) == list(complete())
    assert set(found["town"]) == {"Lund"}
    assert set(found["rooms"]) == {8.0}
    expected = model_in(path).predict("area", {"town": ["Lund"], "rooms": [8.0]}, output="interval", level=0.5)
    inside = found["area"].between(expected["low"][0], expected["high"][0]).mean()
    assert inside == pytest.approx(0.5, abs=0.1)


# ------------------------------------------------------------------ impute


def test_gaps_are_filled_and_nothing_else_is_touched(cli: Cli, tmp_path: Path) -> None:
    frame = houses()
    path = fit(cli, frame, tmp_path / "m")
    cli("impute", path, tmp_path / "m.csv", "-o", tmp_path / "filled.csv").ok()
    found = pd.read_csv(tmp_path / "filled.csv", parse_dates=["sold"])
    gaps = frame["area"].isna()
    assert gaps.sum() == 10
    assert found["area"].notna().all()
    pd.testing.assert_frame_equal(found[~gaps], frame[~gaps], check_dtype=False)
    wanted = model_in(path).predict("area", frame[gaps])
    np.testing.assert_allclose(found.loc[gaps, "area"], wanted, rtol=1e-12)


def test_a_filled_table_goes_to_standard_output(cli: Cli, tmp_path: Path) -> None:
    path = fit(cli, houses(), tmp_path / "m")
    text = cli("impute", path, tmp_path / "m.csv").ok().out
    assert text.splitlines()[0] == (tmp_path / "m.csv").read_text().splitlines()[0]
    assert len(text.splitlines()) == 201


# ------------------------------------------------------------------ update


def test_an_updated_model_is_the_model_of_all_rows(cli: Cli, tmp_path: Path) -> None:
    frame = houses()
    days = [frame.iloc[:90], frame.iloc[90:140].assign(agent="Ann"), frame.iloc[140:140], frame.iloc[140:]]
    path = fit(cli, days[0], tmp_path / "m")
    for day in days[1:]:
        day.to_csv(tmp_path / "day.csv", index=False)
        answer = cli("update", path, tmp_path / "day.csv", "-o", path).ok()
    assert "added    60 rows, numbered from 140" in answer.out
    updated, wanted = model_in(path), cm.fit(frame, prior=None, target="price")
    same(updated, wanted)
    # Rows are numbered on, so the folds are those of one table too.
    assert updated.moments is not None
    assert wanted.moments is not None
    np.testing.assert_array_equal(updated.moments.rows, wanted.moments.rows)
    np.testing.assert_allclose(
        updated.cross_validate().to_numpy(dtype=float), wanted.cross_validate().to_numpy(dtype=float), rtol=1e-6
    )


def test_an_update_keeps_the_theory_and_takes_new_levels(cli: Cli, tmp_path: Path) -> None:
    frame = complete(300).drop(columns="sold")
    frame["price"] += 0.01 * frame["area"] ** 2
    path = fit(cli, frame[:150], tmp_path / "m", "--theory", "taylor", "--order", 3)
    later = frame[150:].assign(town="Oslo")
    later.to_csv(tmp_path / "later.csv", index=False)
    cli("update", path, tmp_path / "later.csv", "-o", tmp_path / "more").ok()
    updated = model_in(tmp_path / "more")
    assert updated.theory == cm.Taylor(3)
    assert "town=Oslo" in updated.fields
    whole = cm.fit(pd.concat([frame[:150], later]), cm.Taylor(3), "price", prior=None)
    np.testing.assert_allclose(updated.predict("price", later), whole.predict("price", later), rtol=1e-6)


def test_moments_are_updated_and_rows_numbered_as_told(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    numbers = np.random.default_rng(0).permutation(len(frame))
    cm.measure(frame[:80], rows=numbers[:80]).save(tmp_path / "m")
    frame[80:].assign(number=numbers[80:]).to_csv(tmp_path / "more.csv", index=False)
    cli("update", tmp_path / "m", tmp_path / "more.csv", "-o", tmp_path / "all", "--rows", "number").ok()
    found, wanted = cm.load(tmp_path / "all"), cm.measure(frame, rows=numbers)
    assert isinstance(found, cm.Moments)
    np.testing.assert_array_equal(found.rows, wanted.rows)
    np.testing.assert_allclose(found.fold(3).mean, wanted.fold(3).mean, rtol=1e-10)


def test_weights_are_of_the_kind_that_the_model_has(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    words = ("--weights", "rooms")
    path = fit(cli, frame[:120], tmp_path / "m", *words, "--weight-kind", "importance")
    frame[120:].to_csv(tmp_path / "rest.csv", index=False)
    cli("update", path, tmp_path / "rest.csv", "-o", tmp_path / "all", *words).ok()
    wanted = cm.fit(frame, prior=None, target="price", weights="rooms", weight_kind="importance")
    same(model_in(tmp_path / "all"), wanted)
    cli("forget", tmp_path / "all", tmp_path / "rest.csv", "-o", tmp_path / "less", "--rows", 120, *words).ok()
    same(model_in(tmp_path / "less"), model_in(path))


def test_updates_that_are_refused(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    path = fit(cli, frame, tmp_path / "m")
    bare = fit(cli, frame, tmp_path / "bare", "--no-moments")
    frame.drop(columns="rooms").to_csv(tmp_path / "fewer.csv", index=False)
    before = path.read_bytes()
    assert "rooms" in cli("update", path, tmp_path / "fewer.csv", "-o", path).refusal()
    assert "without its moments" in cli("update", bare, tmp_path / "m.csv", "-o", path).refusal()
    assert "number" in cli("update", path, tmp_path / "m.csv", "-o", path, "--rows", "number").refusal()
    assert path.read_bytes() == before


# ------------------------------------------------------------------ merge


def test_merged_models_are_the_model_of_all_rows(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    parts = [fit(cli, frame[i::3], tmp_path / f"part{i}") for i in range(3)]
    answer = cli("merge", *parts, "-o", tmp_path / "all").ok()
    assert f"rows     {len(frame)}" in answer.out
    same(model_in(tmp_path / "all"), cm.fit(frame, prior=None, target="price"))


def test_merged_moments_are_moments(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    cm.measure(frame[:80]).save(tmp_path / "a")
    cm.measure(frame[80:]).save(tmp_path / "b")
    cli("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "c").ok()
    merged = cm.load(tmp_path / "c")
    assert isinstance(merged, cm.Moments)
    np.testing.assert_allclose(merged.covariance, cm.measure(frame).covariance, rtol=1e-9, atol=1e-9)


def test_merging_what_does_not_fit(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    whole = fit(cli, frame, tmp_path / "whole")
    fewer = fit(cli, frame.drop(columns="rooms"), tmp_path / "fewer")
    bare = fit(cli, frame, tmp_path / "bare", "--no-moments")
    cm.measure(frame).save(tmp_path / "moments")
    assert "rooms" in cli("merge", whole, fewer, "-o", tmp_path / "x").refusal()
    assert "without its moments" in cli("merge", whole, bare, "-o", tmp_path / "x").refusal()
    assert "files of one kind" in cli("merge", whole, tmp_path / "moments", "-o", tmp_path / "x").refusal()
    assert "two files" in cli("merge", whole, "-o", tmp_path / "x").refusal(2)
    assert "--out" in cli("merge", whole, whole).refusal(2)
    assert not (tmp_path / "x").exists()


# ------------------------------------------------------------------ forget


def test_a_model_that_forgot_rows_is_the_model_of_the_others(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    path = fit(cli, frame, tmp_path / "m")
    gone = frame.iloc[100:130]
    gone.to_csv(tmp_path / "gone.csv", index=False)
    cli("forget", path, tmp_path / "gone.csv", "-o", tmp_path / "less", "--rows", 100).ok()
    less, wanted = model_in(tmp_path / "less"), cm.fit(frame.drop(index=gone.index), prior=None, target="price")
    same(less, wanted)
    # With their row numbers the folds are exact too, and so is cross-validation.
    np.testing.assert_allclose(
        less.cross_validate().to_numpy(dtype=float), wanted.cross_validate().to_numpy(dtype=float), rtol=1e-6
    )


def test_row_numbers_from_a_column_and_in_place(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    path = fit(cli, frame, tmp_path / "m")
    gone = frame.iloc[[3, 50, 77, 120]]
    gone.assign(number=gone.index).to_csv(tmp_path / "gone.csv", index=False)
    cli("forget", path, tmp_path / "gone.csv", "-o", path, "--rows", "number").ok()
    less, wanted = model_in(path), cm.fit(frame.drop(index=gone.index), prior=None, target="price")
    same(less, wanted)
    assert less.moments is not None
    assert wanted.moments is not None
    np.testing.assert_array_equal(less.moments.rows, wanted.moments.rows)


def test_without_row_numbers_the_totals_are_exact_and_the_folds_may_go(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    path = fit(cli, frame, tmp_path / "m", "--folds", 20)
    frame.iloc[150:].to_csv(tmp_path / "gone.csv", index=False)
    answer = cli("forget", path, tmp_path / "gone.csv", "-o", tmp_path / "less").ok()
    same(model_in(tmp_path / "less"), cm.fit(frame.iloc[:150], prior=None, target="price"))
    assert "--rows" in answer.err


def test_weights_and_dropped_rows_are_forgotten_as_they_were_measured(cli: Cli, tmp_path: Path) -> None:
    frame = houses()
    words = ("--missing", "drop", "--weights", "rooms")
    path = fit(cli, frame, tmp_path / "m", *words)
    frame.iloc[:60].to_csv(tmp_path / "gone.csv", index=False)
    cli("forget", path, tmp_path / "gone.csv", "-o", tmp_path / "less", "--rows", 0, *words).ok()
    rest = frame.iloc[60:]
    same(model_in(tmp_path / "less"), cm.fit(rest, prior=None, target="price", weights="rooms", missing="drop"))


def test_moments_forget_too(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    cm.measure(frame).save(tmp_path / "all")
    frame.iloc[:40].to_csv(tmp_path / "gone.csv", index=False)
    cli("forget", tmp_path / "all", tmp_path / "gone.csv", "-o", tmp_path / "less", "--rows", 0).ok()
    less = cm.load(tmp_path / "less")
    assert isinstance(less, cm.Moments)
    np.testing.assert_allclose(less.covariance, cm.measure(frame.iloc[40:]).covariance, rtol=1e-8, atol=1e-8)


def test_forgetting_what_was_never_known(cli: Cli, tmp_path: Path) -> None:
    frame = complete()
    path = fit(cli, frame, tmp_path / "m")
    bare = fit(cli, frame, tmp_path / "bare", "--no-moments")
    complete(400, seed=9).to_csv(tmp_path / "more.csv", index=False)
    frame.drop(columns="rooms").to_csv(tmp_path / "fewer.csv", index=False)
    before = path.read_bytes()
    assert "cannot forget" in cli("forget", path, tmp_path / "more.csv", "-o", path).refusal()
    assert "rooms" in cli("forget", path, tmp_path / "fewer.csv", "-o", path).refusal()
    assert "without its moments" in cli("forget", bare, tmp_path / "m.csv", "-o", path).refusal()
    assert path.read_bytes() == before
