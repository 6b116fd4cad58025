"""Shot cuts in a stream of frames, by PySceneDetect's adaptive detector."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

__all__ = ["mark_cuts"]

_NEIGHBOURS = 2  # frames on each side with which the detector compares a frame's change
_FPS = 25.0  # the detector wants times; we want frames back, so any rate does
_T = TypeVar("_T")


def mark_cuts(
    frames: Iterable[_T], picture: Callable[[_T], NDArray[np.uint8]], threshold: float
) -> Iterator[tuple[_T, bool]]:
    """Hand on each frame with whether it begins a shot, `_NEIGHBOURS` frames late.

    A frame begins a shot when it differs from the one before `threshold` times as much as its neighbours do from
    theirs. 0 looks for no cut: all is one shot.

    Args:
        frames: anything with a picture.
        picture: small uint8 H x W x 3 RGB picture of a frame.
        threshold: `preprocess.cut_threshold`.
    """
    if threshold == 0:
        for index, frame in enumerate(frames):
            yield frame, index == 0
        return
    # Cuts may follow each other closely: a short shot gives no clip, but one hidden in a clip would spoil it.
    detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=1, window_width=_NEIGHBOURS)
    rest = iter(frames)
    head = list(islice(rest, _NEIGHBOURS + 1))
    before = len(head) - 1  # pictures that the detector is shown before the first frame
    fed = done = 0
    cuts = {0}

    def feed(frame: _T) -> None:
        nonlocal fed
        bgr = np.ascontiguousarray(picture(frame)[..., ::-1])  # the detector's order of colours
        cuts.update(cut.frame_num - before for cut in detector.process_frame(FrameTimecode(fed, _FPS), bgr))
        fed += 1

    # At both ends the frames are mirrored, so that those there have neighbours too. A shot of one frame there may be
    # missed: its change is its own neighbour.
    for frame in reversed(head[1:]):
        feed(frame)
    waiting: deque[_T] = deque()
    tail: deque[_T] = deque(maxlen=_NEIGHBOURS + 1)
    for frame in chain(head, rest):
        feed(frame)
        tail.append(frame)
        waiting.append(frame)
        if len(waiting) > _NEIGHBOURS:
            yield waiting.popleft(), done in cuts
            cuts.discard(done)
            done += 1
    for frame in list(reversed(tail))[1:]:
        feed(frame)
    for frame in waiting:
        yield frame, done in cuts
        done += 1
