"""The counts of a pass: against operations done one by one, arrays of known size, and moments as they are kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import cumulant as cm
from cumulant.measure import work


@pytest.mark.parametrize("order", [2, 3, 4])
def test_flops_of_a_pass_counted_one_by_one(order):
    n, p, flops = 6, 4, 0
    for _row in range(n):
        for i in range(p):
            flops += 1  # less the reference point
            flops += 1  # sum of the column
            for _j in range(i + 1):
                flops += 2  # product, and its sum
        if order > 2:
            for _factors in itertools.combinations_with_replacement(range(p + 1), order):
                flops += 2
    assert work.flops_of_pass(n, p, order=order) == flops


def test_compensated_sums_cost_eight_times_as_much():
    assert work.flops_of_pass(1000, 300, exact=True) == pytest.approx(8 * work.flops_of_pass(1000, 300), rel=0.02)


def test_bytes_read_are_those_of_the_table():
    assert work.bytes_read(7, 3) == np.empty((7, 3)).nbytes
    assert work.bytes_read(7, 3, 2) == 2 * np.empty((7, 3)).nbytes


@pytest.mark.parametrize(("p", "folds", "order"), [(1, 1, 2), (6, 3, 2), (4, 2, 3), (3, 5, 4)])
def test_sums_kept_are_those_that_moments_hold(p, folds, order):
    x = np.random.default_rng(0).normal(size=(50, p))
    m = cm.measure(x, folds=folds, order=order, progress=False)
    kept = m.packed[0].size + (m.higher.sums.size if m.higher is not None else 0)
    assert work.sums_kept(p, folds, order) == kept
    assert work.bytes_kept(p, folds, order) == 8 * kept


def test_the_ledger_counts_the_pass_by_the_same_formula():
    x = np.random.default_rng(1).normal(size=(80, 3))
    model = cm.solve(cm.measure(x, order=3, progress=False))
    cost = model.ledger.rows[0].cost
    assert cost.bytes == x.nbytes
    assert cost.flops > work.flops_of_pass(80, 3, order=3) > 80 * (3 * 4 + 2 * 3)
