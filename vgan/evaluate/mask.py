"""How much of the picture a generator lets move: its mask in numbers."""

from typing import NamedTuple

import torch

from vgan.models.conditions import Conditions
from vgan.models.generator import Generator, OneStreamGenerator, draw_noise, streams_of

__all__ = ["MaskCoverage", "mask_coverage"]


class MaskCoverage(NamedTuple):
    """Over all pixels of all frames; 0 is all background, 1 all foreground."""

    mean: float
    above_half: float  # share of pixels of which the foreground makes up more than half


@torch.inference_mode()
def mask_coverage(
    generator: Generator, count: int, seed: int, batch_size: int, conditions: Conditions | None = None
) -> MaskCoverage | None:
    """Coverage in the frames that `generate` makes of the same arguments; None for one stream, which has no mask.

    The paper draws such masks in its figure 4 and keeps them sparse by a penalty (section 2.1), so coverage near 0
    says that nothing moves, near 1 that the background has no part in the video.
    """
    if isinstance(generator, OneStreamGenerator):
        return None
    device = next(generator.parameters()).device
    noise = draw_noise(count, generator.latent_dim, torch.Generator().manual_seed(seed))
    total = above = pixels = 0.0
    for first in range(0, count, batch_size):
        rows = noise[first : first + batch_size].to(device)
        streams = streams_of(generator, rows, None if conditions is None else conditions.rows(first, len(rows), device))
        assert streams is not None
        total += float(streams.mask.sum(dtype=torch.float64))  # of b x 1 x F x S x S
        above += float((streams.mask > 0.5).sum())
        pixels += streams.mask.numel()
    return MaskCoverage(total / pixels, above / pixels)
