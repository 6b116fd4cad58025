"""Which frames come: at a rate of one's own, and of a part of the video."""

from pathlib import Path

import pytest

from tests.footage_factory import ffmpeg
from vgan.video import probe, read_frames

_GREY = "format=yuv420p,geq=lum=16+4*N:cb=128:cr=128"


def _counted(path: Path, seconds: float, *options: str, rate: str = "25") -> Path:
    """A video whose frame n is a plain grey, 16 + 4 n in limited range, with a keyframe every 12."""
    source = f"color=size=64x48:rate={rate}:duration={seconds},{_GREY}"
    ffmpeg("-f", "lavfi", "-i", source, "-g", "12", "-b:v", "1M", *options, path)
    return path


def _numbers(path: Path, **options: object) -> list[int]:
    """The numbers of the frames that are read, as their grey tells."""
    frames = list(read_frames(path, probe(path), **options))  # type: ignore[arg-type]
    numbers = [float(frame.mean()) * 219 / 255 / 4 for frame in frames]
    assert all(abs(number - round(number)) < 0.3 for number in numbers), numbers
    return [round(number) for number in numbers]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (None, list(range(50))),
        (25.0, list(range(50))),
        (5.0, list(range(0, 50, 5))),
        (10.0, [tick * 25 // 10 for tick in range(20)]),
        (50.0, [number for number in range(50) for _ in range(2)]),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_every_video_is_brought_to_a_rate(tmp_path: Path, suffix: str, fps: float | None, expected: list[int]) -> None:
    path = _counted(tmp_path / f"video.{suffix}", 2)
    assert _numbers(path, fps=fps) == expected


def test_a_rate_like_the_videos_own_keeps_every_frame(tmp_path: Path) -> None:
    path = _counted(tmp_path / "video.mkv", 1.8, rate="30000/1001")  # its times are in milliseconds
    count = len(_numbers(path))
    assert _numbers(path, fps=30000 / 1001) == list(range(count))


def test_frames_of_any_duration_come_once_or_at_a_rate(tmp_path: Path) -> None:
    path = tmp_path / "variable.mkv"
    shown = {0: 0.0, 1: 0.04, 2: 0.08, 3: 0.5, 4: 0.62, 5: 1.5}  # frame: second from which it is shown
    times = "+".join(f"eq(N,{number})*{time}" for number, time in shown.items())
    source = f"color=size=64x48:rate=25:duration=0.24,{_GREY},settb=1/1000,setpts='({times})/TB'"
    ffmpeg("-f", "lavfi", "-i", source, "-fps_mode", "passthrough", "-enc_time_base", "1/1000", path)
    assert _numbers(path) == list(shown)
    expected = [max(n for n, time in shown.items() if time <= tick / 10 + 1e-9) for tick in range(15)]
    assert _numbers(path, fps=10.0)[:15] == expected


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "webm"])
def test_a_span_is_cut_to_the_frame(tmp_path: Path, suffix: str) -> None:
    path = _counted(tmp_path / f"video.{suffix}", 2)
    for span in ((0.0, 0.4), (0.6, 1.2), (1.0, None), (1.52, 9.0)):
        first, last = round(span[0] * 25), 50 if span[1] is None else min(50, round(span[1] * 25))
        assert _numbers(path, span=span) == list(range(first, last)), span
    assert _numbers(path, span=(0.6, 1.2), fps=5.0) == [15, 20, 25]
