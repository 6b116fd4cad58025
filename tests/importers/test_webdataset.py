"""Shards as video2dataset writes them, whole, damaged and hostile."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
import webdataset

from tests.importers.trees import bring_in, files, lines, skipped
from vgan.errors import VganError
from vgan.importers.entries import FolderLine, Passed, Places
from vgan.importers.laying import Laid, lay
from vgan.importers.webdataset import plan as read
from vgan.preprocess.wishes import Wish


def _shard(path: Path, samples: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, webdataset.TarWriter(file) as writer:
        for sample in samples:
            writer.write(sample)
    return path


def _sample(key: str, **about: object) -> dict[str, object]:
    return {"__key__": key, "mp4": f"video {key}".encode() * 100, "json": json.dumps(about).encode()}


def test_samples_give_label_group_and_split(tmp_path: Path) -> None:
    src = tmp_path / "dataset"
    _shard(src / "00000.tar", [
        _sample("000000000", label="golf course", split="val", url="https://a/1", caption="somebody swings"),
        _sample("000000001", caption=["a caption\nof two lines"], videoID="xyz") | {"txt": b"not asked"},
        {"__key__": "000000002", "json": b"{}", "txt": b"nothing"},
        {"__key__": "000000003", "mp4": b"x" * 9, "json": b"{broken", "cls": b"7"},
    ])  # fmt: skip
    _shard(src / "train-000001.tar", [_sample("000000000", label=[3, 4])])
    (src / "00000_stats.json").write_text("{}")
    bring_in("webdataset", src, tmp_path / "raw")
    assert lines(tmp_path / "raw") == {
        "golf course/00000_000000000.mp4": Wish("golf course", "https://a/1", "test"),
        "00000_000000001.mp4": Wish("a caption of two lines", "xyz", ""),
        "7/00000_000000003.mp4": Wish("7", "", ""),
        "3/train-000001_000000000.mp4": Wish("3", "", "train"),
    }
    assert files(tmp_path / "raw").keys() == lines(tmp_path / "raw").keys()
    assert files(tmp_path / "raw")["golf course/00000_000000000.mp4"] == b"video 000000000" * 100
    assert [line[:2] for line in skipped(tmp_path / "raw", "webdataset")] == [
        ("00000.tar: 000000002", "unusable"), ("00000.tar: 000000003", "incomplete"),
    ]  # fmt: skip


@pytest.mark.parametrize("sources", [["wds"], ["wds/train", "wds/val"], ["wds/train/00000.tar", "wds/val"]])
def test_parts_with_the_same_keys_lie_side_by_side(tmp_path: Path, sources: list[str]) -> None:
    for part in ("train", "val"):
        sample: dict[str, object] = {"__key__": "0", "mp4": part.encode(), "json": b'{"label": "a"}'}
        _shard(tmp_path / f"wds/{part}/00000.tar", [sample])
    for source in sources:
        bring_in("webdataset", tmp_path / source, tmp_path / "raw")
    assert files(tmp_path / "raw") == {"a/train_00000_0.mp4": b"train", "a/val_00000_0.mp4": b"val"}
    assert [wish.split for wish in lines(tmp_path / "raw").values()] == ["train", "test"]


def test_what_is_taken_already_counts_for_the_bar_as_it_would_have(tmp_path: Path) -> None:
    shards = [_shard(tmp_path / f"src/{name}.tar", [_sample("0"), _sample("1")]) for name in ("a", "a_b")]
    _shard(shards[0], [_sample("b_0"), _sample("b_1")])
    plan = read(Places(tmp_path / "src"))
    done = list(lay(plan.items, tmp_path / "raw", link=False))
    assert sum(isinstance(one, Passed) for one in done) == 2
    items = [one.entry if isinstance(one, Laid) else one for one in done]
    assert sum(item.advance for item in items if not isinstance(item, FolderLine)) == plan.total


def test_damaged_shards_are_named_and_their_whole_samples_kept(tmp_path: Path) -> None:
    whole = _shard(tmp_path / "whole.tar", [_sample(f"{n}") for n in range(4)]).read_bytes()
    second = whole.index(b"1.mp4")
    with tarfile.open(tmp_path / "whole.tar") as tar:
        third = tar.getmember("2.json").offset
    src = tmp_path / "src"
    src.mkdir()
    (src / "a_cut.tar").write_bytes(whole[: second + 700])
    (src / "b_header.tar").write_bytes(whole[:second] + b"garbage" + whole[second + 7 :])
    (src / "c_noise.tar").write_bytes(b"noise" * 1000)
    (src / "d_empty.tar").write_bytes(b"")
    (src / "e_gz.tar").write_bytes(gzip.compress(whole))
    (src / "f_unended.tar").write_bytes(whole[:third])
    (src / "g_good.tar").write_bytes(whole)
    bring_in("webdataset", src, tmp_path / "raw", max_skipped_share=0.6)
    assert files(tmp_path / "raw").keys() == {
        "a_cut_0.mp4", "b_header_0.mp4", "f_unended_0.mp4", "f_unended_1.mp4", *(f"g_good_{n}.mp4" for n in range(4)),
    }  # fmt: skip
    told = {Path(name).name: reason for name, _, reason in skipped(tmp_path / "raw", "webdataset")}
    assert told.keys() == {f"{name}.tar" for name in ("a_cut", "b_header", "c_noise", "d_empty", "e_gz", "f_unended")}
    assert all(reason.startswith("damaged, what comes after is lost: ") for reason in told.values())
    assert told["a_cut.tar"].endswith("it is cut short") and "gunzip" in told["e_gz.tar"]
    assert told["f_unended.tar"].endswith("it has no end mark")


def test_a_hostile_shard_writes_nothing_outside(tmp_path: Path) -> None:
    src = tmp_path / "deep/src"
    src.mkdir(parents=True)
    with tarfile.open(src / "evil.tar", "w") as tar:
        for name in ("../../../escaped.mp4", "/tmp/vgan-escaped.mp4", "a/../../b.mp4"):
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"12345"))
        for kind, name in ((tarfile.SYMTYPE, "link.mp4"), (tarfile.LNKTYPE, "hard.mp4"), (tarfile.CHRTYPE, "dev.mp4")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("label.json")
        content = json.dumps({"label": "../../../up", "split": "../x"}).encode()
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        member = tarfile.TarInfo("label.mp4")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    bring_in("webdataset", src, tmp_path / "deep/raw", max_skipped_share=1.0)
    assert files(tmp_path / "deep/raw") == {
        "evil_escaped.mp4": b"12345", "evil_tmp_vgan-escaped.mp4": b"12345", "evil_a_b.mp4": b"12345",
        "_._.._.._up/evil_label.mp4": b"abc",
    }  # fmt: skip
    assert not Path("/tmp/vgan-escaped.mp4").exists() and {path.name for path in tmp_path.iterdir()} == {"deep"}
    reasons = [reason for _, _, reason in skipped(tmp_path / "deep/raw", "webdataset")]
    assert reasons.count("it is no regular file") == 3


def test_no_shard_is_told(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with pytest.raises(VganError, match="expected tar shards"):
        bring_in("webdataset", tmp_path / "src", tmp_path / "raw")
