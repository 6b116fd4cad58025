"""What vidstab measures, against known shifts; and what is said where it is not to be had."""

from pathlib import Path

import numpy as np
import pytest

from tests.footage_factory import scene
from vgan.errors import VganError
from vgan.video import UnusableVideo, parts_moved, vidstab


def _shifted(shifts: list[tuple[int, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Views of 320 x 240 of one grey scene, each further right and down by its shift."""
    picture = scene(1, 240, 320).mean(axis=2).astype(np.uint8)
    return np.stack([picture[30 + y : 270 + y, 30 + x : 350 + x] for x, y in shifts])


def test_whole_pixel_shifts_are_measured_exactly() -> None:
    shifts = [(0, 0), (3, -2), (0, 0), (-7, 5)]
    found = parts_moved(_shifted(shifts))
    assert len(found) == 4 and len(found[0][0]) == len(found[0][1]) == 0
    for (places, before), shift in zip(found[1:], shifts[1:], strict=True):
        assert len(places) >= 20 and places.dtype == before.dtype == np.float32
        # What lies at a place now lay further right and down in the first frame by the view's own shift.
        exact = (before - places == np.array(shift)).all(axis=1)
        assert exact.mean() > 0.9


def test_measuring_again_gives_the_same() -> None:
    frames = _shifted([(0, 0), (2, 1), (4, 3)])
    for one, two in zip(parts_moved(frames), parts_moved(frames), strict=True):
        np.testing.assert_array_equal(np.hstack(one), np.hstack(two))


def test_a_flat_picture_has_no_parts() -> None:
    assert [len(places) for places, _ in parts_moved(np.full((3, 120, 160), 128, np.uint8))] == [0, 0, 0]


def test_taking_too_long_is_the_clips_fault_for_now() -> None:
    with pytest.raises(UnusableVideo, match="timed out") as caught:
        parts_moved(_shifted([(0, 0), (1, 1)]), timeout_s=1e-3)
    assert not caught.value.lasting


@pytest.mark.parametrize(
    ("end", "words", "lasting"),
    [
        ("kill -SEGV $$", r"signal 11", True),
        ("kill -KILL $$", r"signal 9", False),
        ("exit 1", "exit 1", True),
        ("exit 255", "exit 255", False),
        ("exit 127", "exit 127", False),
    ],
)
def test_a_measurement_that_fails_is_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, words: str, lasting: bool
) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!/bin/sh\ncat > /dev/null\necho 'Frame 2 (List 1 [(LM 1 1 9 9 5 0.1 0.2)])'\n{end}\n")
    script.chmod(0o755)
    monkeypatch.setattr(vidstab, "_vidstab_binary", lambda: str(script))
    with pytest.raises(UnusableVideo, match=rf"^vidstab failed \({words}\)$") as caught:
        parts_moved(_shifted([(0, 0), (1, 1)]))
    assert caught.value.lasting is lasting


def test_an_ffmpeg_without_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vidstab, "_has_vidstab", lambda binary: False)
    vidstab._vidstab_binary.cache_clear()
    try:
        with pytest.raises(VganError, match=r"vidstabdetect.*choose klt"):
            parts_moved(_shifted([(0, 0), (1, 1)]))
    finally:
        vidstab._vidstab_binary.cache_clear()
