"""The only place that names ffmpeg: probe a video, decode its frames, encode frames as a video or an animation.

ffmpeg-python writes the command lines; they run without a shell, with standard input closed while decoding, and on
files given as `file:` addresses, so no name is taken for an option or a protocol. Only containers that hold their own
pictures are opened: a playlist renamed to .mp4 cannot make ffmpeg read other files.
"""

import fcntl
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import IO, Any

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.atomic import open_atomic
from vgan.errors import VganError

__all__ = [
    "UnusableVideo",
    "VideoInfo",
    "ffmpeg_binary",
    "probe",
    "read_frames",
    "write_animation",
    "write_video",
]

Frame = NDArray[np.uint8]

_CONTAINERS = (
    "3gp,apng,asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,vc1,vvc,webm,webp_anim,wtv,yuv4mpegpipe"
)
_PIPE_BYTES = 1 << 20  # what Linux lets anyone ask for; several small frames, so that decoder and reader overlap
_UNKNOWN_FPS = 25.0


class UnusableVideo(Exception):  # noqa: N818 - it says what the video is
    """A video that cannot be read, or not to its end; `reason` is a short sentence for the manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


@cache
def ffmpeg_binary() -> str:
    """Path of the system's ffmpeg if it can do all that this module asks, else of the one in imageio-ffmpeg.

    Raises:
        VganError: there is neither.
    """
    system = shutil.which("ffmpeg")
    if system is not None and _is_able(system):
        return system
    try:
        bundled = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        bundled = ""
    if bundled and bundled != system and _is_able(bundled):
        return bundled
    found = f"the one at {system} is too old or lacks libx264" if system else "there is none on the PATH"
    raise VganError(
        f"expected an ffmpeg (5.1 or newer, with libx264): {found}, and the imageio-ffmpeg package has none for this "
        "machine; install ffmpeg with your system's package manager"
    )


def _is_able(binary: str) -> bool:
    """Whether `binary` encodes two frames with the options used below."""
    picture = ffmpeg.input("color=size=16x16:rate=2:duration=1", format="lavfi")
    output = ffmpeg.output(picture, "-", vcodec="libx264", fps_mode="passthrough", format="null")
    command = ffmpeg.compile(output.global_args("-hide_banner", "-nostdin", "-loglevel", "error"), cmd=binary)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


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
    output = ffmpeg.output(_input(path)["V:0"], "-", format="null", vframes=0)
    command = ffmpeg.compile(output.global_args("-hide_banner", "-nostdin", "-loglevel", "info"), cmd=ffmpeg_binary())
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise UnusableVideo(f"timed out: no header within {timeout_s:g} s") from None
    return _described(done.stderr.decode("utf-8", "replace"), path)


def _input(path: Path) -> Any:
    return ffmpeg.input(
        f"file:{path}", protocol_whitelist="file", format_whitelist=_CONTAINERS, threads=1, hide_banner=None
    )


def _described(text: str, path: Path) -> VideoInfo:
    """Parse ffmpeg's description of its input (there may be no ffprobe)."""
    described = text.split("\nOutput #0")[0].split("\nStream mapping")[0]
    if "Input #0" not in described:
        raise UnusableVideo(f"unreadable: {_last_words(text, path)}")
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


def read_frames(
    path: Path, info: VideoInfo, *, short_side: int | None = None, timeout_s: float = 60.0
) -> Iterator[Frame]:
    """Decode every frame once, upright and in square pixels, scaled by ffmpeg to `info.scaled(short_side)`.

    Yields uint8 H x W x 3 RGB, one at a time: memory does not grow with the video. The decoder is ended when the
    generator is closed, whatever the reason.

    Raises:
        UnusableVideo: no frame came, none came for `timeout_s`, or the decoder failed midway (after the frames that
            it could decode were yielded).
    """
    width, height = info.scaled(short_side)
    # Widened bicubic taps average whole source pixels when shrinking, so nothing aliases.
    output = ffmpeg.output(
        _input(path)["V:0"],
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        vf=f"scale={width}:{height}:flags=bicubic",
        fps_mode="passthrough",
        filter_threads=1,
    )
    command = ffmpeg.compile(output.global_args("-nostdin", "-loglevel", "error"), cmd=ffmpeg_binary())
    count = 0
    with _running(command) as (process, stderr):
        assert process.stdout is not None
        while True:
            frame = np.empty((height, width, 3), np.uint8)
            if not _fill(process.stdout, frame.data.cast("B"), timeout_s):
                break
            count += 1
            yield frame
        code = process.wait()
        words = _last_words(_text(stderr), path)
    if count == 0:
        raise UnusableVideo(f"unreadable: {words}")
    if code != 0:
        raise UnusableVideo(f"damaged after {count} frames: {words}")


@contextmanager
def _running(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run ffmpeg with its output on a pipe and its complaints in a file, and end it on the way out."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, bufsize=0)
        assert process.stdout is not None
        try:
            if sys.platform == "linux":
                fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            yield process, stderr
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _fill(pipe: IO[bytes], target: memoryview, timeout_s: float) -> bool:
    """Read until `target` is full; False at the end of the stream (a partial frame is no frame)."""
    filled = 0
    while filled < len(target):
        ready, _, _ = select.select([pipe], [], [], timeout_s)
        if not ready:
            raise UnusableVideo(f"timed out: no frame for {timeout_s:g} s")
        count = pipe.readinto(target[filled:])  # type: ignore[attr-defined]
        if not count:
            return False
        filled += count
    return True


def _text(file: IO[bytes]) -> str:
    size = file.seek(0, 2)
    file.seek(max(0, size - 4096))
    return file.read().decode("utf-8", "replace")


def _last_words(text: str, path: Path) -> str:
    """ffmpeg's own account of what went wrong, without addresses of memory and the file's path."""
    general = re.compile(
        r"^(Error opening|Output file|Conversion failed|At least one|Terminating|Nothing was written|Format \S+ det)"
    )
    lines = [re.sub(r"^(\[[^]]*\] )+", "", line.strip()) for line in text.splitlines()]
    lines = [line.replace(f"file:{path}: ", "").replace(f"file:{path}", "it") for line in lines if line]
    telling = [line for line in lines if not general.match(line)] or lines or ["ffmpeg decoded no frame"]
    if "not on whitelist" in telling[-1]:
        return "not a video file that holds its own pictures"
    return telling[-1][:200]


def write_video(path: Path, frames: Frame, fps: float) -> None:
    """Encode T x H x W x 3 uint8 RGB as H.264 in mp4: exactly T frames of H x W at `fps`, playable in a browser.

    Same input, same bytes. The file appears whole or not at all.

    Raises:
        ValueError: not such an array, or odd H or W (yuv420p halves the colours' size, and browsers play no other).
    """
    _check_frames(frames)
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(f"expected even height and width, got {frames.shape[1]}x{frames.shape[2]}")
    _encode(
        path,
        _raw_input(frames, fps),
        frames,
        # No frames out of order: a player that ignores edit lists still shows all T.
        {"vcodec": "libx264", "pix_fmt": "yuv420p", "crf": 12, "bf": 0, "movflags": "+faststart", "format": "mp4"},
    )


def write_animation(path: Path, frames: Frame, fps: float) -> None:
    """Encode T x H x W x 3 uint8 RGB as an endless GIF with a palette of its own. Same input, same bytes.

    GIF counts time in 1/100 s, so 30 fps alternates between 3 and 4 of them.

    Raises:
        ValueError: not such an array.
    """
    _check_frames(frames)
    split = _raw_input(frames, fps).split()
    palette = split[0].filter("palettegen", stats_mode="full")
    picture = ffmpeg.filter([split[1], palette], "paletteuse", dither="bayer", bayer_scale=4)
    _encode(path, picture, frames, {"format": "gif", "loop": 0})


def _check_frames(frames: Frame) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.size == 0:
        raise ValueError(f"expected uint8 frames of T x H x W x 3, got {frames.dtype} of {frames.shape}")


def _raw_input(frames: Frame, fps: float) -> Any:
    rate = Fraction(fps).limit_denominator(1001)
    size = (frames.shape[2], frames.shape[1])
    return ffmpeg.input(
        "pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=size, framerate=f"{rate.numerator}/{rate.denominator}"
    )


def _encode(path: Path, stream: Any, frames: Frame, options: dict[str, object]) -> None:
    with open_atomic(path) as file:
        output = ffmpeg.output(
            stream, f"file:{file.name}", threads=1, fflags="+bitexact", flags="+bitexact", map_metadata=-1, **options
        )
        output = output.global_args("-hide_banner", "-loglevel", "error", "-filter_complex_threads", "1")
        command = ffmpeg.compile(output, cmd=ffmpeg_binary(), overwrite_output=True)
        done = subprocess.run(command, input=np.ascontiguousarray(frames).data, capture_output=True, check=False)
        if done.returncode != 0:
            words = _last_words(done.stderr.decode("utf-8", "replace"), path)
            raise VganError(f"ffmpeg could not write {path}: {words}; check that the disk has room")
