"""Shards: uncompressed tar files of clips, which the `webdataset` library reads unchanged.

A clip is two members, `<id>.npy` (uint8, T x H x W x 3, C order) and `<id>.json` (where it comes from). Tar members
start at multiples of 512 bytes and the .npy header is padded to 128, so the pixels of a clip are one slice of the file
and need no decoding.
"""

import hashlib
import io
import json
import tarfile
from ast import literal_eval
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vgan.atomic import open_atomic

__all__ = [
    "CLIPS_PER_SHARD",
    "NPY_HEADER_BYTES",
    "ShardFile",
    "ShardWriter",
    "npy_header",
    "read_shape",
    "shard_name",
]

CLIPS_PER_SHARD = 256
NPY_HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def shard_name(key: str, number: int) -> str:
    """Name of a video's shard, relative to the clips folder."""
    return f"shards/{key}-{number:05d}.tar"


@dataclass(frozen=True)
class ShardFile:
    """A shard as it was written."""

    name: str  # below the clips folder
    size: int  # bytes
    sha256: str


class ShardWriter:
    """Writes the clips of one video into `<clips>/shards/<key>-NNNNN.tar`, each shard whole or absent.

    with ShardWriter(clips, key) as writer:
        shard, offset = writer.add(clip_id, pixels, {"start": 0})
    writer.files  # what was written
    """

    def __init__(self, clips: Path, key: str) -> None:
        self.files: list[ShardFile] = []
        self._clips, self._key = clips, key
        self._shard: _Shard | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shard is not None and error is not None:
            self._shard.forget(error)
        elif self._shard is not None:
            self._finish(self._shard)

    def add(self, clip_id: str, pixels: NDArray[np.uint8], about: dict[str, object]) -> tuple[str, int]:
        """Write one clip (uint8, T x H x W x 3); returns its shard and the byte offset of its first pixel there."""
        if self._shard is not None and self._shard.clips == CLIPS_PER_SHARD:
            self._finish(self._shard)
        if self._shard is None:
            self._shard = _Shard(self._clips, shard_name(self._key, len(self.files)))
        return self._shard.name, self._shard.add(clip_id, pixels, about)

    def _finish(self, shard: "_Shard") -> None:
        self._shard = None
        self.files.append(shard.finish())


class _Shard:
    """A tar file under way: clips go to the disk as they come, so no clip is held in memory."""

    def __init__(self, clips: Path, name: str) -> None:
        self.name = name
        self.clips = 0
        self._open = ExitStack()
        self._file = _Hashed(self._open.enter_context(open_atomic(clips / name)))
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]  # noqa: SIM115

    def add(self, clip_id: str, pixels: NDArray[np.uint8], about: dict[str, object]) -> int:
        """Append one clip; returns the byte offset of its first pixel."""
        content = _npy(pixels)
        offset = self._file.tell() + tarfile.BLOCKSIZE + NPY_HEADER_BYTES
        self._append(f"{clip_id}.npy", content)
        self._append(f"{clip_id}.json", json.dumps(about, sort_keys=True).encode())
        self.clips += 1
        return offset

    def _append(self, name: str, content: bytes) -> None:
        # No time, owner or mode of this run goes in, so that the same clips give the same bytes.
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        self._tar.addfile(member, io.BytesIO(content))

    def finish(self) -> ShardFile:
        """Let the file appear under its name."""
        self._tar.close()
        self._open.close()
        return ShardFile(self.name, self._file.tell(), self._file.sha256())

    def forget(self, error: BaseException) -> None:
        """Let no file appear."""
        self._open.__exit__(type(error), error, None)


class _Hashed:
    """A file written from its start to its end, and the digest of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size, self._digest = file, 0, hashlib.sha256()

    def write(self, content: bytes) -> int:
        """As a file does."""
        self._digest.update(content)
        self._size += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        """Bytes written."""
        return self._size

    def sha256(self) -> str:
        """Of what was written."""
        return self._digest.hexdigest()


def _npy(pixels: NDArray[np.uint8]) -> bytes:
    """`pixels` as a version 1.0 .npy file whose header takes 128 bytes whatever the shape."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise ValueError(f"expected a uint8 clip of T x H x W x 3, got {pixels.dtype} of {pixels.shape}")
    return npy_header(pixels.shape) + np.ascontiguousarray(pixels).tobytes()


def npy_header(shape: Sequence[int]) -> bytes:
    """The 128 bytes before the first pixel of a clip of this shape, T x H x W x 3."""
    room = NPY_HEADER_BYTES - len(_MAGIC) - 2
    sides = tuple(int(side) for side in shape)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {sides}, }}".ljust(room - 1) + "\n"
    return _MAGIC + room.to_bytes(2, "little") + header.encode()


def read_shape(header: bytes) -> tuple[int, int, int, int]:
    """Shape (T, H, W, 3) from the 128 bytes before a clip's first pixel.

    Raises:
        ValueError: these bytes are not the header that ShardWriter writes.
    """
    if len(header) != NPY_HEADER_BYTES or not header.startswith(_MAGIC):
        raise ValueError("no .npy header")
    content = literal_eval(header[len(_MAGIC) + 2 :].decode("latin-1").strip())
    frames, height, width, colours = content["shape"]
    return frames, height, width, colours
