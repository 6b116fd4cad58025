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


def test_an_edit_list_and_a_late_start_are_honoured(tmp_path: Path) -> None:
    path = _counted(tmp_path / "video.mp4", 2)
    ffmpeg("-ss", "0.6", "-i", path, "-c", "copy", tmp_path / "cut.mp4")  # the keyframe before it, and an edit list
    assert _numbers(tmp_path / "cut.mp4") == list(range(15, 50))
    assert _numbers(tmp_path / "cut.mp4", span=(0.4, 0.8)) == list(range(25, 35))
    for suffix in ("mkv", "ts"):
        later = tmp_path / f"later.{suffix}"
        ffmpeg("-i", path, "-c", "copy", "-output_ts_offset", "7", later)
        assert _numbers(later) == list(range(50))
        assert _numbers(later, fps=5.0) == list(range(0, 50, 5))
        assert _numbers(later, span=(0.6, 1.2)) == list(range(15, 30))


def test_sound_that_begins_earlier_moves_no_frame(tmp_path: Path) -> None:
    path = _counted(tmp_path / "video.mp4", 2)
    late = tmp_path / "late.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=3", "-itsoffset", "0.8", "-i", path, "-map", "0", "-map", "1:v", late)
    assert _numbers(late) == list(range(50))
    assert _numbers(late, fps=5.0) == list(range(0, 50, 5))
    assert _numbers(late, span=(1.0, 1.4)) == list(range(5, 15))  # of the file, not of the pictures


def test_a_hole_in_time_is_not_filled_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "hole.mkv"
    source = f"color=size=64x48:rate=25:duration=0.4,{_GREY},settb=1/1000,setpts='(N*0.04+gte(N,5)*3600)/TB'"
    ffmpeg("-f", "lavfi", "-i", source, "-fps_mode", "passthrough", "-enc_time_base", "1/1000", path)
    numbers = _numbers(path, fps=25.0)
    assert sorted(set(numbers)) == list(range(10)) and 250 <= numbers.count(4) <= 252
    assert _numbers(path) == list(range(10))


def test_a_last_frame_without_end_is_not_shown_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    source = f"color=size=64x48:rate=25:duration=0.4,{_GREY},setpts='(N+gte(N,9))/25/TB'"
    ffmpeg("-f", "lavfi", "-i", source, "-fps_mode", "passthrough", "-c:v", "mjpeg", path)
    content = bytearray(path.read_bytes())
    table = content.index(b"stts")
    assert [content[place + 3] for place in (table + 8, table + 12)] == [3, 8]  # three runs; the first of 8 frames
    content[table + 32 : table + 36] = (2**31 - 1).to_bytes(4)  # the last frame's duration
    path.write_bytes(content)
    assert _numbers(path) == list(range(10))
    assert _numbers(path, fps=25.0)[:10] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert len(_numbers(path, fps=25.0)) < 300
