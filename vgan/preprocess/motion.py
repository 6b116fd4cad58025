"""Camera motion between the frames of a shot, as homographies (paper, section 4.1: SIFT and RANSAC) or similarities.

The paper chains the homographies of neighbouring frames. Here a frame is compared with the shot's last *anchor*: a
frame that shows no motion against the anchor takes its place exactly, any other becomes the next anchor. So a fixed
camera's frames are not touched at all, however noisy, and a pan slower than the noise is still seen once it adds up.
A chain's small errors add up too: while the camera moves, a *tether* to an earlier frame pulls it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.preprocess.matchers import Gray, Matcher, follow
from vgan.preprocess.warps import Fit, Matrix, Points, apply, between, corner_shift, fit, is_sane

__all__ = ["STILL", "Fitting", "Motion", "MotionEstimator", "as_bright", "brightness", "brings_nearer", "stands_alike"]

# Bars below which motion counts as none, as shares of the shorter side. A camera at rest must clear a high one (1/4
# pixel of 64: it trembles, and noise moves points); one that has begun to move, a low one, until it rests again.
_BAR_AT_REST = 1 / 240
_BAR_MOVING = 1 / 480
_BAR_PX = 0.1  # what tracking resolves at best
_REST_FRAMES = 6
_ANCHOR_FRAMES = 32  # after which a still anchor is renewed, so that slow changes of light do no harm
_SAME_LEVELS = 10.0  # grey levels by which compression and noise change a pixel that shows the same
_SAME_SHARE = 0.7  # of the pixels, for a picture that stands still as far as can be seen
_SAME_SHARE_AT_REST = 0.4  # the same for a camera at rest: something big may be passing
_STANDING = 0.8  # points that stand, as a share of those that follow a motion, above which there is none
_PARTS = 4  # of the picture, along each side
_PARTS_MOVE = 4  # of the 16, that must follow and one more, before a camera at rest is said to move
_INLIER_SHARE = 0.2  # of the points, below which a homography is chance
_GAIN = 0.98  # a homography must bring the frames at least this much nearer, or standing still explains them as well


Chosen = NDArray[np.bool_]  # N, which of the points


@dataclass(frozen=True)
class Motion:
    """A frame's motion: `matrix` maps its pixels to those of the frame before; None where none was found."""

    matrix: Matrix | None
    reason: str = ""
    error: float = 0.0  # pixels, mean over inliers
    inlier_share: float = 1.0

    @property
    def still(self) -> bool:
        """Whether the frame stands exactly where the one before stood."""
        return self.matrix is STILL.matrix


STILL = Motion(np.eye(3))


@dataclass(frozen=True)
class Fitting:
    """How matched points become a motion."""

    model: Literal["homography", "similarity"]
    method: Literal["magsac", "ransac"]
    threshold: float  # pixels within which a match is an inlier
    min_matches: int  # points below which no motion is told

    def fit(self, points: Points, old_points: Points) -> Fit | None:
        """See `warps.fit`."""
        return fit(points, old_points, model=self.model, method=self.method, threshold=self.threshold)


class MotionEstimator:
    """Follows the camera through one shot, frame by frame, with a matcher that is fresh for this shot."""

    def __init__(self, matcher: Matcher, fitting: Fitting) -> None:
        self._matcher, self._fitting = matcher, fitting
        self._anchor: Gray | None = None
        self._anchor_level = 0.0
        self._tether: _Tether | None = None
        self._age = 0
        self._rested = _REST_FRAMES  # frames without motion up to now

    def step(self, gray: Gray) -> Motion:
        """Motion of the shot's next frame (uint8, H x W) against the one before; the first stands still."""
        if self._anchor is None:
            self._renew(gray, brightness(gray))
            return STILL
        level = brightness(gray)
        brought = as_bright(gray, self._anchor_level - level)
        motion = self._compare(gray, brought, self._anchor)
        self._rested = self._rested + 1 if motion.still else 0
        self._age += 1
        if motion.matrix is None:
            self._tether = None
        elif not motion.still and self._tether is not None:
            held = self._tether.hold(motion.matrix, gray, level, self._fitting)
            motion = Motion(held, error=motion.error, inlier_share=motion.inlier_share)
        if not motion.still or self._age >= _ANCHOR_FRAMES:
            self._renew(gray, level)
        return motion

    @property
    def _at_rest(self) -> bool:
        return self._rested >= _REST_FRAMES

    def _renew(self, gray: Gray, level: float) -> None:
        self._matcher.anchor(gray)
        self._anchor, self._anchor_level, self._age = gray, level, 0
        if self._tether is None or self._tether.worn:
            landmarks = self._matcher.landmarks()
            self._tether = _Tether(gray, level, landmarks) if len(landmarks) >= _Tether.LEAST else None

    def _compare(self, gray: Gray, brought: Gray, anchor: Gray) -> Motion:
        """The motion of `gray`; `brought` is the same as bright as the anchor."""
        still_px = max(_BAR_PX, min(gray.shape) * (_BAR_AT_REST if self._at_rest else _BAR_MOVING))
        if self._at_rest and self._matcher.stands(brought, still_px):
            return STILL
        points, old_points = self._matcher.match(brought)
        if len(points) < self._fitting.min_matches:
            return self._unknown((gray, brought), anchor, f"fewer than {self._fitting.min_matches} matches")
        found = self._fitting.fit(points, old_points)
        if found is None or not is_sane(found[0], gray.shape):
            return self._unknown((gray, brought), anchor, f"no plausible {self._fitting.model}")
        matrix, chosen = found
        distances = np.linalg.norm(apply(matrix, points) - old_points, axis=1)
        moved = np.linalg.norm(points - old_points, axis=1)
        standing, following = moved < still_px, distances < still_px
        if int(standing.sum()) >= _STANDING * int(following.sum()):
            return STILL
        parts_moving, parts_standing = (_parts(old_points, some, gray.shape) for some in (following, standing))
        if self._at_rest and parts_moving <= max(_PARTS_MOVE, parts_standing):
            return self._unknown((gray, brought), anchor, "only a part of the picture moves")
        if chosen.mean() < _INLIER_SHARE:
            return self._unknown((gray, brought), anchor, f"no {self._fitting.model} that enough points follow")
        if corner_shift(matrix, gray.shape) < still_px or not brings_nearer(matrix, brought, anchor):
            return STILL
        return Motion(matrix, error=float(distances[chosen].mean()), inlier_share=float(chosen.mean()))

    def _unknown(self, pictures: tuple[Gray, Gray], anchor: Gray, reason: str) -> Motion:
        """What to make of a frame whose points say nothing, as in fog, on a white wall, or when something big passes.

        It stands still as long as the picture does: then nothing is lost.
        """
        alike = any(stands_alike((picture, anchor), at_rest=self._at_rest) for picture in pictures)
        return STILL if alike else Motion(None, reason)


def stands_alike(pair: Sequence[Gray], *, at_rest: bool) -> bool:
    """Whether two frames look the same but for noise and what moves: much may, before a camera that is at rest."""
    same = float((cv2.absdiff(pair[0], pair[1]) <= _SAME_LEVELS).mean())
    return same >= (_SAME_SHARE_AT_REST if at_rest else _SAME_SHARE)


def _parts(points: Points, chosen: Chosen, shape: tuple[int, ...]) -> int:
    """Parts of the picture in which most of the points are `chosen`.

    Something that passes may hold most of the points; a camera that moves moves all parts.
    """
    column, row = (points * _PARTS / np.array(shape[::-1])).astype(np.int64).clip(0, _PARTS - 1).T
    part = row * _PARTS + column
    count = np.bincount(part, minlength=_PARTS**2)
    return int((np.bincount(part[chosen], minlength=_PARTS**2) > count / 2).sum())


class _Tether:
    """An earlier frame, whose landmarks are looked for in every other frame that moves.

    A frame is placed where its neighbour says, and from there a fifth of the way to where the landmarks say: the first
    is smooth and drifts, the second trembles and does not.
    """

    LEAST = 16  # landmarks
    _EVERY = 2  # frames
    _PULL = 0.2
    _FRAMES = 32
    _FOUND = 0.5  # share of the landmarks that must be found, and of those that must agree
    _NEAR = 1 / 8  # of the shorter side: landmarks that say a place further off are not believed

    def __init__(self, gray: Gray, level: float, landmarks: Points) -> None:
        self._gray, self._level, self._landmarks = gray, level, landmarks
        self._pose: Matrix = np.eye(3)  # from the frame last placed to this one
        self._age = 0
        self.worn = False

    def hold(self, step: Matrix, gray: Gray, level: float, fitting: Fitting) -> Matrix:
        """`step`, the motion of `gray` against the frame last placed, corrected."""
        pose = self._pose @ step
        pose /= pose[2, 2]
        self._age += 1
        self.worn = self._age >= self._FRAMES
        if self._age % self._EVERY == 0:
            seen = self._seen(pose, as_bright(gray, self._level - level), fitting)
            self.worn = self.worn or seen is None
            pose = pose if seen is None else pose + self._PULL * (seen - pose)
        held = between(pose, self._pose)
        self._pose = pose
        return held

    def _seen(self, pose: Matrix, gray: Gray, fitting: Fitting) -> Matrix | None:
        """Where the landmarks say that `gray` is, looked for from `pose` on."""
        begin = apply(np.linalg.inv(pose).astype(np.float64), self._landmarks).astype(np.float32)
        there, good = follow(self._gray, gray, self._landmarks, begin)
        if good.sum() < max(self.LEAST / 2, self._FOUND * len(self._landmarks)):
            return None
        found = fitting.fit(there[good], self._landmarks[good])
        if found is None or found[1].mean() < self._FOUND:
            return None
        far = corner_shift(between(found[0], pose), gray.shape) > self._NEAR * min(gray.shape)
        return None if far else found[0]


def brightness(gray: Gray) -> float:
    """A frame's brightness."""
    return float(np.median(gray[::4, ::4]))


def as_bright(gray: Gray, levels: float) -> Gray:
    """`gray` made brighter by `levels`: an exposure that adapts is no motion, but spoils the tracking."""
    offset = round(levels)
    if offset == 0:
        return gray
    brought: Gray = cv2.add(gray, offset) if offset > 0 else cv2.subtract(gray, -offset)
    return brought


def brings_nearer(matrix: Matrix, gray: Gray, anchor: Gray) -> bool:
    """Whether warping makes the frames more alike than leaving them, big differences (moving things) capped.

    Looked at in half size, which is as telling.
    """
    gray, anchor = cv2.pyrDown(gray), cv2.pyrDown(anchor)
    double = np.diag([2.0, 2.0, 1.0])
    halved = np.linalg.inv(double) @ matrix @ double
    warped = cv2.warpPerspective(gray, halved, gray.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    apart = float(np.minimum(cv2.absdiff(warped, anchor), 32).mean())
    return apart < _GAIN * float(np.minimum(cv2.absdiff(gray, anchor), 32).mean())
