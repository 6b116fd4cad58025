"""A video's frames, one after the other."""

import re
from collections.abc import Iterator
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.video.header import VideoInfo
from vgan.video.process import UnusableVideo, command_line, running, video_input

__all__ = ["read_frames"]

Frame = NDArray[np.uint8]

_LONGEST_S = 10  # for which one frame is repeated; a hole of hours in a damaged recording is no footage
_PLANAR_8_BIT = re.compile(r"yuv4\d\dp$")
_INDEXED = ("mov,", "matroska,")
_ALPHA = re.compile(r"yuva|gbrap|rgba|bgra|argb|abgr|ya\d|pal8|ayuv|vuya|uyva|rgbaf")  # pal8: its colours may have it


def read_frames(
    path: Path,
    info: VideoInfo,
    *,
    short_side: int | None = None,
    timeout_s: float = 60.0,
    fps: float | None = None,
    span: tuple[float, float | None] | None = None,
) -> Iterator[Frame]:
    """Decode frames in order, upright and in square pixels, scaled by ffmpeg to `info.scaled(short_side)`.

    Yields uint8 H x W x 3 RGB, one at a time: memory does not grow with the video. The decoder is ended when the
    generator is closed, whatever the reason.

    Args:
        path: of the video.
        info: what `probe` said of it.
        short_side: pixels that the shorter side has at most; None keeps the size.
        timeout_s: seconds without a frame after which the decoder is ended.
        fps: None yields every frame once, whatever the time between them; a number yields so many a second of the
            video's own time: at each tick the frame that the video shows then, for 10 s at most.
        span: seconds of the video, from the first up to (not with) the second; None is the end.

    Raises:
        UnusableVideo: no frame came, none came for `timeout_s`, or the file is damaged or the decoder failed midway
            (after the frames that it could decode were yielded).
    """
    width, height = info.scaled(short_side)
    # Widened bicubic taps average whole source pixels when shrinking, so nothing aliases.
    scale = f"scale={width}:{height}:flags=bicubic{_matrix(info)}"
    if _PLANAR_8_BIT.match(info.pixel_format) and (width, height) != (info.width, info.height):
        # Made small first and RGB after that, which costs half as much and differs by rounding.
        scale = f"scale={width}:{height}:flags=bicubic,format=yuv444p,{scale}"
    output = ffmpeg.output(
        video_input(**_seek(info, span))["V:0"],
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        vf=",".join(
            [*_trimmed(info, span), *_deinterlaced(info), *_at_rate(fps), *_composited(info), *_expanded(info), scale]
        ),
        fps_mode="passthrough",
        filter_threads=1,
    )
    count = 0
    with running(command_line(output, path, loglevel="warning"), path) as run:
        while True:
            frame = np.empty((height, width, 3), np.uint8)
            try:
                length = run.fill(frame.data.cast("B"), timeout_s)
            except TimeoutError:
                after = f" after {count} frames" if count else ""
                raise UnusableVideo(f"timed out: no frame for {timeout_s:g} s{after}", lasting=False) from None
            if length < frame.nbytes:  # part of a frame is no frame
                break
            count += 1
            yield frame
        failure = run.failure(count, timeout_s)
    if failure is not None:
        raise failure


def _deinterlaced(info: VideoInfo) -> list[str]:
    """Frames that the decoder marks as interlaced become progressive, one for one; others pass as they are."""
    planar = re.match(r"yuvj?4\d\dp", info.pixel_format) or info.pixel_format in ("nv12", "uyvy422", "yuyv422")
    return ["bwdif=mode=send_frame:deint=interlaced"] if planar and min(info.width, info.height) >= 8 else []


def _composited(info: VideoInfo) -> list[str]:
    """What is transparent over black; in 16 bits, as the filter takes 255 for 255/256."""
    if not _ALPHA.match(info.pixel_format):
        return []
    return [f"scale=flags=bicubic{_matrix(info)}", "format=gbrap16", "premultiply=inplace=1"]


def _expanded(info: VideoInfo) -> list[str]:
    """Grey in limited range as full range, which swscale takes all grey for."""
    if not info.pixel_format.startswith("gray") or info.color_range != "tv":
        return []
    return ["format=gray", "lut=c0='clip((val-16)*255/219+0.5,0,255)'"]


def _matrix(info: VideoInfo) -> str:
    """Of colours that the file says nothing of: BT.709 for more than 576 lines or 1,280 columns, as players do."""
    large = max(info.width, info.height) >= 1280 or min(info.width, info.height) > 576
    untold = info.color_space == "unknown" and info.pixel_format.startswith(("yuv", "nv", "uyvy", "yuyv", "p0"))
    return ":in_color_matrix=bt709" if large and untold else ""


def _at_rate(fps: float | None) -> list[str]:
    """Filters that show, at every tick of the new rate, the frame that the video shows then.

    The filter `fps` rounds a frame's time to the nearest tick and of several takes the last, so times are moved on by
    0.4 of a tick: a frame counts for a tick if it is there a tenth of one after it, however times were rounded.
    """
    if fps is None:
        return []
    step = f"min(PTS-PREV_INPTS,{_LONGEST_S}/TB)"
    move = f"if(N,PREV_OUTPTS+{step},PTS+{0.4 / fps:.9f}/TB)"
    return ["settb=AVTB", f"setpts='{move}'", f"fps={fps:.9f}"]


def _seek(info: VideoInfo, span: tuple[float, float | None] | None) -> dict[str, str]:
    """Options of the input with which decoding starts at the keyframe before the span; where an index leads there."""
    if span is None or not info.container.startswith(_INDEXED):
        return {}
    start, end = span
    return {"ss": f"{start:.6f}"} | ({} if end is None else {"to": f"{end:.6f}"})


def _trimmed(info: VideoInfo, span: tuple[float, float | None] | None) -> list[str]:
    """The filter that drops what lies outside the span, where there is no index to trust."""
    if span is None or info.container.startswith(_INDEXED):
        return []
    start, end = span
    return [f"trim=start={start:.6f}" + ("" if end is None else f":end={end:.6f}")]
