"""UCF-101: videos `v_<Class>_gNN_cNN.avi` and its `ucfTrainTestlist`, one of three official splits.

A group gNN is the source video that the clips c01, c02, … were cut from. It is numbered within its class, so the group
is class and number. https://www.crcv.ucf.edu/data/UCF101.php
"""

import re
from collections.abc import Iterator
from pathlib import Path

from vgan.importers.entries import Entry, Passed, Places, Plan, VideoIndex, find_lists, read_lines
from vgan.preprocess.wishes import Wish

__all__ = ["plan"]

_CLASSES = "classInd.txt"
_FOLDERS = ("ucfTrainTestlist", "UCF101TrainTestSplits-RecognitionTask/ucfTrainTestlist")
# The lists' own folder HandstandPushups holds videos v_HandStandPushups_…: the class is the folder's name.
_LINE = re.compile(
    r"(?P<label>\w+)/(?P<stem>v_(?P<name>\w+?)_(?P<group>g\d+)_c\d+)\.avi(?:\s+(?P<number>\d+))?", re.ASCII
)


def plan(places: Places) -> Plan:
    """The local videos that the split's two lists name.

    Raises:
        VganError: no videos, or no lists.
    """
    names = (f"trainlist{places.split:02}.txt", f"testlist{places.split:02}.txt")
    train, test = find_lists(places, _FOLDERS, names)
    lines = [("train", train, *line) for line in read_lines(train)]
    lines += [("test", test, *line) for line in read_lines(test)]
    classes = _classes(train.with_name(_CLASSES))
    return Plan(len(lines), "videos", _items(lines, classes, VideoIndex(places.src, ignore_case=True)))


def _classes(path: Path) -> set[str]:
    """The names of classInd.txt; empty without that file."""
    return {line.split()[-1] for _, line in read_lines(path)} if path.is_file() else set()


def _items(lines: list[tuple[str, Path, int, str]], classes: set[str], videos: VideoIndex) -> Iterator[Entry | Passed]:
    seen: dict[str, str] = {}
    for split, path, number, line in lines:
        place = f"{path.name}, line {number}: {line}"
        match = _LINE.fullmatch(line)
        if match is None or match["name"].casefold() != match["label"].casefold():
            yield Passed(place, "the line is not of the form Class/v_Class_g01_c01.avi")
            continue
        label, stem = match["label"], match["stem"]
        video = videos.take(stem)
        before = seen.get(stem.casefold())
        if before is not None:
            yield Passed(place, f"the video was named before, for {before}")
            continue
        seen[stem.casefold()] = split
        if classes and label not in classes:
            yield Passed(place, f"the class is not in {_CLASSES}")
        elif video is None:
            yield Passed(f"{label}/{stem}.avi", "in the lists, but no such video in the source", "absent")
        else:
            wish = Wish(label=label, group=f"{label}_{match['group']}", split=split)
            yield Entry(f"{label}/{video.name}", video, wish)
    yield from videos.rest("in neither list of this split")
