"""Any tree of videos and pictures."""

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
    assert lines(tmp_path / "raw") == {"caf\\xe9.mp4": Wish("src"), "x.mkv": Wish("src")}  # they lie in no folder
    assert "(0 new, 4 there already)" in bring_in("folder", src, tmp_path / "raw")


def test_a_splits_csv_comes_along(tmp_path: Path) -> None:
    src = lay_out(
        tmp_path / "src", {"b/y.avi": "", "b/z.avi": "", "b/splits.csv": "path,group,split\ny.avi,anna,test\n"}
    )
    bring_in("folder", src, tmp_path / "raw")
    assert lines(tmp_path / "raw") == {"b/y.avi": Wish(group="anna", split="test")}
    assert files(tmp_path / "raw").keys() == {"b/y.avi", "b/z.avi"}


def test_pictures_are_laid_and_may_stand_in_splits_csv(tmp_path: Path) -> None:
    table = "path,label,split\np.jpg,sand,test\n"
    src = lay_out(tmp_path / "src", {"beach/p.jpg": "p", "beach/v.mp4": "", "beach/splits.csv": table, "q.PNG": "q"})
    bring_in("folder", src, tmp_path / "raw")
    assert files(tmp_path / "raw").keys() == {"beach/p.jpg", "beach/v.mp4", "q.PNG"}
    assert lines(tmp_path / "raw") == {"beach/p.jpg": Wish("sand", split="test"), "q.PNG": Wish("src")}


def test_a_label_of_splits_csv_wins_over_the_name_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = lay_out(
        tmp_path / "src", {"x.mp4": "", "y.mp4": "", "splits.csv": "path,label,group\nx.mp4,sea,\ny.mp4,,g\n"}
    )
    monkeypatch.chdir(src)
    bring_in("folder", Path("."), tmp_path / "raw")
    assert lines(tmp_path / "raw") == {"x.mp4": Wish("sea"), "y.mp4": Wish("src", "g")}


def test_no_video_is_told(tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"expected videos or pictures in .*src, found neither"):
        bring_in("folder", lay_out(tmp_path / "src", {"x.txt": ""}), tmp_path / "raw")
