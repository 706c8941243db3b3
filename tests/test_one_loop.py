"""Networks of finite width conditioned on rows: beside importance sampling of real networks, integrals, models."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cumulant as cm
from cumulant.errors import CumulantWarning, OptionError
from cumulant.solve.field.one_loop import OneLoop
from cumulant.theory.field import Field
from cumulant.theory.networks import NNGP, NTK
from cumulant.theory.propagators import RBF
from test_finite_width import ensemble

RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(4, 2)), np.array([[0.3, -0.4], [1.0, 1.0]])
Y = np.array([1.0, -0.5, 0.3, 0.8])


def at_infinite_width(net: NNGP, noise: float, x=X, y=Y, new=NEW):
    """A, a, k(new, x), and mean and variance."""
    inverse = np.linalg.inv(net(x, x) + noise * np.eye(len(x)))
    seen = net(new, x)
    return inverse, inverse @ y, seen, seen @ inverse @ y, net.diagonal(new) - np.sum(seen @ inverse * seen, axis=1)


def sampled(net: NNGP, width: int, noise: float, networks: int):
    """ln Z, mean and variance of Bayesian networks: those of the prior, by the likelihood of the rows; in 8 batches.

    Given its hidden units a network is Gaussian, so its last layer is integrated in closed form.
    """
    g = ensemble(net, width, np.concatenate([X, NEW]), networks)
    n = len(X)
    root = np.linalg.inv(g[:, :n, :n] + noise * np.eye(n))
    logs = -0.5 * np.einsum("i,mij,j->m", Y, root, Y) + 0.5 * np.linalg.slogdet(root)[1]
    through = g[:, n:, :n] @ root
    mean = through @ Y
    variance = np.einsum("mii->mi", g[:, n:, n:]) - np.einsum("mij,mij->mi", through, g[:, n:, :n])
    out = []
    for some in np.array_split(np.arange(networks), 8):
        w = np.exp(logs[some])
        first = (w[:, None] * mean[some]).mean(axis=0) / w.mean()
        second = (w[:, None] * (variance + mean**2)[some]).mean(axis=0) / w.mean()
        out.append(np.concatenate([[np.log(w.mean())], first, second - first**2]))
    return np.array(out)


@pytest.mark.parametrize(
    ("net", "width", "noise"),
    [
        (NNGP("erf", 1, 1.5, 0.1), 40, 0.1), (NNGP("erf", 2, 1.5, 0.1), 50, 0.1), (NNGP("relu", 2, 2.0, 0.1), 60, 0.1),
        (NNGP("relu", 1, 2.0, 0.1), 60, 0.3), (NNGP("gelu", 1, 2.0, 0.1), 60, 0.3),
        (NNGP("linear", 1, 1.0, 0.1), 40, 0.2),
    ],
)  # fmt: skip
def test_posterior_of_bayesian_networks(net, width, noise):
    inverse, dual, seen, mean, variance = at_infinite_width(net, noise)
    loop = OneLoop(net, (width,) * net.depth, X, dual, inverse)
    evidence, deviation = loop.evidence()
    first = loop.at(NEW, seen)
    found = np.concatenate([[evidence.total], first.mean.total, first.variance.total])
    before = np.concatenate([[-0.5 * Y @ dual + 0.5 * np.linalg.slogdet(inverse)[1]], mean, variance])
    each = sampled(net, width, noise, 32000 if net.depth == 1 else 8000) - before
    off, noisy = each.mean(axis=0), each.std(axis=0, ddof=1) / 8**0.5
    error = np.concatenate([[evidence.error], first.mean.error, first.variance.error])
    # What is left out is of second order, the square of the parameter less than a half.
    assert 0.1 < deviation < 0.5
    assert (np.abs(found - off) < 4.5 * np.hypot(noisy, error) + 0.35 * deviation * np.abs(found).max()).all()
    assert (np.abs(off) > 4.5 * noisy).any()
    # Much closer to it than infinite width is.
    assert np.linalg.norm(found - off) < 0.35 * np.linalg.norm(off) + 4 * np.linalg.norm(noisy)


def test_a_linear_network_of_one_row_by_quadrature():
    # Ĝ = weight x² χ²/width of one positive number: all is an integral over it.
    net, x, y, new, noise = NNGP("linear", 1, 1.0, 0.0), np.array([[1.2]]), np.array([1.7]), np.array([[0.5]]), 0.3
    inverse, dual, seen, mean, variance = at_infinite_width(net, noise, x, y, new)

    def exact(width: int) -> np.ndarray:
        u = np.linspace(1e-6, 6, 200_001)
        logs = (width / 2 - 1) * np.log(u) - width * u / 2
        weight = np.exp(logs - logs.max())
        weight /= weight.sum()
        own = 1.44 * u + noise
        likely = weight * np.exp(-0.5 * y[0] ** 2 / own) / np.sqrt(own)
        m, v = 0.6 * u / own * y[0], 0.25 * u - (0.6 * u) ** 2 / own
        first = (likely * m).sum() / likely.sum()
        z = np.log(likely.sum()) + 0.5 * y[0] * dual[0] - 0.5 * np.log(inverse[0, 0])
        return np.array([z, first - mean[0], (likely * (v + m**2)).sum() / likely.sum() - first**2 - variance[0]])

    loop = OneLoop(net, (1000,), x, dual, inverse)
    found, first = loop.evidence()[0], loop.at(new, seen)
    assert_allclose([found.total, *first.mean.total, *first.variance.total], exact(1000), rtol=0.02)
    # What is left out falls as the square of the width.
    beyond = [np.abs(exact(w) * w - exact(100 * w) * 100 * w).max() for w in (40, 80)]
    assert beyond[1] < 0.6 * beyond[0]


def test_new_rows_in_parts_are_those_of_one_call(monkeypatch):
    monkeypatch.setattr(sys.modules[OneLoop.__module__], "NEW_ROWS", 4)
    net = NNGP("relu", 2, 2.0, 0.1)
    inverse, dual, _, _, _ = at_infinite_width(net, 0.1)
    loop, new = OneLoop(net, (50, 50), X, dual, inverse), RNG.normal(size=(10, 2))
    whole = loop.at(new, net(new, X))
    one = loop.at(new[8:9], net(new[8:9], X))
    # The lattice has other points for other numbers of rows.
    assert_allclose(whole.mean.total[8], one.mean.total[0], atol=6 * float(whole.mean.error.max()))
    assert np.isfinite(loop.at(new[:0], np.zeros((0, 4))).mean.total).all()


# ------------------------------------------------------------------------------------------------ models


def waves(n: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sin(x[:, 0]) + 0.3 * x[:, 1] + 0.2 * rng.normal(size=n)})


def fitted(width, **options) -> cm.Model:
    theory = Field(
        NNGP("erf", depth=1), criterion="evidence", scale="identity", metric="diagonal", width=width, **options
    )
    return cm.fit(waves(), theory, target="y", progress=False)


@pytest.fixture(scope="module")
def model() -> cm.Model:
    return fitted(200)


def test_a_model_predicts_with_its_width_and_is_saved_with_it(model, tmp_path):
    given = {"a": [0.0, 3.0], "b": [1.0, -3.0]}
    wide, wider = fitted(None), fitted(20_000)
    found = [m.predict("y", given=given, output="interval") for m in (model, wide, wider)]
    assert np.abs(found[0] - found[1]).to_numpy().max() > 3 * np.abs(found[2] - found[1]).to_numpy().max() > 0
    assert_allclose(found[0]["mean"], model.predict("y", given=given))
    first = model.diagrams(given={"a": 3.0, "b": -3.0})
    assert_allclose(first.prediction, found[0]["mean"][1], rtol=0.02)
    assert_allclose(first.constant, found[1]["mean"][1])
    assert any("first order in 1/width" in note for note in model.notes)
    model.save(tmp_path / "m.cumulant")
    kept = cm.load(tmp_path / "m.cumulant")
    assert_allclose(kept.predict("y", given=given), found[0]["mean"], rtol=0, atol=1e-12)
    assert kept.theory.widths == (200,)


def test_diagrams(model, tmp_path):
    over, one = model.diagrams(), model.diagrams(given={"a": 0.5, "b": 0.5})
    assert over.table.shape == (3, 2)
    assert np.isnan(over.prediction)
    assert (over.table["mean"] >= 0).all()
    assert one.table.loc["shift of the propagator"].tolist() == [0.0, 0.0]
    assert one.svg().count("<text") == 2 * 3 + 2 + 4 + 2 + 2 + 4 + 2
    assert "200 units" in str(one)
    assert "sum: mean" in str(one)
    one.save(tmp_path / "d.svg")
    assert (tmp_path / "d.svg").read_text() == one._repr_svg_()
    model.report(tmp_path / "r.html")
    assert '"widths":[200]' in (tmp_path / "r.html").read_text().replace(" ", "")
    with pytest.raises(OptionError, match="all known"):
        model.diagrams(given={"a": 0.5})
    assert fitted(None).diagrams().constant == pytest.approx(waves()["y"].mean())


def test_a_series_that_does_not_hold_is_not_used():
    with pytest.warns(CumulantWarning, match=r"predictions are those of infinite width; take some \d+ units"):
        narrow = fitted(3)
    assert_allclose(narrow.predict("y", given=waves()[:5]), fitted(None).predict("y", given=waves()[:5]), rtol=1e-12)


def test_options_that_are_refused():
    with pytest.raises(OptionError, match="network"):
        Field(RBF(), width=10)
    with pytest.raises(OptionError, match="give one alone"):
        Field((NNGP(), NNGP("erf")), width=10)
    with pytest.raises(OptionError, match="give one alone"):
        Field(NTK(), width=10)
    with pytest.raises(OptionError, match="one a hidden layer"):
        Field(NNGP(depth=2), width=(10,))
    many = pd.concat([waves(150), waves(100) + 0.1])
    with pytest.raises(OptionError, match="up to 200 rows, and there are 250"):
        cm.fit(many, Field(NNGP(), width=50), target="y", progress=False)
    with pytest.raises(OptionError, match="category"):
        cm.fit(waves().assign(y=["u", "v"] * 12), Field(NNGP(), width=50), target="y", progress=False)
    swap = cm.symmetry.symmetric(["a", "b"])
    with pytest.raises(OptionError, match="symmetry"):
        cm.fit(waves(), Field(NNGP(), width=50), target="y", symmetry=swap, progress=False)
