"""What ffmpeg's vidstabdetect (libvidstab) measures in tripod mode: how parts of frames moved against the first."""

import os
import re
import subprocess
from contextlib import suppress
from functools import cache
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.errors import VganError
from vgan.video.binary import ffmpeg_binary
from vgan.video.process import UnusableVideo, ending_with_us, exit_fault

__all__ = ["Moved", "parts_moved"]

Moved = tuple[NDArray[np.float32], NDArray[np.float32]]  # N x 2, places in a frame, and in the first one

# Its most thorough search, and parts down to a twentieth of the contrast there could be: a wall is something too.
_SEARCH = {"tripod": 1, "shakiness": 10, "accuracy": 15, "stepsize": 4, "mincontrast": 0.05}
_SIGNALLED = 255
_FRAME = re.compile(r"^Frame (\d+) \(List \d+ \[(.*)\]\)$")
_PART = re.compile(r"\(LM (-?\d+) (-?\d+) (\d+) (\d+) ")


def parts_moved(frames: NDArray[np.uint8], *, timeout_s: float = 60.0) -> list[Moved]:
    """Measure each of a clip's frames (uint8, T x H x W) against the first, to whole pixels.

    Returns:
        For each frame, the middles of the parts of it that show enough, and where they were in the first frame; the
        first has none.

    Raises:
        UnusableVideo: it took longer than `timeout_s`, or failed.
        VganError: no ffmpeg here has the filter.
    """
    picture = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="gray", video_size=frames.shape[:0:-1])
    output = ffmpeg.output(
        picture.filter("vidstabdetect", result="/dev/stdout", fileformat="ascii", **_SEARCH), "-", format="null"
    )
    try:
        done = _run(_vidstab_binary(), output, frames.tobytes(), timeout_s)
    except subprocess.TimeoutExpired:
        raise UnusableVideo(f"timed out: vidstab took over {timeout_s:g} s for a clip", lasting=False) from None
    if done.returncode:
        words, lasting = exit_fault(done.returncode)
        # 255 is how ffmpeg ends for a signal that it caught: that says nothing of the clip.
        raise UnusableVideo(f"vidstab failed ({words})", lasting=lasting and done.returncode != _SIGNALLED)
    found: list[Moved] = [(_points([]), _points([]))] * len(frames)
    for line in done.stdout.decode("ascii", "replace").splitlines():
        match = _FRAME.match(line)
        if match is not None and 1 < int(match[1]) <= len(frames):
            parts = sorted(tuple(map(int, part)) for part in _PART.findall(match[2]))
            places = _points([part[2:] for part in parts])
            found[int(match[1]) - 1] = places, places + _points([part[:2] for part in parts])
    return found


def _points(pairs: list[tuple[int, ...]]) -> NDArray[np.float32]:
    return np.array(pairs, np.float32).reshape(-1, 2)


def _run(binary: str, output: Any, content: bytes, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    command = ffmpeg.compile(output.global_args("-hide_banner", "-loglevel", "error"), cmd=binary)
    # Threads of its own would measure in another order, and the videos are what runs at the same time.
    return subprocess.run(
        ending_with_us(command),
        input=content,
        capture_output=True,
        check=False,
        timeout=timeout_s,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@cache
def _vidstab_binary() -> str:
    """The first ffmpeg that has the filter: the one used for everything else, or imageio-ffmpeg's."""
    binaries = [ffmpeg_binary()]
    with suppress(RuntimeError):  # there is none for this machine
        binaries.append(str(imageio_ffmpeg.get_ffmpeg_exe()))
    for binary in binaries:
        if _has_vidstab(binary):
            return binary
    raise VganError(
        f"preprocess.stabilizer: vidstab needs an ffmpeg with the filter vidstabdetect, which {' and '.join(binaries)} "
        "lack: install one that has it (Debian's does), or choose klt"
    )


def _has_vidstab(binary: str) -> bool:
    done = subprocess.run(
        [binary, "-hide_banner", "-filters"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return b" vidstabdetect " in done.stdout
