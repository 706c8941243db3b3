"""Scaling laws and the plan made from them: exponents of known powers, and a pass over a cluster counted by hand."""

from __future__ import annotations

import importlib
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
scaling, cluster_plan, tables = (
    importlib.import_module(f"benchmarks.{name}") for name in ("scaling", "cluster_plan", "tables")
)
# Ten million rows a second; a gigabyte of file holds a hundred million rows.
RATES = cluster_plan.Rates(rows=1e7, row_bytes=10, moments_bytes=1000, merge=1e-3)


def test_a_plan_counted_by_hand():
    """10¹⁰ rows in 100 partitions on 2 nodes of 4 cores; a tree of 100 → 13 → 2 → 1."""
    made = cluster_plan.plan(1e10, cluster_plan.Cluster(nodes=2, cores=4), RATES)
    assert made.file_bytes == 1e11
    assert (made.partitions, made.depth) == (100, 3)
    assert made.merged_bytes == (100 + 13 + 2) * 1000
    # 13 waves of partitions that take a core 10 s, twice; 50 GB for each node at 1.25 GB/s, twice.
    assert made.decoding == pytest.approx(2 * 13 * 10)
    assert made.transfer == pytest.approx(2 * 50 / 1.25)
    assert made.scheduling == pytest.approx((200 + 13 + 2 + 1) * 1e-3)
    # At most 7, 1 and 1 tasks a node, 2, 1 and 1 a core: eight sums arrive for each, and seven are added.
    assert made.merging == pytest.approx((7 + 1 + 1) * 8 * 1000 / 1.25e9 + (2 + 1 + 1) * 7e-3)
    assert made.bound == "cores"
    assert made.seconds == pytest.approx(260 + made.merging)


@pytest.mark.parametrize(
    ("cluster", "bound", "seconds"),
    [({"nodes": 1, "storage": 1e8}, "storage", 2000), ({"nodes": 50, "task": 5.0}, "scheduler", (200 + 16) * 5.0)],
)
def test_what_is_slowest_sets_the_pace(cluster, bound, seconds):
    made = cluster_plan.plan(1e10, cluster_plan.Cluster(**cluster), RATES)
    assert made.bound == bound
    assert made.seconds - made.merging == pytest.approx(seconds)


def test_one_partition_needs_no_tree():
    made = cluster_plan.plan(1e6, cluster_plan.Cluster(nodes=3), RATES)
    assert (made.partitions, made.depth, made.merged_bytes, made.merging) == (1, 0, 0, 0)
    assert made.decoding == pytest.approx(0.2)


def test_rates_are_those_of_one_core():
    seconds = {"parquet": {"median": 0.5}, "merge": {"median": 0.25}}
    node = {"rows": 1000, "file_bytes": 9000, "moments_bytes": 77, "seconds": seconds}
    assert cluster_plan.rates(node, 4) == cluster_plan.Rates(500.0, 9.0, 77, 0.25)


def test_exponents_of_known_powers():
    assert scaling.slope([(x, 3 * x**1.5) for x in (1, 10, 70)]) == 1.5
    assert scaling.slope([(2, 7.0), (2, 8.0)]) is None
    ours = {x: {"seconds": {"min": 1 / x, "median": 9}, "extra_bytes": x**2 << 21} for x in (1, 4)}
    points = [{"x": x, "ways": {"cumulant": one}} for x, one in ours.items()]
    points[0]["ways"]["peer"] = {"seconds": {"min": 1}, "extra_bytes": None}
    assert scaling.exponents(points) == {"cumulant": [-1.0, 2.0], "peer": [None, None]}


@pytest.mark.parametrize("asked", [{"order": 3}, {"groups": 7}])
def test_every_way_is_timed(asked):
    for package in ("sklearn", "polars"):
        pytest.importorskip(package)
    ways = scaling.point(rows=500, columns=3, rounds=1, **asked)
    assert ways["cumulant"]["seconds"]["min"] > 0
    assert len(ways) == 1 + ("groups" in asked)


@pytest.mark.parametrize(
    ("drawing", "page"),
    [("figures/scaling/scaling.svg", "how-fast-and-why.md"), ("figures/fields/finite-width.svg", "field.md")],
)
def test_the_drawing_shown_is_of_what_was_measured(drawing, page):
    """Shapes may differ between versions of the drawing library; words may not."""
    pytest.importorskip("matplotlib")
    path = ROOT / "docs" / drawing
    shown = path.read_text("utf-8")
    assert words(shown) == words(tables.pictures()[path]), "run: python -m benchmarks tables"
    assert "prefers-color-scheme: dark" in shown
    assert len(shown) < 80_000
    assert drawing in (ROOT / "docs" / page).read_text("utf-8")


def test_the_plan_shown_is_made_from_what_was_measured():
    page = ROOT / "docs" / "cluster-plan.md"
    text = page.read_text("utf-8")
    assert text == tables.pages()[page], "run: python -m benchmarks tables"
    record = json.loads((tables.RESULTS / "scaling.json").read_text("utf-8"))
    for node in record["node"]:
        made = cluster_plan.plan(1e12, cluster_plan.Cluster(100), cluster_plan.rates(node, record["machine"]["cores"]))
        assert f"in {made.partitions:,} partitions; a tree of {made.depth} levels" in text


def words(drawing: str) -> list[str]:
    """The text of a drawing: labels, ticks and names."""
    nodes = (node for node in ET.fromstring(drawing).iter() if node.tag.endswith("}text"))
    return [re.sub(r"\s+", " ", "".join(node.itertext())).strip() for node in nodes]
