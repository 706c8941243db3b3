"""The pictures' surfaces: the local minima are local minima, and the moments' answer is none of them."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from cumulant.errors import MissingDependencyError
from cumulant.explain.landscape import Wave, draw, valley, wave_surface
from cumulant.explain.objective import Goal, LeastSquares


def numerical_gradient(f, theta, step=1e-6):
    unit = step * np.eye(len(theta))
    return np.array([(f(theta + e) - f(theta - e)) / (2 * step) for e in unit])


@pytest.fixture(scope="module")
def wave():
    return Wave.example()


@pytest.fixture(scope="module")
def ends(wave):
    """Where descents from a lattice of starts end."""
    k, a = np.meshgrid(np.linspace(1, 13, 25), [-0.4, 0.1, 0.8])
    starts = np.column_stack([k.ravel(), a.ravel()])
    return wave.descend(starts, steps=8000)[-1]


def test_derivatives_of_the_wave(wave):
    for theta in ([3.0, 0.4], [6.3, 1.0], [11.7, -0.3]):
        theta = np.array(theta)
        np.testing.assert_allclose(wave.gradient(theta), numerical_gradient(wave.loss, theta), atol=1e-8)
        hessian = np.array([numerical_gradient(lambda t, i=i: wave.gradient(t)[i], theta) for i in range(2)])
        np.testing.assert_allclose(wave.hessian(theta), hessian, rtol=1e-6, atol=1e-7)


def test_bottom_is_below_every_point_of_a_fine_grid(wave):
    bottom = wave.bottom()
    k, a = np.meshgrid(np.linspace(0, 32, 1601), np.linspace(-1.5, 1.5, 151))
    assert wave.loss(bottom) <= min(wave.loss(np.stack(row, axis=-1)).min() for row in zip(k, a, strict=True))
    np.testing.assert_allclose(wave.gradient(bottom), 0, atol=1e-10)
    assert (np.linalg.eigvalsh(wave.hessian(bottom)) > 0).all()


def test_local_minima_are_local_minima(wave, ends):
    bottom = wave.bottom()
    missed = ends[np.abs(ends[:, 0] - bottom[0]) > 0.5]
    assert len(missed) > len(ends) / 2
    for theta in missed:
        np.testing.assert_allclose(wave.gradient(theta), 0, atol=2e-5)
        assert np.linalg.eigvalsh(wave.hessian(theta)).min() > 0
        assert wave.loss(theta) > 5 * wave.loss(bottom)


def test_the_rest_find_the_bottom(wave, ends):
    bottom = wave.bottom()
    found = ends[np.abs(ends[:, 0] - bottom[0]) < 0.5]
    assert len(found) > 0
    np.testing.assert_allclose(found, np.broadcast_to(bottom, found.shape), atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_moments_lead_into_the_deepest_valley(seed):
    wave = Wave.example(seed=seed)
    end = wave.descend(wave.from_moments()[None])[-1, 0]
    np.testing.assert_allclose(end, wave.bottom(), atol=1e-6)


def test_error_of_the_moments_falls_with_the_root_of_the_number_of_readings():
    def error(n):
        t = np.arange(n) / n - 0.5
        clean = np.cos(2 * np.pi * 0.1 * n * t)
        noise = [np.random.default_rng(seed).normal(size=n) for seed in range(12)]
        k = [Wave(t, clean + 0.3 * e).from_moments()[0] / n for e in noise]
        return np.sqrt(np.mean((np.array(k) - 0.1) ** 2))

    assert 5 < error(1_000) / error(100_000) < 20


def test_surface_of_the_wave_counts_its_starts(wave):
    surface = wave_surface(wave)
    assert {True, False} == set(surface.arrived)
    bottom = wave.bottom()
    for path, arrived in zip(surface.paths, surface.arrived, strict=True):
        assert (abs(path[-1, 0] - bottom[0]) < 0.5) == arrived
    starts = np.random.default_rng([0, 2]).uniform([0.5, -0.6], [14.0, 1.5], size=(100, 2))
    missed = np.sum(np.abs(wave.descend(starts)[-1, :, 0] - bottom[0]) > 0.5)
    assert surface.note.startswith(f"{missed} of 100 random starts end in a local minimum")
    assert surface.loss.min() >= surface.floor


@pytest.fixture(scope="module")
def two_columns():
    rng = np.random.default_rng(2)
    z = rng.normal(size=400)
    X = np.column_stack([rng.normal(size=400), z, 0.9 * z + 0.4 * rng.normal(size=400)])
    return LeastSquares.from_arrays(X, X @ [1.0, 2.0, -1.0] + rng.normal(size=400))


def test_valley_is_the_loss_of_two_columns(two_columns):
    surface = valley(two_columns, (1, 2), ["a", "b", "c"])
    X, y = two_columns.X[:, [1, 2]], two_columns.y
    for i, j in [(0, 0), (60, 60), (17, 101)]:
        b = np.array([surface.x[j], surface.y[i]])
        assert surface.loss[i, j] == pytest.approx(0.5 * np.mean((X @ b - y) ** 2), rel=1e-10)
    np.testing.assert_allclose(surface.answer, np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-12)
    np.testing.assert_allclose(surface.paths[0][-1], surface.answer, atol=0.02)
    assert surface.labels[0].startswith("β of b")
    inside = (surface.paths[0] >= [surface.x[0], surface.y[0]]) & (surface.paths[0] <= [surface.x[-1], surface.y[-1]])
    assert inside.all()


def test_draws_svg_and_png_of_either_kind(two_columns, tmp_path):
    matplotlib = pytest.importorskip("matplotlib", reason="pictures are an extra")
    surfaces = [valley(two_columns, (0, 1), ["a", "b", "c"]), wave_surface()]
    draw(surfaces, tmp_path / "two.svg")
    draw(surfaces, str(tmp_path / "two.png"))
    stream = io.BytesIO()
    draw(surfaces[:1], stream, file_format="svg")
    assert b"<svg" in stream.getvalue()
    assert "<svg" in (tmp_path / "two.svg").read_text()
    assert (tmp_path / "two.svg").stat().st_size < 1e6
    image = matplotlib.image.imread(tmp_path / "two.png")
    # Readable on pages of either kind: no background of its own, and colours that differ from both.
    assert image[0, 0, 3] == 0
    drawn = image[image[..., 3] == 1][:, :3]
    assert drawn.std() > 0.1


def test_without_matplotlib_names_the_extra(two_columns, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cumulant\[plot\]'"):
        draw([wave_surface()], tmp_path / "x.svg")
    assert not (tmp_path / "x.svg").exists()


def test_plain_data_of_a_surface(two_columns):
    import json

    surface = valley(two_columns, (0, 1), ["a", "b", "c"])
    plain = json.loads(json.dumps(surface.to_dict()))
    assert plain["answer"] == pytest.approx(list(surface.answer))
    assert len(plain["paths"][0]) == len(surface.paths[0])
    assert plain["floor"] == pytest.approx(
        Goal.of(LeastSquares.from_arrays(two_columns.X[:, :2], two_columns.y)).optimal_loss
    )
