"""What a video is: its size, its rate, how its pixels are to be understood."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg

from vgan.video.process import UnusableVideo, check_file, command_line, running, video_input

__all__ = ["VideoInfo", "probe"]

_UNKNOWN_FPS = 25.0
_MAX_ASPECT = 32  # a longer picture, made 240 lines high, would be a strip of over 7,680 pixels
_HEADER_BYTES = 1 << 16
# Lines of ffmpeg's account that are read: the file's kind, its duration, its streams, and what `showinfo` says.
_NOTES = re.compile(r"^Input #0, |^Duration: |^Stream #0:\d+.*: Video: .* fps|fmt:\w+ .*\bi:[PTB] |^color_range:")


@dataclass(frozen=True)
class VideoInfo:
    """A video's size in square pixels as displayed (rotated), frames and seconds, and the kind of its pixels."""

    width: int
    height: int
    fps: float  # the mean, where frames last differently long
    duration_s: float | None
    pixel_format: str = ""  # ffmpeg's name of it, empty if unknown
    color_range: str = "unknown"  # tv (limited), pc (full)
    color_space: str = "unknown"  # bt709, smpte170m, ...
    container: str = ""  # ffmpeg's names of it

    def scaled(self, short_side: int | None) -> tuple[int, int]:
        """Width and height with the shorter side at most `short_side`, aspect kept, never enlarged."""
        shorter = min(self.width, self.height)
        if short_side is None or shorter <= short_side:
            return self.width, self.height
        return round(self.width * short_side / shorter), round(self.height * short_side / shorter)


def probe(path: Path, *, timeout_s: float = 60.0) -> VideoInfo:
    """Read what a video is, decoding its first frame: what a header claims is not always what comes.

    Raises:
        UnusableVideo: the file is missing, empty, no regular file, unreadable, has no video stream, or pictures larger
            or longer than are read; or nothing came within `timeout_s`.
    """
    check_file(path)
    # framecrc writes what arrives there (size, pixels' aspect, 1 / frame rate) in a form that no name, title or tag of
    # the file can imitate.
    output = ffmpeg.output(
        video_input()["V:0"],
        "pipe:1",
        format="framecrc",
        vf="showinfo=checksum=0",
        vframes=1,
        fps_mode="cfr",
        filter_threads=1,
        map_metadata=-1,
    )
    found = bytearray(_HEADER_BYTES)
    with running(command_line(output, path, loglevel="info"), path, _NOTES) as run:
        try:
            length = run.fill(memoryview(found), timeout_s)
        except TimeoutError:
            raise UnusableVideo(f"timed out: no frame within {timeout_s:g} s", lasting=False) from None
        text = found[:length].decode("latin-1")
        failure = run.failure(int(re.search(r"^0,", text, re.MULTILINE) is not None), timeout_s)
        if failure is not None and not failure.reason.startswith("damaged: "):
            raise failure
        return _described(text, run.noted)


def _described(text: str, notes: list[str]) -> VideoInfo:
    size = re.search(r"^#dimensions 0: (\d+)x(\d+)$", text, re.MULTILINE)
    aspect = re.search(r"^#sar 0: (\d+)/(\d+)$", text, re.MULTILINE)
    if size is None or "0" in size.groups():
        raise UnusableVideo("unreadable: the video stream states no picture size")
    width, height = int(size[1]), int(size[2])
    if aspect is not None and int(aspect[1]) and int(aspect[2]):
        width = max(1, round(width * int(aspect[1]) / int(aspect[2])))
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise UnusableVideo(f"a picture of {width}x{height}: one side is over {_MAX_ASPECT} times the other")
    shown = next((note for note in notes if "fmt:" in note), "")
    kind = next((note for note in notes if note.startswith("Input #0, ")), "")
    colours = next((note for note in notes if note.startswith("color_range:")), "")
    return VideoInfo(
        width=width,
        height=height,
        fps=_rate(text, notes),
        duration_s=_duration(notes),
        pixel_format=_word("fmt", shown),
        color_range=_word("color_range", colours) or "unknown",
        color_space=_word("color_space", colours) or "unknown",
        container=kind.removeprefix("Input #0, ").split(", from ")[0],
    )


def _word(key: str, note: str) -> str:
    found = re.search(rf"\b{key}:(\w+)", note)
    return found[1] if found else ""


def _rate(text: str, notes: list[str]) -> float:
    """Frames a second: the stream's nominal rate, or the mean where that is another."""
    tick = re.search(r"^#tb 0: (\d+)/(\d+)$", text, re.MULTILINE)
    nominal = float(Fraction(int(tick[2]), int(tick[1]))) if tick and int(tick[1]) and int(tick[2]) else 0.0
    stream = next((note for note in notes if note.startswith("Stream ") and "(attached pic)" not in note), "")
    said = re.search(r", ([\d.]+)(k?) fps", stream)
    mean = float(said[1]) * (1000 if said[2] else 1) if said else 0.0
    if mean and abs(nominal / mean - 1) > 0.01:
        return mean
    return nominal or mean or _UNKNOWN_FPS


def _duration(notes: list[str]) -> float | None:
    length = next((found for note in notes if (found := re.match(r"Duration: (\d+):(\d+):([\d.]+)", note))), None)
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3]) if length else 0.0
    return seconds or None  # damaged headers say 0
