"""A still picture."""

from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.video.process import Run, UnusableVideo, check_file, command_line, running, still_input

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
    picture = still_input(demuxer)
    # Colours weighted by opacity before they are averaged, or hidden ones would shine through at the edges; in 16 bits,
    # as the filter takes 255 for 255/256.
    chain = [] if demuxer in ("jpeg_pipe", "pgm_pipe", "ppm_pipe") else ["format=gbrap16", "premultiply=inplace=1"]
    side = "min(iw,ih)" if short_side is None else f"min({short_side},min(iw,ih))"
    chain.append(f"scale=w='round(iw*{side}/min(iw,ih))':h='round(ih*{side}/min(iw,ih))':flags=bicubic")
    output = ffmpeg.output(
        picture["v:0"], "pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", vframes=1, vf=",".join(chain)
    )
    with running(command_line(output, path, loglevel="error"), path) as run:
        try:
            return _picture(run, timeout_s)
        except TimeoutError:
            raise UnusableVideo(f"timed out: no picture within {timeout_s:g} s", lasting=False) from None


def _picture(run: Run, timeout_s: float) -> NDArray[np.uint8]:
    """Read a PPM: `P6`, width and height, 255, each on a line, then the pixels."""
    header = bytearray()
    while header.count(b"\n") < 3:
        byte = bytearray(1)
        if not run.fill(memoryview(byte), timeout_s):
            raise run.failure(0, timeout_s) or UnusableVideo("unreadable: ffmpeg decoded no picture")
        header += byte
    width, height = (int(side) for side in header.split()[1:3])
    picture = np.empty((height, width, 3), np.uint8)
    if run.fill(picture.data.cast("B"), timeout_s) < picture.nbytes:
        raise run.failure(0, timeout_s) or UnusableVideo("unreadable: ffmpeg decoded half a picture")
    failure = run.failure(1, timeout_s)
    if failure is not None:
        raise failure
    return picture


def _demuxer(path: Path) -> str:
    check_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UnusableVideo(f"unreadable: {error.strerror}") from None
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp_pipe"
    for magic, demuxer in _KINDS:
        if start.startswith(magic):
            return demuxer
    raise UnusableVideo("unreadable: no picture of a known kind")
