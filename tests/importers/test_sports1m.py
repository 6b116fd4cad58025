"""Sports-1M: both forms of its lists."""

import json
from pathlib import Path

import pytest

from tests.importers.trees import bring_in, files, lay_out, lines, skipped
from vgan.errors import VganError
from vgan.importers import sports1m
from vgan.preprocess.wishes import Wish

LABELS = {"lists/labels.txt": "aikido\nfly fishing\nbasketball/3x3\n"}
VIDEOS = {"videos/a-b_c.mp4": "", "videos/deep/xYz.webm": "", "videos/XyZ.mp4": "", "videos/spare.mp4": ""}
WANTED = {
    "fly fishing/a-b_c.mp4": Wish("fly fishing", "a-b_c", "train"),
    "basketball_3x3/xYz.webm": Wish("basketball/3x3", "xYz", "test"),
    "aikido/XyZ.mp4": Wish("aikido", "XyZ", "test"),
}


def _json(*rows: tuple[object, object]) -> str:
    return json.dumps([{"id": one, "label487": labels, "duration": 9.0, "stitle": "ä ] } , ["} for one, labels in rows])


def test_partitions_of_urls(tmp_path: Path) -> None:
    url = "https://www.youtube.com/watch?v="
    src = lay_out(tmp_path, VIDEOS | LABELS | {
        "lists/train_partition.txt": f"{url}a-b_c 1,0\n{url}gone 1\nnonsense\n{url}late 99\n",
        "lists/test_partition.txt": f"http://youtu.be/xYz 2\r\n{url}XyZ&t=1 0\r\n{url}a-b_c 0\r\n",
    })  # fmt: skip
    bring_in("sports1m", src / "videos", tmp_path / "raw", lists=src / "lists")
    assert lines(tmp_path / "raw") == WANTED and files(tmp_path / "raw").keys() == WANTED.keys()
    told = {name.split("/watch?v=")[-1]: reason for name, _, reason in skipped(tmp_path / "raw", "sports1m")}
    assert told["gone"].startswith("in the lists, but no such")
    assert "is not of the form" in told["train_partition.txt, line 3: nonsense"]
    assert told["late 99"] == "its first label is none of the 3 in labels.txt"
    assert told["a-b_c 0"] == "the video was named before, for train"
    assert told["spare.mp4"] == "in neither list"


def test_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sports1m, "_READ", 7)  # objects end in the middle of a piece
    src = lay_out(tmp_path, VIDEOS | LABELS | {
        "lists/sports1m_train.json": _json(("a-b_c", [1, 0]), ("../x", [0]), ("gone", [1]), (3, [1])),
        "lists/sports1m_test.json": _json(("xYz", [2]), ("XyZ", [0]), ("spare", []), ("spare", ["0"])),
    })  # fmt: skip
    bring_in("sports1m", src / "videos", tmp_path / "raw", lists=src / "lists", max_skipped_share=0.7)
    assert lines(tmp_path / "raw") == WANTED
    told = [reason for _, kind, reason in skipped(tmp_path / "raw", "sports1m") if kind == "unusable"]
    assert told == ["it has no id of a YouTube video"] * 2 + [
        "its first label is none of the 3 in labels.txt", "its label487 is no list of indices",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "{}", "[{}", '[{"id": "x", "lab', "[" * 100_000, "nonsense"])
def test_json_that_is_cut_short_is_told_before_anything_is_laid(tmp_path: Path, text: str) -> None:
    lists = {"lists/sports1m_train.json": _json(("a-b_c", [1])), "lists/sports1m_test.json": text or " "}
    src = lay_out(tmp_path, VIDEOS | LABELS | lists)
    with pytest.raises(VganError, match=r"sports1m_test\.json is no JSON array of objects, or is cut short"):
        bring_in("sports1m", src / "videos", tmp_path / "raw", lists=src / "lists")
    assert files(tmp_path / "raw") == {}
