"""The stage `sample`: a trained generator's videos, as files that a browser plays.

video-000.mp4 …                     H.264, as many frames, of that size and at that rate, as the clips learnt from
grid.gif, grid.png                  all of them side by side, moving; and their middle frames
streams/video-000-foreground.mp4    what a two-stream generator composed video 0 of:
streams/video-000-mask.mp4              video = mask * foreground + (1 - mask) * background
streams/video-000-background.png        (equation 1 of the paper), the background being one still picture
"""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vgan.config import SampleParams
from vgan.models.generator import Generator, TwoStreamGenerator, draw_noise, generate
from vgan.models.pixels import to_bytes
from vgan.models.weights import load_generator
from vgan.pictures import tile, write_png
from vgan.progress import Progress
from vgan.video import write_animation, write_video

__all__ = ["run"]

_BATCH = 8


def run(params: SampleParams, generator: Path, out: Path) -> list[Path]:
    """Generate `params.count` videos from `params.seed` and put them into `out`, in place of what was there.

    The same generator and params give the same bytes on one machine; more videos leave the first ones as they were.
    The folder is built beside `out` and takes its place when complete.

    Returns:
        The files in `out`, sorted.

    Raises:
        VganError: no generator, or one that cannot be read; no ffmpeg.
    """
    network, info = load_generator(generator)
    network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    building = out.with_name(f".{out.name}.partial")
    shutil.rmtree(building, ignore_errors=True)  # of a killed run
    try:
        _write_all(building, network, params, info.fps)
        _replace(out, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return sorted(path for path in out.rglob("*") if path.is_file())


def _write_all(folder: Path, network: Generator, params: SampleParams, fps: float) -> None:
    videos: list[NDArray[np.uint8]] = []
    with Progress("sample", total=params.count, unit="videos") as progress:
        for batch in generate(network, params.count, params.seed, _BATCH):
            for video in batch.numpy():
                write_video(folder / f"video-{len(videos):03d}.mp4", video, fps)
                videos.append(video)
                progress.advance()
    _write_grid(folder, np.stack(videos), fps)
    _write_streams(folder / "streams", network, params, fps)


def _write_grid(folder: Path, videos: NDArray[np.uint8], fps: float) -> None:
    """All videos in one, as close to a square as their number allows."""
    grid = tile(videos, math.ceil(math.sqrt(len(videos))))
    write_animation(folder / "grid.gif", grid, fps)
    write_png(folder / "grid.png", grid[len(grid) // 2])


@torch.inference_mode()
def _write_streams(folder: Path, network: Generator, params: SampleParams, fps: float) -> None:
    if params.streams == 0:
        return
    if not isinstance(network, TwoStreamGenerator):
        print("a one-stream generator has no foreground, mask and background to show: none written", file=sys.stderr)
        return
    device = next(network.parameters()).device
    noise = draw_noise(params.streams, network.latent_dim, torch.Generator().manual_seed(params.seed))
    for index, row in enumerate(noise):  # one by one, so that none depends on how many are asked for
        streams = network.streams(row[None].to(device))
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
