"""Fields of many rows: beside the dense formulas of the same propagator, the laws of a partition, and whole models."""

from __future__ import annotations

import warnings
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import ResourceError
from cumulant.solve.field.conditioning import carried
from cumulant.solve.field.evidence import Hyper
from cumulant.solve.field.large import _flowed, _Rows, _tried
from cumulant.solve.field.mixing import Mixing
from cumulant.solve.field.partition import Partition
from cumulant.solve.field.scale import Scale
from cumulant.solve.field.split import Coarse, SplitSums, _Block, split
from cumulant.solve.field.temperature import Temperature, nearest_means
from cumulant.theory.propagators import RBF, Linear, Matern

RNG = np.random.default_rng(0)
N, M = 300, 30
X = RNG.normal(size=(N, 3))
Y = np.sin(2 * X[:, 0]) * X[:, 1] + 0.1 * RNG.normal(size=N)
HYPER = Hyper((Matern(1.5), Linear()), np.array([0.1]), np.full(3, 0.6), 0.02)
Z = HYPER.mapped(X)


def label(partition: Partition, z: np.ndarray) -> np.ndarray:
    out = np.full(len(z), -1)
    for block, here in partition.deal(z):
        out[here] = block
    return out


def by_centres(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What the centres carry of the propagator."""
    k, c = HYPER.propagator, Z[:M]
    inside = k(c, c)
    return k(a, c) @ np.linalg.solve(inside + 1e-9 * inside.max() * np.eye(M), k(c, b))


def test_split_field_is_the_dense_one_of_its_propagator():
    k = HYPER.propagator
    partition, blocks = Partition.of(Z, 80)
    found, residual, variance, evidence = split(HYPER, Z, Y, Z[:M], partition, blocks)
    mine = label(partition, Z)
    matrix = np.where(mine[:, None] == mine, k(Z, Z), by_centres(Z, Z)) + (HYPER.noise + 1e-9) * np.eye(N)
    inverse = np.linalg.inv(matrix)
    dual = inverse @ Y
    amplitude = Y @ dual / N
    assert found.amplitude == pytest.approx(amplitude, rel=1e-8)
    ln_z = -0.5 * N * (np.log(2 * np.pi * amplitude) + 1) - 0.5 * np.linalg.slogdet(matrix)[1]
    assert evidence == pytest.approx(ln_z, rel=1e-7)
    np.testing.assert_allclose(residual, dual / np.diag(inverse), atol=1e-5)
    np.testing.assert_allclose(variance, amplitude / np.diag(inverse), rtol=1e-5)
    new = HYPER.mapped(np.random.default_rng(1).normal(size=(40, 3)))
    cross = np.where(label(partition, new)[:, None] == mine, k(new, Z), by_centres(new, Z))
    np.testing.assert_allclose(found.mean(new), cross @ dual, atol=1e-5)
    left = k.diagonal(new) - np.einsum("ij,jk,ik->i", cross, inverse, cross) + HYPER.noise
    np.testing.assert_allclose(found.variance(new), left, atol=1e-6)
    h = 1e-6 * np.eye(3)
    slopes = [(found.mean(new + h[c]) - found.mean(new - h[c])) / 2e-6 for c in range(3)]
    near = label(partition, new + 1e-5) == label(partition, new - 1e-5)
    np.testing.assert_allclose(found.response(new)[near], np.column_stack(slopes)[near], rtol=1e-4, atol=1e-4)


def test_one_block_is_the_field_itself():
    k = HYPER.propagator
    partition, blocks = Partition.of(Z, N)
    found, *_ = split(HYPER, Z, Y, Z[:M], partition, blocks)
    dual = np.linalg.solve(k(Z, Z) + (HYPER.noise + 1e-9) * np.eye(N), Y)
    np.testing.assert_allclose(found.mean(Z), k(Z, Z) @ dual, atol=1e-5)


def test_sums_merge():
    coarse = Coarse.of(HYPER, Z[:M])
    _, blocks = Partition.of(Z, 80)
    each = [_Block.of(coarse, Z[rows], Y[rows])[1] for rows in blocks]
    none = SplitSums(np.zeros((M, M)), np.zeros(M), 0.0, 0.0, 0)
    there = (none + each[0] + each[1]) + (each[2] + each[3])
    back = each[3] + each[2] + each[1] + each[0]
    assert there.count == back.count == N
    np.testing.assert_allclose(there.solved()[0], back.solved()[0], rtol=1e-8, atol=1e-10)


def test_rows_are_halved_across_their_longest_direction():
    long = RNG.normal(size=(400, 3)) * [10, 1, 1]
    partition, blocks = Partition.of(long, 100)
    assert sorted(np.concatenate(blocks)) == list(range(400))
    assert [len(rows) for rows in blocks] == [100] * 4
    assert abs(partition.directions[0, 0]) > 0.99
    mine = label(partition, long)
    for block, rows in enumerate(blocks):
        assert (mine[rows] == block).all()


@pytest.mark.parametrize("rows", [np.zeros((50, 2)), np.repeat([[0.0, 1.0], [2.0, 3.0]], 25, axis=0), np.ones((1, 2))])
def test_equal_rows_are_cut_all_the_same(rows):
    partition, blocks = Partition.of(rows, 10)
    assert max(len(block) for block in blocks) <= 10
    assert sorted(np.concatenate(blocks)) == list(range(len(rows)))
    assert (label(partition, rows) >= 0).all()
    assert list(partition.deal(rows[:0])) == []


def test_means_over_the_nearest_rows():
    values = RNG.normal(size=60)
    near = nearest_means(X[:60], X[:60], values, (1, 5, 500), np.arange(60))
    far = ((X[:60, None] - X[None, :60]) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    order = np.argsort(far, axis=1)
    np.testing.assert_allclose(near[:, 0], values[order[:, 0]])
    np.testing.assert_allclose(near[:, 1], values[order[:, :5]].mean(axis=1))
    np.testing.assert_allclose(near[:, 2], values[order[:, :59]].mean(axis=1))
    assert nearest_means(X[:1], X[:1], values[:1], (3,), np.arange(1)) == values[0]


def test_temperature_is_found_where_noise_varies_and_not_where_it_does_not():
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(3000, 1))
    ones = np.ones(3000)

    def found(size):
        residual = size * rng.normal(size=3000)
        return Temperature.of(residual, ones, nearest_means(x, x, residual**2, (10, 30, 100), np.arange(3000)))

    assert found(np.exp(3 * x[:, 0])).by_heat == 1.0
    assert found(ones).by_heat <= 0.25


def test_metric_flows_to_the_direction_that_matters():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(800, 4))
    y = np.sin(2 * (x[:, 0] + x[:, 1]))
    hyper = Hyper((RBF(),), np.zeros(0), np.full(4, 0.5), 0.01)
    rows = _Rows(x, y, y)
    metric = _flowed(_tried(hyper, Scale.of(y, "identity"), rows, 200, 50).member, x).metric
    w, v = np.linalg.eigh(metric @ metric.T)
    assert abs(v[:, -1] @ np.array([1, 1, 0, 0]) / 2**0.5) > 0.99
    assert w[-1] > 0.8 * w.sum()


def test_a_table_of_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("cumulant.solve.field.solve"), "DENSE_ROWS", 1000)
    monkeypatch.setattr(import_module("cumulant.solve.field.large"), "SAMPLE", 500)
    rng = np.random.default_rng(5)
    x = rng.uniform(-2, 2, size=(2200, 2))
    y = np.sin(3 * x[:, 0]) * x[:, 1] + (0.02 + 0.1 * (x[:, 1] > 0)) * rng.normal(size=2200)
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})
    table.loc[5, "a"] = np.nan
    theory = cm.Field(Matern(2.5), metric="diagonal", scale="identity", criterion="evidence")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        model = cm.fit(table[:2000], theory, target="y", progress=False)
    assert any("long waves" in note for note in model.notes)
    new = table[2000:].drop(columns="y")
    density = model.predict("y", given=new, output="density")
    truth = np.sin(3 * new["a"]) * new["b"]
    assert np.sqrt(np.mean((density.mean - truth) ** 2)) < 0.06
    # The noise is told from the rows around: 0.02 on one side, 0.12 on the other.
    quiet = new["b"].to_numpy() < -0.3
    loud = new["b"].to_numpy() > 0.3
    assert np.median(density.scale[loud]) > 3 * np.median(density.scale[quiet])
    low, high = density.interval(0.9)
    assert 0.8 < np.mean((low < y[2000:]) & (y[2000:] < high)) < 0.97
    path = tmp_path / "model.cumulant"
    model.save(path)
    again = cm.load(path).predict("y", given=new, output="density")
    np.testing.assert_allclose(again.mean, density.mean, rtol=1e-12)
    np.testing.assert_allclose(again.log_prob(y[2000:]), density.log_prob(y[2000:]), rtol=1e-10)


@pytest.mark.parametrize(
    "ugly",
    [
        lambda t: pd.concat([t.iloc[:150]] * 4, ignore_index=True),
        lambda t: t.assign(y=t["y"].where(t.index != 3, 1e9)),
        lambda t: t.assign(a=t["a"].where(t.index != 3, 1e9)),
        lambda t: t.assign(y=3.0),
    ],
)
def test_ugly_tables_of_many_rows_have_an_answer(ugly, monkeypatch):
    monkeypatch.setattr(import_module("cumulant.solve.field.solve"), "DENSE_ROWS", 400)
    monkeypatch.setattr(import_module("cumulant.solve.field.large"), "SAMPLE", 200)
    x = np.random.default_rng(6).normal(size=(600, 2))
    table = ugly(pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sin(x[:, 0]) + x[:, 1]}))
    theory = cm.Field(Matern(2.5), metric="diagonal", scale="identity", criterion="evidence")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        model = cm.fit(table, theory, target="y", progress=False)
    density = model.predict("y", given=table.drop(columns="y"), output="density")
    assert np.isfinite(density.mean).all()
    assert np.isfinite(density.scale).all()


def test_thousands_of_inputs_follow_the_few_that_matter():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(120, 5000))
    x[:, 1:2000] = x[:, :1]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    members, notes, _, _ = Mixing(x[:100], x[:100, 0], cm.Field(Matern(2.5))).members()
    mean = sum(m.weight * m.scale.inverse(m.mean(x[100:])) for m in members)
    assert np.corrcoef(mean, x[100:, 0])[0, 1] > 0.9
    assert "left out" in notes[0]


def test_a_propagator_beyond_memory_is_refused(monkeypatch):
    table = pd.DataFrame({"a": X[:, 0], "y": Y})
    monkeypatch.setattr(import_module("cumulant.measure.capacity"), "_memory", lambda: 1 << 22)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cm.CumulantWarning)
        with pytest.raises(ResourceError, match=r"300 rows.*fewer rows, or cm\.Taylor"):
            cm.fit(table, cm.Field(), target="y", progress=False)


def test_mean_is_summed_some_rows_at_a_time():
    k, new = HYPER.propagator, np.random.default_rng(8).normal(size=(700, 3))
    np.testing.assert_allclose(carried(k, new, Z, Y), k(new, Z) @ Y, rtol=1e-12, atol=1e-12)
    assert carried(k, new[:0], Z, Y).shape == (0,)
