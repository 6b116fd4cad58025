"""Clips whose looks and motion a test chooses: a bright blob that crosses a textured background."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.shards import ShardWriter


def moving_blobs(count: int, seed: int, *, frames: int = 16, size: int = 32) -> NDArray[np.uint8]:
    """uint8 count x frames x size x size x 3; place, direction, speed, colours and background vary with the clip."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    clips = np.empty((count, frames, size, size, 3), np.uint8)
    for clip in clips:
        phase, tilt = rng.uniform(0, 6, 2)
        texture = 60 + 30 * np.sin(rows / 3 + tilt * columns / 6 + phase)
        background = texture[..., None] * rng.uniform(0.6, 1.4, 3)
        colour, start, velocity = rng.uniform(150, 255, 3), rng.uniform(0, size, 2), rng.uniform(-1.5, 1.5, 2)
        for t, frame in enumerate(clip):
            row, column = (start + t * velocity) % size
            near = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (size / 6) ** 2)[..., None]
            frame[:] = (background * (1 - near) + colour * near).clip(0, 255)
    return clips


def write_clips(folder: Path, train: NDArray[np.uint8], test: NDArray[np.uint8]) -> None:
    """A clips folder as `vgan preprocess` leaves it, of two videos."""
    rows = []
    for split, clips in (("train", train), ("test", test)):
        with ShardWriter(folder, split) as writer:
            for start, clip in enumerate(clips):
                name = f"{split}-{start:04d}"
                shard, offset = writer.add(name, clip, {"start": start})
                row = ClipRow(id=name, source=f"{split}.mp4", start=start, split=split, fps=25.0, kept=True)
                rows.append(replace(row, shard=shard, offset=offset))
    manifest.write(folder, rows)
