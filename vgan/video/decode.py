"""A video's frames, one after the other."""

import select
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from vgan.video.header import VideoInfo
from vgan.video.process import UnusableVideo, command_line, complaints, last_words, running, video_input

__all__ = ["read_frames"]

Frame = NDArray[np.uint8]

_LONGEST_S = 10  # for which one frame is repeated; a hole of hours in a damaged recording is no footage


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
        UnusableVideo: no frame came, none came for `timeout_s`, or the decoder failed midway (after the frames that
            it could decode were yielded).
    """
    width, height = info.scaled(short_side)
    # Widened bicubic taps average whole source pixels when shrinking, so nothing aliases.
    chain = [f"scale={width}:{height}:flags=bicubic"]
    if fps is not None:
        chain = [*_at_rate(fps), *chain]
    output = ffmpeg.output(
        video_input(path, **_seek(span))["V:0"],
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        vf=",".join(chain),
        fps_mode="passthrough",
        filter_threads=1,
    )
    command = command_line(output, loglevel="error")
    count = 0
    with running(command) as (process, stderr):
        assert process.stdout is not None
        while True:
            frame = np.empty((height, width, 3), np.uint8)
            if not _fill(process.stdout, frame.data.cast("B"), timeout_s):
                break
            count += 1
            yield frame
        code = process.wait()
        words = last_words(complaints(stderr), path)
    if count == 0:
        raise UnusableVideo(f"unreadable: {words}")
    if code != 0:
        raise UnusableVideo(f"damaged after {count} frames: {words}")


def _at_rate(fps: float) -> list[str]:
    """Filters that show, at every tick of the new rate, the frame that the video shows then.

    The filter `fps` rounds a frame's time to the nearest tick and of several takes the last, so times are moved on by
    0.4 of a tick: a frame counts for a tick if it is there a tenth of one after it, however times were rounded.
    """
    step = f"min(PTS-PREV_INPTS,{_LONGEST_S}/TB)"
    move = f"if(N,PREV_OUTPTS+{step},PTS+{0.4 / fps:.9f}/TB)"
    return ["settb=AVTB", f"setpts='{move}'", f"fps={fps:.9f}"]


def _seek(span: tuple[float, float | None] | None) -> dict[str, str]:
    """Options of the input; ffmpeg starts decoding at the keyframe before and drops what comes too early."""
    if span is None:
        return {}
    start, end = span
    seek = {"ss": f"{start:.6f}"}
    return seek if end is None else seek | {"to": f"{end:.6f}"}


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
