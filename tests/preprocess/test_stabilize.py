"""Warping, cropping and filling against plain computations."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.footage_factory import filmed, scene, shake
from vgan.preprocess.motion import STILL, Motion
from vgan.preprocess.stabilize import Geometry, mean_square, psnr, stabilize


@given(width=st.integers(8, 900), height=st.integers(8, 900), size=st.sampled_from([16, 64, 128]))
def test_canvas_lies_in_the_middle_and_is_large_enough(width: int, height: int, size: int) -> None:
    geometry = Geometry.of((width, height), size, 240)
    assert size <= geometry.canvas <= 2 * size
    left, top = geometry.corner
    for start, side in ((left, geometry.small[0]), (top, geometry.small[1])):
        assert start >= 0 and abs(side - geometry.canvas - 2 * start) <= 1
    assert min(geometry.estimation) <= max(240, 0) or min(geometry.estimation) == min(width, height)
    assert abs(geometry.small[0] / geometry.small[1] - width / height) <= width / height * 2 / min(
        geometry.small
    ) + 1e-9 or (min(width, height) < 16)


def test_unmoved_frames_are_cropped_and_averaged_only() -> None:
    frames = filmed(scene(0), shake(4, 0), height=32, width=48)
    geometry = Geometry.of((48, 32), 16)
    clip = stabilize(list(frames), [STILL] * 4, geometry)
    middle = frames[:, :, 8:40].reshape(4, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(clip.pixels - middle).max() <= 0.75
    assert clip.filled_share == clip.worst_filled_share == 0
    same = stabilize(list(frames[:, 8:24, 8:24]), [STILL] * 4, Geometry.of((16, 16), 16))
    np.testing.assert_array_equal(same.pixels, frames[:, 8:24, 8:24])


def test_known_shake_is_undone() -> None:
    places = shake(8, 1)
    frames = filmed(scene(1), places)
    motions = [STILL] + [Motion(one @ np.linalg.inv(two)) for one, two in pairwise(places)]
    geometry = Geometry.of((160, 120), 32)
    clip = stabilize([geometry.shrink(frame) for frame in frames], motions, geometry)
    apart = np.abs(clip.pixels[1:, 6:-6, 6:-6].astype(int) - clip.pixels[0, 6:-6, 6:-6]).mean()
    before = stabilize([geometry.shrink(frame) for frame in frames], [STILL] * 8, geometry)
    assert apart < 3 < 10 < np.abs(before.pixels[1:].astype(int) - before.pixels[0]).mean()
    assert clip.psnr > before.psnr + 8


def test_whole_pixel_shift_is_exact_and_holes_come_from_the_frame_before() -> None:
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    right = Motion(np.array([[1, 0, 4], [0, 1, 0], [0, 0, 1]], np.float64))  # lies 4 pixels further right in the first
    clip = stabilize(list(frames), [STILL, right, STILL], Geometry.of((32, 32), 32))
    np.testing.assert_array_equal(clip.pixels[0], frames[0])
    for index in (1, 2):
        # The frame's border is doubtful for 2 pixels more (the paper's 5 x 5 erosion).
        np.testing.assert_array_equal(clip.pixels[index][:, 6:], frames[index][:, 2:28])
        np.testing.assert_array_equal(clip.pixels[index][:, :6], frames[0][:, :6])
    assert clip.filled_share == pytest.approx(2 / 3 * 6 / 32)
    assert clip.worst_filled_share == 6 / 32


def test_psnr_counts_what_both_frames_show() -> None:
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    frames[1, :, 10] = 255  # lands in column 14, which is shown
    right = Motion(np.array([[1, 0, 4], [0, 1, 0], [0, 0, 1]], np.float64))
    clip = stabilize(list(frames), [STILL, right], Geometry.of((32, 32), 32))
    assert clip.psnr == pytest.approx(10 * np.log10(26))  # one of 26 columns differs by 255


def test_motion_of_scaled_frames_is_scaled_about_pixel_centres() -> None:
    geometry = Geometry.of((320, 240), 32, 120)
    assert (geometry.estimation, geometry.small, geometry.corner) == ((160, 120), (85, 64), (10, 0))
    matrix = np.array([[1.02, 0.03, 5], [-0.02, 0.99, -3], [1e-4, -2e-4, 1]])
    placed = geometry.on_canvas(matrix)
    for x, y in ((10.0, 20.0), (100.0, 50.0)):
        u, v, w = matrix @ (x, y, 1)
        small = ((x + 0.5) * 85 / 160 - 0.5, (y + 0.5) * 64 / 120 - 0.5)
        expected = ((u / w + 0.5) * 85 / 160 - 0.5 - 10, (v / w + 0.5) * 64 / 120 - 0.5)
        a, b, c = placed @ (*small, 1)
        np.testing.assert_allclose((a / c, b / c), expected, atol=1e-9)


def test_gray_is_made_at_estimation_size() -> None:
    frame = filmed(scene(3), shake(1, 3))[0]
    gray = Geometry.of((160, 120), 16, 60).gray(frame)
    expected = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).reshape(60, 2, 80, 2).mean((1, 3))
    assert gray.shape == (60, 80) and np.abs(gray - expected).max() <= 0.75


def test_small_frames_are_enlarged() -> None:
    frames = filmed(scene(4), shake(2, 4), height=12, width=20)
    geometry = Geometry.of((20, 12), 16)
    clip = stabilize([geometry.shrink(frame) for frame in frames], [STILL] * 2, geometry)
    assert clip.pixels.shape == (2, 16, 16, 3)
    assert np.abs(clip.pixels.mean((1, 2)) - frames[:, :, 4:16].mean((1, 2))).max() < 8


def test_unknown_motion_is_refused() -> None:
    frames = filmed(scene(5), shake(2, 5), height=16, width=16)
    with pytest.raises(ValueError, match="all known"):
        stabilize(list(frames), [STILL, Motion(None, "lost")], Geometry.of((16, 16), 16))


def test_psnr_and_mean_square() -> None:
    one, two = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 10, np.uint8)
    assert mean_square(one, two) == pytest.approx(100)
    assert psnr(100) == pytest.approx(28.1308, abs=1e-4)
    assert psnr(0) == psnr(1e-12) == 100
    shown = np.zeros((4, 4), np.uint8)
    assert mean_square(one, two, shown) == 0
    two[0, 0] = 20
    shown[0, :2] = 255
    assert mean_square(one, two, shown) == pytest.approx(250)
