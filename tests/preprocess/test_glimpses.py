"""Glimpses: few, the right frames, and new things only."""

import cv2
import numpy as np
import pytest

from vgan.preprocess.glimpses import FRAMES, Glimpses


def shown(glimpses: Glimpses) -> list[list[int]]:
    """The grey level of each frame of each row of the picture."""
    picture = cv2.imdecode(np.frombuffer(glimpses.jpeg(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    side = picture.shape[1] // FRAMES
    rows = range(0, len(picture), side)
    return [
        [round(float(picture[top : top + side, at * side : (at + 1) * side].mean())) for at in range(FRAMES)]
        for top in rows
    ]


def filled(glimpses: Glimpses, count: int, windows: dict[int, str]) -> None:
    """Frames of level 2, 4, 6, ...; a window is dropped `16` frames after its start, as the stage does."""
    frames = (np.full((20, 30, 3), 2 * (index % 120), np.uint8) for index in range(count))
    for index, _ in enumerate(glimpses.through(frames)):
        if index - 15 in windows:
            glimpses.dropped(index - 15, windows[index - 15])


def test_a_row_shows_its_window_from_first_to_last() -> None:
    glimpses = Glimpses(16, 32)
    filled(glimpses, 100, {32: "a"})
    [row] = shown(glimpses)
    assert glimpses.starts == [32]
    assert row == pytest.approx([64, 72, 80, 88], abs=2)


def test_two_of_a_reason_that_share_no_frame_and_twelve_in_all() -> None:
    glimpses = Glimpses(16, 16)
    filled(glimpses, 100, dict.fromkeys(range(0, 80), "a"))
    assert glimpses.starts == [0, 16]
    many = Glimpses(16, 16)
    filled(many, 100, {start: f"reason {start}" for start in range(0, 80, 2)})
    assert len(many.starts) == 12 and len(shown(many)) == 12


def test_nothing_dropped_gives_no_picture_and_frames_pass_unchanged() -> None:
    glimpses = Glimpses(32, 64)
    frames = [np.full((4, 4, 3), k, np.uint8) for k in range(5)]
    assert all(a is b for a, b in zip(glimpses.through(iter(frames)), frames, strict=True))
    assert glimpses.jpeg() == b"" and glimpses.starts == []
    glimpses.dropped(500, "long gone")
    assert glimpses.jpeg() == b""
