from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, SourceError
from cumulant.explain import describe as description
from cumulant.explain import rows as looking
from cumulant.explain.describe import describe
from cumulant.explain.heldout import held_out
from cumulant.explain.judges import judges
from cumulant.explain.links import arrange, link, most_connected
from cumulant.explain.portable import portable
from cumulant.explain.rows import look
from cumulant.measure.kernels import fold_of


def table(n: int = 240, seed: int = 11) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    kind = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    z = 2 * x + rng.normal(size=n)
    y = 3 + x - 0.5 * z + (kind == "b") * 1.5 + rng.normal(size=n)
    return pd.DataFrame({"x": x, "z": z, "kind": kind, "flag": y + rng.normal(size=n) > 3, "y": y})


class TestLinks:
    def test_two_columns_of_numbers_have_their_correlations(self):
        model = cm.fit(table()[["x", "z", "y"]], prior=None)
        links = link(model)
        names = list(links.columns)
        frame = table()[names]
        np.testing.assert_allclose(links.total, np.corrcoef(frame.T), atol=1e-12)
        np.testing.assert_allclose(links.direct, model.partial_correlations().loc[names, names], atol=1e-12)
        assert links.signed.all()

    def test_a_prior_draws_only_the_direct_ones_to_zero(self):
        one, other = (link(cm.fit(table()[["x", "z", "y"]], prior=mass)) for mass in (None, 0.5))
        order = [other.columns.index(name) for name in one.columns]
        np.testing.assert_allclose(one.total, other.total[np.ix_(order, order)], atol=1e-12)
        assert np.abs(other.direct).sum() < np.abs(one.direct).sum()

    def test_a_category_has_the_strength_that_carries_the_same_information(self):
        model = cm.fit(table(), prior=None)
        links = link(model)
        i, j = links.columns.index("kind"), links.columns.index("y")
        information = model.mutual_information("kind", "y")
        assert links.total[i, j] == pytest.approx(np.sqrt(1 - np.exp(-2 * information)), abs=1e-12)
        assert not links.signed[i, j]
        others = [name for name in model.columns if name not in ("kind", "y")]
        fixed = model.mutual_information("kind", ["y", *others]) - model.mutual_information("kind", others)
        assert links.direct[i, j] == pytest.approx(np.sqrt(1 - np.exp(-2 * fixed)), abs=1e-9)

    def test_the_reference_level_does_not_matter(self):
        renamed = table().assign(kind=lambda frame: frame["kind"].map({"a": "z", "b": "b", "c": "c"}))
        one, other = link(cm.fit(table(), prior=None)), link(cm.fit(renamed, prior=None))
        order = [other.columns.index(name) for name in one.columns]
        np.testing.assert_allclose(one.direct, other.direct[np.ix_(order, order)], atol=1e-9)

    def test_a_determined_column_is_linked_fully(self):
        x = np.arange(12.0)
        model = cm.fit({"x": x, "same": x, "kind": np.where(x < 6, "low", "high"), "step": (x < 6) * 1.0}, prior=None)
        links = link(model, ["kind", "step", "x", "same"])
        at = links.columns.index
        assert links.total[at("kind"), at("step")] == pytest.approx(1, abs=1e-6)
        assert links.total[at("x"), at("same")] == pytest.approx(1, abs=1e-12)
        assert np.isfinite(links.direct).all()

    def test_neighbours_are_alike(self):
        blocks = np.kron(np.eye(3), np.ones((4, 4))) * 0.9
        shuffled = np.random.default_rng(0).permutation(12)
        order = arrange(blocks[np.ix_(shuffled, shuffled)])
        found = shuffled[order] // 4
        assert (np.diff(found) != 0).sum() == 2

    def test_the_columns_of_a_wide_model_that_are_shown(self):
        rng = np.random.default_rng(2)
        frame = pd.DataFrame(rng.normal(size=(80, 9)), columns=[f"v{i}" for i in range(9)])
        frame["y"] = frame["v3"] - frame["v7"] + 0.01 * rng.normal(size=80)
        assert most_connected(cm.fit(frame, target="y"), 3) == ["v3", "v7", "y"]
        assert most_connected(cm.fit(frame), 10) == list(frame.columns)
        assert "y" in most_connected(cm.fit(frame), 3)


class TestRows:
    def test_those_it_was_fitted_to_are_recognised(self):
        frame = table()
        frame.loc[3:9, "z"] = np.nan
        model = cm.fit(frame)
        assert look(model, frame).fitted
        assert not look(model, frame.iloc[:-1]).fitted
        assert not look(model, frame.assign(x=frame["x"] + 0.1)).fitted
        assert not look(model, frame.assign(z=frame["z"].fillna(0.0))).fitted

    def test_a_long_table_is_thinned_evenly(self, monkeypatch):
        monkeypatch.setattr(looking, "MOST_ROWS", 25)
        frame = table(230)
        model = cm.fit(frame)
        rows = look(model, frame)
        assert rows.total == 230
        assert 12 <= len(rows.x) <= 25
        np.testing.assert_array_equal(rows.numbers, np.arange(0, 230, rows.numbers[1]))
        np.testing.assert_array_equal(rows.x[:, 0], frame["x"].to_numpy()[rows.numbers])
        np.testing.assert_array_equal(rows.seen[:, 0], [frame["x"].min(), frame["x"].max()])
        assert rows.fitted

    def test_rows_of_another_table_or_of_none(self):
        model = cm.fit(table())
        with pytest.raises((ColumnError, SourceError)):
            look(model, {"other": [1.0]})
        assert len(look(model, table().iloc[:0]).x) == 0


class TestHeldOut:
    def test_rows_are_judged_by_a_model_that_has_not_seen_them(self):
        frame = table()
        model = cm.fit(frame, prior=None, folds=5)
        found = held_out(model, "y", judges(model, look(model, frame)))
        errors, fold = np.empty(len(frame)), fold_of(np.arange(len(frame)), 5)
        inside = np.empty(len(frame), dtype=bool)
        for k in range(5):
            rest = cm.fit(frame[fold != k], prior=None)
            given = frame[fold == k]
            shown = rest.predict("y", given=given, output="interval", level=0.9)
            errors[fold == k] = given["y"] - shown["mean"]
            inside[fold == k] = (given["y"] > shown["low"]) & (given["y"] < shown["high"])
        assert found["rows"]["held_out"]
        assert found["rows"]["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-9)
        assert found["overall"]["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-9)
        assert dict(found["rows"]["coverage"])[0.9] == pytest.approx(inside.mean(), abs=1e-12)
        assert sum(found["rows"]["pit"]) == np.sum(found["rows"]["residuals"]["counts"]) == len(frame)

    def test_a_category_is_scored_by_its_probabilities(self):
        frame = table()
        model = cm.fit(frame, prior=None, folds=5)
        found = held_out(model, "kind", judges(model, look(model, frame)))["rows"]
        p, fold = np.empty((len(frame), 3)), fold_of(np.arange(len(frame)), 5)
        for k in range(5):
            rest = cm.fit(frame[fold != k], prior=None)
            p[fold == k] = rest.predict("kind", given=frame[fold == k], output="density")[["a", "b", "c"]]
        level = frame["kind"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
        assert found["accuracy"] == pytest.approx((p.argmax(axis=1) == level).mean())
        assert found["log_loss"] == pytest.approx(-np.log(p[np.arange(len(p)), level]).mean(), rel=1e-9)
        assert sum(part["cases"] for part in found["reliability"]) == p.size
        shares = np.array([[part["predicted"], part["observed"]] for part in found["reliability"]])
        cases = np.array([part["cases"] for part in found["reliability"]])
        np.testing.assert_allclose(cases @ shares / len(frame), [1, 1], rtol=1e-9)

    def test_without_moments_nothing_is_held_out(self, tmp_path):
        cm.fit(table()).save(tmp_path / "m.cumulant", moments=False)
        model = cm.load(tmp_path / "m.cumulant")
        found = held_out(model, "y", judges(model, look(model, table())))
        assert found["folds"] is None
        assert not found["rows"]["held_out"]

    def test_rows_without_the_target_tell_nothing(self):
        model = cm.fit(table())
        assert held_out(model, "y", judges(model, look(model, table().drop(columns="y"))))["rows"] is None
        assert held_out(model, "kind", judges(model, look(model, table().drop(columns="kind"))))["rows"] is None


class TestDescribe:
    def test_says_what_pandas_says_of_the_columns(self):
        frame = table()
        frame.loc[:20, "x"] = np.nan
        frame.loc[100:130, "kind"] = None
        found = {column["name"]: column for column in describe(cm.fit(frame, prior=None))["columns"]}
        for name in frame.columns:
            assert found[name]["missing"] == pytest.approx(frame[name].isna().mean(), abs=1e-12)
        assert found["x"]["mean"] == pytest.approx(frame["x"].mean())
        assert found["x"]["sd"] == pytest.approx(frame["x"].std())
        assert dict(found["kind"]["levels"]) == pytest.approx(frame["kind"].value_counts(normalize=True).to_dict())
        assert dict(found["flag"]["levels"])["true"] == pytest.approx(frame["flag"].mean())

    def test_is_json_whatever_the_model(self):
        frame = table()
        models = [
            cm.fit(frame, target="y", prior="evidence"),
            cm.fit(frame, prior=0.1).condition({"x": 0.0}),
            cm.fit({"a": [1.0], "b": [2.0]}, prior=None),
            cm.fit({"a": ["u", "v", "u"]}, prior=None),
            cm.fit({"a": [3.0] * 4, "b": [1.0, 2.0, 3.0, 4.0]}, prior=None),
        ]
        for model in models:
            text = json.dumps(describe(model), allow_nan=False)
            assert json.loads(text)["shown"]["of_columns"] == len(model.columns)

    def test_a_wide_model_is_cut(self, monkeypatch):
        monkeypatch.setattr(description, "MOST_TERMS", 50)
        rng = np.random.default_rng(4)
        frame = pd.DataFrame(rng.normal(size=(60, 20)), columns=[f"v{i}" for i in range(20)])
        found = describe(cm.fit(frame, target="v5"), fields=7)
        assert found["shown"] == {"columns": 7, "of_columns": 20, "targets": 2, "fields": 7, "of_fields": 20}
        assert len(found["columns"]) == 20
        assert len(found["couplings"]["columns"]) == 7
        assert next(regression["target"] for regression in found["regressions"]) == "v5"

    def test_a_regression_that_does_not_exist_is_left_out(self):
        found = describe(cm.fit(table(), target="kind"))
        assert "kind" not in {regression["target"] for regression in found["regressions"]}
        assert {regression["target"] for regression in found["regressions"]} == {"x", "z", "flag", "y"}


class TestPortable:
    def test_numbers_are_exact_and_columns_left_out_change_nothing(self):
        model = cm.fit(table(), prior=None)
        found = portable(model, ["y", "kind", "x"])
        mean = np.frombuffer(base64.b64decode(found["mean"]), dtype="<f8")
        at = model.schema.independent_of(["y", "kind", "x"])
        np.testing.assert_array_equal(mean, model.mean[at])
        upper = np.frombuffer(base64.b64decode(found["covariance"]), dtype="<f8")
        np.testing.assert_array_equal(upper, model.covariance[np.ix_(at, at)][np.triu_indices(len(at))])
        assert [column["name"] for column in found["columns"]] == ["y", "kind", "x"]
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    def test_ranges_stay_within_what_was_seen(self):
        model = cm.fit({"x": [0.0, 0.0, 0.0, 10.0], "c": [5.0] * 4}, prior=None)
        free, seen = (portable(model, ["x", "c"], seen)["columns"] for seen in (None, {"x": (0.0, 10.0)}))
        assert free[0]["range"] == pytest.approx([2.5 - 15, 2.5 + 15])
        assert seen[0]["range"] == [0.0, 10.0]
        assert free[1]["range"] == [4.5, 5.5]
