"""Frames to files: what is written comes back whole, the same each time, or not at all."""

import stat
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import filmed, scene, shake
from vgan.errors import VganError
from vgan.video import (
    encode,
    ffmpeg_binary,
    probe,
    read_frames,
    write_animation,
    write_video,
)

# Smooth, as yuv420p halves the colours' size.
FRAMES = filmed(cv2.GaussianBlur(scene(0), (0, 0), 3), shake(12, 0))[:, :64, :96]


def _script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 24000 / 1001, 60000 / 1001, 12.5, 10.0])
def test_written_video_comes_back(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, FRAMES, fps)
    info = probe(path)
    assert (info.width, info.height) == (96, 64)
    assert info.fps == pytest.approx(fps, abs=1e-9)
    assert info.duration_s == pytest.approx(12 / fps, abs=0.02)
    read = np.stack(list(read_frames(path, info)))
    assert read.shape == FRAMES.shape
    assert np.abs(read.astype(int) - FRAMES).mean() < 4


def test_written_video_plays_in_a_browser(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", FRAMES, 25)
    content = (tmp_path / "clip.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts before it is loaded
    command = [ffmpeg_binary(), "-i", str(tmp_path / "clip.mp4")]
    said = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False).stderr
    assert "h264" in said and "yuv420p" in said


def test_animation_holds_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "grid.gif"
    write_animation(path, FRAMES, 25)
    info = probe(path)
    read = np.stack(list(read_frames(path, info)))
    assert read.shape == FRAMES.shape and info.fps == 25
    assert np.abs(read.astype(int) - FRAMES).mean() < 12
    assert b"NETSCAPE2.0" in path.read_bytes()  # loops


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_video(tmp_path / f"{name}.mp4", FRAMES, 30)
        write_animation(tmp_path / f"{name}.gif", FRAMES, 30)
    for suffix in ("mp4", "gif"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("frames", [FRAMES[:, :63], FRAMES[:, :, :95], FRAMES.astype(np.float32), FRAMES[..., 0]])
def test_other_arrays_are_refused(tmp_path: Path, frames: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_video(tmp_path / "clip.mp4", frames, 25)


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = _script(tmp_path / "bin/ffmpeg", 'cat > /dev/null; echo "No space left" >&2; exit 1')
    monkeypatch.setattr(encode, "ffmpeg_binary", lambda: binary)
    with pytest.raises(VganError, match="No space left"):
        write_video(tmp_path / "out/clip.mp4", FRAMES, 25)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["-y.mp4", "a:b.mp4", 'it\'s "x".mp4', "new\nline.mp4", "p%03d.mp4", "ü [0].mp4"])
def test_any_file_name_works(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), FRAMES, 25)
    assert len(list(read_frames(Path(name), probe(Path(name))))) == len(FRAMES)
