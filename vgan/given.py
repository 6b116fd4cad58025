"""What `vgan sample` lets a conditional generator go on from: pictures and clips of the user, or held-out clips.

C frames that the generator is given, S pixels of a side.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vgan.clips.store import ClipStore
from vgan.errors import VganError
from vgan.models.conditions import Conditions
from vgan.models.weights import GeneratorInfo
from vgan.pictures import fit
from vgan.video import UnusableVideo, probe, read_frames, read_picture

__all__ = ["from_files", "from_store"]


def from_files(images: Sequence[Path], clips: Sequence[Path], info: GeneratorInfo) -> Conditions:
    """Conditions from picture files, or folders of them, and video files, of which the first C frames count.

    Pictures alone stand still for C frames; clips alone give their first frames as pictures. Of both, the first
    picture goes with the first clip and so on, the fewer counted round.

    Raises:
        VganError: a file that cannot be read, or a video that is too short; or both kinds, and C is 1.
    """
    images = [file for path in images for file in _files(path)]
    if info.context == 1 and images and clips:
        raise VganError("expected pictures or clips for a generator that is given one frame, got both: leave one out")
    pictures = [_picture(path, info) for path in images]  # S x S x 3
    moving = [_beginning(path, info) for path in clips]  # C x S x S x 3
    if not moving:
        still = np.stack(pictures)[:, None]
        return Conditions(torch.from_numpy(np.repeat(still, info.context, axis=1)))
    if not pictures:
        return Conditions(torch.from_numpy(np.stack(moving)))
    count = max(len(pictures), len(moving))
    return Conditions(
        torch.from_numpy(np.stack(list(itertools.islice(itertools.cycle(moving), count)))),
        torch.from_numpy(np.stack(list(itertools.islice(itertools.cycle(pictures), count)))),
    )


def from_store(folder: Path, info: GeneratorInfo, count: int, seed: int) -> Conditions:
    """Beginnings of up to `count` clips of the store, held-out ones where there are any, drawn by lot.

    Raises:
        VganError: no clips, or clips of another shape than the generator learnt from.
    """
    store = ClipStore(folder)
    if (store.frames, store.size) != (info.frames, info.size):
        raise VganError(
            f"expected clips like those that the generator learnt from, {info.frames} frames of {info.size} pixels, "
            f"found {store.frames} of {store.size} in {folder}: train again with `vgan train`, or give --image"
        )
    held_out = store.indices("test")
    drawn = np.random.default_rng(seed).permutation(held_out if len(held_out) else store.indices("train"))[:count]
    return Conditions(torch.from_numpy(store.gather(drawn)[:, : info.context].copy()))


def _files(path: Path) -> list[Path]:
    """`path` itself, or the files of the folder that it is, sorted by name, hidden ones left out."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise VganError(f"expected pictures in the folder {path}, found no file")
    return files


def _picture(path: Path, info: GeneratorInfo) -> NDArray[np.uint8]:
    try:
        return fit(read_picture(path), info.size)
    except UnusableVideo as error:
        raise VganError(f"expected a picture at {path}, but: {error.reason}") from None


def _beginning(path: Path, info: GeneratorInfo) -> NDArray[np.uint8]:
    """The first C frames of a video, C x S x S x 3."""
    try:
        frames = list(itertools.islice(read_frames(path, probe(path), short_side=info.size), info.context))
    except UnusableVideo as error:
        raise VganError(f"expected a video at {path}, but: {error.reason}") from None
    if len(frames) < info.context:
        raise VganError(f"expected a video of at least {info.context} frames at {path}, got {len(frames)}")
    return np.stack([fit(frame, info.size) for frame in frames])
