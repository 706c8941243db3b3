"""Finding symmetries: what holds is found, what does not is not, and the names of columns are understood."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
import cumulant.symmetry as sym
from commandline import Cli
from cumulant.errors import ColumnError, DataError, OptionError
from cumulant.explain.symmetry_picture import draw_symmetry
from cumulant.symmetry.candidates import Observed
from cumulant.symmetry.evidence import likelihood_ratio_tail, shapes
from cumulant.symmetry.from_moments import transposition_tails
from cumulant.symmetry.from_names import from_names
from cumulant.symmetry.rows import Rows


def gaussian(covariance: np.ndarray, names: list[str], n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.multivariate_normal(np.zeros(len(covariance)), covariance, n), columns=names)


def wishart(p: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(p, 2 * p))
    return a @ a.T / p


def even(group: sym.Group, seed: int = 0) -> np.ndarray:
    # A common factor too, so that there is something to tell from independent columns.
    return sym.reynolds(group, wishart(group.degree, seed) + 1.0)


def whys(*names: str) -> dict[str, sym.Group]:
    seen = Observed(tuple(names), np.eye(len(names)), 10.0)
    return {c.why: c.group for c in from_names(seen)}


def same(a: sym.Group, b: sym.Group) -> bool:
    return sym.is_subgroup(a, b) and sym.is_subgroup(b, a)


@pytest.mark.parametrize("n", [3, 12, 25])
def test_folds_of_a_row_or_two_are_all_counted(n):
    x = np.random.default_rng(n).normal(size=(n, 4)) + 3
    rows = Rows.of(cm.measure(x, progress=False))
    np.testing.assert_allclose(rows.covariance, np.cov(x.T))
    for part, (rest, degrees) in zip(rows.parts, rows.rests, strict=True):
        # What is left is a covariance too: no direction has a negative variance.
        assert np.linalg.eigvalsh(rest).min() > -1e-12
        assert degrees == pytest.approx(max(0, n - 1 - rows.counts[part].sum()))


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("names", "cycles"),
    [
        (["left_arm", "right_arm", "left_leg", "right_leg", "age"], [("left_arm", "right_arm"), ("left_leg", "right_leg")]),  # noqa: E501
        (["Left", "Right", "Length"], [("Left", "Right")]),
        (["l1", "b1", "l2", "b2"], [("l1", "l2"), ("b1", "b2")]),
        (["dp", "tp", "da", "ta"], [("dp", "da"), ("tp", "ta")]),
        (["gdp_north", "pop_north", "gdp_south", "pop_south"], [("gdp_north", "gdp_south"), ("pop_north", "pop_south")]),  # noqa: E501
    ],
)  # fmt: skip
def test_pairs_are_read_from_names(names: list[str], cycles: list[tuple[str, str]]) -> None:
    expected = sym.Group.of(names, [cycles])
    assert any(same(group, expected) for group in whys(*names).values())


def test_rings_boards_grids_and_vectors_are_read_from_names() -> None:
    hours = [f"h{i:02d}" for i in range(24)]
    assert any(same(g, sym.cyclic(hours)) for g in whys(*hours).values())
    cells = [f"t{i}" for i in range(1, 10)]
    assert any(same(g, sym.square(3, cells)) for g in whys(*cells).values())
    pixels = [f"p_{r}_{c}" for r in range(3) for c in range(4)]
    assert any(same(g, sym.grid_translations(3, 4, pixels)) for g in whys(*pixels).values())
    axes = ["ax", "ay", "az", "gx", "gy", "gz"]
    found = [g for g in whys(*axes).values() if not g.finite]
    assert [f.blocks for f in found[0].rotations] == [((0, 1, 2), (3, 4, 5))]
    wind = whys("cos_wind", "sin_wind", "speed")
    assert any(g.rotations and g.rotations[0].proper for g in wind.values())


def test_order_of_columns_does_not_matter() -> None:
    hours = [f"h{i}" for i in (3, 0, 2, 4, 1)]
    ring = next(g for why, g in whys(*hours).items() if "ring" in why)
    assert same(ring, sym.cyclic([f"h{i}" for i in range(5)]).on(hours))


# ------------------------------------------------------------------ what holds is found


def test_exchanged_pairs_hold_and_others_do_not() -> None:
    names = ["left_a", "right_a", "left_b", "right_b", "c"]
    group = sym.Group.of(names, [[("left_a", "right_a"), ("left_b", "right_b")]])
    found = cm.symmetries(cm.measure(gaussian(even(group), names, 400)))
    held = list(found.accepted)
    assert len(held) == 1
    assert same(held[0].group, group)
    evidence = held[0].evidence
    assert (evidence.free, evidence.parameters) == (15, 9)
    assert evidence.p_value > 0.01
    assert evidence.heldout > 0
    assert evidence.asymmetry < 0.25


def test_a_ring_of_hours_holds_and_exchanging_all_hours_does_not() -> None:
    names = [f"h{i:02d}" for i in range(12)]
    found = cm.symmetries(cm.measure(gaussian(even(sym.cyclic(12)), names, 500)))
    verdicts = {f.why.split(":")[0]: f.verdict for f in found}
    assert verdicts["a ring"] == "holds"
    assert verdicts["exchangeable"] == "refused"


def test_a_larger_group_implies_its_parts() -> None:
    names = [f"t{i}" for i in range(9)]
    found = cm.symmetries(cm.measure(gaussian(even(sym.square(3)), names, 800)))
    verdicts = {str(f.group): f.verdict for f in found}
    assert verdicts["D4 of 3×3"] == "holds"
    assert verdicts["left-right reflection of 3×3"] == "implied"
    assert verdicts["S9"] == "refused"
    assert found[0].verdict == "holds"


@pytest.mark.parametrize("n", [120, 500])
def test_exchangeable_columns_are_not_lost_to_the_ring_among_them(n: int) -> None:
    """A ring under a strong prior about equal correlations explains them as well."""
    names = [f"h{i}" for i in range(6)]
    group = sym.symmetric(names)
    found = [cm.symmetries(cm.measure(gaussian(even(group, k), names, n, seed=k))) for k in range(3)]
    assert [any(f.verdict == "holds" and same(f.group, group) for f in each) for each in found] == [True] * 3


def test_what_is_asked_beforehand_has_better_odds_than_what_is_found() -> None:
    names = ["a", "b", "c"]
    group = sym.Group.of(names, [[("a", "b")]])
    m = cm.measure(gaussian(even(group), names, 200))
    asked = next(f for f in cm.symmetries(m, group) if f.source == "user")
    searched = next(f for f in cm.symmetries(m) if same(f.group, group))
    assert asked.log_odds == pytest.approx(asked.evidence.log_bayes_factor + np.log(4))
    assert searched.source == "moments"
    assert searched.log_odds < searched.evidence.log_bayes_factor - np.log(4)


def test_two_symmetries_that_hold_are_tried_together() -> None:
    names = ["left", "right", "top", "bottom", "size"]
    group = sym.Group.of(names, [[("left", "right")], [("top", "bottom")]])
    found = cm.symmetries(cm.measure(gaussian(even(group), names, 4000)))
    assert same(found[0].group, group)
    assert {f.verdict for f in found.accepted[1:]} == {"implied"}


def test_symmetry_up_to_the_scale_of_the_columns() -> None:
    names = [f"x{i}" for i in range(6)]
    table = gaussian(even(sym.symmetric(6)), names, 500) * [1, 2, 5, 10, 0.1, 3]
    found = cm.symmetries(cm.measure(table))
    assert found[0].verdict == "holds"
    assert found[0].scale == "correlation"
    assert same(found[0].group, sym.symmetric(names))
    # One correlation and six variances.
    assert found[0].evidence.parameters == 7
    only = cm.symmetries(cm.measure(table), scale="covariance")
    assert not only.accepted


def test_units_do_not_change_what_is_found() -> None:
    names = ["left", "right", "age"]
    group = sym.Group.of(names, [[("left", "right")]])
    table = gaussian(even(group), names, 300) + 1e6
    a = cm.symmetries(cm.measure(table)).table
    b = cm.symmetries(cm.measure(table * [1e-3, 1e-3, 1e4])).table
    assert a.loc[0, "verdict"] == b.loc[0, "verdict"] == "holds"
    np.testing.assert_allclose(a.loc[0, "log_bayes_factor"], b.loc[0, "log_bayes_factor"], rtol=1e-5)


def test_own_candidates_are_weighed_with_and_without_a_search() -> None:
    names = ["a", "q", "zeta"]
    group = sym.Group.of(names, [{"a": "zeta", "zeta": "a"}], name="mine")
    m = cm.measure(gaussian(even(group), names, 300))
    found = cm.symmetries(m, group, search=False)
    assert [(str(f.group), f.source, f.verdict) for f in found] == [("mine", "user", "holds")]
    assert any(f.source == "user" for f in cm.symmetries(m, [group]))


def test_rotations_of_vectors_hold() -> None:
    names = ["ax", "ay", "az", "gx", "gy", "gz", "t"]
    group = sym.orthogonal([["ax", "ay", "az"], ["gx", "gy", "gz"]]).on(names)
    found = cm.symmetries(cm.measure(gaussian(even(group), names, 600)))
    assert any(f.verdict == "holds" and f.group.rotations for f in found)


# ------------------------------------------------------------------ moments alone


def shuffled(covariance: np.ndarray, n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows whose columns are in random order and have names that tell nothing; and the order."""
    order = np.random.default_rng(seed).permutation(len(covariance))
    names = ["alder", "birch", "cedar", "dogwood", "elm", "fir", "gum", "hazel", "iroko", "juniper"][: len(covariance)]
    return gaussian(covariance[np.ix_(order, order)], names, n, seed), order


@pytest.mark.parametrize(
    "group",
    [
        sym.Group.of(8, [[(0, 1, 2)], [(0, 1)], [(3, 4, 5)], [(3, 4)]]),
        sym.Group.of(9, [[(0, 1), (2, 3), (4, 5)]]),
        sym.cyclic(8),
        sym.Group.of(6, [[(0, 1), (2, 3)]]),
    ],
    ids=["exchangeable blocks", "matched pairs", "ring", "few columns"],
)
def test_symmetries_are_found_without_help_from_names(group: sym.Group) -> None:
    covariance = even(group, seed=2)
    if group.degree == 8 and sym.order(group) == 8:
        distance = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
        covariance = 0.6 ** np.minimum(distance, 8 - distance)
    table, order = shuffled(covariance, 1500)
    found = cm.symmetries(cm.measure(table))
    place = np.argsort(order)
    images = np.empty_like(group.images)
    images[:, place] = place[group.images]
    expected = sym.Group.of(list(table), [row.tolist() for row in images])
    a = wishart(group.degree, 9)
    held = [sym.reynolds(f.group, a) for f in found.accepted]
    assert any(np.allclose(h, sym.reynolds(expected, a)) for h in held)


def test_independent_blocks_are_flips() -> None:
    flips = sym.z2(6, [[0, 1, 2], [3, 4, 5]])
    table, _ = shuffled(even(flips, seed=3), 1000)
    found = cm.symmetries(cm.measure(table))
    assert any(f.verdict == "holds" and f.group.signed for f in found)


def test_tails_of_transpositions_are_those_of_the_likelihood_ratio() -> None:
    table = gaussian(even(sym.symmetric([[0, 2], [1, 3]])), ["a", "b", "c", "d"], 40)
    s = np.cov(table.to_numpy().T)
    tails = transposition_tails(s, 39)
    assert tails is not None
    for i, j in ((0, 1), (1, 3), (2, 3)):
        group = sym.Group.of(4, [[(i, j)]])
        statistic = 39 * (np.linalg.slogdet(sym.reynolds(group, s))[1] - np.linalg.slogdet(s)[1])
        expected = likelihood_ratio_tail(shapes(sym.isotypic(group)), statistic, 39)
        assert tails[i, j] == pytest.approx(expected, rel=0.02)


# ------------------------------------------------------------------ third moments


def test_third_moments_tell_a_ring_from_one_run_backwards() -> None:
    """Skewed noise carried forward: its covariance is dihedral, its third cumulant only cyclic."""
    rng = np.random.default_rng(0)
    noise = rng.exponential(size=(20_000, 6))
    x = noise + 0.8 * np.roll(noise, 1, axis=1) + 0.3 * np.roll(noise, 2, axis=1)
    m = cm.measure(pd.DataFrame(x, columns=list("abcdef")), order=3)
    groups = [sym.cyclic(m.columns), sym.dihedral(m.columns)]
    found = {str(f.group): f for f in cm.symmetries(m, groups, search=False)}
    assert {name: f.verdict for name, f in found.items()} == {"C6": "holds", "D6": "refused"}
    assert found["C6"].evidence.log_bayes_factor == pytest.approx(found["D6"].evidence.log_bayes_factor)


def test_a_flip_of_all_signs_is_refused_by_skewness() -> None:
    rng = np.random.default_rng(1)
    mixing = wishart(3, 0)
    for noise, refused in ((rng.normal(size=(4000, 3)), False), (rng.exponential(size=(4000, 3)), True)):
        m = cm.measure(pd.DataFrame(noise @ mixing, columns=["a", "b", "c"]), order=3)
        finding = cm.symmetries(m, sym.z2(["a", "b", "c"]), search=False)[0]
        assert (finding.verdict == "refused") is refused
        assert (finding.evidence.p_third < 0.01) is refused
    second = cm.measure(pd.DataFrame(noise, columns=["a", "b", "c"]))
    assert np.isnan(cm.symmetries(second, sym.z2(["a", "b", "c"]), search=False)[0].evidence.p_third)


# ------------------------------------------------------------------ and nothing else


def test_false_alarms_on_random_covariances_are_within_the_level() -> None:
    """Tables without symmetry whose names suggest several; `benchmarks detect` measures the rate itself."""
    names = ["left_a", "right_a", "left_b", "right_b", "x1"]
    alarms = 0
    for seed in range(24):
        n = (20, 60, 200, 1000)[seed % 4]
        found = cm.symmetries(cm.measure(gaussian(wishart(5, 100 + seed), names, n, seed)))
        alarms += bool(found.accepted)
    assert alarms <= 2


def test_heavy_tails_are_not_taken_for_broken_symmetry() -> None:
    rng = np.random.default_rng(0)
    z = 1 / np.sqrt(rng.chisquare(5, size=(600, 1)) / 5)
    table = pd.DataFrame(
        z * rng.multivariate_normal(np.zeros(6), even(sym.symmetric(6)), 600), columns=[f"x{i}" for i in range(6)]
    )
    found = cm.symmetries(cm.measure(table))
    first = found[0]
    assert first.verdict == "holds"
    assert first.evidence.p_folds > first.evidence.p_value


def test_few_rows_leave_it_undecided() -> None:
    names = ["left", "right", "a", "b", "c"]
    found = cm.symmetries(cm.measure(gaussian(wishart(5, 3), names, 6)))
    assert not found.accepted
    assert {f.verdict for f in found} <= {"undecided", "refused"}


# ------------------------------------------------------------------ ugly tables


def test_gaps_are_counted_as_the_fewest_rows_two_columns_share() -> None:
    names = ["left", "right", "age"]
    group = sym.Group.of(names, [[("left", "right")]])
    table = gaussian(even(group), names, 900)
    rng = np.random.default_rng(0)
    found = cm.symmetries(cm.measure(table.mask(rng.random(table.shape) < 0.2)))
    assert found[0].verdict == "holds"
    assert "fewest" in found.notes[0]
    assert np.isnan(found[0].evidence.p_value)
    full = cm.symmetries(cm.measure(table))
    assert found[0].evidence.log_bayes_factor < full[0].evidence.log_bayes_factor


def test_constant_and_duplicate_columns() -> None:
    names = ["left", "right", "age"]
    table = gaussian(wishart(3, 0), names, 100)
    table["one"], table["again"] = 1.0, table["left"]
    found = cm.symmetries(cm.measure(table))
    assert found.columns == ("left", "right", "age", "again")
    assert "one" in found.notes[0]
    assert np.isfinite([f.evidence.log_bayes_factor for f in found]).all()
    assert np.isnan([f.evidence.p_value for f in found]).all()


def test_more_columns_than_rows() -> None:
    names = [f"x{i}" for i in range(30)]
    found = cm.symmetries(cm.measure(gaussian(0.5 * np.eye(30) + 0.5, names, 15)))
    assert np.isfinite([f.evidence.log_bayes_factor for f in found]).all()
    assert np.isnan([f.evidence.p_value for f in found]).all()


def test_one_fold_and_shuffled_rows() -> None:
    names = ["left", "right", "age"]
    group = sym.Group.of(names, [[("left", "right")]])
    found = cm.symmetries(cm.measure(gaussian(even(group), names, 300), folds=1))
    assert found[0].verdict == "holds"
    assert np.isnan(found[0].evidence.p_folds)
    assert np.isnan(found[0].evidence.heldout)


def test_too_little_is_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        cm.symmetries(cm.measure(pd.DataFrame({"a": [1.0], "b": [2.0]})))
    with pytest.raises(DataError, match="1 columns that vary"):
        cm.symmetries(cm.measure(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 2.0, 2.0]})))


def test_options_are_checked() -> None:
    m = cm.measure(gaussian(np.eye(2), ["left", "right"], 30))
    with pytest.raises(OptionError, match="scale='log'"):
        cm.symmetries(m, scale="log")
    with pytest.raises(OptionError, match="level"):
        cm.symmetries(m, level=1.0)
    with pytest.raises(ColumnError, match="middle"):
        cm.symmetries(m, columns=["left", "middle"])
    with pytest.raises(ColumnError, match="up"):
        cm.symmetries(m, sym.symmetric(["up", "left"]))


def test_nothing_suggested() -> None:
    found = cm.symmetries(cm.measure(gaussian(wishart(2, 0), ["a1", "q_b"], 30)), search=False)
    assert len(found) == 0
    assert str(found).startswith("no candidate")
    assert found.table.empty


# ------------------------------------------------------------------ shown


def test_a_picture_shows_the_averages_and_the_orbits() -> None:
    names = ["left", "right", "age"]
    group = sym.Group.of(names, [[("left", "right")]])
    m = cm.measure(gaussian(even(group), names, 300))
    finding = cm.symmetries(m)[0]
    root = ET.fromstring(draw_symmetry(finding, m))
    images = root.findall("{http://www.w3.org/2000/svg}image")
    assert len(images) == 3
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert "6 → 4 parameters" in str(title.text)
    measured, orbits, averaged = (pixels(i.attrib["href"]) for i in images)
    # Only left and right move: two by two pixels, red green blue and opacity.
    assert measured.shape == orbits.shape == averaged.shape == (2, 2, 4)
    assert (averaged[0, 0] == averaged[1, 1]).all()
    assert (orbits[0, 0] == orbits[1, 1]).all()
    assert (orbits[0, 1] == orbits[1, 0]).all()
    assert (orbits[0, 0] != orbits[0, 1]).any()


def pixels(href: str) -> np.ndarray:
    data = base64.b64decode(href.removeprefix("data:image/png;base64,"))
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    raw = zlib.decompress(data[start + 4 : start + 4 + length])
    (crc,) = struct.unpack(">I", data[start + 4 + length : start + 8 + length])
    assert zlib.crc32(data[start : start + 4 + length]) == crc
    return np.frombuffer(raw, dtype=np.uint8).reshape(height, 4 * width + 1)[:, 1:].reshape(height, width, 4)


def test_it_prints_and_is_plain_data() -> None:
    names = ["left", "right", "age"]
    group = sym.Group.of(names, [[("left", "right")]])
    found = cm.symmetries(cm.measure(gaussian(even(group), names, 300)))
    text = str(found)
    assert "left and right" in text
    assert "6 → 4" in text
    data = json.loads(json.dumps(found.to_dict()))
    assert data["findings"][0]["generators"] == [[["left", "right"]]]
    assert data["findings"][0]["order"] == 2
    assert found.table.loc[0, "verdict"] == "holds"
    assert [f.verdict for f in found] == found.table["verdict"].tolist()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = Cli(capsys)
    names = ["left", "right", "age"]
    group = sym.Group.of(names, [[("left", "right")]])
    gaussian(even(group), names, 300).to_csv(tmp_path / "t.csv", index=False)
    text = cli("symmetries", tmp_path / "t.csv").ok().out
    assert "holds" in text
    assert "left and right" in text
    data = json.loads(cli("symmetries", tmp_path / "t.csv", "--json", "--scale", "covariance").ok().out)
    assert data["findings"][0]["verdict"] == "holds"
    assert cli("symmetries", tmp_path / "t.csv", "--columns", "left,age").ok()
    pictures = tmp_path / "pictures"
    answer = cli("symmetries", tmp_path / "t.csv", "--draw", pictures).ok()
    accepted = len(cm.symmetries(cm.measure(tmp_path / "t.csv")).accepted)
    assert len(list(pictures.glob("symmetry-*.svg"))) == accepted > 0
    assert "symmetry-1.svg" in answer.err
    assert "cannot make the folder" in cli("symmetries", tmp_path / "t.csv", "--draw", tmp_path / "t.csv").refusal()
    assert "middle" in cli("symmetries", tmp_path / "t.csv", "--columns", "left,middle").refusal()
    assert "--level" in cli("symmetries", tmp_path / "t.csv", "--level", "2").refusal(2)
