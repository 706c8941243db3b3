"""Costs: formulas against operations counted one by one, meters against work of known size."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest

from cumulant.explain import cost as price
from cumulant.explain.cost import Cost, Meter, Rapl, quantity


def test_flops_of_a_solve_counted_one_by_one():
    p, flops = 60, 0
    for j in range(p):
        for _i in range(j, p):
            flops += 2 * j + 1  # Cholesky: inner product of the rows so far, and root or quotient
    for j in range(p):
        flops += 2 * (2 * j + 1)  # the two triangles
    assert price.flops_solve(p) == pytest.approx(flops, rel=0.03)


def test_formulas_agree_with_each_other():
    n, p = 1000, 30
    assert price.flops_power_iteration(n, p, 7) == price.flops_descent(n, p, 7)
    assert price.flops_sgd(n, p, 3, 0) == price.flops_adam(n, p, 3, 0) == price.flops_descent(n, p, 3)
    assert price.flops_lbfgs(n, p, 3, 0) == price.flops_descent(n, p, 3)


def test_costs_add_except_for_the_peak():
    a = Cost(1, 10, 100, 1.0, 2.0, 50.0, 3.0)
    b = Cost(2, 20, 200, 0.5, 0.5, 80.0, 1.0)
    assert a + b == Cost(3, 30, 300, 1.5, 2.5, 80.0, 4.0)


def test_what_was_not_measured_is_none():
    plain = Cost(passes=1.0).to_dict()
    assert plain["wall_seconds"] is None
    assert plain["passes"] == 1.0


def test_meter_sees_memory_that_is_gone_at_the_end():
    # Large beside what earlier tests left behind, which the system may take back meanwhile.
    size = 256 << 20
    with Meter() as meter:
        block = np.ones(size // 8)
        time.sleep(0.05)
        del block
    assert 0.7 * size < meter.cost().peak_memory < 1.5 * size


def test_meter_sees_work_of_this_process_and_not_sleep():
    with Meter() as asleep:
        time.sleep(0.1)
    with Meter() as awake:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
    slept, worked = asleep.cost(), awake.cost(passes=1, flops=5, bytes_moved=8)
    assert slept.wall_seconds >= 0.1 > slept.cpu_seconds
    assert worked.cpu_seconds >= 0.1
    assert (worked.passes, worked.flops, worked.bytes) == (1, 5, 8)


def test_meter_leaves_no_thread_behind_even_after_an_error():
    before = threading.active_count()

    def fail():
        with Meter(settle=True):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert threading.active_count() == before


def test_without_proc_the_high_water_mark_is_used(monkeypatch):
    monkeypatch.setattr(price, "_resident", lambda: 0)
    marks = iter([100, 900])
    monkeypatch.setattr(price, "_high_water", lambda: next(marks))
    with Meter() as meter:
        pass
    cost = meter.cost()
    assert cost.peak_memory == 800
    assert cost.memory_source == "growth of ru_maxrss"


def zone(root, folder, name, energy, limit=1000):
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(name + "\n")
    (path / "energy_uj").write_text(str(energy))
    (path / "max_energy_range_uj").write_text(str(limit))
    return path / "energy_uj"


def test_rapl_adds_packages_and_their_memory_once(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 0, 10**9)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 5, 10**9)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 0, 10**9)
    others = [
        zone(tmp_path, "intel-rapl:0:0", "core", 0, 10**9),
        zone(tmp_path, "intel-rapl:2", "psys", 0, 10**9),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0, 10**9),
    ]
    rapl = Rapl(tmp_path)
    assert rapl.available
    for counter, value in [(first, 1_000_000), (second, 2_000_005), (memory, 500_000)]:
        counter.write_text(str(value))
    for counter in others:
        counter.write_text("77000000")
    assert rapl.joules() == pytest.approx(3.5)


def test_rapl_counts_on_when_a_counter_wraps(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 900, limit=1000)
    rapl = Rapl(tmp_path)
    total = 0
    for value, step in [(950, 50), (20, 70), (20, 0), (19, 999)]:
        counter.write_text(str(value))
        total += step
        assert rapl.joules() == pytest.approx(total * 1e-6)


def test_meter_reads_energy_where_it_can(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0, 10**9)
    with Meter(rapl_root=tmp_path) as meter:
        counter.write_text("4000000")
    cost = meter.cost()
    assert cost.joules == pytest.approx(4.0)
    assert "RAPL" in cost.joules_source


@pytest.mark.parametrize("content", [None, "not a number"])
def test_meter_says_so_where_energy_is_an_estimate(tmp_path, content):
    if content is not None:
        zone(tmp_path, "intel-rapl:0", "package-0", content)
    with Meter(rapl_root=tmp_path, watts_per_core=30.0) as meter:
        sum(range(10**5))
    cost = meter.cost()
    assert cost.joules == pytest.approx(30.0 * cost.cpu_seconds)
    assert "30 W per busy core" in cost.joules_source


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (1, "1.00 s"),
        (999.4, "999 s"),
        (999.6, "1.00 ks"),
        (0.0123, "12.3 ms"),
        (1e-9, "1.00 ns"),
        (123e-12, "0.123 ns"),
        (2.5e18, "2500 Ps"),
        (-1500, "-1.50 ks"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_quantities_have_three_figures_and_a_prefix(value, text):
    assert quantity(value, "s") == text
