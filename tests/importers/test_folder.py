"""Any tree of videos."""

import os
from pathlib import Path

import pytest

from tests.importers.trees import bring_in, files, lay_out, lines
from vgan.errors import VganError
from vgan.preprocess.sources import find_sources
from vgan.preprocess.wishes import Wish

ODD = "a b/-rf;$(touch x) 'q' \"d\"\nnew.mp4"


def test_videos_keep_their_places_so_that_the_folder_is_the_label(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", {"x.mkv": "", "b/c/y.AVI": "", ODD: "", "b/notes.txt": "n", ".git/z.mp4": "z"})
    with open(os.path.join(os.fsencode(src), b"caf\xe9.mp4"), "wb") as file:
        file.write(b"latin")
    report = bring_in("folder", src, tmp_path / "raw")
    assert "4 files" in report
    found = find_sources(tmp_path / "raw")
    assert [(source.name, source.label) for source in found] == [
        (ODD, "a b"), ("b/c/y.AVI", "c"), ("caf\\xe9.mp4", ""), ("x.mkv", ""),
    ]  # fmt: skip
    assert all(source.path.read_bytes() in (f"video {source.name}".encode(), b"latin") for source in found)
    assert not (tmp_path / "raw/splits.csv").exists()


def test_a_splits_csv_comes_along(tmp_path: Path) -> None:
    src = lay_out(
        tmp_path / "src", {"b/y.avi": "", "b/z.avi": "", "b/splits.csv": "path,group,split\ny.avi,anna,test\n"}
    )
    bring_in("folder", src, tmp_path / "raw")
    assert lines(tmp_path / "raw") == {"b/y.avi": Wish(group="anna", split="test")}
    assert files(tmp_path / "raw").keys() == {"b/y.avi", "b/z.avi"}


def test_no_video_is_told(tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"expected videos in .*src, found none"):
        bring_in("folder", lay_out(tmp_path / "src", {"x.txt": ""}), tmp_path / "raw")
