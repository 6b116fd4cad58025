"""The paper's preprocessing, written from its description: full-resolution SIFT, chained homographies, JPEG strips.

One frame after the other, as most people would write it: 5 trees and 50 checks, Lowe's ratio 0.7, at least 10 matches,
RANSAC at 5 pixels, the cumulative product, holes from the last stabilised frame under a 5 x 5 eroded mask, the short
side to 128, the middle 128 x 128, one vertical strip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Strip", "decode_strip", "stabilized_strip"]

Frame = NDArray[np.uint8]  # H x W x 3
Matrix = NDArray[np.float64]  # 3 x 3

_SIDE = 128


@dataclass(frozen=True)
class Strip:
    """A clip as the paper stores it, and the maps of its frames onto the first."""

    jpeg: bytes
    chain: list[Matrix]


def stabilized_strip(frames: Sequence[Frame]) -> Strip | None:
    """One clip's frames (uint8 RGB) stabilised; None where two neighbours have too few matches."""
    sift = cv2.SIFT.create()
    flann = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 5}, {"checks": 50})
    height, width = frames[0].shape[:2]
    last = frames[0]
    pictures, chain = [_shrunk(last)], [np.eye(3)]
    before = sift.detectAndCompute(cv2.cvtColor(last, cv2.COLOR_RGB2GRAY), None)
    for frame in frames[1:]:
        now = sift.detectAndCompute(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None)
        if now[1] is None or before[1] is None or min(len(now[1]), len(before[1])) < 2:
            return None
        pairs = flann.knnMatch(now[1], before[1], k=2)
        good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < 0.7 * pair[1].distance]
        if len(good) < 10:
            return None
        points = np.array([now[0][match.queryIdx].pt for match in good], np.float32)
        old_points = np.array([before[0][match.trainIdx].pt for match in good], np.float32)
        step, _ = cv2.findHomography(points, old_points, cv2.RANSAC, 5.0)
        if step is None:
            return None
        chain.append(chain[-1] @ step)
        warped = cv2.warpPerspective(frame, chain[-1], (width, height))
        valid = cv2.warpPerspective(np.full((height, width), 255, np.uint8), chain[-1], (width, height))
        valid = cv2.erode(valid, np.ones((5, 5), np.uint8))
        last = np.where((valid == 255)[..., None], warped, last)
        pictures.append(_shrunk(last))
        before = now
    strip = cv2.cvtColor(np.concatenate(pictures), cv2.COLOR_RGB2BGR)
    return Strip(jpeg=cv2.imencode(".jpg", strip)[1].tobytes(), chain=chain)


def _shrunk(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    factor = _SIDE / min(height, width)
    small = cv2.resize(frame, (max(_SIDE, round(width * factor)), max(_SIDE, round(height * factor))))
    top, left = (small.shape[0] - _SIDE) // 2, (small.shape[1] - _SIDE) // 2
    middle: Frame = small[top : top + _SIDE, left : left + _SIDE]
    return middle


def decode_strip(jpeg: bytes, size: int) -> NDArray[np.uint8]:
    """A strip's clip as training wants it: uint8, T x size x size x 3 RGB."""
    strip = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    pictures = strip.reshape(-1, _SIDE, _SIDE, 3)
    return np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in pictures])
