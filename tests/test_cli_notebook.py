"""``cumulant notebook`` as a person and a pipe see it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cumulant as cm
from commandline import Cli
from cumulant.notebook import library, pages
from own_page import HALF_NORMAL


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path / "notebook"))
    return tmp_path / "notebook"


def test_list_and_search_name_pages(cli: Cli) -> None:
    listed = cli("notebook", "list").ok().out
    assert all(page.name in listed for page in pages())
    found = json.loads(cli("notebook", "search", "yule walker", "--json").ok().out)
    assert [page["name"] for page in found] == ["gaussian-time"]


def test_show_says_formulas_and_what_verified_them(cli: Cli) -> None:
    shown = cli("notebook", "show", "phi4").ok().out
    assert "b = quartic(t)*(1 - t)/t/m2**2" in shown
    assert "quadrature" in shown
    assert json.loads(cli("notebook", "show", "phi4", "--json").ok().out)["couplings"].keys() == {"a", "b"}
    assert "did you mean 'phi4'" in cli("notebook", "show", "phi44").refusal(2)


def test_lookup_prints_couplings_with_errors(cli: Cli) -> None:
    assert "h = 0.693147 ± 0.071" in cli("notebook", "lookup", "poisson", "m1=2", "--count", "100").ok().out
    answer = json.loads(cli("notebook", "lookup", "poisson", "m1=2", "--json").ok().out)
    assert answer["couplings"]["h"] == pytest.approx(0.6931471805599453)
    answer = json.loads(cli("notebook", "lookup", "gaussian-time", "c=[1, 0.5]", "--json").ok().out)
    assert answer["couplings"] == {"a": [0.5], "s2": 0.75}
    assert "NAME=VALUE" in cli("notebook", "lookup", "poisson", "2").refusal(2)
    assert "not a number" in cli("notebook", "lookup", "poisson", "m1=two").refusal(2)
    assert "missing: m4" in cli("notebook", "lookup", "phi4", "m2=1").refusal(2)


def test_add_verifies_and_keeps(cli: Cli, tmp_path, own_folder) -> None:
    path = tmp_path / "half.toml"
    path.write_text(HALF_NORMAL, encoding="utf-8")
    assert "added half-normal" in cli("notebook", "add", str(path)).ok().out
    assert "half-normal" in cli("notebook", "list").ok().out
    assert "--replace" in cli("notebook", "add", str(path)).refusal(2)
    cli("notebook", "add", str(path), "--replace").ok()
    path.write_text(HALF_NORMAL.replace("2/(pi", "2.1/(pi"), encoding="utf-8")
    assert "is wrong" in cli("notebook", "add", str(path), "--replace").refusal(1)
    assert "no such file" in cli("notebook", "add", str(tmp_path / "none.toml")).refusal(1)


def test_classify_says_what_a_model_is(cli: Cli, tmp_path) -> None:
    x = np.random.default_rng(0).normal(size=(500, 2))
    model = cm.fit({"a": x[:, 0], "b": x[:, 0] + x[:, 1]}, prior=None)
    model.save(tmp_path / "m.cumulant")
    said = cli("notebook", "classify", tmp_path / "m.cumulant").ok().out
    assert "Gaussian, no symmetry (page gaussian)" in said
    assert "linear regression" in said
    found = json.loads(cli("notebook", "classify", tmp_path / "m.cumulant", "--json").ok().out)
    assert ["a", "b"] in found["relevant"]
    model.moments.save(tmp_path / "s.cumulant")
    assert "only a model" in cli("notebook", "classify", tmp_path / "s.cumulant").refusal(2)


def test_verify_puts_pages_to_the_test(cli: Cli) -> None:
    rows = json.loads(cli("notebook", "verify", "phi4", "poisson", "--json").ok().out)
    assert {row["page"] for row in rows} == {"phi4", "poisson"}
    assert all(row["passed"] for row in rows)
    assert "ok" in cli("notebook", "verify", "bernoulli").ok().out
