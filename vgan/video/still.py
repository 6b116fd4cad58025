"""A still picture."""

import subprocess
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.video.process import UnusableVideo, command_line, last_words

__all__ = ["read_picture"]

# How a file of a kind begins, and the demuxer that reads this one file as a picture. None is left to ffmpeg's choice:
# by the name it would take `%03d.jpg` for a pattern of other files.
_KINDS = (
    (b"\xff\xd8\xff", "jpeg_pipe"),
    (b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (b"BM", "bmp_pipe"),
    (b"II*\0", "tiff_pipe"),
    (b"MM\0*", "tiff_pipe"),
    (b"GIF8", "gif_pipe"),
    (b"P5", "pgm_pipe"),
    (b"P6", "ppm_pipe"),
    (b"\0\0\0\x0cjP  ", "j2k_pipe"),
)


def read_picture(path: Path, *, short_side: int | None = None, timeout_s: float = 60.0) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP, BMP, TIFF, GIF (its first picture), PGM, PPM or JPEG 2000 file.

    Returns uint8 H x W x 3 RGB, upright as its EXIF orientation says (with ffmpeg 5.1: of JPEG only), what is
    transparent over black, the shorter side at most `short_side`, never enlarged.

    Raises:
        UnusableVideo: the file is missing, no such picture or damaged, or took longer than `timeout_s`.
    """
    demuxer = _demuxer(path)
    picture = ffmpeg.input(f"file:{path}", format=demuxer, protocol_whitelist="file", threads=1)
    # Colours weighted by opacity before they are averaged, or hidden ones would shine through at the edges; in 16 bits,
    # as the filter takes 255 for 255/256.
    chain = [] if demuxer in ("jpeg_pipe", "pgm_pipe", "ppm_pipe") else ["format=gbrap16", "premultiply=inplace=1"]
    side = "min(iw,ih)" if short_side is None else f"min({short_side},min(iw,ih))"
    chain.append(f"scale=w='round(iw*{side}/min(iw,ih))':h='round(ih*{side}/min(iw,ih))':flags=bicubic")
    output = ffmpeg.output(
        picture["v:0"], "pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", vframes=1, vf=",".join(chain)
    )
    command = command_line(output, loglevel="error")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise UnusableVideo(f"timed out: no picture within {timeout_s:g} s") from None
    parts = done.stdout.split(b"\n", 3)
    if len(parts) < 4:
        raise UnusableVideo(f"unreadable: {last_words(done.stderr.decode('utf-8', 'replace'), path)}")
    width, height = (int(side) for side in parts[1].split())
    return np.frombuffer(parts[3], np.uint8).reshape(height, width, 3).copy()


def _demuxer(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UnusableVideo(f"unreadable: {error.strerror}") from None
    if not start:
        raise UnusableVideo("empty file (0 bytes)")
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp_pipe"
    for magic, demuxer in _KINDS:
        if start.startswith(magic):
            return demuxer
    raise UnusableVideo("unreadable: no picture of a known kind")
