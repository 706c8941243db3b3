from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, CumulantWarning, DataError, OptionError, SourceError
from engines import require
from helpers import TABLES, mixed_with_gaps
from sameness import same_moments

RNG = np.random.default_rng
# Spark says so of every pandas from 3.0 on.
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    require("Spark", find_spec("pyspark") is not None, "pyspark is not installed")
    require("Spark", shutil.which("java") is not None, "there is no java on the path")
    from pyspark.sql import SparkSession

    # Python on the executors must be this one, not the first on the path.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2, 4]")
        .config("spark.sql.shuffle.partitions", 3)
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", 64)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


CONNECT = """
import sys
import pandas as pd
from pyspark.sql import SparkSession
import cumulant as cm

frame = pd.read_parquet(sys.argv[1])
session = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false").getOrCreate()
table = session.createDataFrame(frame)
print(type(table).__module__)
cm.measure(table).save(sys.argv[2])
session.stop()
"""


def test_spark_connect(spark: Any, tmp_path: Any) -> None:
    require("Spark Connect", find_spec("grpc") is not None, "grpcio is not installed")
    frame = TABLES["mixed"](RNG(13), 400)
    frame.to_parquet(tmp_path / "table.parquet")
    # A process has either classic sessions or remote ones.
    command = [sys.executable, "-c", CONNECT, str(tmp_path / "table.parquet"), str(tmp_path / "moments")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_GATEWAY"))}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "pyspark.sql.connect" in done.stdout
    same_moments(cm.measure(frame), cm.load(tmp_path / "moments"))


def on_spark(session: Any, frame: pd.DataFrame, parts: int) -> Any:
    """The frame in as many partitions, rows in order."""
    import pyarrow as pa

    declared = session.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False)).schema
    plain = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    rows = [tuple(v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in row) for row in plain]
    return session.createDataFrame(session.sparkContext.parallelize(rows, parts), declared)


@pytest.mark.parametrize("name", ["mixed", "with_gaps", "far_from_zero", "many_levels"])
def test_any_table_in_partitions_has_the_moments_of_the_whole(spark: Any, name: str) -> None:
    frame = TABLES[name](RNG(1), 500)
    same_moments(cm.measure(frame), cm.measure(on_spark(spark, frame, 4)))


def test_many_partitions_make_a_tree_of_two_levels(spark: Any) -> None:
    frame = TABLES["mixed"](RNG(1), 500)
    same_moments(cm.measure(frame), cm.measure(on_spark(spark, frame, 11)))


def test_options_hold_on_every_partition(spark: Any) -> None:
    frame = mixed_with_gaps(RNG(2), 400).assign(w=RNG(3).integers(0, 4, 400), unused="x", id=RNG(4).permutation(400))
    options = {
        "weights": "w",
        "weight_kind": "importance",
        "columns": ["city", "price", "rooms", "lift"],
        "lifts": {"rooms": "categorical"},
        "rows": "id",
        "folds": 4,
        "precision": "compensated",
    }
    same_moments(cm.measure(frame, **options), cm.measure(on_spark(spark, frame, 3), **options))


def test_first_rows_span_partitions_and_levels_keep_their_order(spark: Any) -> None:
    city = np.concatenate([RNG(5).choice(["a", "b", "c"], 5000), RNG(6).choice(list("zyxwvu"), 3000)])
    frame = pd.DataFrame({"city": city, "a.b`": RNG(7).normal(size=8000) + 1e6})
    with pytest.warns(CumulantWarning, match="more than 5 levels"):
        one = cm.measure(frame, levels=5)
    with pytest.warns(CumulantWarning, match="more than 5 levels"):
        many = cm.measure(on_spark(spark, frame, 9), levels=5)
    assert many.schema == one.schema
    np.testing.assert_array_equal(many.shift, one.shift)
    same_moments(one, many)


def test_empty_partitions_leave_no_trace(spark: Any) -> None:
    frame = TABLES["mixed"](RNG(8), 300).assign(place=np.arange(300))
    table = on_spark(spark, frame, 10)
    some = table.where("place >= 90 and place < 200").drop("place")
    same_moments(cm.measure(frame.iloc[90:200].drop(columns="place"), rows=0), cm.measure(some))
    nothing = cm.measure(table.where("place < 0"))
    assert nothing.rows.sum() == 0
    assert nothing.schema.columns == tuple(frame.columns)
    with pytest.raises(DataError, match="no rows"):
        cm.fit(table.where("place < 0"))


def test_a_task_that_fails_once_is_repeated_and_counted_once(spark: Any, tmp_path: Any) -> None:
    frame = TABLES["numbers"](RNG(9), 600)
    died, seen = tmp_path / "died", tmp_path / "seen"

    def deadly(batches: Any) -> Any:
        from pyspark import TaskContext

        # The third look at this partition is the one that measures it.
        for batch in batches:
            yield batch
            if TaskContext.get().partitionId() == 5 and not died.exists():
                looks = len(seen.read_text()) if seen.exists() else 0
                seen.write_text("." * (looks + 1))
                if looks == 2:
                    died.write_text(str(os.getpid()))
                    os.kill(os.getpid(), signal.SIGKILL)

    table = on_spark(spark, frame, 12)
    many = cm.measure(table.mapInArrow(deadly, table.schema))
    assert died.exists()
    same_moments(cm.measure(frame), many)


def test_mistakes_are_named(spark: Any) -> None:
    table = on_spark(spark, TABLES["mixed"](RNG(10), 50), 2)
    for options in (
        {"columns": ["prices"]},
        {"weights": "prices"},
        {"rows": "prices"},
        {"lifts": {"prices": "numeric"}},
    ):
        with pytest.raises(ColumnError, match="did you mean 'price'"):
            cm.measure(table, **options)
    with pytest.raises(OptionError, match="make it a column"):
        cm.measure(table, rows=np.arange(50))
    with pytest.raises(SourceError, match="no table"):
        cm.measure(table.price)
    with pytest.raises(DataError, match="nested"):
        cm.measure(table.selectExpr("array(price) as nested"))


def test_the_first_partition_in_trouble_is_named(spark: Any) -> None:
    frame = TABLES["numbers"](RNG(11), 8000)
    frame.loc[[5000, 7000], "b"] = np.inf
    with pytest.raises(DataError, match=r"partition 2 of the table: column 'b' holds inf in row \d+"):
        cm.measure(on_spark(spark, frame, 4))


def test_a_model_is_fitted_to_a_table_in_partitions(spark: Any) -> None:
    frame = TABLES["mixed"](RNG(12), 300)
    one, many = cm.fit(frame, target="price"), cm.fit(on_spark(spark, frame, 4), target="price")
    pd.testing.assert_frame_equal(one.summary().table, many.summary().table, rtol=1e-9)


def test_higher_orders_in_partitions_are_those_of_the_whole(spark: Any) -> None:
    frame = pd.DataFrame(RNG(9).gamma(2.0, size=(300, 3)), columns=list("xyz"))
    whole, m = cm.measure(frame, order=4), cm.measure(on_spark(spark, frame, 4), order=4)
    same_moments(whole, m)
    assert m.higher is not None
    np.testing.assert_allclose(m.higher.sums, whole.higher.sums, rtol=1e-10, atol=1e-9)
