"""The ledger: the same rows for every method, the figures that happened, and a table that says them plainly."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, DataError, OptionError, ResourceError
from cumulant.explain import ledger as module
from cumulant.explain.account import Ledger
from cumulant.explain.cost import Cost
from cumulant.explain.descent import METHODS, gradient_descent
from cumulant.explain.objective import Goal, LeastSquares

NAMES = ["one pass", "gradient descent", "SGD", "Adam", "L-BFGS"]


def houses(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.normal(100, 20, n)
    rooms = size / 25 + rng.normal(size=n)
    city = rng.choice(["Rome", "Oslo", "Lima"], n)
    price = 3 * size + 20 * rooms + 50 * (city == "Oslo") + rng.normal(0, 30, n)
    return pd.DataFrame({"size": size, "rooms": rooms, "city": city, "price": price})


def oracle(frame: pd.DataFrame, target: str) -> float:
    """RMSE of LAPACK's least squares on the complete rows, categories as indicators."""
    frame = frame.dropna()
    A = pd.get_dummies(frame.drop(columns=target), drop_first=True).to_numpy(float)
    A = np.column_stack([np.ones(len(A)), A])
    y = frame[target].to_numpy(float)
    return float(np.sqrt(np.mean((y - A @ np.linalg.lstsq(A, y, rcond=None)[0]) ** 2)))


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return cm.compare(houses(), target="price")


def test_every_method_is_within_the_tolerance_of_lstsq(ledger):
    table = ledger.table
    best = oracle(houses(), "price")
    assert list(table.index) == NAMES
    assert table.reached.all()
    assert table.rmse["one pass"] == pytest.approx(best, rel=1e-10)
    assert (table.rmse <= best * math.sqrt(1.01) * (1 + 1e-9)).all()
    assert abs(table.excess_loss["one pass"]) < 1e-10
    np.testing.assert_allclose(table.rmse**2 / best**2 - 1, table.excess_loss, atol=1e-9)
    assert (ledger.n, ledger.p) == (400, 4)


def test_parameters_are_off_by_so_many_standard_errors(ledger):
    import statsmodels.api as sm

    frame = houses()
    A = pd.get_dummies(frame.drop(columns="price"), drop_first=True).astype(float)
    fit = sm.OLS(frame["price"], sm.add_constant(A)).fit()
    X = A.to_numpy()
    made = LeastSquares.from_arrays(X, frame["price"].to_numpy())
    run = gradient_descent(made, Goal.of(made))
    d = made.coefficients(run.parameters)[1] - fit.params.to_numpy()[1:]
    # Maximum likelihood divides by n where statsmodels divides by n − q.
    covariance = fit.cov_params().to_numpy()[1:, 1:] * fit.df_resid / fit.nobs
    expected = math.sqrt(d @ np.linalg.solve(covariance, d) / len(d))
    assert ledger.table.off_by["gradient descent"] == pytest.approx(expected, rel=1e-6)
    assert ledger.table.off_by["one pass"] < 1e-5


def test_one_pass_is_one_pass_and_gives_what_moments_give(ledger):
    table = ledger.table
    assert table.passes["one pass"] == 1
    assert (table.passes[1:] > 1).all()
    gives = table[["any_target", "intervals", "merge", "forget"]]
    assert (gives.loc["one pass"] == "yes").all()
    assert not (gives.iloc[1:] == "yes").any(axis=None)
    assert not (table[["flops", "bytes", "cpu_seconds", "wall_seconds", "joules"]] <= 0).any(axis=None)
    assert (table.peak_memory >= 0).all()


def test_counts_are_those_of_the_descents_themselves(ledger):
    frame = houses()
    X = np.column_stack(
        [frame["size"], frame["rooms"], *(frame["city"] == level for level in ("Oslo", "Rome"))]
    ).astype(float)
    made = LeastSquares.from_arrays(X, frame["price"].to_numpy())
    for method, row in zip(METHODS, ledger.rows[1:], strict=True):
        run = method(made, Goal.of(made))
        assert row.cost.passes == pytest.approx(1 + run.passes)
        assert row.cost.flops == pytest.approx(6 * 400 * 4 + run.flops)
        assert row.cost.bytes == pytest.approx(16 * 400 * 4 + run.bytes)


def test_printed_table_says_who_is_fastest(ledger):
    text = str(ledger)
    assert "price: 400 rows, 4 parameters and an intercept" in text
    for words in ("passes over the rows", "peak extra memory", "any other target", "W per busy core", *NAMES):
        assert words in text or "RAPL" in text
    fastest = ledger.table.wall_seconds.idxmin()
    said = "One pass is the fastest here" if fastest == "one pass" else f"{fastest} is faster on the clock here"
    assert said in text
    assert "favours descent" in text
    lines = text.splitlines()
    rules = [len(line) for line in lines if line.startswith("─")]
    assert len(set(rules)) == 1
    assert max(map(len, lines)) <= max(rules[0], 72)


@pytest.mark.parametrize("fast", [0, 4])
def test_verdict_is_honest_either_way(ledger, fast):
    rows = [
        dataclasses.replace(row, cost=dataclasses.replace(row.cost, wall_seconds=1.0 if i == fast else 2.0))
        for i, row in enumerate(ledger.rows)
    ]
    verdict = " ".join(module._verdict(tuple(rows)))
    expected = "One pass is the fastest" if fast == 0 else "L-BFGS is faster on the clock here: 1.00 s"
    assert expected in verdict


def test_a_method_that_did_not_arrive_is_named_and_is_not_the_fastest():
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    frame = {"a": z, "b": z + 0.01 * rng.normal(size=300), "y": z + rng.normal(size=300)}
    capped = cm.compare(frame, "y", tolerance=1e-9, max_passes=6)
    assert not capped.table.reached["gradient descent"]
    assert "Not there when the cap on passes was reached: gradient descent" in str(capped)
    assert capped.table.passes["gradient descent"] <= 8


def test_json_round_trip(ledger):
    plain = json.loads(ledger.to_json())
    assert [m["method"] for m in plain["methods"]] == NAMES
    assert plain["methods"][2]["passes"] == ledger.table.passes["SGD"]
    assert plain["target"] == "price"
    assert [s["title"] for s in plain["surfaces"]] == [s.title for s in ledger.surfaces]


def test_html_is_escaped(ledger):
    page = dataclasses.replace(ledger, target="<b>&")._repr_html_()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert page.count("<tr>") == len([1 for name, cells in module_cells(ledger) if cells]) + 1


def module_cells(ledger):
    from cumulant.explain.account import _cells

    return _cells(ledger)


@pytest.mark.parametrize("name", ["ledger.svg", "ledger.png"])
def test_plot(ledger, tmp_path, name):
    pytest.importorskip("matplotlib", reason="pictures are an extra")
    ledger.plot(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 10_000


def test_rows_with_missing_cells_are_left_out_for_all():
    frame = houses()
    frame.loc[::7, "rooms"] = np.nan
    frame.loc[::5, "price"] = np.nan
    made = cm.compare(frame, "price")
    assert made.n == len(frame.dropna())
    assert made.table.rmse["one pass"] == pytest.approx(oracle(frame, "price"), rel=1e-10)
    assert f"({len(frame) - made.n} with a missing cell were left out)" in str(made)


def test_any_kind_of_table(tmp_path, ledger):
    frame = houses()
    frame.to_csv(tmp_path / "houses.csv", index=False, sep=";")
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    stream = pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches(max_chunksize=64))
    for made in (
        cm.compare(tmp_path / "houses.csv", "price", delimiter=";"),
        cm.compare(stream, "price"),
        cm.compare(arrow, target="price"),
    ):
        assert made.table.rmse["L-BFGS"] == pytest.approx(ledger.table.rmse["L-BFGS"], rel=1e-9)
        assert made.table.passes["Adam"] == ledger.table.passes["Adam"]


def test_a_single_column_draws_its_intercept():
    frame = houses()[["size", "price"]]
    made = cm.compare(frame, "price")
    assert made.p == 1
    assert made.surfaces[0].labels[1] == "β of the intercept (standardised)"


def test_boolean_targets_and_awkward_columns():
    rng = np.random.default_rng(3)
    x = rng.normal(size=200)
    frame = pd.DataFrame({"x": x, "one": 1.0, "again": x, "flag": x + rng.normal(size=200) > 0})
    made = cm.compare(frame, "flag")
    best = oracle(frame.assign(flag=frame.flag.astype(float)), "flag")
    assert made.table.reached.all()
    assert made.table.rmse["one pass"] == pytest.approx(best, rel=1e-9)


def test_nearly_collinear_columns_say_that_the_sums_were_compensated():
    rng = np.random.default_rng(3)
    x = rng.normal(size=300)
    frame = pd.DataFrame({"x": x, "x2": x + 1e-8 * rng.normal(size=300), "y": x + rng.normal(size=300)})
    made = cm.compare(frame, "y")
    assert "compensated arithmetic" in str(made)
    assert made.rows[0].cost.flops > 8 * 300 * 3**2
    assert made.table.rmse["one pass"] == pytest.approx(oracle(frame, "y"), rel=1e-9)


@pytest.mark.parametrize(
    ("frame", "target", "error", "words"),
    [
        (houses(), "prize", ColumnError, "price"),
        (houses(), "city", OptionError, "'city' is a categorical column"),
        (houses().assign(price=7.0), "price", DataError, "'price' is 7 in every complete row"),
        (houses().assign(rooms=np.nan), "price", DataError, "such as 'rooms'"),
        (houses().head(1), "price", DataError, "1 of 1 rows"),
        (houses().head(0), "price", DataError, "0 of 0 rows"),
        (houses()[["price"]], "price", DataError, "no column beside 'price'"),
        (houses().assign(size=np.inf), "price", DataError, "'size'"),
    ],
)
def test_what_cannot_be_compared(frame, target, error, words):
    with pytest.raises(error, match=words):
        cm.compare(frame, target)


@pytest.mark.parametrize("options", [{"tolerance": 0}, {"tolerance": math.nan}, {"max_passes": 0}])
def test_options_without_meaning(options):
    with pytest.raises(OptionError, match="positive tolerance"):
        cm.compare(houses(), "price", **options)


def test_a_table_beyond_memory_is_refused_with_the_figure():
    with pytest.raises(ResourceError, match="about 240 TB"):
        module._refuse_if_too_large(10**10, 1000)


# ------------------------------------------------------------------ the ledger of a fit


def test_fit_ledger_foretells_the_descent_that_would_happen():
    frame = houses().drop(columns="city")
    model = cm.fit(frame, target="price", prior=None)
    made = model.ledger
    X, y = frame[["size", "rooms"]].to_numpy(), frame["price"].to_numpy()
    problem = LeastSquares.from_arrays(X, y)
    goal = Goal.of(problem)
    largest = np.linalg.eigvalsh(goal.curvature)[-1]
    run = gradient_descent(problem, goal, learning_rate=1 / largest)
    forecast = made.rows[1].cost
    assert forecast.passes == 1 + run.steps
    assert forecast.flops == 6 * 400 * 2 + run.flops
    assert (made.n, made.p, made.target) == (400, 2, "price")


def test_fit_ledger_states_what_the_fit_took():
    model = cm.fit(houses(), target="price")
    made = model.ledger
    cost = made.rows[0].cost
    assert model.effort is not None
    assert cost.wall_seconds == model.effort["wall_seconds"]
    assert cost.cpu_seconds == model.effort["cpu_seconds"]
    assert cost.flops == 400 * 5 * 6 + 2 * 400 * 5 + 5**3 / 3 + 2 * 5**2
    text = str(made)
    assert "By formula, not run" in text
    assert "conjugate gradients*" in text
    table = made.table
    assert table.wall_seconds.isna().tolist() == [False, True, True]


def test_fit_ledger_without_timing_target_or_a_number_to_predict():
    m = cm.measure(houses()[["size", "rooms", "city"]])
    made = cm.solve(m).ledger
    assert made.target == "city"
    assert math.isnan(made.rows[0].cost.wall_seconds)
    assert json.loads(made.to_json())["methods"][0]["wall_seconds"] is None
    assert module.fit_ledger(cm.solve(m), "size").target == "size"


def test_fit_ledger_of_a_single_column():
    made = cm.fit(houses()[["price"]]).ledger
    assert made.p == 0
    assert made.rows[1].cost.passes == 1


def test_fit_ledger_has_no_picture(tmp_path):
    made = cm.fit(houses(), target="price").ledger
    with pytest.raises(OptionError, match=r"cumulant\.compare"):
        made.plot(tmp_path / "x.svg")


def test_importing_the_package_does_not_load_the_comparison():
    import subprocess

    code = "import sys, cumulant; print(any(m.startswith('cumulant.explain') for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_least_is_marked_once_per_line_unless_tied():
    costs = [Cost(passes=1, flops=10), Cost(passes=3, flops=10), Cost(passes=2, flops=30)]
    from cumulant.explain.account import MOMENTS_GIVE, Row, _cells

    rows = tuple(Row(str(i), c, 0.0, 1.0, True, MOMENTS_GIVE) for i, c in enumerate(costs))
    rows += (Row("idle", Cost(passes=0.5, flops=1), 0.0, 1.0, False, MOMENTS_GIVE),)
    cells = dict(_cells(Ledger("y", 1, 1, 0.01, rows)))
    assert cells["passes over the rows"] == ["1 ◂", "3  ", "2  ", "0.5  "]
    assert cells["flops"] == ["10.0 ◂", "10.0 ◂", "30.0  ", "1.00  "]
    assert cells["wall-clock time"] == ["–  "] * 4
