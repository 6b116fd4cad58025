"""Camera motion between the frames of a shot, as homographies (paper, section 4.1: SIFT and RANSAC).

The paper chains the homographies of neighbouring frames. Here a frame is compared with the shot's last *anchor*: a
frame that shows no motion against the anchor takes its place exactly, any other becomes the next anchor. So a fixed
camera's frames are not touched at all, however noisy, and a pan slower than the noise is still seen once it adds up.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["STILL", "KltMatcher", "Matcher", "Motion", "MotionEstimator", "SiftMatcher"]

Gray = NDArray[np.uint8]
Points = NDArray[np.float32]  # N x 2, x and y
Matrix = NDArray[np.float64]  # 3 x 3

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
_INLIER_SHARE = 0.2  # of the points, below which a homography is chance
_GAIN = 0.98  # a homography must bring the frames at least this much nearer, or standing still explains them as well


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


class Matcher(Protocol):
    """Finds the same points in an anchor frame and a later one."""

    def anchor(self, gray: Gray) -> None:
        """Compare from now on with `gray`."""

    def match(self, gray: Gray) -> tuple[Points, Points]:
        """Points of `gray` and where they were in the anchor."""


class KltMatcher:
    """Corners (Shi and Tomasi 1994) followed by pyramidal Lucas-Kanade (Bouguet 2000).

    Corners are looked for in each tile of the picture on its own: one thing of strong contrast that moves by must not
    outvote a faint background.
    """

    _TILES = 4  # along each side
    _CORNERS = 20  # of a tile
    _QUALITY = 0.05  # of the tile's best corner, and
    _FLOOR = 0.001  # of the picture's best: fainter ones are noise, or edges along which they slide; but
    _ENOUGH = 1e-4  # this strength (a slope of some 2 grey levels a pixel in every direction) always will do
    _RENEW_SHARE = 0.7  # of the corners left, below which new ones are looked for
    _RENEW_FRAMES = 8

    def __init__(self) -> None:
        self._gray: Gray | None = None
        self._points: Points = np.empty((0, 2), np.float32)
        self._followed: Points = self._points
        self._wanted, self._age = 0, 0

    def anchor(self, gray: Gray) -> None:
        """Take over the corners just followed, or look for new ones when they have grown few or old."""
        self._age += 1
        few = len(self._followed) <= self._RENEW_SHARE * self._wanted
        if self._gray is None or self._age >= self._RENEW_FRAMES or few:
            self._points = self._corners(gray)
            self._wanted, self._age = len(self._points), 0
        else:
            self._points = self._followed
        self._gray = gray

    def _corners(self, gray: Gray) -> Points:
        height, width = gray.shape
        spacing = max(3.0, min(gray.shape) / 30)
        found: list[Points] = [np.empty((0, 2), np.float32)]
        for down in range(self._TILES):
            top, bottom = height * down // self._TILES, height * (down + 1) // self._TILES
            for across in range(self._TILES):
                left, right = width * across // self._TILES, width * (across + 1) // self._TILES
                tile = gray[top:bottom, left:right]
                corners = cv2.goodFeaturesToTrack(tile, self._CORNERS, self._QUALITY, spacing)
                if corners is not None:
                    found.append(corners.reshape(-1, 2) + np.array([left, top], np.float32))
        points = np.concatenate(found)
        strength = cv2.cornerMinEigenVal(gray, 3)
        column, row = points.astype(np.int64).T
        strong: Points = points[strength[row, column] >= min(self._ENOUGH, self._FLOOR * strength.max())]
        return strong

    def match(self, gray: Gray) -> tuple[Points, Points]:
        """Follow the anchor's corners into `gray`."""
        if len(self._points) == 0 or self._gray is None:
            self._followed = self._points
            return self._points, self._points
        side = max(3, min(21, min(gray.shape) // 6 | 1))  # OpenCV takes none below 3
        there, found, _ = cv2.calcOpticalFlowPyrLK(
            self._gray, gray, self._points, None, winSize=(side, side), maxLevel=3
        )
        inside = (there >= 0).all(1) & (there < gray.shape[::-1]).all(1)
        good = (found.ravel() == 1) & inside
        self._followed = there[good]
        return self._followed, self._points[good]


class SiftMatcher:
    """The paper's: SIFT, FLANN's two nearest (5 trees, 50 checks), Lowe's ratio 0.7 (stabilize_videos_many.py)."""

    _RATIO = 0.7

    def __init__(self) -> None:
        self._sift = cv2.SIFT.create()
        self._flann = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 5}, {"checks": 50})
        self._now = self._then = self._nothing()

    @staticmethod
    def _nothing() -> tuple[Points, NDArray[np.float32]]:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.float32)

    def anchor(self, gray: Gray) -> None:
        """Keep what `match` found in this frame, or look for it in the shot's first."""
        self._then = self._now if len(self._now[0]) else self._describe(gray)

    def match(self, gray: Gray) -> tuple[Points, Points]:
        """Match the descriptors of `gray` with the anchor's."""
        self._now = self._describe(gray)
        (points, descriptors), (old_points, old_descriptors) = self._now, self._then
        if len(points) < 2 or len(old_points) < 2:
            return self._nothing()[0], self._nothing()[0]
        cv2.setRNGSeed(0)  # FLANN's trees are random
        pairs = [pair for pair in self._flann.knnMatch(descriptors, old_descriptors, k=2) if len(pair) == 2]
        good = [first for first, second in pairs if first.distance < self._RATIO * second.distance]
        return points[[m.queryIdx for m in good]], old_points[[m.trainIdx for m in good]]

    def _describe(self, gray: Gray) -> tuple[Points, NDArray[np.float32]]:
        keypoints, descriptors = self._sift.detectAndCompute(gray, None)
        if descriptors is None:
            return self._nothing()
        return np.array([k.pt for k in keypoints], np.float32), descriptors


class MotionEstimator:
    """Follows the camera through one shot, frame by frame.

    Args:
        matcher: fresh for this shot.
        method: magsac (Barath et al. 2019, with a threshold that bends) or ransac (the paper's).
        threshold: pixels within which a match is an inlier.
        min_matches: points below which no motion is told.
    """

    def __init__(
        self, matcher: Matcher, *, method: Literal["magsac", "ransac"], threshold: float, min_matches: int
    ) -> None:
        self._matcher, self._threshold, self._min_matches = matcher, threshold, min_matches
        self._method = cv2.USAC_MAGSAC if method == "magsac" else cv2.RANSAC
        self._anchor: Gray | None = None
        self._age = 0
        self._rested = _REST_FRAMES  # frames without motion up to now

    def step(self, gray: Gray) -> Motion:
        """Motion of the shot's next frame (uint8, H x W) against the one before; the first stands still."""
        if self._anchor is None:
            self._renew(gray)
            return STILL
        motion = self._compare(gray, self._anchor)
        self._rested = self._rested + 1 if motion.still else 0
        self._age += 1
        if not motion.still or self._age >= _ANCHOR_FRAMES:
            self._renew(gray)
        return motion

    @property
    def _at_rest(self) -> bool:
        return self._rested >= _REST_FRAMES

    def _renew(self, gray: Gray) -> None:
        self._matcher.anchor(gray)
        self._anchor, self._age = gray, 0

    def _compare(self, gray: Gray, anchor: Gray) -> Motion:
        brought = _as_bright(gray, anchor)
        points, old_points = self._matcher.match(brought)
        still_px = max(_BAR_PX, min(gray.shape) * (_BAR_AT_REST if self._at_rest else _BAR_MOVING))
        if len(points) < self._min_matches:
            reason = f"fewer than {self._min_matches} matches"
            return self._unknown(gray, anchor, reason)
        matrix, inliers = cv2.findHomography(points, old_points, self._method, self._threshold)
        if matrix is None or not is_sane(matrix, gray.shape):
            return self._unknown(gray, anchor, "no plausible homography")
        distances = np.linalg.norm(_apply(matrix, points) - old_points, axis=1)
        moved = np.linalg.norm(points - old_points, axis=1)
        if int((moved < still_px).sum()) >= 0.8 * int((distances < still_px).sum()):
            return STILL
        chosen = inliers.ravel() == 1
        if chosen.mean() < _INLIER_SHARE:
            return self._unknown(gray, anchor, "no homography that enough points follow")
        if _corner_shift(matrix, gray.shape) < still_px or not _brings_nearer(matrix, brought, anchor):
            return STILL
        return Motion(matrix, error=float(distances[chosen].mean()), inlier_share=float(chosen.mean()))

    def _unknown(self, gray: Gray, anchor: Gray, reason: str) -> Motion:
        """What to make of a frame whose points say nothing, as in fog, on a white wall, or when something big passes.

        It stands still as long as the picture does: then nothing is lost.
        """
        alike = (cv2.absdiff(picture, anchor) <= _SAME_LEVELS for picture in (gray, _as_bright(gray, anchor)))
        same = max(float(pixels.mean()) for pixels in alike)
        enough = _SAME_SHARE_AT_REST if self._at_rest else _SAME_SHARE
        return STILL if same >= enough else Motion(None, reason)


def is_sane(matrix: Matrix, shape: tuple[int, ...]) -> bool:
    """Whether one step's homography keeps the frame's corners in order, its area and its place within a factor."""
    height, width = shape[:2]
    corners = _corners(shape)
    if not np.isfinite(matrix).all() or (_depth(matrix, corners) <= 0.1).any():
        return False
    there = _apply(matrix, corners)
    sides = np.roll(there, -1, axis=0) - there
    turns = sides[:, 0] * np.roll(sides[:, 1], -1) - sides[:, 1] * np.roll(sides[:, 0], -1)
    area = cv2.contourArea(there.astype(np.float32)) / (width * height)
    return bool((turns > 0).all()) and 0.5 < area < 2.0 and _corner_shift(matrix, shape) < max(height, width) / 2


def _corners(shape: tuple[int, ...]) -> Points:
    height, width = shape[:2]
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)


def _depth(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    depth: NDArray[np.float64] = points @ matrix[2, :2] + matrix[2, 2]
    return depth


def _apply(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    mapped: NDArray[np.float64] = (points @ matrix[:2, :2].T + matrix[:2, 2]) / _depth(matrix, points)[:, None]
    return mapped


def _corner_shift(matrix: Matrix, shape: tuple[int, ...]) -> float:
    corners = _corners(shape)
    return float(np.linalg.norm(_apply(matrix, corners) - corners, axis=1).max())


def _as_bright(gray: Gray, anchor: Gray) -> Gray:
    """`gray` brought to the anchor's brightness: an exposure that adapts is no motion, but spoils the tracking."""
    offset = round(float(np.median(anchor[::4, ::4])) - float(np.median(gray[::4, ::4])))
    if offset == 0:
        return gray
    brought: Gray = cv2.add(gray, offset) if offset > 0 else cv2.subtract(gray, -offset)
    return brought


def _brings_nearer(matrix: Matrix, gray: Gray, anchor: Gray) -> bool:
    """Whether warping makes the frames more alike than leaving them, big differences (moving things) capped."""
    height, width = gray.shape
    warped = cv2.warpPerspective(gray, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    apart = float(np.minimum(cv2.absdiff(warped, anchor), 32).mean())
    return apart < _GAIN * float(np.minimum(cv2.absdiff(gray, anchor), 32).mean())
