"""Kinetics-400: the csv lists (label, youtube_id, time_start, time_end, split) and whatever videos are there of them.

A local video is either cut, `<id>_<start>_<end>` with six digits each, or whole, `<id>`: then the range goes to
splits.csv. A name without times whose video is no longer than the range is a cut one too. The group is the YouTube id.
https://github.com/cvdfoundation/kinetics-dataset
"""

import csv
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vgan.errors import VganError
from vgan.importers.entries import Entry, Passed, Places, Plan, VideoIndex, as_split, one_line, safe_name
from vgan.preprocess.wishes import Wish
from vgan.video import UnusableVideo, probe

__all__ = ["plan"]

_NEEDED = ("youtube_id", "time_start", "time_end")
_FOLDERS = ("", "annotations", "kinetics400")
_SLACK_S = 1.0  # cutting is not exact
_PROBES = 4  # at once
_CHUNK = 256


@dataclass(frozen=True)
class _Row:
    place: str
    label: str
    youtube_id: str
    start_s: float
    end_s: float
    split: str


def plan(places: Places) -> Plan:
    """The local videos that the lists name, validation as test.

    Raises:
        VganError: no videos, no lists, or a list without its columns.
    """
    lists = _lists(places)
    rows = [row for path in lists for row in _rows(path)]
    return Plan(len(rows), "videos", _items(rows, VideoIndex(places.src, ignore_case=False)))


def _lists(places: Places) -> list[Path]:
    if places.lists is not None and places.lists.is_file():
        return [places.lists]
    roots = [places.src, places.src.absolute().parent] if places.lists is None else [places.lists]
    looked = [root / folder for root in roots for folder in _FOLDERS]
    for folder in looked:
        lists = [path for path in sorted(folder.glob("*.csv")) if _is_list(path)]
        if lists:
            return lists
    raise VganError(
        f"expected csv lists with the columns {', '.join(_NEEDED)} in one of {', '.join(map(str, looked))}: name them "
        "or their folder with --lists"
    )


def _is_list(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.readline(1 << 16)
    return all(column in head for column in _NEEDED)


def _rows(path: Path) -> Iterator[_Row | Passed]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="more", restval="")
            columns = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = columns
            if not set(_NEEDED) <= set(columns):
                raise VganError(f"{path}: expected the columns {', '.join(_NEEDED)}, got {', '.join(columns)}")
            for line in reader:
                yield _row(line, path, f"{path.name}, line {reader.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise VganError(f"{path} cannot be read as comma-separated UTF-8 text: {error}") from None


def _row(line: dict[str, str], path: Path, place: str) -> _Row | Passed:
    youtube_id = line["youtube_id"].strip()
    try:
        start, end = float(line["time_start"]), float(line["time_end"])
    except ValueError:
        start = end = math.nan
    if not youtube_id or "/" in youtube_id or "more" in line:
        return Passed(f"{place}: {youtube_id}", "the line names no video, or has more values than columns")
    if not (0 <= start < end < math.inf):
        return Passed(f"{place}: {youtube_id}", "the line's times are no range")
    # A list without the column is of one part, which its own name tells.
    part = line.get("split") or next((word for word in path.stem.split("_")[::-1] if as_split(word)), "")
    if not as_split(part):
        return Passed(f"{place}: {youtube_id}", "the line's split is neither train, validate nor test")
    return _Row(place, one_line(line.get("label", "")), youtube_id, start, end, as_split(part))


def _items(rows: list[_Row | Passed], videos: VideoIndex) -> Iterator[Entry | Passed]:
    seen: set[tuple[str, float, float]] = set()
    waiting = iter(rows)
    with ThreadPoolExecutor(max_workers=_PROBES, thread_name_prefix="probe") as pool:
        while chunk := list(islice(waiting, _CHUNK)):
            found: list[tuple[_Row, Path | None, bool] | Passed] = []
            for row in chunk:
                if isinstance(row, Passed):
                    found.append(row)
                elif (row.youtube_id, row.start_s, row.end_s) in seen:
                    found.append(Passed(f"{row.place}: {row.youtube_id}", "the same range was named before"))
                else:
                    seen.add((row.youtube_id, row.start_s, row.end_s))
                    cut = videos.take(f"{row.youtube_id}_{int(row.start_s):06d}_{int(row.end_s):06d}")
                    found.append((row, cut or videos.take(row.youtube_id), cut is not None))
            yield from pool.map(_item, found)
    yield from videos.rest("in none of the lists")


def _item(found: tuple[_Row, Path | None, bool] | Passed) -> Entry | Passed:
    if isinstance(found, Passed):
        return found
    row, video, is_cut = found
    if video is None:
        name = f"{row.youtube_id}_{int(row.start_s):06d}_{int(row.end_s):06d}"
        return Passed(name, "in the lists, but no such video in the source", "absent")
    folder = f"{safe_name(row.label)}/" if row.label else ""
    wish = Wish(label=row.label, group=row.youtube_id, split=row.split)
    if is_cut or _is_cut(video, row):
        return Entry(folder + video.name, video, wish)
    # A video may have several ranges, so each has a name of its own, unlike that of a cut video.
    name = f"{video.stem}@{row.start_s:g}-{row.end_s:g}{video.suffix}"
    ranged = Wish(label=row.label, group=row.youtube_id, split=row.split, start_s=row.start_s, end_s=row.end_s)
    return Entry(folder + name, video, ranged)


def _is_cut(video: Path, row: _Row) -> bool:
    """Whether a video named by its id alone is the range itself: no longer than it, and over before it ends."""
    try:
        duration_s = probe(video).duration_s
    except UnusableVideo:
        return False  # what is wrong with it is for preprocess to say
    length_s = row.end_s - row.start_s
    return duration_s is not None and duration_s <= length_s + _SLACK_S and duration_s < row.end_s - _SLACK_S / 2
