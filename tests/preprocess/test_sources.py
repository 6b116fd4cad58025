"""Which files count as videos, and how they are labelled."""

import os
from pathlib import Path

from vgan.preprocess.sources import STILLS, find_sources


def _lay(raw: Path, *names: str) -> None:
    for name in names:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_videos_are_found_by_extension_and_labelled_by_folder(tmp_path: Path) -> None:
    _lay(tmp_path, "b/x.MP4", "a.mkv", "b/c/y.avi", "notes.txt", ".hidden.mp4", ".git/z.mp4", "b/x.srt", "b/.DS_Store")
    found = find_sources(tmp_path)
    assert [(source.name, source.label) for source in found] == [("a.mkv", ""), ("b/c/y.avi", "c"), ("b/x.MP4", "b")]
    assert all(source.path == tmp_path / source.name for source in found)


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    _lay(tmp_path, "else/x.mp4", "raw/own/y.mp4")
    raw = tmp_path / "raw"
    (raw / "file.mp4").symlink_to(tmp_path / "else/x.mp4")
    (raw / "folder").symlink_to(tmp_path / "else")
    (raw / "own/back").symlink_to(raw)
    (raw / "broken.mp4").symlink_to(tmp_path / "gone.mp4")
    names = [source.name for source in find_sources(raw)]
    assert names == ["broken.mp4", "file.mp4", "folder/x.mp4", "own/y.mp4"]


def test_stills_are_asked_for_by_their_own_extensions(tmp_path: Path) -> None:
    _lay(tmp_path, "a/x.JPG", "a/y.webp", "z.png", "z.mp4", "notes.txt")
    assert [source.name for source in find_sources(tmp_path, STILLS)] == ["a/x.JPG", "a/y.webp", "z.png"]
    assert find_sources(tmp_path / "a") == find_sources(tmp_path / "missing") == []


def test_name_that_is_no_utf8_is_shown_with_escapes(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4")
    with open(path, "wb"):
        pass
    (source,) = find_sources(tmp_path)
    assert source.name == "caf\\xe9.mp4" and source.path.exists()
