"""Kinetics-400: cut videos are whole, others get their range."""

from pathlib import Path

import numpy as np
import pytest

from tests.importers.trees import bring_in, files, lay_out, lines, skipped
from vgan.errors import VganError
from vgan.preprocess.wishes import Wish
from vgan.video import write_video

HEAD = "label,youtube_id,time_start,time_end,split\n"


def _video(path: Path, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, np.zeros((seconds, 16, 16, 3), np.uint8), 1)


def test_cut_and_whole_videos(tmp_path: Path) -> None:
    lists = {
        "annotations/train.csv": HEAD + '"massaging person\'s head",-abc_123xyz,10,20,train\n'
        "air drumming,whole-video,3,6,train\n"
        "air drumming,whole-video,7,9.5,train\nair drumming,renamed_cut,63,73,train\n",
        "annotations/validate.csv": "\ufeff" + HEAD.replace("\n", ",is_cc\r\n")
        + "air drumming,flat_video0,0,10,validate,0\r\n",
        "annotations/notes.csv": "a,b\n1,2\n",
    }  # fmt: skip
    src = lay_out(tmp_path / "k400", lists | {
        "train/massaging person's head/-abc_123xyz_000010_000020.mp4": "", "flat_video0_000000_000010.webm": "",
    })  # fmt: skip
    _video(src / "train/air drumming/whole-video.mp4", 60)
    _video(src / "train/air drumming/renamed_cut.mp4", 10)
    bring_in("kinetics400", src, tmp_path / "raw")
    assert lines(tmp_path / "raw") == {
        "massaging person's head/-abc_123xyz_000010_000020.mp4": Wish(
            "massaging person's head", "-abc_123xyz", "train"
        ),
        "air drumming/whole-video@3-6.mp4": Wish("air drumming", "whole-video", "train", 3, 6),
        "air drumming/whole-video@7-9.5.mp4": Wish("air drumming", "whole-video", "train", 7, 9.5),
        "air drumming/renamed_cut.mp4": Wish("air drumming", "renamed_cut", "train"),
        "air drumming/flat_video0_000000_000010.webm": Wish("air drumming", "flat_video0", "test"),
    }
    assert files(tmp_path / "raw").keys() == lines(tmp_path / "raw").keys()


def test_a_list_without_split_or_label_is_of_the_part_it_is_named_after(tmp_path: Path) -> None:
    table = "youtube_id,time_start,time_end\nsomething01,1,11\n"
    src = lay_out(tmp_path / "k", {"kinetics_400_test.csv": table, "something01_000001_000011.mp4": ""})
    bring_in("kinetics400", src, tmp_path / "raw", lists=src / "kinetics_400_test.csv")
    assert lines(tmp_path / "raw") == {"something01_000001_000011.mp4": Wish("", "something01", "test")}


def test_hostile_lines_are_told_and_go_nowhere(tmp_path: Path) -> None:
    rows = ["../../evil,good_video1,1,11,train", "x,../../etc/passwd,1,11,train", "x,a,9,3,train", "x,a,nan,3,train",
            "x,a,,,train", "x,a,1,11,holdout", "x,good_video1,1,11,train", "x,a,1,11,train,more",
            "x,gone,1,11,train"]  # fmt: skip
    src = lay_out(tmp_path / "k", {"train.csv": HEAD + "\n".join(rows), "good_video1_000001_000011.mp4": ""})
    bring_in("kinetics400", src, tmp_path / "raw", max_skipped_share=1.0)
    assert files(tmp_path / "raw").keys() == {"_._.._evil/good_video1_000001_000011.mp4"}
    (wish,) = lines(tmp_path / "raw").values()
    assert wish.label == "../../evil"
    told = [(name, reason) for name, _, reason in skipped(tmp_path / "raw", "kinetics400")]
    assert [reason.split()[-1] for _, reason in told] == [
        "columns",
        "range",
        "range",
        "range",
        "test",
        "before",
        "columns",
        "source",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["k", "raw"]
    with pytest.raises(VganError, match="columns youtube_id, time_start, time_end"):
        bring_in("kinetics400", src, tmp_path / "raw", lists=lay_out(tmp_path / "l", {"x.csv": "a,b\n"}) / "x.csv")


def test_a_real_video(footage: Path, tmp_path: Path) -> None:
    rows = "playing bass,R6llTwEh07w,92,102,validate\nplaying bass,R6llTwEh07w,2,5,validate\n"
    lists = lay_out(tmp_path / "lists", {"val.csv": HEAD + rows})
    bring_in("kinetics400", footage / "benchmark_clips", tmp_path / "raw", lists=lists)
    assert lines(tmp_path / "raw") == {  # ten seconds long: the first range is all of it
        "playing bass/R6llTwEh07w.mp4": Wish("playing bass", "R6llTwEh07w", "test"),
        "playing bass/R6llTwEh07w@2-5.mp4": Wish("playing bass", "R6llTwEh07w", "test", 2, 5),
    }
