"""What the generators share: equation 1 of the paper, and the layers between a seed and the last doubling.

B batch, T frames, S size, c channels (the width before the last layer), t = T/16 and s = S/16.
"""

from typing import NamedTuple

import torch
from torch import nn

from vgan.models.upsampling import Doubling2d, Doubling3d

__all__ = ["FACTOR", "NORM_EPS", "Streams", "check_shape", "compose", "motion_layers", "seeding", "still_layers"]

FACTOR = 16  # four doublings
NORM_EPS = 1e-5  # torch7's default, which the authors' generators keep


class Streams(NamedTuple):
    """What a generator composes: video = mask * foreground + (1 - mask) * background."""

    video: torch.Tensor  # B x 3 x T x S x S, in [-1, 1]
    foreground: torch.Tensor  # B x 3 x T x S x S, in [-1, 1]
    mask: torch.Tensor  # B x 1 x T x S x S, in [0, 1]
    background: torch.Tensor  # B x 3 x 1 x S x S, in [-1, 1]: one still picture for all frames


def check_shape(frames: int, size: int) -> None:
    """Raise a ValueError unless four doublings lead to `frames` of `size` pixels."""
    if frames % FACTOR or size % FACTOR or min(frames, size) < FACTOR:
        raise ValueError(f"expected frames and size to be multiples of {FACTOR}, got {frames} frames of size {size}")


def compose(moving: torch.Tensor, background: torch.Tensor) -> Streams:
    """B x 4 x T x S x S (colour and mask before tanh and sigmoid) over B x 3 x 1 x S x S in [-1, 1]: equation 1."""
    colour, matte = torch.tensor_split(moving, [3], dim=1)
    foreground, mask = torch.tanh(colour), torch.sigmoid(matte)  # B x 3 x T x S x S, B x 1 x T x S x S
    video = torch.lerp(background.expand_as(foreground), foreground, mask.expand_as(foreground))
    return Streams(video, foreground, mask, background)


def seeding(inputs: int, outputs: int, kernel: tuple[int, int, int]) -> list[nn.Module]:
    """The first layer: B x inputs x 1 x H x W to B x outputs x t x H+h-1 x W+w-1 by a kernel of t x h x w."""
    return [
        nn.ConvTranspose3d(inputs, outputs, kernel),
        nn.BatchNorm3d(outputs, eps=NORM_EPS),
        nn.ReLU(inplace=True),
    ]


def motion_layers(channels: int) -> list[nn.Module]:
    """B x 8c x t x s x s to B x c x T/2 x S/2 x S/2."""
    c = channels
    return [
        Doubling3d(8 * c, 4 * c),  # B x 4c x 2t x 2s x 2s
        nn.BatchNorm3d(4 * c, eps=NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling3d(4 * c, 2 * c),  # B x 2c x 4t x 4s x 4s
        nn.BatchNorm3d(2 * c, eps=NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling3d(2 * c, c),  # B x c x 8t x 8s x 8s
        nn.BatchNorm3d(c, eps=NORM_EPS),
        nn.ReLU(inplace=True),
    ]


def still_layers(channels: int) -> list[nn.Module]:
    """B x 8c x s x s to B x c x S/2 x S/2."""
    c = channels
    return [
        Doubling2d(8 * c, 4 * c),  # B x 4c x 2s x 2s
        nn.BatchNorm2d(4 * c, eps=NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling2d(4 * c, 2 * c),  # B x 2c x 4s x 4s
        nn.BatchNorm2d(2 * c, eps=NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling2d(2 * c, c),  # B x c x 8s x 8s
        nn.BatchNorm2d(c, eps=NORM_EPS),
        nn.ReLU(inplace=True),
    ]
