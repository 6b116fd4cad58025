import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vgan.preprocess.ticks import EVERY, shown, ticking
from vgan.progress import Progress

FRAME = np.zeros((2, 2, 3), np.uint8)


def test_frames_pass_unchanged_and_are_counted_by_all_readers_together(tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    ticks.write_bytes(b"")
    frames = [np.full((2, 2, 3), value % 256, np.uint8) for value in range(3 * EVERY + 7)]

    def read() -> None:
        assert all(a is b for a, b in zip(ticking(iter(frames), ticks), frames, strict=True))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert ticks.read_bytes() == b"." * 3 * 4


def test_without_a_count_under_way_frames_pass_all_the_same(tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    assert len(list(ticking(iter([FRAME] * (2 * EVERY)), ticks))) == 2 * EVERY
    assert not ticks.exists()


def test_the_bar_tells_the_frames_before_a_video_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vgan.progress._LINE_EVERY_S", 0.0)
    monkeypatch.setattr("vgan.preprocess.ticks._LOOK_EVERY_S", 0.01)
    ticks = tmp_path / "ticks"
    with Progress("preprocess", 1, "videos") as progress, shown(ticks, progress):
        list(ticking(iter([FRAME] * (60 * EVERY)), ticks))
        until = time.monotonic() + 10
        said = ""
        while "1,500 frames read" not in said and time.monotonic() < until:
            said += capsys.readouterr().err
    assert "0/1 videos" in said and "1,500 frames read" in said
    assert not ticks.exists()
