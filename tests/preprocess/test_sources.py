"""Which files count as videos, how they are labelled, and what splits.csv may say."""

import os
from pathlib import Path

import pytest

from vgan.errors import VganError
from vgan.preprocess.sources import Wish, find_sources, read_splits


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


@pytest.mark.parametrize("names", [(), ("notes.txt",)])
def test_no_video_is_told(tmp_path: Path, names: tuple[str, ...]) -> None:
    _lay(tmp_path, *names)
    for raw in (tmp_path, tmp_path / "missing"):
        with pytest.raises(VganError, match="run `vgan demo-footage`"):
            find_sources(raw)


def test_name_that_is_no_utf8_is_shown_with_escapes(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4")
    with open(path, "wb"):
        pass
    (source,) = find_sources(tmp_path)
    assert source.name == "caf\\xe9.mp4" and source.path.exists()


def test_splits_are_read(tmp_path: Path) -> None:
    _lay(tmp_path, "a/x.mp4", "a/y.mp4", "z.mp4")
    (tmp_path / "splits.csv").write_text(
        "\ufeffpath, group ,split\r\na/x.mp4,anna,test\n./a/y.mp4,anna,\n", encoding="utf-8"
    )
    wishes = read_splits(tmp_path, find_sources(tmp_path))
    assert wishes == {"a/x.mp4": Wish("anna", "test"), "a/y.mp4": Wish("anna", "")}


def test_splits_are_not_needed_and_columns_neither(tmp_path: Path) -> None:
    _lay(tmp_path, "a,b.mp4")
    sources = find_sources(tmp_path)
    assert read_splits(tmp_path, sources) == {}
    (tmp_path / "splits.csv").write_text('split,path\ntrain,"a,b.mp4"\n')
    assert read_splits(tmp_path, sources) == {"a,b.mp4": Wish("", "train")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,split\nx.mp4,train\ngone.mp4,test\n", "line 3: expected a video below .*, got 'gone.mp4'"),
        ("path,split\nx.mp4,val\n", "line 2: expected the split train, test or nothing, got 'val'"),
        ("path,split\nx.mp4,test\nx.mp4,test\n", "line 3: 'x.mp4' was named before"),
        ("file,split\nx.mp4,test\n", "expected the columns path, group, split"),
        ("path,person\nx.mp4,anna\n", "expected the columns path, group, split"),
        ("", "expected the columns path, group, split"),
        ("path,split\nx.mp4,test,anna\n", "line 2: more values than columns"),
    ],
)
def test_bad_splits_are_told_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    _lay(tmp_path, "x.mp4")
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(VganError, match=told):
        read_splits(tmp_path, find_sources(tmp_path))


def test_splits_that_are_no_text_are_told(tmp_path: Path) -> None:
    _lay(tmp_path, "x.mp4")
    (tmp_path / "splits.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(VganError, match="UTF-8"):
        read_splits(tmp_path, find_sources(tmp_path))
