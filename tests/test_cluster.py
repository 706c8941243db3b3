"""What all engines share, without an engine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
from cumulant import storage
from cumulant.errors import ColumnError, DataError
from cumulant.measure.cluster import Options, Spans, begin, measure_partitions, merge, part, survey, told
from cumulant.measure.threads import cores, one_core
from helpers import TABLES
from sameness import same_moments


class Here:
    """An engine of one process, which keeps what partitions send."""

    by_index = False

    def __init__(self, frames: list[pd.DataFrame], *, counted: bool = False) -> None:
        self.frames = frames
        self.counts = [len(frame) for frame in frames] if counted else None
        self.sent: list[bytes] = []
        self.surveyed = False

    def surveys(self, options: Options) -> list[bytes]:
        self.surveyed = True
        return [survey(frame, i, options) for i, frame in enumerate(self.frames)]

    def start(self, heads: dict[int, int], options: Options) -> bytes:
        return begin(pd.concat([self.frames[i].iloc[:n] for i, n in heads.items()], ignore_index=True), options)

    def total(self, start: bytes, spans: Spans, options: Options) -> bytes:
        shares = zip(self.frames, spans, strict=True)
        self.sent = [part(f, lambda f=f: len(f), i, start, span, options) for i, (f, span) in enumerate(shares)]
        return merge(self.sent)


def options_for(**changed: object) -> Options:
    plain = {
        "weights": None,
        "columns": None,
        "rows": None,
        "delimiter": None,
        "folds": 10,
        "weight_kind": "frequency",
        "missing": "integrate",
        "lifts": None,
        "levels": 10_000,
        "precision": "auto",
    }
    return Options.of("table", **{**plain, **changed})


def cut(frame: pd.DataFrame, edges: list[int]) -> list[pd.DataFrame]:
    ends = [*edges, len(frame)]
    return [frame.iloc[a:b] for a, b in zip([0, *edges], ends, strict=True)]


@pytest.mark.parametrize("edges", [[], [1], [0, 0, 299], [300, 300], [7, 100, 150, 290]])
@pytest.mark.parametrize("name", ["mixed_with_gaps", "awkward", "many_levels"])
def test_however_the_rows_are_cut(name: str, edges: list[int]) -> None:
    frame = TABLES[name](np.random.default_rng(0), 300)
    same_moments(cm.measure(frame), measure_partitions(Here(cut(frame, edges)), options_for(), None))


@pytest.mark.parametrize("edges", [[1], [0, 0, 299], [7, 100, 150, 290]])
@pytest.mark.parametrize("name", ["numbers", "mixed_with_gaps", "many_levels"])
def test_partitions_whose_rows_are_counted_are_read_once(name: str, edges: list[int]) -> None:
    frame = TABLES[name](np.random.default_rng(0), 300)
    here = Here(cut(frame, edges), counted=True)
    same_moments(cm.measure(frame, rows=3), measure_partitions(here, options_for(rows=3), None))
    assert not here.surveyed
    first = cm.measure(frame.iloc[:50])
    rest = Here(cut(frame.iloc[50:], edges[:1]), counted=True)
    same_moments(first.update(frame.iloc[50:]), first + measure_partitions(rest, options_for(rows=50), first))
    assert not rest.surveyed


def test_levels_that_have_to_be_gathered_are_surveyed_after_all() -> None:
    rng = np.random.default_rng(5)
    city = np.concatenate([rng.choice(["a", "b"], 5000), rng.choice(list("zyxwvu"), 3000)])
    frame = pd.DataFrame({"city": city, "y": rng.normal(size=8000)})
    # No partition shows more than three levels, all of them together show too many.
    parts = cut(frame.sort_values("city", kind="stable").reset_index(drop=True), [4000, 5500])
    whole = pd.concat(parts)
    with pytest.warns(cm.errors.CumulantWarning, match="more than 6"):
        one = cm.measure(whole, levels=6)
    here = Here(parts, counted=True)
    with pytest.warns(cm.errors.CumulantWarning, match="more than 6"):
        same_moments(one, measure_partitions(here, options_for(levels=6), None))
    assert here.surveyed


def test_levels_beyond_those_reported_by_one_partition_are_not_needed() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": [f"{i % 3000:05}" for i in range(9000)], "y": rng.normal(size=9000)})
    frame = frame.sample(frac=1.0, random_state=2).reset_index(drop=True)
    for edges in ([10, 4500], [5000], [4000, 8000]):
        with pytest.warns(cm.errors.CumulantWarning, match="more than"):
            one = cm.measure(frame, levels=4)
        with pytest.warns(cm.errors.CumulantWarning, match="more than"):
            many = measure_partitions(Here(cut(frame, edges)), options_for(levels=4), None)
        assert many.schema == one.schema
        same_moments(one, many)
    _, seen = told(survey(frame, 0, options_for(levels=4)))
    assert len(seen["levels"]["g"]) == 9


def test_the_start_of_nearly_collinear_columns_is_compensated_and_said_so() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=500)
    frame = pd.DataFrame({"a": x, "b": x + 1e-7 * rng.normal(size=500)})
    with pytest.warns(cm.errors.CumulantWarning, match="collinear"):
        many = measure_partitions(Here(cut(frame, [100])), options_for(), None)
    assert many.exact


def test_the_first_error_survives_the_tree() -> None:
    bad = storage.encode("error", {}, {"error": "ColumnError", "message": "partition 3 of the table: no column 'x'"})
    worse = storage.encode("error", {}, {"error": "DataError", "message": "later"})
    start = begin(pd.DataFrame({"x": [1.0]}), options_for())
    with pytest.raises(ColumnError, match=r"^partition 3 of the table: no column 'x'$"):
        told(merge([start, merge([start, bad]), worse]))


def test_a_partition_of_another_length_than_counted_is_refused() -> None:
    frame = pd.DataFrame({"x": np.arange(5.0)})
    start = begin(frame, options_for())
    with pytest.raises(DataError, match=r"partition 7 of the table: .* 6 rows .* and 5 when"):
        told(part(frame, lambda: 5, 7, start, (0, 6), options_for()))


def test_what_is_sent_grows_with_the_columns_and_not_with_the_rows() -> None:
    sizes = []
    for n in (100, 10_000):
        here = Here(cut(TABLES["numbers"](np.random.default_rng(4), n), [n // 2]))
        measure_partitions(here, options_for(), None)
        sizes.append([len(content) for content in here.sent])
    assert sizes[0] == sizes[1]


def test_a_task_of_a_cluster_keeps_to_one_core() -> None:
    before = cores()
    with one_core():
        assert cores() == 1
    assert cores() == before
