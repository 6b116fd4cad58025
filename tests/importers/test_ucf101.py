"""UCF-101: official lists, class and group, on the real lists and videos and on a tree like theirs."""

from collections import defaultdict
from pathlib import Path

import pytest

from tests.importers.trees import bring_in, files, lay_out, lines, skipped
from vgan.errors import VganError
from vgan.importers import ucf101
from vgan.importers.entries import Entry, Places
from vgan.preprocess.wishes import Wish

LISTS = {
    "ucfTrainTestlist/classInd.txt": "1 Archery\r\n2 HandstandPushups\r\n",
    "ucfTrainTestlist/trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\r\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\n",
    "ucfTrainTestlist/testlist01.txt": "\ufeffArchery/v_Archery_g01_c01.avi\r\n\r\nArchery/v_Archery_g01_c02.avi",
    "ucfTrainTestlist/trainlist03.txt": "Archery/v_Archery_g01_c01.avi 1\n",
    "ucfTrainTestlist/testlist03.txt": "Archery/v_Archery_g08_c01.avi\n",
}
VIDEOS = {
    "UCF-101/Archery/v_Archery_g01_c01.avi": "",
    "UCF-101/Archery/v_Archery_g01_c02.avi": "",
    "UCF-101/Archery/v_Archery_g08_c01.avi": "",
    "UCF-101/HandstandPushups/v_HandStandPushups_g08_c01.avi": "",
}


def test_the_original_layout_gives_class_group_and_split(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", LISTS | VIDEOS)
    into = tmp_path / "raw"
    report = bring_in("ucf101", src / "UCF-101", into)
    assert files(into) == {name.removeprefix("UCF-101/"): f"video {name}".encode() for name in VIDEOS}
    assert lines(into) == {
        "Archery/v_Archery_g01_c01.avi": Wish("Archery", "Archery_g01", "test"),
        "Archery/v_Archery_g01_c02.avi": Wish("Archery", "Archery_g01", "test"),
        "Archery/v_Archery_g08_c01.avi": Wish("Archery", "Archery_g08", "train"),
        "HandstandPushups/v_HandStandPushups_g08_c01.avi": Wish("HandstandPushups", "HandstandPushups_g08", "train"),
    }
    assert "4 files" in report and "2 lines" in report and not (into / ".import/ucf101-skipped.csv").exists()


def test_another_split_changes_the_lines_and_copies_nothing_again(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", LISTS | VIDEOS)
    bring_in("ucf101", src, tmp_path / "raw")
    report = bring_in("ucf101", src, tmp_path / "raw", split=3)
    assert "(0 new, 2 there already)" in report
    after = lines(tmp_path / "raw")
    assert {name: wish.split for name, wish in after.items() if "Archery" in name} == {
        "Archery/v_Archery_g01_c02.avi": "test",
        "Archery/v_Archery_g01_c01.avi": "train",
        "Archery/v_Archery_g08_c01.avi": "test",
    }
    assert len(skipped(tmp_path / "raw", "ucf101")) == 2
    assert "2 files of an earlier import are not in this one and stay" in report


def test_lines_that_are_wrong_and_videos_that_are_missing_are_told(tmp_path: Path) -> None:
    bad = ["../../etc/passwd", "/etc/v_Archery_g01_c01.avi", "Archery/v_Archery_g01_c01.avi 1",
           "Archery/v_Bowling_g01_c01.avi", "Ärger/v_Ärger_g01_c01.avi", "Archery/v_Archery_g01_c01.avi\x00",
           ]  # fmt: skip
    trains = "\n".join(["Archery/v_Archery_g08_c01.avi 1", "Unknown/v_Unknown_g01_c01.avi 3", *bad])
    src = lay_out(tmp_path / "src", LISTS | VIDEOS | {"ucfTrainTestlist/trainlist01.txt": trains})
    (src / "UCF-101/Archery/v_Archery_g01_c02.avi").unlink()
    lay_out(src, {"UCF-101/Archery/v_Archery_g08_c01.mp4": "another", "UCF-101/Archery/v_Archery_g09_c01.avi": ""})
    report = bring_in("ucf101", src, tmp_path / "raw", max_skipped_share=1.0)
    assert files(tmp_path / "raw").keys() == {"Archery/v_Archery_g08_c01.avi", "Archery/v_Archery_g01_c01.avi"}
    told = {name: (kind, reason) for name, kind, reason in skipped(tmp_path / "raw", "ucf101")}
    form = "the line is not of the form Class/v_Class_g01_c01.avi"
    assert told["trainlist01.txt, line 3: ../../etc/passwd"] == ("unusable", form)
    assert sum(reason == form for _, reason in told.values()) == 5
    assert told["trainlist01.txt, line 2: Unknown/v_Unknown_g01_c01.avi 3"][1] == "the class is not in classInd.txt"
    assert told["testlist01.txt, line 1: Archery/v_Archery_g01_c01.avi"][1] == "the video was named before, for train"
    assert told["Archery/v_Archery_g01_c02.avi"][0] == "absent"
    assert told["UCF-101/Archery/v_Archery_g09_c01.avi"] == ("left out", "in neither list of this split")
    assert "is taken" in told["UCF-101/Archery/v_Archery_g08_c01.mp4"][1]
    assert "not usable: 5 · the line is not of the form" in report


def test_without_lists_or_videos_it_says_what_to_do(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", VIDEOS)
    with pytest.raises(VganError, match=r"trainlist02\.txt and testlist02\.txt .*--lists.*vgan import folder"):
        bring_in("ucf101", src, tmp_path / "raw", split=2)
    with pytest.raises(VganError, match=r"found none: UCF101\.rar is packed, unpack it first"):
        bring_in("ucf101", lay_out(tmp_path / "packed", LISTS | {"UCF101.rar": "x"}), tmp_path / "raw")


def test_real_videos_with_the_real_lists(footage: Path, tmp_path: Path) -> None:
    report = bring_in("ucf101", footage / "benchmark_clips", tmp_path / "raw", lists=footage / "ucf101_splits")
    assert {name: (wish.group, wish.split) for name, wish in lines(tmp_path / "raw").items()} == {
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi": ("ApplyEyeMakeup_g01", "test"),
        "SoccerJuggling/v_SoccerJuggling_g23_c01.avi": ("SoccerJuggling_g23", "train"),
        "SoccerJuggling/v_SoccerJuggling_g24_c01.avi": ("SoccerJuggling_g24", "train"),
    }
    assert "listed but not there: 13317" in report


@pytest.mark.parametrize(("split", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)])
def test_the_whole_of_the_real_lists_is_understood(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: int, train: int, test: int
) -> None:
    class Everything:
        def __init__(self, src: Path, *, ignore_case: bool) -> None: ...

        def take(self, stem: str) -> Path:
            return tmp_path / f"{stem}.avi"

        def rest(self, reason: str) -> list[Path]:
            return []

    monkeypatch.setattr(ucf101, "VideoIndex", Everything)
    items = list(ucf101.plan(Places(tmp_path, footage / "ucf101_splits", split)).items)
    entries = [item for item in items if isinstance(item, Entry)]
    assert len(items) == len(entries) == 13320
    splits = [entry.wish.split for entry in entries]
    assert (splits.count("train"), splits.count("test")) == (train, test)
    assert len({entry.wish.label for entry in entries}) == 101 and len({entry.wish.group for entry in entries}) == 2525
    sides = defaultdict(set)
    for entry in entries:
        sides[entry.wish.group].add(entry.wish.split)
    assert all(len(side) == 1 for side in sides.values())
