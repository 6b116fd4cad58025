"""Noise to video: the paper's two generators (Vondrick et al., 2016, section 2.1; layers as in the authors' code).

B batch, Z latent, T frames, H = W = S size, c channels (64 in the paper), t = T/16 and s = S/16 (2 and 4 in the paper).
Every convolution after the first doubles time and space: kernel 4, stride 2, padding 1.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from vgan.models.pixels import to_bytes
from vgan.models.upsampling import Doubling2d, Doubling3d

__all__ = [
    "Generator",
    "OneStreamGenerator",
    "Streams",
    "TwoStreamGenerator",
    "build_generator",
    "draw_noise",
    "generate",
]

_DOUBLINGS = 4
_NORM_EPS = 1e-5  # torch7's default, which the authors' generator keeps
# Convolutions round differently at different batch sizes, so videos are always made this many at a time.
_TOGETHER = 8


class Streams(NamedTuple):
    """What a two-stream generator composes: video = mask * foreground + (1 - mask) * background."""

    video: torch.Tensor  # B x 3 x T x S x S, in [-1, 1]
    foreground: torch.Tensor  # B x 3 x T x S x S, in [-1, 1]
    mask: torch.Tensor  # B x 1 x T x S x S, in [0, 1]
    background: torch.Tensor  # B x 3 x 1 x S x S, in [-1, 1]: one still picture for all frames


class TwoStreamGenerator(nn.Module):
    """A moving foreground over a still background (equation 1); 16.25 M parameters at the paper's sizes."""

    def __init__(self, *, channels: int, latent_dim: int, frames: int, size: int) -> None:
        super().__init__()
        _check_shape(frames, size)
        self.latent_dim = latent_dim
        self.motion = _motion_trunk(channels, latent_dim, frames, size)
        # The paper's foreground and mask layers read the same input: one convolution with 3 + 1 outputs is both.
        self.motion_head = Doubling3d(channels, 4)
        self.still = _still_trunk(channels, latent_dim, size)
        self.still_head = Doubling2d(channels, 3)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """B x Z to B x 3 x T x S x S in [-1, 1]."""
        return self.streams(noise).video

    def streams(self, noise: torch.Tensor) -> Streams:
        """B x Z to the composed video and the three streams it is made of."""
        motion = self.motion(noise[:, :, None, None, None])  # B x c x T/2 x S/2 x S/2
        # B x 3 x T x S x S and B x 1 x T x S x S
        colour, matte = torch.tensor_split(self.motion_head(motion), [3], dim=1)
        foreground, mask = torch.tanh(colour), torch.sigmoid(matte)
        still = self.still(noise[:, :, None, None])  # B x c x S/2 x S/2
        background = torch.tanh(self.still_head(still)).unsqueeze(2)  # B x 3 x 1 x S x S
        video = torch.lerp(background.expand_as(foreground), foreground, mask.expand_as(foreground))
        return Streams(video, foreground, mask, background)


class OneStreamGenerator(nn.Module):
    """The foreground stream alone, without a mask (section 2.1, "one stream architecture")."""

    def __init__(self, *, channels: int, latent_dim: int, frames: int, size: int) -> None:
        super().__init__()
        _check_shape(frames, size)
        self.latent_dim = latent_dim
        self.motion = _motion_trunk(channels, latent_dim, frames, size)
        self.motion_head = Doubling3d(channels, 3)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """B x Z to B x 3 x T x S x S in [-1, 1]."""
        motion = self.motion(noise[:, :, None, None, None])  # B x c x T/2 x S/2 x S/2
        return torch.tanh(self.motion_head(motion))  # B x 3 x T x S x S


Generator = TwoStreamGenerator | OneStreamGenerator


def build_generator(kind: str, *, channels: int, latent_dim: int, frames: int, size: int) -> Generator:
    """The generator called `kind`: "two_stream" or "one_stream"."""
    if kind == "two_stream":
        return TwoStreamGenerator(channels=channels, latent_dim=latent_dim, frames=frames, size=size)
    if kind == "one_stream":
        return OneStreamGenerator(channels=channels, latent_dim=latent_dim, frames=frames, size=size)
    raise ValueError(f"expected two_stream or one_stream, got {kind!r}")


def draw_noise(count: int, latent_dim: int, rng: torch.Generator) -> torch.Tensor:
    """count x Z from N(0, I), drawn row by row so that the first rows do not depend on `count`."""
    return torch.stack([torch.randn(latent_dim, generator=rng) for _ in range(count)])


@torch.inference_mode()
def generate(generator: Generator, count: int, seed: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Yield `count` videos as uint8 b x T x S x S x 3 on the CPU, b up to `batch_size` at a time.

    Video i depends on the generator, `seed` and i alone. The generator runs as it is: call `.eval()` first, or
    statistics of the videos made together enter each of them.
    """
    device = next(generator.parameters()).device
    noise = draw_noise(count, generator.latent_dim, torch.Generator().manual_seed(seed))
    ready: list[torch.Tensor] = []
    held = 0
    for first in range(0, count, _TOGETHER):
        rows = noise[first : first + _TOGETHER]
        padded = functional.pad(rows, (0, 0, 0, _TOGETHER - len(rows)))
        ready.append(to_bytes(generator(padded.to(device))[: len(rows)]).cpu())
        held += len(rows)
        while held >= batch_size or (held and first + _TOGETHER >= count):
            joined = torch.cat(ready)
            yield joined[:batch_size]
            ready, held = [joined[batch_size:]], max(held - batch_size, 0)


def _check_shape(frames: int, size: int) -> None:
    factor = 2**_DOUBLINGS
    if frames % factor or size % factor or min(frames, size) < factor:
        raise ValueError(f"expected frames and size to be multiples of {factor}, got {frames} frames of size {size}")


def _motion_trunk(channels: int, latent_dim: int, frames: int, size: int) -> nn.Sequential:
    """B x Z x 1 x 1 x 1 to B x c x T/2 x S/2 x S/2."""
    c, seed = channels, (frames // 2**_DOUBLINGS, size // 2**_DOUBLINGS, size // 2**_DOUBLINGS)
    return nn.Sequential(
        nn.ConvTranspose3d(latent_dim, 8 * c, seed),  # B x 8c x t x s x s
        nn.BatchNorm3d(8 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling3d(8 * c, 4 * c),  # B x 4c x 2t x 2s x 2s
        nn.BatchNorm3d(4 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling3d(4 * c, 2 * c),  # B x 2c x 4t x 4s x 4s
        nn.BatchNorm3d(2 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling3d(2 * c, c),  # B x c x 8t x 8s x 8s
        nn.BatchNorm3d(c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
    )


def _still_trunk(channels: int, latent_dim: int, size: int) -> nn.Sequential:
    """B x Z x 1 x 1 to B x c x S/2 x S/2."""
    c, seed = channels, size // 2**_DOUBLINGS
    return nn.Sequential(
        nn.ConvTranspose2d(latent_dim, 8 * c, seed),  # B x 8c x s x s
        nn.BatchNorm2d(8 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling2d(8 * c, 4 * c),  # B x 4c x 2s x 2s
        nn.BatchNorm2d(4 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling2d(4 * c, 2 * c),  # B x 2c x 4s x 4s
        nn.BatchNorm2d(2 * c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
        Doubling2d(2 * c, c),  # B x c x 8s x 8s
        nn.BatchNorm2d(c, eps=_NORM_EPS),
        nn.ReLU(inplace=True),
    )
