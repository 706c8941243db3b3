"""What a fitted F is read as, beside what it was made to be."""

from __future__ import annotations

import numpy as np
import pytest

import cumulant as cm
from cumulant import symmetry as sym
from cumulant.errors import OptionError
from cumulant.notebook.universality import universality


def test_a_gaussian_model_names_its_page_and_its_relevant_couplings():
    rng = np.random.default_rng(0)
    a = rng.normal(size=4000)
    b, c = a + rng.normal(size=4000), rng.normal(size=4000)
    found = cm.fit({"a": a, "b": b, "c": c}, prior=None).universality()
    assert found.page.name == "gaussian"
    assert found.exact
    assert ("a", "b") in found.relevant
    assert {("a", "c"), ("b", "c")} <= set(found.irrelevant)
    assert found.physics["phases"] == "one"
    R = np.corrcoef([a, b, c])
    assert found.physics["mass gap"] == pytest.approx(1 / np.linalg.eigvalsh(R)[-1], rel=1e-6)
    assert "linear regression" in str(found)
    assert found.table.loc["a · b", "relevant"]
    assert found.to_dict()["page"] == "gaussian"


def test_a_zero_coupling_shows_one_over_the_root_of_the_rows():
    sizes = []
    for seed in range(300):
        x = np.random.default_rng(seed).normal(size=(400, 2))
        sizes.append(cm.fit({"a": x[:, 0], "b": x[:, 1]}, prior=None).universality().sizes["a", "b"])
    assert np.sqrt(np.mean(np.square(sizes))) == pytest.approx(1 / 20, rel=0.15)


def test_a_symmetry_changes_the_page():
    x = np.random.default_rng(1).normal(size=(100, 3))
    model = cm.fit({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}, prior=None)
    assert model.universality(sym.symmetric(["c", "a", "b"])).page.name == "gaussian-exchangeable"
    square = model.universality(sym.Group.of(["a", "b", "c"], [[("a", "b")]]))
    assert not square.exact
    assert square.name.startswith("near: Gaussian")


@pytest.mark.parametrize(("a", "phases"), [(1.0, "one"), (-2.0, "two wells in x")])
def test_wells_of_a_polynomial(a, phases):
    found = universality(
        cm.Polynomial(4), sym.z2(["x"]), ["x"], {(0, 0): a / 2, (0,) * 4: 1 / 24}, np.zeros(1), np.eye(1), 1000
    )
    assert found.page.name == "phi4"
    assert found.physics["phases"] == phases


@pytest.mark.parametrize(("J", "phases"), [(0.5, "one"), (2.0, "two in mean field: columns freeze together")])
def test_phases_of_a_magnet_are_those_of_mean_field(J, phases):
    n = 50
    couplings = {(i, j): -J / n for i in range(n) for j in range(i + 1, n)}
    found = universality(
        cm.Spins(), sym.symmetric(n), [str(i) for i in range(n)], couplings, np.zeros(n), np.eye(n), 1000
    )
    assert found.page.name == "curie-weiss"
    assert found.physics["coupling strength"] == pytest.approx(J * (n - 1) / n)
    assert found.physics["phases"] == phases


def test_more_fields_than_can_be_weighed_are_refused_with_a_remedy():
    x = np.random.default_rng(0).normal(size=(5, 1001))
    with pytest.raises(OptionError, match=r"marginal\(columns\)"):
        cm.fit(x, prior=1.0).universality()
