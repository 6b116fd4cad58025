"""Camera motion within one clip, each frame measured against the first, as if it stood on a tripod (vidstab)."""

from collections.abc import Sequence

import numpy as np

from vgan.preprocess.matchers import Gray
from vgan.preprocess.motion import STILL, Fitting, Motion, as_bright, brightness, brings_nearer, stands_alike
from vgan.preprocess.warps import Matrix, Points, apply, between, corner_shift, is_sane
from vgan.video import parts_moved

__all__ = ["tripod_motions"]

_BAR = 1 / 240  # of the shorter side, below which a frame stands where the first stood
_STANDING = 0.8  # share of the parts that do not move, from which on the frame does not
_INLIER_SHARE = 0.2  # of the parts, below which a map is chance


def tripod_motions(grays: Sequence[Gray], fitting: Fitting, timeout_s: float) -> list[Motion]:
    """Motions of a clip's frames (uint8, H x W, at estimation size), each against the frame before.

    They are measured against the first, so nothing adds up along the clip. Where nothing can be told, the frame stands
    where the one before stood as long as the two look alike, and the motion is unknown otherwise.

    Raises:
        UnusableVideo: measuring took longer than `timeout_s`.
        VganError: no ffmpeg here can measure.
    """
    first, level = grays[0], brightness(grays[0])
    brought = np.stack([as_bright(gray, level - brightness(gray)) for gray in grays])
    pose: Matrix = np.eye(3)  # from the frame before to the first
    motions = [STILL]
    for index, (points, old_points) in enumerate(parts_moved(brought, timeout_s=timeout_s)[1:], 1):
        found = _placed(points, old_points, brought[index], first, fitting)
        if found.matrix is None:
            alike = stands_alike(grays[index - 1 : index + 1], at_rest=False)
            motions.append(STILL if alike else found)
            continue
        step = between(found.matrix, pose)
        if not is_sane(step, first.shape):
            motions.append(Motion(None, f"no plausible {fitting.model}"))
        elif corner_shift(step, first.shape) < _BAR / 2 * min(first.shape):
            motions.append(STILL)
        else:
            motions.append(Motion(step, error=found.error, inlier_share=found.inlier_share))
            pose = found.matrix
    return motions


def _placed(points: Points, old_points: Points, gray: Gray, first: Gray, fitting: Fitting) -> Motion:
    """How `gray` lies on the clip's first frame."""
    if len(points) < fitting.min_matches:
        return Motion(None, f"fewer than {fitting.min_matches} matches")
    if float((points == old_points).all(axis=1).mean()) >= _STANDING:
        return STILL
    found = fitting.fit(points, old_points)
    if found is None or not is_sane(found[0], first.shape):
        return Motion(None, f"no plausible {fitting.model}")
    matrix, chosen = found
    if chosen.mean() < _INLIER_SHARE:
        return Motion(None, f"no {fitting.model} that enough points follow")
    if corner_shift(matrix, first.shape) < _BAR * min(first.shape) or not brings_nearer(matrix, gray, first):
        return STILL
    distances = np.linalg.norm(apply(matrix, points) - old_points, axis=1)
    return Motion(matrix, error=float(distances[chosen].mean()), inlier_share=float(chosen.mean()))
