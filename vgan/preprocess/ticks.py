"""How far the workers have come, in a file that all append to: a byte per `FRAMES` frames and per `BYTES` of video.

A video takes as long as it takes, so finished videos alone would leave a bar standing still for a film's length, and
videos differ in length, so their number alone would foretell nothing.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgan.progress import Progress

__all__ = ["BYTES", "FRAMES", "Tally", "ticking", "ticks_path", "watched"]

FRAMES = 25
BYTES = 1 << 22
_FRAME, _BYTE = b".", b"+"
_LOOK_EVERY_S = 1.0

Told = Callable[[int, int], None]  # frames read so far, bytes of video passed


def ticks_path(clips: Path) -> Path:
    """Where workers count while a run is under way: beside the folder, which holds results only."""
    return clips.parent / f".{clips.name}.frames"


def ticking(
    frames: Iterator[NDArray[np.uint8]], ticks: Path, *, expected: float, size: int
) -> Iterator[NDArray[np.uint8]]:
    """Hand `frames` on and append to `ticks`, if it is there; appends of many processes do not mix.

    Args:
        frames: of one video.
        ticks: the file.
        expected: about how many frames there will be; 0 if nothing is known.
        size: of the video's file, in bytes.
    """
    count = passed = 0
    try:
        for frame in frames:
            yield frame
            count += 1
            if count % FRAMES == 0:
                now = int(size * min(1.0, count / expected)) // BYTES if expected > 0 else 0
                _append(ticks, _FRAME + _BYTE * (now - passed))
                passed = now
    finally:  # whatever it was, the video is behind us
        _append(ticks, _FRAME * round(count % FRAMES / FRAMES) + _BYTE * (size // BYTES - passed))


def _append(ticks: Path, marks: bytes) -> None:
    if not marks:
        return
    try:
        descriptor = os.open(ticks, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return
    os.write(descriptor, marks)
    os.close(descriptor)


@contextmanager
def watched(ticks: Path, tell: Told) -> Iterator[None]:
    """While the block runs, call `tell` every second with what `ticks` counts; the file is gone afterwards."""
    ticks.write_bytes(b"")
    done = threading.Event()

    def look() -> None:
        frames = passed = 0
        over = False
        with ticks.open("rb") as file:
            while not over:
                over = done.wait(_LOOK_EVERY_S)  # the last look is after the end
                new = file.read()
                frames += new.count(_FRAME) * FRAMES
                passed += new.count(_BYTE) * BYTES
                tell(frames, passed)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        ticks.unlink()


class Tally:
    """The one line of a run: videos by number, the share done and the time left by bytes, clips, frames/s, failures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()  # videos end in one thread, frames are counted in another
        self._clips = self._failed = self._frames = self._passed = self._rest = 0
        self._started = time.monotonic()

    def ended(self, size: int, clips: int, failed: bool) -> None:
        """A video of `size` bytes is done."""
        with self._lock:
            self._rest += size % BYTES
            self._clips += clips
            self._failed += failed
            self._progress.advance(1, note=self._note(), weight=self._passed + self._rest)

    def counted(self, frames: int, passed: int) -> None:
        """That many frames and bytes are through so far."""
        with self._lock:
            self._frames, self._passed = frames, passed
            self._progress.show(self._note(), weight=self._passed + self._rest)

    def _note(self) -> str:
        rate = self._frames / max(time.monotonic() - self._started, 1e-9)
        return f"{self._clips} clips · {rate:.0f} frames/s · {self._failed} failed"
