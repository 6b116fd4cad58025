"""HMDB-51: marks 0, 1 and 2 of the official lists, sources from the names."""

from pathlib import Path

import pytest

from tests.importers.trees import bring_in, files, lay_out, lines, skipped
from vgan.errors import VganError
from vgan.preprocess.wishes import Wish

ODD = "(HQ)_Rock_#1_&_Co;_[x]_kick_ball_f_cm_np1_fr_goo_10.avi"
LISTS = {
    "testTrainMulti_7030_splits/wave_test_split1.txt": "RATRACE_wave_f_nm_np1_fr_goo_37.avi 1 \n"
    "RATRACE_wave_u_cm_np2_ba_med_1.avi 2 \r\nTurnkür_wave_u_cm_np2_ba_med_0.avi 0 \n",
    "testTrainMulti_7030_splits/kick_ball_test_split1.txt": f"{ODD} 2 \n",
    "testTrainMulti_7030_splits/wave_test_split2.txt": "RATRACE_wave_f_nm_np1_fr_goo_37.avi 2 \n",
}
VIDEOS = {
    "wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi": "",
    "wave/RATRACE_wave_u_cm_np2_ba_med_1.avi": "",
    "wave/Turnkür_wave_u_cm_np2_ba_med_0.avi": "",
    f"kick_ball/{ODD}": "",
}


def test_the_original_layout_gives_class_source_and_split(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "hmdb", LISTS | VIDEOS)
    report = bring_in("hmdb51", src, tmp_path / "raw")
    # The same source on both sides: the official lists decide, and no group is on both.
    assert lines(tmp_path / "raw") == {
        "wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi": Wish("wave", "RATRACE/train", "train"),
        "wave/RATRACE_wave_u_cm_np2_ba_med_1.avi": Wish("wave", "RATRACE/test", "test"),
        f"kick_ball/{ODD}": Wish("kick_ball", "(HQ)_Rock_#1_&_Co;_[x]", "test"),
    }
    assert files(tmp_path / "raw").keys() == VIDEOS.keys() - {"wave/Turnkür_wave_u_cm_np2_ba_med_0.avi"}
    assert skipped(tmp_path / "raw", "hmdb51") == [
        ("Turnkür_wave_u_cm_np2_ba_med_0.avi", "left out", "marked as not used by split 1")
    ]
    assert "1 groups are on both sides of the official split" in report


def test_bad_lines_are_told(tmp_path: Path) -> None:
    name = "testTrainMulti_7030_splits/wave_test_split1.txt"
    text = LISTS[name] + "../../x.avi 1\nRATRACE_wave_f_nm_np1_fr_goo_37.avi 2\nx.avi 3\nx.avi\ngone.avi 1\n"
    src = lay_out(tmp_path / "hmdb", LISTS | VIDEOS | {name: text, "wave/extra.avi": ""})
    bring_in("hmdb51", src, tmp_path / "raw", max_skipped_share=0.7)
    told = {name: reason for name, _, reason in skipped(tmp_path / "raw", "hmdb51")}
    form = "the line is not of the form name.avi 0, 1 or 2"
    assert [name.split(": ")[1] for name, reason in told.items() if reason == form] == [
        "../../x.avi 1",
        "x.avi 3",
        "x.avi",
    ]
    assert told["wave_test_split1.txt, line 5: RATRACE_wave_f_nm_np1_fr_goo_37.avi 2"] == "the video was named before"
    assert told["gone.avi"].startswith("in the lists, but no such video")
    assert told["wave/extra.avi"] == "in none of the lists"
    with pytest.raises(VganError, match=r"_test_split3\.txt in one of"):
        bring_in("hmdb51", src, tmp_path / "raw", split=3)


def test_real_videos(footage: Path, tmp_path: Path) -> None:
    lists = lay_out(tmp_path / "lists", {
        "wave_test_split2.txt": "RATRACE_wave_f_nm_np1_fr_goo_37.avi 2 \n",
        "cartwheel_test_split2.txt": "Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi 1 \n",
    })  # fmt: skip
    bring_in("hmdb51", footage / "benchmark_clips", tmp_path / "raw", lists=lists, split=2)
    assert lines(tmp_path / "raw") == {
        "wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi": Wish("wave", "RATRACE", "test"),
        "cartwheel/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi":
            Wish("cartwheel", "Turnk_r_Pippi_Michel", "train"),
    }  # fmt: skip
