import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vgan.preprocess.ticks import BYTES, FRAMES, Tally, ticking, ticks_path, watched
from vgan.progress import Progress

FRAME = np.zeros((2, 2, 3), np.uint8)


def read(ticks: Path, frames: int, expected: float, size: int) -> None:
    """Take `frames` frames through."""
    assert len(list(ticking(iter([FRAME] * frames), ticks, expected=expected, size=size))) == frames


def test_frames_pass_unchanged_and_are_counted_by_all_readers_together(tmp_path: Path) -> None:
    ticks = ticks_path(tmp_path / "clips")
    ticks.write_bytes(b"")
    frames = [np.full((2, 2, 3), value % 256, np.uint8) for value in range(3 * FRAMES + 7)]

    def through() -> None:
        passed = ticking(iter(frames), ticks, expected=0, size=0)
        assert all(a is b for a, b in zip(passed, frames, strict=True))

    readers = [threading.Thread(target=through) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert ticks.read_bytes() == b"." * 3 * 4


@pytest.mark.parametrize("expected", [0, 50, 100, 1000])
def test_a_videos_bytes_are_all_passed_at_its_end_however_many_frames_were_expected(
    tmp_path: Path, expected: int
) -> None:
    ticks = tmp_path / "ticks"
    ticks.write_bytes(b"")
    read(ticks, 4 * FRAMES, expected, 9 * BYTES + 5)
    marks = ticks.read_bytes()
    assert (marks.count(b"."), marks.count(b"+")) == (4, 9)
    halfway = marks.split(b".")[2]
    assert {0: b"", 50: b"+" * 5, 100: b"++", 1000: b""}[expected] == halfway


def test_a_video_that_is_left_early_is_behind_us_too(tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    ticks.write_bytes(b"")
    frames = ticking(iter([FRAME] * 30), ticks, expected=30, size=2 * BYTES)
    for _ in range(20):
        next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert ticks.read_bytes() == b".++"


def test_without_a_count_under_way_frames_pass_all_the_same(tmp_path: Path) -> None:
    read(tmp_path / "ticks", 2 * FRAMES, 10, 10 * BYTES)
    assert not (tmp_path / "ticks").exists()


def test_the_line_tells_of_a_long_video_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vgan.progress._LINE_EVERY_S", 0.0)
    monkeypatch.setattr("vgan.preprocess.ticks._LOOK_EVERY_S", 0.01)
    ticks = tmp_path / "ticks"
    said = ""
    with Progress("preprocess", 2, "videos", weight=20 * BYTES) as progress:
        tally = Tally(progress)
        with watched(ticks, tally.counted):
            frames = ticking(iter([FRAME] * 100), ticks, expected=100, size=10 * BYTES)
            for _ in range(51):
                next(frames)
            until = time.monotonic() + 10
            while " 25% " not in said and time.monotonic() < until:
                said += capsys.readouterr().err
            assert list(frames)
            tally.ended(10 * BYTES, clips=7, failed=False)
            while " 50% " not in said and time.monotonic() < until:
                said += capsys.readouterr().err
            tally.ended(10 * BYTES, clips=0, failed=True)
    said += capsys.readouterr().err
    quarter = next(line for line in said.splitlines() if " 25% " in line)
    assert "0/2 videos" in quarter and "left" in quarter and "0 clips" in quarter
    assert re.search(r"100% · 2/2 videos · .* · 7 clips · \d+ frames/s · 1 failed", said.splitlines()[-1])
    assert not ticks.exists()


def test_what_came_since_the_last_look_is_told_at_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with watched(tmp_path / "ticks", lambda frames, passed: told.append((frames, passed))):
        read(tmp_path / "ticks", 2 * FRAMES, 2 * FRAMES, 3 * BYTES)  # over long before the first look
    assert told == [(2 * FRAMES, 3 * BYTES)]
