"""Invariant Taylor terms against averages of monomials over all elements of the group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cumulant as cm
import cumulant.symmetry as sym
from cumulant.errors import OptionError
from helpers import GROUPS


@pytest.mark.parametrize("make", GROUPS.values(), ids=GROUPS.keys())
def test_terms_are_invariant_and_span_what_is(make):
    group = make()
    terms = sym.invariants(group, order=3)
    assert len(terms) == len(terms.names) == sum(sym.burnside(group, k) for k in (1, 2, 3))
    x = np.random.default_rng(0).normal(size=(3 * len(terms) + 5, group.degree))
    values = terms.values(x)
    for m in group.matrices:
        np.testing.assert_allclose(terms.values(x @ m.T), values, atol=1e-10)
    # Independent functions, as many as there are.
    assert np.linalg.matrix_rank(values) == len(terms)


def test_exchangeable_inputs_have_three_terms_to_second_order():
    columns = [f"x{j}" for j in range(8)]
    terms = sym.invariants(sym.symmetric(columns), order=2)
    x = np.random.default_rng(1).normal(size=(40, 8))
    values = terms.values(x)
    square, total = (x**2).sum(axis=1), x.sum(axis=1)
    np.testing.assert_allclose(values, np.column_stack([total, square, (total**2 - square) / 2]))


def test_terms_are_columns_of_an_ordinary_fit():
    rng = np.random.default_rng(2)
    columns = ["a", "b", "c", "d"]
    x = pd.DataFrame(rng.normal(size=(60, 4)), columns=columns)
    y = 1 + x.sum(axis=1) - 0.5 * (x**2).sum(axis=1)
    terms = sym.invariants(sym.symmetric(columns))
    model = cm.fit(terms.table(x.assign(y=y)), target="y", prior=None)
    test = pd.DataFrame(rng.normal(size=(5, 4)), columns=columns)
    expected = 1 + test.sum(axis=1) - 0.5 * (test**2).sum(axis=1)
    np.testing.assert_allclose(model.predict("y", given=terms.table(test)), expected)


def test_odd_terms_of_flipped_inputs_are_none():
    terms = sym.invariants(sym.z2(["a", "b"]), order=3)
    assert terms.names == ("a^2", "a·b", "b^2")
    assert sym.invariants(sym.orthogonal([["a", "b", "c"]]), order=3).names == ("Σ3 a^2",)


def test_errors_say_what_is_wrong():
    with pytest.raises(OptionError, match="1 or more"):
        sym.invariants(sym.cyclic(3), order=0)
    with pytest.raises(OptionError, match="dot products"):
        sym.invariants(sym.orthogonal(3), order=4)
    with pytest.raises(OptionError, match="shape"):
        sym.invariants(sym.cyclic(3)).values(np.zeros((2, 4)))
    assert sym.invariants(sym.cyclic(2), columns=["u", "v"]).names == ("Σ2 u", "Σ2 u^2", "u·v")
