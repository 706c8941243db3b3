"""Tables that high moments say nothing about: each is warned of, with a remedy, and answered sanely."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import cumulant as cm
from cumulant.errors import CumulantWarning

RNG = np.random.default_rng


def line(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = RNG(seed)
    x = rng.normal(size=n)
    return {"x": x, "y": 2 * x + rng.normal(size=n)}


def test_inputs_with_heavy_tails():
    rng = RNG(1)
    x = rng.standard_t(1.5, size=3000)
    table = {"x": x, "y": np.tanh(x) + 0.1 * rng.normal(size=3000)}
    with pytest.warns(
        CumulantWarning, match="'x' has tails so heavy .* order 4, which the mean rests on; take its log"
    ):
        cm.fit(table, cm.Taylor(3), target="y")
    # Left to choose, folds that were held out judge, and the answer is no worse than none.
    with warnings.catch_warnings():
        warnings.simplefilter("error", CumulantWarning)
        model = cm.fit(table, cm.Taylor(), target="y")
    error = table["y"] - model.predict("y", given={"x": x})
    assert np.mean(error**2) < table["y"].var()


@pytest.mark.parametrize("theory", [cm.Taylor(3), cm.Taylor(), cm.Fluctuation()], ids=str)
def test_a_target_with_heavy_tails(theory):
    table = line(3000)
    table["y"] = table["y"] + RNG(2).standard_t(0.8, size=3000)
    with pytest.warns(CumulantWarning, match="'y' has tails so heavy .* order 2"):
        cm.fit(table, theory, target="y")


def test_a_target_of_few_values():
    table = line(1000)
    table["y"] = np.clip(np.round(table["y"]), -3, 3)
    with pytest.warns(CumulantWarning, match="takes only 7 values"):
        model = cm.fit(table, cm.Fluctuation(), target="y")
    assert model.predict("y", given={"x": [0.0]})[0] == pytest.approx(0.0, abs=0.2)


def test_inputs_of_few_values_are_no_trouble():
    rng = RNG(3)
    a, b = rng.integers(0, 2, size=(2, 2000)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CumulantWarning)
        model = cm.fit({"a": a, "b": b, "y": a * b + 0.1 * rng.normal(size=2000)}, cm.Taylor(3), target="y")
    got = model.predict("y", given={"a": [0.0, 1.0, 1.0], "b": [0.0, 0.0, 1.0]})
    assert got == pytest.approx([0.0, 0.0, 1.0], abs=0.03)


def test_fewer_rows_than_terms():
    rng = RNG(4)
    x = rng.normal(size=(25, 6))
    table = {f"x{i}": column for i, column in enumerate(x.T)} | {"y": x[:, 0] + 0.1 * rng.normal(size=25)}
    with pytest.warns(CumulantWarning, match="parameters are determined by 25 rows"):
        cm.fit(table, cm.Taylor(3), target="y", prior=None)
    model = cm.fit(table, cm.Taylor(), target="y")
    given = {name: [0.0, 1.0] if name == "x0" else [0.0, 0.0] for name in table if name != "y"}
    low, high = model.predict("y", given=given)
    assert 0.6 < high - low < 1.3


def test_an_order_with_more_terms_than_rows_says_who_decides():
    rng = RNG(4)
    table = {name: rng.normal(size=60) for name in "abcde"}
    with pytest.warns(CumulantWarning, match="125 terms of the mean rest on 60 rows.*order='auto'"):
        model = cm.fit(table, cm.Taylor(6), target="e")
    fresh = {name: rng.normal(size=1000) for name in "abcd"}
    assert np.std(model.predict("e", given=fresh)) < 1.0


def test_a_constant_target_and_hardly_any_rows():
    x = RNG(5).normal(size=500)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model = cm.fit({"x": x, "y": np.ones(500)}, cm.Taylor(), target="y")
        assert model.predict("y", given={"x": [3.0]}) == pytest.approx([1.0])
        few = cm.fit({"x": x[:3], "y": x[1:4]}, cm.Taylor(), target="y")
    assert "3 rows are too few to hold any out" in few.notes[0]
    assert few.theory == cm.Taylor(2)


def test_a_shape_that_some_folds_have_not_is_not_chosen_for_that():
    """Without its largest row this sample has a quartic theory; the other folds have none to be judged by."""
    rng = RNG(0)
    x = rng.normal(size=5000)
    rng.standard_t(2, size=5000)
    y = x + rng.standard_cauchy(size=5000)
    with pytest.warns(CumulantWarning, match="'y' has tails so heavy"):
        model = cm.fit({"x": x, "y": y}, cm.Fluctuation(cm.Taylor(2)), target="y")
    assert any("heavy-tailed" in note for note in model.notes)
