"""The symmetry, the class and the diagrams in the report, for every kind of law."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import cumulant as cm
from browser import chromium, colours, complaints, settle, size, visit
from cumulant.explain.describe import describe
from cumulant.explain.links import correlation_of
from cumulant.explain.report import page, write_report
from cumulant.explain.structure import class_of, diagram_sum, symmetry_of
from cumulant.symmetry import cyclic, soft, symmetric, up_to_scale


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def bent(n: int = 300) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, n))
    return {"x": x, "z": z, "y": 1 + x + 0.5 * x**2 + 0.3 * x * z + 0.2 * rng.normal(size=n)}


def alike(n: int = 400, p: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, p)) + rng.normal(size=(n, 1))
    return {f"x_{j + 1}": values[:, j] for j in range(p)}


def with_levels() -> cm.Model:
    table = bent()
    levels = np.random.default_rng(2).choice([f"l{i:03d}" for i in range(60)], len(table["x"]))
    return cm.fit({**table, "level": levels}, target="y", lifts={"level": "wide"})


def two_wells() -> cm.Model:
    rng = np.random.default_rng(3)
    return cm.fit({"phi": rng.choice([-1.0, 1.0], 2_000) + 0.4 * rng.normal(size=2_000)}, cm.Polynomial(4))


def ring_in_blocks() -> cm.Model:
    with pytest.MonkeyPatch.context() as patch:
        # As one of thousands of columns is held.
        patch.setattr(import_module("cumulant.solve.symmetric"), "MOST_DENSE", 4)
        return cm.fit(np.random.default_rng(4).normal(size=(60, 6)), symmetry=cyclic(6))


LAWS = {
    "GaussianLaw": lambda: cm.fit(bent(), target="y"),
    "LevelledLaw": with_levels,
    "TaylorLaw": lambda: cm.fit(bent(), cm.Taylor(4), target="y"),
    "FluctuationLaw": lambda: cm.fit(bent(), cm.Fluctuation(), target="y"),
    "PolynomialLaw": two_wells,
    "SymmetricLaw": ring_in_blocks,
}


class TestEveryLaw:
    @pytest.mark.parametrize("law", LAWS)
    def test_makes_a_page(self, law):
        model = LAWS[law]()
        assert type(model.law).__name__ == law
        text = page(model, title="A page")
        assert "<title>A page</title>" in text
        assert "{{" not in text.split('id="content"')[0]
        drawn = re.search(r'aria-labelledby="diagrams-title">(<svg.*?</svg>)</div>', text, re.DOTALL)
        assert (drawn is not None) == (model.target is not None)
        if drawn is not None:
            assert ET.fromstring(drawn[1]).tag.endswith("svg")

    @pytest.mark.parametrize("law", LAWS)
    def test_says_what_it_leaves_to_python(self, law):
        beyond = describe(LAWS[law]())["beyond"]
        assert (beyond is not None) == (law in ("TaylorLaw", "FluctuationLaw", "PolynomialLaw"))


class TestSymmetry:
    def test_found_ones_are_those_of_the_moments(self):
        model = cm.fit(alike())
        found, told = cm.symmetries(model.moments), symmetry_of(model)
        assert [f["verdict"] for f in told["findings"]] == [f.verdict for f in found]
        assert told["findings"][0]["symmetry"] == "S4"
        assert told["findings"][0]["parameters"] == [10, 2]

    def test_a_picture_is_the_average_over_orbits(self):
        table = alike()
        shown = symmetry_of(cm.fit(table))["pictures"][0]
        c = np.cov(np.array(list(table.values())))
        off = ~np.eye(4, dtype=bool)
        unit = np.diag(c).mean()
        expected = np.where(off, c[off].mean(), unit) / unit
        np.testing.assert_allclose(shown["measured"], c / unit, rtol=1e-10)
        np.testing.assert_allclose(shown["averaged"], expected, rtol=1e-10)
        labels = shown["orbits"]
        assert len(np.unique(labels[off])) == len(np.unique(labels[~off])) == 1
        assert labels[0, 0] != labels[0, 1]

    def test_nothing_found_is_said_and_not_pictured(self):
        told = symmetry_of(cm.fit(bent(), target="y"))
        assert told["summary"].startswith("0 of")
        assert told["pictures"] == []

    @pytest.mark.parametrize("declare", [lambda g: g, up_to_scale, soft])
    def test_an_imposed_one_shows_what_it_saved(self, declare):
        table = alike()
        model = cm.fit({**table, "x_1": table["x_1"] * 2}, symmetry=declare(symmetric(list(table))))
        told = symmetry_of(model)
        assert told["imposed"]["parameters"] == list(model.symmetries.parameters)
        assert told["imposed"]["flops"][0] == 64
        diagonal = np.diag(told["pictures"][0]["averaged"])
        np.testing.assert_allclose(diagonal.mean(), 1.0, rtol=1e-10)

    def test_why_there_is_none(self, tmp_path):
        model = cm.fit(bent(), target="y")
        model.save(tmp_path / "m.cumulant", moments=False)
        assert "moments" in symmetry_of(cm.load(tmp_path / "m.cumulant"))["why"]
        many = cm.fit(np.random.default_rng(0).normal(size=(90, 61)))
        assert "up to 60 fields" in symmetry_of(many)["why"]
        assert "too few" in symmetry_of(cm.fit({"a": [1.0, 2.0, 4.0]}, prior=None))["why"]


class TestClass:
    def test_is_that_of_universality(self):
        model = cm.fit(alike(), symmetry=symmetric(4))
        told, found = class_of(model), model.universality()
        assert told["page"] == found.page.name == "gaussian-exchangeable"
        assert told["relevant"] == len(found.relevant)
        assert told["couplings"] == 10

    def test_couplings_past_second_order_are_near_the_gaussian_page_and_not_on_it(self):
        assert class_of(cm.fit(bent(), target="y"))["exact"]
        told = class_of(cm.fit(bent(), cm.Taylor(3), target="y"))
        assert told["class"].startswith("near: ")
        assert ("x · x · y") in [name for name, *_ in told["largest"]]

    def test_is_not_read_of_many_fields(self):
        assert "up to 300 fields" in class_of(cm.fit(np.random.default_rng(0).normal(size=(40, 301))))["why"]


class TestDiagrams:
    def test_of_the_target_named(self):
        model = cm.fit(bent(), cm.Taylor(3), target="y")
        assert ("x", "x") in diagram_sum(model).terms
        assert diagram_sum(cm.fit(bent())) is None

    def test_terms_of_fourth_degree_have_a_name(self):
        model = cm.fit(bent(), cm.Taylor(5), target="y")
        assert "x⁴" in model.summary().table.index
        assert diagram_sum(model).shown == 6

    def test_not_of_a_category_or_of_a_column_alone(self):
        table = {"a": ["u", "v", "u", "v", "u"], "b": [1.0, 2.0, 1.5, 2.5, 1.0]}
        assert diagram_sum(cm.fit(table, target="a", prior=None)) is None
        assert diagram_sum(cm.fit({"b": table["b"]}, target="b", prior=None)) is None

    def test_names_are_escaped(self):
        table = bent()
        name = "</svg><script>x & y"
        text = page(cm.fit({name: table["x"], "y": table["y"]}, target="y"))
        assert text.count("<script>") == 1
        assert "&lt;/svg&gt;&lt;script&gt;x &amp; y" in text


def texts(browser: Any, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
    found: list[str] = browser.execute_script(script, selector)
    return found


# Colours of the pixels of a canvas that are opaque.
PAINTED = """
    const canvas = document.querySelectorAll('#symmetry canvas')[arguments[0]];
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] === 255) seen.add(data.slice(i, i + 3).join());
    }
    return [...seen];
"""


class TestInABrowser:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_all_sections_show(self, browser, tmp_path, scheme):
        table = alike()
        noise = np.random.default_rng(5).normal(size=400)
        model = cm.fit({**table, "y": sum(v + 0.2 * v**2 for v in table.values()) + noise}, cm.Taylor(3), target="y")
        write_report(model, tmp_path / "report.html")
        colours(browser, scheme)
        visit(browser, tmp_path / "report.html")
        assert [name for name in texts(browser, "#contents a") if name in ("Symmetry", "Class", "Diagrams")] == [
            "Symmetry", "Class", "Diagrams",
        ]  # fmt: skip
        assert len(texts(browser, "#symmetry .evidence tbody tr")) == len(cm.symmetries(model.moments))
        assert texts(browser, "#symmetry figure h3") == ["As measured", "What it makes equal", "Averaged"]
        assert "near: Gaussian" in texts(browser, "#class .class-name")[0]
        assert len(texts(browser, "#diagrams svg.fd")) == 1
        ink = browser.execute_script("return getComputedStyle(document.querySelector('.fd text')).fill")
        assert ink == {"light": "rgb(36, 41, 47)", "dark": "rgb(230, 237, 243)"}[scheme]
        assert len(browser.execute_script(PAINTED, 1)) >= 2
        browser.execute_script(
            """
            const canvas = document.querySelector('#symmetry canvas');
            canvas.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));
            """
        )
        assert "entries that are one number" in texts(browser, "#symmetry .readout")[0]
        assert complaints(browser) == []

    def test_the_pictures_can_be_changed_and_fit_a_phone(self, browser, tmp_path):
        model = cm.fit(alike())
        write_report(model, tmp_path / "report.html")
        size(browser, 390, 844, mobile=True)
        visit(browser, tmp_path / "report.html")
        before = browser.execute_script(PAINTED, 1)
        browser.execute_script(
            """
            const select = document.getElementById('symmetry-shown');
            select.value = 1;
            select.dispatchEvent(new Event('change', {bubbles: true}));
            """
        )
        settle(browser)
        assert browser.execute_script(PAINTED, 1) != before
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        assert complaints(browser) == []
        size(browser, 1280, 900)

    def test_an_imposed_symmetry_shows_before_and_after(self, browser, tmp_path):
        model = cm.fit(alike(), symmetry=symmetric(4))
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        assert texts(browser, "#symmetry .facts dd")[0] == "14 → 6"
        assert "S4" in texts(browser, "#symmetry .intro")[0]
        assert texts(browser, "#symmetry figure h3")[2] == "As solved"
        assert complaints(browser) == []


def test_a_model_too_wide_to_write_out_is_reported_by_some_of_its_columns() -> None:
    p = 6_010
    noise = np.random.default_rng(5).normal(size=(30, p))
    model = cm.fit(noise + np.roll(noise, 1, axis=1), symmetry=cyclic(p))
    found = describe(model, fields=8)
    shown = found["couplings"]["fields"]
    assert len(shown) == 8
    at = np.array([model.fields.index(name) for name in shown])
    whole = correlation_of(model.law.columns(at)[:, at])
    np.testing.assert_allclose(found["couplings"]["correlation"], whole, atol=1e-9)
    assert any("6,010 fields" in note and "of 8 columns" in note for note in found["notes"])
