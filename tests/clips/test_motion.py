import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.clips import moving_blobs
from vgan.clips.motion import MOVING_LEVELS, moving_share, quantiles


@pytest.mark.parametrize(("levels", "expected"), [(MOVING_LEVELS, 0.0), (MOVING_LEVELS + 1, 3 / 4 * 1 / 16)])
@pytest.mark.parametrize("up", [True, False])
def test_pixels_count_that_change_by_more_than_the_threshold(levels: int, expected: float, up: bool) -> None:
    clip = np.full((1, 5, 4, 4, 3), 100, np.uint8)
    for t in (1, 2, 3):  # one pixel of 16 changes in 3 of 4 steps
        clip[0, t:, 2, 1] = 100 + t * levels * (1 if up else -1)
    assert moving_share(clip).tolist() == [expected]


def test_colours_are_averaged_before_the_threshold() -> None:
    clip = np.zeros((2, 2, 1, 1, 3), np.uint8)
    clip[0, 1, 0, 0] = [3 * MOVING_LEVELS, 0, 0]  # the mean is the threshold itself
    clip[1, 1, 0, 0] = [3 * MOVING_LEVELS, 1, 0]
    assert moving_share(clip).tolist() == [0.0, 1.0]


def test_whole_range_does_not_wrap_around() -> None:
    clip = np.zeros((1, 3, 2, 2, 3), np.uint8)
    clip[0, 1] = 255
    assert moving_share(clip).tolist() == [1.0]


def test_agrees_with_a_plain_count_on_moving_blobs() -> None:
    clips = moving_blobs(5, 0)
    plain = [(np.abs(np.diff(clip.astype(int), axis=0)).mean(-1) > MOVING_LEVELS).mean() for clip in clips]
    assert moving_share(clips) == pytest.approx(plain)
    assert min(plain) > 0 and max(plain) < 1
    assert moving_share(clips[:, ::-1]) == pytest.approx(plain)
    assert moving_share(clips[:, :1].repeat(16, 1)).max() == 0


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_quantiles_rise_from_least_to_most(values: list[float]) -> None:
    curve = quantiles(np.array(values), 10)
    assert len(curve) == 11
    assert curve[0] == min(values) and curve[-1] == max(values)
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[5] == pytest.approx(np.median(values))
