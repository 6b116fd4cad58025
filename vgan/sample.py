"""The stage `sample`: a trained generator's videos, as files that a browser plays.

A conditional generator goes on from held-out clips, or from the pictures and clips that it is given.

video-000.mp4 …                     H.264, as many frames, of that size and at that rate, as the clips learnt from
grid.gif, grid.png                  all of them side by side, moving; and their middle frames
given/video-000.png                 what video 0 goes on from: the picture or frames, side by side
streams/video-000-foreground.mp4    what a generator with a mask composed video 0 of:
streams/video-000-mask.mp4              video = mask * foreground + (1 - mask) * background
streams/video-000-background.png        (equation 1 of the paper), the background being one still picture
"""

import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vgan.config import SampleParams
from vgan.errors import VganError
from vgan.given import from_files, from_store
from vgan.models.conditions import Conditions
from vgan.models.generator import Generator, OneStreamGenerator, draw_noise, generate, streams_of
from vgan.models.pixels import to_bytes
from vgan.models.weights import GeneratorInfo, load_generator
from vgan.pictures import tile, write_png
from vgan.progress import Progress
from vgan.video import write_animation, write_video

__all__ = ["run"]

_BATCH = 8


def run(
    params: SampleParams,
    generator: Path,
    out: Path,
    *,
    clips: Path,
    images: Sequence[Path] = (),
    videos: Sequence[Path] = (),
) -> list[Path]:
    """Generate `params.count` videos from `params.seed` and put them into `out`, in place of what was there.

    A conditional generator goes on from the pictures `images` and the beginnings of `videos`, counted round, or, if
    there are none, from held-out clips of the store `clips`; without noise it makes one video of each.

    The same generator and params give the same bytes on one machine; more videos leave the first ones as they were.
    The folder is built beside `out` and takes its place when complete.

    Returns:
        The files in `out`, sorted.

    Raises:
        VganError: no generator, or one that cannot be read; nothing that it could go on from; no ffmpeg.
    """
    network, info = load_generator(generator)
    conditions = _conditions(info, clips, images, videos, params)
    if conditions is not None and info.latent_dim == 0 and params.count > len(conditions.clips):
        print(
            f"the generator makes one video of what it is given: {len(conditions.clips)} instead of {params.count}",
            file=sys.stderr,
        )
        count = len(conditions.clips)
        params = params.model_copy(update={"count": count, "streams": min(params.streams, count)})
    network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    building = out.with_name(f".{out.name}.partial")
    shutil.rmtree(building, ignore_errors=True)  # of a killed run
    try:
        _write_all(building, network, conditions, params, info.fps)
        _replace(out, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return sorted(path for path in out.rglob("*") if path.is_file())


def _conditions(
    info: GeneratorInfo, clips: Path, images: Sequence[Path], videos: Sequence[Path], params: SampleParams
) -> Conditions | None:
    if info.context == 0:
        if images or videos:
            raise VganError(
                f"expected a conditional generator to go on from pictures or clips, got one of the kind "
                f"{info.generator}, which makes videos from noise: set train.generator to future or content_motion "
                "and train again"
            )
        return None
    if images or videos:
        return from_files(images, videos, info)
    return from_store(clips, info, params.count, params.seed)


def _write_all(
    folder: Path, network: Generator, conditions: Conditions | None, params: SampleParams, fps: float
) -> None:
    videos: list[NDArray[np.uint8]] = []
    with Progress("sample", total=params.count, unit="videos") as progress:
        for batch in generate(network, params.count, params.seed, _BATCH, conditions):
            for video in batch.numpy():
                write_video(folder / f"video-{len(videos):03d}.mp4", video, fps)
                videos.append(video)
                progress.advance()
    _write_grid(folder, np.stack(videos), fps)
    if conditions is not None:
        _write_given(folder / "given", conditions, params.count)
    _write_streams(folder / "streams", network, conditions, params, fps)


def _write_grid(folder: Path, videos: NDArray[np.uint8], fps: float) -> None:
    """All videos in one, as close to a square as their number allows."""
    grid = tile(videos, math.ceil(math.sqrt(len(videos))))
    write_animation(folder / "grid.gif", grid, fps)
    write_png(folder / "grid.png", grid[len(grid) // 2])


def _write_given(folder: Path, conditions: Conditions, count: int) -> None:
    for index in range(count):
        place = index % len(conditions.clips)
        frames = conditions.clips[place]  # C x S x S x 3
        if conditions.pictures is not None:
            frames = torch.cat([conditions.pictures[place][None], frames])
        write_png(folder / f"video-{index:03d}.png", tile(frames[:, None].numpy(), len(frames))[0])


@torch.inference_mode()
def _write_streams(
    folder: Path, network: Generator, conditions: Conditions | None, params: SampleParams, fps: float
) -> None:
    if params.streams == 0:
        return
    if isinstance(network, OneStreamGenerator):
        print("a one-stream generator has no foreground, mask and background to show: none written", file=sys.stderr)
        return
    device = next(network.parameters()).device
    noise = draw_noise(params.streams, network.latent_dim, torch.Generator().manual_seed(params.seed))
    for index, row in enumerate(noise):  # one by one, so that none depends on how many are asked for
        given = None if conditions is None else conditions.rows(index, 1, device)
        streams = streams_of(network, row[None].to(device), given)
        assert streams is not None
        name = f"video-{index:03d}"
        write_video(folder / f"{name}-foreground.mp4", _pixels(streams.foreground), fps)
        write_video(folder / f"{name}-mask.mp4", _pixels(2 * streams.mask - 1), fps)
        write_png(folder / f"{name}-background.png", _pixels(streams.background)[0])


def _pixels(video: torch.Tensor) -> NDArray[np.uint8]:
    """1 x C x T x S x S in [-1, 1] to uint8 T x S x S x 3."""
    pixels: NDArray[np.uint8] = to_bytes(video)[0].cpu().numpy()
    return pixels


def _replace(out: Path, building: Path) -> None:
    """Let `building` take the place of `out`. A kill in between leaves no `out`, never a mixture."""
    old = out.with_name(f".{out.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    building.rename(out)
    shutil.rmtree(old, ignore_errors=True)
