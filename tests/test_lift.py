"""Columns become numbers and come back."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cumulant as cm
from cumulant.errors import ColumnError, CumulantWarning, DataError, FileFormatError, OptionError
from cumulant.lift import OTHER, Boolean, Categorical, Cyclic, Numeric, Schema, Temporal


def forward(lift, cells):
    out = np.empty((len(cells), len(lift.fields)))
    lift.forward(pa.array(cells) if not isinstance(cells, pa.Array) else cells, out)
    return out


def test_numbers_of_every_type():
    for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(30, 2)):
        cells = pa.array([1, None, 3]).cast(kind, safe=False)
        np.testing.assert_array_equal(forward(Numeric("x"), cells)[:, 0], [1.0, np.nan, 3.0])


def test_text_among_numbers_is_named():
    with pytest.raises(DataError, match=r"'x' holds the text 'seven'.*lifts=\{'x': 'categorical'\}"):
        forward(Numeric("x"), ["1", "seven"])


@pytest.mark.parametrize("cells", [[True, None, False], [1, None, 0], [1.0, float("nan"), 0.0]])
def test_booleans(cells):
    np.testing.assert_array_equal(forward(Boolean("b"), cells)[:, 0], [1.0, np.nan, 0.0])


def test_a_boolean_column_refuses_other_numbers():
    with pytest.raises(DataError, match="true/false but holds 2"):
        forward(Boolean("b"), [0, 2])


def test_categories_come_back():
    lift = Categorical("c", ("a", "b", "c"))
    cells = ["b", "a", None, "c", "a"]
    x = forward(lift, cells)
    assert lift.fields == ("c=a", "c=b", "c=c")
    assert np.isnan(x[2]).all()
    full = [cell for cell in cells if cell is not None]
    assert lift.inverse(x[~np.isnan(x[:, 0])]).tolist() == full


def test_categories_of_numbers_keep_their_type():
    table = pa.table({"zip": pa.array([10115, 4051, 10115])})
    m = cm.measure(table, lifts={"zip": "categorical"})
    assert m.schema.fields == ("zip=10115", "zip=4051")
    lift = m.schema.lifts[0]
    assert lift.inverse(np.eye(2)).dtype.kind == "i"
    np.testing.assert_array_equal(forward(lift, pa.array([4051.0, 10115.0])), [[0, 1], [1, 0]])


def test_levels_not_measured_count_as_missing_and_say_so():
    with pytest.warns(CumulantWarning, match=r"column 'c'.*first: 'z'"):
        x = forward(Categorical("c", ("a", "b")), ["a", "z"])
    assert np.isnan(x[1]).all()
    np.testing.assert_array_equal(forward(Categorical("c", ("a",), remainder=True), ["a", "z"]), [[1, 0], [0, 1]])


def test_dictionary_columns_are_text():
    cells = pa.array(["x", "y", "x", None]).dictionary_encode()
    schema = Schema.fit(pa.schema({"c": cells.type}), [pa.record_batch({"c": cells})])
    assert schema.fields == ("c=x", "c=y")


@pytest.mark.parametrize(
    "cells",
    [
        [dt.date(2013, 1, 31), None, dt.date(1969, 7, 20)],
        [dt.datetime(2013, 1, 31, 5, 30, 1), None, dt.datetime(1969, 7, 20)],
        pd.Series(pd.to_datetime(["2013-01-31T05:30:01.5", None, "1969-07-20T00:00:00.0"])).astype("datetime64[ns]"),
    ],
)
def test_dates_are_days_and_come_back(cells):
    array = pa.array(cells)
    lift = Temporal("t", str(array.type))
    days = forward(lift, array)
    expected = (pd.to_datetime(pd.Series(list(cells))) - pd.Timestamp(0)) / pd.Timedelta(days=1)
    np.testing.assert_allclose(days[:, 0], expected, rtol=1e-15)
    back = pd.Series(lift.inverse(days))
    pd.testing.assert_series_equal(back, pd.Series(pd.to_datetime(pd.Series(list(cells)))).astype(back.dtype))


def test_times_of_day_and_durations():
    day = forward(Temporal("t", "time64[us]"), pa.array([dt.time(6), dt.time(18)]))
    np.testing.assert_allclose(day[:, 0], [0.25, 0.75])
    span = forward(Temporal("t", "duration[us]"), pa.array([dt.timedelta(days=2, hours=12)]))
    assert span[0, 0] == 2.5
    assert Temporal("t", "duration[us]").inverse(span)[0] == np.timedelta64(60, "h")


def test_cycles_close():
    lift = Cyclic("t", ("day", "week", "year"))
    x = forward(lift, pa.array([dt.datetime(2020, 1, 1, 6), dt.datetime(2020, 1, 2, 6)]))
    assert lift.fields[:3] == ("t", "t:sin(day)", "t:cos(day)")
    np.testing.assert_allclose(x[0, 1:3], [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(x[0, 1:3], x[1, 1:3], atol=1e-12)
    np.testing.assert_allclose((x[:, 1::2] ** 2 + x[:, 2::2] ** 2), 1.0)
    with pytest.raises(OptionError, match="no cycle 'moon'"):
        Cyclic("t", ("moon",))


def test_rare_levels_are_gathered():
    cells = ["a"] * 5 + ["b"] * 4 + [f"rare{i}" for i in range(9)]
    with pytest.warns(CumulantWarning, match="column 'c' has more than 2 levels"):
        m = cm.measure({"c": cells}, levels=2)
    assert m.schema.fields == ("c=a", "c=b", f"c={OTHER}")
    np.testing.assert_allclose(m.mean, [4 / 18, 9 / 18])


def test_levels_seen_late_are_added():
    late = ["a", "b"] * 4000 + ["zz"] * 10
    m = cm.measure({"c": late})
    assert m.schema.fields == ("c=a", "c=b", "c=zz")
    np.testing.assert_allclose(m.mean, [4000 / 8010, 10 / 8010])


def test_merging_different_levels_is_exact():
    left, right = ["a", "a", "b"], ["c", "a", "d", "d"]
    both = cm.measure({"c": left}) + cm.measure({"c": right})
    whole = cm.measure({"c": left + right})
    assert both.schema == whole.schema
    np.testing.assert_allclose(both.mean, whole.mean)
    np.testing.assert_allclose(both.covariance, whole.covariance, atol=1e-15)


def test_a_level_gathered_on_one_side_is_gathered_in_the_merge():
    with pytest.warns(CumulantWarning):
        capped = cm.measure({"c": ["a"] * 3 + ["b"] * 2 + ["c"]}, levels=2)
    both = capped + cm.measure({"c": ["c", "b", "a"]})
    assert both.schema.fields == ("c=a", "c=b", f"c={OTHER}")
    np.testing.assert_allclose(both.mean, [3 / 9, 2 / 9])


def test_unknown_lifts_and_columns_are_named():
    table = {"price": [1.0, 2.0]}
    with pytest.raises(ColumnError, match="no column 'prise'; did you mean 'price'"):
        cm.measure(table, lifts={"prise": "numeric"})
    with pytest.raises(OptionError, match="column 'price': no lift 'cube'"):
        cm.measure(table, lifts={"price": "cube"})


@pytest.mark.parametrize(
    "lift",
    [Numeric("x"), Boolean("b"), Categorical("c", ("a", "b"), True), Temporal("t"), Cyclic("t", ("day",))],
)
def test_lifts_survive_files(lift):
    import json

    state = json.loads(json.dumps(Schema((lift,)).to_list()))
    assert Schema.from_list(state) == Schema((lift,))


def test_a_lift_from_the_future_is_refused():
    with pytest.raises(FileFormatError, match="does not know"):
        Schema.from_list([{"kind": "quaternion", "name": "q"}])
