"""HMDB-51: class folders of videos and the text files of `testTrainMulti_7030_splits`, one of three official splits.

A video's name tells the source it was cut from and six tags: `<source>_<class>_<visible body>_<camera>_<people>_<view>_
<quality>_<number>`; the group is the source.
https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/
"""

import re
from collections.abc import Iterator
from pathlib import Path

from vgan.errors import VganError
from vgan.importers.entries import Entry, Passed, Places, Plan, VideoIndex, read_lines, safe_name
from vgan.preprocess.wishes import Wish

__all__ = ["plan"]

_FOLDERS = ("", "testTrainMulti_7030_splits", "test_train_splits/testTrainMulti_7030_splits")
_PREFIX = "hmdb51_"  # some copies of the data set begin every name with it
_TAGS = re.compile(r"_[fhlu]_(?:cm|nm)_np\d+_(?:fr|ba|ri|le)_(?:goo|med|bad)_\d+")
_SPLITS = {"1": "train", "2": "test"}
_UNUSED = "0"


def plan(places: Places) -> Plan:
    """The local videos that the split's lists mark as train (1) or test (2); those marked 0 are left out.

    Raises:
        VganError: no videos, or no lists.
    """
    lists = _lists(places)
    lines = [(path, number, line) for path in lists for number, line in read_lines(path)]
    return Plan(len(lines), "videos", _items(lines, places.split, VideoIndex(places.src, ignore_case=True)))


def _lists(places: Places) -> list[Path]:
    roots = [places.src, places.src.absolute().parent] if places.lists is None else [places.lists]
    looked = [root / folder for root in roots for folder in _FOLDERS]
    for folder in looked:
        lists = sorted(folder.glob(f"*_test_split{places.split}.txt"))
        if lists:
            return lists
    raise VganError(
        f"expected lists named <class>_test_split{places.split}.txt in one of {', '.join(map(str, looked))}: name "
        "their folder with --lists, or take the videos without them with `vgan import folder`"
    )


def _items(lines: list[tuple[Path, int, str]], split: int, videos: VideoIndex) -> Iterator[Entry | Passed]:
    seen: set[str] = set()
    for path, number, line in lines:
        label = path.name.removesuffix(f"_test_split{split}.txt")
        name, _, mark = line.rpartition(" ") if " " in line else line.rpartition("\t")
        stem, place = Path(name.strip()).stem, f"{path.name}, line {number}: {line}"
        if "/" in name or "\\" in name or not stem or mark not in (_UNUSED, *_SPLITS):
            yield Passed(place, "the line is not of the form name.avi 0, 1 or 2")
            continue
        video = videos.take(stem) or videos.take(_PREFIX + stem)
        if stem.casefold() in seen:
            yield Passed(place, "the video was named before")
        elif mark == _UNUSED:
            yield Passed(name.strip(), f"marked as not used by split {split}", "left out")
        elif video is None:
            yield Passed(name.strip(), "in the lists, but no such video in the source", "absent")
        else:
            wish = Wish(label=label, group=_source_of(stem, label), split=_SPLITS[mark])
            yield Entry(f"{safe_name(label)}/{video.name}", video, wish)
        seen.add(stem.casefold())
    yield from videos.rest("in none of the lists")


def _source_of(stem: str, label: str) -> str:
    """The source that a video was cut from; its whole name where it is not built as the others are."""
    tags = list(_TAGS.finditer(stem))
    if not tags or tags[-1].end() != len(stem):
        return stem
    return stem[: tags[-1].start()].removesuffix(f"_{label}") or stem
