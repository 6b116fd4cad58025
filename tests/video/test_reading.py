"""Frames one after the other: scaled, to the end or the damage, and the decoder ended with its reader."""

import stat
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import ffmpeg, filmed, scene, shake
from vgan.video import (
    UnusableVideo,
    VideoInfo,
    probe,
    process,
    read_frames,
    write_video,
)

# Smooth, as yuv420p halves the colours' size.
FRAMES = filmed(cv2.GaussianBlur(scene(0), (0, 0), 3), shake(12, 0))[:, :64, :96]


def _script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_cut_short_file_gives_its_first_frames(tmp_path: Path) -> None:
    frames = np.concatenate([FRAMES] * 8)
    write_video(tmp_path / "whole.mp4", frames, 25)
    ffmpeg("-i", tmp_path / "whole.mp4", "-c:v", "mjpeg", tmp_path / "whole.avi")
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    info = probe(tmp_path / "cut.avi")
    read: list[NDArray[np.uint8]] = []
    with pytest.raises(UnusableVideo, match=r"^damaged: "):
        read.extend(read_frames(tmp_path / "cut.avi", info))
    assert 30 < len(read) < 70
    assert np.abs(read[20].astype(int) - frames[20]).mean() < 8


def test_decoding_scales_the_shorter_side(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", FRAMES, 25)
    info = probe(tmp_path / "clip.mp4")
    frame = next(read_frames(tmp_path / "clip.mp4", info, short_side=32))
    assert frame.shape == (32, 48, 3)
    means = FRAMES[0].reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(frame - means).mean() < 5
    assert info.scaled(100) == info.scaled(None) == (96, 64)
    assert VideoInfo(width=90, height=160, fps=25, duration_s=None).scaled(45) == (45, 80)


def test_decoder_ends_with_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "clip.mp4", np.concatenate([FRAMES] * 40), 25)
    started = []
    popen = subprocess.Popen

    def remembered(*args: object, **kwargs: object) -> object:
        started.append(popen(*args, **kwargs))  # type: ignore[call-overload]
        return started[-1]

    info = probe(tmp_path / "clip.mp4")
    monkeypatch.setattr(subprocess, "Popen", remembered)
    frames = read_frames(tmp_path / "clip.mp4", info)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert len(started) == 1 and started[0].poll() is not None


def test_decoder_without_a_frame_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = _script(tmp_path / "ffmpeg", "exec sleep 60")
    monkeypatch.setattr(process, "ffmpeg_binary", lambda: binary)
    (tmp_path / "clip.mp4").write_bytes(b"x")
    info = VideoInfo(width=4, height=2, fps=25, duration_s=None)
    with pytest.raises(UnusableVideo, match=r"timed out: no frame for 0\.2 s"):
        next(read_frames(tmp_path / "clip.mp4", info, timeout_s=0.2))
    with pytest.raises(UnusableVideo, match="timed out"):
        probe(tmp_path / "clip.mp4", timeout_s=0.2)
