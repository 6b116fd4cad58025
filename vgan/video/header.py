"""What a video says of itself."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from vgan.video.process import UnusableVideo, command_line, last_words, video_input

__all__ = ["VideoInfo", "probe"]

_UNKNOWN_FPS = 25.0


@dataclass(frozen=True)
class VideoInfo:
    """What ffmpeg says of a video: size in square pixels as displayed (rotated), frames and seconds."""

    width: int
    height: int
    fps: float
    duration_s: float | None

    def scaled(self, short_side: int | None) -> tuple[int, int]:
        """Width and height with the shorter side at most `short_side`, aspect kept, never enlarged."""
        shorter = min(self.width, self.height)
        if short_side is None or shorter <= short_side:
            return self.width, self.height
        return round(self.width * short_side / shorter), round(self.height * short_side / shorter)


def probe(path: Path, *, timeout_s: float = 60.0) -> VideoInfo:
    """Read a video's size and frame rate from its header.

    Raises:
        UnusableVideo: the file is missing, empty, unreadable, or has no video stream.
    """
    try:
        if path.stat().st_size == 0:
            raise UnusableVideo("empty file (0 bytes)")
    except OSError as error:
        raise UnusableVideo(f"unreadable: {error.strerror}") from None
    # The null output of no frames makes ffmpeg end well after it has described the input.
    output = ffmpeg.output(video_input(path)["V:0"], "-", format="null", vframes=0)
    command = command_line(output, loglevel="info")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise UnusableVideo(f"timed out: no header within {timeout_s:g} s") from None
    return _described(done.stderr.decode("utf-8", "replace"), path)


def _described(text: str, path: Path) -> VideoInfo:
    """Parse ffmpeg's description of its input (there may be no ffprobe)."""
    described = text.split("\nOutput #0")[0].split("\nStream mapping")[0]
    if "Input #0" not in described:
        raise UnusableVideo(f"unreadable: {last_words(text, path)}")
    streams = re.split(r"\n(?=  Stream #0:)", described)
    video = next((s for s in streams if re.match(r"  Stream #0:.*: Video: ", s) and "(attached pic)" not in s), None)
    if video is None:
        raise UnusableVideo("no video stream (audio only?)")
    line = video.splitlines()[0]
    size = re.search(r", (\d+)x(\d+)(?=[, ]|$)", line)
    if size is None or "0" in size.groups():
        raise UnusableVideo("unreadable: the video stream states no picture size")
    width, height = int(size[1]), int(size[2])
    sar = re.search(r"\bSAR (\d+):(\d+)", line)
    if sar is not None and int(sar[1]) and int(sar[2]):
        width = max(1, round(width * int(sar[1]) / int(sar[2])))
    rotation = re.search(r"rotation of (-?[\d.]+) degrees", video)
    if rotation is not None and round(float(rotation[1]) / 90) % 2:
        width, height = height, width
    rate = re.search(r"([\d.]+)(k?) fps", line) or re.search(r"([\d.]+)(k?) tbr", line)
    fps = _exact(float(rate[1]) * (1000 if rate[2] else 1)) if rate else _UNKNOWN_FPS
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", described)
    duration_s = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3]) if length else None
    return VideoInfo(width=width, height=height, fps=fps or _UNKNOWN_FPS, duration_s=duration_s)


def _exact(fps: float) -> float:
    """ffmpeg prints two digits: 23.98, 29.97 and 59.94 stand for television's n · 1000/1001."""
    whole = round(fps * 1001 / 1000)
    ntsc = whole * 1000 / 1001
    return ntsc if abs(fps - ntsc) < 0.006 < abs(fps - round(fps)) else fps
