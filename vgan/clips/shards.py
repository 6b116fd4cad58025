"""Shards: uncompressed tar files of clips, which the `webdataset` library reads unchanged.

A clip is two members, `<id>.npy` (uint8, T x H x W x 3, C order) and `<id>.json` (where it comes from). Tar members
start at multiples of 512 bytes and the .npy header is padded to 128, so the pixels of a clip are one slice of the file
and need no decoding.
"""

import io
import json
import tarfile
from ast import literal_eval
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vgan.atomic import open_atomic

__all__ = ["CLIPS_PER_SHARD", "NPY_HEADER_BYTES", "ShardWriter", "read_shape", "shard_name"]

CLIPS_PER_SHARD = 256
NPY_HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def shard_name(key: str, number: int) -> str:
    """Name of a video's shard, relative to the clips folder."""
    return f"shards/{key}-{number:05d}.tar"


class ShardWriter:
    """Writes the clips of one video into `<clips>/shards/<key>-NNNNN.tar`, each shard whole or absent.

    with ShardWriter(clips, key) as writer:
        shard, offset = writer.add(clip_id, pixels, {"start": 0})
    """

    def __init__(self, clips: Path, key: str) -> None:
        self._clips, self._key = clips, key
        self._waiting: list[tuple[str, NDArray[np.uint8], dict[str, object]]] = []
        self._number = 0
        self._offset = 0

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._flush()

    def add(self, clip_id: str, pixels: NDArray[np.uint8], about: dict[str, object]) -> tuple[str, int]:
        """Queue one clip (uint8, T x H x W x 3); returns its shard and the byte offset of its first pixel there."""
        if len(self._waiting) == CLIPS_PER_SHARD:
            self._flush()
        self._waiting.append((clip_id, pixels, about))
        shard, offset = shard_name(self._key, self._number), self._offset + tarfile.BLOCKSIZE + NPY_HEADER_BYTES
        self._offset += sum(_padded(len(content)) for _, content in _members(clip_id, pixels, about))
        return shard, offset

    def _flush(self) -> None:
        if not self._waiting:
            return
        with open_atomic(self._clips / shard_name(self._key, self._number)) as file:
            _write_tar(file, self._waiting)
        self._waiting.clear()
        self._number += 1
        self._offset = 0


def _members(
    clip_id: str, pixels: NDArray[np.uint8], about: dict[str, object]
) -> Iterator[tuple[str, memoryview | bytes]]:
    yield f"{clip_id}.npy", _npy(pixels)
    yield f"{clip_id}.json", json.dumps(about, sort_keys=True).encode()


def _npy(pixels: NDArray[np.uint8]) -> bytes:
    """`pixels` as a version 1.0 .npy file whose header takes 128 bytes whatever the shape."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise ValueError(f"expected a uint8 clip of T x H x W x 3, got {pixels.dtype} of {pixels.shape}")
    room = NPY_HEADER_BYTES - len(_MAGIC) - 2
    shape = tuple(int(side) for side in pixels.shape)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(room - 1) + "\n"
    return _MAGIC + room.to_bytes(2, "little") + header.encode() + np.ascontiguousarray(pixels).tobytes()


def _padded(length: int) -> int:
    """Bytes of a tar member with its header, filled up to whole blocks."""
    block = tarfile.BLOCKSIZE
    return block + (length + block - 1) // block * block


def _write_tar(file: BinaryIO, clips: Iterable[tuple[str, NDArray[np.uint8], dict[str, object]]]) -> None:
    # No time, owner or mode of this run goes in, so that the same clips give the same bytes.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in clips:
            for name, content in _members(*clip):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                tar.addfile(member, io.BytesIO(content))


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
