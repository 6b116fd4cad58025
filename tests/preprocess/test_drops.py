"""What each stabiliser makes of footage that cannot or must not be stabilised: kept as it is, or dropped and why."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.footage_factory import MARGIN, Frames, Matrix, filmed, params, scene, shake
from vgan.preprocess.windows import Candidate, candidates

STABILIZERS = ["klt", "sift", "vidstab"]
COUNT = 16


def _clip(frames: Frames, stabilizer: str, **changes: object) -> Candidate:
    # No cuts are looked for, so that what jumps gets as far as the stabiliser.
    return next(candidates(frames, params(stabilizer=stabilizer, cut_threshold=0.0, **changes)))


def _pan(step: int) -> Frames:
    places = [np.array([[1, 0, -MARGIN - step * k], [0, 1, -MARGIN], [0, 0, 1]], np.float64) for k in range(COUNT)]
    return filmed(scene(1, width=160 + COUNT * step), places)


def _zoom(factor: float) -> Frames:
    straight = shake(1, 0)[0]

    def place(zoom: float) -> Matrix:
        return np.array([[zoom, 0, 80 * (1 - zoom)], [0, zoom, 60 * (1 - zoom)], [0, 0, 1]]) @ straight

    return filmed(scene(1), [place(factor**k) for k in range(COUNT)])


def _noise() -> Frames:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 120, 160, 3), np.uint8)


def _still() -> Frames:
    return filmed(scene(1), shake(1, 0)).repeat(COUNT, 0)


def _lit(light: object) -> Frames:
    return np.asarray(np.clip(_still() + np.asarray(light), 0, 255), np.uint8)


def _grainy(picture: object, sigma: float) -> Frames:
    grain = np.random.default_rng(0).normal(0, sigma, (COUNT, 120, 160, 1))
    return np.clip(np.broadcast_to(np.asarray(picture), (COUNT, 120, 160, 3)) + grain, 0, 255).astype(np.uint8)


def _rolling() -> Frames:
    """Light that flickers while the rows are read: bands that run through the picture."""
    phase = np.arange(120)[None, :] / 60 + np.arange(COUNT)[:, None] / 5
    return _lit(20 * np.sin(2 * np.pi * phase)[:, :, None, None])


def _huge_passer() -> Frames:
    """Half of the picture is covered by something of strong contrast on its way through."""
    blocks = np.random.default_rng(9).integers(0, 2, (20, 22))
    thing = (np.kron(blocks, np.ones((5, 5))) * 200 + 30).astype(np.uint8)
    frames = _still()
    for index, frame in enumerate(frames):
        left = 9 * index - 100
        visible = slice(max(0, left), min(160, left + 110))
        frame[10:110, visible] = thing[:, visible.start - left : visible.stop - left, None]
    return frames


UNTOUCHED: dict[str, Callable[[], Frames]] = {
    "fog": lambda: _grainy(128, 2.0),
    "a wall": lambda: _grainy(np.linspace(60, 200, 160)[None, None, :, None], 1.5),
    "an exposure that adapts": lambda: _lit(4 * np.arange(COUNT)[:, None, None, None]),
    "rolling light": _rolling,
}


@pytest.mark.parametrize("stabilizer", STABILIZERS)
@pytest.mark.parametrize("what", UNTOUCHED)
def test_a_fixed_camera_is_left_alone_before(what: str, stabilizer: str) -> None:
    frames = UNTOUCHED[what]()
    clip, plain = _clip(frames, stabilizer), _clip(frames, "none")
    assert clip.reason == "" and clip.filled_share == 0
    assert clip.pixels is not None and plain.pixels is not None
    np.testing.assert_array_equal(clip.pixels, plain.pixels)


@pytest.mark.parametrize("stabilizer", STABILIZERS)
def test_something_huge_that_passes_is_not_taken_for_the_camera(stabilizer: str) -> None:
    frames = _huge_passer()
    clip, plain = _clip(frames, stabilizer), _clip(frames, "none")
    assert plain.pixels is not None
    if stabilizer == "vidstab":  # too few of its parts are left to tell
        assert clip.reason == "fewer than 10 matches"
    else:
        assert clip.pixels is not None
        np.testing.assert_array_equal(clip.pixels, plain.pixels)


LOST: dict[str, tuple[Callable[[], Frames], dict[str, set[str]]]] = {
    "noise": (
        _noise,
        {
            "klt": {"only a part of the picture moves", "no homography that enough points follow"},
            "sift": {"fewer than 10 matches"},
            "vidstab": {"fewer than 10 matches"},
        },
    ),
    "leaps": (
        lambda: _pan(100),
        {
            "klt": {"no plausible homography", "only a part of the picture moves"},
            "sift": {"no plausible homography"},
            "vidstab": {"fewer than 10 matches"},
        },
    ),
    "strong zoom": (lambda: _zoom(1.5), {key: {"no plausible homography"} for key in STABILIZERS}),
    "fast pan": (
        lambda: _pan(20),
        {
            "klt": {"camera leaves the scene: over 50% of a frame filled"},
            "sift": {"camera leaves the scene: over 50% of a frame filled"},
            "vidstab": {"fewer than 10 matches"},
        },
    ),
}


@pytest.mark.parametrize("stabilizer", STABILIZERS)
@pytest.mark.parametrize("what", LOST)
def test_a_clip_that_cannot_be_aligned_is_dropped_and_says_why(what: str, stabilizer: str) -> None:
    frames, reasons = LOST[what]
    clip = _clip(frames(), stabilizer)
    assert clip.pixels is None and clip.reason in reasons[stabilizer]


@pytest.mark.parametrize("stabilizer", STABILIZERS)
def test_each_bar_drops_for_its_own_reason(stabilizer: str) -> None:
    frames = filmed(scene(7), shake(COUNT, 7, shift=3.0))
    kept = _clip(frames, stabilizer)
    assert kept.pixels is not None and 0 < kept.reprojection_error < 1 and 0 < kept.inlier_share <= 1
    below = kept.reprojection_error / 2
    assert _clip(frames, stabilizer, max_reprojection_error=below).reason == f"reprojection error above {below:g}"
    assert _clip(frames, stabilizer, min_matches=10_000).reason == "fewer than 10000 matches"
    away = "camera leaves the scene: over 0% of a frame filled"
    assert _clip(frames, stabilizer, max_filled_share=0.0).reason == away


@pytest.mark.parametrize("stabilizer", STABILIZERS)
def test_a_similarity_undoes_shift_turn_and_zoom(stabilizer: str) -> None:
    frames = filmed(scene(8), shake(COUNT, 8))
    clip = _clip(frames, stabilizer, motion_model="similarity")
    assert clip.pixels is not None and clip.psnr_after > clip.psnr_before + 6
