"""A prediction as a sum of diagrams: the sum must be the prediction."""

from __future__ import annotations

import importlib.util
import json
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import run
from cumulant.errors import MissingDependencyError, OptionError
from engines import require


@pytest.fixture(scope="module")
def bent() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 500))
    return pd.DataFrame(
        {"a": a, "b": b, "y": 1 + 2 * a + a * b + 0.1 * rng.normal(size=500), "flag": rng.random(500) < 0.3}
    )


THEORIES = {
    "gaussian": cm.Gaussian,
    "taylor": lambda: cm.Taylor(3),
    "fluctuation": lambda: cm.Fluctuation(cm.Taylor(3)),
}


@pytest.fixture(scope="module", params=THEORIES)
def model(request, bent) -> cm.Model:
    return cm.fit(bent, THEORIES[request.param](), target="y")


@pytest.mark.parametrize("given", [{"a": 1.0, "b": -0.5, "flag": True}, {"a": 1.0}, {}])
def test_the_sum_of_the_diagrams_is_the_prediction(model, given):
    found = model.diagrams("y", given=given)
    assert found.prediction == pytest.approx(model.predict("y", given=given)[0], abs=1e-9)
    assert found.of_a_row


def test_the_vertex_that_matters_comes_first(bent):
    found = cm.fit(bent, cm.Taylor(3), target="y").diagrams()
    assert found.terms[:2] == (("a",), ("a", "b"))
    assert found.sizes[0] == pytest.approx(2 * bent["a"].std(), rel=0.05)
    assert np.isnan(found.prediction)
    assert "± " in str(found)


def test_what_is_fixed_loses_its_leg(bent):
    model = cm.fit(bent, cm.Taylor(3), target="y").condition({"b": 2.0})
    found = model.diagrams("y", given={"a": 1.5, "flag": False})
    assert found.prediction == pytest.approx(model.predict("y", given={"a": 1.5, "flag": False})[0])
    assert not any("b" in names for names in found.terms)


def test_another_column_has_lines_only(bent):
    model = cm.fit(bent, cm.Taylor(3), target="y")
    found = model.diagrams("a", given={"y": 3.0})
    assert found.terms == (("y",),)
    assert found.prediction == pytest.approx(model.predict("a", given={"y": 3.0})[0])


def test_the_drawing_has_a_leg_for_each_column(model, tmp_path):
    found = model.diagrams("y", given={"a": 1.0, "b": 1.0}, shown=3)
    drawing = ET.fromstring(found.svg())
    words = [t.text for t in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("y") == min(3, len(found.terms))
    assert all(name in words for names in found.terms[:3] for name in names)
    found.save(tmp_path / "y.svg")
    assert (tmp_path / "y.svg").read_text() == found.svg() == found._repr_svg_()
    assert list(found.table.index) == ["·".join(names) for names in found.terms]


def test_a_png_has_ink_on_paper_of_its_theme(model, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    require("resvg", importlib.util.find_spec("resvg_py") is not None, "resvg_py is not installed")
    found = model.diagrams("y", given={"a": 1.0}, shown=2)
    for theme, paper in (("light", (255, 255, 255)), ("dark", (13, 17, 23))):
        found.save(tmp_path / "y.png", theme=theme)
        pixels = 255 * image.imread(tmp_path / "y.png")[..., :3]
        assert pixels[0, 0] == pytest.approx(paper, abs=0.5)
        assert np.abs(pixels - pixels[0, 0]).max() > 180
        # The name of the target, at the right, has letters.
        assert np.ptp(pixels[:, -60:]) > 180
    with pytest.raises(OptionError, match="theme='grey'"):
        found.png("grey")
    with pytest.raises(OptionError, match="drawn as"):
        found.save(tmp_path / "y.pdf")


def test_without_resvg_a_png_names_the_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingDependencyError, match=r"cumulant\[plot\]"):
        model.diagrams("y").png()


def test_mistakes_are_named(bent):
    model = cm.fit(bent.assign(town=np.where(bent["a"] > 0, "x", "z")))
    with pytest.raises(OptionError, match="'town' is a category"):
        model.diagrams("town")
    with pytest.raises(OptionError, match="shown=0"):
        model.diagrams("y", shown=0)
    with pytest.raises(KeyError, match="depth"):
        model.diagrams("y", given={"depth": 1.0})


def test_the_command(bent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bent.to_csv("t.csv", index=False)
    assert run("fit", "t.csv", "-o", "m.cumulant", "--target", "y", "--theory", "taylor", "--order", "3").status == 0
    shown = run("diagrams", "m.cumulant", "--given", "a=1,b=2", "-o", "y.svg")
    assert shown.status == 0
    assert "a·b" in shown.out
    assert ET.parse(tmp_path / "y.svg").getroot().tag.endswith("svg")
    answer = json.loads(run("diagrams", "m.cumulant", "--given", "a=1,b=2", "--json").out)
    assert answer["prediction"] == pytest.approx(cm.load("m.cumulant").predict("y", given={"a": 1.0, "b": 2.0})[0])
    assert run("diagrams", "m.cumulant", "--given", "a=1", "-o", "y.png", "--dark").status == 0
    assert (tmp_path / "y.png").read_bytes().startswith(b"\x89PNG")
    assert run("diagrams", "m.cumulant", "-o", "y.pdf").status == 2
    assert run("fit", "t.csv", "-o", "m.cumulant", "--order", "3").status == 2
    assert run("fit", "t.csv", "-o", "m.cumulant", "--target", "y", "--theory", "taylor", "--order", "high").status == 2


def test_a_fluctuation_on_the_command_line(bent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bent.to_csv("t.csv", index=False)
    assert run("fit", "t.csv", "-o", "m.cumulant", "--target", "y", "--theory", "fluctuation").status == 0
    out = run("predict", "m.cumulant", "--given", "a=1,b=2", "--output", "density", "--json")
    (row,) = json.loads(out.out)
    assert row["y_q5"] < row["y_q50"] < row["y_q95"]
    assert run("inspect", "m.cumulant").status == 0
