"""Sports-1M: its lists and whatever videos are there of them, named by YouTube id.

The lists are `labels.txt` with either `sports1m_train.json` and `sports1m_test.json` (objects with `id` and `label487`)
or `train_partition.txt` and `test_partition.txt` (lines `url index,index`). A video of several labels has the first as
its label. The group is the YouTube id. https://github.com/gtoderici/sports-1m-dataset
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vgan.errors import VganError
from vgan.importers.entries import Entry, Passed, Places, Plan, VideoIndex, find_lists, one_line, read_lines, safe_name
from vgan.preprocess.wishes import Wish

__all__ = ["plan"]

_LABELS = "labels.txt"
_JSON = ("sports1m_train.json", "sports1m_test.json")
_TEXT = ("train_partition.txt", "test_partition.txt")
_FOLDERS = ("original", "sports-1m-dataset/original", "sports-1m-dataset")
_URL = re.compile(r"\S*?(?:[?&]v=|youtu\.be/|/v/|/embed/)([\w-]+)\S*\s+(\d+(?:,\d+)*)", re.ASCII)
_ID = re.compile(r"[\w-]+", re.ASCII)
_BETWEEN = re.compile(r"[\s,]*")
_READ = 1 << 20  # characters of a list at a time; one is hundreds of MB
_LONGEST = 1 << 24  # characters of one object


@dataclass(frozen=True)
class _Row:
    place: str
    youtube_id: str
    labels: list[int]
    split: str


def plan(places: Places) -> Plan:
    """The local videos that the lists name.

    Raises:
        VganError: no videos, no lists, or a list that cannot be read.
    """
    labels_at, train, test, is_json = _lists(places)
    labels = [one_line(line) for _, line in read_lines(labels_at)]
    rows = _json_rows if is_json else _text_rows
    videos = VideoIndex(places.src, ignore_case=False)
    # Gone through once before anything is laid: a list that is cut short is told then.
    total = sum(1 for path in (train, test) for _ in rows(path, ""))

    def items() -> Iterator[Entry | Passed]:
        seen: dict[str, str] = {}
        for path, split in ((train, "train"), (test, "test")):
            for row in rows(path, split):
                yield row if isinstance(row, Passed) else _item(row, labels, videos, seen)
        yield from videos.rest("in neither list")

    return Plan(total, "videos", items())


def _lists(places: Places) -> tuple[Path, Path, Path, bool]:
    try:
        found = find_lists(places, _FOLDERS, (_LABELS, *_JSON))
    except VganError:
        found = find_lists(places, _FOLDERS, (_LABELS, *_TEXT))
        return found[0], found[1], found[2], False
    return found[0], found[1], found[2], True


def _item(row: _Row, labels: list[str], videos: VideoIndex, seen: dict[str, str]) -> Entry | Passed:
    video = videos.take(row.youtube_id)
    before = seen.get(row.youtube_id)
    if before is not None:
        return Passed(row.place, f"the video was named before, for {before}")
    if not row.labels or row.labels[0] >= len(labels):
        return Passed(row.place, f"its first label is none of the {len(labels)} in {_LABELS}")
    seen[row.youtube_id] = row.split
    if video is None:
        return Passed(row.youtube_id, "in the lists, but no such video in the source", "absent")
    label = labels[row.labels[0]]
    return Entry(f"{safe_name(label)}/{video.name}", video, Wish(label=label, group=row.youtube_id, split=row.split))


def _text_rows(path: Path, split: str) -> Iterator[_Row | Passed]:
    for number, line in read_lines(path):
        place = f"{path.name}, line {number}: {line[:200]}"
        match = _URL.fullmatch(line)
        if match is None:
            yield Passed(place, "the line is not of the form https://www.youtube.com/watch?v=ID index,index")
        else:
            yield _Row(place, match[1], [int(index) for index in match[2].split(",")], split)


def _json_rows(path: Path, split: str) -> Iterator[_Row | Passed]:
    for number, one in enumerate(_objects(path), 1):
        place = f"{path.name}, object {number}"
        youtube_id, labels = (one.get("id"), one.get("label487")) if isinstance(one, dict) else (None, None)
        if not isinstance(youtube_id, str) or not _ID.fullmatch(youtube_id):
            yield Passed(place, "it has no id of a YouTube video")
        elif not isinstance(labels, list) or not all(type(index) is int and index >= 0 for index in labels):
            yield Passed(f"{place}: {youtube_id}", "its label487 is no list of indices")
        else:
            yield _Row(f"{place}: {youtube_id}", youtube_id, labels, split)


def _objects(path: Path) -> Iterator[object]:
    """The elements of a file that is one JSON array, read piece by piece."""
    decoder = json.JSONDecoder()
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_READ).lstrip()
            at = 1
            whole = text.startswith("[")
            while whole:
                between = _BETWEEN.match(text, at)
                at = between.end() if between else at
                if text.startswith("]", at):
                    return
                try:
                    one, at = decoder.raw_decode(text, at)
                except (json.JSONDecodeError, RecursionError):  # the piece ends within it
                    piece = file.read(_READ)
                    whole = bool(piece) and len(text) - at <= _LONGEST
                    text, at = text[at:] + piece, 0
                    continue
                yield one
    except UnicodeDecodeError as error:
        raise VganError(f"{path} cannot be read as UTF-8 text: {error}") from None
    raise VganError(f"{path} is no JSON array of objects, or is cut short: mend it or get it again")
