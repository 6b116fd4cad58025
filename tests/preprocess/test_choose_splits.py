"""Which videos and clips are held out, from made-up records."""

from collections import defaultdict

import pyarrow as pa

from tests.footage_factory import params
from vgan.preprocess.assemble import Candidates, Video, choose_splits, groups_of
from vgan.preprocess.records import SCHEMA, Record
from vgan.preprocess.splits import SPLITS
from vgan.preprocess.wishes import Wish

CLIPS = 12
PLAIN = {"shot": 0, "shard": 0, "kept": True, "reason": "", "phash": "0" * 16, "scene": ""}


def record(name: str, clips: int = CLIPS) -> Record:
    rows = [{field.name: 0 for field in SCHEMA} | PLAIN | {"start": 8 * place} for place in range(clips)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    return Record(key=f"{name:0>16}", source=name, label="", table=table, reason="" if clips else "empty file")


def chosen(
    names: str, wishes: dict[str, Wish], broken: str = "", **changes: object
) -> tuple[dict[str, set[str]], list[str]]:
    """Splits of each video's clips ("" for those that were dropped), and the notes."""
    groups = groups_of(list(names), list(names), wishes)
    videos = [
        Video(record(name, 0 if name in broken else CLIPS), group) for name, group in zip(names, groups, strict=True)
    ]
    candidates = Candidates(videos)
    notes = choose_splits(candidates, wishes, params(**changes))
    splits = defaultdict(set)
    for video, split in zip(candidates.video.tolist(), candidates.splits.tolist(), strict=True):
        splits[names[video]].add(SPLITS[max(split, 0)])
    return dict(splits), notes


def test_a_group_of_several_videos_is_not_parted_by_time() -> None:
    together = {name: Wish(group="G") for name in "abc"}
    splits, _ = chosen("abcdef", together, test_by="time", test_share=0.3)
    assert splits["a"] == splits["b"] == splits["c"] and len(splits["a"]) == 1
    assert all({"train", "test"} <= splits[name] for name in "def")  # the others' ends are held out


def test_groups_of_one_video_are_parted_by_time_as_if_there_were_none() -> None:
    alone = {name: Wish(group=f"G{name}") for name in "abc"}
    assert chosen("abc", alone, test_by="time", test_share=0.3) == chosen("abc", {}, test_by="time", test_share=0.3)


def test_one_group_for_all_is_parted_by_time_and_that_is_said() -> None:
    for test_by in ("time", "video"):
        splits, notes = chosen("ab", dict.fromkeys("ab", Wish(group="G")), test_by=test_by, test_share=0.3)
        assert {"train", "test"} <= splits["a"] & splits["b"]
        assert "its end is held out" in notes[0]


def test_a_broken_video_of_the_test_split_does_not_stand_for_what_is_held_out() -> None:
    official = {"x": Wish(split="test")}
    without, _ = chosen("abcd", {}, test_by="video", test_share=0.01)
    splits, _ = chosen("abcdx", official, broken="x", test_by="video", test_share=0.01)
    assert splits == without
    assert {"test"} in splits.values() and {"train"} in splits.values()


def test_a_videos_own_split_comes_before_its_groups() -> None:
    wishes = {"a": Wish(group="G", split="train"), "b": Wish(group="G", split="test"), "c": Wish(group="G")}
    splits, _ = chosen("abcd", wishes, test_by="video", test_share=0.5)
    assert (splits["a"], splits["b"]) == ({"train"}, {"test"})
    assert splits["c"] == {"train"}  # of the group's first video that has one


def test_too_few_of_either_side_are_told() -> None:
    _, notes = chosen("ab", dict.fromkeys("ab", Wish(split="test")))
    assert any("no clip is for training" in note for note in notes)
    _, notes = chosen("ab", {}, test_share=0.0)
    assert any("0 clips are held out" in note for note in notes)
    _, notes = chosen("ab", {"a": Wish(split="train"), "b": Wish(split="test")})
    assert notes == []


def test_copies_follow_the_first_of_their_content() -> None:
    contents = ["1", "1", "2", "", "", "1"]
    wishes = {"a": Wish(group="G"), "e": Wish(group="H")}
    assert groups_of(list("abcdef"), contents, wishes) == ["G", "G", "c", "d", "H", "G"]
