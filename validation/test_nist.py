"""NIST's certified regressions as a user would run them: fit the columns, ask for the summary.

Run as a script for the digits reached on each set.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from nist import NAMES, digits, load

import cumulant as cm

if TYPE_CHECKING:
    from nist import Reference

    from cumulant.explain.summary import Summary

# Filip's powers, rounded to float64, already differ from the published polynomial in the eighth digit of the result.
REQUIRED = dict.fromkeys(NAMES, 9.0) | {"filip": 7.0}


def summary(reference: Reference) -> Summary:
    table = {**dict(zip(reference.columns, reference.design.T, strict=True)), "response": reference.response}
    with warnings.catch_warnings():
        # Ill-conditioned sets say that they are measured in compensated arithmetic.
        warnings.simplefilter("ignore", cm.CumulantWarning)
        model = cm.fit(table, prior=None)
    return model.summary("response", intercept=reference.intercept)


@pytest.mark.parametrize("name", NAMES)
def test_certified_digits_through_the_public_interface(name: str) -> None:
    reference = load(name)
    ours = summary(reference)
    assert digits(ours.table["coefficient"], reference.coefficients) >= REQUIRED[name]
    assert digits(ours.table["se"], reference.standard_errors) >= REQUIRED[name]
    assert digits(ours.residual_sd, reference.residual_sd) >= REQUIRED[name]
    assert digits(ours.r_squared, reference.r_squared) >= REQUIRED[name]


@pytest.mark.parametrize("name", ["pontius", "filip", "wampler1", "wampler5"])
def test_ill_conditioned_sets_are_noticed(name: str) -> None:
    reference = load(name)
    table = {**dict(zip(reference.columns, reference.design.T, strict=True)), "response": reference.response}
    with pytest.warns(cm.CumulantWarning, match="nearly collinear"):
        assert cm.measure(table).exact


def main() -> None:
    print(f"{'set':10}{'coefficients':>14}{'standard errors':>17}{'residual sd':>13}{'R²':>6}")
    for name in NAMES:
        reference, ours = load(name), summary(load(name))
        print(
            f"{name:10}{digits(ours.table['coefficient'], reference.coefficients):14.1f}"
            f"{digits(ours.table['se'], reference.standard_errors):17.1f}"
            f"{digits(ours.residual_sd, reference.residual_sd):13.1f}"
            f"{digits(ours.r_squared, reference.r_squared):6.1f}"
        )


if __name__ == "__main__":
    main()
