"""Which videos lie in data/raw, and what is known of them."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from vgan.errors import VganError

__all__ = ["SPLITS", "Source", "Wish", "find_sources", "read_splits"]

SPLITS = "splits.csv"
# fmt: off
_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".264", ".265", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv",
    ".gif", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg",
    ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut",
    ".obu", ".ogv", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m",
))
# fmt: on


@dataclass(frozen=True)
class Source:
    """A video file: where it lies, and its name below data/raw as the manifest shows it."""

    path: Path
    name: str  # posix
    label: str  # the folder it lies in, empty at the top


@dataclass(frozen=True)
class Wish:
    """What splits.csv says of a video; empty where it says nothing."""

    group: str
    split: str


def find_sources(raw: Path) -> list[Source]:
    """Every video below `raw`, by extension and in order of name; hidden files and folders are passed over.

    Raises:
        VganError: there is none.
    """
    sources = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in files:
            path = Path(folder, file)
            if not file.startswith(".") and path.suffix.lower() in _SUFFIXES:
                relative = path.relative_to(raw)
                sources.append(Source(path=path, name=_shown(relative.as_posix()), label=_shown(relative.parent.name)))
    if not sources:
        raise VganError(f"expected videos in {raw}, found none: put some there or run `vgan demo-footage`")
    return sorted(sources, key=lambda source: source.name)


def _shown(name: str) -> str:
    """`name` with any bytes that are no UTF-8 written out: Parquet and JSON hold no others."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_splits(raw: Path, sources: list[Source]) -> dict[str, Wish]:
    """What `raw`/splits.csv (columns path, and group or split or both) wishes, by source name; empty without a file.

    Raises:
        VganError: a column is missing or unknown, a path names no video or comes twice, a split is neither train nor
            test.
    """
    path = raw / SPLITS
    if not path.exists():
        return {}
    known = {source.name for source in sources}
    wishes: dict[str, Wish] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="more", restval="")
            columns = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = columns
            if "path" not in columns or not set(columns) <= {"path", "group", "split"}:
                raise VganError(f"{path}: expected the columns path, group, split (path at least), got {columns}")
            for line in reader:
                name, wish = _wish(line, f"{path}, line {reader.line_num}")
                if name not in known:
                    raise VganError(f"{path}, line {reader.line_num}: expected a video below {raw}, got {name!r}")
                if name in wishes:
                    raise VganError(f"{path}, line {reader.line_num}: {name!r} was named before: keep one line for it")
                wishes[name] = wish
    except (UnicodeDecodeError, csv.Error) as error:
        raise VganError(f"{path} cannot be read as comma-separated UTF-8 text: {error}") from None
    return wishes


def _wish(line: dict[str, str], place: str) -> tuple[str, Wish]:
    if "more" in line:
        raise VganError(f"{place}: more values than columns; quote a path that holds a comma")
    wish = Wish(group=line.get("group", "").strip(), split=line.get("split", "").strip())
    if wish.split not in ("", "train", "test"):
        raise VganError(f"{place}: expected the split train, test or nothing, got {wish.split!r}")
    return Path(line["path"].strip()).as_posix(), wish
