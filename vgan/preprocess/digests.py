"""SHA-256 of every raw file, read again only where the file has changed.

Reading all footage on each run would cost more than everything else when nothing is new. So digests are kept in an
index beside the clips folder, under each file's path, size, inode and times, as git and DVC do. A file that was
changed within two seconds of being read could change again within the same tick of its file system's clock, so its
digest is not kept. The index is a cache: without it, or with a damaged one, files are read.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from vgan.atomic import write_bytes
from vgan.preprocess.sources import Source
from vgan.progress import Progress

__all__ = ["digests", "index_path"]

_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("inode", pa.uint64()),
        ("modified_ns", pa.int64()),
        ("changed_ns", pa.int64()),  # of the inode: cannot be set back, as the time of modification can
        ("sha256", pa.string()),
    ]
)
_RACY_NS = 2_000_000_000  # FAT's clock ticks every two seconds, others faster
_BLOCK = 1 << 20
_CHECKSUM_BYTES = 32
_SHOWN_FROM = 1 << 28  # bytes to read; less is read before a bar says anything

_Stamp = tuple[str, int, int, int, int]  # path, size, inode, modified, changed


@dataclass(frozen=True)
class _Read:
    stamp: _Stamp | None  # None where it cannot be kept
    sha256: str  # empty where the file cannot be read


def index_path(clips: Path) -> Path:
    """Where the index lies: beside the clips folder, which holds results only."""
    return clips.parent / f".{clips.name}.digests"


def digests(sources: Sequence[Source], index: Path, workers: int) -> list[str]:
    """SHA-256 of each source's content, empty where it cannot be read; `index` is read and brought up to date."""
    known = _load(index)
    stamps = [_stamp(source.path) for source in sources]
    found = [known.get(stamp, "") if stamp is not None else "" for stamp in stamps]
    missing = [number for number, digest in enumerate(found) if not digest and stamps[number] is not None]
    if missing:
        kept = dict(known)
        with ThreadPoolExecutor(max_workers=workers) as pool:
            paths = [sources[number].path for number in missing]
            sizes = [stamp[1] for number in missing if (stamp := stamps[number]) is not None]
            for number, read in zip(missing, _shown(pool.map(_read, paths), sizes), strict=True):
                found[number] = read.sha256
                if read.stamp is not None:
                    kept[read.stamp] = read.sha256
        known = kept
    here = {stamp: known[stamp] for stamp in stamps if stamp in known}
    if missing or len(here) != len(known):
        _save(index, here)
    return found


def _shown(reads: Iterator[_Read], sizes: Sequence[int]) -> Iterator[_Read]:
    total = sum(sizes)
    if total < _SHOWN_FROM:
        yield from reads
        return
    with Progress("checksums", total, "B") as progress:
        for number, (read, size) in enumerate(zip(reads, sizes, strict=True), 1):
            yield read
            progress.advance(size, note=f"{number}/{len(sizes)} videos")


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
        name = os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):  # a pipe would hold the reader up, a device never end
        return None
    return name, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> _Read:
    before = _stamp(path)
    now = time.time_ns()
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return _Read(None, "")
    steady = before is not None and before == _stamp(path) and max(before[3], before[4]) < now - _RACY_NS
    return _Read(before if steady else None, digest.hexdigest())


def _load(index: Path) -> dict[_Stamp, str]:
    try:
        content = index.read_bytes()
    except OSError:
        return {}
    file, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if hashlib.sha256(file).digest() != checksum:  # a digest with one wrong bit would be another video's
        return {}
    table = pa.ipc.open_file(file).read_all()
    if table.schema != _SCHEMA:
        return {}
    columns = [table[name].to_pylist() for name in _SCHEMA.names]
    return {row[:5]: row[5] for row in zip(*columns, strict=True)}


def _save(index: Path, known: dict[_Stamp, str]) -> None:
    columns = list(zip(*(((*stamp, digest)) for stamp, digest in known.items()), strict=True)) or [()] * len(_SCHEMA)
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], _SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    write_bytes(index, content + hashlib.sha256(content).digest())
