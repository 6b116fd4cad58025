"""Laying files below a folder: copied or linked, each whole or absent, and left alone where it lies already."""

import errno
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from vgan.atomic import open_atomic, sync_folder
from vgan.errors import VganError
from vgan.importers.entries import Entry, FolderLine, Passed, Piece

__all__ = ["Laid", "check_links", "lay"]

_THREADS = 8  # they wait for disks, not for cores
_AHEAD = 64  # files handed out ahead of time; a still is in memory meanwhile
_CHUNK = 1 << 20
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Laid:
    """What became of one entry: laid new, there already, or the reason why neither."""

    entry: Entry
    new: bool
    size: int  # bytes
    reason: str = ""


def lay(
    items: Iterator[Entry | FolderLine | Passed], into: Path, *, link: bool
) -> Iterator[Laid | FolderLine | Passed]:
    """Lay every entry below `into`, several at a time; what comes of each is handed on in the order of `items`.

    A file of the same content is left as it is; one of other content is never replaced. A second entry of a name is
    not laid. When all is done, the folders are on disk too.

    Raises:
        OSError: the disk is full or read-only. Any other trouble with a file is that entry's reason.
    """
    waiting: deque[Future[Laid] | FolderLine | Passed] = deque()
    names: set[str] = set()
    with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="import") as pool:
        try:
            for item in items:
                if not isinstance(item, Entry):
                    waiting.append(item)
                elif item.name in names:
                    waiting.append(
                        Passed(_shown(item), f"another file is already taken as {item.name}", advance=item.advance)
                    )
                else:
                    names.add(item.name)
                    waiting.append(pool.submit(_lay_one, item, into, link))
                if len(waiting) > _AHEAD:
                    yield _outcome(waiting.popleft())
            while waiting:
                yield _outcome(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)
    for folder in {(into / name).parent for name in names}:
        if folder.is_dir():
            sync_folder(folder)


def _outcome(item: Future[Laid] | FolderLine | Passed) -> Laid | FolderLine | Passed:
    return item.result() if isinstance(item, Future) else item


def _shown(entry: Entry) -> str:
    content = entry.content
    if isinstance(content, bytes):
        return entry.name
    return str(content.path if isinstance(content, Piece) else content)


def _lay_one(entry: Entry, into: Path, link: bool) -> Laid:
    try:
        size = _size(entry.content)
        if size == 0:
            return Laid(entry, False, 0, "empty file (0 bytes)")
        target = into / entry.name
        if os.path.lexists(target):
            same = _is_same(entry.content, size, target)
            return Laid(entry, False, size, "" if same else f"another file lies at {target}: move or delete it first")
        if link and isinstance(entry.content, Path):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(entry.content.absolute())
        else:
            _copy(entry.content, size, target)
    except OSError as error:
        if error.errno in _FATAL:
            raise
        return Laid(entry, False, 0, f"cannot be copied: {error.strerror or error}")
    return Laid(entry, True, size)


def _size(content: Path | Piece | bytes) -> int:
    if isinstance(content, Path):
        if not content.is_file():  # a pipe or device would never end
            raise OSError(errno.ENOENT, "no such file" if not content.exists() else "it is no regular file")
        return content.stat().st_size
    return content.size if isinstance(content, Piece) else len(content)


def _is_same(content: Path | Piece | bytes, size: int, target: Path) -> bool:
    """Whether `target` holds `content`; a whole file of equal size and time is taken for the same, as rsync does."""
    if not target.is_file() or target.stat().st_size != size:
        return False
    if isinstance(content, Path):
        if os.path.samefile(content, target) or content.stat().st_mtime_ns == target.stat().st_mtime_ns:
            return True
        content = Piece(content, 0, size)
    with target.open("rb") as there:
        if isinstance(content, bytes):
            return there.read() == content
        with content.path.open("rb") as file:
            file.seek(content.offset)
            left = content.size
            while left and (chunk := file.read(min(_CHUNK, left))) and chunk == there.read(len(chunk)):
                left -= len(chunk)
            return left == 0


def _copy(content: Path | Piece | bytes, size: int, target: Path) -> None:
    with open_atomic(target, sync=False) as out:
        if isinstance(content, bytes):
            out.write(content)
            return
        piece = content if isinstance(content, Piece) else Piece(content, 0, size)
        with piece.path.open("rb") as file:
            if _transfer(file, out, piece) != size:
                raise OSError(errno.EIO, "it ends early")
            if isinstance(content, Path):
                times = os.stat(file.fileno())
                out.flush()
                os.utime(out.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))


def _transfer(file: BinaryIO, out: BinaryIO, piece: Piece) -> int:
    """Copy a piece and return its bytes; the kernel does it where it can, and shares blocks where the disk can."""
    done = 0
    in_kernel: Callable[..., int] | None = getattr(os, "copy_file_range", None)
    if in_kernel is not None:
        with suppress(OSError):  # not on these file systems: copied below from where it got to
            while done < piece.size:
                count = in_kernel(file.fileno(), out.fileno(), piece.size - done, piece.offset + done, done)
                if not count:
                    break
                done += count
    file.seek(piece.offset + done)
    out.seek(done)
    while done < piece.size and (chunk := file.read(min(_CHUNK, piece.size - done))):
        out.write(chunk)
        done += len(chunk)
    return done


def check_links(into: Path) -> None:
    """Make sure that DVC will not touch what links in `into` lead to.

    With hardlink as the first of `cache.type` DVC makes a linked file part of its cache: the original becomes
    read-only and shares its bytes with the cache. Only the first counts, whether it works on the disk or not; with any
    other there `dvc add` copies the file, and hard links, if it comes to them, join that copy and data/raw.

    Raises:
        VganError: DVC is set to hard links there.
    """
    if find_spec("dvc") is None:
        return
    place = into.absolute()
    while not place.is_dir():
        place = place.parent
    command = [sys.executable, "-m", "dvc", "config", "cache.type"]
    done = subprocess.run(command, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.stdout.split(",")[0].strip() == "hardlink":
        raise VganError(
            f"expected DVC to keep its hands off linked files, but its cache.type here is {done.stdout.strip()!r}: "
            "with hardlink first `dvc add` makes your originals read-only: import copies instead (leave out --link)"
        )
