"""Tar shards of videos as video2dataset writes them: files of one key are one sample, mp4 with json and txt.

Nothing is unpacked by the names in a shard: videos are copied out of it by place and size, under names made here. Such
a name holds the shard's folders, as the shards of every part (train/00000.tar, val/00000.tar) may have the same keys.
https://github.com/iejMac/video2dataset
"""

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from vgan.errors import VganError
from vgan.importers.entries import Entry, Passed, Piece, Places, Plan, as_split, one_line, safe_name
from vgan.preprocess.sources import VIDEOS, walk
from vgan.preprocess.wishes import Wish

__all__ = ["plan"]

_LABELS = ("label", "class", "category")
_GROUPS = ("group", "videoID", "video_id", "youtube_id", "url")
_LONGEST_TEXT = 1 << 24  # bytes of a json or txt
_LONGEST_CAPTION = 200  # characters
_MB = 1_000_000


@dataclass
class _Sample:
    """The members of one key."""

    key: str
    video: tarfile.TarInfo | None = None
    texts: dict[str, bytes] = field(default_factory=dict)  # by extension


@dataclass(frozen=True)
class _Shard:
    """A tar, its name as it is told, and the folders that tell it from others of its name."""

    path: Path
    shown: str
    folders: tuple[str, ...]


def plan(places: Places) -> Plan:
    """Every sample of the shards at or below `src` that has a video.

    Raises:
        VganError: there is no shard.
    """
    shards = _shards(places.src)
    if not shards:
        raise VganError(f"expected tar shards in {places.src}, found none")
    total = sum(_mb(shard.path.stat().st_size) for shard in shards if shard.path.is_file())
    return Plan(total, "MB", (item for shard in shards for item in _items(shard)))


def _shards(src: Path) -> list[_Shard]:
    """The shards at or below `src`; the folder that holds them all counts where it is named after a part."""
    whole = Path(os.path.abspath(src))
    top = whole.parent if src.is_file() else whole
    above = (top.name,) if as_split(top.name) else ()
    if src.is_file():
        return [_Shard(src, src.name, above)]
    found = ((path, path.relative_to(src)) for path in sorted(walk(src, (".tar",))))
    return [_Shard(path, below.as_posix(), above + below.parent.parts) for path, below in found]


def _mb(size: int) -> int:
    return -(-size // _MB)


def _items(shard: _Shard) -> Iterator[Entry | Passed]:
    if not shard.path.is_file():
        yield Passed(str(shard.path), "no such file", advance=0)
        return
    done = 0
    for one in _samples(shard):
        if isinstance(one, Passed):
            yield one
            continue
        now = max(done, _mb(one.video.offset_data + one.video.size)) if one.video else done
        yield from _imported(shard, one, now - done)
        done = now


def _samples(shard: _Shard) -> Iterator[_Sample | Passed]:
    """The samples of a shard, as far as it is whole."""
    sample: _Sample | None = None
    size = shard.path.stat().st_size
    damage = ""
    try:
        with tarfile.open(shard.path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # a shard may hold millions
                if member.offset_data + member.size > size:
                    damage = "it is cut short"
                    break
                key, suffix = _key(member.name)
                if sample is None or key != sample.key:
                    if sample is not None:
                        yield sample
                    sample = _Sample(key)
                if reason := _added(tar, sample, member, suffix):
                    yield Passed(f"{shard.shown}: {member.name}", reason, advance=0)
            damage = damage or _unended(shard.path, tar.offset, size)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        damage = _words(shard.path, error)
    if sample is not None and (sample.video is not None or not damage):
        yield sample
    if damage:
        yield Passed(str(shard.path), f"damaged, what comes after is lost: {damage}", advance=0)


def _key(name: str) -> tuple[str, str]:
    """A member's key and its extension with the dot: the file's name is parted at its first dot."""
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return str(path.parent / stem), f".{suffix.lower()}"


def _added(tar: tarfile.TarFile, sample: _Sample, member: tarfile.TarInfo, suffix: str) -> str:
    """Take a member into its sample; the reason if it cannot be."""
    if member.isdir():
        return ""
    if not member.isreg() or member.issparse():
        return "it is no regular file"
    if suffix in VIDEOS:
        if sample.video is not None:
            return "the sample has a video already"
        sample.video = member
    elif suffix in (".json", ".txt", ".cls"):
        if member.size > _LONGEST_TEXT:
            return f"over {_LONGEST_TEXT} bytes of text"
        file = tar.extractfile(member)
        sample.texts[suffix] = file.read() if file is not None else b""
    return ""


def _unended(shard: Path, offset: int, size: int) -> str:
    """What is wrong where tarfile, which takes a broken header for the end, found the shard's end."""
    with shard.open("rb") as file:
        file.seek(max(0, offset - tarfile.BLOCKSIZE) if offset >= size else offset)
        rest = file.read(tarfile.BLOCKSIZE)
    if offset >= size:
        return "" if offset == size and not rest.strip(b"\0") else "it has no end mark"
    return "" if not rest.strip(b"\0") else "no member begins where one should"


def _words(shard: Path, error: Exception) -> str:
    with shard.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return "it is compressed: unpack it with gunzip first"
    return str(error) or type(error).__name__


def _imported(shard: _Shard, sample: _Sample, advance: int) -> Iterator[Entry | Passed]:
    place = f"{shard.shown}: {sample.key}"
    if sample.video is None:
        yield Passed(place, "the sample has no video", advance=advance)
        return
    about: dict[str, Any] = {}
    if ".json" in sample.texts:
        try:
            found = json.loads(sample.texts[".json"])
            about = found if isinstance(found, dict) else {}
        except (ValueError, RecursionError):
            yield Passed(place, "its json cannot be read: imported without what it says", "incomplete", 0)
    label = _first(about, _LABELS) or _text(sample, ".cls")
    caption = _first(about, ("caption",)) or _text(sample, ".txt")
    part = as_split(_first(about, ("split",))) or _part(shard)
    key = (part for part in PurePosixPath(sample.key).parts if part not in ("/", "//", ".."))
    suffix = PurePosixPath(sample.video.name).suffix.lower()
    name = f"{safe_name(label)}/" if label else ""
    name += safe_name("_".join((*shard.folders, shard.path.stem, *key))) + suffix
    wish = Wish(label=label or caption[:_LONGEST_CAPTION], group=_first(about, _GROUPS), split=part)
    yield Entry(name, Piece(shard.path, sample.video.offset_data, sample.video.size), wish, advance)


def _text(sample: _Sample, suffix: str) -> str:
    return one_line(sample.texts.get(suffix, b"").decode("utf-8", "replace"))


def _first(about: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of the fields that says something: a text or a whole number, or the first of a list of them."""
    for name in names:
        value = about.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str | int) and not isinstance(value, bool) and one_line(str(value)):
            return one_line(str(value))
    return ""


def _part(shard: _Shard) -> str:
    """The split that a shard's own name tells, as in `train-000001.tar`, or else the nearest folder that tells one."""
    word = shard.path.stem.replace("_", "-").split("-")[0]
    return next((split for name in (word, *reversed(shard.folders)) if (split := as_split(name))), "")
