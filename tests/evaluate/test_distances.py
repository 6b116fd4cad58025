import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from vgan.evaluate.distances import frechet, mean_distance, principal_directions


def _gaussian(count: int, dimensions: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal(
        size=dimensions
    )


def _frechet_by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """With a matrix root, as Heusel et al. (2017) write it."""
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariance_a @ covariance_b).real
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift + np.trace(covariance_a + covariance_b - 2 * root))


@pytest.mark.parametrize(("n", "m", "d"), [(50, 70, 5), (300, 100, 20), (40, 40, 12)])
def test_frechet_is_the_definition_with_a_matrix_root(n: int, m: int, d: int) -> None:
    a, b = _gaussian(n, d, 1), _gaussian(m, d, 2)
    assert frechet(a, b) == pytest.approx(_frechet_by_definition(a, b), rel=1e-8)


def test_frechet_of_moments_known_in_closed_form() -> None:
    # Points at ±1 along each axis have mean 0 and covariance 2/(n - 1) on the diagonal; scale and shift one copy.
    d, shift = 6, np.arange(6) / 3
    points = np.concatenate([np.eye(d), -np.eye(d)])
    scales = np.array([0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
    variance = 2 / (2 * d - 1)
    expected = np.square(shift).sum() + variance * np.square(1 - scales).sum()
    assert frechet(points, points * scales + shift) == pytest.approx(expected, rel=1e-12)


def test_frechet_approaches_the_distance_of_the_gaussians_drawn_from() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (20_000, 3)), rng.normal(0.5, 2, (20_000, 3))
    assert frechet(a, b) == pytest.approx(3 * (0.5**2 + 1), rel=0.05)


@pytest.mark.parametrize(("n", "m"), [(5, 9), (2, 2), (30, 10)])
def test_frechet_with_fewer_points_than_dimensions_ignores_the_empty_ones(n: int, m: int) -> None:
    """The points span few dimensions: within these, the definition with a root is well-conditioned enough."""
    a, b = _gaussian(n, 40, 3), _gaussian(m, 40, 4)
    basis, _ = np.linalg.qr(np.concatenate([a, b]).T)
    rotated = frechet(a @ basis, b @ basis)
    assert frechet(a, b) == pytest.approx(rotated, rel=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9 * np.square(a).sum())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 30), m=st.integers(2, 30), d=st.integers(1, 30))
def test_frechet_is_a_symmetric_distance_that_order_and_rotation_leave_alone(seed: int, n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * rng.uniform(0.1, 3, d) + rng.normal(size=d)
    rotation, _ = np.linalg.qr(rng.normal(size=(d, d)))
    value = frechet(a, b)
    assert value >= 0
    assert frechet(b, a) == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert frechet(rng.permutation(a), rng.permutation(b)) == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert frechet(a @ rotation, b @ rotation) == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert frechet(3 * a, 3 * b) == pytest.approx(9 * value, rel=1e-9, abs=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_rounding_never_makes_a_distance_negative() -> None:
    same = [_gaussian(12, 5, seed) * 100 for seed in range(30)]
    values = [frechet(points, points[::-1]) for points in same]
    assert min(values) == 0 and max(values) < 1e-6


def test_frechet_wants_two_points_a_side() -> None:
    with pytest.raises(ValueError, match="got 1 and 3"):
        frechet(np.zeros((1, 2)), np.zeros((3, 2)))


def test_frechet_takes_float32_without_losing_digits() -> None:
    a, b = (_gaussian(60, 8, seed).astype(np.float32) + 1000 for seed in (5, 6))
    assert frechet(a, b) == pytest.approx(frechet(a.astype(float), b.astype(float)), rel=1e-12)


def test_principal_directions_find_the_axes_that_vary() -> None:
    rng = np.random.default_rng(0)
    spread = np.array([0.01, 5, 0.1, 1, 0.001])
    points = rng.normal(size=(500, 5)) * spread + 7
    directions = principal_directions(points, 2)
    assert np.abs(directions.basis).argmax(0).tolist() == [1, 3]
    assert directions.basis.T @ directions.basis == pytest.approx(np.eye(2), abs=1e-12)
    # Coordinates have the covariance's largest eigenvalues as variances and no mean.
    eigenvalues = np.linalg.eigvalsh(np.cov(points, rowvar=False, bias=True))[::-1]
    coordinates = directions.project(points)
    assert coordinates.var(0) == pytest.approx(eigenvalues[:2], rel=1e-9)
    assert coordinates.mean(0) == pytest.approx([0, 0], abs=1e-12)
    assert directions.variance_kept(points) == pytest.approx(eigenvalues[:2].sum() / eigenvalues.sum(), rel=1e-9)


def test_all_directions_keep_every_distance() -> None:
    a, b = _gaussian(40, 6, 7), _gaussian(40, 6, 8)
    directions = principal_directions(a, 99)
    assert directions.basis.shape == (6, 6)
    assert frechet(directions.project(a), directions.project(b)) == pytest.approx(frechet(a, b), rel=1e-9)
    assert mean_distance(directions.project(b)) == pytest.approx(mean_distance(b), rel=1e-9)


def test_points_that_do_not_vary_keep_all_of_no_variance() -> None:
    assert principal_directions(_gaussian(9, 3, 0), 1).variance_kept(np.ones((4, 3))) == 1


def test_mean_distance_is_the_mean_over_all_pairs() -> None:
    points = _gaussian(12, 4, 9)
    pairs = [np.linalg.norm(points[i] - points[j]) for i in range(12) for j in range(i)]
    assert mean_distance(points) == pytest.approx(np.mean(pairs), rel=1e-12)
    assert mean_distance(np.array([[0.0, 0.0], [3.0, 4.0]])) == 5
    with pytest.raises(ValueError, match="got 1"):
        mean_distance(points[:1])
