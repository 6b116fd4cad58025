"""A stream of frames to candidate clips: shots, camera motion and windows in one pass, each frame looked at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgan.config import PreprocessParams
from vgan.preprocess.cuts import mark_cuts
from vgan.preprocess.matchers import KltMatcher, SiftMatcher
from vgan.preprocess.motion import STILL, Fitting, Motion, MotionEstimator
from vgan.preprocess.stabilize import Geometry, Stabilized, mean_square, psnr, stabilize
from vgan.preprocess.tripod import tripod_motions

__all__ = ["Candidate", "candidates", "decoding_side", "new_estimator"]

Picture = NDArray[np.uint8]  # H x W x 3

_GAIN_DB = 0.1


@dataclass(frozen=True)
class Candidate:
    """A window of a shot: its clip, or the reason why it gives none."""

    start: int  # frame of the video
    shot: int
    pixels: NDArray[np.uint8] | None  # T x size x size x 3
    reason: str
    psnr_before: float
    psnr_after: float
    reprojection_error: float
    inlier_share: float
    filled_share: float


@dataclass(frozen=True)
class _Seen:
    """What is kept of a frame until the last window that it is in."""

    small: Picture
    gray: NDArray[np.uint8] | None  # at estimation size, where the clip is measured as a whole
    motion: Motion
    change: float  # mean squared difference to the frame before, unstabilised


def decoding_side(params: PreprocessParams) -> int | None:
    """Shorter side at which frames are to be decoded: the paper's SIFT sees them whole (None)."""
    return None if params.stabilizer == "sift" else max(params.estimation_height, 2 * params.size)


def candidates(frames: Iterable[Picture], params: PreprocessParams) -> Iterator[Candidate]:
    """Every window of `params.frames` frames within a shot, `params.stride` frames apart, in order.

    Args:
        frames: uint8 H x W x 3 RGB of one size, decoded at `decoding_side`.
        params: the section `preprocess`.
    """
    geometry: Geometry | None = None

    def shrink(frame: Picture) -> tuple[Picture, Picture]:
        nonlocal geometry
        if geometry is None:
            side = None if params.stabilizer == "sift" else params.estimation_height
            geometry = Geometry.of((frame.shape[1], frame.shape[0]), params.size, side)
        return frame, geometry.shrink(frame)

    shot, shot_start = -1, 0
    estimator: MotionEstimator | None = None
    window: deque[_Seen] = deque(maxlen=params.frames)
    marked = mark_cuts((shrink(frame) for frame in frames), lambda pair: pair[1], params.cut_threshold)
    for index, ((frame, small), begins) in enumerate(marked):
        assert geometry is not None
        if begins:
            shot, shot_start = shot + 1, index
            estimator = new_estimator(params)
            window.clear()
        motion = STILL if estimator is None else estimator.step(geometry.gray(frame))
        gray = geometry.gray(frame) if params.stabilizer == "vidstab" else None
        window.append(_Seen(small, gray, motion, _change(window[-1].small if window else small, small, geometry)))
        start = index - params.frames + 1
        if start >= shot_start and (start - shot_start) % params.stride == 0:
            yield _candidate(start, shot, window, geometry, params)


def new_estimator(params: PreprocessParams) -> MotionEstimator | None:
    """Follows a shot frame by frame; None where nothing does."""
    if params.stabilizer == "klt":
        return MotionEstimator(KltMatcher(), _fitting(params))
    return MotionEstimator(SiftMatcher(), _fitting(params)) if params.stabilizer == "sift" else None


def _fitting(params: PreprocessParams) -> Fitting:
    return Fitting(
        model=params.motion_model,
        method="ransac" if params.stabilizer == "sift" else "magsac",
        threshold=params.ransac_threshold,
        min_matches=params.min_matches,
    )


def _change(before: Picture, small: Picture, geometry: Geometry) -> float:
    return mean_square(geometry.finish(geometry.crop(before)), geometry.finish(geometry.crop(small)))


def _candidate(start: int, shot: int, window: deque[_Seen], geometry: Geometry, params: PreprocessParams) -> Candidate:
    motions = [seen.motion for seen in window]
    grays = [seen.gray for seen in window if seen.gray is not None]
    if grays:
        motions = tripod_motions(grays, _fitting(params), params.timeout_s)
    known = [motion for motion in motions[1:] if motion.matrix is not None]
    # Frames that stand still were not fitted: their error of 0 would hide that of the few that were.
    errors = [motion.error for motion in known if not motion.still]
    error = float(np.mean(errors)) if errors else 0.0 if known else float("nan")
    reason = next((motion.reason for motion in motions[1:] if motion.matrix is None), "")
    if not reason and error > params.max_reprojection_error:
        reason = f"reprojection error above {params.max_reprojection_error:g}"
    psnr_before = psnr(sum(seen.change for seen in list(window)[1:]) / (len(window) - 1))
    clip: Stabilized | None = None
    if not reason:
        clip = _stabilized(window, motions, geometry, psnr_before)
        if clip.worst_filled_share > params.max_filled_share:
            reason = f"camera leaves the scene: over {params.max_filled_share:.0%} of a frame filled"
    return Candidate(
        start=start,
        shot=shot,
        pixels=clip.pixels if clip is not None and not reason else None,
        reason=reason,
        psnr_before=psnr_before,
        psnr_after=clip.psnr if clip is not None else float("nan"),
        reprojection_error=error,
        inlier_share=min((motion.inlier_share for motion in known), default=float("nan")),
        filled_share=clip.filled_share if clip is not None else float("nan"),
    )


def _stabilized(window: deque[_Seen], motions: list[Motion], geometry: Geometry, psnr_before: float) -> Stabilized:
    """The stabilised clip, or the clip as it was where stabilising brought its frames no nearer to each other."""
    smalls = [seen.small for seen in window]
    clip = stabilize(smalls, motions, geometry)
    if all(motion.still for motion in motions[1:]) or clip.psnr >= psnr_before + _GAIN_DB:
        return clip
    return stabilize(smalls, [STILL] * len(motions), geometry)
