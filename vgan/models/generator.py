"""Noise to video: the paper's two generators (Vondrick et al., 2016, section 2.1; layers as in the authors' code); and
videos from any generator.

B batch, Z latent, T frames, H = W = S size, c channels (64 in the paper), t = T/16 and s = S/16 (2 and 4 in the paper).
Every convolution after the first doubles time and space: kernel 4, stride 2, padding 1.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from vgan.models.conditions import Conditions, Given, standing
from vgan.models.content_motion import ContentMotionGenerator
from vgan.models.future import FutureGenerator
from vgan.models.pixels import to_bytes
from vgan.models.streams import FACTOR, NORM_EPS, Streams, check_shape, compose, motion_layers, seeding, still_layers
from vgan.models.upsampling import Doubling2d, Doubling3d

__all__ = [
    "GENERATORS",
    "Generator",
    "OneStreamGenerator",
    "TwoStreamGenerator",
    "build_generator",
    "draw_noise",
    "generate",
    "streams_of",
    "video_of",
]

GENERATORS = ("two_stream", "one_stream", "future", "content_motion")

# Convolutions round differently at different batch sizes, so videos are always made this many at a time.
_TOGETHER = 8


class TwoStreamGenerator(nn.Module):
    """A moving foreground over a still background (equation 1); 16.25 M parameters at the paper's sizes."""

    context, repeats = 0, 0  # frames it is given: none

    def __init__(self, *, channels: int, latent_dim: int, frames: int, size: int) -> None:
        super().__init__()
        _check_noise(latent_dim)
        check_shape(frames, size)
        self.latent_dim, self.frames = latent_dim, frames
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
        moving = self.motion_head(motion)  # B x 4 x T x S x S
        still = self.still(noise[:, :, None, None])  # B x c x S/2 x S/2
        background = torch.tanh(self.still_head(still)).unsqueeze(2)  # B x 3 x 1 x S x S
        return compose(moving, background)


class OneStreamGenerator(nn.Module):
    """The foreground stream alone, without a mask (section 2.1, "one stream architecture")."""

    context, repeats = 0, 0  # frames it is given: none

    def __init__(self, *, channels: int, latent_dim: int, frames: int, size: int) -> None:
        super().__init__()
        _check_noise(latent_dim)
        check_shape(frames, size)
        self.latent_dim, self.frames = latent_dim, frames
        self.motion = _motion_trunk(channels, latent_dim, frames, size)
        self.motion_head = Doubling3d(channels, 3)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """B x Z to B x 3 x T x S x S in [-1, 1]."""
        motion = self.motion(noise[:, :, None, None, None])  # B x c x T/2 x S/2 x S/2
        return torch.tanh(self.motion_head(motion))  # B x 3 x T x S x S


# Each makes `frames` frames; of the `context` frames that it is given, it makes the first `repeats` again.
Generator = TwoStreamGenerator | OneStreamGenerator | FutureGenerator | ContentMotionGenerator


def build_generator(
    kind: str, *, channels: int, latent_dim: int, frames: int, size: int, context: int = 0
) -> Generator:
    """The generator called `kind`, one of `GENERATORS`, for clips of `frames` frames of `size` pixels.

    `context` is how many of these frames "content_motion" is given; the others do not ask.

    Raises:
        ValueError: no such kind, or sizes that its layers cannot make.
    """
    if kind == "two_stream":
        return TwoStreamGenerator(channels=channels, latent_dim=latent_dim, frames=frames, size=size)
    if kind == "one_stream":
        return OneStreamGenerator(channels=channels, latent_dim=latent_dim, frames=frames, size=size)
    if kind == "future":
        return FutureGenerator(channels=channels, latent_dim=latent_dim, frames=frames, size=size)
    if kind == "content_motion":
        return ContentMotionGenerator(
            channels=channels, latent_dim=latent_dim, frames=frames, size=size, context=context
        )
    raise ValueError(f"expected one of {', '.join(GENERATORS)}, got {kind!r}")


def streams_of(generator: Generator, noise: torch.Tensor, given: Given | None) -> Streams | None:
    """What `generator` composes from noise B x Z and, if it is conditional, what it is given; None for one stream."""
    if isinstance(generator, OneStreamGenerator):
        return None
    if isinstance(generator, TwoStreamGenerator):
        return generator.streams(noise)
    assert given is not None, "a conditional generator needs a picture or a clip"
    if isinstance(generator, FutureGenerator):
        return generator.streams(noise, given.picture)
    return generator.streams(noise, given.picture, given.clip)


def video_of(generator: Generator, noise: torch.Tensor, given: Given | None) -> torch.Tensor:
    """What `generator` makes: B x 3 x F x S x S in [-1, 1], F its `frames`."""
    if isinstance(generator, OneStreamGenerator):
        video: torch.Tensor = generator(noise)
        return video
    streams = streams_of(generator, noise, given)
    assert streams is not None
    return streams.video


def draw_noise(count: int, latent_dim: int, rng: torch.Generator) -> torch.Tensor:
    """count x Z from N(0, I), drawn row by row so that the first rows do not depend on `count`."""
    return torch.stack([torch.randn(latent_dim, generator=rng) for _ in range(count)])


@torch.inference_mode()
def generate(
    generator: Generator, count: int, seed: int, batch_size: int, conditions: Conditions | None = None
) -> Iterator[torch.Tensor]:
    """Yield `count` videos as uint8 b x T x S x S x 3 on the CPU, b up to `batch_size` at a time.

    Video i depends on the generator, `seed`, i and, if the generator is conditional, on condition i alone, counted
    round. Given frames that the generator does not make again come first. The generator runs as it is: call `.eval()`
    first, or statistics of the videos made together enter each of them.
    """
    device = next(generator.parameters()).device
    noise = draw_noise(count, generator.latent_dim, torch.Generator().manual_seed(seed))
    ready: list[torch.Tensor] = []
    held = 0
    for first in range(0, count, _TOGETHER):
        rows = noise[first : first + _TOGETHER]
        padded = functional.pad(rows, (0, 0, 0, _TOGETHER - len(rows)))
        videos = _whole(generator, padded.to(device), first, conditions)
        ready.append(to_bytes(videos[: len(rows)]).cpu())
        held += len(rows)
        while held >= batch_size or (held and first + _TOGETHER >= count):
            joined = torch.cat(ready)
            yield joined[:batch_size]
            ready, held = [joined[batch_size:]], max(held - batch_size, 0)


def _whole(generator: Generator, noise: torch.Tensor, first: int, conditions: Conditions | None) -> torch.Tensor:
    """B x Z to whole clips B x 3 x T x S x S: what is given, and what follows."""
    if generator.context == 0:
        return video_of(generator, noise, None)
    assert conditions is not None, "a conditional generator needs pictures or clips"
    given = conditions.rows(first, len(noise), noise.device)
    before = given.clip if conditions.pictures is None else standing(given.picture, generator.context)
    return torch.cat([before[:, :, : generator.context - generator.repeats], video_of(generator, noise, given)], 2)


def _check_noise(latent_dim: int) -> None:
    if latent_dim < 1:
        raise ValueError(f"expected noise of at least 1 number, got a latent_dim of {latent_dim}")


def _motion_trunk(channels: int, latent_dim: int, frames: int, size: int) -> nn.Sequential:
    """B x Z x 1 x 1 x 1 to B x c x T/2 x S/2 x S/2."""
    kernel = (frames // FACTOR, size // FACTOR, size // FACTOR)
    return nn.Sequential(
        *seeding(latent_dim, 8 * channels, kernel),  # B x 8c x t x s x s
        *motion_layers(channels),  # B x c x 8t x 8s x 8s
    )


def _still_trunk(channels: int, latent_dim: int, size: int) -> nn.Sequential:
    """B x Z x 1 x 1 to B x c x S/2 x S/2."""
    return nn.Sequential(
        nn.ConvTranspose2d(latent_dim, 8 * channels, size // FACTOR),  # B x 8c x s x s
        nn.BatchNorm2d(8 * channels, eps=NORM_EPS),
        nn.ReLU(inplace=True),
        *still_layers(channels),  # B x c x 8s x 8s
    )
