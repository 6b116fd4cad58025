"""What the filters measure, against footage of which it is known, and what they drop."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import filmed, params, scene, shake, with_passer
from vgan.clips.motion import moving_share
from vgan.preprocess.filters import look_at, perceptual_hash, residual
from vgan.preprocess.windows import Candidate, candidates

Clip = NDArray[np.uint8]


def _clip(seed: int, step: int = 5) -> Clip:
    """A fixed camera before which a square passes: 16 frames of 64 x 64."""
    frames = with_passer(filmed(scene(seed), shake(1, seed) * 16), step=step)
    return np.stack([cv2.resize(frame[:, 20:140], (64, 64), interpolation=cv2.INTER_AREA) for frame in frames])


def _candidate(pixels: Clip | None, psnr_after: float = 40.0, reason: str = "") -> Candidate:
    return Candidate(
        start=32, shot=0, pixels=pixels, reason=reason, psnr_before=30.0, psnr_after=psnr_after,
        reprojection_error=0.1, inlier_share=1.0, filled_share=0.0,
    )  # fmt: skip


def _apart(one: Clip, two: Clip) -> int:
    return (int(perceptual_hash(one), 16) ^ int(perceptual_hash(two), 16)).bit_count()


def _recoded(clip: Clip) -> Clip:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 40]
    frames = [cv2.imdecode(cv2.imencode(".jpg", frame, quality)[1], cv2.IMREAD_COLOR) for frame in clip]
    return np.array(frames, np.uint8)


def _halved(clip: Clip) -> Clip:
    return np.stack([cv2.resize(cv2.resize(frame, (32, 32)), (64, 64)) for frame in clip])


def _brightened(clip: Clip) -> Clip:
    return np.array(np.clip(clip * 1.1 + 10, 0, 255), np.uint8)


@pytest.mark.parametrize("changed", [_recoded, _halved, _brightened])
@pytest.mark.parametrize("seed", range(4))
def test_copies_have_nearly_the_same_hash(seed: int, changed: object) -> None:
    clip = _clip(seed)
    assert callable(changed)
    assert _apart(clip, changed(clip)) <= 8


def test_other_scenes_and_other_motion_have_other_hashes() -> None:
    clips = [_clip(seed) for seed in range(8)]
    apart = [_apart(one, two) for place, one in enumerate(clips) for two in clips[:place]]
    assert min(apart) > 8  # the same thing passes in the same way, so half of each hash is alike
    # The same camera and place, but nothing passes, or it passes elsewhere.
    still, back = np.repeat(clips[0][:1], 16, 0), np.roll(clips[0], 32, 1)
    assert _apart(clips[0], still) > 12 and _apart(clips[0], back) > 12


def test_hash_is_of_looks_first_and_motion_second() -> None:
    clip = _clip(0)
    still = np.repeat(clip[:1], 16, 0)
    shown = perceptual_hash(still)
    assert len(shown) == 16 and shown.endswith("0" * 8) and not shown.startswith("0" * 8)  # nothing moves
    gray = cv2.cvtColor(still[0], cv2.COLOR_RGB2GRAY).astype(np.float64)
    small = gray.reshape(32, 2, 32, 2).mean((1, 3))
    axis = np.arange(32)
    waves = np.cos(np.pi * np.outer(axis, 2 * axis + 1) / 64) * np.sqrt(2 / 32)  # but for the mean, which is not used
    waves[0] /= np.sqrt(2)
    spectrum = waves @ small @ waves.T
    places = sorted(((i, j) for i in range(8) for j in range(8) if i + j), key=lambda place: (sum(place), place))[:32]
    lowest = np.array([spectrum[place] for place in places])
    expected = np.packbits(lowest > np.median(lowest)).tobytes().hex()
    assert shown[:8] == expected


def test_without_bars_nothing_is_dropped_and_all_is_measured() -> None:
    clip = _clip(0)
    look = look_at(_candidate(clip), params(), None)
    assert (look.reason, look.scene) == ("", "")
    assert look.motion == moving_share(clip[None])[0] > 0 and look.phash == perceptual_hash(clip)


def test_what_stabilising_dropped_keeps_its_reason() -> None:
    look = look_at(_candidate(None, math.nan, "too few matches"), params(min_motion=0.5), lambda _: "beach")
    assert (look.reason, look.phash, look.scene) == ("too few matches", "", "") and math.isnan(look.motion)


def test_still_clips_are_dropped_and_moving_ones_kept() -> None:
    clip = _clip(0)
    share = float(moving_share(clip[None])[0])
    assert look_at(_candidate(clip), params(min_motion=share), None).reason == ""
    over = look_at(_candidate(clip), params(min_motion=0.9), None)
    assert over.reason == "moves less than min_motion = 0.9" and over.motion == share
    still = np.repeat(clip[:1], 16, 0)
    assert look_at(_candidate(still), params(min_motion=0.0), None).reason == ""
    assert look_at(_candidate(still), params(min_motion=1e-6), None).reason == "moves less than min_motion = 1e-06"


def test_residual_is_the_root_mean_square_of_neighbours() -> None:
    frames = filmed(scene(3), shake(1, 3) * 16)
    frames = np.clip(frames + np.random.default_rng(0).normal(0, 6, frames.shape), 0, 255).astype(np.uint8)
    candidate = next(candidates(frames, params(stabilizer="none")))
    assert candidate.pixels is not None
    differences = np.diff(candidate.pixels.astype(float), axis=0)
    rms = float(np.sqrt((differences**2).mean()))
    assert residual(candidate.psnr_after) == pytest.approx(rms, rel=1e-3)
    assert look_at(candidate, params(max_residual=rms * 1.01), None).reason == ""
    over = look_at(candidate, params(max_residual=rms * 0.99), None).reason
    assert over == f"stabilised neighbours differ by more than max_residual = {rms * 0.99:g}"


def test_scene_is_asked_last_and_by_the_clips_start() -> None:
    wanted = params(
        scene_model="m.pt", scene_labels="l.txt", scene_categories=["golf course", "beach"], min_motion=0.01
    )
    asked: list[int] = []

    def scene_of(start: int) -> str:
        asked.append(start)
        return answer

    for answer, reason in (
        ("golf_course", ""),
        ("beach", ""),
        ("kitchen", "scene is 'kitchen', not one of scene_categories"),
        ("", "the scene classifier gives no finite scores"),
    ):
        look = look_at(_candidate(_clip(0)), wanted, scene_of)
        assert (look.scene, look.reason) == (answer, reason)
    assert asked == [32] * 4
    still = np.repeat(_clip(0)[:1], 16, 0)
    assert look_at(_candidate(still), wanted, scene_of).scene == "" and len(asked) == 4
