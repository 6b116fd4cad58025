"""Frames to a video file or an animation."""

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.atomic import open_atomic
from vgan.errors import VganError
from vgan.video.binary import ffmpeg_binary
from vgan.video.process import last_words

__all__ = ["write_animation", "write_video"]

Frame = NDArray[np.uint8]


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
            words = last_words(done.stderr, path)
            raise VganError(f"ffmpeg could not write {path}: {words}; check that the disk has room")
