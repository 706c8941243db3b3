"""A theory beside networks that are trained: the same split, real training, and what cannot be asked."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from commandline import Cli
from cumulant.errors import DataError, OptionError
from cumulant.explain import trained
from cumulant.explain.trained import train
from cumulant.theory.propagators import RBF

pytest.importorskip("sklearn")


def rows(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, size=(n, 2))
    return {"a": x[:, 0], "b": x[:, 1], "y": 5 + np.sin(2 * x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=n)}


def test_networks_learn_and_an_ensemble_says_where_it_does_not_know(monkeypatch):
    monkeypatch.setattr(trained, "PASSES", 100)
    table = rows(300)
    x = np.column_stack([table["a"], table["b"]])
    new = np.array([[0.5, 1.0], [30.0, -30.0]])
    found = train(x, table["y"], new, 3, 0)
    assert found.mean[0] == pytest.approx(5 + np.sin(1.0), abs=0.4)
    assert found.variance[1] > 5 * found.variance[0] > 0
    assert found.weights == 3 * 64 + 65 * 64 + 65
    assert found.passes > 30


def test_the_ledger_sets_them_side_by_side(monkeypatch):
    monkeypatch.setattr(trained, "PASSES", 20)
    theory = cm.Field(RBF(), metric="unit", scale="identity", noise="constant", criterion="evidence")
    ledger = cm.compare(rows(150), "y", theory=theory)
    assert list(ledger.table.index) == ["Field", "network", "ensemble of 5"]
    assert ledger.n + ledger.held_out == 150
    assert ledger.table.loc["ensemble of 5", "passes"] > ledger.table.loc["network", "passes"] > 1
    assert (ledger.table["cpu_seconds"] > 0).all()
    assert ledger.table.loc["Field", "rmse"] < 0.3
    assert "RMSE, held out" in str(ledger)
    assert "loss above optimum" not in str(ledger)
    assert json.loads(ledger.to_json())["held_out"] == ledger.held_out


def test_a_report_shows_what_was_trained_beside_it(monkeypatch, tmp_path):
    monkeypatch.setattr(trained, "PASSES", 5)
    theory = cm.Field(RBF(), metric="unit", scale="identity", noise="constant", criterion="evidence")
    path, model = tmp_path / "report.html", cm.fit(rows(150), theory, target="y")
    model.report(path, data=rows(150), compare=True)
    assert '"method":"ensemble of 5"' in path.read_text("utf-8")
    line = cm.fit(rows(150), target="y")
    line.report(path, data=rows(150), compare=True)
    assert '"method":"Adam"' in path.read_text("utf-8")


@pytest.mark.parametrize(("target", "data", "reason"), [("y", None, "data="), (None, rows(150), "target=")])
def test_a_comparison_needs_rows_and_a_target(tmp_path, target, data, reason):
    path = tmp_path / "report.html"
    with pytest.raises(OptionError, match=reason):
        cm.fit(rows(150), target=target).report(path, data=data, compare=True)
    assert not path.exists()


def test_too_few_rows_to_hold_some_out():
    with pytest.raises(DataError, match="at least 50"):
        cm.compare(rows(20), "y", theory=cm.Field())


def test_the_command_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(trained, "PASSES", 5)
    cli = Cli(capsys)
    pd.DataFrame(rows(80)).to_csv(tmp_path / "rows.csv", index=False)
    asked = ("compare", tmp_path / "rows.csv", "--target", "y", "--networks")
    assert "ensemble of 5" in cli(*asked).ok().out
    assert cli(*asked, "--plot", tmp_path / "a.svg").status != 0
