"""The ffmpeg edge: what is written comes back, what is odd or hostile is read right or refused with a reason."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import ffmpeg, filmed, scene, shake
from vgan.errors import VganError
from vgan.video import (
    UnusableVideo,
    VideoInfo,
    encode,
    ffmpeg_binary,
    probe,
    process,
    read_frames,
    write_animation,
    write_video,
)

# Smooth, as yuv420p halves the colours' size.
FRAMES = filmed(cv2.GaussianBlur(scene(0), (0, 0), 3), shake(12, 0))[:, :64, :96]


@pytest.fixture
def no_cache() -> Iterator[None]:
    ffmpeg_binary.cache_clear()
    yield
    ffmpeg_binary.cache_clear()


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


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".gif"])
def test_playlists_are_no_videos(tmp_path: Path, text: str, suffix: str) -> None:
    write_video(tmp_path / "other.mp4", FRAMES, 25)
    path = tmp_path / f"list{suffix}"
    path.write_text(text)
    with pytest.raises(UnusableVideo, match="unreadable"):
        list(read_frames(path, probe(path)))


def test_unusable_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", tmp_path / "sound.mp4")
    reasons = {}
    for name in ("empty", "noise", "sound", "gone"):
        with pytest.raises(UnusableVideo) as caught:
            probe(tmp_path / f"{name}.mp4")
        reasons[name] = caught.value.reason
    assert reasons["empty"] == "empty file (0 bytes)"
    assert reasons["noise"].startswith("unreadable: ") and str(tmp_path) not in reasons["noise"]
    assert reasons["sound"] == "no video stream (audio only?)"
    assert reasons["gone"] == "unreadable: No such file or directory"


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


@pytest.mark.usefixtures("no_cache")
def test_system_ffmpeg_that_lacks_something_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(tmp_path / "ffmpeg", "echo \"Unknown encoder 'libx264'\" >&2; exit 8")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ffmpeg_binary() == imageio_ffmpeg.get_ffmpeg_exe()
    ffmpeg_binary.cache_clear()
    able = _script(tmp_path / "ffmpeg", "exit 0")
    assert ffmpeg_binary() == able


@pytest.mark.usefixtures("no_cache")
def test_no_ffmpeg_anywhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(VganError, match=r"there is none on the PATH.*install ffmpeg"):
        ffmpeg_binary()
