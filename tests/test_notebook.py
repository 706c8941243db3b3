"""Pages, lookup and the user's own pages, against oracles that are not the pages' formulas."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import special
from scipy.optimize import brentq

import cumulant as cm
from cumulant import symmetry as sym
from cumulant.errors import DataError, FileFormatError, OptionError
from cumulant.notebook import library
from cumulant.notebook.expression import parse
from cumulant.notebook.page import read_page
from cumulant.notebook.tables import Table, tabulate
from cumulant.notebook.verify import verify
from own_page import HALF_NORMAL

PAGES = {path.stem: path for path in sorted(library.BUILT_IN.glob("*.toml"))}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path / "notebook"))
    return tmp_path / "notebook"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_gives_back_the_couplings_of_its_oracle(name):
    page = cm.notebook.page(name)
    records = verify(page)
    assert records
    assert all(r.passed for r in records), records


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_what_a_reader_wants_to_know(name):
    page = read_page(PAGES[name])
    assert page.name == name
    assert page.verified
    for key in ("machine_learning", "physics", "behaviour", "derivation", "errors", "references"):
        assert page.text.get(key), f"{name} has no {key}"


# ---------------------------------------------------------------------------------- formulas


def test_formulas_are_arithmetic():
    f = parse("log((1 + m)/(1 - m))/2 - 2**-1*tanh(k)")
    assert f.names == {"m", "k"}
    assert f.evaluate({"m": 0.5, "k": 1.0}) == pytest.approx(math.atanh(0.5) - math.tanh(1.0) / 2, abs=1e-15)
    assert f.evaluate({"m": np.array([0.0, 0.5]), "k": 0.0}).shape == (2,)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "m.__class__",
        "(lambda: 1)()",
        "[m for m in (1, 2)]",
        "m if m > 0 else 0",
        "m[0]",
        "open(m)",
        "exp(m, out=m)",
        "'a'*10",
        "m % m",
        "m and m",
        "1j",
        "True",
        "m := 1",
        "",
        "+".join(["m"] * 3000),
        "-" * 500 + "m",
    ],
)
def test_formulas_are_nothing_else(text):
    with pytest.raises(FileFormatError, match=r"formula"):
        parse(text)


def test_powers_of_numbers_do_not_grow_without_bound():
    with pytest.raises(OverflowError):
        parse("9**9**9**9").evaluate({})


def test_formulas_are_sympy_s():
    sympy = pytest.importorskip("sympy")
    page = cm.notebook.page("spin-pair")
    moments = {"m1": 0.2, "m2": -0.1, "q": 0.3}
    values = {sympy.Symbol(k): v for k, v in moments.items()}
    for name, formula in page.definitions:
        values[sympy.Symbol(name)] = sympy.sympify(formula.text).subs(values)
    for c in page.couplings:
        exact = float(sympy.sympify(c.formula.text).subs(values))
        assert page.couplings_at(moments)[c.name] == pytest.approx(exact, abs=1e-14)


# ---------------------------------------------------------------------------------- tables


def test_a_table_is_as_exact_as_it_says():
    table = tabulate(math.gamma, 1.0, 4.0)
    x = np.linspace(1.0, 4.0, 1001)
    exact = np.array([math.gamma(v) for v in x])
    assert np.abs(table(x) / exact - 1).max() < 1e-10
    assert table.error <= 1e-11
    assert math.isnan(table(4.1))
    assert Table.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def forward(name: str, parameter: int) -> tuple[np.ndarray, np.ndarray]:
    """Arguments and values of a tabulated function, from couplings to moments: nothing is inverted."""
    if name == "shape":
        k = np.logspace(-1.7, 4, 1500)
        gap = np.log(k) - special.digamma(k)
        # At large k the two cancel, and Stirling's series (DLMF 5.11.2) is exact.
        series = 1 / (2 * k) + 1 / (12 * k**2) - 1 / (120 * k**4) + 1 / (252 * k**6) - 1 / (240 * k**8)
        gap = np.where(k > 30, series, gap)
        return gap, k * gap
    if name == "concentration":
        nu, kappa = parameter / 2, np.logspace(-3, 4, 1500)
        R = special.ive(nu, kappa) / special.ive(nu - 1, kappa)
        return R, kappa * (1 - R**2) / R
    # F = c x²/2 + x⁴/24 with x the length of a vector, by the trapezium rule in ln x.
    u = np.linspace(-40 / parameter - 4, 4.5, 4001)
    x, c = np.exp(u), np.concatenate([-np.logspace(-2, 1.2, 700), np.logspace(-2, 1.8, 800)])
    log_p = parameter * u - c[:, None] * x**2 / 2 - x**4 / 24
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    m2, m4 = (p @ x**k / p.sum(axis=1) for k in (2, 4))
    t = parameter * (m4 / m2**2 - 1) / 2
    return t, m2**2 * t / (1 - t)


@pytest.mark.parametrize("name", [name for name, path in PAGES.items() if read_page(path).tables])
def test_tables_hold_their_bound_wherever_they_are_asked(name):
    page = cm.notebook.page(name)
    for function, tables in page.tables.items():
        for key, table in tables.items():
            assert table.error <= 1e-11
            x, exact = forward(function, int(key or page.solves.parameters.get("n", (2 if "mises" in name else 1,))[0]))
            inside = (x > table.breaks[0]) & (x < table.breaks[-1])
            # Every piece is met.
            assert (np.histogram(x[inside], table.breaks)[0] > 0).all(), (function, key)
            assert np.abs(table(x[inside]) / exact[inside] - 1).max() < 1e-10, (function, key)


def test_the_bound_is_of_the_whole_interval_and_told_from_enough_points():
    table = tabulate(lambda x: math.exp(3 * x), 0.0, 1.0, tolerance=1e-6)
    x = np.linspace(0.0, 1.0, 20_001)
    measured = np.abs(table(x) / np.exp(3 * x) - 1).max()
    assert measured <= table.error + 1e-14
    assert table.error < 3 * measured + 1e-13
    with pytest.raises(OptionError, match="more than 20 points"):
        tabulate(math.exp, 0.0, 1.0, checks=15)


def test_a_function_that_is_not_smooth_is_refused():
    with pytest.raises(OptionError, match="smooth"):
        tabulate(lambda x: 1.0 + (x > 1 / math.pi), 0.0, 1.0)


# ---------------------------------------------------------------------------------- lookup


@pytest.mark.parametrize("names", [["a", "b", "c"], ["z", "x", "y"]])
def test_exchangeable_columns_are_looked_up_whatever_they_are_called(names):
    x = np.random.default_rng(0).normal(size=(200, 1)) + np.random.default_rng(1).normal(size=(200, 3))
    m = cm.measure(pd.DataFrame(x, columns=names))
    answer = cm.notebook.lookup(cm.Gaussian(), sym.symmetric(sorted(names)), m)
    assert answer.page.name == "gaussian-exchangeable"
    C = np.cov(x.T)
    v, c = np.diag(C).mean(), C[np.triu_indices(3, 1)].mean()
    averaged = (v - c) * np.eye(3) + c
    assert answer.precision == pytest.approx(np.linalg.inv(averaged), rel=1e-10)


def test_two_spins_are_looked_up_from_true_and_false():
    rng = np.random.default_rng(3)
    a = rng.random(4000) < 0.6
    b = np.where(rng.random(4000) < 0.3, a, rng.random(4000) < 0.4)
    m = cm.measure(pd.DataFrame({"a": a, "b": b}))
    answer = cm.notebook.lookup(cm.Spins(), None, m)
    cells = np.array([[np.mean((a == i) & (b == j)) for j in (True, False)] for i in (True, False)])
    odds = math.log(cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0]))
    assert answer.couplings["J"] == pytest.approx(odds / 4, rel=1e-9)
    # Woolf's standard error of a log odds ratio.
    assert answer.errors["J"] == pytest.approx(math.sqrt((1 / cells).sum() / 4000) / 4, rel=1e-4)


def test_the_quartic_critical_point_is_where_gamma_functions_say():
    ratio = math.gamma(0.25) ** 4 / (8 * math.pi**2)
    assert cm.notebook.lookup("phi4", moments={"m2": 1.0, "m4": ratio}).couplings["a"] == pytest.approx(0, abs=1e-9)


def test_numbers_that_are_missing_unknown_or_outside_are_named():
    with pytest.raises(OptionError, match="missing: m4"):
        cm.notebook.lookup("phi4", moments={"m2": 1.0})
    with pytest.raises(OptionError, match="not 'm3'"):
        cm.notebook.lookup("phi4", moments={"m2": 1.0, "m3": 0.0, "m4": 2.0})
    with pytest.raises(DataError, match="student-t"):
        cm.notebook.lookup("phi4", moments={"m2": 1.0, "m4": 4.0})
    with pytest.raises(DataError, match="finite"):
        cm.notebook.lookup("phi4", moments={"m2": 1.0, "m4": float("nan")})
    with pytest.raises(DataError, match="do not fit each other"):
        cm.notebook.lookup("gaussian", moments={"mu": [0.0, 0.0, 0.0], "C": [[1.0, 0.0], [0.0, 1.0]]})
    with pytest.raises(OptionError, match="did you mean 'phi4'"):
        cm.notebook.lookup("phi-4", moments={"m2": 1.0, "m4": 2.0})


# ---------------------------------------------------------------------------------- a user's own pages


def test_a_page_of_ones_own_is_verified_kept_and_found(tmp_path, own_folder):
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL, encoding="utf-8")
    assert cm.notebook.add(path).verified
    assert (own_folder / "half-normal.toml").exists()
    answer = cm.notebook.lookup("half-normal", moments={"m1": 0.5}, count=100)
    assert answer.couplings["k"] == pytest.approx(8 / math.pi)
    # var k = (4/(π m³))² var x / N, var x = (1 − 2/π)/k
    k = 8 / math.pi
    assert answer.errors["k"] == pytest.approx(2 * k / 0.5 * math.sqrt((1 - 2 / math.pi) / k / 100), rel=1e-5)
    with pytest.raises(OptionError, match="replace=True"):
        cm.notebook.add(path)
    assert cm.notebook.add(path, replace=True).verified


def test_a_page_may_bring_a_table_of_its_own(tmp_path):
    """The concentration of a unit vector in space, by the inverse of Langevin's function."""

    def concentration(m: float) -> float:
        k = brentq(lambda k: 1 / math.tanh(k) - 1 / k - m, 1e-6, 1e6, xtol=1e-14, rtol=1e-15)
        return k * (1 - m**2) / m

    text = HALF_NORMAL.replace('"half-normal"', '"langevin"').replace('x = "positive"', 'x = "interval"')
    text = text.replace("k*x**2/2", "-k*x").replace("2/(pi*m1**2)", "inverse(m1)*m1/(1 - m1**2)")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    table = tabulate(concentration, 0.05, 0.9, tolerance=1e-10)
    (tmp_path / "mine.json").write_text(json.dumps({"tables": {"inverse": {"": table.to_dict()}}}), encoding="utf-8")
    page = cm.notebook.add(tmp_path / "mine.toml")
    assert [r.passed for r in page.records] == [True, True]
    answer = cm.notebook.lookup("langevin", moments={"m1": 0.5})
    assert 1 / math.tanh(answer.couplings["k"]) - 1 / answer.couplings["k"] == pytest.approx(0.5, abs=1e-10)


def test_a_page_of_ones_own_takes_measured_moments(tmp_path):
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL, encoding="utf-8")
    cm.notebook.add(path)
    x = np.abs(np.random.default_rng(0).normal(size=1000))
    answer = cm.notebook.lookup("half-normal", None, cm.measure({"x": x}))
    assert answer.couplings["k"] == pytest.approx(2 / (math.pi * x.mean() ** 2), rel=1e-12)


def test_a_page_that_is_wrong_is_not_written(tmp_path, own_folder):
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL.replace("2/(pi*m1**2)", "2/(3.1*m1**2)"), encoding="utf-8")
    with pytest.raises(DataError, match="quadrature"):
        cm.notebook.add(path)
    assert not own_folder.exists()


def test_a_page_that_gives_no_number_is_not_verified(tmp_path):
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL.replace("2/(pi*m1**2)", "log(-m1)"), encoding="utf-8")
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match="error of inf"):
        cm.notebook.add(path)


def test_a_coupling_that_is_not_finite_is_refused(tmp_path):
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL, encoding="utf-8")
    cm.notebook.add(path)
    for edge in (0.0, 1e-200, -1e-200):
        with pytest.raises(DataError, match="no finite couplings"):
            cm.notebook.lookup("half-normal", moments={"m1": edge})


def test_a_page_that_was_changed_after_it_was_verified_is_refused(tmp_path, own_folder):
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL, encoding="utf-8")
    cm.notebook.add(path)
    kept = own_folder / "half-normal.toml"
    kept.write_text(HALF_NORMAL.replace("2/(pi", "3/(pi"), encoding="utf-8")
    with pytest.raises(FileFormatError, match="changed after it was verified"):
        cm.notebook.page("half-normal")
    # All others can still be used.
    with pytest.warns(cm.CumulantWarning, match="changed after it was verified"):
        assert "half-normal" not in [page.name for page in cm.notebook.pages()]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('formula = "2/(pi*m1**2)"', 'formula = "2/(pi*m9**2)"', "uses 'm9'"),
        ('{x = "positive"}', '{x = "imaginary"}', "cannot be 'imaginary'"),
        ("format = 1", "format = 9", "format = 1"),
        ('name = "half-normal"', 'name = "../half"', "letters, digits"),
        ('[verify]\npoints = [{k = 1.0}, {k = 3.0}]', "", "missing: verify"),
        ('title = "Half-normal"', "title = ", "is not a page"),
        ("points = [{k = 1.0}, {k = 3.0}]", "points = []", "nothing to be verified by"),
        ("points = [{k = 1.0}, {k = 3.0}]", "points = [{j = 1.0}]", "must give k"),
        ('formula = "k*x**2/2"', 'formula = "j*x**2/2"', "'j', which it cannot know"),
        ('observable = "x"', 'observable = "k*x"', "'k', which it cannot know"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_by_name(tmp_path, old, new, said):
    path = tmp_path / "half.toml"
    assert old in HALF_NORMAL
    path.write_text(HALF_NORMAL.replace(old, new), encoding="utf-8")
    with pytest.raises(FileFormatError, match=said):
        cm.notebook.add(path)


def test_names_of_the_package_are_taken(tmp_path):
    for suffix in (".toml", ".json"):
        shutil.copy(PAGES["phi4"].with_suffix(suffix), tmp_path / f"mine{suffix}")
    with pytest.raises(OptionError, match="another name"):
        cm.notebook.add(tmp_path / "mine.toml")
