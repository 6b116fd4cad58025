"""How much of the picture a two-stream generator lets move: its mask in numbers."""

from typing import NamedTuple

import torch

from vgan.models.generator import Generator, TwoStreamGenerator, draw_noise

__all__ = ["MaskCoverage", "mask_coverage"]


class MaskCoverage(NamedTuple):
    """Over all pixels of all frames; 0 is all background, 1 all foreground."""

    mean: float
    above_half: float  # share of pixels of which the foreground makes up more than half


@torch.inference_mode()
def mask_coverage(generator: Generator, count: int, seed: int, batch_size: int) -> MaskCoverage | None:
    """Coverage in the videos that `generate` makes from the same `count` and `seed`; None for one stream, no mask.

    The paper draws such masks in its figure 4 and keeps them sparse by a penalty (section 2.1), so coverage near 0
    says that nothing moves, near 1 that the background has no part in the video.
    """
    if not isinstance(generator, TwoStreamGenerator):
        return None
    device = next(generator.parameters()).device
    noise = draw_noise(count, generator.latent_dim, torch.Generator().manual_seed(seed))
    total = above = pixels = 0.0
    for first in range(0, count, batch_size):
        mask = generator.streams(noise[first : first + batch_size].to(device)).mask  # b x 1 x T x S x S
        total += float(mask.sum(dtype=torch.float64))
        above += float((mask > 0.5).sum())
        pixels += mask.numel()
    return MaskCoverage(total / pixels, above / pixels)
