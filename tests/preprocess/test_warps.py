"""Maps between pictures' planes: fitted against known ones, and which of them are believed."""

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from vgan.preprocess.warps import Matrix, Points, apply, between, corner_shift, fit, is_sane

SIMILAR = np.array([[1.02, -0.03, 4], [0.03, 1.02, -2], [0, 0, 1]])
TILTED = np.array([[1.01, 0.02, 3], [-0.01, 0.98, -2], [2e-4, -1e-4, 1]])


def _matched(matrix: Matrix, noise: float, outliers: int = 0) -> tuple[Points, Points]:
    """A hundred points of a 320 x 240 picture and where `matrix` takes them, give or take `noise` pixels."""
    rng = np.random.default_rng(0)
    points = rng.uniform((0, 0), (320, 240), (100, 2)).astype(np.float32)
    there = apply(matrix, points) + rng.normal(0, noise, points.shape)
    there[:outliers] += rng.uniform(10, 60, (outliers, 2))
    return points, there.astype(np.float32)


def _apart(one: Matrix, two: Matrix) -> NDArray[np.float64]:
    corners = np.array([(0, 0), (320, 0), (320, 240), (0, 240)], np.float32)
    return np.asarray(np.linalg.norm(apply(one, corners) - apply(two, corners), axis=1))


@pytest.mark.parametrize("method", ["magsac", "ransac"])
@pytest.mark.parametrize("model", ["homography", "similarity"])
def test_a_known_map_is_found_among_outliers(
    model: Literal["homography", "similarity"], method: Literal["magsac", "ransac"]
) -> None:
    points, there = _matched(SIMILAR, 0.1, outliers=40)
    found = fit(points, there, model=model, method=method, threshold=2.0)
    assert found is not None
    assert _apart(found[0], SIMILAR).max() < 1 and found[0][2, 2] == 1
    assert not found[1][:40].any() and found[1][40:].mean() > 0.95


def test_a_similarity_has_four_numbers_and_a_homography_eight() -> None:
    points, there = _matched(TILTED, 0.1)
    similar = fit(points, there, model="similarity", method="magsac", threshold=3.0)
    tilted = fit(points, there, model="homography", method="magsac", threshold=3.0)
    assert similar is not None and tilted is not None
    a, b = similar[0][0, 0], similar[0][1, 0]
    np.testing.assert_allclose(similar[0][:, :2], [(a, -b), (b, a), (0, 0)], atol=1e-12)
    assert _apart(tilted[0], TILTED).max() < 0.6 < 3 < _apart(similar[0], TILTED).max()


def test_a_homography_is_not_taken_where_a_similarity_explains_as_much() -> None:
    points, there = _matched(SIMILAR, 0.3)
    bent = fit(points, there, model="homography", method="magsac", threshold=2.0)
    plain = fit(points, there, model="similarity", method="magsac", threshold=2.0)
    papers = fit(points, there, model="homography", method="ransac", threshold=2.0)
    assert bent is not None and plain is not None and papers is not None
    np.testing.assert_array_equal(bent[0], plain[0])
    assert np.abs(papers[0][2, :2]).min() > 0  # the paper's is one always


@pytest.mark.parametrize("model", ["homography", "similarity"])
def test_points_in_one_place_tell_nothing(model: Literal["homography", "similarity"]) -> None:
    points = np.full((20, 2), 7, np.float32)
    found = fit(points, points, model=model, method="magsac", threshold=2.0)
    assert found is None or not is_sane(found[0], (240, 320)) or corner_shift(found[0], (240, 320)) < 1e-3


def test_between_goes_from_one_frame_to_the_one_before() -> None:
    step = between(SIMILAR, TILTED)
    assert step[2, 2] == 1
    corners = np.array([(0, 0), (320, 0), (320, 240)], np.float32)
    np.testing.assert_allclose(
        apply(TILTED, apply(step, corners).astype(np.float32)), apply(SIMILAR, corners), atol=1e-3
    )


def test_corner_shift_is_that_of_the_corner_that_moves_furthest() -> None:
    assert corner_shift(np.array([[1, 0, 3], [0, 1, 4], [0, 0, 1.0]]), (240, 320)) == pytest.approx(5)
    assert corner_shift(np.diag([1.1, 1.0, 1.0]), (240, 320)) == pytest.approx(32)


@pytest.mark.parametrize(
    ("matrix", "sane"),
    [
        (np.eye(3), True),
        (np.array([[1.1, 0.1, 5], [-0.1, 1.1, -5], [0, 0, 1]]), True),
        (np.array([[1, 0, 200], [0, 1, 0], [0, 0, 1]]), False),  # far away
        (np.diag([-1.0, 1.0, 1.0]), False),  # mirrored
        (np.diag([0.5, 0.5, 1.0]), False),  # a quarter of the area
        (np.diag([1.6, 1.6, 1.0]), False),
        (np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]]), False),  # the horizon is inside
        (np.full((3, 3), np.nan), False),
    ],
)
def test_sane_homographies(matrix: Matrix, sane: bool) -> None:
    assert is_sane(matrix, (120, 160)) is sane
