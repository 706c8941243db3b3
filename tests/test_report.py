from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

import cumulant as cm
from browser import chromium, colours, complaints, settle, size, visit
from cumulant.errors import CumulantWarning, SourceError
from cumulant.explain.report import PAGE, SCRIPTS, STYLES, page, write_report

CONDITIONED = ("conditioned", "shrunk and conditioned")
BASE = dt.datetime.fromisoformat("2021-03-01")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def mixed(n: int = 300) -> pd.DataFrame:
    """Numbers of very different size, a date, a time stamp, true/false and two categories, some cells missing."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=n)
    kind = rng.choice(["oak", "ash", "elm"], n, p=[0.5, 0.3, 0.2])
    days = rng.integers(0, 700, n)
    big = 1e6 + 40 * x + 30 * rng.normal(size=n)
    height = 3 + 2 * x + 1.5 * (kind == "oak") - 0.7 * (kind == "elm") + 0.002 * days + rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "x": x,
            "big": big,
            "kind": kind,
            "planted": pd.Series([BASE.date() + dt.timedelta(days=int(d)) for d in days]),
            "seen": pd.Series([BASE + dt.timedelta(minutes=int(m)) for m in rng.integers(0, 500_000, n)]),
            "wet": x + rng.normal(size=n) > 0.3,
            "site": rng.choice([f"s{i:02d}" for i in range(7)], n),
            "height": height,
            "tiny": 1e-9 * (height + 2 * rng.normal(size=n)),
        }
    )
    for name, share in (("x", 0.1), ("height", 0.05), ("tiny", 0.2)):
        frame.loc[rng.random(n) < share, name] = np.nan
    return frame


def model_of(kind: str) -> cm.Model:
    frame = mixed()
    if kind == "cyclic":
        return cm.fit(frame, lifts={"seen": ["cyclic:day", "cyclic:year"]}, target="height", prior=None)
    if kind == "shrunk":
        return cm.fit(frame, target="height", prior=0.3)
    if kind == "conditioned":
        return cm.fit(frame.dropna(), target="height", prior=None).condition({"big": 1e6 + 50, "site": "s03"})
    if kind == "shrunk and conditioned":
        return cm.fit(frame, target="height", prior=0.1).condition({"big": 1e6 + 50, "site": "s03"})
    if kind == "few rows":
        return cm.fit(mixed(6).dropna()[["x", "big", "height", "kind"]], target="height", prior=0.1)
    if kind == "remainder":
        with pytest.warns(CumulantWarning, match="more than 3 levels"):
            return cm.fit(frame, target="height", levels=3, prior=None)
    return cm.fit(frame, target="height", prior=None)


def put(browser: Any, model: cm.Model, values: dict[str, Any]) -> None:
    """Set controls of the predictor as a person does, all others cleared."""
    browser.execute_script("document.getElementById('clear-all').click()")
    for name, value in values.items():
        control = f"[data-column='{model.columns.index(name)}']"
        browser.execute_script(
            """
            const input = document.querySelector(`${arguments[0]} > :is(input:not([type=range]), select)`);
            const select = input.tagName === 'SELECT';
            const value = arguments[1];
            input.value = select ? [...input.options].find((o) => o.text === String(value)).value : value;
            input.dispatchEvent(new Event(select ? 'change' : 'input', {bubbles: true}));
            """,
            control,
            value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value,
        )


def choose(browser: Any, target: str) -> None:
    browser.execute_script(
        """
        const select = document.getElementById('target');
        select.value = [...select.options].find((o) => o.text === arguments[0]).value;
        select.dispatchEvent(new Event('change', {bubbles: true}));
        """,
        target,
    )


def texts(browser: Any, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def answer(browser: Any) -> dict[str, str]:
    return dict(browser.execute_script("return {...document.getElementById('prediction').dataset}"))


def in_python(model: cm.Model, target: str, values: dict[str, Any], level: float) -> dict[str, Any]:
    given = {name: [value == "true" if name == "wet" else value] for name, value in values.items()}
    found = model.predict(target, given=given or None, output="density")
    if isinstance(found, pd.DataFrame):
        return {"probabilities": found.to_numpy()[0]}
    low, high = found.interval(level)
    return {"mean": found.mean[0], "low": low[0], "high": high[0], "scale": found.scale[0]}


def log_density(x: float, nu: float) -> float:
    """ln of Student's density in fifty digits, where ln Γ at 1e12 has some to lose."""
    with mpmath.workdps(50):
        n = mpmath.mpf(nu)
        constant = mpmath.loggamma((n + 1) / 2) - mpmath.loggamma(n / 2) - mpmath.log(n * mpmath.pi) / 2
        return float(constant - (n + 1) / 2 * mpmath.log(1 + mpmath.mpf(x) ** 2 / n))


def same(page_says: dict[str, str], python_says: dict[str, Any]) -> None:
    if "probabilities" in python_says:
        assert "mean" not in page_says
        np.testing.assert_allclose(json.loads(page_says["probabilities"]), python_says["probabilities"], atol=1e-9)
        return
    assert "probabilities" not in page_says
    for name, value in python_says.items():
        assert abs(float(page_says[name]) - value) <= 1e-9 * (abs(value) + python_says["scale"]), name


KNOWN: list[dict[str, Any]] = [
    {},
    {"x": 0.731},
    {"big": 1000063.5, "kind": "ash"},
    {"kind": "oak", "wet": "true", "planted": dt.date(2022, 5, 17)},
    {"seen": dt.datetime.fromisoformat("2021-09-03 17:45"), "site": "s05", "tiny": -3.25e-9},
    {
        "x": -1.2,
        "big": 999950.0,
        "kind": "elm",
        "planted": dt.date(2021, 4, 2),
        "seen": dt.datetime.fromisoformat("2021-11-30 06:01"),
        "wet": "false",
        "site": "s00",
        "height": 2.5,
        "tiny": 1e-9,
    },
]


class TestPredictor:
    @pytest.mark.parametrize("kind", ["plain", "cyclic", "shrunk", *CONDITIONED, "few rows", "remainder"])
    def test_equals_python_for_every_target_and_whatever_is_known(self, browser, tmp_path, kind):
        model = model_of(kind)
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        for target in model.columns:
            choose(browser, target)
            for values in KNOWN:
                known = {name: value for name, value in values.items() if name in model.columns and name != target}
                if kind == "remainder" and "site" in known:
                    known["site"] = "(other)"
                put(browser, model, known)
                same(answer(browser), in_python(model, target, known, 0.9))
        assert complaints(browser) == []

    def test_equals_python_where_sums_are_compensated(self, browser, tmp_path):
        x = np.linspace(1, 2, 40)
        table = {f"x{k}": x**k for k in range(1, 8)} | {"y": np.cos(5 * x) + 0.01 * np.sin(1e4 * x)}
        with pytest.warns(CumulantWarning, match="compensated"):
            model = cm.fit(table, target="y", prior=None)
        assert model.gaussian.low is not None
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        for row in (3, 17, 36):
            values = {name: float(column[row]) for name, column in table.items() if name != "y"}
            for known in (values, {name: values[name] for name in ("x1", "x4", "x7")}):
                put(browser, model, known)
                same(answer(browser), in_python(model, "y", known, 0.9))

    def test_moving_a_slider_moves_the_prediction(self, browser, tmp_path):
        model = model_of("plain")
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        before = answer(browser)
        place = model.columns.index("x")
        moved = browser.execute_script(
            """
            const slider = document.querySelector(`[data-column='${arguments[0]}'] input[type=range]`);
            slider.value = slider.max;
            slider.dispatchEvent(new Event('input', {bubbles: true}));
            return document.getElementById(`known-${arguments[0]}`).value;
            """,
            place,
        )
        after = answer(browser)
        assert float(moved) > model.mean[0] + 2 * np.sqrt(model.covariance[0, 0])
        assert float(after["mean"]) - float(before["mean"]) > 2
        same(after, in_python(model, "height", {"x": float(moved)}, 0.9))
        browser.execute_script(f"document.querySelector(\"[data-column='{place}'] .clear\").click()")
        assert answer(browser) == before

    def test_the_level_slider_widens_the_interval(self, browser, tmp_path):
        model = model_of("plain")
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        put(browser, model, {"x": 1.0})
        for level in (0.5, 0.99):
            browser.execute_script(
                """
                const slider = document.getElementById('level');
                slider.value = arguments[0];
                slider.dispatchEvent(new Event('input', {bubbles: true}));
                """,
                100 * level,
            )
            same(answer(browser), in_python(model, "height", {"x": 1.0}, level))

    def test_what_moved_the_mean_adds_up_and_the_python_shown_is_right(self, browser, tmp_path):
        model = model_of("plain")
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        known = {"x": -0.5, "kind": "elm", "wet": "true", "planted": dt.date(2022, 1, 9)}
        put(browser, model, known)
        shown = texts(browser, ".moves .level-share")
        moves = sum(float(text.replace("\u2212", "-")) for text in shown)
        start = float(model.predict("height")[0])
        assert abs(start + moves - float(answer(browser)["mean"])) < 0.03
        code = browser.execute_script("return document.querySelector('.code code').textContent")
        found = eval(code, {"model": model})
        assert abs(found["mean"].iloc[0] - float(answer(browser)["mean"])) < 1e-9

    def test_unknown_columns_show_what_to_expect_of_them(self, browser, tmp_path):
        model = model_of("plain")
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        put(browser, model, {"x": 1.5})
        shown = browser.execute_script(
            "return document.getElementById(`known-${arguments[0]}`).placeholder", model.columns.index("big")
        )
        expected = float(model.predict("big", given={"x": [1.5]})[0])
        assert abs(float(shown.replace("≈", "").replace(",", "")) - expected) < 0.06

    def test_student_t(self, browser, tmp_path):
        write_report(model_of("plain"), tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        nu = [1, 1.5, 2.25, 3, 7.5, 30, 100, 1e4, 1e7, 1e12]
        level = [0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999]
        points = [0.0, 0.3, 1.7, 12.0]
        half, density = browser.execute_script(
            """
            const [nu, level, points] = arguments;
            const {halfWidth, logDensity} = window.cumulant.student;
            const over = (others, value) => nu.map((v) => others.map((other) => value(other, v)));
            return [over(level, halfWidth), over(points, logDensity)];
            """,
            nu,
            level,
            points,
        )
        exact = -student.ppf((1 - np.array(level)) / 2, np.array(nu)[:, None])
        np.testing.assert_allclose(half, exact, rtol=1e-12)
        np.testing.assert_allclose(density, [[log_density(x, v) for x in points] for v in nu], rtol=1e-13)


NASTY = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked=2'>",
    "a \"quoted\" & 'named' \\ column",
    "{{content}}",
    "__proto__",
    "constructor",
    "línea\u2028separada",
    "列 ≥ 0",
    "<!--",
    " ",
]


class TestSafety:
    def test_names_and_levels_stay_text(self, browser, tmp_path):
        rng = np.random.default_rng(3)
        frame = pd.DataFrame({name: rng.normal(size=60) for name in NASTY})
        frame["level"] = rng.choice(["</script>", "<b>bold</b>", "it's"], 60)
        frame["{{title}}"] = frame.sum(axis=1, numeric_only=True) + rng.normal(size=60)
        model = cm.fit(frame, target="{{title}}", prior=None)
        write_report(model, tmp_path / "report.html", title=NASTY[0] + NASTY[1])
        visit(browser, tmp_path / "report.html")
        assert browser.execute_script("return window.hacked") is None
        assert browser.title == (NASTY[0] + NASTY[1])
        assert browser.find_element("css selector", "h1").get_attribute("textContent") == NASTY[0] + NASTY[1]
        assert set(texts(browser, ".control label")) == {*NASTY, "level"}
        known = {"__proto__": 1.5, "constructor": -0.5, NASTY[0]: 2.0, "level": "</script>"}
        put(browser, model, known)
        same(answer(browser), in_python(model, "{{title}}", known, 0.9))
        assert browser.execute_script("return window.hacked") is None

    def test_nothing_is_loaded(self, browser, tmp_path):
        write_report(model_of("plain"), tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        addresses = set(re.findall(r"[a-z]+://[^\s\"'<>\\]+", text))
        assert addresses == {"http://www.w3.org/2000/svg"}

    def test_the_page_has_all_its_parts(self):
        found = {path.name for path in PAGE.iterdir()}
        assert found == {*SCRIPTS, *STYLES, "page.html"}


class TestReading:
    @pytest.fixture(scope="class")
    def path(self, tmp_path_factory) -> Path:
        out = tmp_path_factory.mktemp("report") / "report.html"
        frame = mixed()
        write_report(cm.fit(frame, target="height", prior="evidence"), out, title="Trees", data=frame)
        return out

    @pytest.mark.parametrize("width", [390, 768, 1280])
    def test_nothing_is_wider_than_the_window(self, browser, path, width):
        size(browser, width, 844, mobile=width < 500)
        visit(browser, path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        wide = browser.execute_script(
            """
            const out = [];
            for (const e of document.querySelectorAll('main *')) {
              if (e.closest('.scroll, pre, select, .unseen, .level-name')) continue;
              const box = e.getBoundingClientRect();
              if (box.width && (box.right > innerWidth + 1 || box.left < -1)) out.push(`${e.tagName} ${e.className}`);
            }
            return out;
            """
        )
        assert wide == []
        size(browser, 1280, 900)

    def test_labels_of_the_graph_do_not_overlap_their_neighbours(self, browser, path):
        for width in (390, 1280):
            size(browser, width, 844, mobile=width < 500)
            visit(browser, path)
            gaps = browser.execute_script(
                """
                const place = (c) => ['cx', 'cy'].map((name) => Number(c.getAttribute(name)));
                const at = [...document.querySelectorAll('.node circle')].map(place);
                const next = (i) => at[(i + 1) % at.length];
                return at.map(([x, y], i) => Math.hypot(x - next(i)[0], y - next(i)[1]));
                """
            )
            assert min(gaps) > 12.5
        size(browser, 1280, 900)

    def test_colours_follow_the_system_and_the_button(self, browser, path):
        paper = "return getComputedStyle(document.body).backgroundColor"
        seen = {}
        for scheme in ("dark", "light"):
            colours(browser, scheme)
            visit(browser, path)
            seen[scheme] = browser.execute_script(paper)
        assert seen["dark"] != seen["light"]
        shown = []
        for _ in range(3):
            browser.execute_script("document.getElementById('theme').click()")
            shown.append(browser.execute_script(paper))
        assert shown == [seen["light"], seen["dark"], seen["light"]]

    def test_every_control_has_a_name_and_every_picture_words(self, browser, path):
        visit(browser, path)
        nameless = browser.execute_script(
            """
            const labelled = (e) => [...(e.labels ?? [])].some((l) => l.textContent.trim());
            const named = (e) => e.getAttribute('aria-label') || e.textContent.trim() || labelled(e);
            const all = [...document.querySelectorAll('input, select, button, svg, canvas')];
            const nameless = all.filter((e) => e.tagName === 'SELECT' ? !labelled(e) : !named(e));
            return nameless.map((e) => e.outerHTML.slice(0, 80));
            """
        )
        assert nameless == []
        twice = browser.execute_script(
            """
            const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
            return ids.filter((v, i) => ids.indexOf(v) !== i);
            """
        )
        assert twice == []

    def test_maps_answer_the_keyboard(self, browser, path):
        visit(browser, path)
        read = "return document.querySelector('#couplings .readout').textContent"
        first = browser.execute_script(read)
        browser.execute_script(
            """
            const canvas = document.querySelector('#couplings canvas');
            for (const key of ['ArrowRight', 'ArrowRight']) canvas.dispatchEvent(new KeyboardEvent('keydown', {key}));
            """
        )
        assert browser.execute_script(read) != first
        assert "with all others fixed" in browser.execute_script(read)

    def test_regression_held_out_rows_and_ledger_are_shown(self, browser, path):
        model = cm.fit(mixed(), target="height", prior="evidence")
        visit(browser, path)
        assert texts(browser, ".terms tbody th") == ["constant", *model.summary().table.index[1:]]
        assert float(texts(browser, "#regression .facts dd")[0]) == pytest.approx(model.summary().r_squared, abs=1e-4)
        titles = ["R² on each of 10 folds", "Residuals", "Calibration", "Where values fell"]
        assert texts(browser, "#held-out figure h3") == titles
        assert "judged by the model of the folds it is not in" in browser.find_element("id", "held-out").text
        assert "one pass" in browser.find_element("id", "ledger").text
        assert "evidence" in browser.find_element("id", "measured").text

    def test_text_can_be_read_against_its_ground(self, browser, path):
        for scheme in ("light", "dark"):
            colours(browser, scheme)
            visit(browser, path)
            names = ["paper", "card", "ink", "soft", "accent", "up", "down", "category"]
            hexes = browser.execute_script(
                """
                const style = getComputedStyle(document.documentElement);
                return arguments[0].map((name) => style.getPropertyValue(`--${name}`).trim());
                """,
                names,
            )
            of = dict(zip(names, hexes, strict=True))
            for ground in ("paper", "card"):
                for text in ("ink", "soft", "accent"):
                    assert contrast(of[text], of[ground]) >= 4.5, (scheme, text, ground)
                for mark in ("up", "down", "category"):
                    assert contrast(of[mark], of[ground]) >= 3, (scheme, mark, ground)
        colours(browser, "light")


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, WCAG 2.2 section 1.4.3."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def wide(columns: int = 420, rows: int = 500) -> cm.Model:
    rng = np.random.default_rng(5)
    factors = rng.normal(size=(rows, 6))
    table = factors @ rng.normal(size=(6, columns)) + rng.normal(size=(rows, columns))
    frame = pd.DataFrame(table, columns=[f"v{i}" for i in range(columns)])
    frame["y"] = factors[:, 0] + 0.1 * rng.normal(size=rows)
    return cm.fit(frame, target="y")


UGLY = {
    "one row": lambda: cm.fit({"a": [1.0], "b": [2.0]}, prior=None),
    "one column": lambda: cm.fit({"a": [1.0, 2.0, 4.0]}, prior=None),
    "one category": lambda: cm.fit({"a": ["x", "y", "x"]}, prior=None),
    "constants": lambda: cm.fit({"a": [3.0] * 9, "b": ["same"] * 9, "y": np.arange(9.0)}, target="y", prior=None),
    "duplicates": lambda: cm.fit({"a": np.arange(9.0), "b": np.arange(9.0), "y": np.cos(np.arange(9.0))}, prior=None),
    "nothing left over": lambda: cm.fit({"a": np.arange(9.0), "y": 2 * np.arange(9.0)}, target="y", prior=None),
    "more columns than rows": lambda: cm.fit(np.random.default_rng(1).normal(size=(5, 12))),
    "a column of nothing": lambda: cm.fit({"a": [1.0, 2.0, 3.0], "b": [None, None, None]}, prior=None),
    "numbers like 1e200": lambda: cm.fit({"a": [1e100, 2e100, 4e100], "y": [1e-200, 3e-200, 2e-200]}, prior=None),
}


class TestUglyModels:
    @pytest.mark.parametrize("name", UGLY)
    def test_make_a_page_without_complaints(self, browser, tmp_path, name):
        model = UGLY[name]()
        write_report(model, tmp_path / "report.html")
        visit(browser, tmp_path / "report.html")
        for target in model.columns:
            choose(browser, target)
            settle(browser)
            known = {other: 1.0 for other in model.columns if other not in (target, "b")}
            if name not in ("constants", "one category"):
                put(browser, model, known)
            else:
                known = {}
            same(answer(browser), in_python(model, target, known, 0.9))
        assert complaints(browser) == []

    def test_a_wide_model_is_cut_and_says_so(self, browser, tmp_path):
        model = wide()
        write_report(model, tmp_path / "report.html")
        assert (tmp_path / "report.html").stat().st_size < 4e6
        visit(browser, tmp_path / "report.html")
        assert "300 columns" in browser.find_element("id", "predict").text
        carried = browser.execute_script("return window.cumulant.columns")
        assert len(carried) == 300
        assert "y" in carried
        values = dict.fromkeys(carried[:40], 0.3)
        found = browser.execute_script("return window.cumulant.predict('y', arguments[0], 0.8)", values)
        same({k: str(v) for k, v in found.items()}, in_python(model, "y", values, 0.8))

    def test_without_moments_and_with_other_rows(self, browser, tmp_path):
        frame = mixed()
        model = cm.fit(frame, target="height", prior=None)
        model.save(tmp_path / "m.cumulant", moments=False)
        bare = cm.load(tmp_path / "m.cumulant")
        write_report(bare, tmp_path / "report.html", data=mixed(120))
        visit(browser, tmp_path / "report.html")
        assert "not recognised" in browser.find_element("id", "held-out").text


class TestFile:
    def test_a_file_that_cannot_be_written_is_named(self, tmp_path):
        with pytest.raises(SourceError, match="nowhere"):
            write_report(model_of("plain"), tmp_path / "nowhere" / "report.html")

    def test_the_model_has_a_method_for_it(self, tmp_path):
        model_of("plain").report(tmp_path / "report.html", title="Trees & bushes")
        assert "<title>Trees &amp; bushes</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")

    def test_the_same_model_makes_the_same_page(self):
        model = model_of("plain")
        assert page(model) == page(model)
