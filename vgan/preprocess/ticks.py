"""How many frames the workers have read so far, in a file that they all append to: a byte per `EVERY` frames.

A video takes as long as it takes, so finished videos alone would leave a bar standing still for a film's length.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgan.progress import Progress

__all__ = ["EVERY", "shown", "ticking"]

EVERY = 25
_LOOK_EVERY_S = 1.0


def ticking(frames: Iterator[NDArray[np.uint8]], ticks: Path) -> Iterator[NDArray[np.uint8]]:
    """Hand `frames` on and append to `ticks`, if it is there; appends of many processes do not mix."""
    for count, frame in enumerate(frames, 1):
        yield frame
        if count % EVERY == 0:
            try:
                descriptor = os.open(ticks, os.O_WRONLY | os.O_APPEND)
            except FileNotFoundError:
                continue
            os.write(descriptor, b".")
            os.close(descriptor)


@contextmanager
def shown(ticks: Path, progress: Progress) -> Iterator[None]:
    """While the block runs, show the frames counted in `ticks` behind the bar; the file is gone afterwards."""
    ticks.write_bytes(b"")
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_EVERY_S):
            progress.show(f"{ticks.stat().st_size * EVERY:,} frames read")

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        ticks.unlink()
