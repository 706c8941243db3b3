"""Published figures of gips, reproduced: the evidence of every cyclic group of a few columns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cumulant.symmetry import Group, reynolds
from cumulant.symmetry.exhaustive import CyclicSearch, search_cyclic

FOLDER = Path(__file__).parent / "gips"


def columns(name: str) -> np.ndarray:
    return np.loadtxt(FOLDER / f"{name}.csv", delimiter=",", skiprows=1)


def search(x: np.ndarray, **options: float) -> CyclicSearch:
    d = x - x.mean(axis=0)
    return search_cyclic(d.T @ d, len(x) - 1, **options)


def factor(found: CyclicSearch, image: list[int]) -> float:
    """How much likelier a group is than the identity, given any generator of it."""
    at = [i for i, other in enumerate(found.images) if same_group(other, np.array(image))]
    return float(np.exp(found.log_bayes_factor[at[0]]))


def same_group(a: np.ndarray, b: np.ndarray) -> bool:
    return powers(a) == powers(b)


def powers(image: np.ndarray) -> set[tuple[int, ...]]:
    out, at = set(), np.arange(len(image))
    while tuple(at) not in out:
        out.add(tuple(at))
        at = image[at]
    return out


def test_aspirin_is_3_374_times_likelier_with_placebo_and_aspirin_exchanged() -> None:
    found = search(columns("aspirin"))
    assert found.images[0].tolist() == [2, 3, 0, 1]
    assert factor(found, [2, 3, 0, 1]) == pytest.approx(3.374, abs=5e-4)
    assert found.tried == 17


def test_aspirin_projected_covariance() -> None:
    # Columns dp, da, tp, ta, in that order, as gips prints it.
    published = [
        [349160, 347320, 1746602, 1744545],
        [347320, 349160, 1744545, 1746602],
        [1746602, 1744545, 8856368, 8844312],
        [1744545, 1746602, 8844312, 8856368],
    ]
    s = np.cov(columns("aspirin")[:, [0, 2, 1, 3]].T)
    even = reynolds(Group.of(4, [[1, 0, 3, 2]]), s)
    np.testing.assert_allclose(even, published, atol=0.51)


def test_books_with_the_height_scaled_by_the_root_of_two() -> None:
    x = columns("oddbooks")
    x[:, 1] /= np.sqrt(2)
    found = search(x)
    published = {(0, 2, 1): 0.566078057717, (0, 1, 2): 0.433908667868, (2, 1, 0): 0.000006728772}
    for image, probability in published.items():
        at = found.images.tolist().index(list(image))
        assert found.probability[at] == pytest.approx(probability, rel=1e-6)
    assert factor(found, [0, 2, 1]) == pytest.approx(1.305, abs=5e-4)
    assert factor(found, [1, 2, 0]) * 0.433908667868 == pytest.approx(0.000004683290, rel=1e-6)


def test_all_67_posterior_probabilities_of_five_columns() -> None:
    published = json.loads((FOLDER / "toy_posterior.json").read_text())
    found = search(columns("toy"))
    assert found.tried == len(published) == len(found.images) == 67
    for cycles, probability in published.items():
        image = np.arange(5)
        for cycle in re.findall(r"\(([\d,]+)\)", cycles):
            at = [int(c) - 1 for c in cycle.split(",")]
            image[at] = np.roll(at, -1)
        match = [i for i, other in enumerate(found.images) if same_group(other, image)]
        # The rows are printed to six decimals, hence the tolerance.
        assert found.probability[match[0]] == pytest.approx(probability, rel=2e-4)
