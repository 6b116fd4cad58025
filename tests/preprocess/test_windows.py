"""Frames to candidate clips: which windows there are, what they hold, and why some are dropped."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.footage_factory import MARGIN, Frames, filmed, params, scene, shake, with_passer
from vgan.preprocess.motion import STILL, Motion
from vgan.preprocess.windows import candidates, decoding_side


def _starts(count: int, frames: int, stride: int) -> list[int]:
    return list(range(0, count - frames + 1, stride))


@settings(max_examples=20, deadline=None)
@given(count=st.integers(0, 60), stride=st.integers(1, 40))
def test_windows_of_a_still_video_are_slices_of_it(count: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(40, 200, (16, 16, 3))
    frames = np.array([base + k % 2 for k in range(count)], np.uint8)
    found = list(candidates(frames, params(stride=stride, stabilizer="none")))
    assert [clip.start for clip in found] == _starts(count, 16, stride)
    for clip in found:
        assert clip.pixels is not None and clip.reason == ""
        np.testing.assert_array_equal(clip.pixels, frames[clip.start : clip.start + 16])
        assert clip.psnr_before == clip.psnr_after == pytest.approx(48.13, abs=0.01)  # neighbours differ by 1


def test_no_window_crosses_a_cut() -> None:
    shots = [with_passer(filmed(scene(k), shake(n, k, shift=0.3, turn=0.001))) for k, n in ((0, 30), (1, 12), (2, 40))]
    found = list(candidates(np.concatenate(shots), params(stride=4)))
    expected = [(0, start) for start in _starts(30, 16, 4)] + [(2, 42 + start) for start in _starts(40, 16, 4)]
    assert [(clip.shot, clip.start) for clip in found] == expected


@pytest.mark.parametrize("stabilizer", ["klt", "sift"])
def test_shaken_footage_is_steadied(stabilizer: str) -> None:
    frames = filmed(scene(3), shake(32, 3))
    found = list(candidates(frames, params(stabilizer=stabilizer)))
    assert [clip.start for clip in found] == [0, 8, 16]
    for clip in found:
        assert clip.pixels is not None and clip.psnr_after > clip.psnr_before + 6
        assert 0 < clip.filled_share < 0.3 and clip.reprojection_error < 1 and clip.inlier_share > 0.5
        first = next(candidates(frames[clip.start : clip.start + 1].repeat(16, 0), params(stabilizer="none")))
        assert first.pixels is not None
        np.testing.assert_array_equal(clip.pixels[0], first.pixels[0])  # aligned to the clip's own first frame


def test_fixed_camera_is_left_untouched() -> None:
    frames = with_passer(filmed(scene(4), shake(1, 4)).repeat(24, 0))
    one, two = (list(candidates(frames, params(stabilizer=kind))) for kind in ("klt", "none"))
    for clip, plain in zip(one, two, strict=True):
        assert clip.pixels is not None and plain.pixels is not None
        np.testing.assert_array_equal(clip.pixels, plain.pixels)


def test_overlapping_windows_do_not_depend_on_each_other() -> None:
    frames = with_passer(filmed(scene(5), shake(32, 5)))
    dense = {clip.start: clip for clip in candidates(frames, params(stride=2))}
    for clip in candidates(frames, params(stride=8)):
        twin = dense[clip.start].pixels
        assert clip.pixels is not None and twin is not None
        np.testing.assert_array_equal(clip.pixels, twin)


def test_frames_are_taken_as_they_come() -> None:
    """Memory does not grow: a clip is out before frames far behind it are asked for."""
    asked = 0

    def endless() -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        nonlocal asked
        still = filmed(scene(6), shake(1, 6))[0]
        while True:
            asked += 1
            yield still

    found = candidates(endless(), params(stride=8))
    for number in range(4):
        clip = next(found)
        assert clip.start == 8 * number and asked <= clip.start + 16 + 2


def _reasons(frames: Frames, **changes: object) -> set[str]:
    return {clip.reason for clip in candidates(frames, params(**changes)) if clip.pixels is None}


def test_dropped_windows_say_why() -> None:
    frames = filmed(scene(7), shake(20, 7, shift=4.0))
    assert _reasons(frames) == set()
    assert _reasons(frames, max_reprojection_error=1e-6) == {"reprojection error above 1e-06"}
    assert _reasons(frames, min_matches=10_000) == {"fewer than 10000 matches"}
    away = [np.array([[1, 0, -MARGIN - 4 * k], [0, 1, -MARGIN], [0, 0, 1]], np.float64) for k in range(20)]
    pan = filmed(scene(7, width=300), away)
    assert _reasons(pan) == set()
    assert _reasons(pan, max_filled_share=0.1) == {"camera leaves the scene: over 10% of a frame filled"}


def test_paper_sees_whole_frames() -> None:
    assert decoding_side(params(stabilizer="sift")) is None
    assert decoding_side(params(estimation_height=240, size=64)) == 240
    assert decoding_side(params(estimation_height=100, size=64)) == 128


def test_frames_that_stand_still_do_not_hide_the_error_of_those_that_move(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Motion(np.array([[1.0, 0, 0.6], [0, 1, 0], [0, 0, 1]]), error=1.5)

    class Estimator:
        def __init__(self) -> None:
            self.count = 0

        def step(self, _: object) -> Motion:
            self.count += 1
            return moved if self.count in (4, 9) else STILL

    monkeypatch.setattr("vgan.preprocess.windows.new_estimator", lambda _: Estimator())
    frames = filmed(scene(0), shake(1, 0) * 16)
    (kept,) = candidates(iter(frames), params(stabilizer="klt", max_reprojection_error=2.0))
    assert kept.reprojection_error == 1.5 and kept.reason == ""
    (dropped,) = candidates(iter(frames), params(stabilizer="klt", max_reprojection_error=1.0))
    assert dropped.reason == "reprojection error above 1"
