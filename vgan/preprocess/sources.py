"""Which videos lie in data/raw."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STILLS", "VIDEOS", "Source", "as_text", "find_sources", "tables", "walk"]

# fmt: off
VIDEOS = frozenset((
    ".3g2", ".3gp", ".264", ".265", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv",
    ".gif", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg",
    ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut",
    ".obu", ".ogv", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m",
))
# fmt: on
STILLS = frozenset((".jpeg", ".jpg", ".png", ".webp"))


@dataclass(frozen=True)
class Source:
    """A video file: where it lies, and its name below data/raw as the manifest shows it."""

    path: Path
    name: str  # posix
    label: str  # the folder it lies in, empty at the top; or what splits.csv says
    start_s: float = 0.0  # of the video, what is used
    end_s: float | None = None  # None: to the end


def find_sources(raw: Path, suffixes: Collection[str] = VIDEOS) -> list[Source]:
    """Every video (or what `suffixes` say) below `raw`, in order of name; hidden files and folders are passed over."""
    sources = []
    for path in walk(raw, suffixes):
        relative = path.relative_to(raw)
        sources.append(Source(path=path, name=as_text(relative.as_posix()), label=as_text(relative.parent.name)))
    return sorted(sources, key=lambda source: source.name)


def walk(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Every file below `folder` with one of the `suffixes` (in lower case), folder by folder, each in order of name.

    Hidden files and folders are passed over; links are followed, but not in circles.
    """
    for path, files in _folders(folder):
        yield from (path / file for file in files if os.path.splitext(file)[1].lower() in suffixes)


def tables(folder: Path, name: str) -> Iterator[Path]:
    """Every file called `name` below `folder`, the nearest first."""
    for path, files in _folders(folder):
        if name in files:
            yield path / name


def _folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Every folder with the files in it, in order of name."""
    seen: set[str] = set()
    for path, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(path), sorted(name for name in files if not name.startswith("."))


def as_text(name: str) -> str:
    """`name` with any bytes that are no UTF-8 written out: Parquet, JSON and splits.csv hold no others."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
