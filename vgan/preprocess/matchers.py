"""The same points in two frames: corners that are followed (klt), or descriptors that are matched (sift)."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vgan.preprocess.warps import Points

__all__ = ["Gray", "KltMatcher", "Matcher", "SiftMatcher", "follow"]

Gray = NDArray[np.uint8]  # H x W

_WINDOW_PX = 21  # on a side, that are compared around a point
_WINDOW_ABOUT_PX = 15
_UNTIL = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01)  # OpenCV's own
_UNTIL_ABOUT = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.05)


class Matcher(Protocol):
    """Finds the same points in an anchor frame and a later one."""

    def anchor(self, gray: Gray) -> None:
        """Compare from now on with `gray`."""

    def stands(self, gray: Gray, within: float) -> bool:
        """Whether a quick look shows that `gray` stands as the anchor does, to `within` pixels; False: unknown."""

    def match(self, gray: Gray) -> tuple[Points, Points]:
        """Points of `gray` and where they were in the anchor."""

    def landmarks(self) -> Points:
        """Points of the anchor that may be followed for long; none where only neighbours are to be compared."""


class KltMatcher:
    """Corners (Shi and Tomasi 1994) followed by Lucas-Kanade from coarse to fine (Bouguet 2000).

    Corners are looked for in each tile of the picture on its own: one thing of strong contrast that moves by must not
    outvote a faint background. Some of them, the scouts, go through the coarse levels; what most of them did tells all
    corners where to begin on the finest, which costs a third of taking every corner through every level.
    """

    _TILES = 4  # along each side
    _CORNERS = 20  # of a tile
    _QUALITY = 0.05  # of the tile's best corner, and
    _FLOOR = 0.001  # of the picture's best: fainter ones are noise, or edges along which they slide; but
    _ENOUGH = 1e-4  # this strength (a slope of some 2 grey levels a pixel in every direction) always will do
    _RENEW_SHARE = 0.7  # of the corners left, below which new ones are looked for
    _RENEW_FRAMES = 8
    _LEVELS = 3
    _SCOUTS = 64
    _SCOUTS_LEVELS = 1  # below half size; what moves further than they see goes the long way
    _SCOUTS_LEAST = 8
    _SCOUTS_PX = 3.0  # within which a scout agrees with the others, and
    _SCOUTS_SHARE = 0.4  # of them that must, or every corner goes through every level
    _STANDS_SHARE = 0.8

    def __init__(self) -> None:
        self._gray: Gray | None = None
        self._half: Gray | None = None
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
        self._gray, self._half = gray, None

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

    def stands(self, gray: Gray, within: float) -> bool:
        """Whether nearly all scouts are found where they were."""
        scouts = self.landmarks()
        if self._gray is None or len(scouts) < self._SCOUTS_LEAST:
            return False
        self._followed = self._points[:0]  # an anchor that follows looks for corners of its own
        there, good = follow(self._gray, gray, scouts, scouts)
        near = np.linalg.norm(there - scouts, axis=1)[good] < within
        return int(near.sum()) >= self._STANDS_SHARE * len(scouts)

    def match(self, gray: Gray) -> tuple[Points, Points]:
        """Follow the anchor's corners into `gray`."""
        if len(self._points) == 0 or self._gray is None:
            self._followed = self._points
            return self._points, self._points
        begin = self._scouted(gray)
        if begin is None:
            there, good = follow(self._gray, gray, self._points, self._points, levels=self._LEVELS)
        else:
            there, good = follow(self._gray, gray, self._points, begin)
        self._followed = there[good]
        return self._followed, self._points[good]

    def landmarks(self) -> Points:
        """A selection of the corners, spread like all of them."""
        return self._points[:: max(1, len(self._points) // self._SCOUTS)].copy()

    def _scouted(self, gray: Gray) -> Points | None:
        """Where the corners are, to a pixel or two, by what most scouts did; None if they do not agree."""
        assert self._gray is not None
        if self._half is None:
            self._half = cv2.pyrDown(self._gray)
        scouts = self.landmarks() * np.float32(0.5)
        there, good = follow(self._half, cv2.pyrDown(gray), scouts, scouts, levels=self._SCOUTS_LEVELS, about=True)
        if good.sum() < self._SCOUTS_LEAST:
            return None
        similar, chosen = cv2.estimateAffinePartial2D(
            2 * scouts[good], 2 * there[good], method=cv2.RANSAC, ransacReprojThreshold=self._SCOUTS_PX
        )
        if similar is None or chosen.mean() <= self._SCOUTS_SHARE:
            return None
        begin: Points = (self._points @ similar[:, :2].T + similar[:, 2]).astype(np.float32)
        return begin


def follow(
    before: Gray,
    gray: Gray,
    points: Points,
    begin: Points,
    *,
    levels: int = 0,
    about: bool = False,
) -> tuple[Points, NDArray[np.bool_]]:
    """Follow `points` of `before` into `gray`, looking from `begin` on; which of them were found inside it.

    Args:
        before, gray: frames of one size.
        points, begin: float32, N x 2, at least one.
        levels: halvings at which to look first.
        about: whether a fraction of a pixel does.
    """
    side = max(3, min(_WINDOW_ABOUT_PX if about else _WINDOW_PX, min(gray.shape) // 6 | 1))  # OpenCV takes none below 3
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        gray,
        points,
        begin.copy(),
        winSize=(side, side),
        maxLevel=levels,
        criteria=_UNTIL_ABOUT if about else _UNTIL,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return there, (found.ravel() == 1) & (there >= 0).all(1) & (there < gray.shape[::-1]).all(1)


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

    def stands(self, gray: Gray, within: float) -> bool:
        """There is no quick look."""
        return False

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

    def landmarks(self) -> Points:
        """None: the paper compares neighbours."""
        return self._nothing()[0]

    def _describe(self, gray: Gray) -> tuple[Points, NDArray[np.float32]]:
        keypoints, descriptors = self._sift.detectAndCompute(gray, None)
        if descriptors is None:
            return self._nothing()
        return np.array([k.pt for k in keypoints], np.float32), descriptors
