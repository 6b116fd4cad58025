"""What a reader hands on: files to lay below data/raw, and what it passes over with the reason."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from vgan.errors import VganError
from vgan.preprocess.sources import VIDEOS, walk
from vgan.preprocess.wishes import Wish

__all__ = [
    "Entry",
    "FolderLine",
    "Passed",
    "Piece",
    "Places",
    "Plan",
    "VideoIndex",
    "as_split",
    "find_lists",
    "one_line",
    "read_lines",
    "safe_name",
]  # fmt: skip

_LONGEST_NAME = 100  # bytes of a folder's or file's name that is made from a label


@dataclass(frozen=True)
class Piece:
    """Part of a file, such as a member of a tar."""

    path: Path
    offset: int
    size: int  # bytes


@dataclass(frozen=True)
class Entry:
    """One file to lay: where, from what, and what is known of it."""

    name: str  # posix path below the target, made of safe names
    content: Path | Piece | bytes
    wish: Wish = field(default_factory=Wish)
    advance: int = 1  # units of the plan's total that are done with it


@dataclass(frozen=True)
class FolderLine:
    """What holds for every file of a folder, said once."""

    name: str  # posix path below the target, ending with /
    wish: Wish


@dataclass(frozen=True)
class Passed:
    """Something that is not laid, or (`incomplete`) laid with less than there should be."""

    name: str  # file, member or line
    reason: str
    kind: Literal["left out", "absent", "unusable", "incomplete"] = "unusable"
    advance: int = 1


@dataclass(frozen=True)
class Plan:
    """What a reader found; `items` is to be gone through once."""

    total: int
    unit: str
    items: Iterator[Entry | FolderLine | Passed]


@dataclass(frozen=True)
class Places:
    """Where a reader looks: the footage, the lists if they lie elsewhere, and which official split it takes."""

    src: Path
    lists: Path | None = None
    split: int = 1


def safe_name(text: str) -> str:
    """`text` as the name of one file or folder: no separator, no control character, no leading dot, not too long."""
    name = "".join("_" if c in '/\\:*?"<>|' or unicodedata.category(c)[0] == "C" else c for c in text).strip()
    name = "_" + name[1:] if name.startswith(".") else name or "_"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + "-" + sha256(name.encode()).hexdigest()[:8]


def one_line(text: str) -> str:
    """`text` with every run of spaces and line ends as one space."""
    return " ".join(text.split())


def as_split(text: str) -> str:
    """Train or test for the names that data sets give their parts (validation counts as test), else empty."""
    name = text.strip().lower()
    if name in ("train", "training"):
        return "train"
    return "test" if name in ("val", "valid", "validate", "validation", "test", "testing") else ""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers (from 1) and content of a list's lines that are not empty, whatever ends them.

    Raises:
        VganError: it is no UTF-8 text, or cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip()
    except UnicodeDecodeError as error:
        raise VganError(f"{path} cannot be read as UTF-8 text: {error}") from None
    except OSError as error:
        raise VganError(f"{path} cannot be read: {error.strerror}") from None


def find_lists(places: Places, folders: tuple[str, ...], names: tuple[str, ...]) -> list[Path]:
    """The files `names` of a data set's lists, all from the first place that has them all.

    Args:
        places: `lists`, if given, is the only place; else `src`, what lies beside it, and `folders` in both.
        folders: the names under which the data set ships its lists.
        names: of the files.

    Raises:
        VganError: no place has them.
    """
    if places.lists is not None:
        looked = [places.lists, *(places.lists / folder for folder in folders)]
    else:
        near = [places.src, places.src.absolute().parent]
        looked = [places.src, *(place / folder for place in near for folder in folders), near[1]]
    for place in looked:
        if all((place / name).is_file() for name in names):
            return [place / name for name in names]
    raise VganError(
        f"expected the lists {' and '.join(names)} in one of {', '.join(map(str, looked))}: name their folder with "
        "--lists, or take the videos without them with `vgan import folder`"
    )


class VideoIndex:
    """The videos below a folder by their name without extension, whatever folders they lie in.

    Raises:
        VganError: there is none.
    """

    def __init__(self, src: Path, *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._paths: dict[str, Path] = {}
        self._used: set[Path] = set()
        self._doubles: list[Path] = []
        for path in walk(src, VIDEOS):
            if self._paths.setdefault(self._key(path.stem), path) != path:
                self._doubles.append(path)
        if not self._paths:
            packed = next((f": {name} is packed, unpack it first" for name in _packed(src)), "")
            raise VganError(f"expected videos in {src}, found none{packed}")
        self._src = src

    def take(self, stem: str) -> Path | None:
        """The video of that name, or None."""
        path = self._paths.get(self._key(stem))
        if path is not None:
            self._used.add(path)
        return path

    def rest(self, reason: str) -> Iterator[Passed]:
        """What `take` never gave out, as left out for `reason`."""
        for path in self._paths.values():
            if path not in self._used:
                yield Passed(self._name(path), reason, "left out", advance=0)
        for path in self._doubles:
            twin = self._paths[self._key(path.stem)]
            yield Passed(self._name(path), f"{self._name(twin)} has the same name and is taken", advance=0)

    def _key(self, stem: str) -> str:
        stem = unicodedata.normalize("NFC", stem)
        return stem.casefold() if self._ignore_case else stem

    def _name(self, path: Path) -> str:
        return path.relative_to(self._src).as_posix()


def _packed(src: Path) -> Iterator[str]:
    for _, _, files in os.walk(src):
        yield from (name for name in sorted(files) if name.lower().endswith((".rar", ".zip", ".tar", ".gz", ".7z")))
