"""LSUN: pictures by category, from its databases (`bedroom_train_lmdb`) or from folders of stills.

They are kept as they are, for the models that are conditioned on a picture. Names of databases and folders tell
category and part; validation counts as test. https://github.com/fyu/lsun
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vgan.errors import VganError
from vgan.importers.entries import Entry, FolderLine, Passed, Places, Plan, as_split, safe_name
from vgan.preprocess.sources import STILLS, walk
from vgan.preprocess.wishes import Wish

if TYPE_CHECKING:
    import lmdb

__all__ = ["plan"]

_DATABASE = "data.mdb"
_PART = re.compile(r"(?:(?P<category>.+?)_)?(?P<part>train|val|valid|validation|test)", re.IGNORECASE)


def plan(places: Places) -> Plan:
    """Every picture of the databases at or below `src`, or of its folders where there is no database.

    Raises:
        VganError: there are neither, or a database without the package that reads it.
    """
    databases = _databases(places.src)
    if databases:
        total = sum(_count(path) for path in databases)
        return Plan(total, "pictures", _with_folders(item for path in databases for item in _from_database(path)))
    total = sum(1 for _ in walk(places.src, STILLS))
    if not total:
        raise VganError(f"expected LSUN's databases ({_DATABASE}) or pictures in {places.src}, found neither")
    pictures = ((path, *_placed(path.relative_to(places.src))) for path in walk(places.src, STILLS))
    return Plan(
        total, "pictures", _with_folders(((label, split), Entry(f"{_folder(label, split)}{path.name}", path))
                                         for path, label, split in pictures)
    )  # fmt: skip


def _databases(src: Path) -> list[Path]:
    if src.is_file():
        return [src] if src.suffix == ".mdb" else []
    return [Path(folder) for folder, _, files in sorted(os.walk(src)) if _DATABASE in files]


def _placed(relative: Path) -> tuple[str, str]:
    """Category and split of a picture, from the folders it lies in.

    LSUN's own tool spreads pictures over folders of one character each; they are passed over.
    """
    split = ""
    for folder in reversed(relative.parent.parts):
        match = _PART.fullmatch(folder)
        if match is not None and not split:
            split = as_split(match["part"])
            if match["category"]:
                return match["category"], split
        elif len(folder) > 1:
            return folder, split
    return "", split


def _folder(label: str, split: str) -> str:
    parts = [safe_name(part) for part in (label, split) if part]
    return PurePosixPath(*parts).as_posix() + "/" if parts else ""


def _with_folders(items: Iterator[tuple[tuple[str, str], Entry | Passed]]) -> Iterator[Entry | FolderLine | Passed]:
    """The items, and at the end one line for each folder whose name does not say it all: not one a picture."""
    seen: set[tuple[str, str]] = set()
    for known, item in items:
        seen.add(known)
        yield item
    for label, split in sorted(seen):
        if split or safe_name(label) != label:
            yield FolderLine(_folder(label, split), Wish(label=label, split=split))


def _environment(path: Path) -> "lmdb.Environment":
    try:
        import lmdb
    except ImportError:
        raise VganError(
            f"{path} is a database that the package lmdb reads: run `pip install lmdb`, or export the pictures into "
            "folders with LSUN's own tool"
        ) from None
    try:
        return lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, create=False, readahead=False)
    except lmdb.Error as error:
        raise VganError(f"the database {path} cannot be opened: {error}; get it again") from None


def _count(path: Path) -> int:
    with _environment(path) as environment:
        return int(environment.stat()["entries"])


def _from_database(path: Path) -> Iterator[tuple[tuple[str, str], Entry | Passed]]:
    import lmdb

    name = (path if path.is_dir() else path.parent).resolve().name.removesuffix("_lmdb")
    match = _PART.fullmatch(name)
    known = (match["category"] or "", as_split(match["part"])) if match else (name, "")
    try:
        with _environment(path) as environment, environment.begin(buffers=False) as transaction:
            for key, value in transaction.cursor():
                text = key.decode("utf-8", "backslashreplace")
                suffix = _suffix(value)
                if suffix:
                    yield known, Entry(f"{_folder(*known)}{safe_name(text)}{suffix}", value)
                else:
                    yield known, Passed(f"{path}: {text}", "it is neither a WebP, JPEG nor PNG picture")
    except lmdb.Error as error:
        yield known, Passed(str(path), f"the database is damaged, what comes after is lost: {error}", advance=0)


def _suffix(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    if content[:3] == b"\xff\xd8\xff":
        return ".jpg"
    return ".png" if content[:8] == b"\x89PNG\r\n\x1a\n" else ""
