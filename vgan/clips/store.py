"""Read-only view of a clips folder: shards are mapped into memory, clips gathered as slices, nothing is decoded."""

import hashlib
import json
import mmap
import resource
import threading
from collections import Counter, OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgan.clips import manifest, shards
from vgan.errors import VganError

__all__ = ["MIN_CLIPS", "ClipStore"]

_HANDLES_LEFT = 512  # for the rest of the process: each mapped shard holds one
_MAPS = 32_768  # at most; Linux gives a process 65,530
MIN_CLIPS = 8  # of a kind, to judge by: a covariance of fewer says nothing
_PLACES = ("id", "source", "start", "label", "group", "split", "fps", "shard", "offset")


class ClipStore:
    """The kept clips of a folder that `vgan preprocess` wrote, numbered from 0 in the manifest's order.

    Raises:
        VganError: no manifest, no kept clip, or a shard that is missing, cut short or of another shape.
    """

    frames: int
    size: int  # pixels of a side
    fps: float  # the most common among the clips

    def __init__(self, folder: Path) -> None:
        table = manifest.read_table(folder)
        kept: dict[str, list[Any]] = table.filter(table["kept"]).select(_PLACES).to_pydict()
        if not kept["id"]:
            raise VganError(
                f"expected clips to train on in {folder}, but none of {table.num_rows} candidates was kept: "
                f"see the reasons in {folder / manifest.MANIFEST}"
            )
        self._folder = folder
        self.labels: list[str] = kept["label"]
        self.groups: list[str] = kept["group"]
        self.sources: list[str] = kept["source"]
        self._splits = np.array(kept["split"])
        self._shard_names: list[str] = kept["shard"]
        self._offsets: list[int] = kept["offset"]
        self._maps: OrderedDict[str, mmap.mmap] = OrderedDict()
        self._most_maps = _room_for(len(set(self._shard_names)))
        self._lock = threading.Lock()
        self.fps = float(Counter(kept["fps"]).most_common(1)[0][0])
        self._shape = self._check_shards()
        self._header = shards.npy_header(self._shape)
        self.frames, self.size = self._shape[0], self._shape[1]
        content = json.dumps([kept[name] for name in _PLACES] + [self._shape], separators=(",", ":"))
        self.digest = hashlib.sha256(content.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._offsets)

    def indices(self, split: str) -> NDArray[np.int64]:
        """Indices of the clips of a split, "train" or "test", in ascending order."""
        if split not in ("train", "test"):
            raise ValueError(f"expected the split train or test, got {split!r}")
        return np.flatnonzero(self._splits == split).astype(np.int64)

    def gather(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copy clips into one array: uint8, B x T x H x W x 3, in the order of `indices`.

        Raises:
            VganError: a shard has vanished, been cut short or been overwritten since the store was opened.
        """
        batch = np.empty((len(indices), *self._shape), np.uint8)
        for place, index in enumerate(np.asarray(indices).tolist()):
            name, offset = self._shard_names[index], self._offsets[index]
            try:
                batch[place] = self._clip(self._map(name), offset)
            except (OSError, ValueError) as error:
                raise VganError(
                    f"the shard {self._folder / name} can no longer be read ({error}): run `vgan preprocess` again"
                ) from None
        return batch

    def _clip(self, mapped: mmap.mmap, offset: int) -> NDArray[np.uint8]:
        # Touching a mapped file beyond its end ends the process (SIGBUS), so its size is asked for each time.
        count = int(np.prod(self._shape))
        if mapped.size() < offset + count:
            raise ValueError("it is cut short")
        if mapped[offset - len(self._header) : offset] != self._header:
            raise ValueError("it is damaged")
        return np.frombuffer(mapped, np.uint8, count, offset).reshape(self._shape)

    def _map(self, name: str) -> mmap.mmap:
        """The shard in memory; the least recently used one is let go when too many are open."""
        with self._lock:  # batches are gathered by a thread of their own
            mapped = self._maps.pop(name, None)
            if mapped is None:
                with (self._folder / name).open("rb") as file:
                    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[name] = mapped
            if len(self._maps) > self._most_maps:
                self._maps.popitem(last=False)
            return mapped

    def _check_shards(self) -> tuple[int, int, int, int]:
        """Look at each shard's size and last clip; returns the shape that all clips share."""
        ends: dict[str, int] = {}
        for name, offset in zip(self._shard_names, self._offsets, strict=True):
            ends[name] = max(ends.get(name, 0), offset)
        shapes = {self._last_shape(name, offset) for name, offset in sorted(ends.items())}
        if len(shapes) != 1:
            raise VganError(
                f"expected clips of one shape in {self._folder}, found {sorted(shapes)}: run `vgan preprocess` again"
            )
        return shapes.pop()

    def _last_shape(self, name: str, offset: int) -> tuple[int, int, int, int]:
        path = self._folder / name
        advice = f"delete {self._folder} and run `vgan preprocess` again"
        try:
            with path.open("rb") as file:
                file.seek(offset - shards.NPY_HEADER_BYTES)
                shape = shards.read_shape(file.read(shards.NPY_HEADER_BYTES))
                size = file.seek(0, 2)
        except FileNotFoundError:
            raise VganError(f"the shard {path} is missing: {advice}") from None
        except (OSError, ValueError) as error:
            raise VganError(f"the shard {path} is damaged ({error}): {advice}") from None
        if size < offset + int(np.prod(shape)):
            raise VganError(f"the shard {path} is cut short at {size} bytes: {advice}")
        return shape


def _room_for(shards: int) -> int:
    """How many of so many shards may be mapped at once; asks for as many file handles as that takes and it may have.

    Mapping a shard anew for each of its clips takes longer than copying them (8,000 clips/s instead of 20,000).
    """
    wanted = min(shards, _MAPS) + _HANDLES_LEFT
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < wanted:  # negative: no limit
        with suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_HANDLES_LEFT // 8, (min(soft, wanted) if soft >= 0 else wanted) - _HANDLES_LEFT)
