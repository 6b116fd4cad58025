"""Corners that are followed: where they went, whether they stand, and what is looked at to tell."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import filmed, scene, shake
from vgan.preprocess import matchers
from vgan.preprocess.matchers import KltMatcher, SiftMatcher, follow


def _view(x: float, y: float = 0.0) -> NDArray[np.uint8]:
    """A grey picture whose things lie `x` further right and `y` further down than straight ahead."""
    place = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ shake(1, 0)[0]
    return np.asarray(cv2.cvtColor(filmed(scene(1), [place])[0], cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, -0.25), (6.0, 4.0), (-17.0, 9.0), (30.0, 0.0)])
def test_corners_are_followed_near_and_far(shift: tuple[float, float]) -> None:
    matcher = KltMatcher()
    matcher.anchor(_view(0))
    points, old_points = matcher.match(_view(*shift))
    assert len(points) >= 30
    off = np.linalg.norm(points - old_points - np.array(shift), axis=1)
    assert np.median(off) < 0.1 and (off < 0.5).mean() > 0.75


def test_scouts_that_disagree_send_every_corner_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = []

    def spy(*given: object, **options: object) -> object:
        levels.append(options.get("levels", 0))
        return follow(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(matchers, "follow", spy)
    matcher = KltMatcher()
    matcher.anchor(_view(0))
    matcher.match(_view(2))
    assert levels == [1, 0]
    matcher.match(np.random.default_rng(0).integers(0, 256, (120, 160), np.uint8))
    assert levels[2:] == [1, 3]


def test_what_stands_is_seen_at_a_look_and_what_moves_is_not() -> None:
    grain = np.random.default_rng(0).normal(0, 4, (120, 160))
    matcher = KltMatcher()
    matcher.anchor(_view(0))
    assert matcher.stands(np.clip(_view(0) + grain, 0, 255).astype(np.uint8), 0.5)
    assert not matcher.stands(_view(1.5), 0.5)
    assert not matcher.stands(np.full((120, 160), 128, np.uint8), 0.5)
    nothing = KltMatcher()
    nothing.anchor(np.full((120, 160), 128, np.uint8))
    assert not nothing.stands(np.full((120, 160), 128, np.uint8), 0.5)


def test_landmarks_are_some_of_the_corners_from_all_over() -> None:
    matcher = KltMatcher()
    matcher.anchor(_view(0))
    landmarks = matcher.landmarks()
    assert 32 <= len(landmarks) < 128
    assert len({(int(x) // 40, int(y) // 30) for x, y in landmarks}) >= 12  # of 16 parts
    sift = SiftMatcher()
    sift.anchor(_view(0))
    assert len(sift.landmarks()) == 0 and not sift.stands(_view(0), 5.0)  # the paper compares neighbours
