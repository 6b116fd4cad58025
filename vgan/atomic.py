"""Files that are whole or absent: written under a temporary name, flushed to disk, then renamed.

A kill at any moment leaves either the old file or the new one, and at most a `.partial` file beside it, which
`remove_partial` clears away.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_atomic", "remove_partial", "sync_folder", "write_bytes", "write_text"]

_SUFFIX = ".partial"
_LONGEST_NAME = 255  # bytes, of file systems


@contextmanager
def open_atomic(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open `path` for writing; it appears under its name only when the block ends without an exception.

    With `sync` off a power cut may still take the name (never part of the content) until `sync_folder`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = f".{os.getpid()}{_SUFFIX}"
    name = path.name if len(os.fsencode(path.name)) < _LONGEST_NAME - len(end) else _short(path.name)
    partial = path.with_name(f".{name}{end}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if sync:
        sync_folder(path.parent)


def _short(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with open_atomic(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def remove_partial(folder: Path) -> None:
    """Delete what killed writers left under `folder`. Call it only while no other writer works there."""
    for leftover in folder.rglob(f".*{_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to disk: a power cut can lose a rename although the file's own bytes are safe."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
