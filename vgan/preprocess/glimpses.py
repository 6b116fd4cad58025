"""A few frames of a few dropped windows, for the pictures that people look at: their clips are in no shard."""

from collections import Counter, deque
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAMES", "Glimpses"]

FRAMES = 4  # of a window
_PER_REASON = 2
_AT_MOST = 12  # windows of a video
_SIDE = 64  # pixels
_AHEAD = 64  # frames that shot detection may look ahead by
_QUALITY = 85


class Glimpses:
    """Keeps, for a few dropped windows of a video, `FRAMES` frames as filmed. The same video gives the same."""

    def __init__(self, frames: int, size: int) -> None:
        self.starts: list[int] = []  # of the windows, in order of the picture's rows
        self._frames, self._side = frames, min(size, _SIDE)
        self._every = max(1, frames // FRAMES)
        self._recent: deque[tuple[int, NDArray[np.uint8]]] = deque(maxlen=(frames + _AHEAD) // self._every + 1)
        self._strips: list[NDArray[np.uint8]] = []
        self._counts: Counter[str] = Counter()
        self._last: dict[str, int] = {}

    def through(self, frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Hand the frames on and remember some of the last ones, small."""
        for index, frame in enumerate(frames):
            if index % self._every == 0:
                self._recent.append((index, _small(frame, self._side)))
            yield frame

    def dropped(self, start: int, reason: str) -> None:
        """The window from frame `start` on was dropped: keep a glimpse of it if it shows something new."""
        full = self._counts[reason] == _PER_REASON or len(self.starts) == _AT_MOST
        if full or (reason in self._last and start < self._last[reason] + self._frames):
            return
        seen = [small for index, small in self._recent if start <= index < start + self._frames]
        if not seen:
            return
        places = np.linspace(0, len(seen) - 1, FRAMES).round().astype(int)
        self._strips.append(np.concatenate([seen[place] for place in places], axis=1))
        self._counts[reason] += 1
        self._last[reason] = start
        self.starts.append(start)

    def jpeg(self) -> bytes:
        """The glimpses as one picture, a row of `FRAMES` square frames each; empty if there are none."""
        if not self._strips:
            return b""
        picture = np.ascontiguousarray(np.concatenate(self._strips)[..., ::-1])  # OpenCV's order is BGR
        return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())


def _small(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle square of a frame, `side` pixels wide."""
    height, width = frame.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    part = frame[top : top + square, left : left + square]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
