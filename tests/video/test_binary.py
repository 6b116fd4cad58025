"""Which ffmpeg is taken."""

import stat
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from vgan.errors import VganError
from vgan.video import (
    ffmpeg_binary,
)


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
