"""Evidence of symmetries, against numerical integration, simulation and the full enumeration of S_p."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import toeplitz
from scipy.special import multigammaln

import cumulant.symmetry as sym
from cumulant.errors import OptionError
from cumulant.symmetry.evidence import likelihood_ratio_mean, likelihood_ratio_tail, shapes
from cumulant.symmetry.exhaustive import search_cyclic

Array = np.ndarray
DELTA = 3.0


def scatter(p: int, n: int, seed: int = 0) -> Array:
    x = np.random.default_rng(seed).normal(size=(n, p)) @ np.diag(np.linspace(1, 1.5, p))
    x += np.random.default_rng(seed + 1).normal(size=(n, 1))
    return (x - x.mean(0)).T @ (x - x.mean(0))


evidence = sym.log_evidence


def integral(matrices: list[Array], power: float, d: Array, box: float) -> float:
    """ln ∫ |K|^power exp(−½ tr K D) over K = Σ t_i M_i > 0, by the midpoint rule in t."""
    scale = np.abs(np.linalg.inv(d)).max() * (2 * power + 2)
    step = 2 * box * scale / 500
    t = (np.arange(500) + 0.5) * step - box * scale
    points = np.stack(np.meshgrid(*[t] * len(matrices)), axis=-1).reshape(-1, len(matrices))
    k = np.einsum("ma,aij->mij", points, np.array(matrices, dtype=float))
    w = np.linalg.eigvalsh(k)
    inside = w[:, 0] > 0
    logs = power * np.log(w[inside]).sum(axis=1) - 0.5 * np.einsum("mij,ij->m", k[inside], d)
    return float(np.log(np.exp(logs - logs.max()).sum()) + logs.max() + len(matrices) * np.log(step))


@pytest.mark.parametrize(
    ("group", "matrices"),
    [
        (sym.trivial(1), [np.eye(1)]),
        (sym.symmetric(2), [np.full((2, 2), 0.5), np.eye(2) - 0.5]),
        (sym.cyclic(3), [np.eye(3), np.ones((3, 3)) - np.eye(3)]),
        (sym.symmetric(3), [np.eye(3), np.ones((3, 3)) - np.eye(3)]),
        (sym.z2(2, [[0], [1]]), [np.diag([1, 0]), np.diag([0, 1])]),
    ],
    ids=lambda x: str(x) if isinstance(x, sym.Group) else "",
)
def test_evidence_is_the_integral_over_invariant_precisions(group: sym.Group, matrices: list[Array]) -> None:
    p, nu = group.degree, 5
    s, prior = scatter(p, nu + 1), np.diag(np.arange(2.0, 2 + p))
    after = integral(matrices, (DELTA - 2 + nu) / 2, prior + s, 4.0)
    before = integral(matrices, (DELTA - 2) / 2, prior, 12.0)
    assert evidence(group, s, nu, prior) == pytest.approx(after - before, abs=5e-3)


def test_evidence_without_symmetry_is_the_wishart_normalisation() -> None:
    p, nu = 4, 9
    s, prior = scatter(p, nu + 1), np.diag([1.0, 2.0, 3.0, 4.0])

    def normalisation(delta: float, d: Array) -> float:
        # ∫ |K|^(δ−2)/2 exp(−½ tr K D) dK: a Wishart density with δ + p − 1 degrees of freedom.
        f = delta + p - 1
        return float(0.5 * f * p * np.log(2) + multigammaln(0.5 * f, p) - 0.5 * f * np.linalg.slogdet(d)[1])

    expected = normalisation(DELTA + nu, prior + s) - normalisation(DELTA, prior)
    # The constant that all groups share: (2/k)^… of the Lebesgue measure, here ν p/2 ln 2 at k = 1.
    assert evidence(sym.trivial(p), s, nu, prior) == pytest.approx(expected, rel=1e-10)


def test_two_independent_blocks_are_two_evidences() -> None:
    nu = 8
    s, prior = scatter(5, nu + 1), np.eye(5)
    flips = sym.z2(5, [[0, 1], [2, 3, 4]])
    apart = evidence(sym.trivial(2), s[:2, :2], nu, prior[:2, :2]) + evidence(
        sym.trivial(3), s[2:, 2:], nu, prior[2:, 2:]
    )
    assert evidence(flips, s, nu, prior) == pytest.approx(apart, rel=1e-12)


def test_complex_representation_by_monte_carlo() -> None:
    """Two blocks of three on a ring leave a complex 2 × 2 matrix free: E over the prior of the likelihood."""
    group, nu = sym.cyclic([[0, 3], [1, 4], [2, 5]]), 4
    assert sorted(shapes(sym.isotypic(group))) == [(2, 1, 1), (2, 2, 2)]
    rng, prior = np.random.default_rng(3), np.eye(6)
    s = 0.3 * scatter(6, nu + 1)
    shift = np.array([1, 2, 0, 4, 5, 3])

    def averaged(rows: int) -> Array:
        g = rng.normal(size=(100_000, rows, 6))
        k = np.einsum("mai,maj->mij", g, g)
        return (k + k[:, shift][:, :, shift] + k[:, shift[shift]][:, :, shift[shift]]) / 3

    # The prior's density |x|^½ e^{−tr x/2} of the real block is a Wishart matrix of 4 rows; |h| e^{−tr h} of the
    # Hermitian one is a complex Wishart matrix of 3 rows. Both are blocks of averaged matrices of Gaussian rows.
    even = np.kron(np.eye(2), np.full((3, 3), 1 / 3))
    odd = np.eye(6) - even
    k = even @ averaged(4) @ even + odd @ averaged(3) @ odd
    likelihood = nu / 2 * np.linalg.slogdet(k)[1] - 0.5 * np.einsum("mij,ij->m", k, s)
    top = likelihood.max()
    weights = np.exp(likelihood - top)
    error = weights.std() / weights.mean() / np.sqrt(len(weights))
    assert error < 0.02
    assert evidence(group, s, nu, prior) == pytest.approx(top + np.log(weights.mean()), abs=4 * error)


GROUPS = {
    "S3": sym.symmetric(3),
    "C4": sym.cyclic(4),
    "pairs": sym.symmetric([[0, 1], [2, 3]]),
    "flip": sym.z2(4, [[0], [1, 2, 3]]),
    "ring of pairs": sym.cyclic([[0, 3], [1, 4], [2, 5]]),
    "O(2)": sym.orthogonal([[0, 1], [2, 3]]),
    "SO(2)": sym.orthogonal([[0, 1], [2, 3]], proper=True),
}


@pytest.mark.parametrize("name", GROUPS)
def test_null_distribution_of_the_likelihood_ratio(name: str) -> None:
    """Against simulation: invariant rows, few of them, so that chi-squared would be far off."""
    group = GROUPS[name]
    p, n = group.degree, group.degree + 4
    rng, nu = np.random.default_rng(5), group.degree + 3
    blocks = shapes(sym.isotypic(group))
    seen = []
    for _ in range(3000):
        x = rng.normal(size=(n, p))
        s = np.cov(x.T)
        seen.append(nu * (np.linalg.slogdet(sym.reynolds(group, s))[1] - np.linalg.slogdet(s)[1]))
    t = np.array(seen)
    assert likelihood_ratio_mean(blocks, nu) == pytest.approx(t.mean(), abs=4 * t.std() / np.sqrt(len(t)))
    tails = np.array([likelihood_ratio_tail(blocks, x, nu) for x in t[:400]])
    assert stats.kstest(tails, "uniform").pvalue > 1e-3


def test_likelihood_ratio_tail_at_its_ends() -> None:
    blocks = shapes(sym.isotypic(sym.symmetric(3)))
    mean = likelihood_ratio_mean(blocks, 20)
    assert likelihood_ratio_tail(blocks, 0.0, 20) == 1.0
    assert 0.3 < likelihood_ratio_tail(blocks, mean, 20) < 0.6
    assert likelihood_ratio_tail(blocks, 1e4, 20) < 1e-100
    assert np.isnan(likelihood_ratio_tail(blocks, 1.0, 2))


def generated(image: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
    out, at = set(), tuple(range(len(image)))
    while at not in out:
        out.add(at)
        at = tuple(image[i] for i in at)
    return frozenset(out)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5])
def test_search_weighs_every_cyclic_group_of_permutations(p: int) -> None:
    nu = 7
    s = scatter(p, nu + 1, seed=p)
    scale = float(np.trace(s)) / nu / p
    expected = {}
    for image in permutations(range(p)):
        group = generated(image)
        if group not in expected:
            expected[group] = evidence(sym.Group.of(p, [list(image)]), s, nu, scale * np.eye(p))
    found = search_cyclic(s, nu, keep=10_000)
    assert found.tried == len(found.images) == len(expected)
    for image, value in zip(found.images, found.log_evidence, strict=True):
        assert value == pytest.approx(expected[generated(tuple(image.tolist()))], rel=1e-9)
    assert found.identity == pytest.approx(expected[generated(tuple(range(p)))], rel=1e-9)
    assert np.exp(found.log_evidence - found.log_total).sum() == pytest.approx(1.0)
    assert (np.diff(found.log_evidence) <= 0).all()


def test_search_over_all_of_s6_finds_the_posterior_mode() -> None:
    nu = 12
    ring = toeplitz([1.5, 0.8, 0.6, 0.4, 0.6, 0.8])
    x = np.random.default_rng(2).multivariate_normal(np.zeros(6), ring, size=nu + 1)
    s = (x - x.mean(0)).T @ (x - x.mean(0))
    prior = float(np.trace(s)) / nu / 6 * np.eye(6)
    seen: dict[frozenset[tuple[int, ...]], float] = {}
    for image in permutations(range(6)):
        group = generated(image)
        if group not in seen:
            seen[group] = evidence(sym.Group.of(6, [list(image)]), s, nu, prior)
    found = search_cyclic(s, nu)
    assert found.tried == len(seen) == 362
    best = max(seen, key=lambda g: seen[g])
    assert found.log_evidence[0] == pytest.approx(seen[best], rel=1e-9)
    assert seen[generated(tuple(found.images[0].tolist()))] == pytest.approx(seen[best], rel=1e-12)


def test_number_of_cyclic_groups() -> None:
    # OEIS A051625.
    assert [search_cyclic(np.eye(p), 5).tried for p in range(1, 9)] == [1, 2, 5, 17, 67, 362, 2039, 14170]


def test_too_many_columns_to_try_all() -> None:
    with pytest.raises(OptionError, match="13 columns"):
        search_cyclic(np.eye(13), 20)
